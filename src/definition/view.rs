//! `[views.*]`: plain SQL over the tables. Here what can be told without SQLite; `store::view` asks it the rest.

use crate::definition::View;
use crate::definition::column;
use crate::definition::name::{self, Folded};
use crate::definition::table;
use crate::row::ColumnType;
use crate::syntax::{Entry, Kind, Report, Table, Text, Value};

const KEYS: [&str; 3] = ["sql", "key", "columns"];

/// Reads all views.
pub(super) fn read(report: &mut Report, value: &Value, tables: &[table::Draft]) -> Vec<View> {
    let Some(views) = report.table(value, "`views`") else { return Vec::new() };
    let mut names = Folded::default();
    views
        .entries
        .iter()
        .filter_map(|entry| {
            let (name, span) = (&entry.key.name, &entry.key.span);
            name::check(report, "view", name, span);
            names.insert(report, "view", name, span);
            let taken = tables.iter().find(|draft| draft.table.name.eq_ignore_ascii_case(name));
            if let Some(taken) = taken {
                report
                    .error(span, format!("there is a table `{}` already", taken.table.name))
                    .label("a view needs a name of its own");
            }
            read_one(report, entry)
        })
        .collect()
}

fn read_one(report: &mut Report, entry: &Entry) -> Option<View> {
    let name = &entry.key.name;
    let Kind::Table(view) = &entry.value.kind else {
        report
            .error(
                &entry.value.span,
                format!("view `{name}` must be a table, not {}", entry.value.kind.describe()),
            )
            .label("expected a table")
            .hint(format!("write views.{name}.sql = \"SELECT ...\""));
        return None;
    };
    report.unknown_keys(view, &format!("view `{name}`"), &KEYS);
    let key = view.get("key").map(|value| read_key(report, name, value)).unwrap_or_default();
    let columns = view.get("columns").map(|value| read_columns(report, value)).unwrap_or_default();
    let sql = read_sql(report, entry, view)?.clone();
    Some(View { name: name.clone(), sql, key, columns, span: entry.key.span.clone() })
}

fn read_sql<'a>(report: &mut Report, entry: &Entry, view: &'a Table) -> Option<&'a Text> {
    let name = &entry.key.name;
    let example = "write sql = \"SELECT ... FROM ...\"".to_owned();
    let Some(value) = view.get("sql") else {
        report
            .error(&entry.key.span, format!("view `{name}` has no SQL"))
            .label("no `sql`")
            .hint(example);
        return None;
    };
    let text = report.text(value, "`sql`")?;
    if text.value.trim().is_empty() {
        report.error(&text.span, "`sql` is empty").label("no SELECT").hint(example);
        return None;
    }
    Some(text)
}

fn read_key(report: &mut Report, name: &str, value: &Value) -> Vec<Text> {
    let Some(names) = report.texts(value, "`key`") else { return Vec::new() };
    if names.is_empty() {
        report
            .error(&value.span, format!("the key of view `{name}` is empty"))
            .label("no column")
            .hint("leave `key` out if no columns tell one row from another".to_owned());
    }
    let mut key: Vec<Text> = Vec::new();
    for name in names {
        if key.iter().any(|first| first.value == name.value) {
            report
                .error(&name.span, format!("column `{}` is there twice", name.value))
                .label("second time");
            continue;
        }
        key.push(name.clone());
    }
    key
}

fn read_columns(report: &mut Report, value: &Value) -> Vec<(Text, ColumnType)> {
    let Kind::Table(columns) = &value.kind else {
        report
            .error(
                &value.span,
                format!(
                    "`columns` must give columns their types, not be {}",
                    value.kind.describe()
                ),
            )
            .label("expected a table")
            .hint("write columns.due = \"decimal(2)\"".to_owned());
        return Vec::new();
    };
    columns.entries.iter().filter_map(|entry| read_column(report, entry)).collect()
}

/// The type of a column; whether there is such a column is for SQLite to say.
fn read_column(report: &mut Report, entry: &Entry) -> Option<(Text, ColumnType)> {
    let name = &entry.key.name;
    let Kind::String(text) = &entry.value.kind else {
        report
            .error(
                &entry.value.span,
                format!(
                    "column `{name}` of a view must be a type in quotes, not {}",
                    entry.value.kind.describe()
                ),
            )
            .label("expected a type")
            .hint(format!("write columns.{name} = \"text\""));
        return None;
    };
    let column_type = column::column_type(report, text)?;
    Some((Text::key(&entry.key), column_type))
}
