//! Changing values: what `|=`, `setpath` and `del` rest on.
//!
//! Null stands for an empty array or object, whichever the path asks for, and an index past the end fills up with
//! null, as in jq.

use jaq_core::path::Opt;
use jaq_core::{Exn, ValX};

use super::budget::{self, DEPTH_MAX, Exceeded};
use super::value::{Array, Object, Result, Value, ValueKind, error, place};

/// As far as an index may lie past the end of an array: as jq has it, and more than the budget gives.
const FILL_MAX: usize = 1 << 24;

/// `.[] |= f`: every output of `f` for an element, the first for a member; none removes it.
pub(super) fn values<'a, I: Iterator<Item = ValX<'a, Value>>>(
    value: Value,
    opt: Opt,
    f: impl Fn(Value) -> I,
) -> ValX<'a, Value> {
    let value = match value.into_array() {
        Ok(array) => return array.items.into_iter().flat_map(f).collect(),
        Err(other) => other,
    };
    match value.into_object() {
        Ok(object) => {
            let mut changed = super::value::Members::with_capacity(object.members.len());
            for (key, member) in object.members {
                budget::operation();
                if let Some(member) = f(member).next() {
                    changed.insert(key, member?);
                }
            }
            Ok(Value::object(changed))
        }
        Err(other) => opt.fail(other, |other| {
            Exn::from(error(format!("{} has no elements", other.described())))
        }),
    }
}

/// `.[index] |= f`.
pub(super) fn index<'a, I: Iterator<Item = ValX<'a, Value>>>(
    value: Value,
    index: &Value,
    opt: Opt,
    f: impl Fn(Value) -> I,
) -> ValX<'a, Value> {
    budget::operation();
    match index {
        Value::Text(key) => match writable_object(value) {
            Ok(object) => member(object, key, f),
            Err(other) => opt.fail(other, |other| Exn::from(Value::no_member(&other, index))),
        },
        Value::Number(number) => match (writable_array(value), number.integer()) {
            (Ok(array), Some(index)) => element(array, index, f),
            (Ok(array), None) => {
                opt.fail(array.into(), |array| Exn::from(Value::no_member(&array, index)))
            }
            (Err(other), _) => opt.fail(other, |other| Exn::from(Value::no_member(&other, index))),
        },
        _ => match value.as_slice_bounds(index) {
            Some((from, upto)) => range(value, (from.as_ref(), upto.as_ref()), opt, f),
            None => opt.fail(value, |value| Exn::from(Value::no_member(&value, index))),
        },
    }
}

/// `.[from:upto] |= f`, where `f` gives an array.
pub(super) fn range<'a, I: Iterator<Item = ValX<'a, Value>>>(
    value: Value,
    (from, upto): (Option<&Value>, Option<&Value>),
    opt: Opt,
    f: impl Fn(Value) -> I,
) -> ValX<'a, Value> {
    budget::operation();
    let array = match writable_array(value) {
        Ok(array) => array,
        Err(other) => {
            return opt.fail(other, |other| {
                Exn::from(error(format!("a slice of {} cannot be set", other.kind())))
            });
        }
    };
    let length = array.items.len();
    let slice = super::engine::slice_bounds(length, from, upto)?;
    budget::operations(length / 16);
    let part = array.items[slice.clone()].iter().cloned().collect();
    let replacement = match f(part).next().transpose()? {
        Some(replacement) => replacement.into_array().map_err(|other| {
            Exn::from(error(format!(
                "a slice of an array is set to an array, and {other} is {}",
                other.kind()
            )))
        })?,
        None => return Ok(remove_slice(array, slice)),
    };
    let mut items = array.items;
    items.splice(slice, replacement.items);
    Ok(Value::array(items))
}

/// The value with `.[path...]` set to another.
pub(super) fn set_path(value: Value, path: &[Value], to: Value) -> Result {
    check_length(path);
    set(value, path, to)
}

/// Ends the evaluation if a path is longer than values are deep: what walks one recurses.
pub(super) fn check_length(path: &[Value]) {
    if path.len() > 2 * usize::from(DEPTH_MAX) {
        budget::stop_at(Exceeded::Depth);
    }
}

/// The value without what the paths name: all at once, so that one removal does not move what another names.
pub(super) fn delete_paths(value: Value, mut paths: Vec<Value>) -> Result {
    budget::operations(paths.len());
    paths.sort();
    paths.dedup();
    // From the end: later indexes first.
    paths.into_iter().rev().try_fold(value, |value, path| match path.elements() {
        Some(path) => {
            check_length(&path);
            delete_path(value, &path)
        }
        None => Err(error(format!("delpaths: {path} is no path"))),
    })
}

fn set(value: Value, path: &[Value], to: Value) -> Result {
    let Some((first, rest)) = path.split_first() else { return Ok(to) };
    budget::operation();
    let inner = |value: Value| std::iter::once(set(value, rest, to.clone()).map_err(Exn::from));
    plain(index(value, first, Opt::Essential, inner))
}

fn delete_path(value: Value, path: &[Value]) -> Result {
    let Some((first, rest)) = path.split_first() else { return Ok(Value::Null) };
    budget::operation();
    if value.kind() == ValueKind::Null {
        return Ok(value);
    }
    if rest.is_empty() {
        return plain(index(value, first, Opt::Essential, |_| std::iter::empty()));
    }
    // What is not there need not be removed, nor made.
    if value.clone().child(first)?.kind() == ValueKind::Null {
        return Ok(value);
    }
    let inner = |value: Value| std::iter::once(delete_path(value, rest).map_err(Exn::from));
    plain(index(value, first, Opt::Essential, inner))
}

fn plain(outcome: ValX<'_, Value>) -> Result {
    outcome.map_err(|exception| exception.get_err().unwrap_or_else(|_| error("no value")))
}

fn member<'a, I: Iterator<Item = ValX<'a, Value>>>(
    mut object: Object,
    key: &str,
    f: impl Fn(Value) -> I,
) -> ValX<'a, Value> {
    let present = object.members.get_mut(key).map(|slot| std::mem::replace(slot, Value::Null));
    let absent = present.is_none();
    match f(present.unwrap_or(Value::Null)).next() {
        Some(changed) => object.set(key.into(), changed?),
        None if absent => {}
        None => {
            budget::operations(object.members.len() / 16);
            object.members.shift_remove(key);
        }
    }
    Ok(object.into())
}

fn element<'a, I: Iterator<Item = ValX<'a, Value>>>(
    mut array: Array,
    index: i64,
    f: impl Fn(Value) -> I,
) -> ValX<'a, Value> {
    let length = array.items.len();
    let Some(place) = place(index, length) else {
        return Err(Exn::from(error(format!(
            "index {index} is before the start of an array of {length}"
        ))));
    };
    if place >= length {
        let Some(added) = f(Value::Null).next() else { return Ok(array.into()) };
        if place > FILL_MAX {
            return Err(Exn::from(error(format!(
                "index {index} is too far past the end of an array of {length}"
            ))));
        }
        let added = added?;
        budget::operations(place - length);
        array.items.resize(place + 1, Value::Null);
        array.set(place, added);
        return Ok(array.into());
    }
    let present = std::mem::replace(&mut array.items[place], Value::Null);
    match f(present).next() {
        Some(changed) => array.set(place, changed?),
        None => return Ok(remove_slice(array, place..place + 1)),
    }
    Ok(array.into())
}

fn remove_slice(mut array: Array, slice: std::ops::Range<usize>) -> Value {
    budget::operations(array.items.len() / 16);
    array.items.drain(slice);
    array.into()
}

fn writable_object(value: Value) -> std::result::Result<Object, Value> {
    match value {
        Value::Null => Value::object(Default::default()).into_object(),
        value => value.into_object(),
    }
}

fn writable_array(value: Value) -> std::result::Result<Array, Value> {
    match value {
        Value::Null => Value::array(Vec::new()).into_array(),
        value => value.into_array(),
    }
}
