//! Paths from the event document into members that it does not have: always null, so never what was meant.
//!
//! The document's members are known and fixed. Only paths whose input is certainly the document are looked at.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::load::span;
use jaq_core::path::Part;

use super::document::{FIELDS, Field};
use super::functions::{self, Direct};
use super::names::is_near;
use super::path::plain_text;
use super::{Error, lookup, refused};

/// Refuses a path of the document that leads nowhere, and its `type` where `.type` was meant.
pub(super) fn check(term: &Term<&str>, text: &str) -> Result<(), Error> {
    match term {
        Term::Path(head, parts) => {
            if let (Term::Id, Some((Part::Index(index), _))) = (&**head, parts.0.first()) {
                check_member(index, &parts.0[1..], text)?;
            }
            check(head, text)?;
            for (part, _) in &parts.0 {
                match part {
                    Part::Index(index) => check(index, text)?,
                    Part::Range(from, upto) => {
                        from.iter().chain(upto).try_for_each(|bound| check(bound, text))?;
                    }
                }
            }
            Ok(())
        }
        Term::Str(_, parts) => parts.iter().try_for_each(|part| match part {
            StrPart::Term(inner) => check(inner, text),
            _ => Ok(()),
        }),
        Term::Arr(Some(inner)) | Term::Neg(inner) => check(inner, text),
        Term::TryCatch(inner, _) => check(inner, text),
        Term::Obj(members) => members.iter().try_for_each(|(key, value)| match value {
            Some(value) => check(key, text).and_then(|()| check(value, text)),
            None => match key {
                Term::Str(None, parts) => match plain_text(parts) {
                    Some(name) if Field::named(&name).is_none() => {
                        Err(no_shorthand(key, &name, text))
                    }
                    _ => Ok(()),
                },
                key => check(key, text),
            },
        }),
        Term::BinOp(left, BinaryOp::Pipe(None), right) => {
            check(left, text)?;
            if keeps_input(left) { check(right, text) } else { Ok(()) }
        }
        // The right side of `|=` and its like sees what the path leads to.
        Term::BinOp(left, BinaryOp::Update, _) => check(left, text),
        Term::BinOp(left, _, right) => check(left, text).and_then(|()| check(right, text)),
        Term::IfThenElse(branches, otherwise) => {
            for (condition, then) in branches {
                check_type(condition, text)?;
                check(condition, text)?;
                check(then, text)?;
            }
            otherwise.iter().try_for_each(|otherwise| check(otherwise, text))
        }
        // Its input is the initial value, and what the last round gave.
        Term::Fold(_, source, _, arguments) => {
            check(source, text)?;
            arguments.first().map_or(Ok(()), |initial| check(initial, text))
        }
        Term::Call("type", none) if none.is_empty() => Ok(()),
        Term::Call(name, arguments) if sees_input(name, arguments.len()) => {
            arguments.iter().try_for_each(|argument| check(argument, text))
        }
        _ => Ok(()),
    }?;
    match term {
        Term::BinOp(left, BinaryOp::Cmp(_), right) => {
            check_type(left, text).and_then(|()| check_type(right, text))
        }
        _ => Ok(()),
    }
}

/// `type == "Placed"` compares what kind of value the event is.
fn check_type(term: &Term<&str>, text: &str) -> Result<(), Error> {
    let Term::Call(name @ "type", none) = term else { return Ok(()) };
    if !none.is_empty() {
        return Ok(());
    }
    let message = "`type` of the event is always \"object\"".to_owned();
    let hint = "the event's type is `.type`".to_owned();
    Err(refused(span(text, name), message, "no dot before it", Some(hint)))
}

/// Functions whose arguments see what the function sees.
pub(super) fn sees_input(name: &str, arguments: usize) -> bool {
    match name {
        "select" | "error" | "isempty" | "IN" | "range" | "path" | "del" | "pick" => true,
        "first" | "last" => arguments == 1,
        "limit" | "skip" | "nth" => arguments == 2,
        lookup::NAME => true,
        name => matches!(functions::direct(name, arguments), Some(Direct::Unary(_))),
    }
}

fn keeps_input(term: &Term<&str>) -> bool {
    match term {
        Term::Id => true,
        Term::Call("select", _) => true,
        Term::BinOp(left, BinaryOp::Pipe(None), right) => keeps_input(left) && keeps_input(right),
        _ => false,
    }
}

fn check_member<O>(
    index: &Term<&str>,
    rest: &[(Part<Term<&str>>, O)],
    text: &str,
) -> Result<(), Error> {
    let Term::Str(None, parts) = index else { return Ok(()) };
    let Some(name) = plain_text(parts) else { return Ok(()) };
    if Field::named(&name).is_some() {
        return Ok(());
    }
    let place = match parts.first() {
        Some(StrPart::Str(part)) => span(text, part),
        _ => 0..text.len(),
    };
    let next = match rest.first() {
        Some((Part::Index(Term::Str(None, parts)), _)) => plain_text(parts),
        _ => None,
    };
    let hint = match &*name {
        // What others call what is here called otherwise.
        "payload" | "body" | "event" | "message" if next.is_some() => {
            format!("the data of the event is `.data`: `.data.{}`", next.unwrap_or_default())
        }
        "payload" | "body" => "the data of the event is `.data`".to_owned(),
        "row" | "item" | "index" | "part" => format!("the variable is `${name}`"),
        name => {
            let written = written(name);
            match FIELDS.iter().map(|(_, known)| *known).find(|known| is_near(name, known)) {
                Some(meant) => {
                    format!("did you mean `.{meant}`? a member of the data is `.data{written}`")
                }
                None => format!("a member of the data is `.data{written}`"),
            }
        }
    };
    Err(missing(place, &name, hint))
}

/// `{name}` is `{name: .name}`.
fn no_shorthand(key: &Term<&str>, name: &str, text: &str) -> Error {
    let place = match key {
        Term::Str(None, parts) => match parts.first() {
            Some(StrPart::Str(part)) => span(text, part),
            _ => 0..text.len(),
        },
        _ => 0..text.len(),
    };
    let text = text.trim();
    let hint = if text.starts_with('{') && text.len() <= 60 && !text.contains(':') {
        format!("members without a value are those of the input: `.data | {text}`")
    } else {
        format!(
            "a member without a value is that of the input: write `{name}: .data{}`",
            written(name)
        )
    };
    missing(place, name, hint)
}

fn missing(place: std::ops::Range<usize>, name: &str, hint: String) -> Error {
    let message = format!("an event has no member `{name}`, so this is always null");
    refused(place, message, "not a member of the event", Some(hint))
}

/// A step of a path: `.name`, or `["na me"]`.
fn written(name: &str) -> String {
    let mut chars = name.chars();
    let first = chars.next().is_some_and(|char| char.is_ascii_alphabetic() || char == '_');
    if first && chars.all(|char| char.is_ascii_alphanumeric() || char == '_') {
        format!(".{name}")
    } else {
        format!("[{}]", super::Value::from(name).shown())
    }
}
