//! The shortest route: from a plain path to a cell, for a member of the data without a value in between.
//!
//! Most of what a handler evaluates is a member of the data that goes into a column of its type. Whatever is less plain
//! than that, and whatever fails, is left to the routes that know everything; where this one answers, they give the same
//! (a test holds it to them).

use compact_str::CompactString;

use super::convert::convert;
use super::decimal::scaled_short;
use super::{Expression, Route};
use crate::event::chunk::Event;
use crate::event::json::{Json, Kind};
use crate::row::{Cell, ColumnType};

impl Expression {
    /// What a column is set to by a plain path; None says nothing.
    #[inline]
    pub fn cell(&self, event: &Event, column_type: ColumnType) -> Option<Cell> {
        let Route::Path(path) = &self.route else { return None };
        match path.data_of(event) {
            Some(None) => return Some(Cell::Null),
            Some(Some(json)) => {
                if let Some(cell) = cell(json, column_type) {
                    return Some(cell);
                }
            }
            None => {}
        }
        convert(path.evaluate(event).ok()?, column_type).ok()
    }
}

#[inline]
fn cell(json: Json<'_>, column_type: ColumnType) -> Option<Cell> {
    match (json.kind(), column_type) {
        (Kind::Null, _) => Some(Cell::Null),
        (Kind::String, ColumnType::Text) => {
            let quoted = json.raw();
            Some(Cell::Text(CompactString::new(&quoted[1..quoted.len() - 1])))
        }
        (Kind::Number, ColumnType::Integer) => scaled_short(json.raw(), 0).map(Cell::Integer),
        (Kind::Number, ColumnType::Decimal(digits)) => {
            scaled_short(json.raw(), digits).map(Cell::Integer)
        }
        (Kind::False, ColumnType::Boolean) => Some(Cell::Integer(0)),
        (Kind::True, ColumnType::Boolean) => Some(Cell::Integer(1)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Scope;
    use super::super::tests::event;
    use super::*;

    /// Of each kind but one, all of which take different values.
    const TYPES: [ColumnType; 10] = [
        ColumnType::Text,
        ColumnType::Integer,
        ColumnType::Decimal(0),
        ColumnType::Decimal(2),
        ColumnType::Decimal(9),
        ColumnType::Real,
        ColumnType::Boolean,
        ColumnType::Timestamp,
        ColumnType::Json,
        ColumnType::Bytes,
    ];

    /// Holds the cells of a value to what the general route makes of it.
    fn check(value: &str) {
        let event = event(&format!("{{\"data\":{{\"value\":0,\"value\":{value}}}}}"));
        for text in [".data.value", ".data.value.inner", ".data.none", ".time", ".tokens[0]"] {
            let expression = Expression::compile(text, Scope::EVENT).unwrap();
            for column_type in TYPES {
                let expected = match expression.evaluate(&event) {
                    Ok(output) => convert(output, column_type).ok(),
                    Err(_) => None,
                };
                let cell = expression.cell(&event, column_type);
                assert_eq!(cell, expected, "{text} of {value} in {column_type}");
            }
        }
    }

    #[test]
    fn what_is_answered_is_what_the_general_route_gives() {
        for value in [
            "null",
            "\"x\"",
            "\"a text that is longer than what fits in place\"",
            "\"\\u0041\"",
            "\"12.50\"",
            "true",
            "false",
            "12",
            "-0",
            "-0.50",
            "119.90",
            "0.123456789",
            "0.1234567890",
            "9223372036854775807",
            "9223372036854775808",
            "999999999999999999",
            "999999999999999999.5",
            "1e2",
            "[1]",
            "{}",
            "{\"inner\":7}",
            "\"2013-01-01T05:00:00Z\"",
        ] {
            check(value);
        }
    }

    proptest! {
        #[test]
        fn numbers_are_what_the_general_route_gives(value in "-?(0|[1-9][0-9]{0,19})(\\.[0-9]{1,11})?") {
            check(&value);
        }
    }
}
