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
use super::value::{Value, ValueKind, place};
use super::{Failure, Output};
use crate::event::chunk::{Data, Event};
use crate::event::json::{Json, Kind};

/// A path from the document downwards.
#[derive(Debug)]
pub(super) struct Path {
    /// None for a member that the document does not have, which is null whatever follows.
    field: Option<Field>,
    steps: Box<[Step]>,
}

#[derive(Debug)]
enum Step {
    Member(String),
    Element(i64),
}

impl Path {
    /// The path that a term is, if it is a plain one.
    pub(super) fn of_term(term: &Term<&str>) -> Option<Self> {
        let Term::Path(head, parts) = term else { return None };
        if !matches!(**head, Term::Id) {
            return None;
        }
        let step = |(part, opt): &(Part<Term<&str>>, Opt)| match (part, opt) {
            (Part::Index(index), Opt::Essential) => Step::of_term(index),
            _ => None,
        };
        let mut steps = parts.0.iter().map(step).collect::<Option<Vec<_>>>()?.into_iter();
        match steps.next()? {
            Step::Member(name) => Some(Self { field: Field::named(&name), steps: steps.collect() }),
            Step::Element(_) => None,
        }
    }

    #[inline]
    pub(super) fn evaluate<'a>(&'a self, event: &'a Event) -> Result<Output<'a>, Failure> {
        match self.field {
            None => Ok(Output::Null),
            Some(Field::Data) => match event.data() {
                Data::Json(root) => self.walk(root),
                _ => self.generally(Field::Data, event),
            },
            Some(field) => match (field, &*self.steps) {
                (Field::Type, []) => Ok(Output::Text(event.type_name().into())),
                (Field::Id, []) => Ok(event.id().map_or(Output::Null, |id| Output::Text(id.into()))),
                (Field::Subject, []) => Ok(Output::Text(event.subject().into())),
                (Field::Tokens, [Step::Element(index)]) => {
                    let found = match *index {
                        index @ 0.. => event.tokens().nth(index as usize),
                        index => place(index, event.tokens().count()).and_then(|place| event.tokens().nth(place)),
                    };
                    Ok(found.map_or(Output::Null, |token| Output::Text(token.into())))
                }
                (Field::Headers, [Step::Member(name)]) => {
                    let found = event.headers().find(|(known, _)| known == name);
                    Ok(found.map_or(Output::Null, |(_, value)| Output::Text(value.into())))
                }
                (field, _) => self.generally(field, event),
            },
        }
    }

    #[inline]
    fn walk<'a>(&'a self, root: Json<'a>) -> Result<Output<'a>, Failure> {
        let mut json = root;
        for step in &self.steps {
            let inner = match (json.kind(), step) {
                (Kind::Object, Step::Member(name)) => json.get(name),
                (Kind::Array, Step::Element(index @ 0..)) => json.element(*index as usize),
                (Kind::Array, Step::Element(index)) => {
                    place(*index, json.elements().count()).and_then(|place| json.element(place))
                }
                (Kind::Null, _) => None,
                _ => return Err(step.refused(&Output::of_json(json))),
            };
            match inner {
                Some(inner) => json = inner,
                None => return Ok(Output::Null),
            }
        }
        Ok(Output::of_json(json))
    }

    /// What is read rarely, or by the same operations as jaq's.
    fn generally(&self, field: Field, event: &Event) -> Result<Output<'static>, Failure> {
        let mut value = document::value(event, field);
        for step in &self.steps {
            let index = match step {
                Step::Member(name) => Value::from(name.as_str()),
                Step::Element(index) => Value::from(*index as isize),
            };
            value = value.child(&index).map_err(|error| Failure::of_error(error))?;
        }
        Ok(Output::of_value(value))
    }
}

impl Step {
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
