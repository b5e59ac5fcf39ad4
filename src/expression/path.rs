//! The direct route: a plain path is answered without jaq, from the event's own bytes.
//!
//! `.data.customer.id`, `.tokens[1]`, `.headers["X-Tenant"]`, `.data.items[-1].sku`: most expressions are of this form,
//! and a walk over the tape costs a twentieth of an evaluation. Invariant: both routes give the same value and the
//! same error for every event (a property test holds them to it).

use std::borrow::Cow;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::Term;
use jaq_core::path::{Opt, Part};

use super::document::{self, Field};
use super::engine::no_member_message;
use super::value::{self, Value, ValueKind, place};
use super::{Failure, Output, budget};
use crate::event::chunk::{Data, Event};
use crate::event::json::{Json, Kind};

/// A path downwards from a value, mostly from the document.
#[derive(Debug)]
pub(super) struct Path {
    /// What the first step names in the document; None for what it does not have, which is null whatever follows.
    field: Option<Field>,
    /// Never empty.
    steps: Box<[Step]>,
}

#[derive(Debug)]
enum Step {
    Member(String),
    Element(i64),
}

impl Path {
    /// The path that a term is, if it is a plain one from the document.
    pub(super) fn of_term(term: &Term<&str>) -> Option<Self> {
        let Term::Path(head, parts) = term else { return None };
        let path = Self::of_parts(&parts.0)?;
        (matches!(**head, Term::Id) && matches!(path.steps[0], Step::Member(_))).then_some(path)
    }

    /// The path of these parts, if they are literal indices.
    pub(super) fn of_parts(parts: &[(Part<Term<&str>>, Opt)]) -> Option<Self> {
        let steps: Box<[Step]> = parts.iter().map(Step::of_part).collect::<Option<_>>()?;
        let field = match steps.first()? {
            Step::Member(name) => Field::named(name),
            Step::Element(_) => None,
        };
        Some(Self { field, steps })
    }

    /// What the path leads to in an event's JSON data, if it is one into these; None says nothing.
    #[inline]
    pub(super) fn data_of<'a>(&self, event: &'a Event) -> Option<Option<Json<'a>>> {
        match (self.field, event.data()) {
            (Some(Field::Data), Data::Json(root)) => walk(root, &self.steps[1..]).ok(),
            _ => None,
        }
    }

    /// What the path gives for an event.
    #[inline]
    pub(super) fn evaluate<'a>(&'a self, event: &'a Event) -> Result<Output<'a>, Failure> {
        let Some(field) = self.field else { return Ok(Output::Null) };
        match (field, &self.steps[1..]) {
            (Field::Data, steps) => match event.data() {
                Data::Json(root) => match walk(root, steps) {
                    Ok(json) => Ok(json.map_or(Output::Null, Output::of_json)),
                    Err((json, step)) => Err(step.refused(&Output::of_json(json))),
                },
                _ => self.generally(event),
            },
            (Field::Type, []) => Ok(Output::Text(event.type_name().into())),
            (Field::Id, []) => Ok(event.id().map_or(Output::Null, |id| Output::Text(id.into()))),
            (Field::Subject, []) => Ok(Output::Text(event.subject().into())),
            (Field::Time, []) => Ok(Output::Time(event.time())),
            (Field::StoredAt, []) => Ok(Output::Time(event.stored_at())),
            (Field::Tokens, [Step::Element(index)]) => {
                let found = match *index {
                    index @ 0.. => event.tokens().nth(index as usize),
                    index => place(index, event.tokens().count())
                        .and_then(|place| event.tokens().nth(place)),
                };
                Ok(found.map_or(Output::Null, |token| Output::Text(token.into())))
            }
            (Field::Headers, [Step::Member(name)]) => {
                let found = event.header(name);
                Ok(found.map_or(Output::Null, |value| Output::Text(value.into())))
            }
            _ => self.generally(event),
        }
    }

    /// What the path gives for the value of a variable, where it lies.
    #[inline]
    pub(super) fn output_of<'a>(&self, value: &'a Value) -> Result<Output<'a>, Failure> {
        let (inner, steps) = inwards(value, &self.steps);
        match inner {
            None => Ok(Output::Null),
            Some(inner) if steps.is_empty() => Ok(Output::of_bound(inner)),
            Some(Value::Part(event, node)) => match walk(document::node(event, *node), steps) {
                Ok(json) => Ok(json.map_or(Output::Null, Output::of_json)),
                Err((json, step)) => Err(step.refused(&Output::of_json(json))),
            },
            Some(inner) => {
                let found = match inner {
                    Value::Document(_) if steps.len() == self.steps.len() => self.value_of(inner),
                    inner => descend(inner.clone(), steps),
                };
                found.map(Output::of_value).map_err(Failure::of_error)
            }
        }
    }

    /// What the path gives for a value, by the operations that jaq uses where it matters.
    pub(super) fn value_of(&self, value: &Value) -> value::Result {
        let Value::Document(event) = value else {
            let (inner, steps) = inwards(value, &self.steps);
            budget::operations(self.steps.len());
            return match inner {
                None => Ok(Value::Null),
                Some(inner) if steps.is_empty() => Ok(inner.clone()),
                Some(inner) => descend(inner.clone(), steps),
            };
        };
        let Some(field) = self.field else {
            return match &self.steps[0] {
                Step::Member(_) => Ok(Value::Null),
                Step::Element(_) => descend(value.clone(), &self.steps),
            };
        };
        let steps = &self.steps[1..];
        if let (Field::Data, Data::Json(root)) = (field, event.data()) {
            budget::operations(steps.len());
            budget::pass(root.raw().len());
            if let Ok(json) = walk(root, steps) {
                return Ok(json.map_or(Value::Null, |json| Value::of_part(event, json)));
            }
        }
        descend(document::value(event, field), steps)
    }

    /// What is read rarely.
    fn generally(&self, event: &Event) -> Result<Output<'static>, Failure> {
        let value = self.value_of(&Value::Document(event.clone())).map_err(Failure::of_error)?;
        Ok(Output::of_value(value))
    }
}

impl Step {
    fn of_part((part, opt): &(Part<Term<&str>>, Opt)) -> Option<Self> {
        match (part, opt) {
            (Part::Index(index), Opt::Essential) => Self::of_term(index),
            _ => None,
        }
    }

    fn of_term(term: &Term<&str>) -> Option<Self> {
        match term {
            Term::Str(None, parts) => plain_text(parts).map(|text| Self::Member(text.into_owned())),
            Term::Num(text) => text.parse().ok().map(Self::Element),
            Term::Neg(inner) => match &**inner {
                Term::Num(text) => text.parse().ok().and_then(i64::checked_neg).map(Self::Element),
                _ => None,
            },
            _ => None,
        }
    }

    #[cold]
    fn refused(&self, value: &Output<'_>) -> Failure {
        let (index, kind) = match self {
            Self::Member(name) => (Value::from(name.as_str()).shown(), ValueKind::String),
            Self::Element(index) => (index.to_string(), ValueKind::Number),
        };
        Failure::error(no_member_message(&value.shown(), value.kind(), &index, kind))
    }
}

/// The value that steps lead to; None where something is not there, an error where a scalar is in the way.
#[inline]
fn walk<'a, 'p>(
    root: Json<'a>,
    steps: &'p [Step],
) -> Result<Option<Json<'a>>, (Json<'a>, &'p Step)> {
    let mut json = root;
    for step in steps {
        let inner = match (json.kind(), step) {
            (Kind::Object, Step::Member(name)) => json.get(name),
            (Kind::Array, Step::Element(index @ 0..)) => json.element(*index as usize),
            (Kind::Array, Step::Element(index)) => {
                place(*index, json.elements().count()).and_then(|place| json.element(place))
            }
            (Kind::Null, _) => None,
            _ => return Err((json, step)),
        };
        match inner {
            Some(inner) => json = inner,
            None => return Ok(None),
        }
    }
    Ok(Some(json))
}

/// As far as steps lead through what was built, and what is left of them; None if there is nothing there.
#[inline]
fn inwards<'v, 's>(value: &'v Value, steps: &'s [Step]) -> (Option<&'v Value>, &'s [Step]) {
    let mut value = value;
    for (at, step) in steps.iter().enumerate() {
        let inner = match (value, step) {
            (Value::Object(object), Step::Member(name)) => object.members.get(name.as_str()),
            (Value::Array(array), Step::Element(index)) => {
                place(*index, array.items.len()).and_then(|place| array.items.get(place))
            }
            (Value::Null, _) => None,
            _ => return (Some(value), &steps[at..]),
        };
        match inner {
            Some(inner) => value = inner,
            None => return (None, &[]),
        }
    }
    (Some(value), &[])
}

fn descend(mut value: Value, steps: &[Step]) -> value::Result {
    for step in steps {
        let index = match step {
            Step::Member(name) => Value::from(name.as_str()),
            Step::Element(index) => Value::from(*index as isize),
        };
        value = value.child(&index)?;
    }
    Ok(value)
}

/// The text of a string without interpolation.
pub(super) fn plain_text<'a, T>(parts: &[StrPart<&'a str, T>]) -> Option<Cow<'a, str>> {
    let mut text = Cow::Borrowed("");
    for part in parts {
        match part {
            StrPart::Str(part) => text += *part,
            StrPart::Char(char) => text.to_mut().push(*char),
            StrPart::Term(_) => return None,
        }
    }
    Some(text)
}
