//! What a worker's thread is at, for the watchdog: the thread tells it, and is never asked.
//!
//! A thread that hangs in a write can say nothing of it. It therefore leaves a mark before each step, with relaxed
//! stores that cost next to nothing, and another task looks whether the mark still changes. Within a batch the mark
//! moves with every event, so that a long batch is no stall, and one event or one commit that does not end is.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use crate::event::Sequence;

/// Written by one worker's thread, read by the watchdog.
#[derive(Debug, Default)]
pub struct Beat {
    stage: AtomicU8,
    sequence: AtomicU64,
    turns: AtomicU64,
}

/// What a worker's thread does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Waits for what is read.
    #[default]
    Idle,
    /// Folds events.
    Apply,
    /// Writes a batch, or copies the log.
    Commit,
    /// Waits for space on the disk, or for another program's lock.
    Space,
    /// Waits for a person.
    Failed,
}

/// A beat as it stood at one moment: it has changed if anything in it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pulse {
    pub stage: Stage,
    /// The sequence at work.
    pub sequence: Sequence,
    turns: u64,
}

impl Beat {
    /// Begins a step.
    pub fn begin(&self, stage: Stage, sequence: Sequence) {
        self.stage.store(stage as u8, Ordering::Relaxed);
        self.at(sequence);
    }

    /// Goes on to the next event within a step; several can be of one message.
    pub fn at(&self, sequence: Sequence) {
        // One thread writes, so this is no race.
        self.turns.store(self.turns.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        self.sequence.store(sequence.0, Ordering::Relaxed);
    }

    /// Where the thread is. A look in the midst of `begin` sees half of it, which is a change as well.
    pub fn pulse(&self) -> Pulse {
        Pulse {
            stage: Stage::of(self.stage.load(Ordering::Relaxed)),
            sequence: Sequence(self.sequence.load(Ordering::Relaxed)),
            turns: self.turns.load(Ordering::Relaxed),
        }
    }
}

impl Stage {
    const ALL: [Self; 5] = [Self::Idle, Self::Apply, Self::Commit, Self::Space, Self::Failed];

    /// The word in details and logs.
    pub fn word(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Apply => "apply",
            Self::Commit => "commit",
            Self::Space => "waiting for space",
            Self::Failed => "failed",
        }
    }

    /// Whether it has to move on by itself: the others wait for something.
    pub fn works(self) -> bool {
        matches!(self, Self::Apply | Self::Commit)
    }

    fn of(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_changes_the_pulse() {
        let beat = Beat::default();
        let mut before = beat.pulse();
        assert_eq!((before.stage, before.sequence), (Stage::Idle, Sequence(0)));
        let mut changed = |step: &dyn Fn()| {
            step();
            let now = beat.pulse();
            assert_ne!(now, before);
            before = now;
        };
        for stage in Stage::ALL {
            changed(&|| beat.begin(stage, Sequence(7)));
            // The same once more: a batch that is folded again.
            changed(&|| beat.begin(stage, Sequence(7)));
            changed(&|| beat.at(Sequence(8)));
            // The next part of one message.
            changed(&|| beat.at(Sequence(8)));
            assert_eq!(beat.pulse().stage, stage);
        }
    }
}
