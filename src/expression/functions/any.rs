//! Functions of any value.

use super::super::budget;
use super::super::order;
use super::super::value::{Members, Result, Value, ValueKind, error};
use super::{Function, as_text, nullary, refused, unary};
use crate::event::json::{self, Json};

pub(super) fn functions() -> Vec<Function> {
    vec![
        nullary!("true", |_| Ok(Value::Bool(true))),
        nullary!("false", |_| Ok(Value::Bool(false))),
        nullary!("null", |_| Ok(Value::Null)),
        nullary!("_error", |value| Err(jaq_core::Error::new(value))),
        nullary!("type", |value: Value| Ok(Value::from(value.kind().name()))),
        nullary!("length", length),
        nullary!("not", |value: Value| Ok(Value::Bool(!is_true(&value)))),
        unary!("has", has),
        unary!("contains", |whole, part| contains(&whole, &part).map(Value::Bool)),
        nullary!("tostring", |value: Value| Ok(jaq_core::ValT::into_string(value))),
        nullary!("tojson", |value: Value| Ok(Value::from(value.to_json()))),
        nullary!("@json", |value: Value| Ok(Value::from(value.to_json()))),
        nullary!("@text", |value: Value| Ok(jaq_core::ValT::into_string(value))),
        nullary!("fromjson", fromjson),
        nullary!("tonumber", tonumber),
        nullary!("toboolean", toboolean),
        nullary!("toarray", |value: Value| Ok(match value.kind() {
            ValueKind::Array => value,
            _ => Value::array(vec![value]),
        })),
        nullary!("keys", |value: Value| keys("keys", value, true)),
        nullary!("keys_unsorted", |value: Value| keys("keys_unsorted", value, false)),
        nullary!("to_entries", to_entries),
        nullary!("from_entries", from_entries),
    ]
}

fn is_true(value: &Value) -> bool {
    jaq_core::ValT::as_bool(value)
}

/// Characters of a string, elements, members, the distance of a number from 0.
fn length(value: Value) -> Result {
    match &value {
        Value::Null => Ok(Value::from(0_usize)),
        Value::Bool(_) => Err(error(format!("length: {value} has no length"))),
        Value::Number(number) if number.is_negative() => -value,
        Value::Number(_) => Ok(value),
        Value::Text(text) => {
            budget::scan(text.len());
            Ok(Value::from(text.chars().count()))
        }
        _ => Ok(Value::from(value.count().expect("not a scalar"))),
    }
}

fn has(value: Value, key: Value) -> Result {
    budget::operation();
    let present = match (value.kind(), &key) {
        (ValueKind::Object, Value::Text(key)) => value.member(key).is_some(),
        (ValueKind::Array, Value::Number(index)) => {
            index.integer().is_some_and(|index| index >= 0 && value.element(index).is_some())
        }
        _ => return Err(error(format!("has: {} has no keys like {key}", value.kind()))),
    };
    Ok(Value::Bool(present))
}

/// Whether a text holds a text, an array for each element one that contains it, an object for each member likewise.
fn contains(whole: &Value, part: &Value) -> Result<bool> {
    budget::operation();
    match (whole, part) {
        (Value::Text(whole), Value::Text(part)) => {
            budget::scan(whole.len());
            Ok(whole.contains(part.as_str()))
        }
        _ if whole.kind() != part.kind() => {
            Err(error(format!("contains: {whole} and {part} are of different kinds")))
        }
        _ => Ok(holds(whole, part)),
    }
}

fn holds(whole: &Value, part: &Value) -> bool {
    if let (Some(whole), Some(part)) = (whole.elements(), part.elements()) {
        return part
            .iter()
            .all(|part| whole.iter().any(|whole| contains(whole, part).unwrap_or(false)));
    }
    if let (Some(_), Some(part)) = (whole.members(), part.members()) {
        return part.iter().all(|(key, part)| {
            whole.member(key).is_some_and(|whole| contains(&whole, part).unwrap_or(false))
        });
    }
    whole == part
}

/// RFC 8259 only, checked before anything is built: depth at most 128.
fn fromjson(value: Value) -> Result {
    let text = as_text("fromjson", &value)?;
    budget::scan(text.len());
    let mut tape = Vec::new();
    let root = json::check(text, 0..text.len(), &mut tape);
    let root =
        root.map_err(|problem| error(format!("fromjson: {value} is not JSON: {problem}")))?;
    Ok(Value::of_json(Json::new(text, &tape, root)))
}

fn tonumber(value: Value) -> Result {
    match &value {
        Value::Number(_) => Ok(value),
        Value::Text(text) => {
            budget::scan(text.len());
            let number = super::Number::parse(text);
            number.map(Value::Number).ok_or_else(|| refused("tonumber", &value, "a number of JSON"))
        }
        _ => Err(refused("tonumber", &value, "a number or a string")),
    }
}

fn toboolean(value: Value) -> Result {
    match value.as_text().map(|text| text.as_str()) {
        Some("true") => Ok(Value::Bool(true)),
        Some("false") => Ok(Value::Bool(false)),
        _ if value.kind() == ValueKind::Boolean => Ok(value),
        _ => Err(refused("toboolean", &value, "true or false")),
    }
}

fn keys(name: &str, value: Value, in_order: bool) -> Result {
    if value.kind() == ValueKind::Array {
        let count = value.count().expect("an array has a length");
        return Ok((0..count).map(Value::from).collect());
    }
    let members = value.members().ok_or_else(|| refused(name, &value, "an object or array"))?;
    Ok(match in_order {
        true => order::sorted(&members).into_iter().map(|(key, _)| Value::from(key)).collect(),
        false => members.keys().map(|key| Value::from(key.as_str())).collect(),
    })
}

fn to_entries(value: Value) -> Result {
    let object = value.into_object().map_err(|value| refused("to_entries", &value, "an object"))?;
    let entries = object.members.into_iter().map(|(key, value)| {
        budget::operations(2);
        let members = [("key".into(), Value::from(key.as_str())), ("value".into(), value)];
        Value::object(members.into_iter().collect())
    });
    Ok(entries.collect())
}

/// As jq: the key under `key`, `k`, `name`, `Name`, `Key` or `K`; the value under `value`, `v`, `Value` or `V`.
fn from_entries(value: Value) -> Result {
    let items = super::into_items("from_entries", value)?;
    let mut members = Members::with_capacity(items.len());
    for item in items {
        budget::operations(2);
        if item.kind() != ValueKind::Object {
            return Err(refused("from_entries", &item, "an entry"));
        }
        let key = ["key", "k", "name", "Name", "Key", "K"].iter().find_map(|name| {
            item.member(name).filter(|key| !matches!(key, Value::Null | Value::Bool(false)))
        });
        let key = match key {
            Some(Value::Text(key)) => key.as_str().into(),
            Some(key @ (Value::Number(_) | Value::Bool(_))) => key.to_json().into(),
            None if item.member("key").is_some() => {
                item.member("key").expect("just seen").to_json().into()
            }
            _ => return Err(error(format!("from_entries: {item} has no key"))),
        };
        let value = ["value", "v", "Value", "V"].iter().find_map(|name| item.member(name));
        members.insert(key, value.unwrap_or(Value::Null));
    }
    Ok(Value::object(members))
}
