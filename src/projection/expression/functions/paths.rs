//! Functions that take paths as values.

use super::super::update;
use super::super::value::{Result, Value};
use super::{Function, binary, into_items, refused, unary};

pub(super) fn functions() -> Vec<Function> {
    vec![
        binary!("setpath", set_path),
        unary!("delpaths", |value, paths| update::delete_paths(value, into_items("delpaths", paths)?)),
    ]
}

fn set_path(value: Value, path: Value, to: Value) -> Result {
    let steps = path.elements().ok_or_else(|| refused("setpath", &path, "a path"))?;
    update::set_path(value, &steps, to)
}
