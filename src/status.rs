//! What a projection says of itself: its state, and the report that `status`, the API and the console show.
//!
//! The JSON form is a contract with those who read it; a test holds its shape.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Where a projection is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Opening, verifying.
    Starting,
    /// Messages are pending and it has not been live since.
    CatchingUp,
    /// Nothing was pending once, and the oldest unapplied message is young.
    Live,
    /// By command.
    Paused,
    /// Serving, and mending itself.
    Degraded,
    /// Stopped until a person acts.
    Failed,
    /// Only in a status without a daemon.
    Stopped,
}

/// Why a projection is degraded or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    StorageFull,
    SourceUnreachable,
    /// Built by another engine: it stands still until its rebuild cuts over.
    Frozen,
    /// A full-text index is made again, or cannot be written.
    Search,
    Gap,
    SourceChanged,
    Retention,
    Corrupt,
    Halted,
    SetAsideFull,
    CrashLoop,
    Stalled,
}

impl State {
    /// The word in JSON, metrics and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::CatchingUp => "catching_up",
            Self::Live => "live",
            Self::Paused => "paused",
            Self::Degraded => "degraded",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

impl Reason {
    /// The word in JSON and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::StorageFull => "storage_full",
            Self::SourceUnreachable => "source_unreachable",
            Self::Frozen => "frozen",
            Self::Search => "search",
            Self::Gap => "gap",
            Self::SourceChanged => "source_changed",
            Self::Retention => "retention",
            Self::Corrupt => "corrupt",
            Self::Halted => "halted",
            Self::SetAsideFull => "set_aside_full",
            Self::CrashLoop => "crash_loop",
            Self::Stalled => "stalled",
        }
    }
}

/// The whole report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    pub nats: Nats,
    pub projections: Vec<Projection>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Nats {
    pub connected: bool,
}

/// One projection's part of the report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Projection {
    pub name: String,
    pub state: State,
    pub reason: Option<Reason>,
    /// A sentence for the operator.
    pub detail: Option<String>,
    /// The command that mends it.
    pub next: Option<String>,
    pub pinned: bool,
    pub generation: u64,
    pub stream: String,
    pub position: u64,
    pub checkpoint_sequence: u64,
    /// Null when the head is unknown.
    pub stream_first_sequence: Option<u64>,
    pub stream_last_sequence: Option<u64>,
    pub pending_messages: Option<u64>,
    pub lag_seconds: Option<f64>,
    pub lag_target_seconds: f64,
    pub events_per_second: f64,
    pub counts: Counts,
    pub missed_sequences: u64,
    pub dead_letters: u64,
    pub parked_events: u64,
    /// The running rebuild.
    pub rebuild: Option<Rebuild>,
    /// One a full-text index.
    pub search: Vec<Index>,
}

/// One full-text index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Index {
    pub index: String,
    /// What it reflects; null while it cannot be searched.
    pub sequence: Option<u64>,
    /// Null likewise.
    pub documents: Option<u64>,
    /// `opening`, `following`, `rebuilding`, `troubled`; `stopped` without a daemon.
    pub state: String,
    /// What is wrong with it, if anything is.
    pub detail: Option<String>,
}

/// A build beside the generation that is served.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rebuild {
    pub generation: u64,
    pub phase: Phase,
    /// Messages that it has passed, of those that the stream held when it began.
    pub applied: u64,
    pub total: u64,
    pub messages_per_second: f64,
    /// Null before there is a pace.
    pub seconds_left: Option<f64>,
    /// The full-text index that it makes, while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Making>,
}

/// A full-text index that is made from the rows of its table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Making {
    pub index: String,
    /// Rows that are in it, of those that the table has.
    pub rows: u64,
    pub total: u64,
    pub rows_per_second: f64,
    /// Null before there is a pace, and once all rows are in it: its files are merged then.
    pub seconds_left: Option<f64>,
}

/// What a build is at, in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is about to begin, or copies the rows of the generation that is served.
    Preparing,
    /// It replays the stream into a file that nobody else can open.
    Bulk,
    /// It makes the file what a served one is: indexes, checks, all of it on the disk.
    Sealing,
    /// It follows the stream up to where the served generation is.
    CatchingUp,
    /// Its rows are compared with those of the generation that is served.
    Comparing,
    /// It waits for `promote`, and follows the stream meanwhile.
    Held,
}

impl Phase {
    /// The word in JSON and tables.
    pub fn word(self) -> &'static str {
        match self {
            Self::Preparing => "preparing",
            Self::Bulk => "bulk",
            Self::Sealing => "sealing",
            Self::CatchingUp => "catching_up",
            Self::Comparing => "comparing",
            Self::Held => "held",
        }
    }
}

impl Rebuild {
    /// Of a build that has read nothing yet.
    pub fn preparing(generation: u64) -> Self {
        Self {
            generation,
            phase: Phase::Preparing,
            applied: 0,
            total: 0,
            messages_per_second: 0.0,
            seconds_left: None,
            index: None,
        }
    }
}

impl Making {
    /// So far after so long.
    pub fn new(index: &str, rows: u64, total: u64, elapsed: Duration) -> Self {
        let rate = rows as f64 / elapsed.as_secs_f64().max(0.001);
        let left = (rows > 0 && rows < total).then(|| (total - rows) as f64 / rate);
        Self {
            index: index.to_owned(),
            rows,
            total,
            rows_per_second: rate.round(),
            seconds_left: left.map(|left| (left * 10.0).round() / 10.0),
        }
    }

    /// In a sentence on it.
    pub fn words(&self) -> String {
        let Self { rows, total, rows_per_second, .. } = self;
        match self.seconds_left {
            Some(left) => format!(
                "{rows} of {total} rows are in it, {rows_per_second} rows/s, {left:.0} s left"
            ),
            None if rows == total => format!("all {total} rows are in it, its files are merged"),
            None => format!("{rows} of {total} rows are in it"),
        }
    }
}

/// Events by what became of them; the sum is the number of events decoded (I4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub applied: u64,
    pub ignored: u64,
    pub dead_lettered: u64,
    pub parked: u64,
    pub skipped: u64,
}

impl Counts {
    pub fn sum(&self) -> u64 {
        self.applied + self.ignored + self.dead_lettered + self.parked + self.skipped
    }
}
