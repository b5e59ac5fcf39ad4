//! What can be checked only over all handlers: how they share a column, and whether what they do
//! makes whole rows.

use std::collections::BTreeMap;

use crate::definition::handler::Draft;
use crate::definition::{Action, Assignment, Handler, Table, Verb};
use crate::row::{Cell, ColumnType};
use crate::syntax::Report;

/// Gives 0 as the default to every column that is added to and states none.
pub(super) fn default_sums(tables: &mut [Table], handlers: &[Draft]) {
    for Draft { handler, .. } in handlers {
        for Assignment { column, action, .. } in &handler.assignments {
            let column = &mut tables[handler.table].columns[*column];
            if matches!(action, Action::Add | Action::Sub) && column.default.is_none() {
                column.default = Some(match column.column_type {
                    ColumnType::Real => Cell::Real(0.0),
                    _ => Cell::Integer(0),
                });
            }
        }
    }
}

/// One column takes only one of `add` (and `sub`), `min`, `max`: transitions on a key compose only
/// then (`projection::transition`).
pub(super) fn check_folds(report: &mut Report, tables: &[Table], handlers: &[Draft]) {
    let mut folds: BTreeMap<(usize, usize), (Action, usize)> = BTreeMap::new();
    for Draft { handler, .. } in handlers {
        for Assignment { column, action, value } in &handler.assignments {
            let fold = match action {
                Action::Set | Action::SetOnce => continue,
                Action::Add | Action::Sub => Action::Add,
                Action::Min | Action::Max => *action,
            };
            let (first, line) =
                *folds.entry((handler.table, *column)).or_insert((fold, handler.line));
            if first == fold {
                continue;
            }
            let table = &tables[handler.table];
            let name = &table.columns[*column].name;
            report
                .error(
                    &value.span,
                    format!(
                        "column `{}.{name}` cannot have both `{}` and `{}`",
                        table.name,
                        first.as_str(),
                        action.as_str()
                    ),
                )
                .label(format!("the handler on line {line} has `{}`", first.as_str()))
                .hint("give each a column of its own".to_owned());
        }
    }
}

/// A handler that creates rows must give every required column a value.
pub(super) fn check_required(report: &mut Report, tables: &[Table], handlers: &[Draft]) {
    for Draft { handler, target_span } in
        handlers.iter().filter(|draft| draft.handler.verb.creates())
    {
        let table = &tables[handler.table];
        for (index, column) in table.columns.iter().enumerate() {
            let needed = column.required && column.default.is_none() && !table.key.contains(&index);
            if !needed || sets(handler, index) {
                continue;
            }
            let verb = handler.verb.as_str();
            report
                .error(
                    target_span,
                    format!(
                        "the handler creates rows of `{}` without their required column `{}`",
                        table.name, column.name
                    ),
                )
                .label(format!("{verb} needs `set.{0}` or `set_once.{0}`", column.name))
                .hint("set it, give the column a default, or use `update`".to_owned());
        }
    }
}

fn sets(handler: &Handler, column: usize) -> bool {
    handler.assigned().any(|(assigned, action)| {
        assigned == column && matches!(action, Action::Set | Action::SetOnce)
    })
}

/// Warns of tables that stay empty and of columns that stay NULL.
pub(super) fn warn_unused(report: &mut Report, tables: &[Table], handlers: &[Draft]) {
    for (index, table) in tables.iter().enumerate() {
        let mine: Vec<&Handler> = handlers
            .iter()
            .map(|draft| &draft.handler)
            .filter(|handler| handler.table == index)
            .collect();
        if !mine.iter().any(|handler| handler.verb.creates()) {
            let message = match mine.first().map(|handler| handler.verb) {
                None => format!("no handler writes to table `{}`: it stays empty", table.name),
                Some(Verb::Delete) => {
                    format!("no handler creates rows of table `{}`: it stays empty", table.name)
                }
                Some(_) => format!(
                    "no handler creates rows of table `{}`: it stays empty, as `update` changes only rows that exist",
                    table.name
                ),
            };
            report.warning(&table.span, message).label("stays empty");
            continue;
        }
        for (index, column) in table.columns.iter().enumerate() {
            let assigned =
                mine.iter().any(|handler| handler.assigned().any(|(column, _)| column == index));
            if assigned || table.key.contains(&index) {
                continue;
            }
            let stays = if column.default.is_some() { "keeps its default" } else { "stays NULL" };
            report
                .warning(
                    &column.span,
                    format!(
                        "no handler assigns column `{}.{}`: it {stays}",
                        table.name, column.name
                    ),
                )
                .label(stays);
        }
    }
}
