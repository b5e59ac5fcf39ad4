//! What an expression gives.

use std::borrow::Cow;

use super::Failure;
use super::budget::{self, Exceeded};
use super::cells;
use super::document;
use super::number::Number;
use super::value::{Value, ValueKind};
use super::write::{self, Sink};
use crate::event::chunk::{Data, Event};
use crate::event::json::{Json, Kind};
use crate::event::time::Timestamp;

/// The value of an expression for an event.
pub enum Output<'a> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    /// A time of the event document, which is text to everybody who asks.
    Time(Timestamp),
    /// An array or object of the event's data, where it lies.
    Json(Json<'a>),
    /// An array or object that was built, or one of the event document's own.
    Value(Value),
}

impl<'a> Output<'a> {
    /// The value of a node of an event's data.
    #[inline]
    pub(super) fn of_json(json: Json<'a>) -> Self {
        match json.kind() {
            Kind::Null => Self::Null,
            Kind::False => Self::Bool(false),
            Kind::True => Self::Bool(true),
            Kind::Number => Self::Number(Number::written(json.raw())),
            Kind::String | Kind::Escaped => Self::Text(json.text().expect("a string has text")),
            Kind::Array | Kind::Object => Self::Json(json),
        }
    }

    /// The value of a variable, where it lies.
    #[inline]
    pub(super) fn of_bound(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => Self::Number(number.clone()),
            Value::Text(text) => Self::Text(Cow::Borrowed(text.as_str())),
            Value::Part(event, node) => Self::Json(document::node(event, *node)),
            value => Self::Value(value.clone()),
        }
    }

    /// The value as one that lives on its own, and that a variable can have; `event` is the one it was made for.
    pub fn into_value(self, event: &Event) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(value),
            Self::Number(number) => Value::Number(number),
            Self::Text(text) => Value::from(&*text),
            Self::Time(time) => Value::from(&*time.text()),
            Self::Json(json) => match event.data() {
                Data::Json(root) if lies_in(json, root) => Value::of_part(event, json),
                // Of another event than it should be: a copy.
                _ => cells::stored(json),
            },
            Self::Value(value) => value,
        }
    }

    pub fn of_value(value: Value) -> Output<'static> {
        match value {
            Value::Null => Output::Null,
            Value::Bool(value) => Output::Bool(value),
            Value::Number(number) => Output::Number(number),
            Value::Text(text) => Output::Text(Cow::Owned(text.as_str().to_owned())),
            value => Output::Value(value),
        }
    }

    /// Whether a `when` with this value holds: anything but null and false.
    #[inline]
    pub fn is_true(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What kind of value it is, for messages: `a string`.
    pub fn kind(&self) -> ValueKind {
        match self {
            Self::Null => ValueKind::Null,
            Self::Bool(_) => ValueKind::Boolean,
            Self::Number(_) => ValueKind::Number,
            Self::Text(_) | Self::Time(_) => ValueKind::String,
            Self::Json(json) if json.kind() == Kind::Array => ValueKind::Array,
            Self::Json(_) => ValueKind::Object,
            Self::Value(value) => value.kind(),
        }
    }

    /// The value as compact JSON, keys in the event's order, of repeated keys the last.
    ///
    /// Within a budget of its own: a value may hold one array many times over, and so be far larger than it is.
    pub fn json(&self) -> Result<String, Failure> {
        let mut sink = Sink::whole();
        let Self::Value(value) = self else {
            self.write(&mut sink);
            return sink.finish().ok_or(Failure::of_exceeded(Exceeded::Depth));
        };
        match budget::bounded(|| value.to_json()) {
            Ok(text) => Ok(text),
            Err(exceeded) => Err(Failure::of_exceeded(exceeded)),
        }
    }

    /// The value as text for comparing: a string as it is, anything else as JSON.
    pub fn into_text(self) -> Result<String, Failure> {
        match self {
            Self::Text(text) => Ok(text.into_owned()),
            Self::Time(time) => Ok(time.to_string()),
            other => other.json(),
        }
    }

    /// The value as JSON for a message, cut after some 60 characters.
    pub fn shown(&self) -> String {
        let mut sink = Sink::shortened();
        self.write(&mut sink);
        sink.shown()
    }

    fn write(&self, sink: &mut Sink) {
        match self {
            Self::Null => sink.raw("null"),
            Self::Bool(value) => sink.raw(if *value { "true" } else { "false" }),
            Self::Number(number) => sink.number(number),
            Self::Text(text) => sink.text(text),
            Self::Time(time) => sink.text(&time.text()),
            Self::Json(json) => write::json(*json, sink),
            Self::Value(value) => write::value(value, sink),
        }
    }
}

/// Whether a value is part of a document, by where their texts lie.
fn lies_in(json: Json<'_>, root: Json<'_>) -> bool {
    root.raw().as_bytes().as_ptr_range().contains(&json.raw().as_ptr())
}
