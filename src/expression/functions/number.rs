//! Functions of numbers: rounding is exact, mathematics is in floats, by a library that gives the same bits everywhere.

use super::super::budget;
use super::super::decimal::Rounding;
use super::super::number::{Number, NumberError};
use super::super::value::{Result, Value, error};
use super::{Function, as_integer, as_number, binary, nullary, unary};

/// The numbers of digits that `round(n)` can be asked for.
const DIGITS: std::ops::RangeInclusive<i64> = -100..=100;

pub(super) fn functions() -> Vec<Function> {
    vec![
        nullary!("floor", |value| round("floor", value, 0, Rounding::Down)),
        nullary!("ceil", |value| round("ceil", value, 0, Rounding::Up)),
        nullary!("round", |value| round("round", value, 0, Rounding::Half)),
        nullary!("trunc", |value| round("trunc", value, 0, Rounding::TowardsZero)),
        unary!("round", |value, digits| {
            let count = as_integer("round", &digits)?;
            if !DIGITS.contains(&count) {
                return Err(error(format!("round: {digits} digits are not between -100 and 100")));
            }
            round("round", value, count as i32, Rounding::Half)
        }),
        nullary!("abs", |value: Value| match as_number("abs", &value)?.is_negative() {
            true => -value,
            false => Ok(value),
        }),
        nullary!("sqrt", |value| float("sqrt", value, libm::sqrt)),
        nullary!("log", |value| float("log", value, libm::log)),
        nullary!("log2", |value| float("log2", value, libm::log2)),
        nullary!("log10", |value| float("log10", value, libm::log10)),
        nullary!("exp", |value| float("exp", value, libm::exp)),
        nullary!("exp2", |value| float("exp2", value, libm::exp2)),
        nullary!("exp10", |value| float("exp10", value, libm::exp10)),
        nullary!("sin", |value| float("sin", value, libm::sin)),
        nullary!("cos", |value| float("cos", value, libm::cos)),
        nullary!("tan", |value| float("tan", value, libm::tan)),
        nullary!("asin", |value| float("asin", value, libm::asin)),
        nullary!("acos", |value| float("acos", value, libm::acos)),
        nullary!("atan", |value| float("atan", value, libm::atan)),
        binary!("pow", |_, base, power| floats("pow", base, power, libm::pow)),
        binary!("atan2", |_, y, x| floats("atan2", y, x, libm::atan2)),
    ]
}

fn round(name: &str, value: Value, digits: i32, mode: Rounding) -> Result {
    budget::operation();
    given(name, &value, as_number(name, &value)?.round(digits, mode))
}

fn float(name: &str, value: Value, function: fn(f64) -> f64) -> Result {
    budget::operation();
    let argument = as_number(name, &value)?.to_f64();
    given(name, &value, Number::float(function(argument)))
}

fn floats(name: &str, first: Value, second: Value, function: fn(f64, f64) -> f64) -> Result {
    budget::operation();
    let (a, b) = (as_number(name, &first)?.to_f64(), as_number(name, &second)?.to_f64());
    let result = Number::float(function(a, b));
    result
        .map(Value::Number)
        .map_err(|problem| error(format!("{name} of {first} and {second}: {problem}")))
}

fn given(name: &str, value: &Value, result: std::result::Result<Number, NumberError>) -> Result {
    result.map(Value::Number).map_err(|problem| error(format!("{name} of {value}: {problem}")))
}
