//! Where two snapshots differ, row by row: both are read once, side by side, in key order.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use rusqlite::Row;
use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};

use super::Error;
use super::digest::Digest;
use super::shown::Shown;
use super::snapshot::{Relation, Snapshot};

/// So many are named: the first say where to look.
const NAMED_MAX: usize = 10;

/// What came of comparing the generation that is served with one that was built again, at one sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub equal: bool,
    #[serde(flatten)]
    pub served: Digest,
    pub rebuilt: Digest,
    /// The first differences, as sentences.
    pub differences: Vec<String>,
}

/// A row, or a whole table, that is not the same in two snapshots.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    pub table: String,
    /// Of the row: the columns of its key. Empty where the table has one row, or is itself what differs.
    pub key: Vec<(String, Shown)>,
    pub what: What,
}

/// What of it is not the same.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// These columns of a row.
    Columns(Vec<Values>),
    /// A row that is not there in the other.
    RowOnlyHere,
    RowOnlyThere,
    /// Columns, their types or the key of a table, or that it is there at all.
    Table,
}

/// One column of one row.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    pub column: String,
    pub here: Shown,
    pub there: Shown,
}

impl Comparison {
    /// Both are read once if they are equal, and once more to name what differs if they are not.
    ///
    /// Each on a thread of its own: whoever waits for this waits to serve what was built.
    pub fn of(served: &mut Snapshot, rebuilt: &mut Snapshot) -> Result<Self, Error> {
        let digests = std::thread::scope(|threads| {
            // By the only reference, as a connection is for one thread at a time.
            let lent: &mut Snapshot = rebuilt;
            let other = threads.spawn(move || Digest::of(lent));
            let one = Digest::of(served);
            let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Ok::<_, Error>((one?, other?))
        })?;
        let equal = digests.0.digest == digests.1.digest;
        let differences =
            if equal { Vec::new() } else { served.differences(rebuilt, NAMED_MAX)? };
        let differences = differences.iter().map(|found| found.sentence("served", "rebuilt"));
        Ok(Self {
            equal,
            served: digests.0,
            rebuilt: digests.1,
            differences: differences.collect(),
        })
    }
}

impl Snapshot {
    /// The first differences to another snapshot, at most `limit`; none: every table is the same.
    pub fn differences(&self, other: &Self, limit: usize) -> Result<Vec<Difference>, Error> {
        let there: BTreeMap<&str, &Relation> =
            other.relations().iter().map(|relation| (relation.name.as_str(), relation)).collect();
        let here = |name: &str| self.relations().iter().any(|relation| relation.name == name);
        let missing = there.keys().filter(|name| !here(name));
        let mut found: Vec<Difference> = missing.map(|name| of_table(name)).take(limit).collect();
        for relation in self.relations() {
            if found.len() >= limit {
                break;
            }
            if there.get(relation.name.as_str()) == Some(&relation) {
                self.compare(other, relation, limit, &mut found)?;
            } else {
                found.push(of_table(&relation.name));
            }
        }
        Ok(found)
    }

    fn compare(
        &self,
        other: &Self,
        relation: &Relation,
        limit: usize,
        found: &mut Vec<Difference>,
    ) -> Result<(), Error> {
        // A failure is told of the file that it is of.
        let (ours, theirs) = (|error| self.error(error), |error| other.error(error));
        let mut here = self.statement(relation).map_err(ours)?;
        let mut there = other.statement(relation).map_err(theirs)?;
        let (mut here, mut there) = (here.raw_query(), there.raw_query());
        let mut a = here.next().map_err(ours)?;
        let mut b = there.next().map_err(theirs)?;
        while found.len() < limit {
            let (order, difference) = match (a, b) {
                (None, None) => break,
                (Some(a), None) => {
                    (Ordering::Less, difference(relation, a, What::RowOnlyHere).map(Some))
                }
                (None, Some(b)) => {
                    (Ordering::Greater, difference(relation, b, What::RowOnlyThere).map(Some))
                }
                (Some(a), Some(b)) => {
                    let order = key_order(relation, a, b).map_err(ours)?;
                    (order, pair(relation, order, a, b))
                }
            };
            found.extend(difference.map_err(ours)?);
            if order.is_le() {
                a = here.next().map_err(ours)?;
            }
            if order.is_ge() {
                b = there.next().map_err(theirs)?;
            }
        }
        Ok(())
    }
}

impl Difference {
    /// A sentence, with what the two snapshots are called.
    pub fn sentence(&self, here: &str, there: &str) -> String {
        let pair = |(name, value): &(String, Shown)| format!("{name} = {}", value.json());
        let key = self.key.iter().map(pair).collect::<Vec<_>>().join(", ");
        let place =
            if key.is_empty() { self.table.clone() } else { format!("{}, {key}", self.table) };
        match &self.what {
            What::Table => format!("{place}: another table {there} than {here}"),
            What::RowOnlyHere => format!("{place}: a row {here}, none {there}"),
            What::RowOnlyThere => format!("{place}: no row {here}, one {there}"),
            What::Columns(columns) => {
                let value = |values: &Values| {
                    let Values { column, here: a, there: b } = values;
                    format!("{column} is {} {here}, {} {there}", a.json(), b.json())
                };
                format!("{place}: {}", columns.iter().map(value).collect::<Vec<_>>().join("; "))
            }
        }
    }
}

fn of_table(name: &str) -> Difference {
    Difference { table: name.to_owned(), key: Vec::new(), what: What::Table }
}

fn difference(relation: &Relation, row: &Row<'_>, what: What) -> rusqlite::Result<Difference> {
    let cell = |&index: &usize| {
        let column = &relation.columns[index];
        Ok((column.name.clone(), Shown::new(row.get_ref(index)?, column.column_type())))
    };
    let key = relation.key.iter().map(cell).collect::<rusqlite::Result<_>>()?;
    Ok(Difference { table: relation.name.clone(), key, what })
}

/// What two rows say of one another: the smaller key is on one side alone.
fn pair(
    relation: &Relation,
    order: Ordering,
    a: &Row<'_>,
    b: &Row<'_>,
) -> rusqlite::Result<Option<Difference>> {
    match order {
        Ordering::Less => difference(relation, a, What::RowOnlyHere).map(Some),
        Ordering::Equal => values(relation, a, b),
        Ordering::Greater => difference(relation, b, What::RowOnlyThere).map(Some),
    }
}

/// What differs within two rows of one key.
fn values(relation: &Relation, a: &Row<'_>, b: &Row<'_>) -> rusqlite::Result<Option<Difference>> {
    let mut columns = Vec::new();
    for (index, column) in relation.columns.iter().enumerate() {
        let (here, there) = (a.get_ref(index)?, b.get_ref(index)?);
        if !same(here, there) {
            let shown = |value| Shown::new(value, column.column_type());
            let column = column.name.clone();
            columns.push(Values { column, here: shown(here), there: shown(there) });
        }
    }
    if columns.is_empty() {
        return Ok(None);
    }
    difference(relation, a, What::Columns(columns)).map(Some)
}

/// Bit for bit, as the digest has it.
fn same(a: ValueRef<'_>, b: ValueRef<'_>) -> bool {
    match (a, b) {
        (ValueRef::Real(a), ValueRef::Real(b)) => a.to_bits() == b.to_bits(),
        (a, b) => a == b,
    }
}

fn key_order(relation: &Relation, a: &Row<'_>, b: &Row<'_>) -> rusqlite::Result<Ordering> {
    for &index in &relation.key {
        let order = cell_order(a.get_ref(index)?, b.get_ref(index)?);
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(Ordering::Equal)
}

/// SQLite's order of what a key column can hold: integers by value, before text and then blobs by bytes.
fn cell_order(a: ValueRef<'_>, b: ValueRef<'_>) -> Ordering {
    let rank = |value: ValueRef<'_>| match value {
        ValueRef::Null => 0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 1,
        ValueRef::Text(_) => 2,
        ValueRef::Blob(_) => 3,
    };
    match (a, b) {
        (ValueRef::Integer(a), ValueRef::Integer(b)) => a.cmp(&b),
        (ValueRef::Text(a), ValueRef::Text(b)) | (ValueRef::Blob(a), ValueRef::Blob(b)) => a.cmp(b),
        (a, b) => rank(a).cmp(&rank(b)),
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::layout::{Folder, Generation};
    use crate::store::snapshot;
    use crate::store::writer::tests::{batch, store};

    /// Two views of ten rows each, the second treated with SQL.
    fn differences(sql: &str, limit: usize) -> Vec<Difference> {
        let [ours, theirs] = [0, 1].map(|_| tempfile::tempdir().expect("a temporary folder"));
        for data in [&ours, &theirs] {
            store(data.path()).commit(batch(1, 0..10)).expect("committed");
        }
        let folder = Folder::new(theirs.path(), "p");
        let connection = Connection::open(folder.database(Generation(1))).expect("a connection");
        connection.execute_batch(sql).expect("SQL");
        let open = |data: &tempfile::TempDir| snapshot::open(&Folder::new(data.path(), "p"));
        let (mut ours, mut theirs) = (open(&ours).expect("ours"), open(&theirs).expect("theirs"));
        let found = ours.differences(&theirs, limit).expect("readable");
        let comparison = Comparison::of(&mut ours, &mut theirs).expect("readable");
        assert_eq!(found.is_empty(), comparison.equal, "digests say the same: {sql}");
        assert_eq!(found.len().min(limit), comparison.differences.len().min(limit), "{sql}");
        found
    }

    #[test]
    fn each_difference_is_named() {
        for (sql, expected) in [
            ("", vec![]),
            ("DELETE FROM t WHERE id = 0", vec!["t, id = 0: a row served, none rebuilt"]),
            ("DELETE FROM t WHERE id = 9", vec!["t, id = 9: a row served, none rebuilt"]),
            ("INSERT INTO t VALUES (-1, NULL)", vec!["t, id = -1: no row served, one rebuilt"]),
            (
                "UPDATE t SET id = 70, text = 'a' WHERE id = 7",
                vec![
                    "t, id = 7: a row served, none rebuilt",
                    "t, id = 70: no row served, one rebuilt",
                ],
            ),
            ("DELETE FROM _viewd_counts", vec!["_viewd_counts: a row served, none rebuilt"]),
            (
                "UPDATE _viewd_counts SET applied = 3, ignored = 1",
                vec![
                    "_viewd_counts: applied is 0 served, 3 rebuilt; ignored is 0 served, 1 rebuilt",
                ],
            ),
            (
                "UPDATE _viewd_columns SET type = 'boolean' WHERE \"column\" = 'id'",
                vec!["t: another table rebuilt than served"],
            ),
            ("DROP TABLE t", vec!["t: another table rebuilt than served"]),
            (
                "INSERT INTO _viewd_dead_letters (sequence, part, subject, state, reason, payload, headers, stored_at) \
                 VALUES (4, 1, 's', 'dead', 'why', x'', '{}', '')",
                vec!["_viewd_dead_letters, sequence = 4, part = 1: no row served, one rebuilt"],
            ),
        ] {
            let found = differences(sql, 10);
            let sentences: Vec<_> =
                found.iter().map(|found| found.sentence("served", "rebuilt")).collect();
            assert_eq!(sentences, expected, "{sql}");
        }
    }

    #[test]
    fn only_the_first_are_named() {
        let found = differences("UPDATE t SET text = 'a' WHERE id > 2", 2);
        let keys: Vec<_> = found.iter().map(|found| found.key[0].1.clone()).collect();
        assert_eq!(keys, [Shown::Integer(3), Shown::Integer(4)]);
    }

    #[test]
    fn rows_are_compared_in_the_order_of_keys() {
        let texts = ["", "A", "a", "aa", "\u{7f}", "\u{80}", "\u{ffff}", "\u{10000}"];
        let cells =
            [ValueRef::Integer(i64::MIN), ValueRef::Integer(-1), ValueRef::Integer(i64::MAX)]
                .into_iter()
                .chain(texts.iter().map(|text| ValueRef::Text(text.as_bytes())))
                .chain([ValueRef::Blob(b""), ValueRef::Blob(b"\x00"), ValueRef::Blob(b"\xff")]);
        let cells: Vec<_> = cells.collect();
        assert!(cells.is_sorted_by(|&a, &b| cell_order(a, b).is_lt()));
    }
}
