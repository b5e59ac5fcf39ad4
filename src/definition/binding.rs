//! `let` of one handler: values with a name, for its other expressions.

use std::ops::Range;

use crate::definition::Let;
use crate::definition::formula::{Names, Spot};
use crate::syntax::{Kind, NAME_CHARS_MAX, Report, Table};

/// Reads the lets in file order, and makes them known.
pub(super) fn read<'a>(report: &mut Report, handler: &'a Table, names: &mut Names<'a>) -> Vec<Let> {
    let Some(value) = handler.get("let") else { return Vec::new() };
    let Kind::Table(bindings) = &value.kind else {
        let message = format!("`let` must give values names, not be {}", value.kind.describe());
        report
            .error(&value.span, message)
            .label("expected a table")
            .hint("write let.total = \".data.items | map(.price) | add\"".to_owned());
        return Vec::new();
    };
    names.later = bindings.entries.iter().map(|entry| entry.key.name.as_str()).collect();
    let mut lets = Vec::new();
    for entry in &bindings.entries {
        let name = entry.key.name.as_str();
        names.incomplete |= !check_name(report, name, &entry.key.span);
        let read =
            names.formula_and_uses(report, &entry.value, &format!("`let.{name}`"), Spot::Let);
        let (value, uses) = read.unzip();
        let row = value.as_ref().and_then(|formula| formula.expression.row());
        names.bind(name, uses.unwrap_or_default(), row);
        names.later.retain(|later| *later != name);
        lets.extend(value.map(|value| Let { name: name.to_owned(), value }));
    }
    lets
}

/// Warns of lets that nothing uses, once all expressions of the handler have been read.
pub(super) fn warn_unused(report: &mut Report, handler: &Table, names: &Names<'_>) {
    let Some(Kind::Table(bindings)) = handler.get("let").map(|value| &value.kind) else { return };
    if names.incomplete {
        return;
    }
    for (number, entry) in bindings.entries.iter().enumerate() {
        if !names.is_named(number) {
            let name = &entry.key.name;
            report
                .warning(&entry.key.span, format!("nothing in this handler uses `${name}`"))
                .label("not used");
        }
    }
}

fn check_name(report: &mut Report, name: &str, span: &Range<usize>) -> bool {
    let problem = match name {
        "row" => "it is the row as it stands",
        "item" | "index" => "it is of `for_each`",
        "part" => "it says which of its message's events this is",
        "ENV" | "__loc__" | "__prog_args" => "jq has a variable of this name",
        _ if !name.starts_with(|c: char| c.is_ascii_alphabetic()) => "it must start with a letter",
        _ if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') => {
            "only letters a to z, digits and `_` may be used"
        }
        _ if name.len() > NAME_CHARS_MAX => "it may have 63 characters",
        _ => return true,
    };
    report
        .error(span, format!("`{name}` cannot be the name of a `let`: {problem}"))
        .label("not a usable name");
    false
}
