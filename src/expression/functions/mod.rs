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
pub(super) use self::time::is_zone;

/// A native function, and how it is called without jaq.
struct Function {
    filter: Filter<RunPtr<Engine>>,
    direct: Direct,
}

/// A function of values that gives one value.
#[derive(Clone, Copy)]
pub(super) enum Direct {
    Nullary(fn(Value) -> Result),
    Unary(fn(Value, Value) -> Result),
    /// It gives no value or several, or takes filters or more arguments.
    No,
}

type Input<'a> = Cv<'a, Engine>;
type Outputs<'a> = jaq_core::ValXs<'a, Value>;

/// Every native function of the prelude.
pub(super) fn all() -> impl Iterator<Item = Fun<Engine>> {
    functions().map(|function| run::<Engine>(function.filter))
}

/// How a function is called without jaq; None if there is no native one of this name.
pub(super) fn direct(name: &str, arguments: usize) -> Option<Direct> {
    let named =
        |function: &Function| function.filter.0 == name && function.filter.1.len() == arguments;
    functions().find(named).map(|function| function.direct)
}

fn functions() -> impl Iterator<Item = Function> {
    let areas = [
        any::functions(),
        array::functions(),
        number::functions(),
        paths::functions(),
        pattern::functions(),
        text::functions(),
        time::functions(),
    ];
    areas.into_iter().flatten()
}

/// A function of the input alone.
macro_rules! nullary {
    ($name:literal, $function:expr) => {
        super::Function {
            filter: ($name, jaq_core::native::v(0), |cv| {
                let function: fn(super::Value) -> super::Result = $function;
                jaq_core::native::bome(function(cv.1))
            }),
            direct: super::Direct::Nullary($function),
        }
    };
}

/// A function of the input and one value.
macro_rules! unary {
    ($name:literal, $function:expr) => {
        super::Function {
            filter: ($name, jaq_core::native::v(1), |cv| {
                let function: fn(super::Value, super::Value) -> super::Result = $function;
                jaq_core::native::unary(cv, function)
            }),
            direct: super::Direct::Unary($function),
        }
    };
}

/// A function of the input and two values.
macro_rules! binary {
    ($name:literal, $function:expr) => {
        super::Function::of_filter(($name, jaq_core::native::v(2), |mut cv| {
            let second = cv.0.pop_var();
            let first = cv.0.pop_var();
            let function: fn(super::Value, super::Value, super::Value) -> super::Result = $function;
            jaq_core::native::bome(function(cv.1, first, second))
        }))
    };
}

use {binary, nullary, unary};

impl Function {
    /// A function that only jaq can call.
    fn of_filter(filter: Filter<RunPtr<Engine>>) -> Self {
        Self { filter, direct: Direct::No }
    }
}

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
