//! A `[[test]]` written from real events, for the end of a definition's file.
//!
//! An event is given as its document before `transform`, without what a test knows by itself: so sequences count from
//! 1, and what is expected is what these documents come to, not what the stream's messages did.

use std::fmt::Write as _;
use std::sync::Arc;

use super::output::Output;
use crate::definition::json_line;
use crate::event::chunk::{Chunk, Event};
use crate::trial::outcome::Relation;

/// Members of a document that are kept, in this order. The rest a test has by itself, or follows from these.
const KEPT: [&str; 8] =
    ["type", "subject", "stored_at", "time", "id", "data", "headers", "attributes"];

/// The events of a test.
#[derive(Default)]
pub(super) struct Skeleton {
    /// In stream order.
    pub(super) documents: Vec<Document>,
    /// What cannot be given, by sequence, in words.
    left_out: Vec<(u64, String)>,
}

pub(super) struct Document {
    pub(super) text: String,
    /// In the stream.
    pub(super) sequence: u64,
}

/// What the test expects.
pub(super) enum Expected<'a> {
    /// It is for whoever reads it to say.
    Open,
    Rows(&'a [Relation]),
    /// The last event fails, with such a reason.
    Error(&'a str),
}

impl Skeleton {
    /// Takes the events of decoded messages.
    pub(super) fn give(&mut self, chunk: &Arc<Chunk>) {
        for event in chunk.events() {
            match event.reject() {
                Some(reject) => {
                    let reason = format!("{}: {}", reject.kind.as_str(), reject.detail);
                    self.left_out.push((event.sequence().0, reason));
                }
                None => {
                    let sequence = event.sequence().0;
                    self.documents.push(Document { text: document(&event), sequence });
                }
            }
        }
    }

    /// Leaves an event out, and keeps the reason.
    pub(super) fn leave_out(&mut self, index: usize, reason: &str) {
        let document = self.documents.remove(index);
        self.left_out.push((document.sequence, reason.to_owned()));
    }

    /// Says what had to be left out.
    pub(super) fn tell(&self, output: &Output) {
        let mut left_out: Vec<_> = self.left_out.iter().collect();
        left_out.sort();
        for (sequence, reason) in left_out {
            output.note(&format!("left out: sequence {sequence}: {reason}"));
        }
    }

    /// The test as TOML.
    pub(super) fn text(&self, name: &str, expected: &Expected<'_>) -> String {
        let mut text = format!("[[test]]\nname  = {}\n", basic(name));
        let documents = self.documents.iter().map(|document| document.text.as_str());
        text += &format!("given = {}\n", literal(documents));
        match expected {
            Expected::Open => {
                text += "# expect.<table> = '''one row a line, as JSON'''\n";
                text += "# `viewd try PROJECTION --as-test` fills it in.\n";
            }
            Expected::Rows(relations) => {
                for relation in *relations {
                    let rows: Vec<_> =
                        relation.rows.iter().map(|row| relation.object(row).to_string()).collect();
                    let rows = literal(rows.iter().map(String::as_str));
                    writeln!(text, "expect.{} = {rows}", relation.name)
                        .expect("writing to a string cannot fail");
                }
            }
            Expected::Error(reason) => {
                text += &format!("expect_error = {}\n", basic(reason));
            }
        }
        text
    }
}

fn document(event: &Event) -> String {
    let document = event.document_json();
    let members = json_line::members(&document).expect("a document is an object");
    let value = |name: &str| members.iter().find(|member| member.name == name).map(|one| one.value);
    // An event without a time of its own has that at which it was stored.
    let own_time = value("time") != value("stored_at");
    let has = |value: &str| !matches!(value, "null" | "{}");
    let kept = KEPT.iter().filter_map(|name| members.iter().find(|member| member.name == *name));
    let kept = kept.filter(|member| member.name == "type" || has(member.value));
    let kept = kept.filter(|member| member.name != "time" || own_time);
    let kept: Vec<_> = kept.map(|member| format!("\"{}\":{}", member.name, member.value)).collect();
    format!("{{{}}}", kept.join(","))
}

/// Lines of JSON as a TOML string without escapes.
fn literal<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let lines: Vec<_> = lines.map(plain).collect();
    if lines.is_empty() { "\"\"".to_owned() } else { format!("'''\n{}\n'''", lines.join("\n")) }
}

/// JSON without what ends such a string, or may not be in one: both stand in strings of the JSON only.
fn plain(json: &str) -> String {
    json.replace("'''", "\\u0027\\u0027\\u0027").replace('\u{7f}', "\\u007f")
}

fn basic(text: &str) -> String {
    // JSON's escapes are TOML's too.
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_keep_within_their_string() {
        let lines = [r#"{"a":"'''"}"#, "{\"b\":\"\u{7f}\"}"];
        let text = literal(lines.into_iter());
        assert_eq!(text, "'''\n{\"a\":\"\\u0027\\u0027\\u0027\"}\n{\"b\":\"\\u007f\"}\n'''");
        assert_eq!(literal(std::iter::empty()), "\"\"");
        assert_eq!(basic("a\"b\n"), r#""a\"b\n""#);
    }
}
