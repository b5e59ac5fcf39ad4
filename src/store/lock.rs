//! `LOCK` in the data directory: one daemon a directory.
//!
//! The lock is the system's (flock), so it goes with the process however that ends; the process id in the file is
//! only there to be named to whoever comes second.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::Path;

use super::Error;
use super::layout;

/// Held for as long as this value lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the data directory, making it if it is not there.
    pub fn take(data_dir: &Path) -> Result<Self, Error> {
        layout::make_folder(data_dir)?;
        let path = data_dir.join("LOCK");
        let failed = |source| Error::access("open lock file", &path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let pid = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
                return Err(Error::Locked { path, pid });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let pid = std::process::id();
        let written = file.set_len(0).and_then(|()| writeln!(file, "{pid}"));
        written.map_err(|source| Error::access("write lock file", &path, source))?;
        Ok(Self { _file: file })
    }
}
