//! A search: words and a filter over one commit of an index, in an order, from a place on.

use std::sync::Arc;
use std::time::Instant;

use tantivy::{DocAddress, Score};

use super::clause::Clause;
use super::collect::{Collected, Failure, Wanted};
use super::compile::compile;
use super::document::HASHED;
use super::expand::is_timed_out;
use super::facets::Facet;
use super::statistics::Statistics;
use super::words::Words;
use super::{Searcher, filter, words};
use crate::query::Refused;
use crate::query::cursor::{self, Cursor};
use crate::query::filter::Filter;
use crate::query::order::Order;
use crate::store;

/// What is asked of an index.
#[derive(Clone, Debug)]
pub struct Request {
    /// None, or nothing but blanks: every row that the filter lets through.
    pub words: Option<String>,
    pub filter: Option<Filter>,
    /// One that names nothing: by score where there are words, else by key.
    pub order: Order,
    /// Only what is behind it.
    pub after: Option<Cursor>,
    pub limit: usize,
    /// With the words in the texts that they were found in.
    pub highlight: bool,
    /// Columns whose values are counted over all hits.
    pub facets: Vec<usize>,
    /// All hits are counted, whatever the cursor and the limit.
    pub total: bool,
    pub deadline: Instant,
}

/// Why a search gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The client's.
    #[error("{0}")]
    Refused(Refused),

    /// The client's, or of a machine that is busy.
    #[error("the search did not end in time")]
    TimedOut,

    /// The index's: it is damaged, or cannot be read.
    #[error(transparent)]
    Index(#[from] super::Error),

    /// The view's.
    #[error(transparent)]
    Rows(#[from] store::Error),
}

/// What an index has found.
#[derive(Debug)]
pub(super) struct Found {
    /// In order.
    pub(super) hits: Vec<Hit>,
    pub(super) total: Option<u64>,
    pub(super) facets: Vec<Facet>,
    pub(super) warnings: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Hit {
    /// Where it stands in the order.
    pub(super) place: Cursor,
    pub(super) address: DocAddress,
    pub(super) score: Option<Score>,
}

impl Request {
    /// The words, if there are any.
    pub(super) fn words(&self) -> Option<&str> {
        self.words.as_deref().filter(|words| !words.trim().is_empty())
    }

    /// The order in which hits come.
    pub fn order(&self) -> Order {
        match self.words() {
            Some(_) if self.order.0.is_empty() => Order::by_score(),
            _ => self.order.clone(),
        }
    }
}

impl Searcher {
    /// The hits of the index, and how it counts them: whether their rows are still so, `rows` looks at.
    pub(super) fn search(&self, request: &Request) -> Result<Found, Error> {
        let order = request.order();
        if request.words().is_none() && order.has_score() {
            let detail = "rows have a score only where words are searched for";
            return Err(Error::Refused(Refused::new(detail)));
        }
        let (mut clause, warnings) = match self.words(request)? {
            Some(words) => {
                let compiled = compile(&words, self.shape.texts(), request.deadline)
                    .map_err(Error::Refused)?;
                (Some(compiled.clause), compiled.warnings)
            }
            None => (None, Vec::new()),
        };
        let after = request.after.as_ref();
        let kept = after.filter(|_| order.has_score()).map(|after| &after.statistics[..]);
        let statistics = Statistics::new(&self.inner, kept);
        if let Some(clause) = &mut clause {
            clause.weigh(&statistics).map_err(|error| self.failed(error.into()))?;
        }
        let Some(asked) = statistics.asked() else {
            return Err(Error::Refused(cursor::foreign()));
        };
        let wanted = Wanted {
            shape: &self.shape,
            filter: request.filter.as_ref(),
            order: &order,
            after,
            statistics: if order.has_score() { asked } else { Arc::default() },
            limit: request.limit,
            counted: request.total || !request.facets.is_empty(),
            scored: clause.is_some(),
        };
        let collected =
            self.collect(clause, &wanted, request).map_err(|failure| self.failed(failure))?;
        let hits = collected.best.into_iter().map(|best| Hit {
            place: best.place,
            address: best.address,
            score: best.score,
        });
        Ok(Found {
            hits: hits.collect(),
            total: request.total.then_some(collected.total),
            facets: collected.facets.into_iter().map(super::facets::Counts::facet).collect(),
            warnings,
        })
    }

    /// What is searched for, if anything is.
    pub(super) fn words(&self, request: &Request) -> Result<Option<Words>, Error> {
        let names: Vec<&str> = self.shape.texts().iter().map(|text| text.name.as_str()).collect();
        let filters = self.shape.filters().iter().map(|filter| filter.name.as_str());
        let filters: Vec<&str> = filters.collect();
        let words = request.words().map(|words| words::parse(words, &names, &filters));
        words.transpose().map_err(Error::Refused)
    }

    fn collect(
        &self,
        words: Option<Clause>,
        wanted: &Wanted<'_>,
        request: &Request,
    ) -> Result<Collected, Failure> {
        let mut with: Vec<Clause> = words.into_iter().collect();
        if let Some(filter) = wanted.filter {
            with.extend(filter::leads(filter, wanted.shape, &self.inner)?);
        }
        let clause = match with.len() {
            0 => Clause::Every,
            1 => with.remove(0),
            _ => Clause::All { with, without: Vec::new() },
        };
        let mut collected = Collected::new(&request.facets, request.deadline);
        for (ordinal, segment) in (0..).zip(self.inner.segment_readers()) {
            collected.segment(wanted, &clause, ordinal, segment)?;
        }
        Ok(collected)
    }

    /// The key of a hit as text; only that of a long one is not its place's.
    pub(super) fn hit_key(&self, hit: &Hit) -> Result<String, Error> {
        if hit.place.key.starts_with(HASHED) {
            return Ok(self.key(hit.address)?);
        }
        Ok(hit.place.key.clone())
    }

    fn failed(&self, failure: Failure) -> Error {
        let name = |column: usize| {
            let filters = self.shape.filters().iter();
            let found = filters.clone().find(|filter| filter.column == column);
            found.map_or_else(|| format!("column {column}"), |filter| format!("`{}`", filter.name))
        };
        match failure {
            Failure::Expired => Error::TimedOut,
            Failure::ManyValues { column, max } => Error::Refused(
                Refused::new(format!("{} has more than {max} values to count", name(column)))
                    .hint("facets are for columns of few values; a narrower search has fewer"),
            ),
            Failure::NoFilter(column) => {
                Error::Refused(Refused::new(format!("{} is no filter of this index", name(column))))
            }
            Failure::Tantivy(error) if is_timed_out(&error) => Error::TimedOut,
            Failure::Tantivy(error) => Error::Index(self.error(error)),
        }
    }
}
