//! What a daemon says of itself in a bad network, held to what is so.
//!
//! A sample is judged with what the test knows: when the stream held how much. It gives no grace to a slow machine: what
//! is said in an answer was true, or unknown, at a moment after the question.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use viewd::status::{Projection, Reason, State};

/// So often the daemon reads the head, and so many of those may pass before it no longer knows it (I7).
pub const HEAD_POLL: Duration = Duration::from_millis(100);
const POLLS_FRESH: u32 = 3;

/// How much the stream held, and since when for certain.
#[derive(Default)]
pub struct History(Mutex<Vec<(Instant, u64)>>);

impl History {
    pub fn stored(&self, messages: u64) {
        self.0.lock().unwrap().push((Instant::now(), messages));
    }

    fn at(&self, moment: Instant) -> u64 {
        let history = self.0.lock().unwrap();
        history
            .iter()
            .rev()
            .find(|(since, _)| *since <= moment)
            .map_or(0, |(_, messages)| *messages)
    }
}

/// What one seed's samples came to.
#[derive(Debug, Default)]
pub struct Samples {
    pub count: u64,
    /// The head was unknown.
    pub unknown: u64,
    pub degraded: u64,
    pub live: u64,
    pub position: u64,
}

impl Samples {
    /// Judges what was said in answer to a question asked at a moment. `events` says how many a position comes after.
    #[track_caller]
    pub fn take(
        &mut self,
        asked: Instant,
        said: &Projection,
        history: &History,
        base: u64,
        events: impl Fn(u64) -> u64,
    ) {
        self.count += 1;
        assert!(
            said.position >= self.position,
            "the position went back from {} : {said:?}",
            self.position
        );
        self.position = said.position;
        assert_eq!(said.position, said.checkpoint_sequence, "{said:?}");
        // None is applied twice, none is left out, at any moment (I4).
        let events = events(said.position);
        assert_eq!((said.counts.applied, said.counts.sum()), (events, events), "{said:?}");
        assert_eq!(said.missed_sequences, 0, "{said:?}");

        let known = said.stream_last_sequence.is_some();
        assert_eq!(said.pending_messages.is_some(), known, "{said:?}");
        match said.stream_last_sequence {
            None => {
                self.unknown += 1;
                assert_eq!(said.lag_seconds, None, "lag without a head: {said:?}");
            }
            Some(last) => {
                let held = history.at(asked - HEAD_POLL * POLLS_FRESH);
                assert!(
                    last >= held,
                    "the head is said to be {last}, and has been {held} for {POLLS_FRESH} polls: {said:?}"
                );
                assert_eq!(
                    said.pending_messages,
                    Some(last.saturating_sub(said.position)),
                    "{said:?}"
                );
                assert!(
                    said.pending_messages > Some(0) || said.lag_seconds == Some(0.0),
                    "{said:?}"
                );
            }
        }
        match said.state {
            State::Live => {
                self.live += 1;
                // It was at the head once, which was never less than this.
                assert!(said.position >= base, "live, and never was at {base}: {said:?}");
            }
            State::Degraded => {
                self.degraded += 1;
                assert_eq!(said.reason, Some(Reason::SourceUnreachable), "{said:?}");
                assert!(said.detail.is_some(), "{said:?}");
            }
            State::Starting | State::CatchingUp => assert_eq!(said.reason, None, "{said:?}"),
            State::Failed | State::Paused | State::Stopped => panic!("{said:?}"),
        }
    }
}
