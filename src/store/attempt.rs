//! How often a build was begun and the process ended before it did: an event that ends the process must not do so for
//! ever, by builds that begin by themselves.
//!
//! A file beside the generations counts them, since the one that is served must not be touched for the sake of the next
//! and the next may not be there yet. It need not survive a loss of power, which is no event's doing.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::Error;
use super::layout::Folder;

/// Not the name of any generation.
const ATTEMPTS: &str = ".attempts";

impl Folder {
    /// Counts a build that begins; how many have begun before and not ended.
    pub fn begin_attempt(&self) -> Result<u32, Error> {
        let path = self.attempts();
        let before = match fs::read_to_string(&path) {
            Ok(text) => text.trim().parse().unwrap_or(0),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Error::access("read file", &path, error)),
        };
        let counted = fs::create_dir_all(self.path())
            .and_then(|()| fs::write(&path, format!("{}\n", u64::from(before) + 1)));
        counted.map_err(|error| Error::access("write file", &path, error))?;
        Ok(before)
    }

    /// A build has ended, whatever came of it: none is at work.
    pub fn end_attempt(&self) {
        match fs::remove_file(self.attempts()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "forget the attempts to build");
            }
            _ => {}
        }
    }

    fn attempts(&self) -> PathBuf {
        self.path().join(ATTEMPTS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_count_until_one_has_ended() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let folder = Folder::new(data.path(), "p");
        for before in 0..3 {
            assert_eq!(folder.begin_attempt().expect("counted"), before);
        }
        folder.end_attempt();
        folder.end_attempt();
        assert_eq!(folder.begin_attempt().expect("counted"), 0);
        fs::write(folder.attempts(), "not a number").expect("written");
        assert_eq!(folder.begin_attempt().expect("counted"), 0);
    }
}
