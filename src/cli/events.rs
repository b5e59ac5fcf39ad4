//! `viewd events`: messages of a source as event documents, as handlers see them.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use super::failure::{Failure, Kind};
use super::output::Output;
use super::skeleton::{self, Skeleton};
use super::{args, messages};
use crate::config::{Config, SourceSettings};
use crate::diagnostic::did_you_mean;
use crate::event::chunk::{Chunk, Event};
use crate::source::memory::{self, Recorded};
use crate::source::slice::Part;

/// Shown unless it is said.
const MESSAGES: u64 = 20;

/// What was shown, for the word at the end.
#[derive(Default)]
struct Shown {
    messages: u64,
    dropped: u64,
    /// The first that was asked for no more.
    next: Option<u64>,
}

pub(super) fn run(
    config: &Config,
    arguments: &args::Events,
    output: &Output,
) -> Result<(), Failure> {
    let source = source(config, &arguments.source)?;
    let filters: Vec<String> = arguments.subject.iter().cloned().collect();
    let mut shown = Shown::default();
    let mut skeleton = Skeleton::default();
    // One more than is shown, to know whether there is one.
    let (part, most) = match arguments.slice.part(MESSAGES) {
        Part::From(from, most) => (Part::From(from, most.saturating_add(1)), most),
        Part::Last(most) => (Part::Last(most), most),
    };
    messages::read(config, source, &filters, part, |mut page| {
        let left = usize::try_from(most - shown.messages).unwrap_or(usize::MAX);
        shown.next = page.get(left).map(|message| message.sequence.0);
        page.truncate(left);
        shown.messages += page.len() as u64;
        for chunk in decoded(config, source, &page) {
            if arguments.as_test {
                skeleton.give(&chunk);
            } else {
                shown.print(&chunk, source, output);
            }
        }
        Ok(())
    })?;
    if shown.messages == 0 && shown.next.is_none() {
        let stream = &source.stream;
        output.note(&format!("there is no such message in stream {stream}"));
    } else if arguments.as_test {
        skeleton.tell(output);
        output.data(&skeleton.text("what these events come to", &skeleton::Expected::Open));
    }
    if let Some(next) = shown.next {
        output.note(&format!("there is more: --from {next} goes on, --count shows more at once"));
    }
    if shown.dropped > 0 {
        let messages = if shown.dropped == 1 { "message gives" } else { "messages give" };
        output.note(&format!("{} {messages} no event: `transform` drops them", shown.dropped));
    }
    Ok(())
}

/// A source by its name.
fn source<'a>(config: &'a Config, name: &str) -> Result<&'a SourceSettings, Failure> {
    config.sources.get(name).ok_or_else(|| {
        let error = anyhow::anyhow!("there is no source `{name}` in the settings");
        let known = config.sources.keys().map(String::as_str);
        Failure::new(Kind::Usage, error).hints(did_you_mean(name, known))
    })
}

/// Messages decoded, before `transform`.
pub(super) fn decoded(
    config: &Config,
    source: &SourceSettings,
    page: &[Recorded],
) -> Vec<Arc<Chunk>> {
    let event_bytes_max = usize::try_from(config.limits.event_bytes_max).unwrap_or(usize::MAX);
    memory::chunks(page, source.format, event_bytes_max, [])
}

/// What projections see of them.
pub(super) fn transformed(source: &SourceSettings, chunks: Vec<Arc<Chunk>>) -> Vec<Arc<Chunk>> {
    match &source.transform {
        Some(transform) => memory::transformed(&chunks, transform),
        None => chunks,
    }
}

impl Shown {
    fn print(&mut self, chunk: &Arc<Chunk>, source: &SourceSettings, output: &Output) {
        let before = chunk.messages();
        for chunk in transformed(source, vec![Arc::clone(chunk)]) {
            for event in chunk.events() {
                output.line(&line(&event));
            }
            let given = chunk.events().filter(|event| event.part() == 0).count() as u64;
            self.dropped += chunk.messages().min(before) - given;
        }
    }
}

/// The event document; of a message that gives none, why, and what it holds.
fn line(event: &Event) -> String {
    let Some(reject) = event.reject() else { return event.document_json() };
    let (payload, base64) = match std::str::from_utf8(event.payload()) {
        Ok(text) => (Some(text), None),
        Err(_) => (None, Some(BASE64.encode(event.payload()))),
    };
    let headers: serde_json::Map<_, _> =
        event.headers().map(|(name, value)| (name.to_owned(), value.into())).collect();
    json!({
        "error": format!("{}: {}", reject.kind.as_str(), reject.detail),
        "subject": event.subject(),
        "sequence": event.sequence().0,
        "stored_at": event.stored_at().to_string(),
        "headers": headers,
        "payload": payload,
        "payload_base64": base64,
    })
    .to_string()
}
