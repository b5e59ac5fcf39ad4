//! The files of a view, looked at from outside: sizes for metrics.

use std::path::{Path, PathBuf};

/// Never opens a file, only asks the system of them.
#[derive(Clone, Debug)]
pub struct Files {
    database: PathBuf,
    wal: PathBuf,
}

impl Files {
    pub(super) fn new(database: &Path) -> Self {
        let mut wal = database.as_os_str().to_owned();
        wal.push("-wal");
        Self { database: database.to_path_buf(), wal: wal.into() }
    }

    pub fn database_bytes(&self) -> u64 {
        bytes(&self.database)
    }

    pub fn wal_bytes(&self) -> u64 {
        bytes(&self.wal)
    }

    /// What is free to viewd on their device; None if the system does not say.
    pub fn free_bytes(&self) -> Option<u64> {
        let statistics = rustix::fs::statvfs(&self.database).ok()?;
        Some(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }
}

/// 0 for what is not there.
fn bytes(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}
