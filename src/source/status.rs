//! What a reader tells of itself while it runs: counters for metrics, its trouble for states.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::sync::{Notify, watch};

use super::Position;
use super::pulse::Pulse;
use super::trouble::Trouble;
use crate::event::Sequence;

/// What the readers of one stream have met, in numbers that outlive each of them.
#[derive(Debug, Default)]
pub struct Tally {
    recreates: [AtomicU64; Recreate::ALL.len()],
    gaps: AtomicU64,
    dropped_duplicates: AtomicU64,
}

/// Shared by a reader and whoever shows it or goes on behind it.
#[derive(Debug, Default)]
pub struct Status {
    tally: Arc<Tally>,
    position: watch::Sender<Position>,
    /// Who follows the position hears of it from this sequence on.
    told_from: AtomicU64,
    verified: AtomicBool,
    /// Why nothing is being read, while that is so.
    pub trouble: Trouble,
    pub(super) advance: Notify,
    pub(super) pulse: Pulse,
}

/// Why a consumer was given up and another created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recreate {
    /// The connection was lost.
    Disconnected,
    /// Somebody deleted the consumer, or its stream.
    Deleted,
    /// Another server leads the stream or the consumer.
    Leadership,
    /// No server has the consumer: it lived in the memory of one that ended.
    NoResponders,
    /// Two idle heartbeats did not come.
    Heartbeat,
    /// The client dropped messages because its channel was full.
    SlowConsumer,
    /// A message of the consumer is missing.
    Hole,
    /// The poll of the head saw another stream than the one that was verified.
    Identity,
    /// A request failed: the stream is missing, or the answer was in doubt.
    Request,
    /// The reader itself panicked: a bug.
    Panicked,
    /// The server does not let the reader pull, or be answered.
    Denied,
    /// The server is too old, or made another consumer than it was asked for.
    Unsupported,
    /// Nothing at all happened in the reader for far longer than anything takes.
    Stalled,
}

impl Recreate {
    pub const ALL: [Self; 13] = [
        Self::Disconnected,
        Self::Deleted,
        Self::Leadership,
        Self::NoResponders,
        Self::Heartbeat,
        Self::SlowConsumer,
        Self::Hole,
        Self::Identity,
        Self::Request,
        Self::Panicked,
        Self::Denied,
        Self::Unsupported,
        Self::Stalled,
    ];

    /// The value of the metric's label.
    pub fn label(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Deleted => "deleted",
            Self::Leadership => "leadership",
            Self::NoResponders => "no_responders",
            Self::Heartbeat => "heartbeat",
            Self::SlowConsumer => "slow_consumer",
            Self::Hole => "hole",
            Self::Identity => "identity",
            Self::Request => "request",
            Self::Panicked => "panicked",
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
            Self::Stalled => "stalled",
        }
    }
}

impl Tally {
    /// How often a consumer was recreated for this reason.
    pub fn recreates(&self, reason: Recreate) -> u64 {
        self.recreates[reason as usize].load(Ordering::Relaxed)
    }

    /// How often sequences were found missing.
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    /// Messages that arrived again and were dropped.
    pub fn dropped_duplicates(&self) -> u64 {
        self.dropped_duplicates.load(Ordering::Relaxed)
    }

    pub(crate) fn count_recreate(&self, reason: Recreate) {
        self.recreates[reason as usize].fetch_add(1, Ordering::Relaxed);
    }
}

impl Status {
    /// Of a reader whose counts go into `tally`.
    pub fn new(tally: Arc<Tally>) -> Self {
        Self { tally, ..Self::default() }
    }

    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Behind what was last put into the queue.
    pub fn position(&self) -> Position {
        self.position.borrow().clone()
    }

    /// The sequence of that position.
    pub fn delivered(&self) -> Sequence {
        self.position.borrow().sequence
    }

    /// Whether the stream has been proved to be the one that the checkpoint is of, and is being read.
    pub fn verified(&self) -> bool {
        self.verified.load(Ordering::Relaxed)
    }

    /// Asks the reader to see at once whether its position can move to the head: somebody waits for it.
    pub fn request_advance(&self) {
        self.advance.notify_one();
    }

    /// Follows the position from a sequence on: to be told of each chunk of a long catch-up would cost a wake-up a chunk.
    pub(super) fn follow_from(&self, sequence: Sequence) {
        self.told_from.store(sequence.0, Ordering::Relaxed);
    }

    /// Waits for the position to move where it is followed.
    pub(super) fn positions(&self) -> watch::Receiver<Position> {
        self.position.subscribe()
    }

    pub(super) fn count_recreate(&self, reason: Recreate) {
        self.tally.count_recreate(reason);
    }

    pub(super) fn count_gap(&self) {
        self.tally.gaps.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_dropped(&self, messages: u64) {
        self.tally.dropped_duplicates.fetch_add(messages, Ordering::Relaxed);
    }

    pub(super) fn set_verified(&self, verified: bool) {
        self.verified.store(verified, Ordering::Relaxed);
    }

    pub(super) fn set_position(&self, position: &Position) {
        self.position.send_if_modified(|shown| {
            shown.clone_from(position);
            position.sequence.0 >= self.told_from.load(Ordering::Relaxed)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_counter_and_label() {
        let status = Status::default();
        for (index, reason) in Recreate::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            status.count_recreate(reason);
            assert_eq!(status.tally().recreates(reason), 1);
        }
        let mut labels: Vec<_> = Recreate::ALL.map(Recreate::label).to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), Recreate::ALL.len());
    }
}
