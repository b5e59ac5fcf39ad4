//! What was asked of the daemon and takes its time, and what has become of it.
//!
//! An operation outlives whoever asked for it: it is begun, looked at, told to go on or to end, and found again by its
//! number as long as the daemon runs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::beat::Beat;
use crate::status::Rebuild;

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A new generation by replay.
    Rebuild,
    /// A new generation from the rows of the one that is served.
    Reshape,
    /// A retired generation is served again, once it has caught up.
    Rollback,
    /// A new generation by replay that is compared and never served.
    Verify,
}

/// Who asked for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Command,
    /// The definition on disk is another than the one that is served.
    Definition,
    /// The projection's policy for a gap or a changed stream, which consents to forgetting.
    Policy,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    pub kind: Kind,
    pub cause: Cause,
    /// Not served before it is promoted.
    pub hold: bool,
    /// It may forget what the stream no longer holds (I11).
    pub forget: bool,
    /// It is served whatever the checks before the cut-over find.
    pub force: bool,
    /// Of a rollback: it is served as it stands, and follows from there.
    pub now: bool,
    /// Of a rollback at once: though the stream no longer holds what it lacks.
    pub accept_gap: bool,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Progress {
    Running,
    /// It waits to be promoted.
    Held,
    Done,
    /// By what the checks found.
    Refused,
    /// What the stream no longer holds would be forgotten, or is missing (I11).
    WouldForget,
    Failed,
    Cancelled,
}

impl Kind {
    /// Whether it makes what the definition on disk says.
    pub fn is_build(self) -> bool {
        matches!(self, Self::Rebuild | Self::Reshape)
    }

    /// The word in sentences.
    pub fn word(self) -> &'static str {
        match self {
            Self::Rebuild => "rebuild",
            Self::Reshape => "reshape",
            Self::Rollback => "rollback",
            Self::Verify => "verify --deep",
        }
    }
}

impl Order {
    /// Whether whoever asks for the other gets what this gives.
    pub fn asks_the_same(self, other: Self) -> bool {
        Self { cause: other.cause, ..self } == other
    }
}

impl Progress {
    /// Whether nothing more will come.
    pub fn is_over(self) -> bool {
        !matches!(self, Self::Running | Self::Held)
    }

    /// Whether it has come to nothing, and nobody has said that it should.
    pub fn is_unwell(self) -> bool {
        matches!(self, Self::Refused | Self::WouldForget | Self::Failed)
    }

    /// The word in metrics: of one that runs, that it was cut off.
    pub fn outcome(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused | Self::WouldForget => "refused",
            Self::Failed => "failed",
            Self::Running | Self::Held | Self::Cancelled => "cancelled",
        }
    }
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    pub id: u64,
    pub projection: String,
    pub order: Order,
    /// Ends it, with nothing left of it.
    pub cancel: CancellationToken,
    /// What its thread is at, for the watchdog.
    pub beat: Arc<Beat>,
    hold: AtomicBool,
    state: Mutex<State>,
    moved: Notify,
}

#[derive(Clone, Debug)]
struct State {
    progress: Progress,
    detail: Option<String>,
    /// What it waits for, while it does.
    waits: Option<String>,
    next: Option<String>,
    rebuild: Option<Rebuild>,
    result: serde_json::Value,
}

/// An operation as it stands, as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    pub operation: u64,
    pub projection: String,
    pub kind: Kind,
    pub cause: Cause,
    pub state: Progress,
    /// What was found, refused or failed: a sentence.
    pub detail: Option<String>,
    /// The command that goes on from there.
    pub next: Option<String>,
    /// The build while it runs, and as it ended.
    pub rebuild: Option<Rebuild>,
    /// What it came to, by kind: of a verification what differs.
    pub result: serde_json::Value,
}

/// How an operation ended.
#[derive(Clone, Debug)]
pub struct Ended {
    pub progress: Progress,
    pub detail: Option<String>,
    pub next: Option<String>,
    pub result: serde_json::Value,
}

impl Order {
    /// Of this kind, without any option.
    pub fn new(kind: Kind, cause: Cause) -> Self {
        Self {
            kind,
            cause,
            hold: false,
            forget: false,
            force: false,
            now: false,
            accept_gap: false,
        }
    }
}

impl Operation {
    /// `cancel` is a child of what ends the daemon.
    pub fn new(id: u64, projection: &str, order: Order, cancel: CancellationToken) -> Self {
        let state = State {
            progress: Progress::Running,
            detail: None,
            waits: None,
            next: None,
            rebuild: None,
            result: serde_json::Value::Null,
        };
        Self {
            id,
            projection: projection.to_owned(),
            order,
            cancel,
            beat: Arc::default(),
            hold: AtomicBool::new(order.hold),
            state: Mutex::new(state),
            moved: Notify::new(),
        }
    }

    /// Lets it be served as soon as it can be.
    pub fn promote(&self) {
        self.hold.store(false, Ordering::Relaxed);
        let mut state = self.lock();
        if state.progress == Progress::Held {
            // Whoever follows it now follows it to its end.
            state.progress = Progress::Running;
        }
        drop(state);
        self.moved.notify_waiters();
    }

    /// Whether it is to wait for [`Operation::promote`].
    pub fn is_held(&self) -> bool {
        self.hold.load(Ordering::Relaxed)
    }

    pub fn is_over(&self) -> bool {
        self.lock().progress.is_over()
    }

    pub fn shown(&self) -> Shown {
        let State { progress, detail, waits, next, rebuild, result } = self.lock().clone();
        let detail = detail.or(waits);
        Shown {
            operation: self.id,
            projection: self.projection.clone(),
            kind: self.order.kind,
            cause: self.order.cause,
            state: progress,
            detail,
            next,
            rebuild,
            result,
        }
    }

    /// Waits until it is over.
    pub async fn over(&self) -> Shown {
        loop {
            let mut moved = std::pin::pin!(self.moved.notified());
            // Counted as waiting before it looks, so what happens in between wakes it.
            moved.as_mut().enable();
            if self.is_over() {
                return self.shown();
            }
            moved.await;
        }
    }

    /// Shows how far the build is.
    pub fn show(&self, progress: Progress, rebuild: Rebuild) {
        let mut state = self.lock();
        state.progress = progress;
        state.rebuild = Some(rebuild);
        drop(state);
        self.moved.notify_waiters();
    }

    /// Says what it waits for; `None` that it goes on.
    pub fn waits(&self, detail: Option<String>) {
        let mut state = self.lock();
        if let (None, Some(detail)) = (&state.waits, &detail) {
            let (operation, projection) = (self.id, &self.projection);
            tracing::info!(projection, operation, detail, "build waits");
        }
        state.waits = detail;
    }

    /// Says that its thread stands still; `None` that it moves again.
    pub fn stalled(&self, detail: Option<String>) {
        let mut state = self.lock();
        if state.progress.is_over() {
            return;
        }
        let (operation, projection) = (self.id, &self.projection);
        match (&state.detail, &detail) {
            (None, Some(detail)) => {
                tracing::warn!(projection, operation, detail, "build stands still");
            }
            (Some(_), None) => tracing::info!(projection, operation, "build moves again"),
            _ => {}
        }
        state.detail = detail;
    }

    /// Says how it ended; the first word stands.
    pub fn end(&self, ended: Ended) {
        let Ended { progress, detail, next, result } = ended;
        let mut state = self.lock();
        if !state.progress.is_over() {
            let rebuild = state.rebuild.take();
            *state = State { progress, detail, waits: None, next, rebuild, result };
        }
        drop(state);
        self.moved.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_it_waits_for_is_said_until_it_goes_on() {
        let order = Order::new(Kind::Rebuild, Cause::Command);
        let operation = Operation::new(1, "p", order, CancellationToken::new());
        let detail = || operation.shown().detail;
        assert_eq!(detail(), None);
        operation.waits(Some("an index".to_owned()));
        // A thread that stands still is told first.
        operation.stalled(Some("a disk".to_owned()));
        assert_eq!(detail().as_deref(), Some("a disk"));
        operation.stalled(None);
        assert_eq!(detail().as_deref(), Some("an index"));
        operation.waits(None);
        assert_eq!(detail(), None);
        operation.waits(Some("an index".to_owned()));
        let progress = Progress::Done;
        operation.end(Ended {
            progress,
            detail: None,
            next: None,
            result: serde_json::Value::Null,
        });
        assert_eq!(detail(), None);
    }
}
