//! `viewd reload`: the running daemon takes over the settings and definitions on disk.

use std::time::Duration;

use serde::Deserialize;

use super::failure::{Failure, Kind};
use super::output::Output;
use super::socket;
use crate::config::Config;

/// A projection that is gone ends first, and may have a batch at work.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Deserialize)]
struct Reloaded {
    data: Vec<Became>,
    diagnostics: Vec<Finding>,
    with_next_start: Vec<String>,
}

#[derive(Deserialize)]
struct Became {
    projection: String,
    outcome: String,
    detail: String,
    next: Option<String>,
}

/// What is wrong in a file; its text is the daemon's to read.
#[derive(Deserialize)]
struct Finding {
    file: String,
    line: Option<u64>,
    severity: String,
    message: String,
}

pub(super) fn run(config: &Config, output: &Output) -> Result<(), Failure> {
    let answer = socket::ask(config, "POST", "/v1/admin/reload", ANSWER_TIMEOUT)?;
    let body = answer.body()?;
    let reloaded: Reloaded = socket::read(&body)?;
    if output.json {
        output.line(&body);
    } else {
        reloaded.data.iter().for_each(|became| print(became, output));
    }
    for Finding { file, line, severity, message } in &reloaded.diagnostics {
        let line = line.map_or(String::new(), |line| format!(":{line}"));
        output.warn(&format!("{severity}: {file}{line}: {message}"));
    }
    if !reloaded.with_next_start.is_empty() {
        let settings = reloaded.with_next_start.join(", ");
        output.note(&format!("these settings hold from the next start on: {settings}"));
    }
    if reloaded.diagnostics.iter().any(|finding| finding.severity == "error") {
        let error = anyhow::anyhow!("not all that is on disk was taken over");
        return Err(Failure::new(Kind::Configuration, error)
            .hint("`viewd check` shows what is wrong; what runs goes on as it was"));
    }
    let went_wrong = |became: &Became| matches!(became.outcome.as_str(), "failed" | "refused");
    match reloaded.data.iter().any(went_wrong) {
        true => Err(Failure::printed(Kind::FoundProblems)),
        false => Ok(()),
    }
}

fn print(became: &Became, output: &Output) {
    output.line(&format!("{}: {}", became.projection, became.detail));
    if let Some(next) = &became.next {
        output.line(&format!("  next: {}", output.told(next)));
    }
}
