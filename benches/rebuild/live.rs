//! From publish to visible row, while events come at a steady pace.
//!
//! One process publishes and looks, so that one clock stamps both: each event just before it is given to the client,
//! and each change of the view's checkpoint as another connection sees it, asked every 100 µs or so. The checkpoint is
//! written in the transaction of its rows, by viewd and by hand alike: who sees it sees the row.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use async_nats::Client;
use async_nats::jetstream;

use crate::bench::message;
use crate::measure::{self, Latencies, publish};
use crate::proof;
use crate::shop::Shop;

const LOOK: Duration = Duration::from_micros(100);
const PATIENCE: Duration = Duration::from_secs(60);
/// What the view holds before the pace begins.
const BEFORE: u64 = 20_000;
const OPEN: usize = 2_000;

/// A stream of its own, so that each run sees the same events.
pub struct Stream {
    name: String,
    client: Client,
    runtime: tokio::runtime::Runtime,
    rest: Shop,
}

impl Stream {
    pub fn new(server: &str, name: &str) -> Result<Self> {
        let runtime = measure::runtime()?;
        let mut rest = Shop::new(OPEN);
        let client = runtime.block_on(async {
            let client = async_nats::connect(server).await?;
            publish::create(&client, name).await?;
            let before = rest.by_ref().take(BEFORE as usize).map(|event| message(name, event));
            publish::fill(&client, before).await?;
            anyhow::Ok(client)
        })?;
        Ok(Self { name: name.to_owned(), client, runtime, rest })
    }

    /// Publishes so many events at a rate, and sees each arrive in the view.
    pub fn follow(
        &mut self,
        view: PathBuf,
        checkpoint: &'static str,
        rate: u64,
        count: u64,
    ) -> Result<Latencies> {
        let events = self.rest.by_ref().take(count as usize);
        let events = events.map(|event| message(&self.name, event)).collect();
        let seeing = std::thread::spawn(move || see(&view, checkpoint, BEFORE + count));
        let published = publish::paced(&self.runtime, &self.client, events, rate)?;
        let seen = seeing.join().expect("it returns its errors")?;
        let (mut at, mut milliseconds) = (0, Vec::with_capacity(published.len()));
        for (sequence, seen) in seen {
            let until = usize::try_from(sequence.saturating_sub(BEFORE))?;
            let arrived = published[at..until].iter();
            milliseconds.extend(
                arrived.map(|published| seen.duration_since(*published).as_secs_f64() * 1e3),
            );
            at = until;
        }
        Ok(Latencies::new(milliseconds))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The server ends with the benchmark anyway.
        let _ = self.runtime.block_on(async {
            jetstream::new(self.client.clone()).delete_stream(&self.name).await
        });
    }
}

/// Waits until a view holds what was published before. Its checkpoint is in the table of that name.
pub fn reached(view: &Path, checkpoint: &str) -> Result<()> {
    let begun = Instant::now();
    loop {
        if let Ok(found) = proof::open(view).and_then(|view| sequence(&view, checkpoint))
            && found == BEFORE
        {
            return Ok(());
        }
        ensure!(begun.elapsed() < PATIENCE, "{} is not filled within {PATIENCE:?}", view.display());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Every sequence at which a view was seen, and when it was first.
fn see(view: &Path, checkpoint: &str, last: u64) -> Result<Vec<(u64, Instant)>> {
    let view = proof::open(view)?;
    let mut seen = vec![(BEFORE, Instant::now())];
    loop {
        let (before, since) = seen[seen.len() - 1];
        let found = sequence(&view, checkpoint)?;
        if found != before {
            seen.push((found, Instant::now()));
        }
        if found == last {
            return Ok(seen);
        }
        ensure!(since.elapsed() < PATIENCE, "the view stands at {found} of {last}");
        std::thread::sleep(LOOK);
    }
}

fn sequence(view: &rusqlite::Connection, checkpoint: &str) -> Result<u64> {
    let mut statement = view.prepare_cached(&format!("SELECT sequence FROM {checkpoint}"))?;
    let sequence: i64 = statement.query_row((), |row| row.get(0))?;
    Ok(sequence.unsigned_abs())
}
