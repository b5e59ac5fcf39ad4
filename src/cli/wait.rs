//! `viewd wait`: until the running daemon has a sequence in a projection's view.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::failure::Failure;
use super::output::Output;
use super::socket::{self, Answer};
use crate::api::wait::TIMEOUT_MAX;
use crate::config::Config;

// What an answer takes beyond the wait itself.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

pub(super) fn run(
    config: &Config,
    projection: &str,
    sequence: u64,
    timeout: Duration,
    output: &Output,
) -> Result<(), Failure> {
    let begun = Instant::now();
    loop {
        // One request waits for so long at most; the next goes on where it ended.
        let left = timeout.saturating_sub(begun.elapsed()).min(TIMEOUT_MAX);
        let query = format!("wait?_sequence={sequence}&_timeout={}ms", left.as_millis());
        let path = format!("/v1/{}", socket::path(projection, &query));
        let answer = socket::ask(config, "GET", &path, left + ANSWER_TIMEOUT)?;
        if answer.code == 200 {
            return print(projection, sequence, &answer, output);
        }
        let mut problem = answer.problem()?;
        if problem.code != "timed-out" || begun.elapsed() >= timeout {
            let at = problem.sequence.map(|sequence| format!("; its view is at {sequence}"));
            problem.detail += &at.unwrap_or_default();
            return Err(problem.failure());
        }
    }
}

#[derive(Deserialize)]
struct Reached {
    data: Vec<Message>,
    sequence: u64,
}

#[derive(Deserialize)]
struct Message {
    outcome: String,
    reason: Option<String>,
}

fn print(projection: &str, sequence: u64, answer: &Answer, output: &Output) -> Result<(), Failure> {
    if output.json {
        output.line(&answer.body);
        return Ok(());
    }
    let reached: Reached = socket::read(&answer.body)?;
    for Message { outcome, reason } in reached.data {
        let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
        let at = reached.sequence;
        output.line(&format!("{projection} is at {at}; sequence {sequence} {outcome}{reason}"));
    }
    Ok(())
}
