//! `expect_search.*` of a test: the keys that a query finds at its end.

use smallvec::SmallVec;

use crate::definition::default;
use crate::definition::expectation::Relations;
use crate::definition::{ExpectSearch, Search, table};
use crate::diagnostic;
use crate::row::Key;
use crate::syntax::{Entry, Kind, Report, Table, Value};

const KEYS: [&str; 2] = ["query", "keys"];

/// Reads `expect_search` of a test.
pub(super) fn read(
    report: &mut Report,
    test: &Table,
    relations: Relations<'_>,
) -> Vec<ExpectSearch> {
    let Some(value) = test.get("expect_search") else { return Vec::new() };
    let Kind::Table(expected) = &value.kind else {
        let name = relations.searches.first().map_or("orders", |draft| draft.name.as_str());
        let message = format!(
            "`expect_search` must say which index finds what, not be {}",
            value.kind.describe()
        );
        report
            .error(&value.span, message)
            .label("expected a table")
            .hint(format!("write expect_search.{name} = {}", example(None)));
        return Vec::new();
    };
    expected.entries.iter().filter_map(|entry| read_one(report, entry, relations)).collect()
}

fn read_one(report: &mut Report, entry: &Entry, relations: Relations<'_>) -> Option<ExpectSearch> {
    let (name, span) = (&entry.key.name, &entry.key.span);
    let Some(known) = relations.searches.iter().find(|draft| draft.name == *name) else {
        let names = relations.searches.iter().map(|draft| draft.name.as_str());
        let none = || format!("declare it: [search.{name}]");
        report
            .error(span, format!("there is no full-text index `{name}`"))
            .label("unknown index")
            .hint(diagnostic::did_you_mean(name, names).unwrap_or_else(none));
        return None;
    };
    let draft = known.search.as_ref().map(|Search { table, .. }| &relations.tables[*table]);
    let what = format!("`expect_search.{name}`");
    let Kind::Table(expected) = &entry.value.kind else {
        report
            .error(
                &entry.value.span,
                format!("{what} must be a table, not {}", entry.value.kind.describe()),
            )
            .label("expected a table")
            .hint(format!("write {}", example(draft)));
        return None;
    };
    report.unknown_keys(expected, &what, &KEYS);
    for key in KEYS {
        if expected.get(key).is_none() {
            report
                .error(span, format!("{what} has no `{key}`"))
                .label(format!("no `{key}`"))
                .hint(format!("write {}", example(draft)));
        }
    }
    let query = report.text(expected.get("query")?, "`query`")?.clone();
    let keys = read_keys(report, expected.get("keys")?, draft?);
    Some(ExpectSearch { index: name.clone(), query, keys, span: span.clone() })
}

/// What an expectation of the table's keys looks like.
fn example(draft: Option<&table::Draft>) -> String {
    let columns = draft.map_or(1, |draft| draft.table.key.len());
    let key = match columns {
        1 => "\"1\"".to_owned(),
        _ => format!("[{}]", vec!["\"1\""; columns].join(", ")),
    };
    format!("{{ query = \"blue\", keys = [{key}] }}")
}

fn read_keys(report: &mut Report, value: &Value, draft: &table::Draft) -> Vec<Key> {
    let Kind::Array(elements) = &value.kind else {
        report
            .error(&value.span, format!("`keys` must be a list, not {}", value.kind.describe()))
            .label("expected a list")
            .hint("the keys of the rows that are found; none: keys = []".to_owned());
        return Vec::new();
    };
    let mut keys: Vec<Key> = Vec::new();
    for element in elements {
        let Some(key) = read_key(report, element, draft) else { continue };
        if keys.contains(&key) {
            report.error(&element.span, "this key is there twice").label("second time");
        }
        keys.push(key);
    }
    keys
}

/// One value, or a list with one for each key column.
fn read_key(report: &mut Report, value: &Value, draft: &table::Draft) -> Option<Key> {
    let table = &draft.table;
    if !draft.keyed || table.key.iter().any(|&column| !draft.typed[column]) {
        return None;
    }
    let parts = match &value.kind {
        Kind::Array(parts) => parts.as_slice(),
        _ => std::slice::from_ref(value),
    };
    if parts.len() != table.key.len() {
        let columns = table.key.iter().map(|&column| table.columns[column].name.as_str());
        let columns = columns.collect::<Vec<_>>().join(", ");
        report
            .error(&value.span, format!("a key of `{}` is {columns}", table.name))
            .label(format!("{} of {} values", parts.len(), table.key.len()))
            .hint(match table.key.len() {
                1 => "one value for each row".to_owned(),
                _ => format!("a list for each row: [[{columns}], ...]"),
            });
        return None;
    }
    let mut cells = SmallVec::new();
    for (part, &column) in parts.iter().zip(&table.key) {
        let column = &table.columns[column];
        match default::cell(&part.kind, column.column_type) {
            Ok(cell) => cells.push(cell),
            Err(problem) => {
                report
                    .error(
                        &part.span,
                        format!("`{}` is {}: {problem}", column.name, column.column_type),
                    )
                    .label("no value of this column");
            }
        }
    }
    (cells.len() == table.key.len()).then_some(Key(cells))
}
