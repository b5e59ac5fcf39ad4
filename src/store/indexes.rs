//! Secondary indexes: made last in a build, but for those that its handlers search by.
//!
//! Each row that is written costs as much again for each index, and in no order; made at the end, an index is one sorted
//! pass. A `where` without an index reads the whole table for each event, so during a build every `where` has one: a
//! declared index that helps it, else one of its own that goes when the build is sealed.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::schema::{quoted, quoted_list};
use crate::definition::Table;
use crate::projection::fold::Searches;

/// Before the names of those that only a build has. No declared table's name starts with `_`, nor a number with this.
const BULK: &str = "_bulk";

/// Makes those that the tables declare and have not, removes those that no table declares.
pub(super) fn make(connection: &Connection, tables: &[Table]) -> rusqlite::Result<()> {
    turn_to(connection, declared(tables).collect())
}

/// Leaves those that help these searches, one list a table, and makes those that are missing for them.
pub(super) fn make_for(
    connection: &Connection,
    tables: &[Table],
    searches: &[Searches],
) -> rusqlite::Result<()> {
    let mut wanted = BTreeMap::new();
    for (number, (table, searches)) in tables.iter().zip(searches).enumerate() {
        for columns in searches {
            let helps =
                |index: &[usize]| index.first().is_some_and(|first| columns.contains(first));
            if helps(&table.key) {
                continue;
            }
            let index = match table.indexes.iter().position(|index| helps(index)) {
                Some(index) => named(&format!("_{number}_{index}"), table, &table.indexes[index]),
                None => named(&format!("{BULK}_{number}"), table, columns),
            };
            wanted.extend([index]);
        }
    }
    turn_to(connection, wanted)
}

/// Those that the tables declare: name and statement.
fn declared(tables: &[Table]) -> impl Iterator<Item = (String, String)> {
    tables.iter().enumerate().flat_map(|(number, table)| {
        let indexes = table.indexes.iter().enumerate();
        indexes.map(move |(index, columns)| named(&format!("_{number}_{index}"), table, columns))
    })
}

fn turn_to(connection: &Connection, wanted: BTreeMap<String, String>) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(
        "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL \
         AND tbl_name NOT LIKE '\\_viewd\\_%' ESCAPE '\\'",
    )?;
    let found = statement.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?;
    let found: BTreeMap<String, String> = found.collect::<rusqlite::Result<_>>()?;
    drop(statement);
    for (name, _) in found.iter().filter(|(name, sql)| wanted.get(*name) != Some(sql)) {
        connection.execute_batch(&format!("DROP INDEX {}", quoted(name)))?;
    }
    for (_, sql) in wanted.iter().filter(|(name, sql)| found.get(*name) != Some(sql)) {
        connection.execute_batch(sql)?;
    }
    Ok(())
}

/// The prefix makes the name unique whatever the other names are.
fn named(prefix: &str, table: &Table, columns: &[usize]) -> (String, String) {
    let columns = || columns.iter().map(|&column| table.columns[column].name.as_str());
    let name = format!("{prefix}_{}_by_{}", table.name, columns().collect::<Vec<_>>().join("_"));
    let sql = format!(
        "CREATE INDEX {} ON {} ({})",
        quoted(&name),
        quoted(&table.name),
        quoted_list(columns())
    );
    (name, sql)
}
