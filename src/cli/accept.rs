//! `viewd accept`: goes on past a gap, or with a restored stream, by the running daemon.

use std::time::Duration;

use anyhow::Context;
use serde::Deserialize;

use super::failure::{Failure, Kind};
use super::output::Output;
use super::socket::{self, Answer, Problem};
use crate::config::Config;

/// Longer than the daemon waits for the stream.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(40);

#[derive(Deserialize)]
struct Report {
    data: Vec<Accepted>,
}

#[derive(Deserialize)]
struct Accepted {
    projection: String,
    detail: String,
}

pub(super) fn run(config: &Config, projection: &str, output: &Output) -> Result<(), Failure> {
    // It becomes part of a path.
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if !is_name(projection) {
        return Err(super::unknown_projection(projection, &[]));
    }
    let path = format!("/v1/admin/projections/{projection}/accept");
    let answer = socket::request(config, "POST", &path, ANSWER_TIMEOUT)?;
    let Some(answer) = answer else { return Err(socket::no_daemon(&config.data_dir)) };
    if answer.code != 200 {
        return Err(refused(&answer, projection));
    }
    if output.json {
        output.line(&answer.body);
        return Ok(());
    }
    let report: Report = serde_json::from_str(&answer.body)
        .context("read the daemon's answer")
        .map_err(|error| Failure::new(Kind::Internal, error))?;
    for accepted in report.data {
        output.line(&format!("{}: {}", accepted.projection, accepted.detail));
    }
    Ok(())
}

fn refused(answer: &Answer, projection: &str) -> Failure {
    let Ok(problem) = serde_json::from_str::<Problem>(&answer.body) else {
        let error = anyhow::anyhow!("the daemon answered {}", answer.code);
        return Failure::new(Kind::Internal, error);
    };
    let kind = match problem.code.as_str() {
        "unknown-projection" => Kind::Usage,
        "not-acceptable" => Kind::FoundProblems,
        "busy" => Kind::Busy,
        "source-unreachable" => Kind::Unreachable,
        "storage" => Kind::Io,
        _ => Kind::Internal,
    };
    let error = match kind {
        Kind::Usage => anyhow::anyhow!("there is no projection `{projection}`"),
        _ => anyhow::anyhow!("nothing was accepted for `{projection}`: {}", problem.detail),
    };
    Failure::new(kind, error).hints(problem.hint)
}
