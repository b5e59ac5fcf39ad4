//! A search: words and a filter over one commit of an index, in an order, from a place on.

use std::time::Instant;

use tantivy::query::{BooleanQuery, EnableScoring, Occur, Query};
use tantivy::{DocAddress, Score};

use super::collect::{Collected, Failure, Wanted};
use super::compile::compile;
use super::document::HASHED;
use super::expand::is_timed_out;
use super::facets::Facet;
use super::words::{Node, Words};
use super::{Searcher, filter, words};
use crate::query::Refused;
use crate::query::cursor::Cursor;
use crate::query::filter::Filter;
use crate::query::order::{By, Order};
use crate::store;

/// Words that are added up in two parts at most have one sum, in whatever order documents are looked at.
const PRUNED_PARTS_MAX: usize = 2;

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
        let (query, warnings, parts) = match self.words(request)? {
            Some(words) => {
                let compiled = compile(&words, self.shape.texts(), request.deadline)
                    .map_err(Error::Refused)?;
                let parts = words.root.as_ref().map_or(0, |root| self.parts(root));
                (Some(compiled.query), compiled.warnings, parts)
            }
            None => (None, Vec::new(), 0),
        };
        let by_score_alone =
            matches!(&order.0[..], [part] if part.by == By::Score && part.descending);
        let wanted = Wanted {
            shape: &self.shape,
            filter: request.filter.as_ref(),
            order: &order,
            after: request.after.as_ref(),
            limit: request.limit,
            every: request.total
                || !request.facets.is_empty()
                || !by_score_alone
                || parts > PRUNED_PARTS_MAX,
            scored: query.is_some(),
        };
        let collected =
            self.collect(query, &wanted, request).map_err(|failure| self.failed(failure))?;
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

    /// How many scores are added up for one document, at most.
    fn parts(&self, node: &Node) -> usize {
        match node {
            Node::All(nodes) | Node::Any(nodes) => nodes.iter().map(|node| self.parts(node)).sum(),
            Node::Not(_) => 0,
            Node::Text(text) if text.field.is_some() => 1,
            Node::Text(_) => self.shape.texts().len(),
        }
    }

    fn collect(
        &self,
        words: Option<Box<dyn Query>>,
        wanted: &Wanted<'_>,
        request: &Request,
    ) -> Result<Collected, Failure> {
        let mut queries: Vec<Box<dyn Query>> = words.into_iter().collect();
        if let Some(filter) = wanted.filter {
            queries.extend(filter::leads(filter, wanted.shape, &self.inner)?);
        }
        let query: Option<Box<dyn Query>> = match queries.len() {
            0 | 1 => queries.pop(),
            _ => {
                let must = queries.into_iter().map(|query| (Occur::Must, query));
                Some(Box::new(BooleanQuery::new(must.collect())))
            }
        };
        let scoring = if wanted.scored {
            EnableScoring::enabled_from_searcher(&self.inner)
        } else {
            EnableScoring::disabled_from_searcher(&self.inner)
        };
        let weight = query.map(|query| query.weight(scoring)).transpose()?;
        let mut collected = Collected::new(&request.facets, request.deadline);
        for (ordinal, segment) in (0..).zip(self.inner.segment_readers()) {
            collected.segment(wanted, weight.as_deref(), ordinal, segment)?;
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
