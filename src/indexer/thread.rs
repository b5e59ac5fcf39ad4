//! The thread's loop: it takes fences, one after another, to each index.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};

use super::keeper::Keeper;
use super::published::Board;
use super::{Desk, Error, Fence, Means, Wants, making, shapes};
use crate::beat::Stage;
use crate::definition::Definition;
use crate::event::Sequence;

/// What the thread is told.
pub(super) enum Event {
    Fence(Box<Fence>),
    /// An index has been made again, or not.
    Made(usize, Result<(), Error>),
    /// An index's files may not be as they were written.
    Suspect(usize),
    /// They are not.
    Damaged(usize, String),
    Adopt(Arc<Definition>),
    End,
}

pub(super) struct Thread {
    keepers: Vec<Keeper>,
    board: Arc<Board>,
    desk: Arc<Desk>,
    /// To itself, from those that make an index.
    events: mpsc::Sender<Event>,
}

impl Thread {
    pub(super) fn new(
        means: &Means,
        board: &Arc<Board>,
        desk: &Arc<Desk>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let shapes = shapes(&means.definition).into_iter().enumerate();
        let keepers = shapes.map(|(number, shape)| Keeper::new(number, shape, means, board, desk));
        Self {
            keepers: keepers.collect(),
            board: Arc::clone(board),
            desk: Arc::clone(desk),
            events,
        }
    }

    /// Runs until it is told to end.
    pub(super) fn run(mut self, heard: &mpsc::Receiver<Event>) {
        while let Ok(event) = heard.recv() {
            let is_fence = matches!(event, Event::Fence(_));
            match event {
                Event::Fence(fence) => self.fence(*fence),
                Event::Made(number, made) => self.keepers[number].made(made),
                Event::Suspect(number) => self.keepers[number].suspect(),
                Event::Damaged(number, detail) => self.keepers[number].damaged(detail),
                Event::Adopt(definition) => self.adopt(definition),
                Event::End => break,
            }
            self.tell(is_fence);
        }
        self.keepers.iter_mut().for_each(Keeper::close);
    }
}

impl Thread {
    fn fence(&mut self, fence: Fence) {
        let Fence { snapshot, more } = fence;
        for keeper in &mut self.keepers {
            keeper.take(&snapshot);
        }
        drop(snapshot);
        // One after another: each takes all the processors, and memory that others do without.
        let at_work = self.keepers.iter().any(Keeper::is_making);
        let wanted = self.keepers.iter_mut().find(|keeper| keeper.is_wanted());
        if let Some(keeper) = wanted.filter(|_| !at_work && !more.is_empty()) {
            keeper.make(more, &self.events);
        }
    }

    fn adopt(&mut self, definition: Arc<Definition>) {
        let shapes = shapes(&definition);
        for (keeper, shape) in self.keepers.iter_mut().zip(&shapes) {
            keeper.adopt(Arc::clone(shape));
        }
        self.board.adopt(definition, &shapes);
    }

    /// Says how far the indexes are, and what they want next; through with a fence, or before one that is on its way.
    fn tell(&self, through: bool) {
        let durable = self.keepers.iter().map(Keeper::durable).min().unwrap_or(0);
        self.desk.durable.store(durable, Ordering::Release);
        let at_work = self.keepers.iter().any(Keeper::is_making);
        let wants = |keeper: &&Keeper| !(at_work && keeper.is_to_be_made());
        let wanting = self.keepers.iter().filter(wants);
        let fence_at = wanting.filter_map(Keeper::wants_fence_at).min();
        let makes = !at_work && self.keepers.iter().any(Keeper::is_wanted);
        let snapshots = if makes { making::scans() } else { 0 };
        let mut wants = self.desk.wants();
        *wants = Wants { busy: wants.busy && !through, fence_at, snapshots };
        drop(wants);
        self.board.beat().begin(Stage::Idle, Sequence(0));
    }
}
