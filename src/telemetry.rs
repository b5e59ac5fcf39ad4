//! Logs: to stderr, human lines on a terminal and JSON elsewhere if asked, counted by level.

use std::io;
use std::sync::Arc;

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::filter::Directive;
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, fmt};

use crate::diagnostic;
use crate::metrics::Metrics;

/// The variable that names what is logged, e.g. `viewd=debug,async_nats=info`.
pub const FILTER_VARIABLE: &str = "RUST_LOG";
/// What a bare word may name besides a level: the programs whose lines there are.
const TARGETS: [&str; 8] =
    ["viewd", "async_nats", "axum", "hyper", "hyper_util", "rustls", "tokio", "tokio_util"];
const WORDS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
const LEVELS: [(Level, &str); 3] =
    [(Level::ERROR, "error"), (Level::WARN, "warn"), (Level::INFO, "info")];

/// A filter that cannot be meant. Taken as it is, it would silence the log.
#[derive(Debug, thiserror::Error)]
#[error("environment variable `{FILTER_VARIABLE}`: `{directive}` is no filter of the log")]
pub struct Error {
    directive: String,
}

impl Error {
    /// The next thing to do.
    pub fn hint(&self) -> String {
        let level = self.directive.rsplit('=').next().unwrap_or_default().trim();
        match diagnostic::nearest(level, WORDS.into_iter().chain(TARGETS)) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => {
                "a level (error, warn, info, debug, trace, off), or `viewd=debug,async_nats=info`"
                    .to_owned()
            }
        }
    }
}

/// Where log lines go: each is written at once.
pub type Writer = Box<dyn Fn() -> Box<dyn io::Write> + Send + Sync>;

/// Starts logging for the whole process; `json` gives one object a line, `quiet` only warnings and errors.
pub fn start(
    metrics: Arc<Metrics>,
    json: bool,
    color: bool,
    quiet: bool,
    writer: Writer,
) -> Result<(), Error> {
    for (_, level) in LEVELS {
        metrics.log_messages_total.with_label_values(&[level]);
    }
    let filter = match std::env::var(FILTER_VARIABLE) {
        Ok(wanted) if !wanted.trim().is_empty() => filter(&wanted)?,
        // What the client says at each failed attempt is said once by the connection, in better words; what Tantivy says
        // of files that it may not touch any more, or of a row's value, is nobody's trouble, and an error is an index's.
        _ => {
            let level = if quiet { "warn" } else { "info" };
            EnvFilter::new(format!("{level},async_nats=off,tantivy=off"))
        }
    };
    let lines = fmt::layer().with_writer(writer).with_target(false);
    let lines = if json {
        lines.json().flatten_event(true).boxed()
    } else {
        lines.compact().with_ansi(color).boxed()
    };
    tracing_subscriber::registry().with(filter).with(lines).with(Count(metrics)).init();
    Ok(())
}

/// The filter that the variable asks for. A bare word that is no level would name a target that does not exist.
fn filter(wanted: &str) -> Result<EnvFilter, Error> {
    for directive in wanted.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
        let plain = !directive.contains(['=', '[', ':']);
        let known = |word: &&str| word.eq_ignore_ascii_case(directive);
        let named = WORDS.iter().chain(&TARGETS).any(known);
        if (plain && !named) || directive.parse::<Directive>().is_err() {
            return Err(Error { directive: directive.to_owned() });
        }
    }
    EnvFilter::try_new(wanted).map_err(|_| Error { directive: wanted.to_owned() })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_that_cannot_be_meant() {
        for (wanted, hint) in [
            ("info", None),
            ("INFO", None),
            ("viewd=debug,async_nats=info", None),
            ("viewd::source=trace, warn", None),
            ("off", None),
            ("viewd", None),
            ("inof", Some("did you mean `info`?")),
            ("viewd=loud", Some("a level")),
            ("viewd=debgu", Some("did you mean `debug`?")),
            ("=", Some("a level")),
            ("info,,view", Some("did you mean `viewd`?")),
        ] {
            let found = filter(wanted).err().map(|error| error.hint());
            match (&found, hint) {
                (None, None) => {}
                (Some(found), Some(hint)) => assert!(found.starts_with(hint), "{wanted}: {found}"),
                _ => panic!("{wanted}: {found:?}"),
            }
        }
    }
}
