//! `viewd check`: the settings and every definition, and online whether their streams are there and hold what is read.

use std::collections::BTreeMap;

use super::failure::{Failure, Kind};
use super::output::Output;
use super::{definitions, messages};
use crate::config::Config;
use crate::definition::{Definition, subject};
use crate::diagnostic::{Diagnostic, Place, Severity};
use crate::source::head::{self, StreamHead};
use crate::supervisor::disk::{Declared, Definitions};
use crate::syntax;

pub(super) fn run(config: &Config, offline: bool, output: &Output) -> Result<(), Failure> {
    let Definitions { declared, mut diagnostics, .. } = definitions::read(config)?;
    let asked = if offline { Ok(Vec::new()) } else { online(config, &declared) };
    diagnostics.extend(asked.as_ref().ok().into_iter().flatten().cloned());
    if output.json {
        output.line(&serde_json::json!({ "data": diagnostics }).to_string());
    } else {
        definitions::report(&diagnostics, output);
    }
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    if errors > 0 {
        if let Err(error) = asked {
            output.note(&format!("the streams were not looked at: {}", error.message()));
        }
        output.note(&count(errors, "error"));
        return Err(Failure::printed(Kind::Configuration));
    }
    for declared in &declared {
        output.note(&summary(declared.plan.definition()));
    }
    match asked {
        Err(failure) => Err(failure),
        Ok(_) => {
            output.note("everything is right");
            Ok(())
        }
    }
}

/// As in `orders: 2 tables, 5 handlers, 1 view, 2 full-text indexes, 3 tests`.
fn summary(definition: &Definition) -> String {
    let parts = [
        (definition.tables.len(), "table"),
        (definition.handlers.len(), "handler"),
        (definition.views.len(), "view"),
        (definition.searches.len(), "full-text index"),
        (definition.tests.len(), "test"),
    ];
    let said = parts.iter().filter(|(number, _)| *number > 0);
    let said: Vec<_> = said.map(|(number, noun)| count(*number, noun)).collect();
    format!("{}: {}", definition.name, said.join(", "))
}

fn count(number: usize, noun: &str) -> String {
    let ending = match number {
        1 => "",
        _ if noun.ends_with('x') => "es",
        _ => "s",
    };
    format!("{number} {noun}{ending}")
}

/// What only the streams can tell: whether they are there, keep what is read, and hold what the filters ask for.
fn online(config: &Config, declared: &[Declared]) -> Result<Vec<Diagnostic>, Failure> {
    let unanswered = |error: String| {
        let hint = "`viewd check --offline` checks without NATS";
        Failure::new(Kind::Unreachable, anyhow::Error::msg(error)).hint(hint)
    };
    messages::runtime()?.block_on(async {
        let connection = messages::connect(config, "viewd check").await?;
        if let Some(unfit) = connection.unfit() {
            return Err(Failure::new(Kind::Configuration, anyhow::Error::msg(unfit)));
        }
        let mut streams = BTreeMap::new();
        let mut diagnostics = Vec::new();
        for declared in declared {
            let definition = declared.plan.definition();
            let stream = config.sources[&definition.stream_source].stream.as_str();
            if !streams.contains_key(stream) {
                let head = head::ask(&connection, stream).await.map_err(unanswered)?;
                streams.insert(stream, head);
            }
            let head = streams[stream].as_ref();
            diagnostics.extend(of_stream(definition, stream, head));
            let Some(head) = head else { continue };
            for (filter, place) in filters(definition) {
                let found = if !takes(head, filter) {
                    Some(not_taken(stream, head, filter, place))
                } else if head::holds(&connection, stream, filter).await.map_err(unanswered)? {
                    None
                } else {
                    Some(not_held(stream, filter, place))
                };
                diagnostics.extend(found);
            }
        }
        Ok(diagnostics)
    })
}

/// What makes a stream unfit for a projection as a whole.
fn of_stream(
    definition: &Definition,
    stream: &str,
    head: Option<&StreamHead>,
) -> Option<Diagnostic> {
    let source = &definition.stream_source;
    let (message, hint) = match head {
        None => (
            format!("there is no stream {stream}, which source `{source}` reads"),
            format!("create it, or name another in `sources.{source}.stream`"),
        ),
        Some(head) if head.retention != "limits" => (
            format!(
                "stream {stream} has the retention {}: reading would delete messages",
                head.retention
            ),
            "viewd reads streams with the retention limits; `nats stream edit NAME --retention limits` changes interest, a work queue cannot be changed".to_owned(),
        ),
        Some(_) => return None,
    };
    Some(Diagnostic::at(place_of(definition, "source"), message).hint(hint))
}

/// Whether messages of such a subject can get into the stream.
fn takes(head: &StreamHead, filter: &str) -> bool {
    head.holds_others || head.subjects.iter().any(|taken| subject::overlap(filter, taken))
}

fn not_taken(stream: &str, head: &StreamHead, filter: &str, place: Place) -> Diagnostic {
    let message = format!("stream {stream} takes no subject that matches `{filter}`");
    Diagnostic::at(place, message).hint(format!("it takes: {}", head.subjects.join(", ")))
}

/// It may be the first of its kind that is to come, so this is no error.
fn not_held(stream: &str, filter: &str, place: Place) -> Diagnostic {
    let message = format!("stream {stream} holds no message yet whose subject matches `{filter}`");
    let hint = "nothing is wrong if the first is still to be published".to_owned();
    Diagnostic { severity: Severity::Warning, ..Diagnostic::at(place, message).hint(hint) }
}

/// The subject filters of a definition, each with its place.
fn filters(definition: &Definition) -> Vec<(&str, Place)> {
    let root = syntax::parse(&definition.source).ok();
    let value = root.as_ref().and_then(|root| root.get("subjects"));
    let elements = match value.map(|value| &value.kind) {
        Some(syntax::Kind::Array(elements)) => elements.as_slice(),
        _ => &[],
    };
    let spans = elements.iter().map(|element| element.span.clone());
    let places = spans.map(|span| Place::file(&definition.source, span));
    definition.subjects.iter().map(String::as_str).zip(places).collect()
}

fn place_of(definition: &Definition, key: &str) -> Place {
    let root = syntax::parse(&definition.source).ok();
    let span = root.as_ref().and_then(|root| root.get(key)).map(|value| value.span.clone());
    Place::file(&definition.source, span.unwrap_or(0..0))
}
