//! How a session's position moves where nothing matches: idle advance (I8).
//!
//! A filtered consumer is silent about what it passes over. The stream's leader is asked instead: what its last
//! sequence is, and then whether any message above the position matches. If none does, and nothing is under way from the
//! consumer, up to that last sequence there is nothing to read.

use tokio::time::Instant;

use super::front::Front;
use super::head::StreamHead;
use super::poison::Steps;
use super::reader::Reader;
use super::session::{End, Session, again};
use super::status::Recreate;
use crate::event::Sequence;
use crate::event::chunk::Chunk;

/// So many times a consumer may say that it has nothing to send while the stream holds a message for it: the first may
/// have been under way when that was asked.
const WITHHELD_BEATS: u64 = 2;

/// A message that a consumer owes.
#[derive(Clone, Copy)]
pub(super) struct Withheld {
    sequence: Sequence,
    /// How often the consumer had said that it has nothing when the message was found.
    idle_beats: u64,
}

impl Session<'_> {
    /// Somebody waits for the stream's head as it is now, and not for the next poll.
    pub(super) async fn advance_asked(&mut self) -> Result<(), End> {
        self.flush().await?;
        let head = ask_head(self.reader).await?;
        self.reader.advance_to = self.reader.advance_to.max(Some(head.last_sequence));
        self.compare_head(&head).await
    }

    /// Goes on towards where somebody waits, once what lay before it has come: the rest may not match.
    pub(super) async fn advance_further(&mut self) -> Result<(), End> {
        let Some(target) = self.reader.advance_to else { return Ok(()) };
        if self.reader.position.sequence >= target {
            self.reader.advance_to = None;
            return Ok(());
        }
        let tried = (self.gathered.received, self.consumer_sequence);
        // While more is known to come it would be in vain.
        let in_vain =
            self.more_pending || !self.gathered.builder.is_empty() || self.pulls.is_idle();
        if in_vain || self.advance_tried == Some(tried) {
            return Ok(());
        }
        self.advance_tried = Some(tried);
        let head = ask_head(self.reader).await?;
        self.compare_head(&head).await
    }

    /// Compares with what the leader says of the stream; moves the position to its head if nothing lies between (I8).
    pub(super) async fn compare_head(&mut self, head: &StreamHead) -> Result<(), End> {
        // What was handed on later than it was asked may lie above its answer.
        let quiet = self.reader.handed_on <= Instant::from_std(head.asked);
        let changed =
            head.created_ns != self.gathered.origin.created_ns || head.retention != "limits";
        if changed || (quiet && head.last_sequence < self.reader.position.sequence) {
            return Err(End::again(Recreate::Identity, "the stream is no longer what it was"));
        }
        // What arrives moves the position by itself. What is known to come does too: over a slow link the answer, which is
        // a whole message, would come after it, or too late.
        let quiet = quiet
            && !self.more_pending
            && self.gathered.builder.is_empty()
            && !self.pulls.is_idle();
        // Not with what was received: an empty stream may begin behind a position of nothing.
        if !quiet || head.last_sequence <= self.reader.position.sequence {
            return Ok(());
        }
        self.advance(head).await
    }

    async fn advance(&mut self, head: &StreamHead) -> Result<(), End> {
        let (api, settings) = (&self.reader.api, &self.reader.settings);
        let mut steps = Steps::new(api, &settings.stream, &settings.filters);
        let next = steps.after(self.gathered.received).await.map_err(again)?;
        if let Some(next) = next.filter(|next| next.sequence <= head.last_sequence) {
            return self.withholds(next.sequence);
        }
        // What was sent before all that was asked may be under way still, and comes by itself.
        if !has_all_that_was_sent(self.reader, self.consumer_sequence).await? {
            return Ok(());
        }
        // Asked after it was looked for a match: what the stream has lost by now may have been one, whatever the filter.
        let info = api.stream_info(&settings.stream).await.map_err(again)?;
        if info.created != self.gathered.origin.created_ns {
            return Err(End::again(Recreate::Identity, "the stream is another than before"));
        }
        let first_held = Sequence(info.state.first_seq);
        if first_held > self.gathered.received.next()
            && self.reader.position.sequence > Sequence(0)
            && !Front::of(&info.config).only_replaced(self.gathered.stored_at_ns, info.at())
        {
            return Err(self.gathered.gap(self.reader, first_held));
        }
        // It may be gone meanwhile, or have been deleted long ago: then there is no anchor here.
        let last = api.message(&settings.stream, head.last_sequence).await.map_err(again)?;
        let anchor = last.map(|stored| stored.anchor());
        let stored_at_ns = anchor.as_ref().map(|anchor| anchor.stored_at_ns);
        self.gathered.moved_to(head.last_sequence, stored_at_ns);
        let chunk = Chunk::advance(head.last_sequence, Some(self.gathered.origin), anchor);
        self.reader.hand_on(chunk).await
    }

    /// What matches comes by itself, unless the consumer is paused, or blind: then it goes on saying that it has nothing.
    fn withholds(&mut self, sequence: Sequence) -> Result<(), End> {
        match self.withheld {
            Some(Withheld { sequence: known, idle_beats }) if known == sequence => {
                if self.idle_beats < idle_beats + WITHHELD_BEATS {
                    return Ok(());
                }
                let detail = format!("the consumer does not send message {sequence}");
                Err(End::again(Recreate::Stalled, detail))
            }
            _ => {
                self.withheld = Some(Withheld { sequence, idle_beats: self.idle_beats });
                Ok(())
            }
        }
    }
}

async fn ask_head(reader: &Reader) -> Result<StreamHead, End> {
    StreamHead::ask(&reader.api, &reader.settings.stream).await.map_err(again)
}

/// Whether nothing that the consumer has sent is missing here.
async fn has_all_that_was_sent(reader: &Reader, consumer_sequence: u64) -> Result<bool, End> {
    let Reader { api, settings, consumer, .. } = reader;
    let Some(consumer) = consumer else { return Ok(false) };
    let info = api.consumer_info(&settings.stream, consumer).await.map_err(again)?;
    Ok(info.delivered.consumer_seq == consumer_sequence)
}
