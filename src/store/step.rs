//! The steps of making, sealing, serving and removing a generation, for tests that end the process between two of them.
//!
//! A value that a [`Folder`](super::layout::Folder) carries and its stores take over, so that tests with crashes of
//! their own run side by side. By default nothing happens.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The variable that names a step at which a debug build ends: `step` or `step:n`.
pub const ABORT_AT: &str = "VIEWD_ABORT_AT";

/// What has just been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The file of a new generation is filled; its folder has no name yet.
    Filled,
    /// It has its name.
    Made,
    /// The rows of the serving generation are copied, for a reshape.
    Copied,
    /// Its indexes and views are made.
    Reshaped,
    /// A batch is written and not committed.
    Written,
    Committed,
    /// Seal: secondary indexes are made.
    Indexed,
    Analyzed,
    /// The file is sound.
    Checked,
    /// The log is copied into the file, and nobody has it open.
    Closed,
    /// File and folders are synced.
    Synced,
    /// It says so itself.
    Sealed,
    /// Cut-over: all of the new generation is durable.
    Durable,
    /// The new link stands beside the old one.
    LinkMade,
    /// The link is renamed.
    Linked,
    /// Its folder is synced.
    LinkSynced,
    MarkedServing,
    MarkedRetired,
    /// Removal: no reader is left.
    Unread,
    /// The folder has lost its name.
    Unnamed,
    Removed,
    /// All that was committed is durable, for the full-text indexes to take up.
    Fenced,
    /// Changes that no index needs any more are removed from the log, or some of them.
    Trimmed,
    /// An index: changed rows are given to its writer.
    IndexApplied,
    /// Its commit is done.
    IndexCommitted,
    /// Its folder is synced.
    IndexSynced,
    /// What it holds is searched from here on.
    IndexPublished,
    /// It is made of all rows, under a name that is not its own.
    IndexBuilt,
    /// It has its name.
    IndexNamed,
}

/// What is done at each step.
#[derive(Clone, Default)]
pub struct Steps(Option<Arc<dyn Fn(Step) + Send + Sync>>);

impl Step {
    pub const ALL: [Self; 29] = [
        Self::Filled,
        Self::Made,
        Self::Copied,
        Self::Reshaped,
        Self::Written,
        Self::Committed,
        Self::Indexed,
        Self::Analyzed,
        Self::Checked,
        Self::Closed,
        Self::Synced,
        Self::Sealed,
        Self::Durable,
        Self::LinkMade,
        Self::Linked,
        Self::LinkSynced,
        Self::MarkedServing,
        Self::MarkedRetired,
        Self::Unread,
        Self::Unnamed,
        Self::Removed,
        Self::Fenced,
        Self::Trimmed,
        Self::IndexApplied,
        Self::IndexCommitted,
        Self::IndexSynced,
        Self::IndexPublished,
        Self::IndexBuilt,
        Self::IndexNamed,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Self::Filled => "filled",
            Self::Made => "made",
            Self::Copied => "copied",
            Self::Reshaped => "reshaped",
            Self::Written => "written",
            Self::Committed => "committed",
            Self::Indexed => "indexed",
            Self::Analyzed => "analyzed",
            Self::Checked => "checked",
            Self::Closed => "closed",
            Self::Synced => "synced",
            Self::Sealed => "sealed",
            Self::Durable => "durable",
            Self::LinkMade => "link_made",
            Self::Linked => "linked",
            Self::LinkSynced => "link_synced",
            Self::MarkedServing => "marked_serving",
            Self::MarkedRetired => "marked_retired",
            Self::Unread => "unread",
            Self::Unnamed => "unnamed",
            Self::Removed => "removed",
            Self::Fenced => "fenced",
            Self::Trimmed => "trimmed",
            Self::IndexApplied => "index_applied",
            Self::IndexCommitted => "index_committed",
            Self::IndexSynced => "index_synced",
            Self::IndexPublished => "index_published",
            Self::IndexBuilt => "index_built",
            Self::IndexNamed => "index_named",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Step {
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|step| step.word() == word);
        found.ok_or_else(|| format!("no step `{word}`: {}", Self::ALL.map(Self::word).join(", ")))
    }
}

impl Steps {
    pub fn new(at: impl Fn(Step) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(at)))
    }

    /// Ends the process, as a kill would, the n-th time that a step is reached: `step` or `step:n`.
    pub fn aborting(at: &str) -> Result<Self, String> {
        let (word, times) = at.split_once(':').unwrap_or((at, "1"));
        let step: Step = word.parse()?;
        let times: u64 = times.parse().map_err(|_| format!("no number: `{times}`"))?;
        let reached = AtomicU64::new(0);
        Ok(Self::new(move |other| {
            if other == step && reached.fetch_add(1, Ordering::Relaxed) + 1 == times {
                std::process::abort();
            }
        }))
    }

    /// Called by the store when a step is done.
    pub fn reached(&self, step: Step) {
        if let Some(at) = &self.0 {
            at(step);
        }
    }
}

impl fmt::Debug for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Steps(..)" } else { "Steps" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_is_known_by_its_word() {
        for step in Step::ALL {
            assert_eq!(step.word().parse(), Ok(step));
        }
        assert!("nowhere".parse::<Step>().is_err());
        assert!(Steps::aborting("sealed:2").is_ok() && Steps::aborting("sealed:x").is_err());
    }
}
