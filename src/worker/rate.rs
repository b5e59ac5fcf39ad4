//! Events a second, over the last seconds.

use std::time::{Duration, Instant};

// Long enough to be steady, short enough that a person who watches sees what happens now.
const WINDOW: Duration = Duration::from_secs(2);

/// Counts events and gives their rate over the last whole window.
pub(super) struct Rate {
    begun: Instant,
    events: u64,
    last: f64,
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self { begun: now, events: 0, last: 0.0 }
    }

    /// Counts events and returns the rate.
    pub(super) fn add(&mut self, events: u64, now: Instant) -> f64 {
        self.events += events;
        let elapsed = now.duration_since(self.begun);
        if elapsed >= WINDOW {
            self.last = self.events as f64 / elapsed.as_secs_f64();
            self.events = 0;
            self.begun = now;
        } else if self.last == 0.0 && elapsed >= WINDOW / 10 {
            // The first window is not waited for.
            return self.events as f64 / elapsed.as_secs_f64();
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_what_comes_in() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(rate.add(100, at(0)), 0.0);
        assert_eq!(rate.add(100, at(1000)), 200.0);
        assert_eq!(rate.add(200, at(2000)), 200.0);
        assert_eq!(rate.add(0, at(3000)), 200.0);
        assert_eq!(rate.add(0, at(4000)), 0.0);
    }
}
