//! The one memory budget, shared out anew whenever a store is opened or closed.
//!
//! | share | for |
//! |---|---|
//! | 1/8 | queues of readers; half of it is for what their clients hold and for the batch at work |
//! | 3/8 | page caches of stores, those of builds included |
//! | 3/8 | large folds of builds: what some do not need is there for the others |
//! | 1/8 | index writers, 15 MB each at least: Tantivy takes no less. A build of an index has a large fold's part as well |
//!
//! Nobody keeps a size of its own: a worker looks at its share between two batches, an index writer when it is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Less memory than this and a store's page cache is of no use.
const CACHE_BYTES_MIN: u64 = 2 << 20;
/// Less than this and a fold holds no more than an ordinary batch does.
const FOLD_BYTES_MIN: u64 = 4 << 20;
/// Tantivy refuses a writer that has less for each of its workers.
pub const WRITER_BYTES_MIN: usize = 15_000_000;

/// `memory_bytes_max`, and among how many it is shared.
#[derive(Debug)]
pub struct Budget {
    memory_bytes_max: u64,
    stores: AtomicU64,
    folds: AtomicU64,
    /// What all folds hold, as they have said.
    folded_bytes: AtomicUsize,
    writers: AtomicU64,
}

/// A large fold's part, until it is dropped.
#[derive(Debug)]
pub struct Fold {
    ticket: Ticket,
    bytes: usize,
}

/// What one takes part by, until it is dropped.
#[derive(Debug)]
pub struct Ticket {
    budget: Arc<Budget>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Store,
    Fold,
    Writer,
}

impl Budget {
    pub fn new(memory_bytes_max: u64) -> Arc<Self> {
        Arc::new(Self {
            memory_bytes_max,
            stores: AtomicU64::new(0),
            folds: AtomicU64::new(0),
            folded_bytes: AtomicUsize::new(0),
            writers: AtomicU64::new(0),
        })
    }

    /// One more store.
    pub fn store(self: &Arc<Self>) -> Ticket {
        self.stores.fetch_add(1, Ordering::Relaxed);
        Ticket { budget: Arc::clone(self), kind: Kind::Store }
    }

    /// One more large fold.
    pub fn fold(self: &Arc<Self>) -> Fold {
        self.folds.fetch_add(1, Ordering::Relaxed);
        Fold { ticket: Ticket { budget: Arc::clone(self), kind: Kind::Fold }, bytes: 0 }
    }

    /// One more index writer.
    pub fn writer(self: &Arc<Self>) -> Ticket {
        self.writers.fetch_add(1, Ordering::Relaxed);
        Ticket { budget: Arc::clone(self), kind: Kind::Writer }
    }

    /// The page cache of each store.
    pub fn cache_bytes(&self) -> u64 {
        let stores = self.stores.load(Ordering::Relaxed).max(1);
        (self.memory_bytes_max / 8 * 3 / stores).max(CACHE_BYTES_MIN)
    }

    /// Of each index writer.
    pub fn writer_bytes(&self) -> usize {
        let writers = self.writers.load(Ordering::Relaxed).max(1);
        let bytes = (self.memory_bytes_max / 8 / writers).max(WRITER_BYTES_MIN as u64);
        in_memory(bytes)
    }

    /// Of each of so many queues.
    pub fn queue_bytes_max(&self, queues: u64) -> usize {
        in_memory(self.memory_bytes_max / 16 / queues.max(1))
    }
}

impl Fold {
    /// How large it may be, which now is so large: as the others are, and beyond that what they leave.
    ///
    /// Of several builds some have few rows and some many, and a fold that is written later is written less often.
    pub fn bytes_max(&mut self, bytes: usize) -> usize {
        let budget = &self.ticket.budget;
        let grown = bytes.wrapping_sub(std::mem::replace(&mut self.bytes, bytes));
        let all = budget.folded_bytes.fetch_add(grown, Ordering::Relaxed).wrapping_add(grown);
        let left = in_memory(budget.memory_bytes_max / 8 * 3).saturating_sub(all - bytes);
        self.share().max(left)
    }

    /// As large as each other: it may be that large whatever they do.
    pub fn share(&self) -> usize {
        let budget = &self.ticket.budget;
        let folds = budget.folds.load(Ordering::Relaxed).max(1);
        in_memory((budget.memory_bytes_max / 8 * 3 / folds).max(FOLD_BYTES_MIN))
    }
}

impl Drop for Fold {
    fn drop(&mut self) {
        self.ticket.budget.folded_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let count = match self.kind {
            Kind::Store => &self.budget.stores,
            Kind::Fold => &self.budget.folds,
            Kind::Writer => &self.budget.writers,
        };
        count.fetch_sub(1, Ordering::Relaxed);
    }
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_take_what_others_leave() {
        let budget = Budget::new(80 << 20);
        let (mut one, mut other) = (budget.fold(), budget.fold());
        assert_eq!(one.bytes_max(0), 30 << 20, "the other holds nothing");
        assert_eq!(one.bytes_max(25 << 20), 30 << 20);
        assert_eq!(other.bytes_max(1 << 20), 15 << 20, "its share, whatever the other holds");
        assert_eq!(one.bytes_max(25 << 20), 29 << 20);
        assert_eq!(other.bytes_max(10 << 20), 15 << 20);
        assert_eq!(one.bytes_max(25 << 20), 20 << 20, "it has to give back what it was lent");
        assert_eq!(one.bytes_max(0), 20 << 20);
        assert_eq!(other.bytes_max(10 << 20), 30 << 20);
        drop(other);
        assert_eq!((one.share(), one.bytes_max(0)), (30 << 20, 30 << 20));
        drop(one);
        assert_eq!(budget.folded_bytes.load(Ordering::Relaxed), 0);
    }
}
