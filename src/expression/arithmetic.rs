//! `+ - * / %` and negation, over all kinds of values as in jq.

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use super::budget;
use super::number::{Number, NumberError};
use super::value::{Array, Object, Result, Value, ValueKind, error};

impl Add for Value {
    type Output = Result;

    fn add(self, other: Self) -> Result {
        budget::operation();
        match (self, other) {
            (Self::Null, value) | (value, Self::Null) => Ok(value),
            (Self::Number(a), Self::Number(b)) => numeric(a.add(&b), &a, "+", &b),
            (Self::Text(a), Self::Text(b)) => Ok(concatenated(&[&a, &b])),
            (a, b) => match (a.kind(), b.kind()) {
                (ValueKind::Array, ValueKind::Array) => {
                    let (mut a, b) = (array(a), array(b));
                    a.append(b);
                    Ok(a.into())
                }
                (ValueKind::Object, ValueKind::Object) => {
                    let (mut a, b) = (object(a), object(b));
                    budget::operations(b.members.len());
                    a.append(b);
                    Ok(a.into())
                }
                _ => Err(mismatch(&a, "+", &b)),
            },
        }
    }
}

impl Sub for Value {
    type Output = Result;

    fn sub(self, other: Self) -> Result {
        budget::operation();
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => numeric(a.sub(&b), &a, "-", &b),
            (a, b) => {
                let (Some(items), Some(removed)) = (a.elements(), b.elements()) else {
                    return Err(mismatch(&a, "-", &b));
                };
                Ok(items.iter().filter(|item| !removed.contains(item)).cloned().collect())
            }
        }
    }
}

impl Mul for Value {
    type Output = Result;

    fn mul(self, other: Self) -> Result {
        budget::operation();
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => numeric(a.mul(&b), &a, "*", &b),
            (Self::Text(text), Self::Number(count)) | (Self::Number(count), Self::Text(text)) => {
                repeat(&text, &count)
            }
            (a, b) if a.kind() == ValueKind::Object && b.kind() == ValueKind::Object => {
                Ok(deeply_merged(object(a), object(b)).into())
            }
            (a, b) => Err(mismatch(&a, "*", &b)),
        }
    }
}

impl Div for Value {
    type Output = Result;

    fn div(self, other: Self) -> Result {
        budget::operation();
        match (&self, &other) {
            (Self::Number(a), Self::Number(b)) => numeric(a.div(b), a, "/", b),
            (Self::Text(text), Self::Text(separator)) => Ok(split(text, separator)),
            _ => Err(mismatch(&self, "/", &other)),
        }
    }
}

impl Rem for Value {
    type Output = Result;

    fn rem(self, other: Self) -> Result {
        budget::operation();
        match (&self, &other) {
            (Self::Number(a), Self::Number(b)) => numeric(a.rem(b), a, "%", b),
            _ => Err(mismatch(&self, "%", &other)),
        }
    }
}

impl Neg for Value {
    type Output = Result;

    fn neg(self) -> Result {
        budget::operation();
        match &self {
            Self::Number(number) => match number.neg() {
                Ok(number) => Ok(Self::Number(number)),
                Err(problem) => Err(error(format!("-{}: {problem}", number.text()))),
            },
            _ => Err(error(format!("-({self}): {} cannot be negated", self.kind()))),
        }
    }
}

/// Texts end to end.
pub(super) fn concatenated(texts: &[&str]) -> Value {
    let bytes: usize = texts.iter().map(|text| text.len()).sum();
    budget::scan(bytes);
    budget::text(bytes);
    let mut whole = String::with_capacity(bytes);
    texts.iter().for_each(|text| whole.push_str(text));
    Value::from(whole)
}

/// The parts of a text between separators; its characters if the separator is empty.
pub(super) fn split(text: &str, separator: &str) -> Value {
    budget::scan(text.len());
    let part = |part: &str| {
        budget::operation();
        Value::from(part)
    };
    if text.is_empty() {
        return Value::array(Vec::new());
    }
    if separator.is_empty() {
        return text.chars().map(|char| part(char.encode_utf8(&mut [0; 4]))).collect();
    }
    text.split(separator).map(part).collect()
}

fn numeric(
    result: std::result::Result<Number, NumberError>,
    a: &Number,
    operator: &str,
    b: &Number,
) -> Result {
    result.map(Value::Number).map_err(|problem| {
        let (a, b) = (Value::Number(a.clone()), Value::Number(b.clone()));
        error(format!("{a} {operator} {b}: {problem}"))
    })
}

fn mismatch(a: &Value, operator: &str, b: &Value) -> super::value::Error {
    let verb = match operator {
        "+" => "added",
        "-" => "subtracted",
        "*" => "multiplied",
        _ => "divided",
    };
    error(format!("{a} {operator} {b}: {} and {} cannot be {verb}", a.kind(), b.kind()))
}

fn repeat(text: &str, count: &Number) -> Result {
    let times = count.integer().and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    if times == 0 {
        if count.is_negative() || count.is_zero() {
            return Ok(Value::Null);
        }
        let count = Value::Number(count.clone());
        return Err(error(format!(
            "{text:?} * {count}: a string is repeated a whole number of times"
        )));
    }
    // Counted before the memory is taken.
    let bytes = text.len().saturating_mul(times);
    budget::text(bytes);
    budget::scan(bytes);
    Ok(Value::from(text.repeat(times)))
}

/// As `+`, but objects under the same key are merged likewise.
fn deeply_merged(mut a: Object, b: Object) -> Object {
    budget::operations(b.members.len());
    for (key, value) in b.members {
        let present = a.members.get_mut(&key).map(|slot| std::mem::replace(slot, Value::Null));
        let merged = match present {
            Some(present)
                if present.kind() == ValueKind::Object && value.kind() == ValueKind::Object =>
            {
                deeply_merged(object(present), object(value)).into()
            }
            _ => value,
        };
        a.set(key, merged);
    }
    a
}

fn array(value: Value) -> Array {
    value.into_array().unwrap_or_else(|_| unreachable!("its kind is array"))
}

fn object(value: Value) -> Object {
    value.into_object().unwrap_or_else(|_| unreachable!("its kind is object"))
}
