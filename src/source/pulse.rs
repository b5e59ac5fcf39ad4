//! Whether a reader still moves.
//!
//! Everything that a session waits for has its time-out, and silence of the server has its own. What is left is what
//! nobody thought of: a future that is never woken. A reader's session beats whenever anything happens in it, and is
//! given up when it has not for far longer than anything takes. It rests while it waits for others: for room in the
//! queue, for the connection, for an expression.

use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

/// When a reader last did anything.
#[derive(Debug)]
pub(super) struct Pulse(Mutex<State>);

#[derive(Debug)]
struct State {
    last: Instant,
    resting: usize,
}

/// A reader that waits for others until this is dropped.
pub(super) struct Rest<'a>(&'a Pulse);

impl Pulse {
    /// Something happened.
    pub(super) fn beat(&self) {
        self.lock().last = Instant::now();
    }

    pub(super) fn rest(&self) -> Rest<'_> {
        self.lock().resting += 1;
        Rest(self)
    }

    /// Waits until nothing has happened for so long.
    pub(super) async fn stops(&self, limit: Duration) {
        loop {
            let since = {
                let state = self.lock();
                if state.resting > 0 { Instant::now() } else { state.last }
            };
            if since.elapsed() >= limit {
                return;
            }
            tokio::time::sleep_until(since + limit).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Default for Pulse {
    fn default() -> Self {
        Self(Mutex::new(State { last: Instant::now(), resting: 0 }))
    }
}

impl Drop for Rest<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.resting -= 1;
        state.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn it_stops_after_the_last_beat_or_rest() {
        let pulse = Pulse::default();
        pulse.beat();
        let begun = Instant::now();
        tokio::time::timeout(LONG, pulse.stops(LIMIT)).await.unwrap();
        assert!(begun.elapsed() >= LIMIT);

        // A rest within another.
        let (outer, inner) = (pulse.rest(), pulse.rest());
        assert!(tokio::time::timeout(3 * LIMIT, pulse.stops(LIMIT)).await.is_err());
        drop(inner);
        assert!(tokio::time::timeout(3 * LIMIT, pulse.stops(LIMIT)).await.is_err());
        // The time begins anew with its end.
        let begun = Instant::now();
        drop(outer);
        tokio::time::timeout(LONG, pulse.stops(LIMIT)).await.unwrap();
        assert!(begun.elapsed() >= LIMIT);
    }
}
