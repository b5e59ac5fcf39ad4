//! The watchdog: finds a worker that stands still, and keeps the states of all projections true meanwhile.
//!
//! A worker's thread can hang where nothing can interrupt it: in a write to a disk that does not answer, in one event
//! that does not end. What hangs cannot say so, and cannot be started again beside itself, since each view has one
//! writer. So it is reported, as `failed`, `stalled`, with the stage and the sequence, until it moves again. And as a
//! projection's state must not stand still with its worker, each tick derives all of them from the fresh head of their
//! streams (I7).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::daemon::Daemon;
use super::operations::Entry;
use crate::beat::{Pulse, Stage};
use crate::event::Sequence;
use crate::indexer::published::Trouble;
use crate::worker::numbers::Sight;
use crate::worker::shared::Shared;

/// How often it looks: as fine as anybody reads a state.
const TICK: Duration = Duration::from_secs(1);
/// What is allowed is seen at least so many times before it is over.
const LOOKS_MIN: u32 = 4;

/// The task; [`Watchdog::run`] is to be spawned.
pub(super) struct Watchdog {
    daemon: Arc<Daemon>,
    stall_max: Duration,
    tick: Duration,
    /// Those that run, by name.
    stalls: BTreeMap<String, Watched>,
    /// Of the builds that run, by number.
    builds: BTreeMap<u64, Stall>,
}

/// A projection's stall, as it is being watched.
struct Watched {
    stall: Stall,
    /// It has been reported, and not yet moved.
    reported: bool,
    /// Of the thread of its full-text indexes, of which the view needs none: the projection is `degraded`.
    indexes: Stall,
}

/// How long a beat has not changed.
#[derive(Debug)]
struct Stall {
    pulse: Pulse,
    looked: Instant,
    stood: Duration,
}

/// A worker that stands still.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stalled {
    stage: Stage,
    sequence: Sequence,
    stood: Duration,
}

impl Watchdog {
    pub(super) fn new(daemon: &Arc<Daemon>, stall_max: Duration) -> Self {
        Self {
            daemon: Arc::clone(daemon),
            stall_max,
            tick: TICK.min(stall_max / LOOKS_MIN),
            stalls: BTreeMap::new(),
            builds: BTreeMap::new(),
        }
    }

    /// Looks until cancelled.
    pub(super) async fn run(mut self, cancel: CancellationToken) {
        let mut ticks = tokio::time::interval(self.tick);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while cancel.run_until_cancelled(ticks.tick()).await.is_some() {
            self.look(Instant::now());
            self.look_at_builds(Instant::now());
        }
    }

    /// A build that stands still says so, and nothing more: what is served goes on.
    fn look_at_builds(&mut self, now: Instant) {
        let running = self.daemon.operations.all_running();
        self.builds.retain(|id, _| running.iter().any(|entry| entry.operation.id == *id));
        for Entry { operation, .. } in &running {
            let pulse = operation.beat.pulse();
            let stall = self.builds.entry(operation.id);
            let stall = stall.or_insert_with(|| Stall::new(now, pulse));
            let stalled = stall.look(now, pulse, self.tick * 2);
            let stalled = stalled.filter(|stalled| stalled.stood >= self.stall_max);
            operation.stalled(stalled.map(Stalled::detail));
        }
    }

    fn look(&mut self, now: Instant) {
        let projections = self.daemon.projections();
        self.stalls.retain(|name, _| projections.iter().any(|tracked| tracked.name() == name));
        for tracked in projections.iter() {
            let shared = &tracked.shared;
            let watched = self.stalls.entry(tracked.name().to_owned());
            let watched = watched.or_insert_with(|| Watched {
                stall: Stall::new(now, shared.beat().pulse()),
                reported: false,
                indexes: Stall::new(now, Pulse::default()),
            });
            // A process that was stopped, or a machine that had no time for it, is no stall: between two looks no more
            // than two ticks can have been stood still.
            let stalled = watched.stall.look(now, shared.beat().pulse(), self.tick * 2);
            let stalled = stalled.filter(|stalled| stalled.stood >= self.stall_max);
            watched.report(shared, stalled);
            if let Some(board) = shared.board() {
                let stalled = watched.indexes.look(now, board.beat().pulse(), self.tick * 2);
                let stalled = stalled.filter(|stalled| stalled.stood >= self.stall_max);
                board.stalled(stalled.map(|stalled| stalled.of_indexes()));
            }
            if let Some(watch) = shared.following().watch {
                shared.update(&Sight::of(&watch), |_| ());
            }
        }
    }
}

impl Watched {
    fn report(&mut self, shared: &Shared, stalled: Option<Stalled>) {
        let projection = shared.name();
        match stalled {
            Some(stalled) => {
                if !self.reported {
                    let (stage, sequence) = (stalled.stage.word(), stalled.sequence);
                    let seconds = stalled.stood.as_secs_f64();
                    tracing::error!(projection, stage, %sequence, seconds, "projection stands still");
                }
                shared.stalled(Some((stalled.detail(), stalled.next())));
            }
            None if self.reported => {
                tracing::info!(projection, "projection moves again");
                shared.stalled(None);
            }
            None => {}
        }
        self.reported = stalled.is_some();
    }
}

impl Stall {
    fn new(now: Instant, pulse: Pulse) -> Self {
        Self { pulse, looked: now, stood: Duration::ZERO }
    }

    /// What stands still and for how long; None while it moves, or waits for something. `elapsed_max` bounds what one
    /// look may add.
    fn look(&mut self, now: Instant, pulse: Pulse, elapsed_max: Duration) -> Option<Stalled> {
        let elapsed = now.duration_since(self.looked).min(elapsed_max);
        self.looked = now;
        self.stood = if pulse == self.pulse { self.stood + elapsed } else { Duration::ZERO };
        self.pulse = pulse;
        let Pulse { stage, sequence, .. } = pulse;
        stage.works().then_some(Stalled { stage, sequence, stood: self.stood })
    }
}

impl Stalled {
    fn of_indexes(self) -> Trouble {
        let (stage, seconds) = (self.stage.word(), self.stood.as_secs());
        Trouble {
            detail: format!(
                "the full-text indexes stand still: stage {stage} has not ended for {seconds} s"
            ),
            next: Some(
                "look at the disk; restart viewd if they do not go on, and report it with the log"
                    .to_owned(),
            ),
        }
    }

    fn detail(self) -> String {
        let (sequence, seconds) = (self.sequence, self.stood.as_secs());
        match self.stage {
            Stage::Commit => format!(
                "stage commit, behind sequence {sequence}: the write has not ended for {seconds} s"
            ),
            stage => format!(
                "stage {}, sequence {sequence}: the event has not ended for {seconds} s",
                stage.word()
            ),
        }
    }

    fn next(&self) -> String {
        match self.stage {
            Stage::Commit => {
                "look at the disk and at who else writes to the view; restart viewd if it does not go on, and report it with the log"
            }
            _ => "restart viewd, and report it with the log and the event",
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beat::Beat;

    const SECOND: Duration = Duration::from_secs(1);

    /// Steps of a worker, each followed by so many looks a second apart; what the last of them says.
    type Step<'a> = (&'a dyn Fn(&Beat), u32);

    #[track_caller]
    fn check(steps: &[Step<'_>], expected: Option<(Stage, u64, u64)>) {
        let beat = Beat::default();
        let mut now = Instant::now();
        let mut stall = Stall::new(now, beat.pulse());
        let mut found = None;
        for (step, looks) in steps {
            step(&beat);
            for _ in 0..*looks {
                now += SECOND;
                found = stall.look(now, beat.pulse(), 2 * SECOND);
            }
        }
        let found = found.map(|found| (found.stage, found.sequence.0, found.stood.as_secs()));
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_ought_to_move_and_does_not_stands_still() {
        let begin = |stage, sequence| move |beat: &Beat| beat.begin(stage, Sequence(sequence));
        let nothing = |_: &Beat| ();
        check(&[(&nothing, 100)], None);
        check(&[(&begin(Stage::Space, 5), 100)], None);
        check(&[(&begin(Stage::Failed, 5), 100)], None);
        // The first look sees the change, the others that there is none.
        check(&[(&begin(Stage::Apply, 5), 10)], Some((Stage::Apply, 5, 9)));
        check(&[(&begin(Stage::Commit, 5), 61)], Some((Stage::Commit, 5, 60)));
        // A long batch that goes on, an event at a time.
        let at = |sequence| move |beat: &Beat| beat.at(Sequence(sequence));
        let long =
            [(&begin(Stage::Apply, 5) as &dyn Fn(&Beat), 9), (&at(6), 9), (&at(7), 9), (&at(8), 3)];
        check(&long, Some((Stage::Apply, 8, 2)));
        // The same step of the same sequence begun again is a move.
        check(
            &[(&begin(Stage::Commit, 5), 9), (&begin(Stage::Commit, 5), 3)],
            Some((Stage::Commit, 5, 2)),
        );
        check(&[(&begin(Stage::Commit, 5), 99), (&begin(Stage::Idle, 5), 1)], None);
    }

    #[test]
    fn a_process_that_stood_still_is_no_stall() {
        let beat = Beat::default();
        let now = Instant::now();
        let mut stall = Stall::new(now, beat.pulse());
        beat.begin(Stage::Commit, Sequence(1));
        stall.look(now + SECOND, beat.pulse(), 2 * SECOND);
        let found = stall.look(now + 3600 * SECOND, beat.pulse(), 2 * SECOND).unwrap();
        assert_eq!(found.stood, 2 * SECOND);
    }

    #[test]
    fn says_where_and_since_when() {
        let stalled = |stage| Stalled { stage, sequence: Sequence(7), stood: 61 * SECOND };
        assert_eq!(
            stalled(Stage::Apply).detail(),
            "stage apply, sequence 7: the event has not ended for 61 s"
        );
        assert_eq!(
            stalled(Stage::Commit).detail(),
            "stage commit, behind sequence 7: the write has not ended for 61 s"
        );
    }
}
