//! What sets a projection that has failed going again, without a restart.
//!
//! | it failed by | what mends it |
//! |---|---|
//! | a gap | `accept`; `policy.on_gap`: going on past it, or a build from what is left |
//! | another stream | `accept`, if the messages that were read are in it; `policy.on_source_change`: a build from it |
//! | either | the right stream is there again, whole: it is looked at every few seconds |
//! | retention | a poll of the head says that it is `limits` again |
//! | a server that is too old | tried again every few seconds |
//! | anything else | a person, and a restart |
//!
//! What is decided is decided by a fresh look at the stream, not by the fault, which may be old when a person comes.
//! The checkpoint moves first; then the stream is read from there, which verifies it once more. A fault that still
//! stands comes back the same way as it first came.

use std::time::{Duration, Instant};

use super::batch::Stop;
use super::command::{Accepted, Answer, Refused};
use super::common::Ask;
use super::{Batched, Loop};
use crate::clock;
use crate::definition::{OnGap, OnSourceChange};
use crate::event::Sequence;
use crate::source::accept::{Found, Seen};
use crate::source::{Fault, Reason as FaultReason};
use crate::status::{Reason, Rebuild};
use crate::store::Error as StoreError;

/// After this long a stream that could not be asked is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// A stream that was not the right one is looked at again after this long: who puts it right is at work for minutes.
const LOOK_AGAIN: Duration = Duration::from_secs(10);

/// Why a projection stands still, and what may end that.
pub(super) struct Failed {
    pub(super) stop: Stop,
    pub(super) mending: Mending,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Mending {
    /// A person.
    Person,
    /// The stream is looked at again at this moment; a person may be quicker.
    Look(Instant),
    /// The stream is read again at this moment.
    Again(Instant),
    /// The stream is read again when its retention is `limits`, by a poll later than this.
    Limits(Instant),
    /// It is being read: the fault comes back, or the stream proves to be sound.
    Reading,
    /// A build was asked for: once none is at work, and not before this moment, the stream is looked at again.
    Building(Instant),
}

/// After a build that came to nothing: a second, doubled up to a minute, as each begins at the first message.
const BUILD_AGAIN_MIN: Duration = Duration::from_secs(1);
const BUILD_AGAIN_MAX: Duration = Duration::from_secs(60);

impl Failed {
    /// Whether reading again meets what it failed by, if that is still there.
    pub(super) fn is_of_the_stream(&self) -> bool {
        !matches!(self.mending, Mending::Person | Mending::Building(_))
    }
}

impl Loop {
    /// Does what the projection's policy says of a fault of its stream.
    pub(super) fn fault(&mut self, fault: &Fault) -> Batched {
        let stop = stop_of(fault, &self.name);
        if fault.reason == FaultReason::SourceChanged && !self.stands(&stop) {
            let changes = &self.worker.common.metrics.stream_identity_changes_total;
            changes.with_label_values(&[&self.worker.recipe.reading.stream]).inc();
        }
        let policy = &self.worker.recipe.plan.definition().policy;
        match (fault.reason, policy.on_gap, policy.on_source_change) {
            (FaultReason::Gap { .. }, OnGap::Continue, _) => self.by_policy(stop),
            (FaultReason::Gap { .. }, OnGap::Rebuild, _)
            | (FaultReason::SourceChanged, _, OnSourceChange::Rebuild) => {
                self.show_preparing();
                self.fail(stop.clone(), Mending::Building(Instant::now()));
                self.by_policy(stop)
            }
            (reason, ..) => {
                self.fail(stop, mending(reason));
                Batched::Committed
            }
        }
    }

    /// What may be done when nothing has come from the stream for a moment.
    pub(super) fn mend(&mut self) -> Batched {
        if self.stand.is_some() {
            return Batched::Committed;
        }
        let Some(failed) = &mut self.failed else { return Batched::Committed };
        match failed.mending {
            Mending::Building(at) => {
                let at_work = self.worker.shared.is_rebuilding();
                if at > Instant::now() || at_work {
                    return Batched::Committed;
                }
                let stop = failed.stop.clone();
                return self.by_policy(stop);
            }
            Mending::Look(at) if at <= Instant::now() => return self.look_again(),
            Mending::Again(at) if at <= Instant::now() => {}
            Mending::Limits(since) => {
                let head = self.worker.watch.head.stream.borrow();
                let limits = |head: &crate::source::head::StreamHead| {
                    head.retention == "limits" && head.asked >= since
                };
                if !head.as_ref().is_some_and(limits) {
                    return Batched::Committed;
                }
            }
            Mending::Reading if self.worker.watch.verified_head().is_some() => {
                self.mended();
                return Batched::Committed;
            }
            _ => return Batched::Committed,
        }
        failed.mending = Mending::Reading;
        self.restart();
        Batched::Committed
    }

    /// Reads on if the stream is what it was, as a restart would; else says what it is now.
    fn look_again(&mut self) -> Batched {
        let found = self.look().map(|seen| seen.found);
        let Some(failed) = &mut self.failed else { return Batched::Committed };
        failed.mending = Mending::Look(Instant::now() + LOOK_AGAIN);
        match found {
            Ok(Found::Sound) => {
                tracing::info!(projection = self.name, "the stream is what it was, reading on");
                self.read_on();
            }
            Ok(Found::Refused(fault)) => {
                let stop = stop_of(&fault, &self.name);
                if stop != failed.stop {
                    let Stop { reason, detail, next } = stop.clone();
                    failed.stop = stop;
                    self.worker.shared.fail(reason, detail, next);
                }
            }
            // What there is to say of these was said when they came; what they are now is looked at when they are
            // accepted. A stream that cannot be asked is asked again.
            Ok(Found::Gap { .. } | Found::Restored(_)) | Err(_) => {}
        }
        Batched::Committed
    }

    /// The stream has proved to be sound.
    pub(super) fn mended(&mut self) {
        if self.failed.take().is_some() {
            self.given_up = 0;
            self.worker.shared.resume();
            self.publish(0);
        }
    }

    /// Says that the projection stands still, once for each reason why.
    pub(super) fn fail(&mut self, stop: Stop, mending: Mending) {
        if !self.stands(&stop) {
            tracing::error!(
                projection = self.name,
                reason = stop.reason.word(),
                detail = stop.detail,
                "projection failed"
            );
        }
        // A process that ends from now on does not end at work, unless a build follows: then it goes on counting.
        if self.failed.is_none() && !self.worker.shared.is_rebuilding() {
            self.end_run();
        }
        let Stop { reason, detail, next } = stop.clone();
        self.worker.shared.fail(reason, detail, next);
        self.failed = Some(Failed { stop, mending });
        self.publish(0);
    }

    pub(super) fn accept(&mut self) -> (Answer, Batched) {
        let Some(failed) = &self.failed else { return (Ok(Accepted::Nothing), Batched::Committed) };
        let refused = |stop: &Stop| {
            let (detail, next) = (stop.detail.clone(), stop.next.clone());
            (Err(Refused::NotAcceptable { detail, next }), Batched::Committed)
        };
        if self.worker.shared.is_rebuilding() {
            return (Err(Refused::Busy("it is being rebuilt".to_owned())), Batched::Committed);
        }
        if !matches!(failed.stop.reason, Reason::Gap | Reason::SourceChanged | Reason::Retention) {
            return refused(&failed.stop);
        }
        let found = match self.look() {
            Ok(seen) => seen.found,
            Err(error) => return (Err(Refused::Unreachable(error)), Batched::Committed),
        };
        let accepted = match found {
            Found::Sound => Ok(Accepted::Sound),
            Found::Gap { first, last } => {
                self.pass(first, last).map(|missed| Accepted::Gap { first, last, missed })
            }
            Found::Restored(origin) => {
                let adopted = self.worker.store.adopt(origin, clock::now());
                adopted.map(|()| Accepted::Restored)
            }
            Found::Refused(fault) => {
                let stop = stop_of(&fault, &self.name);
                let answer = refused(&stop);
                self.fail(stop, mending(fault.reason));
                return answer;
            }
        };
        match accepted {
            Ok(accepted) => {
                tracing::info!(projection = self.name, %accepted, "accepted");
                self.read_on();
                (Ok(accepted), Batched::Committed)
            }
            Err(error) => {
                let (detail, next) = (error.to_string(), error.hint());
                (Err(Refused::Storage { detail, next }), self.not_written(error))
            }
        }
    }

    /// Goes on past a gap or begins a build, if a fresh look says that this is what the policy is for.
    fn by_policy(&mut self, stop: Stop) -> Batched {
        let policy = &self.worker.recipe.plan.definition().policy;
        let (on_gap, on_source_change) = (policy.on_gap, policy.on_source_change);
        let seen = match self.look() {
            Ok(seen) => seen,
            Err(error) => {
                tracing::debug!(projection = self.name, error, "look at the stream");
                self.fail(stop, Mending::Again(Instant::now() + ASK_AGAIN));
                return Batched::Committed;
            }
        };
        let another = match &seen.found {
            Found::Restored(_) => true,
            Found::Refused(fault) => fault.reason == FaultReason::SourceChanged,
            Found::Sound | Found::Gap { .. } => false,
        };
        match &seen.found {
            Found::Gap { first, last } if on_gap == OnGap::Continue => {
                match self.pass(*first, *last) {
                    Ok(_) => self.read_on(),
                    Err(error) => {
                        self.fail(stop, Mending::Again(Instant::now() + ASK_AGAIN));
                        return self.not_written(error);
                    }
                }
            }
            Found::Gap { .. } if on_gap == OnGap::Rebuild => return self.ask_build(),
            _ if another && on_source_change == OnSourceChange::Rebuild => {
                return self.ask_build();
            }
            // Another fault than the one that came, which this policy is not for.
            Found::Refused(fault) => self.fail(stop_of(fault, &self.name), mending(fault.reason)),
            Found::Gap { .. } | Found::Restored(_) | Found::Sound => {
                self.fail(stop, Mending::Again(Instant::now() + ASK_AGAIN));
            }
        }
        self.worker.shared.rebuilding(None);
        Batched::Committed
    }

    /// Shows that a build is about to begin.
    fn show_preparing(&self) {
        let next = self.worker.store.checkpoint().generation.0 + 1;
        self.worker.shared.rebuilding(Some(Rebuild::preparing(next)));
    }

    /// Asks for a build from what the stream now holds. A process that ends during it counts as one that ended at
    /// work: an event that kills it leads to `crash_loop`, not to builds for ever.
    fn ask_build(&mut self) -> Batched {
        if let Err(error) = self.worker.store.begin_batch() {
            self.worker.shared.rebuilding(None);
            return self.not_written(error);
        }
        self.show_preparing();
        let pause = BUILD_AGAIN_MIN.saturating_mul(1 << self.given_up.min(6)).min(BUILD_AGAIN_MAX);
        self.given_up += 1;
        if let Some(failed) = &mut self.failed {
            failed.mending = Mending::Building(Instant::now() + pause);
        }
        // Without a supervisor the daemon is ending.
        let _ = self.worker.common.asks.send(Ask::Rebuild { projection: self.name.clone() });
        Batched::Committed
    }

    fn look(&self) -> Result<Seen, String> {
        let position = self.worker.store.checkpoint().position();
        self.worker.look.take(&position, &self.worker.common.shutdown)
    }

    fn pass(&mut self, first: Sequence, last: Sequence) -> Result<u64, StoreError> {
        let missed = self.worker.store.pass_gap(last, clock::now())?;
        tracing::warn!(
            projection = self.name, %first, %last, missed,
            "going on past messages that the stream no longer holds"
        );
        Ok(missed)
    }

    /// Reads on from the checkpoint.
    fn read_on(&mut self) {
        self.restart();
        self.failed = None;
        self.given_up = 0;
        self.worker.shared.rebuilding(None);
        self.worker.shared.resume();
        self.publish(0);
    }

    /// Of a transaction that was rolled back: space may come back, anything else does not.
    fn not_written(&mut self, error: StoreError) -> Batched {
        match error {
            StoreError::Full { .. } | StoreError::Busy { .. } => {
                self.count_error(&error);
                Batched::Committed
            }
            error => self.broken(error),
        }
    }

    fn stands(&self, stop: &Stop) -> bool {
        self.failed.as_ref().is_some_and(|failed| failed.stop == *stop)
    }
}

/// What may mend a fault without a person.
fn mending(reason: FaultReason) -> Mending {
    match reason {
        FaultReason::Gap { .. } | FaultReason::SourceChanged => {
            Mending::Look(Instant::now() + LOOK_AGAIN)
        }
        FaultReason::Retention => Mending::Limits(Instant::now()),
    }
}

pub(super) fn stop_of(fault: &Fault, projection: &str) -> Stop {
    let reason = match fault.reason {
        FaultReason::Gap { .. } => Reason::Gap,
        FaultReason::SourceChanged => Reason::SourceChanged,
        FaultReason::Retention => Reason::Retention,
    };
    Stop {
        reason,
        detail: fault.detail.clone(),
        next: fault.next.map(|next| next.replace("{projection}", projection)),
    }
}
