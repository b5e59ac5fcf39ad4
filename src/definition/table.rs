//! `[tables.*]`: columns, key and indexes.

use std::ops::Range;

use crate::definition::column;
use crate::definition::name::{self, Folded};
use crate::definition::{Column, Table};
use crate::diagnostic;
use crate::row::ColumnType;
use crate::syntax::{self, Entry, Kind, Report, Text, Value};

/// SQLite takes 2,000 columns; a row of more than this is slow to write and to read.
const COLUMNS_MAX: usize = 1_000;

/// A table as far as it could be read. What is wrong with it has been told: whoever checks
/// handlers against it must not tell it again.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) table: Table,
    /// For each column, whether its type is known.
    pub(super) typed: Vec<bool>,
    /// Whether `key` could be read in full.
    pub(super) keyed: bool,
    /// How many columns `key` names, whether or not they are there: what `lookup` takes.
    pub(super) key_len: usize,
}

/// Reads all tables.
pub(super) fn read(report: &mut Report, value: &Value) -> Vec<Draft> {
    let Some(tables) = report.table(value, "`tables`") else { return Vec::new() };
    let mut names = Folded::default();
    tables
        .entries
        .iter()
        .filter_map(|entry| {
            name::check(report, "table", &entry.key.name, &entry.key.span);
            names.insert(report, "table", &entry.key.name, &entry.key.span);
            read_one(report, entry)
        })
        .collect()
}

fn read_one(report: &mut Report, entry: &Entry) -> Option<Draft> {
    let table_name = &entry.key.name;
    let inner = report.table(&entry.value, &format!("table `{table_name}`"))?;
    let place = format!("table `{table_name}`");
    report.unknown_keys(inner, &place, &["key", "indexes", "columns", "changes"]);
    let span = entry.key.span.clone();
    let mut drafts = read_columns(report, table_name, inner, &span);
    let columns: Vec<&Column> = drafts.iter().map(|draft| &draft.column).collect();
    let (key, keyed) = match inner.get("key") {
        Some(value) => read_key(report, table_name, value, &drafts),
        None => {
            report.error(&span, format!("table `{table_name}` has no key")).label("no `key`").hint(
                format!(
                    "the columns that tell one row from another: key = [{:?}]",
                    columns.first().map_or("id", |column| column.name.as_str())
                ),
            );
            (Vec::new(), false)
        }
    };
    let indexes = match inner.get("indexes") {
        Some(value) => read_indexes(report, table_name, value, &columns, &key),
        None => Vec::new(),
    };
    for &index in &key {
        key_column(report, &mut drafts[index]);
    }
    let key_len = match inner.get("key").map(|value| &value.kind) {
        Some(Kind::Array(names)) => names.len(),
        _ => 1,
    };
    let changes = inner.get("changes").and_then(|value| report.boolean(value, "`changes`"));
    let changes = changes.unwrap_or_default();
    let typed = drafts.iter().map(|draft| draft.typed).collect();
    let columns = drafts.into_iter().map(|draft| draft.column).collect();
    let table = Table { name: table_name.clone(), columns, key, indexes, changes, span };
    Some(Draft { table, typed, keyed, key_len })
}

fn read_columns(
    report: &mut Report,
    table_name: &str,
    table: &syntax::Table,
    span: &Range<usize>,
) -> Vec<column::Draft> {
    let Some(value) = table.get("columns") else {
        report
            .error(span, format!("table `{table_name}` has no columns"))
            .label("no `columns`")
            .hint("one line for each: columns.name = \"text\"".to_owned());
        return Vec::new();
    };
    let Some(columns) = report.table(value, "`columns`") else { return Vec::new() };
    if columns.entries.len() > COLUMNS_MAX {
        report.error(span, format!("table `{table_name}` has more than {COLUMNS_MAX} columns"));
    }
    let mut names = Folded::default();
    columns
        .entries
        .iter()
        .map(|entry| {
            name::check(report, "column", &entry.key.name, &entry.key.span);
            names.insert(report, "column", &entry.key.name, &entry.key.span);
            column::read(report, table_name, entry)
        })
        .collect()
}

/// The key's columns, and whether each was found and can be one.
fn read_key(
    report: &mut Report,
    table_name: &str,
    value: &Value,
    drafts: &[column::Draft],
) -> (Vec<usize>, bool) {
    let Some(names) = report.texts(value, "`key`") else { return (Vec::new(), false) };
    if names.is_empty() {
        report
            .error(&value.span, format!("the key of table `{table_name}` is empty"))
            .label("no column")
            .hint("a table of one row takes a constant: key.id = 1 in each handler".to_owned());
        return (Vec::new(), false);
    }
    let columns: Vec<&Column> = drafts.iter().map(|draft| &draft.column).collect();
    let key = column_list(report, table_name, &names, &columns);
    let keyed = key.len() == names.len();
    for &index in &key {
        let Column { name, column_type, .. } = columns[index];
        let why = match column_type {
            ColumnType::Real => "two floating-point numbers that look equal may differ",
            ColumnType::Json => "equal values may be written in different ways",
            _ => continue,
        };
        let span =
            names.iter().find(|text| text.value == *name).map_or(&value.span, |text| &text.span);
        report
            .error(span, format!("`{name}` is {column_type} and cannot be a key column"))
            .label(why);
    }
    (key, keyed)
}

/// Key columns are required, whatever the file says, and come from the event, never from a default.
fn key_column(report: &mut Report, draft: &mut column::Draft) {
    let name = &draft.column.name;
    if let Some(span) = &draft.optional_span {
        report
            .error(span, format!("key column `{name}` is always required"))
            .label("cannot be false");
    }
    if let Some(span) = &draft.default_span {
        report
            .error(span, format!("key column `{name}` cannot have a default"))
            .label("each handler says the key");
    }
    draft.column.required = true;
}

fn read_indexes(
    report: &mut Report,
    table_name: &str,
    value: &Value,
    columns: &[&Column],
    key: &[usize],
) -> Vec<Vec<usize>> {
    let Kind::Array(lists) = &value.kind else {
        report
            .error(
                &value.span,
                format!("`indexes` must be a list of lists, not {}", value.kind.describe()),
            )
            .label("expected a list of lists")
            .hint(indexes_example(columns));
        return Vec::new();
    };
    let mut indexes: Vec<Vec<usize>> = Vec::new();
    for list in lists {
        if !matches!(list.kind, Kind::Array(_)) {
            report
                .error(&list.span, "each index must be a list of columns")
                .label("expected a list")
                .hint(indexes_example(columns));
            continue;
        }
        let Some(names) = report.texts(list, "an index") else { continue };
        if names.is_empty() {
            report.error(&list.span, "an index needs a column").label("no column");
            continue;
        }
        let index = column_list(report, table_name, &names, columns);
        if index.len() < names.len() {
            continue;
        }
        if indexes.contains(&index) {
            report.error(&list.span, "this index is there twice").label("second time");
        } else if key.starts_with(&index) {
            report
                .warning(
                    &list.span,
                    "this index does nothing: the key begins with the same columns",
                )
                .label("already sorted so");
        }
        indexes.push(index);
    }
    indexes
}

fn indexes_example(columns: &[&Column]) -> String {
    let name = columns.last().map_or("name", |column| column.name.as_str());
    format!("one list of columns for each index: indexes = [[{name:?}]]")
}

/// Finds columns by name; what is unknown or there twice is told and left out.
pub(super) fn column_list(
    report: &mut Report,
    table_name: &str,
    names: &[&Text],
    columns: &[&Column],
) -> Vec<usize> {
    let mut found = Vec::with_capacity(names.len());
    for name in names {
        let Some(index) = columns.iter().position(|column| column.name == name.value) else {
            unknown_column(report, &name.value, &name.span, table_name, columns);
            continue;
        };
        if found.contains(&index) {
            report
                .error(&name.span, format!("column `{}` is there twice", name.value))
                .label("second time");
            continue;
        }
        found.push(index);
    }
    found
}

/// Complains of a name that is no column of the table.
pub(super) fn unknown_column(
    report: &mut Report,
    name: &str,
    span: &Range<usize>,
    table_name: &str,
    columns: &[&Column],
) {
    let known = columns.iter().map(|column| column.name.as_str());
    report
        .error(span, format!("table `{table_name}` has no column `{name}`"))
        .label("unknown column")
        .hint(diagnostic::did_you_mean(name, known));
}
