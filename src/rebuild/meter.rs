//! How far a build is, how fast, and how long it takes still.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::operation::{Operation, Progress};
use crate::event::Sequence;
use crate::status::{Making, Phase, Rebuild};
use crate::worker::shared::Shared;

/// As often as anybody looks.
const SHOWN_EVERY: Duration = Duration::from_millis(100);
/// The pace is that of this long at least, so that it does not jump.
const PACE_OVER: Duration = Duration::from_secs(5);

/// Shows it in the operation and in the projection's status.
pub(super) struct Meter {
    operation: Arc<Operation>,
    shared: Option<Arc<Shared>>,
    rebuild: Rebuild,
    /// The first sequence to read.
    first: Sequence,
    shown: Instant,
    /// Where it was, and when, for the pace.
    mark: (u64, Instant),
    before: Option<(u64, Instant)>,
}

impl Meter {
    pub(super) fn new(operation: Arc<Operation>, shared: Option<Arc<Shared>>) -> Self {
        let now = Instant::now();
        let meter = Self {
            operation,
            shared,
            rebuild: Rebuild::preparing(0),
            first: Sequence(1),
            shown: now,
            mark: (0, now),
            before: None,
        };
        meter.show();
        meter
    }

    /// Which generation it makes.
    pub(super) fn is_of(&mut self, generation: u64) {
        self.rebuild.generation = generation;
        self.show();
    }

    /// What there is to read.
    pub(super) fn reads(&mut self, first: Sequence, target: Sequence) {
        self.first = first;
        self.aims_at(target);
        self.mark = (0, Instant::now());
        self.before = None;
    }

    /// Whether anything has been read.
    pub(super) fn has_read(&self) -> bool {
        self.rebuild.applied > 0
    }

    /// The stream has grown.
    pub(super) fn aims_at(&mut self, target: Sequence) {
        self.rebuild.total = target.0.saturating_sub(self.first.0.saturating_sub(1));
    }

    pub(super) fn phase(&self) -> Phase {
        self.rebuild.phase
    }

    /// It goes on to this.
    pub(super) fn turns(&mut self, phase: Phase) {
        if self.rebuild.phase != phase {
            self.rebuild.phase = phase;
            tracing::debug!(projection = self.operation.projection, phase = phase.word(), "build");
            self.show();
        }
    }

    /// Everything up to here is read.
    pub(super) fn is_at(&mut self, sequence: Sequence) {
        let applied = sequence.0.saturating_sub(self.first.0.saturating_sub(1));
        self.rebuild.applied = applied;
        self.rebuild.total = self.rebuild.total.max(applied);
        if self.shown.elapsed() < SHOWN_EVERY {
            return;
        }
        let now = Instant::now();
        self.shown = now;
        if now - self.mark.1 >= PACE_OVER {
            self.before = Some(std::mem::replace(&mut self.mark, (applied, now)));
        }
        let (applied_then, then) = self.before.unwrap_or(self.mark);
        let seconds = (now - then).as_secs_f64();
        let rate = applied.saturating_sub(applied_then) as f64 / seconds.max(0.001);
        let left = self.rebuild.total.saturating_sub(applied);
        self.rebuild.messages_per_second = rate.round();
        self.rebuild.seconds_left =
            (rate > 0.0).then(|| (left as f64 / rate * 10.0).round() / 10.0);
        self.show();
    }

    /// How far the full-text index is that it makes.
    pub(super) fn indexes(&self, making: Making) {
        self.show_as(Rebuild { index: Some(making), ..self.rebuild.clone() });
    }

    /// It is over: nothing is built any more.
    pub(super) fn finish(&self) {
        if let Some(shared) = &self.shared {
            shared.rebuilding(None);
        }
    }

    fn show(&self) {
        self.show_as(self.rebuild.clone());
    }

    fn show_as(&self, rebuild: Rebuild) {
        let progress = match rebuild.phase {
            Phase::Held => Progress::Held,
            _ => Progress::Running,
        };
        self.operation.show(progress, rebuild.clone());
        if let Some(shared) = &self.shared {
            shared.rebuilding(Some(rebuild));
        }
    }
}
