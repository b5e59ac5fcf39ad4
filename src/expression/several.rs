//! Expressions that give several values, refused when they are loaded: an expression gives one.
//!
//! Only what is certain is refused: an iteration whose values nothing selects from, collects or counts.

use jaq_core::load::lex::{StrPart, Token};
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::load::span;
use jaq_core::path::{Opt, Part};

use super::functions::{self, Direct};
use super::{Error, Place, Scope, refused};

/// What a hint repeats of an expression.
const SHOWN_BYTES_MAX: usize = 40;

pub(super) fn check(
    term: &Term<&str>,
    tokens: &[Token<&str>],
    text: &str,
    scope: Scope<'_>,
) -> Result<(), Error> {
    if !gives_several(term) {
        return Ok(());
    }
    let comma = matches!(last(term), Term::BinOp(_, BinaryOp::Comma, _));
    // The last step, if it is what gives them.
    let step = tokens.iter().rposition(|token| token.0 == "|").map_or(0, |at| at + 1);
    let start = match tokens.get(step) {
        Some(token) if gives_several(last(term)) => span(text, token.0).start,
        _ => text.len() - text.trim_start().len(),
    };
    let place = start..text.trim_end().len().max(start);
    let message = if comma {
        "values separated by `,`, where one is wanted"
    } else {
        "a value for each element, where one is wanted"
    };
    // A long text is not said again.
    let shown = |text: &str| match text.trim() {
        short if short.len() <= SHOWN_BYTES_MAX => short.to_owned(),
        _ => "...".to_owned(),
    };
    let (whole, step) = (shown(text), shown(&text[place.clone()]));
    let hint = match (scope.place, comma) {
        (Place::Transform, _) => format!("several events are one array: `[{whole}]`"),
        (Place::Handler, true) => {
            format!("`[{step}]` is an array of them; `//` takes the second if the first is null")
        }
        (Place::Handler, false) => {
            let array = whole.strip_suffix(" | .[]").or_else(|| whole.strip_suffix("[]"));
            let array = array.filter(|array| !array.ends_with(['.', '|', ' ']));
            let array = array.map_or(format!("`[{whole}]` is an array of them"), |array| {
                format!("`{array}` is the array itself")
            });
            format!("{array}, `first({whole})` the first one; for a row per element use `for_each`")
        }
    };
    Err(refused(place, message, "several values", Some(hint)))
}

/// What a pipe ends in.
fn last<'t, 's>(term: &'t Term<&'s str>) -> &'t Term<&'s str> {
    match term {
        Term::BinOp(_, BinaryOp::Pipe(_), right) => last(right),
        term => term,
    }
}

/// Whether a term gives several values whatever its input, unless that is empty.
fn gives_several(term: &Term<&str>) -> bool {
    match term {
        Term::Recurse => true,
        Term::BinOp(_, BinaryOp::Comma, _) => true,
        Term::BinOp(left, BinaryOp::Pipe(_), right) => {
            gives_several(right) || gives_several(left) && gives_some(right)
        }
        Term::BinOp(left, BinaryOp::Alt, _) => gives_several(left),
        Term::BinOp(left, BinaryOp::Math(_) | BinaryOp::Cmp(_), right) => {
            gives_several(left) && gives_some(right) || gives_several(right) && gives_some(left)
        }
        Term::Path(head, parts) => {
            let iterates = |(part, _): &(Part<_>, Opt)| matches!(part, Part::Range(None, None));
            gives_several(head) || parts.0.iter().any(iterates)
        }
        Term::TryCatch(inner, _) | Term::Neg(inner) => gives_several(inner),
        Term::Fold("foreach", source, _, _) => gives_several(source),
        Term::Obj(members) => {
            members.iter().any(|(_, value)| value.as_ref().is_some_and(gives_several))
        }
        Term::Str(_, parts) => parts.iter().any(|part| match part {
            StrPart::Term(inner) => gives_several(inner),
            _ => false,
        }),
        Term::Call("range" | "paths" | "splits", _) => true,
        Term::Call("lookup", arguments) => arguments.iter().any(gives_several),
        Term::Call(name, arguments) => match functions::direct(name, arguments.len()) {
            Some(Direct::Unary(_)) => gives_several(&arguments[0]),
            _ => false,
        },
        _ => false,
    }
}

/// Whether a term gives a value for every input, or an error.
fn gives_some(term: &Term<&str>) -> bool {
    match term {
        Term::Id | Term::Num(_) | Term::Var(_) | Term::Arr(_) | Term::Recurse => true,
        Term::Path(head, parts) => {
            let plain = |(part, opt): &(Part<Term<&str>>, Opt)| match (part, opt) {
                (Part::Index(index), Opt::Essential) => gives_some(index),
                _ => false,
            };
            gives_some(head) && parts.0.iter().all(plain)
        }
        Term::BinOp(left, operator, right) => match operator {
            BinaryOp::Comma | BinaryOp::Alt => gives_some(left) || gives_some(right),
            _ => gives_some(left) && gives_some(right),
        },
        Term::Neg(inner) => gives_some(inner),
        Term::Obj(members) => {
            members.iter().all(|(_, value)| value.as_ref().is_none_or(gives_some))
        }
        Term::Str(_, parts) => parts.iter().all(|part| match part {
            StrPart::Term(inner) => gives_some(inner),
            _ => true,
        }),
        Term::IfThenElse(branches, otherwise) => {
            branches.iter().all(|(condition, then)| gives_some(condition) && gives_some(then))
                && otherwise.as_ref().is_none_or(|otherwise| gives_some(otherwise))
        }
        Term::Call("map" | "true" | "false" | "null" | "not" | "lookup", arguments) => {
            arguments.iter().all(gives_some)
        }
        Term::Call(name, arguments) => match functions::direct(name, arguments.len()) {
            Some(Direct::Nullary(_)) => true,
            Some(Direct::Unary(_)) => gives_some(&arguments[0]),
            _ => false,
        },
        _ => false,
    }
}
