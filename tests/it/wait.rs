//! Waiting for a condition, up to a deadline. No other test sleeps.

use std::fmt::Debug;
use std::time::{Duration, Instant};

/// Long for a processor, short for the person who waits for the tests.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is something, and returns it; panics with `what` at the deadline.
#[track_caller]
pub fn until<T>(what: &str, deadline: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < deadline, "{what}: not within {deadline:?}");
        std::thread::sleep(PAUSE);
    }
}

/// Looks until there is something, or until the deadline: for callers who know better what to say then.
pub fn until_or<T>(deadline: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begun = Instant::now();
    loop {
        let found = look();
        if found.is_some() || begun.elapsed() >= deadline {
            return found;
        }
        std::thread::sleep(PAUSE);
    }
}

/// The same for a look that has to wait for answers itself.
pub async fn until_async<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(begun.elapsed() < deadline, "{what}: not within {deadline:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Lets a while pass, for tests that do something at a random moment.
pub fn pass(duration: Duration) {
    std::thread::sleep(duration);
}

/// Looks until a value is the wanted one; shows the last one seen otherwise.
#[track_caller]
pub fn until_eq<T: PartialEq + Debug>(
    what: &str,
    deadline: Duration,
    wanted: &T,
    mut look: impl FnMut() -> T,
) {
    let begun = Instant::now();
    loop {
        let found = look();
        if found == *wanted {
            return;
        }
        assert!(
            begun.elapsed() < deadline,
            "{what}: wanted {wanted:?}, found {found:?} after {deadline:?}"
        );
        std::thread::sleep(PAUSE);
    }
}
