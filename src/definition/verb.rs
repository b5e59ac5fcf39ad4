//! What a handler does to a row, and to a column: the words for it, and what each makes of a value.

use crate::definition::{Action, Verb};
use crate::expression::Output;
use crate::expression::convert::{Mismatch, convert};
use crate::row::{Cell, ColumnType};

impl Verb {
    pub(super) const ALL: [Self; 4] = [Self::Insert, Self::Upsert, Self::Update, Self::Delete];

    /// The key of a handler that asks for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Upsert => "upsert",
            Self::Update => "update",
            Self::Delete => "delete",
        }
    }

    /// Whether it makes a row where there is none.
    pub fn creates(self) -> bool {
        matches!(self, Self::Insert | Self::Upsert)
    }
}

impl Action {
    pub(super) const ALL: [Self; 6] =
        [Self::Set, Self::SetOnce, Self::Add, Self::Sub, Self::Min, Self::Max];

    /// The key of a handler that asks for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::SetOnce => "set_once",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Min => "min",
            Self::Max => "max",
        }
    }

    /// Converts what an expression gave to the stored form of its column; null gives `Cell::Null`.
    pub fn convert(self, output: Output<'_>, column_type: ColumnType) -> Result<Cell, Mismatch> {
        match (self, output) {
            // A truth value counts 1 or 0, so that `add.late = ".data.delay > 15"` counts.
            (Self::Add | Self::Sub, Output::Bool(value)) => {
                let one = match column_type {
                    ColumnType::Decimal(digits) => {
                        Cell::Integer(i64::from(value) * 10_i64.pow(u32::from(digits)))
                    }
                    ColumnType::Real => Cell::Real(f64::from(u8::from(value))),
                    _ => Cell::Integer(i64::from(value)),
                };
                Ok(one)
            }
            (_, output) => convert(output, column_type),
        }
    }
}
