//! A source in memory, for tests: messages made by hand, in chunks split as told.

use std::sync::Arc;

use super::transform;
use crate::event::anchor::{Anchor, Origin, payload_hash};
use crate::event::chunk::{Chunk, ChunkBuilder, Message};
use crate::event::time::Timestamp;
use crate::event::{Format, Reject, Sequence};
use crate::expression::Expression;

/// A message with everything it has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    pub sequence: Sequence,
    pub stored_at: Timestamp,
    pub subject: String,
    pub headers: Vec<(String, String)>,
    pub payload: Vec<u8>,
    /// Why it gives no event, if that is known before it is decoded.
    pub reject: Option<Reject>,
}

/// Decodes messages into chunks of the sizes given; what is left over makes one chunk more.
pub fn chunks(
    messages: &[Recorded],
    format: Format,
    event_bytes_max: usize,
    sizes: impl IntoIterator<Item = usize>,
) -> Vec<Arc<Chunk>> {
    let mut builder = ChunkBuilder::new(format, event_bytes_max);
    let mut rest = messages;
    let mut chunks = Vec::new();
    for size in sizes.into_iter().chain([usize::MAX]) {
        let (now, later) = rest.split_at(size.min(rest.len()));
        rest = later;
        if let Some(chunk) = chunk(&mut builder, now) {
            chunks.push(Arc::new(chunk));
        }
    }
    chunks
}

/// The chunks that a source's `transform` makes of these.
pub fn transformed(chunks: &[Arc<Chunk>], transform: &Expression) -> Vec<Arc<Chunk>> {
    let pieces = chunks.iter().flat_map(|chunk| transform::apply(transform, chunk, usize::MAX));
    pieces.map(Arc::new).collect()
}

fn chunk(builder: &mut ChunkBuilder, messages: &[Recorded]) -> Option<Chunk> {
    let last = messages.last()?;
    for recorded in messages {
        let headers = recorded.headers.iter();
        let message = Message {
            sequence: recorded.sequence,
            stored_at: recorded.stored_at,
            subject: &recorded.subject,
            headers: headers.map(|(name, value)| (name.as_str(), value.as_str())),
            payload: &recorded.payload,
        };
        match &recorded.reject {
            None => builder.push(message),
            Some(reject) => builder.push_reject(message, reject.clone()),
        }
    }
    let anchor = Anchor {
        sequence: last.sequence,
        stored_at_ns: last.stored_at.0.saturating_mul(1_000),
        payload_hash: payload_hash(&last.payload),
    };
    builder.set_proof(Origin { created_ns: 0, first_sequence: Sequence(1) }, Some(anchor));
    Some(builder.finish(last.sequence))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_split_as_told() {
        let messages: Vec<_> = (1..=5)
            .map(|sequence| Recorded {
                sequence: Sequence(sequence),
                subject: "a".to_owned(),
                ..Recorded::default()
            })
            .collect();
        for (sizes, expected) in [
            (vec![], vec![5]),
            (vec![2], vec![2, 5]),
            (vec![1, 1, 9], vec![1, 2, 5]),
            (vec![0, 5], vec![5]),
        ] {
            let chunks = chunks(&messages, Format::Auto, 100, sizes);
            let ends: Vec<_> = chunks.iter().map(|chunk| chunk.scanned_to().0).collect();
            assert_eq!(ends, expected);
            assert_eq!(chunks.iter().map(|chunk| chunk.len()).sum::<usize>(), 5);
        }
        assert!(chunks(&[], Format::Auto, 100, []).is_empty());
    }
}
