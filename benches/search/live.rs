//! A daemon that follows a stream while it is written to, and what is asked of it meanwhile.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_nats::Client as Nats;
use async_nats::jetstream;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::ask::Client;
use crate::bench::Run;
use crate::corpora::{Corpus, Message};
use crate::measure::daemon::{Daemon, PATIENCE};
use crate::measure::{self, Latencies, cpu, publish};
use crate::queries::Queries;

/// Between two looks at what is found: each is a query of some tenths of a millisecond.
const LOOK: Duration = Duration::from_millis(2);
/// Between two looks at how far it has come.
const ASK: Duration = Duration::from_millis(5);

pub enum Pace {
    /// So many updates as fast as they are published.
    Burst { count: u64 },
    /// From publish to found.
    Searchable { rate: u64, seconds: u64 },
    /// Queries while so many updates a second come.
    Queries { rate: u64, seconds: u64 },
}

pub struct Live<'a> {
    corpus: Corpus,
    search: bool,
    stream: String,
    daemon: &'a Daemon<'a>,
    runtime: Runtime,
    nats: Nats,
    view: Connection,
    keys: Vec<String>,
    /// The number of the last update.
    updates: &'a mut u64,
}

impl<'a> Live<'a> {
    pub fn new(
        server: &str,
        stream: String,
        corpus: Corpus,
        search: bool,
        daemon: &'a Daemon<'a>,
        updates: &'a mut u64,
    ) -> Result<Self> {
        let runtime = measure::runtime()?;
        let nats = runtime.block_on(async_nats::connect(server))?;
        let view = daemon.site.view(corpus.name());
        let view = Connection::open_with_flags(view, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let (key, _) = text(corpus);
        // In no order that means anything, the same in each run.
        let sql = format!("SELECT {key} FROM {} ORDER BY substr({key}, -4), {key}", corpus.table());
        let keys =
            view.prepare(&sql)?.query_map((), |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(Self { corpus, search, stream, daemon, runtime, nats, view, keys, updates })
    }

    pub fn run(&mut self, pace: &Pace) -> Result<Run> {
        let before = cpu(self.daemon.pid())?.0;
        let mut run = match *pace {
            Pace::Burst { count } => self.burst(count)?,
            Pace::Searchable { rate, seconds } => self.searchable(rate, seconds)?,
            Pace::Queries { rate, seconds } => self.queries(rate, seconds)?,
        };
        run.cpu = cpu(self.daemon.pid())?.0 - before;
        let last = self.last_sequence()?;
        self.reach(last)?;
        run.segments = self.report()?["search"][0]["segments"].as_u64();
        Ok(run)
    }

    fn burst(&mut self, count: u64) -> Result<Run> {
        let (last, messages) = (self.last_sequence()? + count, self.messages(count)?);
        let begun = Instant::now();
        let nats = self.nats.clone();
        let publishing =
            self.runtime.spawn(async move { publish::fill(&nats, messages.into_iter()).await });
        self.reach(last)?;
        let seconds = begun.elapsed().as_secs_f64();
        self.runtime.block_on(publishing)??;
        Ok(Run { seconds, work: count, ..Run::default() })
    }

    fn searchable(&mut self, rate: u64, seconds: u64) -> Result<Run> {
        let (before, first) = (self.last_sequence()?, *self.updates + 1);
        let (count, socket) = (rate * seconds, self.daemon.site.socket());
        let messages = self.messages(count)?;
        let corpus = self.corpus;
        let seeing = std::thread::spawn(move || {
            see(Client::connect(&socket)?, corpus, before, first, count)
        });
        let published = publish::paced(&self.runtime, &self.nats, messages, rate)?;
        let seen = seeing.join().expect("it returns its errors")?;
        let (mut at, mut milliseconds) = (0, Vec::with_capacity(published.len()));
        for (sequence, seen) in seen {
            let until = usize::try_from(sequence.saturating_sub(before))?.min(published.len());
            let arrived = published[at..until].iter();
            milliseconds.extend(arrived.map(|one| seen.duration_since(*one).as_secs_f64() * 1e3));
            at = until;
        }
        let latencies = vec![("found".to_owned(), Latencies::new(milliseconds))];
        Ok(Run { seconds: seconds as f64, work: count, latencies, ..Run::default() })
    }

    fn queries(&mut self, rate: u64, seconds: u64) -> Result<Run> {
        let messages = self.messages(rate * seconds)?;
        let mut queries = Queries::new(self.corpus, &self.view)?;
        let client = Client::connect(&self.daemon.site.socket())?;
        let until = Instant::now() + Duration::from_secs(seconds);
        let asking = std::thread::spawn(move || queries.ask(client, until));
        if rate > 0 {
            publish::paced(&self.runtime, &self.nats, messages, rate)?;
        }
        let latencies = asking.join().expect("it returns its errors")?;
        let work = latencies.iter().map(|(_, latencies)| latencies.count() as u64).sum();
        Ok(Run { seconds: seconds as f64, work, latencies, ..Run::default() })
    }

    /// So many updates, each of another row as long as there are others, and each with a word that no other has.
    fn messages(&mut self, count: u64) -> Result<Vec<Message>> {
        let messages = (0..count).map(|_| {
            *self.updates += 1;
            let key = &self.keys[(*self.updates as usize * 7919) % self.keys.len()];
            let (subject, payload) = update(self.corpus, &self.view, key, *self.updates)?
                .context("a row that is not there")?;
            let subject = format!("{}{}", self.stream, &subject[self.corpus.name().len()..]);
            Ok((subject, payload))
        });
        messages.collect()
    }

    /// Waits until the index, or the view alone, holds all up to a sequence.
    fn reach(&self, sequence: u64) -> Result<()> {
        let (mut last, mut since) = (None, Instant::now());
        loop {
            let report = self.report()?;
            let found = match self.search {
                true => report["search"][0]["sequence"].as_u64(),
                false => report["checkpoint_sequence"].as_u64(),
            };
            if found.is_some_and(|found| found >= sequence) {
                return Ok(());
            }
            if found != last {
                (last, since) = (found, Instant::now());
            }
            ensure!(since.elapsed() < PATIENCE, "it stands at {found:?} of {sequence}: {report}");
            std::thread::sleep(ASK);
        }
    }

    fn report(&self) -> Result<Value> {
        Ok(self.daemon.report()?["projections"][0].take())
    }

    fn last_sequence(&self) -> Result<u64> {
        self.runtime.block_on(async {
            let stream = jetstream::new(self.nats.clone()).get_stream(&self.stream).await?;
            Ok(stream.get_info().await?.state.last_sequence)
        })
    }
}

/// Every sequence at which the index was seen, and when it was first. What it says that it holds must be found.
fn see(
    mut client: Client,
    corpus: Corpus,
    before: u64,
    first: u64,
    count: u64,
) -> Result<Vec<(u64, Instant)>> {
    let mut seen = vec![(before, Instant::now())];
    loop {
        let (held, since) = seen[seen.len() - 1];
        // The update that is last in what it said to hold, or none that was ever published.
        let number = first + held - before - 1;
        let answer = client.get(&format!(
            "/v1/projections/{}/search/{}?_q=marker{number}&_limit=1",
            corpus.name(),
            corpus.table()
        ))?;
        let sequence = answer["sequence"].as_u64().context("a sequence")?;
        let found = answer["data"].as_array().context("rows")?.len();
        ensure!(held == before || found == 1, "it holds {held}, and not what was written there");
        if sequence != held {
            seen.push((sequence, Instant::now()));
        }
        if sequence >= before + count {
            return Ok(seen);
        }
        ensure!(since.elapsed() < PATIENCE, "the index stands at {sequence}");
        std::thread::sleep(LOOK);
    }
}

/// The column of the key, and the one that an update adds a word to.
fn text(corpus: Corpus) -> (&'static str, &'static str) {
    match corpus {
        Corpus::Flights => ("flight_id", "plane"),
        Corpus::Reference => ("id", "body"),
    }
}

fn update(corpus: Corpus, view: &Connection, key: &str, number: u64) -> Result<Option<Message>> {
    let (key_column, text) = text(corpus);
    let columns: &[&str] = match corpus {
        Corpus::Flights => &[key_column, text],
        Corpus::Reference => {
            &["id", "title", "body", "publisher", "service", "kind", "members", "published"]
        }
    };
    let sql =
        format!("SELECT {} FROM {} WHERE {key_column} = ?", columns.join(", "), corpus.table());
    let mut statement = view.prepare_cached(&sql)?;
    let row = statement.query_row([key], |row| {
        let cell = |(at, column): (usize, &&str)| {
            let value = match row.get::<_, rusqlite::types::Value>(at)? {
                rusqlite::types::Value::Null => Value::Null,
                rusqlite::types::Value::Integer(number) => number.into(),
                rusqlite::types::Value::Text(text) => text.into(),
                other => json!(format!("{other:?}")),
            };
            Ok(((*column).to_owned(), value))
        };
        columns.iter().enumerate().map(cell).collect::<Result<serde_json::Map<_, _>, _>>()
    });
    let Some(mut row) = row.optional()? else { return Ok(None) };
    let before = row[text].as_str().unwrap_or_default();
    let before = before.split(" marker").next().unwrap_or_default();
    let marked = format!("{before} marker{number}");
    row.insert(text.to_owned(), marked.into());
    let kind = match corpus {
        Corpus::Flights => "PlaneChanged",
        Corpus::Reference => "DocumentPublished",
    };
    Ok(Some(corpus.event(kind, &row.into())))
}
