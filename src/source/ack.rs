//! The reply subject of a delivered message: where the server says which message it is.
//!
//! `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer sequence>.<nanoseconds>.<pending>`, or with
//! domain and account before the stream (and possibly more behind). Parsed by hand: one for each message.

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

/// The tokens of the short form, and the least of the long one.
const SHORT: usize = 9;
const LONG_MIN: usize = 11;

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

#[cfg(test)]
mod tests {
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
}
