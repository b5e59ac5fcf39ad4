//! What operators and builders tell a running projection: to stand still, to go on, to show its view.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::command::{Command, Refused};
use super::recipe::Recipe;
use super::shared::Stand;
use super::{Batched, Loop};
use crate::event::Sequence;
use crate::status::Reason;
use crate::store::Error as StoreError;
use crate::store::control::Control;
use crate::store::snapshot::Snapshot;
use crate::store::writer::Store;

/// Somebody waits for a snapshot at a sequence.
pub(super) struct Awaited {
    pub(super) sequence: Sequence,
    reply: oneshot::Sender<Result<Snapshot, Refused>>,
}

impl Loop {
    /// Carries out a command.
    pub(super) fn obey(&mut self, command: Command) -> Batched {
        // Who has stopped waiting sees what became of it in the status.
        match command {
            Command::Accept(reply) => {
                let (answer, batched) = self.accept();
                let _ = reply.send(answer);
                return batched;
            }
            Command::Pause(reply) => {
                let _ = reply.send(self.pause());
            }
            Command::Resume(reply) => {
                let _ = reply.send(self.resume());
            }
            Command::Unpin(reply) => {
                let control = Control { pinned: None, ..self.worker.store.control().clone() };
                let _ = reply.send(self.set_control(control));
            }
            Command::Adopt(recipe, reply) => {
                let _ = reply.send(self.adopt(recipe));
            }
            Command::SnapshotAt(sequence, reply) => self.await_sequence(sequence, reply),
            Command::Meet(meet) => return self.meet(meet),
            // It ends the loop where it is received.
            Command::Leave => {}
        }
        Batched::Committed
    }

    pub(super) fn stand_still(&mut self, stand: Stand) {
        self.halt();
        self.stand = Some(stand);
        self.worker.shared.stand(Some(stand));
    }

    fn pause(&mut self) -> Result<(), Refused> {
        if self.worker.store.control().paused {
            return Ok(());
        }
        self.set_control(Control { paused: true, ..self.worker.store.control().clone() })?;
        tracing::info!(projection = self.name, "paused");
        if self.stand.is_none() {
            self.stand_still(Stand::Paused);
            self.publish(0);
        }
        Ok(())
    }

    fn resume(&mut self) -> Result<(), Refused> {
        if !self.worker.store.control().paused {
            return Ok(());
        }
        self.set_control(Control { paused: false, ..self.worker.store.control().clone() })?;
        tracing::info!(projection = self.name, "resumed");
        if self.stand == Some(Stand::Paused) {
            self.stand = None;
            self.worker.shared.stand(None);
            if self.failed.as_ref().is_none_or(|failed| failed.is_of_the_stream()) {
                // What it had failed by is met again, if it is still there.
                self.restart();
            }
            self.publish(0);
        }
        Ok(())
    }

    /// Goes on by a definition that gives the same view.
    fn adopt(&mut self, recipe: Arc<Recipe>) -> Result<(), Refused> {
        let definition = recipe.plan.definition();
        let stored =
            self.worker.store.adopt_definition(&definition.source.text, &recipe.fingerprint);
        stored.map_err(|error| refused(&error))?;
        let batcher = recipe.batcher(self.worker.common.parked_events_max);
        let mut batcher = batcher.watched(Arc::clone(self.worker.shared.beat()));
        batcher.begin(&self.worker.store).map_err(|error| refused(&error))?;
        self.worker.shared.adopt(definition.policy.freshness);
        self.worker.fences.adopt(definition);
        tracing::info!(projection = self.name, "words of the definition adopted");
        self.batcher = batcher;
        self.worker.recipe = recipe;
        Ok(())
    }

    fn set_control(&mut self, control: Control) -> Result<(), Refused> {
        self.worker.store.set_control(control).map_err(|error| refused(&error))?;
        self.worker.shared.set_pinned(self.worker.store.control().pinned.is_some());
        Ok(())
    }

    fn await_sequence(
        &mut self,
        sequence: Sequence,
        reply: oneshot::Sender<Result<Snapshot, Refused>>,
    ) {
        let current = self.worker.store.checkpoint().sequence;
        if current > sequence {
            let _ = reply.send(Err(Refused::Passed { current }));
            return;
        }
        let waits = self.awaited.as_ref().is_some_and(|awaited| !awaited.reply.is_closed());
        if waits {
            let busy = "another waits for a sequence of it".to_owned();
            let _ = reply.send(Err(Refused::Busy(busy)));
            return;
        }
        self.awaited = Some(Awaited { sequence, reply });
        // A filter that matches nothing more moves no position by itself.
        self.worker.watch.reader.status().request_advance();
    }

    /// Opens the snapshot that somebody waits for, once the view is there.
    pub(super) fn serve_awaited(&mut self) {
        let current = self.worker.store.checkpoint().sequence;
        if self.awaited.as_ref().is_some_and(|awaited| awaited.reply.is_closed()) {
            self.awaited = None;
        }
        if let Some(Awaited { sequence, reply }) =
            self.awaited.take_if(|awaited| awaited.sequence <= current)
        {
            let answer = if current == sequence {
                self.worker.store.snapshot().map_err(|error| refused(&error))
            } else {
                Err(Refused::Passed { current })
            };
            let _ = reply.send(answer);
        }
    }

    /// Its store, where that can be trusted.
    pub(super) fn sound_store(&self) -> Option<&Store> {
        let corrupt =
            self.failed.as_ref().is_some_and(|failed| failed.stop.reason == Reason::Corrupt);
        (!corrupt).then_some(&self.worker.store)
    }
}

fn refused(error: &StoreError) -> Refused {
    Refused::Storage { detail: error.to_string(), next: error.hint() }
}
