//! Terms that stand at their places relative to each other, in one field of one segment.
//!
//! To read where a term stands in a document takes far longer than to see that it is there. So a window has every document
//! with all of the terms, with the score that it has at most; where that is good enough, one asks whether the phrase is
//! really there.

use tantivy::index::InvertedIndexReader;
use tantivy::postings::{Postings as _, SegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet as _, SegmentReader};

use super::list::List;
use super::window::{Bits, DOCUMENTS};

pub(super) struct Phrase {
    /// The rarest first, as in `places`.
    lists: Vec<List>,
    places: Places,
    /// Of the documents of a window, how often the rarest of the terms is there.
    counts: Box<[u32; DOCUMENTS]>,
}

/// Where the terms of a phrase stand, document by document.
pub(super) struct Places {
    /// The rarest first; each with how far before the end of the phrase it stands.
    lists: Vec<(u32, SegmentPostings)>,
    here: Vec<u32>,
    there: Vec<u32>,
}

impl Phrase {
    /// Of these terms, each with its place.
    pub(super) fn open(
        index: &InvertedIndexReader,
        terms: &mut [(usize, TermInfo)],
        segment: &SegmentReader,
    ) -> tantivy::Result<Self> {
        let end = terms.iter().map(|(place, _)| *place).max().unwrap_or(0);
        let places = Places::open(index, terms, end)?;
        let lists = terms.iter().map(|(_, term)| List::open(index, term, segment));
        let lists = lists.collect::<Result<_, _>>()?;
        Ok(Self { lists, places, counts: Box::new([0; DOCUMENTS]) })
    }

    /// How many documents have it, at most.
    pub(super) fn len(&self) -> u32 {
        self.lists.first().map_or(0, List::len)
    }

    pub(super) fn reach(&mut self, doc: DocId) -> DocId {
        self.lists.iter_mut().fold(doc, |doc, list| list.reach(doc))
    }

    /// Takes documents of a window that may have it, and how often at most.
    pub(super) fn each(&mut self, first: DocId, wanted: &Bits, mut take: impl FnMut(usize, u32)) {
        let mut left = *wanted;
        for (number, list) in self.lists.iter_mut().enumerate() {
            let (mut found, counts) = (Bits::NONE, &mut self.counts);
            list.each(first, &left, |at, count| {
                found.insert(at);
                counts[at] = if number == 0 { count } else { count.min(counts[at]) };
            });
            left.keep(&found);
            if left.is_empty() {
                return;
            }
        }
        left.iter().for_each(|at| take(at, self.counts[at]));
    }

    /// How often a document has it. Documents are asked for in ascending order.
    pub(super) fn count(&mut self, doc: DocId) -> u32 {
        if self.places.meet(doc) != doc {
            return 0;
        }
        u32::try_from(self.places.read().len()).expect("places are numbers of 32 bits")
    }
}

impl Places {
    /// Of terms with their places, before an end. Puts the rarest first.
    pub(super) fn open(
        index: &InvertedIndexReader,
        terms: &mut [(usize, TermInfo)],
        end: usize,
    ) -> tantivy::Result<Self> {
        terms.sort_by_key(|(_, term)| term.doc_freq);
        let option = IndexRecordOption::WithFreqsAndPositions;
        let list = |(place, term): &(usize, TermInfo)| {
            let before = u32::try_from(end - place).expect("a text of some thousand bytes");
            Ok((before, index.read_postings_from_terminfo(term, option)?))
        };
        let lists = terms.iter().map(list).collect::<tantivy::Result<_>>()?;
        Ok(Self { lists, here: Vec::new(), there: Vec::new() })
    }

    /// The document if it has all of the terms; else none before the one that this gives has them.
    pub(super) fn meet(&mut self, doc: DocId) -> DocId {
        for (_, list) in &mut self.lists {
            // A list that is beyond it stays, since none may be sought backwards.
            let found = if list.doc() < doc { list.seek(doc) } else { list.doc() };
            if found > doc {
                return found;
            }
        }
        doc
    }

    /// Where the terms stand together in the document where they met: places of the end, ascending.
    pub(super) fn read(&mut self) -> &[u32] {
        let Self { lists, here, there } = self;
        here.clear();
        for (number, (before, list)) in lists.iter_mut().enumerate() {
            if number == 0 {
                list.positions_with_offset(*before, here);
            } else {
                list.positions_with_offset(*before, there);
                here.retain(|place| there.binary_search(place).is_ok());
            }
            if here.is_empty() {
                break;
            }
        }
        here
    }
}
