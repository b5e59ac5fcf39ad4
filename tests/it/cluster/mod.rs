//! Three servers with one stream, of which some are away: nothing is applied twice, nothing skipped, the state is true,
//! and viewd is never restarted.
//!
//! Events are published all the while, as far as the cluster takes them.

mod nodes;

use std::future::IntoFuture as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use async_nats::{Client, HeaderMap};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use viewd::status::{Projection, Reason, State};

use self::nodes::{Cluster, DEADLINE};
use crate::chaos::truth::{HEAD_POLL, History, Samples};
use crate::daemon::{Daemon, Site};
use crate::proxy::{Fault, Proxy, Way};
use crate::wait;

const STREAM: &str = "WORK";
const SOURCES: &str = "[sources.work]\nstream = \"WORK\"";
const PROJECTION: &str = "seen";
/// The connection that events come by.
const READER: &str = "viewd reader";
/// How often each event was applied, and which came last.
const DEFINITION: &str = r#"
source = "work"
[tables.seen]
key = ["id"]
columns.id    = "integer"
columns.times = { type = "integer", default = 0 }
[tables.latest]
key = ["one"]
columns.one = "integer"
columns.id  = "integer"
[[on]]
event     = "Seen"
upsert    = "seen"
key.id    = ".data.id"
add.times = 1
[[on]]
event   = "Seen"
upsert  = "latest"
key.one = 1
set.id  = ".data.id"
"#;
/// In the stream before the daemon starts.
const BASE: u64 = 2_000;
/// Between two events that are published one by one.
const PUBLISH_EVERY: Duration = Duration::from_millis(5);
/// An acknowledgement that takes longer is asked for again, by the same id.
const ACK_MAX: Duration = Duration::from_secs(1);

#[tokio::test(flavor = "multi_thread")]
async fn leaders_change_and_nodes_are_lost() {
    let mut rig = Rig::new(3).await;
    rig.goes_on("the start").await;
    for _ in 0..3 {
        rig.cluster.insist(&format!("STREAM.LEADER.STEPDOWN.{STREAM}"), Value::Null).await;
        rig.goes_on("another leader").await;
    }
    rig.cluster.whole(STREAM).await;

    // First the node that viewd reads from, then the one that leads.
    let host = rig.cluster.host(READER);
    rig.loses(host).await;
    let leader = rig.cluster.leader(STREAM).await;
    rig.loses(leader).await;

    // Two of three, with the one that leads: nothing can be stored, and nobody knows whether anything was.
    let leader = rig.cluster.leader(STREAM).await;
    let survivor = rig.cluster.others(leader).next().unwrap();
    for other in rig.cluster.others(survivor) {
        rig.cluster.node(other).kill();
    }
    rig.blind("without a quorum");
    for other in rig.cluster.others(survivor) {
        rig.cluster.node(other).start_again();
    }
    rig.goes_on("the quorum back").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_retire_and_restart_one_after_another_during_a_catch_up() {
    // By this the catch-up takes longer than the restarts.
    let slow = Way { bytes_per_second: Some(60_000), ..Way::default() };
    let mut rig = Rig::over(3, 15_000, Fault::to_client(slow)).await;
    rig.reads("the start");
    let host = rig.cluster.host(READER);
    rig.cluster.node(host).retire();
    rig.machine_stops(host);
    rig.reads("a node that has retired");
    rig.cluster.node(host).start_again();
    for node in rig.cluster.all() {
        rig.cluster.whole(STREAM).await;
        rig.cluster.node(node).stop();
        rig.machine_stops(node);
        rig.reads("a node that is stopped");
        rig.cluster.node(node).start_again();
    }
    assert_ne!(rig.say().state, State::Live, "it had caught up before the last restart");
    rig.proxies.iter().for_each(Proxy::mend);
    rig.goes_on("all nodes are new").await;
    rig.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_one_node_is_away_with_it() {
    let mut rig = Rig::new(1).await;
    rig.goes_on("the start").await;
    let leader = rig.cluster.leader(STREAM).await;
    rig.cluster.node(leader).kill();
    rig.blind("the node is away");
    rig.cluster.node(leader).start_again();
    rig.goes_on("the node is back").await;
    rig.end().await;
}

/// A cluster with a stream that somebody publishes to, and a daemon that reads it.
struct Rig {
    cluster: Cluster,
    /// One before each node; none where nothing is to be slow.
    proxies: Vec<Proxy>,
    publisher: Publisher,
    site: Arc<Site>,
    daemon: Daemon,
    samples: Samples,
    base: u64,
    begun: Instant,
}

impl Rig {
    async fn new(replicas: u64) -> Self {
        Self::with(replicas, BASE, None).await
    }

    async fn over(replicas: u64, base: u64, network: Fault) -> Self {
        Self::with(replicas, base, Some(network)).await
    }

    async fn with(replicas: u64, base: u64, network: Option<Fault>) -> Self {
        let cluster = Cluster::start().await;
        let config = json!({
            "name": STREAM, "subjects": ["work.>"], "storage": "file", "retention": "limits",
            "num_replicas": replicas, "duplicate_window": 120_000_000_000_u64,
        });
        cluster.insist(&format!("STREAM.CREATE.{STREAM}"), config).await;
        let events = (1..=base).map(|id| ("work.seen".to_owned(), headers(id), event(id)));
        assert_eq!(crate::nats::publish_with_headers(&cluster.client, events).await, base);
        let publisher = Publisher::start(&cluster.client, base);
        let proxies = network.map_or_else(Vec::new, |network| {
            let proxies = cluster.urls().into_iter().map(|url| Proxy::start(&url));
            proxies.inspect(|proxy| proxy.set(network)).collect::<Vec<_>>()
        });
        let servers = if proxies.is_empty() {
            cluster.urls()
        } else {
            proxies.iter().map(Proxy::url).collect()
        };
        let site = Site::at(&servers, SOURCES, &[(PROJECTION, DEFINITION)]);
        let head_poll = format!("limits.head_poll_ms={}", HEAD_POLL.as_millis());
        let settings = ["limits.heartbeat_ms=500", "limits.backoff_ms_max=500", &head_poll];
        let daemon = site.start(&settings);
        let (samples, begun) = (Samples::default(), Instant::now());
        Self { cluster, proxies, publisher, site, daemon, samples, base, begun }
    }

    /// What the daemon says, held to what is so.
    fn say(&mut self) -> Projection {
        let asked = Instant::now();
        let said = self.daemon.projection(PROJECTION);
        self.samples.take(asked, &said, &self.publisher.history, self.base, |position| position);
        said
    }

    #[track_caller]
    #[expect(
        clippy::print_stdout,
        reason = "how long each step took, shown with a test that fails"
    )]
    fn until(&mut self, what: &str, mut look: impl FnMut(&Projection) -> bool) {
        let mut last = None;
        let found = wait::until_or(DEADLINE, || {
            let said = self.say();
            let found = look(&said);
            last = Some(said);
            found.then_some(())
        });
        assert!(found.is_some(), "{what}: {last:?}\n{}", self.site.log());
        println!("{:6.1} s: {what}", self.begun.elapsed().as_secs_f64());
    }

    /// Waits until events that are published from now on have been applied, and it is live.
    async fn goes_on(&mut self, after: &str) {
        let more = self.publisher.stored() + 20;
        let what = format!("events that are published after: {after}");
        wait::until(&what, DEADLINE, || (self.publisher.stored() >= more).then_some(()));
        self.until(&what, |said| said.state == State::Live && said.position >= more);
    }

    /// Waits until more has been read, from a node that is there.
    #[track_caller]
    fn reads(&mut self, after: &str) {
        let host = self.cluster.host(READER);
        let after = format!("{after}, from node {host}");
        let more = self.say().position + 100;
        self.until(&format!("reads on after: {after}"), |said| said.position >= more);
    }

    /// What is still on its way from a node that has ended is lost with its machine: a slow link has minutes of it.
    fn machine_stops(&self, node: usize) {
        self.proxies[node].reset_all();
    }

    /// Waits until it says that it knows nothing.
    #[track_caller]
    fn blind(&mut self, why: &str) {
        self.until(&format!("blind: {why}"), |said| {
            let unreachable = said.reason == Some(Reason::SourceUnreachable);
            unreachable && said.state == State::Degraded && said.lag_seconds.is_none()
        });
    }

    /// Kills a node; what is published then has to be applied without it. Then it comes back.
    async fn loses(&mut self, node: usize) {
        self.cluster.node(node).kill();
        self.goes_on(&format!("node {node} is lost")).await;
        self.cluster.node(node).start_again();
        self.cluster.whole(STREAM).await;
        self.goes_on(&format!("node {node} is back")).await;
    }

    /// Publishes a last event, and holds that each one was applied once, the last one last.
    async fn end(mut self) {
        let last = self.publisher.end().await;
        self.until("the end", |said| {
            said.position == last && said.pending_messages == Some(0) && said.state == State::Live
        });
        let metrics = self.daemon.get("/metrics").1;
        let recreates = metrics.lines().filter(|line| line.starts_with("viewd_source_recreates"));
        let recreates: Vec<_> = recreates.filter(|line| !line.ends_with(" 0")).collect();
        assert!(!recreates.is_empty(), "no consumer was lost: nothing was shown");
        assert!(self.daemon.terminate().success(), "{}", self.site.log());

        let info = self.cluster.insist(&format!("STREAM.INFO.{STREAM}"), Value::Null).await;
        assert_eq!(
            (&info["state"]["messages"], &info["state"]["last_seq"]),
            (&json!(last), &json!(last))
        );
        let checkpoint = self.site.checkpoint(PROJECTION).unwrap();
        assert_eq!((checkpoint.sequence, checkpoint.messages), (last, last));
        let counts = self.site.counts(PROJECTION);
        assert_eq!((counts.applied, counts.sum()), (last, last));
        let view = self.site.view(PROJECTION);
        let row: (i64, i64, i64, i64) = view
            .query_row(
                "SELECT count(*), min(times), max(times), (SELECT id FROM latest) FROM seen",
                (),
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)),
            )
            .unwrap();
        let last = last as i64;
        assert_eq!(row, (last, 1, 1, last), "events, least and most often applied, the last");
    }
}

/// Publishes one event after another, each until it is acknowledged.
struct Publisher {
    task: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    last: Arc<AtomicU64>,
    history: Arc<History>,
}

impl Publisher {
    fn start(client: &Client, base: u64) -> Self {
        let (stop, last) = (Arc::<AtomicBool>::default(), Arc::new(AtomicU64::new(base)));
        let history = Arc::<History>::default();
        history.stored(base);
        let task = {
            let (stop, last, history) =
                (Arc::clone(&stop), Arc::clone(&last), Arc::clone(&history));
            let jetstream = jetstream::new(client.clone());
            tokio::spawn(async move {
                let mut beat = tokio::time::interval(PUBLISH_EVERY);
                beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
                while !stop.load(Ordering::Relaxed) {
                    beat.tick().await;
                    let id = last.load(Ordering::Relaxed) + 1;
                    let Some(sequence) = publish(&jetstream, id).await else { continue };
                    assert_eq!(sequence, id, "one event, one sequence");
                    history.stored(sequence);
                    last.store(id, Ordering::Relaxed);
                }
            })
        };
        Self { task: Some(task), stop, last, history }
    }

    /// The last event that was acknowledged.
    fn stored(&self) -> u64 {
        assert!(
            self.task.as_ref().is_some_and(|task| !task.is_finished()),
            "the publisher has failed"
        );
        self.last.load(Ordering::Relaxed)
    }

    /// Stops and returns the last event.
    async fn end(&mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.task.take().unwrap().await.unwrap();
        self.last.load(Ordering::Relaxed)
    }
}

/// Publishes an event that may have been published before; None if that is not certain.
async fn publish(jetstream: &jetstream::Context, id: u64) -> Option<u64> {
    let sent = jetstream.publish_with_headers("work.seen", headers(id), event(id).into());
    let sent = tokio::time::timeout(ACK_MAX, sent).await.ok()?.ok()?;
    Some(tokio::time::timeout(ACK_MAX, sent.into_future()).await.ok()?.ok()?.sequence)
}

fn headers(id: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Msg-Id", id.to_string());
    headers
}

fn event(id: u64) -> Vec<u8> {
    format!("{{\"type\":\"Seen\",\"data\":{{\"id\":{id}}}}}").into_bytes()
}
