//! Everything that viewd counts, for Prometheus.
//!
//! One struct, built once and passed down; no globals. Labels come from configuration or from enums, never from data,
//! and every series of a known projection or stream exists from the start, so that rates have no gaps. Gauges that are
//! derived from a projection's status are set when a scrape comes, all from one reading of it. An unknown lag is NaN,
//! never 0 (I7).

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use prometheus::core::{Collector, MetricVec, MetricVecBuilder};
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// The results that an event can have, as the label `result`.
pub const RESULTS: [&str; 5] = ["applied", "ignored", "dead_lettered", "parked", "skipped"];

/// The states of a projection, as the label `state`.
pub const STATES: [&str; 7] =
    ["starting", "catching_up", "live", "paused", "degraded", "failed", "stopped"];

/// The stages of a batch, as the label `stage`.
pub const STAGES: [&str; 4] = ["decode", "apply", "write", "commit"];

/// The ends that an operation can have, as the label `outcome`.
pub const OUTCOMES: [&str; 4] = ["done", "refused", "failed", "cancelled"];

/// The kinds of error that views and indexes have, as the label `kind`.
const STORAGE_ERRORS: [&str; 4] = ["full", "busy", "io", "corrupt"];

// From a tenth of a millisecond (an idle commit) to ten seconds (a stalled disk).
const SECONDS: [f64; 11] = [0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
// From one event (live and quiet) to the largest batch that the settings allow by default.
const EVENTS: [f64; 9] = [1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0];

/// The registry and its families; names as the reference of metrics has them.
pub struct Metrics {
    registry: Registry,
    forget: HashMap<String, Forget>,
    /// The full-text indexes that have series, by projection.
    indexes: Mutex<HashMap<String, Vec<String>>>,
    pub config_last_reload_successful: IntGauge,
    pub config_last_reload_success_timestamp_seconds: Gauge,
    pub nats_connected: IntGauge,
    pub nats_reconnects_total: IntCounter,
    pub stream_first_sequence: GaugeVec,
    pub stream_last_sequence: GaugeVec,
    pub stream_poll_last_success_timestamp_seconds: GaugeVec,
    pub stream_identity_changes_total: IntCounterVec,
    pub projection_state: IntGaugeVec,
    pub projection_checkpoint_sequence: GaugeVec,
    pub projection_pending_messages: GaugeVec,
    pub projection_lag_seconds: GaugeVec,
    pub projection_lag_target_seconds: GaugeVec,
    pub projection_last_applied_event_timestamp_seconds: GaugeVec,
    pub projection_last_progress_timestamp_seconds: GaugeVec,
    pub projection_events_total: IntCounterVec,
    pub projection_missed_sequences_total: IntCounterVec,
    pub projection_batch_events: HistogramVec,
    pub projection_stage_duration_seconds: HistogramVec,
    pub projection_end_to_end_latency_seconds: HistogramVec,
    pub projection_dead_letters: IntGaugeVec,
    pub projection_oldest_dead_letter_timestamp_seconds: GaugeVec,
    pub projection_parked_events: IntGaugeVec,
    pub projection_restarts_total: IntCounterVec,
    pub projection_generation: IntGaugeVec,
    pub rebuild_progress_ratio: GaugeVec,
    pub rebuild_remaining_messages: GaugeVec,
    pub rebuilds_total: IntCounterVec,
    pub sqlite_database_bytes: IntGaugeVec,
    pub sqlite_wal_bytes: IntGaugeVec,
    pub sqlite_checkpoints_total: IntCounterVec,
    pub search_checkpoint_sequence: GaugeVec,
    pub search_documents: IntGaugeVec,
    pub search_segments: IntGaugeVec,
    pub search_commit_duration_seconds: HistogramVec,
    pub storage_free_bytes: Gauge,
    pub storage_errors_total: IntCounterVec,
    pub source_recreates_total: IntCounterVec,
    pub source_gaps_total: IntCounterVec,
    pub source_dropped_duplicates_total: IntCounterVec,
    pub source_queue_bytes: IntGaugeVec,
    pub http_requests_total: IntCounterVec,
    pub http_request_duration_seconds: HistogramVec,
    pub http_requests_in_flight: IntGauge,
    pub sequence_wait_duration_seconds: HistogramVec,
    pub sequence_wait_timeouts_total: IntCounterVec,
    pub log_messages_total: IntCounterVec,
}

/// Forgets one series of a family, by all its labels.
type Forget = Box<dyn Fn(&HashMap<&str, &str>) + Send + Sync>;

/// Registers families as they are made.
struct Families {
    registry: Registry,
    /// By the family's name.
    forget: RefCell<HashMap<String, Forget>>,
}

impl Families {
    fn add<C: Collector + Clone + 'static>(&self, collector: prometheus::Result<C>) -> C {
        let collector = collector.expect("names and labels are constants");
        self.registry
            .register(Box::new(collector.clone()))
            .expect("each family is registered once");
        collector
    }

    /// One that has labels.
    fn add_series<B: MetricVecBuilder + 'static>(
        &self,
        name: &str,
        series: prometheus::Result<MetricVec<B>>,
    ) -> MetricVec<B> {
        let series = self.add(series);
        let kept = series.clone();
        // What is not there needs not be forgotten.
        let forget = move |labels: &HashMap<&str, &str>| drop(kept.remove(labels));
        self.forget.borrow_mut().insert(name.to_owned(), Box::new(forget));
        series
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add_series(name, IntCounterVec::new(Opts::new(name, help), labels))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add_series(name, GaugeVec::new(Opts::new(name, help), labels))
    }

    fn integers(&self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        self.add_series(name, IntGaugeVec::new(Opts::new(name, help), labels))
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let options = HistogramOpts::new(name, help).buckets(buckets.to_vec());
        self.add_series(name, HistogramVec::new(options, labels))
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[rustfmt::skip] // One family a line reads as the table that it is.
    pub fn new() -> Self {
        let f = Families { registry: Registry::new(), forget: RefCell::default() };
        let storage_errors_total = f.counters("viewd_storage_errors_total", "Errors of the storage.", &["component", "kind"]);
        for kind in STORAGE_ERRORS {
            storage_errors_total.with_label_values(&["sqlite", kind]);
            storage_errors_total.with_label_values(&["search", kind]);
        }
        let build = f.integers("viewd_build_info", "The version that runs; always 1.", &["version"]);
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Self {
            config_last_reload_successful: f.add(IntGauge::new("viewd_config_last_reload_successful", "1 if the last reload, or the start, took over everything that is on disk.")),
            config_last_reload_success_timestamp_seconds: f.add(Gauge::new("viewd_config_last_reload_success_timestamp_seconds", "When a reload, or the start, last took over everything that is on disk.")),
            nats_connected: f.add(IntGauge::new("viewd_nats_connected", "1 while the connection that watches the streams is up.")),
            nats_reconnects_total: f.add(IntCounter::new("viewd_nats_reconnects_total", "Connections to NATS made again after a loss.")),
            stream_first_sequence: f.gauges("viewd_stream_first_sequence", "First sequence that the stream still holds.", &["stream"]),
            stream_last_sequence: f.gauges("viewd_stream_last_sequence", "Last sequence of the stream, by an independent poll.", &["stream"]),
            stream_poll_last_success_timestamp_seconds: f.gauges("viewd_stream_poll_last_success_timestamp_seconds", "When the head of the stream was last read.", &["stream"]),
            stream_identity_changes_total: f.counters("viewd_stream_identity_changes_total", "Times that a stream was found to be another than before.", &["stream"]),
            projection_state: f.integers("viewd_projection_state", "1 for the state that the projection is in, 0 for the others.", &["projection", "state"]),
            projection_checkpoint_sequence: f.gauges("viewd_projection_checkpoint_sequence", "Sequence up to which the view is committed.", &["projection", "stream"]),
            projection_pending_messages: f.gauges("viewd_projection_pending_messages", "Messages of the stream after the checkpoint; NaN when the head is unknown.", &["projection"]),
            projection_lag_seconds: f.gauges("viewd_projection_lag_seconds", "Age of the oldest message that is not applied; NaN when the head is unknown.", &["projection"]),
            projection_lag_target_seconds: f.gauges("viewd_projection_lag_target_seconds", "The lag that the definition promises (policy.freshness).", &["projection"]),
            projection_last_applied_event_timestamp_seconds: f.gauges("viewd_projection_last_applied_event_timestamp_seconds", "When the stream stored the newest applied message; 0 before the first.", &["projection"]),
            projection_last_progress_timestamp_seconds: f.gauges("viewd_projection_last_progress_timestamp_seconds", "When the checkpoint last moved, or was found at the head.", &["projection"]),
            projection_events_total: f.counters("viewd_projection_events_total", "Events by what became of them.", &["projection", "result"]),
            projection_missed_sequences_total: f.counters("viewd_projection_missed_sequences_total", "Sequences that the stream lost before they were read (an upper bound of messages).", &["projection"]),
            projection_batch_events: f.histograms("viewd_projection_batch_events", "Events of a committed batch.", &["projection"], &EVENTS),
            projection_stage_duration_seconds: f.histograms("viewd_projection_stage_duration_seconds", "Time of a batch in each stage.", &["projection", "stage"], &SECONDS),
            projection_end_to_end_latency_seconds: f.histograms("viewd_projection_end_to_end_latency_seconds", "From stored in the stream to visible in the view, newest message of each batch, live only.", &["projection"], &SECONDS),
            projection_dead_letters: f.integers("viewd_projection_dead_letters", "Dead letters that wait for a person.", &["projection"]),
            projection_oldest_dead_letter_timestamp_seconds: f.gauges("viewd_projection_oldest_dead_letter_timestamp_seconds", "When the stream stored the oldest dead letter; 0 if there is none.", &["projection"]),
            projection_parked_events: f.integers("viewd_projection_parked_events", "Events parked behind a dead letter of their order key.", &["projection"]),
            projection_restarts_total: f.counters("viewd_projection_restarts_total", "Times within this process that the projection's events were read anew from its checkpoint.", &["projection"]),
            projection_generation: f.integers("viewd_projection_generation", "The generation that is served.", &["projection"]),
            rebuild_progress_ratio: f.gauges("viewd_rebuild_progress_ratio", "Part of the messages that the running build has passed, 0 to 1; NaN while none runs.", &["projection"]),
            rebuild_remaining_messages: f.gauges("viewd_rebuild_remaining_messages", "Messages that the running build has yet to pass; NaN while none runs.", &["projection"]),
            rebuilds_total: f.counters("viewd_rebuilds_total", "Builds beside a served generation (rebuilds, reshapes, rollbacks) by how they ended.", &["projection", "outcome"]),
            sqlite_database_bytes: f.integers("viewd_sqlite_database_bytes", "Size of the view's main file.", &["projection"]),
            sqlite_wal_bytes: f.integers("viewd_sqlite_wal_bytes", "Size of the view's write-ahead log.", &["projection"]),
            sqlite_checkpoints_total: f.counters("viewd_sqlite_checkpoints_total", "Checkpoints of the write-ahead log: full, partial (a reader pins it) or failed.", &["projection", "outcome"]),
            search_checkpoint_sequence: f.gauges("viewd_search_checkpoint_sequence", "Sequence that the full-text index reflects; NaN while it cannot be searched.", &["projection", "index"]),
            search_documents: f.integers("viewd_search_documents", "Rows in the full-text index.", &["projection", "index"]),
            search_segments: f.integers("viewd_search_segments", "Segments of the full-text index: each query reads all of them.", &["projection", "index"]),
            search_commit_duration_seconds: f.histograms("viewd_search_commit_duration_seconds", "Time of a commit of the full-text index, until it is durable and can be searched.", &["projection", "index"], &SECONDS),
            storage_free_bytes: f.add(Gauge::new("viewd_storage_free_bytes", "Free bytes where the data directory is.")),
            storage_errors_total,
            source_recreates_total: f.counters("viewd_source_recreates_total", "Consumers made again, by reason.", &["stream", "reason"]),
            source_gaps_total: f.counters("viewd_source_gaps_total", "Gaps found between the checkpoint and the stream's first sequence.", &["stream"]),
            source_dropped_duplicates_total: f.counters("viewd_source_dropped_duplicates_total", "Messages dropped because their sequence was read before.", &["stream"]),
            source_queue_bytes: f.integers("viewd_source_queue_bytes", "Bytes read and not yet taken by the projection.", &["projection"]),
            http_requests_total: f.counters("viewd_http_requests_total", "HTTP requests answered.", &["route", "method", "code"]),
            http_request_duration_seconds: f.histograms("viewd_http_request_duration_seconds", "Time to answer a request.", &["route"], &SECONDS),
            http_requests_in_flight: f.add(IntGauge::new("viewd_http_requests_in_flight", "Requests being answered.")),
            sequence_wait_duration_seconds: f.histograms("viewd_sequence_wait_duration_seconds", "Time that requests waited for a sequence.", &["projection"], &SECONDS),
            sequence_wait_timeouts_total: f.counters("viewd_sequence_wait_timeouts_total", "Waits for a sequence that was not reached in time.", &["projection"]),
            log_messages_total: f.counters("viewd_log_messages_total", "Log lines by level.", &["level"]),
            indexes: Mutex::default(),
            forget: f.forget.into_inner(),
            registry: f.registry,
        }
    }

    /// Makes every series of a projection exist.
    pub fn add_projection(&self, projection: &str, lag_target_seconds: f64) {
        let labels = &[projection];
        for result in RESULTS {
            self.projection_events_total.with_label_values(&[projection, result]);
        }
        for state in STATES {
            self.projection_state
                .with_label_values(&[projection, state])
                .set(i64::from(state == "starting"));
        }
        for stage in STAGES {
            self.projection_stage_duration_seconds.with_label_values(&[projection, stage]);
        }
        for outcome in ["full", "partial", "failed"] {
            self.sqlite_checkpoints_total.with_label_values(&[projection, outcome]);
        }
        for outcome in OUTCOMES {
            self.rebuilds_total.with_label_values(&[projection, outcome]);
        }
        self.rebuild_progress_ratio.with_label_values(labels).set(f64::NAN);
        self.rebuild_remaining_messages.with_label_values(labels).set(f64::NAN);
        self.projection_pending_messages.with_label_values(labels).set(f64::NAN);
        self.projection_lag_seconds.with_label_values(labels).set(f64::NAN);
        self.projection_lag_target_seconds.with_label_values(labels).set(lag_target_seconds);
        self.projection_missed_sequences_total.with_label_values(labels);
        self.projection_restarts_total.with_label_values(labels);
        self.projection_batch_events.with_label_values(labels);
        self.projection_end_to_end_latency_seconds.with_label_values(labels);
        self.source_queue_bytes.with_label_values(labels);
        self.sequence_wait_duration_seconds.with_label_values(labels);
        self.sequence_wait_timeouts_total.with_label_values(labels);
    }

    /// Makes every series of a projection's full-text indexes exist, and forgets those of others. With each scrape, so
    /// that a series is of what the same scrape shows.
    pub fn set_indexes(&self, projection: &str, indexes: &[&str]) {
        let mut known = self.indexes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known
            .insert(projection.to_owned(), indexes.iter().copied().map(str::to_owned).collect());
        if before.unwrap_or_default() == indexes {
            return;
        }
        self.remove(|labels| {
            labels.get("projection") == Some(&projection)
                && labels.get("index").is_some_and(|index| !indexes.contains(index))
        });
        for index in indexes {
            let labels = &[projection, index];
            self.search_checkpoint_sequence.with_label_values(labels).set(f64::NAN);
            self.search_documents.with_label_values(labels);
            self.search_segments.with_label_values(labels);
            self.search_commit_duration_seconds.with_label_values(labels);
        }
    }

    /// Makes every series of a stream exist.
    pub fn add_stream(&self, stream: &str) {
        let labels = &[stream];
        for family in [
            &self.stream_first_sequence,
            &self.stream_last_sequence,
            &self.stream_poll_last_success_timestamp_seconds,
        ] {
            family.with_label_values(labels);
        }
        self.stream_identity_changes_total.with_label_values(labels);
        self.source_gaps_total.with_label_values(labels);
        self.source_dropped_duplicates_total.with_label_values(labels);
    }

    /// Counts the end of a build.
    pub fn built(&self, projection: &str, outcome: &str) {
        self.rebuilds_total.with_label_values(&[projection, outcome]).inc();
    }

    /// Forgets every series of a projection that runs no more.
    pub fn remove_projection(&self, projection: &str) {
        self.set_indexes(projection, &[]);
        self.remove(|labels| labels.get("projection") == Some(&projection));
    }

    /// Forgets every series of a stream that nothing reads any more.
    pub fn remove_stream(&self, stream: &str) {
        self.remove(|labels| labels.get("stream") == Some(&stream));
    }

    /// Makes the series of a stage, a histogram that a worker holds.
    pub fn stage(&self, projection: &str, stage: &str) -> Histogram {
        self.projection_stage_duration_seconds.with_label_values(&[projection, stage])
    }

    fn remove(&self, goes: impl Fn(&HashMap<&str, &str>) -> bool) {
        for family in self.registry.gather() {
            let Some(forget) = self.forget.get(family.name()) else { continue };
            for series in family.get_metric() {
                let labels = labels(series);
                if goes(&labels) {
                    forget(&labels);
                }
            }
        }
    }

    /// The text that a scrape reads.
    pub fn text(&self) -> String {
        let mut bytes = Vec::new();
        let families = self.registry.gather();
        TextEncoder::new().encode(&families, &mut bytes).expect("writing to memory does not fail");
        String::from_utf8(bytes).expect("names and labels are text")
    }
}

fn labels(series: &prometheus::proto::Metric) -> HashMap<&str, &str> {
    series.get_label().iter().map(|pair| (pair.name(), pair.value())).collect()
}
