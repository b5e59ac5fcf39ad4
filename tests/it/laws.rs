//! The laws of the engine (I2, I4), held to a naive interpreter that knows nothing of it.
//!
//! A view is the fold of its history: whatever the split into batches, however often the view was closed and opened
//! in between, the same rows, dead letters, counts and checkpoint, bit for bit; and they are what the interpreter gets
//! from one event at a time.
//!
//! `PROPTEST_CASES=2000 cargo test --test it laws` looks longer. A failing case is written to `proptest-regressions`
//! and is tried first from then on.

mod engine;
mod generate;
mod model;
mod naive;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::{Config, TestRunner};

use self::engine::{Engine, Mode, View};
use self::generate::Choices;
use self::model::{Message, Projection};

/// About fifteen seconds without optimisation.
const CASES: u32 = 500;
const MESSAGES_MAX: usize = 60;

#[test]
fn any_split_gives_the_rows_of_the_naive_interpreter() {
    let mut config =
        Config { source_file: Some(file!()), max_shrink_iters: 5_000, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    // A list for the definition, one for each message, one for the splits: shrinking one leaves the others alone.
    let case = (
        vec(any::<u32>(), 0..250),
        vec(vec(any::<u32>(), 0..40), 0..MESSAGES_MAX),
        vec(any::<u32>(), 0..20),
    );
    let outcome = TestRunner::new(config).run(&case, |(definition, messages, splits)| {
        let projection = Choices::new(&definition).projection();
        let mut sequence = 0;
        let messages = messages.iter().map(|choices| {
            let message = Choices::new(choices).message(sequence);
            sequence = message.sequence;
            message
        });
        let messages: Vec<Message> = messages.collect();
        let splits = Choices::new(&splits).splits(messages.len());
        holds(&projection, &messages, &splits).map_err(|difference| {
            let shown: Vec<String> = messages.iter().map(shown).collect();
            let order_key = projection.order_key;
            TestCaseError::fail(format!(
                "{difference}\n\n{}\norder key: {order_key:?}, splits: {splits:?}\n{}",
                projection.toml(),
                shown.join("\n")
            ))
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Everything that must hold of one case; what differs otherwise.
fn holds(projection: &Projection, messages: &[Message], splits: &[usize]) -> Result<(), String> {
    let expected = naive::interpret(
        projection,
        messages,
        messages.last().map_or(0, |message| message.sequence),
    );
    let engine = Engine::new(projection);
    let single = engine.run(messages, Mode::Single);
    let set_aside: Vec<_> =
        single.set_aside.iter().map(|one| (one.sequence, one.state.as_str())).collect();
    same("tables", &single.tables, &expected.tables)?;
    same("events set aside", &set_aside, &expected.set_aside)?;
    same("counts", &single.counts, &expected.counts)?;
    same("sequence", &single.sequence, &expected.sequence)?;
    same("messages", &single.messages, &expected.messages)?;
    same("reason to stop", &single.stopped, &expected.stopped)?;
    counts_every_event(&single)?;
    for mode in [Mode::Whole, Mode::Split(splits), Mode::Reopened(splits), Mode::Gathered(splits)] {
        same(
            &format!("{mode:?} beside one at a time: view"),
            &engine.run(messages, mode),
            &single,
        )?;
    }
    Ok(())
}

/// I4: the counts are stocks whose sum is the number of events, here one a message.
fn counts_every_event(view: &View) -> Result<(), String> {
    let counts = view.counts;
    let sum =
        counts.applied + counts.ignored + counts.dead_lettered + counts.parked + counts.skipped;
    same("sum of counts", &sum, &view.messages)
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}:\n   found {found:?}\nexpected {expected:?}"))
}

fn shown(message: &Message) -> String {
    let payload = String::from_utf8_lossy(&message.payload()).chars().take(300).collect::<String>();
    format!("{} {} {payload}", message.sequence, message.subject())
}

/// The generator is worth something only if it reaches what the laws are about.
#[test]
fn the_generator_reaches_what_matters() {
    let mut runner = TestRunner::deterministic();
    let mut reached = std::collections::BTreeMap::<&str, u32>::new();
    for _ in 0..300 {
        let mut list =
            |length: usize| vec(any::<u32>(), length).new_tree(&mut runner).unwrap().current();
        let projection = Choices::new(&list(250)).projection();
        let mut sequence = 0;
        let lists: Vec<Vec<u32>> = (0..40).map(|_| list(40)).collect();
        let messages: Vec<Message> = lists
            .iter()
            .map(|list| {
                let message = Choices::new(list).message(sequence);
                sequence = message.sequence;
                message
            })
            .collect();
        let outcome = naive::interpret(&projection, &messages, sequence);
        let mut reach = |what, yes: bool| *reached.entry(what).or_default() += u32::from(yes);
        reach("rows", outcome.tables.iter().any(|rows| !rows.is_empty()));
        reach("three rows or more", outcome.tables.iter().any(|rows| rows.len() >= 3));
        reach("applied ten or more", outcome.counts.applied >= 10);
        reach("ignored", outcome.counts.ignored > 0);
        reach("dead letters", outcome.counts.dead_lettered > 0);
        reach("parked", outcome.counts.parked > 0);
        reach("skipped", outcome.counts.skipped > 0);
        reach("halted", outcome.stopped == Some("halted"));
        reach("set_aside_full", outcome.stopped == Some("set_aside_full"));
        reach("read to the end", outcome.stopped.is_none());
        reach("overflow", outcome.out_of_range > 0);
    }
    println!("{reached:?}");
    for (what, times) in &reached {
        assert!(*times >= 10, "{what}: only {times} of 300 cases");
    }
}
