//! The event document: what `.` is.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compact_str::CompactString;

use super::budget;
use super::text::Text;
use super::value::{Members, Value};
use crate::event::chunk::{Attribute, Data, Event};
use crate::event::json::Json;
use crate::event::time::Timestamp;

/// A member of the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Field {
    Type,
    Id,
    Time,
    Data,
    Subject,
    Tokens,
    Sequence,
    StoredAt,
    Headers,
    Attributes,
}

/// Every member, in the document's order.
pub(super) const FIELDS: [(Field, &str); 10] = [
    (Field::Type, "type"),
    (Field::Id, "id"),
    (Field::Time, "time"),
    (Field::Data, "data"),
    (Field::Subject, "subject"),
    (Field::Tokens, "tokens"),
    (Field::Sequence, "sequence"),
    (Field::StoredAt, "stored_at"),
    (Field::Headers, "headers"),
    (Field::Attributes, "attributes"),
];

impl Field {
    pub(super) fn named(name: &str) -> Option<Self> {
        FIELDS.iter().find(|(_, known)| *known == name).map(|(field, _)| *field)
    }
}

/// The value of a node of the event's data.
pub(super) fn node(event: &Event, at: u32) -> Json<'_> {
    match event.data() {
        Data::Json(root) => root.with(at),
        _ => unreachable!("only JSON data has nodes"),
    }
}

/// A member by its name; None if the document has none of this name.
pub(super) fn field(event: &Event, name: &str) -> Option<Value> {
    Field::named(name).map(|field| value(event, field))
}

/// The whole document.
pub(super) fn members(event: &Event) -> Members {
    budget::operations(FIELDS.len());
    FIELDS
        .iter()
        .map(|&(field, name)| (CompactString::const_new(name), value(event, field)))
        .collect()
}

pub(super) fn value(event: &Event, field: Field) -> Value {
    match field {
        Field::Type => Value::from(event.type_name()),
        Field::Id => event.id().map_or(Value::Null, Value::from),
        Field::Time => time(event.time()),
        Field::Data => data(event),
        Field::Subject => Value::from(event.subject()),
        Field::Tokens => event.tokens().map(Value::from).collect(),
        Field::Sequence => Value::from(event.sequence().0 as usize),
        Field::StoredAt => time(event.stored_at()),
        Field::Headers => {
            let headers = event.headers().inspect(|_| budget::operation());
            Value::object(headers.map(|(name, value)| (name.into(), Value::from(value))).collect())
        }
        Field::Attributes => {
            let attributes = event.attributes().into_iter();
            Value::object(attributes.map(|(name, value)| (name.into(), attribute(value))).collect())
        }
    }
}

/// Data that is no text, as expressions see it.
pub(super) fn base64(bytes: &[u8]) -> String {
    budget::text(bytes.len() / 3 * 4 + 4);
    STANDARD.encode(bytes)
}

fn data(event: &Event) -> Value {
    match event.data() {
        Data::Null => Value::Null,
        Data::Json(json) => Value::of_part(event, json),
        Data::Text(text) => Value::from(text),
        Data::Bytes(bytes) => Value::from(base64(bytes)),
    }
}

fn attribute(attribute: Attribute<'_>) -> Value {
    match attribute {
        Attribute::Json(json) => Value::of_json(json),
        Attribute::Text(Cow::Borrowed(text)) => Value::from(text),
        Attribute::Text(Cow::Owned(text)) => Value::from(text),
    }
}

fn time(time: Timestamp) -> Value {
    Value::Text(Text::from(&*time.text()))
}
