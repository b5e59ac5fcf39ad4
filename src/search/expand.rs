//! Beginnings of words and words with faults: all terms of the dictionary that fit, none left out.
//!
//! Tantivy's own expansions stop at a number of terms, and then rows are missing in silence. Here the walk through the
//! dictionary ends at the query's deadline, with an error; what it holds meanwhile is a bit for each row of a segment
//! and, in phrases, some places at a time.
//!
//! Whatever fits counts the same: 1, by the weight of the field.

use std::io;
use std::time::Instant;

use tantivy::index::{InvertedIndexReader, SegmentReader};
use tantivy::postings::{Postings, SegmentPostings, TermInfo};
use tantivy::query::FuzzyTermQuery;
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{BitSet, DocId, DocSet, TERMINATED, TantivyError, Term};

use super::analysis::MARK;
use super::phrase::Places;
use super::sought::Open;

/// Places of a phrase's first words that are held at a time: 8 MiB. More are taken in turns.
const PLACES_MAX: usize = 1 << 20;

/// Blocks of rows and terms between two looks at the clock: some hundred microseconds.
const STEPS_BETWEEN_LOOKS: u32 = 256;

/// The rows with a term that `open` stands for, at its place after the terms before it.
#[derive(Clone, Debug)]
pub(super) struct Expand {
    pub(super) field: Field,
    pub(super) before: Vec<(usize, Term)>,
    pub(super) place: usize,
    pub(super) open: Open,
    pub(super) deadline: Instant,
}

/// The error of a query that ran into its deadline.
pub(super) fn timed_out() -> TantivyError {
    io::Error::from(io::ErrorKind::TimedOut).into()
}

/// Whether a query ended because of its deadline.
pub(super) fn is_timed_out(error: &TantivyError) -> bool {
    matches!(error, TantivyError::IoError(error) if error.kind() == io::ErrorKind::TimedOut)
}

impl Expand {
    /// Those of a segment.
    pub(super) fn rows(&self, segment: &SegmentReader) -> tantivy::Result<BitSet> {
        let mut rows = BitSet::with_max_value(segment.max_doc());
        let index = segment.inverted_index(self.field)?;
        let mut clock = Clock { deadline: self.deadline, steps: 0 };
        if self.before.is_empty() {
            self.walk(&index, &mut clock, |term, clock| union(&index, term, &mut rows, clock))?;
            return Ok(rows);
        }
        let mut before = Vec::with_capacity(self.before.len());
        for (place, term) in &self.before {
            let Some(term) = index.get_term_info(term)? else { return Ok(rows) };
            before.push((*place, term));
        }
        let before = Places::open(&index, &mut before, self.place)?;
        let mut lists = Lists { before, places: Vec::new() };
        while lists.fill(&mut clock)? {
            let places = &lists.places;
            self.walk(&index, &mut clock, |term, clock| {
                let option = IndexRecordOption::WithFreqsAndPositions;
                let list = index.read_postings_from_terminfo(term, option)?;
                join(list, places, &mut rows, clock)
            })?;
        }
        Ok(rows)
    }

    /// Gives every term of the dictionary that is meant.
    fn walk(
        &self,
        index: &InvertedIndexReader,
        clock: &mut Clock,
        mut take: impl FnMut(&TermInfo, &mut Clock) -> tantivy::Result<()>,
    ) -> tantivy::Result<()> {
        match &self.open {
            Open::Prefix(prefix) => {
                let mut end = prefix.clone().into_bytes();
                // No byte of a text is as high.
                end.push(0xff);
                let range = index.terms().range().ge(prefix).lt(end);
                let mut terms = range.without_keys().into_stream()?;
                while terms.advance() {
                    clock.step()?;
                    take(terms.value(), clock)?;
                }
            }
            Open::Fuzzy(word) => {
                let term = Term::from_field_text(self.field, word);
                let near = FuzzyTermQuery::new(term, 1, true).automaton()?;
                let mut range = index.terms().search(&near);
                // The mark is not part of the word: what is near with another letter in its place is a stem.
                if word.starts_with(MARK) {
                    range = range.ge(MARK.to_string()).lt([MARK as u8 + 1]);
                }
                let mut terms = range.without_keys().into_stream()?;
                while terms.advance() {
                    clock.step()?;
                    take(terms.value(), clock)?;
                }
            }
        }
        Ok(())
    }
}

/// Looks at the clock now and then.
struct Clock {
    deadline: Instant,
    steps: u32,
}

impl Clock {
    fn step(&mut self) -> tantivy::Result<()> {
        self.steps += 1;
        if self.steps.is_multiple_of(STEPS_BETWEEN_LOOKS) { self.look() } else { Ok(()) }
    }

    fn look(&self) -> tantivy::Result<()> {
        if Instant::now() < self.deadline { Ok(()) } else { Err(timed_out()) }
    }
}

/// Adds the rows of a term.
fn union(
    index: &InvertedIndexReader,
    term: &TermInfo,
    rows: &mut BitSet,
    clock: &mut Clock,
) -> tantivy::Result<()> {
    let mut list = index.read_block_postings_from_terminfo(term, IndexRecordOption::Basic)?;
    while !list.docs().is_empty() {
        for row in list.docs() {
            rows.insert(*row);
        }
        clock.step()?;
        list.advance();
    }
    Ok(())
}

/// The terms before the open one.
struct Lists {
    before: Places,
    /// Where the open term has to stand: (row, place), ascending.
    places: Vec<(DocId, u32)>,
}

impl Lists {
    /// The next places, `PLACES_MAX` and those of one row at most; false: there are no more.
    fn fill(&mut self, clock: &mut Clock) -> tantivy::Result<bool> {
        let mut row = self.places.last().map_or(0, |(row, _)| row + 1);
        self.places.clear();
        while row != TERMINATED && self.places.len() < PLACES_MAX {
            clock.step()?;
            let found = self.before.meet(row);
            if found == row {
                // A long phrase takes a long text some milliseconds.
                clock.look()?;
                self.places.extend(self.before.read().iter().map(|place| (row, *place)));
            }
            row = found.max(row + 1);
        }
        Ok(!self.places.is_empty())
    }
}

/// Adds the rows in which a term stands at one of the places.
fn join(
    mut list: SegmentPostings,
    mut places: &[(DocId, u32)],
    rows: &mut BitSet,
    clock: &mut Clock,
) -> tantivy::Result<()> {
    let mut found = Vec::new();
    while let Some((row, _)) = places.first() {
        clock.step()?;
        let at = reach(&mut list, *row);
        if at == TERMINATED {
            break;
        }
        if at == *row {
            list.positions(&mut found);
        } else {
            found.clear();
        }
        // Past the places before the row that the term has next, or those of the row itself.
        let len = places.partition_point(|(other, _)| *other < at + u32::from(at == *row));
        let (here, rest) = places.split_at(len);
        if here.iter().any(|(_, place)| found.binary_search(place).is_ok()) {
            rows.insert(at);
        }
        places = rest;
    }
    Ok(())
}

/// The first row from `row` on; a list that is beyond it stays, since none may be sought backwards.
fn reach(list: &mut SegmentPostings, row: DocId) -> DocId {
    if list.doc() < row { list.seek(row) } else { list.doc() }
}
