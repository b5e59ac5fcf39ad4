//! How far a projection is behind, from a poll of the stream's head that does not pass through its reader (I7).
//!
//! A reader that has died sees no new messages and would call itself current. Lag therefore rests on [`Head`], which
//! another task reads on another connection, and is unknown as soon as that reading is older than three intervals.

use std::sync::Arc;
use std::time::Duration;

use crate::event::Sequence;
use crate::event::time::Timestamp;
use crate::source::trouble::Standing;
use crate::source::{feed, head};

/// The end of a stream as last read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// When the stream was created: which stream it is.
    pub created_ns: i64,
    pub first: Sequence,
    pub last: Sequence,
    /// The time of the poll by the stream's server.
    pub at: Timestamp,
    /// How long ago it was asked for: the answer may have been held back on its way.
    pub age: Duration,
}

/// Where a projection's worker and its report look for the head of the stream and for what troubles its reader.
#[derive(Clone, Debug)]
pub struct Watch {
    pub head: head::Head,
    pub reader: Arc<feed::Current>,
}

/// What is known of a projection's distance from the head.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Lag {
    /// Messages of the stream after the checkpoint: an upper bound, as a filter may pass over some.
    pub pending: u64,
    /// Age of the oldest message that is not applied; 0 when none is pending, None before anything was read.
    pub seconds: Option<f64>,
}

/// A reader that makes a consumer again is troubled for less: it is not worth a word.
const TROUBLE_AFTER: Duration = Duration::from_secs(2);

impl Watch {
    /// The last reading of the head; None while there is no connection to read it over, and once polls are known to have
    /// failed for a while.
    pub fn head(&self) -> Option<Head> {
        if !self.head.is_connected() {
            return None;
        }
        if self.head.trouble.standing().is_some_and(|standing| lasts(&standing)) {
            return None;
        }
        let head = self.head.stream.borrow();
        head.as_ref().map(|head| Head {
            created_ns: head.created_ns,
            first: head.first_sequence,
            last: head.last_sequence,
            at: head.at,
            age: head.asked.elapsed(),
        })
    }

    /// The last reading of the head, if the stream is proved to be the one that the checkpoint is of.
    pub fn verified_head(&self) -> Option<Head> {
        self.reader.status().verified().then(|| self.head()).flatten()
    }

    /// What has kept the reader from reading, or the head from being known, for a while.
    pub fn trouble(&self) -> Option<String> {
        let reader = self.reader.status();
        let standing = reader.trouble.standing().or_else(|| self.head.trouble.standing())?;
        lasts(&standing).then_some(standing.error)
    }
}

fn lasts(standing: &Standing) -> bool {
    standing.since.elapsed() >= TROUBLE_AFTER
}

/// How many poll intervals a reading of the head lives.
const POLLS_FRESH: u32 = 3;

impl Head {
    /// Whether the reading is young enough to rest on.
    pub fn fresh(&self, poll_interval: Duration) -> bool {
        self.age <= poll_interval * POLLS_FRESH
    }

    /// The distance of a checkpoint; `oldest` is when the stream stored the next unapplied message if that is known,
    /// else the last applied one.
    pub fn lag(&self, checkpoint: Sequence, oldest: Option<Timestamp>) -> Lag {
        let pending = self.last.0.saturating_sub(checkpoint.0);
        let age = oldest.map(|oldest| self.at.0.saturating_sub(oldest.0).max(0) as f64 / 1e6);
        Lag { pending, seconds: if pending == 0 { Some(0.0) } else { age } }
    }
}

/// When a live projection is no longer live: the oldest unapplied message is older than this.
pub fn left_behind_after(freshness: Duration) -> Duration {
    // A short target must not make a slow disk flap between two states.
    (freshness * 10).max(Duration::from_secs(60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        let head = Head {
            created_ns: 0,
            first: Sequence(1),
            last: Sequence(10),
            at: Timestamp(5_000_000),
            age: Duration::ZERO,
        };
        let check = |checkpoint, oldest: Option<i64>, pending, seconds: Option<f64>| {
            assert_eq!(
                head.lag(Sequence(checkpoint), oldest.map(Timestamp)),
                Lag { pending, seconds }
            );
        };
        check(10, Some(1_000_000), 0, Some(0.0));
        check(10, None, 0, Some(0.0));
        check(9, Some(1_000_000), 1, Some(4.0));
        check(0, None, 10, None);
        // The stream's clock may stand before the message's.
        check(9, Some(9_000_000), 1, Some(0.0));
        // A stream that was cut behind the checkpoint has nothing pending; identity checks report it.
        check(12, Some(1_000_000), 0, Some(0.0));
    }

    #[test]
    fn a_reading_ages() {
        let (first, last, at) = (Sequence(1), Sequence(1), Timestamp(0));
        let head = |age| Head { created_ns: 0, first, last, at, age };
        assert!(head(Duration::from_secs(6)).fresh(Duration::from_secs(2)));
        assert!(!head(Duration::from_millis(6001)).fresh(Duration::from_secs(2)));
    }
}
