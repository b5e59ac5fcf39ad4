//! Every generation of a projection, and the room that there is for another.

use std::fs;
use std::path::Path;

use super::Error;
use super::layout::{Folder, Generation};
use super::stored::Stored;

/// A generation's folder.
#[derive(Debug)]
pub struct Found {
    pub generation: Generation,
    /// On disk: file, log and whatever else is there.
    pub bytes: u64,
    /// What its file says, or why that cannot be read: one that is being built is [`Error::Busy`].
    pub stored: Result<Stored, Error>,
}

/// What another generation may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// Free to viewd on the device.
    pub free_bytes: u64,
    /// Of the generation that is served; 0 if none is.
    pub serving_bytes: u64,
}

impl Folder {
    /// Every generation, the oldest first.
    pub fn found(&self) -> Result<Vec<Found>, Error> {
        let found = self.generations()?.into_iter().map(|generation| Found {
            generation,
            bytes: folder_bytes(&self.path().join(generation.to_string())),
            stored: self.stored(generation),
        });
        Ok(found.collect())
    }

    pub fn room(&self) -> Result<Room, Error> {
        // Of a projection that has no folder yet, the data directory's.
        let place = self.path().ancestors().find(|path| path.exists()).unwrap_or(self.path());
        let statistics = rustix::fs::statvfs(place)
            .map_err(|error| Error::access("ask for free space", place, error.into()))?;
        let free_bytes = statistics.f_bavail.saturating_mul(statistics.f_frsize);
        let serving_bytes = match self.current()? {
            Some(generation) => folder_bytes(&self.path().join(generation.to_string())),
            None => 0,
        };
        Ok(Room { free_bytes, serving_bytes })
    }
}

/// Of all files below a folder; what goes meanwhile counts nothing.
fn folder_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = entries.flatten().map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    bytes.sum()
}
