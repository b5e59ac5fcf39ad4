//! `viewd wait`: until the running daemon has a sequence in a projection's view.

use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde::Deserialize;

use super::failure::{Failure, Kind};
use super::output::Output;
use super::socket::{self, Answer, Problem};
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
        let path = format!(
            "/v1/projections/{}/wait?_sequence={sequence}&_timeout={}ms",
            encoded(projection),
            left.as_millis()
        );
        let answer = socket::request(config, "GET", &path, left + ANSWER_TIMEOUT)?;
        let answer = answer.ok_or_else(no_daemon)?;
        if answer.code == 200 {
            return print(projection, sequence, &answer, output);
        }
        let problem: Problem = serde_json::from_str(&answer.body)
            .with_context(|| format!("the daemon answered {}", answer.code))
            .map_err(|error| Failure::new(Kind::Unreachable, error))?;
        if problem.code != "timed-out" || begun.elapsed() >= timeout {
            return Err(unreached(problem, answer.code));
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

/// The end of a wait that was answered by a problem.
fn unreached(problem: Problem, code: u16) -> Failure {
    let kind = match code {
        400 | 404 => Kind::Usage,
        409 => Kind::FoundProblems,
        503 => Kind::Unreachable,
        504 => Kind::TimedOut,
        _ => Kind::Io,
    };
    let at =
        problem.sequence.map_or(String::new(), |sequence| format!("; its view is at {sequence}"));
    Failure::new(kind, anyhow!("{}{at}", problem.detail)).hints(problem.hint)
}

fn print(projection: &str, sequence: u64, answer: &Answer, output: &Output) -> Result<(), Failure> {
    if output.json {
        output.line(&answer.body);
        return Ok(());
    }
    let reached: Reached = serde_json::from_str(&answer.body)
        .context("read the daemon's answer")
        .map_err(|error| Failure::new(Kind::Unreachable, error))?;
    for Message { outcome, reason } in reached.data {
        let reason = reason.map_or(String::new(), |reason| format!(": {reason}"));
        let at = reached.sequence;
        output.line(&format!("{projection} is at {at}; sequence {sequence} {outcome}{reason}"));
    }
    Ok(())
}

fn no_daemon() -> Failure {
    Failure::new(Kind::Unreachable, anyhow!("no daemon is running on this data directory"))
        .hint("without one no view moves: start it with `viewd run`")
}

/// A name as a path may hold it; one that needs this is no projection's.
fn encoded(name: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    name.bytes().map(byte).collect()
}
