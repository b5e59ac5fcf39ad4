//! How much has been asked of a consumer and has not come yet.
//!
//! Two pulls are in flight, so that the server never waits for the next one. A pull is bounded in messages, because the
//! client's channel is (it drops what does not fit), and in bytes, because memory is. The server reports what is left
//! of a pull that ends early; what is left of the count by rounding goes when no message is outstanding.

use std::time::Duration;

use serde::Serialize;

/// Messages of one pull. The raw read is fastest at about this many, and three of them are far below the client's
/// channel of 65,536.
const BATCH: usize = 5_000;
/// Bytes of one pull at most: more gains nothing.
const BYTES_MAX: usize = 16 << 20;
/// To this a pull grows when one message does not fit (a server's payload limit that was lowered later).
const BYTES_LIMIT: usize = 1 << 30;
const EXPIRES: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub(super) struct Pulls {
    bytes_each: usize,
    heartbeat: Duration,
    /// Outstanding.
    messages: usize,
    bytes: usize,
}

#[derive(Serialize)]
struct Request {
    batch: usize,
    max_bytes: usize,
    expires: u128,
    idle_heartbeat: u128,
}

impl Pulls {
    /// Pulls for a queue of `queue_bytes_max`: half of it is for what is in flight.
    pub(super) fn new(
        queue_bytes_max: usize,
        payload_bytes_max: usize,
        heartbeat: Duration,
    ) -> Self {
        // Below the next message's size a pull would be refused at once, for ever.
        let bytes_each = (queue_bytes_max / 4).min(BYTES_MAX).max(2 * payload_bytes_max);
        Self { bytes_each, heartbeat, messages: 0, bytes: 0 }
    }

    /// Whether less than a pull is outstanding.
    pub(super) fn wants_more(&self) -> bool {
        // The bound in messages holds however small the messages' share of the bytes is.
        self.messages <= BATCH || (self.bytes <= self.bytes_each && self.messages <= 4 * BATCH)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.messages == 0
    }

    /// The body of the next pull, counted as outstanding.
    pub(super) fn request(&mut self) -> Vec<u8> {
        self.messages += BATCH;
        self.bytes += self.bytes_each;
        let request = Request {
            batch: BATCH,
            max_bytes: self.bytes_each,
            expires: EXPIRES.max(3 * self.heartbeat).as_nanos(),
            idle_heartbeat: self.heartbeat.as_nanos(),
        };
        serde_json::to_vec(&request).expect("a request is plain data")
    }

    /// A message came.
    pub(super) fn arrived(&mut self, bytes: usize) {
        self.settle(1, bytes);
    }

    /// A pull ended with this much left of it.
    pub(super) fn ended(&mut self, messages_left: Option<usize>, bytes_left: Option<usize>) {
        self.settle(messages_left.unwrap_or(BATCH), bytes_left.unwrap_or(self.bytes_each));
    }

    /// A pull was refused because a message is larger; the next one asks for more.
    pub(super) fn too_small(&mut self, bytes_left: Option<usize>) {
        // Of a pull that gave something first only the rest was too small.
        if bytes_left.is_none_or(|left| left >= self.bytes_each) {
            self.bytes_each = (self.bytes_each * 2).min(BYTES_LIMIT);
        }
    }

    fn settle(&mut self, messages: usize, bytes: usize) {
        self.messages = self.messages.saturating_sub(messages);
        self.bytes = if self.messages == 0 { 0 } else { self.bytes.saturating_sub(bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn two_are_in_flight() {
        let mut pulls = Pulls::new(32 * MIB, MIB, Duration::from_secs(5));
        let body = String::from_utf8(pulls.request()).unwrap();
        assert_eq!(
            body,
            r#"{"batch":5000,"max_bytes":8388608,"expires":30000000000,"idle_heartbeat":5000000000}"#
        );
        assert!(pulls.wants_more());
        pulls.request();
        assert!(!pulls.wants_more());
        for _ in 0..BATCH {
            assert!(!pulls.wants_more());
            pulls.arrived(100);
        }
        assert!(pulls.wants_more());
        pulls.ended(None, None);
        assert!(pulls.is_idle());
    }

    #[test]
    fn large_messages_use_up_the_bytes() {
        let mut pulls = Pulls::new(32 * MIB, MIB, Duration::from_secs(5));
        pulls.request();
        pulls.request();
        for _ in 0..8 {
            pulls.arrived(MIB);
        }
        assert!(pulls.wants_more());
        pulls.ended(Some(BATCH - 8), Some(0));
        assert!(pulls.wants_more() && !pulls.is_idle());
    }

    #[test]
    fn a_pull_holds_two_messages_and_grows_for_a_larger_one() {
        let mut pulls = Pulls::new(MIB, 8 * MIB, Duration::from_secs(5));
        assert_eq!(pulls.bytes_each, 16 * MIB);
        pulls.request();
        pulls.too_small(Some(MIB));
        assert_eq!(pulls.bytes_each, 16 * MIB);
        pulls.too_small(Some(16 * MIB));
        assert_eq!(pulls.bytes_each, 32 * MIB);
        for _ in 0..100 {
            pulls.too_small(None);
        }
        assert_eq!(pulls.bytes_each, BYTES_LIMIT);
    }
}
