//! What becomes of one row: operations on one key, composed.
//!
//! A transition answers two questions: what is there afterwards if no row was there, and what if one was. Composing
//! operations needs no look at the stored row, so a batch of any number of events ends as one statement per touched
//! row. The first answer is always a whole row or none; the second is a change per column, until an operation makes
//! both answers the same ([`Transition::Settled`]).
//!
//! | operation | if absent | if present |
//! |---|---|---|
//! | insert | the new row | no change |
//! | upsert | the new row | the assignments, without `set_once` |
//! | update | nothing | the assignments |
//! | delete | nothing | nothing: settled |
//!
//! Only two things can go wrong on a row: an integer or decimal leaves 64 bits, or sums of reals leave the finite
//! numbers. For integers the sum that was added keeps its lowest and highest prefix, and a stored row is changed only
//! if the row plus each of them fits (a [`Guard`]): the composed transition fails exactly when one of its operations,
//! one at a time, would have. Guards survive a later `set` or `delete` of their column.

use crate::definition::{Action, Table, Verb};
use crate::row::{Cell, ColumnType, Key, Row};

/// What one handler does to one row. The cells are of their columns' stored forms.
#[derive(Clone, Debug, PartialEq)]
pub struct Operation {
    pub by: By,
    /// Index of the table in its definition.
    pub table: usize,
    pub key: Key,
    pub verb: Verb,
    /// In the table's column order, at most one a column. A null output of add, sub, min or max is left out.
    pub assignments: Vec<Assigned>,
}

/// The operations of one event, and memory for those of the next.
#[derive(Debug, Default)]
pub struct Operations {
    pub(super) list: Vec<Operation>,
    spare: Vec<Vec<Assigned>>,
}

/// Who asks for an operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct By {
    /// The handler, counted from 1.
    pub handler: usize,
    /// The item of its `for_each`, from 0.
    pub index: Option<usize>,
}

/// One column's part of an operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Assigned {
    pub column: usize,
    pub action: Action,
    pub cell: Cell,
}

/// Operations on one key, composed.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition {
    /// The same row, or none, is there afterwards whatever was there before.
    Settled { row: Option<Row>, guards: Vec<Guard> },
    /// It depends on whether a row was there.
    Open {
        absent: Option<Row>,
        /// One a column, in the table's column order.
        present: Box<[Change]>,
        guards: Vec<Guard>,
    },
}

/// What becomes of one column of a row that was there.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    Keep,
    Set(Cell),
    /// On integer and decimal columns; NULL counts as 0. Boxed: a row's changes are as large as the largest.
    Add(Box<Sum>),
    /// The lesser of the stored value and this; NULL counts as absent.
    Min(Cell),
    Max(Cell),
}

/// What was added to a column, with the extremes that the sum passed on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Sum {
    pub total: i128,
    /// At most 0: the lowest prefix sum, the empty one included.
    pub lowest: i128,
    /// At least 0.
    pub highest: i128,
}

/// A demand on the row that was there: column plus `lowest` and column plus `highest` fit 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Guard {
    pub column: usize,
    pub lowest: i128,
    pub highest: i128,
}

/// An operation that fails on the row as it stands.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot be {}: the sum leaves the range of {column_type}", if *.sub { "subtracted" } else { "added" })]
pub struct OutOfRange {
    /// Index into the table's columns.
    pub column: usize,
    pub column_type: ColumnType,
    /// It was to be subtracted.
    pub sub: bool,
}

impl Operations {
    /// Forgets them, but not their memory.
    pub(super) fn clear(&mut self) {
        self.cut(0);
    }

    /// Forgets all but the first of them.
    pub(super) fn cut(&mut self, length: usize) {
        while self.list.len() > length
            && let Some(operation) = self.list.pop()
        {
            self.keep(operation.assignments);
        }
    }

    /// Takes the memory of a list that is not needed any more.
    pub(super) fn keep(&mut self, mut assignments: Vec<Assigned>) {
        assignments.clear();
        self.spare.push(assignments);
    }

    /// An empty list of assignments.
    pub(super) fn assignments(&mut self) -> Vec<Assigned> {
        self.spare.pop().unwrap_or_default()
    }
}

impl Operation {
    /// Whether it can fail on a row.
    pub fn may_fail(&self) -> bool {
        self.assignments.iter().any(Assigned::is_sum)
    }
}

impl Assigned {
    fn is_sum(&self) -> bool {
        matches!(self.action, Action::Add | Action::Sub)
    }
}

impl Transition {
    /// The transition that changes nothing.
    pub fn identity(table: &Table) -> Self {
        let present = vec![Change::Keep; table.columns.len()].into();
        Self::Open { absent: None, present, guards: Vec::new() }
    }

    /// The row as it is known to stand.
    pub fn known(row: Option<Row>) -> Self {
        Self::Settled { row, guards: Vec::new() }
    }

    /// Composes one more operation on this key.
    ///
    /// Fails when either answer leaves its column's range. In an open transition that says nothing yet of the stored
    /// row: the caller starts again from [`Transition::known`]. After a failure the transition is in no defined state.
    pub fn apply(&mut self, operation: &Operation, table: &Table) -> Result<(), OutOfRange> {
        match self {
            Self::Settled { row, .. } => settle(row, operation, table),
            Self::Open { absent, present, guards } => {
                if operation.verb == Verb::Delete {
                    guards.extend(
                        present
                            .iter()
                            .enumerate()
                            .filter_map(|(column, change)| guard(column, change)),
                    );
                    *self = Self::Settled { row: None, guards: std::mem::take(guards) };
                    return Ok(());
                }
                if operation.verb != Verb::Insert {
                    for assigned in &operation.assignments {
                        change(&mut present[assigned.column], assigned, table, guards)?;
                    }
                }
                settle(absent, operation, table)
            }
        }
    }

    /// What is there afterwards if `row` is what was there.
    ///
    /// Fails when a guard or a sum does not hold on it; the failure names the first such column.
    pub fn onto(self, row: Option<Row>, table: &Table) -> Result<Option<Row>, OutOfRange> {
        let held = |guards: &[Guard], cells: &Row| {
            let broken = guards.iter().find(|guard| !guard.holds(&cells[guard.column]));
            broken.map_or(Ok(()), |guard| Err(out_of_range(guard.column, Action::Add, table)))
        };
        match (self, row) {
            (Self::Settled { row: after, guards }, before) => {
                before.map_or(Ok(()), |cells| held(&guards, &cells))?;
                Ok(after)
            }
            (Self::Open { absent, .. }, None) => Ok(absent),
            (Self::Open { present, guards, .. }, Some(mut cells)) => {
                held(&guards, &cells)?;
                for (column, (cell, change)) in cells.iter_mut().zip(present).enumerate() {
                    change.onto(column, cell, table)?;
                }
                Ok(Some(cells))
            }
        }
    }

    /// Whether an operation can be composed exactly only on a known row: sums of reals run in event order.
    pub fn needs_known(operation: &Operation, table: &Table) -> bool {
        operation.assignments.iter().any(|assigned| {
            assigned.is_sum() && table.columns[assigned.column].column_type == ColumnType::Real
        })
    }
}

/// Applies an operation to a row that is fully known.
fn settle(row: &mut Option<Row>, operation: &Operation, table: &Table) -> Result<(), OutOfRange> {
    match (operation.verb, &mut *row) {
        (Verb::Delete, _) => *row = None,
        (Verb::Update, None) | (Verb::Insert, Some(_)) => {}
        (Verb::Update | Verb::Upsert, Some(cells)) => {
            for assigned in
                operation.assignments.iter().filter(|assigned| assigned.action != Action::SetOnce)
            {
                assign_to(&mut cells[assigned.column], assigned, table)?;
            }
        }
        (Verb::Insert | Verb::Upsert, None) => {
            let mut cells: Row = vec![Cell::Null; table.columns.len()].into();
            for (&column, cell) in table.key.iter().zip(&operation.key.0) {
                cells[column] = cell.clone();
            }
            fill(&mut cells, &table.key, table);
            for assigned in &operation.assignments {
                assign_to(&mut cells[assigned.column], assigned, table)?;
            }
            *row = Some(cells);
        }
    }
    Ok(())
}

/// Applies one assignment to a known cell.
fn assign_to(cell: &mut Cell, assigned: &Assigned, table: &Table) -> Result<(), OutOfRange> {
    let before = std::mem::replace(cell, Cell::Null);
    *cell = assign(before, assigned.action, assigned.cell.clone())
        .ok_or_else(|| out_of_range(assigned.column, assigned.action, table))?;
    Ok(())
}

/// Makes of each amount that is added to a row, or to a new one, the sum that becomes of it.
///
/// That is all that can fail, so it comes before anything is changed.
#[inline]
pub(super) fn add_up(
    row: Option<&[Cell]>,
    operation: &mut Operation,
    table: &Table,
) -> Result<(), OutOfRange> {
    for assigned in operation.assignments.iter_mut().filter(|assigned| assigned.is_sum()) {
        let Assigned { column, action, ref cell } = *assigned;
        let before = match row {
            Some(cells) => &cells[column],
            None => table.columns[column].default.as_ref().unwrap_or(&Cell::Null),
        };
        assigned.cell =
            added(before, action, cell).ok_or_else(|| out_of_range(column, action, table))?;
    }
    Ok(())
}

/// Carries out an assignment whose sum has been added up; what it held is dropped or left in `value`.
#[inline]
pub(super) fn put(cell: &mut Cell, action: Action, value: &mut Cell, there: bool) {
    let stays = match action {
        Action::SetOnce => there,
        Action::Min => !cell.is_null() && *value >= *cell,
        Action::Max => !cell.is_null() && *value <= *cell,
        Action::Set | Action::Add | Action::Sub => false,
    };
    if !stays {
        std::mem::swap(cell, value);
    }
}

/// Gives the cells of a new row their defaults; those of its key have their values.
pub(super) fn fill(cells: &mut [Cell], key: &[usize], table: &Table) {
    for (index, (cell, column)) in cells.iter_mut().zip(&table.columns).enumerate() {
        if !key.contains(&index) {
            *cell = column.default.clone().unwrap_or(Cell::Null);
        }
    }
}

/// What an assignment makes of a known cell; None if that leaves the column's range.
#[inline]
fn assign(mut cell: Cell, action: Action, mut value: Cell) -> Option<Cell> {
    if let Action::Add | Action::Sub = action {
        return added(&cell, action, &value);
    }
    put(&mut cell, action, &mut value, false);
    Some(cell)
}

/// The cell plus or minus what is assigned; None if that leaves the column's range.
fn added(cell: &Cell, action: Action, value: &Cell) -> Option<Cell> {
    let real = |cell: &Cell| match cell {
        Cell::Real(value) => *value,
        _ => 0.0,
    };
    if let Cell::Real(amount) = *value {
        let amount = if action == Action::Sub { -amount } else { amount };
        let sum = real(cell) + amount;
        // -0.0 is stored as 0.0.
        return sum.is_finite().then_some(Cell::Real(sum + 0.0));
    }
    let (base, amount) = (integer(cell), integer(value));
    let sum =
        if action == Action::Sub { base.checked_sub(amount) } else { base.checked_add(amount) };
    sum.map(Cell::Integer)
}

/// Composes one assignment on a column of a row that is there but not known.
fn change(
    change: &mut Change,
    assigned: &Assigned,
    table: &Table,
    guards: &mut Vec<Guard>,
) -> Result<(), OutOfRange> {
    match (assigned.action, &mut *change) {
        (Action::SetOnce, _) => {}
        (Action::Set, _) => {
            guards.extend(guard(assigned.column, change));
            *change = Change::Set(assigned.cell.clone());
        }
        (_, Change::Set(cell)) => assign_to(cell, assigned, table)?,
        (Action::Add | Action::Sub, Change::Add(sum)) => sum.add(amount(assigned)),
        (Action::Add | Action::Sub, _) => {
            let mut sum = Sum::default();
            sum.add(amount(assigned));
            *change = Change::Add(Box::new(sum));
        }
        // A definition lets one column take only one of add, min and max, so what is there is of the same kind.
        (Action::Min, Change::Min(cell)) | (Action::Max, Change::Max(cell)) => {
            assign_to(cell, assigned, table)?
        }
        (Action::Min, _) => *change = Change::Min(assigned.cell.clone()),
        (Action::Max, _) => *change = Change::Max(assigned.cell.clone()),
    }
    Ok(())
}

impl Change {
    fn onto(self, column: usize, cell: &mut Cell, table: &Table) -> Result<(), OutOfRange> {
        match self {
            Self::Keep => {}
            Self::Set(value) => *cell = value,
            Self::Add(sum) => {
                let guard = Guard { column, lowest: sum.lowest, highest: sum.highest };
                if !guard.holds(cell) {
                    return Err(out_of_range(column, Action::Add, table));
                }
                let total = i128::from(integer(cell)) + sum.total;
                *cell = Cell::Integer(i64::try_from(total).expect("between two sums that fit"));
            }
            Self::Min(value) if cell.is_null() || value < *cell => *cell = value,
            Self::Max(value) if cell.is_null() || value > *cell => *cell = value,
            Self::Min(_) | Self::Max(_) => {}
        }
        Ok(())
    }
}

impl Guard {
    /// Whether a stored value (NULL counts as 0) can take the sums that were added to it.
    pub fn holds(&self, cell: &Cell) -> bool {
        let base = i128::from(integer(cell));
        let fits = |sum: i128| i64::try_from(base + sum).is_ok();
        fits(self.lowest) && fits(self.highest)
    }
}

impl Sum {
    fn add(&mut self, amount: i128) {
        // 2^63 amounts of 63 bits each would be needed to leave 128 bits.
        self.total += amount;
        self.lowest = self.lowest.min(self.total);
        self.highest = self.highest.max(self.total);
    }
}

fn guard(column: usize, change: &Change) -> Option<Guard> {
    match change {
        Change::Add(sum) => Some(Guard { column, lowest: sum.lowest, highest: sum.highest }),
        _ => None,
    }
}

fn integer(cell: &Cell) -> i64 {
    match cell {
        Cell::Integer(value) => *value,
        _ => 0,
    }
}

fn amount(assigned: &Assigned) -> i128 {
    let amount = i128::from(integer(&assigned.cell));
    if assigned.action == Action::Sub { -amount } else { amount }
}

fn out_of_range(column: usize, action: Action, table: &Table) -> OutOfRange {
    let column_type = table.columns[column].column_type;
    OutOfRange { column, column_type, sub: action == Action::Sub }
}
