//! Conditions on columns, three-valued as SQLite's: a comparison with NULL is neither true nor false.

use std::cmp::Ordering;

use super::pattern::Pattern;
use super::{Refused, read};
use crate::definition::Table;
use crate::row::Cell;

/// A condition on the rows of one table. Columns are indices into the table's, values are cells as the column stores
/// them, never NULL.
#[derive(Clone, Debug, PartialEq)]
pub enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Compare {
        column: usize,
        comparison: Comparison,
        value: Cell,
    },
    In {
        column: usize,
        values: Vec<Cell>,
    },
    Like {
        column: usize,
        pattern: Pattern,
    },
    IsNull {
        column: usize,
    },
    /// Of a boolean column; NULL is neither, and `Not` of this holds for it.
    IsTrue {
        column: usize,
        is: bool,
    },
}

/// How a column's cell stands to a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// Reads the parameters of a request that ask for conditions, all of which must hold: `status` = `eq.paid`,
/// `_or` = `(total.gte.10,total.is.null)`. None: there are no conditions.
///
/// `pairs` are the parameters that the caller does not know itself; `allowed` are the columns that may be named.
pub fn read(
    table: &Table,
    allowed: &[usize],
    pairs: &[(String, String)],
) -> Result<Option<Filter>, Refused> {
    read::filter(table, allowed, pairs)
}

impl Filter {
    /// Whether a row, its cells in the order of the table's columns, is let through; None: neither true nor false.
    pub fn matches(&self, row: &[Cell]) -> Option<bool> {
        match self {
            Self::All(filters) => all(filters.iter().map(|filter| filter.matches(row))),
            Self::Any(filters) => {
                let none = all(filters.iter().map(|filter| filter.matches(row).map(|is| !is)));
                none.map(|none| !none)
            }
            Self::Not(filter) => filter.matches(row).map(|is| !is),
            Self::Compare { column, comparison, value } => {
                known(&row[*column])?.partial_cmp(value).map(|ordering| comparison.holds(ordering))
            }
            // SQLite: nothing is in the empty list, not even NULL.
            Self::In { values, .. } if values.is_empty() => Some(false),
            Self::In { column, values } => {
                known(&row[*column]).map(|cell| values.iter().any(|value| value == cell))
            }
            Self::Like { column, pattern } => match &row[*column] {
                Cell::Text(text) => Some(pattern.matches(text)),
                _ => None,
            },
            Self::IsNull { column } => Some(row[*column].is_null()),
            Self::IsTrue { column, is } => Some(row[*column] == Cell::Integer(i64::from(*is))),
        }
    }
}

impl Comparison {
    pub fn holds(self, ordering: Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }

    /// What holds of a value exactly where this does not.
    #[must_use]
    pub fn negated(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }
}

/// False if one is false, else unknown if one is unknown.
fn all(found: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut result = Some(true);
    for one in found {
        match one {
            Some(false) => return one,
            None => result = None,
            Some(true) => {}
        }
    }
    result
}

fn known(cell: &Cell) -> Option<&Cell> {
    (!cell.is_null()).then_some(cell)
}
