//! Values as people and the HTTP API see them.
//!
//! A cell of a declared column is shown by its type: a decimal with its digits, a boolean as true or false, JSON as the
//! value it is. Whatever an expression of the query has made is shown as SQLite has it: `max(total)` of a `decimal(2)`
//! counts hundredths.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rusqlite::types::ValueRef;

use crate::row::ColumnType;

/// What is below it fits 64 bits.
const COUNT_MAX: f64 = 9.2e18;

/// One value of a result.
#[derive(Clone, Debug, PartialEq)]
pub enum Shown {
    Null,
    Integer(i64),
    /// A count of 10^-digits.
    Decimal {
        count: i64,
        digits: u8,
    },
    Real(f64),
    Boolean(bool),
    Text(String),
    /// The text of a JSON value.
    Json(String),
    Bytes(Vec<u8>),
}

impl Shown {
    /// `column_type`: of the declared column that the value comes from, if it does from one.
    pub(super) fn new(value: ValueRef<'_>, column_type: Option<ColumnType>) -> Self {
        match (value, column_type) {
            (ValueRef::Null, _) => Self::Null,
            (ValueRef::Integer(count), Some(ColumnType::Decimal(digits))) => {
                Self::Decimal { count, digits }
            }
            // Of a view: `avg(total)` counts 10^-digits as its column does.
            (ValueRef::Real(count), Some(ColumnType::Decimal(digits)))
                if count.abs() < COUNT_MAX =>
            {
                Self::Decimal { count: count.round() as i64, digits }
            }
            (ValueRef::Integer(value @ (0 | 1)), Some(ColumnType::Boolean)) => {
                Self::Boolean(value == 1)
            }
            (ValueRef::Integer(value), _) => Self::Integer(value),
            (ValueRef::Real(value), _) => Self::Real(value),
            (ValueRef::Text(text), Some(ColumnType::Json)) => {
                Self::Json(String::from_utf8_lossy(text).into_owned())
            }
            (ValueRef::Text(text), _) => Self::Text(String::from_utf8_lossy(text).into_owned()),
            (ValueRef::Blob(bytes), _) => Self::Bytes(bytes.to_vec()),
        }
    }

    /// As JSON text.
    pub fn json(&self) -> String {
        match self {
            Self::Null => "null".into(),
            Self::Real(value) if !value.is_finite() => format!("\"{value}\""),
            // With a point or an exponent, so that readers who tell integers from floats read a float.
            Self::Real(value) => format!("{value:?}"),
            Self::Text(text) => serde_json::Value::from(text.as_str()).to_string(),
            Self::Bytes(_) => format!("\"{}\"", self.text()),
            Self::Integer(_) | Self::Decimal { .. } | Self::Boolean(_) | Self::Json(_) => {
                self.text()
            }
        }
    }

    /// As text in a table.
    pub fn text(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Integer(value) => value.to_string(),
            Self::Decimal { count, digits } => decimal(*count, *digits),
            Self::Real(value) => value.to_string(),
            Self::Boolean(value) => value.to_string(),
            Self::Text(text) | Self::Json(text) => text.clone(),
            Self::Bytes(bytes) => BASE64.encode(bytes),
        }
    }

    /// Whether a table sets it to the right.
    pub fn is_number(&self) -> bool {
        matches!(self, Self::Null | Self::Integer(_) | Self::Decimal { .. } | Self::Real(_))
    }

    /// Bytes that the value takes, nearly.
    pub(super) fn bytes(&self) -> usize {
        let content = match self {
            Self::Text(text) | Self::Json(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 0,
        };
        size_of::<Self>() + content
    }
}

fn decimal(count: i64, digits: u8) -> String {
    if digits == 0 {
        return count.to_string();
    }
    let digits = usize::from(digits);
    let sign = if count < 0 { "-" } else { "" };
    let all = format!("{:0>width$}", count.unsigned_abs(), width = digits + 1);
    let (whole, fraction) = all.split_at(all.len() - digits);
    format!("{sign}{whole}.{fraction}")
}

/// The type that a name in `_viewd_columns` stands for.
pub(super) fn column_type(name: &str) -> Option<ColumnType> {
    Some(match name {
        "text" => ColumnType::Text,
        "integer" => ColumnType::Integer,
        "real" => ColumnType::Real,
        "boolean" => ColumnType::Boolean,
        "timestamp" => ColumnType::Timestamp,
        "date" => ColumnType::Date,
        "json" => ColumnType::Json,
        "bytes" => ColumnType::Bytes,
        _ => ColumnType::Decimal(name.strip_prefix("decimal(")?.strip_suffix(')')?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_by_type() {
        let cases: [(ValueRef<'_>, Option<ColumnType>, &str, &str); 19] = [
            (ValueRef::Null, Some(ColumnType::Json), "null", ""),
            (ValueRef::Integer(1250), Some(ColumnType::Decimal(2)), "12.50", "12.50"),
            (ValueRef::Integer(-5), Some(ColumnType::Decimal(2)), "-0.05", "-0.05"),
            (ValueRef::Integer(7), Some(ColumnType::Decimal(0)), "7", "7"),
            (
                ValueRef::Integer(i64::MIN),
                Some(ColumnType::Decimal(9)),
                "-9223372036.854775808",
                "-9223372036.854775808",
            ),
            (ValueRef::Integer(1250), None, "1250", "1250"),
            (ValueRef::Real(152.5), Some(ColumnType::Decimal(2)), "1.53", "1.53"),
            (ValueRef::Real(-152.5), Some(ColumnType::Decimal(2)), "-1.53", "-1.53"),
            (
                ValueRef::Real(1e30),
                Some(ColumnType::Decimal(2)),
                "1e30",
                "1000000000000000000000000000000",
            ),
            (ValueRef::Integer(1), Some(ColumnType::Boolean), "true", "true"),
            (ValueRef::Integer(2), Some(ColumnType::Boolean), "2", "2"),
            (ValueRef::Real(1.0), Some(ColumnType::Real), "1.0", "1"),
            (ValueRef::Real(1e300), None, "1e300", &1e300.to_string()),
            (ValueRef::Real(f64::INFINITY), None, "\"inf\"", "inf"),
            (ValueRef::Text(b"a\"b"), Some(ColumnType::Text), r#""a\"b""#, "a\"b"),
            (ValueRef::Text(b"{\"a\":1}"), Some(ColumnType::Json), "{\"a\":1}", "{\"a\":1}"),
            (ValueRef::Text(b"{\"a\":1}"), None, r#""{\"a\":1}""#, "{\"a\":1}"),
            (ValueRef::Text(b"\xff"), None, "\"\u{fffd}\"", "\u{fffd}"),
            (ValueRef::Blob(b"\x00\xff"), None, "\"AP8=\"", "AP8="),
        ];
        for (value, column_type, json, text) in cases {
            let shown = Shown::new(value, column_type);
            assert_eq!(
                (shown.json().as_str(), shown.text().as_str()),
                (json, text),
                "{value:?} {column_type:?}"
            );
        }
    }

    #[test]
    fn types_by_name() {
        let types = [
            ColumnType::Text,
            ColumnType::Integer,
            ColumnType::Decimal(0),
            ColumnType::Decimal(9),
            ColumnType::Real,
            ColumnType::Boolean,
            ColumnType::Timestamp,
            ColumnType::Date,
            ColumnType::Json,
            ColumnType::Bytes,
        ];
        for known in types {
            assert_eq!(column_type(&known.to_string()), Some(known));
        }
        assert_eq!(column_type("money"), None);
    }
}
