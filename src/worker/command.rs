//! What a running projection is told, by operators and by builders, and what it answers.

use std::sync::{Arc, mpsc};

use tokio::sync::oneshot;

use super::recipe::Recipe;
use super::successor::Meet;
use crate::event::Sequence;
use crate::store::snapshot::Snapshot;

/// A projection is told one thing at a time: who comes second is told so.
const COMMANDS_MAX: usize = 1;

/// One command, with where its answer goes.
pub enum Command {
    Accept(oneshot::Sender<Answer>),
    /// Stand still, over restarts too, until `Resume`.
    Pause(oneshot::Sender<Result<(), Refused>>),
    Resume(oneshot::Sender<Result<(), Refused>>),
    /// A snapshot at exactly this sequence: a batch ends there.
    SnapshotAt(Sequence, oneshot::Sender<Result<Snapshot, Refused>>),
    /// Take the pin away.
    Unpin(oneshot::Sender<Result<(), Refused>>),
    /// Take over other words of the definition, which touch no row.
    Adopt(Arc<Recipe>, oneshot::Sender<Result<(), Refused>>),
    /// Come to one sequence with another generation.
    Meet(Meet),
    /// End: no definition names the projection any more.
    Leave,
}

impl Command {
    /// Answers that nothing can be done while the projection waits for its disk: neither is anything else held up then.
    pub(super) fn not_now(self) {
        let busy = || Refused::Busy("it waits for space, or for another program's lock".to_owned());
        // Who has stopped waiting needs no answer.
        match self {
            Self::Accept(reply) => drop(reply.send(Err(busy()))),
            Self::Pause(reply) | Self::Resume(reply) | Self::Unpin(reply) => {
                let _ = reply.send(Err(busy()));
            }
            Self::SnapshotAt(_, reply) => drop(reply.send(Err(busy()))),
            Self::Adopt(_, reply) => drop(reply.send(Err(busy()))),
            Self::Meet(meet) => meet.not_now(),
            Self::Leave => {}
        }
    }
}

/// What became of `accept`.
pub type Answer = Result<Accepted, Refused>;

/// What was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It goes on past these, first and last, and has counted so many as missed.
    Gap { first: Sequence, last: Sequence, missed: u64 },
    /// It goes on with the restored stream.
    Restored,
    /// The stream is as it was: it goes on.
    Sound,
    /// Nothing had to be.
    Nothing,
}

impl std::fmt::Display for Accepted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gap { first, last, missed } => {
                write!(formatter, "the gap from {first} to {last}, {missed} missed")
            }
            Self::Restored => formatter.write_str("the restored stream"),
            Self::Sound => formatter.write_str("the stream is what it was"),
            Self::Nothing => formatter.write_str("nothing"),
        }
    }
}

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("no such projection")]
    Unknown,
    /// What stands in the way is none that can be accepted.
    #[error("{detail}")]
    NotAcceptable { detail: String, next: Option<String> },
    #[error("{0}")]
    Busy(String),
    /// The sequence that was asked for lies behind it.
    #[error("the view has passed it: it stands at sequence {current}")]
    Passed { current: Sequence },
    #[error("the stream cannot be asked: {0}")]
    Unreachable(String),
    #[error("{detail}")]
    Storage { detail: String, next: Option<String> },
}

/// Both ends: who commands, and the worker.
pub fn channel() -> (mpsc::SyncSender<Command>, mpsc::Receiver<Command>) {
    mpsc::sync_channel(COMMANDS_MAX)
}
