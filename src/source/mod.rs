//! Where events come from: a JetStream stream, or memory in tests.
//!
//! The only place that names the NATS client. A reader delivers, through a queue bounded in bytes, every message of its
//! filters above a position, once and in stream order, or a fault: it never guesses (mechanism 2 of the architecture).

pub mod accept;
pub mod connection;
pub mod convoy;
pub mod feed;
pub mod head;
pub mod hub;
pub mod memory;
pub mod queue;
pub mod reader;
pub mod share;
pub mod sink;
pub mod slice;
pub mod status;
pub mod transform;
pub mod trouble;

mod ack;
mod advance;
mod api;
mod consumer;
mod front;
mod gather;
mod headers;
mod intake;
mod login;
mod poison;
mod pulls;
mod pulse;
mod refusal;
mod session;
mod verify;

use std::sync::Arc;

use crate::event::Sequence;
use crate::event::anchor::Anchor;
use crate::event::chunk::Chunk;

/// Messages of a chunk, and the events that they become: as its bytes, enough to make the hand-over cheap.
pub const CHUNK_MESSAGES_MAX: usize = 1_000;

/// Bytes of a chunk: enough to make the hand-over cheap, little enough to stay in a processor's cache.
const CHUNK_BYTES_MAX: usize = 1 << 20;

/// What mends a view whose stream is another than before.
const BUILD_AGAIN: &str = "make sure which stream is right; `viewd rebuild {projection} --forget` builds the view from this one, as policy.on_source_change = \"rebuild\" does by itself";

/// What goes on past a gap, and on a restored stream.
const ACCEPT: &str = "viewd accept {projection}";

/// Where a reader starts or stands: what its projection's checkpoint says, or will.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Everything up to here has been applied; 0 for nothing.
    pub sequence: Sequence,
    /// The identity of the stream that it was read from; None before the first read.
    pub created_ns: Option<i64>,
    /// Messages that were applied, to be found again in the stream, in any order.
    pub anchors: Vec<Anchor>,
}

impl Position {
    /// How many anchors are kept: one has to survive deletion in the stream.
    const ANCHORS_MAX: usize = 16;

    /// When the stream stored the newest message that is known to be applied.
    fn stored_at_ns(&self) -> Option<i64> {
        let newest = self.anchors.iter().max_by_key(|anchor| anchor.sequence);
        newest.map(|anchor| anchor.stored_at_ns)
    }

    /// Goes on behind a chunk.
    fn moved_by(&mut self, chunk: &Chunk) {
        self.sequence = chunk.scanned_to();
        self.created_ns = chunk.origin().map(|origin| origin.created_ns).or(self.created_ns);
        if let Some(anchor) = chunk.anchor() {
            if self.anchors.len() >= Self::ANCHORS_MAX {
                self.anchors.remove(0);
            }
            self.anchors.push(anchor);
        }
    }
}

/// What a reader puts into its queue.
#[derive(Clone, Debug)]
pub enum Delivery {
    Chunk(Arc<Chunk>),
    /// The reader has stopped; nothing follows.
    Fault(Fault),
}

/// Why a reader cannot go on without a person's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub reason: Reason,
    /// One sentence for the operator.
    pub detail: String,
    /// The command that mends it, with `{projection}` for the projection's name.
    pub next: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The stream no longer holds these sequences, first and last: an upper bound of what was missed.
    Gap { first: Sequence, last: Sequence },
    /// Deleted and recreated, rewound, or restored with another history.
    SourceChanged,
    /// The stream's retention deletes what is read.
    Retention,
}
