//! A sealed generation follows the stream, meets the one that is served, and takes its place.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::TrySendError;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

use super::compare::Comparing;
use super::end::End;
use super::operation::{Cause, Kind};
use super::{Build, Serving};
use crate::definition::fingerprint::ENGINE;
use crate::event::Sequence;
use crate::status::{Phase, Reason, State};
use crate::store::Error as StoreError;
use crate::store::control::Control;
use crate::store::difference::Comparison;
use crate::store::snapshot::Snapshot;
use crate::store::stored;
use crate::store::writer::Store;
use crate::worker::command::Command;
use crate::worker::fences::Fences;
use crate::worker::meet::Step;
use crate::worker::successor::{Meet, Met, Pin, Place, Purpose, Successor};

/// How long a step waits for what comes: as fine as the generations have to meet.
const IDLE: Duration = Duration::from_millis(20);
/// How long either generation may be kept from its work by a meeting: well within the second that a view may lag.
const PATIENCE: Duration = Duration::from_millis(200);
/// So soon a worker hears what it is told, unless it waits for its disk.
const HEARD_WITHIN: Duration = Duration::from_secs(2);
/// As fine as a cut-over has to be.
const LOOKED_AT_EVERY: Duration = Duration::from_millis(1);
/// After a meeting that did not come about, and while another program or a full disk is in the way.
const PAUSE: Duration = Duration::from_millis(100);

/// Where a build has come to.
pub(super) enum Reached {
    Served,
    /// It is served where no worker was.
    Launch(Box<Successor>),
    /// It was made to be compared.
    Compared(Box<Comparison>),
}

/// What a meeting came to.
enum Meeting {
    CutOver,
    Snapshots(Box<Successor>, Box<(Snapshot, Snapshot)>),
    /// It lacks what may be forgotten.
    NotComparable(Box<Successor>),
    /// To be tried again, once what it waits for is there, if that is known.
    Again(Box<Successor>, Option<String>),
}

impl Build {
    /// Follows the stream with what was sealed until it is served, or compared.
    pub(super) fn follow(&mut self, mut store: Store) -> Result<Reached, End> {
        self.check()?;
        self.meter.turns(Phase::CatchingUp);
        store.begin_run()?;
        if !self.meter.has_read() {
            let at = store.checkpoint().sequence;
            let last = self.reading.head.stream.borrow().as_ref().map(|head| head.last_sequence);
            self.meter.reads(at.next(), last.unwrap_or(at));
        }
        let mut successor = Box::new(self.successor(store)?);
        if self.order().now {
            return self.serve_now(successor);
        }
        let mut compares = self.is_comparable(&successor)?;
        let mut comparing: Option<Comparing> = None;
        loop {
            self.check()?;
            let limit = self.limit(&mut successor, compares);
            self.step(&mut successor, limit)?;
            if let Some(over) = comparing.take_if(|comparing| comparing.is_over()) {
                let compared = over.result()?;
                if self.order().kind == Kind::Verify {
                    return Ok(Reached::Compared(Box::new(compared)));
                }
                if !compared.equal && !self.order().force {
                    let first = compared.differences.first().map_or("", String::as_str);
                    let detail = format!(
                        "its rows are not those that are served, of the same messages: {first}"
                    );
                    let look = format!(
                        "`viewd verify {} --deep` shows what differs",
                        self.operation.projection
                    );
                    return Err(self.refused(&detail, &look));
                }
                compares = false;
            }
            if comparing.is_some() {
                continue;
            }
            if self.operation.is_held() && !compares {
                self.meter.turns(Phase::Held);
                self.folder.end_attempt();
                continue;
            }
            if self.meter.phase() == Phase::Held {
                self.meter.turns(Phase::CatchingUp);
            }
            if !is_there(&successor, limit) {
                continue;
            }
            if let Some(waits) = successor.fences.waits_for(&successor.store) {
                self.operation.waits(Some(waits));
                continue;
            }
            self.folder.end_attempt();
            let Some(serving) = self.serving.clone() else {
                return self.serve_alone(successor);
            };
            let purpose = if compares { Purpose::Compare } else { self.cut_over_purpose() };
            successor = match self.meet(&serving, successor, purpose)? {
                Meeting::CutOver => return Ok(Reached::Served),
                Meeting::NotComparable(successor) => {
                    compares = false;
                    successor
                }
                Meeting::Again(successor, waits) => {
                    self.operation.waits(waits);
                    std::thread::sleep(PAUSE);
                    successor
                }
                Meeting::Snapshots(successor, snapshots) => {
                    self.operation.waits(None);
                    self.meter.turns(Phase::Comparing);
                    comparing = Some(Comparing::begin(*snapshots, &self.operation.cancel));
                    successor
                }
            };
        }
    }

    /// Everything that it follows the stream with.
    fn successor(&mut self, mut store: Store) -> Result<Successor, End> {
        let recipe = Arc::clone(&self.recipe);
        let batcher = recipe.batcher(self.common.parked_events_max);
        let mut batcher = batcher.watched(Arc::clone(&self.operation.beat));
        batcher.begin(&store)?;
        let (feed, watch) = self.reading.feed(store.checkpoint().position(), &self.common);
        let mut fences = match self.is_searched() {
            true => Fences::begin(&self.common, recipe.plan.definition(), &self.folder, &store),
            false => Fences::default(),
        };
        // Before anything is applied: what the indexes are held against is what was there.
        fences.work(&mut store)?;
        Ok(Successor {
            recipe,
            store,
            fences,
            batcher,
            batch_events_max: self.common.batch_events_max,
            feed,
            left: VecDeque::new(),
            watch,
            look: self.reading.look.clone(),
            tally: Arc::clone(&self.reading.tally),
            counted: None,
            ticket: self.ticket.take().unwrap_or_else(|| self.common.budget.store()),
        })
    }

    /// Applies what comes next, not behind a sequence if there is one.
    fn step(&mut self, successor: &mut Successor, limit: Option<Sequence>) -> Result<(), End> {
        successor.fences.work(&mut successor.store)?;
        let at = successor.store.checkpoint().sequence;
        if limit.is_some_and(|limit| at >= limit) {
            // Nothing is missing but what the served one has not applied either.
            std::thread::sleep(IDLE / 4);
            return Ok(());
        }
        match successor.step(limit, IDLE) {
            Ok(Step::Applied) => self.meter.is_at(successor.store.checkpoint().sequence),
            Ok(Step::Nothing) => {
                if let Err(error) = successor.store.idle() {
                    return Err(error.into());
                }
                if limit.is_some() {
                    successor.watch.reader.status().request_advance();
                }
            }
            Ok(Step::Stopped(stop)) => {
                return Err(self.stopped(successor.store.checkpoint().sequence.next(), stop));
            }
            Ok(Step::Closed) => {
                self.check()?;
                return Err(End::Shutdown);
            }
            Err(StoreError::Busy { .. }) => std::thread::sleep(PAUSE),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// How far it may go: not past what is served, whose messages it is held against at one sequence. Past one that has
    /// failed or is frozen it goes on once it has counted there; one that is paused stays where it is.
    fn limit(&self, successor: &mut Successor, compares: bool) -> Option<Sequence> {
        let serving = self.serving.as_ref().filter(|_| self.of_one_stream)?;
        let (ceiling, stands) = serving.shared.look(|served| {
            let stands = served.state == State::Failed || served.reason == Some(Reason::Frozen);
            (served.sequence, stands)
        });
        let checkpoint = successor.store.checkpoint();
        if compares || !stands || checkpoint.sequence < ceiling {
            return Some(ceiling);
        }
        if checkpoint.sequence == ceiling {
            successor.counted = Some((ceiling, checkpoint.messages));
        }
        None
    }

    fn cut_over_purpose(&self) -> Purpose {
        let order = self.order();
        // Whoever goes back wants what was served then, with what that has set aside.
        let rollback = order.kind == Kind::Rollback;
        Purpose::CutOver {
            force: order.force || rollback,
            forget: self.may_forget() || rollback,
            pin: match order.cause {
                _ if rollback => Pin::Set,
                Cause::Policy => Pin::Keep,
                Cause::Command | Cause::Definition => Pin::Clear,
            },
            now: order.now,
        }
    }

    /// Asks the worker to meet it.
    fn meet(
        &self,
        serving: &Serving,
        successor: Box<Successor>,
        purpose: Purpose,
    ) -> Result<Meeting, End> {
        let (reply, mut met) = oneshot::channel();
        let place = Place::with(successor);
        let cancel = self.operation.cancel.clone();
        let mut command = Command::Meet(Meet {
            place: place.clone(),
            cancel,
            purpose,
            patience: PATIENCE,
            reply,
        });
        loop {
            command = match serving.commands.try_send(command) {
                Ok(()) => break,
                Err(TrySendError::Full(command)) => command,
                Err(TrySendError::Disconnected(_)) => return Err(End::Shutdown),
            };
            self.check()?;
            std::thread::sleep(IDLE / 4);
        }
        let asked = Instant::now();
        let met = loop {
            match met.try_recv() {
                Err(TryRecvError::Empty) => {}
                met => break met,
            }
            // A worker that is kept by its disk does not hear: whoever waits for it takes its own back.
            if (asked.elapsed() > HEARD_WITHIN || self.check().is_err())
                && let Some(successor) = place.take()
            {
                self.check()?;
                return Ok(Meeting::Again(successor, None));
            }
            std::thread::sleep(LOOKED_AT_EVERY);
        };
        match met {
            Ok(Met::CutOver) => Ok(Meeting::CutOver),
            Ok(Met::Apart(successor)) => Ok(Meeting::Again(successor, None)),
            Ok(Met::Unsearched { successor, detail }) => {
                Ok(Meeting::Again(successor, Some(detail)))
            }
            Ok(Met::Snapshots(successor, snapshots)) => {
                Ok(Meeting::Snapshots(successor, snapshots))
            }
            Ok(Met::Less { successor, detail }) if self.may_forget() => {
                tracing::warn!(projection = self.operation.projection, detail, "as consented to");
                Ok(Meeting::NotComparable(successor))
            }
            Ok(Met::Less { successor, detail }) => {
                drop(successor);
                Err(self.would_forget(detail))
            }
            Ok(Met::Refused { successor, detail }) => {
                drop(successor);
                let look =
                    format!("`viewd try {}` shows what is set aside", self.operation.projection);
                Err(self.refused(&detail, &look))
            }
            Ok(Met::Failed { successor, detail }) => {
                drop(successor);
                Err(End::failed(detail))
            }
            Err(_) => Err(End::Shutdown),
        }
    }

    /// The checks say no, with what to look at before they are overruled.
    fn refused(&self, detail: &str, look: &str) -> End {
        let name = &self.operation.projection;
        let next = match self.order().kind {
            Kind::Rollback => None,
            _ => Some(format!("{look}; `viewd rebuild {name} --force` serves it nonetheless")),
        };
        End::Refused { detail: format!("cut-over refused: {detail}"), next }
    }

    /// Serves it as it stands.
    fn serve_now(&self, successor: Box<Successor>) -> Result<Reached, End> {
        let Some(serving) = self.serving.clone() else { return self.serve_alone(successor) };
        let mut successor = successor;
        loop {
            self.check()?;
            successor = match self.meet(&serving, successor, self.cut_over_purpose())? {
                Meeting::CutOver => return Ok(Reached::Served),
                Meeting::Again(successor, _)
                | Meeting::NotComparable(successor)
                | Meeting::Snapshots(successor, _) => successor,
            };
            std::thread::sleep(PAUSE);
        }
    }

    /// Serves it where nothing is served that a worker has open.
    fn serve_alone(&self, mut successor: Box<Successor>) -> Result<Reached, End> {
        let pinned = (self.order().kind == Kind::Rollback).then(|| self.recipe.fingerprint.clone());
        successor.store.set_control(Control { pinned, ..Control::default() })?;
        self.folder.cut_over(None, &mut successor.store)?;
        Ok(Reached::Launch(successor))
    }

    /// Whether its rows have to be those that are served: of the same definition, from the same messages.
    fn is_comparable(&self, successor: &Successor) -> Result<bool, End> {
        let why_not = self.why_not_comparable(successor);
        match (self.order().kind, why_not) {
            (Kind::Verify, Some(detail)) => Err(End::NotComparable { detail }),
            (Kind::Rebuild | Kind::Verify, why_not) => Ok(why_not.is_none()),
            (Kind::Reshape | Kind::Rollback, _) => Ok(false),
        }
    }

    /// Why its rows may differ from those that are served.
    fn why_not_comparable(&self, successor: &Successor) -> Option<String> {
        let Some(serving) = &self.serving else { return Some("nothing is served".to_owned()) };
        if serving.shared.look(|served| served.reason == Some(Reason::Corrupt)) {
            return Some("the generation that is served is damaged".to_owned());
        }
        let Some(served) = stored::read(self.folder.path()).ok() else {
            return Some("the generation that is served cannot be read".to_owned());
        };
        if served.engine != ENGINE {
            return Some("another version of viewd has built what is served".to_owned());
        }
        let mine = successor.store.fingerprint();
        let theirs = &served.fingerprint;
        if (&mine.events, &mine.rows) != (&theirs.events, &theirs.rows) {
            return Some(
                "it is built by another definition than the one that is served".to_owned(),
            );
        }
        let (here, there) = (&served.checkpoint, successor.store.checkpoint());
        let created = here.stream_created_ns.zip(there.stream_created_ns);
        if !self.of_one_stream || created.is_some_and(|(here, there)| here != there) {
            return Some(
                "the stream is another than the serving generation was built from".to_owned(),
            );
        }
        if here.missed_sequences > 0 {
            return Some(format!(
                "the generation that is served has missed {} sequences to a gap",
                here.missed_sequences
            ));
        }
        // One that has read nothing yet is held against it when they meet.
        let begins = there.from_sequence.zip(here.from_sequence);
        begins.filter(|(new, old)| new != old).map(|(new, old)| {
            format!("would forget: the stream now begins at {new}, the serving generation began at {old}")
        })
    }
}

/// Whether it is as far as it has to be to take the other's place: where that stands, or as far as the stream goes.
fn is_there(successor: &Successor, limit: Option<Sequence>) -> bool {
    let at = successor.store.checkpoint().sequence;
    match limit {
        Some(limit) => at == limit,
        None => successor.watch.verified_head().is_some_and(|head| at >= head.last),
    }
}
