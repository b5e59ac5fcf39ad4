//! Some documents of a segment, side by side: which of them are found, and their scores so far.
//!
//! Lists of frequent words hold most documents of a segment. Gone through one after another, a window at a time, they
//! cost some nanoseconds a document, whatever is asked of them together.

use tantivy::{DocId, Score};

/// Documents: the scores of two or three windows fit into the nearest cache.
pub(super) const DOCUMENTS: usize = 2_048;

/// A bit a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bits([u64; DOCUMENTS / 64]);

pub(super) struct Window {
    first: DocId,
    pub(super) found: Bits,
    scores: Box<[Score; DOCUMENTS]>,
}

impl Bits {
    pub(super) const NONE: Self = Self([0; DOCUMENTS / 64]);
    pub(super) const ALL: Self = Self([u64::MAX; DOCUMENTS / 64]);

    #[inline]
    pub(super) fn insert(&mut self, at: usize) {
        self.0[at / 64] |= 1 << (at % 64);
    }

    pub(super) fn len(&self) -> u32 {
        self.0.iter().map(|word| word.count_ones()).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        *self == Self::NONE
    }

    pub(super) fn keep(&mut self, others: &Self) {
        self.0.iter_mut().zip(others.0).for_each(|(word, other)| *word &= other);
    }

    pub(super) fn remove(&mut self, others: &Self) {
        self.0.iter_mut().zip(others.0).for_each(|(word, other)| *word &= !other);
    }

    /// Places of what is in it, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().enumerate().flat_map(|(at, &word)| {
            let mut left = word;
            std::iter::from_fn(move || {
                let bit = left.trailing_zeros() as usize;
                // Without its last one.
                left &= left.checked_sub(1)?;
                Some(at * 64 + bit)
            })
        })
    }
}

impl Window {
    pub(super) fn new() -> Self {
        Self { first: 0, found: Bits::NONE, scores: Box::new([0.0; DOCUMENTS]) }
    }

    /// The window that this document is in, with nothing found.
    pub(super) fn begin(&mut self, doc: DocId) {
        self.first = doc - doc % DOCUMENTS as DocId;
        self.found = Bits::NONE;
        self.scores.fill(0.0);
    }

    pub(super) fn first(&self) -> DocId {
        self.first
    }

    #[inline]
    pub(super) fn add(&mut self, at: usize, score: Score) {
        self.found.insert(at);
        self.scores[at] += score;
    }

    #[inline]
    pub(super) fn score(&self, at: usize) -> Score {
        self.scores[at]
    }

    /// Adds the documents of one word of bits, all with one score.
    #[inline]
    pub(super) fn add_word(&mut self, at: usize, word: u64, score: Score) {
        self.found.0[at] |= word;
        if word == 0 {
            return;
        }
        for (bit, of) in self.scores[at * 64..][..64].iter_mut().enumerate() {
            *of += if word >> bit & 1 == 1 { score } else { 0.0 };
        }
    }

    /// Adds all documents before a place, all with one score.
    pub(super) fn add_until(&mut self, end: usize, score: Score) {
        for at in 0..DOCUMENTS / 64 {
            let word = match end.saturating_sub(at * 64) {
                left @ 0..64 => (1 << left) - 1,
                _ => u64::MAX,
            };
            self.add_word(at, word, score);
        }
    }
}
