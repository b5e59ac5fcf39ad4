//! `viewd check`: the settings and every definition, and online whether their streams are there.

use std::collections::BTreeMap;

use super::definitions;
use super::failure::{Failure, Kind};
use super::output::Output;
use crate::config::Config;
use crate::definition::subject;
use crate::diagnostic::{Diagnostic, Place};
use crate::source::connection::Connection;
use crate::source::head::{self, StreamHead};
use crate::supervisor::Declared;

// A server on the same network answers in milliseconds; one that does not within this is as good as away.
const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(3);

pub(super) fn run(config: &Config, offline: bool, output: &Output) -> Result<(), Failure> {
    let (declared, mut diagnostics) = definitions::read(config)?;
    let streams = if offline { Ok(BTreeMap::new()) } else { streams(config, &declared) };
    if let Ok(streams) = &streams {
        diagnostics.extend(against_streams(config, &declared, streams));
    }
    if output.json {
        output.line(&serde_json::json!({ "data": diagnostics }).to_string());
    } else {
        definitions::report(&diagnostics, output);
    }
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
    if errors > 0 {
        output.note(&format!("{errors} {}", if errors == 1 { "error" } else { "errors" }));
        return Err(Failure::printed(Kind::Configuration));
    }
    for declared in &declared {
        let definition = declared.plan.definition();
        let count = |count: usize, noun: &str| {
            format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
        };
        let tables = count(definition.tables.len(), "table");
        output.note(&format!(
            "{}: {tables}, {}",
            definition.name,
            count(definition.handlers.len(), "handler")
        ));
    }
    match streams {
        Err(error) => {
            let hint = "`viewd check --offline` checks without NATS";
            Err(Failure::new(Kind::Unreachable, error).hint(hint))
        }
        Ok(_) => {
            output.note("everything is right");
            Ok(())
        }
    }
}

type Streams = BTreeMap<String, Result<StreamHead, String>>;

/// Asks NATS for every stream that some definition reads.
fn streams(config: &Config, declared: &[Declared]) -> anyhow::Result<Streams> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let connection = Connection::open(&config.nats, "viewd check").await?;
        if tokio::time::timeout(CONNECT_TIMEOUT, connection.connected()).await.is_err() {
            let error =
                connection.link().borrow().error.clone().unwrap_or_else(|| "no answer".to_owned());
            anyhow::bail!("NATS cannot be reached at {}: {error}", config.nats.shown_servers());
        }
        let mut streams = Streams::new();
        for declared in declared {
            let stream = &config.sources[&declared.plan.definition().stream_source].stream;
            if !streams.contains_key(stream) {
                streams.insert(stream.clone(), head::ask(&connection, stream).await);
            }
        }
        Ok(streams)
    })
}

/// What only the streams can tell: whether they are there, keep what is read, and take the subjects.
fn against_streams(config: &Config, declared: &[Declared], streams: &Streams) -> Vec<Diagnostic> {
    let mut diagnostics = Vec::new();
    for declared in declared {
        let definition = declared.plan.definition();
        let stream = &config.sources[&definition.stream_source].stream;
        let place =
            || Place::Outside(format!("stream `{stream}` of projection `{}`", definition.name));
        match streams.get(stream) {
            None => {}
            Some(Err(problem)) => {
                let hint = format!(
                    "create it, or name another in `sources.{}.stream`",
                    definition.stream_source
                );
                diagnostics.push(Diagnostic::at(place(), problem.clone()).hint(hint));
            }
            Some(Ok(head)) => {
                if head.retention != "limits" {
                    let message = format!(
                        "its retention is `{}`: reading would delete messages",
                        head.retention
                    );
                    diagnostics.push(
                        Diagnostic::at(place(), message)
                            .hint("viewd reads streams with retention `limits`"),
                    );
                }
                for filter in &definition.subjects {
                    if !head.subjects.iter().any(|taken| subject::overlap(filter, taken)) {
                        let message = format!("no subject of the stream matches `{filter}`");
                        let hint = format!("the stream takes: {}", head.subjects.join(", "));
                        diagnostics.push(Diagnostic::at(place(), message).hint(hint));
                    }
                }
            }
        }
    }
    diagnostics
}
