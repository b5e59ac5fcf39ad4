//! `[[on]]`: which events, which table, which operation, and what goes into which column.

use std::ops::Range;

use crate::definition::table;
use crate::definition::{self, Action, Column, Formula, FormulaKind, Handler, Pattern, Verb};
use crate::definition::{assignment, default};
use crate::diagnostic;
use crate::syntax::{Kind, Report, Table, Text, Value};

const VERBS: [(&str, Verb); 4] = [
    ("insert", Verb::Insert),
    ("upsert", Verb::Upsert),
    ("update", Verb::Update),
    ("delete", Verb::Delete),
];
const KEYS: [&str; 13] = [
    "event", "when", "insert", "upsert", "update", "delete", "key", "set", "set_once", "add",
    "sub", "min", "max",
];
const LATER: [&str; 3] = ["for_each", "let", "where"];

/// A handler as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) handler: Handler,
    /// The table's name in the operation, where messages about the whole handler point.
    pub(super) target_span: Range<usize>,
}

/// Reads `on`; the drafts are those handlers whose table and operation are known, in file order.
pub(super) fn read(report: &mut Report, value: &Value, tables: &[table::Draft]) -> Vec<Draft> {
    let Kind::Array(handlers) = &value.kind else {
        report
            .error(
                &value.span,
                format!("`on` must be a list of tables, not {}", value.kind.describe()),
            )
            .label("expected [[on]]")
            .hint("each handler starts with [[on]], in two pairs of brackets".to_owned());
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
    report.unknown_keys(handler, "a handler", &KEYS, &LATER);
    let events = read_events(report, handler, &span);
    let when = handler.get("when").and_then(|value| expression(report, value, "`when`"));
    let operation = read_operation(report, handler, &span, tables);
    let Some((verb, table, target_span)) = operation else {
        assignment::read_untargeted(report, handler);
        return None;
    };
    let target = &tables[table];
    let key = read_key(report, handler, &span, target);
    let assignments = assignment::read(report, handler, verb, target);
    let line = report.line(span.start);
    let handler = Handler { number, line, events, when, table, verb, key, assignments, span };
    Some(Draft { handler, target_span })
}

fn read_events(report: &mut Report, handler: &Table, span: &Range<usize>) -> Vec<Pattern> {
    let Some(value) = handler.get("event") else {
        report
            .error(span, "the handler does not say which events it takes")
            .label("no `event`")
            .hint("write event = \"OrderPlaced\", a list of types, or \"*\" for all".to_owned());
        return Vec::new();
    };
    let types: Vec<&Text> = match &value.kind {
        Kind::String(text) => vec![text],
        Kind::Array(elements) if elements.is_empty() => {
            report
                .error(&value.span, "`event` is an empty list")
                .label("no type")
                .hint("\"*\" takes every event".to_owned());
            return Vec::new();
        }
        Kind::Array(_) => report.texts(value, "`event`").unwrap_or_default(),
        other => {
            let message =
                format!("`event` must be a type or a list of types, not {}", other.describe());
            report.error(&value.span, message).label("expected a string");
            return Vec::new();
        }
    };
    for text in types.iter().filter(|text| text.value.trim().is_empty()) {
        report
            .error(&text.span, "a type of event cannot be empty")
            .label("empty")
            .hint("\"*\" takes every event".to_owned());
    }
    types.into_iter().map(|text| Pattern::new(text.value.as_str())).collect()
}

/// The one operation, its table, and where that is named.
fn read_operation(
    report: &mut Report,
    handler: &Table,
    span: &Range<usize>,
    tables: &[table::Draft],
) -> Option<(Verb, usize, Range<usize>)> {
    let mut named = handler.entries.iter().filter_map(|entry| {
        let verb = VERBS.iter().find(|(name, _)| *name == entry.key.name)?;
        Some((verb.1, entry))
    });
    let Some((verb, entry)) = named.next() else {
        let slip = |name: &str| {
            diagnostic::nearest(name, KEYS)
                .is_some_and(|meant| VERBS.iter().any(|(verb, _)| *verb == meant))
        };
        if handler
            .entries
            .iter()
            .any(|entry| !KEYS.contains(&entry.key.name.as_str()) && slip(&entry.key.name))
        {
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

/// One formula for each key column, in key order; fewer if something is wrong.
fn read_key(
    report: &mut Report,
    handler: &Table,
    span: &Range<usize>,
    target: &table::Draft,
) -> Vec<Formula> {
    let table = &target.table;
    let key: Vec<&Column> = table.key.iter().map(|&index| &table.columns[index]).collect();
    let example = key.first().map(|column| format!("write key.{} = \".data...\"", column.name));
    let Some(entry) = handler.entry("key") else {
        // A `where` has been refused; the key would not be missed beside it.
        if handler.get("where").is_none() {
            report
                .error(
                    span,
                    format!("the handler does not say which row of `{}` it means", table.name),
                )
                .label("no `key`")
                .hint(example);
        }
        return Vec::new();
    };
    let Kind::Table(given) = &entry.value.kind else {
        let message = format!(
            "`key` must say each key column's value, not be {}",
            entry.value.kind.describe()
        );
        report.error(&entry.value.span, message).label("expected a table").hint(example);
        return Vec::new();
    };
    if target.keyed {
        check_key_columns(report, &entry.key.span, given, table, &key);
    }
    let find = |column: &&Column| given.entry(&column.name);
    let formulas: Vec<_> = key.iter().filter_map(find).collect();
    formulas
        .into_iter()
        .filter_map(|entry| formula(report, &entry.value, &format!("`key.{}`", entry.key.name)))
        .collect()
}

fn check_key_columns(
    report: &mut Report,
    span: &Range<usize>,
    given: &Table,
    table: &definition::Table,
    key: &[&Column],
) {
    let names: Vec<String> = key.iter().map(|column| format!("`{}`", column.name)).collect();
    let names = names.join(", ");
    let mut slips = 0;
    for entry in &given.entries {
        let (name, span) = (&entry.key.name, &entry.key.span);
        if key.iter().any(|column| column.name == *name) {
            continue;
        }
        slips += 1;
        let hint = if table.columns.iter().any(|column| column.name == *name) {
            format!("the key is {names}; give other columns with set.{name}")
        } else {
            format!("the key is {names}")
        };
        report
            .error(span, format!("`{name}` is not a key column of table `{}`", table.name))
            .label("not a key column")
            .hint(hint);
    }
    let missing = key.iter().filter(|column| given.get(&column.name).is_none());
    // As many slips as there are columns missing: these were meant by those.
    for column in missing.skip(slips) {
        report
            .error(
                span,
                format!("key column `{}` of table `{}` is missing", column.name, table.name),
            )
            .label(format!("no `key.{}`", column.name))
            .hint(format!("write key.{} = \".data...\"", column.name));
    }
}

/// A constant, or jq.
pub(super) fn formula(report: &mut Report, value: &Value, what: &str) -> Option<Formula> {
    let problem = match &value.kind {
        Kind::String(_) => {
            let text = expression(report, value, what)?;
            return Some(Formula { kind: FormulaKind::Jq(text), span: value.span.clone() });
        }
        Kind::Integer(Some(integer)) => {
            return Some(Formula {
                kind: FormulaKind::Integer(*integer),
                span: value.span.clone(),
            });
        }
        Kind::Float(text) if default::is_finite(text) => {
            return Some(Formula {
                kind: FormulaKind::Number(text.clone()),
                span: value.span.clone(),
            });
        }
        Kind::Boolean(boolean) => {
            return Some(Formula {
                kind: FormulaKind::Boolean(*boolean),
                span: value.span.clone(),
            });
        }
        Kind::Integer(None) => "is beyond 64 bits".to_owned(),
        Kind::Float(_) => "is not finite".to_owned(),
        other => format!("must be jq in quotes, a number, true or false, not {}", other.describe()),
    };
    let hint = match &value.kind {
        Kind::Datetime(text) => {
            Some(format!("as jq, a constant is a string in quotes: '\"{text}\"'"))
        }
        Kind::Array(_) => Some("put a list in quotes, as jq: \"[1, 2]\"".to_owned()),
        _ => None,
    };
    report.error(&value.span, format!("{what} {problem}")).label("not a value").hint(hint);
    None
}

fn expression(report: &mut Report, value: &Value, what: &str) -> Option<Text> {
    let text = report.text(value, what)?;
    if text.value.trim().is_empty() {
        report
            .error(&text.span, format!("{what} is empty"))
            .label("no expression")
            .hint("`.` is the event; an empty string is written '\"\"'".to_owned());
        return None;
    }
    Some(text.clone())
}

impl Verb {
    /// The key of a handler that asks for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Upsert => "upsert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// Whether it makes a row where there is none.
    pub fn creates(self) -> bool {
        matches!(self, Self::Insert | Self::Upsert)
    }
}

impl Action {
    /// The key of a handler that asks for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::SetOnce => "set_once",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}
