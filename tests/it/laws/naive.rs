//! The naive interpreter: one event at a time over maps of plain values.
//!
//! It shares nothing with the engine. What it says is what the definition language says, done in the plainest way:
//! each event works on a copy of all tables, which becomes the tables if nothing of the event failed.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::model::{
    Action, Body, Cell, Expression, Handler, Kind, Message, Number, OnError, OrderKey, Projection,
    Table, Value, Verb,
};

pub type Rows = BTreeMap<Vec<Cell>, Vec<Cell>>;

/// What a projection has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub tables: Vec<Rows>,
    /// Sequence and state.
    pub set_aside: Vec<(u64, &'static str)>,
    pub counts: Counts,
    /// Everything up to here was read.
    pub sequence: u64,
    /// How many messages of the filter that was.
    pub messages: u64,
    /// Why it stopped before the end.
    pub stopped: Option<&'static str>,
    /// Events that failed on a row.
    pub out_of_range: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub applied: u64,
    pub ignored: u64,
    pub dead_lettered: u64,
    pub parked: u64,
    pub skipped: u64,
}

/// An event that breaks a rule.
enum Broken {
    /// Whatever the rows.
    OfItself,
    /// A sum leaves its column's range.
    OnRow,
}

/// Interprets messages of which the last is followed by nothing up to `scanned_to`.
pub fn interpret(projection: &Projection, messages: &[Message], scanned_to: u64) -> Outcome {
    let mut outcome = Outcome {
        tables: vec![Rows::new(); projection.tables.len()],
        set_aside: Vec::new(),
        counts: Counts::default(),
        sequence: scanned_to,
        messages: 0,
        stopped: None,
        out_of_range: 0,
    };
    let mut blocked = BTreeSet::new();
    for message in messages {
        let event = Event { message };
        let key = projection.order_key.and_then(|order_key| event.order_key(order_key));
        let parked = key.as_ref().is_some_and(|key| blocked.contains(key));
        let stop = if parked {
            let full = outcome.counts.parked >= projection.parked_events_max;
            if !full {
                outcome.counts.parked += 1;
                outcome.set_aside.push((message.sequence, "parked"));
            }
            full.then_some("set_aside_full")
        } else {
            let mut tables = outcome.tables.clone();
            match event.apply(projection, &mut tables) {
                Ok(applied) => {
                    outcome.tables = tables;
                    *if applied {
                        &mut outcome.counts.applied
                    } else {
                        &mut outcome.counts.ignored
                    } += 1;
                    None
                }
                Err(why) => {
                    outcome.out_of_range += u64::from(matches!(why, Broken::OnRow));
                    broken(projection, &mut outcome, message.sequence, key, &mut blocked)
                }
            }
        };
        if stop.is_some() {
            outcome.stopped = stop;
            outcome.sequence = message.sequence - 1;
            return outcome;
        }
        outcome.messages += 1;
    }
    outcome
}

/// Sets an event aside, or says why the projection stops before it.
fn broken(
    projection: &Projection,
    outcome: &mut Outcome,
    sequence: u64,
    key: Option<String>,
    blocked: &mut BTreeSet<String>,
) -> Option<&'static str> {
    match projection.on_error {
        OnError::Halt => return Some("halted"),
        OnError::Skip => {
            outcome.counts.skipped += 1;
            outcome.set_aside.push((sequence, "skipped"));
        }
        OnError::Park if outcome.counts.dead_lettered >= projection.dead_letters_max => {
            return Some("set_aside_full");
        }
        OnError::Park => {
            outcome.counts.dead_lettered += 1;
            outcome.set_aside.push((sequence, "dead"));
            blocked.extend(key);
        }
    }
    None
}

struct Event<'a> {
    message: &'a Message,
}

impl Event<'_> {
    fn order_key(&self, order_key: OrderKey) -> Option<String> {
        match order_key {
            OrderKey::Token => Some(self.message.token.to_owned()),
            OrderKey::Data => match self.field("k") {
                Value::Text(text) => Some(text),
                Value::Number(number) => Some(number.text),
                _ => None,
            },
        }
    }

    fn field(&self, name: &str) -> Value {
        let Body::Event { data, .. } = &self.message.body else { return Value::Null };
        // Of repeated names the last counts.
        data.iter()
            .rev()
            .find(|(field, _)| *field == name)
            .map_or(Value::Null, |(_, value)| value.clone())
    }

    fn type_name(&self) -> &str {
        match &self.message.body {
            Body::Event { type_name, .. } => type_name,
            _ => "",
        }
    }

    /// Does everything to the tables that the handlers say; whether any of them applied.
    fn apply(&self, projection: &Projection, tables: &mut [Rows]) -> Result<bool, Broken> {
        if !matches!(self.message.body, Body::Event { .. }) {
            return Err(Broken::OfItself);
        }
        let mut applied = false;
        for handler in &projection.handlers {
            if handler.events.iter().any(|pattern| matches(pattern, self.type_name())) {
                applied |=
                    self.handle(handler, &projection.tables, tables, &projection.handlers)?;
            }
        }
        Ok(applied)
    }

    fn handle(
        &self,
        handler: &Handler,
        tables: &[Table],
        rows: &mut [Rows],
        all: &[Handler],
    ) -> Result<bool, Broken> {
        let table = &tables[handler.table];
        if let Some(when) = &handler.when
            && matches!(self.evaluate(when)?, Value::Null | Value::Boolean(false))
        {
            return Ok(false);
        }
        let mut key = Vec::new();
        for (column, expression) in table.columns.iter().zip(&handler.key) {
            let cell = convert(&self.evaluate(expression)?, column.kind)?;
            if cell == Cell::Null {
                return Err(Broken::OfItself);
            }
            key.push(cell);
        }
        let mut assignments = handler.assignments.clone();
        assignments.sort_by_key(|(column, ..)| *column);
        let mut values = Vec::new();
        for (column, action, expression) in &assignments {
            let (value, kind) = (self.evaluate(expression)?, table.columns[*column].kind);
            let cell = match (action, &value) {
                (Action::Add | Action::Sub, Value::Boolean(boolean)) => one(kind, *boolean),
                _ => convert(&value, kind)?,
            };
            let set = matches!(action, Action::Set | Action::SetOnce);
            if set && cell == Cell::Null && table.columns[*column].required {
                return Err(Broken::OfItself);
            }
            values.push((*column, *action, cell));
        }
        let before = rows[handler.table].get(&key).cloned();
        let after = match (handler.verb, before) {
            (Verb::Insert, Some(row)) => Some(row),
            (Verb::Insert | Verb::Upsert, None) => {
                Some(assigned(fresh(handler.table, table, &key, all), &values, true)?)
            }
            (Verb::Upsert | Verb::Update, Some(row)) => Some(assigned(row, &values, false)?),
            (Verb::Update, None) | (Verb::Delete, _) => None,
        };
        match after {
            Some(row) => rows[handler.table].insert(key, row),
            None => rows[handler.table].remove(&key),
        };
        Ok(true)
    }

    fn evaluate(&self, expression: &Expression) -> Result<Value, Broken> {
        let boolean = |boolean| Ok(Value::Boolean(boolean));
        match expression {
            Expression::Field(field) => Ok(self.field(field)),
            Expression::Or(field, other) => Ok(match self.field(field) {
                Value::Null | Value::Boolean(false) => Value::Text((*other).to_owned()),
                value => value,
            }),
            Expression::Plus(field, number) => match self.field(field) {
                Value::Null => Ok(integer(*number)),
                Value::Number(a) => {
                    let digits = a.digits + i128::from(*number) * 10_i128.pow(a.scale);
                    Ok(Value::Number(Number {
                        digits,
                        scale: a.scale,
                        text: format!("{digits}e-{}", a.scale),
                    }))
                }
                _ => Err(Broken::OfItself),
            },
            Expression::Above(field, number) => boolean(above(&self.field(field), *number)),
            Expression::Same(field, text) => {
                boolean(self.field(field) == Value::Text((*text).to_owned()))
            }
            Expression::SelectAbove(field, number) => {
                let value = self.field(field);
                Ok(if above(&value, *number) { value } else { Value::Null })
            }
            Expression::If(field, then) => Ok(match self.field(field) {
                Value::Null | Value::Boolean(false) => Value::Null,
                _ => self.field(then),
            }),
            Expression::Type => Ok(Value::Text(self.type_name().to_owned())),
            Expression::Sequence => Ok(integer(self.message.sequence as i64)),
            Expression::Time => Ok(Value::Text(match &self.message.body {
                Body::Event { time: Some((_, stored)), .. } => (*stored).to_owned(),
                _ => self.message.stored_at().1,
            })),
            Expression::Token => Ok(Value::Text(self.message.token.to_owned())),
            Expression::Text(text) => Ok(Value::Text((*text).to_owned())),
            Expression::Integer(number) => Ok(integer(*number)),
            Expression::Boolean(value) => boolean(*value),
        }
    }
}

/// Whether a `*` of the pattern can stand for what the type has in its place.
fn matches(pattern: &str, type_name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == type_name,
        Some((before, after)) => type_name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(after, &rest[at..]))
        }),
    }
}

/// jq's order: null, false, true, numbers, strings, arrays and objects.
fn above(value: &Value, number: i64) -> bool {
    match value {
        Value::Null | Value::Boolean(_) => false,
        Value::Number(a) => a.digits > i128::from(number) * 10_i128.pow(a.scale),
        Value::Text(_) | Value::Tree(..) => true,
    }
}

fn integer(number: i64) -> Value {
    Value::Number(Number { digits: number.into(), scale: 0, text: number.to_string() })
}

/// True and false in a sum.
fn one(kind: Kind, boolean: bool) -> Cell {
    let count = i64::from(boolean);
    match kind {
        Kind::Decimal(digits) => Cell::Integer(count * 10_i64.pow(digits)),
        Kind::Real => real(f64::from(u8::from(boolean))),
        _ => Cell::Integer(count),
    }
}

/// A new row: the key and the defaults.
fn fresh(index: usize, table: &Table, key: &[Cell], handlers: &[Handler]) -> Vec<Cell> {
    let summed = |column: usize| {
        let mine = handlers.iter().filter(|handler| handler.table == index);
        mine.flat_map(|handler| &handler.assignments).any(|(assigned, action, _)| {
            *assigned == column && matches!(action, Action::Add | Action::Sub)
        })
    };
    let cell = |(at, column): (usize, &super::model::Column)| match (key.get(at), &column.default) {
        (Some(cell), _) => cell.clone(),
        (None, Some(default)) => default.cell.clone(),
        (None, None) if summed(at) => zero(column.kind),
        (None, None) => Cell::Null,
    };
    table.columns.iter().enumerate().map(cell).collect()
}

fn zero(kind: Kind) -> Cell {
    if kind == Kind::Real { real(0.0) } else { Cell::Integer(0) }
}

/// The row after the assignments.
fn assigned(
    mut row: Vec<Cell>,
    values: &[(usize, Action, Cell)],
    created: bool,
) -> Result<Vec<Cell>, Broken> {
    for (column, action, value) in values {
        let old = row[*column].clone();
        row[*column] = match action {
            Action::Set => value.clone(),
            Action::SetOnce if created => value.clone(),
            Action::SetOnce => old,
            // A null output changes nothing.
            _ if *value == Cell::Null => old,
            Action::Add => sum(&old, value, 1)?,
            Action::Sub => sum(&old, value, -1)?,
            Action::Min if old == Cell::Null || order(value, &old) == Ordering::Less => {
                value.clone()
            }
            Action::Max if old == Cell::Null || order(value, &old) == Ordering::Greater => {
                value.clone()
            }
            Action::Min | Action::Max => old,
        };
    }
    Ok(row)
}

fn sum(old: &Cell, value: &Cell, sign: i8) -> Result<Cell, Broken> {
    match (old, value) {
        (Cell::Null, Cell::Integer(_)) => sum(&Cell::Integer(0), value, sign),
        (Cell::Null, Cell::Real(_)) => sum(&real(0.0), value, sign),
        (Cell::Integer(a), Cell::Integer(b)) => {
            let sum = i128::from(*a) + i128::from(*b) * i128::from(sign);
            i64::try_from(sum).map(Cell::Integer).map_err(|_| Broken::OnRow)
        }
        (Cell::Real(a), Cell::Real(b)) => {
            let sum = f64::from_bits(*a) + f64::from_bits(*b) * f64::from(sign);
            if sum.is_finite() { Ok(real(sum)) } else { Err(Broken::OnRow) }
        }
        _ => unreachable!("{old:?} and {value:?} in one column"),
    }
}

fn order(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Real(a), Cell::Real(b)) => f64::from_bits(*a).total_cmp(&f64::from_bits(*b)),
        _ => a.cmp(b),
    }
}

/// -0.0 is 0.0.
fn real(value: f64) -> Cell {
    Cell::Real(if value == 0.0 { 0 } else { value.to_bits() })
}

/// What a column stores of a value.
fn convert(value: &Value, kind: Kind) -> Result<Cell, Broken> {
    Ok(match (kind, value) {
        (_, Value::Null) => Cell::Null,
        (Kind::Text, Value::Text(text)) => Cell::Text(text.clone()),
        (Kind::Integer, value) => Cell::Integer(scaled(value, 0)?),
        (Kind::Decimal(digits), value) => Cell::Integer(scaled(value, digits)?),
        (Kind::Real, Value::Number(number)) => {
            let text = format!("{}e-{}", number.digits, number.scale);
            real(text.parse().expect("digits and an exponent"))
        }
        (Kind::Boolean, Value::Boolean(boolean)) => Cell::Integer((*boolean).into()),
        (Kind::Timestamp, Value::Text(text)) => {
            Cell::Text(timestamp(text).ok_or(Broken::OfItself)?)
        }
        (Kind::Date, Value::Text(text)) => Cell::Text(date(text).ok_or(Broken::OfItself)?),
        (Kind::Json, Value::Boolean(boolean)) => Cell::Text(boolean.to_string()),
        (Kind::Json, Value::Number(number)) => Cell::Text(number.text.clone()),
        (Kind::Json, Value::Text(text)) => Cell::Text(format!("\"{text}\"")),
        (Kind::Json, Value::Tree(_, compact)) => Cell::Text((*compact).to_owned()),
        (Kind::Bytes, Value::Text(text)) => {
            let known = BASE64.iter().find(|(encoded, _)| encoded == text);
            Cell::Bytes(known.ok_or(Broken::OfItself)?.1.to_vec())
        }
        _ => return Err(Broken::OfItself),
    })
}

/// The count of 10^-digits that a number or the text of one is, exactly.
fn scaled(value: &Value, digits: u32) -> Result<i64, Broken> {
    let number = match value {
        Value::Number(number) => number,
        Value::Text(text) => &NUMBERS
            .iter()
            .find(|(known, ..)| known == text)
            .map(number_of)
            .ok_or(Broken::OfItself)?,
        _ => return Err(Broken::OfItself),
    };
    let count = number.digits * 10_i128.pow(digits);
    let unit = 10_i128.pow(number.scale);
    if count % unit != 0 {
        return Err(Broken::OfItself);
    }
    i64::try_from(count / unit).map_err(|_| Broken::OfItself)
}

fn number_of(&(text, digits, scale): &(&str, i128, u32)) -> Number {
    Number { digits, scale, text: text.to_owned() }
}

/// Texts that are numbers in the grammar of JSON, and what they are; all other texts of the generator are none.
pub const NUMBERS: [(&str, i128, u32); 6] =
    [("7", 7, 0), ("-3", -3, 0), ("12.0", 120, 1), ("1e2", 100, 0), ("0.25", 25, 2), ("-0", 0, 0)];

/// Texts that are base64, and of what.
pub const BASE64: [(&str, &[u8]); 4] =
    [("", &[]), ("AQI=", &[1, 2]), ("/+8=", &[0xff, 0xef]), ("AAAA", &[0, 0, 0])];

/// Texts that are times, as stored.
pub const TIMES: [(&str, &str); 7] = [
    ("2013-01-01T05:00:00Z", "2013-01-01T05:00:00.000000Z"),
    ("2013-01-01T05:00:00.000000Z", "2013-01-01T05:00:00.000000Z"),
    ("2013-01-01T00:30:00.1234567-05:00", "2013-01-01T05:30:00.123456Z"),
    ("2012-12-31T23:59:59.999999999Z", "2012-12-31T23:59:59.999999Z"),
    ("2013-01-01T01:00:00+01:30", "2012-12-31T23:30:00.000000Z"),
    ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
    ("9999-12-31T23:59:59Z", "9999-12-31T23:59:59.000000Z"),
];

/// Texts that are dates.
pub const DATES: [&str; 3] = ["2013-01-01", "2012-02-29", "9999-12-31"];

fn timestamp(text: &str) -> Option<String> {
    let stored = TIMES.iter().find(|(written, stored)| *written == text || *stored == text);
    // The time at which a message was stored is of this form already.
    stored
        .map(|(_, stored)| (*stored).to_owned())
        .or_else(|| is_stored(text).then(|| text.to_owned()))
}

fn is_stored(text: &str) -> bool {
    text.starts_with("2013-01-01T00:") && text.ends_with(".000000Z")
}

fn date(text: &str) -> Option<String> {
    if DATES.contains(&text) {
        return Some(text.to_owned());
    }
    timestamp(text).map(|stored| stored[..10].to_owned())
}
