//! `viewd try`: projects a slice of the real stream in memory and shows what comes out. Nothing is written anywhere.

use serde::Serialize;
use serde_json::value::RawValue;

use super::failure::{Failure, Kind};
use super::output::{Align, Output, Table};
use super::skeleton::{Expected, Skeleton};
use super::{args, definitions, events, messages};
use crate::config::Config;
use crate::status::Counts;
use crate::store::dead_letter::State;
use crate::supervisor::disk::Declared;
use crate::trial::outcome::{Outcome, Relation, SetAside};
use crate::trial::{Setup, Trial, given};

/// Tried unless it is said: enough to see a shape, and read in a moment.
const MESSAGES: u64 = 1_000;
/// A test is for reading: of a larger slice the newest so many are given.
const GIVEN_MAX: usize = 100;

/// What was read.
#[derive(Default)]
struct Read {
    messages: u64,
    first: Option<u64>,
    last: Option<u64>,
}

pub(super) fn run(config: &Config, arguments: &args::Try, output: &Output) -> Result<(), Failure> {
    let name = std::slice::from_ref(&arguments.projection);
    let declared = definitions::named(config, name, output)?;
    let [declared] = &declared[..] else {
        let error = anyhow::anyhow!("there is no projection `{}`", arguments.projection);
        return Err(Failure::new(Kind::Usage, error));
    };
    let setup = super::setup(config, declared);
    if arguments.as_test {
        return as_test(config, declared, &setup, arguments, output);
    }
    let definition = declared.plan.definition();
    let source = &config.sources[&definition.stream_source];
    let mut trial = Trial::begin(&setup).map_err(super::store_failure)?;
    let mut read = Read::default();
    let part = arguments.slice.part(MESSAGES);
    let whole = messages::read(config, source, &definition.subjects, part, |page| {
        read.messages += page.len() as u64;
        read.first = read.first.or(page.first().map(|message| message.sequence.0));
        read.last = page.last().map(|message| message.sequence.0);
        let chunks = events::transformed(source, events::decoded(config, source, &page));
        trial.take(&chunks).map_err(super::store_failure)
    })?;
    let outcome = trial.outcome_within(Some(arguments.limit)).map_err(super::store_failure)?;
    if output.json {
        output.line(&json(&read, &outcome, arguments.limit));
        return Ok(());
    }
    output.note(&summary(&read, &source.stream, outcome.counts));
    if read.messages > 0 && !whole {
        output.note("earlier messages were not read: rows that they would have made are missing");
    }
    print(&outcome, arguments.limit, output);
    Ok(())
}

fn summary(read: &Read, stream: &str, counts: Counts) -> String {
    let (Some(first), Some(last)) = (read.first, read.last) else {
        return format!("there is no such message in stream {stream}");
    };
    let messages = if read.messages == 1 { "message" } else { "messages" };
    let Counts { applied, ignored, dead_lettered, parked, skipped } = counts;
    let mut text = format!(
        "{} {messages} of {stream}, sequence {first} to {last}: {applied} applied, {ignored} ignored",
        read.messages
    );
    for (count, what) in
        [(dead_lettered, "dead-lettered"), (parked, "parked"), (skipped, "skipped")]
    {
        if count > 0 {
            text += &format!(", {count} {what}");
        }
    }
    text
}

fn print(outcome: &Outcome, limit: usize, output: &Output) {
    for relation in outcome.tables.iter().chain(&outcome.views) {
        print_rows(relation, output);
    }
    if !outcome.set_aside.is_empty() {
        output.line("\ndead letters:");
        let mut table = Table::new(&[
            ("SEQUENCE", Align::Right),
            ("EVENT", Align::Left),
            ("STATE", Align::Left),
            ("REASON", Align::Left),
        ]);
        for letter in outcome.set_aside.iter().take(limit) {
            let type_name = letter.type_name.clone().unwrap_or_default();
            let sequence = match letter.part {
                0 => letter.sequence.to_string(),
                part => format!("{}.{part}", letter.sequence),
            };
            let state = letter.state.word().to_owned();
            table.row(vec![sequence, type_name, state, letter.reason.clone()]);
        }
        output.table(&table);
        if outcome.set_aside.len() > limit {
            output.note(&match limit {
                1 => "there is more than 1 dead letter: --limit shows more".to_owned(),
                _ => format!("there are more than {limit} dead letters: --limit shows more"),
            });
        }
    }
    if let Some(stopped) = &outcome.stopped {
        output.warn(&format!("the projection stops there: {stopped}"));
    }
}

fn print_rows(relation: &Relation, output: &Output) {
    let name = &relation.name;
    if let Some(problem) = &relation.problem {
        output.line(&format!("\n{name}: {problem}"));
        return;
    }
    let count = match (relation.rows.len(), relation.truncated) {
        (count, true) => format!("the first {count} rows"),
        (0, false) => "no rows".to_owned(),
        (1, false) => "1 row".to_owned(),
        (count, false) => format!("{count} rows"),
    };
    output.line(&format!("\n{name}: {count}"));
    if relation.rows.is_empty() {
        return;
    }
    let numeric = |column: usize| {
        relation.rows.iter().all(|row| relation.shown(column, &row[column]).is_number())
    };
    let align = |column: usize| if numeric(column) { Align::Right } else { Align::Left };
    let columns = relation.columns.iter().enumerate();
    let columns: Vec<_> =
        columns.map(|(column, (name, _))| (name.as_str(), align(column))).collect();
    let mut table = Table::new(&columns);
    for row in &relation.rows {
        let cells = row.iter().enumerate();
        table.row(cells.map(|(column, cell)| relation.shown(column, cell).text()).collect());
    }
    output.table(&table);
}

#[derive(Serialize)]
struct Tried<'a> {
    data: Vec<Shown<'a>>,
    dead_letters: Vec<Letter<'a>>,
    counts: Counts,
    messages: u64,
    first_sequence: Option<u64>,
    last_sequence: Option<u64>,
    stopped: Option<&'a str>,
}

#[derive(Serialize)]
struct Shown<'a> {
    relation: &'a str,
    kind: &'static str,
    rows: Vec<Box<RawValue>>,
    truncated: bool,
    problem: Option<&'a str>,
}

#[derive(Serialize)]
struct Letter<'a> {
    sequence: u64,
    part: u32,
    #[serde(rename = "type")]
    type_name: Option<&'a str>,
    state: &'static str,
    reason: &'a str,
}

fn json(read: &Read, outcome: &Outcome, limit: usize) -> String {
    let shown = |kind: &'static str| {
        move |relation| {
            let Relation { name, rows, truncated, problem, .. }: &Relation = relation;
            let objects = rows.iter().map(|row| relation.object(row).to_string());
            let objects = objects.filter_map(|object| RawValue::from_string(object).ok());
            Shown {
                relation: name,
                kind,
                rows: objects.collect(),
                truncated: *truncated,
                problem: problem.as_deref(),
            }
        }
    };
    let letter = |letter| {
        let SetAside { sequence, part, type_name, state, reason }: &SetAside = letter;
        let type_name = type_name.as_deref();
        Letter { sequence: *sequence, part: *part, type_name, state: state.word(), reason }
    };
    let tried = Tried {
        data: outcome
            .tables
            .iter()
            .map(shown("table"))
            .chain(outcome.views.iter().map(shown("view")))
            .collect(),
        dead_letters: outcome.set_aside.iter().take(limit).map(letter).collect(),
        counts: outcome.counts,
        messages: read.messages,
        first_sequence: read.first,
        last_sequence: read.last,
        stopped: outcome.stopped.as_deref(),
    };
    serde_json::to_string(&tried).expect("rows are plain data")
}

/// Writes a test of the slice. It passes as it stands: what it expects is what its own events come to.
fn as_test(
    config: &Config,
    declared: &Declared,
    setup: &Setup,
    arguments: &args::Try,
    output: &Output,
) -> Result<(), Failure> {
    let definition = declared.plan.definition();
    let source = &config.sources[&definition.stream_source];
    let part = arguments.slice.part(GIVEN_MAX as u64);
    let mut skeleton = Skeleton::default();
    // What is parked shows only beside the events that it is parked behind, which a test is not given.
    let mut trial = Trial::begin(setup).map_err(super::store_failure)?;
    messages::read(config, source, &definition.subjects, part, |page| {
        let chunks = events::decoded(config, source, &page);
        chunks.iter().for_each(|chunk| skeleton.give(chunk));
        if skeleton.documents.len() > GIVEN_MAX {
            skeleton.documents.drain(..skeleton.documents.len() - GIVEN_MAX);
        }
        trial.take(&events::transformed(source, chunks)).map_err(super::store_failure)
    })?;
    leave_out_set_aside(&mut skeleton, trial.set_aside());
    let outcome = loop {
        let outcome = applied(setup, &skeleton)?;
        // Only the last event of a test may fail.
        match failed(&outcome) {
            Some((index, reason)) if index + 1 < skeleton.documents.len() => {
                skeleton.leave_out(index, &stable(&reason));
            }
            _ => break outcome,
        }
    };
    skeleton.tell(output);
    let reason = failed(&outcome).map(|(_, reason)| problem(&reason).to_owned());
    let relations: Vec<_> = outcome.tables.into_iter().chain(outcome.views).collect();
    let expected = match &reason {
        Some(reason) => Expected::Error(reason),
        None => Expected::Rows(&relations),
    };
    output.data(&skeleton.text("what these events come to", &expected));
    output.note(&format!("name it, and append it to {}", definition.source.path));
    Ok(())
}

/// Leaves out what the slice sets aside; the last event may fail, since a test can expect that.
fn leave_out_set_aside(skeleton: &mut Skeleton, set_aside: &[SetAside]) {
    for letter in set_aside {
        let mut documents = skeleton.documents.iter();
        let place = documents.position(|document| document.sequence == letter.sequence);
        let Some(place) = place else { continue };
        if letter.state == State::Parked || place + 1 < skeleton.documents.len() {
            skeleton.leave_out(place, &stable(&letter.reason));
        }
    }
}

fn applied(setup: &Setup, skeleton: &Skeleton) -> Result<Outcome, Failure> {
    let documents = skeleton.documents.iter().map(|document| document.text.as_str());
    let given = given::read(documents, setup.transform.as_deref()).map_err(|refused| {
        let document = &skeleton.documents[refused.index];
        let error =
            anyhow::anyhow!("sequence {} cannot be given: {}", document.sequence, refused.problem);
        Failure::new(Kind::Internal, error)
    })?;
    let mut trial = Trial::begin(setup).map_err(super::store_failure)?;
    let chunks: Vec<_> = given.into_iter().flat_map(|given| given.chunks).collect();
    trial.take(&chunks).map_err(super::store_failure)?;
    trial.outcome().map_err(super::store_failure)
}

/// The first document that failed, and why. Sequences of a test count from 1.
fn failed(outcome: &Outcome) -> Option<(usize, String)> {
    let place = |sequence: u64| usize::try_from(sequence).ok()?.checked_sub(1);
    let letter = outcome.set_aside.iter().find(|letter| letter.state != State::Parked);
    if let Some(letter) = letter {
        return Some((place(letter.sequence)?, letter.reason.clone()));
    }
    // `on_error = "halt"` sets nothing aside: it stops before the event.
    Some((usize::try_from(outcome.sequence).ok()?, outcome.stopped.clone()?))
}

/// A reason without the event that it names at its end.
fn stable(reason: &str) -> String {
    reason.rsplit_once(" (event ").map_or(reason, |(stable, _)| stable).to_owned()
}

/// The end of a reason: what was found. Where it was found changes with every edit of the definition.
fn problem(reason: &str) -> &str {
    let reason = reason.rsplit_once(" (event ").map_or(reason, |(problem, _)| problem);
    let after_handler = || {
        let (_, handler) = reason.split_once(", handler ")?;
        let (_, place) = handler.split_once("), ")?;
        Some(place.split_once(": ").or_else(|| place.split_once(":"))?.1)
    };
    let Some(found) = after_handler() else { return reason };
    let Some(expression) = found.strip_prefix('`') else { return found };
    let after = expression.split_once("` ").into_iter().chain(expression.split_once("`: "));
    let after = after.map(|(_, after)| after).max_by_key(|after| after.len());
    after.map_or(found, |after| after.strip_prefix("failed: ").unwrap_or(after))
}

#[cfg(test)]
mod tests {
    use super::problem;

    #[test]
    fn the_end_of_a_reason_names_no_place() {
        let at = "projection `orders`, handler 12 (line 18)";
        for (reason, expected) in [
            (
                format!(
                    "type: {at}, column `o.n` (decimal(2)): `.data.n`: expected a number, got null (`// 0`) (event A at sequence 1)"
                ),
                "expected a number, got null (`// 0`)",
            ),
            (
                format!(
                    "expression: {at}, `when` of item 3: `error(\"x\")` failed: x (event A at sequence 1, part 2)"
                ),
                "x",
            ),
            (
                format!(
                    "null_key: {at}, key column `o.id` (text): `.id` gave null (event A at sequence 9)"
                ),
                "gave null",
            ),
            (
                format!("required: {at}, a row of table `o`: no value (event A at sequence 9)"),
                "no value",
            ),
            ("transform: it gave a number".to_owned(), "transform: it gave a number"),
        ] {
            assert_eq!(problem(&reason), expected);
        }
    }
}
