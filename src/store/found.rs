//! Every generation of a projection, and the room that there is for another.

use std::fs;
use std::path::Path;

use super::Error;
use super::layout::{Folder, Generation};
use super::stored::Stored;

/// Room that whatever is built leaves: for the log of the generation that is served.
pub const ROOM_LEFT_BYTES: u64 = 64 << 20;

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
        let free_bytes = free_bytes(place)?;
        let serving_bytes = match self.current()? {
            Some(generation) => folder_bytes(&self.path().join(generation.to_string())),
            None => 0,
        };
        Ok(Room { free_bytes, serving_bytes })
    }
}

/// What is free to viewd where a folder is.
pub fn free_bytes(folder: &Path) -> Result<u64, Error> {
    let statistics = rustix::fs::statvfs(folder)
        .map_err(|error| Error::access("ask for free space", folder, error.into()))?;
    Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
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
