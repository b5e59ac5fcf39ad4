//! `viewd plan`: what the definitions on disk would change, and which part of each asks for it.
//!
//! What a view was built by is read from its file, read-only, so it makes no difference whether a daemon runs. The
//! stored text and settings are compared with the files of today. What is done by itself and what only by command is
//! the daemon's to decide; the words for it are in `next`.

mod changes;
mod next;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use self::changes::Change;
use self::next::Hindrance;
use super::failure::Failure;
use super::output::Output;
use super::{definitions, messages, operation};
use crate::config::Config;
use crate::definition::fingerprint::{Fingerprint, Need};
use crate::definition::{self, Definition};
use crate::diagnostic::Source;
use crate::rebuild::operation::Shown;
use crate::source::head::{self, StreamHead};
use crate::store::layout;
use crate::store::stored::{self, Stored};
use crate::supervisor::disk::Definitions;
use crate::syntax::{self, Kind};

/// What becomes of a projection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Action {
    Nothing,
    /// It has no view yet.
    Build,
    Adopt,
    Reshape,
    Rebuild,
    /// To be rebuilt from a stream that no longer holds what the view was built from.
    Forget,
    /// No definition names it: it is kept as it is.
    Retired,
    /// Its definition is not right: it is kept as it is.
    Invalid,
}

#[derive(Debug, Serialize)]
struct Planned {
    projection: String,
    action: Action,
    changes: Vec<Change>,
    /// What the definition on disk asks for.
    #[serde(skip)]
    asked: Option<Fingerprint>,
    stream: String,
    /// The stream's first sequence when the view was built.
    from_sequence: Option<u64>,
    /// As it is now; null if it is not known or not asked for.
    stream_first_sequence: Option<u64>,
    /// Whether building it again would lose what the view holds; null if that is not known.
    forgets: Option<bool>,
    /// Whether the daemon's next reload or start does it; null if there is nothing to do, or if it is not known.
    by_itself: Option<bool>,
    /// What happens next, or what to do.
    next: Option<String>,
}

/// What the streams say, as far as it matters.
///
/// Of one stream: None if it is not there, an error if it could not be asked.
type Heads = BTreeMap<String, Result<Option<StreamHead>, String>>;

pub(super) fn run(
    config: &Config,
    names: &[String],
    offline: bool,
    output: &Output,
) -> Result<(), Failure> {
    let known = layout::projections(&config.data_dir).map_err(super::store_failure)?;
    let Definitions { declared, names: defined, diagnostics } = found(config, names, &known)?;
    let read = |name: &str| stored::read(&config.data_dir.join(name)).map_err(super::store_failure);
    let mut planned = Vec::new();
    for declared in &declared {
        let definition = declared.plan.definition();
        planned.push(match known.contains(&definition.name) {
            true => compared(config, definition, read(&definition.name)?),
            false => (Planned::first(config, definition), None),
        });
    }
    for name in &defined {
        if !declared.iter().any(|declared| declared.name() == name) {
            planned.push((Planned::new(name, Action::Invalid, ""), None));
        }
    }
    for name in known.iter().filter(|name| names.is_empty() || names.contains(name)) {
        if !defined.contains(name) {
            planned.push((Planned::of_stored(name, Action::Retired, &read(name)?), None));
        }
    }
    let heads = if offline { Ok(Heads::new()) } else { heads(config, &planned) };
    let unknown = heads.as_ref().err().cloned();
    let under_way = operation::under_way(config);
    for (planned, stored) in &mut planned {
        if let Some(stored) = stored {
            planned.against(stored, heads.as_ref().ok());
        }
        let hindrance =
            stored.as_ref().and_then(|stored| hindrance(config, planned, stored, &under_way));
        (planned.by_itself, planned.next) = next::of(planned, hindrance);
    }
    let planned: Vec<_> = planned.into_iter().map(|(planned, _)| planned).collect();
    if output.json {
        let data = serde_json::json!({ "data": planned, "nats_error": unknown });
        output.line(&data.to_string());
    } else {
        print(&planned, output);
        if let Some(unknown) = unknown {
            output.note(&format!("whether the streams still hold what the views were built from is unknown: {unknown}"));
        }
    }
    if definitions::has_errors(&diagnostics) {
        return Err(Failure::invalid(diagnostics));
    }
    definitions::report(&diagnostics, output);
    Ok(())
}

/// The definitions of these names; a name may also be that of a view whose definition is gone.
fn found(config: &Config, names: &[String], views: &[String]) -> Result<Definitions, Failure> {
    if names.is_empty() {
        return definitions::read(config);
    }
    let mut found = definitions::found(config)?;
    let is_known = |name: &&String| found.names.contains(name) || views.contains(name);
    if let Some(unknown) = names.iter().find(|name| !is_known(name)) {
        return Err(super::unknown_projection(unknown, &[&found.names, views].concat()));
    }
    definitions::keep(&mut found, names);
    Ok(found)
}

/// A projection that has a view: what its definition has become since.
fn compared(config: &Config, definition: &Definition, stored: Stored) -> (Planned, Option<Stored>) {
    let source = &config.sources[&definition.stream_source];
    let reading = source.reading(config.limits.event_bytes_max);
    let (before, now) = (&stored.fingerprint, Fingerprint::new(definition, reading));
    let action = match now.needs_of(before) {
        Need::Rebuild => Action::Rebuild,
        Need::Reshape => Action::Reshape,
        Need::Adopt => Action::Adopt,
        Need::Nothing => Action::Nothing,
    };
    let mut changes = Vec::new();
    if action != Action::Nothing {
        match parsed(config, &stored, &definition.name) {
            Some(earlier) => {
                changes = changes::between(&earlier, definition);
                changes.extend(settings::between(&earlier, &stored, definition, config));
            }
            None => changes.push(Change::unreadable()),
        }
        changes.sort_by_key(|change| change.part);
    }
    let planned = Planned {
        changes,
        asked: Some(now),
        stream: source.stream.clone(),
        ..Planned::of_stored(&definition.name, action, &stored)
    };
    (planned, Some(stored))
}

/// What keeps the daemon from beginning what the definition on disk asks for.
fn hindrance(
    config: &Config,
    planned: &Planned,
    stored: &Stored,
    under_way: &[Shown],
) -> Option<Hindrance> {
    let builds = |shown: &&Shown| shown.projection == planned.projection && shown.kind.is_build();
    if let Some(shown) = under_way.iter().find(builds) {
        return Some(Hindrance::UnderWay(shown.operation));
    }
    let keeps = |left: &Fingerprint| {
        planned.action == Action::Nothing
            || planned.asked.as_ref().is_some_and(|asked| asked.gives_same_view(left))
    };
    if stored.control.pinned.as_ref().is_some_and(keeps) {
        return Some(Hindrance::Pinned(stored.generation.0));
    }
    (!config.rebuild.auto).then_some(Hindrance::NotAuto)
}

/// The definition that a view was built by.
fn parsed(config: &Config, stored: &Stored, name: &str) -> Option<Definition> {
    let source = Source::new(format!("{name}.toml (as built)"), stored.definition.clone());
    let root = syntax::parse(&source).ok()?;
    let named = match &root.get("source")?.kind {
        Kind::String(text) => text.value.clone(),
        _ => return None,
    };
    // Its source may have another name by now.
    let sources = config.sources.keys().map(String::as_str).chain([named.as_str()]);
    definition::parse(&source, name, &sources.collect::<Vec<_>>()).0
}

/// Asks for the streams that something is to be built from again.
fn heads(config: &Config, planned: &[(Planned, Option<Stored>)]) -> Result<Heads, String> {
    let asked = planned.iter().map(|(planned, _)| planned);
    let asked: BTreeSet<_> = asked
        .filter(|planned| planned.action == Action::Rebuild)
        .map(|planned| planned.stream.clone())
        .collect();
    if asked.is_empty() {
        return Ok(Heads::new());
    }
    let runtime = messages::runtime().map_err(|failure| failure.message())?;
    runtime.block_on(async {
        let connection = messages::connect(config, "viewd plan").await;
        let connection = connection.map_err(|failure| failure.message())?;
        let mut heads = Heads::new();
        for stream in asked {
            let head = head::ask(&connection, &stream).await;
            heads.insert(stream, head);
        }
        Ok(heads)
    })
}

impl Planned {
    /// A view that there is.
    fn of_stored(name: &str, action: Action, stored: &Stored) -> Self {
        let from_sequence = stored.checkpoint.from_sequence.map(|sequence| sequence.0);
        Self { from_sequence, ..Self::new(name, action, &stored.stream) }
    }

    /// A view that there is not yet.
    fn first(config: &Config, definition: &Definition) -> Self {
        let stream = &config.sources[&definition.stream_source].stream;
        Self::new(&definition.name, Action::Build, stream)
    }

    fn new(name: &str, action: Action, stream: &str) -> Self {
        Self {
            projection: name.to_owned(),
            action,
            changes: Vec::new(),
            asked: None,
            stream: stream.to_owned(),
            from_sequence: None,
            stream_first_sequence: None,
            forgets: None,
            by_itself: None,
            next: None,
        }
    }

    /// Completes it by what the stream holds. A copy of the rows forgets nothing.
    fn against(&mut self, stored: &Stored, heads: Option<&Heads>) {
        if self.action != Action::Rebuild {
            self.forgets = (self.action == Action::Reshape).then_some(false);
            return;
        }
        let asked = heads.and_then(|heads| heads.get(&self.stream)?.as_ref().ok());
        let head = asked.and_then(Option::as_ref);
        self.stream_first_sequence = head.map(|head| head.first_sequence.0);
        let another = self.stream != stored.stream;
        // A view that nothing has been read for has nothing to lose.
        let empty = stored.checkpoint.messages == 0;
        self.forgets = match asked {
            _ if empty => Some(false),
            None => None,
            Some(None) => Some(true),
            Some(Some(head)) => Some(another || lost(stored, head)),
        };
        if self.forgets == Some(true) {
            self.action = Action::Forget;
        }
    }
}

/// Whether the stream no longer holds what a view was built from.
fn lost(stored: &Stored, head: &StreamHead) -> bool {
    let checkpoint = &stored.checkpoint;
    let begins_later =
        checkpoint.from_sequence.is_some_and(|from| head.first_sequence.0 > from.0.max(1));
    begins_later || checkpoint.stream_created_ns.is_some_and(|created| created != head.created_ns)
}

fn print(planned: &[Planned], output: &Output) {
    for planned in planned {
        let action = match planned.action {
            Action::Nothing => "nothing would change".to_owned(),
            Action::Build => "build".to_owned(),
            Action::Adopt => "adopt".to_owned(),
            Action::Reshape => "reshape".to_owned(),
            Action::Rebuild => "rebuild".to_owned(),
            Action::Forget => format!("would forget: {}", next::forgotten(planned)),
            Action::Retired => "retired".to_owned(),
            Action::Invalid => "its definition is not right".to_owned(),
        };
        output.line(&format!("{}: {action}", planned.projection));
        for Change { part, what } in &planned.changes {
            output.line(&format!("  {:<6}  {what}", part.word()));
        }
        if let Some(next) = &planned.next {
            output.line(&format!("  next: {}", output.told(next)));
        }
    }
}
