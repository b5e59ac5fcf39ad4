//! Random words over rows in several segments: what is found is what Tantivy's own queries find, with their scores; and
//! the pages of a search are parts of one list, whatever else is asked with them.

use std::collections::BTreeMap;
use std::sync::LazyLock;
use std::time::Instant;

use proptest::prelude::*;
use tantivy::collector::TopDocs;
use tantivy::query::{AllQuery, FuzzyTermQuery, PhraseQuery, Query, RegexQuery, TermQuery};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocAddress, Score};

use super::*;
use crate::query::cursor::Cursor;
use crate::query::order::{By, Order, Part};
use crate::search::clause::Clause;
use crate::search::compile::compile;
use crate::search::found::{self, Request};
use crate::search::sought::Open;
use crate::search::{matches, words};

/// Two windows of the first segment and parts of others.
const ROWS: usize = 5_000;
const WORDS: [&str; 12] = [
    "wing", "fixed", "multi", "engine", "intl", "jet", "blue", "northern", "winged", "engines",
    "kennedy", "rare",
];

struct Fixture {
    searcher: Searcher,
    /// Its files.
    _index: (Index, Writer),
}

/// Some words are in nearly all rows, others in few; some rows were changed or removed.
static FIXTURE: LazyLock<Fixture> = LazyLock::new(|| {
    let files = created();
    let (index, mut writer) = open(&files).unwrap();
    let mut random = random_numbers(7);
    let mut text = |words_max: usize| {
        let count = random(words_max) + 1;
        let words = (0..count).map(|_| WORDS[random(WORDS.len()).min(random(WORDS.len()))]);
        Cell::Text(words.collect::<Vec<_>>().join(" ").into())
    };
    let mut made = |number: usize| {
        let mut row = row(&format!("{:05}", number * 7_919 % 100_003), number as i64 % 5);
        (row[NAME], row[NAME + 1]) = (text(3), text(8));
        row
    };
    let mut commits = 0;
    let mut commit = |writer: &mut Writer| {
        commits += 1;
        writer.commit(payload(commits)).unwrap();
    };
    (0..ROWS * 9 / 10).for_each(|number| writer.put(&made(number)).unwrap());
    commit(&mut writer);
    for number in ROWS * 9 / 10..ROWS {
        writer.put(&made(number)).unwrap();
        writer.put(&made(number / 2)).unwrap();
        if number % 7 == 0 {
            writer.remove(&key(&format!("{:05}", number / 3 * 7_919 % 100_003))).unwrap();
        }
        if number % 200 == 0 {
            commit(&mut writer);
        }
    }
    let searcher = {
        commits += 1;
        writer.commit(payload(commits)).unwrap().searcher
    };
    assert!(searcher.segments() > 2);
    Fixture { searcher, _index: (index, writer) }
});

/// Splitmix64.
fn random_numbers(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |end| {
        seed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

fn word() -> impl Strategy<Value = String> {
    prop::sample::select(&WORDS[..]).prop_map(str::to_owned)
}

fn clause() -> impl Strategy<Value = String> {
    let phrase =
        || prop::collection::vec(word(), 2..4).prop_map(|it| format!("\"{}\"", it.join(" ")));
    prop_oneof![
        3 => word(),
        3 => phrase(),
        1 => word().prop_map(|word| format!("{}*", &word[..3])),
        1 => word().prop_map(|word| format!("x{}~", &word[1..])),
        1 => word().prop_map(|word| format!("name:{word}")),
        1 => phrase().prop_map(|phrase| format!("note:{phrase}")),
    ]
}

fn words() -> impl Strategy<Value = String> {
    let group = || prop::collection::vec(clause(), 1..4).prop_map(|it| it.join(" OR "));
    let all = prop::collection::vec(group().prop_map(|group| format!("({group})")), 1..4);
    let without = prop_oneof![2 => Just(String::new()), 1 => clause().prop_map(|it| format!(" -{it}")),
        1 => (word(), clause()).prop_map(|(with, without)| format!(" -({with} -{without})"))];
    (all, without).prop_map(|(all, without)| all.join(" ") + &without)
}

/// What Tantivy's own queries for terms find, put together by hand: right as a set, and in scores but for rounding.
fn expected(clause: &Clause, searcher: &Searcher) -> Expected {
    let found = |query: &dyn Query, boost: Score| -> Expected {
        let all = TopDocs::with_limit(2 * ROWS).order_by_score();
        let found: Vec<(Score, DocAddress)> = searcher.inner.search(query, &all).unwrap();
        found.into_iter().map(|(score, at)| (at, score * boost)).collect()
    };
    match clause {
        Clause::Every => found(&AllQuery, 1.0),
        Clause::Terms(terms) => match &terms.places[..] {
            [(_, term)] => {
                found(&TermQuery::new(term.clone(), IndexRecordOption::WithFreqs), terms.boost)
            }
            places => found(&PhraseQuery::new_with_offset(places.to_vec()), terms.boost),
        },
        Clause::Open(expand, boost) => match &expand.open {
            Open::Prefix(begin) => {
                let begins = format!("{begin}.*");
                found(&RegexQuery::from_pattern(&begins, expand.field).unwrap(), *boost)
            }
            Open::Fuzzy(word) => {
                let term = tantivy::Term::from_field_text(expand.field, word);
                found(&FuzzyTermQuery::new(term, 1, true), *boost)
            }
        },
        Clause::All { with, without } => {
            let mut all = expected(&with[0], searcher);
            for clause in &with[1..] {
                let others = expected(clause, searcher);
                all.retain(|at, score| others.get(at).map(|other| *score += other).is_some());
            }
            for clause in without {
                let others = expected(clause, searcher);
                all.retain(|at, _| !others.contains_key(at));
            }
            all
        }
        Clause::Any(clauses) => {
            let mut any = Expected::new();
            for (at, score) in clauses.iter().flat_map(|clause| expected(clause, searcher)) {
                *any.entry(at).or_default() += score;
            }
            any
        }
    }
}

fn request(words: &str, order: Order) -> Request {
    Request {
        words: Some(words.to_owned()),
        filter: None,
        order,
        after: None,
        limit: 2 * ROWS,
        highlight: false,
        facets: Vec::new(),
        total: false,
        deadline: Instant::now() + DEADLINE,
    }
}

type Expected = BTreeMap<DocAddress, Score>;
type Hits = Vec<(String, Option<Score>)>;

fn hits(request: &Request) -> (Hits, Option<Cursor>, Option<u64>) {
    hits_of(&FIXTURE.searcher, request)
}

fn hits_of(searcher: &Searcher, request: &Request) -> (Hits, Option<Cursor>, Option<u64>) {
    let found = searcher.search(request).unwrap();
    let next = found.hits.last().map(|hit| hit.place.clone());
    let hits = found.hits.into_iter().map(|hit| (hit.place.key, hit.score));
    (hits.collect(), next, found.total)
}

/// Rows that come and go move how rare each word is, and with it every score.
#[test]
fn pages_are_of_one_list_whatever_is_committed_between_them() {
    let files = created();
    let (_index, mut writer) = open(&files).unwrap();
    let item = |id: usize, name: &str, words: usize| {
        let mut row = row(&format!("{id:04}"), 1);
        (row[NAME], row[NAME + 1]) =
            (Cell::Text(name.into()), Cell::Text("jet ".repeat(words).into()));
        row
    };
    (0..300).for_each(|id| writer.put(&item(id, "wing engine", id % 7)).unwrap());
    (300..330).for_each(|id| writer.put(&item(id, "wing", 1)).unwrap());
    let mut searcher = writer.commit(payload(1)).unwrap().searcher;
    let whole = request("wing (engine OR jet)", Order::default());
    let (all, _, _) = hits_of(&searcher, &whole);
    let (mut listed, mut after) = (Hits::new(), None);
    for change in 2.. {
        let page = Request { limit: 40, after, ..whole.clone() };
        let (page, next, _) = hits_of(&searcher, &page);
        listed.extend(page);
        after = next;
        if after.is_none() {
            break;
        }
        let fill =
            |number: usize| item(1_000 * change + number, ["engine", "wing jet"][number % 2], 9);
        (0..25 * change).for_each(|number| writer.put(&fill(number)).unwrap());
        searcher = writer.commit(payload(change as i64)).unwrap().searcher;
    }
    let (moved, _, _) = hits_of(&searcher, &whole);
    assert!(!all.iter().any(|hit| moved.contains(hit)), "all scores are others by now");
    listed.retain(|(key, _)| key.len() == r#"["0000"]"#.len() && key < &r#"["1000"]"#.to_owned());
    assert_eq!(listed, all);
}

/// Anybody can make a cursor: numbers that no index has end nothing, and those of other words are told.
#[test]
fn forged_statistics_are_borne() {
    let searcher = &FIXTURE.searcher;
    let first = request("wing \"fixed wing\"", Order::default());
    let (_, after, _) = hits_of(searcher, &Request { limit: 1, ..first.clone() });
    let genuine = after.unwrap();
    let count = genuine.statistics.len();
    // Two fields, their documents and two words in each.
    assert_eq!(count, 7);
    for numbers in [
        vec![0; count],
        vec![u64::MAX; count],
        (0..count as u64).collect(),
        (0..count as u64).rev().collect(),
    ] {
        let after = Some(Cursor { statistics: numbers.into(), ..genuine.clone() });
        let (_, _, _) = hits_of(searcher, &Request { after, total: true, ..first.clone() });
    }
    for numbers in [vec![], vec![1; count - 1], vec![1; count + 1]] {
        let after = Some(Cursor { statistics: numbers.into(), ..genuine.clone() });
        let refused = searcher.search(&Request { after, ..first.clone() }).unwrap_err();
        assert!(matches!(refused, found::Error::Refused(_)), "{refused}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_what_tantivy_finds(text in words()) {
        let Fixture { searcher, .. } = &*FIXTURE;
        let words = words::parse(&text, &["name", "note"], &[]).unwrap();
        let compiled = compile(&words, searcher.shape.texts(), Instant::now() + DEADLINE).unwrap();
        let mut found = matches::tests::found(&compiled.clause, &searcher.inner).unwrap();
        let expected = expected(&compiled.clause, searcher);
        found.sort_by_key(|(at, _)| *at);
        prop_assert_eq!(found.len(), expected.len(), "{}", text);
        for ((at, score), (other, expected)) in found.into_iter().zip(expected) {
            prop_assert_eq!(at, other);
            prop_assert!((score - expected).abs() <= 1e-4 * expected, "{}: {} {}", text, score, expected);
        }
    }

    #[test]
    fn pages_are_parts_of_one_list(
        text in words(), limit in 1_usize..40, at in 0_usize..5_000, by_count in 0..4, descending: bool,
    ) {
        let order = match by_count {
            0 => Order(vec![Part { by: By::Column(3), descending }]),
            1 => Order(vec![Part { by: By::Column(3), descending }, Part { by: By::Score, descending: true }]),
            2 => Order(vec![Part { by: By::Score, descending }]),
            _ => Order(Vec::new()),
        };
        let whole = Request { total: true, ..request(&text, order.clone()) };
        let (all, _, total) = hits(&whole);
        prop_assert_eq!(total, Some(all.len() as u64));
        if by_count == 3 {
            let key = |(key, score): &(String, Option<Score>)| (-score.unwrap(), key.clone());
            prop_assert!(all.is_sorted_by(|a, b| key(a) < key(b)), "{}: {:?}", text, all);
        }
        // From the beginning, and from anywhere.
        let mut starts = vec![(0, None)];
        if !all.is_empty() {
            let at = at % all.len() + 1;
            let (_, next, _) = hits(&Request { limit: at, ..whole.clone() });
            starts.push((at, next));
        }
        for (start, mut after) in starts {
            let mut begin = start;
            for total in [false, true, false] {
                let page = Request { limit, after, total, ..request(&text, order.clone()) };
                let (page, next, counted) = hits(&page);
                prop_assert_eq!(counted, total.then_some(all.len() as u64));
                let end = all.len().min(begin + limit);
                prop_assert_eq!(&page[..], &all[begin..end], "{} from {}", text, begin);
                if next.is_none() {
                    break;
                }
                (begin, after) = (end, next);
            }
        }
    }
}

/// They are all of one window.
#[test]
fn a_phrase_in_long_texts_ends_at_the_deadline() {
    let files = created();
    let (_index, mut writer) = open(&files).unwrap();
    for number in 0..60 {
        let mut row = row(&number.to_string(), 1);
        row[NAME] = Cell::Text(format!("last{}", " word".repeat(3_000)).into());
        writer.put(&row).unwrap();
    }
    let searcher = writer.commit(payload(1)).unwrap().searcher;
    for end in ["last\"", "last\"*"] {
        let text = format!("name:\"{}{end}", "word ".repeat(240));
        let deadline = Instant::now() + Duration::from_millis(100);
        let found = searcher.search(&Request { deadline, ..request(&text, Order(Vec::new())) });
        assert!(matches!(found, Err(found::Error::TimedOut)), "{end}: {found:?}");
    }
}
