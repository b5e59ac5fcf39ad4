//! The best documents of one segment, in an order, behind a cursor.
//!
//! Documents are compared by numbers alone: values and keys are places in the segment's dictionaries, which are sorted as
//! the texts are. Texts are made of what is kept when the segment is done. Keys end all ties, so the order is total and
//! pages are disjoint.

use std::collections::BinaryHeap;

use smallvec::SmallVec;
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader};

use super::collect::{Failure, Wanted};
use super::filter::of_column;
use super::values::{Standing, Values};
use crate::query::cursor::Cursor;
use crate::query::order::By;
use crate::row::Cell;

/// A document among the best.
#[derive(Debug)]
pub(super) struct Best {
    pub(super) place: Cursor,
    pub(super) address: DocAddress,
    pub(super) score: Option<Score>,
}

/// The best documents of a segment so far.
pub(super) struct Top {
    limit: usize,
    parts: Vec<Part>,
    keys: Values,
    after: Option<Bound>,
    before: Option<Bound>,
    /// Where the score comes first and descends: those of the last of the best so far and of the cursor.
    least: Score,
    most: Score,
    /// The last of them on top.
    heap: BinaryHeap<Entry>,
}

/// What a document is ordered by, as numbers that ascend in the order: 0 is NULL, an even number a value, an odd one
/// the gap before it. Turned round where the order descends.
type Codes = SmallVec<[u128; 2]>;

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
    pub(super) fn new(
        wanted: &Wanted<'_>,
        segment: &SegmentReader,
        best: &[Best],
    ) -> Result<Self, Failure> {
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
            least: Score::NEG_INFINITY,
            most: Score::INFINITY,
            heap: BinaryHeap::new(),
        };
        top.after = wanted.after.map(|cursor| top.bound(cursor)).transpose()?;
        let last = best.last().filter(|_| best.len() >= wanted.limit);
        top.before = last.map(|last| top.bound(&last.place)).transpose()?;
        if let Some(Cell::Real(score)) = wanted.after.and_then(|after| after.values.first()) {
            top.most = *score as Score;
        }
        if let Some(score) = last.and_then(|last| last.score) {
            top.least = score;
        }
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

    /// Whether a document may be behind the cursor and among the best so far. Most are not, and nothing more is made of
    /// them: so this looks at little, at the score alone if that is what comes first in the order.
    ///
    /// One whose score is not sure has this one at most. To learn it takes longer than to look at all of the order.
    #[inline]
    pub(super) fn may_be_best(&self, doc: DocId, score: Option<Score>, is_sure: bool) -> bool {
        match (self.parts.first(), score) {
            (Some(Part { values: None, descending: true }), Some(score)) => {
                let is_tied = score == self.least && self.parts.len() == 1;
                score >= self.least
                    && (score <= self.most || !is_sure)
                    && (!is_tied || self.has_lower_key(doc))
            }
            (Some(Part { values: Some(_), .. }), _) if is_sure => self.may_be_first(doc),
            (None, _) if is_sure => self.has_lower_key(doc),
            _ if is_sure || self.parts.iter().any(|part| part.values.is_none()) => true,
            _ => self.place(doc, None).is_some(),
        }
    }

    /// By the column that comes first.
    #[inline]
    fn may_be_first(&self, doc: DocId) -> bool {
        let first = self.parts[0].code(doc, None);
        self.worst().is_none_or(|(worst, _)| first <= worst[0])
            && self.after.as_ref().is_none_or(|after| first >= after.codes[0])
    }

    /// Than the last of the best so far, as it is with documents that are equal to it in all else.
    #[inline]
    fn has_lower_key(&self, doc: DocId) -> bool {
        self.worst().is_none_or(|(_, last)| self.keys.of(doc).is_some_and(|key| key < last))
    }

    /// The last of the best so far, once there are as many as are wanted.
    #[inline]
    fn worst(&self) -> Option<(&Codes, u64)> {
        match self.heap.peek() {
            Some(worst) if self.heap.len() >= self.limit => Some((&worst.codes, worst.key)),
            _ => self.before.as_ref().map(|before| (&before.codes, before.key)),
        }
    }

    /// Takes a document if it is behind the cursor and among the best so far.
    pub(super) fn offer(&mut self, doc: DocId, score: Option<Score>) {
        if let Some((codes, key)) = self.place(doc, score) {
            if self.heap.len() >= self.limit {
                self.heap.pop();
            }
            self.heap.push(Entry { codes, key, doc, score });
            if self.heap.len() >= self.limit
                && let Some(score) = self.heap.peek().and_then(|worst| worst.score)
            {
                self.least = score;
            }
        }
    }

    /// Where a document stands in the order, if it is behind the cursor and among the best so far.
    fn place(&self, doc: DocId, score: Option<Score>) -> Option<(Codes, u64)> {
        let codes: Codes = self.parts.iter().map(|part| part.code(doc, score)).collect();
        // Many more are out of question before their key is looked at.
        if let Some(after) = &self.after
            && codes < after.codes
        {
            return None;
        }
        let worst = self.worst();
        if worst.is_some_and(|(worst, _)| codes > *worst) || self.limit == 0 {
            return None;
        }
        // Every document has a key.
        let key = self.keys.of(doc).unwrap_or(u64::MAX);
        let is_behind = self.after.as_ref().is_none_or(|after| {
            codes > after.codes || key > after.key || (key == after.key && !after.is_there)
        });
        let is_before = worst.is_none_or(|(worst, last)| codes < *worst || key < last);
        (is_behind && is_before).then_some((codes, key))
    }

    /// In order, with their values and keys.
    pub(super) fn best(
        self,
        wanted: &Wanted<'_>,
        ordinal: SegmentOrdinal,
    ) -> Result<Vec<Best>, Failure> {
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
        debug_assert_eq!(columns.len(), wanted.order.0.len());
        let keys = self.keys.cells(&numbers(&self.keys))?;
        let best = entries.iter().zip(keys).enumerate().map(|(at, (entry, key))| {
            let key = if let Cell::Text(text) = key { text.into_string() } else { String::new() };
            let values = columns.iter().map(|column| column[at].clone()).collect();
            let address = DocAddress::new(ordinal, entry.doc);
            let place = Cursor { values, key, statistics: wanted.statistics.clone() };
            Best { place, address, score: entry.score }
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
