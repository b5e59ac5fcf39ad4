//! What somebody may send to hurt: each is answered in bounded time, and the daemon goes on.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use serde_json::Value;

use super::{NAME, filled, found, search};
use crate::daemon::DEADLINE;

/// Each text that is searched for, and what it comes to: a refusal that says this, or an answer.
fn attacks() -> Vec<(&'static str, String, Option<&'static str>)> {
    let nested = |open: &str, close: &str, times: usize| {
        format!("{}ada{}", open.repeat(times), close.repeat(times))
    };
    vec![
        ("parentheses", nested("(", ")", 10_000), Some("bytes")),
        ("parentheses that fit", nested("(", ")", 1_000), Some("deep")),
        ("parentheses left open", "(".repeat(1_500), Some("deep")),
        ("parentheses closed only", ")".repeat(2_000), None),
        ("a chain of NOT", "NOT ".repeat(500) + "ada", None),
        ("a chain of minus", "-".repeat(2_000) + "ada", None),
        ("a huge OR", vec!["a"; 400].join(" OR "), Some("64")),
        ("many words", vec!["ada"; 300].join(" "), Some("64")),
        ("many beginnings", vec!["a*"; 60].join(" OR "), Some("16")),
        ("a regular expression", "/(a+)+$/".to_owned(), Some("regular expression")),
        ("every row by a star", "*".to_owned(), None),
        ("a reserved field", "_key:ada".to_owned(), Some("_key")),
        ("a range", "total:[1 TO 2]".to_owned(), None),
        ("a boost", "ada^1e38".to_owned(), None),
        ("quotes left open", "\"".repeat(2_001), None),
        ("control characters", "\u{0}\u{1}\u{7f}\u{200b}\u{feff}".to_owned(), None),
        ("marks upon marks", "a\u{301}".repeat(600), None),
        ("one long word", "a".repeat(2_048), None),
        ("a byte too many", "a".repeat(2_049), Some("bytes")),
        ("a word with many faults", "aaaaaaaaaaaaaaaaaaaaaaaaaaa~1".to_owned(), None),
        ("SQL", "'; DROP TABLE orders; --".to_owned(), None),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_are_refused_or_answered_in_bounded_time() {
    let (rig, daemon) = filled().await;
    let path = format!("/v1/projections/{NAME}/search/orders");
    for (what, text, refusal) in attacks() {
        let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        let begun = Instant::now();
        // Percent signs triple it: what no query may be does not come through the door either.
        let fits = encoded.len() < 15_000;
        let (code, body) = daemon.get(&format!("{path}?_q={encoded}&_highlight=true"));
        assert!(begun.elapsed() < DEADLINE, "{what}: {:?}", begun.elapsed());
        let (wanted, said) = match refusal {
            _ if !fits => (431, ""),
            Some(said) => (400, said),
            None => (200, ""),
        };
        assert_eq!(code, wanted, "{what}: {body}");
        assert!(body.contains(said), "{what}: {body}");
        if code == 400 {
            let problem: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(problem["code"], "bad-query", "{what}: {body}");
        }
    }
    // As a command, of what a command line can hold.
    let held = |text: &str| !text.contains('\0') && !text.starts_with('-');
    for (what, text, refusal) in attacks().into_iter().filter(|(_, text, _)| held(text)) {
        let code = if refusal.is_some() { 2 } else { 0 };
        let output = rig.site.run(&["search", NAME, "orders", &text], &[]);
        assert_eq!(output.status.code(), Some(code), "{what}: {output:?}");
    }
    assert_eq!(found(&search(&rig, &["orders", "lovelace"])), ["eu1"]);
}

/// Files are mapped: what rots below the file system is seen by the next search, and may be anything.
#[tokio::test(flavor = "multi_thread")]
async fn damage_below_a_running_daemon_ends_no_more_than_the_search() {
    let (rig, daemon) = filled().await;
    let folder = rig.site.path("data").join(NAME).join("current/search/orders");
    let mut refused = 0;
    for kind in ["term", "fast", "idx", "pos"] {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == kind) {
                let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
                let length = usize::try_from(file.metadata().unwrap().len()).unwrap();
                file.write_all(&vec![0xff; length]).unwrap();
            }
        }
        let query = "_q=%22blue+shirts%22+OR+ad*&_order=status&_highlight=true&_facets=status";
        let (code, body) =
            daemon.get(&format!("/v1/projections/{NAME}/search/orders?{query}&_total=true"));
        assert!(matches!(code, 200 | 503 | 504), "{kind}: {code} {body}");
        if code == 503 {
            let problem: Value = serde_json::from_str(&body).unwrap();
            assert_eq!(problem["code"], "index-unavailable", "{kind}: {body}");
            refused += 1;
            // It is made again from here on.
            break;
        }
    }
    assert!(refused > 0, "no damage was seen");
    assert_eq!(daemon.get("/livez").0, 200);
    crate::wait::until("the index", DEADLINE, || {
        let found = daemon.get(&format!("/v1/projections/{NAME}/search/orders?_q=lovelace"));
        (found.0 == 200 && found.1.contains("Lovelace")).then_some(())
    });
    assert_eq!(found(&search(&rig, &["notes", "trousers"])), ["us1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn oversized_and_broken_requests_harm_nobody() {
    let (rig, daemon) = filled().await;
    let socket = rig.site.path("data/admin.sock");
    let send = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.set_write_timeout(Some(DEADLINE)).unwrap();
        // It may be refused before it is all sent.
        let _ = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    };
    let request = |query: &str| {
        format!(
            "GET /v1/projections/{NAME}/search/orders?{query} HTTP/1.1\r\nHost: v\r\nConnection: close\r\n\r\n"
        )
    };
    let megabyte = send(request(&format!("_q={}", "a".repeat(1 << 20))).as_bytes());
    assert!(megabyte.is_empty() || megabyte.starts_with("HTTP/1.1 4"), "{megabyte}");
    let conditions = "status=eq.paid&".repeat(150);
    let many = send(request(&conditions).as_bytes());
    assert!(many.starts_with("HTTP/1.1 400") && many.contains("bad-filter"), "{many}");
    let nested = format!("_or={}status.eq.paid{}", "(or".repeat(500), ")".repeat(500));
    let nested = send(request(&nested).as_bytes());
    assert!(nested.starts_with("HTTP/1.1 400") && nested.contains("bad-filter"), "{nested}");
    let invalid = send(request("_q=%c3%28").as_bytes());
    assert!(invalid.starts_with("HTTP/1.1 400") && invalid.contains("bad-query"), "{invalid}");
    assert!(send(b"GET /\xff\xfe HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 4"));
    assert_eq!(daemon.get("/livez").0, 200);
    assert_eq!(found(&search(&rig, &["orders", "lovelace"])), ["eu1"]);
}
