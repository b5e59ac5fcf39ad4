//! What a source's `transform` makes of messages that have been read: the events that projections see.
//!
//! It runs apart from the tasks of the network: an expression may take a million operations a message, and a chunk
//! holds a thousand. A chunk comes out as one, or as several where its events have become many or large; none of them
//! splits a message, so what a message became is applied in one transaction.

use std::sync::Arc;
use std::time::Instant;

use tokio_util::sync::CancellationToken;

use super::{CHUNK_BYTES_MAX, CHUNK_MESSAGES_MAX};
use crate::event::chunk::{Chunk, ChunkBuilder, Event};
use crate::expression::Expression;

/// The events of a chunk's messages. Only one message's may be more than `events_max` in a chunk.
pub fn apply(transform: &Expression, chunk: &Arc<Chunk>, events_max: usize) -> Vec<Chunk> {
    let never = CancellationToken::new();
    Pieces::new(events_max).fill(transform, chunk, &never).expect("nobody cancels it")
}

/// The same on a thread that may block; None if the runtime is ending. What is dropped while it waits, ends soon.
pub(super) async fn apply_aside(
    transform: &Arc<Expression>,
    chunk: Chunk,
    events_max: usize,
) -> Option<Vec<Chunk>> {
    let (transform, given_up) = (Arc::clone(transform), CancellationToken::new());
    let _guard = given_up.clone().drop_guard();
    let applied = tokio::task::spawn_blocking(move || {
        Pieces::new(events_max).fill(&transform, &Arc::new(chunk), &given_up)
    });
    match applied.await {
        Ok(pieces) => pieces,
        // As if it had happened here: the supervisor knows what to do.
        Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Err(_) => None,
    }
}

struct Pieces {
    events_max: usize,
    builder: ChunkBuilder,
    done: Vec<Chunk>,
}

impl Pieces {
    fn new(events_max: usize) -> Self {
        let events_max = events_max.min(CHUNK_MESSAGES_MAX);
        Self { events_max, builder: ChunkBuilder::of_events(), done: Vec::new() }
    }

    /// None if cancelled.
    fn fill(
        mut self,
        transform: &Expression,
        chunk: &Arc<Chunk>,
        cancelled: &CancellationToken,
    ) -> Option<Vec<Chunk>> {
        let began = Instant::now();
        let mut before = None;
        for event in chunk.events() {
            if cancelled.is_cancelled() {
                return None;
            }
            let given = documents(transform, &event);
            let events = given.as_ref().map_or(1, Vec::len);
            let full = self.builder.len() + events > self.events_max
                || self.builder.bytes_len() >= CHUNK_BYTES_MAX;
            if let (Some(before), true) = (before, full && !self.builder.is_empty()) {
                // Its last message is not proved: the chunk's own last one is, and soon follows.
                self.done.push(self.builder.finish(before));
            }
            self.builder.push_transformed(&event, given.as_deref().map_err(Clone::clone));
            before = Some(event.sequence());
        }
        if let Some(origin) = chunk.origin() {
            self.builder.set_proof(origin, chunk.anchor());
        }
        self.builder.spent(chunk.decoding() + began.elapsed());
        self.done.push(self.builder.finish(chunk.scanned_to()));
        Some(self.done)
    }
}

/// What the transform gives; of a message that could not be decoded nothing is asked.
fn documents(transform: &Expression, event: &Event) -> Result<Vec<String>, String> {
    if event.reject().is_some() {
        return Ok(Vec::new());
    }
    transform.transform(event).map_err(|failure| failure.to_string())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::json::{self, Json};
    use crate::event::time::Timestamp;
    use crate::event::{Format, Sequence};
    use crate::expression::Scope;
    use crate::source::memory::{self, Recorded};

    fn transform(text: &str) -> Expression {
        Expression::compile(text, Scope::TRANSFORM).unwrap_or_else(|error| panic!("{error}"))
    }

    fn messages(payloads: &[&str]) -> Vec<Recorded> {
        (1..)
            .zip(payloads)
            .map(|(sequence, payload)| Recorded {
                sequence: Sequence(sequence),
                stored_at: Timestamp(sequence as i64),
                subject: format!("shop.{sequence}.put"),
                headers: vec![("X".to_owned(), "1".to_owned())],
                payload: payload.as_bytes().to_vec(),
                ..Recorded::default()
            })
            .collect()
    }

    fn chunk(messages: &[Recorded]) -> Arc<Chunk> {
        memory::chunks(messages, Format::Auto, 1_000_000, []).remove(0)
    }

    fn shown(chunk: &Arc<Chunk>) -> Vec<String> {
        let shown = |event: Event| match event.reject() {
            Some(reject) => {
                format!("{} {}: {}", event.sequence(), reject.kind.as_str(), reject.detail)
            }
            None => format!("{}.{} {}", event.sequence(), event.part(), event.type_name()),
        };
        chunk.events().map(shown).collect()
    }

    #[test]
    fn from_message_to_events() {
        for (text, payload, expected) in [
            (".", r#"{"type":"A"}"#, "1.0 A"),
            (".type = .data.kind", r#"{"kind":"B"}"#, "1.0 B"),
            ("[.]", r#"{"type":"A"}"#, "1.0 A"),
            ("null", r#"{"type":"A"}"#, ""),
            ("[]", r#"{"type":"A"}"#, ""),
            ("empty", r#"{"type":"A"}"#, ""),
            (r#"select(.type != "A")"#, r#"{"type":"A"}"#, ""),
            (
                "[.data.items[] as $i | .type = $i]",
                r#"{"items":["A","B","C"]}"#,
                "1.0 A, 1.1 B, 1.2 C",
            ),
            (
                ".data",
                r#"{"data":{"type":5}}"#,
                "1 transform: what it gave is no event: `type` is 5, but must be a string",
            ),
            (
                r#".type = "A" | .time = "now""#,
                "{}",
                "1 transform: what it gave is no event: `time` is \"now\", but must be a time as RFC 3339 has it, with its offset",
            ),
            ("error", "oops", "1 decode: not JSON: expected a value at byte 0"),
        ] {
            let chunks = apply(&transform(text), &chunk(&messages(&[payload])), 1_000);
            let [chunk] = &chunks.into_iter().map(Arc::new).collect::<Vec<_>>()[..] else {
                panic!("one chunk: {text}");
            };
            assert_eq!(shown(chunk).join(", "), expected, "{text}");
            assert_eq!((chunk.scanned_to(), chunk.messages()), (Sequence(1), 1));
            assert!(chunk.anchor().is_some() && chunk.origin().is_some());
        }
    }

    #[test]
    fn what_fails_says_why_and_keeps_the_message() {
        for (text, part) in [
            (".data | error", "transform: "),
            ("1", "1 transform: "),
            ("[1]", "1 transform: "),
            (".data.items[] | select(. > 0)", "1 transform: "),
            ("[range(1001)] | map({type: \"A\"})", "1001"),
            ("[range(2000000)]", "1 transform: "),
            (".type | ascii_downcase | fromjson", "1 transform: "),
        ] {
            let chunks = apply(&transform(text), &chunk(&messages(&[r#"{"items":[1,2]}"#])), 1_000);
            let chunk = Arc::new(chunks.into_iter().next().expect("a chunk"));
            let [found] = &shown(&chunk)[..] else { panic!("one reject: {text}") };
            assert!(found.starts_with("1 transform: ") && found.contains(part), "{text}: {found}");
            let event = chunk.events().next().expect("the reject");
            assert_eq!(event.payload(), br#"{"items":[1,2]}"#);
            assert_eq!((event.subject(), event.headers().count()), ("shop.1.put", 1));
        }
    }

    #[test]
    fn no_chunk_splits_a_message() {
        let numbers: Vec<_> = [1, 0, 3, 2, 9, 1, 0].iter().map(i32::to_string).collect();
        let messages = messages(&numbers.iter().map(String::as_str).collect::<Vec<_>>());
        let split = transform(r#"[range(.data) | {type: "A"}]"#);
        for (events_max, expected) in
            [(1, "2/1 3/3 4/2 5/9 7/1"), (4, "3/4 4/2 5/9 7/1"), (1_000, "7/16")]
        {
            let chunks = apply(&split, &chunk(&messages), events_max);
            let shown: Vec<_> = chunks
                .iter()
                .map(|chunk| format!("{}/{}", chunk.scanned_to(), chunk.len()))
                .collect();
            assert_eq!(shown.join(" "), expected, "{events_max}");
            assert_eq!(chunks.iter().map(|chunk| chunk.messages()).sum::<u64>(), 7);
            assert_eq!(chunks.iter().filter(|chunk| chunk.anchor().is_some()).count(), 1);
        }
        // Large events make several chunks too.
        let large = transform(r#"{type: "A", data: ("x" * 700000)}"#);
        assert_eq!(apply(&large, &chunk(&messages), 1_000).len(), 4);
    }

    #[test]
    fn what_is_cancelled_ends_at_once() {
        let cancelled = CancellationToken::new();
        cancelled.cancel();
        let chunk = chunk(&messages(&["{}"]));
        assert!(Pieces::new(1_000).fill(&transform("."), &chunk, &cancelled).is_none());
    }

    /// A document with its strings written in one way: which of a character's escapes was used may change.
    fn plain(document: &str) -> String {
        let (mut tape, mut plain, mut at) = (Vec::new(), String::new(), 0);
        json::check(document, 0..document.len(), &mut tape).expect("is a document");
        for index in 0..tape.len() as u32 {
            let node = Json::new(document, &tape, index);
            if let Some(text) = node.text() {
                let start = node.raw().as_ptr().addr() - document.as_ptr().addr();
                plain.push_str(&document[at..start]);
                plain.push_str(&format!("{text:?}"));
                at = start + node.raw().len();
            }
        }
        plain + &document[at..]
    }

    proptest! {
        /// `.` changes nothing: neither the document nor what is kept beside it.
        #[test]
        fn the_identity_changes_nothing(
            payloads in prop::collection::vec(
                prop_oneof![
                    any::<Vec<u8>>(),
                    "(\\[|\\{\"a\":|\\]|\\}|1e2|-0\\.50|\"\\\\u00e9\"|,|null){0,6}".prop_map(String::into_bytes),
                    (r#""\PC{0,5}"|-?[0-9]{1,20}(\.[0-9]{1,5})?|\{"b":1,"b":[1.0]\}"#, "[A-Za-z]{1,3}", 0..2_usize).prop_map(|(data, kind, cloud)| {
                        let cloud = ["", r#""specversion":"1.0","source":"s","n":{"z":1.50},"#][cloud];
                        format!(r#"{{{cloud}"type":"{kind}","id":"1","time":"2013-01-01T00:00:00.1234567+01:00","data":{data}}}"#).into_bytes()
                    }),
                ],
                1..6,
            ),
            format in prop::sample::select(vec![Format::Auto, Format::CloudEvents, Format::Json, Format::Text, Format::Bytes]),
            headers in prop::collection::vec(("(?i:ce-id|ce-type|ce-source|ce-specversion|content-type)|[a-z]{1,3}", "1|a|text/plain"), 0..6),
        ) {
            let mut recorded = messages(&vec!["{}"; payloads.len()]);
            for (message, payload) in recorded.iter_mut().zip(payloads) {
                message.payload = payload;
                message.headers.clone_from(&headers);
            }
            let before = memory::chunks(&recorded, format, 1_000_000, []).remove(0);
            let after: Vec<_> = apply(&transform("."), &before, 1_000).into_iter().map(Arc::new).collect();
            prop_assert_eq!(after.len(), 1);
            prop_assert_eq!(after[0].scanned(Sequence(0), None), before.scanned(Sequence(0), None));
            prop_assert_eq!((after[0].scanned_to(), after[0].anchor()), (before.scanned_to(), before.anchor()));
            let events = |chunk: &Arc<Chunk>| {
                let shown = |event: Event| (event.reject().cloned(), plain(&event.document_json()), event.payload().to_vec(), event.part());
                chunk.events().map(shown).collect::<Vec<_>>()
            };
            prop_assert_eq!(events(&after[0]), events(&before));
        }
    }
}
