//! What full-text indexes cost and how soon and how fast they answer, on real text.
//!
//! Two corpora (`tests/corpora`), the flights of a year and 105 MB of reference documentation; every row in turn and
//! several times over, each process with CPU time and memory of its own:
//!
//! | row | what it does |
//! |---|---|
//! | bare, bare-sqlite | a bare Tantivy loop: schema, threads and arenas as viewd's, documents made by hand of rows in memory, or of one SELECT |
//! | bare-default | the same from memory with Tantivy's own analysis, which finds less: what viewd's costs |
//! | build | viewd's build of an index from the rows of a view |
//! | catch-up, catch-up-plain | a new view from the stream, with its index and without one |
//! | updates, updates-plain | as many updates as fast as they are published, until the index has them, or the view alone |
//! | searchable, searchable-100 | from publish to found, at a steady pace, with `search_commit_ms` as it is by default, and at 100 |
//! | queries, queries-idle | every kind of query, one after another, while updates come at a steady pace, and while none does |
//!
//! A row is named with its corpus before it: `flights/build`, `reference/queries`. No figure comes from a wrong index:
//! what is built has as many documents as there are rows, and what was written to is verified against its rows after.
//!
//! `cargo bench --bench search -- --rounds 3 --rows flights/build,flights/bare --memory 256`, or `--quick` for
//! everything on a part of the corpora. Prints tables and, with `--json FILE`, all runs.

mod ask;
mod bare;
mod bench;
mod build;
#[path = "../../tests/corpora/mod.rs"]
mod corpora;
mod live;
#[path = "../measure/mod.rs"]
mod measure;
mod queries;
mod report;
mod rows;
mod task;

use anyhow::{Context, Result};
use bench::{Bench, Size};
use measure::{say, value};
use report::Measured;
use rows::Row;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = value(&arguments, "--role") {
        return task::play(role, &arguments);
    }
    let number = |name: &str, default: u64| value(&arguments, name).map_or(Ok(default), str::parse);
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let size = Size {
        events: number("--events", if quick { 20_000 } else { u64::MAX })?,
        updates: number("--updates", if quick { 2_000 } else { 50_000 })?,
        rate: number("--rate", 1_000)?,
        seconds: number("--seconds", if quick { 2 } else { 20 })?,
        memory_mib: number("--memory", 256)?,
    };
    let rounds = number("--rounds", if quick { 1 } else { 3 })?;

    let rows = Row::asked(value(&arguments, "--rows"))?;
    let mut bench = Bench::start(size)?;
    let mut all: Vec<_> = rows.into_iter().map(|row| Measured { row, runs: Vec::new() }).collect();
    for round in 1..=rounds {
        for measured in &mut all {
            let run = bench.measure(&measured.row).with_context(|| measured.row.to_string())?;
            say(&format!("round {round}: {}", report::line(&measured.row, &run)));
            measured.runs.push(run);
        }
    }
    report::print(&all);
    if let Some(file) = value(&arguments, "--json") {
        std::fs::write(file, report::json(&all).to_string())
            .with_context(|| format!("write {file}"))?;
    }
    Ok(())
}
