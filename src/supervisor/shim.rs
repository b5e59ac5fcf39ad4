//! Until the store has these.

use std::path::PathBuf;
use std::time::Duration;

use crate::event::time::Timestamp;
use crate::store::Error;
use crate::store::layout::{Folder, Generation};
use crate::store::stored::{self, Stored};

pub(super) struct Found {
    pub(super) stored: Result<Stored, Error>,
}

pub(super) trait Shim {
    fn found(&self) -> Result<Vec<Found>, Error>;
    fn stored(&self, generation: Generation) -> Result<Stored, Error>;
    fn move_aside(&self, generation: Generation) -> Result<PathBuf, Error>;
    fn moved_aside(&self) -> Result<Option<PathBuf>, Error>;
    fn remove_retired(
        &self,
        keep: usize,
        grace: Duration,
        now: Timestamp,
    ) -> Result<Vec<Generation>, Error>;
    fn gc(&self) -> Result<Vec<Generation>, Error>;
    fn retire(&self) -> Result<(), Error>;
    fn remove_projection(&self) -> Result<(), Error>;
}

impl Shim for Folder {
    fn found(&self) -> Result<Vec<Found>, Error> {
        Ok(Vec::new())
    }

    fn stored(&self, _: Generation) -> Result<Stored, Error> {
        stored::read(self.path())
    }

    fn move_aside(&self, _: Generation) -> Result<PathBuf, Error> {
        Ok(self.path().to_owned())
    }

    fn moved_aside(&self) -> Result<Option<PathBuf>, Error> {
        Ok(None)
    }

    fn remove_retired(
        &self,
        _: usize,
        _: Duration,
        _: Timestamp,
    ) -> Result<Vec<Generation>, Error> {
        Ok(Vec::new())
    }

    fn gc(&self) -> Result<Vec<Generation>, Error> {
        Ok(Vec::new())
    }

    fn remove_projection(&self) -> Result<(), Error> {
        Ok(())
    }

    fn retire(&self) -> Result<(), Error> {
        Ok(())
    }
}
