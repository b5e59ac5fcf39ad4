//! From message to event: what each format makes of headers and payload.
//!
//! A message is checked whole before it is an event, so nothing later has to doubt it. An empty payload is an event
//! with null data in every format: streams hold delete markers and tombstones as a matter of course.

use std::borrow::Cow;

use super::arena::{Arena, Name, Payload, Slot, Span, Time};
use super::chunk::{Attribute, Decoded, Envelope};
use super::content::{self, Content, Structured};
use super::json::{self, Json, Kind};
use super::time::Timestamp;
use super::{Format, Reject, RejectKind};

/// The headers that decoding looks at, wherever they stand.
#[derive(Default)]
struct Known {
    content_type: Option<Span>,
    message_id: Option<Span>,
    specversion: Option<Span>,
    id: Option<Span>,
    source: Option<Span>,
    type_name: Option<Span>,
    time: Option<Span>,
    data_content_type: Option<Span>,
}

/// The members of a document that decoding looks at, by their places on the tape.
#[derive(Default)]
struct Members {
    specversion: Option<u32>,
    id: Option<u32>,
    source: Option<u32>,
    type_name: Option<u32>,
    time: Option<u32>,
    data: Option<u32>,
    data_base64: Option<u32>,
}

type Found = Result<Decoded, Reject>;

/// Copies a payload into the arena and finds its event there.
pub(super) fn decode(
    arena: &mut Arena,
    format: Format,
    subject: Span,
    headers: Span,
    payload: &[u8],
) -> (Payload, Found) {
    let known = Known::find(arena, headers);
    let cloud = matches!(format, Format::Auto | Format::CloudEvents);
    let binary = cloud && known.specversion.is_some();
    let structured = match known.content_type {
        Some(span) if cloud => content::structured(arena.text_at(span)),
        _ => Structured::No,
    };
    if let Structured::Other(media) = structured {
        let detail = format!(
            "content type {media}: of structured CloudEvents, single ones in JSON are read"
        );
        return (Payload::Raw(arena.push_raw(payload)), reject(detail));
    }
    let announced = structured == Structured::Json;
    if binary && !announced {
        return binary_event(arena, &known, payload);
    }
    if payload.is_empty() {
        return (
            Payload::Raw(Span::default()),
            Ok(plain(Name::Text(last_token(arena, subject)), &known, Slot::Null)),
        );
    }
    match format {
        Format::Bytes => {
            let span = arena.push_raw(payload);
            let type_name = Name::Text(last_token(arena, subject));
            (Payload::Raw(span), Ok(plain(type_name, &known, Slot::Raw(span))))
        }
        Format::Text => match push_utf8(arena, payload) {
            Ok(span) => {
                let type_name = Name::Text(last_token(arena, subject));
                (Payload::Text(span), Ok(plain(type_name, &known, Slot::Text(span))))
            }
            Err(refused) => refused,
        },
        Format::Auto | Format::CloudEvents | Format::Json => match push_utf8(arena, payload) {
            Ok(span) => {
                (Payload::Text(span), document(arena, format, announced, &known, subject, span))
            }
            Err(refused) => refused,
        },
    }
}

/// The attributes of a structured CloudEvent: its members but the data.
pub(super) fn structured_attributes(root: Json<'_>) -> Vec<(Cow<'_, str>, Attribute<'_>)> {
    let mut attributes = object_attributes(root);
    attributes.retain(|(name, _)| name != "data" && name != "data_base64");
    attributes
}

/// The members of an object as attributes, of repeated ones the last.
pub(super) fn object_attributes(object: Json<'_>) -> Vec<(Cow<'_, str>, Attribute<'_>)> {
    let mut attributes: Vec<(Cow<'_, str>, Attribute<'_>)> = Vec::new();
    for (name, value) in object.members() {
        match attributes.iter_mut().find(|(known, _)| *known == name) {
            Some(known) => known.1 = Attribute::Json(value),
            None => attributes.push((name, Attribute::Json(value))),
        }
    }
    attributes
}

/// The attributes of a binary CloudEvent: its `ce-` headers, and the content type as `datacontenttype`.
pub(super) fn binary_attributes<'a>(
    headers: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<(Cow<'a, str>, Attribute<'a>)> {
    let mut attributes: Vec<(Cow<'a, str>, Attribute<'a>)> = Vec::new();
    for (header, value) in headers {
        let name = match content::attribute_name(header) {
            Some(name) => Cow::Owned(name.to_ascii_lowercase()),
            None if header.eq_ignore_ascii_case("content-type") => Cow::Borrowed("datacontenttype"),
            None => continue,
        };
        // Names that differ in case alone: the first counts, as when decoding.
        if attributes.iter().all(|(known, _)| *known != name) {
            let value = match content::percent_decoded(value) {
                None => Cow::Borrowed(value),
                Some(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
            };
            attributes.push((name, Attribute::Text(value)));
        }
    }
    attributes
}

impl Known {
    fn find(arena: &Arena, headers: Span) -> Self {
        let mut known = Self::default();
        for &(name, value) in arena.headers_at(headers) {
            if let Some(slot) = known.slot(arena.text_at(name))
                && slot.replace(value).is_some()
            {
                return Self::find_repeated(arena, headers);
            }
        }
        known
    }

    /// Names that are repeated, or differ in case alone: the first in the order of names counts.
    #[cold]
    fn find_repeated(arena: &Arena, headers: Span) -> Self {
        let mut sorted = arena.headers_at(headers).to_vec();
        sorted.sort_by_key(|&(name, _)| arena.text_at(name));
        let mut known = Self::default();
        for (name, value) in sorted {
            if let Some(slot) = known.slot(arena.text_at(name)) {
                slot.get_or_insert(value);
            }
        }
        known
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<Span>> {
        // Nearly all are written as here.
        let is = |known: &str| name == known || name.eq_ignore_ascii_case(known);
        Some(match name.len() {
            5 if is("ce-id") => &mut self.id,
            7 if is("ce-type") => &mut self.type_name,
            7 if is("ce-time") => &mut self.time,
            9 if is("ce-source") => &mut self.source,
            11 if is("Nats-Msg-Id") => &mut self.message_id,
            12 if is("Content-Type") => &mut self.content_type,
            14 if is("ce-specversion") => &mut self.specversion,
            18 if is("ce-datacontenttype") => &mut self.data_content_type,
            _ => return None,
        })
    }
}

impl Members {
    /// In one pass; of repeated ones the last. None of what is no object.
    fn find(body: Json<'_>) -> Self {
        let mut found = Self::default();
        body.each_member(|key, at| {
            let slot = match key {
                b"id" => &mut found.id,
                b"type" => &mut found.type_name,
                b"time" => &mut found.time,
                b"data" => &mut found.data,
                b"source" => &mut found.source,
                b"specversion" => &mut found.specversion,
                b"data_base64" => &mut found.data_base64,
                _ => return,
            };
            *slot = Some(at);
        });
        found
    }
}

/// A payload that must be JSON: a structured CloudEvent, or a plain document.
fn document(
    arena: &mut Arena,
    format: Format,
    announced: bool,
    known: &Known,
    subject: Span,
    payload: Span,
) -> Found {
    let range = payload.start as usize..payload.end as usize;
    let root = match json::check(&arena.text, range, &mut arena.tape) {
        Ok(root) => root,
        Err(error) => return reject(format!("not JSON: {error}")),
    };
    let members = Members::find(arena.json(root));
    if format == Format::Json {
        return Ok(plain_document(arena, root, &members, known, subject));
    }
    if announced || members.specversion.is_some_and(|at| is_string(arena.json(at))) {
        structured_event(arena, root, &members)
    } else if format == Format::CloudEvents {
        reject("not a CloudEvent: neither its headers nor its body has specversion".to_owned())
    } else {
        Ok(plain_document(arena, root, &members, known, subject))
    }
}

fn plain_document(
    arena: &mut Arena,
    root: u32,
    members: &Members,
    known: &Known,
    subject: Span,
) -> Decoded {
    let of_kind = |at: Option<u32>, kind| at.filter(|&at| arena.json(at).kind() == kind);
    let text = |at: Option<u32>| at.filter(|&at| is_string(arena.json(at)));
    let data = slot(arena.json(of_kind(members.data, Kind::Object).unwrap_or(root)));
    let type_name = text(members.type_name);
    let id = members.id.filter(|_| known.message_id.is_none());
    let number = of_kind(id, Kind::Number).map(|at| arena.json(at).raw().to_owned());
    let id = text(id);

    let type_name = match type_name {
        Some(at) => name(arena, at),
        None => Name::Text(last_token(arena, subject)),
    };
    let mut decoded = plain(type_name, known, data);
    decoded.time = time_of(arena, members.time);
    if let Some(at) = id {
        decoded.id = Some(name(arena, at));
    } else if let Some(number) = number {
        decoded.id = Some(Name::Text(arena.push_text(&number)));
    }
    decoded
}

fn structured_event(arena: &mut Arena, root: u32, members: &Members) -> Found {
    if arena.json(root).kind() != Kind::Object {
        return reject("not a CloudEvent: expected an object".to_owned());
    }
    let required = |name: &str, at: Option<u32>| match at.map(|at| (at, arena.json(at))) {
        Some((at, value)) if is_string(value) && value.raw() != "\"\"" => Ok(at),
        Some((_, value)) if is_string(value) => {
            Err(format!("CloudEvent attribute {name} is empty"))
        }
        Some(_) => Err(format!("CloudEvent attribute {name} is not a string")),
        None => Err(format!("CloudEvent without the attribute {name}")),
    };
    let names = required("id", members.id).and_then(|id| {
        required("source", members.source)?;
        Ok((id, required("type", members.type_name)?))
    });
    let (id, type_name) = match names {
        Ok(names) => names,
        Err(detail) => return reject(detail),
    };
    let given = |at: &u32| arena.json(*at).kind() != Kind::Null;
    let data = match (members.data.filter(given), members.data_base64.filter(given)) {
        (Some(_), Some(_)) => {
            return reject("CloudEvent with both data and data_base64".to_owned());
        }
        (Some(data), None) => slot(arena.json(data)),
        (None, None) => Slot::Null,
        (None, Some(encoded)) => match base64_of(arena.json(encoded)) {
            Ok(bytes) => Slot::Raw(arena.push_raw(&bytes)),
            Err(detail) => return reject(detail),
        },
    };
    Ok(Decoded {
        type_name: name(arena, type_name),
        id: Some(name(arena, id)),
        time: time_of(arena, members.time),
        data,
        envelope: Envelope::Structured(root),
    })
}

fn binary_event(arena: &mut Arena, known: &Known, payload: &[u8]) -> (Payload, Found) {
    let attributes = binary_names(arena, known);
    let content_type = known.data_content_type.or(known.content_type);
    let content = content::content(content_type.map(|span| arena.text_at(span)));
    if payload.is_empty() || content == Content::Binary {
        let span = arena.push_raw(payload);
        let data = if payload.is_empty() { Slot::Null } else { Slot::Raw(span) };
        return (Payload::Raw(span), attributes.map(|decoded| Decoded { data, ..decoded }));
    }
    let span = match push_utf8(arena, payload) {
        Ok(span) => span,
        Err(refused) => return refused,
    };
    let decoded = attributes.and_then(|decoded| {
        if content == Content::Text {
            return Ok(Decoded { data: Slot::Text(span), ..decoded });
        }
        let range = span.start as usize..span.end as usize;
        match json::check(&arena.text, range, &mut arena.tape) {
            Ok(root) => Ok(Decoded { data: slot(arena.json(root)), ..decoded }),
            Err(error) => reject(format!("not JSON: {error}")),
        }
    });
    (Payload::Text(span), decoded)
}

/// The attributes of a binary CloudEvent that every event has.
fn binary_names(arena: &mut Arena, known: &Known) -> Found {
    let mut required =
        |name: &str, value: Option<Span>| match value.map(|span| (span, arena.text_at(span))) {
            None => Err(Reject::decode(format!("CloudEvent without the attribute {name}"))),
            Some((_, "")) => Err(Reject::decode(format!("CloudEvent attribute {name} is empty"))),
            Some((span, text)) => match content::percent_decoded(text).map(String::from_utf8) {
                None => Ok(span),
                Some(Ok(decoded)) => Ok(arena.push_text(&decoded)),
                Some(Err(_)) => {
                    Err(Reject::decode(format!("CloudEvent attribute {name} is not UTF-8")))
                }
            },
        };
    let id = required("id", known.id)?;
    required("source", known.source)?;
    let type_name = required("type", known.type_name)?;
    let time = known.time.map_or(Time::None, |span| {
        // A colon may be percent-encoded as well.
        match content::percent_decoded(arena.text_at(span)).map(String::from_utf8) {
            None => Time::Text(Name::Text(span)),
            Some(Ok(decoded)) => Timestamp::parse(&decoded).map_or(Time::None, Time::Known),
            Some(Err(_)) => Time::None,
        }
    });
    Ok(Decoded {
        type_name: Name::Text(type_name),
        id: Some(Name::Text(id)),
        time,
        data: Slot::Null,
        envelope: Envelope::Binary,
    })
}

fn plain(type_name: Name, known: &Known, data: Slot) -> Decoded {
    Decoded {
        type_name,
        id: known.message_id.map(Name::Text),
        time: Time::None,
        data,
        envelope: Envelope::None,
    }
}

pub(super) fn last_token(arena: &Arena, subject: Span) -> Span {
    let is_dot = |byte: &u8| *byte == b'.';
    let dot = arena.text_at(subject).as_bytes().iter().rposition(is_dot);
    let dot = dot.map_or(0, |at| at as u32 + 1);
    Span { start: subject.start + dot, ..subject }
}

/// Copies a payload that must be text; the refusal keeps the payload too.
fn push_utf8(arena: &mut Arena, payload: &[u8]) -> Result<Span, (Payload, Found)> {
    match std::str::from_utf8(payload) {
        Ok(text) => Ok(arena.push_text(text)),
        Err(error) => {
            let detail = format!("invalid UTF-8 at byte {}", error.valid_up_to());
            Err((Payload::Raw(arena.push_raw(payload)), reject(detail)))
        }
    }
}

/// A name of the document: on the tape as it stands, or without its escapes.
pub(super) fn name(arena: &mut Arena, at: u32) -> Name {
    let value = arena.json(at);
    if value.kind() == Kind::String {
        return Name::Node(at);
    }
    let text = value.text().expect("a name is a string").into_owned();
    Name::Text(arena.push_text(&text))
}

pub(super) fn slot(value: Json<'_>) -> Slot {
    if value.kind() == Kind::Null { Slot::Null } else { Slot::Json(value.at()) }
}

pub(super) fn is_string(value: Json<'_>) -> bool {
    matches!(value.kind(), Kind::String | Kind::Escaped)
}

fn time_of(arena: &mut Arena, at: Option<u32>) -> Time {
    match at.filter(|&at| is_string(arena.json(at))) {
        Some(at) => Time::Text(name(arena, at)),
        None => Time::None,
    }
}

fn base64_of(value: Json<'_>) -> Result<Vec<u8>, String> {
    use base64::Engine as _;
    let text = value.text().ok_or("CloudEvent member data_base64 is not a string")?;
    base64::engine::general_purpose::STANDARD
        .decode(text.as_bytes())
        .map_err(|error| format!("CloudEvent member data_base64 is not base64: {error}"))
}

fn reject<T>(detail: String) -> Result<T, Reject> {
    Err(Reject::decode(detail))
}

impl Reject {
    fn decode(detail: String) -> Self {
        Self { kind: RejectKind::Decode, detail }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::chunk::{ChunkBuilder, Event, Message};
    use super::super::{Format, RejectKind, Sequence};
    use super::*;

    const MAX: usize = 1_000;

    fn event(format: Format, headers: &[(&str, &str)], payload: &[u8]) -> Event {
        let mut builder = ChunkBuilder::new(format, MAX);
        builder.push(Message {
            sequence: Sequence(7),
            stored_at: Timestamp(0),
            subject: "shop.7.placed",
            headers: headers.iter().copied(),
            payload,
        });
        let event = Arc::new(builder.finish(Sequence(7))).events().next().unwrap();
        assert_eq!(event.payload(), payload, "the payload is kept as it was stored");
        event
    }

    /// The parts of the document that decoding decides: `type id time data`, then attributes.
    fn shown(event: &Event) -> String {
        if let Some(reject) = event.reject() {
            return format!("{}: {}", reject.kind.as_str(), reject.detail);
        }
        let document: serde_json::Value = serde_json::from_str(&event.document_json()).unwrap();
        let time = if event.time() == event.stored_at() {
            "-".to_owned()
        } else {
            event.time().to_string()
        };
        let id = event.id().unwrap_or("-");
        format!("{} {id} {time} {} {}", event.type_name(), document["data"], document["attributes"])
    }

    /// Rows of `format | headers | payload => expected`.
    #[track_caller]
    fn check(table: &str) {
        for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let (message, expected) = row.split_once(" => ").unwrap();
            let [format, headers, payload] =
                message.splitn(3, '|').map(str::trim).collect::<Vec<_>>()[..]
            else {
                panic!("bad row: {row}");
            };
            let format = match format {
                "auto" => Format::Auto,
                "cloud" => Format::CloudEvents,
                "json" => Format::Json,
                "text" => Format::Text,
                "bytes" => Format::Bytes,
                other => panic!("no format {other}"),
            };
            let headers: Vec<_> =
                headers.split("; ").filter_map(|header| header.split_once(": ")).collect();
            assert_eq!(
                shown(&event(format, &headers, payload.as_bytes())),
                expected.trim(),
                "row: {row}"
            );
        }
    }

    #[test]
    fn plain_json() {
        check(
            r#"
            auto | | {"type":"Placed","id":"1","time":"2013-01-01T00:00:00+01:00","data":{"a":1}} => Placed 1 2012-12-31T23:00:00.000000Z {"a":1} {}
            json | | {"type":"Placed","id":"1","data":{"a":1}}       => Placed 1 - {"a":1} {}
            auto | | {"a":1}                                         => placed - - {"a":1} {}
            auto | | {"type":5,"id":true,"time":"today","data":[1]}  => placed - - {"type":5,"id":true,"time":"today","data":[1]} {}
            auto | | {"id":17.0}                                     => placed 17.0 - {"id":17.0} {}
            auto | nats-msg-id: m | {"id":"1"}                       => placed m - {"id":"1"} {}
            auto | | {"type":"a","type":"b","data":{"x":1,"x":2}}    => b - - {"x":2} {}
            "#,
        );
        check(
            r#"
            auto | | [1,2]       => placed - - [1,2] {}
            auto | | "text"      => placed - - "text" {}
            auto | | null        => placed - - null {}
            auto | | {"data":null} => placed - - {"data":null} {}
            auto | |             => placed - - null {}
            json | |             => placed - - null {}
            auto | | hello       => decode: not JSON: expected a value at byte 0
            auto | | {"a":1} x   => decode: not JSON: expected the end of the document at byte 8
            json | ce-specversion: 1.0 | {"specversion":"1.0","id":"9"} => placed 9 - {"specversion":"1.0","id":"9"} {}
            "#,
        );
    }

    #[test]
    fn escaped_names() {
        let escaped = event(Format::Auto, &[], br#"{"type":"a\u0062\"","id":"\n"}"#);
        assert_eq!((escaped.type_name(), escaped.id()), ("ab\"", Some("\n")));
    }

    #[test]
    fn text_and_bytes() {
        check(
            r#"
            text  | nats-msg-id: m | {"type":"x"} => placed m - "{\"type\":\"x\"}" {}
            text  | |                => placed - - null {}
            bytes | | a              => placed - - "YQ==" {}
            bytes | |                => placed - - null {}
            "#,
        );
        assert_eq!(shown(&event(Format::Bytes, &[], &[0xff])), r#"placed - - "/w==" {}"#);
        assert_eq!(
            shown(&event(Format::Text, &[], &[b'a', 0xff])),
            "decode: invalid UTF-8 at byte 1"
        );
        assert_eq!(
            shown(&event(Format::Auto, &[], b"{\"a\":\"\xff\"}")),
            "decode: invalid UTF-8 at byte 6"
        );
    }

    #[test]
    fn structured_cloud_events() {
        check(
            r#"
            auto  | | {"specversion":"1.0","id":"1","source":"/s","type":"T","data":{"a":1}} => T 1 - {"a":1} {"specversion":"1.0","id":"1","source":"/s","type":"T"}
            cloud | | {"specversion":"1.0","id":"1","source":"/s","type":"T","data":[1]}     => T 1 - [1] {"specversion":"1.0","id":"1","source":"/s","type":"T"}
            auto  | content-TYPE: Application/CloudEvents+JSON; charset=utf-8 | {"id":"1","source":"/s","type":"T","n":3} => T 1 - null {"id":"1","source":"/s","type":"T","n":3}
            auto  | | {"specversion":"1.0","id":"1","source":"/s","type":"T","time":"2018-04-05T17:31:00Z","data_base64":"AQI="} => T 1 2018-04-05T17:31:00.000000Z "AQI=" {"specversion":"1.0","id":"1","source":"/s","type":"T","time":"2018-04-05T17:31:00Z"}
            auto  | | {"specversion":"1.0","id":"1","id":"2","source":"/s","type":"T"} => T 2 - null {"specversion":"1.0","id":"2","source":"/s","type":"T"}
            auto  | | {"specversion":"1.0","source":"/s","type":"T"}           => decode: CloudEvent without the attribute id
            auto  | | {"specversion":"1.0","id":"1","type":"T"}                => decode: CloudEvent without the attribute source
            auto  | | {"specversion":"1.0","id":"1","source":"/s"}             => decode: CloudEvent without the attribute type
            auto  | | {"specversion":"1.0","id":1,"source":"/s","type":"T"}    => decode: CloudEvent attribute id is not a string
            auto  | | {"specversion":"1.0","id":"","source":"/s","type":"T"}   => decode: CloudEvent attribute id is empty
            auto  | | {"specversion":1}                                        => placed - - {"specversion":1} {}
            cloud | | {"a":1}                                                  => decode: not a CloudEvent: neither its headers nor its body has specversion
            cloud | |                                                          => placed - - null {}
            cloud | | [1                                                       => decode: not JSON: expected `,` or `]` at byte 2
            auto  | content-type: application/cloudevents+json | [1]           => decode: not a CloudEvent: expected an object
            auto  | content-type: application/cloudevents+json |               => placed - - null {}
            auto  | content-type: application/cloudevents-batch+json | []      => decode: content type application/cloudevents-batch+json: of structured CloudEvents, single ones in JSON are read
            auto  | | {"specversion":"1.0","id":"1","source":"/s","type":"T","data":1,"data_base64":"AQI="} => decode: CloudEvent with both data and data_base64
            auto  | | {"specversion":"1.0","id":"1","source":"/s","type":"T","data_base64":5} => decode: CloudEvent member data_base64 is not a string
            "#,
        );
    }

    #[test]
    fn binary_cloud_events() {
        check(
            r#"
            auto | CE-SpecVersion: 1.0; Ce-Type: T; cE-source: /s; CE-ID: 1; ce-TIME: 2018-04-05T17%3A31:00Z | 5 => T 1 2018-04-05T17:31:00.000000Z 5 {"id":"1","specversion":"1.0","type":"T","source":"/s","time":"2018-04-05T17:31:00Z"}
            auto | ce-specversion: 1.0; ce-type: T; ce-source: /s; ce-id: 1 | {"a":1}     => T 1 - {"a":1} {"id":"1","source":"/s","specversion":"1.0","type":"T"}
            auto | ce-specversion: 1.0; ce-type: T; ce-source: /s; ce-id: 1 |             => T 1 - null {"id":"1","source":"/s","specversion":"1.0","type":"T"}
            auto | ce-specversion: 1.0; ce-type: T; ce-source: /s; ce-id: 1 | oops        => decode: not JSON: expected a value at byte 0
            auto | ce-specversion: 1.0; ce-type: T; ce-source: /s; ce-id: 1; content-type: image/png | a => T 1 - "YQ==" {"id":"1","source":"/s","specversion":"1.0","type":"T","datacontenttype":"image/png"}
            auto | ce-specversion: 1.0; ce-type: Euro%20%E2%82%AC; ce-source: /s; ce-id: %22 | 5 => Euro € " - 5 {"id":"\"","source":"/s","specversion":"1.0","type":"Euro €"}
            auto | ce-specversion: 1.0; ce-type: T; ce-source: /s; ce-id: 1; content-type: text/plain; ce-subject: x | 5 => T 1 - "5" {"id":"1","source":"/s","specversion":"1.0","subject":"x","type":"T","datacontenttype":"text/plain"}
            cloud | ce-specversion: 1.0; ce-type: T; ce-source: /s | 5      => decode: CloudEvent without the attribute id
            auto | ce-specversion: 1.0; ce-type: T; ce-source: /s; ce-id: %FF | 5 => decode: CloudEvent attribute id is not UTF-8
            auto | ce-specversion: 1.0 |                                    => decode: CloudEvent without the attribute id
            auto | ce-type: T | 5                                           => placed - - 5 {}
            auto | ce-specversion: 1.0; ce-type: T; ce-source: /s; ce-id: 1; CE-ID: 2; ce-id: 3 | 5 => T 2 - 5 {"id":"2","source":"/s","specversion":"1.0","type":"T"}
            "#,
        );
    }

    #[test]
    fn documents_are_whole() {
        let found = event(
            Format::Auto,
            &[("b", "2"), ("a", "1"), ("b", "3"), ("A", "\u{1}\"\\")],
            b" {\"a\" : [ 1 , 2 ] } ",
        );
        assert_eq!(
            found.document_json(),
            r#"{"type":"placed","id":null,"time":"1970-01-01T00:00:00.000000Z","data":{"a":[1,2]},"subject":"shop.7.placed","tokens":["shop","7","placed"],"sequence":7,"stored_at":"1970-01-01T00:00:00.000000Z","headers":{"A":"\u0001\"\\","a":"1","b":"2"},"attributes":{}}"#
        );
    }

    #[test]
    fn too_large_is_not_looked_into() {
        let found = event(Format::Auto, &[], &[b' '; MAX + 1]);
        let reject = found.reject().unwrap();
        assert_eq!(reject.kind, RejectKind::TooLarge);
        assert_eq!(reject.detail, "1001 bytes, more than event_bytes_max = 1000");
        assert_eq!((found.type_name(), found.id(), found.time()), ("", None, found.stored_at()));
        assert_eq!(
            shown(&event(Format::Auto, &[], &[b'['; 300])),
            "decode: not JSON: nested deeper than 128 at byte 128"
        );
    }

    proptest! {
        /// Whatever a stream holds is an event or a reject, and shows as a JSON document.
        #[test]
        fn any_message_is_answered(
            payload in prop_oneof![
                any::<Vec<u8>>(),
                r#"\{"specversion":"1","id":"[a-z\\n]?","source":"s","type":"t","(data|data_base64)":["0-9a-z\[]{0,4}\}"#
                    .prop_map(String::into_bytes),
            ],
            headers in prop::collection::vec(
                (r"(?i:ce-id|ce-type|ce-source|ce-specversion|ce-time|content-type|nats-msg-id)|\PC{0,8}", r"(?i:application/cloudevents(\+json)?|text/plain)|\PC{0,12}"),
                0..8,
            ),
            format in prop::sample::select(vec![Format::Auto, Format::CloudEvents, Format::Json, Format::Text, Format::Bytes]),
        ) {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let found = event(format, &headers, &payload);
            let document: serde_json::Value = serde_json::from_str(&found.document_json()).unwrap();
            prop_assert_eq!(document.as_object().unwrap().len(), 10);
        }
    }
}
