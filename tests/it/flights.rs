//! A week of real flights: published to a real server, projected by the real daemon, compared cell by cell with what
//! an independent fold makes of the tables that the events came from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::{Value, json};

use crate::corpora::flights::cloudevents::Event;
use crate::corpora::flights::events::Flights;
use crate::corpora::flights::{oracle, stream};
use crate::daemon::Site;
use crate::nats::Server;

/// The projection that is shipped.
const DEFINITION: &str = include_str!("../../projections/flights.toml");
const SOURCES: &str = "[sources.flights]\nstream = \"FLIGHTS\"";

/// Every table of the view: rows by key, cells by column.
type Tables = BTreeMap<String, BTreeMap<Vec<String>, BTreeMap<String, Value>>>;

/// A server whose stream holds the week, or its beginning.
pub struct Week {
    pub server: Server,
    client: async_nats::Client,
    events: Vec<Event>,
    published: usize,
}

impl Week {
    /// A stream that holds nothing yet.
    pub async fn new() -> Self {
        let server = Server::start();
        let client = server.client().await;
        stream::create(&client, "FLIGHTS").await.unwrap();
        let events = Flights::read(&folder()).unwrap().events().collect();
        Self { server, client, events, published: 0 }
    }

    pub fn len(&self) -> u64 {
        self.events.len() as u64
    }

    /// How many of the events up to each sequence have such a subject.
    pub fn counted(&self, matches: impl Fn(&str) -> bool) -> Vec<u64> {
        let count = |count: &mut u64, event: &Event| {
            *count += u64::from(matches(&event.subject));
            Some(*count)
        };
        std::iter::once(0).chain(self.events.iter().scan(0, count)).collect()
    }

    /// Publishes events up to this many.
    pub async fn publish(&mut self, count: u64) {
        let events = self.events[self.published..count as usize].iter().cloned();
        stream::publish(&self.client, events, |_| {}).await.unwrap();
        self.published = count as usize;
    }

    /// A daemon's folder with the projection that is shipped.
    pub fn site(&self) -> Arc<Site> {
        Self::site_at(&[self.server.url()], &[])
    }

    /// The same for other servers, or for what stands before one, and with more projections of the source `flights`.
    pub fn site_at(servers: &[String], more: &[(&str, &str)]) -> Arc<Site> {
        Site::at(servers, SOURCES, &[&[("flights", DEFINITION)], more].concat())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_week_of_flights_gives_what_the_oracle_says() {
    let mut week = Week::new().await;
    week.publish(week.len()).await;
    let site = week.site();
    site.catch_up(&[]);
    assert_as_the_oracle_says(&site, week.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_follows_gives_the_same() {
    let mut week = Week::new().await;
    let site = week.site();
    let daemon = site.start(&[]);
    // Some before it is live, some after, in pieces.
    for part in [3, 5, 6, 7, 8] {
        let count = week.len() * part / 8;
        week.publish(count).await;
        daemon.reaches("flights", count);
    }
    assert!(daemon.terminate().success(), "{}", site.log());
    assert_as_the_oracle_says(&site, week.len());
}

/// Holds that every table is as it must be after the week, and that every event is counted.
#[track_caller]
pub fn assert_as_the_oracle_says(site: &Site, events: u64) {
    let (view, expected) = (tables(&site.view("flights")), expected());
    assert_eq!(view.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "tables");
    let mut different = Vec::new();
    for (table, rows) in expected {
        let found = &view[table];
        assert!(!rows.is_empty(), "{table}: the oracle has no row");
        for key in rows.keys().chain(found.keys().filter(|key| !rows.contains_key(*key))) {
            if rows.get(key) != found.get(key) {
                different.push(format!(
                    "{table} {key:?}\n  expected {:?}\n     found {:?}",
                    rows.get(key),
                    found.get(key)
                ));
            }
        }
    }
    let shown = different.iter().take(5).map(String::as_str).collect::<Vec<_>>().join("\n");
    assert!(different.is_empty(), "{} rows differ, first of them\n{shown}", different.len());

    let counts = site.counts("flights");
    assert_eq!((counts.applied, counts.sum()), (events, events), "{counts:?}");
    let checkpoint = site.checkpoint("flights").unwrap();
    assert_eq!((checkpoint.sequence, checkpoint.messages), (events, events));
}

fn expected() -> &'static Tables {
    static EXPECTED: OnceLock<Tables> = OnceLock::new();
    EXPECTED.get_or_init(|| {
        let tables = oracle::expected(&folder()).unwrap();
        let owned = |row: oracle::Row| {
            row.into_iter().map(|(column, value)| (column.to_owned(), value)).collect()
        };
        tables
            .into_iter()
            .map(|(table, rows)| {
                (table.to_owned(), rows.into_iter().map(|(key, row)| (key, owned(row))).collect())
            })
            .collect()
    })
}

/// Everything that the view holds of the projection.
fn tables(view: &Connection) -> Tables {
    let sql = "SELECT \"table\", \"column\" FROM _viewd_columns WHERE key IS NOT NULL ORDER BY \"table\", key";
    let mut keys = BTreeMap::<String, Vec<String>>::new();
    let mut statement = view.prepare(sql).unwrap();
    let named = statement.query_map((), |row| Ok((row.get::<_, String>(0)?, row.get(1)?))).unwrap();
    for (table, column) in named.map(Result::unwrap) {
        keys.entry(table).or_default().push(column);
    }
    keys.into_iter().map(|(table, key)| (table.clone(), rows(view, &table, &key))).collect()
}

fn rows(
    view: &Connection,
    table: &str,
    key: &[String],
) -> BTreeMap<Vec<String>, BTreeMap<String, Value>> {
    let mut statement = view.prepare(&format!("SELECT * FROM {table}")).unwrap();
    let columns: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let rows = statement.query_map((), |row| {
        columns
            .iter()
            .enumerate()
            .map(|(index, column)| Ok((column.clone(), value(row.get_ref(index)?))))
            .collect()
    });
    let rows = rows.unwrap().map(|row: Result<BTreeMap<String, Value>, _>| row.unwrap());
    rows.map(|row| {
        (key.iter().map(|column| row[column].as_str().unwrap().to_owned()).collect(), row)
    })
    .collect()
}

fn value(cell: ValueRef<'_>) -> Value {
    match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(integer) => json!(integer),
        ValueRef::Real(real) => json!(real),
        ValueRef::Text(text) => json!(std::str::from_utf8(text).unwrap()),
        ValueRef::Blob(blob) => panic!("{blob:?}: no table has bytes"),
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/flights/week")
}
