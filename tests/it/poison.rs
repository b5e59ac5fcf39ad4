//! Messages that drop the connection of whoever reads them: set aside with the reason, and everything else is read.

use std::sync::Arc;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use viewd::expression::{Expression, Scope};
use viewd::source::Position;

use crate::daemon::Site;
use crate::nats::{Server, create_stream, publish_numbers};
use crate::reading::Rig;

/// Headers that the client does not read, and what is said of them. The last one ends the client's own task.
const MALFORMED: [(&[u8], &str); 6] = [
    (b"NATS/1.0\r\nName: caf\xe9\r\n\r\n", "byte 19 is not UTF-8"),
    (b"NATS/1.0\r\nA name: x\r\n\r\n", "line 2 has a name with a character"),
    (b"NATS/1.0\r\nGood: x\r\nno colon\r\n\r\n", "line 3 has no colon: \"no colon\""),
    (b"NATS/1.0\r\nA: b\r\n\xc3\xa9: c\r\n\r\n", "line 3 has a name with a character"),
    (b"NATS/2.0\r\nA: b\r\n\r\n", "not with `NATS/1.0`"),
    (b"NATS/1.0\r\nA: b\rc\r\n\r\n", "a carriage return in the value of \"A\""),
];

/// A publisher that sends whatever it is told, as no client would.
struct Raw(BufReader<TcpStream>);

impl Raw {
    async fn connect(server: &Server) -> Self {
        let stream = TcpStream::connect(server.url().trim_start_matches("nats://")).await.unwrap();
        let mut raw = Self(BufReader::new(stream));
        raw.0.write_all(b"CONNECT {\"headers\":true,\"verbose\":false}\r\n").await.unwrap();
        raw
    }

    async fn publish(&mut self, subject: &str, headers: &[u8], payload: &str) {
        let (header, total) = (headers.len(), headers.len() + payload.len());
        let mut sent = format!("HPUB {subject} {header} {total}\r\n").into_bytes();
        sent.extend_from_slice(headers);
        sent.extend_from_slice(payload.as_bytes());
        sent.extend_from_slice(b"\r\n");
        self.0.write_all(&sent).await.unwrap();
    }

    /// Waits until the server has taken everything.
    async fn flush(&mut self) {
        self.0.write_all(b"PING\r\n").await.unwrap();
        let mut line = String::new();
        while line != "PONG\r\n" {
            line.clear();
            assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "the server hung up");
            assert!(!line.starts_with("-ERR"), "{line}");
        }
    }
}

/// Publishes `{"n":N}` on `s.a` and `s.b` in turn, from 1 on: good ones, and malformed ones where the pattern says `P`.
async fn publish_pattern(server: &Server, pattern: &str) {
    let mut raw = Raw::connect(server).await;
    let mut malformed = MALFORMED.iter().cycle();
    for (n, letter) in (1..).zip(pattern.chars()) {
        let headers = match letter {
            'P' => malformed.next().unwrap().0,
            _ => b"NATS/1.0\r\nH: v\r\n\r\n",
        };
        let subject = if n % 2 == 1 { "s.a" } else { "s.b" };
        raw.publish(subject, headers, &format!("{{\"n\":{n}}}")).await;
    }
    raw.flush().await;
}

/// The places of a letter in a pattern, as sequences.
fn places(pattern: &str, letter: char) -> Vec<u64> {
    (1..).zip(pattern.chars()).filter(|(_, found)| *found == letter).map(|(n, _)| n).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_set_aside_wherever_they_lie() {
    let identity = Arc::new(Expression::compile(".", Scope::TRANSFORM).unwrap());
    for (pattern, filters, transform) in [
        ("gggPgg", &[][..], None),
        ("P", &[], None),
        ("PPPPPPg", &["s.*"], Some(&identity)),
        ("gPggPPPPgggggP", &["s.a", "s.b"], None),
        ("gPggggPPPP", &[">"], Some(&identity)),
    ] {
        let rig = Rig::new().await;
        publish_pattern(&rig.server, pattern).await;
        let last = pattern.len() as u64;
        let mut reading = rig
            .read_as(filters, Position::default(), |settings| {
                settings.transform = transform.cloned();
            })
            .await;
        reading.take_to(last);
        // And what comes later, good and not, at the head.
        publish_numbers(&rig.client, "s.a", last + 1..=last + 1).await;
        reading.take_to(last + 1);
        let mut raw = Raw::connect(&rig.server).await;
        raw.publish("s.b", MALFORMED[0].0, "live").await;
        raw.flush().await;
        reading.take_to(last + 2);
        publish_numbers(&rig.client, "s.a", last + 3..=last + 3).await;
        reading.take_to(last + 3);

        let mut good = places(pattern, 'g');
        good.extend([last + 1, last + 3]);
        assert_eq!(reading.seen, good, "{pattern}");
        let mut malformed = places(pattern, 'P');
        malformed.push(last + 2);
        let rejected: Vec<_> = reading.rejects.iter().map(|reject| reject.sequence).collect();
        assert_eq!(rejected, malformed, "{pattern}");
        for (reject, (_, expected)) in reading.rejects.iter().zip(MALFORMED.iter().cycle()) {
            if reject.sequence <= last {
                assert!(reject.reason.contains(expected), "{expected}: {}", reject.reason);
                assert_eq!(reject.payload, format!("{{\"n\":{}}}", reject.sequence).as_bytes());
            }
            assert!(reject.reason.starts_with("malformed headers: "), "{}", reject.reason);
        }
        // Anchors of what was read one by one verify like others.
        let position = reading.stop().await;
        publish_numbers(&rig.client, "s.b", last + 4..=last + 4).await;
        let mut reading = rig.read_from(filters, position).await;
        reading.take_to(last + 4);
        assert_eq!(reading.seen, [last + 4], "{pattern}");
        reading.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn among_many_messages_and_deletions() {
    for filters in [&["s.a", "s.b"][..], &[]] {
        let rig = Rig::new().await;
        // Rows of them, single ones, and a part of the stream that the filters pass over.
        let pattern =
            "g".repeat(3_000) + &"P".repeat(300) + &"g".repeat(150) + "P" + &"g".repeat(2_000);
        publish_pattern(&rig.server, &pattern).await;
        let last = pattern.len() as u64;
        for gone in [1_000, 2_999, 3_100, 3_452, last] {
            rig.stream().await.delete_message(gone).await.unwrap();
        }
        let mut reading = rig.read_from(filters, Position::default()).await;
        reading.take_to(last);
        let kept = |numbers: Vec<u64>| {
            let gone = [1_000, 2_999, 3_100, 3_452, last];
            numbers.into_iter().filter(|n| !gone.contains(n)).collect::<Vec<_>>()
        };
        assert_eq!(reading.seen, kept(places(&pattern, 'g')));
        let rejected: Vec<_> = reading.rejects.iter().map(|reject| reject.sequence).collect();
        assert_eq!(rejected, kept(places(&pattern, 'P')));
        reading.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_filter_passes_over_is_not_set_aside() {
    let rig = Rig::new().await;
    // Those on `s.b` are malformed.
    publish_pattern(&rig.server, "gPgPgPgPgP").await;
    let mut reading = rig.read_from(&["s.a"], Position::default()).await;
    reading.take_to(10);
    assert_eq!(reading.seen, [1, 3, 5, 7, 9]);
    assert_eq!(reading.rejects.len(), 0);
    reading.assert_undisturbed();
    reading.stop().await;
}

/// A subject with a space of another script is split by the client, if there are headers: it is no fault of the message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_well_formed_is_read_the_other_way() {
    let rig = Rig::new().await;
    let mut raw = Raw::connect(&rig.server).await;
    raw.publish("s.a", b"NATS/1.0\r\nH: 1\r\n\r\n", "{\"n\":1}").await;
    raw.publish("s.b\u{2003}c", b"NATS/1.0\r\nH: 2\r\n\r\n", "{\"n\":2}").await;
    raw.publish("s.a", b"NATS/1.0\r\nH: 3\r\n\r\n", "{\"n\":3}").await;
    raw.flush().await;
    let mut reading = rig.read().await;
    reading.take_to(3);
    reading.saw_all_to(3);
    reading.stop().await;
}

const DEFINITION: &str = r#"
source = "s"
[policy]
on_error = "park"
[tables.t]
key = ["n"]
columns.n = "integer"
columns.h = "text"
[[on]]
event  = "*"
upsert = "t"
key.n = ".data.n"
set.h = ".headers.H"
"#;

fn sources(order_key: &str) -> String {
    format!("[sources.s]\nstream = \"S\"\n{order_key}")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_lists_them_and_goes_on() {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "S", &["s.>"], |_| {}).await;
    publish_pattern(&server, "ggPgPg").await;
    // Two that read the same, so that a reader they share meets one as well.
    let definitions = [("p", DEFINITION), ("q", DEFINITION)];
    let site = Site::new(&server, &sources("order_key = \".tokens[1]\""), &definitions);
    let daemon = site.start(&[]);
    daemon.reaches("p", 6);
    daemon.reaches("q", 6);
    let mut raw = Raw::connect(&server).await;
    raw.publish("s.c", MALFORMED[2].0, "live").await;
    raw.publish("s.d", b"NATS/1.0\r\nH: v\r\n\r\n", "{\"n\":8}").await;
    raw.flush().await;
    daemon.reaches("p", 8);
    daemon.reaches("q", 8);
    let view = site.view("p");
    let mut statement = view
        .prepare("SELECT sequence, state, reason, CAST(payload AS text), headers, order_key FROM _viewd_dead_letters ORDER BY sequence")
        .unwrap();
    let rows = statement.query_map((), |row| {
        let text = |column| row.get::<_, Option<String>>(column).map(Option::unwrap_or_default);
        Ok((row.get::<_, i64>(0)?, text(1)?, text(2)?, text(3)?, text(4)?, text(5)?))
    });
    let rows: Vec<_> = rows.unwrap().map(Result::unwrap).collect();
    let dead: Vec<_> = rows.iter().filter(|row| row.1 == "dead").map(|row| row.0).collect();
    assert_eq!(dead, [3, 7], "{rows:?}");
    let (_, _, reason, payload, headers, _) = rows.iter().find(|row| row.0 == 7).unwrap();
    assert_eq!(reason, "malformed headers: line 3 has no colon: \"no colon\"");
    assert_eq!(payload, "live");
    let headers: Value = serde_json::from_str(headers).unwrap();
    assert_eq!(headers["Good"], "x");
    // Its key is the subject's, which can be read: what follows under it waits, good or not.
    let counts = site.counts("p");
    assert_eq!((counts.applied, counts.dead_lettered, counts.parked), (5, 2, 1), "{rows:?}");
    assert_eq!(site.counts("q"), counts);
    assert!(daemon.terminate().success());
    // A rebuild from the stream gives the same.
    let again = Site::new(&server, &sources("order_key = \".tokens[1]\""), &[("p", DEFINITION)]);
    again.catch_up(&[]);
    assert_eq!(again.counts("p"), counts);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_show_them() {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "S", &["s.>"], |_| {}).await;
    publish_pattern(&server, &("ggPgPPg".to_owned() + &"g".repeat(200) + "P")).await;
    let site = Site::new(&server, &sources(""), &[("p", DEFINITION)]);
    for (arguments, shown, malformed) in [
        (&["events", "s", "--from", "1", "--count", "300"][..], 208, &[3_u64, 5, 6, 208][..]),
        (&["events", "s", "--from", "6", "--count", "300"], 203, &[6, 208]),
        (&["events", "s", "--last", "3"], 3, &[208]),
        (&["events", "s", "--last", "205", "--subject", "s.a"], 104, &[3, 5]),
    ] {
        let output = site.run(arguments, &[]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let out = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<Value> =
            out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), shown, "{arguments:?}");
        let found: Vec<_> = lines.iter().filter(|line| line.get("error").is_some()).collect();
        let sequences: Vec<_> =
            found.iter().map(|line| line["sequence"].as_u64().unwrap()).collect();
        assert_eq!(sequences, malformed, "{arguments:?}");
        for line in found {
            let error = line["error"].as_str().unwrap();
            assert!(error.starts_with("malformed headers: "), "{error}");
        }
    }
    let output = site.run(&["try", "p", "--last", "208"], &[]);
    let out = String::from_utf8(output.stdout).unwrap();
    assert_eq!(out.matches("malformed headers: ").count(), 4, "{out}");
}
