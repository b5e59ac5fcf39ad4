//! What a generation is built by, and goes on by: a checked definition, and how its source is read.

use std::sync::Arc;

use crate::config::Config;
use crate::definition::fingerprint::{ENGINE, Fingerprint};
use crate::expression::Expression;
use crate::projection::plan::Plan;
use crate::source::hub::Key;
use crate::source::reader;
use crate::store::layout::Build;

/// All that decides which rows the messages of a stream become, from the files on disk or as a generation keeps it.
#[derive(Clone)]
pub struct Recipe {
    pub plan: Arc<Plan>,
    /// Of its source.
    pub order_key: Option<Arc<Expression>>,
    pub fingerprint: Fingerprint,
    /// How its source is read.
    pub reading: reader::Settings,
    /// The settings of its source, as a generation keeps them.
    pub source: String,
    /// What makes of its messages what rows become of: another engine gives other rows.
    pub engine: String,
    /// What projections have in common that may share a reader: the same messages, made the same of.
    pub key: Key,
}

impl Recipe {
    /// What a definition on disk and the settings of its source come to.
    pub fn declared(config: &Config, plan: Arc<Plan>, order_key: Option<Arc<Expression>>) -> Self {
        let definition = plan.definition();
        let source = &config.sources[&definition.stream_source];
        let limits = &config.limits;
        let settings = source.reading(limits.event_bytes_max);
        let source_text = settings.json();
        let mut subjects = definition.subjects.clone();
        subjects.sort_unstable();
        Self {
            fingerprint: Fingerprint::new(definition, settings),
            reading: reader::Settings {
                stream: source.stream.clone(),
                filters: definition.subjects.clone(),
                format: source.format,
                transform: source.transform.clone(),
                event_bytes_max: usize::try_from(limits.event_bytes_max).unwrap_or(usize::MAX),
                batch_events_max: limits.batch_events_max,
                heartbeat: limits.heartbeat,
            },
            key: Key { source: source_text.clone(), subjects },
            source: source_text,
            engine: ENGINE.to_owned(),
            plan,
            order_key,
        }
    }

    /// What a generation is made with.
    pub fn build(&self) -> Build<'_> {
        let definition = self.plan.definition();
        Build {
            projection: &definition.name,
            stream: &self.reading.stream,
            definition: &definition.source.text,
            fingerprint: &self.fingerprint,
            source: &self.source,
            engine: &self.engine,
            tables: &definition.tables,
            views: &definition.views,
        }
    }
}
