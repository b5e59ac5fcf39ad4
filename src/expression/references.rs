//! What an expression names besides the event: variables of its scope, tables, the members of the object that it ends in.

use std::ops::Range;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::load::span;

use super::{Error, Scope, lookup, prelude, rows};
use crate::diagnostic::nearest;

/// Collected when the expression is compiled.
#[derive(Debug, Default)]
pub(super) struct References {
    /// Slots in ascending order, each with the first place in the text that names it.
    pub(super) variables: Vec<(usize, Range<usize>)>,
    /// Indices of tables, ascending.
    pub(super) lookups: Vec<usize>,
    /// The table whose row the whole gives.
    pub(super) row: Option<usize>,
    /// The literal keys of the object that is the last step.
    pub(super) members: Option<Vec<(String, Range<usize>)>>,
}

impl References {
    /// What a term names; refuses variables that are not known, and new ones by a name of the scope's.
    pub(super) fn of_term(term: &Term<&str>, text: &str, scope: Scope<'_>) -> Result<Self, Error> {
        let mut found =
            Self { row: rows::table(term, scope), members: members(term, text), ..Self::default() };
        let local = locals(term);
        let mut problem = local.iter().find_map(|name| shadowing(name, text, scope));
        prelude::visit(term, &mut |term| match term {
            Term::Var(name) => match slot(name, scope) {
                Some(slot) => {
                    if found.variables.iter().all(|(known, _)| *known != slot) {
                        found.variables.push((slot, span(text, name)));
                    }
                }
                None if local.contains(name) => {}
                None => {
                    problem = problem.take().or_else(|| Some(unknown(name, text, scope, &local)))
                }
            },
            Term::Call(lookup::NAME, arguments) => {
                let table = lookup::table(arguments, scope);
                found.lookups.extend(table.filter(|table| !found.lookups.contains(table)));
            }
            _ => {}
        });
        found.variables.sort_unstable_by_key(|(slot, _)| *slot);
        found.lookups.sort_unstable();
        problem.map_or(Ok(found), Err)
    }
}

/// The slot of a variable, whose name has its `$`; None if it is none of the scope's.
pub(super) fn slot(name: &str, scope: Scope<'_>) -> Option<usize> {
    scope.variables.iter().position(|known| *known == &name[1..])
}

/// A variable that is not known where it is named, as jaq sees it.
pub(super) fn unknown(name: &str, text: &str, scope: Scope<'_>, local: &[&str]) -> Error {
    let known = scope.variables.iter().copied().chain(local.iter().map(|name| &name[1..]));
    let hint = match &name[1..] {
        "ENV" => "expressions know no environment".to_owned(),
        "__loc__" | "__prog_args" => "expressions know nothing of where they stand".to_owned(),
        "event" | "e" => "the event is `.`, and its data is `.data`".to_owned(),
        field if super::document::Field::named(field).is_some() => {
            format!("a member of the event is written `.{field}`")
        }
        field if local.contains(&name) => {
            format!("`${field}` is known only to the right of its `as ${field} |`")
        }
        field => match nearest(field, known.clone()) {
            Some(meant) => format!("did you mean `${meant}`?"),
            None if scope.variables.is_empty() => {
                format!("a variable is made by `... as ${field} | ...`")
            }
            None => {
                let all: Vec<_> = known.map(|name| format!("`${name}`")).collect();
                format!(
                    "there are {}; a variable of your own is made by a `let`, or by `... as ${field} | ...`",
                    all.join(", ")
                )
            }
        },
    };
    Error {
        span: span(text, name),
        message: format!("unknown variable `{name}`"),
        label: "not known here".to_owned(),
        hint: Some(hint),
    }
}

fn shadowing(name: &str, text: &str, scope: Scope<'_>) -> Option<Error> {
    slot(name, scope)?;
    Some(Error {
        span: span(text, name),
        message: format!("`{name}` means something already"),
        label: "a name of viewd's, or of a `let`".to_owned(),
        hint: Some("choose another name, as in `... as $x | ...`".to_owned()),
    })
}

/// Every variable that a term makes, with its `$`.
fn locals<'s>(term: &Term<&'s str>) -> Vec<&'s str> {
    let mut found = Vec::new();
    prelude::visit(term, &mut |term| match term {
        Term::BinOp(_, BinaryOp::Pipe(Some(pattern)), _) | Term::Fold(_, _, pattern, _) => {
            pattern_names(pattern, &mut found);
        }
        _ => {}
    });
    found
}

fn pattern_names<'s>(pattern: &Pattern<&'s str>, found: &mut Vec<&'s str>) {
    match pattern {
        Pattern::Var(name) => found.push(name),
        Pattern::Arr(patterns) => {
            patterns.iter().for_each(|pattern| pattern_names(pattern, found));
        }
        Pattern::Obj(members) => {
            members.iter().for_each(|(_, pattern)| pattern_names(pattern, found));
        }
    }
}

/// The keys of the object that a term ends in, if all are literal.
fn members(term: &Term<&str>, text: &str) -> Option<Vec<(String, Range<usize>)>> {
    match term {
        Term::BinOp(_, BinaryOp::Pipe(_), last) => members(last, text),
        Term::Obj(members) => members
            .iter()
            .map(|member| match member {
                (Term::Str(None, parts), _) => {
                    let key = super::path::plain_text(parts)?.into_owned();
                    let place = parts.iter().find_map(|part| match part {
                        StrPart::Str(part) => Some(span(text, part)),
                        _ => None,
                    });
                    Some((key, place.unwrap_or(0..text.len())))
                }
                (Term::Var(name), None) => Some((name[1..].to_owned(), span(text, name))),
                _ => None,
            })
            .collect(),
        _ => None,
    }
}
