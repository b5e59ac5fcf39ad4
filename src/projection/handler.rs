//! One `[[on]]`, made ready for its events.
//!
//! What each expression depends on is known when it is compiled: whether it must be evaluated once an event, once an
//! item of `for_each`, or once a row of `where`, and whether it asks for rows at all. A handler that asks for none is a
//! pure function of the event.

use std::sync::Arc;

use super::transition::{Assigned, By, Operation, Operations};
use crate::definition::{self, Action, Assignment, Formula, Table, Verb, variable};
use crate::event::chunk::Event;
use crate::expression::Expression;
use crate::row::{Cell, ColumnType, Key};

/// A compiled `[[on]]`.
pub(super) struct Handler {
    pub(super) number: usize,
    pub(super) table: usize,
    pub(super) verb: Verb,
    pub(super) when: Option<When>,
    pub(super) for_each: Option<Arc<Expression>>,
    pub(super) lets: Vec<Let>,
    pub(super) target: Target,
    pub(super) object: Option<Object>,
    /// In the table's column order.
    pub(super) assignments: Vec<(usize, Action, Value)>,
    /// It asks for rows: what it does depends on them.
    pub(super) reads: bool,
    /// It does one thing, whatever the event holds, and needs nothing else: see [`Handler::plainly`].
    pub(super) plain: bool,
}

pub(super) struct When {
    pub(super) expression: Arc<Expression>,
    /// How often it is asked.
    pub(super) once: Once,
}

/// How often something is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Once {
    AnEvent,
    AnItem,
    ARow,
}

pub(super) struct Let {
    pub(super) expression: Arc<Expression>,
    pub(super) uses: Uses,
}

/// Which rows are meant.
pub(super) enum Target {
    /// In key order.
    Key(Vec<Value>),
    /// Columns and what they must hold.
    Where(Vec<(usize, Value)>),
}

/// `set` as one expression: columns from the members of their names.
pub(super) struct Object {
    pub(super) expression: Arc<Expression>,
    pub(super) columns: Vec<usize>,
}

/// What a key column or an assignment is given.
pub(super) enum Value {
    Constant(Cell),
    Expression(Arc<Expression>),
}

/// What an expression depends on besides its event, through lets as well.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Uses {
    pub(super) item: bool,
    pub(super) row: bool,
    lookup: bool,
}

impl Handler {
    pub(super) fn new(handler: &definition::Handler, table: &Table) -> Self {
        let mut lets: Vec<Let> = Vec::new();
        for binding in &handler.lets {
            let expression = Arc::clone(&binding.value.expression);
            let uses = Uses::of(&expression, &lets);
            lets.push(Let { expression, uses });
        }
        let target = target(handler, table);
        let assignment = |Assignment { column, action, value }: &Assignment| {
            (*column, *action, Value::new(value, table, *column, *action))
        };
        let mut compiled = Self {
            number: handler.number,
            table: handler.table,
            verb: handler.verb,
            when: None,
            for_each: handler.for_each.as_ref().map(|formula| Arc::clone(&formula.expression)),
            lets,
            target,
            object: handler.object.as_ref().map(|object| Object {
                expression: Arc::clone(&object.value.expression),
                columns: object.columns.clone(),
            }),
            assignments: handler.assignments.iter().map(assignment).collect(),
            reads: false,
            plain: false,
        };
        compiled.when = handler.when.as_ref().map(|when| When {
            expression: Arc::clone(&when.expression),
            once: compiled.once(&when.expression),
        });
        compiled.reads = matches!(compiled.target, Target::Where(_))
            || compiled.expressions().any(|expression| {
                let uses = Uses::of(expression, &compiled.lets);
                uses.row || uses.lookup
            });
        compiled.plain = compiled.when.is_none()
            && compiled.for_each.is_none()
            && compiled.object.is_none()
            && !compiled.reads
            && compiled.expressions().all(|expression| expression.variables().is_empty());
        compiled
    }

    /// Gathers what it does for an event, where nothing of that breaks a rule; false says nothing. Of a plain one.
    ///
    /// Nearly all events are that plain, and [`Run`](super::run::Run) is for those that are not.
    #[inline]
    pub(super) fn plainly(
        &self,
        event: &Event,
        table: &Table,
        operations: &mut Operations,
    ) -> bool {
        let Target::Key(values) = &self.target else { return false };
        let mut key = Key(Default::default());
        for (&column, value) in table.key.iter().zip(values) {
            match value.cell(event, Action::Set, table.columns[column].column_type) {
                None | Some(Cell::Null) => return false,
                Some(cell) => key.0.push(cell),
            }
        }
        let mut assignments = operations.assignments();
        for (column, action, value) in &self.assignments {
            let (column, action) = (*column, *action);
            let declared = &table.columns[column];
            let set = matches!(action, Action::Set | Action::SetOnce);
            match value.cell(event, action, declared.column_type) {
                Some(Cell::Null) if !set => {}
                Some(cell) if !cell.is_null() || !declared.required => {
                    assignments.push(Assigned { column, action, cell });
                }
                _ => {
                    operations.keep(assignments);
                    return false;
                }
            }
        }
        let by = By { handler: self.number, index: None };
        let (table, verb) = (self.table, self.verb);
        operations.list.push(Operation { by, table, key, verb, assignments });
        true
    }

    /// Whether it may do the same for many items or rows.
    pub(super) fn repeats(&self) -> bool {
        self.for_each.is_some() || matches!(self.target, Target::Where(_))
    }

    /// How often `when` is asked: it may name the row before the row's key has been evaluated.
    fn once(&self, when: &Expression) -> Once {
        let uses = Uses::of(when, &self.lets);
        let key_of_item = || match &self.target {
            Target::Key(key) => key
                .iter()
                .filter_map(Value::expression)
                .any(|expression| Uses::of(expression, &self.lets).item),
            Target::Where(_) => false,
        };
        match &self.target {
            Target::Where(_) if uses.row => Once::ARow,
            _ if uses.item || (uses.row && key_of_item()) => Once::AnItem,
            _ => Once::AnEvent,
        }
    }

    fn expressions(&self) -> impl Iterator<Item = &Arc<Expression>> {
        let when = self.when.iter().map(|when| &when.expression);
        let target: Vec<&Arc<Expression>> = match &self.target {
            Target::Key(key) => key.iter().filter_map(Value::expression).collect(),
            Target::Where(columns) => {
                columns.iter().filter_map(|(_, value)| value.expression()).collect()
            }
        };
        let assigned = self.assignments.iter().filter_map(|(.., value)| value.expression());
        when.chain(&self.for_each)
            .chain(target)
            .chain(self.object.iter().map(|object| &object.expression))
            .chain(assigned)
    }
}

impl Value {
    /// A constant is converted once.
    fn new(formula: &Formula, table: &Table, column: usize, action: Action) -> Self {
        match formula.expression.literal() {
            None => Self::Expression(Arc::clone(&formula.expression)),
            Some(literal) => {
                let cell = action.convert(literal, table.columns[column].column_type);
                Self::Constant(cell.expect("a definition's constants fit their columns"))
            }
        }
    }

    /// What a column is given; None says nothing.
    #[inline]
    fn cell(&self, event: &Event, action: Action, column_type: ColumnType) -> Option<Cell> {
        let expression = match self {
            Self::Constant(cell) => return Some(cell.clone()),
            Self::Expression(expression) => expression,
        };
        let cell = expression.cell(event, column_type);
        cell.or_else(|| action.convert(expression.evaluate(event).ok()?, column_type).ok())
    }

    pub(super) fn expression(&self) -> Option<&Arc<Expression>> {
        match self {
            Self::Constant(_) => None,
            Self::Expression(expression) => Some(expression),
        }
    }
}

impl Uses {
    /// Of an expression that may name these lets.
    fn of(expression: &Expression, lets: &[Let]) -> Self {
        let mut uses = Self { lookup: !expression.lookups().is_empty(), ..Self::default() };
        for (slot, _) in expression.variables() {
            match *slot {
                variable::ROW => uses.row = true,
                variable::ITEM | variable::INDEX => uses.item = true,
                variable::PART => {}
                slot => {
                    let used = lets[slot - variable::LETS].uses;
                    uses.item |= used.item;
                    uses.row |= used.row;
                    uses.lookup |= used.lookup;
                }
            }
        }
        uses
    }
}

fn target(handler: &definition::Handler, table: &Table) -> Target {
    match &handler.target {
        definition::Target::Key(key) => {
            let key = table.key.iter().zip(key);
            let value = |(&column, formula)| Value::new(formula, table, column, Action::Set);
            Target::Key(key.map(value).collect())
        }
        definition::Target::Where(columns) => {
            let value = |(column, formula): &(usize, Formula)| {
                (*column, Value::new(formula, table, *column, Action::Set))
            };
            Target::Where(columns.iter().map(value).collect())
        }
    }
}
