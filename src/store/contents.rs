//! What a view holds, as its one writer reads it: for views in memory, which nobody else can open.

use super::Error;
use super::schema::{quoted, quoted_list};
use super::shown::Shown;
use super::statement::{Bound, cell_of};
use super::writer::Store;
use crate::row::{Cell, ColumnType, Row};

/// The rows of a table or view, each in the order of its columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contents {
    pub rows: Vec<Row>,
    /// There are more rows than asked for.
    pub truncated: bool,
}

impl Store {
    /// At most `limit` rows of a table or view, in the order of these columns; without any, in its own order.
    pub fn contents(
        &self,
        relation: &str,
        order: &[&str],
        limit: Option<usize>,
    ) -> Result<Contents, Error> {
        let order = match order {
            [] => String::new(),
            columns => format!(" ORDER BY {}", quoted_list(columns.iter().copied())),
        };
        let sql = format!("SELECT * FROM {}{order}", quoted(relation));
        self.execute(|connection| {
            let mut statement = connection.prepare(&sql)?;
            let columns = statement.column_count();
            let mut found = statement.raw_query();
            let (mut rows, mut truncated) = (Vec::new(), false);
            while let Some(row) = found.next()? {
                if limit.is_some_and(|limit| rows.len() >= limit) {
                    truncated = true;
                    break;
                }
                let cells = (0..columns).map(|index| Ok(cell_of(row.get_ref(index)?)));
                rows.push(cells.collect::<rusqlite::Result<Row>>()?);
            }
            Ok(Contents { rows, truncated })
        })
    }
}

/// A cell as people and the HTTP API see it.
pub fn shown(cell: &Cell, column_type: Option<ColumnType>) -> Shown {
    Shown::new(Bound(cell).value(), column_type)
}
