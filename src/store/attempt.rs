//! What is being built, and how often that was begun and the process ended first: an event that ends the process must
//! not do so for ever, by builds that begin by themselves, and what was ordered is not forgotten by a crash.
//!
//! A file beside the generations says it, since the one that is served must not be touched for the sake of the next
//! and the next may not be there yet. It need not survive a loss of power, which is no event's doing.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Error;
use super::layout::Folder;
use crate::definition::fingerprint::Fingerprint;

/// Not the name of any generation.
const ATTEMPTS: &str = ".attempt";

/// What is being built, as far as a start has to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// How often it was begun and has not ended.
    pub count: u32,
    /// What it was ordered by, and the definition that it is of; for whoever begins it again.
    pub order: String,
    pub fingerprint: String,
}

impl Folder {
    /// Counts a build that begins; how many of this definition have begun before and not ended.
    pub fn begin_attempt(&self, order: &str, fingerprint: &Fingerprint) -> Result<u32, Error> {
        let fingerprint = fingerprint.to_string();
        let same = self.attempt().filter(|attempt| attempt.fingerprint == fingerprint);
        let before = same.map_or(0, |attempt| attempt.count);
        self.keep_attempt(&Attempt { count: before + 1, order: order.to_owned(), fingerprint })?;
        Ok(before)
    }

    /// The process ends in order in the midst of a build: that is no attempt in vain, and it is begun again as it was
    /// ordered.
    pub fn pause_attempt(&self) {
        if let Some(attempt) = self.attempt()
            && let Err(error) = self.keep_attempt(&Attempt { count: 0, ..attempt })
        {
            tracing::warn!(%error, "keep what is being built");
        }
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

    /// The build that has not ended, if there is one. What cannot be read is none: the next build says it anew.
    pub fn attempt(&self) -> Option<Attempt> {
        serde_json::from_str(&fs::read_to_string(self.attempts()).ok()?).ok()
    }

    fn keep_attempt(&self, attempt: &Attempt) -> Result<(), Error> {
        let path = self.attempts();
        let text = serde_json::to_string(attempt).expect("an attempt is plain data");
        let kept = fs::create_dir_all(self.path()).and_then(|()| fs::write(&path, text));
        kept.map_err(|error| Error::access("write file", &path, error))
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
        let fingerprint: Fingerprint = "a:b:c:d".parse().expect("a fingerprint");
        let begin = || folder.begin_attempt("hold", &fingerprint).expect("counted");
        for before in 0..3 {
            assert_eq!(begin(), before);
        }
        folder.pause_attempt();
        let kept = folder.attempt().expect("kept");
        assert_eq!(
            (kept.count, kept.order.as_str(), kept.fingerprint.as_str()),
            (0, "hold", "a:b:c:d")
        );
        assert_eq!(begin(), 0);
        let corrected: Fingerprint = "a:e:c:d".parse().expect("a fingerprint");
        assert_eq!(folder.begin_attempt("hold", &corrected).expect("counted"), 0);
        folder.end_attempt();
        folder.end_attempt();
        assert_eq!(folder.attempt(), None);
        assert_eq!(begin(), 0);
        fs::write(folder.attempts(), "not an attempt").expect("written");
        assert_eq!(begin(), 0);
    }
}
