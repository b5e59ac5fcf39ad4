//! Messages of every bad kind, through a real server into the real daemon: each is a dead letter whose reason names
//! the place, or is applied as documented, the events around it are applied, and the process never ends by it.

mod cases;

use async_nats::HeaderMap;
use rusqlite::types::Value;
use viewd::status::{Projection, Reason, State};

use self::cases::{Case, DEFINITION, Fate, applied, rule_breaking, undecodable};
use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, publish_with_headers};
use crate::wait;

const SOURCES: &str = "[sources.bad]\nstream = \"BAD\"";
const SETTINGS: &[&str] = &["limits.event_bytes_max=900000"];

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_message_is_a_dead_letter_or_applied_and_the_daemon_goes_on() {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "BAD", &["bad.>"], |_| {}).await;
    let site = Site::new(&server, SOURCES, &[("bad", DEFINITION)]);
    let daemon = site.start(SETTINGS);

    // Each case between two good events, while the daemon follows.
    let cases: Vec<Case> =
        undecodable().into_iter().chain(rule_breaking()).chain(applied()).collect();
    let mut sequences = Vec::new();
    for (number, case) in cases.iter().enumerate() {
        let good = format!("{{\"type\":\"Put\",\"data\":{{\"id\":{},\"n\":1}}}}", 1_000 + number)
            .into_bytes();
        let messages = [
            ("bad.Put".to_owned(), HeaderMap::new(), good),
            (format!("bad.{}", case.token), headers(case.headers), case.payload.clone()),
        ];
        sequences.push(publish_with_headers(&client, messages).await);
    }
    let overflow = [("1", i64::MAX), ("1", 1), ("1", -1)].map(|(id, n)| {
        let event = format!("{{\"type\":\"Sum\",\"data\":{{\"id\":{id},\"n\":{n}}}}}");
        ("bad.Sum".to_owned(), HeaderMap::new(), event.into_bytes())
    });
    let last = publish_with_headers(&client, overflow).await;
    daemon.reaches("bad", last);

    let view = site.view("bad");
    let mut wrong = Vec::new();
    for (case, &sequence) in cases.iter().zip(&sequences) {
        if let Some(problem) = problem(&view, case, sequence) {
            wrong.push(format!("{}: {problem}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // A sum past 64 bits: the event that would do it is set aside, the ones around it count.
    let sum: i64 = view.query_row("SELECT sum FROM sums", (), |row| row.get(0)).unwrap();
    assert_eq!(sum, i64::MAX - 1);
    let reason = dead_letter(&view, last - 1).unwrap().reason;
    assert!(reason.contains("out_of_range") && reason.contains("`sums.sum`"), "{reason}");

    let good: i64 = view
        .query_row("SELECT count(*) FROM rows WHERE id >= 1000 AND n = 1", (), |row| row.get(0))
        .unwrap();
    assert_eq!(good, cases.len() as i64, "good events");
    let dead = cases.iter().filter(|case| matches!(case.fate, Fate::Dead(_))).count() as u64 + 1;
    let report = daemon.projection("bad");
    assert_eq!((report.counts.dead_lettered, report.dead_letters), (dead, dead));
    assert_eq!((report.counts.parked, report.counts.skipped, report.counts.sum()), (0, 0, last));
    state(&daemon, State::Live);
    assert!(daemon.terminate().success(), "{}", site.log());
}

struct DeadLetter {
    state: String,
    subject: String,
    reason: String,
    payload: Vec<u8>,
}

fn dead_letter(view: &rusqlite::Connection, sequence: u64) -> Option<DeadLetter> {
    let sql = "SELECT state, subject, reason, payload FROM _viewd_dead_letters WHERE sequence = ?1";
    let read = view.query_row(sql, [sequence as i64], |row| {
        Ok(DeadLetter {
            state: row.get(0)?,
            subject: row.get(1)?,
            reason: row.get(2)?,
            payload: row.get(3)?,
        })
    });
    read.ok()
}

/// What is wrong with what became of a message.
fn problem(view: &rusqlite::Connection, case: &Case, sequence: u64) -> Option<String> {
    let letter = dead_letter(view, sequence);
    match (&case.fate, letter) {
        (Fate::Dead(reasons), Some(letter)) => {
            let missing: Vec<_> =
                reasons.iter().filter(|part| !letter.reason.contains(*part)).collect();
            let whole = letter.payload == case.payload
                && letter.subject == format!("bad.{}", case.token)
                && letter.state == "dead";
            let short: String = letter.reason.chars().take(400).collect();
            if letter.reason.len() > 2_000 {
                return Some(format!("a reason of {} bytes", letter.reason.len()));
            }
            (!missing.is_empty() || !whole)
                .then(|| format!("{missing:?} not in `{short}` (whole: {whole})"))
        }
        (Fate::Dead(_), None) => Some("no dead letter".to_owned()),
        (_, Some(letter)) => Some(format!("a dead letter: {}", letter.reason)),
        (Fate::Ignored, None) => None,
        (Fate::Row(table, column, expected), None) => {
            let sql = format!("SELECT {column} FROM {table} WHERE id = ?1");
            let found = view.query_row(&sql, [case.id], |row| row.get::<_, Value>(0));
            (found.as_ref() != Ok(expected))
                .then(|| format!("{:?}", found.map(|_| "another value")))
        }
    }
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    pairs.iter().for_each(|(name, value)| headers.insert(*name, *value));
    headers
}

const POLICY: &str = r#"
source = "bad"
[tables.sums]
key = ["key"]
columns.key = "text"
columns.sum = "integer"
[[on]]
event   = "Sum"
upsert  = "sums"
key.key = ".tokens[1]"
add.sum = ".data.n"
[policy]
"#;

/// A stream of sums by key; a payload of `!` cannot be decoded.
struct Sums {
    _server: Server,
    client: async_nats::Client,
    site: std::sync::Arc<Site>,
}

impl Sums {
    async fn new(sources: &str, policy: &str) -> Self {
        let server = Server::start();
        let client = server.client().await;
        create_stream(&client, "BAD", &["bad.>"], |_| {}).await;
        let site = Site::new(&server, sources, &[("bad", &format!("{POLICY}{policy}"))]);
        Self { _server: server, client, site }
    }

    /// Publishes `key n` pairs; returns the last sequence.
    async fn publish(&self, pairs: &[(&str, &str)]) -> u64 {
        let messages = pairs.iter().map(|(key, n)| {
            let payload = if *n == "!" {
                "!".to_owned()
            } else {
                format!("{{\"type\":\"Sum\",\"data\":{{\"n\":{n}}}}}")
            };
            (format!("bad.{key}.summed"), HeaderMap::new(), payload.into_bytes())
        });
        publish_with_headers(&self.client, messages).await
    }

    /// `key=sum` of each row, in order.
    fn sums(&self) -> Vec<String> {
        self.texts("SELECT key || '=' || sum FROM sums ORDER BY key")
    }

    /// `sequence state order key` of each event set aside.
    fn set_aside(&self) -> Vec<String> {
        let sql = "SELECT sequence || ' ' || state || ' ' || coalesce(order_key, '-') FROM _viewd_dead_letters ORDER BY sequence";
        self.texts(sql)
    }

    fn texts(&self, sql: &str) -> Vec<String> {
        let view = self.site.view("bad");
        let mut statement = view.prepare(sql).unwrap();
        let texts = statement.query_map((), |row| row.get(0)).unwrap();
        texts.map(Result::unwrap).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_key_wait_behind_its_dead_letter() {
    let sums = Sums::new("[sources.bad]\nstream = \"BAD\"\norder_key = \".tokens[1]\"", "").await;
    let first = [
        ("a", "1"),
        ("b", "1"),
        ("a", "\"x\""),
        ("a", "2"),
        ("b", "2"),
        ("c", "!"),
        ("c", "5"),
        ("a", "!"),
    ];
    let last = sums.publish(&first).await;
    let daemon = sums.site.start(&[]);
    daemon.reaches("bad", last);
    assert_eq!(sums.sums(), ["a=1", "b=3"]);
    assert_eq!(
        sums.set_aside(),
        ["3 dead a", "4 parked a", "6 dead c", "7 parked c", "8 parked a"]
    );
    daemon.kill();

    // The keys stay blocked over a restart.
    let daemon = sums.site.start(&[]);
    let last = sums.publish(&[("a", "3"), ("b", "3"), ("c", "3"), ("d", "3")]).await;
    daemon.reaches("bad", last);
    assert_eq!(sums.sums(), ["a=1", "b=6", "d=3"]);
    assert_eq!(sums.set_aside()[5..], ["9 parked a", "11 parked c"]);
    let report = daemon.projection("bad");
    assert_eq!((report.dead_letters, report.parked_events), (2, 5));
    assert_eq!(
        (report.counts.dead_lettered, report.counts.parked, report.counts.applied),
        (2, 5, 5)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn halt_stops_before_the_event() {
    let sums = Sums::new(SOURCES, "on_error = \"halt\"").await;
    let good = sums.publish(&[("a", "1"), ("a", "2")]).await;
    let last = sums.publish(&[("a", "true"), ("a", "null"), ("a", "\"x\""), ("a", "3")]).await;
    for _ in 0..2 {
        let daemon = sums.site.start(&[]);
        let report = failed(&daemon, Reason::Halted);
        assert_eq!(report.checkpoint_sequence, last - 2, "{report:?}");
        let detail = report.detail.unwrap();
        assert!(
            detail.contains("`sums.sum`") && detail.contains(&format!("sequence {}", last - 1)),
            "{detail}"
        );
        // True counts 1, null nothing.
        assert_eq!(sums.sums(), ["a=4"]);
        assert_eq!((report.counts.applied, report.counts.sum()), (good + 2, last - 2));
        assert!(sums.set_aside().is_empty());
        assert!(daemon.terminate().success());
    }
    // All of it was one chunk, which the batch ended within: the stream is known all the same.
    let known = "SELECT stream_created_ns IS NOT NULL AND from_sequence = 1 FROM _viewd_checkpoint";
    let known: bool = sums.site.view("bad").query_row(known, (), |row| row.get(0)).unwrap();
    assert!(known, "the identity of the stream");
    // A run that waits for the head says that it never comes.
    let output = sums.site.run(&["run", "--exit-when-caught-up"], &[]);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn skip_lists_the_event_and_goes_on() {
    let sums = Sums::new(
        "[sources.bad]\nstream = \"BAD\"\norder_key = \".tokens[1]\"",
        "on_error = \"skip\"\ndead_letters_max = 1",
    )
    .await;
    let last = sums.publish(&[("a", "1"), ("a", "\"x\""), ("a", "!"), ("a", "2")]).await;
    let daemon = sums.site.start(&[]);
    daemon.reaches("bad", last);
    state(&daemon, State::Live);
    assert_eq!(sums.sums(), ["a=3"]);
    let states =
        sums.texts("SELECT sequence || ' ' || state FROM _viewd_dead_letters ORDER BY sequence");
    assert_eq!(states, ["2 skipped", "3 skipped"]);
    let counts = daemon.projection("bad").counts;
    assert_eq!((counts.applied, counts.skipped, counts.dead_lettered), (2, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_set_aside_than_allowed_stops_the_projection() {
    let sums = Sums::new(
        "[sources.bad]\nstream = \"BAD\"\norder_key = \".tokens[1]\"",
        "dead_letters_max = 2",
    )
    .await;
    sums.publish(&[("a", "!"), ("a", "1"), ("b", "!"), ("d", "1"), ("c", "!"), ("e", "1")]).await;
    let daemon = sums.site.start(&[]);
    let report = failed(&daemon, Reason::SetAsideFull);
    assert!(report.detail.unwrap().contains("dead_letters_max"));
    assert_eq!(report.checkpoint_sequence, 4);
    assert_eq!(sums.set_aside(), ["1 dead a", "2 parked a", "3 dead b"]);
    assert_eq!(sums.sums(), ["d=1"]);

    let sums = Sums::new("[sources.bad]\nstream = \"BAD\"\norder_key = \".tokens[1]\"", "").await;
    sums.publish(&[("a", "!"), ("a", "1"), ("b", "1"), ("a", "1"), ("a", "1"), ("b", "1")]).await;
    let daemon = sums.site.start(&["limits.parked_events_max=2"]);
    let report = failed(&daemon, Reason::SetAsideFull);
    assert!(report.detail.unwrap().contains("parked_events_max"));
    assert_eq!(report.checkpoint_sequence, 4);
    assert_eq!((report.dead_letters, report.parked_events), (1, 2));
    assert_eq!(sums.sums(), ["b=1"]);
}

/// Waits until the projection has failed, which leaves the daemon running.
#[track_caller]
fn failed(daemon: &Daemon, reason: Reason) -> Projection {
    let report = wait::until("the failed state", DEADLINE, || {
        Some(daemon.projection("bad")).filter(|report| report.state == State::Failed)
    });
    assert_eq!(report.reason, Some(reason), "{report:?}");
    assert_eq!(daemon.get("/livez").0, 200);
    report
}

#[track_caller]
fn state(daemon: &Daemon, state: State) {
    wait::until_eq("the state", DEADLINE, &state, || daemon.projection("bad").state);
}
