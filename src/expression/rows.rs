//! Members of rows that their table does not have as columns: always null, so never what was meant.
//!
//! Only what is certainly a row is looked at: a variable that holds one, and what `lookup` gives.

use std::ops::Range;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::load::span;
use jaq_core::path::Part;

use super::path::plain_text;
use super::{Error, Scope, lookup, references, refused, roots};
use crate::diagnostic::did_you_mean;

/// The table whose row a term gives, or null, if that is certain.
pub(super) fn table(term: &Term<&str>, scope: Scope<'_>) -> Option<usize> {
    Rows { text: "", scope }.given(term, None)
}

/// Refuses what is read of a row and is no column of its table.
pub(super) fn check(term: &Term<&str>, text: &str, scope: Scope<'_>) -> Result<(), Error> {
    if scope.tables.is_empty() { Ok(()) } else { Rows { text, scope }.check(term, None) }
}

#[derive(Clone, Copy)]
struct Rows<'a> {
    text: &'a str,
    scope: Scope<'a>,
}

impl Rows<'_> {
    /// The table whose row a term gives, where `.` is a row of the table `input`.
    fn given(self, term: &Term<&str>, input: Option<usize>) -> Option<usize> {
        match term {
            Term::Id => input,
            Term::Var(name) => {
                let slot = references::slot(name, self.scope)?;
                self.scope.rows.get(slot).copied().flatten()
            }
            Term::Call(lookup::NAME, arguments) => lookup::table(arguments, self.scope),
            Term::Call("select", _) => input,
            Term::TryCatch(inner, None) => self.given(inner, input),
            Term::BinOp(left, BinaryOp::Pipe(None), right) => {
                self.given(right, self.given(left, input))
            }
            Term::BinOp(_, BinaryOp::Pipe(Some(_)), right) => self.given(right, input),
            Term::BinOp(left, BinaryOp::Alt, right) => {
                let row = self.given(left, input)?;
                let none = matches!(&**right, Term::Call("error" | "empty" | "null", _));
                (none || self.given(right, input) == Some(row)).then_some(row)
            }
            _ => None,
        }
    }

    /// Whatever a term reads, where `.` is a row of the table `input`.
    fn check(self, term: &Term<&str>, input: Option<usize>) -> Result<(), Error> {
        match term {
            Term::Path(head, parts) => {
                self.check(head, input)?;
                if let Some((Part::Index(Term::Str(None, name)), _)) = parts.0.first() {
                    self.check_column(name, self.given(head, input))?;
                }
                parts.0.iter().try_for_each(|(part, _)| match part {
                    Part::Index(index) => self.check(index, input),
                    Part::Range(from, upto) => {
                        from.iter().chain(upto).try_for_each(|bound| self.check(bound, input))
                    }
                })
            }
            Term::Str(_, parts) => parts.iter().try_for_each(|part| match part {
                StrPart::Term(inner) => self.check(inner, input),
                _ => Ok(()),
            }),
            Term::Arr(Some(inner)) | Term::Neg(inner) => self.check(inner, input),
            Term::TryCatch(inner, caught) => {
                self.check(inner, input)?;
                caught.iter().try_for_each(|caught| self.check(caught, None))
            }
            Term::Obj(members) => members.iter().try_for_each(|(key, value)| match (key, value) {
                // `{name}` is `{name: .name}`.
                (Term::Str(None, name), None) => self.check_column(name, input),
                (key, value) => {
                    self.check(key, input)?;
                    value.iter().try_for_each(|value| self.check(value, input))
                }
            }),
            Term::BinOp(left, operator, right) => self.check_operator(left, operator, right, input),
            Term::IfThenElse(branches, otherwise) => {
                for (condition, then) in branches {
                    self.check(condition, input)?;
                    self.check(then, input)?;
                }
                otherwise.iter().try_for_each(|otherwise| self.check(otherwise, input))
            }
            Term::Fold(_, source, pattern, arguments) => {
                self.check(source, input)?;
                self.check_pattern(pattern, None)?;
                // The others see what the last round gave.
                let inputs = [input].into_iter().chain(std::iter::repeat(None));
                let mut arguments = arguments.iter().zip(inputs);
                arguments.try_for_each(|(argument, input)| self.check(argument, input))
            }
            Term::Call(name, arguments) => {
                let input = input.filter(|_| roots::sees_input(name, arguments.len()));
                arguments.iter().try_for_each(|argument| self.check(argument, input))
            }
            _ => Ok(()),
        }
    }

    fn check_operator(
        self,
        left: &Term<&str>,
        operator: &BinaryOp<&str>,
        right: &Term<&str>,
        input: Option<usize>,
    ) -> Result<(), Error> {
        self.check(left, input)?;
        match operator {
            BinaryOp::Pipe(None) => self.check(right, self.given(left, input)),
            BinaryOp::Pipe(Some(pattern)) => {
                self.check_pattern(pattern, self.given(left, input))?;
                self.check(right, input)
            }
            // It sees what the path leads to.
            BinaryOp::Update => self.check(right, None),
            _ => self.check(right, input),
        }
    }

    /// `as {name: $name}` reads members as well.
    fn check_pattern(self, pattern: &Pattern<&str>, row: Option<usize>) -> Result<(), Error> {
        let Pattern::Obj(members) = pattern else { return Ok(()) };
        members.iter().try_for_each(|(key, _)| match key {
            Term::Str(None, name) => self.check_column(name, row),
            _ => Ok(()),
        })
    }

    /// A name as the parts of a string, read of a row of this table.
    fn check_column<T>(self, parts: &[StrPart<&str, T>], row: Option<usize>) -> Result<(), Error> {
        let Some(name) = plain_text(parts) else { return Ok(()) };
        let place = match parts.first() {
            Some(StrPart::Str(part)) => span(self.text, part),
            _ => 0..self.text.len(),
        };
        self.check_name(&name, place, row)
    }

    fn check_name(self, name: &str, place: Range<usize>, row: Option<usize>) -> Result<(), Error> {
        let Some(table) = row.and_then(|row| self.scope.tables.get(row)) else { return Ok(()) };
        if table.columns.is_empty() || table.columns.contains(&name) {
            return Ok(());
        }
        let message = format!("table `{}` has no column `{name}`", table.name);
        let hint = did_you_mean(name, table.columns.iter().copied());
        Err(refused(place, message, "always null", hint))
    }
}
