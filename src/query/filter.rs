//! Conditions on columns, three-valued as SQLite's: a comparison with NULL is neither true nor false.

use crate::row::Cell;

/// A condition on the rows of one table. Columns are indices into the table's.
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
    /// `%` stands for any text, `_` for one character; folded: the case of ASCII letters does not count.
    Like {
        column: usize,
        pattern: String,
        folded: bool,
    },
    IsNull {
        column: usize,
    },
    /// Of a boolean column; NULL is neither.
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
