//! From what an expression gives to what a column stores.
//!
//! The one place that knows which values a column type accepts. Numbers are converted from their own digits, never by
//! way of a float, so 12.5 in a `decimal(2)` is 1250 whatever the number's length.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use compact_str::CompactString;

use super::{Failure, Number, Output};
use crate::event::time::{Timestamp, is_date};
use crate::row::{Cell, ColumnType};

/// Why a column cannot hold a value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{problem}, got {got}{}", hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default())]
pub struct Mismatch {
    problem: String,
    /// The value, shortened.
    got: String,
    hint: Option<String>,
}

impl Mismatch {
    /// What the column wants, as in `expected an integer`.
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

/// The stored form of a value; null is NULL in every type.
#[inline]
pub fn convert(output: Output<'_>, column_type: ColumnType) -> Result<Cell, Mismatch> {
    if let Output::Null = output {
        return Ok(Cell::Null);
    }
    let cell = match column_type {
        ColumnType::Text => match output {
            Output::Text(text) => return Ok(Cell::Text(CompactString::from(text))),
            Output::Time(time) => Some(Cell::Text(CompactString::new(&*time.text()))),
            _ => None,
        },
        ColumnType::Integer => scaled(&output, 0).map(Cell::Integer),
        ColumnType::Decimal(digits) => scaled(&output, digits).map(Cell::Integer),
        ColumnType::Real => match &output {
            Output::Number(number) => {
                Some(number.to_f64()).filter(|value| value.is_finite()).map(Cell::Real)
            }
            _ => None,
        },
        ColumnType::Boolean => match &output {
            Output::Bool(value) => Some(Cell::Integer(i64::from(*value))),
            _ => None,
        },
        ColumnType::Timestamp => time(&output).map(Cell::Time),
        ColumnType::Date => match &output {
            Output::Text(text) if is_date(text) => Some(Cell::Text(CompactString::new(text))),
            _ => time(&output).map(|time| Cell::Text(CompactString::new(&*time.date()))),
        },
        ColumnType::Json => match output.json() {
            Ok(text) => Some(Cell::Text(CompactString::from(text))),
            Err(failure) => return Err(unwritable(&output, &failure)),
        },
        ColumnType::Bytes => match &output {
            Output::Text(text) => {
                STANDARD.decode(text.as_bytes()).ok().map(|bytes| Cell::Bytes(bytes.into()))
            }
            _ => None,
        },
    };
    cell.ok_or_else(|| mismatch(&output, column_type))
}

/// A number, or a string that is one in the JSON grammar, as a count of 10^-`digits`.
#[inline]
fn scaled(output: &Output<'_>, digits: u8) -> Option<i64> {
    match output {
        Output::Number(number) => number.scaled(digits),
        Output::Text(text) => Number::parse(text)?.scaled(digits),
        _ => None,
    }
}

/// A number, or a string that is one in the JSON grammar.
fn number(output: &Output<'_>) -> Option<Number> {
    match output {
        Output::Number(number) => Some(number.clone()),
        Output::Text(text) => Number::parse(text),
        _ => None,
    }
}

fn time(output: &Output<'_>) -> Option<Timestamp> {
    match output {
        Output::Text(text) => Timestamp::parse(text),
        Output::Time(time) => Some(*time),
        _ => None,
    }
}

#[cold]
fn mismatch(output: &Output<'_>, column_type: ColumnType) -> Mismatch {
    let mut hint = None;
    let mut problem = match column_type {
        ColumnType::Text => "expected a string",
        ColumnType::Integer => "expected an integer",
        ColumnType::Decimal(_) | ColumnType::Real => "expected a number",
        ColumnType::Boolean => "expected true or false",
        ColumnType::Timestamp => "expected an RFC 3339 timestamp",
        ColumnType::Date => "expected a date like 2013-01-31",
        ColumnType::Json => "expected a value",
        ColumnType::Bytes => "expected base64",
    }
    .to_owned();
    match (column_type, number(output)) {
        (ColumnType::Integer, Some(number)) => {
            if number.decimal().is_some_and(|decimal| decimal.has_digits_past(0)) {
                hint = Some("`round` gives an integer".to_owned());
            } else {
                problem = "expected an integer of 64 bits".to_owned();
            }
        }
        (ColumnType::Decimal(digits), Some(number)) => {
            if number.decimal().is_some_and(|decimal| decimal.has_digits_past(digits)) {
                problem = format!("expected at most {digits} digits after the point");
                hint = Some(format!("`round({digits})` rounds"));
            } else {
                problem = format!("expected a decimal({digits}) of 64 bits");
            }
        }
        (ColumnType::Real, Some(_)) => match output {
            Output::Number(_) => problem = "expected a number that a float can hold".to_owned(),
            _ => hint = Some("`tonumber` makes a number of a string".to_owned()),
        },
        (ColumnType::Text, Some(_)) => hint = Some("`tostring` makes a string of it".to_owned()),
        _ => {}
    }
    Mismatch { problem, got: Described(output).to_string(), hint }
}

/// A value that is too large or too deep to be written.
#[cold]
fn unwritable(output: &Output<'_>, failure: &Failure) -> Mismatch {
    Mismatch { problem: failure.to_string(), got: Described(output).to_string(), hint: None }
}

/// A value with its kind, as in `the string "x"`.
struct Described<'a>(&'a Output<'a>);

impl fmt::Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.shown();
        match self.0 {
            Output::Null | Output::Bool(_) => f.write_str(&shown),
            output => write!(f, "the {} {shown}", output.kind().name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::event;
    use super::super::{Expression, Scope};
    use super::*;

    /// What a column stores of a value of an event, or why it cannot.
    fn stored(value: &str, column_type: ColumnType) -> String {
        let event = event(&format!("{{\"data\":{{\"value\":{value}}}}}"));
        let expression = Expression::compile(".data.value", Scope::EVENT).unwrap();
        match convert(expression.evaluate(&event).unwrap(), column_type) {
            Ok(Cell::Null) => "NULL".to_owned(),
            Ok(Cell::Integer(value)) => value.to_string(),
            Ok(Cell::Real(value)) => format!("{value:?}"),
            Ok(Cell::Text(text)) => text.to_string(),
            Ok(Cell::Time(time)) => time.to_string(),
            Ok(Cell::Bytes(bytes)) => format!("{bytes:?}"),
            Err(mismatch) => mismatch.to_string(),
        }
    }

    #[track_caller]
    fn check(column_type: ColumnType, table: &str) {
        for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let (value, expected) = row.split_once(" => ").expect("a row is `value => stored`");
            assert_eq!(
                stored(value.trim(), column_type),
                expected.trim(),
                "{value} in {column_type}"
            );
        }
    }

    #[test]
    fn integer() {
        check(
            ColumnType::Integer,
            r#"
            12                   => 12
            12.0                 => 12
            1e2                  => 100
            "12"                 => 12
            "-1.20e1"            => -12
            -0                   => 0
            null                 => NULL
            9223372036854775807  => 9223372036854775807
            -9223372036854775808 => -9223372036854775808
            9223372036854775808  => expected an integer of 64 bits, got the number 9223372036854775808
            1e999999999          => expected an integer of 64 bits, got the number 1e999999999
            12.5                 => expected an integer, got the number 12.5 (`round` gives an integer)
            1e-9999999999        => expected an integer of 64 bits, got the number 1e-9999999999
            "x"                  => expected an integer, got the string "x"
            "012"                => expected an integer, got the string "012"
            " 12"                => expected an integer, got the string " 12"
            "+12"                => expected an integer, got the string "+12"
            ""                   => expected an integer, got the string ""
            true                 => expected an integer, got true
            [1]                  => expected an integer, got the array [1]
            {"a":1}              => expected an integer, got the object {"a":1}
            "#,
        );
    }

    #[test]
    fn decimal() {
        check(
            ColumnType::Decimal(2),
            r#"
            12.5                   => 1250
            "12.5"                 => 1250
            12.50000000000000000000000000000000000000000000 => 1250
            0.1                    => 10
            -0.01                  => -1
            -0.0                   => 0
            1e-2                   => 1
            1e3                    => 100000
            92233720368547758.07   => 9223372036854775807
            92233720368547758.08   => expected a decimal(2) of 64 bits, got the number 92233720368547758.08
            12.345                 => expected at most 2 digits after the point, got the number 12.345 (`round(2)` rounds)
            "1,5"                  => expected a number, got the string "1,5"
            null                   => NULL
            false                  => expected a number, got false
            "#,
        );
        check(ColumnType::Decimal(0), "12.0 => 12");
        check(ColumnType::Decimal(9), "1.000000001 => 1000000001");
    }

    #[test]
    fn real() {
        check(
            ColumnType::Real,
            r#"
            0.1   => 0.1
            -0.0  => 0.0
            1     => 1.0
            1e308 => 1e308
            0.30000000000000004 => 0.30000000000000004
            123456789012345678901234567890 => 1.2345678901234568e29
            1e309 => expected a number that a float can hold, got the number 1e309
            "1"   => expected a number, got the string "1" (`tonumber` makes a number of a string)
            "#,
        );
    }

    #[test]
    fn times() {
        check(
            ColumnType::Timestamp,
            r#"
            "2013-01-01T05:00:00Z"                => 2013-01-01T05:00:00.000000Z
            "2013-01-01T06:00:00.1234567+01:00"   => 2013-01-01T05:00:00.123456Z
            "2013-01-01"                          => expected an RFC 3339 timestamp, got the string "2013-01-01"
            1357016400                            => expected an RFC 3339 timestamp, got the number 1357016400
            "#,
        );
        check(
            ColumnType::Date,
            r#"
            "2013-01-31"                => 2013-01-31
            "2013-01-31T23:30:00-01:00" => 2013-02-01
            "2013-02-30"                => expected a date like 2013-01-31, got the string "2013-02-30"
            20130131                    => expected a date like 2013-01-31, got the number 20130131
            "#,
        );
    }

    #[test]
    fn the_rest() {
        check(
            ColumnType::Text,
            r#"
            "x"  => x
            1    => expected a string, got the number 1 (`tostring` makes a string of it)
            true => expected a string, got true
            "#,
        );
        check(
            ColumnType::Boolean,
            "true => 1\nfalse => 0\n1 => expected true or false, got the number 1",
        );
        check(
            ColumnType::Json,
            r#"
            {"b": 1.50, "a": [ 1, "\u00e9\/\n" ], "b": 2} => {"b":2,"a":[1,"é/\n"]}
            1.50                                          => 1.50
            "x"                                           => "x"
            null                                          => NULL
            "#,
        );
        check(
            ColumnType::Bytes,
            r#"
            "AQI=" => [1, 2]
            ""     => []
            "AQI"  => expected base64, got the string "AQI"
            "#,
        );
    }
}
