//! Logs: to stderr, human lines on a terminal and JSON elsewhere if asked, counted by level.

use std::sync::Arc;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::metrics::Metrics;

/// The variable that names what is logged, e.g. `viewd=debug,async_nats=info`.
pub const FILTER_VARIABLE: &str = "RUST_LOG";
const LEVELS: [(Level, &str); 3] =
    [(Level::ERROR, "error"), (Level::WARN, "warn"), (Level::INFO, "info")];

/// Starts logging for the whole process; `json` gives one object a line, `quiet` only warnings and errors.
pub fn start(metrics: Arc<Metrics>, json: bool, color: bool, quiet: bool) {
    for (_, level) in LEVELS {
        metrics.log_messages_total.with_label_values(&[level]);
    }
    let filter = EnvFilter::try_from_env(FILTER_VARIABLE)
        .unwrap_or_else(|_| EnvFilter::new(if quiet { "warn" } else { "info,async_nats=warn" }));
    let lines = fmt::layer().with_writer(std::io::stderr).with_target(false);
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.compact().with_ansi(color).boxed()
    };
    tracing_subscriber::registry().with(filter).with(lines).with(Count(metrics)).init();
}

/// Counts lines by level.
struct Count(Arc<Metrics>);

impl<S: Subscriber> Layer<S> for Count {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if let Some((_, level)) = LEVELS.iter().find(|(level, _)| level == event.metadata().level())
        {
            self.0.log_messages_total.with_label_values(&[level]).inc();
        }
    }
}
