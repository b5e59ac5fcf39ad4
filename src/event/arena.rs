//! The memory of a chunk: texts end to end, JSON as a tape over them, and the places that point into it.
//!
//! Places are 32-bit, so a chunk stays below 4 GiB, and an entry stays small.

use smallvec::SmallVec;

use super::json::{Json, Node};
use super::time::Timestamp;

/// The memory that a chunk's entries point into.
#[derive(Debug, Default)]
pub(super) struct Arena {
    pub(super) text: String,
    /// Payloads that are not, or need not be, UTF-8.
    pub(super) raw: Vec<u8>,
    pub(super) tape: Vec<Node>,
    /// Name and value, within a message in the order of pushing.
    pub(super) headers: Vec<(Span, Span)>,
}

/// A range of an arena's text or raw bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Span {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// Names and values of one message's headers; a binary CloudEvent has about eight.
pub(super) type Sorted<'a> = SmallVec<[(&'a str, &'a str); 8]>;

/// An end of an arena.
pub(super) struct Mark {
    text: usize,
    raw: usize,
    tape: usize,
    headers: usize,
}

/// Where a message's payload lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Payload {
    Text(Span),
    Raw(Span),
}

/// Where a name lies: of its own, or inside a string without escapes on the tape.
#[derive(Clone, Copy, Debug)]
pub(super) enum Name {
    Text(Span),
    Node(u32),
}

/// An event's own time.
#[derive(Clone, Copy, Debug)]
pub(super) enum Time {
    /// It has none.
    None,
    /// As this text says, if it says one: it is read when it is asked for.
    Text(Name),
    Known(Timestamp),
}

/// Where an event's data lies.
#[derive(Clone, Copy, Debug)]
pub(super) enum Slot {
    Null,
    Json(u32),
    Text(Span),
    Raw(Span),
}

impl Span {
    fn new(start: usize, end: usize) -> Self {
        debug_assert!(start <= end);
        let end = u32::try_from(end).expect("a chunk is shorter than 4 GiB");
        Self { start: start as u32, end }
    }

    #[inline]
    fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

impl Arena {
    /// The memory that it holds.
    pub(super) fn bytes_len(&self) -> usize {
        self.text.capacity()
            + self.raw.capacity()
            + self.tape.capacity() * size_of::<Node>()
            + self.headers.capacity() * size_of::<(Span, Span)>()
    }

    pub(super) fn push_text(&mut self, text: &str) -> Span {
        let start = self.text.len();
        self.text.push_str(text);
        Span::new(start, self.text.len())
    }

    pub(super) fn push_raw(&mut self, raw: &[u8]) -> Span {
        let start = self.raw.len();
        self.raw.extend_from_slice(raw);
        Span::new(start, self.raw.len())
    }

    #[inline]
    pub(super) fn text_at(&self, span: Span) -> &str {
        &self.text[span.range()]
    }

    pub(super) fn raw_at(&self, span: Span) -> &[u8] {
        &self.raw[span.range()]
    }

    pub(super) fn payload(&self, payload: Payload) -> &[u8] {
        match payload {
            Payload::Text(span) => self.text_at(span).as_bytes(),
            Payload::Raw(span) => self.raw_at(span),
        }
    }

    pub(super) fn headers_at(&self, span: Span) -> &[(Span, Span)] {
        &self.headers[span.range()]
    }

    pub(super) fn json(&self, at: u32) -> Json<'_> {
        Json::new(&self.text, &self.tape, at)
    }

    #[inline]
    pub(super) fn name(&self, name: Name) -> &str {
        match name {
            Name::Text(span) => self.text_at(span),
            Name::Node(at) => {
                let quoted = self.json(at).raw();
                &quoted[1..quoted.len() - 1]
            }
        }
    }

    #[inline]
    pub(super) fn time(&self, time: Time) -> Option<Timestamp> {
        match time {
            Time::None => None,
            Time::Text(name) => Timestamp::parse(self.name(name)),
            Time::Known(time) => Some(time),
        }
    }

    /// Where it ends now, to be cut off there again.
    pub(super) fn mark(&self) -> Mark {
        let (text, raw) = (self.text.len(), self.raw.len());
        Mark { text, raw, tape: self.tape.len(), headers: self.headers.len() }
    }

    /// Forgets what was pushed since.
    pub(super) fn cut(&mut self, mark: &Mark) {
        self.text.truncate(mark.text);
        self.raw.truncate(mark.raw);
        self.tape.truncate(mark.tape);
        self.headers.truncate(mark.headers);
    }

    /// Copies headers as they come: few events have theirs looked at, so nothing is sorted here.
    pub(super) fn push_headers<'a>(
        &mut self,
        headers: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Span {
        let start = self.headers.len();
        for (name, value) in headers {
            let header = (self.push_text(name), self.push_text(value));
            self.headers.push(header);
        }
        Span::new(start, self.headers.len())
    }

    /// Headers by name, of repeated names the first: the client hands them over in random order.
    pub(super) fn sorted_headers(&self, span: Span) -> Sorted<'_> {
        let headers = self.headers_at(span).iter();
        let mut sorted: Sorted<'_> =
            headers.map(|&(name, value)| (self.text_at(name), self.text_at(value))).collect();
        // Stable, so that of a repeated name the first value stays the first.
        sorted.sort_by_key(|&(name, _)| name);
        sorted.dedup_by_key(|&mut (name, _)| name);
        sorted
    }
}
