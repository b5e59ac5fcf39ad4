//! What an index finds, held to a plain look at all rows: filters, orders, pages, totals, facets, over segments with
//! removed documents, with NULLs everywhere, and with rows that have changed since they were indexed.

use std::cell::Cell as Counter;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};
use viewd::definition::{Column, Search, SearchField, Table};
use viewd::event::Sequence;
use viewd::query::cursor::{self, Cursor};
use viewd::query::filter::{self, Comparison, Filter};
use viewd::query::order::{By, Order, Part};
use viewd::row::{Cell, ColumnType, Key, Row};
use viewd::search::found::{Error, Request};
use viewd::search::rows::{self, Page, Rows};
use viewd::search::{Facet, Index, Payload, Searcher, Shape, Writer};
use viewd::store;
use viewd::store::change_log::key_text;
use viewd::store::layout::Generation;
use viewd::store::step::Steps;

use crate::query::{asked, row, table, values};
use crate::random::Random;
use crate::wait;

const SCOPE: &str = "search shop/orders";
const VOCABULARY: [&str; 6] = ["red", "green", "blue", "boots", "shoe", "sock"];
/// Of the columns that words are searched in; the filters are those before them, without the key.
const NAME: usize = 9;
const NOTE: usize = 10;

fn searched_table() -> Table {
    let mut table = table();
    for name in ["name", "note"] {
        let column_type = ColumnType::Text;
        let column =
            Column { name: name.into(), column_type, required: false, default: None, span: 0..0 };
        table.columns.push(column);
    }
    table
}

/// Rows by the text of their keys.
#[derive(Clone, Default)]
struct Model(BTreeMap<String, Row>);

impl Rows for Model {
    fn row(&self, key: &Key) -> Result<Option<Row>, store::Error> {
        Ok(self.0.get(&key_text(&key.0)).cloned())
    }
}

/// An index with its writer, and the rows that it was made from.
struct Fixture {
    table: Table,
    shape: Arc<Shape>,
    writer: Writer,
    searcher: Searcher,
    indexed: Model,
    commits: i64,
}

impl Fixture {
    fn new() -> Self {
        let table = searched_table();
        let field = |column, weight| SearchField { column, weight, language: None };
        let search = Search {
            name: "orders".into(),
            table: 0,
            fields: vec![field(NAME, 2.0), field(NOTE, 1.0)],
            filters: (1..NAME).collect(),
            span: 0..0,
        };
        let shape = Arc::new(Shape::new(&search, &table));
        let payload = Payload::new(&shape, Generation(1), 0, Sequence(0));
        let index = Index::in_memory(shape.clone(), payload).unwrap();
        let writer = Writer::open(&index, 15 << 20, &Steps::default()).unwrap();
        let searcher = index.searcher().clone();
        Self { table, shape, writer, searcher, indexed: Model::default(), commits: 0 }
    }

    fn put(&mut self, row: Vec<Cell>) {
        self.writer.put(&row).unwrap();
        self.indexed.0.insert(key_text(&row[..1]), row.into());
    }

    fn remove(&mut self, key: &str) {
        let row = self.indexed.0.remove(key).unwrap();
        self.writer.remove(&Key([row[0].clone()].into_iter().collect())).unwrap();
    }

    fn commit(&mut self) {
        self.commits += 1;
        let payload = Payload::new(&self.shape, Generation(1), self.commits, Sequence(0));
        self.searcher = self.writer.commit(payload).unwrap().searcher;
    }

    fn page(&self, request: &Request, rows: &impl Rows) -> Result<Page, Error> {
        rows::page(&self.searcher, &self.table, rows, request)
    }

    /// All pages, one after another, each cursor as a client would send it; the first answers what is asked of all hits.
    fn pages(&self, request: &Request, rows: &impl Rows) -> (Page, Vec<Page>) {
        let mut request = request.clone();
        let mut pages: Vec<Page> = Vec::new();
        loop {
            let page = self.page(&request, rows).unwrap();
            request.after = page.next.as_ref().map(|next| {
                let text = next.text(SCOPE, &self.table, &page.order);
                cursor::read(&text, SCOPE, &self.table, &page.order).unwrap()
            });
            (request.total, request.facets) = (false, Vec::new());
            pages.push(page);
            if request.after.is_none() {
                return (pages[0].clone(), pages);
            }
            assert!(pages.len() < 2_000, "the pages do not end");
        }
    }
}

fn request() -> Request {
    Request {
        words: None,
        filter: None,
        order: Order::default(),
        after: None,
        limit: 10,
        highlight: false,
        facets: Vec::new(),
        total: false,
        deadline: Instant::now() + Duration::from_secs(60),
    }
}

/// A row with few words in its texts, so that many scores are equal; some keys are too long for a term.
fn searched_row(random: &mut Random, table: &Table, number: u64) -> Vec<Cell> {
    let mut row = row(random, table, number);
    if number.is_multiple_of(40) {
        row[0] = Cell::Text(format!("o-{number}-{}", "x".repeat(1_500)).into());
    }
    if random.below(60) == 0 {
        let end = VOCABULARY[random.below(6) as usize];
        row[2] = Cell::Text(format!("{}é{end}", "n".repeat(65_529)).into());
    }
    for column in [NAME, NOTE] {
        let words = (0..random.below(6)).map(|_| VOCABULARY[random.below(6) as usize]);
        let words: Vec<&str> = words.collect();
        row[column] =
            if words.is_empty() { Cell::Null } else { Cell::Text(words.join(" ").into()) };
    }
    row
}

/// Three rounds of rows put, put again and removed, each in several commits.
fn filled(random: &mut Random) -> Fixture {
    let mut fixture = Fixture::new();
    for _ in 0..10 {
        for _ in 0..40 {
            let number = random.below(400);
            let row = searched_row(random, &fixture.table, number);
            let key = key_text(&row[..1]);
            if random.below(4) == 0 && fixture.indexed.0.contains_key(&key) {
                fixture.remove(&key);
            } else {
                fixture.put(row);
            }
        }
        fixture.commit();
    }
    fixture
}

/// Each word in some field.
fn has_words(row: &[Cell], words: &str) -> bool {
    words.split(' ').all(|word| {
        [NAME, NOTE].iter().any(|&column| match &row[column] {
            Cell::Text(text) => text.split(' ').any(|found| found == word),
            _ => false,
        })
    })
}

/// The order of keys in an index: a long one stands by its hash.
fn key_term(row: &[Cell]) -> String {
    let text = key_text(&row[..1]);
    if text.len() <= 1_024 {
        return text;
    }
    let hash = Sha256::digest(&text);
    hash.iter().fold("#".to_owned(), |term, byte| format!("{term}{byte:02x}"))
}

fn compare(order: &Order, a: (&Row, f32), b: (&Row, f32)) -> Ordering {
    for part in &order.0 {
        let ordering = match part.by {
            By::Column(column) => a.0[column].partial_cmp(&b.0[column]).unwrap(),
            By::Score => a.1.total_cmp(&b.1),
        };
        let ordering = if part.descending { ordering.reverse() } else { ordering };
        if ordering.is_ne() {
            return ordering;
        }
    }
    key_term(a.0).cmp(&key_term(b.0))
}

fn any_order(random: &mut Random, scored: bool) -> Order {
    let mut order = Order::default();
    for _ in 0..random.below(4) {
        let column = 1 + random.below(8) as usize;
        let by = if scored && random.below(3) == 0 { By::Score } else { By::Column(column) };
        if order.0.iter().all(|part| part.by != by) {
            order.0.push(Part { by, descending: random.below(2) == 0 });
        }
    }
    order
}

fn any_filter(random: &mut Random) -> Option<Filter> {
    if random.below(3) == 0 {
        return None;
    }
    let allowed: Vec<usize> = (1..NAME).collect();
    filter::read(&table(), &allowed, &asked(random, &table()).parameters).unwrap()
}

fn any_words(random: &mut Random) -> Option<String> {
    let count = random.below(4);
    let mut words = VOCABULARY.to_vec();
    words.rotate_left(random.below(6) as usize);
    (count > 0).then(|| words[..count as usize].join(" "))
}

fn facet(column: usize, rows: &[(&Row, f32)]) -> Facet {
    let mut counts: Vec<(Cell, u64)> = Vec::new();
    for (row, _) in rows {
        match counts.iter_mut().find(|(value, _)| *value == row[column]) {
            Some((_, count)) => *count += 1,
            None => counts.push((row[column].clone(), 1)),
        }
    }
    counts.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.partial_cmp(&b.0).unwrap()));
    Facet { column, values: counts, is_cut: false }
}

/// Without the long texts, of which a failure would show nothing else.
fn short(facets: &[Facet]) -> Vec<(usize, Vec<(String, u64)>)> {
    let short = |(value, count): &(Cell, u64)| {
        let text = match value {
            Cell::Text(text) if text.len() > 100 => format!("{} bytes", text.len()),
            value => format!("{value:?}"),
        };
        (text, *count)
    };
    let short = |facet: &Facet| (facet.column, facet.values.iter().map(short).collect());
    facets.iter().map(short).collect()
}

fn keys(pages: &[Page]) -> Vec<String> {
    pages.iter().flat_map(|page| &page.hits).map(|hit| key_text(&hit.row[..1])).collect()
}

#[test]
fn pages_are_what_a_look_at_all_rows_gives() {
    let mut random = Random::from_environment("HITS_SEED");
    let mut fixture = filled(&mut random);
    assert!(fixture.searcher.segments() > 1);
    for round in 0..100 {
        if round % 20 == 19 {
            let row = searched_row(&mut random, &fixture.table, 1_000 + round);
            fixture.put(row);
            fixture.commit();
        }
        // What the view has is a little ahead of what is indexed.
        let mut current = fixture.indexed.clone();
        if round % 2 == 0 {
            for number in 0..400 {
                let changed = searched_row(&mut random, &fixture.table, number);
                match random.below(6) {
                    0 => drop(current.0.remove(&key_text(&changed[..1]))),
                    1 => drop(current.0.insert(key_text(&changed[..1]), changed.into())),
                    _ => {}
                }
            }
        }
        let words = any_words(&mut random);
        let order = any_order(&mut random, words.is_some());
        let filter = any_filter(&mut random);
        let limit = 1 + random.below(60) as usize;
        let facets = (1..NAME).filter(|_| random.below(4) == 0).collect();
        let total = random.below(2) == 0;
        let asked = Request { words, filter, order, limit, facets, total, ..request() };
        check(&fixture, &current, &asked);
    }
}

/// What an index keeps of a row's filters: not all of a very long text.
fn kept(row: &Row) -> Row {
    let mut row = row.clone();
    if let Cell::Text(text) = &mut row[2]
        && text.len() > 65_530
    {
        // In the midst of the last character but the end: it goes whole.
        text.truncate(65_529);
    }
    row
}

fn check(fixture: &Fixture, current: &Model, asked: &Request) {
    let passes =
        |row: &Row| asked.filter.as_ref().is_none_or(|filter| filter.matches(row) == Some(true));
    // Scores are Tantivy's: of one answer with everything in it, none left out on the way.
    let all = Request { words: asked.words.clone(), limit: 1_000, total: true, ..request() };
    let all = fixture.page(&all, &fixture.indexed).unwrap();
    let scores: BTreeMap<String, f32> =
        all.hits.iter().map(|hit| (key_text(&hit.row[..1]), hit.score.unwrap_or(0.0))).collect();
    let indexed: Vec<Row> = fixture.indexed.0.values().map(kept).collect();
    let found: Vec<&Row> = indexed
        .iter()
        .filter(|row| asked.words.as_ref().is_none_or(|words| has_words(row, words)))
        .collect();
    assert_eq!(all.hits.len(), found.len(), "{:?}", asked.words);
    let mut hits: Vec<(&Row, f32)> = found
        .into_iter()
        .filter(|row| passes(row))
        .map(|row| (row, scores[&key_text(&row[..1])]))
        .collect();
    let order = asked.order();
    hits.sort_by(|a, b| compare(&order, *a, *b));
    let (first, pages) = fixture.pages(asked, current);
    let wanted: Vec<String> = hits
        .iter()
        .map(|(row, _)| key_text(&row[..1]))
        .filter(|key| current.0.get(key).is_some_and(passes))
        .collect();
    assert_eq!(keys(&pages), wanted, "{asked:?}");
    for page in &pages[..pages.len() - 1] {
        assert_eq!(page.hits.len(), asked.limit, "a page with another behind it is full");
    }
    for hit in pages.iter().flat_map(|page| &page.hits) {
        let key = key_text(&hit.row[..1]);
        assert_eq!(hit.row, current.0[&key]);
        assert_eq!(hit.score, asked.words.is_some().then(|| scores[&key]), "{asked:?}");
    }
    assert_eq!(first.total, asked.total.then_some(hits.len() as u64));
    let facets: Vec<Facet> = asked.facets.iter().map(|&column| facet(column, &hits)).collect();
    assert_eq!(short(&first.facets), short(&facets), "{:?}", asked.facets);
}

/// Values that are in a segment, and that are not: before, between and behind those that are.
#[test]
fn every_comparison_finds_what_it_is_true_of() {
    let fixture = filled(&mut Random::seeded(3));
    let rows: Vec<Row> = fixture.indexed.0.values().map(kept).collect();
    for column in 1..NAME {
        for (_, value) in values(fixture.table.columns[column].column_type) {
            for comparison in [
                Comparison::Equal,
                Comparison::NotEqual,
                Comparison::Less,
                Comparison::LessOrEqual,
                Comparison::Greater,
                Comparison::GreaterOrEqual,
            ] {
                let is = Filter::Compare { column, comparison, value: value.clone() };
                for filter in [is.clone(), Filter::Not(Box::new(is))] {
                    let wanted = rows.iter().filter(|row| filter.matches(row) == Some(true));
                    let wanted = wanted.count() as u64;
                    let filter = Some(filter);
                    let asked = Request { filter, limit: 1, total: true, ..request() };
                    let found = fixture.page(&asked, &fixture.indexed).unwrap().total;
                    assert_eq!(found, Some(wanted), "{:?}", asked.filter);
                }
            }
        }
    }
}

/// Keys that stay as they are come once and in order, whatever comes and goes between two pages.
#[test]
fn pages_hold_while_others_come_and_go() {
    let mut random = Random::from_environment("HITS_SEED");
    let mut fixture = Fixture::new();
    let is_staying = |number: u64| number.is_multiple_of(2);
    for number in 0..300 {
        let row = searched_row(&mut random, &fixture.table, number);
        fixture.put(row);
    }
    fixture.commit();
    let parts = [3, 7].map(|column| Part { by: By::Column(column), descending: column == 7 });
    let mut request = Request { order: Order(parts.into()), limit: 7, ..request() };
    let mut staying: Vec<(&Row, f32)> = fixture
        .indexed
        .0
        .values()
        .filter(|row| is_staying(number_of(row)))
        .map(|row| (row, 0.0))
        .collect();
    staying.sort_by(|a, b| compare(&request.order, *a, *b));
    let staying: Vec<String> = staying.iter().map(|(row, _)| key_text(&row[..1])).collect();
    let mut found = Vec::new();
    loop {
        let page = fixture.page(&request, &fixture.indexed).unwrap();
        found.extend(
            page.hits
                .iter()
                .filter(|hit| is_staying(number_of(&hit.row)))
                .map(|hit| key_text(&hit.row[..1])),
        );
        let Some(next) = page.next else { break };
        request.after = Some(next);
        for _ in 0..20 {
            let number = random.below(200) * 2 + 1;
            let row = searched_row(&mut random, &fixture.table, number);
            let key = key_text(&row[..1]);
            if random.below(2) == 0 && fixture.indexed.0.contains_key(&key) {
                fixture.remove(&key);
            } else {
                fixture.put(row);
            }
        }
        fixture.commit();
    }
    assert_eq!(found, staying);
}

fn number_of(row: &[Cell]) -> u64 {
    let Cell::Text(id) = &row[0] else { panic!("the key is a text") };
    id.split('-').nth(1).unwrap().parse().unwrap()
}

#[test]
fn a_search_ends_at_its_deadline() {
    let fixture = filled(&mut Random::seeded(1));
    let over = Request { deadline: Instant::now(), ..request() };
    assert!(matches!(fixture.page(&over, &fixture.indexed), Err(Error::TimedOut)));
    // The first hits are found in time, their rows are gone, and more are sought when the time is over.
    let late = [1, 8, 60].into_iter().any(|seconds| {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let gone = Slow { deadline, asked: Counter::new(0) };
        let found = fixture.page(&Request { deadline, ..request() }, &gone);
        assert!(matches!(found, Err(Error::TimedOut)));
        gone.asked.get() > 0
    });
    assert!(late, "no hit was ever found in time");
}

#[test]
fn a_page_ends_where_its_rows_are_large_or_the_time_is_over() {
    let fixture = filled(&mut Random::seeded(1));
    let request = Request { limit: 1_000, ..request() };
    // Eight rows of a megabyte fill a page, and none is left out.
    let large = Large { rows: &fixture.indexed, until: None };
    let (_, pages) = fixture.pages(&request, &large);
    let sizes: Vec<usize> = pages.iter().map(|page| page.hits.len()).collect();
    let (last, full) = sizes.split_last().unwrap();
    assert!(full.len() > 1 && full.iter().all(|size| *size == 8) && *last <= 8, "{sizes:?}");
    assert_eq!(sizes.iter().sum::<usize>(), fixture.indexed.0.len());
    // What was read when the time is over is answered, with where to go on.
    let found = [1, 8, 60].into_iter().find_map(|seconds| {
        let deadline = Instant::now() + Duration::from_secs(seconds);
        let late = Large { rows: &fixture.indexed, until: Some(deadline) };
        fixture.page(&Request { deadline, ..request.clone() }, &late).ok()
    });
    let page = found.expect("hits that are found in time");
    assert_eq!((page.hits.len(), page.next.is_some()), (1, true));
}

/// Rows with a megabyte of text, the first of which takes until a moment.
struct Large<'a> {
    rows: &'a Model,
    until: Option<Instant>,
}

impl Rows for Large<'_> {
    fn row(&self, key: &Key) -> Result<Option<Row>, store::Error> {
        if let Some(until) = self.until {
            wait::pass(until.saturating_duration_since(Instant::now()));
        }
        let row = self.rows.row(key)?;
        Ok(row.map(|mut row| {
            row[NOTE] = Cell::Text("x".repeat(1 << 20).into());
            row
        }))
    }
}

/// Rows that are gone, which is told when it is late.
struct Slow {
    deadline: Instant,
    asked: Counter<u32>,
}

impl Rows for Slow {
    fn row(&self, _: &Key) -> Result<Option<Row>, store::Error> {
        self.asked.set(self.asked.get() + 1);
        wait::pass(self.deadline.saturating_duration_since(Instant::now()));
        Ok(None)
    }
}

#[test]
fn what_cannot_be_answered_is_refused() {
    let fixture = filled(&mut Random::seeded(1));
    let refused = |request: Request| match fixture.page(&request, &fixture.indexed) {
        Err(Error::Refused(refused)) => refused.to_string(),
        other => panic!("not refused: {other:?}"),
    };
    let by_score = Request { order: Order::by_score(), ..request() };
    assert!(refused(by_score).contains("only where words are searched for"));
    let filter = Some(Filter::IsNull { column: NAME });
    assert!(refused(Request { filter, ..request() }).contains("no filter of this index"));
    assert!(refused(Request { facets: vec![NAME], ..request() }).contains("no filter"));
    assert!(refused(Request { words: Some("_hash:1".into()), ..request() }).len() > 10);
    // A cursor that names a place of another order says nothing wrong: it is a place all the same.
    let odd = Cursor {
        values: vec![Cell::Text("no number".into())],
        key: "~".into(),
        statistics: [].into(),
    };
    let order = Order(vec![Part { by: By::Column(3), descending: false }]);
    assert!(
        fixture.page(&Request { order, after: Some(odd), ..request() }, &fixture.indexed).is_ok()
    );
}

#[test]
fn a_column_of_too_many_values_is_no_facet() {
    let mut fixture = Fixture::new();
    let mut row = vec![Cell::Null; fixture.table.columns.len()];
    for number in 0..=100_000 {
        row[0] = Cell::Text(format!("{number}").into());
        // Far apart, so that nothing counts them in a row.
        row[3] = Cell::Integer(number << 40);
        fixture.writer.put(&row).unwrap();
    }
    fixture.commit();
    let found = fixture.page(&Request { facets: vec![3], ..request() }, &fixture.indexed);
    let Err(Error::Refused(refused)) = found else { panic!("not refused: {found:?}") };
    assert_eq!(refused.detail, "`quantity` has more than 100000 values to count");
    // Of fewer, the most frequent are shown, and whether there are others.
    for (values, is_cut) in [(100, false), (101, true)] {
        let (comparison, value) = (Comparison::Less, Cell::Integer(values << 40));
        let filter = Some(Filter::Compare { column: 3, comparison, value });
        let request = Request { filter, facets: vec![3], ..request() };
        let facet = fixture.page(&request, &fixture.indexed).unwrap().facets.remove(0);
        assert_eq!((facet.values.len(), facet.is_cut), (100, is_cut), "{values}");
    }
}
