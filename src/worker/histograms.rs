//! What one projection's worker measures of its batches.

use prometheus::{Histogram, IntCounter};

use crate::metrics::Metrics;

pub(super) struct Histograms {
    pub(super) batch: Histogram,
    pub(super) decode: Histogram,
    pub(super) apply: Histogram,
    pub(super) write: Histogram,
    pub(super) commit: Histogram,
    pub(super) latency: Histogram,
    pub(super) results: [IntCounter; 5],
}

impl Histograms {
    pub(super) fn new(metrics: &Metrics, projection: &str) -> Self {
        let result = |index: usize| {
            let result = crate::metrics::RESULTS[index];
            metrics.projection_events_total.with_label_values(&[projection, result])
        };
        Self {
            batch: metrics.projection_batch_events.with_label_values(&[projection]),
            decode: metrics.stage(projection, "decode"),
            apply: metrics.stage(projection, "apply"),
            write: metrics.stage(projection, "write"),
            commit: metrics.stage(projection, "commit"),
            latency: metrics.projection_end_to_end_latency_seconds.with_label_values(&[projection]),
            results: std::array::from_fn(result),
        }
    }
}
