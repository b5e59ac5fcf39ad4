//! Why an event was set aside: the reason of a dead letter.

use std::fmt;

use super::transition::OutOfRange;
use crate::definition::Definition;
use crate::event;

/// An event that breaks a rule. Its text is what `_viewd_dead_letters.reason` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub kind: Kind,
    /// Names the place, what was found there and the event.
    pub detail: String,
}

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The message is no document of its source's format.
    Decode,
    /// The message is larger than `event_bytes_max`.
    TooLarge,
    /// An expression failed.
    Expression,
    /// An expression gave what its column cannot hold.
    Type,
    NullKey,
    Required,
    /// A sum left the column's range.
    OutOfRange,
}

impl Reject {
    pub(super) fn from_decode(reject: &event::Reject) -> Self {
        let kind = match reject.kind {
            event::RejectKind::Decode => Kind::Decode,
            event::RejectKind::TooLarge => Kind::TooLarge,
        };
        Self { kind, detail: reject.detail.clone() }
    }

    /// An event whose operations could not be carried out on the rows as they stand.
    pub fn out_of_range(
        failure: &OutOfRange,
        definition: &Definition,
        event: &event::chunk::Event,
    ) -> Self {
        let detail = format!(
            "projection `{}`: {failure} (event {} at sequence {})",
            definition.name,
            event.type_name(),
            event.sequence(),
        );
        Self { kind: Kind::OutOfRange, detail }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decode => "decode",
            Self::TooLarge => "too_large",
            Self::Expression => "expression",
            Self::Type => "type",
            Self::NullKey => "null_key",
            Self::Required => "required",
            Self::OutOfRange => "out_of_range",
        })
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}
