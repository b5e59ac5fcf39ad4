//! One handler, compiled: from an event to the operation that it asks for.
//!
//! Order of evaluation: `when`; the key, in key order; then the assignments in the table's column order. All of them
//! are evaluated and converted whether or not the row exists, so that whether an event fails of itself never depends
//! on rows.

use crate::expression::convert::{Mismatch, convert};
use crate::expression::{Expression, Output};
use super::reject::{Kind, Reject};
use super::transition::{Assigned, Operation};
use crate::definition::{Action, Definition, Table, Verb};
use crate::event::chunk::Event;
use crate::row::{Cell, ColumnType, Key};

/// A compiled `[[on]]`.
pub(super) struct Handler {
    pub(super) number: usize,
    pub(super) line: usize,
    pub(super) table: usize,
    pub(super) verb: Verb,
    pub(super) when: Option<Expression>,
    /// In key order.
    pub(super) key: Vec<Value>,
    /// In the table's column order.
    pub(super) assignments: Vec<(usize, Action, Value)>,
}

/// What a key column or an assignment is given.
pub(super) enum Value {
    Constant(Cell),
    Expression(Box<Expression>),
}

impl Handler {
    /// Appends the handler's operation; false if its `when` does not hold.
    pub(super) fn run(
        &self,
        event: &Event,
        definition: &Definition,
        operations: &mut Vec<Operation>,
    ) -> Result<bool, Reject> {
        let table = &definition.tables[self.table];
        let place = Place { handler: self, definition, table, event };
        if let Some(when) = &self.when {
            let output =
                when.evaluate(event).map_err(|failure| place.expression(None, when, &failure))?;
            if !output.is_true() {
                return Ok(false);
            }
        }
        let mut key = Key(Default::default());
        for (&column, value) in table.key.iter().zip(&self.key) {
            let cell = place.cell(column, Action::Set, value)?;
            if cell.is_null() {
                return Err(place.reject(
                    Kind::NullKey,
                    Some(column),
                    value.expression(),
                    "gave null for a key column",
                ));
            }
            key.0.push(cell);
        }
        let mut assignments = Vec::with_capacity(self.assignments.len());
        for (column, action, value) in &self.assignments {
            let cell = place.cell(*column, *action, value)?;
            let set = matches!(action, Action::Set | Action::SetOnce);
            if cell.is_null() && set && table.columns[*column].required {
                return Err(place.reject(
                    Kind::Required,
                    Some(*column),
                    value.expression(),
                    "gave null for a required column",
                ));
            }
            if set || !cell.is_null() {
                assignments.push(Assigned { column: *column, action: *action, cell });
            }
        }
        operations.push(Operation { table: self.table, key, verb: self.verb, assignments });
        Ok(true)
    }
}

impl Value {
    fn expression(&self) -> Option<&Expression> {
        match self {
            Self::Constant(_) => None,
            Self::Expression(expression) => Some(expression),
        }
    }
}

/// Converts what an expression gave to the stored form of its column; null gives `Cell::Null`.
pub(super) fn converted(
    output: Output<'_>,
    column_type: ColumnType,
    action: Action,
) -> Result<Cell, Mismatch> {
    match (action, output) {
        // A truth value counts 1 or 0, so that `add.late = ".data.delay > 15"` counts.
        (Action::Add | Action::Sub, Output::Bool(value)) => {
            let one = match column_type {
                ColumnType::Decimal(digits) => {
                    Cell::Integer(i64::from(value) * 10_i64.pow(u32::from(digits)))
                }
                ColumnType::Real => Cell::Real(f64::from(u8::from(value))),
                _ => Cell::Integer(i64::from(value)),
            };
            Ok(one)
        }
        (_, output) => convert(output, column_type),
    }
}

/// Where a handler is, for the messages of its rejects.
struct Place<'a> {
    handler: &'a Handler,
    definition: &'a Definition,
    table: &'a Table,
    event: &'a Event,
}

impl Place<'_> {
    #[inline]
    fn cell(&self, column: usize, action: Action, value: &Value) -> Result<Cell, Reject> {
        let expression = match value {
            Value::Constant(cell) => return Ok(cell.clone()),
            Value::Expression(expression) => expression,
        };
        let output = expression
            .evaluate(self.event)
            .map_err(|failure| self.expression(Some(column), expression, &failure))?;
        converted(output, self.table.columns[column].column_type, action).map_err(|mismatch| {
            self.reject(Kind::Type, Some(column), Some(expression), &mismatch.to_string())
        })
    }

    fn expression(
        &self,
        column: Option<usize>,
        expression: &Expression,
        failure: &crate::expression::Failure,
    ) -> Reject {
        self.reject(Kind::Expression, column, Some(expression), &failure.to_string())
    }

    /// Names projection, handler, column, expression, what it gave and the event.
    #[cold]
    fn reject(
        &self,
        kind: Kind,
        column: Option<usize>,
        expression: Option<&Expression>,
        problem: &str,
    ) -> Reject {
        let Self { handler, definition, table, event } = self;
        let target = match column {
            Some(column) => {
                let column = &table.columns[column];
                format!("column `{}.{}` ({})", table.name, column.name, column.column_type)
            }
            None => "`when`".to_owned(),
        };
        let text =
            expression.map(|expression| format!(" `{}`", expression.text())).unwrap_or_default();
        let detail = format!(
            "projection `{}`, handler {} (line {}), {target}:{text} {problem} (event {} at sequence {})",
            definition.name,
            handler.number,
            handler.line,
            event.type_name(),
            event.sequence(),
        );
        Reject { kind, detail }
    }
}
