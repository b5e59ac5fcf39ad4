//! Values as JSON text.
//!
//! Compact, keys in the order in which they were first written, of repeated keys the last value, numbers as they stand
//! in the event. A value gives the same text whether it is still a part of the event or was built by jaq.

use std::borrow::Cow;

use hashbrown::HashSet;
use indexmap::IndexMap;

use super::budget;
use super::document;
use super::number::Number;
use super::value::Value;
use crate::event::json::{self, Json, Kind};

/// Where text is written to.
pub(super) struct Sink {
    text: String,
    bytes_max: usize,
    depth: usize,
    too_deep: bool,
}

/// Enough to recognize a value in a message.
const SHOWN_BYTES_MAX: usize = 60;

impl Sink {
    pub(super) fn whole() -> Self {
        Self { text: String::new(), bytes_max: usize::MAX, depth: 0, too_deep: false }
    }

    pub(super) fn shortened() -> Self {
        Self { bytes_max: SHOWN_BYTES_MAX, ..Self::whole() }
    }

    /// The whole text; None if the value nests deeper than an event's may.
    pub(super) fn finish(self) -> Option<String> {
        (!self.too_deep).then_some(self.text)
    }

    /// The text, cut where it gets too long.
    pub(super) fn shown(mut self) -> String {
        if self.full() {
            self.text.truncate(self.text.floor_char_boundary(self.bytes_max));
            self.text.push('…');
        }
        self.text
    }

    pub(super) fn raw(&mut self, text: &str) {
        // The end of what is cut off need not be written.
        let rest = self.bytes_max.saturating_sub(self.text.len()).saturating_add(1);
        let text = &text[..text.floor_char_boundary(rest.saturating_add(4))];
        budget::text(text.len());
        self.text.push_str(text);
    }

    pub(super) fn number(&mut self, number: &Number) {
        self.raw(&number.text());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.raw("\"");
        let mut plain = 0;
        for (at, byte) in text.bytes().enumerate() {
            let escape = match byte {
                b'"' => "\\\"",
                b'\\' => "\\\\",
                b'\n' => "\\n",
                b'\r' => "\\r",
                b'\t' => "\\t",
                0x08 => "\\b",
                0x0C => "\\f",
                0x00..=0x1F | 0x7F => &format!("\\u{byte:04x}"),
                _ => continue,
            };
            self.raw(&text[plain..at]);
            self.raw(escape);
            plain = at + 1;
            if self.full() {
                return;
            }
        }
        self.raw(&text[plain..]);
        self.raw("\"");
    }

    fn full(&self) -> bool {
        self.text.len() > self.bytes_max
    }

    fn sequence<T>(
        &mut self,
        brackets: [&str; 2],
        items: impl IntoIterator<Item = T>,
        mut item: impl FnMut(&mut Self, T),
    ) {
        self.depth += 1;
        if self.depth > json::DEPTH_MAX {
            self.too_deep = true;
            self.depth -= 1;
            return;
        }
        self.raw(brackets[0]);
        for (index, value) in items.into_iter().enumerate() {
            if self.full() {
                break;
            }
            if index > 0 {
                self.raw(",");
            }
            budget::operation();
            item(self, value);
        }
        self.raw(brackets[1]);
        self.depth -= 1;
    }

    fn member(&mut self, key: &str) {
        self.text(key);
        self.raw(":");
    }
}

/// Writes a value that jaq gave.
pub(super) fn value(value: &Value, sink: &mut Sink) {
    match value {
        Value::Null => sink.raw("null"),
        Value::Bool(value) => sink.raw(if *value { "true" } else { "false" }),
        Value::Number(number) => sink.number(number),
        Value::Text(text) => sink.text(text),
        Value::Part(event, node) => json(document::node(event, *node), sink),
        Value::Array(_) => {
            let items = value.elements().expect("an array has elements");
            sink.sequence(["[", "]"], items.iter(), |sink, item| self::value(item, sink));
        }
        Value::Object(_) | Value::Document(_) => {
            let members = value.members().expect("an object has members");
            sink.sequence(["{", "}"], members.iter(), |sink, (key, member)| {
                sink.member(key);
                self::value(member, sink);
            });
        }
    }
}

/// Writes a value of an event.
pub(super) fn json(json: Json<'_>, sink: &mut Sink) {
    match json.kind() {
        Kind::Null | Kind::False | Kind::True | Kind::Number => sink.raw(json.raw()),
        Kind::String | Kind::Escaped => sink.text(&json.text().expect("a string has text")),
        Kind::Array => {
            sink.sequence(["[", "]"], json.elements(), |sink, item| self::json(item, sink))
        }
        Kind::Object => sink.sequence(["{", "}"], members(json), |sink, (key, member)| {
            sink.member(&key);
            self::json(member, sink);
        }),
    }
}

/// The members of an object, each key once: at its first place, with its last value.
fn members(object: Json<'_>) -> Vec<(Cow<'_, str>, Json<'_>)> {
    /// Up to here comparing each with each is cheaper than hashing.
    const FEW: usize = 12;
    let members: Vec<_> = object.members().collect();
    let unique = if members.len() <= FEW {
        (1..members.len()).all(|at| members[..at].iter().all(|(key, _)| *key != members[at].0))
    } else {
        members.iter().map(|(key, _)| key).collect::<HashSet<_>>().len() == members.len()
    };
    if unique {
        members
    } else {
        members.into_iter().collect::<IndexMap<_, _>>().into_iter().collect()
    }
}
