//! What a search asks for: the parameters of its request, each understood or refused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::refused;
use crate::api::parameter::{Parameters, bad};
use crate::api::problem::Problem;
use crate::api::wait::TIMEOUT_MAX;
use crate::definition::{Search, Table};
use crate::diagnostic::did_you_mean;
use crate::event::Sequence;
use crate::query::order::Order;
use crate::query::{self, cursor, filter, order};
use crate::search::found::Request;

/// Unless it is said: an index trails its view by a commit or two.
const WAIT: Duration = Duration::from_secs(1);
/// Rows of a page, unless it is said.
const LIMIT: usize = 50;
/// Rows of a page are in memory at once; whoever wants more goes on from the cursor.
pub(crate) const LIMIT_MAX: usize = 1_000;

const KNOWN: [&str; 9] = [
    "_q",
    "_order",
    "_limit",
    "_cursor",
    "_highlight",
    "_facets",
    "_total",
    "_min_sequence",
    "_wait",
];
/// Conditions in trees are filters as those of columns are.
pub(crate) const TREES: [&str; 4] = ["_or", "_and", "_not.or", "_not.and"];

/// What can be read of a request before it is known what is searched.
#[derive(Debug)]
pub(crate) struct Asked {
    words: Option<String>,
    filters: Vec<(String, String)>,
    order: Option<String>,
    cursor: Option<String>,
    limit: usize,
    highlight: bool,
    facets: Vec<String>,
    total: bool,
    pub(crate) min_sequence: Option<Sequence>,
    /// How long to wait for the sequence.
    pub(crate) wait: Duration,
}

impl Asked {
    /// Reads the query of a URL.
    pub(crate) fn read(query: &str) -> Result<Self, Problem> {
        let (mut own, mut filters) = (BTreeMap::new(), Vec::new());
        for (name, value) in pairs(query)? {
            if !name.starts_with('_') || TREES.contains(&name.as_str()) {
                filters.push((name, value));
            } else if !KNOWN.contains(&name.as_str()) {
                let hint = did_you_mean(&name, KNOWN.into_iter().chain(TREES));
                return Err(bad(format!("there is no parameter `{name}`")).hints(hint));
            } else if own.insert(name.clone(), value).is_some() {
                return Err(bad(format!("`{name}` is there twice")));
            }
        }
        let given = Parameters::new(own, &KNOWN)?;
        let text = |name: &str| given.get(name).map(str::to_owned);
        let min_sequence = given.get("_min_sequence").map(|text| {
            let no_sequence = || bad(format!("`_min_sequence` is `{text}`, which is no sequence"));
            text.parse().map(Sequence).map_err(|_| no_sequence())
        });
        let facets = given.get("_facets").unwrap_or_default().split(',').map(str::trim);
        Ok(Self {
            words: text("_q").filter(|words| !words.trim().is_empty()),
            filters,
            order: text("_order"),
            cursor: text("_cursor"),
            limit: limit(given.get("_limit"))?,
            highlight: given.flag("_highlight")?,
            facets: facets.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            total: given.flag("_total")?,
            min_sequence: min_sequence.transpose()?,
            wait: given.duration("_wait", WAIT, TIMEOUT_MAX)?,
        })
    }

    /// What cursors are bound to: a place among the rows of another request says nothing.
    pub(super) fn scope(&self, projection: &str, index: &str) -> String {
        let mut filters: Vec<_> = self.filters.iter().collect();
        filters.sort();
        format!("search {projection}/{index} {:?} {filters:?}", self.words)
    }

    /// The same, of this index over this table. `scope` is what its cursors are bound to.
    pub(crate) fn request(
        &self,
        search: &Search,
        table: &Table,
        scope: &str,
        deadline: Instant,
    ) -> Result<Request, Problem> {
        let of = |code| {
            move |error: query::Refused| {
                let next = error.column.map(|column| add(search, table, column));
                refused(code, error.detail).hints(error.hint.or(next))
            }
        };
        let allowed = search.filters.as_slice();
        let filter = filter::read(table, allowed, &self.filters).map_err(of("bad-filter"))?;
        let scored = self.words.is_some();
        let order = match &self.order {
            Some(text) => order::read(table, allowed, scored, text).map_err(of("bad-order"))?,
            None if scored => Order::by_score(),
            None => Order::default(),
        };
        let after = self.cursor.as_ref();
        let after = after.map(|text| cursor::read(text, scope, table, &order));
        Ok(Request {
            words: self.words.clone(),
            filter,
            after: after.transpose().map_err(of("bad-cursor"))?,
            order,
            limit: self.limit,
            highlight: self.highlight,
            facets: self.facets(search, table)?,
            total: self.total,
            deadline,
        })
    }

    fn facets(&self, search: &Search, table: &Table) -> Result<Vec<usize>, Problem> {
        let name = |column: usize| table.columns[column].name.as_str();
        let mut facets = Vec::new();
        for facet in &self.facets {
            let Some(&column) = search.filters.iter().find(|&&column| name(column) == facet) else {
                let known: Vec<&str> = search.filters.iter().map(|&column| name(column)).collect();
                let there = table.columns.iter().position(|column| column.name == *facet);
                let hint = match there {
                    Some(column) => Some(add(search, table, column)),
                    None => did_you_mean(facet, known),
                };
                let none = || "its definition names the columns: filters = [...]".to_owned();
                let detail =
                    format!("`_facets`: `{facet}` is no filter of index `{}`", search.name);
                return Err(refused("bad-filter", detail).hint(hint.unwrap_or_else(none)));
            };
            if !facets.contains(&column) {
                facets.push(column);
            }
        }
        Ok(facets)
    }
}

/// What makes a column a filter.
fn add(search: &Search, table: &Table, column: usize) -> String {
    let (column, index) = (&table.columns[column].name, &search.name);
    format!("`{column}` would be one in `filters` of [search.{index}]")
}

fn limit(text: Option<&str>) -> Result<usize, Problem> {
    let Some(text) = text else { return Ok(LIMIT) };
    let number: Option<usize> = text.parse().ok().filter(|number| *number <= LIMIT_MAX);
    number.ok_or_else(|| {
        let hint = format!("0 to {LIMIT_MAX}; `_cursor` goes on where a page ended");
        bad(format!("`_limit` is `{text}`")).hint(hint)
    })
}

/// The parameters of a URL, in their order. Bytes that are no UTF-8 are refused: whatever stood for them would be
/// searched for as if it had been meant.
fn pairs(query: &str) -> Result<Vec<(String, String)>, Problem> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decoded(name)?, decoded(value)?))
    });
    pairs.collect()
}

fn decoded(text: &str) -> Result<String, Problem> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let hex = |at: usize| char::from(*after.get(at)?).to_digit(16);
        rest = match (first, hex(0).zip(hex(1))) {
            (b'%', Some((high, low))) => {
                bytes.push(u8::try_from(high << 4 | low).expect("two digits are a byte"));
                &after[2..]
            }
            (b'+', _) => {
                bytes.push(b' ');
                after
            }
            (other, _) => {
                bytes.push(*other);
                after
            }
        };
    }
    String::from_utf8(bytes).map_err(|_| {
        refused("bad-query", "the query of the URL is not UTF-8").hint("%C3%A9 stands for `é`")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(query: &str, expected: Result<&str, &str>) {
        let read = Asked::read(query);
        let shown = read.as_ref().map(|asked| format!("{asked:?}"));
        match (shown, expected) {
            (Ok(shown), Ok(part)) => assert!(shown.contains(part), "{query}: {shown}"),
            (Err(problem), Err(detail)) => assert_eq!(problem.detail(), detail, "{query}"),
            (found, _) => panic!("{query}: {found:?}"),
        }
    }

    #[test]
    fn parameters_are_understood_or_refused() {
        check("", Ok("words: None"));
        check("_q=", Ok("words: None"));
        check("_q=+%20", Ok("words: None"));
        check("_q=blue+shirt", Ok("words: Some(\"blue shirt\")"));
        check("_q=%C3%A9%2b%&_limit=7", Ok("words: Some(\"é+%\")"));
        check("_limit=7", Ok("limit: 7"));
        check("_limit=0&&_total=true", Ok("limit: 0"));
        check("status=eq.paid&status=neq.x&_or=(a.eq.1)", Ok("(\"_or\", \"(a.eq.1)\")"));
        check("_facets=a,%20b,,", Ok("facets: [\"a\", \"b\"]"));
        check("_min_sequence=12&_wait=250ms", Ok("min_sequence: Some(Sequence(12)), wait: 250ms"));
        check("_q=%ff", Err("the query of the URL is not UTF-8"));
        check("%c3=eq.1", Err("the query of the URL is not UTF-8"));
        check("_q=a&_q=b", Err("`_q` is there twice"));
        check("_limt=1", Err("there is no parameter `_limt`"));
        check("_limit=1001", Err("`_limit` is `1001`"));
        check("_limit=-1", Err("`_limit` is `-1`"));
        check("_highlight=yes", Err("`_highlight` is `yes`"));
        check("_min_sequence=x", Err("`_min_sequence` is `x`, which is no sequence"));
        check("_wait=301s", Err("`_wait` is `301s`"));
    }
}
