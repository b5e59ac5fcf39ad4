//! The laws of the engine (I2, I4), held to a naive interpreter that knows nothing of it.
//!
//! A view is the fold of its history: whatever the split into batches, however often the view was closed and opened
//! in between, the same rows, dead letters, counts and checkpoint, bit for bit; and they are what the interpreter gets
//! from one event at a time.
//!
//! `make soak` looks longer. A failing case is written to `proptest-regressions` and is tried first from then on.

mod column;
mod engine;
mod found;
mod generate;
mod model;
mod naive;
mod reached;
mod value;
mod written;

use std::cell::RefCell;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use self::engine::{Engine, Mode};
use self::generate::Choices;
use self::model::{Body, Message, Projection, To};
use self::reached::Reached;

const CASES: u32 = 1_000;
const MESSAGES_MAX: usize = 40;

#[test]
fn any_split_gives_the_rows_of_the_naive_interpreter() {
    let mut config = Config { source_file: Some(file!()), ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    let cases = config.cases;
    // A list for the definition, one for each message, one for the splits: shrinking one leaves the others alone.
    let case = (
        vec(any::<u32>(), 0..400),
        vec(vec(any::<u32>(), 0..200), 0..MESSAGES_MAX),
        vec(any::<u32>(), 0..20),
    );
    let reached = RefCell::new(Reached::default());
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
        let mut found = Reached::default();
        let held = holds(&projection, &messages, &splits, &mut found);
        reached.borrow_mut().add(&found);
        held.map_err(|difference| {
            let shown: Vec<String> = messages.iter().map(shown).collect();
            let Projection { order_key, transform, .. } = projection;
            TestCaseError::fail(format!(
                "{difference}\n\n{}\norder key: {order_key:?}, transform: {transform}, splits: {splits:?}\n{}",
                projection.toml(),
                shown.join("\n")
            ))
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
    if cases >= CASES {
        reached.borrow().check(u64::from(cases / CASES));
    }
}

/// Everything that must hold of one case; what differs otherwise.
fn holds(
    projection: &Projection,
    messages: &[Message],
    splits: &[usize],
    reached: &mut Reached,
) -> Result<(), String> {
    let last = messages.last().map_or(0, |message| message.sequence);
    let expected = naive::interpret(projection, messages, last, splits, reached);
    let engine = Engine::new(projection);
    let single = engine.run(messages, Mode::Single);
    let set_aside: Vec<_> =
        single.set_aside.iter().map(|one| (one.sequence, one.part, one.state)).collect();
    same("tables", &single.tables, &expected.tables)?;
    same("events set aside", &set_aside, &expected.set_aside)?;
    same("counts", &single.counts, &expected.counts)?;
    same("sequence", &single.sequence, &expected.sequence)?;
    same("messages", &single.messages, &expected.messages)?;
    same("reason to stop", &single.stopped, &expected.stopped)?;
    let middle = splits.len() * 3 % (messages.len() + 1);
    // A message each, then a few rows each, then everything, and so on.
    let few = splits.iter().map(|split| split * 7_919 % 20_000);
    let bytes: Vec<usize> = [0].into_iter().chain(few).collect();
    for mode in [
        Mode::Whole,
        Mode::Bulk(splits, usize::MAX, &[]),
        Mode::Bulk(splits, middle, &bytes),
        Mode::Reopened(splits),
        Mode::Gathered(splits),
        Mode::Overlapping(splits),
        Mode::Killed(splits),
        Mode::Cancelled(splits, middle),
    ] {
        same(
            &format!("{mode:?} beside one at a time: view"),
            &engine.run(messages, mode),
            &single,
        )?;
    }
    Ok(())
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}:\n   found {found:?}\nexpected {expected:?}"))
}

fn shown(message: &Message) -> String {
    let payload =
        String::from_utf8_lossy(&message.payload()).chars().take(1_000).collect::<String>();
    format!("{} {} {payload}", message.sequence, message.subject())
}

type Hundredths = (i64, usize);

fn difference((sequence, (a, b)): (u64, &(Hundredths, Hundredths))) -> Message {
    let written = |(count, notation): Hundredths| {
        let plain = value::Number::new(count.into(), 2).text;
        let text = match notation {
            0 => plain,
            1 => format!("{count}e-2"),
            2 if count != 0 => format!("{count}0E-3"),
            3 if plain.contains('.') => format!("{plain}00"),
            3 => format!("{plain}.0"),
            _ => format!("{plain}e0"),
        };
        model::Value::Number(value::Number::parse(&text).unwrap())
    };
    let data = vec![("i", written(*a)), ("d", written(*b))];
    let body = Body::Event { type_name: "A", time: None, data, to: To::Itself };
    Message { sequence, token: "x", body }
}

/// Two numbers with two digits after the point: their difference has no more, however they are written.
#[test]
fn a_difference_of_hundredths_fits_a_decimal_of_two_digits() {
    let hundredths = (-(1_i64 << 61)..1 << 61, 0..5_usize);
    let small = (-10_000..10_000_i64, 0..5_usize);
    let one = prop_oneof![small, hundredths];
    let projection = Choices::difference();
    let engine = Engine::new(&projection);
    let mut config = Config { source_file: Some(file!()), ..Config::default() };
    config.cases = config.cases.div_ceil(4);
    let outcome = TestRunner::new(config).run(&vec((one.clone(), one), 1..60), |pairs| {
        let messages: Vec<Message> = (1..).zip(&pairs).map(difference).collect();
        let view = engine.run(&messages, Mode::Whole);
        prop_assert_eq!(&view.set_aside, &[]);
        for (message, ((a, _), (b, _))) in messages.iter().zip(&pairs) {
            let key = model::Cell::Integer(message.sequence as i64);
            prop_assert_eq!(
                &view.tables[0][&vec![key.clone()]],
                &[key, model::Cell::Integer(a - b)]
            );
        }
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
