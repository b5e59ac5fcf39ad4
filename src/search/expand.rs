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
use tantivy::query::{
    BitSetDocSet, ConstScorer, EnableScoring, Explanation, FuzzyTermQuery, Query, Scorer, Weight,
};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{BitSet, DocId, DocSet, Score, TERMINATED, TantivyError, Term};

use super::analysis::MARK;
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

impl Query for Expand {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for Expand {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let mut rows = BitSet::with_max_value(reader.max_doc());
        let index = reader.inverted_index(self.field)?;
        let mut clock = Clock { deadline: self.deadline, steps: 0 };
        if self.before.is_empty() {
            self.walk(&index, &mut clock, |term, clock| union(&index, term, &mut rows, clock))?;
        } else if let Some(mut lists) = Lists::open(&index, &self.before, self.place)? {
            while lists.fill(&mut clock)? {
                let places = &lists.places;
                self.walk(&index, &mut clock, |term, clock| {
                    let option = IndexRecordOption::WithFreqsAndPositions;
                    let list = index.read_postings_from_terminfo(term, option)?;
                    join(list, places, &mut rows, clock)
                })?;
            }
        }
        Ok(Box::new(ConstScorer::new(BitSetDocSet::from(rows), boost)))
    }

    fn explain(&self, _: &SegmentReader, _: DocId) -> tantivy::Result<Explanation> {
        Ok(Explanation::new("a beginning, or a word with faults", 1.0))
    }
}

impl Expand {
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
        if self.steps.is_multiple_of(STEPS_BETWEEN_LOOKS) && Instant::now() >= self.deadline {
            return Err(timed_out());
        }
        Ok(())
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

/// The lists of the terms before the open one, read side by side.
struct Lists {
    /// The rarest first; each with how far before the open term it stands.
    lists: Vec<(u32, SegmentPostings)>,
    /// Where the open term has to stand: (row, place), ascending.
    places: Vec<(DocId, u32)>,
}

impl Lists {
    /// None: a term is not in this segment.
    fn open(
        index: &InvertedIndexReader,
        terms: &[(usize, Term)],
        place: usize,
    ) -> tantivy::Result<Option<Self>> {
        let mut lists = Vec::with_capacity(terms.len());
        for (at, term) in terms {
            let before = u32::try_from(place - at).expect("a text of some thousand bytes");
            let option = IndexRecordOption::WithFreqsAndPositions;
            let Some(list) = index.read_postings(term, option)? else { return Ok(None) };
            lists.push((before, list));
        }
        lists.sort_by_key(|(_, list)| list.size_hint());
        Ok(Some(Self { lists, places: Vec::new() }))
    }

    /// The next places, `PLACES_MAX` and those of one row at most; false: there are no more.
    fn fill(&mut self, clock: &mut Clock) -> tantivy::Result<bool> {
        self.places.clear();
        let (mut here, mut there) = (Vec::new(), Vec::new());
        let [(first_before, first), others @ ..] = &mut self.lists[..] else { return Ok(false) };
        'rows: while first.doc() != TERMINATED && self.places.len() < PLACES_MAX {
            clock.step()?;
            let row = first.doc();
            for (_, other) in &mut *others {
                let found = reach(other, row);
                if found > row {
                    first.seek(found);
                    continue 'rows;
                }
            }
            first.positions_with_offset(*first_before, &mut here);
            for (before, other) in &mut *others {
                other.positions_with_offset(*before, &mut there);
                here.retain(|place| there.binary_search(place).is_ok());
            }
            self.places.extend(here.iter().map(|place| (row, *place)));
            first.advance();
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
