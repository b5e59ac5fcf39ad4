//! The folders of a projection, and the link that says which generation is served.
//!
//! ```text
//! data/<projection>/current -> gen-000007     relative symbolic link, replaced by rename
//! data/<projection>/gen-000007/view.db
//! data/<projection>/gen-000007/search/<index>/   full-text indexes, of which only `search` knows what is in them
//! ```
//!
//! After a crash the link alone decides. A folder gets its name when all of its first content is synced, so none is
//! found half made. How one generation follows another: `succession`; what the start does after a crash: `settle`.
//!
//! Files are 0644 and folders 0755 whatever the umask: other users read the views. SQLite gives `-wal` and `-shm` the
//! mode of the database file.

use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use super::files::Files;
use super::state::State;
use super::step::{Step, Steps};
use super::{Error, bulk, writer};
use crate::definition::fingerprint::Fingerprint;
use crate::definition::{Table, View};

/// The link's name, and what it is called until it is renamed.
const CURRENT: &str = "current";
const CURRENT_NEW: &str = ".current.new";
pub(super) const DATABASE: &str = "view.db";
/// What a generation's folder is called while it is made or removed: with this before its name.
const UNNAMED: &str = ".unnamed-";
/// Before the name of one that was moved aside.
pub(super) const DAMAGED: &str = "damaged-";
const FOLDER_MODE: u32 = 0o755;
const FILE_MODE: u32 = 0o644;

/// One build of a projection. Numbers are used once, so no two files of a projection ever share a name, but for those
/// of a build that never was served.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Generation(pub u64);

/// What a generation is built by.
#[derive(Clone, Debug)]
pub struct Build<'a> {
    pub projection: &'a str,
    pub stream: &'a str,
    /// The text of its file.
    pub definition: &'a str,
    /// The settings of its source, as JSON.
    pub source: &'a str,
    /// What makes rows of events.
    pub engine: &'a str,
    pub fingerprint: &'a Fingerprint,
    pub tables: &'a [Table],
    pub views: &'a [View],
    /// Indices into `tables`: those whose changes are kept.
    pub logged: Vec<usize>,
}

/// A projection's folder in the data directory.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    steps: Steps,
}

impl Generation {
    pub(super) fn parse(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("gen-").filter(|digits| digits.len() >= 6)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_digit())
            .then(|| digits.parse().ok().map(Self))
            .flatten()
    }
}

/// The name of its folder: `gen-000007`.
impl fmt::Display for Generation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "gen-{:06}", self.0)
    }
}

impl Folder {
    pub fn new(data_dir: &Path, projection: &str) -> Self {
        Self { path: data_dir.join(projection), steps: Steps::default() }
    }

    /// The same, with something to be done at its steps.
    pub fn with_steps(self, steps: Steps) -> Self {
        Self { steps, ..self }
    }

    pub fn steps(&self) -> &Steps {
        &self.steps
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn database(&self, generation: Generation) -> PathBuf {
        self.generation(generation).join(DATABASE)
    }

    /// The folder of a generation.
    pub fn generation(&self, generation: Generation) -> PathBuf {
        self.path.join(generation.to_string())
    }

    /// The generation that is served, if there is one.
    pub fn current(&self) -> Result<Option<Generation>, Error> {
        let link = self.path.join(CURRENT);
        let target = match fs::read_link(&link) {
            Ok(target) => target,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::access("read link", &link, error)),
        };
        match target.to_str().and_then(Generation::parse) {
            Some(generation) => Ok(Some(generation)),
            None => {
                let detail = format!("a link to {}, not to a generation", target.display());
                Err(Error::Foreign { path: link, detail })
            }
        }
    }

    /// The generation to serve: the one the link names, or a first one made now.
    ///
    /// The caller compares what the generation was built by with what it has: an old one is not touched.
    pub fn current_or_first(&self, build: &Build<'_>) -> Result<Generation, Error> {
        self.settle()?;
        match self.current()? {
            Some(generation) => Ok(generation),
            None => self.make_first(build),
        }
    }

    /// The files of whichever generation is served, looked at from outside.
    pub fn files(&self) -> Files {
        Files::new(&served(&self.path))
    }

    /// Makes a generation that is served at once: all of it is on disk before the link appears.
    fn make_first(&self, build: &Build<'_>) -> Result<Generation, Error> {
        let generation = self.next_number()?;
        self.make(generation, |folder| self.fill(folder, generation, build, State::Serving))?;
        self.link(generation)?;
        Ok(generation)
    }

    /// The generation after all others: numbers are used once.
    pub(super) fn next_number(&self) -> Result<Generation, Error> {
        let number = |name: &String| {
            Generation::parse(name.strip_prefix(DAMAGED).unwrap_or(name)).map(|found| found.0)
        };
        let newest = self.names()?.iter().filter_map(number).max();
        Ok(Generation(newest.map_or(1, |newest| newest + 1)))
    }

    /// Makes a generation: its folder has its name only when all is there and synced, so none is found half made.
    pub(super) fn make(
        &self,
        generation: Generation,
        fill: impl FnOnce(&Path) -> Result<(), Error>,
    ) -> Result<(), Error> {
        if !self.path.exists() {
            make_folder(&self.path)?;
            self.path.parent().map_or(Ok(()), sync)?;
        }
        self.remove_rest()?;
        let made = self.path.join(format!("{UNNAMED}{generation}"));
        make_folder(&made)?;
        fill(&made)?;
        // SQLite has closed the file: opening it here drops nobody's locks.
        sync(&made.join(DATABASE))?;
        sync(&made)?;
        self.steps.reached(Step::Filled);
        let folder = self.path.join(generation.to_string());
        fs::rename(&made, &folder).map_err(|error| Error::access("name folder", &folder, error))?;
        sync(&self.path)?;
        self.steps.reached(Step::Made);
        Ok(())
    }

    /// Makes the file of an empty generation.
    pub(super) fn fill(
        &self,
        folder: &Path,
        generation: Generation,
        build: &Build<'_>,
        state: State,
    ) -> Result<(), Error> {
        let database = folder.join(DATABASE);
        make_file(&database)?;
        if state == State::Building {
            make_file(&bulk::mark_of(&database))?;
        }
        writer::create(&database, generation, build, state)
    }

    /// The generations that have a folder, the oldest first.
    pub(super) fn generations(&self) -> Result<Vec<Generation>, Error> {
        let mut found: Vec<_> =
            self.names()?.iter().filter_map(|name| Generation::parse(name)).collect();
        found.sort_unstable();
        Ok(found)
    }

    /// What lies in the projection's folder; nothing if it is not there.
    pub(super) fn names(&self) -> Result<Vec<String>, Error> {
        match names(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            found => found.map_err(|error| Error::access("read folder", &self.path, error)),
        }
    }

    /// Removes a generation that is not served.
    ///
    /// Under another name first: whoever happens to open it by its own makes no files in what is being removed.
    pub(super) fn remove(&self, generation: Generation) -> Result<(), Error> {
        let folder = self.path.join(generation.to_string());
        let projection = self.path.file_name().unwrap_or_default().to_string_lossy();
        tracing::info!(projection = &*projection, folder = %folder.display(), "remove generation");
        self.remove_rest()?;
        let removed = self.path.join(format!("{UNNAMED}{generation}"));
        let failed = |error| Error::access("remove folder", &folder, error);
        fs::rename(&folder, &removed).map_err(failed)?;
        self.steps.reached(Step::Unnamed);
        fs::remove_dir_all(&removed).map_err(failed)?;
        self.steps.reached(Step::Removed);
        Ok(())
    }

    /// Removes what a crash left of one that was being made or removed, and of a link.
    pub(super) fn remove_rest(&self) -> Result<(), Error> {
        self.remove_new_link()?;
        for name in self.names()?.iter().filter(|name| name.starts_with(UNNAMED)) {
            let folder = self.path.join(name);
            fs::remove_dir_all(&folder)
                .map_err(|error| Error::access("remove folder", &folder, error))?;
        }
        Ok(())
    }

    /// Lets the link name this generation, in one step that survives a crash.
    pub(super) fn link(&self, generation: Generation) -> Result<(), Error> {
        self.remove_new_link()?;
        let new = self.path.join(CURRENT_NEW);
        symlink(generation.to_string(), &new)
            .map_err(|error| Error::access("make link", &new, error))?;
        self.steps.reached(Step::LinkMade);
        let current = self.path.join(CURRENT);
        fs::rename(&new, &current)
            .map_err(|error| Error::access("replace link", &current, error))?;
        self.steps.reached(Step::Linked);
        sync(&self.path)?;
        self.steps.reached(Step::LinkSynced);
        Ok(())
    }

    fn remove_new_link(&self) -> Result<(), Error> {
        let new = self.path.join(CURRENT_NEW);
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::access("remove link", &new, error))
            }
            _ => Ok(()),
        }
    }

    /// Takes the link away: nothing is served.
    pub(super) fn unlink(&self) -> Result<(), Error> {
        let link = self.path.join(CURRENT);
        fs::remove_file(&link).map_err(|error| Error::access("remove link", &link, error))?;
        sync(&self.path)
    }
}

/// The projections that have a generation in the data directory, by name.
pub fn projections(data_dir: &Path) -> Result<Vec<String>, Error> {
    let mut found = match names(data_dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        found => found.map_err(|error| Error::access("read folder", data_dir, error))?,
    };
    found.retain(|name| data_dir.join(name).join(CURRENT).is_symlink());
    found.sort();
    Ok(found)
}

/// The database that is served from a projection's folder.
pub(super) fn served(folder: &Path) -> PathBuf {
    folder.join(CURRENT).join(DATABASE)
}

/// Makes a folder that others may read, and those above it; one that is there stays as it is.
pub(super) fn make_folder(path: &Path) -> Result<(), Error> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent)?;
    }
    fs::create_dir(path)
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(FOLDER_MODE)))
        .map_err(|error| Error::access("make folder", path, error))
}

/// Makes an empty file that others may read: the database before SQLite first opens it.
pub(super) fn make_file(path: &Path) -> Result<(), Error> {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    made.and_then(|file| file.set_permissions(Permissions::from_mode(FILE_MODE)))
        .map_err(|error| Error::access("make file", path, error))
}

pub(super) fn sync(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::Unknown { path: path.to_path_buf(), detail: error.to_string() })
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    entries.collect()
}
