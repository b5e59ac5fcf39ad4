//! The chunks of a batch: what has been read, as far as it continues what is committed.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::event::Sequence;
use crate::event::chunk::Chunk;
use crate::source::feed::Feed;
use crate::source::{CHUNK_MESSAGES_MAX, Delivery};
use crate::store::checkpoint::Checkpoint;

/// What there is to apply.
pub(super) enum Gathered {
    /// In stream order, each continuing the one before.
    Chunks(Vec<Arc<Chunk>>),
    /// Nothing: it has been applied.
    Old,
    /// It does not continue what is committed, or is of another stream: all that is missing is to be read again.
    Hole,
}

/// Leaves what of these chunks is not committed, to be taken next.
pub(super) fn put_back(
    chunks: Vec<Arc<Chunk>>,
    left: &mut VecDeque<Delivery>,
    committed: Sequence,
) {
    for chunk in chunks.into_iter().rev().filter(|chunk| chunk.scanned_to() > committed) {
        left.push_front(Delivery::Chunk(chunk));
    }
}

/// Takes chunks as long as the largest one still fits into the batch. Whatever does not continue stays in `left`.
pub(super) fn gather(
    first: Arc<Chunk>,
    left: &mut VecDeque<Delivery>,
    feed: &Feed,
    checkpoint: &Checkpoint,
    batch_events_max: usize,
) -> Gathered {
    let is_foreign = |chunk: &Chunk| {
        let known = checkpoint.stream_created_ns;
        known.zip(chunk.origin()).is_some_and(|(known, origin)| origin.created_ns != known)
    };
    // Messages that a `transform` dropped count as well: a batch of nothing else has to end too.
    let size = |chunk: &Chunk| chunk.len().max(chunk.messages() as usize);
    if first.after() > checkpoint.sequence || is_foreign(&first) {
        return Gathered::Hole;
    }
    if first.scanned_to() <= checkpoint.sequence {
        return Gathered::Old;
    }
    let (mut events, mut position) = (size(&first), first.scanned_to());
    let mut chunks = vec![first];
    let chunk_events_max = CHUNK_MESSAGES_MAX.min(batch_events_max);
    while events + chunk_events_max <= batch_events_max {
        let delivery = left.pop_front().map_or_else(|| feed.recv_timeout(Duration::ZERO), Ok);
        match delivery {
            Ok(Delivery::Chunk(chunk)) if chunk.after() <= position && !is_foreign(&chunk) => {
                if chunk.scanned_to() > position {
                    events += size(&chunk);
                    position = chunk.scanned_to();
                    chunks.push(chunk);
                }
            }
            // It is looked at when this batch is committed.
            Ok(delivery) => {
                left.push_front(delivery);
                break;
            }
            Err(_) => break,
        }
    }
    Gathered::Chunks(chunks)
}
