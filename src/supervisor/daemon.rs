//! The running daemon as its edges see it: reports, readiness, metrics. It holds handles, not work.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex};

use crate::clock;
use crate::metrics::{Metrics, STATES};
use crate::source::connection::Connection;
use crate::source::status::Recreate;
use crate::status::{Nats, Projection, Report};
use crate::store::files::Files;
use crate::supervisor::waiting::Waiting;
use crate::worker::command::Command;
use crate::worker::shared::{Following, Shared};

/// What the API and the commands ask.
pub struct Daemon {
    pub(super) metrics: Arc<Metrics>,
    pub(super) control: Connection,
    pub(super) projections: Vec<Tracked>,
    pub(super) draining: AtomicBool,
    pub(super) waiting: Waiting,
    /// One scrape at a time: each sets the series that follow from reports.
    pub(super) scrape: Mutex<()>,
}

/// One projection's handles.
pub(super) struct Tracked {
    pub(super) shared: Arc<Shared>,
    pub(super) files: Files,
    /// Of its generations.
    pub(super) folder: PathBuf,
    /// To its worker.
    pub(super) commands: SyncSender<Command>,
}

impl Daemon {
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// The projections' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.projections.iter().map(|tracked| tracked.shared.name())
    }

    pub fn report(&self) -> Report {
        let connected = self.control.link().borrow().connected;
        let report = |tracked: &Tracked| tracked.shared.report();
        Report {
            nats: Nats { connected },
            projections: self.projections.iter().map(report).collect(),
        }
    }

    /// Why the daemon, or one projection, is not ready; empty if it is.
    pub fn not_ready(&self, projection: Option<&str>) -> Vec<String> {
        if self.is_draining() {
            return vec!["the daemon is shutting down".to_owned()];
        }
        let asked =
            |tracked: &&Tracked| projection.is_none_or(|name| name == tracked.shared.name());
        let waiting =
            self.projections.iter().filter(asked).filter(|tracked| !tracked.shared.ready());
        waiting
            .map(|tracked| format!("projection `{}` has not been live yet", tracked.shared.name()))
            .collect()
    }

    /// What keeps a projection's stream from being read.
    pub fn trouble(&self, projection: &str) -> Option<String> {
        self.tracked(projection)?.shared.following().watch?.trouble()
    }

    /// The shutdown has begun: nobody waits here for long any more.
    pub(super) fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
        self.projections.iter().for_each(|tracked| tracked.shared.wake());
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub(super) fn tracked(&self, projection: &str) -> Option<&Tracked> {
        self.projections.iter().find(|tracked| tracked.shared.name() == projection)
    }

    /// What a scrape reads: gauges that follow from the report are set from one reading of it.
    pub fn metrics_text(&self) -> String {
        let _one = self.scrape.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let report = self.report();
        let link = self.control.link().borrow().clone();
        let metrics = &self.metrics;
        metrics.nats_connected.set(i64::from(link.connected));
        set(&metrics.nats_reconnects_total, link.connects.saturating_sub(1));
        for (tracked, projection) in self.projections.iter().zip(&report.projections) {
            self.projection_metrics(tracked, projection);
        }
        if let Some(free) = self.projections.first().and_then(|tracked| tracked.files.free_bytes())
        {
            metrics.storage_free_bytes.set(free as f64);
        }
        metrics.text()
    }

    fn projection_metrics(&self, tracked: &Tracked, report: &Projection) {
        let metrics = &self.metrics;
        let name = report.name.as_str();
        let following = tracked.shared.following();
        let numbers = tracked.shared.numbers();
        for state in STATES {
            let gauge = metrics.projection_state.with_label_values(&[name, state]);
            gauge.set(i64::from(state == report.state.word()));
        }
        let unix =
            |time: Option<crate::event::time::Timestamp>| time.map_or(0.0, clock::unix_seconds);
        let gauge = |family: &prometheus::GaugeVec, value: f64| {
            family.with_label_values(&[name]).set(value)
        };
        let integer = |family: &prometheus::IntGaugeVec, value: u64| {
            family.with_label_values(&[name]).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        let checkpoint =
            metrics.projection_checkpoint_sequence.with_label_values(&[name, &report.stream]);
        checkpoint.set(report.checkpoint_sequence as f64);
        gauge(
            &metrics.projection_pending_messages,
            report.pending_messages.map_or(f64::NAN, |pending| pending as f64),
        );
        gauge(&metrics.projection_lag_seconds, report.lag_seconds.unwrap_or(f64::NAN));
        gauge(&metrics.projection_last_applied_event_timestamp_seconds, unix(numbers.stored_at));
        gauge(
            &metrics.projection_last_progress_timestamp_seconds,
            clock::unix_seconds(numbers.progress),
        );
        gauge(
            &metrics.projection_oldest_dead_letter_timestamp_seconds,
            unix(numbers.oldest_dead_letter),
        );
        integer(&metrics.projection_dead_letters, report.dead_letters);
        integer(&metrics.projection_parked_events, report.parked_events);
        integer(&metrics.projection_generation, report.generation);
        let reader = following.watch.as_ref().map(|watch| &watch.reader);
        integer(
            &metrics.source_queue_bytes,
            reader.map_or(0, |reader| reader.gauge().bytes() as u64),
        );
        integer(&metrics.sqlite_database_bytes, tracked.files.database_bytes());
        integer(&metrics.sqlite_wal_bytes, tracked.files.wal_bytes());
        for (outcome, count) in ["full", "partial", "failed"].into_iter().zip(numbers.log_copies) {
            set(&metrics.sqlite_checkpoints_total.with_label_values(&[name, outcome]), count);
        }
        let missed = metrics.projection_missed_sequences_total.with_label_values(&[name]);
        set(&missed, report.missed_sequences);
        let restarts = metrics.projection_restarts_total.with_label_values(&[name]);
        set(&restarts, reader.map_or(0, |reader| reader.restarts()));
        self.stream_metrics(&following);
    }

    fn stream_metrics(&self, following: &Following) {
        let (metrics, stream) = (&self.metrics, following.stream());
        if let Some(head) = following.head() {
            metrics.stream_first_sequence.with_label_values(&[stream]).set(head.first.0 as f64);
            metrics.stream_last_sequence.with_label_values(&[stream]).set(head.last.0 as f64);
            let polled = clock::unix_seconds(clock::now()) - head.age.as_secs_f64();
            metrics
                .stream_poll_last_success_timestamp_seconds
                .with_label_values(&[stream])
                .set(polled);
        }
        for reason in Recreate::ALL {
            let counter =
                metrics.source_recreates_total.with_label_values(&[stream, reason.label()]);
            set(&counter, following.tally.recreates(reason));
        }
        set(&metrics.source_gaps_total.with_label_values(&[stream]), following.tally.gaps());
        let dropped = metrics.source_dropped_duplicates_total.with_label_values(&[stream]);
        set(&dropped, following.tally.dropped_duplicates());
    }
}

/// Shows a count that is kept elsewhere.
fn set(counter: &prometheus::IntCounter, value: u64) {
    counter.reset();
    counter.inc_by(value);
}
