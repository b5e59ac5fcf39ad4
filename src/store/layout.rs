//! The folders of a projection, and the link that says which generation is served.
//!
//! ```text
//! data/<projection>/current -> gen-000007     relative symbolic link, replaced by rename
//! data/<projection>/gen-000007/view.db
//! ```
//!
//! After a crash the link alone decides. A generation is complete and synced before the link first names it, so a
//! projection without a link has nothing worth keeping: folders of a first generation that was being made are removed,
//! unless one turns out to hold data, which is told and left alone. How one generation follows another: `succession`.
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
use super::{Error, stored, writer};
use crate::definition::fingerprint::Fingerprint;
use crate::definition::{Table, View};

/// The link's name, and what it is called until it is renamed.
const CURRENT: &str = "current";
const CURRENT_NEW: &str = ".current.new";
const DATABASE: &str = "view.db";
/// What a generation's folder is called while it is made or removed: with this before its name.
const UNNAMED: &str = ".unnamed-";
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
}

/// A projection's folder in the data directory.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
    steps: Steps,
}

impl Generation {
    const FIRST: Self = Self(1);

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

    pub(super) fn steps(&self) -> &Steps {
        &self.steps
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn database(&self, generation: Generation) -> PathBuf {
        self.path.join(generation.to_string()).join(DATABASE)
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
        if let Some(generation) = self.current()? {
            self.settle(generation)?;
            return Ok(generation);
        }
        self.remove_unfinished()?;
        self.make_first(build)
    }

    /// The files of whichever generation is served, looked at from outside.
    pub fn files(&self) -> Files {
        Files::new(&served(&self.path))
    }

    /// Makes the first generation: all of it is on disk before the link appears.
    fn make_first(&self, build: &Build<'_>) -> Result<Generation, Error> {
        let generation = Generation::FIRST;
        self.make(generation, build, State::Serving)?;
        self.link(generation)?;
        if let Some(data_dir) = self.path.parent() {
            sync(data_dir)?;
        }
        Ok(generation)
    }

    /// Makes an empty generation: its folder and its file, synced.
    fn make(&self, generation: Generation, build: &Build<'_>, state: State) -> Result<(), Error> {
        make_folder(&self.path)?;
        self.fill(&self.path.join(generation.to_string()), generation, build, state)
    }

    /// The same for one beside another: its folder has its name only when all is there, so none is found half made.
    pub(super) fn make_beside(
        &self,
        generation: Generation,
        build: &Build<'_>,
        state: State,
    ) -> Result<(), Error> {
        self.remove_rest()?;
        let made = self.path.join(format!("{UNNAMED}{generation}"));
        self.fill(&made, generation, build, state)?;
        self.steps.reached(Step::Filled);
        let folder = self.path.join(generation.to_string());
        fs::rename(&made, &folder).map_err(|error| Error::access("name folder", &folder, error))?;
        sync(&self.path)?;
        self.steps.reached(Step::Made);
        Ok(())
    }

    fn fill(
        &self,
        folder: &Path,
        generation: Generation,
        build: &Build<'_>,
        state: State,
    ) -> Result<(), Error> {
        let database = folder.join(DATABASE);
        make_folder(folder)?;
        make_file(&database)?;
        writer::create(&database, generation, build, state)?;
        // SQLite has closed the file: opening it here drops nobody's locks.
        sync(&database)?;
        sync(folder)
    }

    /// The generations that have a folder.
    pub(super) fn generations(&self) -> Result<Vec<Generation>, Error> {
        let found =
            names(&self.path).map_err(|error| Error::access("read folder", &self.path, error))?;
        Ok(found.iter().filter_map(|name| Generation::parse(name)).collect())
    }

    /// Removes a generation that is not served.
    ///
    /// Under another name first: whoever happens to open it by its own makes no files in what is being removed.
    pub(super) fn remove(&self, generation: Generation) -> Result<(), Error> {
        let folder = self.path.join(generation.to_string());
        tracing::info!(folder = %folder.display(), "remove unfinished generation");
        self.remove_rest()?;
        let removed = self.path.join(format!("{UNNAMED}{generation}"));
        fs::rename(&folder, &removed)
            .and_then(|()| fs::remove_dir_all(&removed))
            .map_err(|error| Error::access("remove folder", &folder, error))
    }

    /// Removes what a crash left of one that was being made or removed.
    pub(super) fn remove_rest(&self) -> Result<(), Error> {
        let found =
            names(&self.path).map_err(|error| Error::access("read folder", &self.path, error))?;
        for name in found.iter().filter(|name| name.starts_with(UNNAMED)) {
            let folder = self.path.join(name);
            fs::remove_dir_all(&folder)
                .map_err(|error| Error::access("remove folder", &folder, error))?;
        }
        Ok(())
    }

    /// Lets the link name this generation, in one step that survives a crash.
    pub(super) fn link(&self, generation: Generation) -> Result<(), Error> {
        let new = self.path.join(CURRENT_NEW);
        let linked = match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => symlink(generation.to_string(), &new),
        };
        linked.map_err(|error| Error::access("make link", &new, error))?;
        let current = self.path.join(CURRENT);
        fs::rename(&new, &current)
            .map_err(|error| Error::access("replace link", &current, error))?;
        sync(&self.path)
    }

    /// Removes what a crash left of a first generation. Only called when no link names any.
    fn remove_unfinished(&self) -> Result<(), Error> {
        if !self.path.exists() {
            return Ok(());
        }
        let generations = self.generations()?;
        for &generation in &generations {
            // One that cannot be read was never finished: data is only written after the link.
            let holds_data =
                stored::read_database(&self.database(generation)).is_ok_and(|stored| {
                    stored.checkpoint.messages > 0 || stored.checkpoint.sequence.0 > 0
                });
            if holds_data {
                return Err(Error::Unlinked {
                    folder: self.path.clone(),
                    generation: generation.to_string(),
                });
            }
        }
        generations.into_iter().try_for_each(|generation| self.remove(generation))
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
fn make_file(path: &Path) -> Result<(), Error> {
    let made = OpenOptions::new().write(true).create_new(true).open(path);
    made.and_then(|file| file.set_permissions(Permissions::from_mode(FILE_MODE)))
        .map_err(|error| Error::access("make file", path, error))
}

fn sync(path: &Path) -> Result<(), Error> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|error| Error::Unknown { path: path.to_path_buf(), detail: error.to_string() })
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries =
        fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    entries.collect()
}
