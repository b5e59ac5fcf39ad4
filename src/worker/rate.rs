//! Events a second, over the last seconds.

use std::time::{Duration, Instant};

// Eight of them, two seconds, are long enough to be steady and short enough that a person who watches sees what happens
// now.
const SLOT: Duration = Duration::from_millis(250);
const SLOTS: usize = 8;
/// Shorter spans make a rate of a single batch: right after a start there is less.
const SPAN_MIN: Duration = Duration::from_secs(1);

/// Counts events and tells their rate at any moment, whether or not more are counted.
#[derive(Clone, Debug)]
pub(super) struct Rate {
    begun: Instant,
    /// The youngest slot, counted from the beginning.
    slot: u128,
    events: [u64; SLOTS],
}

impl Rate {
    pub(super) fn new(now: Instant) -> Self {
        Self { begun: now, slot: 0, events: [0; SLOTS] }
    }

    pub(super) fn add(&mut self, events: u64, now: Instant) {
        let slot = self.slot_at(now);
        for empty in (self.slot + 1..=slot).take(SLOTS) {
            self.events[index(empty)] = 0;
        }
        // Beyond all slots the rest was emptied above, whichever it was.
        self.slot = slot;
        self.events[index(slot)] += events;
    }

    /// Events a second of the last two seconds; of less right after the beginning.
    pub(super) fn at(&self, now: Instant) -> f64 {
        let slot = self.slot_at(now);
        let oldest = (slot + 1).saturating_sub(SLOTS as u128);
        let held = oldest.max((self.slot + 1).saturating_sub(SLOTS as u128))..=self.slot;
        let events: u64 = held.map(|slot| self.events[index(slot)]).sum();
        let elapsed = now.duration_since(self.begun);
        let span = elapsed.saturating_sub(SLOT * u32::try_from(oldest).unwrap_or(u32::MAX));
        events as f64 / span.max(SPAN_MIN).as_secs_f64()
    }

    fn slot_at(&self, now: Instant) -> u128 {
        (now.duration_since(self.begun).as_millis() / SLOT.as_millis()).max(self.slot)
    }
}

fn index(slot: u128) -> usize {
    (slot % SLOTS as u128) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_what_comes_in() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let at = |ms| start + Duration::from_millis(ms);
        assert_eq!(rate.at(at(0)), 0.0);
        // The first batch is not taken for a second's work of its own speed.
        rate.add(100, at(100));
        assert_eq!(rate.at(at(100)), 100.0);
        rate.add(100, at(1000));
        assert_eq!(rate.at(at(1000)), 200.0);
        for ms in (1250..=10_000).step_by(250) {
            rate.add(50, at(ms));
        }
        let steady = rate.at(at(10_249));
        assert!((steady - 200.0).abs() < 1.0, "{steady}");
        // Nobody counts any more, and it goes down all the same.
        assert!(rate.at(at(11_000)) < 150.0);
        assert_eq!(rate.at(at(12_000)), 0.0);
        assert_eq!(rate.at(at(1_000_000_000)), 0.0);
        rate.add(8, at(1_000_000_000));
        assert!((rate.at(at(1_000_000_000)) - 4.0).abs() < 1.0);
        // A look with an older clock than the last count's.
        assert!(rate.at(at(999_999_999)) > 0.0);
    }

    #[test]
    fn is_what_a_list_of_all_events_says() {
        let start = Instant::now();
        let mut rate = Rate::new(start);
        let mut all = Vec::new();
        // Irregular, with pauses longer than all slots.
        let mut ms = 0;
        for step in 1..400_u64 {
            ms += step * 37 % 611 + if step.is_multiple_of(50) { 5000 } else { 0 };
            rate.add(step, start + Duration::from_millis(ms));
            all.push((ms, step));
            let now = ms + step % 300;
            let first = (now / 250 + 1).saturating_sub(8) * 250;
            let events: u64 =
                all.iter().filter(|(at, _)| *at >= first).map(|(_, events)| events).sum();
            let span = (now - first).max(1000) as f64 / 1000.0;
            let found = rate.at(start + Duration::from_millis(now));
            assert!((found - events as f64 / span).abs() < 1e-6, "{now}: {found}");
        }
    }
}
