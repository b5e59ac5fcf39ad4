//! A canonical hash of each table's rows: two builds of one history have the same, whatever their files look like.
//!
//! Each row is hashed by itself, each cell with a tag of what it is and, where that varies, its length; these hashes are
//! added up. A table's digest is the hash of its name, its columns with their types in declared order, its key, the sum
//! and the number of its rows. So neither the layout of the file nor the order of its rows counts, nor SQLite's version
//! or page size, and the rows are read as they lie on the disk. No row is there twice: its key is in it.
//! Declared tables come by name, then `_viewd_counts` and `_viewd_dead_letters`, as far as they follow from the events.

use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Error;
use super::snapshot::{Relation, Snapshot};

/// Bytes kept of each hash, as of fingerprints: a collision by chance is out of reach, and people can compare it.
const HASH_BYTES: usize = 16;

/// One table's rows as a hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableDigest {
    pub table: String,
    pub rows: u64,
    /// 32 hexadecimal digits.
    pub digest: String,
}

/// A whole view as hashes: what commands print and the API answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Digest {
    #[serde(rename = "data")]
    pub tables: Vec<TableDigest>,
    pub sequence: u64,
    pub generation: u64,
    /// Of all tables.
    pub digest: String,
}

impl Digest {
    pub fn of(snapshot: &Snapshot) -> Result<Self, Error> {
        let tables = snapshot.digest()?;
        let digest = whole(&tables);
        let (sequence, generation) = (snapshot.sequence().0, snapshot.generation().0);
        Ok(Self { tables, sequence, generation, digest })
    }
}

impl Snapshot {
    /// The hash of every table.
    pub fn digest(&self) -> Result<Vec<TableDigest>, Error> {
        let digests = self.relations().iter().map(|relation| self.digest_of(relation));
        digests.collect()
    }

    fn digest_of(&self, relation: &Relation) -> Result<TableDigest, Error> {
        let (mut sum, mut rows) = ([0_u128; 2], 0_u64);
        self.read(|_| {
            let mut statement = self.unordered(relation)?;
            let mut found = statement.raw_query();
            let mut content = Content::default();
            while let Some(row) = found.next()? {
                content.0.clear();
                for index in 0..relation.columns.len() {
                    content.cell(row.get_ref(index)?);
                }
                rows += 1;
                for (sum, half) in sum.iter_mut().zip(halves(&content.0)) {
                    *sum = sum.wrapping_add(half);
                }
            }
            Ok(())
        })?;
        let mut content = Content::titled();
        content.text(&relation.name);
        content.number(relation.columns.len() as u64);
        for column in &relation.columns {
            content.text(&column.name);
            content.text(&column.type_name);
        }
        content.number(relation.key.len() as u64);
        relation.key.iter().for_each(|&index| content.number(index as u64));
        content.number(rows);
        sum.iter().for_each(|half| content.0.extend(half.to_le_bytes()));
        Ok(TableDigest { table: relation.name.clone(), rows, digest: content.digest() })
    }
}

/// One hash for all tables.
fn whole(tables: &[TableDigest]) -> String {
    let mut content = Content::titled();
    for table in tables {
        content.text(&table.table);
        content.text(&table.digest);
    }
    content.digest()
}

/// A hash of 256 bits as two numbers, to be added to others.
fn halves(content: &[u8]) -> [u128; 2] {
    let hash = Sha256::digest(content);
    let half = |at: usize| {
        let half = hash[at..at + 16].try_into().expect("a hash has 32 bytes");
        u128::from_le_bytes(half)
    };
    [half(0), half(16)]
}

/// What is hashed at once.
#[derive(Default)]
struct Content(Vec<u8>);

impl Content {
    /// Of a digest: another way to make it would be another number.
    fn titled() -> Self {
        let mut content = Self::default();
        content.text("viewd digest 1");
        content
    }

    fn cell(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.0.push(0),
            ValueRef::Integer(value) => {
                self.0.push(1);
                self.0.extend(value.to_le_bytes());
            }
            ValueRef::Real(value) => {
                self.0.push(2);
                self.0.extend(value.to_bits().to_le_bytes());
            }
            ValueRef::Text(text) => {
                self.0.push(3);
                self.sized(text);
            }
            ValueRef::Blob(bytes) => {
                self.0.push(4);
                self.sized(bytes);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.sized(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    fn digest(&self) -> String {
        let hash = Sha256::digest(&self.0);
        hash[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;
    use crate::store::layout::{Folder, Generation};
    use crate::store::snapshot;
    use crate::store::writer::tests::{batch, store};

    /// The digests of the projection after its file was treated with SQL.
    fn digests(sql: &str, ranges: &[(i64, i64)]) -> Vec<TableDigest> {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        for (sequence, &(first, end)) in ranges.iter().enumerate() {
            store.commit(batch(sequence as u64 + 1, first..end)).expect("committed");
        }
        drop(store);
        let folder = Folder::new(data.path(), "p");
        let connection = Connection::open(folder.database(Generation(1))).expect("a connection");
        connection.execute_batch(sql).expect("SQL");
        snapshot::open(&folder).expect("a snapshot").digest().expect("readable")
    }

    #[test]
    fn only_rows_count() {
        let plain = digests("", &[(0, 300)]);
        let names: Vec<_> = plain.iter().map(|table| (table.table.as_str(), table.rows)).collect();
        assert_eq!(names, [("t", 300), ("_viewd_counts", 1), ("_viewd_dead_letters", 0)]);
        let layout = "PRAGMA journal_mode = DELETE; PRAGMA page_size = 1024; VACUUM; CREATE INDEX i ON t (text); ANALYZE";
        assert_eq!(digests(layout, &[(200, 300), (0, 150), (150, 200)]), plain, "layout and order");
        assert_eq!(digests("UPDATE _viewd_checkpoint SET sequence = 9", &[(0, 300)]), plain);
        for other in [
            "UPDATE t SET text = 'y' WHERE id = 7",
            "UPDATE t SET text = NULL WHERE id = 7",
            "UPDATE t SET text = '' WHERE id = 7",
            "UPDATE t SET id = 300 WHERE id = 299",
            "DELETE FROM t WHERE id = 299",
            "UPDATE t SET text = CASE id WHEN 0 THEN text || 'x' ELSE substr(text, 2) END WHERE id < 2",
            "UPDATE _viewd_columns SET type = 'decimal(2)' WHERE \"column\" = 'id'",
        ] {
            let changed = digests(other, &[(0, 300)]);
            assert_ne!(changed[0], plain[0], "{other}");
            assert_eq!(changed[1..], plain[1..], "{other}");
            assert_ne!(whole(&changed), whole(&plain), "{other}");
        }
        let counted = digests("UPDATE _viewd_counts SET ignored = 1", &[(0, 300)]);
        assert_eq!((&counted[0], &counted[2]), (&plain[0], &plain[2]));
        assert_ne!(counted[1], plain[1]);
    }

    #[test]
    fn a_digest_is_the_same_in_ten_years() {
        let table = &digests("", &[(0, 3)])[0];
        // Computed by another program from what is said above.
        assert_eq!(table.digest, "269ef9eb1365d2d43340db275489b4cc");
    }
}
