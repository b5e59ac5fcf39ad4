//! What mends a projection whose stream has lost messages or is another one: `accept`, policies, the stream itself.
//! Never a restart of viewd.

mod backup;
mod rebuild;

use std::sync::Arc;
use std::time::Instant;

use async_nats::Client;
use async_nats::jetstream::{self, stream};
use serde_json::Value;
use viewd::status::{Projection, Reason, State};

use self::backup::Backup;
use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, delete_stream, publish_numbers};
use crate::wait;

const SOURCES: &str = "[sources.s]\nstream = \"S\"";

/// Applied twice shows as `times` 2, skipped as a row that is not there.
const DEFINITION: &str = r#"
source = "s"
[tables.log]
key = ["sequence"]
columns.sequence = "integer"
columns.n        = "integer"
columns.times    = "integer"
[[on]]
event        = "*"
upsert       = "log"
key.sequence = ".sequence"
set.n        = ".data.n"
add.times    = 1
"#;

/// A server with the stream `S`, and the folder of a daemon with projections of it.
struct Rig {
    server: Server,
    client: Client,
    site: Arc<Site>,
}

impl Rig {
    /// With the projection `log` and its policy.
    async fn new(policy: &str) -> Self {
        Self::with(&[("log", policy)]).await
    }

    async fn with(policies: &[(&str, &str)]) -> Self {
        let server = Server::start();
        let client = server.client().await;
        create_stream(&client, "S", &["s.>"], |_| {}).await;
        let texts: Vec<_> = policies
            .iter()
            .map(|(name, policy)| (*name, format!("{policy}\n{DEFINITION}")))
            .collect();
        let texts: Vec<_> = texts.iter().map(|(name, text)| (*name, text.as_str())).collect();
        let site = Site::new(&server, SOURCES, &texts);
        Self { server, client, site }
    }

    fn start(&self) -> Daemon {
        self.site.start(&[])
    }

    async fn publish(&self, numbers: std::ops::RangeInclusive<u64>) {
        publish_numbers(&self.client, "s.a", numbers).await;
    }

    async fn stream(&self) -> stream::Stream {
        jetstream::new(self.client.clone()).get_stream("S").await.unwrap()
    }

    /// Removes everything below a sequence.
    async fn purge_below(&self, sequence: u64) {
        self.stream().await.purge().sequence(sequence).await.unwrap();
    }

    async fn recreate(&self) {
        delete_stream(&self.client, "S").await;
        create_stream(&self.client, "S", &["s.>"], |_| {}).await;
    }

    /// Ten messages, applied by a daemon that has ended; then ten more, of which the first five are gone.
    async fn gap_of_five(&self) {
        self.publish(1..=10).await;
        let daemon = self.start();
        for name in self.names() {
            daemon.reaches(&name, 10);
        }
        assert!(daemon.terminate().success());
        self.publish(11..=20).await;
        self.purge_below(16).await;
    }

    fn names(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.site.path("projections")).unwrap();
        let stem = |file: std::fs::DirEntry| {
            file.path().file_stem().unwrap().to_string_lossy().into_owned()
        };
        files.map(|file| stem(file.unwrap())).collect()
    }

    /// `viewd accept`, with its exit code and what it printed as JSON.
    fn accept(&self, projection: &str) -> (i32, Value) {
        let output = self.site.run(&["accept", projection, "--json"], &[]);
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let json = serde_json::from_str(&printed)
            .unwrap_or_else(|error| panic!("{error}: {printed} {output:?}"));
        (output.status.code().unwrap(), json)
    }

    /// Waits until nothing is pending: these sequences, and no others, have been applied once.
    #[track_caller]
    fn live(&self, daemon: &Daemon, projection: &str, ranges: &[std::ops::RangeInclusive<u64>]) {
        let last = *ranges.last().unwrap().end();
        let report = until(daemon, projection, "live", |report| {
            report.state == State::Live && report.checkpoint_sequence >= last
        });
        assert_eq!((report.reason, report.detail, report.next), (None, None, None));
        assert_eq!((report.rebuild, report.pending_messages), (None, Some(0)));
        self.holds(projection, ranges);
    }

    /// What the view holds is what these messages give, each applied once.
    #[track_caller]
    fn holds(&self, projection: &str, ranges: &[std::ops::RangeInclusive<u64>]) {
        let view = self.site.view(projection);
        let mut rows =
            view.prepare("SELECT sequence, n, times FROM log ORDER BY sequence").unwrap();
        let rows = rows.query_map((), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        let rows: Vec<(i64, i64, i64)> = rows.map(Result::unwrap).collect();
        let expected: Vec<_> =
            ranges.iter().flat_map(Clone::clone).map(|n| (n as i64, n as i64, 1)).collect();
        assert_eq!(rows, expected, "{}", self.site.log());
        let counts = self.site.counts(projection);
        assert_eq!((counts.applied, counts.sum()), (rows.len() as u64, rows.len() as u64));
    }

    /// The lines of the log at a level that say something.
    fn lines(&self, level: &str, words: &str) -> usize {
        let log = self.site.log();
        log.lines().filter(|line| line.contains(level) && line.contains(words)).count()
    }
}

/// Waits for a report that says this.
#[track_caller]
fn until(
    daemon: &Daemon,
    projection: &str,
    what: &str,
    says: impl Fn(&Projection) -> bool,
) -> Projection {
    let begun = Instant::now();
    loop {
        let report = daemon.projection(projection);
        if says(&report) {
            return report;
        }
        assert!(begun.elapsed() < DEADLINE, "not {what}: {report:?}");
        wait::pass(std::time::Duration::from_millis(20));
    }
}

#[track_caller]
fn until_failed(daemon: &Daemon, projection: &str, reason: Reason) -> Projection {
    let report = until(daemon, projection, "failed", |report| report.state == State::Failed);
    assert_eq!(report.reason, Some(reason), "{report:?}");
    report
}

fn missed_metric(daemon: &Daemon, projection: &str) -> f64 {
    metric(daemon, "missed_sequences", projection)
}

fn metric(daemon: &Daemon, name: &str, projection: &str) -> f64 {
    let (_, text) = daemon.get("/metrics");
    let series = format!("viewd_projection_{name}_total{{projection=\"{projection}\"}} ");
    text.lines().find_map(|line| line.strip_prefix(&series)).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_is_accepted_and_counted_as_missed() {
    let rig = Rig::new("").await;
    rig.gap_of_five().await;
    let daemon = rig.start();
    let report = until_failed(&daemon, "log", Reason::Gap);
    assert!(report.detail.as_ref().unwrap().contains("11 to 15"), "{report:?}");
    assert_eq!(report.next.as_deref(), Some("viewd accept log"));
    assert_eq!((report.checkpoint_sequence, report.missed_sequences), (10, 0));
    assert_eq!(metric(&daemon, "restarts", "log"), 0.0);
    rig.holds("log", &[1..=10]);

    // What is missing is seen afresh when a person comes.
    rig.purge_below(18).await;
    let (code, json) = rig.accept("log");
    assert_eq!(code, 0, "{json}");
    let accepted = &json["data"][0];
    assert_eq!(accepted["accepted"], "gap");
    let numbers = ["first_sequence", "last_sequence", "missed_sequences"];
    assert_eq!(numbers.map(|name| accepted[name].as_u64()), [Some(11), Some(17), Some(7)]);
    rig.live(&daemon, "log", &[1..=10, 18..=20]);
    assert_eq!(daemon.projection("log").missed_sequences, 7);
    assert_eq!(missed_metric(&daemon, "log"), 7.0);
    assert_eq!(metric(&daemon, "restarts", "log"), 1.0);
    assert_eq!(rig.lines("ERROR", ""), 1, "{}", rig.site.log());
    assert_eq!(rig.lines("WARN", "first=11 last=17 missed=7"), 1, "{}", rig.site.log());

    // Nothing is left to accept, as often as it is said.
    for _ in 0..2 {
        let (code, json) = rig.accept("log");
        assert_eq!((code, json["data"][0]["accepted"].as_str()), (0, Some("nothing")));
    }
    // It is durable, and the stream is read on.
    daemon.kill();
    let daemon = rig.start();
    rig.publish(21..=25).await;
    rig.live(&daemon, "log", &[1..=10, 18..=25]);
    assert_eq!(daemon.projection("log").missed_sequences, 7);
    assert!(daemon.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gap_under_a_running_projection_stops_it_alone() {
    let rig = Rig::with(&[("log", ""), ("on", "policy.on_gap = \"continue\"")]).await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    rig.live(&daemon, "on", &[1..=10]);
    // While the process stands still, the stream goes on, past what it keeps.
    daemon.signal(rustix::process::Signal::STOP);
    let mut last = 10;
    let mut first_held = 0;
    // Until more has been published than what may be under way to the reader.
    while first_held < last / 2 + 1_000 {
        rig.publish(last + 1..=last + 20_000).await;
        last += 20_000;
        first_held = last - 999;
        rig.purge_below(first_held).await;
    }
    daemon.signal(rustix::process::Signal::CONT);
    let report = until_failed(&daemon, "log", Reason::Gap);
    let at = report.checkpoint_sequence;
    let missing = format!("{} to {}", at + 1, first_held - 1);
    assert!(report.detail.as_ref().unwrap().contains(&missing), "{missing}: {report:?}");
    rig.holds("log", &[1..=at]);

    // The other goes on by its policy, and is not kept from it by the one that waits.
    rig.publish(last + 1..=last + 5).await;
    let other = until(&daemon, "on", "at the head", |report| {
        report.checkpoint_sequence == last + 5 && report.state == State::Live
    });
    let other_at = first_held - 1 - other.missed_sequences;
    rig.holds("on", &[1..=other_at, first_held..=last + 5]);
    assert_eq!(daemon.projection("log").checkpoint_sequence, at);

    let (code, json) = rig.accept("log");
    assert_eq!(code, 0, "{json}");
    rig.live(&daemon, "log", &[1..=at, first_held..=last + 5]);
    assert_eq!(daemon.projection("log").missed_sequences, first_held - 1 - at);
    assert_eq!(rig.lines("ERROR", ""), 1, "{}", rig.site.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_goes_on_past_a_gap_by_itself() {
    let rig = Rig::new("policy.on_gap = \"continue\"").await;
    rig.gap_of_five().await;
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10, 16..=20]);
    assert_eq!(daemon.projection("log").missed_sequences, 5);
    assert_eq!(missed_metric(&daemon, "log"), 5.0);
    assert_eq!(rig.lines("WARN", "first=11 last=15 missed=5"), 1, "{}", rig.site.log());
    assert_eq!(rig.lines("ERROR", ""), 0, "{}", rig.site.log());
    // Everything is gone: the position is the end of the stream.
    assert!(daemon.terminate().success());
    rig.publish(21..=30).await;
    rig.stream().await.purge().await.unwrap();
    let daemon = rig.start();
    until(&daemon, "log", "past the gap", |report| report.missed_sequences == 15);
    rig.publish(31..=31).await;
    rig.live(&daemon, "log", &[1..=10, 16..=20, 31..=31]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_stream_is_accepted_where_its_messages_are_the_same() {
    let rig = Rig::new("").await;
    // The server removes the folder of an account's streams some time after the last of them was deleted.
    create_stream(&rig.client, "OTHER", &["other.>"], |_| {}).await;
    rig.publish(1..=10).await;
    let backup = Backup::of(&rig.client, "S").await;
    // Seen by a projection that runs, then by one that starts.
    for restarted in [false, true] {
        let daemon = rig.start();
        rig.live(&daemon, "log", &[1..=10]);
        let created = rig.stream().await.cached_info().created;
        let replace = async || {
            delete_stream(&rig.client, "S").await;
            backup.restore(&rig.client).await;
            assert_ne!(rig.stream().await.cached_info().created, created, "servers change it");
        };
        let daemon = if restarted {
            assert!(daemon.terminate().success());
            replace().await;
            rig.start()
        } else {
            replace().await;
            daemon
        };
        let report = until_failed(&daemon, "log", Reason::SourceChanged);
        assert!(report.detail.as_ref().unwrap().contains("message 10 is the same"), "{report:?}");
        assert_eq!(report.next.as_deref(), Some("viewd accept log"));
        let (code, json) = rig.accept("log");
        assert_eq!((code, json["data"][0]["accepted"].as_str()), (0, Some("restored")), "{json}");
        rig.live(&daemon, "log", &[1..=10]);
        // Durable.
        daemon.kill();
    }
    let daemon = rig.start();
    rig.publish(11..=12).await;
    rig.live(&daemon, "log", &[1..=12]);
    assert_eq!(daemon.projection("log").missed_sequences, 0);

    // A backup that lacks what was applied since is none of this view.
    delete_stream(&rig.client, "S").await;
    backup.restore(&rig.client).await;
    let report = until_failed(&daemon, "log", Reason::SourceChanged);
    assert!(report.next.as_ref().unwrap().contains("on_source_change"), "{report:?}");
    let (code, json) = rig.accept("log");
    assert_eq!(code, 3, "{json}");
    let told = json["error"]["message"].as_str().unwrap();
    assert!(told.contains("it ends at 10, before the position 12"), "{told}");
    // Nor is one that was written past it: the newest message that is left tells.
    rig.publish(101..=110).await;
    let (code, json) = rig.accept("log");
    assert_eq!(code, 3, "{json}");
    assert!(json["error"]["message"].as_str().unwrap().contains("is another"), "{json}");
    rig.holds("log", &[1..=12]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_is_itself_again_is_read_on() {
    let mut rig = Rig::new("").await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    // The store of the server is another one for a while.
    rig.server.stop();
    let right = tempfile::tempdir().unwrap();
    std::fs::rename(rig.server.store(), right.path().join("store")).unwrap();
    rig.server.start_again();
    create_stream(&rig.client, "S", &["s.>"], |_| {}).await;
    until_failed(&daemon, "log", Reason::SourceChanged);
    let (code, _) = rig.accept("log");
    assert_eq!(code, 3);
    rig.server.stop();
    std::fs::remove_dir_all(rig.server.store()).unwrap();
    std::fs::rename(right.path().join("store"), rig.server.store()).unwrap();
    rig.server.start_again();
    rig.publish(11..=12).await;
    let accepted = wait::until("the server's answer", DEADLINE, || {
        let (code, json) = rig.accept("log");
        (code == 0).then_some(json)
    });
    assert_eq!(accepted["data"][0]["accepted"], "sound");
    rig.live(&daemon, "log", &[1..=12]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_stream_is_not_accepted() {
    let rig = Rig::new("").await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    rig.recreate().await;
    rig.publish(1..=20).await;
    until_failed(&daemon, "log", Reason::SourceChanged);
    let (code, json) = rig.accept("log");
    assert_eq!(code, 3, "{json}");
    assert!(json["error"]["message"].as_str().unwrap().contains("is another"), "{json}");
    assert!(json["error"]["hint"].as_str().unwrap().contains("on_source_change"), "{json}");
    // Nothing that was read is left to compare.
    rig.purge_below(15).await;
    let (code, json) = rig.accept("log");
    assert_eq!(code, 3, "{json}");
    assert!(json["error"]["message"].as_str().unwrap().contains("left in it"), "{json}");
    rig.holds("log", &[1..=10]);
    assert_eq!(daemon.projection("log").checkpoint_sequence, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_accepted_says_why() {
    let mut rig = Rig::new("").await;
    rig.gap_of_five().await;
    let (code, json) = rig.accept("log");
    assert_eq!((code, json["error"]["code"].as_str()), (69, Some("unreachable")), "{json}");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let daemon = rig.site.start(&[&format!("http.listen=127.0.0.1:{port}")]);
    until_failed(&daemon, "log", Reason::Gap);
    for name in ["lag", "../log", ""] {
        assert_eq!(rig.accept(name).0, 2, "{name}");
    }
    // Commands are taken on the admin socket alone.
    let mut tcp = wait::until("the port", DEADLINE, || {
        std::net::TcpStream::connect(("127.0.0.1", port)).ok()
    });
    let request = "POST /v1/admin/projections/log/accept HTTP/1.1\r\nHost: viewd\r\n\
                   Content-Length: 0\r\nConnection: close\r\n\r\n";
    std::io::Write::write_all(&mut tcp, request.as_bytes()).unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut tcp, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    assert!(answer.contains("admin-socket-only"), "{answer}");
    // Nothing is accepted that cannot be looked at.
    rig.server.stop();
    let (code, json) = rig.accept("log");
    assert_eq!((code, json["error"]["code"].as_str()), (69, Some("unreachable")), "{json}");
    assert_eq!(daemon.projection("log").checkpoint_sequence, 10);
    rig.server.start_again();
    wait::until("the server's answer", DEADLINE, || (rig.accept("log").0 == 0).then_some(()));
    rig.live(&daemon, "log", &[1..=10, 16..=20]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projection_that_an_event_has_halted_has_nothing_to_accept() {
    let rig = Rig::new("policy.on_error = \"halt\"").await;
    rig.publish(1..=3).await;
    crate::nats::publish(&rig.client, [("s.a".to_owned(), br#"{"n":"no number"}"#.to_vec())]).await;
    let daemon = rig.start();
    until_failed(&daemon, "log", Reason::Halted);
    let (code, json) = rig.accept("log");
    assert_eq!((code, json["error"]["code"].as_str()), (3, Some("found_problems")), "{json}");
    rig.holds("log", &[1..=3]);
    assert!(daemon.terminate().success(), "its thread ends with the daemon");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_whose_retention_is_right_again_is_read_on() {
    let rig = Rig::new("").await;
    rig.publish(1..=10).await;
    // Where nobody has an interest nothing is kept.
    let keeper = jetstream::consumer::pull::Config {
        durable_name: Some("keeper".to_owned()),
        ..Default::default()
    };
    rig.stream().await.create_consumer(keeper).await.unwrap();
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    let retention = |retention| {
        let client = rig.client.clone();
        let stream = rig.stream();
        async move {
            let mut config = stream.await.cached_info().config.clone();
            config.retention = retention;
            jetstream::new(client).update_stream(config).await.unwrap();
        }
    };
    retention(stream::RetentionPolicy::Interest).await;
    let report = until_failed(&daemon, "log", Reason::Retention);
    assert!(report.detail.as_ref().unwrap().contains("interest"), "{report:?}");
    rig.publish(11..=20).await;
    assert_eq!(rig.accept("log").0, 3);
    assert_eq!(rig.stream().await.cached_info().state.messages, 20, "nothing was removed");
    retention(stream::RetentionPolicy::Limits).await;
    rig.live(&daemon, "log", &[1..=20]);
    assert_eq!(rig.lines("ERROR", ""), 1, "{}", rig.site.log());
}
