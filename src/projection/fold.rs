//! A batch's operations, folded to one transition per touched key.
//!
//! A fold is in one of two modes. *Open* is the fast one: a row is read only if something asks for it ([`Fold::row`]),
//! and an operation that may fail on a row says [`Failed::Uncertain`]. *Exact* follows it when an open fold or its
//! flush has failed: every touched row is loaded first, so an operation fails exactly if it would have failed alone,
//! and the event that holds it is undone without a trace. Both give the same rows; a property test holds that.
//!
//! Rows that were read are remembered until the batch has been written. In a table that some handler searches by
//! columns every touched row is known, and the fold finds the rows that it has changed without going through all of
//! them ([`Fold::matching`]).

use std::collections::BTreeSet;

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

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
    /// A row could not be read.
    Rows(E),
}

/// The columns by which handlers search a table, one list a `where`.
pub type Searches = Vec<Vec<usize>>;

/// The pending transitions of one batch.
pub struct Fold {
    exact: bool,
    /// One a table, in the definition's order.
    tables: Vec<Pending>,
    /// What the running event's operations replaced, each key once; only while it is asked for.
    undo: Vec<(usize, Key, Option<Transition>)>,
    /// The keys in `undo`.
    touched: HashSet<(usize, Key)>,
    recording: bool,
}

/// The pending transitions of one table.
struct Pending {
    transitions: HashMap<Key, Transition>,
    /// Rows that were read and have not been changed.
    unchanged: HashMap<Key, Option<Row>>,
    found: Vec<Found>,
}

/// Where changed rows may be that hold certain cells: more keys than that, never fewer.
struct Found {
    columns: Vec<usize>,
    keys: HashMap<Key, BTreeSet<Key>>,
}

impl Fold {
    /// An empty fold for tables that are searched by these columns.
    pub fn new(tables: &[Searches], exact: bool) -> Self {
        let pending = |searches: &Searches| Pending {
            transitions: HashMap::new(),
            unchanged: HashMap::new(),
            found: searches.iter().map(|columns| Found::new(columns)).collect(),
        };
        Self {
            exact,
            tables: tables.iter().map(pending).collect(),
            undo: Vec::new(),
            touched: HashSet::new(),
            recording: exact,
        }
    }

    /// Begins an event: what it does from here on can be undone.
    pub fn begin(&mut self) {
        self.forget_undo();
        self.recording = true;
    }

    /// Whether what has been applied since [`Fold::begin`] may fail on a row that is not known.
    pub fn is_uncertain(&self) -> bool {
        let uncertain =
            |(table, key, _): &(usize, Key, _)| match self.tables[*table].transitions.get(key) {
                Some(Transition::Open { .. }) => true,
                Some(Transition::Settled { guards, .. }) => !guards.is_empty(),
                None => false,
            };
        self.undo.iter().any(uncertain)
    }

    /// Leaves no trace of what has been applied since [`Fold::begin`].
    pub fn roll_back(&mut self) {
        for (table, key, before) in self.undo.drain(..) {
            let pending = &mut self.tables[table];
            match before {
                Some(transition) => pending.put(key, transition),
                None => {
                    pending.transitions.remove(&key);
                }
            }
        }
    }

    /// Takes one event's operations, all or (in an exact fold) none.
    pub fn apply<R: Rows>(
        &mut self,
        operations: &mut Vec<Operation>,
        tables: &[Table],
        rows: &mut R,
    ) -> Result<(), Failed<R::Error>> {
        self.forget_undo();
        self.recording = self.exact;
        for operation in operations.drain(..) {
            if let Err(failed) = self.apply_one(operation, tables, rows) {
                self.roll_back();
                return Err(failed);
            }
        }
        Ok(())
    }

    /// Takes one operation of an event that was begun.
    pub fn apply_one<R: Rows>(
        &mut self,
        operation: Operation,
        tables: &[Table],
        rows: &mut R,
    ) -> Result<(), Failed<R::Error>> {
        let table = &tables[operation.table];
        let pending = &mut self.tables[operation.table];
        if self.recording && self.touched.insert((operation.table, operation.key.clone())) {
            let before = pending.transitions.get(&operation.key).cloned();
            self.undo.push((operation.table, operation.key.clone(), before));
        }
        if self.exact || !pending.found.is_empty() || Transition::needs_known(&operation, table) {
            pending.settle(operation.table, &operation.key, table, rows)?;
        } else if let Some(row) = pending.unchanged.remove(&operation.key) {
            pending.transitions.insert(operation.key.clone(), Transition::known(row));
        }
        let transition = pending
            .transitions
            .entry_ref(&operation.key)
            .or_insert_with(|| Transition::identity(table));
        transition.apply(&operation, table).map_err(|failure| match self.exact {
            true => Failed::OutOfRange { failure, by: operation.by },
            false => Failed::Uncertain,
        })?;
        for found in &mut pending.found {
            found.remember(&operation.key, transition);
        }
        Ok(())
    }

    /// The row as it stands after everything that was applied.
    pub fn row<R: Rows>(
        &mut self,
        table: usize,
        key: &Key,
        tables: &[Table],
        rows: &mut R,
    ) -> Result<Option<&Row>, Failed<R::Error>> {
        let pending = &mut self.tables[table];
        if pending.transitions.contains_key(key) {
            pending.settle(table, key, &tables[table], rows)?;
            return Ok(match pending.transitions.get(key) {
                Some(Transition::Settled { row, .. }) => row.as_ref(),
                _ => unreachable!("settled above"),
            });
        }
        if !pending.unchanged.contains_key(key) {
            let row = rows.row(table, key).map_err(Failed::Rows)?;
            pending.unchanged.insert(key.clone(), row);
        }
        Ok(pending.unchanged[key].as_ref())
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
        let pending = &mut self.tables[table];
        let mut keys = pending.changed_matching(columns, cells);
        // Those that were changed may be among them as they were.
        let limit = limit.saturating_add(1).saturating_add(pending.transitions.len());
        for row in rows.matching(table, columns, cells, limit).map_err(Failed::Rows)? {
            let key = key_of(&row, &tables[table]);
            if !pending.transitions.contains_key(&key) {
                keys.push(key.clone());
                pending.unchanged.insert(key, Some(row));
            }
        }
        keys.sort_unstable();
        Ok(keys)
    }

    fn forget_undo(&mut self) {
        self.undo.clear();
        self.touched.clear();
    }

    /// The transitions by table, leaving the fold empty.
    pub fn take(&mut self) -> Vec<Vec<(Key, Transition)>> {
        let take = |pending: &mut Pending| {
            pending.unchanged.clear();
            pending.found.iter_mut().for_each(|found| found.keys.clear());
            pending.transitions.drain().collect()
        };
        self.tables.iter_mut().map(take).collect()
    }
}

impl Pending {
    /// Makes the transition of a key one onto a known row.
    fn settle<R: Rows>(
        &mut self,
        number: usize,
        key: &Key,
        table: &Table,
        rows: &mut R,
    ) -> Result<(), Failed<R::Error>> {
        let open = match self.transitions.get(key) {
            Some(Transition::Settled { .. }) => return Ok(()),
            Some(_) => self.transitions.remove(key),
            None => None,
        };
        let row = match self.unchanged.remove(key) {
            Some(row) => row,
            None => rows.row(number, key).map_err(Failed::Rows)?,
        };
        let row = match open {
            Some(open) => open.onto(row, table).map_err(|_| Failed::Uncertain)?,
            None => row,
        };
        self.transitions.insert(key.clone(), Transition::known(row));
        Ok(())
    }

    fn put(&mut self, key: Key, transition: Transition) {
        for found in &mut self.found {
            found.remember(&key, &transition);
        }
        self.transitions.insert(key, transition);
    }

    /// Of the rows that were changed, those whose columns hold these cells now.
    fn changed_matching(&self, columns: &[usize], cells: &[Cell]) -> Vec<Key> {
        let found = self.found.iter().find(|found| found.columns == columns);
        let found = found.expect("a fold is told every search of its handlers");
        let Some(keys) = found.keys.get(&Key(cells.into())) else { return Vec::new() };
        let holds = |key: &&Key| match self.transitions.get(*key) {
            Some(Transition::Settled { row: Some(row), .. }) => {
                columns.iter().zip(cells).all(|(&column, cell)| row[column] == *cell)
            }
            _ => false,
        };
        keys.iter().filter(holds).cloned().collect()
    }
}

impl Found {
    fn new(columns: &[usize]) -> Self {
        Self { columns: columns.to_vec(), keys: HashMap::new() }
    }

    fn remember(&mut self, key: &Key, transition: &Transition) {
        if let Transition::Settled { row: Some(row), .. } = transition {
            let cells: SmallVec<[Cell; 2]> =
                self.columns.iter().map(|&column| row[column].clone()).collect();
            let keys = self.keys.entry(Key(cells)).or_default();
            if !keys.contains(key) {
                keys.insert(key.clone());
            }
        }
    }
}

fn key_of(row: &Row, table: &Table) -> Key {
    Key(table.key.iter().map(|&column| row[column].clone()).collect())
}
