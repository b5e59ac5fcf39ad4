//! What is searched for, in fields and terms.

use tantivy::query::{Bm25StatisticsProvider, Bm25Weight};
use tantivy::schema::Field;
use tantivy::{Score, Term};

use super::expand::Expand;

#[derive(Clone, Debug)]
pub(super) enum Clause {
    /// Every document, each of them as good as the others.
    Every,
    Terms(Terms),
    /// Whatever fits counts the same.
    Open(Expand, Score),
    /// Not empty.
    All {
        with: Vec<Clause>,
        without: Vec<Clause>,
    },
    Any(Vec<Clause>),
}

/// One term or several at their places relative to each other; in one field.
#[derive(Clone)]
pub(super) struct Terms {
    pub(super) places: Vec<(usize, Term)>,
    pub(super) boost: Score,
    /// None: they count nothing.
    pub(super) weight: Option<Bm25Weight>,
}

impl Terms {
    pub(super) fn new(places: Vec<(usize, Term)>, boost: Score) -> Self {
        Self { places, boost, weight: None }
    }

    pub(super) fn field(&self) -> Field {
        self.places[0].1.field()
    }
}

impl std::fmt::Debug for Terms {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("Terms").field(&self.places).field(&self.boost).finish()
    }
}

impl Clause {
    pub(super) fn nothing() -> Self {
        Self::Any(Vec::new())
    }

    pub(super) fn term(term: Term) -> Self {
        Self::Terms(Terms::new(vec![(0, term)], 1.0))
    }

    /// Makes it count how well a document fits, by how rare its terms are in all of the index.
    pub(super) fn weigh(&mut self, index: &dyn Bm25StatisticsProvider) -> tantivy::Result<()> {
        match self {
            Self::Every | Self::Open(..) => Ok(()),
            Self::Terms(terms) => {
                let all: Vec<Term> = terms.places.iter().map(|(_, term)| term.clone()).collect();
                let weight = Bm25Weight::for_terms(index, &all)?.boost_by(terms.boost);
                terms.weight = Some(weight);
                Ok(())
            }
            // What is taken away has no part in it.
            Self::All { with: clauses, .. } | Self::Any(clauses) => {
                clauses.iter_mut().try_for_each(|clause| clause.weigh(index))
            }
        }
    }
}
