//! The numbers that scores rest on: how many documents an index has, how long a field is in all of them, how many of them
//! have a term.
//!
//! Every commit and every merge moves them, and with them all scores. So a list by score keeps the numbers of its first
//! page: they stand in its cursors, each once, in the order in which its words ask for them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use tantivy::query::Bm25StatisticsProvider;
use tantivy::schema::Field;
use tantivy::{Result, Searcher, Term};

pub(super) struct Statistics<'a> {
    index: &'a Searcher,
    /// Those of the first page, where this is a later one.
    kept: Option<&'a [u64]>,
    asked: RefCell<Vec<u64>>,
    known: RefCell<HashMap<Asked, u64>>,
}

#[derive(PartialEq, Eq, Hash)]
enum Asked {
    Documents,
    Length(Field),
    With(Term),
}

impl<'a> Statistics<'a> {
    pub(super) fn new(index: &'a Searcher, kept: Option<&'a [u64]>) -> Self {
        Self { index, kept, asked: RefCell::default(), known: RefCell::default() }
    }

    /// All that was asked for. None: what was kept is of other words, or of an index with other fields.
    pub(super) fn asked(self) -> Option<Arc<[u64]>> {
        let asked = self.asked.into_inner();
        self.kept.is_none_or(|kept| kept.len() == asked.len()).then(|| asked.into())
    }

    fn number(&self, asked: Asked, look: impl FnOnce() -> Result<u64>) -> Result<u64> {
        if let Some(number) = self.known.borrow().get(&asked) {
            return Ok(*number);
        }
        let mut numbers = self.asked.borrow_mut();
        let number = match self.kept {
            // Too few are found out at the end.
            Some(kept) => kept.get(numbers.len()).copied().unwrap_or(0),
            None => look()?,
        };
        numbers.push(number);
        self.known.borrow_mut().insert(asked, number);
        Ok(number)
    }
}

/// Whoever forges a cursor chooses numbers: they are held in the bounds that Tantivy insists on.
impl Bm25StatisticsProvider for Statistics<'_> {
    fn total_num_tokens(&self, field: Field) -> Result<u64> {
        let length = self.number(Asked::Length(field), || self.index.total_num_tokens(field))?;
        Ok(length.max(1))
    }

    fn total_num_docs(&self) -> Result<u64> {
        Ok(self.number(Asked::Documents, || self.index.total_num_docs())?.max(1))
    }

    fn doc_freq(&self, term: &Term) -> Result<u64> {
        let documents = self.total_num_docs()?;
        let with = self.number(Asked::With(term.clone()), || self.index.doc_freq(term))?;
        Ok(with.min(documents))
    }
}
