//! Proof that a stream is still the one that was read.
//!
//! A stream that was restored from a backup, rewound, or recreated may reuse sequences for other messages. Its creation
//! time is only a hint: some servers keep it over a restore, some change it. What cannot be repeated by chance is the
//! nanosecond at which a message was stored together with its payload: an anchor.

use super::Sequence;

/// One message that was read, to be compared with what the stream holds at its sequence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    pub sequence: Sequence,
    pub stored_at_ns: i64,
    /// [`payload_hash`] of its payload.
    pub payload_hash: u64,
}

/// What a stream was when its reader verified it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// When the stream was created: its identity, as far as that goes.
    pub created_ns: i64,
    /// The first sequence it held.
    pub first_sequence: Sequence,
}

/// FNV-1a with 64 bits: short, and stable for ever, as anchors outlive the program that wrote them.
///
/// No adversary is meant: it tells histories apart, after the nanosecond already has.
pub fn payload_hash(payload: &[u8]) -> u64 {
    payload.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_is_the_published_one() {
        assert_eq!(payload_hash(b""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(payload_hash(b"a"), 0xaf63_dc4c_8601_ec8c);
        assert_eq!(payload_hash(b"foobar"), 0x8594_4171_f739_67e8);
    }
}
