//! Projections and messages out of a list of numbers.
//!
//! Each number decides one thing, and 0, which a list that has run out gives for ever, always decides for the plainest.
//! So a failing case shrinks by itself: shorter lists of smaller numbers are simpler cases.

mod expressions;
mod messages;
mod special;

use self::expressions::Scope;
use super::model::{
    Action, Cell, Column, Default, Expression, Fold, Handler, Kind, Object, OnError, OrderKey,
    Prefix, Projection, Table, Target, Verb,
};

/// The decisions of one case, taken one after the other.
pub struct Choices<'a> {
    left: std::slice::Iter<'a, u32>,
    /// Few events fail, so that rows live long and meet.
    calm: bool,
    /// Messages are split into parts.
    parts: bool,
}

/// What a handler is for.
#[derive(Clone, Copy)]
enum Role {
    Any,
    /// Creates rows of this table.
    Creates(usize),
    /// Has a `where`.
    Finds,
}

const PATTERNS: [&str; 8] = ["A", "B", "AB", "A*", "*B", "*", "*", "C"];

impl<'a> Choices<'a> {
    pub fn new(list: &'a [u32]) -> Self {
        Self { left: list.iter(), calm: false, parts: false }
    }

    /// A number below `count`.
    fn below(&mut self, count: usize) -> usize {
        self.left.next().copied().unwrap_or(0) as usize % count
    }

    /// Once in `count` times; never when the list has run out.
    fn once_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    pub fn projection(&mut self) -> Projection {
        match self.below(10) {
            8 | 9 => return self.sums(),
            6 | 7 => return self.searched(),
            _ => {}
        }
        let on_error = self.of(&[
            OnError::Park,
            OnError::Park,
            OnError::Skip,
            OnError::Park,
            OnError::Skip,
            OnError::Park,
            OnError::Skip,
            OnError::Halt,
        ]);
        let order_key = self.of(&[None, Some(OrderKey::Token), None, Some(OrderKey::Data), None]);
        let (dead_letters_max, parked_events_max) =
            (self.of(&[1000, 1000, 1000, 1000, 3]), self.of(&[1000, 1000, 1000, 1000, 5]));
        let transform = self.once_in(3);
        self.parts = transform;
        let on_error = if transform && self.once_in(3) { OnError::Halt } else { on_error };
        // What is to stop within a message must come that far.
        self.calm = self.once_in(2) || (transform && on_error == OnError::Halt);
        let tables: Vec<Table> = (0..1 + self.below(3)).map(|_| self.table()).collect();
        let handlers = (0..1 + self.below(7)).map(|number| {
            let creates = self.calm && number < tables.len();
            self.handler(&tables, if creates { Role::Creates(number) } else { Role::Any })
        });
        let handlers = handlers.collect();
        Projection {
            tables,
            handlers,
            transform,
            order_key,
            on_error,
            dead_letters_max,
            parked_events_max,
        }
    }

    fn table(&mut self) -> Table {
        let keys = 1 + usize::from(self.once_in(3));
        let kinds = [
            Kind::Text,
            Kind::Integer,
            Kind::Integer,
            Kind::Text,
            Kind::Boolean,
            Kind::Date,
            Kind::Timestamp,
            Kind::Decimal(1),
            Kind::Bytes,
        ];
        let kinds = if self.calm { &kinds[..4] } else { &kinds[..] };
        let mut columns: Vec<Column> = (0..keys)
            .map(|_| Column {
                kind: self.of(kinds),
                required: true,
                default: None,
                fold: Fold::None,
            })
            .collect();
        columns.extend((0..1 + self.below(4)).map(|_| self.column()));
        let mut indexes = Vec::new();
        for (index, column) in columns.iter().enumerate() {
            if !matches!(column.kind, Kind::Real | Kind::Json) && self.once_in(6) {
                indexes.push(vec![index]);
            }
        }
        Table { keys, columns, indexes }
    }

    fn column(&mut self) -> Column {
        let kind = self.of(&[
            Kind::Integer,
            Kind::Integer,
            Kind::Decimal(2),
            Kind::Text,
            Kind::Real,
            Kind::Timestamp,
            Kind::Date,
            Kind::Boolean,
            Kind::Json,
            Kind::Bytes,
            Kind::Decimal(9),
            Kind::Integer,
            Kind::Text,
            Kind::Boolean,
        ]);
        let folds: &[Fold] = match kind {
            Kind::Integer | Kind::Decimal(_) | Kind::Real => {
                &[Fold::Add, Fold::Add, Fold::Add, Fold::Min, Fold::Max, Fold::None]
            }
            Kind::Text | Kind::Timestamp | Kind::Date => {
                &[Fold::None, Fold::None, Fold::Min, Fold::Max]
            }
            Kind::Boolean | Kind::Json | Kind::Bytes => &[Fold::None],
        };
        let fold = self.of(folds);
        let default = self.once_in(3).then(|| self.default(kind)).flatten();
        Column { kind, required: self.once_in(5), default, fold }
    }

    fn default(&mut self, kind: Kind) -> Option<Default> {
        let (toml, cell) = match kind {
            Kind::Integer => {
                let value = self.of(&[0, 5, i64::MAX - 2, i64::MIN + 2]);
                (value.to_string(), Cell::Integer(value))
            }
            Kind::Decimal(2) => ("12.5".to_owned(), Cell::Integer(1250)),
            Kind::Real => ("0.1".to_owned(), Cell::real(0.1)),
            Kind::Text => ("\"b\"".to_owned(), Cell::text("b")),
            Kind::Boolean => ("true".to_owned(), Cell::Integer(1)),
            Kind::Date => ("\"2013-01-01\"".to_owned(), Cell::text("2013-01-01")),
            _ => return None,
        };
        Some(Default { toml, cell })
    }

    fn handler(&mut self, tables: &[Table], role: Role) -> Handler {
        let first = if self.calm { self.of(&["*", "A", "*B"]) } else { self.of(&PATTERNS) };
        let events = if self.once_in(3) { vec![first, self.of(&PATTERNS)] } else { vec![first] };
        let own = match role {
            Role::Creates(table) => table,
            _ => self.below(tables.len()),
        };
        let verb = self.of(&[
            Verb::Upsert,
            Verb::Upsert,
            Verb::Upsert,
            Verb::Insert,
            Verb::Update,
            Verb::Update,
            Verb::Delete,
            Verb::Delete,
        ]);
        let (verb, finds) = match role {
            Role::Any => (verb, matches!(verb, Verb::Update | Verb::Delete) && self.once_in(2)),
            Role::Creates(_) => (Verb::Upsert, false),
            Role::Finds => (self.of(&[Verb::Update, Verb::Update, Verb::Delete]), true),
        };
        let mut scope = Scope::new(tables, own);
        let for_each = self.once_in(3).then(|| self.for_each(&scope));
        scope.item = for_each.is_some();
        let lets = usize::from(finds);
        for _ in 0..self.of(&[lets, 1, lets, 2, 3]) {
            let row = if finds { self.below(4) > 0 } else { self.once_in(2) };
            let with_row = Scope { row, ..scope.clone() };
            // Of a kind for which the handler has use.
            let columns = &tables[own].columns;
            let kind = columns[columns.len() - 1 - self.below(columns.len())].kind;
            let kind = if self.once_in(4) { Kind::Boolean } else { kind };
            let value = match with_row.own_column(kind) {
                Some(column) if with_row.row && self.once_in(2) => Expression::Row(column),
                _ => self.expression(kind, &with_row, false),
            };
            scope.lets.push((kind, value));
        }
        let target = if finds {
            self.find(&scope)
        } else {
            let key = tables[own].columns[..tables[own].keys].iter();
            Target::Key(key.map(|column| self.expression(column.kind, &scope, true)).collect())
        };
        scope.row = true;
        let when = match &target {
            Target::Where(_) if self.once_in(3) => Some(self.condition_of_row(&scope)),
            _ => self.once_in(3).then(|| self.condition(&scope)),
        };
        let mut handler = Handler {
            events,
            verb,
            table: own,
            when,
            for_each,
            lets: scope.lets.iter().map(|(_, value)| value.clone()).collect(),
            target,
            object: None,
            assignments: Vec::new(),
        };
        if verb != Verb::Delete {
            self.assignments(&mut handler, &scope);
        }
        handler
    }

    /// Columns and values of rows, of which some may match.
    fn find(&mut self, scope: &Scope<'_>) -> Target {
        let columns = scope.own().columns.iter().enumerate();
        let mut columns: Vec<(usize, Kind)> = columns
            .filter(|(_, column)| !matches!(column.kind, Kind::Real | Kind::Json))
            .map(|(index, column)| (index, column.kind))
            .collect();
        let mut named = Vec::new();
        for _ in 0..if self.once_in(4) { 2 } else { 1 } {
            if !columns.is_empty() {
                let last = columns.len() - 1;
                let (column, kind) = columns.remove(last - self.below(last + 1));
                named.push((column, self.expression(kind, scope, true)));
            }
        }
        Target::Where(named)
    }

    fn assignments(&mut self, handler: &mut Handler, scope: &Scope<'_>) {
        let table = scope.own();
        let verb = handler.verb;
        let mut object = self.once_in(5).then(|| self.prefix(scope));
        let mut members = Vec::new();
        for (index, column) in table.columns.iter().enumerate().skip(table.keys) {
            let creates = matches!(verb, Verb::Insert | Verb::Upsert);
            let must = creates && column.required && column.default.is_none();
            let named = match &handler.target {
                Target::Where(columns) => columns.iter().any(|(named, _)| *named == index),
                Target::Key(_) => false,
            };
            // Another handler may add to it, which gives it a default, but this one cannot know.
            if named || (self.once_in(4) && !must) {
                continue;
            }
            let small = self.once_in(2);
            let action = self.action(column.fold, creates, must);
            if let (Some(prefix), Action::Set) = (&object, action) {
                let here = matches!(prefix, Prefix::Of(_) | Prefix::Each(_));
                let scope = Scope { here, inner: true, ..scope.clone() };
                members.push((index, self.expression(column.kind, &scope, small)));
                continue;
            }
            let value = self.assigned(column.kind, action, scope, small);
            handler.assignments.push((index, action, value));
        }
        if let Some(prefix) = object.take_if(|_| !members.is_empty()) {
            handler.object = Some(Object { prefix, members });
        }
    }

    fn prefix(&mut self, scope: &Scope<'_>) -> Prefix {
        match self.below(8) {
            0 | 1 => Prefix::None,
            2 | 3 => Prefix::Select(self.condition(scope)),
            4..=6 => Prefix::Of("o"),
            _ => Prefix::Each("l"),
        }
    }

    fn action(&mut self, fold: Fold, creates: bool, must: bool) -> Action {
        let set = if creates && self.once_in(4) { Action::SetOnce } else { Action::Set };
        match fold {
            Fold::Add if !must => {
                self.of(&[Action::Add, Action::Add, Action::Add, Action::Sub, set])
            }
            Fold::Min if !must => self.of(&[Action::Min, Action::Min, Action::Min, set]),
            Fold::Max if !must => self.of(&[Action::Max, Action::Max, Action::Max, set]),
            _ => set,
        }
    }

    fn assigned(
        &mut self,
        kind: Kind,
        action: Action,
        scope: &Scope<'_>,
        small: bool,
    ) -> Expression {
        if matches!(action, Action::Add | Action::Sub) {
            match self.below(10) {
                7 => return self.condition(scope),
                8 => return Expression::Boolean(true),
                9 => return Expression::Integer(1),
                _ => {}
            }
        }
        self.expression(kind, scope, small)
    }

    /// The ends of batches: after how many messages each.
    pub fn splits(&mut self, messages: usize) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut end = 0;
        while end < messages {
            end = (end + 1 + self.below(14)).min(messages);
            ends.push(end);
        }
        ends
    }
}
