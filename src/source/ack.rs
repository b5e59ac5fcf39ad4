//! The reply subject of a delivered message: where the server says which message it is.
//!
//! `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>`, or with
//! domain and account before the stream (and possibly more behind). Parsed by hand, since there is one for each message,
//! and all of a consumer begin alike.

use crate::event::Sequence;

/// What a reply subject says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ack {
    pub(super) stream_sequence: Sequence,
    /// How many the consumer has delivered, this one included.
    pub(super) consumer_sequence: u64,
    pub(super) stored_at_ns: i64,
    /// How many more matched the consumer's filters when this one was sent.
    pub(super) pending: u64,
}

/// Reads the reply subjects of one consumer.
#[derive(Debug, Default)]
pub(super) struct Replies {
    /// What the last one began with, up to its numbers, and whether it had the long form.
    prefix: String,
    long: bool,
}

/// The tokens of the short form, and the least of the long one.
const SHORT: usize = 9;
const LONG_MIN: usize = 11;

impl Replies {
    /// The same as [`parse`].
    pub(super) fn parse(&mut self, reply: &str) -> Option<Ack> {
        if let Some(ack) = self.alike(reply) {
            return Some(ack);
        }
        let ack = parse(reply)?;
        self.long = reply.split('.').count() >= LONG_MIN;
        let prefix = reply.splitn(if self.long { 8 } else { 6 }, '.');
        let numbers = prefix.last().map_or(0, str::len);
        reply[..reply.len() - numbers].clone_into(&mut self.prefix);
        Some(ack)
    }

    /// One that differs from the last in its numbers alone; None if it does not, or they are out of the ordinary.
    fn alike(&self, reply: &str) -> Option<Ack> {
        if self.prefix.is_empty() {
            return None;
        }
        let numbers = reply.as_bytes().strip_prefix(self.prefix.as_bytes())?;
        let (stream_sequence, rest) = number(numbers)?;
        let (consumer_sequence, rest) = number(rest.strip_prefix(b".")?)?;
        let (stored_at_ns, rest) = number(rest.strip_prefix(b".")?)?;
        let (pending, rest) = number(rest.strip_prefix(b".")?)?;
        let ends = rest.is_empty() || (self.long && rest[0] == b'.');
        if !ends {
            return None;
        }
        Some(Ack {
            stream_sequence: Sequence(stream_sequence),
            consumer_sequence,
            stored_at_ns: i64::try_from(stored_at_ns).ok()?,
            pending,
        })
    }
}

/// None for anything but the reply subject of a delivered message.
pub(super) fn parse(reply: &str) -> Option<Ack> {
    let rest = reply.strip_prefix("$JS.ACK.")?;
    let mut tokens = [""; LONG_MIN - 2];
    let (mut count, mut begin) = (0, 0);
    // A subject's tokens are short: a search that is made for long texts would take longer to begin than to find.
    for (at, byte) in rest.bytes().enumerate() {
        if byte == b'.' {
            if let Some(place) = tokens.get_mut(count) {
                *place = &rest[begin..at];
            }
            (count, begin) = (count + 1, at + 1);
        }
    }
    if let Some(place) = tokens.get_mut(count) {
        *place = &rest[begin..];
    }
    let first = match count + 3 {
        SHORT => 3,
        LONG_MIN.. => 5,
        _ => return None,
    };
    let number = |at: usize| tokens[first + at].parse::<u64>().ok();
    Some(Ack {
        stream_sequence: Sequence(number(0)?),
        consumer_sequence: number(1)?,
        stored_at_ns: tokens[first + 2].parse().ok()?,
        pending: number(3)?,
    })
}

/// The number that bytes begin with, and what stands behind it; None for one that may not fit.
#[inline]
fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    const FITS: usize = 19;
    const POWERS: [u64; 9] =
        [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];
    let (mut number, mut rest) = (0_u64, bytes);
    loop {
        let word = eight(rest);
        let count = leading_digits(word);
        // Without digits there is nothing to shift in.
        if count > 0 {
            let digits = value(word << (64 - 8 * count));
            number = number.wrapping_mul(POWERS[count as usize]).wrapping_add(digits);
            rest = &rest[count as usize..];
        }
        if count < 8 {
            break;
        }
    }
    (1..=FITS).contains(&(bytes.len() - rest.len())).then_some((number, rest))
}

/// The first eight bytes, the first of them lowest; zeros behind the end.
#[inline]
fn eight(bytes: &[u8]) -> u64 {
    let padded = || {
        let mut padded = [0; 8];
        padded[..bytes.len()].copy_from_slice(bytes);
        padded
    };
    u64::from_le_bytes(bytes.first_chunk().copied().unwrap_or_else(padded))
}

const fn repeated(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// How many of eight bytes are digits before the first that is none.
#[inline]
fn leading_digits(word: u64) -> u32 {
    let digits = word ^ repeated(b'0');
    // Beyond nine, the high bit is set: a carry can only touch what stands behind one that is none.
    let others = (digits | digits.wrapping_add(repeated(0x7F - 9))) & repeated(0x80);
    others.trailing_zeros() / 8
}

/// The number of eight digits, zeros among them: pairs first, then pairs of those, then of those.
#[inline]
fn value(digits: u64) -> u64 {
    let digits = digits & repeated(0x0F);
    let pairs = (digits.wrapping_mul(10 << 8 | 1) >> 8) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs.wrapping_mul(100 << 16 | 1) >> 16) & 0x0000_FFFF_0000_FFFF;
    fours.wrapping_mul(10_000 << 32 | 1) >> 32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reply_subjects() {
        let expected = Ack {
            stream_sequence: Sequence(7),
            consumer_sequence: 5,
            stored_at_ns: 1_700_000_000_123_456_789,
            pending: 3,
        };
        for (reply, found) in [
            ("$JS.ACK.SHOP.viewd-x.1.7.5.1700000000123456789.3", Some(expected)),
            ("$JS.ACK._.hash.SHOP.viewd-x.1.7.5.1700000000123456789.3", Some(expected)),
            (
                "$JS.ACK.hub.hash.SHOP.viewd-x.1.7.5.1700000000123456789.3.random.more",
                Some(expected),
            ),
            ("$JS.ACK.SHOP.viewd-x.1.7.5.1700000000123456789", None),
            ("$JS.ACK.a.SHOP.viewd-x.1.7.5.1700000000123456789.3", None),
            ("$JS.ACK.SHOP.viewd-x.1.x.5.1700000000123456789.3", None),
            ("$JS.ACK.SHOP.viewd-x.1.99999999999999999999.5.1.3", None),
            ("$JS.FC.SHOP.viewd-x.1.7.5.1700000000123456789.3", None),
            ("$JS.ACK.", None),
            ("", None),
        ] {
            assert_eq!(parse(reply), found, "{reply}");
        }
    }

    proptest! {
        /// One after another, whatever came before.
        #[test]
        fn what_is_alike_is_read_as_any_other(replies in prop::collection::vec(
            prop_oneof![
                4 => r"\$JS\.ACK\.(_\.hash\.)?S\.c\.1\.[0-9]{1,20}\.[0-9]{1,9}\.[0-9]{19}\.[0-9]{1,12}(\.x)?",
                1 => r"\$JS\.ACK\.(_\.hash\.)?S\.c\.[12]\.[0-9+x]{0,3}(\.[0-9x]{0,9}){2,5}",
            ],
            1..8,
        )) {
            let mut known = Replies::default();
            for reply in replies {
                prop_assert_eq!(known.parse(&reply), parse(&reply), "{}", reply);
            }
        }
    }
}
