//! A source's `transform`: from an event document to those that take its place.

use super::value::{Value, ValueKind};
use super::{Expression, Failure, FailureKind, budget};
use crate::event::chunk::Event;
use crate::event::import::PARTS_MAX;

impl Expression {
    /// The documents that a source's `transform` makes of an event, each as compact JSON; none if it drops the event.
    pub fn transform(&self, event: &Event) -> Result<Vec<String>, Failure> {
        let value = self.evaluate(event)?.into_value(event);
        match budget::bounded(|| documents(&value)) {
            Ok(documents) => documents,
            Err(exceeded) => Err(Failure::of_exceeded(exceeded)),
        }
    }
}

fn documents(value: &Value) -> Result<Vec<String>, Failure> {
    match value.kind() {
        ValueKind::Null => Ok(Vec::new()),
        ValueKind::Object => Ok(vec![value.to_json()]),
        ValueKind::Array => {
            let parts = value.elements().expect("an array has elements");
            if parts.len() > PARTS_MAX {
                let message = format!("made {} events, {PARTS_MAX} at most", parts.len());
                return Err(Failure { kind: FailureKind::Error, message });
            }
            let wrong = parts.iter().position(|part| part.kind() != ValueKind::Object);
            match wrong {
                None => Ok(parts.iter().map(Value::to_json).collect()),
                Some(place) => {
                    let (part, kind) = (&parts[place], parts[place].kind());
                    let message = format!("element {place} is {kind}, not an event: {part}");
                    Err(Failure::error(message))
                }
            }
        }
        kind => Err(Failure::error(format!("gave {kind}, not an event: {value}"))),
    }
}
