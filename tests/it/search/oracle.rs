//! What the daemon finds, beside a scan of the rows (I5): generated queries over real text, before and after random
//! updates and deletes, and after kill -9.
//!
//! `SEARCH_QUERIES=N` asks more, `SEARCH_WHOLE=1` takes the whole corpora; `make soak` does both. A failing seed is
//! printed: `SEARCH_SEED=N` runs it alone.

mod query;
mod scan;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use self::query::{Maker, Query};
use self::scan::{Expected, Rows, alike, shown};
use crate::corpora::{Corpus, Message};
use crate::daemon::{Daemon, Site};
use crate::nats::{self, Server};
use crate::random::Random;
use crate::tools;

/// In all, by default.
const QUERIES: usize = 200;
/// Of one query: more are not followed to their end.
const PAGES_MAX: usize = 8;
const UPDATES: usize = 300;
/// Nobody would read more: a facet that has more is refused. The whole corpora have such.
const FACET_VALUES_MAX: usize = 100_000;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_of_flights_is_what_a_scan_finds() {
    holds(Corpus::Flights).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_found_of_reference_texts_is_what_a_scan_finds() {
    holds(Corpus::Reference).await;
}

async fn holds(corpus: Corpus) {
    let mut random = Random::from_environment("SEARCH_SEED");
    let queries = std::env::var("SEARCH_QUERIES").map_or(QUERIES, |count| count.parse().unwrap());
    let server = Server::start();
    let client = server.client().await;
    let stream = corpus.name();
    nats::create_stream(&client, stream, &[&format!("{stream}.>")], |_| {}).await;
    let sources = format!("[sources.corpus]\nstream = {stream:?}");
    let site = Site::new(&server, &sources, &[(corpus.name(), corpus.definition())]);

    let last = nats::publish(&client, events(corpus)).await;
    let daemon = site.start(&[]);
    asked(&site, &daemon, corpus, last, queries / 2, &mut random);

    let rows = Rows::read(corpus, site.view(corpus.name()));
    let last = nats::publish(&client, changes(&rows, &mut random)).await;
    asked(&site, &daemon, corpus, last, queries / 4, &mut random);

    // Whatever of this it has done when it is killed, in the view and in the index.
    let rows = Rows::read(corpus, site.view(corpus.name()));
    let changes = changes(&rows, &mut random);
    let at = random.below(changes.len() as u64) as usize;
    nats::publish(&client, changes[..at].iter().cloned()).await;
    daemon.kill();
    let last = nats::publish(&client, changes[at..].iter().cloned()).await;
    let daemon = site.start(&[]);
    asked(&site, &daemon, corpus, last, queries - queries / 2 - queries / 4, &mut random);
}

/// Of a part that a debug build scans 200 times within seconds, or of all of it.
fn events(corpus: Corpus) -> Box<dyn Iterator<Item = Message>> {
    if std::env::var_os("SEARCH_WHOLE").is_some() {
        let whole: PathBuf = tools::path(corpus.tool()).into();
        return corpus.events(&whole).unwrap();
    }
    let count = match corpus {
        // Airlines, airports and planes, and 1,400 flights.
        Corpus::Flights => 9_000,
        Corpus::Reference => 400,
    };
    Box::new(corpus.events(&corpus.slice()).unwrap().take(count))
}

/// Random changes of random rows; some rows are changed several times, some go and come again.
fn changes(rows: &Rows, random: &mut Random) -> Vec<Message> {
    let corpus = rows.corpus;
    let mut of = |count: usize| random.below(count as u64) as usize;
    let cell = |row: usize, column: &str| {
        let column = rows.column(column);
        serde_json::from_str::<Value>(&shown(&rows.rows[row].cells[column], rows.columns[column].1))
            .ok()
            .filter(Value::is_number)
            .unwrap_or_else(|| match scan::text(&rows.rows[row].cells[column]) {
                "" => Value::Null,
                text => text.into(),
            })
    };
    // Half of them fall on a few rows.
    let few: Vec<usize> = (0..UPDATES / 10).map(|_| of(rows.rows.len())).collect();
    let change = |_| {
        let row = if of(2) == 0 { few[of(few.len())] } else { of(rows.rows.len()) };
        let other = of(rows.rows.len());
        match (corpus, of(10)) {
            (Corpus::Flights, 0..3) => {
                corpus.event("FlightRemoved", &json!({"flight_id": cell(row, "flight_id")}))
            }
            (Corpus::Flights, 3) => corpus.event(
                "FlightScheduled",
                &json!({
                    "flight_id": cell(row, "flight_id"), "flight_date": cell(row, "flight_date"),
                    "carrier": cell(other, "carrier"), "number": cell(other, "number"), "origin": "JFK",
                    "dest": cell(other, "dest"), "tailnum": cell(other, "tailnum"), "distance": 1 + of(3000),
                    "scheduled_departure": cell(other, "scheduled_departure"),
                }),
            ),
            // Every row of an airline at once.
            (Corpus::Flights, 4) if of(20) == 0 => corpus.event(
                "AirlineRenamed",
                &json!({"carrier": cell(row, "carrier"), "name": cell(other, "dest_name")}),
            ),
            (Corpus::Flights, _) => corpus.event(
                "PlaneChanged",
                &json!({"flight_id": cell(row, "flight_id"), "plane": cell(other, "origin_name")}),
            ),
            (Corpus::Reference, 0..3) => {
                corpus.event("DocumentWithdrawn", &json!({"id": cell(row, "id")}))
            }
            (Corpus::Reference, _) => corpus.event(
                "DocumentPublished",
                &json!({
                    "id": cell(row, "id"), "title": cell(other, "title"), "body": cell(other, "body"),
                    "publisher": cell(row, "publisher"), "service": cell(other, "service"),
                    "kind": cell(row, "kind"), "members": of(50), "published": cell(other, "published"),
                }),
            ),
        }
    };
    (0..UPDATES).map(change).collect()
}

/// Makes up so many queries, once the index holds all up to a sequence, and holds each answer to the scan's.
fn asked(
    site: &Arc<Site>,
    daemon: &Daemon,
    corpus: Corpus,
    sequence: u64,
    queries: usize,
    random: &mut Random,
) {
    daemon.reaches(corpus.name(), sequence);
    // The first question waits for the index, and less long than it is waited for: the answer says what is in its way.
    let (code, body) =
        ask(daemon, corpus, &[param("_min_sequence", sequence), param("_wait", "50s")]);
    assert_eq!(code, 200, "{body}\n{}", daemon.log());
    let rows = Rows::read(corpus, site.view(corpus.name()));
    let mut found = 0;
    for number in 0..queries {
        let query = Maker { rows: &rows, random }.query();
        let expected = rows.answer(&query);
        found += usize::from(!expected.rows.is_empty());
        if let Err(difference) = answers(daemon, &rows, &query, &expected) {
            panic!("query {number}: {difference}\n{query:?}\n{:?}", query.parameters(&rows));
        }
    }
    assert!(found * 4 >= queries, "{found} of {queries} queries find anything: they prove little");
}

/// Whether the answer, page by page, is the scan's.
fn answers(
    daemon: &Daemon,
    rows: &Rows,
    query: &Query,
    expected: &Expected<'_>,
) -> Result<(), String> {
    let (mut keys, mut cursor, mut scores) = (Vec::new(), None::<String>, Vec::new());
    for page in 0..PAGES_MAX {
        let mut parameters = query.parameters(rows);
        parameters.push(param("_limit", query.limit));
        parameters.extend(cursor.as_ref().map(|cursor| param("_cursor", cursor)));
        if page == 0 {
            parameters.push(param("_total", true));
            let facets = query.facets.iter().map(|&column| &*rows.columns[column].0);
            let facets = facets.collect::<Vec<_>>().join(",");
            parameters.extend((!facets.is_empty()).then(|| param("_facets", facets)));
        }
        let (code, body) = ask(daemon, rows.corpus, &parameters);
        if page == 0 && expected.facets.iter().any(|values| values.len() > FACET_VALUES_MAX) {
            let is_told = code == 400 && body.contains("has more than 100000 values to count");
            return if is_told { Ok(()) } else { Err(format!("{code} {body}")) };
        }
        if code != 200 {
            return Err(format!("page {page}: {code} {body}"));
        }
        let answer: Value = serde_json::from_str(&body).unwrap();
        if page == 0 {
            same("total", &answer["total"].as_u64(), &Some(expected.rows.len() as u64))?;
            counted(rows, query, expected, &answer)?;
        }
        for row in answer["data"].as_array().unwrap() {
            keys.push(is_the_row(rows, row)?);
            scores.extend(row["_score"].as_f64());
        }
        cursor = answer["next"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    let wanted: Vec<&str> = expected.rows.iter().map(|row| &*row.key).collect();
    if cursor.is_none() {
        same("number of rows", &keys.len(), &wanted.len())?;
    } else if keys.is_empty() || keys.len() > wanted.len().min(PAGES_MAX * query.limit) {
        // A page of large rows, or on a machine that is busy, may be shorter than its limit.
        return Err(format!("{} rows in the first pages, of {}", keys.len(), wanted.len()));
    }
    if query.words.is_some() && query.order.is_none() {
        if !scores.is_sorted_by(|a, b| a >= b) {
            return Err(format!("scores are not in order: {scores:?}"));
        }
        let distinct: BTreeSet<&str> = keys.iter().map(String::as_str).collect();
        same("distinct rows", &distinct.len(), &keys.len())?;
        let wanted: BTreeSet<&str> = wanted.into_iter().collect();
        let extra: Vec<_> = distinct.difference(&wanted).collect();
        let missing: Vec<_> = wanted.difference(&distinct).collect();
        if !extra.is_empty() || (cursor.is_none() && !missing.is_empty()) {
            return Err(format!("not by the scan: {extra:?}; by the scan alone: {missing:?}"));
        }
        return Ok(());
    }
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    same("keys", &&keys[..], &&wanted[..keys.len()])
}

fn counted(
    rows: &Rows,
    query: &Query,
    expected: &Expected<'_>,
    answer: &Value,
) -> Result<(), String> {
    for (&column, expected) in query.facets.iter().zip(&expected.facets) {
        let (name, column_type) = &rows.columns[column];
        let found = answer["facets"][name].as_array().ok_or("no facets")?;
        let found: BTreeMap<String, u64> = found
            .iter()
            .map(|value| (plain(&value["value"]), value["count"].as_u64().unwrap()))
            .collect();
        let least = found.values().copied().min().unwrap_or(0);
        // The most frequent are shown, and all of them if they are few.
        let wrong: Vec<_> =
            found.iter().filter(|(value, count)| expected.get(*value) != Some(count)).collect();
        let missing = expected.iter().filter(|(value, count)| {
            !found.contains_key(*value) && (**count > least || found.len() < 100)
        });
        let missing: Vec<_> = missing.collect();
        if !wrong.is_empty() || !missing.is_empty() {
            return Err(format!(
                "facet {name} ({column_type}): {wrong:?} wrong, {missing:?} missing"
            ));
        }
    }
    Ok(())
}

/// The key of a row of an answer, which must be the row as the view has it.
fn is_the_row(rows: &Rows, answered: &Value) -> Result<String, String> {
    let key = rows.definition.tables[rows.definition.searches[0].table].key[0];
    let key = serde_json::to_string(&[&answered[&rows.columns[key].0]]).unwrap();
    let found = rows.rows.binary_search_by(|row| row.key.cmp(&key));
    let row = &rows.rows[found.map_err(|_| format!("no row {key}"))?];
    for ((name, column_type), cell) in rows.columns.iter().zip(&row.cells) {
        same(&format!("{key}.{name}"), &plain(&answered[name]), &alike(cell, *column_type))?;
    }
    Ok(key)
}

fn ask(daemon: &Daemon, corpus: Corpus, parameters: &[(String, String)]) -> (u16, String) {
    let parameters = parameters.iter().map(|(name, value)| format!("{name}={}", escaped(value)));
    let parameters = parameters.collect::<Vec<_>>().join("&");
    let (projection, index) = (corpus.name(), corpus.table());
    said(&parameters);
    daemon.get(&format!("/v1/projections/{projection}/search/{index}?{parameters}"))
}

#[expect(clippy::print_stdout, reason = "shown with a test that fails")]
fn said(parameters: &str) {
    println!("{parameters}");
}

fn param(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

/// A JSON value as `alike` has it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => scan::digits(number.as_f64().unwrap()),
        other => other.to_string(),
    }
}

fn escaped(value: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    value.bytes().map(byte).collect()
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, found: &T, expected: &T) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{what}:\n   found {found:?}\nexpected {expected:?}"))
}
