//! `viewd test`: the tests in the definitions, each on a view of its own in memory. It asks no NATS and no daemon.

mod diff;
mod report;
mod untaken;

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZero;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Context;

use self::diff::Paint;
use super::failure::{Failure, Kind};
use super::output::Output;
use super::{args, definitions};
use crate::config::Config;
use crate::definition::{Definition, Test};
use crate::supervisor::disk::Declared;
use crate::trial::test::Doubt;
use crate::trial::{self, Setup};

/// A test and what became of it.
struct Ran {
    definition: Arc<Definition>,
    /// Of the definition's tests.
    index: usize,
    report: trial::test::Report,
    /// If it has failed: the events that no handler takes, in words.
    untaken: Vec<String>,
}

pub(super) fn run(config: &Config, arguments: &args::Test, output: &Output) -> Result<(), Failure> {
    let begun = Instant::now();
    let declared = definitions::named(config, &arguments.projections, output)?;
    let chosen = chosen(config, &declared, arguments.filter.as_deref());
    if chosen.is_empty() {
        none(&declared, arguments, output)?;
    }
    let ran = run_all(&chosen);
    if output.json {
        output.line(&report::json(&ran));
    } else {
        print(&ran, begun.elapsed(), output);
    }
    if let Some(file) = &arguments.junit {
        write(file, &report::junit(&ran))?;
    }
    match ran.iter().any(|ran| !ran.passed()) {
        true => Err(Failure::printed(Kind::FoundProblems)),
        false => Ok(()),
    }
}

impl Ran {
    fn test(&self) -> &Test {
        &self.definition.tests[self.index]
    }

    fn passed(&self) -> bool {
        self.report.problems.is_empty()
    }

    /// Of its `[[test]]`.
    fn line(&self) -> usize {
        self.line_of(self.test().span.start)
    }

    fn line_of(&self, byte: usize) -> usize {
        self.definition.source.position(byte).line
    }
}

/// Every test whose name matches: a projection, and the index of one of its tests.
fn chosen(config: &Config, declared: &[Declared], filter: Option<&str>) -> Vec<(Setup, usize)> {
    let mut chosen = Vec::new();
    for declared in declared {
        let setup = super::setup(config, declared);
        let tests = declared.plan.definition().tests.iter().enumerate();
        let named = tests.filter(|(_, test)| filter.is_none_or(|text| test.name.contains(text)));
        chosen.extend(named.map(|(index, _)| (setup.clone(), index)));
    }
    chosen
}

/// Nothing to run: fine if nobody has written a test, a slip if there are tests of other names.
fn none(declared: &[Declared], arguments: &args::Test, output: &Output) -> Result<(), Failure> {
    let mut names = declared.iter().flat_map(|declared| &declared.plan.definition().tests);
    if let (Some(filter), Some(some)) = (&arguments.filter, names.next()) {
        let error = anyhow::anyhow!("no test's name contains `{filter}`");
        return Err(Failure::new(Kind::Usage, error).hint(format!("there is `{}`", some.name)));
    }
    let name = &declared[0].plan.definition().name;
    output.note("there are no tests");
    output.note(&format!(
        "Hint: `viewd try {name} --last 3 --as-test` writes one from real events, for the end of the definition's file"
    ));
    Ok(())
}

/// Runs tests on all processors; the results in the order of the tests.
fn run_all(chosen: &[(Setup, usize)]) -> Vec<Ran> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).min(chosen.len());
    let (next, ran) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed);
            let Some((setup, index)) = chosen.get(place) else { break };
            let definition = Arc::clone(setup.plan.definition());
            let test = &definition.tests[*index];
            let report = trial::test::run(setup, test);
            let untaken = match report.problems.is_empty() {
                true => Vec::new(),
                false => untaken::lines(setup, &definition, test),
            };
            let one = Ran { definition, index: *index, report, untaken };
            ran.lock().expect("a thread that panics ends the command").insert(place, one);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    ran.into_inner().expect("all threads have ended").into_values().collect()
}

fn print(ran: &[Ran], took: Duration, output: &Output) {
    let paint = Paint(output.data_color);
    for ran in ran.iter().filter(|ran| !output.quiet || !ran.passed()) {
        let verdict = if ran.passed() { paint.good("ok") } else { paint.bad("FAILED") };
        let (name, test) = (&ran.definition.name, &ran.test().name);
        output.line(&format!("{name}: {test} ... {verdict} ({})", shown(ran.report.took)));
    }
    for ran in ran.iter().filter(|ran| !ran.passed()) {
        output.data(&format!("\n{}", diff::text(ran, paint)));
    }
    warn(ran, output);
    let failed = ran.iter().filter(|ran| !ran.passed()).count();
    let (passed, took) = (ran.len() - failed, shown(took));
    if !output.quiet && !ran.is_empty() {
        let failed = match failed {
            0 => format!("{failed} failed"),
            _ => paint.bad(&format!("{failed} failed")),
        };
        output.line(&format!("\n{passed} passed, {failed} ({took})"));
    }
}

/// Once for each projection and the tables that change, however many tests show it.
fn warn(ran: &[Ran], output: &Output) {
    // The tables that each type of event changes, over all tests.
    let mut changed: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    for ran in ran {
        for repeated in &ran.report.warnings {
            let event = (ran.definition.name.as_str(), repeated.type_name.as_str());
            changed.entry(event).or_default().extend(repeated.tables.iter().map(String::as_str));
        }
    }
    let mut types: BTreeMap<(&str, &BTreeSet<&str>), Vec<&str>> = BTreeMap::new();
    for ((projection, type_name), tables) in &changed {
        types.entry((projection, tables)).or_default().push(type_name);
    }
    for ((projection, tables), types) in &types {
        let (types, tables) = (quoted(types.iter().copied()), quoted(tables.iter().copied()));
        output.note(&format!("warning: {projection}: publishing {types} twice changes {tables}"));
    }
    if !types.is_empty() {
        output.note(
            "  (fine if publishers send `Nats-Msg-Id`: the stream then drops what is sent again)",
        );
    }
    for ran in ran {
        for Doubt { index, query, warnings } in &ran.report.doubts {
            let place = ran.definition.source.position(query.span.start).line;
            let of = format!("{}:{place}: full-text index `{index}`", ran.definition.source.path);
            let said = |warning: &String| format!("warning: {of} on `{}`: {warning}", query.value);
            warnings.iter().for_each(|warning| output.note(&said(warning)));
        }
    }
}

fn quoted<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn shown(took: Duration) -> String {
    match took.as_secs_f64() {
        seconds if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        seconds => format!("{seconds:.1} s"),
    }
}

fn write(file: &Path, text: &str) -> Result<(), Failure> {
    let written = std::fs::write(file, text).with_context(|| format!("write {}", file.display()));
    written.map_err(|error| Failure::new(Kind::Io, error))
}
