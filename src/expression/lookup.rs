//! `lookup("table"; k1; k2 ...)`: checked when it is loaded, asked of the engine when it is evaluated.

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::load::span;
use jaq_core::native::{Fun, bome, run, v};
use jaq_core::{Cv, RunPtr};

use super::binding::Bindings;
use super::engine::Engine;
use super::path::plain_text;
use super::value::{Result, Value, error};
use super::{Error, Scope, budget};
use crate::diagnostic::did_you_mean;

/// The name of the function.
pub(super) const NAME: &str = "lookup";

/// How it is called, for hints.
const USAGE: &str = "write `lookup(\"table\"; key)`, with `;` and as many keys as the table has";

/// jaq binds arguments by their number: there is one native function for each.
const KEYS_MAX: usize = 16;

/// The table that a call names, by its index in the scope.
pub(super) fn table(arguments: &[Term<&str>], scope: Scope<'_>) -> Option<usize> {
    let Term::Str(None, parts) = arguments.first()? else { return None };
    let name = plain_text(parts)?;
    scope.tables.iter().position(|table| table.name == name)
}

/// What is wrong with a call, if anything is.
pub(super) fn problem(
    name: &str,
    arguments: &[Term<&str>],
    text: &str,
    scope: Scope<'_>,
) -> Option<Error> {
    let refused = |place, message: String, label: &str, hint: String| {
        Some(Error { span: place, message, label: label.to_owned(), hint: Some(hint) })
    };
    let call = span(text, name);
    if scope.tables.is_empty() {
        let hint = "a handler's expressions can look rows up; this one sees one event".to_owned();
        return refused(call, "`lookup` is not available here".to_owned(), "no tables here", hint);
    }
    let known = || scope.tables.iter().map(|table| table.name);
    let Some(first) = arguments.first() else {
        return refused(call, "`lookup` names no table".to_owned(), "no table", USAGE.to_owned());
    };
    let given = match first {
        Term::Str(None, parts) => plain_text(parts),
        Term::BinOp(_, BinaryOp::Comma, _) if arguments.len() == 1 => {
            let message = "the arguments of `lookup` are separated by `;`".to_owned();
            return refused(call, message, "one argument, of several values", USAGE.to_owned());
        }
        _ => None,
    };
    let Some(given) = given else {
        let hint = match first {
            Term::Call(word, none) if none.is_empty() && known().any(|name| name == *word) => {
                format!("write `lookup(\"{word}\"; ...)`")
            }
            _ => USAGE.to_owned(),
        };
        let message = "`lookup` wants the name of a table in quotes first".to_owned();
        return refused(call, message, "its table is not known when it is loaded", hint);
    };
    let Some(table) = scope.tables.iter().find(|table| table.name == given) else {
        let place = match first {
            Term::Str(None, parts) => match parts.first() {
                Some(StrPart::Str(part)) => span(text, part),
                _ => call,
            },
            _ => call,
        };
        let hint = did_you_mean(&given, known()).expect("the scope has tables");
        return refused(place, format!("there is no table `{given}`"), "unknown table", hint);
    };
    let keys = table.key.len();
    if keys > KEYS_MAX {
        let message =
            format!("`{given}` has {keys} key columns, `lookup` takes {KEYS_MAX} at most");
        return refused(call, message, "too many keys", "name fewer columns in its key".to_owned());
    }
    if arguments.len() - 1 != keys {
        let count = |count: usize| match count {
            1 => "1 key column".to_owned(),
            _ => format!("{count} key columns"),
        };
        let given_keys = arguments.len() - 1;
        let message = format!("`{given}` has {}, {given_keys} given", count(keys));
        let names: Vec<_> = table.key.iter().map(|name| format!("`{name}`")).collect();
        let values = if keys == 1 { "the value" } else { "the values" };
        let hint = format!(
            "write `lookup(\"{given}\"{})`, with {values} of {}",
            "; ...".repeat(keys),
            names.join(" and ")
        );
        return refused(call, message, "another number of keys", hint);
    }
    None
}

/// What a call gives: null for a null key, without asking.
pub(super) fn row(bindings: &Bindings<'_>, table: usize, key: Vec<Value>) -> Result {
    budget::operations(1 + key.len());
    if key.iter().any(|value| matches!(value, Value::Null)) {
        return Ok(Value::Null);
    }
    let rows = bindings.rows.ok_or_else(|| error("lookup: there are no rows here"))?;
    rows.lookup(table, key).map_err(error)
}

/// The native functions that a term's lookups are, for jaq.
pub(super) fn natives() -> impl Iterator<Item = Fun<Engine>> {
    let functions: [RunPtr<Engine>; KEYS_MAX] = [
        call::<1>, call::<2>, call::<3>, call::<4>, call::<5>, call::<6>, call::<7>, call::<8>,
        call::<9>, call::<10>, call::<11>, call::<12>, call::<13>, call::<14>, call::<15>,
        call::<16>,
    ];
    functions
        .into_iter()
        .enumerate()
        .map(|(place, function)| run::<Engine>((NAME, v(place + 2), function)))
}

fn call<const KEYS: usize>(mut cv: Cv<'_, Engine>) -> jaq_core::ValXs<'_, Value> {
    let mut key: Vec<_> = (0..KEYS).map(|_| cv.0.pop_var()).collect();
    key.reverse();
    let name = cv.0.pop_var();
    let context = cv.0.data();
    let table = name.as_text().and_then(|name| {
        context.tables.iter().find(|(known, _)| **known == **name).map(|(_, table)| *table)
    });
    let row = match table {
        Some(table) => row(&context.bindings, table, key),
        None => Err(error(format!("lookup: {name} is not a table"))),
    };
    bome(row)
}
