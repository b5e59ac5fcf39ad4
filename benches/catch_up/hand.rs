//! The loop that a good engineer writes by hand, and the bare read that bounds every loop.
//!
//! A pull consumer of 5,000 messages at a time, typed decode with borrowed text, one prepared statement an event, one
//! WAL transaction a batch with the checkpoint in it. It knows its events' encodings in advance and checks nothing
//! that it does not need: what viewd is measured against is fast, not careful.

use std::borrow::Cow;
use std::path::Path;

use anyhow::{Context, Result};
use async_nats::Message;
use async_nats::jetstream::{self, consumer};
use futures_util::StreamExt;
use rusqlite::{CachedStatement, Connection, params};
use serde::Deserialize;

use crate::measure::runtime;

const BATCH: usize = 5000;

/// The last sequence of a stream.
pub fn last_sequence(server: &str, stream: &str) -> Result<u64> {
    runtime()?.block_on(async {
        let client = async_nats::connect(server).await?;
        let mut stream = jetstream::new(client).get_stream(stream).await?;
        Ok(stream.info().await?.state.last_sequence)
    })
}

/// Into the six tables, to the end.
pub fn run(server: &str, stream: &str, data: &Path, events: u64) -> Result<()> {
    let mut view = View::open(data)?;
    runtime()?.block_on(async {
        let client = async_nats::connect(server).await?;
        let stream = jetstream::new(client).get_stream(stream).await?;
        let config = consumer::pull::Config {
            ack_policy: consumer::AckPolicy::None,
            memory_storage: true,
            ..Default::default()
        };
        let consumer = stream.create_consumer(config).await?;
        let mut messages = consumer.stream().max_messages_per_batch(BATCH).messages().await?;
        let mut batch = Vec::with_capacity(BATCH);
        let mut seen = 0;
        while seen < events {
            let message = messages.next().await.context("the stream ended")??;
            batch.push(message.message);
            seen += 1;
            if batch.len() == BATCH || seen == events {
                view.apply(&batch, seen)?;
                batch.clear();
            }
        }
        Ok(())
    })
}

#[derive(Deserialize)]
struct Structured<'a, T> {
    time: &'a str,
    data: T,
}

/// `data` of every event of a flight.
#[derive(Deserialize)]
struct Flight<'a> {
    flight_id: &'a str,
    flight_date: &'a str,
    carrier: &'a str,
    number: i64,
    origin: &'a str,
    dest: &'a str,
    tailnum: Option<&'a str>,
    distance: i64,
    scheduled_departure: Option<&'a str>,
    scheduled_arrival: Option<&'a str>,
    departed_at: Option<&'a str>,
    dep_delay: Option<i64>,
    arrived_at: Option<&'a str>,
    arr_delay: Option<i64>,
    air_time: Option<i64>,
}

#[derive(Deserialize)]
struct Airline<'a> {
    carrier: &'a str,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Airport<'a> {
    airport: &'a str,
    #[serde(borrow)]
    name: Cow<'a, str>,
    latitude: f64,
    longitude: f64,
    altitude: Option<i64>,
    time_zone: Option<&'a str>,
}

#[derive(Deserialize)]
struct Plane<'a> {
    tailnum: &'a str,
    year: Option<i64>,
    #[serde(rename = "type")]
    kind: Option<&'a str>,
    #[serde(borrow)]
    manufacturer: Option<Cow<'a, str>>,
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
    engines: Option<i64>,
    seats: Option<i64>,
    engine: Option<&'a str>,
}

const TABLES: &str = "
CREATE TABLE checkpoint (only INTEGER PRIMARY KEY CHECK (only = 0), sequence INTEGER NOT NULL) STRICT;
INSERT INTO checkpoint VALUES (0, 0);
CREATE TABLE board (
  flight_id TEXT PRIMARY KEY NOT NULL, flight_date TEXT, carrier TEXT, number INTEGER, origin TEXT, dest TEXT,
  tailnum TEXT, distance INTEGER, status TEXT NOT NULL, scheduled_departure TEXT, departed_at TEXT, dep_delay INTEGER,
  scheduled_arrival TEXT, arrived_at TEXT, arr_delay INTEGER, air_time INTEGER, late INTEGER, updated_at TEXT
) STRICT;
CREATE INDEX board_origin_date ON board (origin, flight_date);
CREATE TABLE carriers (
  carrier TEXT PRIMARY KEY NOT NULL, name TEXT, scheduled INTEGER DEFAULT 0, cancelled INTEGER DEFAULT 0,
  departed INTEGER DEFAULT 0, airborne INTEGER DEFAULT 0, diverted INTEGER DEFAULT 0, arrived INTEGER DEFAULT 0,
  late_arrivals INTEGER DEFAULT 0, late_minutes INTEGER DEFAULT 0, worst_delay INTEGER, miles INTEGER DEFAULT 0
) STRICT;
CREATE TABLE routes (
  origin TEXT NOT NULL, dest TEXT NOT NULL, distance INTEGER, first_day TEXT, last_day TEXT,
  scheduled INTEGER DEFAULT 0, cancelled INTEGER DEFAULT 0, diverted INTEGER DEFAULT 0, arrived INTEGER DEFAULT 0,
  late_minutes INTEGER DEFAULT 0, fastest INTEGER, slowest INTEGER, PRIMARY KEY (origin, dest)
) STRICT;
CREATE TABLE daily (
  origin TEXT NOT NULL, day TEXT NOT NULL, scheduled INTEGER DEFAULT 0, cancelled INTEGER DEFAULT 0,
  departed INTEGER DEFAULT 0, diverted INTEGER DEFAULT 0, arrived INTEGER DEFAULT 0, late_minutes INTEGER DEFAULT 0,
  worst_dep_delay INTEGER, PRIMARY KEY (origin, day)
) STRICT;
CREATE TABLE airports (
  airport TEXT PRIMARY KEY NOT NULL, name TEXT, latitude INTEGER, longitude INTEGER, altitude INTEGER, time_zone TEXT,
  departures INTEGER DEFAULT 0, arrivals INTEGER DEFAULT 0
) STRICT;
CREATE TABLE planes (
  tailnum TEXT PRIMARY KEY NOT NULL, year INTEGER, type TEXT, manufacturer TEXT, model TEXT, engines INTEGER,
  seats INTEGER, engine TEXT, flights INTEGER DEFAULT 0, miles INTEGER DEFAULT 0, air_minutes INTEGER DEFAULT 0,
  last_airport TEXT, last_seen_at TEXT
) STRICT;
";

struct View {
    connection: Connection,
}

impl View {
    fn open(folder: &Path) -> Result<Self> {
        let connection = Connection::open(folder.join("view.db"))?;
        connection.execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;",
        )?;
        connection.execute_batch(TABLES)?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(Self { connection })
    }

    fn apply(&mut self, batch: &[Message], sequence: u64) -> Result<()> {
        let transaction =
            self.connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut statements = Statements { connection: &transaction };
            for message in batch {
                statements.message(message)?;
            }
            transaction
                .prepare_cached("UPDATE checkpoint SET sequence = ?")?
                .execute([sequence as i64])?;
        }
        Ok(transaction.commit()?)
    }
}

struct Statements<'a> {
    connection: &'a Connection,
}

impl Statements<'_> {
    fn message(&mut self, message: &Message) -> Result<()> {
        let payload = &message.payload[..];
        let subject = message.subject.as_str();
        let header = |name: &str| {
            message
                .headers
                .as_ref()
                .and_then(|headers| headers.get(name))
                .map(|value| value.as_str())
        };
        let mut tokens = subject.split('.').skip(1);
        match (tokens.next(), subject.rsplit('.').next()) {
            (Some("registry"), _) => match tokens.next() {
                Some("airlines") => {
                    self.airline(&serde_json::from_slice::<Structured<_>>(payload)?.data)
                }
                Some("airports") => {
                    self.airport(&serde_json::from_slice::<Structured<_>>(payload)?.data)
                }
                _ => self.plane(&serde_json::from_slice(payload)?),
            },
            (_, Some("scheduled")) => {
                let event: Structured<Flight> = serde_json::from_slice(payload)?;
                self.scheduled(event.time, &event.data)
            }
            (_, Some("arrived")) => {
                let event: Structured<Flight> = serde_json::from_slice(payload)?;
                self.arrived(event.time, &event.data)
            }
            (_, step) => {
                let time = header("ce-time").context("a time")?;
                let data: Flight = serde_json::from_slice(payload)?;
                match step {
                    Some("departed") => self.departed(time, &data),
                    Some("cancelled") => self.ended(time, &data, "cancelled"),
                    _ => self.ended(time, &data, "diverted"),
                }
            }
        }
    }

    fn prepare(&self, sql: &str) -> Result<CachedStatement<'_>> {
        Ok(self.connection.prepare_cached(sql)?)
    }

    fn airline(&self, airline: &Airline) -> Result<()> {
        self.prepare("INSERT INTO carriers (carrier, name) VALUES (?1, ?2) ON CONFLICT DO UPDATE SET name = ?2")?
            .execute(params![airline.carrier, airline.name])?;
        Ok(())
    }

    fn airport(&self, airport: &Airport) -> Result<()> {
        let millionths = |degrees: f64| (degrees * 1e6).round() as i64;
        self.prepare(
            "INSERT INTO airports (airport, name, latitude, longitude, altitude, time_zone) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET name = ?2, latitude = ?3, longitude = ?4, altitude = ?5, time_zone = ?6",
        )?
        .execute(params![
            airport.airport,
            airport.name,
            millionths(airport.latitude),
            millionths(airport.longitude),
            airport.altitude,
            airport.time_zone
        ])?;
        Ok(())
    }

    fn plane(&self, plane: &Plane) -> Result<()> {
        self.prepare(
            "INSERT INTO planes (tailnum, year, type, manufacturer, model, engines, seats, engine)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            plane.tailnum,
            plane.year,
            plane.kind,
            plane.manufacturer,
            plane.model,
            plane.engines,
            plane.seats,
            plane.engine
        ])?;
        Ok(())
    }

    fn scheduled(&self, time: &str, flight: &Flight) -> Result<()> {
        self.prepare(
            "INSERT INTO board (flight_id, flight_date, carrier, number, origin, dest, tailnum, distance, status,
               scheduled_departure, scheduled_arrival, updated_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'scheduled', ?, ?, ?) ON CONFLICT DO NOTHING",
        )?
        .execute(params![
            flight.flight_id,
            flight.flight_date,
            flight.carrier,
            flight.number,
            flight.origin,
            flight.dest,
            flight.tailnum,
            flight.distance,
            utc(flight.scheduled_departure)?,
            utc(flight.scheduled_arrival)?,
            utc(Some(time))?
        ])?;
        self.count("carriers (carrier, scheduled)", "scheduled", [flight.carrier])?;
        self.count(
            "daily (origin, day, scheduled)",
            "scheduled",
            [flight.origin, flight.flight_date],
        )?;
        self.prepare(
                "INSERT INTO routes (origin, dest, distance, first_day, last_day, scheduled) VALUES (?1, ?2, ?3, ?4, ?4, 1)
                 ON CONFLICT DO UPDATE SET scheduled = scheduled + 1, last_day = max(coalesce(last_day, ?4), ?4)",
            )?
            .execute(params![flight.origin, flight.dest, flight.distance, flight.flight_date])?;
        Ok(())
    }

    fn departed(&self, time: &str, flight: &Flight) -> Result<()> {
        self.prepare(
            "UPDATE board SET status = 'departed', departed_at = ?2, dep_delay = ?3, updated_at = ?4 WHERE flight_id = ?1",
        )?
        .execute(params![flight.flight_id, utc(flight.departed_at)?, flight.dep_delay, utc(Some(time))?])?;
        self.prepare(
            "INSERT INTO carriers (carrier, departed, airborne) VALUES (?, 1, 1)
                 ON CONFLICT DO UPDATE SET departed = departed + 1, airborne = airborne + 1",
        )?
        .execute([flight.carrier])?;
        self.prepare(
                "INSERT INTO daily (origin, day, departed, worst_dep_delay) VALUES (?1, ?2, 1, ?3) ON CONFLICT DO UPDATE
                 SET departed = departed + 1, worst_dep_delay = max(coalesce(worst_dep_delay, ?3), ?3)",
            )?
            .execute(params![flight.origin, flight.flight_date, flight.dep_delay])?;
        self.count("airports (airport, departures)", "departures", [flight.origin])?;
        Ok(())
    }

    fn arrived(&self, time: &str, flight: &Flight) -> Result<()> {
        let delay = flight.arr_delay.context("a delay")?;
        let late = delay > 15;
        self.prepare(
            "UPDATE board SET status = 'arrived', arrived_at = ?2, arr_delay = ?3, air_time = ?4, late = ?5, updated_at = ?6
             WHERE flight_id = ?1",
        )?
        .execute(params![
            flight.flight_id,
            utc(flight.arrived_at)?,
            delay,
            flight.air_time,
            late,
            utc(Some(time))?
        ])?;
        self.arrived_elsewhere(time, flight, delay, late)?;
        Ok(())
    }

    fn arrived_elsewhere(&self, time: &str, flight: &Flight, delay: i64, late: bool) -> Result<()> {
        self.prepare(
            "INSERT INTO carriers (carrier, arrived, late_arrivals, late_minutes, miles, worst_delay, airborne)
             VALUES (?1, 1, ?2, ?3, ?4, ?5, -1) ON CONFLICT DO UPDATE SET arrived = arrived + 1,
               late_arrivals = late_arrivals + ?2, late_minutes = late_minutes + ?3, miles = miles + ?4,
               worst_delay = max(coalesce(worst_delay, ?5), ?5), airborne = airborne - 1",
        )?
        .execute(params![flight.carrier, late, delay.max(0), flight.distance, delay])?;
        self.prepare(
            "INSERT INTO routes (origin, dest, arrived, late_minutes, fastest, slowest) VALUES (?1, ?2, 1, ?3, ?4, ?4)
             ON CONFLICT DO UPDATE SET arrived = arrived + 1, late_minutes = late_minutes + ?3,
               fastest = min(coalesce(fastest, ?4), ?4), slowest = max(coalesce(slowest, ?4), ?4)",
        )?
        .execute(params![flight.origin, flight.dest, delay.max(0), flight.air_time])?;
        self.prepare(
            "INSERT INTO daily (origin, day, arrived, late_minutes) VALUES (?1, ?2, 1, ?3)
             ON CONFLICT DO UPDATE SET arrived = arrived + 1, late_minutes = late_minutes + ?3",
        )?
        .execute(params![flight.origin, flight.flight_date, delay.max(0)])?;
        self.count("airports (airport, arrivals)", "arrivals", [flight.dest])?;
        self.prepare(
            "UPDATE planes SET flights = flights + 1, miles = miles + ?2, air_minutes = air_minutes + ?3,
               last_airport = ?4, last_seen_at = max(coalesce(last_seen_at, ?5), ?5) WHERE tailnum = ?1",
        )?
        .execute(params![flight.tailnum, flight.distance, flight.air_time, flight.dest, utc(Some(time))?])?;
        Ok(())
    }

    fn ended(&self, time: &str, flight: &Flight, status: &str) -> Result<()> {
        self.prepare("UPDATE board SET status = ?2, updated_at = ?3 WHERE flight_id = ?1")?
            .execute(params![flight.flight_id, status, utc(Some(time))?])?;
        let carriers = if status == "diverted" {
            "INSERT INTO carriers (carrier, diverted, airborne) VALUES (?, 1, -1)
                 ON CONFLICT DO UPDATE SET diverted = diverted + 1, airborne = airborne - 1"
        } else {
            "INSERT INTO carriers (carrier, cancelled) VALUES (?, 1) ON CONFLICT DO UPDATE SET cancelled = cancelled + 1"
        };
        self.prepare(carriers)?.execute([flight.carrier])?;
        self.count(
            &format!("routes (origin, dest, {status})"),
            status,
            [flight.origin, flight.dest],
        )?;
        self.count(
            &format!("daily (origin, day, {status})"),
            status,
            [flight.origin, flight.flight_date],
        )?;
        Ok(())
    }

    /// One more in a column.
    fn count<const N: usize>(&self, into: &str, column: &str, key: [&str; N]) -> Result<()> {
        let values = "?, ".repeat(N);
        self.prepare(&format!(
            "INSERT INTO {into} VALUES ({values}1) ON CONFLICT DO UPDATE SET {column} = {column} + 1"
        ))?
        .execute(rusqlite::params_from_iter(key))?;
        Ok(())
    }
}

/// A time with any offset, as viewd stores it.
fn utc(time: Option<&str>) -> Result<Option<String>> {
    let Some(time) = time else { return Ok(None) };
    let time: jiff::Timestamp = time.parse()?;
    Ok(Some(format!("{time:.6}")))
}
