//! Waiting for a sequence: whoever has published an event wants to read the view that knows it.
//!
//! | what is found | what the waiter hears |
//! |---|---|
//! | the checkpoint has it | what became of it: passed, or set aside |
//! | the projection stands still by itself | that, with the reason, at once; of another stream even where the checkpoint has the number |
//! | the stream, asked after the wait began, ends before it | beyond the head, at once |
//! | none of it in time | timed out, with the current sequence |
//!
//! The worker wakes the waiters; nothing is polled. A filter that matches nothing would leave the position where it is
//! until the next poll of the head, so a waiter asks the reader to look at once, and again as long as it waits (I8).

use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use super::daemon::Daemon;
use super::tracked::Tracked;
use crate::event::Sequence;
use crate::source::head;
use crate::status::{Reason, State};
use crate::store;
use crate::store::dead_letter::{self, SetAside};
use crate::worker::numbers::Numbers;

/// Each holds one of the 256 connections of HTTP: enough are left for health, metrics and status.
const WAITERS_MAX: usize = 128;
/// A reader that has just handed something on does not look at the head. Doubled up to the second: a look costs the
/// server a request or two.
const NUDGE_MIN: Duration = Duration::from_millis(50);
const NUDGE_MAX: Duration = Duration::from_secs(1);

/// What bounds the waiters.
pub(super) struct Waiting(pub(super) Semaphore);

impl Default for Waiting {
    fn default() -> Self {
        Self(Semaphore::new(WAITERS_MAX))
    }
}

/// A sequence that the view has.
#[derive(Debug)]
pub struct Reached {
    /// What of the message was set aside; nothing of one that passed.
    pub set_aside: Vec<SetAside>,
    pub sequence: Sequence,
    pub generation: u64,
}

/// Why a wait ended without the sequence.
#[derive(Debug)]
pub enum Unreached {
    UnknownProjection,
    /// More wait than may.
    TooMany,
    /// Failed or paused: no waiting helps.
    Standing(Box<Numbers>),
    /// The stream ends before it.
    BeyondHead {
        last: Sequence,
        current: Sequence,
    },
    TimedOut {
        current: Sequence,
        /// What keeps the projection from going on, if that is known.
        detail: Option<String>,
    },
    /// The daemon is shutting down.
    Draining,
    /// The view has it, and cannot be asked what became of it.
    Store(store::Error),
}

impl Daemon {
    /// Waits until a projection's view has a sequence, or it is known that it will not, or not in time.
    pub async fn wait(
        &self,
        projection: &str,
        sequence: Sequence,
        timeout: Duration,
    ) -> Result<Reached, Unreached> {
        let tracked = self.tracked(projection).ok_or(Unreached::UnknownProjection)?;
        let _one = self.waiting.0.try_acquire().map_err(|_| Unreached::TooMany)?;
        let begun = Instant::now();
        let waited = tokio::time::timeout(timeout, self.reach(&tracked, sequence)).await;
        let metrics = self.metrics();
        metrics
            .sequence_wait_duration_seconds
            .with_label_values(&[projection])
            .observe(begun.elapsed().as_secs_f64());
        let Ok(reached) = waited else {
            metrics.sequence_wait_timeouts_total.with_label_values(&[projection]).inc();
            let Numbers { sequence: current, detail, .. } = tracked.shared.numbers();
            return Err(Unreached::TimedOut { current, detail });
        };
        let (current, generation) = reached?;
        let folder = tracked.folder.path().to_owned();
        let asked =
            tokio::task::spawn_blocking(move || dead_letter::of_message(&folder, sequence)).await;
        let set_aside = asked.expect("the look-up does not panic").map_err(Unreached::Store)?;
        Ok(Reached { set_aside, sequence: current, generation })
    }

    async fn reach(
        &self,
        tracked: &Tracked,
        sequence: Sequence,
    ) -> Result<(Sequence, u64), Unreached> {
        let settled = |numbers: &Numbers| self.settled(numbers, sequence);
        tokio::select! {
            biased; // What is known already needs no server.
            settled = tracked.shared.until(settled) => settled,
            last = self.ends_before(tracked, sequence) => {
                let current = tracked.shared.look(|numbers| numbers.sequence);
                Err(Unreached::BeyondHead { last, current })
            }
        }
    }

    fn settled(
        &self,
        numbers: &Numbers,
        sequence: Sequence,
    ) -> Option<Result<(Sequence, u64), Unreached>> {
        // Its sequences are of the stream that was read, and the caller's may be of another.
        if numbers.reason == Some(Reason::SourceChanged) {
            return Some(Err(Unreached::Standing(Box::new(numbers.clone()))));
        }
        if numbers.sequence >= sequence {
            return Some(Ok((numbers.sequence, numbers.generation)));
        }
        if matches!(numbers.state, State::Failed | State::Paused) {
            return Some(Err(Unreached::Standing(Box::new(numbers.clone()))));
        }
        self.is_draining().then_some(Err(Unreached::Draining))
    }

    /// Asks the stream's leader for its last sequence, and ends if it lies before this one. Else it goes on asking the
    /// reader to look for the head, and never ends.
    pub(super) async fn ends_before(&self, tracked: &Tracked, sequence: Sequence) -> Sequence {
        let shared = &tracked.shared;
        match head::ask(&self.control, shared.following().stream()).await {
            Ok(Some(head)) if head.last_sequence < sequence => return head.last_sequence,
            Ok(_) => {}
            // The wait goes on: what is being read may still bring it.
            Err(error) => {
                tracing::debug!(projection = shared.name(), error, "ask for the head");
            }
        }
        let mut pause = NUDGE_MIN;
        loop {
            if let Some(watch) = shared.following().watch {
                watch.reader.status().request_advance();
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(NUDGE_MAX);
        }
    }
}
