//! The one memory budget, shared out anew whenever a store is opened or closed.
//!
//! | share | for |
//! |---|---|
//! | 1/8 | queues of readers; half of it is for what their clients hold and for the batch at work |
//! | 3/8 | page caches of stores, those of builds included |
//! | 3/8 | large folds of builds |
//! | 1/8 | index writers, 15 MB each at least: Tantivy takes no less. A build of an index has a large fold's part as well |
//!
//! Nobody keeps a size of its own: a worker looks at its share between two batches, an index writer when it is opened.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
    writers: AtomicU64,
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
            writers: AtomicU64::new(0),
        })
    }

    /// One more store.
    pub fn store(self: &Arc<Self>) -> Ticket {
        self.stores.fetch_add(1, Ordering::Relaxed);
        Ticket { budget: Arc::clone(self), kind: Kind::Store }
    }

    /// One more large fold.
    pub fn fold(self: &Arc<Self>) -> Ticket {
        self.folds.fetch_add(1, Ordering::Relaxed);
        Ticket { budget: Arc::clone(self), kind: Kind::Fold }
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

    /// Of each large fold.
    pub fn fold_bytes_max(&self) -> usize {
        let folds = self.folds.load(Ordering::Relaxed).max(1);
        let bytes = (self.memory_bytes_max / 8 * 3 / folds).max(FOLD_BYTES_MIN);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Of each index writer.
    pub fn writer_bytes(&self) -> usize {
        let writers = self.writers.load(Ordering::Relaxed).max(1);
        let bytes = (self.memory_bytes_max / 8 / writers).max(WRITER_BYTES_MIN as u64);
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// Of each of so many queues.
    pub fn queue_bytes_max(&self, queues: u64) -> usize {
        usize::try_from(self.memory_bytes_max / 16 / queues.max(1)).unwrap_or(usize::MAX)
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
