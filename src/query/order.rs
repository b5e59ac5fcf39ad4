//! The order of an answer's rows.
//!
//! NULL sorts first ascending and last descending, as in SQLite. Rows that are equal in all that the order names are
//! ordered by their key, so that an order is always total and a cursor names one place in it.

use super::{Refused, column};
use crate::definition::Table;

/// More than this sorts nothing that the key does not.
const PARTS_MAX: usize = 8;

/// By what rows are ordered, the first first; then by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order(pub Vec<Part>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub by: By,
    pub descending: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Index into the table's columns.
    Column(usize),
    /// How well a row answers the words that were searched for.
    Score,
}

/// The name of the score, which no column can have.
const SCORE: &str = "_score";

impl Order {
    /// The best first.
    pub fn by_score() -> Self {
        Self(vec![Part { by: By::Score, descending: true }])
    }

    pub fn has_score(&self) -> bool {
        self.0.iter().any(|part| part.by == By::Score)
    }
}

/// Reads `placed_at.desc,order_id`. `scored`: there is a score to order by.
pub fn read(table: &Table, allowed: &[usize], scored: bool, text: &str) -> Result<Order, Refused> {
    let mut parts: Vec<Part> = Vec::new();
    for written in text.split(',') {
        let part = read_part(table, allowed, scored, written.trim())?;
        if parts.iter().any(|earlier| earlier.by == part.by) {
            return Err(Refused::new(format!("`_order` names `{}` twice", name(written))));
        }
        parts.push(part);
        if parts.len() > PARTS_MAX {
            return Err(Refused::new(format!("`_order` names more than {PARTS_MAX} columns")));
        }
    }
    Ok(Order(parts))
}

fn read_part(
    table: &Table,
    allowed: &[usize],
    scored: bool,
    written: &str,
) -> Result<Part, Refused> {
    let by = match name(written) {
        "" => {
            return Err(Refused::new("`_order` names no column")
                .hint("columns with commas between them, as in `_order=placed_at.desc,order_id`"));
        }
        SCORE if scored => By::Score,
        SCORE => {
            return Err(Refused::new(
                "`_order`: rows have a score only where words are searched for",
            )
            .hint("ask for words with `_q`, or order by a column"));
        }
        name => By::Column(column(table, allowed, name).map_err(|refused| Refused {
            detail: format!("`_order`: {}", refused.detail),
            ..refused
        })?),
    };
    let descending = match written.split_once('.').map(|(_, direction)| direction) {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(direction) if direction.contains("nulls") => {
            return Err(Refused::new(format!("`_order`: `{direction}` is not known"))
                .hint("rows without a value come first in `asc` and last in `desc`"));
        }
        Some(direction) => {
            return Err(Refused::new(format!("`_order`: `{direction}` is no direction"))
                .hint("`asc` or `desc`"));
        }
    };
    Ok(Part { by, descending })
}

fn name(written: &str) -> &str {
    written.trim().split('.').next().unwrap_or_default()
}
