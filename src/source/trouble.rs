//! One trouble at a time: since when, what, and when to say so.
//!
//! A server that is away for an hour would fill a log with the same line. The first failure is logged, then at most one
//! line each 30 seconds with the count, then one when it is over.

use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

const LINE_EVERY: Duration = Duration::from_secs(30);

/// What is wrong at the moment, if anything.
#[derive(Debug, Default)]
pub struct Trouble(Mutex<Option<State>>);

/// A trouble that has not ended.
#[derive(Clone, Debug)]
pub struct Standing {
    pub since: Instant,
    pub error: String,
}

#[derive(Debug)]
struct State {
    standing: Standing,
    failures: u64,
    logged: Instant,
}

impl Trouble {
    /// What is wrong, while it is.
    pub fn standing(&self) -> Option<Standing> {
        self.lock().as_ref().map(|state| state.standing.clone())
    }

    pub(super) fn failed(&self, stream: &str, error: String) {
        let now = Instant::now();
        let mut state = self.lock();
        match &mut *state {
            None => {
                tracing::warn!(stream, error, "source failed, trying again");
                *state = Some(State {
                    standing: Standing { since: now, error },
                    failures: 1,
                    logged: now,
                });
            }
            Some(state) => {
                state.failures += 1;
                if now.duration_since(state.logged) >= LINE_EVERY {
                    tracing::warn!(
                        stream,
                        error,
                        failures = state.failures,
                        "source still failing"
                    );
                    state.logged = now;
                }
                state.standing.error = error;
            }
        }
    }

    pub(super) fn recovered(&self, stream: &str) {
        if let Some(state) = self.lock().take() {
            let seconds = state.standing.since.elapsed().as_secs_f64();
            tracing::info!(stream, failures = state.failures, seconds, "source recovered");
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stands_from_the_first_failure_until_recovery() {
        let trouble = Trouble::default();
        assert!(trouble.standing().is_none());
        trouble.failed("SHOP", "one".to_owned());
        let first = trouble.standing().unwrap();
        trouble.failed("SHOP", "two".to_owned());
        let second = trouble.standing().unwrap();
        assert_eq!((second.since, second.error.as_str()), (first.since, "two"));
        trouble.recovered("SHOP");
        assert!(trouble.standing().is_none());
    }
}
