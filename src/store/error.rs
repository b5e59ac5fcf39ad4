//! What can go wrong with a store, by what the caller does about it.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::event::Sequence;
use crate::row::Key;

/// Why a store refused or failed. The fate of each variant is in its first line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The batch's: it was rolled back; do it again one event at a time.
    #[error("column `{place}` leaves the range of 64 bits")]
    OnRow {
        /// Index of the table in its definition.
        table: usize,
        key: Key,
        /// Index of the column in its table.
        column: usize,
        /// The table's and the column's names.
        place: String,
    },

    /// This writer's: another one has moved the checkpoint; open the store anew.
    #[error("{}: the checkpoint is no longer at sequence {previous}: another writer moved it", path.display())]
    Stale { path: PathBuf, previous: Sequence },

    /// Retried with backoff: the batch was rolled back, and reads go on.
    #[error("{}: no space left on the device", path.display())]
    Full { path: PathBuf },

    /// Retried: another program holds the file's write lock. No writer but viewd should.
    #[error("{}: another program is writing to it", path.display())]
    Busy { path: PathBuf },

    /// The caller's: it asked for a long read to be stopped.
    #[error("{}: reading it was stopped", path.display())]
    Stopped { path: PathBuf },

    /// The projection's: it fails as `corrupt`.
    #[error("{}: damaged: {detail}", path.display())]
    Corrupt { path: PathBuf, detail: String },

    /// The process's: whether the write took place is unknown, so it ends (exit 74) and starts again.
    #[error("{}: I/O error: {detail}", path.display())]
    Unknown { path: PathBuf, detail: String },

    /// The operator's: a folder or file cannot be made, read or replaced.
    #[error("{action} {}", path.display())]
    Access { action: &'static str, path: PathBuf, source: io::Error },

    /// The operator's: the file belongs to another program or another version of viewd.
    #[error("{}: {detail}", path.display())]
    Foreign { path: PathBuf, detail: String },

    /// The operator's: generations with data, and no link that says which one is served.
    #[error("{}: no link `current`, but {generation} holds data", folder.display())]
    Unlinked { folder: PathBuf, generation: String },

    /// The operator's: exit 75.
    #[error("{}: in use by another viewd{}", path.display(), .pid.map_or(String::new(), |pid| format!(", process {pid}")))]
    Locked { path: PathBuf, pid: Option<u32> },

    /// Whoever reads it: what is open is not removed.
    #[error("{}: a reader has it open", folder.display())]
    Held { folder: PathBuf },

    /// A mistake in viewd.
    #[error("{}: {detail}", path.display())]
    Internal { path: PathBuf, detail: String },
}

impl Error {
    /// The next thing to do, when there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Full { .. } => Some("free some space: writing goes on by itself".into()),
            Self::Busy { .. } => {
                Some("end the other program's transaction: writing goes on by itself".into())
            }
            Self::Corrupt { path, .. } => {
                let generation = path.parent().unwrap_or(path);
                Some(format!(
                    "nothing was deleted: `viewd rebuild` builds the view again from the stream; the next start moves {} aside",
                    generation.display()
                ))
            }
            Self::Unlinked { folder, generation } => Some(format!(
                "if {generation} is the one to serve: ln -s {generation} {}",
                folder.join("current").display()
            )),
            Self::Held { .. } => {
                Some("end the programs that have its view.db open, and try again".into())
            }
            Self::Locked { pid: Some(_), .. } => Some(
                "if it is a daemon, stop it, or give this one a data_dir of its own; a command ends by itself".into(),
            ),
            Self::Locked { pid: None, .. } => {
                Some("a command reads the files: try again when it has ended".into())
            }
            _ => None,
        }
    }

    /// What a call of SQLite on the database at `path` means for viewd.
    pub(super) fn sqlite(path: &Path, error: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        let detail = error.to_string();
        let Some(failure) = error.sqlite_error() else {
            return Self::Internal { path, detail };
        };
        match failure.code {
            ErrorCode::DiskFull => Self::Full { path },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => Self::Busy { path },
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => Self::Corrupt { path, detail },
            ErrorCode::OperationInterrupted => Self::Stopped { path },
            ErrorCode::SystemIoFailure => match failure.extended_code {
                // The wal-index is grown by writing: this is how a full disk shows there.
                ffi::SQLITE_IOERR_SHMSIZE => Self::Full { path },
                ffi::SQLITE_IOERR_READ
                | ffi::SQLITE_IOERR_SHORT_READ
                | ffi::SQLITE_IOERR_DATA
                | ffi::SQLITE_IOERR_CORRUPTFS => Self::Corrupt { path, detail },
                _ => Self::Unknown { path, detail },
            },
            ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly => {
                // SQLite tells no more than this; the system often does.
                let source =
                    std::fs::metadata(&path).err().unwrap_or_else(|| io::Error::other(detail));
                Self::Access { action: "open view store", path, source }
            }
            _ => Self::Internal { path, detail },
        }
    }

    /// What a failed call of the file system means for viewd.
    pub(super) fn access(action: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_path_buf();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Access { action, path, source },
        }
    }
}

/// A failure inside a transaction, before the file's name is added.
#[derive(Debug)]
pub(super) enum Fault {
    Sqlite(rusqlite::Error),
    Store(Error),
}

impl Fault {
    pub(super) fn at(self, path: &Path) -> Error {
        match self {
            Self::Sqlite(error) => Error::sqlite(path, error),
            Self::Store(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Store(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_of_sqlite_has_its_fate() {
        let cases = [
            (ffi::SQLITE_FULL, "full"),
            (ffi::SQLITE_IOERR_SHMSIZE, "full"),
            (ffi::SQLITE_BUSY, "busy"),
            (ffi::SQLITE_BUSY_RECOVERY, "busy"),
            (ffi::SQLITE_CORRUPT, "corrupt"),
            (ffi::SQLITE_NOTADB, "corrupt"),
            (ffi::SQLITE_IOERR_READ, "corrupt"),
            (ffi::SQLITE_IOERR_SHORT_READ, "corrupt"),
            (ffi::SQLITE_IOERR_WRITE, "unknown"),
            (ffi::SQLITE_IOERR_FSYNC, "unknown"),
            (ffi::SQLITE_IOERR_DIR_FSYNC, "unknown"),
            (ffi::SQLITE_CANTOPEN, "access"),
            (ffi::SQLITE_READONLY, "access"),
            (ffi::SQLITE_CONSTRAINT, "internal"),
        ];
        for (code, fate) in cases {
            let failure = rusqlite::Error::SqliteFailure(ffi::Error::new(code), None);
            let got = match Error::sqlite(Path::new("/nowhere/view.db"), failure) {
                Error::Full { .. } => "full",
                Error::Busy { .. } => "busy",
                Error::Corrupt { .. } => "corrupt",
                Error::Unknown { .. } => "unknown",
                Error::Access { .. } => "access",
                Error::Internal { .. } => "internal",
                other => panic!("{code}: {other:?}"),
            };
            assert_eq!(got, fate, "{code}");
        }
    }
}
