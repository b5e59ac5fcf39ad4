//! What queries find in the rows of a trial, beside what its test expects: a full-text index of each such table, in memory.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::expect::Difference;
use super::outcome::{Members, Outcome, Relation};
use crate::definition::{Definition, ExpectSearch, Search, Table};
use crate::event::Sequence;
use crate::query::Refused;
use crate::query::order::Order;
use crate::row::{Cell, Key, Row};
use crate::search::found::{self, Request};
use crate::search::rows::{Rows, page};
use crate::search::{self, Index, Payload, Shape, Writer};
use crate::store;
use crate::store::layout::Generation;
use crate::store::step::Steps;

/// A test's rows are found in a moment; one that is not would hold up all tests.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A full-text index over the rows of one table, which it is brought to again and again, as a daemon does.
pub(super) struct Follower<'a> {
    expect: &'a ExpectSearch,
    search: &'a Search,
    table: &'a Table,
    shape: Arc<Shape>,
    writer: Writer,
    searcher: search::Searcher,
    /// That it holds, in key order.
    rows: Vec<Row>,
}

/// What a query came to.
#[derive(PartialEq)]
pub(super) struct Found {
    pub(super) differences: Vec<Difference>,
    /// What the query says that may not be meant.
    pub(super) warnings: Vec<String>,
}

impl<'a> Follower<'a> {
    /// An empty one, and what the test expects of it.
    pub(super) fn new(
        definition: &'a Definition,
        expect: &'a ExpectSearch,
    ) -> Result<Self, String> {
        let search = definition.searches.iter().find(|search| search.name == expect.index);
        let search = search.expect("a test names an index of its definition");
        let table = &definition.tables[search.table];
        let shape = Arc::new(Shape::new(search, table));
        let open = || {
            let index = Index::in_memory(Arc::clone(&shape), payload(&shape))?;
            Ok((Writer::open(&index, 0, &Steps::default())?, index.searcher().clone()))
        };
        let (writer, searcher) = open().map_err(|error: search::Error| error.to_string())?;
        Ok(Self { expect, search, table, shape, writer, searcher, rows: Vec::new() })
    }

    pub(super) fn expect(&self) -> &'a ExpectSearch {
        self.expect
    }

    /// Puts what is new or otherwise, and removes what is gone, by key.
    pub(super) fn follow(&mut self, outcome: &Outcome) -> Result<(), String> {
        let rows = &outcome.relation(&self.table.name).expect("the outcome has all tables").rows;
        self.change(rows).map_err(|error| error.to_string())?;
        self.rows.clone_from(rows);
        Ok(())
    }

    fn change(&mut self, rows: &[Row]) -> Result<(), search::Error> {
        for row in rows.iter().filter(|row| !self.rows.contains(row)) {
            self.writer.put(row)?;
        }
        let keys: Vec<Key> = rows.iter().map(|row| self.key(row)).collect();
        let held: Vec<Key> = self.rows.iter().map(|row| self.key(row)).collect();
        for key in held.iter().filter(|key| !keys.contains(key)) {
            self.writer.remove(key)?;
        }
        self.searcher = self.writer.commit(payload(&self.shape))?.searcher;
        Ok(())
    }

    /// What the query finds that is not expected, and the reverse.
    pub(super) fn found(&self, outcome: &Outcome) -> Result<Found, Refused> {
        let request = Request {
            words: Some(self.expect.query.value.clone()),
            filter: None,
            order: Order::default(),
            after: None,
            limit: self.rows.len(),
            highlight: false,
            facets: Vec::new(),
            total: false,
            deadline: Instant::now() + TIMEOUT,
        };
        let page =
            page(&self.searcher, self.table, self, &request).map_err(|error| match error {
                found::Error::Refused(refused) => refused,
                error => Refused::new(error.to_string()),
            })?;
        let relation = outcome.relation(&self.table.name).expect("the outcome has all tables");
        let expected = &self.expect.keys;
        let missing = expected.iter().filter(|key| !page.hits.iter().any(|hit| hit.key == **key));
        let unexpected = page.hits.iter().filter(|hit| !expected.contains(&hit.key));
        let missing = missing.map(|key| Difference::Missing {
            expected: self.members(relation, key),
            span: self.expect.span.clone(),
        });
        let unexpected = unexpected
            .map(|hit| Difference::Unexpected { found: self.members(relation, &hit.key) });
        Ok(Found { differences: missing.chain(unexpected).collect(), warnings: page.warnings })
    }

    fn key(&self, row: &Row) -> Key {
        Key(self.table.key.iter().map(|&column| row[column].clone()).collect())
    }

    fn at(&self, key: &Key) -> Option<&Row> {
        self.rows.iter().find(|row| self.key(row) == *key)
    }

    /// The key, and what words are found in if there is such a row.
    fn members(&self, relation: &Relation, key: &Key) -> Members {
        let Some(row) = self.at(key) else {
            let cells = self.table.key.iter().zip(&key.0);
            let member = |(&column, cell): (&usize, &Cell)| {
                (self.table.columns[column].name.clone(), relation.json(column, cell))
            };
            return Members(cells.map(member).collect());
        };
        let fields = self.search.fields.iter().map(|field| field.column);
        let fields = fields.filter(|column| !self.table.key.contains(column));
        relation.members(row, self.table.key.iter().copied().chain(fields))
    }
}

impl Rows for Follower<'_> {
    fn row(&self, key: &Key) -> Result<Option<Row>, store::Error> {
        Ok(self.at(key).cloned())
    }
}

/// Of an index that no restart finds.
fn payload(shape: &Shape) -> Payload {
    Payload::new(shape, Generation(1), 0, Sequence(0))
}
