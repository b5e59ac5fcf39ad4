//! An event as the JSON document that handlers see, for people and for tests.

use std::collections::HashMap;

use base64::Engine as _;

use super::chunk::{Attribute, Data, Event};
use super::json::{Json, Kind};

impl Event {
    /// `{type, id, time, data, subject, tokens, sequence, stored_at, headers, attributes}`, compact, on one line.
    pub fn document_json(&self) -> String {
        let mut document = String::with_capacity(512);
        document.push_str("{\"type\":");
        write_text(&mut document, self.type_name());
        document.push_str(",\"id\":");
        match self.id() {
            Some(id) => write_text(&mut document, id),
            None => document.push_str("null"),
        }
        document.push_str(",\"time\":");
        write_text(&mut document, &self.time().text());
        document.push_str(",\"data\":");
        match self.data() {
            Data::Null => document.push_str("null"),
            Data::Json(json) => write_json(&mut document, json),
            Data::Text(text) => write_text(&mut document, text),
            Data::Bytes(bytes) => {
                write_text(&mut document, &base64::engine::general_purpose::STANDARD.encode(bytes));
            }
        }
        document.push_str(",\"subject\":");
        write_text(&mut document, self.subject());
        document.push_str(",\"tokens\":[");
        write_list(&mut document, self.tokens(), write_text);
        document.push_str("],\"sequence\":");
        document.push_str(&self.sequence().to_string());
        document.push_str(",\"stored_at\":");
        write_text(&mut document, &self.stored_at().text());
        document.push_str(",\"headers\":{");
        write_list(&mut document, self.headers(), |document, (name, value)| {
            write_text(document, name);
            document.push(':');
            write_text(document, value);
        });
        document.push_str("},\"attributes\":{");
        write_list(&mut document, self.attributes().into_iter(), |document, (name, value)| {
            write_text(document, &name);
            document.push(':');
            match value {
                Attribute::Json(json) => write_json(document, json),
                Attribute::Text(text) => write_text(document, &text),
            }
        });
        document.push_str("}}");
        document
    }
}

fn write_list<T>(
    document: &mut String,
    items: impl Iterator<Item = T>,
    write: impl Fn(&mut String, T),
) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            document.push(',');
        }
        write(document, item);
    }
}

/// The value without spaces between tokens; of repeated keys the last stands, at the place of the first.
///
/// Recursion is bounded by the depth that a document may have.
fn write_json(document: &mut String, json: Json<'_>) {
    match json.kind() {
        Kind::Array => {
            document.push('[');
            write_list(document, json.elements(), write_json);
            document.push(']');
        }
        Kind::Object => {
            let mut members = Vec::new();
            let mut places = HashMap::new();
            for (name, value) in json.members() {
                let place = *places.entry(name.clone()).or_insert(members.len());
                if place == members.len() {
                    members.push((name, value));
                } else {
                    members[place].1 = value;
                }
            }
            document.push('{');
            write_list(document, members.into_iter(), |document, (name, value)| {
                write_text(document, &name);
                document.push(':');
                write_json(document, value);
            });
            document.push('}');
        }
        _ => document.push_str(json.raw()),
    }
}

fn write_text(document: &mut String, text: &str) {
    let mut rest = text;
    document.push('"');
    while let Some(at) = rest.find(|char: char| char < ' ' || char == '"' || char == '\\') {
        document.push_str(&rest[..at]);
        let byte = rest.as_bytes()[at];
        match byte {
            b'"' => document.push_str("\\\""),
            b'\\' => document.push_str("\\\\"),
            b'\n' => document.push_str("\\n"),
            b'\r' => document.push_str("\\r"),
            b'\t' => document.push_str("\\t"),
            _ => document.push_str(&format!("\\u{byte:04x}")),
        }
        rest = &rest[at + 1..];
    }
    document.push_str(rest);
    document.push('"');
}
