//! The table of operations: what was begun, what runs, and what has become of the rest.
//!
//! One build a projection at a time: an operation is entered only where none runs, under one lock.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use crate::definition::fingerprint::Fingerprint;
use crate::rebuild::operation::{Operation, Order};

/// So many that have ended are remembered: whoever asks for more looks into the log.
const ENDED_MAX: usize = 100;

#[derive(Default)]
pub(super) struct Operations(Mutex<Table>);

#[derive(Default)]
struct Table {
    last: u64,
    /// In the order in which they were begun.
    entries: VecDeque<Entry>,
}

/// One operation, and what only the supervisor knows of it.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) operation: Arc<Operation>,
    /// What it builds by.
    pub(super) fingerprint: Fingerprint,
    /// Its thread has ended, and nothing of it is at work any more.
    pub(super) ended: CancellationToken,
}

impl Operations {
    /// Enters a new one, or says which one runs.
    pub(super) fn begin(
        &self,
        projection: &str,
        order: Order,
        fingerprint: &Fingerprint,
        shutdown: &CancellationToken,
    ) -> Result<Entry, Entry> {
        let mut table = self.lock();
        if let Some(running) = table.running(projection) {
            return Err(running.clone());
        }
        table.last += 1;
        let operation = Operation::new(table.last, projection, order, shutdown.child_token());
        let entry = Entry {
            operation: Arc::new(operation),
            fingerprint: fingerprint.clone(),
            ended: CancellationToken::new(),
        };
        table.entries.push_back(entry.clone());
        table.forget();
        Ok(entry)
    }

    /// What runs for a projection, from its begin until nothing of it is at work.
    pub(super) fn running(&self, projection: &str) -> Option<Entry> {
        self.lock().running(projection).cloned()
    }

    /// All that run.
    pub(super) fn all_running(&self) -> Vec<Entry> {
        let table = self.lock();
        table.entries.iter().filter(|entry| entry.runs()).cloned().collect()
    }

    /// The newest build of what a projection's definition says.
    pub(super) fn last_build(&self, projection: &str) -> Option<Arc<Operation>> {
        let table = self.lock();
        let mut operations = table.entries.iter().rev().map(|entry| &entry.operation);
        let is_build = |operation: &&Arc<Operation>| {
            operation.projection == projection && operation.order.kind.is_build()
        };
        operations.find(is_build).map(Arc::clone)
    }

    pub(super) fn find(&self, id: u64) -> Option<Arc<Operation>> {
        let table = self.lock();
        let mut operations = table.entries.iter().map(|entry| &entry.operation);
        operations.find(|operation| operation.id == id).map(Arc::clone)
    }

    pub(super) fn all(&self) -> Vec<Arc<Operation>> {
        self.lock().entries.iter().map(|entry| Arc::clone(&entry.operation)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    fn runs(&self) -> bool {
        !self.ended.is_cancelled()
    }
}

impl Table {
    fn running(&self, projection: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.runs() && entry.operation.projection == projection)
    }

    fn forget(&mut self) {
        let ended = |table: &Self| table.entries.iter().filter(|entry| !entry.runs()).count();
        while ended(self) > ENDED_MAX {
            let oldest = self.entries.iter().position(|entry| !entry.runs());
            oldest.map(|index| self.entries.remove(index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rebuild::operation::{Cause, Kind};

    #[test]
    fn one_a_projection_and_the_newest_are_remembered() {
        let operations = Operations::default();
        let shutdown = CancellationToken::new();
        let fingerprint: Fingerprint = "a:b:c:d".parse().expect("a fingerprint");
        let order = Order::new(Kind::Rebuild, Cause::Command);
        let begin = |projection: &str| operations.begin(projection, order, &fingerprint, &shutdown);
        let first = begin("p").map_err(drop).expect("nothing runs");
        assert_eq!(begin("p").map(drop).map_err(|running| running.operation.id), Err(1));
        assert_eq!(begin("q").map(|entry| entry.operation.id).map_err(drop), Ok(2));
        assert_eq!(operations.all_running().len(), 2);
        first.ended.cancel();
        assert!(operations.running("p").is_none());
        for _ in 0..2 * ENDED_MAX {
            begin("p").map_err(drop).expect("nothing runs").ended.cancel();
        }
        assert!(operations.find(1).is_none(), "long ago");
        assert!(operations.find(2).is_some(), "it still runs");
        assert!(operations.all().len() <= ENDED_MAX + 2);
        shutdown.cancel();
        assert!(operations.running("q").expect("it runs").operation.cancel.is_cancelled());
    }
}
