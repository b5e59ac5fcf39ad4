//! The native functions, by area.

mod any;
mod array;
mod number;
mod paths;
mod pattern;
mod text;
mod time;

use jaq_core::Bind;
use jaq_core::native::{Filter, Fun, run};
use jaq_core::{Cv, RunPtr};

use super::engine::Engine;
use super::number::Number;
use super::text::Text;
use super::value::{Result, Value, error};

pub(super) use self::pattern::check as check_pattern;

type Function = Filter<RunPtr<Engine>>;
type Input<'a> = Cv<'a, Engine>;
type Outputs<'a> = jaq_core::ValXs<'a, Value>;

/// Every native function of the prelude.
pub(super) fn all() -> impl Iterator<Item = Fun<Engine>> {
    let areas = [
        any::functions(),
        array::functions(),
        number::functions(),
        paths::functions(),
        pattern::functions(),
        text::functions(),
        time::functions(),
    ];
    areas.into_iter().flatten().map(run::<Engine>)
}

/// A function of the input alone: `name = function`.
macro_rules! nullary {
    ($name:literal, $function:expr) => {
        ($name, jaq_core::native::v(0), |cv| jaq_core::native::bome($function(cv.1)))
    };
}

/// A function of the input and one value.
macro_rules! unary {
    ($name:literal, $function:expr) => {
        ($name, jaq_core::native::v(1), |cv| jaq_core::native::unary(cv, $function))
    };
}

/// A function of the input and two values.
macro_rules! binary {
    ($name:literal, $function:expr) => {
        ($name, jaq_core::native::v(2), |mut cv| {
            let second = cv.0.pop_var();
            let first = cv.0.pop_var();
            jaq_core::native::bome($function(cv.1, first, second))
        })
    };
}

use {binary, nullary, unary};

fn filter() -> Box<[Bind]> {
    [Bind::Fun(())].into()
}

fn refused(name: &str, value: &Value, wanted: &str) -> super::value::Error {
    error(format!("{name}: {value} is not {wanted}"))
}

fn as_text<'a>(name: &str, value: &'a Value) -> Result<&'a Text> {
    value.as_text().ok_or_else(|| refused(name, value, "a string"))
}

fn as_number<'a>(name: &str, value: &'a Value) -> Result<&'a Number> {
    match value {
        Value::Number(number) => Ok(number),
        _ => Err(refused(name, value, "a number")),
    }
}

fn as_integer(name: &str, value: &Value) -> Result<i64> {
    as_number(name, value)?.integer().ok_or_else(|| refused(name, value, "a whole number"))
}

/// The elements of an array, taken.
fn into_items(name: &str, value: Value) -> Result<Vec<Value>> {
    value.into_array().map(|array| array.items).map_err(|value| refused(name, &value, "an array"))
}
