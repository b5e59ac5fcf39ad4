//! Two generations at one sequence: the one that is served, and one that may follow it.
//!
//! The worker owns the one that is served, so it is the worker that brings them together: it stops between two batches,
//! applies to the successor what that lacks, and then either opens a snapshot of each or goes on with the successor.
//!
//! | step of a cut-over | after a crash here |
//! |---|---|
//! | the successor has come to the served one's checkpoint, or beyond | the old one is served, the successor is caught up again |
//! | the checks have been made | likewise |
//! | the link is renamed: *the cut-over* | the new one is served |
//! | the old one is marked | likewise |
//!
//! Where they do not come together within the caller's patience both go on by themselves, and try again later.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::batch::Stop;
use super::gather::{Gathered, gather, put_back};
use super::shared::{Following, Stand};
use super::successor::{Meet, Met, Pin, Purpose, Successor};
use super::{Batched, Loop};
use crate::clock;
use crate::event::Sequence;
use crate::source::Delivery;
use crate::source::queue::ReceiveError;
use crate::store::Error as StoreError;
use crate::store::control::Control;
use crate::store::writer::Store;

/// How long the successor's reader may bring nothing before it is asked to look at the head.
const NUDGE_EVERY: Duration = Duration::from_millis(20);
/// Dead letters that are named where a cut-over is refused.
const NAMED_MAX: usize = 3;

impl Loop {
    /// Brings a successor to where this generation is, and does what they meet for.
    pub(super) fn meet(&mut self, meet: Meet) -> Batched {
        let Meet { place, cancel, purpose, patience, reply } = meet;
        // Its builder has taken it back.
        let Some(mut successor) = place.take() else { return Batched::Committed };
        if cancel.is_cancelled() {
            let _ = reply.send(Met::Apart(successor));
            return Batched::Committed;
        }
        let target = match purpose {
            Purpose::CutOver { now: true, .. } => Sequence(0),
            // Sequences of another stream say nothing.
            _ if !self.is_of_one_stream(&successor) => Sequence(0),
            _ => self.worker.store.checkpoint().sequence,
        };
        let until = Instant::now() + patience;
        let (met, batched) = match successor.advance(target, until) {
            Ok(Advanced::There) if cancel.is_cancelled() => {
                (Met::Apart(successor), Batched::Committed)
            }
            Ok(Advanced::There) => match self.unsearched(&mut successor, &purpose, until) {
                Ok(None) => self.met(successor, &purpose),
                Ok(Some(detail)) => {
                    self.worker.fences.hold();
                    (Met::Unsearched { successor, detail }, Batched::Committed)
                }
                Err(error) => failed(successor, error),
            },
            Ok(Advanced::Apart) => (Met::Apart(successor), Batched::Committed),
            Ok(Advanced::Stopped(detail)) => {
                (Met::Failed { successor, detail }, Batched::Committed)
            }
            Err(error) => failed(successor, error),
        };
        // Who has stopped waiting has cancelled the build, and removes it.
        let _ = reply.send(met);
        batched
    }

    /// What the successor's indexes lack of those that are searched, once they have had a moment; None: nothing.
    fn unsearched(
        &self,
        successor: &mut Successor,
        purpose: &Purpose,
        until: Instant,
    ) -> Result<Option<String>, StoreError> {
        if !matches!(purpose, Purpose::CutOver { now: false, .. }) {
            return Ok(None);
        }
        let served = self.worker.shared.board().filter(|_| self.is_of_one_stream(successor));
        let served = served.map(|board| board.published());
        successor.fences.come_to(&mut successor.store, served.as_deref(), until)
    }

    fn met(&mut self, successor: Box<Successor>, purpose: &Purpose) -> (Met, Batched) {
        match purpose {
            Purpose::Compare => self.compare(successor),
            Purpose::CutOver { force, forget, pin, now } => {
                if !*forget
                    && !*now
                    && let Some(detail) = self.lacks(&successor)
                {
                    return (Met::Less { successor, detail }, Batched::Committed);
                }
                let refused = if *force || *now { Ok(None) } else { self.check(&successor) };
                match refused {
                    Ok(None) => self.cut_over(successor, *pin),
                    Ok(Some(detail)) => (Met::Refused { successor, detail }, Batched::Committed),
                    Err(error) => failed(successor, error),
                }
            }
        }
    }

    /// Opens a snapshot of each.
    fn compare(&mut self, successor: Box<Successor>) -> (Met, Batched) {
        let (here, there) = (self.worker.store.checkpoint(), successor.store.checkpoint());
        if here.sequence != there.sequence {
            return (Met::Apart(successor), Batched::Committed);
        }
        if let Some(detail) = self.lacks(&successor) {
            return (Met::Less { successor, detail }, Batched::Committed);
        }
        let snapshots = self
            .worker
            .store
            .snapshot()
            .and_then(|served| successor.store.snapshot().map(|next| Box::new((served, next))));
        match snapshots {
            Ok(snapshots) => (Met::Snapshots(successor, snapshots), Batched::Committed),
            Err(error) => failed(successor, error),
        }
    }

    /// What the successor lacks of the messages that the served one has read, at one sequence: what came later must not
    /// make up for what is missing.
    fn lacks(&self, successor: &Successor) -> Option<String> {
        let served = self.sound_store().filter(|_| self.reads_the_same(successor))?;
        let (here, there) = (served.checkpoint(), successor.store.checkpoint());
        if let (Some(new), Some(old)) = (there.from_sequence, here.from_sequence)
            && new > old
        {
            return Some(format!(
                "would forget: it begins at {new}, the serving generation began at {old}"
            ));
        }
        let counted = successor.counted.filter(|(sequence, _)| *sequence == here.sequence);
        let read = match counted {
            Some((_, read)) => Some(read),
            None => (there.sequence == here.sequence).then_some(there.messages),
        };
        read.is_none_or(|read| read < here.messages).then(|| {
            let read = read.map_or("an unknown number of".to_owned(), |read| read.to_string());
            format!(
                "would forget: up to sequence {} it has read {read} messages, the serving generation {}: the stream no longer holds the rest",
                here.sequence, here.messages
            )
        })
    }

    /// Why the successor may not be served: it has set aside what the served one applied.
    fn check(&self, successor: &Successor) -> Result<Option<String>, StoreError> {
        let served = self.sound_store().filter(|_| self.reads_the_same(successor));
        let Some(served) = served else { return Ok(None) };
        let (here, old) = (served.checkpoint(), &self.worker.recipe);
        let mut lost = Vec::new();
        for letter in successor.store.dead()? {
            // One that could not be decoded would have been dead then as well.
            let handled = letter.type_name.as_ref().is_none_or(|name| old.plan.handles(name));
            if letter.sequence <= here.sequence
                && handled
                && !served.is_set_aside(letter.sequence, letter.part)?
            {
                lost.push(letter);
            }
        }
        if lost.is_empty() {
            return Ok(None);
        }
        let named: Vec<_> = lost
            .iter()
            .take(NAMED_MAX)
            .map(|letter| format!("sequence {}: {}", letter.sequence, letter.reason))
            .collect();
        Ok(Some(format!(
            "it sets aside {} events that the generation that is served has applied ({})",
            lost.len(),
            named.join("; ")
        )))
    }

    /// Whether both are to have read the same messages.
    fn reads_the_same(&self, successor: &Successor) -> bool {
        self.is_of_one_stream(successor)
            && self.worker.recipe.reading.filters == successor.recipe.reading.filters
    }

    fn is_of_one_stream(&self, successor: &Successor) -> bool {
        let created = |store: &Store| store.checkpoint().stream_created_ns;
        self.worker.recipe.reading.stream == successor.recipe.reading.stream
            && created(&self.worker.store) == created(&successor.store)
    }

    /// Serves the successor from here on.
    fn cut_over(&mut self, mut successor: Box<Successor>, pin: Pin) -> (Met, Batched) {
        let control = self.worker.store.control();
        let pinned = match pin {
            Pin::Set => Some(self.worker.recipe.fingerprint.clone()),
            Pin::Clear => None,
            Pin::Keep => control.pinned.clone(),
        };
        let control = Control { pinned, ..control.clone() };
        let done = successor.store.set_control(control).and_then(|()| {
            self.worker.folder.cut_over(Some(&self.worker.store), &mut successor.store)
        });
        match done {
            Ok(()) => {
                self.go_on_with(*successor);
                (Met::CutOver, Batched::Committed)
            }
            Err(error) => failed(successor, error),
        }
    }

    /// This worker is the successor's from now on: what it was before is closed.
    fn go_on_with(&mut self, successor: Successor) {
        let Successor {
            recipe,
            store,
            fences,
            batcher,
            feed,
            left,
            watch,
            look,
            ticket,
            tally,
            ..
        } = successor;
        let generation = store.checkpoint().generation;
        let worker = &mut self.worker;
        // It knows what its store has set aside: it has written that.
        self.batcher = batcher.watched(Arc::clone(worker.shared.beat()));
        let terms = &worker.shared.following().terms;
        let definition = recipe.plan.definition();
        worker.shared.follow(
            Following::new(
                &recipe.reading.stream,
                definition.policy.freshness,
                terms.head_poll,
                tally,
            )
            .through(watch.clone()),
        );
        worker.recipe = recipe;
        worker.store = store;
        // Rows and indexes of one generation, from here on.
        worker.shared.search_by(fences.board());
        worker.fences = fences;
        worker.feed = feed;
        worker.watch = watch;
        worker.look = look;
        worker.ticket = ticket;
        self.left = left;
        (self.failed, self.scanned_at, self.given_up, self.cache_bytes) = (None, None, 0, 0);
        tracing::info!(projection = self.name, %generation, "cut over");
        self.worker.shared.rebuilt(&self.worker.store);
        self.stand = None;
        self.worker.begin = super::Begin::Read;
        if self.worker.store.control().paused {
            self.stand_still(Stand::Paused);
        }
        self.publish(0);
    }
}

/// How far a successor came.
pub enum Advanced {
    There,
    /// Not in time, or not through what its reader brought.
    Apart,
    /// It can never come there.
    Stopped(String),
}

impl Successor {
    /// Applies what comes up to a sequence, and nothing behind it; there if it is there or beyond.
    pub fn advance(&mut self, target: Sequence, deadline: Instant) -> Result<Advanced, StoreError> {
        while self.store.checkpoint().sequence < target {
            if Instant::now() >= deadline {
                return Ok(Advanced::Apart);
            }
            match self.step(Some(target), NUDGE_EVERY)? {
                Step::Applied => {}
                Step::Nothing => self.watch.reader.status().request_advance(),
                Step::Stopped(stop) => return Ok(Advanced::Stopped(stop.detail)),
                Step::Closed => return Ok(Advanced::Apart),
            }
        }
        Ok(Advanced::There)
    }

    /// Applies what comes next, as one batch, up to a sequence if there is one.
    pub fn step(&mut self, upto: Option<Sequence>, timeout: Duration) -> Result<Step, StoreError> {
        let delivery = match self.left.pop_front() {
            Some(delivery) => delivery,
            None => match self.feed.recv_timeout(timeout) {
                Ok(delivery) => delivery,
                Err(ReceiveError::Timeout) => return Ok(Step::Nothing),
                Err(ReceiveError::Closed) => return Ok(Step::Closed),
            },
        };
        let first = match delivery {
            Delivery::Chunk(chunk) => chunk,
            Delivery::Fault(fault) => {
                let stop = super::mend::stop_of(&fault, &self.recipe.plan.definition().name);
                return Ok(Step::Stopped(stop));
            }
        };
        let chunks = match gather(
            first,
            &mut self.left,
            &self.feed,
            self.store.checkpoint(),
            self.batch_events_max,
        ) {
            Gathered::Chunks(chunks) => chunks,
            Gathered::Old => return Ok(Step::Applied),
            Gathered::Hole => {
                self.left.clear();
                self.feed.restart(self.store.checkpoint().position());
                return Ok(Step::Applied);
            }
        };
        let taken = self.batcher.take(&mut self.store, &chunks, upto, |_| false, clock::now());
        // All of them after an error: a full disk, or another program's lock.
        put_back(chunks, &mut self.left, self.store.checkpoint().sequence);
        Ok(taken?.stop.map_or(Step::Applied, Step::Stopped))
    }
}

/// What one step of a successor came to.
pub enum Step {
    Applied,
    Nothing,
    /// A policy stops it, or its stream has a fault.
    Stopped(Stop),
    /// The daemon is ending.
    Closed,
}

fn failed(successor: Box<Successor>, error: StoreError) -> (Met, Batched) {
    match error {
        StoreError::Unknown { .. } => {
            let detail = error.to_string();
            (Met::Failed { successor, detail }, Batched::Fatal(error))
        }
        // Space may come back.
        StoreError::Full { .. } | StoreError::Busy { .. } => {
            (Met::Apart(successor), Batched::Committed)
        }
        error => (Met::Failed { successor, detail: error.to_string() }, Batched::Committed),
    }
}
