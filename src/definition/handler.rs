//! `[[on]]`: which events, which table, which operation, and what goes into which column.

use std::ops::Range;

use crate::definition::assignment::{self, Place};
use crate::definition::formula::{Names, Spot};
use crate::definition::{Action, Formula, Handler, Target, Verb, binding, pattern, table, target};
use crate::diagnostic;
use crate::expression::Output;
use crate::syntax::{Kind, Report, Table, Value};

const KEYS: [&str; 16] = [
    "event", "when", "for_each", "let", "insert", "upsert", "update", "delete", "key", "where",
    "set", "set_once", "add", "sub", "min", "max",
];

/// What people who know other languages write.
const OTHERS: [(&str, &str); 16] = [
    ("if", "when"),
    ("filter", "when"),
    ("condition", "when"),
    ("type", "event"),
    ("types", "event"),
    ("on", "event"),
    ("create", "insert"),
    ("merge", "upsert"),
    ("replace", "upsert"),
    ("remove", "delete"),
    ("values", "set"),
    ("columns", "set"),
    ("increment", "add"),
    ("count", "add"),
    ("each", "for_each"),
    ("var", "let"),
];

/// A handler as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) handler: Handler,
    /// The table's name in the operation, where messages about the whole handler point.
    pub(super) target_span: Range<usize>,
}

impl Handler {
    /// Every column that it assigns, each once, by what.
    pub fn assigned(&self) -> impl Iterator<Item = (usize, Action)> {
        let together = self.object.iter().flat_map(|object| &object.columns);
        let together = together.map(|&column| (column, Action::Set));
        together.chain(self.assignments.iter().map(|one| (one.column, one.action)))
    }

    /// Every expression and constant of it.
    pub fn formulas(&self) -> impl Iterator<Item = &Formula> {
        let (key, matching) = match &self.target {
            Target::Key(key) => (key.as_slice(), [].as_slice()),
            Target::Where(columns) => ([].as_slice(), columns.as_slice()),
        };
        let alone = self.when.iter().chain(&self.for_each);
        alone
            .chain(self.lets.iter().map(|binding| &binding.value))
            .chain(key)
            .chain(matching.iter().map(|(_, formula)| formula))
            .chain(self.object.iter().map(|object| &object.value))
            .chain(self.assignments.iter().map(|assignment| &assignment.value))
    }
}

/// Reads `on`; the drafts are those handlers whose table and operation are known, in file order.
pub(super) fn read(report: &mut Report, value: &Value, tables: &[table::Draft]) -> Vec<Draft> {
    let Kind::Array(handlers) = &value.kind else {
        let hint = match &value.kind {
            Kind::Table(_) => "write [[on]], in two pairs of brackets: there may be several",
            _ => "each handler starts with [[on]], in two pairs of brackets",
        };
        report
            .error(
                &value.span,
                format!("`on` must be a list of handlers, not {}", value.kind.describe()),
            )
            .label("expected [[on]]")
            .hint(hint.to_owned());
        return Vec::new();
    };
    let numbered = handlers.iter().enumerate();
    numbered.filter_map(|(index, value)| read_one(report, index + 1, value, tables)).collect()
}

fn read_one(
    report: &mut Report,
    number: usize,
    value: &Value,
    tables: &[table::Draft],
) -> Option<Draft> {
    let span = value.span.clone();
    let handler = report.table(value, "a handler")?;
    report.unknown_keys_or(handler, "a handler", &KEYS, &OTHERS);
    let events = pattern::read(report, handler, &span);
    let mut names =
        Names::new(tables, target_table(handler, tables), handler.get("for_each").is_some());
    let lets = binding::read(report, handler, &mut names);
    let when = handler.get("when").and_then(|value| read_when(report, value, &mut names));
    let for_each =
        handler.get("for_each").and_then(|value| read_for_each(report, value, &mut names));
    let operation = read_operation(report, handler, &span, tables);
    let Some((verb, table, target_span)) = operation else {
        assignment::read_untargeted(report, handler, &mut names);
        return None;
    };
    let draft = &tables[table];
    let target = target::read(report, handler, &span, verb, draft, &mut names);
    let fixed: Vec<usize> = match &target {
        Target::Key(_) => Vec::new(),
        Target::Where(columns) => columns.iter().map(|(column, _)| *column).collect(),
    };
    let place = Place { verb, target: draft, fixed: &fixed };
    let assigned = assignment::read(report, handler, place, &mut names);
    binding::warn_unused(report, handler, &names);
    let line = report.line(span.start);
    let handler = Handler {
        number,
        line,
        events,
        when,
        for_each,
        lets,
        table,
        verb,
        target,
        object: assigned.object,
        assignments: assigned.assignments,
        span,
    };
    Some(Draft { handler, target_span })
}

fn read_when(report: &mut Report, value: &Value, names: &mut Names<'_>) -> Option<Formula> {
    let (formula, _) = names.expression(report, value, "`when`", Spot::Value)?;
    if let Some(Output::Null | Output::Bool(false)) = formula.expression.literal() {
        report
            .warning(&formula.span, "this handler never runs")
            .label(format!("`when` is always {}", formula.expression.text().trim()))
            .hint("remove the handler, or its `when`".to_owned());
    }
    Some(formula)
}

fn read_for_each(report: &mut Report, value: &Value, names: &mut Names<'_>) -> Option<Formula> {
    let (formula, _) = names.expression(report, value, "`for_each`", Spot::ForEach)?;
    match formula.expression.literal() {
        None => {}
        Some(Output::Null) => {
            report
                .warning(&formula.span, "this handler never runs")
                .label("`for_each` is always null: there are no elements")
                .hint("for_each = \".data.items\" gives the list of elements".to_owned());
        }
        Some(_) => {
            report
                .error(&formula.span, "`for_each` must give a list, or null for none")
                .label("not a list")
                .hint("for_each = \".data.items\" gives the list of elements".to_owned());
        }
    }
    let Kind::String(text) = &value.kind else { return Some(formula) };
    if let Some(at) = iterates(&text.value) {
        let whole = text.value.trim();
        let hint = match whole.strip_suffix("[]") {
            Some(list) if at == list.len() => {
                format!("without the `[]`: {:?}", list.trim_end_matches('.'))
            }
            _ => format!("in brackets it is a list: \"[{whole}]\""),
        };
        report
            .error(
                &text.locate(at..at + "[]".len()),
                "`for_each` wants one list, but this gives its elements one by one",
            )
            .label("takes the list apart")
            .hint(hint);
    }
    Some(formula)
}

/// Where an expression takes a list apart so that it gives several values: a `[]` that no bracket holds.
///
/// Not told of those whose brackets are hard to see (in strings, after comments) or that fold what they take apart.
fn iterates(text: &str) -> Option<usize> {
    if ["#", "\\", "reduce", "foreach"].iter().any(|odd| text.contains(odd)) {
        return None;
    }
    let (mut depth, mut quoted) = (0_usize, false);
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '[' if depth == 0 && text[at..].starts_with("[]") && follows_value(&text[..at]) => {
                return Some(at);
            }
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

/// Whether what stands before a `[]` is a value, so that it iterates; else it is the empty list.
fn follows_value(before: &str) -> bool {
    let word_start =
        before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_').map_or(0, |at| at + 1);
    let word = &before[word_start..];
    if ["then", "else", "and", "or", "elif", "if", "try", "catch"].contains(&word) {
        return before[..word_start].ends_with('.');
    }
    before.ends_with(|c: char| c.is_ascii_alphanumeric() || "_.])}\"?".contains(c))
}

/// The one operation, its table, and where that is named.
/// The table that a handler names, if it is there; what is wrong with it is told elsewhere.
fn target_table(handler: &Table, tables: &[table::Draft]) -> Option<usize> {
    let value = Verb::ALL.iter().find_map(|verb| handler.get(verb.as_str()))?;
    let Kind::String(text) = &value.kind else { return None };
    tables.iter().position(|draft| draft.table.name == text.value)
}

fn read_operation(
    report: &mut Report,
    handler: &Table,
    span: &Range<usize>,
    tables: &[table::Draft],
) -> Option<(Verb, usize, Range<usize>)> {
    let mut named = handler.entries.iter().filter_map(|entry| {
        let verb = Verb::ALL.into_iter().find(|verb| verb.as_str() == entry.key.name)?;
        Some((verb, entry))
    });
    let Some((verb, entry)) = named.next() else {
        let slip = |name: &str| {
            diagnostic::nearest(name, KEYS)
                .is_some_and(|meant| Verb::ALL.iter().any(|verb| verb.as_str() == meant))
        };
        let other = |name: &str| {
            let meant = OTHERS.iter().find(|(other, _)| *other == name);
            meant.is_some_and(|(_, meant)| Verb::ALL.iter().any(|verb| verb.as_str() == *meant))
        };
        let names = handler.entries.iter().map(|entry| entry.key.name.as_str());
        if names.into_iter().any(|name| !KEYS.contains(&name) && (slip(name) || other(name))) {
            // That key has been told, with the operation that was meant.
            return None;
        }
        report
            .error(span, "the handler does not say what to do")
            .label("none of `insert`, `upsert`, `update`, `delete`")
            .hint(tables.first().map(|first| format!("such as upsert = {:?}", first.table.name)));
        return None;
    };
    for (_, second) in named {
        let message =
            format!("the handler does two things: `{}` and `{}`", entry.key.name, second.key.name);
        report
            .error(&second.key.span, message)
            .label("one operation a handler")
            .hint("write a second [[on]] for the same event".to_owned());
    }
    let text = report.text(&entry.value, &format!("`{}`", entry.key.name))?;
    let Some(table) = tables.iter().position(|draft| draft.table.name == text.value) else {
        if tables.is_empty() {
            // That there are none has been told.
            return None;
        }
        let known = tables.iter().map(|draft| draft.table.name.as_str());
        report
            .error(&text.span, format!("there is no table `{}`", text.value))
            .label("unknown table")
            .hint(diagnostic::did_you_mean(&text.value, known));
        return None;
    };
    Some((verb, table, text.span.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_are_taken_apart() {
        for (text, expected) in [
            (".data.items[]", Some(11)),
            (".[]", Some(1)),
            (".data.items[] | select(.qty > 0)", Some(11)),
            (".data | .items[]?", Some(14)),
            (".data.else[]", Some(10)),
            (".data[\"a\"][]", Some(10)),
            ("$items[]", Some(6)),
            (".data.items", None),
            (".data.items // []", None),
            ("if .data.x then .data.items else[] end", None),
            ("[.data.items[] | select(.qty > 0)]", None),
            ("(.data.items | map(.lines[]))", None),
            ("reduce .data.items[] as $x ([]; . + [$x])", None),
            (".data[\"a[]\"]", None),
            ("[]", None),
        ] {
            assert_eq!(iterates(text), expected, "{text}");
        }
    }
}
