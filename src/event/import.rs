//! Events from event documents: the `given` lines of tests, and what a `transform` makes of a message.
//!
//! The way back of `document`: an event whose document is pushed here shows the same document again. A member that is
//! not what it must be is refused by its name, whoever wrote it: a silent default would show as a null far from its
//! cause.

use std::collections::BTreeMap;

use super::arena::{Arena, Name, Payload, Slot, Span, Time};
use super::chunk::{ChunkBuilder, Decoded, Dropped, Entry, Envelope, Event};
use super::json::{self, Json, Kind};
use super::time::Timestamp;
use super::{Reject, RejectKind, Sequence, decode};

/// How many events one message may become: past it a message is a file, and one transaction would hold them all.
pub const PARTS_MAX: usize = 1_000;

/// Bytes of all events of one message: as much text as one evaluation may make.
const PARTS_BYTES_MAX: usize = 16 << 20;

/// What an event has whose document does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Defaults {
    pub sequence: Sequence,
    pub stored_at: Timestamp,
}

impl ChunkBuilder {
    /// Takes the event of a document `{type, id, time, data, subject, sequence, stored_at, headers, attributes}`.
    ///
    /// Every member may be left out, one of `type` and `subject` excepted: the subject is then `test.<type>`, the type
    /// the subject's last token, the time when it was stored, the rest null or empty. `tokens` may be there if they are
    /// the subject's. The refusal names the member; nothing was taken then.
    pub fn push_document(&mut self, document: &str, defaults: Defaults) -> Result<(), String> {
        let mark = self.arena.mark();
        let entry = given(&mut self.arena, document, defaults);
        let entry = entry.inspect_err(|_| self.arena.cut(&mark))?;
        self.entries.push(entry);
        Ok(())
    }

    /// Takes what a `transform` gave for a message: documents, of which `type`, `id`, `time`, `data` and `attributes`
    /// count, or why it failed.
    ///
    /// The rest, the payload included, is the message's. Without documents the message is dropped; if one of them is no
    /// event, none is taken and the message becomes one reject. What could not be decoded is taken as it is.
    pub fn push_transformed(&mut self, message: &Event, given: Result<&[String], String>) {
        if let (Ok([]), None) = (&given, message.reject()) {
            let (sequence, stored_at) = (message.sequence(), message.stored_at());
            self.dropped.push(Dropped { sequence, stored_at });
            return;
        }
        let subject = self.arena.push_text(message.subject());
        let headers = self.arena.push_headers(message.headers());
        let payload = Payload::Raw(self.arena.push_raw(message.payload()));
        let mark = self.arena.mark();
        let events = match (message.reject(), given) {
            (Some(reject), _) => Err(reject.clone()),
            (None, Err(detail)) => Err(Reject::transform(detail)),
            (None, Ok(documents)) => parts(&mut self.arena, documents).map_err(Reject::transform),
        };
        let events = match events {
            Ok(events) => events.into_iter().map(Ok).collect(),
            Err(reject) => {
                self.arena.cut(&mark);
                vec![Err(Box::new(reject))]
            }
        };
        self.split |= events.len() > 1;
        self.entries.extend((0..).zip(events).map(|(part, decoded)| Entry {
            sequence: message.sequence(),
            part,
            stored_at: message.stored_at(),
            subject,
            headers,
            payload,
            decoded,
        }));
    }
}

impl Reject {
    fn transform(detail: String) -> Self {
        Self { kind: RejectKind::Transform, detail }
    }
}

/// The members that say what happened.
#[derive(Default)]
struct Content {
    type_name: Option<Name>,
    id: Option<Name>,
    time: Option<Timestamp>,
    data: Option<Slot>,
    attributes: Option<Envelope>,
}

/// The members that say how the message came.
#[derive(Default)]
struct Transport {
    subject: Option<Span>,
    /// Index on the tape.
    tokens: Option<u32>,
    sequence: Option<Sequence>,
    stored_at: Option<Timestamp>,
    headers: BTreeMap<String, String>,
}

const TRANSPORT: [&str; 5] = ["subject", "tokens", "sequence", "stored_at", "headers"];

fn given(arena: &mut Arena, document: &str, defaults: Defaults) -> Result<Entry, String> {
    let document = arena.push_text(document);
    let root = object(arena, document)?;
    let (mut content, mut transport) = (Content::default(), Transport::default());
    for (name, at) in members(arena, root) {
        if TRANSPORT.contains(&name.as_str()) {
            transport.read(arena, &name, at)?;
        } else {
            content.read(arena, &name, at)?;
        }
    }
    let subject = match (transport.subject, content.type_name) {
        (Some(subject), _) => subject,
        (None, Some(type_name)) => {
            let subject = format!("test.{}", arena.name(type_name));
            arena.push_text(&subject)
        }
        (None, None) => return Err("there is no `type`".to_owned()),
    };
    if let Some(tokens) = transport.tokens {
        check_tokens(arena, tokens, subject)?;
    }
    let type_name =
        content.type_name.unwrap_or_else(|| Name::Text(decode::last_token(arena, subject)));
    let headers = transport.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    Ok(Entry {
        sequence: transport.sequence.unwrap_or(defaults.sequence),
        part: 0,
        stored_at: transport.stored_at.unwrap_or(defaults.stored_at),
        subject,
        headers: arena.push_headers(headers),
        payload: Payload::Text(document),
        decoded: Ok(content.decoded(type_name)),
    })
}

fn parts(arena: &mut Arena, documents: &[String]) -> Result<Vec<Decoded>, String> {
    if documents.len() > PARTS_MAX {
        return Err(format!("it gave {} events, {PARTS_MAX} at most are allowed", documents.len()));
    }
    let bytes: usize = documents.iter().map(String::len).sum();
    if bytes > PARTS_BYTES_MAX {
        return Err(format!("it gave {bytes} bytes, {PARTS_BYTES_MAX} at most are allowed"));
    }
    let each = (1..).zip(documents).map(|(number, document)| {
        part(arena, document).map_err(|problem| match documents.len() {
            1 => format!("what it gave is no event: {problem}"),
            count => format!("event {number} of the {count} that it gave is none: {problem}"),
        })
    });
    each.collect()
}

fn part(arena: &mut Arena, document: &str) -> Result<Decoded, String> {
    let document = arena.push_text(document);
    let root = object(arena, document)?;
    let mut content = Content::default();
    for (name, at) in members(arena, root) {
        if !TRANSPORT.contains(&name.as_str()) {
            content.read(arena, &name, at)?;
        }
    }
    let type_name = content.type_name.ok_or("there is no `type`")?;
    Ok(content.decoded(type_name))
}

fn object(arena: &mut Arena, document: Span) -> Result<u32, String> {
    let range = document.start as usize..document.end as usize;
    let root = json::check_event_document(&arena.text, range, &mut arena.tape);
    let root = root.map_err(|error| format!("not JSON: {error}"))?;
    match arena.json(root) {
        json if json.kind() == Kind::Object => Ok(root),
        json => Err(format!("{} is given, but an event is an object", shown(json))),
    }
}

/// Names, and indices of the values on the tape.
fn members(arena: &Arena, root: u32) -> Vec<(String, u32)> {
    arena.json(root).members().map(|(name, value)| (name.into_owned(), value.at())).collect()
}

impl Content {
    /// Of repeated members the last counts, as everywhere.
    fn read(&mut self, arena: &mut Arena, name: &str, at: u32) -> Result<(), String> {
        let value = arena.json(at);
        let null = value.kind() == Kind::Null;
        match name {
            "type" if decode::is_string(value) => self.type_name = Some(decode::name(arena, at)),
            "type" => return Err(wrong(name, "a string", value)),
            "id" if null => self.id = None,
            "id" if decode::is_string(value) => self.id = Some(decode::name(arena, at)),
            // As in a message.
            "id" if value.kind() == Kind::Number => {
                let number = value.raw().to_owned();
                self.id = Some(Name::Text(arena.push_text(&number)));
            }
            "id" => return Err(wrong(name, "a string", value)),
            "time" if null => self.time = None,
            "time" => self.time = Some(instant(name, value)?),
            "data" => self.data = Some(decode::slot(value)),
            "attributes" if null => self.attributes = None,
            "attributes" if value.kind() == Kind::Object => {
                self.attributes = Some(Envelope::Object(at));
            }
            "attributes" => return Err(wrong(name, "an object", value)),
            unknown => {
                return Err(format!(
                    "there is no member {unknown:?}, only type, id, time, data, subject, tokens, \
                     sequence, stored_at, headers and attributes"
                ));
            }
        }
        Ok(())
    }

    fn decoded(self, type_name: Name) -> Decoded {
        Decoded {
            type_name,
            id: self.id,
            time: self.time.map_or(Time::None, Time::Known),
            data: self.data.unwrap_or(Slot::Null),
            envelope: self.attributes.unwrap_or(Envelope::None),
        }
    }
}

impl Transport {
    fn read(&mut self, arena: &mut Arena, name: &str, at: u32) -> Result<(), String> {
        let value = arena.json(at);
        match name {
            "subject" => {
                let text = value.text().filter(|text| !text.is_empty());
                let text = text.ok_or_else(|| wrong(name, "a subject", value))?.into_owned();
                self.subject = Some(arena.push_text(&text));
            }
            "tokens" => self.tokens = Some(at),
            "sequence" => {
                let number = value.raw().parse().ok().filter(|&number| number > 0);
                let number = number.ok_or_else(|| wrong(name, "an integer above 0", value))?;
                self.sequence = Some(Sequence(number));
            }
            "stored_at" => self.stored_at = Some(instant(name, value)?),
            _ if value.kind() == Kind::Object => {
                let headers = value.members().map(|(header, value)| match value.text() {
                    Some(text) => Ok((header.into_owned(), text.into_owned())),
                    None => Err(wrong(&format!("headers.{header}"), "a string", value)),
                });
                self.headers = headers.collect::<Result<_, _>>()?;
            }
            _ => return Err(wrong(name, "an object of strings", value)),
        }
        Ok(())
    }
}

fn check_tokens(arena: &Arena, tokens: u32, subject: Span) -> Result<(), String> {
    let tokens = arena.json(tokens);
    let subject = arena.text_at(subject);
    let found: Vec<_> = tokens.elements().map(Json::text).collect();
    let same = tokens.kind() == Kind::Array
        && found.iter().map(Option::as_deref).eq(subject.split('.').map(Some));
    if same {
        return Ok(());
    }
    Err(format!("`tokens` are not those of the subject `{subject}`: they can be left out"))
}

fn instant(name: &str, value: Json<'_>) -> Result<Timestamp, String> {
    let time = value.text().and_then(|text| Timestamp::parse(&text));
    time.ok_or_else(|| wrong(name, "a time as RFC 3339 has it, with its offset", value))
}

fn wrong(name: &str, wanted: &str, value: Json<'_>) -> String {
    format!("`{name}` is {}, but must be {wanted}", shown(value))
}

/// A value in a message: short ones as they stand.
fn shown(value: Json<'_>) -> String {
    const SHOWN_BYTES_MAX: usize = 40;
    match (value.kind(), value.raw()) {
        (_, raw) if raw.len() <= SHOWN_BYTES_MAX => raw.to_owned(),
        (Kind::Array, _) => "an array".to_owned(),
        (Kind::Object, _) => "an object".to_owned(),
        (Kind::Number, _) => "a long number".to_owned(),
        _ => "a long string".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::Format;
    use super::super::chunk::{Chunk, Message, Scanned};
    use super::*;

    const DEFAULTS: Defaults = Defaults { sequence: Sequence(5), stored_at: Timestamp(0) };

    fn builder() -> ChunkBuilder {
        ChunkBuilder::new(Format::Auto, 1_000)
    }

    fn read(document: &str) -> Result<Event, String> {
        let mut builder = builder();
        builder.push_document(document, DEFAULTS)?;
        Ok(Arc::new(builder.finish(Sequence(5))).events().next().unwrap())
    }

    #[test]
    fn what_a_document_leaves_out() {
        for (document, expected) in [
            (
                r#"{"type":"Placed"}"#,
                r#"{"type":"Placed","id":null,"time":"1970-01-01T00:00:00.000000Z","data":null,"subject":"test.Placed","tokens":["test","Placed"],"sequence":5,"stored_at":"1970-01-01T00:00:00.000000Z","headers":{},"attributes":{}}"#,
            ),
            (
                r#"{"subject":"a.b","stored_at":"2000-01-01T01:00:00+01:00","sequence":7,"id":1.50,"time":null,"data":[1e2]}"#,
                r#"{"type":"b","id":"1.50","time":"2000-01-01T00:00:00.000000Z","data":[1e2],"subject":"a.b","tokens":["a","b"],"sequence":7,"stored_at":"2000-01-01T00:00:00.000000Z","headers":{},"attributes":{}}"#,
            ),
            (
                r#" { "type" : "a\u0062" , "headers" : { "z" : "1" , "a" : "2" , "z" : "3" } , "attributes" : { "n" : { "b" : 0.10 } , "data" : null } } "#,
                r#"{"type":"ab","id":null,"time":"1970-01-01T00:00:00.000000Z","data":null,"subject":"test.ab","tokens":["test","ab"],"sequence":5,"stored_at":"1970-01-01T00:00:00.000000Z","headers":{"a":"2","z":"3"},"attributes":{"n":{"b":0.10},"data":null}}"#,
            ),
        ] {
            assert_eq!(read(document).unwrap().document_json(), expected, "{document}");
        }
    }

    #[test]
    fn refusals_name_the_member() {
        for (document, expected) in [
            ("", "not JSON: expected a value, found the end at byte 0"),
            ("[1]", "[1] is given, but an event is an object"),
            ("{}", "there is no `type`"),
            (r#"{"type":5}"#, "`type` is 5, but must be a string"),
            (r#"{"type":null}"#, "`type` is null, but must be a string"),
            (r#"{"type":"A","id":{}}"#, "`id` is {}, but must be a string"),
            (
                r#"{"type":"A","time":"today"}"#,
                r#"`time` is "today", but must be a time as RFC 3339 has it, with its offset"#,
            ),
            (
                r#"{"type":"A","time":"2000-01-01 a day that has no other name"}"#,
                "`time` is a long string, but must be a time as RFC 3339 has it, with its offset",
            ),
            (
                r#"{"type":"A","stored_at":null}"#,
                "`stored_at` is null, but must be a time as RFC 3339 has it, with its offset",
            ),
            (r#"{"type":"A","sequence":0}"#, "`sequence` is 0, but must be an integer above 0"),
            (r#"{"type":"A","sequence":1.0}"#, "`sequence` is 1.0, but must be an integer above 0"),
            (r#"{"type":"A","subject":""}"#, r#"`subject` is "", but must be a subject"#),
            (
                r#"{"type":"A","headers":["x"]}"#,
                r#"`headers` is ["x"], but must be an object of strings"#,
            ),
            (r#"{"type":"A","headers":{"X-N":1}}"#, "`headers.X-N` is 1, but must be a string"),
            (r#"{"type":"A","attributes":1}"#, "`attributes` is 1, but must be an object"),
            (
                r#"{"type":"A","subject":"a.b","tokens":["a","c"]}"#,
                "`tokens` are not those of the subject `a.b`: they can be left out",
            ),
            (
                r#"{"type":"A","dat":1}"#,
                "there is no member \"dat\", only type, id, time, data, subject, tokens, sequence, stored_at, headers and attributes",
            ),
        ] {
            assert_eq!(read(document).map(|_| ()), Err(expected.to_owned()), "{document}");
        }
    }

    #[test]
    fn a_refused_document_leaves_no_trace() {
        let mut builder = builder();
        builder.push_document(r#"{"type":"A","data":1}"#, DEFAULTS).unwrap();
        let before = builder.bytes_len();
        builder
            .push_document(r#"{"data":{"a":[1,2]},"id":5,"sequence":-1}"#, DEFAULTS)
            .unwrap_err();
        assert_eq!((builder.len(), builder.bytes_len()), (1, before));
        builder.push_document(r#"{"type":"B","data":2}"#, DEFAULTS).unwrap();
        let chunk = Arc::new(builder.finish(Sequence(5)));
        let types: Vec<_> = chunk.events().map(|event| event.type_name().to_owned()).collect();
        assert_eq!(types, ["A", "B"]);
    }

    #[test]
    fn the_document_of_the_deepest_event_is_read() {
        let deepest = format!("{}{}", "[".repeat(128), "]".repeat(128));
        assert!(read(&format!(r#"{{"type":"A","data":{deepest}}}"#)).is_ok());
        let error = read(&format!(r#"{{"type":"A","data":[{deepest}]}}"#)).unwrap_err();
        assert!(error.contains("nested deeper than 128"), "{error}");
    }

    /// Messages 1 to 4, the third of which is no JSON.
    fn messages() -> Arc<Chunk> {
        let mut builder = builder();
        for (sequence, payload) in (1..).zip([r#"{"a":1}"#, r#"{"a":2}"#, "oops", r#"{"a":4}"#]) {
            builder.push(Message {
                sequence: Sequence(sequence),
                stored_at: Timestamp(sequence as i64),
                subject: "shop.placed",
                headers: [("X", "1")],
                payload: payload.as_bytes(),
            });
        }
        Arc::new(builder.finish(Sequence(4)))
    }

    fn shown(event: &Event) -> String {
        let place = format!("{}.{}", event.sequence(), event.part());
        match event.reject() {
            Some(reject) => format!("{place} {}: {}", reject.kind.as_str(), reject.detail),
            None => format!("{place} {} {}", event.type_name(), event.time()),
        }
    }

    /// What becomes of the four messages if the first gives `documents`, the others nothing.
    fn transformed(documents: Result<&[String], String>) -> Arc<Chunk> {
        let mut builder = builder();
        for event in messages().events() {
            let first = event.sequence() == Sequence(1);
            builder.push_transformed(&event, if first { documents.clone() } else { Ok(&[]) });
        }
        Arc::new(builder.finish(Sequence(4)))
    }

    #[test]
    fn messages_become_parts() {
        let two = [
            r#"{"type":"A","time":"2000-01-01T00:00:00Z","subject":"x","sequence":9,"headers":5}"#,
            r#"{"type":"B","data":1.0,"id":"i","attributes":{"k":true}}"#,
        ];
        let chunk = transformed(Ok(&two.map(str::to_owned)));
        let events: Vec<_> = chunk.events().collect();
        assert_eq!(
            events.iter().map(shown).collect::<Vec<_>>(),
            [
                "1.0 A 2000-01-01T00:00:00.000000Z",
                "1.1 B 1970-01-01T00:00:00.000001Z",
                "3.0 decode: not JSON: expected a value at byte 0",
            ]
        );
        for (event, payload) in events.iter().zip([r#"{"a":1}"#, r#"{"a":1}"#, "oops"]) {
            assert_eq!(event.subject(), "shop.placed");
            assert_eq!(event.headers().collect::<Vec<_>>(), [("X", "1")]);
            assert_eq!(event.payload(), payload.as_bytes());
        }
        assert!(events[1].document_json().contains(r#""data":1.0,"subject":"shop.placed""#));
        assert!(events[1].document_json().ends_with(r#""attributes":{"k":true}}"#));
        for (below, messages, last) in [
            (None, 4, Some(4)),
            (Some(5), 4, Some(4)),
            (Some(4), 3, Some(3)),
            (Some(3), 2, Some(2)),
            (Some(1), 0, None),
        ] {
            let scanned = Scanned { messages, stored_at: last.map(Timestamp) };
            assert_eq!(chunk.scanned(Sequence(0), below.map(Sequence)), scanned, "{below:?}");
        }
        assert_eq!(chunk.oldest(), Some(Timestamp(1)));
        let dropped = transformed(Ok(&[]));
        assert_eq!(dropped.messages(), 4);
        assert_eq!((dropped.len(), dropped.oldest()), (1, Some(Timestamp(1))));
    }

    #[test]
    fn a_message_fails_as_a_whole() {
        let good = r#"{"type":"A"}"#.to_owned();
        for (documents, expected) in [
            (Err("no such luck".to_owned()), "no such luck"),
            (
                Ok(vec!["5".to_owned()]),
                "what it gave is no event: 5 is given, but an event is an object",
            ),
            (Ok(vec![r#"{"data":1}"#.to_owned()]), "what it gave is no event: there is no `type`"),
            (
                Ok(vec![good.clone(), r#"{"type":null}"#.to_owned(), good.clone()]),
                "event 2 of the 3 that it gave is none: `type` is null, but must be a string",
            ),
            (Ok(vec![good; 1_001]), "it gave 1001 events, 1000 at most are allowed"),
        ] {
            let documents = documents.as_deref().map_err(Clone::clone);
            let first = transformed(documents).events().next().unwrap();
            assert_eq!(shown(&first), format!("1.0 transform: {expected}"));
            assert_eq!((first.subject(), first.payload()), ("shop.placed", &br#"{"a":1}"#[..]));
        }
    }

    /// JSON with numbers as people write them.
    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            Just("true".to_owned()),
            "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,20})?([eE][+-]?[0-9]{1,3})?",
            any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|items| format!("[{}]", items.join(","))),
                prop::collection::btree_map("[a-z\u{e9}\"\\\\ ]{0,3}", inner, 0..4).prop_map(
                    |members| {
                        let members = members.into_iter().map(|(name, value)| {
                            format!("{}:{value}", serde_json::to_string(&name).unwrap())
                        });
                        format!("{{{}}}", members.collect::<Vec<_>>().join(","))
                    }
                ),
            ]
        })
    }

    proptest! {
        /// Whatever an event is: its document is read as the same event.
        #[test]
        fn what_goes_in_comes_out(
            type_name in "\\PC{1,8}",
            id in prop::option::of("\\PC{0,4}"),
            data in json(),
            subject in "[a-z]{1,3}(\\.[a-z]{1,3}){0,2}",
            headers in prop::collection::btree_map("[a-zA-Z-]{1,4}", "\\PC{0,4}", 0..3),
            attributes in prop::collection::btree_map("[a-z]{1,4}", json(), 0..3),
            sequence in 1..u64::MAX,
            times in prop::array::uniform2(0_i64..4_000_000_000_000_000),
        ) {
            let text = |text: &str| serde_json::to_string(text).unwrap();
            let headers: Vec<_> = headers.iter().map(|(name, value)| format!("{}:{}", text(name), text(value))).collect();
            let attributes: Vec<_> = attributes.iter().map(|(name, value)| format!("{}:{value}", text(name))).collect();
            let tokens: Vec<_> = subject.split('.').map(text).collect();
            let document = format!(
                r#"{{"type":{},"id":{},"time":"{}","data":{data},"subject":"{subject}","tokens":[{}],"sequence":{sequence},"stored_at":"{}","headers":{{{}}},"attributes":{{{}}}}}"#,
                text(&type_name),
                id.as_deref().map_or("null".to_owned(), text),
                Timestamp(times[0]),
                tokens.join(","),
                Timestamp(times[1]),
                headers.join(","),
                attributes.join(","),
            );
            let event = read(&document).unwrap();
            // Escapes may be written in other ways; numbers may not.
            let shown = event.document_json();
            let raw = |text: &str| serde_json::from_str::<serde_json::Value>(text).ok().map(|value| value.to_string());
            prop_assert_eq!(raw(&shown), raw(&document));
            prop_assert_eq!(numbers(&shown), numbers(&document));
            prop_assert_eq!(read(&shown).unwrap().document_json(), shown);
        }

        #[test]
        fn any_text_is_answered(document in any::<String>(), bent in r#"\{("(type|id|time|data|headers|attributes|sequence)":(1|"a"|null|\{\}|\[\]),?){0,4}\}"#) {
            for document in [document, bent] {
                if let Ok(event) = read(&document) {
                    let _ = event.document_json();
                }
            }
        }
    }

    #[test]
    fn the_events_of_a_message_are_bounded_together() {
        let document = |bytes: usize| format!(r#"{{"type":"A","data":"{}"}}"#, "x".repeat(bytes));
        let mut arena = Arena::default();
        assert!(parts(&mut arena, &[document(4 << 20), document(4 << 20)]).is_ok());
        let refused = parts(&mut arena, &[document(8 << 20), document(8 << 20)]).unwrap_err();
        assert!(refused.ends_with("bytes, 16777216 at most are allowed"), "{refused}");
    }

    /// What stands outside strings.
    fn numbers(document: &str) -> String {
        let mut rest = document;
        let mut found = String::new();
        while let Some(at) = rest.find('"') {
            found.push_str(&rest[..at]);
            rest = &rest[at + 1..];
            while let Some(end) = rest.find(['"', '\\']) {
                let escaped = rest.as_bytes()[end] == b'\\';
                rest = &rest[end + 1 + usize::from(escaped)..];
                if !escaped {
                    break;
                }
            }
        }
        found + rest
    }
}
