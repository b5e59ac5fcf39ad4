//! Projections and messages out of a list of numbers.
//!
//! Each number decides one thing, and 0, which a list that has run out gives for ever, always decides for the plainest.
//! So a failing case shrinks by itself: shorter lists of smaller numbers are simpler cases.

mod expressions;
mod messages;

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
}

const PATTERNS: [&str; 8] = ["A", "B", "AB", "A*", "*B", "*", "*", "C"];

impl<'a> Choices<'a> {
    pub fn new(list: &'a [u32]) -> Self {
        Self { left: list.iter(), calm: false }
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
        if self.once_in(4) {
            return self.sums();
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
        let on_error = if transform && self.once_in(3) { OnError::Halt } else { on_error };
        // What is to stop within a message must come that far.
        self.calm = self.once_in(2) || (transform && on_error == OnError::Halt);
        let tables: Vec<Table> = (0..1 + self.below(3)).map(|_| self.table()).collect();
        let handlers = (0..1 + self.below(7)).map(|number| {
            let creates = (self.calm && number < tables.len()).then_some(number);
            self.handler(&tables, creates)
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

    /// One table of sums on few keys, where most events apply and many leave 64 bits: what guards are for.
    fn sums(&mut self) -> Projection {
        let key = Column { kind: Kind::Integer, required: true, default: None, fold: Fold::None };
        let mut columns = vec![key];
        for _ in 0..1 + self.below(2) {
            let kind = self.of(&[
                Kind::Integer,
                Kind::Integer,
                Kind::Integer,
                Kind::Decimal(2),
                Kind::Real,
            ]);
            let default = self.once_in(3).then(|| self.default(kind)).flatten();
            columns.push(Column { kind, required: false, default, fold: Fold::Add });
        }
        let table = Table { keys: 1, columns, indexes: Vec::new() };
        let mut handlers = vec![self.summing(&table, Verb::Upsert, "*")];
        for _ in 0..self.below(4) {
            let verb =
                self.of(&[Verb::Upsert, Verb::Update, Verb::Insert, Verb::Update, Verb::Delete]);
            let event = self.of(&["A*", "*B", "A", "B", "AB", "C"]);
            handlers.push(self.summing(&table, verb, event));
        }
        Projection {
            tables: vec![table],
            handlers,
            transform: false,
            order_key: self.of(&[None, None, Some(OrderKey::Token)]),
            on_error: self.of(&[OnError::Skip, OnError::Park]),
            dead_letters_max: 1000,
            parked_events_max: 1000,
        }
    }

    fn summing(&mut self, table: &Table, verb: Verb, event: &'static str) -> Handler {
        let mut assignments = Vec::new();
        for (index, column) in table.columns.iter().enumerate().skip(1) {
            if verb == Verb::Delete || self.once_in(5) {
                continue;
            }
            let action = self.of(&[Action::Add, Action::Set, Action::Sub, Action::Add]);
            let field = match column.kind {
                Kind::Real => "r",
                Kind::Integer => "i",
                _ => "d",
            };
            assignments.push((index, action, Expression::Data(field)));
        }
        // What looks at the row is done on the row; what does not may be composed.
        let when = self.once_in(6).then(|| {
            Expression::Compare(
                super::model::Comparison::Other,
                Box::new(Expression::Row(1)),
                Box::new(Expression::Integer(1)),
            )
        });
        Handler {
            events: vec![event],
            verb,
            table: 0,
            when,
            for_each: None,
            lets: Vec::new(),
            target: Target::Key(vec![Expression::Data("ki")]),
            object: None,
            assignments,
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

    /// `creates`: the table of which it is to create rows.
    fn handler(&mut self, tables: &[Table], creates: Option<usize>) -> Handler {
        let first = if self.calm { self.of(&["*", "A", "*B"]) } else { self.of(&PATTERNS) };
        let events = if self.once_in(3) { vec![first, self.of(&PATTERNS)] } else { vec![first] };
        let own = self.below(tables.len());
        let own = creates.unwrap_or(own);
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
        let verb = if creates.is_some() { Verb::Upsert } else { verb };
        let mut scope = Scope::new(tables, own);
        let for_each = self.once_in(3).then(|| self.for_each(&scope));
        scope.item = for_each.is_some();
        for _ in 0..self.of(&[0, 1, 0, 2, 3]) {
            let with_row = Scope { row: self.once_in(2), ..scope.clone() };
            // Of a kind for which the handler has use.
            let columns = &tables[own].columns;
            let kind = columns[self.below(columns.len())].kind;
            let kind = if self.once_in(4) { Kind::Boolean } else { kind };
            let value = self.expression(kind, &with_row, false);
            scope.lets.push((kind, value));
        }
        let can_where = matches!(verb, Verb::Update | Verb::Delete);
        let target = if can_where && self.once_in(2) {
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

    /// One row an event, with `.data.i - .data.d`.
    pub fn difference() -> Projection {
        let column = |kind, required| Column { kind, required, default: None, fold: Fold::None };
        let (a, b) = (Box::new(Expression::Data("i")), Box::new(Expression::Data("d")));
        let handler = Handler {
            events: vec!["A"],
            verb: Verb::Insert,
            table: 0,
            when: None,
            for_each: None,
            lets: Vec::new(),
            target: Target::Key(vec![Expression::Sequence]),
            object: None,
            assignments: vec![(1, Action::Set, Expression::Sub(a, b))],
        };
        Projection {
            tables: vec![Table {
                keys: 1,
                columns: vec![column(Kind::Integer, true), column(Kind::Decimal(2), false)],
                indexes: Vec::new(),
            }],
            handlers: vec![handler],
            transform: false,
            order_key: None,
            on_error: OnError::Park,
            dead_letters_max: 1000,
            parked_events_max: 1000,
        }
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
