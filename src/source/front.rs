//! What may have moved the front of a stream past what was read: loss, or a key's newer message.
//!
//! A stream that keeps so many messages of a subject (a key-value bucket is one) removes an old one with each new one,
//! wherever it lies. In the midst of the stream that is a hole like any other deletion, and none of a reader's business.
//! At the front it looks like eviction, though nothing is lost but what would have been replaced. Where no other limit of
//! the stream can have removed anything, it is taken for that; what an operator purges from such a stream cannot be told
//! from it.

use super::api::StreamConfig;
use crate::event::time::Timestamp;

/// Which of a stream's limits remove messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Front {
    /// Newer messages of the same subject, and neither number nor size.
    replaces: bool,
    /// Age beyond this; 0 for any.
    age_max_ns: i64,
}

impl Front {
    pub(super) fn of(config: &StreamConfig) -> Self {
        let refuses = config.discard == "new";
        let evicts = !refuses && (config.max_msgs > 0 || config.max_bytes > 0);
        let replaces = config.max_msgs_per_subject > 0 && !evicts;
        Self { replaces, age_max_ns: config.max_age }
    }

    /// Whether all that is missing behind a message can only have been replaced. It was stored later than that one,
    /// if that is known; `at` is the server's time.
    pub(super) fn only_replaced(self, stored_at_ns: Option<i64>, at: Timestamp) -> bool {
        let too_young =
            |stored: i64| at.0.saturating_mul(1_000).saturating_sub(stored) < self.age_max_ns;
        self.replaces && (self.age_max_ns == 0 || stored_at_ns.is_some_and(too_young))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        const SECOND: i64 = 1_000_000_000;
        let config = |per_subject, messages, bytes, discard: &str, age| StreamConfig {
            max_msgs_per_subject: per_subject,
            max_msgs: messages,
            max_bytes: bytes,
            discard: discard.to_owned(),
            max_age: age,
            ..StreamConfig::default()
        };
        let now = Timestamp(100_000_000);
        for (case, config, stored_at_ns, expected) in [
            ("an event stream", config(-1, -1, -1, "old", 0), Some(0), false),
            ("per subject", config(1, -1, -1, "old", 0), None, true),
            ("by number as well", config(1, 1_000, -1, "old", 0), Some(0), false),
            ("by size as well", config(5, -1, 1_000, "old", 0), Some(0), false),
            (
                "a bucket with a size: refuses what is too much",
                config(1, -1, 1_000, "new", 0),
                None,
                true,
            ),
            (
                "with an age, just read",
                config(1, -1, -1, "new", 10 * SECOND),
                Some(91 * SECOND),
                true,
            ),
            (
                "with an age, too long ago",
                config(1, -1, -1, "new", 10 * SECOND),
                Some(90 * SECOND),
                false,
            ),
            (
                "with an age, and it is not known",
                config(1, -1, -1, "new", 10 * SECOND),
                None,
                false,
            ),
        ] {
            assert_eq!(Front::of(&config).only_replaced(stored_at_ns, now), expected, "{case}");
        }
    }
}
