//! Events that are made ready before their turn comes.
//!
//! What a plain event does ([`Handler::plainly`](super::handler::Handler::plainly)) depends on the event alone. In a large
//! fold the row that it is about is mostly in no cache, and waiting for memory costs more than everything else. So some
//! events ahead are made ready together and their rows sought side by side ([`Fold::seek_all`]): the processor then
//! waits for all of them at once.

use std::ops::Range;

use super::fold::{Fold, Sought};
use super::plan::Plan;
use super::transition::{Operation, Operations};
use crate::event::chunk::Event;

/// Enough to have as many rows on their way as a processor can; few enough to stay in its nearest cache.
const EVENTS: usize = 32;

/// What the next events of a chunk do.
#[derive(Default)]
pub struct Ahead {
    operations: Operations,
    /// Where the rows of these operations are.
    sought: Vec<Sought>,
    /// The operations of each event; None of one that is not plain.
    ready: Vec<Option<Range<usize>>>,
    /// The next of them.
    at: usize,
    /// Memory to work in, for events that are not plain.
    pub(super) other: Operations,
}

impl Ahead {
    /// Begins with another chunk, or elsewhere in it.
    pub fn begin(&mut self) {
        self.at = self.ready.len();
    }

    /// Goes past an event that is not to be carried out.
    pub fn skip(&mut self) {
        self.at = self.ready.len().min(self.at + 1);
    }

    /// The operations of an event that is plain, with where their rows are: of the event that follows, in its chunk, the
    /// one that was asked for last.
    #[inline]
    pub(super) fn of(
        &mut self,
        event: &Event,
        plan: &Plan,
        fold: &Fold,
    ) -> Option<(&mut [Operation], &[Sought])> {
        if self.at == self.ready.len() {
            self.fill(event, plan, fold);
        }
        self.at += 1;
        let range = self.ready[self.at - 1].clone()?;
        Some((&mut self.operations.list[range.clone()], &self.sought[range]))
    }

    fn fill(&mut self, event: &Event, plan: &Plan, fold: &Fold) {
        self.at = 0;
        self.ready.clear();
        self.operations.clear();
        let mut event = event.clone();
        loop {
            let begin = self.operations.list.len();
            let ready = plan.prepare(&event, &mut self.operations);
            self.operations.cut(if ready { usize::MAX } else { begin });
            self.ready.push(ready.then_some(begin..self.operations.list.len()));
            if self.ready.len() == EVENTS || !event.turn_to_next() {
                break;
            }
        }
        fold.seek_all(&self.operations.list, &mut self.sought);
    }
}
