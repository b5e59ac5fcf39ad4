//! Projections that share a reader: the server delivers once for all that are live, the hand-over is exact, and a slow
//! or failed projection stops nobody else.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::jetstream::{self, consumer};
use futures_util::TryStreamExt;
use viewd::status::{Reason, State};

use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, publish};
use crate::wait;

/// Applied twice shows as `times` 2, skipped as a row that is not there.
const LOG: &str = r#"
source = "s"
[tables.log]
key = ["sequence"]
columns.sequence = "integer"
columns.times    = "integer"
[[on]]
event        = "*"
upsert       = "log"
key.sequence = ".sequence"
add.times    = 1
"#;

/// Events of the type `slow` take it a while.
const SLOW: &str = r#"
[tables.sums]
key = ["sum"]
columns.sum = "integer"
[[on]]
event  = "slow"
upsert = "sums"
key.sum = "reduce range(0; 3000) as $n (0; . + $n)"
"#;

/// It stops at the first event of the type `bad`.
const STRICT: &str = r#"[tables.bad]
key = ["id"]
columns.id = "integer"
[[on]]
event  = "bad"
upsert = "bad"
key.id = "error(\"bad\")"
"#;

const SETTINGS: &[&str] = &["limits.head_poll_ms=100", "limits.heartbeat_ms=1000"];

struct Rig {
    /// Ends with the test.
    _server: Server,
    client: Client,
    site: Arc<Site>,
    names: Vec<String>,
    published: u64,
}

impl Rig {
    /// A stream, and projections named `p1` and so on.
    async fn new(definitions: &[String]) -> Self {
        let server = Server::start();
        let client = server.client().await;
        create_stream(&client, "S", &["s.>"], |_| {}).await;
        let names: Vec<_> = (1..=definitions.len()).map(|number| format!("p{number}")).collect();
        let files: Vec<_> = names
            .iter()
            .zip(definitions)
            .map(|(name, definition)| (name.as_str(), definition.as_str()))
            .collect();
        let site = Site::new(&server, "[sources.s]\nstream = \"S\"", &files);
        Self { _server: server, client, site, names, published: 0 }
    }

    async fn publish(&mut self, kind: &str, count: u64) {
        let messages = (0..count).map(|n| {
            let padding = if kind == "slow" { "x".repeat(4_000) } else { String::new() };
            let data = format!("{{\"n\":{n},\"padding\":\"{padding}\"}}");
            (format!("s.{}", n % 7), format!("{{\"type\":\"{kind}\",\"data\":{data}}}"))
        });
        let messages = messages.map(|(subject, payload)| (subject, payload.into_bytes()));
        self.published = publish(&self.client, messages).await;
    }

    fn reach(&self, daemon: &Daemon) {
        self.names.iter().for_each(|name| daemon.reaches(name, self.published));
    }

    /// Each message once in a projection, whatever read it.
    fn exact(&self, name: &str) {
        let sql = "SELECT count(*), min(sequence), max(sequence), max(times) FROM log";
        let found = self
            .site
            .view(name)
            .query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
        let last = i64::try_from(self.published).unwrap();
        assert_eq!(found.unwrap(), (last, 1_i64, last, 1_i64), "{name}");
        assert_eq!(self.site.counts(name).sum(), self.published, "{name}");
    }

    /// What the server knows of its consumers: how many messages each was sent.
    async fn delivered(&self) -> Vec<u64> {
        let stream = jetstream::new(self.client.clone()).get_stream("S").await.unwrap();
        let consumers: Vec<consumer::Info> = stream.consumers().try_collect().await.unwrap();
        consumers.iter().map(|consumer| consumer.delivered.consumer_sequence).collect()
    }

    /// Waits until the server has that many consumers.
    async fn consumers(&self, count: usize) {
        let begun = Instant::now();
        loop {
            let found = self.delivered().await;
            if found.len() == count {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "wanted {count}: {found:?}\n{}", self.site.log());
            wait::pass(Duration::from_millis(20));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_delivers_once_for_twenty() {
    let mut rig = Rig::new(&vec![LOG.to_owned(); 20]).await;
    rig.publish("fine", 500).await;
    let daemon = rig.site.start(SETTINGS);
    rig.reach(&daemon);
    rig.consumers(1).await;
    let before = rig.delivered().await[0];
    for _ in 0..20 {
        rig.publish("fine", 100).await;
    }
    rig.reach(&daemon);
    let sent = rig.delivered().await;
    assert_eq!(sent.len(), 1, "{}", rig.site.log());
    assert_eq!(sent[0] - before, 2_000, "each message once, whoever reads it");
    for name in &rig.names {
        rig.exact(name);
        let projection = daemon.projection(name);
        assert_eq!((projection.state, projection.pending_messages), (State::Live, Some(0)));
    }
    // A shared reader that loses its consumer is one for all of them still.
    let stream = jetstream::new(rig.client.clone()).get_stream("S").await.unwrap();
    let name = stream.consumer_names().try_next().await.unwrap().unwrap();
    stream.delete_consumer(&name).await.unwrap();
    rig.publish("fine", 100).await;
    rig.reach(&daemon);
    rig.consumers(1).await;
    rig.names.iter().for_each(|name| rig.exact(name));
    assert!(daemon.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn different_subjects_are_read_apart() {
    let filtered = LOG.replacen("source = \"s\"", "source = \"s\"\nsubjects = [\"s.1\"]", 1);
    let mut rig = Rig::new(&[LOG.to_owned(), filtered.clone(), LOG.to_owned(), filtered]).await;
    let daemon = rig.site.start(SETTINGS);
    rig.publish("fine", 70).await;
    rig.reach(&daemon);
    rig.consumers(2).await;
    rig.publish("fine", 70).await;
    rig.reach(&daemon);
    for (name, messages) in rig.names.iter().zip([140, 20, 140, 20]) {
        assert_eq!(rig.site.counts(name).applied, messages, "{name}");
    }
    rig.consumers(2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_projection_stops_nobody() {
    let strict = format!("policy.on_error = \"halt\"{LOG}{STRICT}");
    let mut rig = Rig::new(&[LOG.to_owned(), strict, LOG.to_owned()]).await;
    let daemon = rig.site.start(SETTINGS);
    rig.publish("fine", 200).await;
    rig.reach(&daemon);
    rig.consumers(1).await;
    rig.publish("bad", 1).await;
    rig.publish("fine", 5_000).await;
    daemon.reaches("p1", rig.published);
    daemon.reaches("p3", rig.published);
    let failed = daemon.projection("p2");
    assert_eq!((failed.state, failed.reason), (State::Failed, Some(Reason::Halted)));
    assert_eq!(failed.checkpoint_sequence, 200);
    rig.exact("p1");
    rig.exact("p3");
    rig.consumers(1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_projection_reads_alone_until_it_keeps_up_again() {
    let slow = format!("{LOG}{SLOW}");
    let mut rig = Rig::new(&[LOG.to_owned(), slow, LOG.to_owned()]).await;
    // Small queues and batches, so that it is soon behind.
    let mut settings = SETTINGS.to_vec();
    settings.extend(["limits.memory_bytes_max=67108864", "limits.event_bytes_max=4194304"]);
    settings.push("limits.batch_events_max=50");
    let daemon = rig.site.start(&settings);
    rig.publish("fine", 10).await;
    rig.reach(&daemon);
    rig.consumers(1).await;
    rig.publish("slow", 2_000).await;
    daemon.reaches("p1", rig.published);
    daemon.reaches("p3", rig.published);
    let behind = daemon.projection("p2").checkpoint_sequence;
    assert!(behind < rig.published, "the others did not wait for it: {behind}");
    rig.reach(&daemon);
    rig.consumers(1).await;
    rig.publish("fine", 100).await;
    rig.reach(&daemon);
    rig.names.iter().for_each(|name| rig.exact(name));
}

#[tokio::test(flavor = "multi_thread")]
async fn hand_overs_under_a_steady_stream_lose_and_repeat_nothing() {
    let mut rig = Rig::new(&vec![LOG.to_owned(); 4]).await;
    rig.publish("fine", 3_000).await;
    // Each start finds the projections where the last end has left them, and the stream never rests.
    for _ in 0..4 {
        let daemon = rig.site.start(SETTINGS);
        for _ in 0..30 {
            rig.publish("fine", 100).await;
        }
        rig.consumers(1).await;
        for _ in 0..10 {
            rig.publish("fine", 100).await;
        }
        assert!(daemon.terminate().success());
    }
    let daemon = rig.site.start(SETTINGS);
    rig.reach(&daemon);
    rig.names.iter().for_each(|name| rig.exact(name));
    assert!(!rig.site.log().contains("does not continue the view"), "{}", rig.site.log());
}
