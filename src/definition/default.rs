//! The default of a column: a TOML value converted to what SQLite stores.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::event::time::{Timestamp, is_date};
use crate::row::{Cell, ColumnType};
use crate::syntax::{Kind, Table};

/// Converts a default as an event's value of that column would be. The error ends a sentence that
/// has named the value.
pub(super) fn cell(value: &Kind, column_type: ColumnType) -> Result<Cell, String> {
    match (column_type, value) {
        (ColumnType::Text, Kind::String(text)) => Ok(Cell::Text(text.value.as_str().into())),
        (ColumnType::Integer, value) => scaled(&number(value)?, 0).map(Cell::Integer),
        (ColumnType::Decimal(digits), value) => scaled(&number(value)?, digits).map(Cell::Integer),
        (ColumnType::Real, Kind::Integer(_) | Kind::Float(_)) => real(&number(value)?),
        (ColumnType::Boolean, Kind::Boolean(boolean)) => Ok(Cell::Integer(i64::from(*boolean))),
        (ColumnType::Timestamp, Kind::String(text)) => timestamp(&text.value),
        (ColumnType::Date, Kind::String(text)) => date(&text.value),
        (ColumnType::Bytes, Kind::String(text)) => {
            let bytes = BASE64_STANDARD.decode(&text.value).map_err(|_| "it is not base64")?;
            Ok(Cell::Bytes(bytes.into()))
        }
        (ColumnType::Json, value) => {
            let mut out = String::new();
            json(value, &mut out)?;
            Ok(Cell::Text(out.into()))
        }
        (ColumnType::Timestamp | ColumnType::Date, Kind::Datetime(_)) => {
            Err("a date or time is written as a string, in quotes".to_owned())
        }
        (ColumnType::Text, _) => Err("a string is wanted".to_owned()),
        (ColumnType::Real, _) => Err("a number is wanted".to_owned()),
        (ColumnType::Boolean, _) => Err("true or false is wanted".to_owned()),
        (ColumnType::Timestamp, _) => Err("an RFC 3339 time in quotes is wanted".to_owned()),
        (ColumnType::Date, _) => Err("a date like \"2013-01-31\" in quotes is wanted".to_owned()),
        (ColumnType::Bytes, _) => Err("a string of base64 is wanted".to_owned()),
    }
}

/// The decimal text of a number, or of a string that holds one.
fn number(value: &Kind) -> Result<String, String> {
    match value {
        Kind::Integer(Some(integer)) => Ok(integer.to_string()),
        Kind::Integer(None) => Err("it is beyond 64 bits".to_owned()),
        Kind::Float(text) if is_finite(text) => Ok(text.clone()),
        Kind::Float(_) => Err("it is not finite".to_owned()),
        Kind::String(text) if is_json_number(&text.value) => Ok(text.value.clone()),
        _ => Err("a number is wanted".to_owned()),
    }
}

/// Whether a TOML float is a number and not `inf` or `nan`.
pub(super) fn is_finite(text: &str) -> bool {
    text.ends_with(|c: char| c.is_ascii_digit())
}

fn is_json_number(text: &str) -> bool {
    text.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && serde_json::from_str::<&serde_json::value::RawValue>(text)
            .is_ok_and(|raw| raw.get() == text)
}

/// The value of a decimal text, counted in 10^-digits, exactly.
fn scaled(text: &str, digits: u8) -> Result<i64, String> {
    let inexact = || match digits {
        0 => "it is not a whole number".to_owned(),
        1 => "it has more than 1 digit after the point".to_owned(),
        _ => format!("it has more than {digits} digits after the point"),
    };
    let too_large = || "it is beyond 64 bits".to_owned();
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let (negative, whole) =
        whole.strip_prefix('-').map_or((false, whole), |positive| (true, positive));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0').trim_end_matches('0');
    if significant.is_empty() {
        return Ok(0);
    }
    let zeros_cut = all.len() - all.trim_end_matches('0').len();
    // Beyond this many, no number of digits in the file brings the value back into 64 bits.
    let exponent: i64 = exponent.parse().map_err(|_| too_large())?;
    let power = exponent
        .saturating_add(i64::from(digits))
        .saturating_add(zeros_cut as i64 - fraction.len() as i64);
    if power < 0 {
        return Err(inexact());
    }
    let magnitude = u32::try_from(power)
        .ok()
        .and_then(|power| 10_i128.checked_pow(power))
        .zip(significant.parse::<i128>().ok())
        .and_then(|(power, value)| value.checked_mul(power))
        .ok_or_else(too_large)?;
    i64::try_from(if negative { -magnitude } else { magnitude }).map_err(|_| too_large())
}

fn real(text: &str) -> Result<Cell, String> {
    let value: f64 = text.parse().map_err(|_| "a number is wanted")?;
    // Adding 0.0 turns -0.0, which SQLite would show as such, into 0.0.
    if value.is_finite() {
        Ok(Cell::Real(value + 0.0))
    } else {
        Err("it is beyond 64 bits".to_owned())
    }
}

fn timestamp(text: &str) -> Result<Cell, String> {
    let instant =
        Timestamp::parse(text).ok_or("it is not an RFC 3339 time like 2013-01-31T05:00:00Z")?;
    Ok(Cell::Text((&*instant.text()).into()))
}

fn date(text: &str) -> Result<Cell, String> {
    if is_date(text) {
        return Ok(Cell::Text(text.into()));
    }
    let instant = Timestamp::parse(text).ok_or("it is not a date like 2013-01-31")?;
    Ok(Cell::Text((&*instant.date()).into()))
}

/// Writes a TOML value as compact JSON.
fn json(value: &Kind, out: &mut String) -> Result<(), String> {
    match value {
        Kind::String(text) => out.push_str(&json_text(&text.value)),
        Kind::Integer(Some(integer)) => out.push_str(&integer.to_string()),
        Kind::Integer(None) => return Err("a number in it is beyond 64 bits".to_owned()),
        Kind::Float(text) if is_finite(text) => out.push_str(text),
        Kind::Float(_) => return Err("a number in it is not finite".to_owned()),
        Kind::Boolean(boolean) => out.push_str(if *boolean { "true" } else { "false" }),
        Kind::Datetime(_) => return Err("JSON has no dates: put it in quotes".to_owned()),
        Kind::Array(elements) => {
            out.push('[');
            for (index, element) in elements.iter().enumerate() {
                out.push_str(if index > 0 { "," } else { "" });
                json(&element.kind, out)?;
            }
            out.push(']');
        }
        Kind::Table(table) => json_object(table, out)?,
    }
    Ok(())
}

fn json_object(table: &Table, out: &mut String) -> Result<(), String> {
    out.push('{');
    for (index, entry) in table.entries.iter().enumerate() {
        out.push_str(if index > 0 { "," } else { "" });
        out.push_str(&json_text(&entry.key.name));
        out.push(':');
        json(&entry.value.kind, out)?;
    }
    out.push('}');
    Ok(())
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syntax::parse_value;

    #[track_caller]
    fn check(column_type: ColumnType, toml: &str, expected: Result<Cell, &str>) {
        let value = parse_value(toml).expect("valid TOML");
        let converted = cell(&value.kind, column_type);
        assert_eq!(
            converted.as_ref().map_err(String::as_str),
            expected.as_ref().map_err(|e| *e),
            "{column_type} {toml}"
        );
    }

    fn text(text: &str) -> Result<Cell, &str> {
        Ok(Cell::Text(text.into()))
    }

    #[test]
    fn numbers_are_exact() {
        let whole = Err("it is not a whole number");
        let beyond = Err("it is beyond 64 bits");
        for (toml, expected) in [
            ("12", Ok(Cell::Integer(12))),
            ("-0", Ok(Cell::Integer(0))),
            ("12.0", Ok(Cell::Integer(12))),
            ("1e2", Ok(Cell::Integer(100))),
            ("120e-1", Ok(Cell::Integer(12))),
            ("'12'", Ok(Cell::Integer(12))),
            ("'012'", Err("a number is wanted")),
            ("' 12'", Err("a number is wanted")),
            ("1.5", whole.clone()),
            ("1e-999999999", whole),
            ("9223372036854775807", Ok(Cell::Integer(i64::MAX))),
            ("-9223372036854775808", Ok(Cell::Integer(i64::MIN))),
            ("9223372036854775808", beyond.clone()),
            ("1e19", beyond.clone()),
            ("1e999999999999999999999", beyond),
            ("0e999999999", Ok(Cell::Integer(0))),
            ("inf", Err("it is not finite")),
            ("true", Err("a number is wanted")),
        ] {
            check(ColumnType::Integer, toml, expected);
        }
        let two = ColumnType::Decimal(2);
        check(two, "0", Ok(Cell::Integer(0)));
        check(two, "1.5", Ok(Cell::Integer(150)));
        check(two, "-1.50", Ok(Cell::Integer(-150)));
        check(two, "0.010", Ok(Cell::Integer(1)));
        check(two, "1.555", Err("it has more than 2 digits after the point"));
        check(two, "92233720368547758.07", Ok(Cell::Integer(i64::MAX)));
        check(two, "92233720368547758.08", Err("it is beyond 64 bits"));
        check(ColumnType::Real, "1", Ok(Cell::Real(1.0)));
        check(ColumnType::Real, "-0.0", Ok(Cell::Real(0.0)));
        check(ColumnType::Real, "1e999", Err("it is beyond 64 bits"));
        check(ColumnType::Real, "'1'", Err("a number is wanted"));
    }

    #[test]
    fn everything_else() {
        check(ColumnType::Text, "'a'", text("a"));
        check(ColumnType::Text, "1", Err("a string is wanted"));
        check(ColumnType::Boolean, "true", Ok(Cell::Integer(1)));
        check(ColumnType::Boolean, "1", Err("true or false is wanted"));
        check(
            ColumnType::Timestamp,
            "'2013-01-01T01:00:00+01:00'",
            text("2013-01-01T00:00:00.000000Z"),
        );
        check(
            ColumnType::Timestamp,
            "2013-01-01T00:00:00Z",
            Err("a date or time is written as a string, in quotes"),
        );
        check(
            ColumnType::Timestamp,
            "'now'",
            Err("it is not an RFC 3339 time like 2013-01-31T05:00:00Z"),
        );
        check(ColumnType::Date, "'2013-01-31'", text("2013-01-31"));
        check(ColumnType::Date, "'2013-01-31T23:00:00-05:00'", text("2013-02-01"));
        check(ColumnType::Date, "'2013-02-30'", Err("it is not a date like 2013-01-31"));
        check(
            ColumnType::Json,
            "{ b = [1, 2.50, 'x\"'], a = { c = true } }",
            text(r#"{"b":[1,2.50,"x\""],"a":{"c":true}}"#),
        );
        check(ColumnType::Json, "[2013-01-01]", Err("JSON has no dates: put it in quotes"));
        check(ColumnType::Bytes, "'AQI='", Ok(Cell::Bytes([1, 2].into())));
        check(ColumnType::Bytes, "'?'", Err("it is not base64"));
    }
}
