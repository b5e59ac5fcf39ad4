//! A line that holds one JSON object, with the place of each of its members.
//!
//! Tests are written so: an event or a row a line. What is wrong with one is told at its line and column.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::expression::convert::convert;
use crate::expression::{Expression, Output};
use crate::row::{Cell, ColumnType};
use crate::syntax::Text;

/// One member. Places are bytes of the line.
#[derive(Debug)]
pub(crate) struct Member<'a> {
    pub(crate) name: Cow<'a, str>,
    pub(crate) name_span: Range<usize>,
    /// As written.
    pub(crate) value: &'a str,
    pub(crate) value_span: Range<usize>,
}

/// Why a line is no JSON object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The byte of the line.
    pub(crate) at: usize,
    pub(crate) message: String,
}

/// The lines of a text that are not blank, each trimmed, with their bytes of the text.
pub(crate) fn lines(text: &Text) -> impl Iterator<Item = (&str, Range<usize>)> {
    let mut at = 0;
    text.value.split_inclusive('\n').filter_map(move |line| {
        let start = at + (line.len() - line.trim_start().len());
        at += line.len();
        let line = line.trim();
        (!line.is_empty()).then(|| (line, start..start + line.len()))
    })
}

/// The members of the object that a line holds, in their order, repeated ones too.
pub(crate) fn members(line: &str) -> Result<Vec<Member<'_>>, Problem> {
    let Members(found) = serde_json::from_str(line).map_err(|error| problem(line, &error))?;
    let offset = |part: &str| part.as_ptr().addr() - line.as_ptr().addr();
    let members = found.into_iter().map(|(name, value)| {
        let value = value.get();
        let value_span = offset(value)..offset(value) + value.len();
        let name_span = match &name {
            Cow::Borrowed(name) => offset(name) - 1..offset(name) + name.len() + 1,
            // Written with escapes: the value is the nearest place that is known.
            Cow::Owned(_) => value_span.clone(),
        };
        Member { name, name_span, value, value_span }
    });
    Ok(members.collect())
}

impl Member<'_> {
    /// The value as a column of this type stores it, or why it cannot.
    pub(crate) fn cell(&self, column_type: ColumnType) -> Result<Cell, String> {
        let stored = |output| {
            convert(output, column_type).map_err(|mismatch| {
                // Its advice is for jq.
                let text = mismatch.to_string();
                let advice = text.rfind(" (`").filter(|_| text.ends_with(')'));
                advice.map_or(text.clone(), |at| text[..at].to_owned())
            })
        };
        match self.value.as_bytes()[0] {
            b'n' => Ok(Cell::Null),
            b't' => stored(Output::Bool(true)),
            b'f' => stored(Output::Bool(false)),
            b'"' => {
                let text: String =
                    serde_json::from_str(self.value).map_err(|error| error.to_string())?;
                stored(Output::Text(text.into()))
            }
            // How it is compared is for whoever runs the test.
            b'{' | b'[' if column_type == ColumnType::Json => Ok(Cell::Text(self.value.into())),
            b'{' => Err("got an object".to_owned()),
            b'[' => Err("got an array".to_owned()),
            _ => {
                let number = Expression::number(self.value).ok_or("expected a number")?;
                stored(number.literal().ok_or("expected a number")?)
            }
        }
    }
}

/// In words that do not speak of the reader's insides, at the byte where it stopped.
fn problem(line: &str, error: &serde_json::Error) -> Problem {
    let at = error.column().saturating_sub(1).min(line.len());
    if error.is_eof() {
        let message = "the line ends before its JSON does".to_owned();
        return Problem { at: line.len(), message };
    }
    let message = error.to_string();
    let message = message.split(" at line ").next().unwrap_or_default();
    let message = match message {
        "trailing characters" => "something follows the object on its line",
        "key must be a string" => "a name must be in double quotes",
        "expected value" => "a value is missing, or is no JSON",
        message if message.starts_with("invalid type") => "expected an object: {\"...\": ...}",
        message => message,
    };
    Problem { at, message: message.to_owned() }
}

/// The entries of an object, none lost.
struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

/// A name that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut found = Vec::new();
                while let Some((Name(name), value)) = map.next_entry()? {
                    found.push((name, value));
                }
                Ok(Members(found))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_know_their_places() {
        let line = r#"{"a": [1, 2], "é" : "x", "a":null,"\u0062":1}"#;
        let shown: Vec<_> = members(line)
            .expect("an object")
            .iter()
            .map(|member| {
                (
                    member.name.to_string(),
                    line[member.name_span.clone()].to_owned(),
                    line[member.value_span.clone()].to_owned(),
                )
            })
            .collect();
        let row = |name: &str, named: &str, value: &str| {
            (name.to_owned(), named.to_owned(), value.to_owned())
        };
        assert_eq!(
            shown,
            [
                row("a", "\"a\"", "[1, 2]"),
                row("é", "\"é\"", "\"x\""),
                row("a", "\"a\"", "null"),
                row("b", "1", "1"),
            ]
        );
    }

    #[test]
    fn what_is_wrong_and_where() {
        for (line, at, message) in [
            ("{\"a\": 1", 7, "the line ends before its JSON does"),
            ("{\"a\": }", 6, "a value is missing, or is no JSON"),
            ("{'a': 1}", 1, "a name must be in double quotes"),
            ("{\"a\": 1} x", 9, "something follows the object on its line"),
            ("[1]", 0, "expected an object: {\"...\": ...}"),
            ("{\"a\": 1,}", 8, "trailing comma"),
            ("x", 0, "a value is missing, or is no JSON"),
        ] {
            let expected = Problem { at, message: message.to_owned() };
            assert_eq!(members(line).err(), Some(expected), "{line}");
        }
    }

    #[test]
    fn lines_keep_their_bytes() {
        let text = Text::plain("\n  {\"a\":1}  \r\n\n{}");
        let found: Vec<_> = lines(&text).map(|(line, span)| (line, &text.value[span])).collect();
        assert_eq!(found, [("{\"a\":1}", "{\"a\":1}"), ("{}", "{}")]);
    }
}
