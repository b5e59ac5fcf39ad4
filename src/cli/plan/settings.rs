//! Settings of a source, and the engine, that are otherwise than when a view was built.

use super::changes::{Change, Part};
use crate::config::Config;
use crate::definition::Definition;
use crate::definition::fingerprint::{ENGINE, Fingerprint, Kept};
use crate::store::stored::Stored;

/// What is not in the definition and is otherwise.
pub(super) fn between(
    earlier: &Definition,
    stored: &Stored,
    definition: &Definition,
    config: &Config,
) -> Vec<Change> {
    let now = config.sources[&definition.stream_source].reading(config.limits.event_bytes_max);
    let mut changes = Vec::new();
    let mut push = |part, what: String| changes.push(Change { part, what });
    if stored.engine != ENGINE {
        push(Part::Events, format!("engine: {ENGINE}, was {}", stored.engine));
    }
    match Kept::read(&stored.source) {
        Ok(kept) => {
            let before = kept.reading();
            let texts = [
                ("stream", Some(before.stream), Some(now.stream)),
                ("format", Some(before.format), Some(now.format)),
                ("order_key", before.order_key, now.order_key),
                ("transform", before.transform, now.transform),
            ];
            for (key, before, now) in texts.into_iter().filter(|(_, before, now)| before != now) {
                let source = &definition.stream_source;
                push(
                    Part::Events,
                    format!("sources.{source}.{key}: {}, was {}", shown(now), shown(before)),
                );
            }
            let (before, now) = (before.event_bytes_max, now.event_bytes_max);
            if before != now {
                push(Part::Events, format!("limits.event_bytes_max: {now}, was {before}"));
            }
        }
        Err(_) => push(Part::Events, Change::unreadable().what),
    }
    // The settings decide nothing of the rows: what is left is how tables and handlers are read.
    if Fingerprint::new(earlier, now).rows != stored.fingerprint.rows {
        let what = "this version of viewd reads the same tables and handlers otherwise".to_owned();
        push(Part::Rows, what);
    }
    changes
}

fn shown(text: Option<&str>) -> String {
    text.map_or_else(|| "none".to_owned(), |text| format!("`{text}`"))
}
