//! Rows of one table that are known as they stand: the memory of a fold.
//!
//! A large fold is as large as its rows, so these lie cell by cell in blocks, each row at a slot that it keeps, and
//! whatever finds a row holds its slot: the table of keys, and for each search of the definition a list of the rows
//! that hold the same cells. Nothing is stored twice, and no step costs more the more rows there are.

use std::hash::{BuildHasher as _, Hash as _, Hasher as _};

use hashbrown::{DefaultHashBuilder, HashTable};

use super::seen::Seen;
use super::transition::{Operation, OutOfRange, add_up, fill, put};
use crate::definition::{Table, Verb};
use crate::row::{Cell, Key, Row};

/// Some 64 KiB a block for a table of eleven columns: rows are never moved, and little is taken ahead of need.
const BLOCK_ROWS: usize = 256;

/// Where a row lies, as long as the fold holds it.
pub type Slot = u32;

/// No slot: the end of a list.
const NONE: Slot = Slot::MAX;

/// The rows of one table.
pub struct Known {
    width: usize,
    /// The table's key columns.
    key: Box<[usize]>,
    /// [`BLOCK_ROWS`] rows each. Of a row that is not there, all but the key is NULL.
    blocks: Vec<Vec<Cell>>,
    states: Vec<State>,
    by_key: HashTable<Entry>,
    hasher: DefaultHashBuilder,
    indexes: Vec<Index>,
    /// Slots that are to be written.
    changed: usize,
    /// What cells hold outside of their blocks.
    heap_bytes: usize,
    seen: Seen,
}

/// A row as it was.
#[derive(Debug)]
pub struct Kept {
    state: State,
    row: Option<Row>,
}

/// A row to be written.
#[derive(Debug)]
pub struct Changed<'a> {
    /// All cells of a row that is there; else only those of its key count.
    pub cells: &'a [Cell],
    pub is_there: bool,
    /// Whether the store holds the row.
    pub is_stored: bool,
}

/// A slot in a hash table, with as much of its hash as finds its place when the table grows.
#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    slot: Slot,
}

/// What is known of a slot's row.
#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// The row is there.
    there: bool,
    /// The store holds it.
    stored: bool,
    /// It is to be written.
    changed: bool,
    /// When it was last kept.
    kept_at: u32,
}

/// Where rows are that hold the same cells in certain columns: lists through the slots.
struct Index {
    columns: Vec<usize>,
    /// The first slot of each list.
    heads: HashTable<Entry>,
    links: Vec<Link>,
}

#[derive(Clone, Copy)]
struct Link {
    before: Slot,
    after: Slot,
}

impl Known {
    /// No rows of a table that is searched by these columns.
    pub fn new(table: &Table, searches: &[Vec<usize>], seen: Seen) -> Self {
        let index = |columns: &Vec<usize>| Index {
            columns: columns.clone(),
            heads: HashTable::new(),
            links: Vec::new(),
        };
        Self {
            width: table.columns.len(),
            key: table.key.as_slice().into(),
            blocks: Vec::new(),
            states: Vec::new(),
            by_key: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            indexes: searches.iter().map(index).collect(),
            changed: 0,
            heap_bytes: 0,
            seen,
        }
    }

    pub fn is_searched(&self) -> bool {
        !self.indexes.is_empty()
    }

    /// How many rows it knows something of.
    pub fn len(&self) -> usize {
        self.states.len()
    }

    pub fn is_empty(&self) -> bool {
        self.states.is_empty()
    }

    /// The memory that it holds, with what sorting it takes.
    pub fn bytes(&self) -> usize {
        let slot = size_of::<Cell>() * self.width + size_of::<State>() + size_of::<(u64, Slot)>();
        let links = |index: &Index| {
            index.heads.allocation_size() + index.links.capacity() * size_of::<Link>()
        };
        self.states.len() * slot
            + self.by_key.allocation_size()
            + self.indexes.iter().map(links).sum::<usize>()
            + self.heap_bytes
            + self.seen.bytes()
    }

    #[inline]
    pub fn hash(&self, key: &Key) -> u64 {
        hash(&self.hasher, key.0.iter())
    }

    /// The slot of a row that is known, whether it is there or not.
    #[inline]
    pub fn find(&self, hash: u64, key: &Key) -> Option<Slot> {
        let same = |entry: &Entry| entry.hash == short(hash) && self.is_at(entry.slot, key);
        self.by_key.find(spread(short(hash)), same).map(|entry| entry.slot)
    }

    /// The slot of a row whose key has this hash: nearly always the one that [`Known::find`] finds, and the row itself is
    /// not looked at.
    #[inline]
    pub fn guess(&self, hash: u64) -> Option<Slot> {
        let same = |entry: &Entry| entry.hash == short(hash);
        self.by_key.find(spread(short(hash)), same).map(|entry| entry.slot)
    }

    /// Whether a slot is that of a key.
    #[inline]
    pub fn is_at(&self, slot: Slot, key: &Key) -> bool {
        let cells = self.cells(slot);
        self.key.iter().zip(&key.0).all(|(&column, cell)| cells[column] == *cell)
    }

    /// Reads of a row what an operation will, and makes nothing of it: a number that means nothing. What is read so is on
    /// its way from memory, and nobody waits for it.
    #[inline]
    pub fn touch(&self, slot: Slot, operation: &Operation) -> usize {
        let cells = self.cells(slot);
        let key = self.key.iter().map(|&column| usize::from(cells[column].is_null()));
        let assigned = operation.assignments.iter();
        let assigned = assigned.map(|assigned| usize::from(cells[assigned.column].is_null()));
        key.sum::<usize>() + assigned.sum::<usize>() + usize::from(self.states[slot as usize].there)
    }

    /// Whether the store may hold the row of a key that is not known.
    #[inline]
    pub fn may_be_stored(&self, hash: u64) -> bool {
        self.seen.may_hold(short(hash))
    }

    /// Whether the store holds no row that is not known: it is empty.
    pub fn holds_all(&self) -> bool {
        matches!(self.seen, Seen::Nothing)
    }

    /// Takes a row that is not known yet, as it is stored. Only the key's cells are taken from `key`.
    #[inline]
    pub fn load(&mut self, hash: u64, key: Key, row: Option<Row>) -> Slot {
        let slot = Slot::try_from(self.states.len()).expect("a fold is smaller than 2^32 rows");
        if self.states.len().is_multiple_of(BLOCK_ROWS) {
            self.blocks.push(Vec::with_capacity(BLOCK_ROWS * self.width));
        }
        let block = self.blocks.last_mut().expect("pushed above");
        let stored = row.is_some();
        match row {
            Some(row) => block.extend(row),
            None => {
                let begin = block.len();
                block.resize_with(begin + self.width, || Cell::Null);
                for (&column, cell) in self.key.iter().zip(key.0) {
                    block[begin + column] = cell;
                }
            }
        }
        let cells = &block[block.len() - self.width..];
        self.heap_bytes += cells.iter().map(Cell::heap_bytes).sum::<usize>();
        self.states.push(State { there: stored, stored, ..State::default() });
        let entry = Entry { hash: short(hash), slot };
        self.by_key.insert_unique(spread(short(hash)), entry, |entry| spread(entry.hash));
        for at in 0..self.indexes.len() {
            self.indexes[at].links.push(Link { before: NONE, after: NONE });
            if stored {
                self.link(at, slot);
            }
        }
        slot
    }

    /// The row, if it is there.
    #[inline]
    pub fn row(&self, slot: Slot) -> Option<&[Cell]> {
        self.states[slot as usize].there.then(|| self.cells(slot))
    }

    /// Carries an operation out; one that fails has left no trace.
    #[inline]
    pub fn apply(
        &mut self,
        slot: Slot,
        operation: &mut Operation,
        table: &Table,
    ) -> Result<(), OutOfRange> {
        let there = self.states[slot as usize].there;
        match (operation.verb, there) {
            (Verb::Delete | Verb::Update, false) | (Verb::Insert, true) => return Ok(()),
            (Verb::Delete, true) => {
                self.replace(slot, None);
                return Ok(());
            }
            _ => {}
        }
        add_up(there.then(|| self.cells(slot)), operation, table)?;
        for at in 0..self.indexes.len() {
            let index = &self.indexes[at];
            if there && operation.assignments.iter().any(|a| index.columns.contains(&a.column)) {
                self.unlink(at, slot);
            }
        }
        let begin = slot as usize % BLOCK_ROWS * self.width;
        let cells = &mut self.blocks[slot as usize / BLOCK_ROWS][begin..begin + self.width];
        if !there {
            fill(cells, &self.key, table);
            let not_key = (0..cells.len()).filter(|column| !self.key.contains(column));
            self.heap_bytes += not_key.map(|column| cells[column].heap_bytes()).sum::<usize>();
        }
        for assigned in &mut operation.assignments {
            let cell = &mut cells[assigned.column];
            self.heap_bytes -= cell.heap_bytes();
            put(cell, assigned.action, &mut assigned.cell, there);
            self.heap_bytes += cell.heap_bytes();
        }
        let state = &mut self.states[slot as usize];
        state.there = true;
        self.changed += usize::from(!state.changed);
        state.changed = true;
        for at in 0..self.indexes.len() {
            let index = &self.indexes[at];
            if !there || operation.assignments.iter().any(|a| index.columns.contains(&a.column)) {
                self.link(at, slot);
            }
        }
        Ok(())
    }

    /// Makes the row what it is known to have become.
    pub fn replace(&mut self, slot: Slot, row: Option<Row>) {
        let state = State { there: row.is_some(), changed: true, ..self.states[slot as usize] };
        self.restore(slot, Kept { state, row });
    }

    /// The row as it is, to be restored; None if that has been asked for since `moment` already.
    pub fn keep(&mut self, slot: Slot, moment: u32) -> Option<Kept> {
        let state = self.states[slot as usize];
        if state.kept_at == moment {
            return None;
        }
        self.states[slot as usize].kept_at = moment;
        Some(Kept { state, row: self.row(slot).map(Row::from) })
    }

    /// Moments begin anew.
    pub fn forget_moments(&mut self) {
        self.states.iter_mut().for_each(|state| state.kept_at = 0);
    }

    pub fn restore(&mut self, slot: Slot, kept: Kept) {
        for at in 0..self.indexes.len() {
            if self.states[slot as usize].there {
                self.unlink(at, slot);
            }
        }
        let begin = slot as usize % BLOCK_ROWS * self.width;
        let cells = &mut self.blocks[slot as usize / BLOCK_ROWS][begin..begin + self.width];
        self.heap_bytes -= cells.iter().map(Cell::heap_bytes).sum::<usize>();
        match kept.row {
            Some(row) => cells.iter_mut().zip(row).for_each(|(cell, was)| *cell = was),
            None => {
                let rest = (0..cells.len()).filter(|column| !self.key.contains(column));
                rest.for_each(|column| cells[column] = Cell::Null);
            }
        }
        self.heap_bytes += cells.iter().map(Cell::heap_bytes).sum::<usize>();
        let before = std::mem::replace(&mut self.states[slot as usize], kept.state);
        self.changed = self.changed + usize::from(kept.state.changed) - usize::from(before.changed);
        for at in 0..self.indexes.len() {
            if kept.state.there {
                self.link(at, slot);
            }
        }
    }

    /// Knows nothing of a row any more.
    pub fn forget(&mut self, slot: Slot) {
        let key = self.key_at(slot);
        let hash = self.hash(&key);
        let entry = self.by_key.find_entry(spread(short(hash)), |entry| entry.slot == slot);
        entry.expect("a slot that is in use is found by its key").remove();
        self.restore(slot, Kept { state: State::default(), row: None });
    }

    /// The slots of the rows whose columns hold these cells; of more than `limit` one more.
    pub fn matching(&self, columns: &[usize], cells: &[Cell], limit: usize) -> Vec<Slot> {
        let index = self.indexes.iter().find(|index| index.columns == columns);
        let index = index.expect("a fold is told every search of its handlers");
        let hash = hash(&self.hasher, cells.iter());
        let same = |entry: &Entry| {
            let row = self.cells(entry.slot);
            columns.iter().zip(cells).all(|(&column, cell)| row[column] == *cell)
        };
        let mut at = index.heads.find(spread(short(hash)), same).map_or(NONE, |entry| entry.slot);
        let mut slots = Vec::new();
        while at != NONE && slots.len() <= limit {
            slots.push(at);
            at = index.links[at as usize].after;
        }
        slots
    }

    pub fn key_at(&self, slot: Slot) -> Key {
        let cells = self.cells(slot);
        Key(self.key.iter().map(|&column| cells[column].clone()).collect())
    }

    /// How many rows are to be written.
    pub fn changes(&self) -> usize {
        self.changed
    }

    /// What is to be written, in key order.
    pub fn changed(&self) -> impl Iterator<Item = Changed<'_>> {
        self.sorted().into_iter().map(|(_, slot)| {
            let State { there, stored, .. } = self.states[slot as usize];
            Changed { cells: self.cells(slot), is_there: there, is_stored: stored }
        })
    }

    /// Forgets all rows, which have been written.
    pub fn written(&mut self) {
        let stored = self.by_key.iter().filter(|entry| {
            let state = &self.states[entry.slot as usize];
            state.there || state.stored
        });
        self.seen.add(self.by_key.len(), stored.map(|entry| entry.hash));
        self.blocks = Vec::new();
        self.states = Vec::new();
        self.by_key = HashTable::new();
        self.changed = 0;
        self.heap_bytes = 0;
        for index in &mut self.indexes {
            index.heads = HashTable::new();
            index.links = Vec::new();
        }
    }

    /// The slots that are to be written, in key order, each with the beginning of its key where keys differ.
    fn sorted(&self) -> Vec<(u64, Slot)> {
        let to_write = |(state, _): &(&State, Slot)| state.changed && (state.there || state.stored);
        let slots = || self.states.iter().zip(0..).filter(to_write).map(|(_, slot)| slot);
        let column = self.key[0];
        let mut shared: Option<Vec<u8>> = None;
        for slot in slots() {
            let shorten = |text: &[u8]| {
                let shared = shared.get_or_insert_with(|| text.to_vec());
                let same = shared.iter().zip(text).take_while(|(a, b)| a == b).count();
                shared.truncate(same);
            };
            if with_text(&self.cells(slot)[column], shorten).is_none() {
                break;
            }
        }
        let shared = shared.map_or(0, |shared| shared.len());
        let mut sorted: Vec<_> =
            slots().map(|slot| (beginning(&self.cells(slot)[column], shared), slot)).collect();
        sorted.sort_unstable_by(|(a, one), (b, other)| {
            a.cmp(b).then_with(|| {
                let (one, other) = (self.cells(*one), self.cells(*other));
                let pairs = self.key.iter().map(|&column| one[column].partial_cmp(&other[column]));
                let order = pairs.flatten().find(|order| order.is_ne());
                order.unwrap_or(std::cmp::Ordering::Equal)
            })
        });
        sorted
    }

    #[inline]
    fn cells(&self, slot: Slot) -> &[Cell] {
        let begin = slot as usize % BLOCK_ROWS * self.width;
        &self.blocks[slot as usize / BLOCK_ROWS][begin..begin + self.width]
    }

    /// Puts a row that is there into the list of those like it.
    fn link(&mut self, at: usize, slot: Slot) {
        let hash = self.searched_hash(at, slot);
        let columns = &self.indexes[at].columns;
        let row = self.cells(slot);
        let same = |entry: &Entry| {
            let other = self.cells(entry.slot);
            entry.hash == short(hash) && columns.iter().all(|&column| row[column] == other[column])
        };
        let head = self.indexes[at].heads.find(spread(short(hash)), same).map(|entry| entry.slot);
        let Index { heads, links, .. } = &mut self.indexes[at];
        match head {
            Some(head) => {
                // Behind the first: the table of heads stays as it is.
                let after = std::mem::replace(&mut links[head as usize].after, slot);
                links[slot as usize] = Link { before: head, after };
                if after != NONE {
                    links[after as usize].before = slot;
                }
            }
            None => {
                links[slot as usize] = Link { before: NONE, after: NONE };
                let entry = Entry { hash: short(hash), slot };
                heads.insert_unique(spread(short(hash)), entry, |entry| spread(entry.hash));
            }
        }
    }

    /// Takes a row out of its list, while its cells are what they were.
    fn unlink(&mut self, at: usize, slot: Slot) {
        let hash = self.searched_hash(at, slot);
        let Index { heads, links, .. } = &mut self.indexes[at];
        let Link { before, after } = links[slot as usize];
        if after != NONE {
            links[after as usize].before = before;
        }
        if before != NONE {
            links[before as usize].after = after;
            return;
        }
        let head = heads.find_entry(spread(short(hash)), |entry| entry.slot == slot);
        let mut head = head.expect("a list without a row before this one begins here");
        match after {
            NONE => drop(head.remove()),
            after => head.get_mut().slot = after,
        }
    }

    fn searched_hash(&self, at: usize, slot: Slot) -> u64 {
        let cells = self.cells(slot);
        hash(&self.hasher, self.indexes[at].columns.iter().map(|&column| &cells[column]))
    }
}

/// The first bytes of a key's text past what all begin with, or its number: in the order of keys as far as it goes.
fn beginning(cell: &Cell, shared: usize) -> u64 {
    if let Cell::Integer(value) = cell {
        return value.cast_unsigned() ^ (1 << 63);
    }
    let beginning = |text: &[u8]| {
        let mut bytes = [0; 8];
        let rest = &text[shared..];
        let length = rest.len().min(bytes.len());
        bytes[..length].copy_from_slice(&rest[..length]);
        u64::from_be_bytes(bytes)
    };
    with_text(cell, beginning).unwrap_or(0)
}

/// Shows the text of a cell that has one.
#[inline]
fn with_text<T>(cell: &Cell, show: impl FnOnce(&[u8]) -> T) -> Option<T> {
    match cell {
        Cell::Text(text) => Some(show(text.as_bytes())),
        Cell::Time(time) => Some(show(time.text().as_bytes())),
        _ => None,
    }
}

#[inline]
fn hash<'a>(hasher: &DefaultHashBuilder, cells: impl Iterator<Item = &'a Cell>) -> u64 {
    let mut state = hasher.build_hasher();
    for cell in cells {
        match cell {
            Cell::Null => state.write_u8(0),
            Cell::Integer(value) => state.write_i64(*value),
            // Finite and never -0.0: equal values have equal bits.
            Cell::Real(value) => state.write_u64(value.to_bits()),
            Cell::Text(text) => text.as_str().hash(&mut state),
            Cell::Time(time) => time.text().hash(&mut state),
            Cell::Bytes(bytes) => bytes.hash(&mut state),
        }
    }
    state.finish()
}

#[inline]
fn short(hash: u64) -> u32 {
    (hash >> 32) as u32
}

/// A hash for a table from the half of it that entries remember.
#[inline]
fn spread(half: u32) -> u64 {
    u64::from(half) << 32 | u64::from(half)
}
