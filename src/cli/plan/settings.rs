//! Settings of a source that differ from those a view was built by, of which only a hash was kept.
//!
//! They are found by trying: with the definition that is stored, the settings that give the stored hash are those that
//! it was built by. What was replaced by something else than nothing cannot be found so, and is told as a whole.

use super::changes::{Change, Part};
use crate::config::Config;
use crate::definition::Definition;
use crate::definition::fingerprint::{Fingerprint, Reading};
use crate::store::stored::Stored;

const FORMATS: [&str; 5] = ["auto", "cloudevents", "json", "text", "bytes"];
/// Of `limits.event_bytes_max`.
const EVENT_BYTES_DEFAULT: u64 = 8 << 20;

/// What is not in the definition and is otherwise.
pub(super) fn between(
    earlier: &Definition,
    stored: &Stored,
    definition: &Definition,
    config: &Config,
) -> Vec<Change> {
    let source = &config.sources[&definition.stream_source];
    let now = source.reading(config.limits.event_bytes_max);
    let key = |key: &str| format!("sources.{}.{key}", definition.stream_source);
    let mut changes = Vec::new();
    let mut push = |what: String| changes.push(Change { part: Part::Events, what });
    if stored.stream != now.stream {
        push(format!("{}: `{}`, was `{}`", key("stream"), now.stream, stored.stream));
    }
    match built_by(earlier, stored, now) {
        Some(before) => {
            if before.format != now.format {
                push(format!("{}: `{}`, was `{}`", key("format"), now.format, before.format));
            }
            for (name, before, now) in [
                ("order_key", before.order_key, now.order_key),
                ("transform", before.transform, now.transform),
            ] {
                if before.is_none() && now.is_some() {
                    push(format!("{}: given, was not", key(name)));
                }
            }
            let (before, now) = (before.event_bytes_max, now.event_bytes_max);
            if before != now {
                push(format!("limits.event_bytes_max: {now}, was {before}"));
            }
        }
        None => push(format!(
            "source `{}`: its format, order_key or transform; else limits.event_bytes_max, or this version of viewd",
            definition.stream_source
        )),
    }
    let rows = Fingerprint::new(earlier, now).rows;
    if rows != stored.fingerprint.rows {
        let what = "this version of viewd reads the same tables and handlers otherwise".to_owned();
        changes.push(Change { part: Part::Rows, what });
    }
    changes
}

/// The settings that give the hash that is stored.
fn built_by<'a>(earlier: &Definition, stored: &'a Stored, now: Reading<'a>) -> Option<Reading<'a>> {
    let stream = stored.stream.as_str();
    let mut tried = Vec::new();
    for format in [now.format].into_iter().chain(FORMATS) {
        for order_key in [now.order_key, None] {
            for transform in [now.transform, None] {
                for event_bytes_max in [now.event_bytes_max, EVENT_BYTES_DEFAULT] {
                    tried.push(Reading { stream, format, order_key, transform, event_bytes_max });
                }
            }
        }
    }
    let fits = |reading: &Reading<'_>| {
        Fingerprint::new(earlier, *reading).events == stored.fingerprint.events
    };
    tried.into_iter().find(fits)
}
