//! What was received and not yet handed on: the chunk that is being built, and what must be certain before it goes.
//!
//! Nothing is handed on that was not checked for sequences that the stream lost meanwhile: eviction under a reader is a
//! jump in the stream sequence and none in the consumer sequence.

use super::front::Front;
use super::reader::Reader;
use super::session::{End, again};
use super::status::Recreate;
use super::verify::gap;
use crate::event::Sequence;
use crate::event::anchor::{Anchor, Origin, payload_hash};
use crate::event::chunk::ChunkBuilder;

pub(super) struct Gathered {
    /// The stream that it was received from.
    pub(super) origin: Origin,
    pub(super) builder: ChunkBuilder,
    /// The stream sequence up to which everything was received; the last of the chunk that is being built.
    pub(super) received: Sequence,
    /// When the stream stored the newest message up to there, as far as one is known.
    pub(super) stored_at_ns: Option<i64>,
    /// Where the chunk that is being built first passes over sequences, if that has to be looked at.
    pub(super) jump: Option<Jump>,
}

#[derive(Clone, Copy)]
pub(super) struct Jump {
    after: Sequence,
    /// [`Gathered::stored_at_ns`] before it.
    stored_at_ns: Option<i64>,
    /// How many messages of the chunk lie before it.
    messages: usize,
}

impl Gathered {
    /// Nothing yet, behind what the reader has handed on.
    pub(super) fn new(reader: &Reader, origin: Origin) -> Self {
        let settings = &reader.settings;
        // A reading that begins, begins where the stream does.
        let before_first = Sequence(origin.first_sequence.0.max(1) - 1);
        let position = reader.position.sequence;
        Self {
            origin,
            builder: ChunkBuilder::new(settings.format, settings.event_bytes_max),
            received: if position == Sequence(0) { before_first } else { position },
            stored_at_ns: reader.position.stored_at_ns(),
            jump: None,
        }
    }

    /// Notes that the message to come does not lie next to the one before it.
    pub(super) fn jumped(&mut self) {
        let (after, stored_at_ns) = (self.received, self.stored_at_ns);
        let messages = self.builder.len();
        self.jump.get_or_insert(Jump { after, stored_at_ns, messages });
    }

    /// Notes up to where everything was received.
    pub(super) fn moved_to(&mut self, sequence: Sequence, stored_at_ns: Option<i64>) {
        self.received = sequence;
        self.stored_at_ns = stored_at_ns.or(self.stored_at_ns);
    }

    /// Hands on what was gathered, once it is certain that nothing before it is missing.
    pub(super) async fn hand_on(&mut self, reader: &mut Reader) -> Result<(), End> {
        if self.builder.is_empty() {
            return Ok(());
        }
        // Not taken before it is found harmless: a check that fails must not let the chunk pass.
        if let Some(jump) = self.jump {
            let stream = &reader.settings.stream;
            let info = reader.api.stream_info(stream).await.map_err(again)?;
            if info.created != self.origin.created_ns {
                return Err(End::again(Recreate::Identity, "the stream is another than before"));
            }
            let first_held = Sequence(info.state.first_seq);
            // A reading that begins may find that the stream now begins later.
            let begins = reader.position.sequence == Sequence(0) && jump.messages == 0;
            let replaced = Front::of(&info.config).only_replaced(jump.stored_at_ns, info.at());
            if first_held > jump.after.next() && !begins && !replaced {
                self.builder.truncate(jump.messages);
                (self.received, self.stored_at_ns) = (jump.after, jump.stored_at_ns);
                let gap = self.gap(reader, first_held);
                self.jump = None;
                self.finish(reader, None).await?;
                return Err(gap);
            }
            self.jump = None;
        }
        let anchor = self.stored_at_ns.map(|stored_at_ns| Anchor {
            sequence: self.received,
            stored_at_ns,
            payload_hash: payload_hash(self.builder.last_payload().unwrap_or_default()),
        });
        self.finish(reader, anchor).await
    }

    /// The fault that the stream lost what follows what was received.
    pub(super) fn gap(&self, reader: &Reader, first_held: Sequence) -> End {
        reader.status.count_gap();
        End::Fault(gap(&reader.settings.stream, self.received.next(), first_held))
    }

    async fn finish(&mut self, reader: &mut Reader, anchor: Option<Anchor>) -> Result<(), End> {
        if self.builder.is_empty() {
            return Ok(());
        }
        self.builder.set_proof(self.origin, anchor);
        let chunk = self.builder.finish(self.received);
        reader.hand_on(chunk).await
    }
}
