//! The wall clock, for what people and alerts read: never for what an event gives (I9).

use std::time::{SystemTime, UNIX_EPOCH};

use crate::event::time::Timestamp;

/// The time now.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// Seconds since 1970, as metrics have times.
pub fn unix_seconds(time: Timestamp) -> f64 {
    time.0 as f64 / 1e6
}
