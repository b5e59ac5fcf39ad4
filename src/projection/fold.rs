//! A batch's operations, folded to one transition per touched key.
//!
//! A row is either *known*, with everything that was applied to it ([`Known`]), or its transition is *open*. A fold is
//! in one of two modes. *Open* is for small batches over a large store: a row is read only if something asks for it
//! ([`Fold::row`]), and an operation that may fail on a row says [`Failed::Uncertain`]. In an *exact* fold every touched
//! row is known, so an operation fails exactly if it would have failed alone, and the event that holds it is undone
//! without a trace. It follows an open fold that has failed, or whose flush has; and it is what a new store is filled
//! with ([`Fold::fresh`]), where a row that is not known is absent, and nothing is read. Both give the same rows; a
//! property test holds that.
//!
//! Rows that were read are remembered until the batch has been written. In a table that some handler searches by
//! columns every touched row is known.

use std::hint::black_box;

use hashbrown::{HashMap, HashSet};

use super::known::{Kept, Known, Slot};
use super::seen::Seen;
use super::transition::{By, Operation, OutOfRange, Transition};
use crate::definition::Table;
use crate::row::{Cell, Key, Row};

/// The stored rows as the projection sees them: the store lends itself, tests lend a map.
pub trait Rows {
    type Error;

    /// The row as stored, without what a pending fold would do to it.
    fn row(&mut self, table: usize, key: &Key) -> Result<Option<Row>, Self::Error>;

    /// At most `limit` of the rows as stored whose columns hold these cells, in any order.
    fn matching(
        &mut self,
        table: usize,
        columns: &[usize],
        cells: &[Cell],
        limit: usize,
    ) -> Result<Vec<Row>, Self::Error>;
}

/// Why an event's operations could not join the fold.
#[derive(Debug)]
pub enum Failed<E> {
    /// Open fold only: it depends on the stored row. The fold is spoilt; do the batch again with an exact one.
    Uncertain,
    /// Exact fold only: the event fails on a row.
    OutOfRange { failure: OutOfRange, by: By },
    /// A row could not be read. The fold is spoilt.
    Rows(E),
}

/// The columns by which handlers search a table, one list a `where`.
pub type Searches = Vec<Vec<usize>>;

/// The pending transitions of one batch.
pub struct Fold {
    exact: bool,
    /// One a table, in the definition's order, as below.
    open: Vec<HashMap<Key, Transition>>,
    known: Vec<Known>,
    undo: Undo,
    /// Counts how often slots have lost their rows.
    epoch: u32,
}

/// Where the row of an operation was when it was sought.
#[derive(Clone, Copy, Debug)]
pub struct Sought {
    hash: u64,
    /// It may be another's, of one hash. None: the row was not known, and may be by now.
    slot: Option<Slot>,
    /// Slots are what they were as long as this is.
    epoch: u32,
}

/// How to leave no trace of an event, or of the message that it is a part of.
#[derive(Default)]
struct Undo {
    /// What was there, in the order in which it was replaced.
    before: Vec<Before>,
    /// Where the running event begins in it.
    event: usize,
    /// Counts events that were written down.
    moment: u32,
    /// Open transitions that the running event has replaced.
    touched: HashSet<(usize, Key)>,
    recording: bool,
    /// The message has several events.
    several: bool,
}

/// What an event has replaced.
enum Before {
    Known(usize, Slot, Kept),
    Open(usize, Key, Option<Transition>),
}

impl Fold {
    /// An empty fold for tables that are searched by these columns.
    pub fn new(tables: &[Table], searches: &[Searches], exact: bool) -> Self {
        Self::over(tables, searches, exact, || Seen::Anything)
    }

    /// The fold that fills a store without rows.
    pub fn fresh(tables: &[Table], searches: &[Searches]) -> Self {
        Self::over(tables, searches, true, || Seen::Nothing)
    }

    fn over(tables: &[Table], searches: &[Searches], exact: bool, seen: impl Fn() -> Seen) -> Self {
        let known = |(table, searches): (&Table, &Searches)| Known::new(table, searches, seen());
        Self {
            exact,
            open: tables.iter().map(|_| HashMap::new()).collect(),
            known: tables.iter().zip(searches).map(known).collect(),
            undo: Undo::default(),
            epoch: 0,
        }
    }

    /// Begins a message; one that has several events can be undone as a whole.
    pub fn begin_message(&mut self, several: bool) {
        self.undo.several = several;
        if !self.undo.before.is_empty() {
            self.undo.before.clear();
        }
    }

    /// Begins an event: what it does from here on can be undone.
    pub fn begin(&mut self) {
        self.begin_event(true);
    }

    /// Whether what has been applied since [`Fold::begin`] may fail on a row that is not known.
    pub fn is_uncertain(&self) -> bool {
        let uncertain = |before: &Before| match before {
            Before::Known(..) => false,
            Before::Open(table, key, _) => match self.open[*table].get(key) {
                Some(Transition::Open { .. }) => true,
                Some(Transition::Settled { guards, .. }) => !guards.is_empty(),
                None => false,
            },
        };
        self.undo.before[self.undo.event..].iter().any(uncertain)
    }

    /// Leaves no trace of what has been applied since [`Fold::begin`].
    pub fn roll_back(&mut self) {
        self.roll_back_to(self.undo.event);
    }

    /// Leaves no trace of what has been applied since [`Fold::begin_message`], if the message has several events.
    pub fn roll_back_message(&mut self) {
        self.roll_back_to(0);
    }

    /// Takes one event's operations, all or (in an exact fold) none. Nothing but their memory is left of them.
    ///
    /// `sought` says of the first ones where their rows were.
    #[inline]
    pub fn apply<R: Rows>(
        &mut self,
        operations: &mut [Operation],
        sought: &[Sought],
        tables: &[Table],
        rows: &mut R,
    ) -> Result<(), Failed<R::Error>> {
        // An operation that fails has done nothing itself.
        let undoable = self.exact && operations.iter().skip(1).any(Operation::may_fail);
        self.begin_event(undoable);
        for (at, operation) in operations.iter_mut().enumerate() {
            let sought = sought.get(at).copied();
            let sought = sought.unwrap_or_else(|| self.seek(operation));
            if let Err(failed) = self.apply_one(operation, sought, tables, rows) {
                self.roll_back();
                return Err(failed);
            }
        }
        Ok(())
    }

    /// Looks where the row of an operation is.
    #[inline]
    pub fn seek(&self, operation: &Operation) -> Sought {
        let known = &self.known[operation.table];
        let hash = known.hash(&operation.key);
        Sought { hash, slot: known.guess(hash), epoch: self.epoch }
    }

    /// The same for many: step by step for all of them, so that no step of one waits for the memory of another.
    pub fn seek_all(&self, operations: &[Operation], sought: &mut Vec<Sought>) {
        let known = |operation: &Operation| &self.known[operation.table];
        let hashed = |operation: &Operation| {
            let hash = known(operation).hash(&operation.key);
            Sought { hash, slot: None, epoch: self.epoch }
        };
        sought.clear();
        sought.extend(operations.iter().map(hashed));
        for (sought, operation) in sought.iter_mut().zip(operations) {
            sought.slot = known(operation).guess(sought.hash);
        }
        let touch = |(sought, operation): (&Sought, &Operation)| {
            sought.slot.map_or(0, |slot| known(operation).touch(slot, operation))
        };
        black_box(sought.iter().zip(operations).map(touch).sum::<usize>());
    }

    /// Takes one operation of an event that was begun.
    #[inline]
    pub fn apply_one<R: Rows>(
        &mut self,
        operation: &mut Operation,
        sought: Sought,
        tables: &[Table],
        rows: &mut R,
    ) -> Result<(), Failed<R::Error>> {
        let number = operation.table;
        let table = &tables[number];
        let known = &self.known[number];
        let Sought { hash, slot, epoch } = sought;
        let slot = slot.filter(|&slot| epoch == self.epoch && known.is_at(slot, &operation.key));
        let slot = match slot.or_else(|| known.find(hash, &operation.key)) {
            Some(slot) => slot,
            None if self.exact
                || known.is_searched()
                || Transition::needs_known(operation, table) =>
            {
                let key = std::mem::replace(&mut operation.key, Key(Default::default()));
                self.settle(number, hash, key, table, rows)?
            }
            None => return self.apply_open(operation, table),
        };
        let known = &mut self.known[number];
        if self.undo.recording
            && let Some(kept) = known.keep(slot, self.undo.moment)
        {
            self.undo.before.push(Before::Known(number, slot, kept));
        }
        known.apply(slot, operation, table).map_err(|failure| match self.exact {
            true => Failed::OutOfRange { failure, by: operation.by },
            false => Failed::Uncertain,
        })
    }

    /// The row as it stands after everything that was applied.
    pub fn row<R: Rows>(
        &mut self,
        table: usize,
        key: &Key,
        tables: &[Table],
        rows: &mut R,
    ) -> Result<Option<&[Cell]>, Failed<R::Error>> {
        let known = &self.known[table];
        let hash = known.hash(key);
        let slot = match known.find(hash, key) {
            Some(slot) => slot,
            None => self.settle(table, hash, key.clone(), &tables[table], rows)?,
        };
        Ok(self.known[table].row(slot))
    }

    /// The keys of the rows whose columns hold these cells after everything that was applied, in key order.
    ///
    /// Of more than `limit` there are that many and some: not all of them are looked for.
    pub fn matching<R: Rows>(
        &mut self,
        table: usize,
        columns: &[usize],
        cells: &[Cell],
        limit: usize,
        tables: &[Table],
        rows: &mut R,
    ) -> Result<Vec<Key>, Failed<R::Error>> {
        let known = &mut self.known[table];
        let found = known.matching(columns, cells, limit);
        let mut keys: Vec<Key> = found.into_iter().map(|slot| known.key_at(slot)).collect();
        if known.holds_all() {
            keys.sort_unstable();
            return Ok(keys);
        }
        // Those that are known may be among them as they were.
        let limit = limit.saturating_add(1).saturating_add(known.len());
        for row in rows.matching(table, columns, cells, limit).map_err(Failed::Rows)? {
            let key = key_of(&row, &tables[table]);
            let hash = known.hash(&key);
            if known.find(hash, &key).is_none() {
                keys.push(key.clone());
                known.load(hash, key, Some(row));
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// The rows that are known, by table.
    pub fn known(&self) -> &[Known] {
        &self.known
    }

    /// The open transitions by table, which the fold then no longer has.
    pub fn take_open(&mut self) -> Vec<Vec<(Key, Transition)>> {
        self.open.iter_mut().map(|open| open.drain().collect()).collect()
    }

    /// Forgets the rows that are known, which have been written.
    pub fn written(&mut self) {
        self.begin_message(false);
        self.epoch = self.epoch.wrapping_add(1);
        self.known.iter_mut().for_each(Known::written);
    }

    /// The memory of the rows that are known.
    pub fn bytes(&self) -> usize {
        self.known.iter().map(Known::bytes).sum()
    }

    fn begin_event(&mut self, recording: bool) {
        let undo = &mut self.undo;
        if !undo.several && !undo.before.is_empty() {
            undo.before.clear();
        }
        undo.event = undo.before.len();
        undo.recording = recording || undo.several;
        if undo.recording {
            undo.touched.clear();
            undo.moment = undo.moment.checked_add(1).unwrap_or_else(|| {
                self.known.iter_mut().for_each(Known::forget_moments);
                1
            });
        }
    }

    fn apply_open<E>(&mut self, operation: &Operation, table: &Table) -> Result<(), Failed<E>> {
        let open = &mut self.open[operation.table];
        let undo = &mut self.undo;
        if undo.recording && undo.touched.insert((operation.table, operation.key.clone())) {
            let before = open.get(&operation.key).cloned();
            undo.before.push(Before::Open(operation.table, operation.key.clone(), before));
        }
        let transition =
            open.entry_ref(&operation.key).or_insert_with(|| Transition::identity(table));
        transition.apply(operation, table).map_err(|_| Failed::Uncertain)
    }

    /// Makes a row known: as it is stored, with what its open transition does to it.
    fn settle<R: Rows>(
        &mut self,
        number: usize,
        hash: u64,
        key: Key,
        table: &Table,
        rows: &mut R,
    ) -> Result<Slot, Failed<R::Error>> {
        let known = &mut self.known[number];
        let stored = match known.may_be_stored(hash) {
            true => rows.row(number, &key).map_err(Failed::Rows)?,
            false => None,
        };
        let Some(open) = self.open[number].remove(&key) else {
            return Ok(known.load(hash, key, stored));
        };
        let slot = known.load(hash, key, stored.clone());
        known.replace(slot, open.onto(stored, table).map_err(|_| Failed::Uncertain)?);
        Ok(slot)
    }

    fn roll_back_to(&mut self, mark: usize) {
        for before in self.undo.before.drain(mark..).rev() {
            match before {
                Before::Known(table, slot, kept) => self.known[table].restore(slot, kept),
                Before::Open(table, key, transition) => {
                    let known = &mut self.known[table];
                    // It has been settled since.
                    if let Some(slot) = known.find(known.hash(&key), &key) {
                        known.forget(slot);
                        self.epoch = self.epoch.wrapping_add(1);
                    }
                    match transition {
                        Some(transition) => drop(self.open[table].insert(key, transition)),
                        None => drop(self.open[table].remove(&key)),
                    }
                }
            }
        }
        self.undo.event = self.undo.event.min(mark);
    }
}

fn key_of(row: &Row, table: &Table) -> Key {
    Key(table.key.iter().map(|&column| row[column].clone()).collect())
}
