//! That a figure comes from right rows: a table's digest, whoever wrote it, is the same on the same stream.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

/// What each table of each stream came to, by whoever wrote it first.
#[derive(Default)]
pub struct Proof {
    known: HashMap<(String, String), Known>,
}

struct Known {
    rows: u64,
    digest: u64,
    writer: String,
}

impl Proof {
    /// Holds every table of a view to what was known of it. `history` names what was read.
    pub fn hold(&mut self, history: &str, writer: &str, view: &Path) -> Result<()> {
        let connection = open(view)?;
        for table in tables(&connection)? {
            let (rows, digest) = digest(&connection, &table)?;
            ensure!(rows > 0, "{table} of {writer} is empty");
            let known = self.known.entry((history.to_owned(), table.clone()));
            let known = known.or_insert_with(|| Known { rows, digest, writer: writer.to_owned() });
            ensure!(
                (rows, digest) == (known.rows, known.digest),
                "{table} over {history}: {rows} rows of {writer} are not the {} rows of {}",
                known.rows,
                known.writer
            );
        }
        Ok(())
    }

    /// Tables and their rows, of one history.
    pub fn rows(&self, history: &str) -> Vec<(&str, u64)> {
        let known = self.known.iter().filter(|((of, _), _)| of == history);
        let mut rows: Vec<_> =
            known.map(|((_, table), known)| (table.as_str(), known.rows)).collect();
        rows.sort_unstable();
        rows
    }
}

/// A view, as a stranger opens it.
pub fn open(view: &Path) -> Result<Connection> {
    let opened = Connection::open_with_flags(view, OpenFlags::SQLITE_OPEN_READ_ONLY);
    opened.with_context(|| format!("open {}", view.display()))
}

fn tables(connection: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'checkpoint'
               AND name NOT LIKE '\\_viewd%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'";
    let mut statement = connection.prepare(sql)?;
    let names = statement.query_map((), |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Rows in the order of their key, columns in that of their names.
fn digest(connection: &Connection, table: &str) -> Result<(u64, u64)> {
    let sql = "SELECT name, pk FROM pragma_table_info(?) ORDER BY name";
    let mut columns = connection.prepare(sql)?;
    let columns = columns.query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let columns = columns.collect::<Result<Vec<(String, i64)>, _>>()?;
    let names: Vec<_> = columns.iter().map(|(name, _)| name.as_str()).collect();
    let mut key: Vec<_> = columns.iter().filter(|(_, place)| *place > 0).collect();
    key.sort_unstable_by_key(|(_, place)| place);
    let key: Vec<_> = key.iter().map(|(name, _)| name.as_str()).collect();

    let sql = format!("SELECT {} FROM {table} ORDER BY {}", names.join(", "), key.join(", "));
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(())?;
    let (mut count, mut hasher) = (0, DefaultHasher::new());
    while let Some(row) = rows.next()? {
        count += 1;
        for column in 0..names.len() {
            match row.get_ref(column)? {
                ValueRef::Null => hasher.write_u8(0),
                ValueRef::Integer(number) => hasher.write_i64(number),
                ValueRef::Real(number) => hasher.write_u64(number.to_bits()),
                ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                    hasher.write_usize(bytes.len());
                    hasher.write(bytes);
                }
            }
        }
    }
    Ok((count, hasher.finish()))
}
