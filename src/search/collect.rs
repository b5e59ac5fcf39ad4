//! The best hits of an order that stand behind a cursor, how many hits there are, and their facets.
//!
//! Within a segment documents are compared by numbers alone: values and keys are places in its dictionaries, which are
//! sorted as the texts are. What a segment keeps is made texts when it is done, and from the second one on nothing is
//! kept that is not before the last of what is there already. So memory is bounded by how many hits are wanted, and texts
//! are made for little more.
//!
//! Keys end all ties, so the order is total and pages are disjoint. A score is a sum of floats that depends on the order
//! of addition: every page of a search adds in the same one, or has two of them at most, where it does not matter.

use std::collections::BinaryHeap;
use std::sync::Arc;
use std::time::Instant;

use smallvec::SmallVec;
use tantivy::query::Weight;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader, TERMINATED, TantivyError};

use super::facets::{Counts, SegmentCounts};
use super::filter::{Predicate, of_column, predicate};
use super::shape::Shape;
use super::values::{Standing, Values};
use crate::query::cursor::Cursor;
use crate::query::filter::Filter;
use crate::query::order::{By, Order};
use crate::row::Cell;

/// Documents between two looks at the clock: well below a millisecond of work.
const STEPS: u32 = 1_024;

/// What is wanted of the documents that a query gives.
pub(super) struct Wanted<'a> {
    pub(super) shape: &'a Shape,
    pub(super) filter: Option<&'a Filter>,
    pub(super) order: &'a Order,
    pub(super) after: Option<&'a Cursor>,
    pub(super) limit: usize,
    /// Each document counts: none may be left out for being worse than what is there.
    pub(super) every: bool,
    pub(super) scored: bool,
}

/// A document among the best.
#[derive(Debug)]
pub(super) struct Best {
    pub(super) place: Cursor,
    pub(super) address: DocAddress,
    pub(super) score: Option<Score>,
}

/// All that is gathered.
pub(super) struct Collected {
    /// In order.
    pub(super) best: Vec<Best>,
    pub(super) total: u64,
    pub(super) facets: Vec<Counts>,
    deadline: Deadline,
}

/// Why a search ended without an answer.
#[derive(Debug)]
pub(super) enum Failure {
    Expired,
    /// Of a facet.
    ManyValues {
        column: usize,
        max: usize,
    },
    /// A column that is no filter of the index.
    NoFilter(usize),
    Tantivy(TantivyError),
}

impl From<TantivyError> for Failure {
    fn from(error: TantivyError) -> Self {
        Self::Tantivy(error)
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Tantivy(TantivyError::IoError(Arc::new(error)))
    }
}

/// The time by which a search must have ended, looked at every so often.
pub(super) struct Deadline {
    at: Instant,
    steps: u32,
}

impl Deadline {
    pub(super) fn new(at: Instant) -> Self {
        Self { at, steps: 0 }
    }

    #[inline]
    pub(super) fn step(&mut self) -> Result<(), Failure> {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS) { self.look() } else { Ok(()) }
    }

    pub(super) fn look(&self) -> Result<(), Failure> {
        if Instant::now() < self.at { Ok(()) } else { Err(Failure::Expired) }
    }
}

impl Collected {
    pub(super) fn new(facets: &[usize], deadline: Instant) -> Self {
        let facets = facets.iter().map(|&column| Counts::new(column)).collect();
        Self { best: Vec::new(), total: 0, facets, deadline: Deadline::new(deadline) }
    }

    /// Takes the hits of one segment: of a query, or all documents.
    pub(super) fn segment(
        &mut self,
        wanted: &Wanted<'_>,
        weight: Option<&dyn Weight>,
        ordinal: SegmentOrdinal,
        segment: &SegmentReader,
    ) -> Result<(), Failure> {
        self.deadline.look()?;
        let predicate = match wanted.filter {
            Some(filter) => predicate(filter, false, wanted.shape, segment, &mut self.deadline)?,
            None => Predicate::Is(true),
        };
        if matches!(predicate, Predicate::Is(false)) {
            return Ok(());
        }
        let facets = self.facets.iter().map(|counts| counts.segment(wanted.shape, segment));
        let facets = facets.collect::<Result<Vec<_>, _>>()?;
        let top = Top::new(wanted, segment, &self.best)?;
        let mut pass = Pass { segment, predicate, top, facets, total: 0 };
        match weight {
            Some(weight) if !wanted.every => {
                pass.pruned(weight, &mut self.deadline)?;
            }
            Some(weight) => pass.whole(weight, wanted.scored, self)?,
            None => pass.documents(self)?,
        }
        let Pass { top, facets, total, .. } = pass;
        self.total += total;
        for (counts, segment) in self.facets.iter_mut().zip(facets) {
            counts.add(segment)?;
        }
        self.best.extend(top.best(wanted.order, ordinal)?);
        self.best.sort_by(|a, b| a.place.compare(&b.place, wanted.order));
        self.best.truncate(wanted.limit);
        Ok(())
    }
}

/// Goes through the documents of one segment.
struct Pass<'a> {
    segment: &'a SegmentReader,
    predicate: Predicate,
    top: Top,
    facets: Vec<SegmentCounts>,
    total: u64,
}

impl Pass<'_> {
    fn is_hit(&self, doc: DocId) -> bool {
        self.segment.alive_bitset().is_none_or(|alive| alive.is_alive(doc))
            && self.predicate.holds(doc)
    }

    fn take(&mut self, doc: DocId, score: impl FnOnce() -> Option<Score>) {
        self.total += 1;
        for facet in &mut self.facets {
            facet.count(doc);
        }
        self.top.offer(doc, score);
    }

    /// Every document of the segment.
    fn documents(&mut self, collected: &mut Collected) -> Result<(), Failure> {
        for doc in 0..self.segment.max_doc() {
            collected.deadline.step()?;
            if self.is_hit(doc) {
                self.take(doc, || None);
                self.look_at_facets(collected)?;
            }
        }
        Ok(())
    }

    /// Every document of the query.
    fn whole(
        &mut self,
        weight: &dyn Weight,
        scored: bool,
        collected: &mut Collected,
    ) -> Result<(), Failure> {
        let mut scorer = weight.scorer(self.segment, 1.0)?;
        let mut doc = scorer.doc();
        while doc != TERMINATED {
            collected.deadline.step()?;
            if self.is_hit(doc) {
                self.take(doc, || scored.then(|| scorer.score()));
                self.look_at_facets(collected)?;
            }
            doc = scorer.advance();
        }
        Ok(())
    }

    /// Only what can still be among the best: whole blocks of documents are passed over by the best score in them.
    fn pruned(&mut self, weight: &dyn Weight, deadline: &mut Deadline) -> Result<(), Failure> {
        let mut ended = Ok(());
        let threshold = self.top.threshold();
        weight.for_each_pruning(threshold, self.segment, &mut |doc, score| {
            ended = deadline.step();
            if ended.is_err() {
                // Nothing is better than this, so nothing more comes.
                return Score::INFINITY;
            }
            if self.is_hit(doc) {
                self.take(doc, || Some(score));
            }
            self.top.threshold()
        })?;
        ended
    }

    fn look_at_facets(&self, collected: &Collected) -> Result<(), Failure> {
        let mut all = self.facets.iter().zip(&collected.facets);
        all.try_for_each(|(segment, counts)| counts.within(segment.sparse()))
    }
}

/// What a document is ordered by, as numbers that ascend in the order: 0 is NULL, an even number a value, an odd one
/// the gap before it. Turned round where the order descends.
type Codes = SmallVec<[u128; 2]>;

/// The best documents of a segment so far.
struct Top {
    limit: usize,
    parts: Vec<Part>,
    keys: Values,
    after: Option<Bound>,
    before: Option<Bound>,
    /// The last of them on top.
    heap: BinaryHeap<Entry>,
}

struct Part {
    /// None: the score.
    values: Option<Values>,
    descending: bool,
}

/// A place of the order, as a segment sees it.
struct Bound {
    codes: Codes,
    /// Of the first key that is not less.
    key: u64,
    /// That key is the place's own.
    is_there: bool,
}

#[derive(PartialEq)]
struct Entry {
    codes: Codes,
    key: u64,
    doc: DocId,
    score: Option<Score>,
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.codes.cmp(&other.codes).then(self.key.cmp(&other.key))
    }
}

impl Part {
    #[inline]
    fn code(&self, doc: DocId, score: Option<Score>) -> u128 {
        let code = match &self.values {
            None => score.map_or(0, score_code),
            Some(values) => values.of(doc).map_or(0, code),
        };
        if self.descending { u128::MAX - code } else { code }
    }
}

impl Top {
    fn new(wanted: &Wanted<'_>, segment: &SegmentReader, best: &[Best]) -> Result<Self, Failure> {
        let shape = wanted.shape;
        let part = |part: &crate::query::order::Part| {
            let values = match part.by {
                By::Score => None,
                By::Column(column) => {
                    Some(Values::of_filter(shape, of_column(shape, column)?, segment)?)
                }
            };
            Ok::<_, Failure>(Part { values, descending: part.descending })
        };
        let mut top = Self {
            limit: wanted.limit,
            parts: wanted.order.0.iter().map(part).collect::<Result<_, _>>()?,
            keys: Values::of_keys(shape, segment)?,
            after: None,
            before: None,
            heap: BinaryHeap::new(),
        };
        top.after = wanted.after.map(|cursor| top.bound(cursor)).transpose()?;
        let last = best.last().filter(|_| best.len() >= wanted.limit);
        top.before = last.map(|last| top.bound(&last.place)).transpose()?;
        Ok(top)
    }

    fn bound(&self, cursor: &Cursor) -> Result<Bound, Failure> {
        let codes = self.parts.iter().zip(&cursor.values).map(|(part, cell)| {
            let code = match (&part.values, cell) {
                (_, Cell::Null) => 0,
                (None, Cell::Real(score)) => score_code(*score as Score),
                (None, _) => 0,
                (Some(values), cell) => match values.find(cell)? {
                    Some(Standing::At(value)) => code(value),
                    Some(Standing::Before(value)) => code(value) - 1,
                    None => 0,
                },
            };
            Ok(if part.descending { u128::MAX - code } else { code })
        });
        let codes = codes.collect::<Result<_, std::io::Error>>()?;
        let (key, is_there) = match self.keys.find_text(&cursor.key)? {
            Standing::At(key) => (key, true),
            Standing::Before(key) => (key, false),
        };
        Ok(Bound { codes, key, is_there })
    }

    /// Whether a document is behind the cursor and among the best so far, by what comes first in the order alone: it
    /// may be. Most are not, and nothing more is made of them.
    #[inline]
    fn may_be_best(&self, doc: DocId, score: Option<Score>) -> bool {
        let Some(part) = self.parts.first() else { return true };
        let first = part.code(doc, score);
        let worst = match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.limit => Some(&worst.codes),
            _ => self.before.as_ref().map(|before| &before.codes),
        };
        worst.is_none_or(|worst| first <= worst[0])
            && self.after.as_ref().is_none_or(|after| first >= after.codes[0])
    }

    /// Takes a document if it is behind the cursor and among the best so far.
    fn offer(&mut self, doc: DocId, score: impl FnOnce() -> Option<Score>) {
        let mut score = Some(score);
        let mut known = None;
        if self.parts.iter().any(|part| part.values.is_none()) {
            known = score.take().and_then(|score| score());
        }
        if !self.may_be_best(doc, known) {
            return;
        }
        let codes: Codes = self.parts.iter().map(|part| part.code(doc, known)).collect();
        // Many more are out of question before their key is looked at.
        if let Some(after) = &self.after
            && codes < after.codes
        {
            return;
        }
        let worst = match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.limit => Some((&worst.codes, worst.key)),
            _ => self.before.as_ref().map(|before| (&before.codes, before.key)),
        };
        if worst.is_some_and(|(worst, _)| codes > *worst) || self.limit == 0 {
            return;
        }
        // Every document has a key.
        let key = self.keys.of(doc).unwrap_or(u64::MAX);
        let is_behind = self.after.as_ref().is_none_or(|after| {
            codes > after.codes || key > after.key || (key == after.key && !after.is_there)
        });
        let is_before = worst.is_none_or(|(worst, last)| codes < *worst || key < last);
        if !is_behind || !is_before {
            return;
        }
        if self.heap.len() >= self.limit {
            self.heap.pop();
        }
        let score = score.map_or(known, |score| score());
        self.heap.push(Entry { codes, key, doc, score });
    }

    /// The score that a document must exceed to be among the best, where only the score orders: those that equal the
    /// last one may have a smaller key.
    fn threshold(&self) -> Score {
        let worst = match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.limit => Some(&worst.codes),
            _ => self.before.as_ref().map(|before| &before.codes),
        };
        worst.map_or(Score::MIN, |codes| score_of(u128::MAX - codes[0]).next_down())
    }

    /// In order, with their values and keys.
    fn best(self, order: &Order, ordinal: SegmentOrdinal) -> Result<Vec<Best>, Failure> {
        let entries = self.heap.into_sorted_vec();
        let numbers =
            |values: &Values| entries.iter().map(|entry| values.of(entry.doc)).collect::<Vec<_>>();
        let mut columns = Vec::with_capacity(self.parts.len());
        for part in &self.parts {
            columns.push(match &part.values {
                Some(values) => values.cells(&numbers(values))?,
                None => {
                    let cell = |entry: &Entry| Cell::Real(f64::from(entry.score.unwrap_or(0.0)));
                    entries.iter().map(cell).collect()
                }
            });
        }
        debug_assert_eq!(columns.len(), order.0.len());
        let keys = self.keys.cells(&numbers(&self.keys))?;
        let best = entries.iter().zip(keys).enumerate().map(|(at, (entry, key))| {
            let key = if let Cell::Text(text) = key { text.into_string() } else { String::new() };
            let values = columns.iter().map(|column| column[at].clone()).collect();
            let address = DocAddress::new(ordinal, entry.doc);
            Best { place: Cursor { values, key }, address, score: entry.score }
        });
        Ok(best.collect())
    }
}

fn code(value: u64) -> u128 {
    u128::from(value) * 2 + 2
}

/// Scores are finite: their order is that of these numbers.
fn score_code(score: Score) -> u128 {
    code(tantivy::f64_to_u64(f64::from(score)))
}

fn score_of(code: u128) -> Score {
    // The widened score fits in 64 bits.
    tantivy::u64_to_f64(((code - 2) / 2) as u64) as Score
}
