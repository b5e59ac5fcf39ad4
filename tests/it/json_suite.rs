//! The inputs that JSON parsers disagree about, as messages: each is an event or a reject, as the table says.

// Shared with the fuzzing.
#[path = "../json_suite/mod.rs"]
pub mod suite;

use std::sync::Arc;

use viewd::event::chunk::{ChunkBuilder, Data, Event, Message};
use viewd::event::time::Timestamp;
use viewd::event::{Format, RejectKind, Sequence};

fn event(payload: &[u8]) -> Event {
    let mut builder = ChunkBuilder::new(Format::Json, 1 << 20);
    builder.push(Message {
        sequence: Sequence(1),
        stored_at: Timestamp(0),
        subject: "a.b",
        headers: [],
        payload,
    });
    Arc::new(builder.finish(Sequence(1))).events().next().unwrap()
}

#[test]
fn each_is_accepted_or_refused_as_the_table_says() {
    let cases = suite::cases();
    assert_eq!(cases.len(), 340);
    let mut wrong = Vec::new();
    for case in &cases {
        let event = event(&case.input);
        // No payload at all is an event without data (a tombstone), not bad JSON.
        let accepted = event.reject().is_none() && !case.input.is_empty();
        if accepted != case.accepted {
            wrong.push(format!("{}: accepted {accepted}", case.name));
        }
        if let Some(reject) = event.reject() {
            assert_eq!(reject.kind, RejectKind::Decode, "{}", case.name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_accepted_keeps_its_text() {
    for (input, shown) in [
        ("[1.000000000000000005]", "[1.000000000000000005]"),
        ("[10000000000000000999]", "[10000000000000000999]"),
        ("[1E-999]", "[1E-999]"),
        ("[-0]", "[-0]"),
        (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
        (r#"["A\u0000B"]"#, r#"["A\u0000B"]"#),
        ("{\"\u{e9}\":\"NFC\",\"e\u{301}\":\"NFD\"}", "{\"\u{e9}\":\"NFC\",\"e\u{301}\":\"NFD\"}"),
    ] {
        let event = event(input.as_bytes());
        assert!(matches!(event.data(), Data::Json(_)), "{input}");
        assert!(event.document_json().contains(&format!(r#""data":{shown},"#)), "{input}");
    }
}
