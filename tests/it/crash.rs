//! The daemon's ends: killed at any moment, asked to stop, kept from starting twice, left alone after the third end
//! at one checkpoint.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::Signal;
use viewd::status::{Reason, State};

use crate::daemon::{Checkpoint, DEADLINE, Daemon, Site};
use crate::flights::{Week, assert_as_the_oracle_says};
use crate::nats::{Server, create_stream, publish};
use crate::random::Random;
use crate::wait;

const KILLS: usize = 40;

/// Transactions of a few events: a week has many moments to be killed at.
const SMALL_BATCHES: &[&str] = &["limits.batch_events_max=20"];

/// Costs a tenth of a second or so an event: its first batch lasts as long as a test needs.
const SLOW: &str = r#"
source = "work"
[tables.slow]
key = ["id"]
columns.id   = "integer"
columns.done = "integer"
[[on]]
event  = "Begun"
upsert = "slow"
key.id   = ".data.id"
set.done = "[range(0; 200000)] | length"
"#;

const FAST: &str = r#"
source = "work"
[tables.fast]
key = ["id"]
columns.id = "integer"
[[on]]
event  = "Begun"
upsert = "fast"
key.id = ".data.id"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_the_rows_are_as_if_it_never_was() {
    let mut random = Random::from_environment("CRASH_SEED");
    let mut week = Week::new().await;
    week.publish(week.len()).await;
    let site = week.site();
    let mut last = Checkpoint { sequence: 0, messages: 0 };
    let mut kills_at_work = 0;
    let mut may_hurry = true;
    for kill in 0..KILLS {
        let daemon = site.start(SMALL_BATCHES);
        // Now and then before or while it starts; never twice in a row, as three ends at one checkpoint mean something.
        let hurry = may_hurry && random.below(4) == 0;
        may_hurry = !hurry;
        if hurry {
            wait::pass(Duration::from_millis(random.below(200)));
        } else {
            daemon.reaches("flights", last.sequence + 1 + random.below(week.len() / 80));
            wait::pass(Duration::from_micros(random.below(4_000)));
        }
        daemon.kill();
        let Some(found) = site.checkpoint("flights") else { continue };
        assert!(
            found >= last,
            "after kill {kill} the checkpoint went back from {last:?} to {found:?}"
        );
        // Every message is an event of the projection, so position and count move together (I4).
        assert_eq!(found.sequence, found.messages);
        assert_eq!(site.counts("flights").sum(), found.messages);
        kills_at_work += usize::from(found.sequence < week.len());
        last = found;
    }
    println!("killed {kills_at_work} times on the way, last at {last:?} of {}", week.len());
    assert!(kills_at_work >= 20, "it had caught up after {kills_at_work} kills");
    site.catch_up(&[]);
    assert_as_the_oracle_says(&site, week.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_to_end_it_commits_what_it_has_and_ends_with_0() {
    let mut week = Week::new().await;
    week.publish(week.len()).await;
    let site = week.site();
    for signal in [Signal::TERM, Signal::INT] {
        let before = site.checkpoint("flights").map_or(0, |checkpoint| checkpoint.sequence);
        let mut daemon = site.start(SMALL_BATCHES);
        daemon.reaches("flights", before + week.len() / 20);
        daemon.signal(signal);
        let status = daemon.ended();
        assert_eq!(status.code(), Some(0), "{status}\n{}", site.log());
        let checkpoint = site.checkpoint("flights").unwrap();
        assert!(checkpoint.sequence < week.len(), "it had caught up before it was asked");
        assert_eq!(site.counts("flights").sum(), checkpoint.messages);
        let state: String = site
            .view("flights")
            .query_row("SELECT state FROM _viewd_run", (), |row| row.get(0))
            .unwrap();
        assert_eq!(state, "clean");
    }
    site.catch_up(&[]);
    assert_as_the_oracle_says(&site, week.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn three_ends_at_one_checkpoint_are_a_crash_loop() {
    let rig = Rig::new(100).await;
    for _ in 0..3 {
        let daemon = rig.site.start(&[]);
        assert_ne!(daemon.projection("slow").reason, Some(Reason::CrashLoop));
        rig.at_work("slow");
        daemon.kill();
        assert_eq!(rig.site.checkpoint("slow").unwrap().sequence, 0);
    }
    for _ in 0..2 {
        // Starting again does not make it forget why.
        let daemon = rig.site.start(&[]);
        let slow = daemon.projection("slow");
        assert_eq!((slow.state, slow.reason), (State::Failed, Some(Reason::CrashLoop)));
        assert!(slow.detail.unwrap().contains("3 times at checkpoint 0"));
        // The others run.
        daemon.reaches("fast", 100);
        live(&daemon, "fast");
        assert!(daemon.terminate().success());
    }
    assert_eq!(rig.site.checkpoint("slow").unwrap().sequence, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_end_is_a_crash_loop() {
    let rig = Rig::new(3).await;
    // The first commits something; the others wait for messages when they are killed.
    for _ in 0..5 {
        let daemon = rig.site.start(&[]);
        daemon.reaches("slow", 3);
        live(&daemon, "slow");
        daemon.kill();
    }
    // Killed before there is any work.
    for _ in 0..5 {
        rig.site.start(&[]).kill();
    }
    for _ in 0..4 {
        let daemon = rig.site.start(&[]);
        live(&daemon, "slow");
        assert!(daemon.terminate().success(), "{}", rig.site.log());
    }
    // Killed at work, but each time a step further on.
    for step in 1..=4 {
        rig.publish(3).await;
        let daemon = rig.site.start(&[]);
        daemon.reaches("slow", 3 + step * 3);
        daemon.kill();
    }
    let daemon = rig.site.start(&[]);
    live(&daemon, "slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_is_refused() {
    let rig = Rig::new(1).await;
    let first = rig.site.start(&[]);
    live(&first, "slow");
    let second = rig.site.run(&["run"], &[]);
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(75), "{said}");
    assert!(said.contains(&format!("process {}", first.id())), "{said}");
    // It has done the first no harm.
    rig.publish(1).await;
    first.reaches("slow", 2);
    first.kill();
    // The lock goes with its process.
    let third = rig.site.start(&[]);
    live(&third, "slow");
}

/// A server with some work in a stream, and a daemon's folder with a slow and a fast projection of it.
struct Rig {
    _server: Server,
    client: async_nats::Client,
    site: Arc<Site>,
}

impl Rig {
    async fn new(messages: u64) -> Self {
        let server = Server::start();
        let client = server.client().await;
        create_stream(&client, "WORK", &["work.>"], |_| {}).await;
        let sources = "[sources.work]\nstream = \"WORK\"";
        let site = Site::new(&server, sources, &[("slow", SLOW), ("fast", FAST)]);
        let rig = Self { _server: server, client, site };
        rig.publish(messages).await;
        rig
    }

    async fn publish(&self, messages: u64) {
        let message = |id| {
            (
                "work.begun".to_owned(),
                format!("{{\"type\":\"Begun\",\"data\":{{\"id\":{id}}}}}").into_bytes(),
            )
        };
        publish(&self.client, (0..messages).map(message)).await;
    }

    /// Waits until the projection is in its first batch.
    fn at_work(&self, projection: &str) {
        wait::until("the first batch", DEADLINE, || {
            let state = |view: rusqlite::Connection| {
                view.query_row("SELECT state FROM _viewd_run", (), |row| row.get::<_, String>(0))
                    .ok()
            };
            self.site
                .view_if_there(projection)
                .and_then(state)
                .filter(|state| state == "working")
                .map(drop)
        });
    }
}

/// Waits until nothing is pending.
#[track_caller]
fn live(daemon: &Daemon, projection: &str) {
    let mut seen = None;
    wait::until("the live state", DEADLINE, || {
        let report = daemon.projection(projection);
        assert_ne!(report.state, State::Failed, "{report:?}");
        seen = Some(report.state);
        (seen == Some(State::Live)).then_some(())
    });
}
