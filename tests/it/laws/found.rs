//! Cases that have failed once, written out: the seeds in `proptest-regressions` mean another case as soon as the
//! generator changes.

use super::Reached;
use super::generate::Choices;
use super::model::{
    Action, Body, Column, Expression, Fold, Handler, Kind, Message, Projection, Table, Target, To,
    Value, Verb,
};

/// An item fails on its row, a later one of itself: which of them the dead letter names does not depend on whether
/// the row was known.
#[test]
fn the_reason_of_a_dead_letter_is_that_of_the_first_failure() {
    let column = |kind, required| Column { kind, required, default: None, fold: Fold::None };
    let keys = vec![Expression::Data("ks")];
    let handler = Handler {
        events: vec!["*"],
        verb: Verb::Upsert,
        table: 0,
        when: None,
        for_each: Some(Expression::Data("l")),
        lets: Vec::new(),
        target: Target::Key(vec![Expression::Item("ks")]),
        object: None,
        assignments: vec![
            (1, Action::Set, Expression::Lookup { table: 0, keys, column: Some(1) }),
            (2, Action::Add, Expression::Item("i")),
        ],
    };
    let columns =
        vec![column(Kind::Text, true), column(Kind::Text, false), column(Kind::Integer, false)];
    let projection = Projection {
        tables: vec![Table { keys: 1, columns, indexes: Vec::new() }],
        handlers: vec![handler],
        ..Choices::difference()
    };
    let item = |ks: Value, i| {
        Value::Object(vec![("ks".to_owned(), ks), ("i".to_owned(), Value::integer(i))])
    };
    let message = |sequence, items| {
        let data = vec![("ks", Value::text("b")), ("l", Value::Array(items))];
        let body = Body::Event { type_name: "A", time: None, data, to: To::Itself };
        Message { sequence, token: "x", body }
    };
    let messages = [
        message(1, vec![item(Value::text("a"), 1)]),
        message(2, vec![item(Value::text("a"), i64::MAX), item(Value::Null, 1)]),
    ];
    let mut reached = Reached::default();
    super::holds(&projection, &messages, &[1, 2], &mut reached).unwrap();
    reached.check_one("failed on a sum");
}
