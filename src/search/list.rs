//! The documents of one term in one segment, gone through forwards.

use std::io;

use tantivy::index::InvertedIndexReader;
use tantivy::postings::{BlockSegmentPostings, TermInfo};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, SegmentReader};

use super::window::{Bits, DOCUMENTS};

/// A list is sought in for each document that is wanted where it has more than so many for each of them: a place is
/// found in the time in which about so many are gone through.
const SOUGHT_ONE_IN: u32 = 16;

#[derive(Clone)]
pub(super) struct List {
    blocks: BlockSegmentPostings,
    /// Within the block.
    at: usize,
    /// In a window, on average.
    per_window: u32,
}

impl List {
    pub(super) fn open(
        index: &InvertedIndexReader,
        term: &TermInfo,
        segment: &SegmentReader,
    ) -> io::Result<Self> {
        let option = IndexRecordOption::WithFreqs;
        let blocks = index.read_block_postings_from_terminfo(term, option)?;
        let windows = segment.max_doc().div_ceil(DOCUMENTS as u32).max(1);
        Ok(Self { per_window: blocks.doc_freq() / windows, blocks, at: 0 })
    }

    /// How many documents it has.
    pub(super) fn len(&self) -> u32 {
        self.blocks.doc_freq()
    }

    /// Where it stands; `TERMINATED` at its end.
    #[inline]
    fn doc(&self) -> DocId {
        self.blocks.doc(self.at)
    }

    /// How often the term is in the document where it stands.
    #[inline]
    pub(super) fn count(&self) -> u32 {
        self.blocks.freq(self.at)
    }

    /// Goes to the first document from this one on; one that is beyond it stays.
    #[inline]
    pub(super) fn reach(&mut self, doc: DocId) -> DocId {
        if self.doc() < doc {
            self.at = self.blocks.seek(doc);
        }
        self.doc()
    }

    /// Takes its documents of a window, and how often the term is in each: of those that are wanted all, of others some.
    #[inline]
    pub(super) fn each(&mut self, first: DocId, wanted: &Bits, mut take: impl FnMut(usize, u32)) {
        if wanted.len() < self.per_window / SOUGHT_ONE_IN {
            for at in wanted.iter() {
                let doc = first + at as DocId;
                if self.reach(doc) == doc {
                    take(at, self.count());
                }
            }
            return;
        }
        self.reach(first);
        while let Some(docs) = self.blocks.docs().get(self.at..).filter(|docs| !docs.is_empty()) {
            for (number, doc) in docs.iter().enumerate() {
                let at = (doc - first) as usize;
                if at >= DOCUMENTS {
                    self.at += number;
                    return;
                }
                take(at, self.blocks.freq(self.at + number));
            }
            self.blocks.advance();
            self.at = 0;
        }
    }
}
