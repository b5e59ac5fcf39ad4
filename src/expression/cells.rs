//! Rows as expressions see them: as the HTTP API shows them.

use compact_str::CompactString;

use super::budget;
use super::document::base64;
use super::number::Number;
use super::value::{Members, Value};
use crate::event::json::{self, Json, Kind};
use crate::row::{Cell, ColumnType};

impl Value {
    /// The value of a cell: a decimal is a number with its digits, a boolean a boolean, bytes are base64.
    pub fn of_cell(cell: &Cell, column_type: ColumnType) -> Self {
        match (cell, column_type) {
            (Cell::Null, _) => Self::Null,
            (Cell::Integer(value), ColumnType::Boolean) => Self::Bool(*value != 0),
            (Cell::Integer(value), ColumnType::Decimal(digits @ 1..)) => {
                Self::Number(Number::written(&decimal(*value, digits)))
            }
            (Cell::Integer(value), _) => Self::Number(Number::from(*value)),
            (Cell::Real(value), _) => Number::float(*value).map_or(Self::Null, Self::Number),
            (Cell::Text(text), ColumnType::Json) => parsed(text),
            (Cell::Text(text), _) => Self::from(text.as_str()),
            (Cell::Time(time), _) => Self::from(&*time.text()),
            (Cell::Bytes(bytes), _) => Self::from(base64(bytes)),
        }
    }

    /// A row as an object; columns and cells are in the same order.
    pub fn of_row<'c>(
        columns: impl IntoIterator<Item = (&'c str, ColumnType)>,
        row: &[Cell],
    ) -> Self {
        budget::operations(row.len());
        let member = |((name, column_type), cell): ((&str, ColumnType), &Cell)| {
            (CompactString::new(name), Self::of_cell(cell, column_type))
        };
        Self::stored_object(columns.into_iter().zip(row).map(member).collect())
    }
}

/// A count of 10^-`digits` as a number with that many digits.
fn decimal(count: i64, digits: u8) -> String {
    let sign = if count < 0 { "-" } else { "" };
    let one = 10_u64.pow(u32::from(digits));
    let count = count.unsigned_abs();
    format!("{sign}{}.{:0width$}", count / one, count % one, width = usize::from(digits))
}

/// The value of a json column, whose text an output wrote.
fn parsed(text: &str) -> Value {
    budget::scan(text.len());
    let mut tape = Vec::new();
    match json::check(text, 0..text.len(), &mut tape) {
        Ok(root) => stored(Json::new(text, &tape, root)),
        // Only by another hand than ours.
        Err(_) => Value::from(text),
    }
}

/// A copy of a value that was bounded when it was written.
pub(super) fn stored(json: Json<'_>) -> Value {
    budget::operation();
    match json.kind() {
        Kind::Null => Value::Null,
        Kind::False => Value::Bool(false),
        Kind::True => Value::Bool(true),
        Kind::Number => Value::Number(Number::written(json.raw())),
        Kind::String | Kind::Escaped => Value::from(&*json.text().expect("a string has text")),
        Kind::Array => Value::stored_array(json.elements().map(stored).collect()),
        Kind::Object => {
            let member = |(key, value): (_, _)| (CompactString::from(key), stored(value));
            Value::stored_object(json.members().map(member).collect::<Members>())
        }
    }
}
