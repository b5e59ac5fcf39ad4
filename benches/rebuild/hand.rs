//! The consumer that a good engineer writes by hand for the order summary.
//!
//! A pull consumer of 5,000 messages at a time, typed decode with borrowed text, one prepared statement an event, one
//! WAL transaction a batch with the checkpoint in it. It knows its events in advance and checks nothing that it does not
//! need: what viewd is measured against is fast, not careful.

use std::path::Path;

use anyhow::{Context, Result, bail};
use async_nats::Message;
use async_nats::jetstream::{self, consumer};
use futures_util::{FutureExt, StreamExt};
use rusqlite::{CachedStatement, Connection, TransactionBehavior, params};
use serde::Deserialize;

use crate::measure::runtime;

pub const BATCH: usize = 5000;

/// What it is to read, and how.
pub struct Task<'a> {
    pub server: &'a str,
    pub stream: &'a str,
    /// Its view is `view.db` in here.
    pub folder: &'a Path,
    /// The name of the table; in `named_orders` a customer's new name reaches every order.
    pub table: &'a str,
    /// It ends after so many events, and fills its batches until then; None: it is live, and commits what is there.
    pub events: Option<u64>,
}

pub fn run(task: &Task) -> Result<()> {
    let mut view = View::open(task.folder, task.table)?;
    runtime()?.block_on(async {
        let client = async_nats::connect(task.server).await?;
        let stream = jetstream::new(client).get_stream(task.stream).await?;
        let config = consumer::pull::Config {
            ack_policy: consumer::AckPolicy::None,
            memory_storage: true,
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await?;
        let mut messages = consumer.stream().max_messages_per_batch(BATCH).messages().await?;
        let (mut batch, mut seen) = (Vec::with_capacity(BATCH), 0);
        while task.events != Some(seen) {
            let message = messages.next().await.context("the stream ended")??;
            batch.push(message.message);
            seen += 1;
            while batch.len() < BATCH && task.events != Some(seen) {
                let next = match task.events {
                    Some(_) => messages.next().await,
                    None => match messages.next().now_or_never() {
                        Some(next) => next,
                        None => break,
                    },
                };
                batch.push(next.context("the stream ended")??.message);
                seen += 1;
            }
            view.apply(&batch, seen)?;
            batch.clear();
        }
        Ok(())
    })
}

#[derive(Deserialize)]
struct Envelope<'a, T> {
    time: &'a str,
    data: T,
}

#[derive(Deserialize)]
struct Placed<'a> {
    order_id: &'a str,
    customer_id: &'a str,
    customer: &'a str,
    country: &'a str,
    shipping: f64,
}

#[derive(Deserialize)]
struct ItemAdded<'a> {
    order_id: &'a str,
    quantity: i64,
    amount: f64,
}

#[derive(Deserialize)]
struct Paid<'a> {
    order_id: &'a str,
    amount: f64,
}

#[derive(Deserialize)]
struct Shipped<'a> {
    order_id: &'a str,
    carrier: &'a str,
}

#[derive(Deserialize)]
struct Cancelled<'a> {
    order_id: &'a str,
}

#[derive(Deserialize)]
struct Renamed<'a> {
    customer_id: &'a str,
    name: &'a str,
}

struct View {
    connection: Connection,
    sql: Sql,
}

struct Sql {
    placed: String,
    item_added: String,
    paid: String,
    shipped: String,
    cancelled: String,
    renamed: Option<String>,
}

impl Sql {
    fn new(table: &str) -> Self {
        let update =
            |set: &str| format!("UPDATE {table} SET {set}, updated_at = ?2 WHERE order_id = ?1");
        Self {
            placed: format!(
                "INSERT INTO {table} (order_id, customer_id, customer, country, status, total, placed_at, updated_at)
                 VALUES (?1, ?2, ?3, ?4, 'placed', ?5, ?6, ?6) ON CONFLICT DO NOTHING"
            ),
            item_added: update("items = items + ?3, total = total + ?4"),
            paid: update("status = 'paid', paid = ?3"),
            shipped: update("status = 'shipped', carrier = ?3"),
            cancelled: update("status = 'cancelled'"),
            renamed: (table == "named_orders")
                .then(|| format!("UPDATE {table} SET customer = ?2 WHERE customer_id = ?1")),
        }
    }
}

impl View {
    fn open(folder: &Path, table: &str) -> Result<Self> {
        let connection = Connection::open(folder.join("view.db"))?;
        connection.execute_batch(&format!(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;
             CREATE TABLE checkpoint (only INTEGER PRIMARY KEY CHECK (only = 0), sequence INTEGER NOT NULL) STRICT;
             INSERT INTO checkpoint VALUES (0, 0);
             CREATE TABLE {table} (
               order_id TEXT PRIMARY KEY NOT NULL, customer_id TEXT NOT NULL, customer TEXT, country TEXT,
               status TEXT NOT NULL, items INTEGER NOT NULL DEFAULT 0, total INTEGER NOT NULL DEFAULT 0, paid INTEGER,
               carrier TEXT, placed_at TEXT, updated_at TEXT
             ) STRICT, WITHOUT ROWID;
             CREATE INDEX {table}_customer ON {table} (customer_id, placed_at);"
        ))?;
        Ok(Self { connection, sql: Sql::new(table) })
    }

    fn apply(&mut self, batch: &[Message], sequence: u64) -> Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for message in batch {
            self.sql.apply(&transaction, message)?;
        }
        transaction
            .prepare_cached("UPDATE checkpoint SET sequence = ?")?
            .execute([sequence as i64])?;
        Ok(transaction.commit()?)
    }
}

impl Sql {
    fn apply(&self, connection: &Connection, message: &Message) -> Result<()> {
        let statement = |sql| -> Result<CachedStatement> { Ok(connection.prepare_cached(sql)?) };
        let payload = &message.payload[..];
        match message.subject.rsplit('.').next() {
            Some("placed") => {
                let Envelope { time, data } = serde_json::from_slice::<Envelope<Placed>>(payload)?;
                let Placed { order_id, customer_id, customer, country, shipping } = data;
                statement(&self.placed)?.execute(params![
                    order_id,
                    customer_id,
                    customer,
                    country,
                    cents(shipping),
                    time
                ])?;
            }
            Some("item_added") => {
                let Envelope { time, data } =
                    serde_json::from_slice::<Envelope<ItemAdded>>(payload)?;
                let row = params![data.order_id, time, data.quantity, cents(data.amount)];
                statement(&self.item_added)?.execute(row)?;
            }
            Some("paid") => {
                let Envelope { time, data } = serde_json::from_slice::<Envelope<Paid>>(payload)?;
                statement(&self.paid)?.execute(params![data.order_id, time, cents(data.amount)])?;
            }
            Some("shipped") => {
                let Envelope { time, data } = serde_json::from_slice::<Envelope<Shipped>>(payload)?;
                statement(&self.shipped)?.execute(params![data.order_id, time, data.carrier])?;
            }
            Some("cancelled") => {
                let Envelope { time, data } =
                    serde_json::from_slice::<Envelope<Cancelled>>(payload)?;
                statement(&self.cancelled)?.execute(params![data.order_id, time])?;
            }
            Some("renamed") => {
                if let Some(sql) = &self.renamed {
                    let Renamed { customer_id, name } =
                        serde_json::from_slice::<Envelope<Renamed>>(payload)?.data;
                    statement(sql)?.execute(params![customer_id, name])?;
                }
            }
            _ => bail!("unknown subject {}", message.subject),
        }
        Ok(())
    }
}

/// Exact for what has two digits behind the point.
fn cents(amount: f64) -> i64 {
    (amount * 100.0).round() as i64
}
