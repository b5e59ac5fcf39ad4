//! What a generation is built by, and goes on by: a checked definition, and how its source is read.

use std::sync::Arc;

use super::batch::Batcher;
use crate::config::rule::FORMATS;
use crate::config::{Config, Limits};
use crate::definition::fingerprint::{ENGINE, Fingerprint, Kept, Reading};
use crate::definition::{self, Definition};
use crate::diagnostic::{Diagnostic, Source};
use crate::event::Format;
use crate::expression::{Expression, Scope};
use crate::projection::plan::Plan;
use crate::source::hub::Key;
use crate::source::reader;
use crate::store::layout::Build;
use crate::store::stored::Stored;
use crate::syntax::{self, Kind};

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
        let subjects = &definition.subjects;
        let transform = source.transform.clone();
        Self {
            fingerprint: Fingerprint::new(definition, settings),
            reading: reading(settings, source.format, transform, subjects, limits),
            key: key(settings, subjects),
            source: source_text,
            engine: ENGINE.to_owned(),
            plan,
            order_key,
        }
    }

    /// What a generation keeps of what it was built by; else why this version cannot read that.
    pub fn stored(stored: &Stored, limits: &Limits) -> Result<Self, String> {
        let kept = Kept::read(&stored.source)
            .map_err(|error| format!("the settings of its source: {error}"))?;
        let definition = defined(stored)?;
        let settings = kept.reading();
        let compiled = |text: Option<&str>, scope| {
            let compile = |text| Expression::compile(text, scope).map(Arc::new);
            text.map(compile).transpose().map_err(|error| error.to_string())
        };
        let order_key = compiled(settings.order_key, Scope::EVENT)?;
        let transform = compiled(settings.transform, Scope::TRANSFORM)?;
        let format = FORMATS.iter().find(|(word, _)| *word == settings.format);
        let (_, format) = format.ok_or_else(|| format!("its format `{}`", settings.format))?;
        let subjects = &definition.subjects;
        Ok(Self {
            order_key,
            fingerprint: stored.fingerprint.clone(),
            reading: reading(settings, *format, transform, subjects, limits),
            key: key(settings, subjects),
            source: stored.source.clone(),
            engine: stored.engine.clone(),
            plan: Arc::new(Plan::new(Arc::new(definition))),
        })
    }

    /// What makes its batches.
    pub fn batcher(&self, parked_events_max: u64) -> Batcher {
        Batcher::new(Arc::clone(&self.plan), self.order_key.clone(), parked_events_max)
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
            logged: definition.logged(),
        }
    }
}

/// The definition that a generation was built by; else why this version cannot read it.
pub fn defined(stored: &Stored) -> Result<Definition, String> {
    let projection = &stored.projection;
    let source = Source::new(format!("{projection}.toml (as built)"), &stored.definition);
    let first = |diagnostics: Vec<Diagnostic>| {
        let error = diagnostics.into_iter().find(Diagnostic::is_error);
        error.map_or_else(String::new, |error| error.message)
    };
    let root = syntax::parse(&source).map_err(first)?;
    // Its source may have another name by now, or none.
    let named = match root.get("source").map(|value| &value.kind) {
        Some(Kind::String(text)) => text.value.clone(),
        _ => String::new(),
    };
    let (definition, diagnostics) = definition::parse(&source, projection, &[&named]);
    definition.ok_or_else(|| first(diagnostics))
}

fn reading(
    settings: Reading<'_>,
    format: Format,
    transform: Option<Arc<Expression>>,
    subjects: &[String],
    limits: &Limits,
) -> reader::Settings {
    reader::Settings {
        stream: settings.stream.to_owned(),
        filters: subjects.to_vec(),
        format,
        transform,
        event_bytes_max: usize::try_from(settings.event_bytes_max).unwrap_or(usize::MAX),
        batch_events_max: limits.batch_events_max,
        heartbeat: limits.heartbeat,
    }
}

fn key(settings: Reading<'_>, subjects: &[String]) -> Key {
    let mut subjects = subjects.to_vec();
    subjects.sort_unstable();
    // Each worker finds the order key of an event by itself.
    Key { source: Reading { order_key: None, ..settings }.json(), subjects }
}
