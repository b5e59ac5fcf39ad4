//! Projections and messages out of a list of numbers.
//!
//! Each number decides one thing, and 0, which a list that has run out gives for ever, always decides for the plainest.
//! So a failing case shrinks by itself: shorter lists of smaller numbers are simpler cases.

use super::model::{
    Action, Body, Cell, Column, Default, Expression, Fold, Handler, Kind, Message, Number, OnError,
    OrderKey, Projection, Table, Value, Verb,
};
use super::naive::{BASE64, DATES, NUMBERS, TIMES};

/// The decisions of one case, taken one after the other.
pub struct Choices<'a> {
    left: std::slice::Iter<'a, u32>,
}

const TYPES: [&str; 4] = ["A", "B", "AB", "C"];
const PATTERNS: [&str; 8] = ["A", "B", "AB", "A*", "*B", "*", "*", "C"];
const TOKENS: [&str; 3] = ["x", "y", "z"];
const TEXTS: [&str; 6] = ["a", "b", "", "ä€", "B", "aa"];

/// Bodies that are no events.
const BROKEN: [&[u8]; 7] = [
    b"{",
    b"{\"type\":\"A\"} x",
    b"nope",
    b"{\"type\":\"A\",\"data\":{\"i\":01}}",
    b"\xff\xfe",
    b"{\"a\":\"\\ud800\"}",
    b"[1,]",
];

/// Trees, as written and compact.
const TREES: [(&str, &str); 4] = [
    ("[]", "[]"),
    ("{ \"b\": 1, \"a\": [2, null] }", "{\"b\":1,\"a\":[2,null]}"),
    ("[ true ]", "[true]"),
    ("{}", "{}"),
];

impl<'a> Choices<'a> {
    pub fn new(list: &'a [u32]) -> Self {
        Self { left: list.iter() }
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
        if self.once_in(3) {
            return self.sums();
        }
        let on_error = self.of(&[
            OnError::Park,
            OnError::Park,
            OnError::Skip,
            OnError::Park,
            OnError::Skip,
            OnError::Halt,
        ]);
        let order_key = self.of(&[None, Some(OrderKey::Token), Some(OrderKey::Data)]);
        let (dead_letters_max, parked_events_max) =
            (self.of(&[1000, 1000, 1000, 3]), self.of(&[1000, 1000, 1000, 5]));
        let tables: Vec<Table> = (0..1 + self.below(3)).map(|_| self.table()).collect();
        let handlers = (0..1 + self.below(8)).map(|_| self.handler(&tables)).collect();
        Projection { tables, handlers, order_key, on_error, dead_letters_max, parked_events_max }
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
        let table = Table { keys: 1, columns };
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
            assignments.push((index, action, Expression::Field(field)));
        }
        Handler {
            events: vec![event],
            verb,
            table: 0,
            when: None,
            key: vec![Expression::Field("ki")],
            assignments,
        }
    }

    fn table(&mut self) -> Table {
        let keys = 1 + usize::from(self.once_in(3));
        let kinds = [
            Kind::Text,
            Kind::Integer,
            Kind::Boolean,
            Kind::Date,
            Kind::Timestamp,
            Kind::Decimal(1),
            Kind::Bytes,
        ];
        let mut columns: Vec<Column> = (0..keys)
            .map(|_| Column {
                kind: self.of(&kinds),
                required: true,
                default: None,
                fold: Fold::None,
            })
            .collect();
        columns.extend((0..1 + self.below(4)).map(|_| self.column()));
        Table { keys, columns }
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
            Kind::Integer,
            Kind::Integer,
        ]);
        let folds: &[Fold] = match kind {
            Kind::Integer | Kind::Decimal(_) | Kind::Real => {
                &[Fold::Add, Fold::Add, Fold::Add, Fold::Add, Fold::Min, Fold::Max, Fold::None]
            }
            Kind::Text | Kind::Timestamp | Kind::Date => &[Fold::None, Fold::Min, Fold::Max],
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
            Kind::Real => ("0.1".to_owned(), Cell::Real(0.1_f64.to_bits())),
            Kind::Text => ("\"b\"".to_owned(), Cell::Text("b".to_owned())),
            Kind::Boolean => ("true".to_owned(), Cell::Integer(1)),
            Kind::Date => ("\"2013-01-01\"".to_owned(), Cell::Text("2013-01-01".to_owned())),
            _ => return None,
        };
        Some(Default { toml, cell })
    }

    fn handler(&mut self, tables: &[Table]) -> Handler {
        let first = self.of(&PATTERNS);
        let events = if self.once_in(3) { vec![first, self.of(&PATTERNS)] } else { vec![first] };
        let table = self.below(tables.len());
        let columns = &tables[table].columns;
        let keys = tables[table].keys;
        let verb = self.of(&[
            Verb::Upsert,
            Verb::Upsert,
            Verb::Upsert,
            Verb::Insert,
            Verb::Update,
            Verb::Update,
            Verb::Delete,
        ]);
        let when = self.once_in(3).then(|| self.condition());
        let key = columns[..keys].iter().map(|column| self.expression(column.kind, true)).collect();
        let mut assignments = Vec::new();
        if verb != Verb::Delete {
            for (index, column) in columns.iter().enumerate().skip(keys) {
                let creates = matches!(verb, Verb::Insert | Verb::Upsert);
                let must = creates && column.required && column.default.is_none();
                // Another handler may add to it, which gives it a default, but this one cannot know.
                if self.once_in(4) && !must {
                    continue;
                }
                let action = self.action(column.fold, creates, must);
                assignments.push((index, action, self.assigned(column.kind, action)));
            }
        }
        Handler { events, verb, table, when, key, assignments }
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

    fn assigned(&mut self, kind: Kind, action: Action) -> Expression {
        if matches!(action, Action::Add | Action::Sub) {
            match self.below(10) {
                7 => return Expression::Above("i", 0),
                8 => return Expression::Boolean(true),
                9 => return Expression::Integer(1),
                _ => {}
            }
        }
        self.expression(kind, false)
    }

    fn condition(&mut self) -> Expression {
        match self.below(5) {
            0 => Expression::Field("b"),
            1 => Expression::Above("i", 0),
            2 => Expression::Same("s", "a"),
            3 => Expression::Above("m", 1),
            _ => Expression::Plus("m", 1),
        }
    }

    /// What mostly gives a value of the kind. Keys come of small domains, so that rows meet.
    fn expression(&mut self, kind: Kind, key: bool) -> Expression {
        let field = match (kind, key) {
            (Kind::Text, true) => "ks",
            (Kind::Integer | Kind::Decimal(_), true) => "ki",
            (Kind::Text, false) => "s",
            (Kind::Integer, false) => "i",
            (Kind::Decimal(_), false) => "d",
            (Kind::Real, _) => "r",
            (Kind::Boolean, _) => "b",
            (Kind::Timestamp, _) => "t",
            (Kind::Date, _) => "e",
            (Kind::Json, _) => "j",
            (Kind::Bytes, _) => "x",
        };
        match (self.below(24), kind) {
            (23, _) => Expression::Field("m"),
            (22, _) => Expression::If("b", field),
            (18..=21, Kind::Text) => self.text(),
            (19..=21, Kind::Integer | Kind::Decimal(_)) if !key => Expression::Plus(field, 1),
            (18, Kind::Integer | Kind::Decimal(_)) if !key => Expression::SelectAbove(field, 0),
            (17, Kind::Integer) => Expression::Sequence,
            (16, Kind::Integer | Kind::Real | Kind::Decimal(_)) => {
                Expression::Integer(self.of(&[1, 0, -1, 4]))
            }
            (18..=21, Kind::Boolean) => Expression::Above("i", 1),
            (16, Kind::Boolean) => Expression::Boolean(true),
            (18..=21, Kind::Timestamp | Kind::Date) => Expression::Time,
            _ => Expression::Field(field),
        }
    }

    fn text(&mut self) -> Expression {
        match self.below(4) {
            0 => Expression::Text("a"),
            1 => Expression::Token,
            2 => Expression::Type,
            _ => Expression::Or("s", "or"),
        }
    }

    /// The message after the one at `sequence`.
    pub fn message(&mut self, sequence: u64) -> Message {
        let sequence = sequence + 1 + self.of(&[0, 0, 0, 1, 2]);
        let token = self.of(&TOKENS);
        let body = match self.below(40) {
            38 => Body::Broken(self.of(&BROKEN)),
            39 => Body::TooLarge,
            _ => {
                let type_name = self.of(&TYPES);
                let time = self.once_in(4).then(|| self.of(&TIMES));
                Body::Event { type_name, time, data: self.data() }
            }
        };
        Message { sequence, token, body }
    }

    fn data(&mut self) -> Vec<(&'static str, Value)> {
        let mut data = Vec::new();
        for name in ["ki", "ks", "k", "i", "d", "r", "b", "s", "t", "e", "j", "x", "m"] {
            let key = matches!(name, "ki" | "ks" | "k");
            match self.below(if key { 60 } else { 30 }) {
                25 => {}
                26 | 27 => data.push((name, Value::Null)),
                28 => data.push((name, self.mess())),
                29 => data.extend([(name, self.mess()), (name, self.value(name))]),
                _ => data.push((name, self.value(name))),
            }
        }
        data
    }

    fn value(&mut self, name: &str) -> Value {
        match name {
            "ki" => self.number(&[1, 2, 3], 0),
            "k" => {
                if self.once_in(2) {
                    Value::Text(self.of(&["1", "2"]).to_owned())
                } else {
                    let number: i128 = self.of(&[1, 2, 3]);
                    Value::Number(Number { digits: number, scale: 0, text: number.to_string() })
                }
            }
            "ks" => Value::Text(self.of(&["a", "b", "ä"]).to_owned()),
            "i" => {
                let (max, min) = (i128::from(i64::MAX), i128::from(i64::MIN));
                match self.below(9) {
                    4 | 8 => self.number(&[max, max - 1, 1 << 62, max / 3], 0),
                    5 | 6 => self.number(&[min, min + 1, -(1 << 62), min / 3], 0),
                    7 => Value::Text(NUMBERS[self.below(NUMBERS.len())].0.to_owned()),
                    _ => self.number(&[1, 2, -1, 0, -3, 16], 0),
                }
            }
            "d" => match self.below(6) {
                4 => self
                    .number(&[i64::MAX.into(), i64::MIN.into(), 9_223_372_036_854_775_807_000], 2),
                5 => Value::Text(NUMBERS[self.below(NUMBERS.len())].0.to_owned()),
                _ => self.number(&[150, 1250, -25, 0, 1, 100], 2),
            },
            "r" => self.number(&[1, 2, 3, -7, 0, 123_456_789, 10_000_000_000_000_000], 1),
            "b" => Value::Boolean(self.once_in(2)),
            "s" => Value::Text(self.of(&TEXTS).to_owned()),
            "t" => Value::Text(self.of(&TIMES).0.to_owned()),
            "e" => match self.below(3) {
                2 => Value::Text(self.of(&TIMES).0.to_owned()),
                _ => Value::Text(self.of(&DATES).to_owned()),
            },
            "j" => {
                let (written, compact) = self.of(&TREES);
                Value::Tree(written, compact)
            }
            "x" => Value::Text(self.of(&BASE64).0.to_owned()),
            _ => self.mess(),
        }
    }

    /// A value of any kind, also of none that a column takes.
    fn mess(&mut self) -> Value {
        match self.below(8) {
            0 => Value::Null,
            1 => Value::Boolean(true),
            2 => self.number(&[1, 25, 9_223_372_036_854_775_808, 1 << 70], 0),
            3 => self.number(&[5, 120], 1),
            4 => Value::Text(
                self.of(&["", "nope!", "012", "+1", " 1", "2013-02-30", "1e", "NaN", "0x1", "AQI"])
                    .to_owned(),
            ),
            5 => Value::Text(
                self.of(&["2013-01-01T24:00:00Z", "2013-01-01 05:00:00Z", "13-01-01"]).to_owned(),
            ),
            6 => Value::Tree("{}", "{}"),
            _ => self.number(&[1_000_000_001], 9),
        }
    }

    /// A number, written in one of the ways that JSON has.
    fn number(&mut self, digits: &[i128], scale: u32) -> Value {
        let digits = self.of(digits);
        let text = match (self.below(4), scale) {
            (1, 0) => format!("{digits}.0"),
            (2, _) => format!("{digits}e-{scale}"),
            (3, _) if digits != 0 => format!("{digits}0E-{}", scale + 1),
            (_, 0) => digits.to_string(),
            _ => {
                let unit = 10_u128.pow(scale);
                let sign = if digits < 0 { "-" } else { "" };
                let (whole, rest) = (digits.unsigned_abs() / unit, digits.unsigned_abs() % unit);
                format!("{sign}{whole}.{rest:0width$}", width = scale as usize)
            }
        };
        Value::Number(Number { digits, scale, text })
    }

    /// The ends of batches: after how many messages each.
    pub fn splits(&mut self, messages: usize) -> Vec<usize> {
        let mut ends = Vec::new();
        let mut end = 0;
        while end < messages {
            end = (end + 1 + self.below(9)).min(messages);
            ends.push(end);
        }
        ends
    }
}
