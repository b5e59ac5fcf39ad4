//! Which rows have changed, in which order: what full-text indexes follow.
//!
//! Each transaction appends one row to `_viewd_changes` for each key whose statement has changed the table, of tables
//! that are logged; a generation in bulk appends nothing, since whatever follows it begins with all of its rows. A
//! change says that its row is to be looked at, not what it was: who follows reads it on the same snapshot.
//!
//! Ids are given once, rise without gaps and commit with the rows. So whoever has taken all changes up to one and has the
//! rows as of a sequence goes on after it, as long as that change is still in the log, and not above that sequence:
//!
//! | the change is | what came after the sequence |
//! |---|---|
//! | in the log, of that sequence or one before | is in the log, after it |
//! | trimmed | may be gone with it |
//! | not there yet | the file is older than what follows it: a restored copy |
//! | in the log, of a later sequence | an older file again, which has read on since: other batches, other ids |

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rusqlite::{Connection, OptionalExtension as _};

use super::Error;
use super::checkpoint::{restored, stored};
use super::error::Fault;
use super::snapshot::Snapshot;
use super::step::Step;
use super::writer::Store;
use crate::definition::Table;
use crate::event::Sequence;
use crate::row::{Cell, Key};

/// However far an index is behind, and whatever is to be kept: more is not, and the index is made anew.
const CHANGES_MAX: u64 = 1_000_000;
/// One transaction removes so many: some milliseconds, in which no batch can commit.
const TRIMMED_TOGETHER: i64 = 10_000;

/// A run of changes, to be taken up together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Portion {
    /// The id of its last change; that at which it begins where there are no more.
    pub upto: i64,
    /// What the rows reflect once it is taken.
    pub sequence: Sequence,
}

/// The cells of a key as the log and the indexes have them: as a JSON array, bytes in base64.
pub fn key_text<'a>(key: impl IntoIterator<Item = &'a Cell>) -> String {
    let mut text = Vec::new();
    write_key_text(&mut text, key);
    String::from_utf8(text).expect("JSON is UTF-8")
}

/// Appends the text of a key.
pub fn write_key_text<'a>(text: &mut Vec<u8>, key: impl IntoIterator<Item = &'a Cell>) {
    text.push(b'[');
    for (index, cell) in key.into_iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        let written = match cell {
            Cell::Integer(value) => serde_json::to_writer(&mut *text, value),
            Cell::Text(value) => serde_json::to_writer(&mut *text, value.as_str()),
            Cell::Time(value) => serde_json::to_writer(&mut *text, &*value.text()),
            Cell::Bytes(value) => serde_json::to_writer(&mut *text, &BASE64.encode(value)),
            Cell::Null | Cell::Real(_) => unreachable!("no cell of a key is NULL or REAL"),
        };
        written.expect("writing to memory cannot fail");
    }
    text.push(b']');
}

/// The key of such a text; None if it is none of this table.
pub fn key_of(text: &str, table: &Table) -> Option<Key> {
    let values: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
    if values.len() != table.key.len() {
        return None;
    }
    let cell = |(value, &column): (&serde_json::Value, &usize)| {
        Some(match table.columns[column].column_type.sql() {
            "INTEGER" => Cell::Integer(value.as_i64()?),
            "BLOB" => Cell::Bytes(BASE64.decode(value.as_str()?).ok()?.into()),
            _ => Cell::Text(value.as_str()?.into()),
        })
    };
    values.iter().zip(&table.key).map(cell).collect::<Option<_>>().map(Key)
}

/// Up to which id changes may go: the last ever given is `last`, the indexes durably hold those up to `durable` (None:
/// there is no index), and so many are kept for others who follow.
pub fn trim_to(last: i64, durable: Option<i64>, keep: u64) -> i64 {
    let before = |count: u64| last.saturating_sub_unsigned(count).max(0);
    // The change itself stays: who goes on looks for it.
    let unneeded = before(keep).min(durable.map_or(last, |durable| durable - 1));
    unneeded.max(before(keep.max(CHANGES_MAX)))
}

impl Store {
    /// The id of the last change ever, as committed; 0 before the first.
    pub fn last_change(&self) -> i64 {
        self.last_change
    }

    /// Removes the changes up to an id from the log, or so many of them as take no time of note; whether more are left.
    pub fn trim_changes(&mut self, upto: i64) -> Result<bool, Error> {
        let trim = |connection: &Connection| {
            let Some(first) = first_change(connection)? else { return Ok(false) };
            let upto = upto.min(self.last_change);
            if first > upto {
                return Ok(false);
            }
            let portion = upto.min(first.saturating_add(TRIMMED_TOGETHER - 1));
            let mut delete =
                connection.prepare_cached("DELETE FROM _viewd_changes WHERE id <= ?1")?;
            delete.execute([portion])?;
            Ok(portion < upto)
        };
        let more = self.execute(trim)?;
        self.steps.reached(Step::Trimmed);
        Ok(more)
    }

    /// Makes all that is committed durable, and shows it: a snapshot of exactly what a loss of power would leave, at the
    /// least. What is made of it never is ahead of the rows (I5).
    ///
    /// SQLite syncs the log at checkpoints only. One transaction that is synced takes all those before it along, but
    /// one that changes nothing syncs nothing: so the count.
    pub fn fence(&mut self) -> Result<Snapshot, Error> {
        if let Some(error) = self.broken.take() {
            return Err(error);
        }
        self.durably(|connection| {
            let count = "UPDATE _viewd_control SET writes = writes + 1";
            connection.prepare_cached(count)?.execute(()).map(drop).map_err(Fault::from)
        })?;
        self.steps.reached(Step::Fenced);
        self.snapshot()
    }
}

impl Snapshot {
    /// The id of the first change that the log still has.
    pub fn first_change(&self) -> Result<Option<i64>, Error> {
        self.read(first_change)
    }

    /// The id of the last change ever, whether or not it was trimmed; 0 before the first.
    pub fn last_change(&self) -> Result<i64, Error> {
        self.read(last_change)
    }

    /// Whether whoever has taken the changes up to this one (0: none yet), and has the rows as of this sequence or of a
    /// later one, finds in the log all that came after.
    pub fn goes_on_from(&self, change: i64, sequence: Sequence) -> Result<bool, Error> {
        if change == 0 {
            return Ok(self.first_change()?.unwrap_or(self.last_change()? + 1) == 1);
        }
        let of = |connection: &Connection| {
            let sql = "SELECT sequence <= ?2 FROM _viewd_changes WHERE id = ?1";
            let mut found = connection.prepare_cached(sql)?;
            found.query_row((change, stored(sequence.0)), |row| row.get(0)).optional()
        };
        match self.read(of)? {
            Some(goes_on) => Ok(goes_on),
            // Trimmed with all the others: nothing came after it.
            None => Ok(change == self.last_change()?),
        }
    }

    /// The changes after one: so many, and the rest of the batch that these end in.
    pub fn portion(&self, after: i64, changes_max: i64) -> Result<Portion, Error> {
        let end = |connection: &Connection| {
            let sequence = "SELECT sequence FROM _viewd_changes WHERE id >= ?1 ORDER BY id LIMIT 1";
            let near = after.saturating_add(changes_max.max(1));
            let sequence: Option<i64> = connection
                .prepare_cached(sequence)?
                .query_row([near], |row| row.get(0))
                .optional()?;
            let Some(sequence) = sequence else { return Ok(None) };
            let next =
                "SELECT id FROM _viewd_changes WHERE id > ?1 AND sequence > ?2 ORDER BY id LIMIT 1";
            let next: Option<i64> = connection
                .prepare_cached(next)?
                .query_row([near, sequence], |row| row.get(0))
                .optional()?;
            Ok(next.map(|next| (next - 1, sequence)))
        };
        Ok(match self.read(end)? {
            Some((upto, sequence)) => Portion { upto, sequence: Sequence(restored(sequence)) },
            None => Portion { upto: self.last_change()?, sequence: self.sequence() },
        })
    }

    /// Each key of a table that has changed after one change and up to another, once, in the order of their texts, with
    /// the row as it stands here; None: it is gone. Of a row only the key and these columns are read, the rest is NULL.
    pub fn changes<E: From<Error>>(
        &self,
        table: &Table,
        columns: &[usize],
        after: i64,
        upto: i64,
        mut each: impl FnMut(&Key, Option<&[Cell]>) -> Result<(), E>,
    ) -> Result<(), E> {
        let error = |error| E::from(self.error(error));
        let mut rows = self.by_key(table, columns)?;
        let sql = "SELECT DISTINCT key FROM _viewd_changes WHERE id > ?1 AND id <= ?2 AND \"table\" = ?3 ORDER BY key";
        let mut statement = self.prepared(sql)?;
        let mut keys = statement.query((after, upto, &table.name)).map_err(error)?;
        while let Some(found) = keys.next().map_err(error)? {
            let text = found.get_ref(0).map_err(error)?;
            let key = text.as_str().ok().and_then(|text| key_of(text, table));
            let Some(key) = key else {
                let detail = format!("_viewd_changes: {text:?} is no key of `{}`", table.name);
                return Err(Error::Corrupt { path: self.path().to_path_buf(), detail }.into());
            };
            let row = rows.get(&key).map_err(error)?;
            each(&key, row)?;
        }
        Ok(())
    }
}

fn first_change(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    let sql = "SELECT min(id) FROM _viewd_changes";
    connection.prepare_cached(sql)?.query_row((), |row| row.get(0))
}

/// SQLite keeps it for AUTOINCREMENT.
pub(super) fn last_change(connection: &Connection) -> rusqlite::Result<i64> {
    let sql = "SELECT seq FROM sqlite_sequence WHERE name = '_viewd_changes'";
    let last = connection.prepare_cached(sql)?.query_row((), |row| row.get(0)).optional()?;
    Ok(last.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use rusqlite::OpenFlags;
    use rusqlite::wal::CheckpointMode;

    use super::*;
    use crate::store::layout::{Folder, Generation};
    use crate::store::step::Steps;
    use crate::store::writer::tests::{batch, store, with_build};

    /// Whether SQLite syncs a commit shows in its log: on a device that may spoil what lies beside what it writes
    /// (`psow = 0`), it fills the sector with copies of the last frame if it is about to sync it, and only then.
    #[test]
    fn a_fence_is_synced_whatever_was_written_before() {
        let data = tempfile::tempdir().expect("a temporary folder");
        drop(store(data.path()));
        let path = Folder::new(data.path(), "p").database(Generation(1));
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_URI;
        let uri = format!("file:{}?psow=0", path.display());
        let connection = Connection::open_with_flags(uri, flags).expect("a connection");
        connection.execute_batch("PRAGMA synchronous = NORMAL").expect("set");
        let store = with_build(data.path(), |_, build| {
            Store::of(path.clone(), connection, build.tables, &Steps::default())
        });
        let mut store = store.expect("a store");
        let mut frames = 0;
        let mut written = |store: &Store| {
            let now = store.connection.wal_checkpoint_v2(Some("main"), CheckpointMode::NOOP);
            let (now, _) = now.expect("a log");
            now - std::mem::replace(&mut frames, now)
        };
        written(&store);
        let count = |store: &Store| -> i64 {
            let count = "SELECT writes FROM _viewd_control";
            store.connection.query_row(count, (), |row| row.get(0)).expect("a number")
        };
        for fences in 1..=3 {
            let snapshot = store.fence().expect("a snapshot");
            assert_eq!((written(&store), count(&store)), (2, fences), "a page and its copy");
            assert_eq!(snapshot.sequence(), Sequence(0));
            let plain = "UPDATE _viewd_control SET writes = writes";
            store.connection.execute_batch(plain).expect("written");
            assert_eq!(
                written(&store),
                0,
                "what changes nothing writes nothing, and syncs nothing"
            );
        }
        let plain = "UPDATE _viewd_control SET writes = writes + 1";
        store.connection.execute_batch(plain).expect("written");
        assert_eq!(written(&store), 1, "it is not synced by itself");
    }

    #[test]
    fn a_fence_shows_what_is_committed_and_stands_still() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        store.commit(batch(3, 0..5)).expect("committed");
        let fenced = store.fence().expect("a snapshot");
        store.commit(batch(4, 5..9)).expect("committed");
        let last = |snapshot: &Snapshot| snapshot.last_change().expect("a number");
        assert_eq!((fenced.sequence(), last(&fenced), store.last_change()), (Sequence(3), 5, 9));
        let again = store.fence().expect("a snapshot");
        assert_eq!((again.sequence(), last(&again)), (Sequence(4), 9));
    }

    #[test]
    fn what_may_be_trimmed() {
        let last = 5_000_000;
        for (durable, keep, expected, why) in [
            (Some(4_999_000), 0, 4_998_999, "an index needs the rest"),
            (Some(last), 0, last - 1, "an index needs none but the one that it has"),
            (Some(last), 100_000, 4_900_000, "others follow as well"),
            (Some(4_800_000), 100_000, 4_799_999, "the index is further behind than they may be"),
            (None, 100_000, 4_900_000, "there is no index"),
            (None, 0, last, "nobody follows"),
            (Some(0), 100_000, 4_000_000, "the index is too far behind: it is made anew"),
            (Some(4_000_001), 100_000, 4_000_000, "just not too far"),
            (Some(0), 3_000_000, 2_000_000, "more is to be kept"),
            (Some(last), 9_000_000, 0, "all is to be kept"),
        ] {
            assert_eq!(trim_to(last, durable, keep), expected, "{why}");
        }
        assert_eq!(trim_to(0, None, 100_000), 0);
        assert_eq!(trim_to(0, Some(0), u64::MAX), 0);
    }
}
