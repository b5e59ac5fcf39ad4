//! One handler over one event: from its expressions to the operations that it asks for.
//!
//! Order of evaluation: `when`; `for_each`; then for each item, every one seeing the effects of the one before: the key,
//! or the rows that `where` finds; then the assignments, all against the same `$row`. All of them are evaluated and
//! converted whether or not the row exists, so that whether an event fails of itself never depends on rows. A `let` is
//! evaluated when an expression that names it is, and then stands for the event, for the item if it names the item,
//! for the row if it names the row.

use super::fold::{Failed, Rows};
use super::handler::{Handler, Once, Target, Value};
use super::reject::{Kind, Place, Reject};
use super::transition::{Assigned, By, Operation, Operations};
use super::view::View;
use crate::definition::{Action, Definition, Table, variable};
use crate::event::chunk::Event;
use crate::expression::{self, Bindings, Expression, Lookup, Output};
use crate::row::{Cell, Key};

/// Items of `for_each` and rows of `where` that one event may have in all.
const EACH_MAX: usize = 100_000;
/// What each of them counts, besides its expressions.
const EACH_OPERATIONS: u64 = expression::EVENT_OPERATIONS_MAX / EACH_MAX as u64;

/// Why an event's operations did not all join the fold.
#[derive(Debug)]
pub enum Stopped<E> {
    /// The event breaks a rule. It has left no trace.
    Reject(Reject),
    /// Do the batch again with an exact fold.
    Uncertain,
    /// A row could not be read.
    Rows(E),
}

/// A handler at work on an event.
pub(super) struct Run<'a, 'o, R: Rows> {
    handler: &'a Handler,
    definition: &'a Definition,
    table: &'a Table,
    event: &'a Event,
    /// None: no handler of the event asks for rows, and operations are gathered.
    view: Option<&'a View<'a, R>>,
    operations: &'o mut Operations,
    /// By slot; empty until the first is needed.
    variables: Vec<expression::Value>,
    /// Which of them hold for the running item and row.
    bound: Vec<bool>,
    /// Of the running item or row, once it has been evaluated.
    key: Option<Keyed>,
    /// The running item's index.
    index: Option<usize>,
}

/// What a handler's key came to.
#[derive(Clone)]
enum Keyed {
    Row(Key),
    /// A key column was null: its place in the key.
    Null(usize),
}

type Stop<R> = Stopped<<R as Rows>::Error>;

impl<'a, 'o, R: Rows> Run<'a, 'o, R> {
    pub(super) fn new(
        handler: &'a Handler,
        definition: &'a Definition,
        event: &'a Event,
        view: Option<&'a View<'a, R>>,
        operations: &'o mut Operations,
    ) -> Self {
        Self {
            handler,
            definition,
            table: &definition.tables[handler.table],
            event,
            view,
            operations,
            variables: Vec::new(),
            bound: Vec::new(),
            key: None,
            index: None,
        }
    }

    /// Carries the handler out; false if its `when` does not hold.
    pub(super) fn run(mut self) -> Result<bool, Stop<R>> {
        if !self.holds(Once::AnEvent)? {
            return Ok(false);
        }
        let Some(for_each) = &self.handler.for_each else { return self.item() };
        let event = self.event;
        let items = match self.evaluate(for_each, Place::ForEach)?.into_value(event) {
            expression::Value::Null => Vec::new(),
            value => match value.into_items() {
                Ok(items) => items,
                Err(value) => {
                    let problem = format!("expected an array or null, got {}", value.shown());
                    return Err(self.reject(Kind::Type, Place::ForEach, Some(for_each), &problem));
                }
            },
        };
        let mut applied = self.handler.when.as_ref().is_none_or(|when| when.once == Once::AnEvent);
        self.charge(items.len(), Place::ForEach)?;
        for (index, item) in items.into_iter().enumerate() {
            self.turn_to_item(index, item);
            applied |= self.item()?;
        }
        Ok(applied)
    }

    /// One item, or the event if the handler has no `for_each`.
    fn item(&mut self) -> Result<bool, Stop<R>> {
        if !self.holds(Once::AnItem)? {
            return Ok(false);
        }
        let Target::Where(columns) = &self.handler.target else {
            let key = match self.keyed()? {
                Keyed::Row(key) => key,
                Keyed::Null(place) => return Err(self.null_key(place)),
            };
            return self.row(key).map(|()| true);
        };
        let per_row = self.handler.when.as_ref().is_some_and(|when| when.once == Once::ARow);
        let mut applied = !per_row;
        for key in self.matching(columns)? {
            self.turn_to_row(key.clone());
            if self.holds(Once::ARow)? {
                applied = true;
                self.row(key)?;
            }
        }
        Ok(applied)
    }

    /// The assignments and the operation on one row.
    fn row(&mut self, key: Key) -> Result<(), Stop<R>> {
        let handler = self.handler;
        let mut assignments = self.operations.assignments();
        if let Some(object) = &handler.object {
            let event = self.event;
            let value = self.evaluate(&object.expression, Place::Object)?.into_value(event);
            if value.kind() != expression::ValueKind::Object {
                let problem = format!("expected an object, got {}", value.shown());
                return Err(self.reject(
                    Kind::Type,
                    Place::Object,
                    Some(&object.expression),
                    &problem,
                ));
            }
            for &column in &object.columns {
                let member = value.member(&self.table.columns[column].name);
                let output = Output::of_value(member.unwrap_or(expression::Value::Null));
                let cell = self.converted(output, column, Action::Set, &object.expression)?;
                self.assign(&mut assignments, column, Action::Set, cell, Some(&object.expression))?;
            }
        }
        for (column, action, value) in &handler.assignments {
            let cell = self.cell(*column, *action, value, Place::Column(*column))?;
            let expression = value.expression().map(|expression| &**expression);
            self.assign(&mut assignments, *column, *action, cell, expression)?;
        }
        if handler.object.is_some() {
            assignments.sort_by_key(|assigned| assigned.column);
        }
        let Handler { number, table, verb, .. } = *handler;
        let by = By { handler: number, index: self.index };
        let operation = Operation { by, table, key, verb, assignments };
        let Some(view) = self.view else {
            self.operations.list.push(operation);
            return Ok(());
        };
        view.apply(operation).map_err(|failed| self.failed(failed))
    }

    #[inline]
    fn assign(
        &self,
        assignments: &mut Vec<Assigned>,
        column: usize,
        action: Action,
        cell: Cell,
        expression: Option<&Expression>,
    ) -> Result<(), Stop<R>> {
        let set = matches!(action, Action::Set | Action::SetOnce);
        if cell.is_null() && set && self.table.columns[column].required {
            let place = Place::Column(column);
            let problem = "gave null for a required column";
            return Err(self.reject(Kind::Required, place, expression, problem));
        }
        if set || !cell.is_null() {
            assignments.push(Assigned { column, action, cell });
        }
        Ok(())
    }

    /// Counts items or rows: an event may not fill the memory with what it does.
    fn charge(&self, count: usize, place: Place) -> Result<(), Stop<R>> {
        if expression::charge((count as u64).saturating_mul(EACH_OPERATIONS)) {
            return Ok(());
        }
        let problem = format!("an event may have {EACH_MAX} items and rows at most");
        Err(self.reject(Kind::Expression, place, None, &problem))
    }

    /// Whether `when` holds, if it is asked this often.
    fn holds(&mut self, once: Once) -> Result<bool, Stop<R>> {
        match &self.handler.when {
            Some(when) if when.once == once => {
                Ok(self.evaluate(&when.expression, Place::When)?.is_true())
            }
            _ => Ok(true),
        }
    }

    fn keyed(&mut self) -> Result<Keyed, Stop<R>> {
        if let Some(keyed) = &self.key {
            return Ok(keyed.clone());
        }
        let Target::Key(values) = &self.handler.target else {
            unreachable!("of `where`, each row's key is known before it is asked for")
        };
        let mut key = Key(Default::default());
        let mut null = None;
        for (place, (&column, value)) in self.table.key.iter().zip(values).enumerate() {
            let cell = self.cell(column, Action::Set, value, Place::Key(column))?;
            if cell.is_null() {
                null = null.or(Some(place));
            }
            key.0.push(cell);
        }
        let keyed = null.map_or(Keyed::Row(key), Keyed::Null);
        // Asked for once more only where an expression names the row.
        if self.handler.reads {
            self.key = Some(keyed.clone());
        }
        Ok(keyed)
    }

    /// The keys of the rows that `where` means; a null matches nothing.
    fn matching(&mut self, columns: &'a [(usize, Value)]) -> Result<Vec<Key>, Stop<R>> {
        let mut cells = Vec::with_capacity(columns.len());
        for (column, value) in columns {
            cells.push(self.cell(*column, Action::Set, value, Place::Where(*column))?);
        }
        if cells.iter().any(Cell::is_null) {
            return Ok(Vec::new());
        }
        let columns: Vec<usize> = columns.iter().map(|(column, _)| *column).collect();
        let view = self.view.expect("a handler with `where` asks for rows");
        let found = view.matching(self.handler.table, &columns, &cells, EACH_MAX);
        let keys = found.map_err(|failed| self.failed(failed))?;
        self.charge(keys.len(), Place::Rows)?;
        Ok(keys)
    }

    #[inline]
    fn cell(
        &mut self,
        column: usize,
        action: Action,
        value: &'a Value,
        place: Place,
    ) -> Result<Cell, Stop<R>> {
        let expression = match value {
            Value::Constant(cell) => return Ok(cell.clone()),
            Value::Expression(expression) => expression,
        };
        let column_type = self.table.columns[column].column_type;
        if let Some(cell) = expression.cell(self.event, column_type) {
            return Ok(cell);
        }
        let converted = action.convert(self.evaluate(expression, place)?, column_type);
        converted.map_err(|mismatch| {
            self.reject(Kind::Type, place, Some(expression), &mismatch.to_string())
        })
    }

    fn converted(
        &self,
        output: Output<'_>,
        column: usize,
        action: Action,
        expression: &Expression,
    ) -> Result<Cell, Stop<R>> {
        let column_type = self.table.columns[column].column_type;
        action.convert(output, column_type).map_err(|mismatch| {
            let place = Place::Column(column);
            self.reject(Kind::Type, place, Some(expression), &mismatch.to_string())
        })
    }

    #[inline]
    fn evaluate(
        &mut self,
        expression: &'a Expression,
        place: Place,
    ) -> Result<Output<'_>, Stop<R>> {
        let failed = |run: &Self, failure: expression::Failure| {
            run.reject(Kind::Expression, place, Some(expression), &failure.to_string())
        };
        if expression.variables().is_empty() && expression.lookups().is_empty() {
            return expression.evaluate(self.event).map_err(|failure| failed(self, failure));
        }
        for &(slot, _) in expression.variables() {
            self.bind(slot)?;
        }
        let rows = self.view.map(|view| view as &dyn Lookup);
        let bindings = Bindings { variables: &self.variables, rows };
        let output = expression.evaluate_with(self.event, &bindings);
        // Before its failure: a look-up that could not be made is none of the event's doing.
        if let Some(stopped) = self.view.and_then(View::take_stopped) {
            return Err(self.failed(stopped));
        }
        output.map_err(|failure| failed(self, failure))
    }

    /// Gives a variable its value, unless it has it.
    fn bind(&mut self, slot: usize) -> Result<(), Stop<R>> {
        self.make_slots();
        if self.bound[slot] {
            return Ok(());
        }
        let value = match slot {
            variable::ROW => self.row_value()?,
            variable::PART => expression::Value::from(self.event.part() as usize),
            variable::ITEM | variable::INDEX => expression::Value::Null,
            slot => {
                let number = slot - variable::LETS;
                let (event, binding) = (self.event, &self.handler.lets[number]);
                self.evaluate(&binding.expression, Place::Let(number))?.into_value(event)
            }
        };
        self.variables[slot] = value;
        self.bound[slot] = true;
        Ok(())
    }

    fn row_value(&mut self) -> Result<expression::Value, Stop<R>> {
        let key = match self.keyed()? {
            Keyed::Null(_) => return Ok(expression::Value::Null),
            Keyed::Row(key) => key,
        };
        let view = self.view.expect("a handler that names `$row` asks for rows");
        // A row may hold as much as an event.
        match expression::within_budget(|| view.row(self.handler.table, &key)) {
            Ok(row) => row.map_err(|failed| self.failed(failed)),
            Err(failure) => {
                let problem = format!("`$row` {failure}");
                Err(self.reject(Kind::Expression, Place::Row, None, &problem))
            }
        }
    }

    fn make_slots(&mut self) {
        if self.bound.is_empty() {
            let slots = variable::LETS + self.handler.lets.len();
            self.variables = vec![expression::Value::Null; slots];
            self.bound = vec![false; slots];
        }
    }

    fn turn_to_item(&mut self, index: usize, item: expression::Value) {
        self.make_slots();
        self.key = None;
        self.index = Some(index);
        self.variables[variable::ITEM] = item;
        self.variables[variable::INDEX] = expression::Value::from(index);
        self.bound[variable::ITEM] = true;
        self.bound[variable::INDEX] = true;
        self.bound[variable::ROW] = false;
        for (binding, bound) in self.handler.lets.iter().zip(&mut self.bound[variable::LETS..]) {
            *bound &= !(binding.uses.item || binding.uses.row);
        }
    }

    fn turn_to_row(&mut self, key: Key) {
        self.make_slots();
        self.key = Some(Keyed::Row(key));
        self.bound[variable::ROW] = false;
        for (binding, bound) in self.handler.lets.iter().zip(&mut self.bound[variable::LETS..]) {
            *bound &= !binding.uses.row;
        }
    }

    #[cold]
    fn null_key(&self, place: usize) -> Stop<R> {
        let Target::Key(values) = &self.handler.target else {
            unreachable!("rows that were found have keys")
        };
        let expression = values[place].expression().map(|expression| &**expression);
        let place = Place::Key(self.table.key[place]);
        self.reject(Kind::NullKey, place, expression, "gave null for a key column")
    }

    fn failed(&self, failed: Failed<R::Error>) -> Stop<R> {
        match failed {
            Failed::Uncertain => Stopped::Uncertain,
            Failed::Rows(error) => Stopped::Rows(error),
            Failed::OutOfRange { failure, by } => {
                Stopped::Reject(Reject::out_of_range(&failure, by, self.definition, self.event))
            }
        }
    }

    #[cold]
    fn reject(
        &self,
        kind: Kind,
        place: Place,
        expression: Option<&Expression>,
        problem: &str,
    ) -> Stop<R> {
        let at = super::reject::At {
            definition: self.definition,
            handler: &self.definition.handlers[self.handler.number - 1],
            place,
            index: self.index,
            event: self.event,
        };
        Stopped::Reject(at.reject(kind, expression, problem))
    }
}
