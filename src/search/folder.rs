//! The names of an index's folders, and how one replaces another.
//!
//! An index is built under another name and renamed once it is whole and synced, so what has the index's name is always
//! one that was whole. What is damaged is kept beside it, for whoever wants to know what happened; one of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::Error;

/// No index can have a name that ends like these: names have no points.
const BUILDING: &str = ".building";
const DAMAGED: &str = ".damaged";

/// Where an index has its files: `search/<index>` in its generation's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder {
    /// That of all indexes of a generation.
    parent: PathBuf,
    name: String,
}

impl Folder {
    /// `generation`: the folder of a generation.
    pub fn new(generation: &Path, index: &str) -> Self {
        Self { parent: generation.join("search"), name: index.to_owned() }
    }

    pub fn path(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// Moves what has the index's name aside, if something has, in the place of what was there before.
    pub fn set_aside(&self) -> Result<(), Error> {
        let (path, damaged) = (self.path(), self.beside(DAMAGED));
        self.done((|| {
            if fs::exists(&path)? {
                remove(&damaged)?;
                fs::rename(&path, &damaged)?;
                sync(&self.parent)?;
            }
            Ok(())
        })())
    }

    /// Where it is built. What a build that has not ended has left there is removed.
    pub(super) fn begin(&self) -> Result<PathBuf, Error> {
        let building = self.beside(BUILDING);
        self.done(remove(&building))?;
        Ok(building)
    }

    /// Removes what a build has made so far.
    pub(super) fn give_up(&self) {
        // What is left is removed by the next build.
        let _ = remove(&self.beside(BUILDING));
    }

    /// Gives what was built its name; durable when it returns.
    pub(super) fn take_name(&self) -> Result<(), Error> {
        self.set_aside()?;
        self.done((|| {
            fs::rename(self.beside(BUILDING), self.path())?;
            sync(&self.parent)?;
            // The folder of all indexes may be new.
            sync(self.parent.parent().unwrap_or(&self.parent))
        })())
    }

    fn beside(&self, ending: &str) -> PathBuf {
        self.parent.join(format!("{}{ending}", self.name))
    }

    fn done<T>(&self, result: io::Result<T>) -> Result<T, Error> {
        result.map_err(|error| Error::io(&self.path(), &error))
    }
}

fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
