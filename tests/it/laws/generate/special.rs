//! Projections that dwell on one thing.

use super::super::model::{
    Action, Column, Comparison, Expression, Fold, Handler, Kind, OnError, OrderKey, Projection,
    Table, Target, Verb,
};
use super::{Choices, Role};

impl Choices<'_> {
    /// One table of sums on few keys, where most events apply and many leave 64 bits: what guards are for.
    pub(super) fn sums(&mut self) -> Projection {
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
        let transform = self.once_in(3);
        let last = if transform { OnError::Halt } else { OnError::Skip };
        let errors = [OnError::Skip, OnError::Park, last];
        Projection {
            tables: vec![table],
            handlers,
            transform,
            order_key: self.of(&[None, None, Some(OrderKey::Token)]),
            on_error: self.of(&errors),
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
        let when = self.once_in(4).then(|| {
            let keys = vec![Expression::Data("ki")];
            let row = match self.below(2) {
                0 => Expression::Row(1),
                _ => Expression::Lookup { table: 0, keys, column: Some(1) },
            };
            let number = Box::new(Expression::Integer(1));
            Expression::Compare(Comparison::Other, Box::new(row), number)
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

    /// One table of many rows that look alike, and handlers that find them by what they look like.
    pub(super) fn searched(&mut self) -> Projection {
        self.calm = true;
        let column = |kind, fold| Column { kind, required: false, default: None, fold };
        let mut columns = vec![column(Kind::Integer, Fold::None)];
        columns[0].required = true;
        columns.push(column(Kind::Text, Fold::None));
        columns.push(column(Kind::Boolean, Fold::None));
        columns.push(column(Kind::Integer, self.of(&[Fold::Add, Fold::None, Fold::Max])));
        if self.once_in(2) {
            columns.push(self.column());
        }
        let indexes = if self.once_in(2) { vec![vec![1]] } else { Vec::new() };
        let tables = [Table { keys: 1, columns, indexes }];
        let mut creating = self.handler(&tables, Role::Creates(0));
        if self.below(3) > 0 {
            creating.target = Target::Key(vec![Expression::Sequence]);
            creating.when = None;
        }
        let mut handlers = vec![creating];
        for _ in 0..1 + self.below(3) {
            let mut handler = self.handler(&tables, Role::Finds);
            if self.once_in(3) {
                count_up(&mut handler);
            }
            handlers.push(handler);
        }
        Projection {
            tables: tables.into(),
            handlers,
            transform: false,
            order_key: self.of(&[None, None, Some(OrderKey::Token)]),
            on_error: self.of(&[OnError::Skip, OnError::Park]),
            dead_letters_max: 1000,
            parked_events_max: 1000,
        }
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
}

/// Each row that is found takes some more than the row before has by then: whoever finds them in another order gets
/// other rows.
fn count_up(handler: &mut Handler) {
    let named = match &handler.target {
        Target::Where(columns) => columns.iter().any(|(column, _)| *column == 3),
        Target::Key(_) => true,
    };
    if named || handler.object.is_some() || handler.verb != Verb::Update {
        return;
    }
    let one = Box::new(Expression::Integer(1));
    let keys = vec![Expression::Sub(Box::new(Expression::Row(0)), one)];
    let before = Expression::Lookup { table: 0, keys, column: Some(3) };
    handler.assignments.retain(|(column, ..)| *column != 3);
    let more = Box::new(Expression::Data("ki"));
    handler.assignments.push((3, Action::Set, Expression::Add(Box::new(before), more)));
}
