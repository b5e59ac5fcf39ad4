//! Event documents to the chunks that a trial takes, apart for each document, so that they can be batched at will.

use std::sync::Arc;

use crate::event::chunk::{Chunk, ChunkBuilder};
use crate::event::import::Defaults;
use crate::event::time::Timestamp;
use crate::event::{Format, Sequence};
use crate::expression::Expression;
use crate::source::memory;

/// 2000-01-01T00:00:00Z: when the first event of a test was stored, unless it says.
const FIRST_STORED_AT: Timestamp = Timestamp(946_684_800_000_000);
const SECOND: i64 = 1_000_000;

/// A message of a test.
#[derive(Clone, Debug)]
pub struct Given {
    pub sequence: Sequence,
    pub stored_at: Timestamp,
    /// Before `transform`.
    pub type_name: String,
    /// What `transform` made of it, as a rule one.
    pub chunks: Vec<Arc<Chunk>>,
}

/// Why a document cannot be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Which of the documents, from 0.
    pub index: usize,
    pub problem: String,
}

/// Makes messages of documents: sequences count from 1, times from the year 2000 by seconds, where they do not say.
pub fn read<'a>(
    documents: impl IntoIterator<Item = &'a str>,
    transform: Option<&Expression>,
) -> Result<Vec<Given>, Refused> {
    let mut given: Vec<Given> = Vec::new();
    for (index, document) in documents.into_iter().enumerate() {
        let after = given.last().map_or(Sequence(0), |last| last.sequence);
        let stored_at = Timestamp(FIRST_STORED_AT.0 + index as i64 * SECOND);
        let defaults = Defaults { sequence: after.next(), stored_at };
        let refused = |problem| Refused { index, problem };
        let message = one(document, defaults, transform).map_err(refused)?;
        if message.sequence <= after {
            let problem = format!(
                "`sequence` is {}, but the event before it has {after}: sequences rise",
                message.sequence
            );
            return Err(refused(problem));
        }
        given.push(message);
    }
    Ok(given)
}

/// The same event published once more: the next sequence, and nothing else is new.
pub fn again(given: &Given, document: &str, transform: Option<&Expression>) -> Option<Given> {
    // Of repeated members the last counts.
    let members = document.trim_end().strip_suffix('}')?;
    let comma = if members.trim() == "{" { "" } else { "," };
    let next = given.sequence.next();
    let stored_at = given.stored_at;
    let document = format!("{members}{comma}\"sequence\":{next},\"stored_at\":\"{stored_at}\"}}");
    one(&document, Defaults { sequence: next, stored_at }, transform).ok()
}

fn one(
    document: &str,
    defaults: Defaults,
    transform: Option<&Expression>,
) -> Result<Given, String> {
    let chunk = decode(document, defaults, defaults.sequence)?;
    let (sequence, stored_at, type_name) = {
        let event = chunk.events().next().expect("one document is one event");
        (event.sequence(), event.stored_at(), event.type_name().to_owned())
    };
    // A document may have a sequence of its own.
    let chunk =
        if sequence == defaults.sequence { chunk } else { decode(document, defaults, sequence)? };
    let chunks = match transform {
        Some(transform) => memory::transformed(&[chunk], transform),
        None => vec![chunk],
    };
    Ok(Given { sequence, stored_at, type_name, chunks })
}

fn decode(document: &str, defaults: Defaults, until: Sequence) -> Result<Arc<Chunk>, String> {
    let mut builder = ChunkBuilder::new(Format::Auto, usize::MAX);
    builder.push_document(document, defaults)?;
    Ok(Arc::new(builder.finish(until)))
}
