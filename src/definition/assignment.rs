//! `set`, `set_once`, `add`, `sub`, `min`, `max` of one handler.

use std::ops::Range;

use crate::definition::formula::{Names, Spot, check_constant};
use crate::definition::table::{self, unknown_column};
use crate::definition::{Action, Assignment, Column, Object, Verb};
use crate::row::ColumnType;
use crate::syntax::{Entry, Kind, Report, Table, Value};

/// What a handler assigns, as far as it could be read.
#[derive(Debug, Default)]
pub(super) struct Assigned {
    pub(super) object: Option<Object>,
    /// In the table's column order.
    pub(super) assignments: Vec<Assignment>,
    /// Each column that is assigned, by what, and where.
    taken: Vec<(usize, Action)>,
}

/// Where a handler assigns.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) verb: Verb,
    pub(super) target: &'a table::Draft,
    /// The columns that its `where` names.
    pub(super) fixed: &'a [usize],
}

/// Reads the assignments. What is wrong is told and left out.
pub(super) fn read(
    report: &mut Report,
    handler: &Table,
    place: Place<'_>,
    names: &mut Names<'_>,
) -> Assigned {
    let mut assigned = Assigned::default();
    for (action, entry) in parts(handler) {
        if !allowed(report, place.verb, action, entry) {
            continue;
        }
        match &entry.value.kind {
            Kind::Table(columns) => {
                for column in &columns.entries {
                    assigned.read_column(report, action, column, place, names);
                }
            }
            Kind::String(_) if action == Action::Set => {
                assigned.read_object(report, &entry.value, place, names);
            }
            other => not_a_table(report, action, &entry.value, other),
        }
    }
    assigned.assignments.sort_by_key(|assignment| assignment.column);
    assigned
}

/// For a handler whose table is not known: complains of what is wrong with any table.
pub(super) fn read_untargeted(report: &mut Report, handler: &Table, names: &mut Names<'_>) {
    for (action, entry) in parts(handler) {
        let name = action.as_str();
        match &entry.value.kind {
            Kind::Table(columns) => {
                for column in &columns.entries {
                    let what = format!("`{name}.{}`", column.key.name);
                    names.formula(report, &column.value, &what, Spot::Value);
                }
            }
            Kind::String(_) if action == Action::Set => {
                names.formula(report, &entry.value, "`set`", Spot::Value);
            }
            other => not_a_table(report, action, &entry.value, other),
        }
    }
}

impl Assigned {
    fn read_column(
        &mut self,
        report: &mut Report,
        action: Action,
        entry: &Entry,
        place: Place<'_>,
        names: &mut Names<'_>,
    ) {
        let (name, span) = (&entry.key.name, &entry.key.span);
        let what = format!("`{}.{name}`", action.as_str());
        let column = find(report, name, span, place.target, place.fixed);
        if column.is_none() && matches!(entry.value.kind, Kind::Table(_)) {
            // `set.typo.x`, or a path where a column was meant: one complaint will do.
            names.incomplete = true;
            return;
        }
        let value = names.formula(report, &entry.value, &what, Spot::Value);
        let Some(column) = column else { return };
        let (known, typed) = (&place.target.table.columns[column], place.target.typed[column]);
        let fits = typed && check_type(report, action, span, known);
        if !self.take(report, column, action, name, span) {
            return;
        }
        let Some(value) = value else { return };
        if fits {
            check_constant(report, &value, &place.target.table, known, action);
        }
        self.assignments.push(Assignment { column, action, value });
    }

    /// `set` as one expression.
    fn read_object(
        &mut self,
        report: &mut Report,
        value: &Value,
        place: Place<'_>,
        names: &mut Names<'_>,
    ) {
        let Some((formula, _)) = names.expression(report, value, "`set`", Spot::Value) else {
            return;
        };
        let Kind::String(text) = &value.kind else { return };
        let Some(members) = formula.expression.object_members() else {
            report
                .error(&value.span, "`set` does not say which columns it assigns")
                .label("its last step is not an object with plain keys")
                .hint("such as: set = '.data | {status, total: .amount}'".to_owned());
            return;
        };
        let mut columns = Vec::new();
        for (name, span) in members {
            let span = text.locate(span.clone());
            let found = find(report, name, &span, place.target, place.fixed);
            columns.extend(
                found.filter(|&column| self.take(report, column, Action::Set, name, &span)),
            );
        }
        columns.sort_unstable();
        self.object = Some(Object { value: formula, columns });
    }

    /// Notes that a column is assigned; false if it was before.
    fn take(
        &mut self,
        report: &mut Report,
        column: usize,
        action: Action,
        name: &str,
        span: &Range<usize>,
    ) -> bool {
        if let Some((_, first)) = self.taken.iter().find(|(taken, _)| *taken == column) {
            report
                .error(span, format!("column `{name}` is assigned twice in this handler"))
                .label("second time")
                .hint(format!("it has `{}.{name}` already", first.as_str()));
            return false;
        }
        self.taken.push((column, action));
        true
    }
}

/// The parts of the handler that assign, in file order.
fn parts(handler: &Table) -> impl Iterator<Item = (Action, &Entry)> {
    handler.entries.iter().filter_map(|entry| {
        let action = Action::ALL.into_iter().find(|action| action.as_str() == entry.key.name);
        action.map(|action| (action, entry))
    })
}

fn allowed(report: &mut Report, verb: Verb, action: Action, entry: &Entry) -> bool {
    if verb == Verb::Delete {
        report
            .error(&entry.key.span, format!("a `delete` handler cannot have `{}`", action.as_str()))
            .label("the row is removed");
        return false;
    }
    if action == Action::SetOnce && verb == Verb::Update {
        report
            .error(&entry.key.span, "an `update` handler cannot have `set_once`")
            .label("assigned only when the handler creates the row, which `update` never does")
            .hint("use `set`, or `upsert`".to_owned());
        return false;
    }
    true
}

fn not_a_table(report: &mut Report, action: Action, value: &Value, kind: &Kind) {
    let name = action.as_str();
    let message = format!("`{name}` must say which column gets what, not be {}", kind.describe());
    report
        .error(&value.span, message)
        .label("expected a table")
        .hint(format!("write {name}.column = ..."));
}

/// The column that an entry assigns; none if there is no such one or it is part of the key.
fn find(
    report: &mut Report,
    name: &str,
    span: &Range<usize>,
    target: &table::Draft,
    fixed: &[usize],
) -> Option<usize> {
    let table = &target.table;
    if table.columns.is_empty() {
        // That there are none has been told.
        return None;
    }
    let Some(index) = table.columns.iter().position(|column| column.name == name) else {
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
    if fixed.contains(&index) {
        report
            .error(span, format!("`{name}` is named by `where` and cannot be assigned"))
            .label("changing it would change which rows match")
            .hint(format!("match by another column, such as the key, to assign `{name}`"));
        return None;
    }
    Some(index)
}

/// Whether the action is one for columns of this type.
fn check_type(report: &mut Report, action: Action, span: &Range<usize>, column: &Column) -> bool {
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
        return true;
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
    report.error(span, message).label(format!("only for {kinds}"));
    false
}

fn is_number(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::Integer | ColumnType::Decimal(_) | ColumnType::Real)
}
