//! Functions of arrays.

use std::cmp::Ordering;

use jaq_core::box_iter::box_once;
use jaq_core::native::v;
use jaq_core::{Exn, ValX};

use super::super::arithmetic::concatenated;
use super::super::budget;
use super::super::value::{Result, Value, ValueKind, error};
use super::{
    Function, Input, Outputs, as_number, as_text, filter, into_items, nullary, refused, unary,
};

pub(super) fn functions() -> Vec<Function> {
    vec![
        nullary!("add", add),
        nullary!("sort", |value| {
            let mut items = into_items("sort", value)?;
            items.sort();
            Ok(Value::array(items))
        }),
        nullary!("reverse", reverse),
        nullary!("unique", |value| {
            let mut items = into_items("unique", value)?;
            items.sort();
            items.dedup();
            Ok(Value::array(items))
        }),
        nullary!("min", |value| Ok(extreme(into_items("min", value)?, Ordering::Less))),
        nullary!("max", |value| Ok(extreme(into_items("max", value)?, Ordering::Greater))),
        Function::of_filter(("sort_by", filter(), |cv| {
            by("sort_by", cv, |keyed| Ok(keyed.into_iter().map(|(_, item)| item).collect()))
        })),
        Function::of_filter(("group_by", filter(), |cv| {
            by("group_by", cv, |keyed| Ok(grouped(keyed).map(Value::array).collect()))
        })),
        Function::of_filter(("unique_by", filter(), |cv| {
            by("unique_by", cv, |keyed| {
                Ok(grouped(keyed).filter_map(|group| group.into_iter().next()).collect())
            })
        })),
        // Of equal keys the first is the least and the last the greatest, as in jq.
        Function::of_filter(("min_by", filter(), |cv| {
            by("min_by", cv, |keyed| {
                Ok(keyed.into_iter().next().map_or(Value::Null, |(_, item)| item))
            })
        })),
        Function::of_filter(("max_by", filter(), |cv| {
            by("max_by", cv, |keyed| {
                Ok(keyed.into_iter().next_back().map_or(Value::Null, |(_, item)| item))
            })
        })),
        nullary!("flatten", |value| flatten(value, i64::MAX)),
        unary!("flatten", |value, depth| flatten(value, super::as_integer("flatten", &depth)?)),
        nullary!("transpose", transpose),
        unary!("join", join),
        unary!("bsearch", bsearch),
        unary!("indices", indices),
        unary!("index", |value, part| Ok(end_of(indices(value, part)?, 0))),
        unary!("rindex", |value, part| Ok(end_of(indices(value, part)?, -1))),
        Function::of_filter(("range", v(3), range)),
    ]
}

/// The sum of all elements, texts joined in one go.
fn add(value: Value) -> Result {
    let items = match value.into_array() {
        Ok(array) => array.items,
        Err(other) => match other.into_object() {
            Ok(object) => object.members.into_values().collect(),
            Err(other) => return Err(refused("add", &other, "an array or object")),
        },
    };
    if !items.is_empty() && items.iter().all(|item| item.kind() == ValueKind::String) {
        let texts: Vec<&str> =
            items.iter().filter_map(|item| item.as_text().map(|text| text.as_str())).collect();
        budget::operations(texts.len());
        return Ok(concatenated(&texts));
    }
    items.into_iter().try_fold(Value::Null, |sum, item| sum + item)
}

fn reverse(value: Value) -> Result {
    match &value {
        Value::Null => Ok(Value::array(Vec::new())),
        Value::Text(text) => {
            budget::scan(text.len());
            Ok(Value::from(text.chars().rev().collect::<String>()))
        }
        _ => {
            let mut items = into_items("reverse", value)?;
            items.reverse();
            Ok(Value::array(items))
        }
    }
}

fn extreme(items: Vec<Value>, wanted: Ordering) -> Value {
    let better = |best: Value, item: Value| match item.cmp(&best) {
        // Of equal ones the first is the least, the last the greatest.
        Ordering::Equal if wanted == Ordering::Greater => item,
        order if order == wanted => item,
        _ => best,
    };
    items.into_iter().reduce(better).unwrap_or(Value::Null)
}

/// Elements with what `f` gives for each, in the order of that; then what `make` makes of them.
fn by<'a>(
    name: &'static str,
    mut cv: Input<'a>,
    make: impl FnOnce(Vec<(Vec<Value>, Value)>) -> Result,
) -> Outputs<'a> {
    let (f, context) = cv.0.pop_fun();
    let keyed = || -> ValX<'a, Value> {
        let items = into_items(name, cv.1)?;
        let key = |item: Value| {
            let key = f
                .run((context.clone(), item.clone()))
                .collect::<std::result::Result<Vec<_>, Exn<_>>>()?;
            Ok::<_, Exn<_>>((key, item))
        };
        let mut keyed = items.into_iter().map(key).collect::<std::result::Result<Vec<_>, _>>()?;
        keyed.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(make(keyed)?)
    };
    box_once(keyed())
}

/// Neighbours of equal keys.
fn grouped(keyed: Vec<(Vec<Value>, Value)>) -> impl Iterator<Item = Vec<Value>> {
    let mut rest = keyed.into_iter().peekable();
    std::iter::from_fn(move || {
        let (key, item) = rest.next()?;
        let mut group = vec![item];
        while let Some((_, item)) = rest.next_if(|(other, _)| *other == key) {
            group.push(item);
        }
        Some(group)
    })
}

fn flatten(value: Value, depth: i64) -> Result {
    if depth < 0 {
        return Err(error("flatten: the depth is negative"));
    }
    let items = into_items("flatten", value)?;
    let mut flat = Vec::with_capacity(items.len());
    for item in items {
        flatten_into(&mut flat, item, depth);
    }
    Ok(Value::array(flat))
}

fn flatten_into(flat: &mut Vec<Value>, item: Value, depth: i64) {
    budget::operation();
    if depth == 0 || item.kind() != ValueKind::Array {
        flat.push(item);
        return;
    }
    let Ok(array) = item.into_array() else { unreachable!("its kind is array") };
    for inner in array.items {
        flatten_into(flat, inner, depth - 1);
    }
}

fn transpose(value: Value) -> Result {
    let rows = into_items("transpose", value)?;
    let rows =
        rows.into_iter().map(|row| into_items("transpose", row)).collect::<Result<Vec<_>>>()?;
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    budget::operations(width.saturating_mul(rows.len()));
    let column =
        |at: usize| rows.iter().map(|row| row.get(at).cloned().unwrap_or(Value::Null)).collect();
    Ok((0..width).map(column).collect())
}

/// Strings, numbers, booleans, and null as nothing, with a text between them.
fn join(value: Value, separator: Value) -> Result {
    let separator = as_text("join", &separator)?;
    let items = into_items("join", value)?;
    let mut texts = Vec::with_capacity(items.len());
    for item in &items {
        budget::operation();
        texts.push(match item {
            Value::Null => String::new(),
            Value::Text(text) => {
                budget::text(text.len());
                text.as_str().to_owned()
            }
            Value::Bool(_) | Value::Number(_) => item.to_json(),
            _ => {
                return Err(error(format!("join: {item} is {} and cannot be joined", item.kind())));
            }
        });
    }
    budget::text(separator.len().saturating_mul(texts.len()));
    Ok(Value::from(texts.join(separator)))
}

/// The place of a value in a sorted array; where it would be, as -1 - place, if it is not there.
fn bsearch(value: Value, wanted: Value) -> Result {
    let items = into_items("bsearch", value)?;
    Ok(match items.binary_search(&wanted) {
        Ok(place) => Value::from(place),
        Err(place) => Value::from(-1 - isize::try_from(place).expect("sizes fit isize")),
    })
}

/// Where a text begins in a text, in characters; where an element or run of elements begins in an array.
fn indices(value: Value, part: Value) -> Result {
    budget::operation();
    if let (Value::Text(whole), Value::Text(part)) = (&value, &part) {
        return Ok(text_indices(whole, part));
    }
    if value.kind() == ValueKind::Null {
        return Ok(Value::Null);
    }
    let items = value
        .elements()
        .ok_or_else(|| refused("indices", &value, "an array or string like the argument"))?;
    let found = match part.elements() {
        Some(run) if run.is_empty() => Vec::new(),
        Some(run) => places(items.windows(run.len()), |window| window.iter().eq(run.iter())),
        None => places(items.iter(), |item| **item == part),
    };
    Ok(Value::array(found))
}

fn places<T>(all: impl Iterator<Item = T>, mut equal: impl FnMut(&T) -> bool) -> Vec<Value> {
    all.enumerate().filter(|(_, item)| equal(item)).map(|(place, _)| Value::from(place)).collect()
}

fn text_indices(whole: &str, part: &str) -> Value {
    budget::scan(whole.len());
    let mut found = Vec::new();
    let mut from = 0;
    let mut characters = 0;
    let Some(step) = part.chars().next().map(char::len_utf8) else { return Value::array(found) };
    while let Some(at) = whole[from..].find(part) {
        budget::operation();
        budget::scan(part.len());
        characters += whole[from..from + at].chars().count();
        found.push(Value::from(characters));
        // Overlapping places count, too.
        from += at + step;
        characters += 1;
    }
    Value::array(found)
}

fn end_of(indices: Value, place: i64) -> Value {
    indices.element(place).unwrap_or(Value::Null)
}

/// From a number up to another, exclusive; nothing if the step does not lead there.
fn range(mut cv: Input<'_>) -> Outputs<'_> {
    let by = cv.0.pop_var();
    let upto = cv.0.pop_var();
    let from = cv.0.pop_var();
    for bound in [&from, &upto, &by] {
        if let Err(refused) = as_number("range", bound) {
            return box_once(Err(Exn::from(refused)));
        }
    }
    let zero = Value::from(0_usize);
    let direction = by.cmp(&zero);
    let mut next = Some(from);
    Box::new(std::iter::from_fn(move || {
        let here = next.take()?;
        budget::operation();
        // A step of 0 leads nowhere, as in jq; as jaq has it, it would never end.
        if direction == Ordering::Equal || here.cmp(&upto) != direction.reverse() {
            return None;
        }
        match here.clone() + by.clone() {
            Ok(after) => next = Some(after),
            Err(problem) => return Some(Err(Exn::from(problem))),
        }
        Some(Ok(here))
    }))
}
