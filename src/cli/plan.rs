//! `viewd plan`: what the definitions on disk would change, and which part of each asks for it.
//!
//! What a view was built by is read from its file, read-only, so it makes no difference whether a daemon runs. The
//! stored text is parsed again and compared with the file of today; the settings that only their hash is known of are
//! found by trying.

mod changes;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use self::changes::Change;
use super::failure::Failure;
use super::output::Output;
use super::{definitions, messages};
use crate::config::Config;
use crate::definition::fingerprint::{Fingerprint, Need};
use crate::definition::{self, Definition};
use crate::diagnostic::Source;
use crate::source::head::{self, StreamHead};
use crate::store::layout;
use crate::store::stored::{self, Stored};
use crate::supervisor::disk::Declared;
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
}

#[derive(Debug, Serialize)]
struct Planned {
    projection: String,
    action: Action,
    changes: Vec<Change>,
    stream: String,
    /// The stream's first sequence when the view was built.
    from_sequence: Option<u64>,
    /// As it is now; null if it is not known or not asked for.
    stream_first_sequence: Option<u64>,
    /// Whether building it again would lose what the view holds; null if that is not known.
    forgets: Option<bool>,
    /// What to do today.
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
    let declared = declared(config, names, &known, output)?;
    let read = |name: &str| stored::read(&config.data_dir.join(name)).map_err(super::store_failure);
    let mut planned = Vec::new();
    for declared in &declared {
        let definition = declared.plan.definition();
        planned.push(match known.contains(&definition.name) {
            true => compared(config, definition, read(&definition.name)?),
            false => (first(config, definition), None),
        });
    }
    for name in known {
        if !names.is_empty() && !names.contains(&name) {
            continue;
        }
        if !declared.iter().any(|declared| declared.plan.definition().name == name) {
            planned.push((retired(config, &name, &read(&name)?), None));
        }
    }
    let heads = if offline { Ok(Heads::new()) } else { heads(config, &planned) };
    let unknown = heads.as_ref().err().cloned();
    for (planned, stored) in &mut planned {
        if let Some(stored) = stored {
            planned.against(stored, heads.as_ref().ok(), config);
        }
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
    Ok(())
}

/// The definitions of these names; a name may also be that of a view whose definition is gone.
fn declared(
    config: &Config,
    names: &[String],
    views: &[String],
    output: &Output,
) -> Result<Vec<Declared>, Failure> {
    if names.is_empty() {
        return definitions::all(config, output);
    }
    let mut known = definitions::known(config)?;
    let (named, others): (Vec<_>, Vec<_>) =
        names.iter().cloned().partition(|name| known.contains(name));
    if let Some(unknown) = others.iter().find(|name| !views.contains(name)) {
        known.extend_from_slice(views);
        return Err(super::unknown_projection(unknown, &known));
    }
    if named.is_empty() { Ok(Vec::new()) } else { definitions::named(config, &named, output) }
}

fn first(config: &Config, definition: &Definition) -> Planned {
    Planned {
        projection: definition.name.clone(),
        action: Action::Build,
        changes: Vec::new(),
        stream: config.sources[&definition.stream_source].stream.clone(),
        from_sequence: None,
        stream_first_sequence: None,
        forgets: None,
        next: Some("`viewd run` builds it".to_owned()),
    }
}

fn retired(config: &Config, name: &str, stored: &Stored) -> Planned {
    let folder = config.data_dir.join(name);
    Planned {
        projection: name.to_owned(),
        action: Action::Retired,
        changes: Vec::new(),
        stream: stored.stream.clone(),
        from_sequence: stored.checkpoint.from_sequence.map(|sequence| sequence.0),
        stream_first_sequence: None,
        forgets: None,
        next: Some(format!(
            "no definition names it: the view stays as it is; remove {} when nobody reads it",
            folder.display()
        )),
    }
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
        projection: definition.name.clone(),
        action,
        changes,
        stream: source.stream.clone(),
        from_sequence: stored.checkpoint.from_sequence.map(|sequence| sequence.0),
        stream_first_sequence: None,
        forgets: None,
        next: None,
    };
    (planned, Some(stored))
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
        .filter(|planned| matches!(planned.action, Action::Rebuild | Action::Reshape))
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
    /// Completes it by what the stream holds, and by what is to be done.
    fn against(&mut self, stored: &Stored, heads: Option<&Heads>, config: &Config) {
        if self.action == Action::Adopt {
            self.next = Some("the next start takes it over".to_owned());
        }
        if !matches!(self.action, Action::Rebuild | Action::Reshape) {
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
        if self.action == Action::Rebuild && self.forgets == Some(true) {
            self.action = Action::Forget;
        }
        self.next = Some(self.by_hand(config));
    }

    /// This version builds a view only where there is none.
    fn by_hand(&self, config: &Config) -> String {
        let folder = config.data_dir.join(&self.projection);
        let mut next = format!(
            "viewd refuses to start until the change is undone; or stop it, move {} out of the data directory and start it: the view is built again from the stream",
            folder.display()
        );
        match (self.forgets, self.stream_first_sequence) {
            (Some(true), Some(first)) => {
                next += &format!(
                    ", which begins at sequence {first}: rows that rest on earlier messages are lost, so keep what you move"
                );
            }
            (Some(true), None) => next += ", which is not there: every row would be lost",
            (None, _) => next += ", as far as the stream still holds it",
            (Some(false), _) => {}
        }
        next
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
            Action::Nothing => "nothing",
            Action::Build => "build",
            Action::Adopt => "adopt",
            Action::Reshape => "reshape",
            Action::Rebuild => "rebuild",
            Action::Forget => "would forget",
            Action::Retired => "retired",
        };
        output.line(&format!("{}: {action}", planned.projection));
        for Change { part, what } in &planned.changes {
            output.line(&format!("  {:<6}  {what}", part.word()));
        }
        if planned.action == Action::Forget {
            let (from, stream) = (planned.from_sequence.unwrap_or(0), &planned.stream);
            output.line(&match planned.stream_first_sequence {
                None => format!("  stream {stream} is not there"),
                Some(first) if first > from => format!(
                    "  the view was built from sequence {from} on; stream {stream} now begins at {first}"
                ),
                Some(_) => {
                    format!("  the view was built from another stream than {stream} is now")
                }
            });
        }
        if let Some(next) = &planned.next {
            output.line(&format!("  next: {next}"));
        }
    }
}
