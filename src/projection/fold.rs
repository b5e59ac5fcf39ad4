//! A batch's operations, folded to one transition per touched key.
//!
//! A fold is in one of two modes. *Open* is the fast one: no row is read (but for sums of reals), and an operation
//! that may fail on a row says [`Failed::Uncertain`]. *Exact* follows it when an open fold or its flush has failed:
//! every touched row is loaded first, so an operation fails exactly if it would have failed alone, and the event that
//! holds it is undone without a trace. Both give the same rows; a property test holds that.

use hashbrown::HashMap;

use super::transition::{Operation, OutOfRange, Transition};
use crate::definition::Table;
use crate::row::{Key, Row};

/// The stored rows as the projection sees them: the store lends itself, tests lend a map.
pub trait Rows {
    type Error;

    /// The row as stored, without what a pending fold would do to it.
    fn row(&mut self, table: usize, key: &Key) -> Result<Option<Row>, Self::Error>;
}

/// Why an event's operations could not join the fold.
#[derive(Debug)]
pub enum Failed<E> {
    /// Open fold only: it depends on the stored row. The fold is spoilt; do the batch again with an exact one.
    Uncertain,
    /// Exact fold only: the event fails on a row. The fold is as it was before the event.
    OutOfRange(OutOfRange),
    /// A row could not be read.
    Rows(E),
}

/// The pending transitions of one batch.
pub struct Fold {
    exact: bool,
    /// One map a table, in the definition's order.
    tables: Vec<HashMap<Key, Transition>>,
    /// What the running event's operations replaced, newest last; exact fold only.
    undo: Vec<(usize, Key, Option<Transition>)>,
}

impl Fold {
    /// An empty fold for a definition of so many tables.
    pub fn new(tables: usize, exact: bool) -> Self {
        Self { exact, tables: (0..tables).map(|_| HashMap::new()).collect(), undo: Vec::new() }
    }

    /// Takes one event's operations, all or (in an exact fold) none.
    pub fn apply<R: Rows>(
        &mut self,
        operations: &mut Vec<Operation>,
        tables: &[Table],
        rows: &mut R,
    ) -> Result<(), Failed<R::Error>> {
        self.undo.clear();
        for operation in operations.drain(..) {
            let table = &tables[operation.table];
            if let Err(failed) = self.apply_one(operation, table, rows) {
                self.undo();
                return Err(failed);
            }
        }
        Ok(())
    }

    /// The transitions by table, leaving the fold empty.
    pub fn take(&mut self) -> Vec<Vec<(Key, Transition)>> {
        self.tables.iter_mut().map(|table| table.drain().collect()).collect()
    }

    fn apply_one<R: Rows>(
        &mut self,
        operation: Operation,
        table: &Table,
        rows: &mut R,
    ) -> Result<(), Failed<R::Error>> {
        let pending = &mut self.tables[operation.table];
        if self.exact {
            let before = pending.get(&operation.key).cloned();
            self.undo.push((operation.table, operation.key.clone(), before));
        }
        if self.exact || Transition::needs_known(&operation, table) {
            let transition = pending.remove(&operation.key);
            let settled = match transition {
                Some(settled @ Transition::Settled { .. }) => settled,
                open => {
                    let row = rows.row(operation.table, &operation.key).map_err(Failed::Rows)?;
                    let open = open.unwrap_or_else(|| Transition::identity(table));
                    Transition::known(open.onto(row, table).map_err(|_| Failed::Uncertain)?)
                }
            };
            pending.insert(operation.key.clone(), settled);
        }
        let transition =
            pending.entry_ref(&operation.key).or_insert_with(|| Transition::identity(table));
        transition.apply(&operation, table).map_err(|failure| {
            if self.exact { Failed::OutOfRange(failure) } else { Failed::Uncertain }
        })
    }

    fn undo(&mut self) {
        for (table, key, before) in self.undo.drain(..).rev() {
            match before {
                Some(transition) => self.tables[table].insert(key, transition),
                None => self.tables[table].remove(&key),
            };
        }
    }
}
