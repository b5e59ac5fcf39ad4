//! `LOCK` in the data directory: one daemon a directory, or commands that read what it has left.
//!
//! The lock is the system's (flock), so it goes with the process however that ends; the process id in the file is
//! only there to be named to whoever comes second. Those who read are many, and have no name there.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::Write as _;
use std::path::{Path, PathBuf};

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
        let (path, mut file) = open(data_dir)?;
        held(&path, file.try_lock())?;
        let pid = std::process::id();
        let written = file.set_len(0).and_then(|()| writeln!(file, "{pid}"));
        written.map_err(|source| Error::access("write lock file", &path, source))?;
        Ok(Self { _file: file })
    }

    /// Keeps daemons off the data directory, beside others that do.
    pub fn read(data_dir: &Path) -> Result<Self, Error> {
        let (path, file) = open(data_dir)?;
        held(&path, file.try_lock_shared())?;
        // Whoever wrote its id there has ended.
        file.set_len(0).map_err(|source| Error::access("write lock file", &path, source))?;
        Ok(Self { _file: file })
    }
}

fn open(data_dir: &Path) -> Result<(PathBuf, File), Error> {
    layout::make_folder(data_dir)?;
    let path = data_dir.join("LOCK");
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).open(&path);
    let file = file.map_err(|source| Error::access("open lock file", &path, source))?;
    Ok((path, file))
}

fn held(path: &Path, tried: Result<(), TryLockError>) -> Result<(), Error> {
    match tried {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let pid = fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
            Err(Error::Locked { path: path.to_path_buf(), pid })
        }
        Err(TryLockError::Error(source)) => Err(Error::access("open lock file", path, source)),
    }
}
