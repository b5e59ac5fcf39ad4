//! `set`, `set_once`, `add`, `sub`, `min`, `max` of one handler.

use crate::definition::handler::formula;
use crate::definition::table::{self, unknown_column};
use crate::definition::{Action, Assignment, Column, Verb};
use crate::row::ColumnType;
use crate::syntax::{Entry, Kind, Report, Table};

const ACTIONS: [Action; 6] =
    [Action::Set, Action::SetOnce, Action::Add, Action::Sub, Action::Min, Action::Max];

/// Reads the assignments in the table's column order. What is wrong is told and left out.
pub(super) fn read(
    report: &mut Report,
    handler: &Table,
    verb: Verb,
    target: &table::Draft,
) -> Vec<Assignment> {
    let mut found: Vec<(Assignment, &Entry)> = Vec::new();
    for (action, entry, columns) in parts(report, handler) {
        if verb == Verb::Delete {
            report
                .error(
                    &entry.key.span,
                    format!("a `delete` handler cannot have `{}`", action.as_str()),
                )
                .label("the row is removed");
            continue;
        }
        if action == Action::SetOnce && verb == Verb::Update {
            report
                .error(&entry.key.span, "an `update` handler cannot have `set_once`")
                .label("assigned only when the handler creates the row, which `update` never does")
                .hint("use `set`, or `upsert`".to_owned());
            continue;
        }
        for column_entry in &columns.entries {
            let Some(column) = find(report, column_entry, target) else { continue };
            let name = &column_entry.key.name;
            let what = format!("`{}.{name}`", action.as_str());
            let value = formula(report, &column_entry.value, &what);
            if target.typed[column] {
                check_type(report, action, column_entry, &target.table.columns[column]);
            }
            if let Some((first, _)) = found.iter().find(|(first, _)| first.column == column) {
                report
                    .error(
                        &column_entry.key.span,
                        format!("column `{name}` is assigned twice in this handler"),
                    )
                    .label("second time")
                    .hint(format!("it has `{}.{name}` already", first.action.as_str()));
                continue;
            }
            if let Some(value) = value {
                found.push((Assignment { column, action, value }, column_entry));
            }
        }
    }
    found.sort_by_key(|(assignment, _)| assignment.column);
    found.into_iter().map(|(assignment, _)| assignment).collect()
}

/// For a handler whose table is not known: complains of what is wrong with any table.
pub(super) fn read_untargeted(report: &mut Report, handler: &Table) {
    for (action, _, columns) in parts(report, handler) {
        for entry in &columns.entries {
            formula(report, &entry.value, &format!("`{}.{}`", action.as_str(), entry.key.name));
        }
    }
}

/// The parts of the handler that assign, in file order.
fn parts<'a>(report: &mut Report, handler: &'a Table) -> Vec<(Action, &'a Entry, &'a Table)> {
    let mut parts = Vec::new();
    for entry in &handler.entries {
        let Some(action) = ACTIONS.into_iter().find(|action| action.as_str() == entry.key.name)
        else {
            continue;
        };
        match &entry.value.kind {
            Kind::Table(columns) => parts.push((action, entry, columns)),
            Kind::String(_) if action == Action::Set => {
                report
                    .error(
                        &entry.value.span,
                        "`set` as one object is not supported by this version of viewd",
                    )
                    .label("not supported yet")
                    .hint(
                        "write one line for each column: set.column = \".data.column\"".to_owned(),
                    );
            }
            other => {
                let name = action.as_str();
                let message = format!(
                    "`{name}` must say which column gets what, not be {}",
                    other.describe()
                );
                report
                    .error(&entry.value.span, message)
                    .label("expected a table")
                    .hint(format!("write {name}.column = ..."));
            }
        }
    }
    parts
}

/// The column that an entry assigns; none if there is no such one or it is part of the key.
fn find(report: &mut Report, entry: &Entry, target: &table::Draft) -> Option<usize> {
    let table = &target.table;
    let (name, span) = (&entry.key.name, &entry.key.span);
    if table.columns.is_empty() {
        // That there are none has been told.
        return None;
    }
    let Some(index) = table.columns.iter().position(|column| column.name == *name) else {
        let others: Vec<&Column> = table
            .columns
            .iter()
            .enumerate()
            .filter(|(index, _)| !table.key.contains(index))
            .map(|(_, column)| column)
            .collect();
        unknown_column(report, name, span, &table.name, &others);
        return None;
    };
    if table.key.contains(&index) {
        report
            .error(
                span,
                format!(
                    "`{name}` is a key column of table `{}` and cannot be assigned",
                    table.name
                ),
            )
            .label("a row keeps its key")
            .hint(format!("say which row with key.{name}"));
        return None;
    }
    Some(index)
}

fn check_type(report: &mut Report, action: Action, entry: &Entry, column: &Column) {
    let name = &column.name;
    let fits = match action {
        Action::Set | Action::SetOnce => true,
        Action::Add | Action::Sub => is_number(column.column_type),
        Action::Min | Action::Max => {
            is_number(column.column_type)
                || matches!(
                    column.column_type,
                    ColumnType::Text | ColumnType::Timestamp | ColumnType::Date
                )
        }
    };
    if fits {
        return;
    }
    let kinds = match action {
        Action::Add | Action::Sub => "integer, decimal and real columns",
        _ => "integer, decimal, real, text, timestamp and date columns",
    };
    let message = format!(
        "`{}` cannot be used on `{name}`, which is {}",
        action.as_str(),
        column.column_type
    );
    report.error(&entry.key.span, message).label(format!("only for {kinds}"));
}

fn is_number(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::Integer | ColumnType::Decimal(_) | ColumnType::Real)
}
