//! Values as jaq sees them.
//!
//! Scalars are held, arrays and objects shared. An array or object of the event stays where it lies ([`Value::Part`],
//! [`Value::Document`]) until an operation needs its members, and then only they are converted, not what they hold.

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

use compact_str::CompactString;
use indexmap::IndexMap;

use super::budget::{self, DEPTH_MAX, Exceeded};
use super::number::Number;
use super::text::Text;
use super::{document, write};
use crate::event::chunk::Event;
use crate::event::json::{Json, Kind};

/// A value of an expression.
pub enum Value {
    Null,
    Bool(bool),
    Number(Number),
    Text(Text),
    Array(Rc<Array>),
    Object(Rc<Object>),
    /// What `.` is for an event.
    Document(Event),
    /// An array or object of the event's data, by its index on the tape.
    Part(Event, u32),
}

/// The elements of an array, and how deep it nests.
#[derive(Clone)]
pub struct Array {
    pub(super) items: Vec<Value>,
    depth: u8,
}

/// The members of an object in the order in which they were first set, and how deep it nests.
#[derive(Clone)]
pub struct Object {
    pub(super) members: Members,
    depth: u8,
}

pub type Members = IndexMap<CompactString, Value>;

/// What a value is, in the order in which jq sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ValueKind {
    Null,
    Boolean,
    Number,
    String,
    Array,
    Object,
}

pub(super) type Error = jaq_core::Error<Value>;
pub(super) type Result<T = Value> = std::result::Result<T, Error>;

/// An error of an expression, which `try` can catch.
pub(super) fn error(message: impl Into<String>) -> Error {
    Error::new(Value::from(message.into()))
}

impl Value {
    /// An array; ends the evaluation if it nests too deep.
    pub fn array(items: Vec<Self>) -> Self {
        let depth = deeper(items.iter().map(Self::depth).max().unwrap_or(0));
        Self::Array(Rc::new(Array { items, depth }))
    }

    /// An object; ends the evaluation if it nests too deep.
    pub fn object(members: Members) -> Self {
        let depth = deeper(members.values().map(Self::depth).max().unwrap_or(0));
        Self::Object(Rc::new(Object { members, depth }))
    }

    /// An array of a row: its depth was bounded when it was stored, so it counts like a part of the event.
    pub(super) fn stored_array(items: Vec<Self>) -> Self {
        Self::Array(Rc::new(Array { items, depth: 1 }))
    }

    /// A row, or an object of one.
    pub(super) fn stored_object(members: Members) -> Self {
        Self::Object(Rc::new(Object { members, depth: 1 }))
    }

    /// A value of the event's data.
    pub(super) fn of_part(event: &Event, json: Json<'_>) -> Self {
        match json.kind() {
            Kind::Null => Self::Null,
            Kind::False => Self::Bool(false),
            Kind::True => Self::Bool(true),
            Kind::Number => Self::Number(Number::written(json.raw())),
            Kind::String | Kind::Escaped => Self::Text(Text::of_part(event, json)),
            Kind::Array | Kind::Object => Self::Part(event.clone(), json.at()),
        }
    }

    /// A value of a document that does not live as long as the event.
    pub(super) fn of_json(json: Json<'_>) -> Self {
        budget::operation();
        match json.kind() {
            Kind::Null => Self::Null,
            Kind::False => Self::Bool(false),
            Kind::True => Self::Bool(true),
            Kind::Number => Self::Number(Number::written(json.raw())),
            Kind::String | Kind::Escaped => Self::from(&*json.text().expect("a string has text")),
            Kind::Array => Self::array(json.elements().map(Self::of_json).collect()),
            Kind::Object => Self::object(
                json.members().map(|(key, value)| (key.into(), Self::of_json(value))).collect(),
            ),
        }
    }

    pub fn kind(&self) -> ValueKind {
        match self {
            Self::Null => ValueKind::Null,
            Self::Bool(_) => ValueKind::Boolean,
            Self::Number(_) => ValueKind::Number,
            Self::Text(_) => ValueKind::String,
            Self::Array(_) => ValueKind::Array,
            Self::Object(_) | Self::Document(_) => ValueKind::Object,
            Self::Part(event, node) => match document::node(event, *node).kind() {
                Kind::Array => ValueKind::Array,
                _ => ValueKind::Object,
            },
        }
    }

    /// The value as JSON for a message, cut after some 60 characters.
    pub fn shown(&self) -> String {
        self.to_string()
    }

    /// The text of a string.
    pub fn as_text(&self) -> Option<&Text> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array; None for any other value.
    pub fn elements(&self) -> Option<Cow<'_, [Self]>> {
        match self {
            Self::Array(array) => Some(Cow::Borrowed(&array.items)),
            Self::Part(event, node) => {
                let json = document::node(event, *node);
                (json.kind() == Kind::Array).then(|| Cow::Owned(part_items(event, json)))
            }
            _ => None,
        }
    }

    /// The members of an object, of repeated keys the last; None for any other value.
    pub fn members(&self) -> Option<Cow<'_, Members>> {
        match self {
            Self::Object(object) => Some(Cow::Borrowed(&object.members)),
            Self::Document(event) => Some(Cow::Owned(document::members(event))),
            Self::Part(event, node) => {
                let json = document::node(event, *node);
                (json.kind() == Kind::Object).then(|| Cow::Owned(part_members(event, json)))
            }
            _ => None,
        }
    }

    /// An array to change, without copying where nobody else holds it; any other value as it is.
    pub(super) fn into_array(self) -> std::result::Result<Array, Self> {
        match self {
            Self::Array(array) => {
                Ok(Rc::try_unwrap(array).unwrap_or_else(|shared| (*shared).clone()))
            }
            Self::Part(..) => match self.elements() {
                Some(items) => Ok(Array { items: items.into_owned(), depth: 2 }),
                None => Err(self),
            },
            other => Err(other),
        }
    }

    /// An object to change, without copying where nobody else holds it; any other value as it is.
    pub(super) fn into_object(self) -> std::result::Result<Object, Self> {
        match self {
            Self::Object(object) => {
                Ok(Rc::try_unwrap(object).unwrap_or_else(|shared| (*shared).clone()))
            }
            Self::Document(_) | Self::Part(..) => match self.members() {
                Some(members) => Ok(Object { members: members.into_owned(), depth: 2 }),
                None => Err(self),
            },
            other => Err(other),
        }
    }

    /// The elements of an array; anything else is given back.
    pub fn into_items(self) -> std::result::Result<Vec<Self>, Self> {
        self.into_array().map(|array| array.items)
    }

    /// The member of an object; null if there is none.
    pub fn member(&self, key: &str) -> Option<Self> {
        match self {
            Self::Object(object) => object.members.get(key).cloned(),
            Self::Document(event) => document::field(event, key),
            Self::Part(event, node) => {
                let json = document::node(event, *node);
                // All members are passed, since of repeated keys the last counts.
                budget::pass(json.raw().len());
                json.get(key).map(|json| Self::of_part(event, json))
            }
            _ => None,
        }
    }

    /// The element of an array, from the end if the index is negative; None if there is none.
    pub(super) fn element(&self, index: i64) -> Option<Self> {
        match self {
            Self::Array(array) => array.items.get(place(index, array.items.len())?).cloned(),
            Self::Part(event, node) => {
                let json = document::node(event, *node);
                let index = if index < 0 {
                    budget::pass(json.raw().len());
                    place(index, json.elements().count())?
                } else {
                    index as usize
                };
                // The elements before it are passed; there are fewer of them than bytes.
                budget::steps(index.min(json.raw().len()) / 16);
                json.element(index).map(|json| Self::of_part(event, json))
            }
            _ => None,
        }
    }

    /// How many elements or members it has; None for scalars.
    pub(super) fn count(&self) -> Option<usize> {
        match self {
            Self::Array(array) => Some(array.items.len()),
            Self::Object(object) => Some(object.members.len()),
            _ => match self.elements() {
                Some(items) => Some(items.len()),
                None => self.members().map(|members| members.len()),
            },
        }
    }

    pub(super) fn depth(&self) -> u8 {
        match self {
            Self::Array(array) => array.depth,
            Self::Object(object) => object.depth,
            // What an event holds was bounded when it was decoded; so all in all values nest twice as deep at most.
            Self::Document(_) | Self::Part(..) => 1,
            _ => 0,
        }
    }
}

// What changes an array or object keeps its depth as an upper bound, so that appending costs what is appended.

impl Array {
    pub(super) fn set(&mut self, place: usize, item: Value) {
        self.depth = self.depth.max(deeper(item.depth()));
        self.items[place] = item;
    }

    pub(super) fn append(&mut self, other: Self) {
        budget::steps(other.items.len());
        self.depth = self.depth.max(other.depth);
        self.items.extend(other.items);
    }
}

impl Object {
    pub(super) fn set(&mut self, key: CompactString, member: Value) {
        self.depth = self.depth.max(deeper(member.depth()));
        self.members.insert(key, member);
    }

    pub(super) fn append(&mut self, other: Self) {
        self.depth = self.depth.max(other.depth);
        self.members.extend(other.members);
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Self {
        Self::Array(Rc::new(array))
    }
}

impl From<Object> for Value {
    fn from(object: Object) -> Self {
        Self::Object(Rc::new(object))
    }
}

impl ValueKind {
    /// The name that `type` gives.
    pub fn name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "boolean",
            Self::Number => "number",
            Self::String => "string",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

impl fmt::Display for ValueKind {
    /// With its article, for messages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::Array => "an array",
            Self::Object => "an object",
        })
    }
}

impl Clone for Value {
    #[inline]
    fn clone(&self) -> Self {
        // Whatever repeats itself clones its input: this is what ends `(., .) | (., .) | ...`.
        budget::step();
        match self {
            Self::Null => Self::Null,
            Self::Bool(value) => Self::Bool(*value),
            Self::Number(number) => Self::Number(number.clone()),
            Self::Text(text) => Self::Text(text.clone()),
            Self::Array(array) => Self::Array(Rc::clone(array)),
            Self::Object(object) => Self::Object(Rc::clone(object)),
            Self::Document(event) => Self::Document(event.clone()),
            Self::Part(event, node) => Self::Part(event.clone(), *node),
        }
    }
}

/// Jaq prints values in its messages: shortened, since they may be whole events.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut sink = write::Sink::shortened();
        write::value(self, &mut sink);
        f.write_str(&sink.shown())
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Bool(value)
    }
}

impl From<isize> for Value {
    fn from(value: isize) -> Self {
        Self::Number(Number::from(value as i64))
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Number(Number::from(value))
    }
}

impl From<usize> for Value {
    fn from(value: usize) -> Self {
        Self::from(isize::try_from(value).expect("sizes fit isize"))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(Text::from(text))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(Text::from(text))
    }
}

impl FromIterator<Self> for Value {
    fn from_iter<I: IntoIterator<Item = Self>>(items: I) -> Self {
        Self::array(items.into_iter().inspect(|_| budget::step()).collect())
    }
}

/// The place that an index names, counted from the end if negative.
pub(super) fn place(index: i64, length: usize) -> Option<usize> {
    if index >= 0 {
        usize::try_from(index).ok()
    } else {
        length.checked_sub(usize::try_from(index.unsigned_abs()).ok()?)
    }
}

fn deeper(depth: u8) -> u8 {
    if depth >= DEPTH_MAX {
        budget::stop_at(Exceeded::Depth);
    }
    depth.saturating_add(1)
}

fn part_items(event: &Event, json: Json<'_>) -> Vec<Value> {
    budget::scan(json.raw().len());
    json.elements().inspect(|_| budget::step()).map(|json| Value::of_part(event, json)).collect()
}

fn part_members(event: &Event, json: Json<'_>) -> Members {
    budget::scan(json.raw().len());
    let members = json.members().inspect(|_| budget::operation());
    members.map(|(key, json)| (CompactString::from(key), Value::of_part(event, json))).collect()
}
