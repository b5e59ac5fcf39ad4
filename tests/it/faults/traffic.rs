//! What streams hold as a matter of course: messages that were deleted, rolled up, expired or replaced, markers,
//! batches, counters, schedules and empty payloads. None of it is a gap, and every message is applied that was there.
//!
//! One server and one daemon, and a stream a case. While the daemon follows, it applies every message, those included
//! that go later; a second daemon that comes afterwards applies what is left, as the server itself lists it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap};
use viewd::clock;
use viewd::event::time::Timestamp;
use viewd::status::State;

use super::Change;
use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, publish, publish_with_headers};
use crate::wait;

const DEFINITION: &str = r#"
source = "NAME"

[tables.log]
key = ["sequence"]
columns.sequence = "integer"
columns.subject  = "text"
columns.data     = "text"
columns.times    = "integer"

[[on]]
event        = "*"
upsert       = "log"
key.sequence = ".sequence"
set.subject  = ".subject"
set.data     = ".data"
add.times    = 1
"#;

/// The cases, and how their streams differ from an ordinary one.
const CASES: [(&str, Change); 9] = [
    ("deletes", |_| {}),
    ("subjects", |config| config.max_messages_per_subject = 2),
    ("rollups", |config| config.allow_rollup = true),
    ("bucket", |config| {
        config.max_messages_per_subject = 3;
        config.allow_rollup = true;
        config.deny_delete = true;
        config.discard = stream::DiscardPolicy::New;
    }),
    ("expiry", |config| {
        config.allow_message_ttl = true;
        config.subject_delete_marker_ttl = Some(Duration::from_secs(1));
        config.allow_rollup = true;
    }),
    ("batches", |config| config.allow_atomic_publish = true),
    ("empty", |_| {}),
    ("counters", |config| config.allow_message_counter = true),
    ("schedules", |config| config.allow_message_schedules = true),
];

/// Between two questions to the server.
const PAUSE: Duration = Duration::from_millis(20);

/// What was applied of a message, or is to be: its subject and its payload.
type Applied = BTreeMap<u64, (String, Option<String>)>;

#[tokio::test(flavor = "multi_thread")]
async fn what_streams_hold_as_a_matter_of_course_is_no_gap() {
    let server = Server::start();
    let client = server.client().await;
    let mut sources = String::new();
    let mut definitions = Vec::new();
    for (name, change) in CASES {
        create_stream(&client, name, &[&format!("{name}.>")], change).await;
        sources += &format!("[sources.{name}]\nstream = \"{name}\"\nformat = \"text\"\n");
        definitions.push((name, DEFINITION.replace("NAME", name)));
    }
    let definitions: Vec<_> =
        definitions.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let site = Site::new(&server, &sources, &definitions);
    let daemon = site.start(&[]);

    for (name, _) in CASES {
        let stream = jetstream::new(client.clone()).get_stream(name).await.unwrap();
        let published = Applied::new();
        let mut case = Case { name, client: &client, stream, daemon: &daemon, published };
        match name {
            "deletes" => case.deletes().await,
            "subjects" => case.subjects().await,
            "rollups" => case.rollups().await,
            "bucket" => case.bucket().await,
            "expiry" => case.expiry().await,
            "batches" => case.batches().await,
            "empty" => case.empty().await,
            "counters" => case.counters().await,
            "schedules" => case.schedules().await,
            _ => unreachable!("{name}"),
        }
        check(&daemon, &site, name, &case.published);
    }

    // Nothing of it is a gap for a daemon that was away at the end, and nothing for one that comes now.
    assert!(daemon.terminate().success());
    let daemon = site.start(&[]);
    let newcomers = Site::new(&server, &sources, &definitions);
    let newcomer = newcomers.start(&[]);
    for (name, _) in CASES {
        live(&daemon, name);
        let stream = jetstream::new(client.clone()).get_stream(name).await.unwrap();
        check(&newcomer, &newcomers, name, &held(&stream).await);
    }
}

/// A key that is written faster than it is read: each value replaces the one before, first of the stream or not.
#[tokio::test(flavor = "multi_thread")]
async fn a_busy_key_of_a_bucket_is_no_gap() {
    const VALUES: u64 = 20_000;
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "hot", &["hot.>"], |config| config.max_messages_per_subject = 1).await;
    let definition = DEFINITION.replace("NAME", "hot");
    let sources = "[sources.hot]\nstream = \"hot\"\nformat = \"text\"";
    let site = Site::new(&server, sources, &[("hot", &definition)]);
    let values = |values: std::ops::RangeInclusive<u64>| {
        let values = values.map(|n| ("hot.a".to_owned(), n.to_string().into_bytes()));
        publish(&client, values)
    };
    // The last value of each key is what a bucket promises.
    let holds = |daemon: &Daemon, last: u64| {
        daemon.reaches("hot", last);
        live(daemon, "hot");
        let newest = "SELECT data FROM log ORDER BY sequence DESC LIMIT 1";
        let newest: String = site.view("hot").query_row(newest, (), |row| row.get(0)).unwrap();
        assert_eq!(newest, last.to_string());
    };
    let daemon = site.start(&[]);
    live(&daemon, "hot");
    values(1..=VALUES).await;
    holds(&daemon, VALUES);
    drop(daemon);
    values(VALUES + 1..=VALUES + 100).await;
    holds(&site.start(&[]), VALUES + 100);
}

/// One stream, as it is being used.
struct Case<'a> {
    name: &'static str,
    client: &'a Client,
    stream: stream::Stream,
    daemon: &'a Daemon,
    /// Everything that the stream has ever held.
    published: Applied,
}

impl Case<'_> {
    async fn deletes(&mut self) {
        for n in 0..10 {
            self.put("a", &[], &n.to_string()).await;
            self.put("b", &[], &n.to_string()).await;
        }
        // In the middle, at the end, and at the beginning.
        for sequence in [7, 8, 20, 1, 2] {
            assert!(self.stream.delete_message(sequence).await.unwrap());
        }
        self.put("a", &[], "behind a hole").await;
        self.stream.purge().filter(format!("{}.a", self.name)).await.unwrap();
        self.put("b", &[], "behind a purge of its neighbour").await;
        let last = self.put("b", &[], "deleted as the last one").await;
        assert!(self.stream.delete_message(last).await.unwrap());
    }

    async fn subjects(&mut self) {
        for n in 0..30 {
            self.put(&format!("k{}", n % 3), &[], &n.to_string()).await;
        }
        self.put("once", &[], "stays").await;
        for n in 0..5 {
            self.put("k0", &[], &n.to_string()).await;
        }
    }

    async fn rollups(&mut self) {
        for n in 0..6 {
            self.put(if n % 2 == 0 { "a" } else { "b" }, &[], &n.to_string()).await;
        }
        // The first two of the stream go with it.
        self.put("a", &[("Nats-Rollup", "sub")], "all of a").await;
        self.put("b", &[], "more").await;
        self.put("b", &[("Nats-Rollup", "all")], "all of all").await;
        assert_eq!(self.stream.get_info().await.unwrap().state.messages, 1);
        self.put("a", &[], "again").await;
    }

    /// What clients of key-value buckets send.
    async fn bucket(&mut self) {
        for n in 0..5 {
            for key in ["a", "b", "c"] {
                self.put(key, &[], &n.to_string()).await;
            }
        }
        self.put("a", &[("KV-Operation", "DEL")], "").await;
        self.put("b", &[("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")], "").await;
        self.put("a", &[], "put again").await;
        self.put("c", &[("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")], "").await;
    }

    async fn expiry(&mut self) {
        self.put("stays", &[], "1").await;
        self.put("goes", &[("Nats-TTL", "1s")], "2").await;
        let last = self.put("stays", &[], "3").await;
        // The server says that it went, and the word itself goes after a while.
        self.comes(last + 1).await;
        self.published.insert(last + 1, (format!("{}.goes", self.name), None));
        self.daemon.reaches(self.name, last + 1);
        let begun = Instant::now();
        while self.stream.get_info().await.unwrap().state.messages > 2 {
            assert!(begun.elapsed() < DEADLINE);
            wait::pass(PAUSE);
        }
        self.put("stays", &[], "5").await;
    }

    async fn batches(&mut self) {
        self.put("a", &[], "before").await;
        for (batch, size) in [("first", 1), ("second", 50)] {
            let before = self.stream.get_info().await.unwrap().state.last_sequence;
            for n in 1..=size {
                let number = n.to_string();
                let mut headers = vec![("Nats-Batch-Id", batch), ("Nats-Batch-Sequence", &number)];
                if n == size {
                    headers.push(("Nats-Batch-Commit", "1"));
                }
                let subject = format!("{}.{batch}", self.name);
                let sent = self.client.request_with_headers(
                    subject.clone(),
                    header_map(&headers),
                    number.clone().into(),
                );
                let answer = sent.await.unwrap().payload;
                assert!(!String::from_utf8_lossy(&answer).contains("error"), "{answer:?}");
                self.published.insert(before + n, (subject, Some(number)));
            }
            self.daemon.reaches(self.name, before + size);
        }
        // One that is never committed leaves no trace.
        let headers = header_map(&[("Nats-Batch-Id", "third"), ("Nats-Batch-Sequence", "1")]);
        let subject = format!("{}.third", self.name);
        self.client.request_with_headers(subject, headers, "1".into()).await.unwrap();
        self.put("a", &[], "after").await;
    }

    async fn empty(&mut self) {
        self.put("a", &[], "").await;
        self.put("a", &[("X", "y")], "").await;
        self.put("a", &[], "full").await;
        self.put("a", &[], "").await;
    }

    async fn counters(&mut self) {
        for increment in ["+1", "+41", "-2"] {
            let subject = format!("{}.a", self.name);
            let headers = header_map(&[("Nats-Incr", increment)]);
            let last = publish_with_headers(self.client, [(subject, headers, Vec::new())]).await;
            self.take(last).await;
        }
        // The server writes the sum.
        assert_eq!(self.published[&3].1.as_deref(), Some(r#"{"val":"40"}"#));
    }

    async fn schedules(&mut self) {
        self.put("a", &[], "before").await;
        let target = format!("{}.target", self.name);
        let soon = Timestamp(clock::now().0 + 1_000_000).text();
        let at = format!("@at {}", &*soon);
        let headers = [("Nats-Schedule", at.as_str()), ("Nats-Schedule-Target", &target)];
        let schedule = self.put("schedule", &headers, "tick").await;
        self.comes(schedule + 1).await;
        self.take(schedule + 1).await;
        assert_eq!(self.published[&(schedule + 1)], (target, Some("tick".to_owned())));
        self.put("a", &[], "after").await;
    }

    /// Publishes, and waits until the daemon has applied it.
    async fn put(&mut self, token: &str, headers: &[(&str, &str)], payload: &str) -> u64 {
        let subject = format!("{}.{token}", self.name);
        let message = (subject.clone(), header_map(headers), payload.as_bytes().to_vec());
        let sequence = publish_with_headers(self.client, [message]).await;
        let payload = (!payload.is_empty()).then(|| payload.to_owned());
        self.published.insert(sequence, (subject, payload));
        self.daemon.reaches(self.name, sequence);
        sequence
    }

    /// Waits for a message that the server makes.
    async fn comes(&self, sequence: u64) {
        let begun = Instant::now();
        while self.stream.get_info().await.unwrap().state.last_sequence < sequence {
            assert!(begun.elapsed() < DEADLINE, "{}: no message {sequence}", self.name);
            wait::pass(PAUSE);
        }
    }

    /// Reads what the server has made of a message, and waits until the daemon has applied it.
    async fn take(&mut self, sequence: u64) {
        let message = stored(&self.stream, sequence).await.unwrap();
        self.published.insert(sequence, message);
        self.daemon.reaches(self.name, sequence);
    }
}

/// Waits until nothing is pending, and compares what was applied.
#[track_caller]
fn check(daemon: &Daemon, site: &Site, name: &str, expected: &Applied) {
    live(daemon, name);
    let view = site.view(name);
    let mut rows = view.prepare("SELECT sequence, subject, data, times FROM log").unwrap();
    let rows = rows.query_map((), |row| {
        assert_eq!(row.get::<_, i64>(3)?, 1, "{name}: applied once");
        Ok((row.get::<_, i64>(0)?.unsigned_abs(), (row.get(1)?, row.get(2)?)))
    });
    let rows: Applied = rows.unwrap().map(Result::unwrap).collect();
    assert_eq!(rows, *expected, "{name}");
    let counts = site.counts(name);
    let count = expected.len() as u64;
    assert_eq!((counts.applied, counts.sum()), (count, count), "{name}");
}

#[track_caller]
fn live(daemon: &Daemon, name: &str) {
    wait::until(&format!("{name} live"), DEADLINE, || {
        let report = daemon.projection(name);
        assert_ne!(report.state, State::Failed, "{report:?}");
        (report.state == State::Live && report.pending_messages == Some(0)).then_some(())
    });
    let report = daemon.projection(name);
    assert_eq!((report.reason, report.missed_sequences), (None, 0), "{report:?}");
}

/// What a stream holds, by the server's own word.
async fn held(stream: &stream::Stream) -> Applied {
    let mut held = Applied::new();
    for sequence in 1..=stream.get_info().await.unwrap().state.last_sequence {
        held.extend(stored(stream, sequence).await.map(|message| (sequence, message)));
    }
    held
}

async fn stored(stream: &stream::Stream, sequence: u64) -> Option<(String, Option<String>)> {
    let message = stream.get_raw_message(sequence).await.ok()?;
    let payload = String::from_utf8(message.payload.to_vec()).unwrap();
    Some((message.subject.to_string(), (!payload.is_empty()).then_some(payload)))
}

fn header_map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    headers.iter().for_each(|(name, value)| map.insert(*name, *value));
    map
}
