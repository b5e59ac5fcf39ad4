//! The expression engine against tables of examples, attacks, an oracle of arithmetic, and itself by its other route.

mod attacks;
mod bindings;
mod exactness;
mod examples;
mod hints;
mod inputs;
mod reference;
mod refusals;
mod routes;

use std::sync::Arc;

use jaq_core::load::Lexer;
use jaq_core::load::parse::Parser;

use super::compile::Program;
use super::*;
use crate::event::chunk::{ChunkBuilder, Message};
use crate::event::time::Timestamp;
use crate::event::{Format, Sequence};

/// An event whose payload is the text, decoded as JSON.
pub(super) fn event(payload: &str) -> Event {
    let mut builder = ChunkBuilder::new(Format::Json, 64 << 20);
    builder.push(Message {
        sequence: Sequence(7),
        stored_at: Timestamp::parse("2013-01-01T05:00:00.25Z").unwrap(),
        subject: "shop.eu.placed",
        headers: [("Nats-Msg-Id", "m-7"), ("X-Tenant", "acme")],
        payload: payload.as_bytes(),
    });
    Arc::new(builder.finish(Sequence(7))).events().next().unwrap()
}

/// An event with this data.
pub(super) fn event_of(data: &str) -> Event {
    event(&format!(
        "{{\"type\":\"Placed\",\"time\":\"2013-01-01T06:00:00+02:00\",\"data\":{{\"x\":{data}}}}}"
    ))
}

/// What an evaluation gave, as JSON, or its failure.
pub(super) fn shown(outcome: Result<Output<'_>, Failure>) -> String {
    match outcome.and_then(|output| output.json()) {
        Ok(text) => text,
        Err(failure) => format!("error: {failure}"),
    }
}

/// A text as an expression, in brackets if it is refused because it gives several values.
pub(super) fn of_one_value(text: &str, scope: Scope<'_>) -> (String, Expression) {
    let error = match Expression::compile(text, scope) {
        Ok(expression) => return (text.to_owned(), expression),
        Err(error) => error,
    };
    assert_eq!(error.label, "several values", "{text}: {error} {:?}", error.hint);
    let text = format!("[{text}]");
    let expression = Expression::compile(&text, scope);
    (text, expression.expect("an array is one value"))
}

/// What a text gives as an expression, by whichever route it takes.
pub(super) fn given(text: &str, event: &Event) -> String {
    let expression = Expression::compile(text, Scope::TRANSFORM);
    let expression = expression.unwrap_or_else(|error| panic!("{text}: {error} {:?}", error.hint));
    shown(expression.evaluate(event))
}

/// What jaq gives for a text, whatever the text is.
pub(super) fn given_by_jaq(text: &str, event: &Event) -> String {
    given_by_jaq_with(text, event, Scope::EVENT, &Bindings::NONE)
}

/// The same, with what a handler lends.
pub(super) fn given_by_jaq_with(
    text: &str,
    event: &Event,
    scope: Scope<'_>,
    bindings: &Bindings<'_>,
) -> String {
    let tokens = Lexer::new(text).lex().unwrap();
    let Ok(term) = Parser::new(&tokens).parse(|parser| parser.term()) else {
        panic!("{text} does not parse")
    };
    let references = References::of_term(&term, text, scope).unwrap();
    let program = Program::compile(text, &term, scope, &references).unwrap();
    shown(program.evaluate(event, bindings).map(Output::of_value))
}
