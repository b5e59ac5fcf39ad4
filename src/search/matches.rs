//! The documents of one segment in which a clause is found, window by window, with their scores.
//!
//! A score is a sum of floats, and depends on the order of addition. Here the score of a document is added up in one
//! order, that of the clauses, whatever else is asked: so it is the same on all pages.
//!
//! With phrases, a window holds what may be there, with the score that it has at most ([`super::phrase`]). Then
//! [`Matches::score`] says what it really is, adding up the same parts.

use tantivy::fieldnorm::FieldNormReader;
use tantivy::query::Bm25Weight;
use tantivy::{BitSet, DocId, Score, SegmentReader, TERMINATED};

use super::clause::{Clause, Terms};
use super::list::List;
use super::phrase::Phrase;
use super::window::{Bits, DOCUMENTS, Window};

/// A phrase that is there more often has a higher score, but for rounding, which is less than this factor.
const ROUNDING: Score = 1.000_01;

/// Windows and documents are asked for in ascending order.
pub(super) enum Matches {
    /// All of so many documents.
    Every(DocId),
    Term(Box<Term>),
    Phrase(Box<(Phrase, Option<Scoring>)>),
    /// The documents, and what each of them counts.
    Open(BitSet, Score),
    All(Box<All>),
    Any(Vec<Matches>),
}

pub(super) struct Term {
    windows: List,
    documents: List,
    scoring: Option<Scoring>,
}

pub(super) struct All {
    /// Each with what it finds in a window.
    with: Vec<(Matches, Window)>,
    without: Vec<Matches>,
    /// Those first that find few documents.
    order: Vec<usize>,
    excluded: Window,
}

/// How the documents with a term count.
pub(super) struct Scoring {
    weight: Bm25Weight,
    lengths: FieldNormReader,
}

impl Matches {
    /// None: it is found nowhere in the segment.
    pub(super) fn open(clause: &Clause, segment: &SegmentReader) -> tantivy::Result<Option<Self>> {
        Ok(match clause {
            Clause::Every => Some(Self::Every(segment.max_doc())),
            Clause::Terms(terms) => Self::terms(terms, segment)?,
            Clause::Open(open, boost) => Some(Self::Open(open.rows(segment)?, *boost)),
            Clause::All { with, without } => {
                let with = with.iter().map(|clause| Self::open(clause, segment));
                let Some(with) = with.collect::<tantivy::Result<Option<Vec<_>>>>()? else {
                    return Ok(None);
                };
                Some(Self::All(Box::new(All::new(with, Self::each(without, segment)?))))
            }
            Clause::Any(clauses) => {
                let mut any = Self::each(clauses, segment)?;
                if any.len() > 1 { Some(Self::Any(any)) } else { any.pop() }
            }
        })
    }

    /// Of those that are found anywhere.
    fn each(clauses: &[Clause], segment: &SegmentReader) -> tantivy::Result<Vec<Self>> {
        let opened = clauses.iter().map(|clause| Self::open(clause, segment));
        opened.filter_map(Result::transpose).collect()
    }

    fn terms(terms: &Terms, segment: &SegmentReader) -> tantivy::Result<Option<Self>> {
        let field = terms.field();
        let index = segment.inverted_index(field)?;
        let mut found = Vec::with_capacity(terms.places.len());
        for (place, term) in &terms.places {
            let Some(term) = index.get_term_info(term)? else { return Ok(None) };
            found.push((*place, term));
        }
        let scoring = terms.weight.as_ref().map(|weight| {
            let lengths = segment.get_fieldnorms_reader(field)?;
            Ok::<_, tantivy::TantivyError>(Scoring { weight: weight.clone(), lengths })
        });
        let scoring = scoring.transpose()?;
        Ok(Some(match &found[..] {
            [(_, term)] => {
                let list = List::open(&index, term, segment)?;
                Self::Term(Box::new(Term { windows: list.clone(), documents: list, scoring }))
            }
            _ => Self::Phrase(Box::new((Phrase::open(&index, &mut found, segment)?, scoring))),
        }))
    }

    /// What is in a window is found, with its score; else it may be, and has no higher one.
    pub(super) fn is_sure(&self) -> bool {
        match self {
            Self::Every(_) | Self::Term(_) | Self::Open(..) => true,
            Self::Phrase(_) => false,
            Self::All(all) => {
                let mut with = all.with.iter().map(|(one, _)| one);
                with.all(Self::is_sure) && all.without.iter().all(Self::is_sure)
            }
            Self::Any(any) => any.iter().all(Self::is_sure),
        }
    }

    /// No document is found before this one; `TERMINATED`: no more is.
    pub(super) fn reach(&mut self, doc: DocId) -> DocId {
        match self {
            Self::Every(documents) if doc < *documents => doc,
            Self::Every(_) => TERMINATED,
            Self::Term(term) => term.windows.reach(doc),
            Self::Phrase(phrase) => phrase.0.reach(doc),
            Self::Open(rows, _) => next(rows, doc),
            Self::All(all) => all.order.iter().fold(doc, |doc, &one| all.with[one].0.reach(doc)),
            Self::Any(any) => any.iter_mut().map(|one| one.reach(doc)).min().unwrap_or(TERMINATED),
        }
    }

    /// Adds what is found in a window: of what is wanted all, of the rest some.
    pub(super) fn find(&mut self, window: &mut Window, wanted: &Bits) {
        let first = window.first();
        match self {
            Self::Every(documents) => window.add_until((*documents - first) as usize, 1.0),
            Self::Term(term) => match &term.scoring {
                Some(scoring) => term.windows.each(first, wanted, |at, count| {
                    window.add(at, scoring.score(first + at as DocId, count));
                }),
                None => term.windows.each(first, wanted, |at, _| window.found.insert(at)),
            },
            Self::Phrase(phrase) => {
                let (phrase, scoring) = &mut **phrase;
                phrase.each(first, wanted, |at, count| {
                    let scoring = scoring.as_ref();
                    let score = scoring.map(|it| it.score(first + at as DocId, count));
                    let rounding = if count > 1 { ROUNDING } else { 1.0 };
                    window.add(at, score.unwrap_or(0.0) * rounding);
                });
            }
            Self::Open(rows, boost) => {
                let begin = first / 64;
                let end = (begin + (DOCUMENTS / 64) as u32).min(rows.max_value().div_ceil(64));
                for (at, bucket) in (begin..end).enumerate() {
                    let word = u64::from_le_bytes(rows.tinyset(bucket).into_bytes());
                    window.add_word(at, word, *boost);
                }
            }
            Self::All(all) => all.find(window, wanted),
            Self::Any(any) => any.iter_mut().for_each(|one| one.find(window, wanted)),
        }
    }

    /// Adds the score of a document; whether it is found at all.
    pub(super) fn score(&mut self, doc: DocId, score: &mut Score) -> bool {
        let (is_found, more) = match self {
            Self::Every(documents) => (doc < *documents, 1.0),
            Self::Open(rows, boost) => (rows.contains(doc), *boost),
            Self::Term(term) => {
                let is_found = term.documents.reach(doc) == doc;
                let scoring = term.scoring.as_ref().filter(|_| is_found);
                let score = scoring.map(|it| it.score(doc, term.documents.count()));
                (is_found, score.unwrap_or(0.0))
            }
            Self::Phrase(phrase) => {
                let count = phrase.0.count(doc);
                let scoring = phrase.1.as_ref().filter(|_| count > 0);
                (count > 0, scoring.map_or(0.0, |it| it.score(doc, count)))
            }
            Self::All(all) => match all.score(doc) {
                Some(score) => (true, score),
                None => (false, 0.0),
            },
            Self::Any(any) => {
                let found = any.iter_mut().filter_map(|one| one.score(doc, score).then_some(()));
                (found.count() > 0, 0.0)
            }
        };
        if is_found {
            *score += more;
        }
        is_found
    }

    /// How many documents there are at most.
    fn len(&self) -> u64 {
        match self {
            Self::Every(documents) => u64::from(*documents),
            Self::Term(term) => u64::from(term.windows.len()),
            Self::Phrase(phrase) => u64::from(phrase.0.len()),
            Self::Open(rows, _) => rows.len() as u64,
            Self::All(all) => all.with.iter().map(|(one, _)| one.len()).min().unwrap_or(0),
            Self::Any(any) => any.iter().map(Self::len).sum(),
        }
    }
}

impl All {
    fn new(with: Vec<Matches>, without: Vec<Matches>) -> Self {
        let mut order: Vec<usize> = (0..with.len()).collect();
        order.sort_by_key(|&one| with[one].len());
        let with = with.into_iter().map(|one| (one, Window::new())).collect();
        Self { with, without, order, excluded: Window::new() }
    }

    fn find(&mut self, window: &mut Window, wanted: &Bits) {
        let mut left = *wanted;
        for &one in &self.order {
            let (one, part) = &mut self.with[one];
            part.begin(window.first());
            one.find(part, &left);
            left.keep(&part.found);
            if left.is_empty() {
                return;
            }
        }
        for one in self.without.iter_mut().filter(|one| one.is_sure()) {
            self.excluded.begin(window.first());
            one.find(&mut self.excluded, &left);
            left.remove(&self.excluded.found);
        }
        for at in left.iter() {
            window.add(at, self.with.iter().fold(0.0, |sum, (_, part)| sum + part.score(at)));
        }
    }

    fn score(&mut self, doc: DocId) -> Option<Score> {
        let mut sum = 0.0;
        for (one, _) in &mut self.with {
            let mut score = 0.0;
            if !one.score(doc, &mut score) {
                return None;
            }
            sum += score;
        }
        let is_excluded = self.without.iter_mut().any(|one| one.score(doc, &mut 0.0));
        (!is_excluded).then_some(sum)
    }
}

impl Scoring {
    #[inline]
    fn score(&self, doc: DocId, count: u32) -> Score {
        self.weight.score(self.lengths.fieldnorm_id(doc), count)
    }
}

/// The first of a set from this one on.
fn next(rows: &BitSet, doc: DocId) -> DocId {
    if doc >= rows.max_value() {
        return TERMINATED;
    }
    let word = u64::from_le_bytes(rows.tinyset(doc / 64).into_bytes()) >> (doc % 64);
    if word != 0 {
        return doc + word.trailing_zeros();
    }
    match rows.first_non_empty_bucket(doc / 64 + 1) {
        Some(bucket) => {
            let word = u64::from_le_bytes(rows.tinyset(bucket).into_bytes());
            bucket * 64 + word.trailing_zeros()
        }
        None => TERMINATED,
    }
}

#[cfg(test)]
pub(super) mod tests;
