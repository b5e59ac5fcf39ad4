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
        let path_buf = path.to_path_buf();
        match error {
            TantivyError::IoError(error) if is_of_content(&error) => Self::damaged(path, None),
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
            TantivyError::OpenReadError(OpenReadError::FileDoesNotExist(file)) => {
                let detail = format!("{} is missing", name(&file));
                Self::Damaged { path: path_buf, detail }
            }
            // Without a number it is not the system's: Tantivy has read what no index holds.
            TantivyError::OpenReadError(OpenReadError::IoError { filepath, .. }) => {
                Self::damaged(path, Some(&filepath))
            }
            TantivyError::OpenReadError(_)
            | TantivyError::DataCorruption(_)
            | TantivyError::IncompatibleIndex(_)
            | TantivyError::DeserializeError(_) => Self::damaged(path, None),
            TantivyError::OpenDirectoryError(OpenDirectoryError::DoesNotExist(_)) => {
                Self::Missing { path: path_buf }
            }
            TantivyError::LockFailure(LockError::LockBusy, _) => Self::Held { path: path_buf },
            error => Self::Internal { path: path_buf, detail: error.to_string() },
        }
    }

    /// A file is not as it was written; None: which one is not known.
    pub(super) fn damaged(path: &Path, file: Option<&Path>) -> Self {
        let detail = match file {
            Some(file) => format!("{} is not as it was written", name(file)),
            None => "its files are not as they were written".to_owned(),
        };
        Self::Damaged { path: path.to_path_buf(), detail }
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

/// Without the folder, which is named before it.
fn name(file: &Path) -> std::borrow::Cow<'_, str> {
    file.file_name().unwrap_or(file.as_os_str()).to_string_lossy()
}

/// Whether it is about what a file holds: what no call of the system says.
fn is_of_content(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
        && matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tantivy::Index;
    use tantivy::error::DataCorruption;

    use super::*;

    #[track_caller]
    fn check(error: impl Into<TantivyError>, said: &str) {
        let found = Error::tantivy(Path::new("search/board"), error.into()).to_string();
        assert_eq!(found, format!("search/board: {said}"));
    }

    #[test]
    fn what_tantivy_finds_is_said_in_words_of_viewd() {
        let invalid = || io::Error::new(io::ErrorKind::InvalidData, "Footer magic byte mismatch");
        let file = || PathBuf::from("a.idx");
        check(OpenReadError::FileDoesNotExist(file()), "damaged: a.idx is missing");
        let opened = OpenReadError::wrap_io_error(invalid(), file());
        check(opened, "damaged: a.idx is not as it was written");
        let all = "damaged: its files are not as they were written";
        check(TantivyError::IoError(Arc::new(invalid())), all);
        check(DataCorruption::comment_only("x"), all);
        let denied = io::Error::from_raw_os_error(13);
        let opened = OpenReadError::wrap_io_error(denied, file());
        check(opened, "I/O error: Permission denied (os error 13)");
        // What an index is not, as Tantivy finds it.
        let folder = tempfile::tempdir().unwrap();
        let opened = Index::open_in_dir(folder.path());
        check(opened.map(drop).unwrap_err(), "damaged: meta.json is missing");
    }
}
