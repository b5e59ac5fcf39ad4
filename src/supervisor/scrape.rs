//! What a scrape reads: series that follow from the report are set from one reading of it.

use super::daemon::Daemon;
use super::tracked::Tracked;
use crate::clock;
use crate::metrics::STATES;
use crate::source::status::Recreate;
use crate::status::Projection;
use crate::worker::shared::Following;

impl Daemon {
    /// What a scrape reads: gauges that follow from the report are set from one reading of it.
    pub fn metrics_text(&self) -> String {
        let _one = self.scrape.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        let projections = self.projections();
        let link = self.control.link().borrow().clone();
        let metrics = self.metrics();
        metrics.nats_connected.set(i64::from(link.connected));
        set(&metrics.nats_reconnects_total, link.connects.saturating_sub(1));
        for tracked in projections.iter() {
            self.projection_metrics(tracked, &tracked.shared.report());
        }
        if let Some(free) = projections.first().and_then(|tracked| tracked.files.free_bytes()) {
            metrics.storage_free_bytes.set(free as f64);
        }
        metrics.text()
    }

    fn projection_metrics(&self, tracked: &Tracked, report: &Projection) {
        let metrics = self.metrics();
        let name = report.name.as_str();
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
        gauge(&metrics.projection_lag_target_seconds, report.lag_target_seconds);
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
        let following = tracked.shared.following();
        let reader = following.watch.as_ref().map(|watch| &watch.reader);
        let queued = reader.map_or(0, |reader| reader.gauge().bytes());
        integer(&metrics.source_queue_bytes, queued as u64);
        integer(&metrics.sqlite_database_bytes, tracked.files.database_bytes());
        integer(&metrics.sqlite_wal_bytes, tracked.files.wal_bytes());
        for (outcome, count) in ["full", "partial", "failed"].into_iter().zip(numbers.log_copies) {
            set(&metrics.sqlite_checkpoints_total.with_label_values(&[name, outcome]), count);
        }
        let missed = metrics.projection_missed_sequences_total.with_label_values(&[name]);
        set(&missed, report.missed_sequences);
        let restarts = metrics.projection_restarts_total.with_label_values(&[name]);
        set(&restarts, reader.map_or(0, |reader| reader.restarts()));
        self.rebuild_metrics(report);
        self.search_metrics(tracked, report);
        self.stream_metrics(&following);
    }

    fn rebuild_metrics(&self, report: &Projection) {
        let metrics = self.metrics();
        let build = report.rebuild.as_ref();
        let left = build.map(|build| build.total.saturating_sub(build.applied) as f64);
        let ratio = build.filter(|build| build.total > 0);
        let ratio = ratio.map(|build| build.applied as f64 / build.total as f64);
        let gauge = |family: &prometheus::GaugeVec, value: Option<f64>| {
            family.with_label_values(&[&report.name]).set(value.unwrap_or(f64::NAN));
        };
        gauge(&metrics.rebuild_progress_ratio, ratio);
        gauge(&metrics.rebuild_remaining_messages, left);
    }

    fn search_metrics(&self, tracked: &Tracked, report: &Projection) {
        let metrics = self.metrics();
        let names: Vec<_> = report.search.iter().map(|index| index.index.as_str()).collect();
        metrics.set_indexes(&report.name, &names);
        let published = tracked.shared.board().map(|board| board.published());
        for index in &report.search {
            let labels = &[report.name.as_str(), index.index.as_str()];
            let searched = published.as_ref().and_then(|published| published.index(&index.index));
            let segments = searched.and_then(|index| index.searcher.as_ref());
            let segments = segments.map_or(0, |searcher| searcher.segments() as i64);
            let sequence = index.sequence.map_or(f64::NAN, |sequence| sequence as f64);
            metrics.search_checkpoint_sequence.with_label_values(labels).set(sequence);
            let documents = i64::try_from(index.documents.unwrap_or(0)).unwrap_or(i64::MAX);
            metrics.search_documents.with_label_values(labels).set(documents);
            metrics.search_segments.with_label_values(labels).set(segments);
        }
    }

    fn stream_metrics(&self, following: &Following) {
        let metrics = self.metrics();
        let (stream, tally) = (following.stream(), &following.tally);
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
            set(&counter, tally.recreates(reason));
        }
        set(&metrics.source_gaps_total.with_label_values(&[stream]), tally.gaps());
        let dropped = metrics.source_dropped_duplicates_total.with_label_values(&[stream]);
        set(&dropped, tally.dropped_duplicates());
    }
}

/// Shows a count that is kept elsewhere.
fn set(counter: &prometheus::IntCounter, value: u64) {
    counter.reset();
    counter.inc_by(value);
}
