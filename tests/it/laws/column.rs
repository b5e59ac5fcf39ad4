//! What columns store of values, and what they show of what they store.

use super::model::{Cell, Kind};
use super::value::{Number, Value};

impl Kind {
    /// What a column stores of a value; None if it takes none such.
    pub fn store(self, value: &Value) -> Option<Cell> {
        Some(match (self, value) {
            (_, Value::Null) => Cell::Null,
            (Self::Text, Value::Text(text)) => Cell::Text(text.clone()),
            (Self::Integer, value) => Cell::Integer(number(value)?.scaled(0)?),
            (Self::Decimal(digits), value) => Cell::Integer(number(value)?.scaled(digits)?),
            (Self::Real, Value::Number(number)) => {
                let value = number.to_f64();
                value.is_finite().then(|| Cell::real(value))?
            }
            (Self::Boolean, Value::Boolean(boolean)) => Cell::Integer((*boolean).into()),
            (Self::Timestamp, Value::Text(text)) => Cell::Text(timestamp(text)?),
            (Self::Date, Value::Text(text)) if is_date(text) => Cell::Text(text.clone()),
            (Self::Date, Value::Text(text)) => Cell::text(&timestamp(text)?[..10]),
            (Self::Json, value) => Cell::Text(value.json("")),
            (Self::Bytes, Value::Text(text)) => Cell::Bytes(bytes(text)?),
            _ => return None,
        })
    }

    /// The value that `$row` and `lookup` show.
    pub fn show(self, cell: &Cell) -> Value {
        match (self, cell) {
            (_, Cell::Null) => Value::Null,
            (Self::Boolean, Cell::Integer(boolean)) => Value::Boolean(*boolean == 1),
            (Self::Decimal(places), Cell::Integer(count)) => Value::Number(decimal(*count, places)),
            (_, Cell::Integer(integer)) => Value::integer(*integer),
            (_, Cell::Real(bits)) => Value::Number(Number::of_float(f64::from_bits(*bits))),
            (Self::Json, Cell::Text(text)) => Value::parse(text),
            (_, Cell::Text(text)) => Value::text(text),
            (_, Cell::Bytes(bytes)) => Value::Text(base64(bytes)),
        }
    }

    /// What `add` stores of true and false.
    pub fn count(self, boolean: bool) -> Cell {
        let count = i64::from(boolean);
        match self {
            Self::Decimal(digits) => Cell::Integer(count * 10_i64.pow(digits)),
            Self::Real => Cell::real(f64::from(u8::from(boolean))),
            _ => Cell::Integer(count),
        }
    }
}

/// A number, or a text of one.
fn number(value: &Value) -> Option<Number> {
    match value {
        Value::Number(number) => Some(number.clone()),
        Value::Text(text) => Number::parse(text),
        _ => None,
    }
}

/// With all its digits.
fn decimal(count: i64, places: u32) -> Number {
    let width = places as usize + 1;
    let all = format!("{:0width$}", count.unsigned_abs());
    let (whole, fraction) = all.split_at(all.len() - places as usize);
    let (sign, dot) = (if count < 0 { "-" } else { "" }, if places > 0 { "." } else { "" });
    Number::parse(&format!("{sign}{whole}{dot}{fraction}")).expect("a number")
}

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

fn timestamp(text: &str) -> Option<String> {
    let known = TIMES.iter().find(|(written, stored)| *written == text || *stored == text);
    // The time at which a message was stored is of this form already.
    let is_stored = text.starts_with("2013-01-01T00:") && text.ends_with(".000000Z");
    known
        .map(|(_, stored)| (*stored).to_owned())
        .or_else(|| (is_stored && text.len() == 27).then(|| text.to_owned()))
}

fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut part = |width: usize| {
        let part = parts.next().filter(|part| part.len() == width)?;
        part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok())?
    };
    let (Some(year), Some(month), Some(day)) = (part(4), part(2), part(2)) else { return false };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    parts.next().is_none() && year > 0 && (1..=days).contains(&day)
}

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for group in bytes.chunks(3) {
        let mut bits = 0_usize;
        for at in 0..3 {
            bits = bits << 8 | usize::from(group.get(at).copied().unwrap_or(0));
        }
        for at in 0..4 {
            let digit = char::from(BASE64[bits >> (18 - 6 * at) & 63]);
            text.push(if at <= group.len() { digit } else { '=' });
        }
    }
    text
}

/// The bytes of which a text is the base64: there is one text of each.
fn bytes(text: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for byte in text.trim_end_matches('=').bytes() {
        let digit = BASE64.iter().position(|known| *known == byte)?;
        bits.extend((0..6).rev().map(|bit| digit >> bit & 1));
    }
    let whole = |bits: &[usize]| bits.iter().fold(0, |byte, bit| byte << 1 | *bit as u8);
    let bytes: Vec<u8> = bits.chunks_exact(8).map(whole).collect();
    (base64(&bytes) == text).then_some(bytes)
}
