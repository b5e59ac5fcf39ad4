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
            hint: dotted(name).or(refused.hint),
            column: refused.column,
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

/// `total desc`, as SQL has it.
fn dotted(written: &str) -> Option<String> {
    let (column, direction) = written.split_once(char::is_whitespace)?;
    let direction = direction.trim().to_ascii_lowercase();
    let meant = matches!(direction.as_str(), "asc" | "desc");
    meant.then(|| format!("a dot stands before a direction: `{column}.{direction}`"))
}

fn name(written: &str) -> &str {
    written.trim().split('.').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Column;
    use crate::row::ColumnType;

    fn table() -> Table {
        let column = |name: &str| Column {
            name: name.into(),
            column_type: ColumnType::Text,
            required: false,
            default: None,
            span: 0..0,
        };
        Table {
            name: "orders".into(),
            columns: ["id", "status", "region"].map(column).into(),
            key: vec![0],
            indexes: Vec::new(),
            changes: false,
            span: 0..0,
        }
    }

    #[test]
    fn orders() {
        let by = |by, descending| Part { by, descending };
        for (text, parts) in [
            ("status", vec![by(By::Column(1), false)]),
            ("status.desc, region.asc", vec![by(By::Column(1), true), by(By::Column(2), false)]),
            ("_score.desc,status", vec![by(By::Score, true), by(By::Column(1), false)]),
        ] {
            assert_eq!(read(&table(), &[1, 2], true, text), Ok(Order(parts)), "{text}");
        }
    }

    #[test]
    fn what_is_refused() {
        for (text, scored, detail) in [
            ("", true, "`_order` names no column"),
            ("status,", true, "`_order` names no column"),
            ("stauts", true, "`_order`: unknown column `stauts`"),
            ("id", true, "`_order`: `id` is no filter: the filters are `status`, `region`"),
            ("status.down", true, "`_order`: `down` is no direction"),
            ("status.desc.nullslast", true, "`_order`: `desc.nullslast` is not known"),
            ("status,status.desc", true, "`_order` names `status` twice"),
            ("status DESC", true, "`_order`: unknown column `status DESC`"),
            ("_score", false, "`_order`: rows have a score only where words are searched for"),
        ] {
            let refused = read(&table(), &[1, 2], scored, text).unwrap_err();
            assert_eq!(refused.detail, detail, "{text}");
        }
        let hint = read(&table(), &[1, 2], true, "region,status DESC").unwrap_err().hint;
        assert_eq!(hint.as_deref(), Some("a dot stands before a direction: `status.desc`"));
    }
}
