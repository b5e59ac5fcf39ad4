//! The best hits of an order that stand behind a cursor, how many hits there are, and their facets.
//!
//! Segment by segment: from the second one on nothing is kept that is not before the last of what is there already. So
//! memory is bounded by how many hits are wanted.

use std::sync::Arc;
use std::time::Instant;

use tantivy::{DocId, SegmentOrdinal, SegmentReader, TERMINATED, TantivyError};

use super::clause::Clause;
use super::facets::{Counts, SegmentCounts};
use super::filter::{Predicate, predicate};
use super::matches::Matches;
use super::shape::Shape;
use super::top::{Best, Top};
use super::window::{Bits, DOCUMENTS, Window};
use crate::query::cursor::Cursor;
use crate::query::filter::Filter;
use crate::query::order::Order;

/// Texts of a dictionary between two looks at the clock: well below a millisecond of work.
const STEPS: u32 = 1_024;

/// What is wanted of the documents that a query gives.
pub(super) struct Wanted<'a> {
    pub(super) shape: &'a Shape,
    pub(super) filter: Option<&'a Filter>,
    pub(super) order: &'a Order,
    pub(super) after: Option<&'a Cursor>,
    /// That the scores of all pages rest on, for cursors.
    pub(super) statistics: Arc<[u64]>,
    pub(super) limit: usize,
    /// How many there are in all, or of each value: none may be left out for being worse than what is there.
    pub(super) counted: bool,
    pub(super) scored: bool,
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

    /// Takes the hits of one segment.
    pub(super) fn segment(
        &mut self,
        wanted: &Wanted<'_>,
        clause: &Clause,
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
        let Some(mut matches) = Matches::open(clause, segment)? else { return Ok(()) };
        let facets = self.facets.iter().map(|counts| counts.segment(wanted.shape, segment));
        let facets = facets.collect::<Result<Vec<_>, _>>()?;
        let top = Top::new(wanted, segment, &self.best)?;
        let mut pass = Pass { segment, predicate, top, facets, total: 0 };
        pass.run(&mut matches, wanted, self)?;
        let Pass { top, facets, total, .. } = pass;
        self.total += total;
        for (counts, segment) in self.facets.iter_mut().zip(facets) {
            counts.add(segment)?;
        }
        self.best.extend(top.best(wanted, ordinal)?);
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

    fn run(
        &mut self,
        matches: &mut Matches,
        wanted: &Wanted<'_>,
        collected: &mut Collected,
    ) -> Result<(), Failure> {
        let (mut window, is_sure) = (Window::new(), matches.is_sure());
        let mut doc = matches.reach(0);
        while doc != TERMINATED {
            collected.deadline.look()?;
            window.begin(doc);
            matches.find(&mut window, &Bits::ALL);
            for at in window.found.iter() {
                let doc = window.first() + at as DocId;
                let mut score = wanted.scored.then(|| window.score(at));
                let may_be_best = self.top.may_be_best(doc, score, is_sure);
                if !wanted.counted && !may_be_best || !self.is_hit(doc) {
                    continue;
                }
                if !is_sure {
                    // A long phrase takes a long text some milliseconds.
                    collected.deadline.look()?;
                    let mut sum = 0.0;
                    if !matches.score(doc, &mut sum) {
                        continue;
                    }
                    score = score.map(|_| sum);
                }
                self.total += 1;
                self.facets.iter_mut().for_each(|facet| facet.count(doc));
                if may_be_best {
                    self.top.offer(doc, score);
                }
            }
            self.look_at_facets(collected)?;
            doc = matches.reach(window.first() + DOCUMENTS as DocId);
        }
        Ok(())
    }

    fn look_at_facets(&self, collected: &Collected) -> Result<(), Failure> {
        let mut all = self.facets.iter().zip(&collected.facets);
        all.try_for_each(|(segment, counts)| counts.within(segment.sparse()))
    }
}
