//! Functions that take paths as values.

use super::super::update;
use super::super::value::{Result, Value};
use super::{Function, binary, into_items, nullary, refused, unary};

pub(super) fn functions() -> Vec<Function> {
    vec![
        binary!("setpath", set_path),
        nullary!("_path", path),
        unary!("delpaths", |value, paths| update::delete_paths(
            value,
            into_items("delpaths", paths)?
        )),
    ]
}

/// What `getpath` may walk: jaq keeps the steps that it walked in a list, which is dropped by recursion.
fn path(value: Value) -> Result {
    let steps = value.elements().ok_or_else(|| refused("getpath", &value, "a path"))?;
    update::check_length(&steps);
    Ok(value)
}

fn set_path(value: Value, path: Value, to: Value) -> Result {
    let steps = path.elements().ok_or_else(|| refused("setpath", &path, "a path"))?;
    update::set_path(value, &steps, to)
}
