//! The messages that were read together, decoded once, in one piece of memory.
//!
//! A chunk is built by one thread and then only read, by any number of projections: `Arc<Chunk>` is what travels. Its
//! texts lie end to end in one string, its JSON is a tape over that string, and an event is an index into its entries.
//! A chunk may hold no event at all and still move the position: that is how a projection whose filter matches nothing
//! follows its stream (I8).

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use super::anchor::{Anchor, Origin};
use super::arena::{Arena, Name, Payload, Slot, Span, Time};
use super::json::Json;
use super::time::Timestamp;
use super::{Format, Reject, RejectKind, Sequence, decode};

/// A message as the stream holds it.
#[derive(Clone, Debug)]
pub struct Message<'a, H> {
    pub sequence: Sequence,
    pub stored_at: Timestamp,
    pub subject: &'a str,
    /// Names and values, in any order; of a repeated name the first counts.
    pub headers: H,
    pub payload: &'a [u8],
}

/// Messages in stream order, each an event or the reason why not; or, after a `transform`, any number of events.
#[derive(Debug)]
pub struct Chunk {
    arena: Arena,
    /// Those of one message are neighbours.
    entries: Vec<Entry>,
    /// Messages that gave no event, in stream order.
    dropped: Vec<Dropped>,
    /// Whether a message gave more than one.
    split: bool,
    after: Sequence,
    scanned_to: Sequence,
    origin: Option<Origin>,
    anchor: Option<Anchor>,
    decoding: Duration,
}

/// One event: what handlers see. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Event {
    chunk: Arc<Chunk>,
    index: u32,
}

/// An event's data.
#[derive(Clone, Copy)]
pub enum Data<'a> {
    Null,
    /// Any JSON value but null.
    Json(Json<'a>),
    Text(&'a str),
    /// Shown to expressions as base64.
    Bytes(&'a [u8]),
}

/// The value of a CloudEvents attribute.
#[derive(Clone)]
pub enum Attribute<'a> {
    /// Of a structured event: as it stands in the document.
    Json(Json<'a>),
    /// Of a binary event: the header's value, percent-decoded.
    Text(Cow<'a, str>),
}

/// Messages of a chunk, whether they gave an event or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    pub messages: u64,
    /// When the stream stored the last of them.
    pub stored_at: Option<Timestamp>,
}

/// Gathers messages into chunks.
#[derive(Debug)]
pub struct ChunkBuilder {
    format: Format,
    event_bytes_max: usize,
    pub(super) arena: Arena,
    pub(super) entries: Vec<Entry>,
    pub(super) dropped: Vec<Dropped>,
    pub(super) split: bool,
    origin: Option<Origin>,
    anchor: Option<Anchor>,
    decoding: Duration,
    /// What the last chunk took: the next is likely to take as much.
    last: Sizes,
}

/// Where an event's CloudEvents attributes lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Envelope {
    None,
    /// Members of the document at this index of the tape.
    Structured(u32),
    /// The headers `ce-*`.
    Binary,
    /// All members of the object at this index of the tape.
    Object(u32),
}

/// What decoding found in a message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Decoded {
    pub(super) type_name: Name,
    pub(super) id: Option<Name>,
    pub(super) time: Time,
    pub(super) data: Slot,
    pub(super) envelope: Envelope,
}

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) sequence: Sequence,
    pub(super) part: u32,
    pub(super) stored_at: Timestamp,
    pub(super) subject: Span,
    /// Of the arena's headers.
    pub(super) headers: Span,
    pub(super) payload: Payload,
    // A reject is rare, and boxed so that entries stay small.
    pub(super) decoded: Result<Decoded, Box<Reject>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Dropped {
    pub(super) sequence: Sequence,
    pub(super) stored_at: Timestamp,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sizes {
    text: usize,
    tape: usize,
    headers: usize,
    entries: usize,
}

impl Chunk {
    /// A chunk that only moves the position.
    pub fn advance(scanned_to: Sequence, origin: Option<Origin>, anchor: Option<Anchor>) -> Self {
        Self {
            arena: Arena::default(),
            entries: Vec::new(),
            dropped: Vec::new(),
            split: false,
            after: Sequence(0),
            scanned_to,
            origin,
            anchor,
            decoding: Duration::ZERO,
        }
    }

    /// Its events in stream order, those that could not be decoded included.
    pub fn events(self: &Arc<Self>) -> impl Iterator<Item = Event> + use<> {
        let chunk = Arc::clone(self);
        let indexes = 0..self.entries.len() as u32;
        indexes.map(move |index| Event { chunk: Arc::clone(&chunk), index })
    }

    /// Its first event above a sequence, from which [`Event::turn_to_next`] leads to those that follow.
    pub fn first_above(self: &Arc<Self>, above: Sequence) -> Option<Event> {
        let first = self.entries.partition_point(|entry| entry.sequence <= above);
        let event = Event { chunk: Arc::clone(self), index: first as u32 };
        (first < self.entries.len()).then_some(event)
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The messages that it was made of: those above a sequence, and below another if there is one.
    pub fn scanned(&self, above: Sequence, below: Option<Sequence>) -> Scanned {
        let within = |first: usize, end: usize| first.min(end)..end;
        let is_below = |sequence| below.is_none_or(|below| sequence < below);
        let entries = within(
            self.entries.partition_point(|entry| entry.sequence <= above),
            self.entries.partition_point(|entry| is_below(entry.sequence)),
        );
        let dropped = within(
            self.dropped.partition_point(|dropped| dropped.sequence <= above),
            self.dropped.partition_point(|dropped| is_below(dropped.sequence)),
        );
        let (entries, dropped) = (&self.entries[entries], &self.dropped[dropped]);
        // Without need none of them is looked at: they are as large as all else that is read of an event.
        let given = match self.split {
            true => entries.iter().filter(|entry| entry.part == 0).count(),
            false => entries.len(),
        };
        let last_given = entries.last().map(|entry| (entry.sequence, entry.stored_at));
        let last_dropped = dropped.last().map(|dropped| (dropped.sequence, dropped.stored_at));
        Scanned {
            messages: (given + dropped.len()) as u64,
            stored_at: last_given.max(last_dropped).map(|(_, stored_at)| stored_at),
        }
    }

    /// How many messages it was made of.
    pub fn messages(&self) -> u64 {
        self.scanned(Sequence(0), None).messages
    }

    /// When the stream stored the first of its messages.
    pub fn oldest(&self) -> Option<Timestamp> {
        let given = self.entries.first().map(|entry| (entry.sequence, entry.stored_at));
        let dropped = self.dropped.first().map(|dropped| (dropped.sequence, dropped.stored_at));
        given.into_iter().chain(dropped).min().map(|(_, stored_at)| stored_at)
    }

    /// The position that this chunk continues: it lacks nothing between there and its end. 0 for one made in memory.
    pub fn after(&self) -> Sequence {
        self.after
    }

    /// Says which position it continues.
    pub fn set_after(&mut self, after: Sequence) {
        self.after = after;
    }

    /// The position after this chunk: everything up to here has been scanned.
    pub fn scanned_to(&self) -> Sequence {
        self.scanned_to
    }

    /// The stream that it was read from; None for one that was made in memory.
    pub fn origin(&self) -> Option<Origin> {
        self.origin
    }

    /// The proof of its last message, to be kept with the checkpoint.
    pub fn anchor(&self) -> Option<Anchor> {
        self.anchor
    }

    /// How long its messages took to be taken from the client, checked and decoded.
    pub fn decoding(&self) -> Duration {
        self.decoding
    }

    /// The memory that it holds.
    pub fn bytes_len(&self) -> usize {
        self.arena.bytes_len() + self.entries.capacity() * size_of::<Entry>() + size_of::<Self>()
    }
}

impl Event {
    /// Becomes the event that follows in its chunk; false if it is the last.
    ///
    /// What an iterator of events costs most is counting who holds the chunk, which other threads do as well.
    #[inline]
    pub fn turn_to_next(&mut self) -> bool {
        let is_followed = self.index as usize + 1 < self.chunk.entries.len();
        self.index += u32::from(is_followed);
        is_followed
    }

    /// Whether the event that follows in its chunk is of the same message.
    #[inline]
    pub fn is_continued(&self) -> bool {
        let next = self.chunk.entries.get(self.index as usize + 1);
        next.is_some_and(|next| next.sequence == self.sequence())
    }

    #[inline]
    pub fn sequence(&self) -> Sequence {
        self.entry().sequence
    }

    /// Which of its message's events it is, from 0.
    pub fn part(&self) -> u32 {
        self.entry().part
    }

    #[inline]
    pub fn stored_at(&self) -> Timestamp {
        self.entry().stored_at
    }

    #[inline]
    pub fn subject(&self) -> &str {
        self.arena().text_at(self.entry().subject)
    }

    /// The subject's tokens: it, split at dots.
    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.subject().split('.')
    }

    /// Names as sent, each with its first value, in the order of names.
    pub fn headers(&self) -> impl Iterator<Item = (&str, &str)> {
        self.arena().sorted_headers(self.entry().headers).into_iter()
    }

    /// The first value of the header with this name as sent.
    pub fn header(&self, name: &str) -> Option<&str> {
        let arena = self.arena();
        let mut headers = arena.headers_at(self.entry().headers).iter();
        let (_, value) = headers.find(|(known, _)| arena.text_at(*known) == name)?;
        Some(arena.text_at(*value))
    }

    /// The message's payload as stored.
    pub fn payload(&self) -> &[u8] {
        self.arena().payload(self.entry().payload)
    }

    /// Why the message could not be decoded; the accessors below then give empty values.
    #[inline]
    pub fn reject(&self) -> Option<&Reject> {
        self.entry().decoded.as_ref().err().map(|reject| &**reject)
    }

    #[inline]
    pub fn type_name(&self) -> &str {
        self.decoded().map_or("", |decoded| self.arena().name(decoded.type_name))
    }

    pub fn id(&self) -> Option<&str> {
        self.decoded().and_then(|decoded| decoded.id).map(|id| self.arena().name(id))
    }

    /// The event's own time, or when it was stored.
    #[inline]
    pub fn time(&self) -> Timestamp {
        let own = self.decoded().and_then(|decoded| self.arena().time(decoded.time));
        own.unwrap_or(self.entry().stored_at)
    }

    #[inline]
    pub fn data(&self) -> Data<'_> {
        match self.decoded().map_or(Slot::Null, |decoded| decoded.data) {
            Slot::Null => Data::Null,
            Slot::Json(at) => Data::Json(self.arena().json(at)),
            Slot::Text(span) => Data::Text(self.arena().text_at(span)),
            Slot::Raw(span) => Data::Bytes(self.arena().raw_at(span)),
        }
    }

    /// The CloudEvents attributes; none of any other event. Computed when asked.
    pub fn attributes(&self) -> Vec<(Cow<'_, str>, Attribute<'_>)> {
        match self.decoded().map_or(Envelope::None, |decoded| decoded.envelope) {
            Envelope::None => Vec::new(),
            Envelope::Structured(root) => decode::structured_attributes(self.arena().json(root)),
            Envelope::Binary => decode::binary_attributes(self.headers()),
            Envelope::Object(at) => decode::object_attributes(self.arena().json(at)),
        }
    }

    #[inline]
    fn entry(&self) -> &Entry {
        &self.chunk.entries[self.index as usize]
    }

    #[inline]
    fn decoded(&self) -> Option<&Decoded> {
        self.entry().decoded.as_ref().ok()
    }

    #[inline]
    fn arena(&self) -> &Arena {
        &self.chunk.arena
    }
}

impl ChunkBuilder {
    pub fn new(format: Format, event_bytes_max: usize) -> Self {
        Self {
            format,
            event_bytes_max,
            arena: Arena::default(),
            entries: Vec::new(),
            dropped: Vec::new(),
            split: false,
            origin: None,
            anchor: None,
            decoding: Duration::ZERO,
            last: Sizes::default(),
        }
    }

    /// Of events that are pushed as documents: nothing is left to decode.
    pub fn of_events() -> Self {
        Self::new(Format::Json, usize::MAX)
    }

    /// Decodes a message; one that cannot be is kept with the reason.
    ///
    /// A chunk is to stay below 4 GiB: whoever fills it looks at [`ChunkBuilder::bytes_len`].
    pub fn push<'a, H>(&mut self, message: Message<'a, H>)
    where
        H: IntoIterator<Item = (&'a str, &'a str)>,
    {
        if self.entries.is_empty() {
            self.reserve();
        }
        let subject = self.arena.push_text(message.subject);
        let headers = self.arena.push_headers(message.headers);
        let (payload, decoded) = if message.payload.len() > self.event_bytes_max {
            (
                Payload::Raw(self.arena.push_raw(message.payload)),
                Err(self.too_large(message.payload.len())),
            )
        } else {
            decode::decode(&mut self.arena, self.format, subject, headers, message.payload)
        };
        self.entries.push(Entry {
            sequence: message.sequence,
            part: 0,
            stored_at: message.stored_at,
            subject,
            headers,
            payload,
            decoded: decoded.map_err(Box::new),
        });
    }

    /// Keeps a message that cannot be read with the reason, whatever its payload is.
    pub fn push_reject<'a, H>(&mut self, message: Message<'a, H>, reject: Reject)
    where
        H: IntoIterator<Item = (&'a str, &'a str)>,
    {
        let entry = Entry {
            sequence: message.sequence,
            part: 0,
            stored_at: message.stored_at,
            subject: self.arena.push_text(message.subject),
            headers: self.arena.push_headers(message.headers),
            payload: Payload::Raw(self.arena.push_raw(message.payload)),
            decoded: Err(Box::new(reject)),
        };
        self.entries.push(entry);
    }

    /// Counts time that was spent on its messages.
    pub fn spent(&mut self, time: Duration) {
        self.decoding += time;
    }

    /// What the store is to keep with the checkpoint of the chunk that is being built.
    pub fn set_proof(&mut self, origin: Origin, anchor: Option<Anchor>) {
        self.origin = Some(origin);
        self.anchor = anchor;
    }

    /// How many events it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds no message.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.dropped.is_empty()
    }

    /// The bytes of the messages that it holds.
    pub fn bytes_len(&self) -> usize {
        self.arena.text.len() + self.arena.raw.len()
    }

    /// The payload of the message that was pushed last.
    pub fn last_payload(&self) -> Option<&[u8]> {
        self.entries.last().map(|entry| self.arena.payload(entry.payload))
    }

    /// Forgets all events but the first `events`.
    pub fn truncate(&mut self, events: usize) {
        self.entries.truncate(events);
    }

    /// The chunk of what was pushed, after which everything up to `scanned_to` has been read; the builder is empty again.
    pub fn finish(&mut self, scanned_to: Sequence) -> Chunk {
        self.last = Sizes {
            text: self.arena.text.len(),
            tape: self.arena.tape.len(),
            headers: self.arena.headers.len(),
            entries: self.entries.len(),
        };
        Chunk {
            arena: std::mem::take(&mut self.arena),
            entries: std::mem::take(&mut self.entries),
            dropped: std::mem::take(&mut self.dropped),
            split: std::mem::take(&mut self.split),
            after: Sequence(0),
            scanned_to,
            origin: self.origin.take(),
            anchor: self.anchor.take(),
            decoding: std::mem::take(&mut self.decoding),
        }
    }

    fn reserve(&mut self) {
        // Below this a chunk is small whatever it takes; above it, copying a growing chunk would show.
        const ENTRIES_MIN: usize = 64;
        if self.last.entries >= ENTRIES_MIN {
            let Sizes { text, tape, headers, entries } = self.last;
            self.arena.text.reserve(text + text / 8);
            self.arena.tape.reserve(tape + tape / 8);
            self.arena.headers.reserve(headers + headers / 8);
            self.entries.reserve(entries + entries / 8);
        }
    }

    fn too_large(&self, bytes: usize) -> Reject {
        let detail = format!("{bytes} bytes, more than event_bytes_max = {}", self.event_bytes_max);
        Reject { kind: RejectKind::TooLarge, detail }
    }
}
