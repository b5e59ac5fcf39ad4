//! What clients ask of rows: filters, order, cursors. Pure: texts come in, checked values or a refusal go out.
//!
//! The words are PostgREST's, which many clients know. Nothing here knows whether the rows are a table's or the hits of
//! a full-text index: a checked filter says of any row whether it is let through, exactly as SQLite would.

use crate::definition::Table;
use crate::diagnostic;

pub mod cursor;
pub mod filter;
pub mod order;
pub mod pattern;
mod read;

/// Why what a client asked for is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct Refused {
    pub detail: String,
    /// The next thing to try.
    pub hint: Option<String>,
    /// Of the table's: one that may not be named, if that is why.
    pub column: Option<usize>,
}

impl Refused {
    pub fn new(detail: impl Into<String>) -> Self {
        Self { detail: detail.into(), hint: None, column: None }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// The column that a client names, among those that it may.
fn column(table: &Table, allowed: &[usize], name: &str) -> Result<usize, Refused> {
    let names = || allowed.iter().map(|&column| table.columns[column].name.as_str());
    if let Some(at) = names().position(|known| known == name) {
        return Ok(allowed[at]);
    }
    // A column that is there but may not be named is no slip of the pen: what may be named helps.
    let there = table.columns.iter().position(|column| column.name == name);
    if there.is_some() {
        let filters = match names().map(|name| format!("`{name}`")).collect::<Vec<_>>() {
            none if none.is_empty() => "there is none".to_owned(),
            all => format!("the filters are {}", all.join(", ")),
        };
        let detail = format!("`{name}` is no filter: {filters}");
        return Err(Refused { detail, hint: None, column: there });
    }
    let hint = diagnostic::did_you_mean(name, names().collect::<Vec<_>>());
    Err(Refused { detail: format!("unknown column `{name}`"), hint, column: None })
}
