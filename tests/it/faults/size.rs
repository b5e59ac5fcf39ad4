//! Messages larger than the budgets, and a writer slower than the stream: memory stays bounded and nothing is lost.

use std::time::Duration;

use futures_util::StreamExt as _;
use viewd::status::State;

use super::{BACKLOG, PADDING, Rig, hold, metric, recreates, until};
use crate::daemon::{DEADLINE, Daemon};
use crate::wait;

/// What the queue of one projection holds with these settings.
const QUEUE_BYTES: f64 = 4.0 * 1024.0 * 1024.0;

/// On loopback all has arrived by then, as a rule.
const SOON: Duration = Duration::from_millis(200);

#[tokio::test(flavor = "multi_thread")]
async fn messages_larger_than_the_budgets_are_applied_or_set_aside() {
    const EVENT_BYTES_MAX: usize = 4 << 20;
    // The first is one pull's worth, the last but one more than an event may be, the last all that the server takes.
    let sizes =
        [1 << 20, 100, EVENT_BYTES_MAX - 100, 100, EVENT_BYTES_MAX + 1, 100, (8 << 20) - 200];
    let mut rig = Rig::with("max_payload: 8388608", |_| {}).await;
    let mut large = Vec::new();
    for n in 1..=70_u64 {
        let padding = sizes[n as usize % sizes.len()];
        rig.publish_padded(n..=n, padding).await;
        if padding > EVENT_BYTES_MAX {
            large.push(n);
        }
    }
    let daemon = rig.start();
    set_aside(&rig, &daemon, 70, &large);
    // A busy machine may miss heartbeats; a message that does not fit a pull would come to hundreds.
    assert!(recreates(&daemon, "") < 10.0, "each was asked for once");
    bounded(&daemon, 200);
    drop(daemon);

    // A server that takes less from now on still holds what it took before.
    rig.server.stop();
    rig.server.configure("max_payload: 65536");
    rig.server.start_again();
    std::fs::remove_dir_all(rig.site.path("data")).unwrap();
    let daemon = rig.start();
    set_aside(&rig, &daemon, 70, &large);
    bounded(&daemon, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_stands_still_bounds_what_is_read() {
    let rig = Rig::new().await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, 1..=10);
    let before = memory(&daemon);
    let held = hold(&rig.site);
    // Twenty-five times what the queue holds.
    let last = rig.publish_padded(11..=BACKLOG, 5 * PADDING).await;
    full(&daemon);
    let report = daemon.projection("log");
    assert_eq!(report.checkpoint_sequence, 10, "{report:?}");
    drop(held);
    rig.live(&daemon, 1..=last);
    let grown = memory(&daemon).saturating_sub(before);
    assert!(grown < 64, "{grown} MiB more than before, which was {before} MiB");
}

/// The client has room for so many messages, and drops what comes when nobody takes them: the tail, in silence.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_client_drops_is_read_again() {
    const ROOM: usize = 65_536;
    /// Whether the client reads all of it before the writer goes on is a race; one of these is lost.
    const ROUNDS: usize = 20;
    let rig = Rig::new().await;
    // Whoever asks for messages says where they are to go.
    let mut pulls = rig.client.subscribe("$JS.API.CONSUMER.MSG.NEXT.S.>").await.unwrap();
    let mut last = rig.publish(1..=10).await;
    let daemon = rig.start_slowly();
    rig.live(&daemon, 1..=last);
    let mut inbox = None;
    for _ in 0..ROUNDS {
        let held = hold(&rig.site);
        last = rig.publish_padded(last + 1..=last + 500, 5 * PADDING).await;
        full(&daemon);
        // The reader waits for room in its queue now. What nobody asked for fills up the client.
        while let Ok(Some(pull)) = tokio::time::timeout(SOON, pulls.next()).await {
            inbox = pull.reply;
        }
        for _ in 0..ROOM + 5_000 {
            rig.client.publish(inbox.clone().unwrap(), "".into()).await.unwrap();
        }
        rig.client.flush().await.unwrap();
        last = rig.publish_padded(last + 1..=last + 20, PADDING).await;
        wait::pass(SOON);
        drop(held);
        rig.live(&daemon, 1..=last);
        if recreates(&daemon, "\"slow_consumer\"") + recreates(&daemon, "\"hole\"") > 0.0 {
            return;
        }
    }
    panic!("nothing was dropped");
}

/// Waits until everything was scanned: all but the large ones are applied, those are dead letters.
#[track_caller]
fn set_aside(rig: &Rig, daemon: &Daemon, last: u64, large: &[u64]) {
    let report = until(daemon, "live", |report| {
        assert_ne!(report.state, State::Failed, "{report:?}");
        report.state == State::Live && report.checkpoint_sequence == last
    });
    assert_eq!(report.dead_letters, large.len() as u64, "{report:?}");
    assert_eq!(report.counts.sum(), last, "{report:?}");
    let view = rig.site.view("log");
    let numbers = |sql: &str| {
        let mut statement = view.prepare(sql).unwrap();
        let numbers = statement.query_map((), |row| row.get::<_, i64>(0)).unwrap();
        numbers.map(|number| number.unwrap().unsigned_abs()).collect::<Vec<_>>()
    };
    let small: Vec<u64> = (1..=last).filter(|n| !large.contains(n)).collect();
    assert_eq!(numbers("SELECT sequence FROM log WHERE n = sequence AND times = 1"), small);
    assert_eq!(numbers("SELECT sequence FROM _viewd_dead_letters ORDER BY sequence"), large);
}

/// Waits until the reader has filled the queue.
#[track_caller]
fn full(daemon: &Daemon) {
    wait::until("a full queue", DEADLINE, || {
        (metric(daemon, "viewd_source_queue_bytes", "") >= QUEUE_BYTES).then_some(())
    });
}

#[track_caller]
fn bounded(daemon: &Daemon, mib: u64) {
    let most = memory(daemon);
    assert!(most < mib, "{most} MiB");
}

/// The most memory that the daemon ever had, in MiB.
fn memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}
