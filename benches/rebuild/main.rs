//! What rebuilding, catching up and staying live cost, beside the client's raw read and a hand-written consumer.
//!
//! One run, one server, one stream of a shop's events (`shop`), every row in turn and several times over:
//!
//! | row | what it does |
//! |---|---|
//! | pull, inbox | the client's fastest reads, messages counted and dropped: its own stream of a pull consumer, and a bare subscription on one thread with pulls sent by hand |
//! | hand | a hand-written consumer into the order summary: typed decode, one prepared statement an event, one transaction a batch |
//! | catch-up | viewd's first generation of the same, to the end of `run --exit-when-caught-up` |
//! | rebuild | `viewd rebuild` of the same, from the command to the cut-over |
//! | ...-where | the same with an update by `where` for one event in a hundred |
//! | four, ten, ...-512 | so many projections rebuilt at once, by default with `memory_bytes_max` of 256 MiB, or with 512 |
//! | ...-10x | the same over ten times the events |
//! | hand-1000, viewd-1000, ... | from publish to visible row, at so many events a second |
//!
//! Each is a process of its own, so that its CPU time and memory are its own; the server's CPU time is read beside it.
//! After every run the rows are compared: whoever wrote a table, from the same events it must hold the same.
//!
//! `cargo bench --bench rebuild -- --rounds 3 --events 1000000 --rows pull,inbox,hand,rebuild`, or `--quick` for
//! everything in about a minute. Prints tables and, with `--json FILE`, all runs.

mod bench;
mod definitions;
mod hand;
mod live;
#[path = "../measure/mod.rs"]
mod measure;
mod proof;
mod report;
mod rows;
mod shop;
mod site;

use std::path::Path;

use anyhow::{Context, Result};
use bench::{Bench, Size};
use measure::{raw, say, value};
use report::Measured;
use rows::{ROWS, Row};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = value(&arguments, "--role") {
        return play(role, &arguments);
    }
    let number = |name: &str, default: u64| value(&arguments, name).map_or(Ok(default), str::parse);
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let (events, rounds, live_seconds) = if quick { (20_000, 1, 1) } else { (1_000_000, 3, 10) };
    let events = number("--events", events)?;
    let rounds = number("--rounds", rounds)?;
    let size = Size {
        events,
        many: number("--many", 10 * events)?,
        live_seconds: number("--seconds", live_seconds)?,
    };

    let rows = rows(&arguments)?;
    let mut bench = Bench::start(size, &rows)?;
    let measured = |row: Row| Measured { row, events: bench.events(&row), runs: Vec::new() };
    let mut all: Vec<_> = rows.into_iter().map(measured).collect();
    for round in 1..=rounds {
        for measured in &mut all {
            let run = bench.measure(&measured.row).with_context(|| measured.row.name)?;
            say(&format!("round {round}: {}", report::line(measured, &run)));
            measured.runs.push(run);
        }
    }
    report::print(&all);
    report::print_tables(&bench.tables());
    if let Some(file) = value(&arguments, "--json") {
        std::fs::write(file, report::json(&all).to_string())
            .with_context(|| format!("write {file}"))?;
    }
    Ok(())
}

/// A part that this program plays in a process of its own.
fn play(role: &str, arguments: &[String]) -> Result<()> {
    let told = |name: &str| value(arguments, name).context(name.to_owned());
    let (server, stream) = (told("--server")?, told("--stream")?);
    let events = value(arguments, "--events").map(str::parse).transpose()?;
    match role {
        "hand" => hand::run(&hand::Task {
            server,
            stream,
            folder: Path::new(told("--folder")?),
            table: told("--table")?,
            events,
        }),
        way => {
            raw::read(way, server, stream, events.context("--events")?)?;
            Ok(())
        }
    }
}

/// Those that are asked for, in the order of a round.
fn rows(arguments: &[String]) -> Result<Vec<Row>> {
    let Some(wanted) = value(arguments, "--rows") else { return Ok(ROWS.to_vec()) };
    let row = |name: &str| {
        let known = ROWS.iter().find(|row| row.name == name).copied();
        known.with_context(|| {
            format!("no row {name}; there are {}", ROWS.map(|row| row.name).join(", "))
        })
    };
    wanted.split(',').map(row).collect()
}
