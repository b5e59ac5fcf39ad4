//! What can be seen to be wrong in one file, without the stream: the invariants of a generation, checked on a snapshot.
//!
//! | looked at | must be |
//! |---|---|
//! | the file | sound: pages, indexes against rows, types, NOT NULL (SQLite's integrity check) |
//! | `_viewd_meta`, `_viewd_checkpoint` and their like | one row each, of the generation that the folder's name says |
//! | the state | `serving` where the link names it, and nowhere else (I6) |
//! | `_viewd_columns` | what the tables and views are |
//! | cells | of their column's declared type, beyond what SQLite knows of types |
//! | counts | as many dead, parked and skipped as are set aside; without `transform` one event a message (I4) |
//! | parked events | behind a dead letter of their order key |
//! | changes | of tables whose changes are kept, none above the checkpoint |
//! | sequences | none above the checkpoint, none below where the build began |
//!
//! Whether the rows are those that the events give, only a rebuild can tell: `verify --deep`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, read_counts};
use super::dead_letter;
use super::snapshot::{Relation, Snapshot};
use super::state::State;
use super::{Error, shown};
use crate::event::time::{Timestamp, is_date};
use crate::row::ColumnType;

/// Of the file, or of the cells of one table: more say nothing new.
const FINDINGS_MAX: usize = 20;
/// Where damage is.
const FILE: &str = "file";
/// What SQLite says of a sound file.
const SOUND: &str = "ok";
const SINGLE: [&str; 6] = [
    "_viewd_meta",
    "_viewd_checkpoint",
    "_viewd_counts",
    "_viewd_definition",
    "_viewd_control",
    "_viewd_run",
];

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Table, column or row.
    pub place: String,
    pub what: String,
    /// What to do about it.
    pub next: String,
}

/// Everything that is wrong; empty if nothing is.
pub fn check(snapshot: &Snapshot) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    let checks =
        [file, single_rows, generation, state, columns, cells, counts, parked, sequences, changes];
    for check in checks {
        let seen = snapshot.read(|connection| check(&Sight { snapshot, connection }));
        match seen {
            Ok(seen) => findings.extend(seen),
            // What is damaged is found by whichever check comes upon it.
            Err(Error::Corrupt { detail, .. }) => findings.push(rebuild(FILE, detail)),
            Err(error) => return Err(error),
        }
        // Nothing that is read of a damaged file can be relied on.
        if findings.iter().any(Finding::is_damage) {
            break;
        }
    }
    Ok(findings)
}

impl Finding {
    /// The file itself is damaged: what else it says means nothing.
    pub fn is_damage(&self) -> bool {
        self.place == FILE
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.what)
    }
}

struct Sight<'a> {
    snapshot: &'a Snapshot,
    connection: &'a Connection,
}

type Seen = rusqlite::Result<Vec<Finding>>;

fn finding(place: impl Into<String>, what: impl Into<String>, next: &str) -> Finding {
    Finding { place: place.into(), what: what.into(), next: next.to_owned() }
}

fn rebuild(place: impl Into<String>, what: impl Into<String>) -> Finding {
    finding(place, what, "`viewd rebuild` makes the view again from the stream")
}

fn file(sight: &Sight<'_>) -> Seen {
    let sql = format!("PRAGMA integrity_check({FINDINGS_MAX})");
    let found: Vec<String> = sight.all(&sql, |row| row.get(0))?;
    Ok(found.into_iter().filter(|line| line != SOUND).map(|line| rebuild(FILE, line)).collect())
}

fn single_rows(sight: &Sight<'_>) -> Seen {
    let mut findings = Vec::new();
    for table in SINGLE {
        let rows = sight.number(&format!("SELECT count(*) FROM {table}"))?;
        if rows != 1 {
            findings.push(rebuild(table, format!("has {rows} rows, and must have one")));
        }
    }
    Ok(findings)
}

/// The folder's name, `_viewd_meta` and the checkpoint must say the same.
fn generation(sight: &Sight<'_>) -> Seen {
    let folder = sight.snapshot.path().parent().and_then(|folder| folder.file_name());
    let folder = folder.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let said = [
        ("_viewd_meta.generation", sight.number("SELECT generation FROM _viewd_meta")?),
        ("_viewd_checkpoint.generation", sight.number("SELECT generation FROM _viewd_checkpoint")?),
    ];
    let wrong = said.into_iter().filter(|(_, number)| format!("gen-{number:06}") != folder);
    let wrong = wrong.map(|(place, number)| {
        finding(
            place,
            format!("is {number} in the folder {folder}"),
            "a folder was renamed or its file put there by hand: put it back, or `viewd rebuild`",
        )
    });
    Ok(wrong.collect())
}

fn state(sight: &Sight<'_>) -> Seen {
    let (state, successor): (String, Option<String>) =
        sight.connection.query_row("SELECT state, successor FROM _viewd_meta", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    let folder = sight.snapshot.path().parent();
    let link = folder.and_then(|folder| fs::read_link(folder.with_file_name("current")).ok());
    let served = link.as_deref().map(|link| link.as_os_str())
        == folder.and_then(|folder| folder.file_name());
    let place = "_viewd_meta.state";
    let what = match (served, State::of(&state), successor) {
        (true, State::Serving, Some(successor)) => {
            format!("is serving, and names {successor} as its successor")
        }
        // Retired without a successor: no definition names the projection any more.
        (true, State::Serving | State::Retired, None) => return Ok(Vec::new()),
        (true, ..) => format!("is {state}, though the link names this generation"),
        (false, State::Serving, _) => {
            "is serving, though the link names another generation".to_owned()
        }
        (false, ..) => return Ok(Vec::new()),
    };
    Ok(vec![finding(place, what, "the next start of `viewd run` sets it right")])
}

/// Columns by table and name, as SQLite has them: its type, NOT NULL, place in the key.
type Described = BTreeMap<(String, String), (String, bool, Option<i64>)>;

/// `_viewd_columns` is what clients know of the tables.
fn columns(sight: &Sight<'_>) -> Seen {
    let described =
        |row: &Row<'_>| Ok(((row.get(0)?, row.get(1)?), (row.get(2)?, row.get(3)?, row.get(4)?)));
    // SQLite knows neither types nor keys of a view.
    let made: Described = sight
        .all(
            "SELECT s.name, p.name, iif(s.type = 'view', '', p.type), p.\"notnull\" AND s.type = 'table', \
             iif(p.pk > 0, p.pk, NULL) FROM sqlite_schema AS s, pragma_table_info(s.name) AS p \
             WHERE s.type IN ('table', 'view') AND s.name NOT LIKE '\\_viewd\\_%' ESCAPE '\\' \
             AND s.name NOT LIKE 'sqlite\\_%' ESCAPE '\\'",
            described,
        )?
        .into_iter()
        .collect();
    let mut declared: Described = sight
        .all(
            "SELECT c.\"table\", c.\"column\", iif(s.type = 'view', '', c.type), c.required, \
             iif(s.type = 'view', NULL, c.key) FROM _viewd_columns AS c \
             LEFT JOIN sqlite_schema AS s ON s.name = c.\"table\" AND s.type IN ('table', 'view')",
            described,
        )?
        .into_iter()
        .collect();
    for (type_name, _, _) in declared.values_mut() {
        if let Some(known) = shown::column_type(type_name) {
            *type_name = known.sql().to_owned();
        }
    }
    let place = |(table, column): &(String, String)| format!("{table}.{column}");
    let stray = made.keys().filter(|key| !declared.contains_key(*key));
    let stray = stray.map(|key| rebuild(place(key), "is in the file, and no definition has it"));
    let missing = declared.iter().filter_map(|(key, said)| match made.get(key) {
        Some(found) if found == said => None,
        Some(_) => Some(rebuild(place(key), "is of another type or key than declared")),
        None => Some(rebuild(place(key), "is declared, and not in the file")),
    });
    Ok(stray.chain(missing).collect())
}

/// What SQLite's types leave open: booleans are 0 or 1, times and dates are such, reals are finite.
fn cells(sight: &Sight<'_>) -> Seen {
    let mut findings = Vec::new();
    for relation in sight.snapshot.relations() {
        let checked = relation.columns.iter().map(|column| column.column_type());
        let checked: Vec<_> = checked
            .enumerate()
            .filter_map(|(index, known)| Some((index, known.filter(|known| is_checked(*known))?)))
            .collect();
        if checked.is_empty() {
            continue;
        }
        let mut statement = sight.snapshot.statement(relation)?;
        let mut rows = statement.raw_query();
        let first = findings.len();
        while let Some(row) = rows.next()? {
            for &(index, known) in &checked {
                let value = row.get_ref(index)?;
                if !is_of(known, value) {
                    findings.push(cell(relation, row, index, known, value)?);
                }
            }
            if findings.len() - first >= FINDINGS_MAX {
                break;
            }
        }
    }
    Ok(findings)
}

fn cell(
    relation: &Relation,
    row: &Row<'_>,
    index: usize,
    known: ColumnType,
    value: ValueRef<'_>,
) -> rusqlite::Result<Finding> {
    let shown = |value| shown::Shown::new(value, None).json();
    let key = relation.key.iter().map(|&index| Ok(shown(row.get_ref(index)?)));
    let key = key.collect::<rusqlite::Result<Vec<_>>>()?.join(", ");
    let place = format!("{}.{} of {key}", relation.name, relation.columns[index].name);
    Ok(rebuild(place, format!("is {}, which is no {known}", shown(value))))
}

fn is_checked(known: ColumnType) -> bool {
    use ColumnType::{Boolean, Date, Real, Timestamp};
    matches!(known, Boolean | Date | Real | Timestamp)
}

fn is_of(known: ColumnType, value: ValueRef<'_>) -> bool {
    match (known, value) {
        (ColumnType::Boolean, ValueRef::Integer(value)) => matches!(value, 0 | 1),
        (ColumnType::Real, ValueRef::Real(value)) => {
            value.is_finite() && value.to_bits() != (-0.0_f64).to_bits()
        }
        (ColumnType::Date, ValueRef::Text(text)) => std::str::from_utf8(text).is_ok_and(is_date),
        (ColumnType::Timestamp, ValueRef::Text(text)) => {
            let parsed = std::str::from_utf8(text).ok().and_then(Timestamp::parse);
            // Times compare as text, so there is one text for each.
            parsed.is_some_and(|time| time.text().as_bytes() == text)
        }
        _ => true,
    }
}

/// I4: every event counted, once.
fn counts(sight: &Sight<'_>) -> Seen {
    let counts = read_counts(sight.connection)?;
    let totals = dead_letter::totals(sight.connection)?;
    let stocks = [
        ("dead_lettered", counts.dead_lettered, "dead", totals.dead),
        ("parked", counts.parked, "parked", totals.parked),
        ("skipped", counts.skipped, "skipped", totals.skipped),
    ];
    let transform = "SELECT count(*) FROM _viewd_definition WHERE json_valid(source) AND source ->> '$.transform' IS NULL";
    let whole = sight.number(transform)? == 1;
    let messages = Checkpoint::read(sight.connection)?.messages;
    let wrong = stocks.into_iter().filter(|(_, count, _, found)| count != found);
    let wrong = wrong.map(|(column, count, state, found)| {
        let what =
            format!("is {count}, and _viewd_dead_letters has {found} events that are {state}");
        rebuild(format!("_viewd_counts.{column}"), what)
    });
    let mut wrong: Vec<_> = wrong.collect();
    if whole && counts.sum() != messages {
        let what = format!("say {} events, of {messages} messages that were read", counts.sum());
        wrong.push(rebuild("_viewd_counts", what));
    }
    Ok(wrong)
}

/// Whatever is parked waits for a dead letter that came before it.
fn parked(sight: &Sight<'_>) -> Seen {
    let sql = format!(
        "SELECT p.sequence, p.part, p.order_key FROM _viewd_dead_letters AS p WHERE p.state = 'parked' \
         AND NOT EXISTS (SELECT 1 FROM _viewd_dead_letters AS d WHERE d.state = 'dead' \
         AND d.order_key = p.order_key AND (d.sequence, d.part) < (p.sequence, p.part)) LIMIT {FINDINGS_MAX}"
    );
    sight.all(&sql, |row| {
        let (sequence, part): (i64, i64) = (row.get(0)?, row.get(1)?);
        let key: Option<String> = row.get(2)?;
        let key = key.map_or("no order key".to_owned(), |key| format!("order key `{key}`"));
        let place = format!("_viewd_dead_letters, sequence {sequence}, part {part}");
        Ok(rebuild(place, format!("is parked, and no dead letter of {key} is before it")))
    })
}

fn sequences(sight: &Sight<'_>) -> Seen {
    let checkpoint = Checkpoint::read(sight.connection)?;
    let sequence = checkpoint.sequence.0;
    let from = checkpoint.from_sequence.map_or(1, |from| from.0).max(1);
    let mut findings = Vec::new();
    let outside = format!(
        "SELECT count(*) FROM _viewd_dead_letters WHERE sequence > {sequence} OR sequence < {from}"
    );
    let outside = sight.number(&outside)?;
    if outside > 0 {
        let what = format!("has {outside} events outside of {from} to {sequence}, which were read");
        findings.push(rebuild("_viewd_dead_letters", what));
    }
    // A build that has read nothing yet may begin above what it has.
    let span = (sequence + 1).saturating_sub(from);
    let (messages, missed) = (checkpoint.messages, checkpoint.missed_sequences);
    if messages > span {
        let what = format!("is {messages}, of {span} sequences from {from} to {sequence}");
        findings.push(rebuild("_viewd_checkpoint.messages", what));
    } else if missed > sequence {
        let what = format!("is {missed} at sequence {sequence}");
        findings.push(rebuild("_viewd_checkpoint.missed_sequences", what));
    }
    Ok(findings)
}

/// Each change was made by an event that was read, of a table whose changes are kept.
fn changes(sight: &Sight<'_>) -> Seen {
    let stray = sight.number(
        "SELECT count(*) FROM _viewd_changes WHERE sequence > (SELECT sequence FROM _viewd_checkpoint) \
         OR \"table\" NOT IN (SELECT \"table\" FROM _viewd_logged)",
    )?;
    if stray == 0 {
        return Ok(Vec::new());
    }
    Ok(vec![rebuild("_viewd_changes", format!("has {stray} changes that no event can have made"))])
}

impl Sight<'_> {
    fn all<T>(
        &self,
        sql: &str,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> rusqlite::Result<Vec<T>> {
        let mut statement = self.connection.prepare(sql)?;
        let rows = statement.query_map((), read)?;
        rows.collect()
    }

    fn number(&self, sql: &str) -> rusqlite::Result<i64> {
        self.connection.query_row(sql, (), |row| row.get(0))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::status::Counts;
    use crate::store::batch::Batch;
    use crate::store::layout::{Folder, Generation};
    use crate::store::snapshot;
    use crate::store::writer::tests::{batch, store};

    fn found(data: &Path) -> Vec<String> {
        let snapshot = snapshot::open(&Folder::new(data, "p")).expect("a snapshot");
        check(&snapshot).expect("readable").iter().map(ToString::to_string).collect()
    }

    /// One message at sequence 10 made these rows.
    fn fill(data: &Path, rows: i64) {
        let counts = Counts { applied: 1, ..Counts::default() };
        let batch = Batch { counts, ..batch(10, 0..rows) };
        store(data).commit(batch).expect("committed");
    }

    /// What is found in a view of ten rows after its file was treated with SQL.
    fn treated(sql: &str) -> Vec<String> {
        let data = tempfile::tempdir().expect("a temporary folder");
        fill(data.path(), 10);
        let database = Folder::new(data.path(), "p").database(Generation(1));
        let connection = Connection::open(database).expect("a connection");
        connection.execute_batch(sql).expect("SQL");
        found(data.path())
    }

    fn letter(sequence: u64, state: &str) -> String {
        let (count, letters) = (
            if state == "dead" { "dead_lettered" } else { "parked" },
            "(sequence, part, subject, order_key, state, reason, payload, headers, stored_at)",
        );
        format!(
            "INSERT INTO _viewd_dead_letters {letters} VALUES ({sequence}, 0, 's', 'k', '{state}', '', x'', '{{}}', ''); \
             UPDATE _viewd_counts SET {count} = {count} + 1; UPDATE _viewd_checkpoint SET messages = messages + 1;"
        )
    }

    #[test]
    fn each_invariant_is_looked_at() {
        let table_of = |column: &str| {
            format!("CREATE TABLE u (id INTEGER NOT NULL PRIMARY KEY, {column}) STRICT;")
        };
        let typed = |type_name: &str, value: &str| {
            let column = if type_name == "real" {
                "c REAL"
            } else if type_name == "boolean" {
                "c INTEGER"
            } else {
                "c TEXT"
            };
            format!(
                "{} INSERT INTO _viewd_columns VALUES ('u', 'id', 'integer', 1, 1), ('u', 'c', '{type_name}', 0, NULL); \
                 INSERT INTO u VALUES (1, NULL), (2, {value})",
                table_of(column)
            )
        };
        let cases = [
            ("".to_owned(), ""),
            ("DELETE FROM _viewd_run".into(), "_viewd_run: has 0 rows, and must have one"),
            (
                "INSERT INTO _viewd_counts DEFAULT VALUES".into(),
                "_viewd_counts: has 2 rows, and must have one",
            ),
            (
                "UPDATE _viewd_checkpoint SET generation = 2".into(),
                "_viewd_checkpoint.generation: is 2 in the folder gen-000001",
            ),
            (
                "UPDATE _viewd_meta SET state = 'sealed'".into(),
                "_viewd_meta.state: is sealed, though the link names this generation",
            ),
            (
                "UPDATE _viewd_meta SET successor = 'gen-000002'".into(),
                "_viewd_meta.state: is serving, and names gen-000002 as its successor",
            ),
            (
                "CREATE TABLE extra (id INTEGER)".into(),
                "extra.id: is in the file, and no definition has it",
            ),
            (
                "CREATE VIEW extra AS SELECT id FROM t".into(),
                "extra.id: is in the file, and no definition has it",
            ),
            ("DROP TABLE t".into(), "t.id: is declared, and not in the file"),
            (
                "UPDATE _viewd_columns SET required = 1 WHERE \"column\" = 'text'".into(),
                "t.text: is of another type or key than declared",
            ),
            (
                "UPDATE _viewd_columns SET type = 'integer' WHERE \"column\" = 'text'".into(),
                "t.text: is of another type or key than declared",
            ),
            (typed("boolean", "1"), ""),
            (typed("boolean", "2"), "u.c of 2: is 2, which is no boolean"),
            (typed("real", "1e999"), "u.c of 2: is \"inf\", which is no real"),
            (typed("date", "'2013-02-28'"), ""),
            (typed("date", "'2013-02-29'"), "u.c of 2: is \"2013-02-29\", which is no date"),
            (typed("timestamp", "'2013-01-01T05:00:00.000000Z'"), ""),
            (
                typed("timestamp", "'2013-01-01T05:00:00Z'"),
                "u.c of 2: is \"2013-01-01T05:00:00Z\", which is no timestamp",
            ),
            (
                "UPDATE _viewd_counts SET ignored = 3".into(),
                "_viewd_counts: say 4 events, of 1 messages that were read",
            ),
            (
                "UPDATE _viewd_counts SET ignored = 3; UPDATE _viewd_definition SET source = '{\"transform\":\".data[]\"}'".into(),
                "",
            ),
            (
                "UPDATE _viewd_counts SET dead_lettered = 1, applied = 0".into(),
                "_viewd_counts.dead_lettered: is 1, and _viewd_dead_letters has 0 events that are dead",
            ),
            (letter(3, "dead") + &letter(4, "parked"), ""),
            (
                letter(4, "parked"),
                "_viewd_dead_letters, sequence 4, part 0: is parked, and no dead letter of order key `k` is before it",
            ),
            (
                letter(5, "dead") + &letter(4, "parked"),
                "_viewd_dead_letters, sequence 4, part 0: is parked, and no dead letter of order key `k` is before it",
            ),
            (
                letter(11, "dead"),
                "_viewd_dead_letters: has 1 events outside of 1 to 10, which were read",
            ),
            (
                "UPDATE _viewd_checkpoint SET from_sequence = 8, messages = 4; UPDATE _viewd_counts SET applied = 4".into(),
                "_viewd_checkpoint.messages: is 4, of 3 sequences from 8 to 10",
            ),
            (
                "UPDATE _viewd_checkpoint SET missed_sequences = 11".into(),
                "_viewd_checkpoint.missed_sequences: is 11 at sequence 10",
            ),
            (
                "UPDATE _viewd_changes SET sequence = 11 WHERE key = '[3]'".into(),
                "_viewd_changes: has 1 changes that no event can have made",
            ),
            (
                "UPDATE _viewd_changes SET \"table\" = 'u' WHERE key > '[7]'".into(),
                "_viewd_changes: has 2 changes that no event can have made",
            ),
        ];
        for (sql, expected) in cases {
            let found = treated(&sql);
            let first = found.first().map(String::as_str).unwrap_or_default();
            assert_eq!(first, expected, "{sql}: {found:?}");
        }
    }

    #[test]
    fn an_index_that_does_not_match_its_rows_is_found() {
        let sql = "CREATE INDEX i ON t (text); PRAGMA writable_schema = ON; \
                   UPDATE sqlite_schema SET sql = 'CREATE INDEX i ON t (id)' WHERE name = 'i'";
        let found = treated(sql);
        assert!(found[0].starts_with("file: "), "{found:?}");
    }

    #[test]
    fn damage_is_found_and_nothing_else_believed() {
        let data = tempfile::tempdir().expect("a temporary folder");
        fill(data.path(), 1000);
        let path = Folder::new(data.path(), "p").database(Generation(1));
        let connection = Connection::open(&path).expect("a connection");
        connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)").expect("copied");
        drop(connection);
        assert_eq!(found(data.path()), [""; 0]);
        let mut bytes = fs::read(&path).expect("a file");
        let middle = bytes.len() / 2;
        bytes[middle..middle + 5000].fill(7);
        fs::write(&path, bytes).expect("written");
        let found = found(data.path());
        assert!(
            !found.is_empty() && found.iter().all(|line| line.starts_with("file: ")),
            "{found:?}"
        );
    }
}
