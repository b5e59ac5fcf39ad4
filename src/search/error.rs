//! What can go wrong with an index, by what the caller does about it.

use std::io;
use std::path::{Path, PathBuf};

use tantivy::TantivyError;
use tantivy::directory::error::{LockError, OpenDirectoryError, OpenReadError, OpenWriteError};

/// Why an index refused or failed. The fate of each variant is in its first line.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Built from the rows: there is none.
    #[error("{}: no index", path.display())]
    Missing { path: PathBuf },

    /// Moved aside, and built from the rows.
    #[error("{}: damaged: {detail}", path.display())]
    Damaged { path: PathBuf, detail: String },

    /// Built from the rows: it was made for another definition, or by another version of viewd.
    #[error("{}: made for another definition, or by another version of viewd", path.display())]
    OtherShape { path: PathBuf },

    /// Opened again with backoff: nothing that was committed is lost.
    #[error("{}: no space left on the device", path.display())]
    Full { path: PathBuf },

    /// Opened again with backoff.
    #[error("{}: I/O error: {detail}", path.display())]
    Io { path: PathBuf, detail: String },

    /// Opened again with backoff: another program writes to it, which none should.
    #[error("{}: another program has it open for writing", path.display())]
    Held { path: PathBuf },

    /// Opened again: an error before this one has ended the writer.
    #[error("{}: the writer has ended", path.display())]
    Ended { path: PathBuf },

    /// The view's: its file is damaged, and `viewd verify` says more.
    #[error("column `{column}` holds {found}, which no {expected} is")]
    Cell { column: String, expected: String, found: String },

    /// The caller's: it asked for a long work to be ended.
    #[error("{}: building it was stopped", path.display())]
    Stopped { path: PathBuf },

    /// A mistake in viewd or in Tantivy.
    #[error("{}: {detail}", path.display())]
    Internal { path: PathBuf, detail: String },
}

impl Error {
    /// The next thing to do, when there is one.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Full { .. } => Some("free some space: indexing goes on by itself".into()),
            Self::Held { .. } => {
                Some("end the other program: an index belongs to its daemon alone".into())
            }
            Self::Damaged { .. } => Some("it is made again from the rows, by itself".into()),
            _ => None,
        }
    }

    /// What an error of Tantivy over the index in `path` means for viewd.
    pub(super) fn tantivy(path: &Path, error: TantivyError) -> Self {
        let (path_buf, detail) = (path.to_path_buf(), error.to_string());
        match error {
            TantivyError::IoError(error)
            | TantivyError::OpenWriteError(OpenWriteError::IoError { io_error: error, .. })
            | TantivyError::OpenDirectoryError(OpenDirectoryError::IoError {
                io_error: error,
                ..
            })
            | TantivyError::LockFailure(LockError::IoError(error), _) => Self::io(path, &error),
            TantivyError::OpenReadError(OpenReadError::IoError { io_error, .. })
                if io_error.raw_os_error().is_some() =>
            {
                Self::io(path, &io_error)
            }
            // Without a number it is not the system's: Tantivy has read what no index holds.
            TantivyError::OpenReadError(_)
            | TantivyError::DataCorruption(_)
            | TantivyError::IncompatibleIndex(_)
            | TantivyError::DeserializeError(_) => Self::Damaged { path: path_buf, detail },
            TantivyError::OpenDirectoryError(OpenDirectoryError::DoesNotExist(_)) => {
                Self::Missing { path: path_buf }
            }
            TantivyError::LockFailure(LockError::LockBusy, _) => Self::Held { path: path_buf },
            _ => Self::Internal { path: path_buf, detail },
        }
    }

    /// What a failed call of the system means.
    pub(super) fn io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path },
            _ => Self::Io { path, detail: error.to_string() },
        }
    }
}
