//! `viewd status`: of the running daemon through its admin socket, else as the files say.

use std::time::Duration;

use anyhow::Context;

use super::failure::{Failure, Kind};
use super::output::{Align, Output, Table};
use super::progress::Step;
use super::socket;
use crate::config::Config;
use crate::status::{Phase, Projection, Report};
use crate::supervisor::at_rest;

// The daemon answers from memory; one that takes longer hangs.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const WATCH_INTERVAL: Duration = Duration::from_secs(1);

pub(super) fn run(
    config: &Config,
    projection: Option<&str>,
    watch: bool,
    output: &Output,
) -> Result<(), Failure> {
    loop {
        let (mut report, running) = read(config)?;
        if let Some(name) = projection {
            let known: Vec<_> =
                report.projections.iter().map(|projection| projection.name.clone()).collect();
            report.projections.retain(|projection| projection.name == name);
            if report.projections.is_empty() {
                return Err(super::unknown_projection(name, &known));
            }
        }
        if output.json {
            output.line(&serde_json::to_string(&report).expect("a report is plain data"));
        } else {
            if watch {
                output.clear_screen();
            }
            print(&report, running, output);
        }
        if !watch {
            return Ok(());
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

/// The report, and whether a daemon gave it.
pub(super) fn read(config: &Config) -> Result<(Report, bool), Failure> {
    let Some(answer) = socket::request(&config.data_dir, "GET", "/v1/projections", ANSWER_TIMEOUT)?
    else {
        // What a daemon left behind is as true as it was.
        return Ok((at_rest::report(config).map_err(super::store_failure)?, false));
    };
    let report = match answer.code {
        200 => serde_json::from_str(&answer.body).context("read the daemon's answer"),
        code => Err(anyhow::anyhow!("the daemon answered {code}: {}", answer.body.trim())),
    };
    Ok((report.map_err(|error| Failure::new(Kind::Unreachable, error))?, true))
}

fn print(report: &Report, running: bool, output: &Output) {
    if !running {
        output.note("no daemon is running on this data directory; this is what the files say");
    } else if !report.nats.connected {
        output.note("the daemon has no connection to NATS");
    }
    if report.projections.is_empty() {
        output.note("there are no projections");
        return;
    }
    let mut table = Table::new(&[
        ("PROJECTION", Align::Left),
        ("STATE", Align::Left),
        ("SEQUENCE", Align::Right),
        ("PENDING", Align::Right),
        ("LAG", Align::Right),
        ("EVENTS/S", Align::Right),
        ("APPLIED", Align::Right),
        ("IGNORED", Align::Right),
        ("DEAD", Align::Right),
        ("PARKED", Align::Right),
        ("SKIPPED", Align::Right),
    ]);
    for projection in &report.projections {
        table.row(cells(projection));
    }
    output.table(&table);
    indexes(report, output);
    for projection in &report.projections {
        told(projection, output);
    }
}

/// The full-text indexes, if there are any; what is wrong with one is said of its projection.
fn indexes(report: &Report, output: &Output) {
    let mut table = Table::new(&[
        ("INDEX", Align::Left),
        ("STATE", Align::Left),
        ("SEQUENCE", Align::Right),
        ("ROWS", Align::Right),
    ]);
    let unknown = || "unknown".to_owned();
    for projection in &report.projections {
        for index in &projection.search {
            table.row(vec![
                format!("{} {}", projection.name, index.index),
                index.state.clone(),
                index.sequence.map_or_else(unknown, grouped),
                index.documents.map_or_else(unknown, grouped),
            ]);
        }
    }
    if report.projections.iter().any(|projection| !projection.search.is_empty()) {
        output.line("");
        output.table(&table);
    }
}

/// What there is to say of a projection below the table: what is wrong or to be known, what is built, what was missed.
fn told(projection: &Projection, output: &Output) {
    let name = &projection.name;
    let promote = format!("viewd promote {name}");
    let is_held = projection.rebuild.as_ref().is_some_and(|rebuild| rebuild.phase == Phase::Held);
    if let Some(detail) = &projection.detail {
        output.line(&format!("\n{name}: {detail}"));
        // Said once, with the build.
        if let Some(next) = projection.next.as_ref().filter(|next| !is_held || **next != promote) {
            output.line(&format!("  next: {}", output.told(next)));
        }
    }
    if let Some(rebuild) = &projection.rebuild {
        // It has its number when it has begun.
        let build = match rebuild.generation {
            0 => name.clone(),
            generation => format!("{name}, generation {generation}"),
        };
        output.line(&format!("\n{}", Step::of_build(&build, rebuild).line()));
        if is_held {
            output.line(&format!("  next: {}", output.told(&promote)));
        }
    }
    if projection.missed_sequences > 0 {
        let missed = grouped(projection.missed_sequences);
        output
            .line(&format!("\n{name}: {missed} sequences missed, which the stream held no longer"));
    }
}

fn cells(projection: &Projection) -> Vec<String> {
    let pinned = projection.pinned.then_some("pinned");
    let words: Vec<_> =
        projection.reason.map(|reason| reason.word()).into_iter().chain(pinned).collect();
    let state = match words.is_empty() {
        true => projection.state.word().to_owned(),
        false => format!("{} ({})", projection.state.word(), words.join(", ")),
    };
    let unknown = || "unknown".to_owned();
    vec![
        projection.name.clone(),
        state,
        grouped(projection.checkpoint_sequence),
        projection.pending_messages.map_or_else(unknown, grouped),
        projection.lag_seconds.map_or_else(unknown, seconds),
        grouped(projection.events_per_second.round() as u64),
        grouped(projection.counts.applied),
        grouped(projection.counts.ignored),
        grouped(projection.dead_letters),
        grouped(projection.parked_events),
        grouped(projection.counts.skipped),
    ]
}

/// 1234567 as 1,234,567.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A span of time, as people say it.
pub(super) fn seconds(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 10.0 => format!("{seconds:.1} s"),
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7200.0 => format!("{:.0} min", seconds / 60.0),
        seconds if seconds < 172_800.0 => format!("{:.0} h", seconds / 3600.0),
        seconds => format!("{:.0} d", seconds / 86_400.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        let groups = [(0, "0"), (999, "999"), (1000, "1,000"), (1_006_869, "1,006,869")];
        for (number, text) in groups {
            assert_eq!(grouped(number), text);
        }
        let spans = [
            (0.04, "0.0 s"),
            (9.96, "10.0 s"),
            (61.0, "61 s"),
            (600.0, "10 min"),
            (90_000.0, "25 h"),
            (864_000.0, "10 d"),
        ];
        for (span, text) in spans {
            assert_eq!(seconds(span), text);
        }
    }
}
