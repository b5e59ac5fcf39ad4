//! What a handler sees: events, decoded from messages, and the words that go with them.
//!
//! Pure: no stream, no clock, no store. Every event of a chunk lies in one piece of memory, and an event is an index
//! into it, so decoding allocates nothing an event.

pub mod anchor;
mod arena;
pub mod chunk;
mod content;
mod decode;
mod document;
pub mod import;
pub mod json;
pub mod time;

use std::fmt;

/// A place in a stream: the sequence that JetStream gave a message. 0 is before the first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How a source's messages are read, as said in its `format`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// CloudEvents where a message says so, else JSON.
    #[default]
    Auto,
    CloudEvents,
    Json,
    Text,
    Bytes,
}

/// Why a message gives no event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub kind: RejectKind,
    /// One sentence for the operator: what is wrong, and at which byte.
    pub detail: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectKind {
    /// Not what the source's format asks for.
    Decode,
    /// Larger than `event_bytes_max`: not looked into.
    TooLarge,
    /// The source's `transform` made no events of it.
    Transform,
    /// Its headers are such that no client reads them.
    Headers,
}

impl RejectKind {
    /// The word that dead letters show.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Decode => "decode",
            Self::TooLarge => "too_large",
            Self::Transform => "transform",
            Self::Headers => "malformed headers",
        }
    }
}
