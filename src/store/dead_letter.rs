//! Events set aside, with the reason: dead letters, and what is parked behind them.

use std::path::Path;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, params};

use super::checkpoint::{restored, stored};
use super::connection::open_reader;
use super::writer::Store;
use super::{Error, layout};
use crate::event::Sequence;
use crate::event::time::Timestamp;

/// What is to become of an event that was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// It broke a rule.
    Dead,
    /// It waits behind a dead one of the same order key.
    Parked,
    /// It broke a rule, and holds nothing up.
    Skipped,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Dead => "dead",
            Self::Parked => "parked",
            Self::Skipped => "skipped",
        }
    }

    /// Of its word; the table allows no others.
    fn of(word: &str) -> Self {
        match word {
            "parked" => Self::Parked,
            "skipped" => Self::Skipped,
            _ => Self::Dead,
        }
    }
}

/// An event to be set aside.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    pub sequence: Sequence,
    pub part: u32,
    /// None: the message could not be decoded.
    pub type_name: Option<String>,
    pub subject: String,
    pub order_key: Option<String>,
    pub state: State,
    pub reason: String,
    /// As the stream holds it.
    /// Shared by the parts of one message.
    pub payload: Arc<[u8]>,
    /// Names as sent, each with its first value.
    pub headers: Vec<(String, String)>,
    pub stored_at: Timestamp,
}

impl DeadLetter {
    /// The memory that it holds, with what an allocator adds to each text; a payload is counted for each of its parts.
    pub fn bytes(&self) -> usize {
        let text = |text: &str| text.len() + 16;
        let texts = [&self.subject, &self.reason].into_iter();
        let texts = texts.chain(&self.type_name).chain(&self.order_key);
        let header = |(name, value): &(String, String)| {
            size_of::<(String, String)>() + text(name) + text(value)
        };
        size_of::<Self>()
            + texts.map(|one| text(one)).sum::<usize>()
            + self.payload.len()
            + self.headers.iter().map(header).sum::<usize>()
    }
}

/// An order key with dead or parked events: later events of it are parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    pub order_key: String,
    pub dead: u64,
    pub parked: u64,
}

/// What is set aside, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    pub dead: u64,
    pub parked: u64,
    pub skipped: u64,
    /// When the stream stored the oldest dead one.
    pub oldest_stored_at: Option<Timestamp>,
}

impl Totals {
    pub(super) fn add(&mut self, letters: &[DeadLetter]) {
        for letter in letters {
            match letter.state {
                State::Dead => {
                    self.dead += 1;
                    let oldest = self
                        .oldest_stored_at
                        .map_or(letter.stored_at, |oldest| oldest.min(letter.stored_at));
                    self.oldest_stored_at = Some(oldest);
                }
                State::Parked => self.parked += 1,
                State::Skipped => self.skipped += 1,
            }
        }
    }
}

/// A part of a message that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    pub part: u32,
    pub state: State,
    pub reason: String,
}

/// A dead event, as far as somebody has to know why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    pub sequence: Sequence,
    pub part: u32,
    pub type_name: Option<String>,
    pub reason: String,
}

impl Store {
    /// The events that are dead, in stream order.
    pub fn dead(&self) -> Result<Vec<Letter>, Error> {
        self.execute(|connection| {
            let mut statement = connection.prepare(
                "SELECT sequence, part, type, reason FROM _viewd_dead_letters \
                 WHERE state = 'dead' ORDER BY sequence, part",
            )?;
            let rows = statement.query_map((), |row| {
                Ok(Letter {
                    sequence: Sequence(restored(row.get(0)?)),
                    part: row.get(1)?,
                    type_name: row.get(2)?,
                    reason: row.get(3)?,
                })
            })?;
            rows.collect()
        })
    }

    /// Whether a part of a message is set aside, dead or otherwise.
    pub fn is_set_aside(&self, sequence: Sequence, part: u32) -> Result<bool, Error> {
        self.execute(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT 1 FROM _viewd_dead_letters WHERE sequence = ?1 AND part = ?2",
            )?;
            statement.exists((stored(sequence.0), part))
        })
    }
}

/// What of one message is set aside, in the generation that is served from a projection's folder.
pub fn of_message(folder: &Path, sequence: Sequence) -> Result<Vec<SetAside>, Error> {
    let path = layout::served(folder);
    let connection = open_reader(&path)?;
    let read = || {
        let mut statement = connection.prepare(
            "SELECT part, state, reason FROM _viewd_dead_letters WHERE sequence = ?1 ORDER BY part",
        )?;
        let rows = statement.query_map([stored(sequence.0)], |row| {
            let state: String = row.get(1)?;
            Ok(SetAside { part: row.get(0)?, state: State::of(&state), reason: row.get(2)? })
        })?;
        rows.collect::<rusqlite::Result<_>>()
    };
    read().map_err(|error| Error::sqlite(&path, error))
}

pub(super) fn insert(connection: &Connection, letters: &[DeadLetter]) -> rusqlite::Result<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let mut statement = connection.prepare_cached(
        "INSERT INTO _viewd_dead_letters \
         (sequence, part, type, subject, order_key, state, reason, payload, headers, stored_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    for letter in letters {
        let headers: serde_json::Map<String, serde_json::Value> = letter
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), value.clone().into()))
            .collect();
        statement.execute(params![
            stored(letter.sequence.0),
            letter.part,
            letter.type_name,
            letter.subject,
            letter.order_key,
            letter.state.word(),
            letter.reason,
            &*letter.payload,
            serde_json::Value::Object(headers).to_string(),
            letter.stored_at.to_string(),
        ])?;
    }
    Ok(())
}

pub(super) fn blocked(connection: &Connection) -> rusqlite::Result<Vec<Blocked>> {
    let mut statement = connection.prepare(
        "SELECT order_key, sum(state = 'dead'), sum(state = 'parked') FROM _viewd_dead_letters \
         WHERE order_key IS NOT NULL AND state IN ('dead', 'parked') GROUP BY order_key",
    )?;
    let rows = statement.query_map((), |row| {
        Ok(Blocked { order_key: row.get(0)?, dead: count(row.get(1)?), parked: count(row.get(2)?) })
    })?;
    rows.collect()
}

pub(super) fn totals(connection: &Connection) -> rusqlite::Result<Totals> {
    let mut statement = connection.prepare_cached(
        "SELECT total(state = 'dead'), total(state = 'parked'), total(state = 'skipped'), \
         min(CASE WHEN state = 'dead' THEN stored_at END) FROM _viewd_dead_letters",
    )?;
    let totals = statement
        .query_row((), |row| {
            let oldest: Option<String> = row.get(3)?;
            // `total` gives a float, and 0.0 for no rows.
            let number = |column| row.get::<_, f64>(column).map(|value| value as u64);
            Ok(Totals {
                dead: number(0)?,
                parked: number(1)?,
                skipped: number(2)?,
                oldest_stored_at: oldest.as_deref().and_then(Timestamp::parse),
            })
        })
        .optional()?;
    Ok(totals.unwrap_or_default())
}

fn count(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}
