//! A canonical hash of each table's rows: two builds of one history have the same, whatever their files look like.
//!
//! Hashed are a table's name, its columns with their types in declared order, and its rows in key order, each cell with
//! a tag of what it is and, where that varies, its length. So neither the layout of the file nor the order in which rows
//! were written counts, nor SQLite's version or page size; and no two different tables run into one another.
//! Declared tables come by name, then `_viewd_counts` and `_viewd_dead_letters`, as far as they follow from the events.

use rusqlite::types::ValueRef;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Error;
use super::snapshot::{Relation, Snapshot};

/// Bytes kept of each hash, as of fingerprints: a collision by chance is out of reach, and people can compare it.
const HASH_BYTES: usize = 16;
/// Small cells are gathered before they are hashed.
const GATHERED_BYTES: usize = 16 << 10;

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
        let mut hash = Hash::new();
        hash.text(&relation.name);
        hash.number(relation.columns.len() as u64);
        for column in &relation.columns {
            hash.text(&column.name);
            hash.text(&column.type_name);
        }
        hash.number(relation.key.len() as u64);
        relation.key.iter().for_each(|&index| hash.number(index as u64));
        let rows = self.read(|_| {
            let mut statement = self.statement(relation)?;
            let mut found = statement.raw_query();
            let mut rows = 0_u64;
            while let Some(row) = found.next()? {
                for index in 0..relation.columns.len() {
                    hash.cell(row.get_ref(index)?);
                }
                rows += 1;
            }
            Ok(rows)
        })?;
        hash.number(rows);
        Ok(TableDigest { table: relation.name.clone(), rows, digest: hash.finish() })
    }
}

/// One hash for all tables.
pub fn whole(tables: &[TableDigest]) -> String {
    let mut hash = Hash::new();
    for table in tables {
        hash.text(&table.table);
        hash.text(&table.digest);
    }
    hash.finish()
}

struct Hash {
    sha: Sha256,
    gathered: Vec<u8>,
}

impl Hash {
    fn new() -> Self {
        let mut hash = Self { sha: Sha256::new(), gathered: Vec::with_capacity(GATHERED_BYTES) };
        // What is hashed how: another way would be another number.
        hash.text("viewd digest 1");
        hash
    }

    fn cell(&mut self, value: ValueRef<'_>) {
        match value {
            ValueRef::Null => self.bytes(&[0]),
            ValueRef::Integer(value) => {
                self.bytes(&[1]);
                self.bytes(&value.to_le_bytes());
            }
            ValueRef::Real(value) => {
                self.bytes(&[2]);
                self.bytes(&value.to_bits().to_le_bytes());
            }
            ValueRef::Text(text) => {
                self.bytes(&[3]);
                self.sized(text);
            }
            ValueRef::Blob(bytes) => {
                self.bytes(&[4]);
                self.sized(bytes);
            }
        }
    }

    fn text(&mut self, text: &str) {
        self.sized(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.bytes(&number.to_le_bytes());
    }

    fn sized(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.bytes(bytes);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        if self.gathered.len() + bytes.len() > GATHERED_BYTES {
            self.sha.update(&self.gathered);
            self.gathered.clear();
        }
        if bytes.len() > GATHERED_BYTES {
            self.sha.update(bytes);
        } else {
            self.gathered.extend_from_slice(bytes);
        }
    }

    fn finish(mut self) -> String {
        self.sha.update(&self.gathered);
        let hash = self.sha.finalize();
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
        assert_eq!(table.digest, "f94534369dbf999cd09b93c9dbeed7b2");
    }
}
