//! The server goes away and comes back, and consumers are deleted: every message once, and live again by itself.

use std::time::Duration;

use futures_util::StreamExt as _;
use viewd::status::{Reason, State};

use super::{BACKLOG, PADDING, Rig, recreates, until};
use crate::daemon::DEADLINE;
use crate::random::Random;
use crate::wait;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_restarts_in_a_catch_up_and_while_idle() {
    let mut rig = Rig::new().await;
    let (daemon, last) = rig.catching_up().await;
    rig.server.stop();
    rig.server.start_again();
    rig.live(&daemon, 1..=last);
    assert!(recreates(&daemon, "") >= 1.0, "the consumer lived in the server's memory");

    // Idle, and as a power cut would end it.
    rig.server.kill();
    // From the first moment on: what was read last is of no connection that stands.
    let cut = wait::until("no connection", DEADLINE, || {
        let report = daemon.report();
        (!report.nats.connected).then_some(report)
    });
    for report in &cut.projections {
        assert_eq!((report.pending_messages, report.lag_seconds), (None, None), "{report:?}");
    }
    let report = until(&daemon, "degraded", |report| report.state == State::Degraded);
    assert_eq!(report.reason, Some(Reason::SourceUnreachable), "{report:?}");
    assert_eq!((report.pending_messages, report.lag_seconds), (None, None), "{report:?}");
    rig.applied(&(1..=last).collect::<Vec<_>>());
    rig.server.start_again();
    rig.publish(last + 1..=last + 10).await;
    rig.live(&daemon, 1..=last + 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reconnect_before_the_first_message_repeats_nothing() {
    let mut rig = Rig::new().await;
    // Nothing was ever delivered.
    let daemon = rig.start();
    rig.live(&daemon, []);
    rig.server.stop();
    rig.server.start_again();
    rig.publish(1..=100).await;
    rig.live(&daemon, 1..=100);
    drop(daemon);

    // A consumer that starts behind a hundred messages, and has given none.
    let daemon = rig.start();
    rig.live(&daemon, 1..=100);
    for round in 0..2 {
        rig.server.stop();
        rig.server.start_again();
        let first = 101 + round * 2;
        rig.publish(first..=first + 1).await;
        rig.live(&daemon, 1..=first + 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_before_the_servers_waits_for_it() {
    let mut rig = Rig::new().await;
    rig.publish(1..=10).await;
    rig.server.stop();
    let daemon = rig.start();
    let report = until(&daemon, "degraded", |report| report.state == State::Degraded);
    assert_eq!(report.reason, Some(Reason::SourceUnreachable), "{report:?}");
    assert_eq!((report.pending_messages, report.lag_seconds), (None, None), "{report:?}");
    rig.server.start_again();
    rig.live(&daemon, 1..=10);
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_consumers_are_made_again() {
    let rig = Rig::new().await;
    let (daemon, last) = rig.catching_up().await;
    let busy = delete_consumers(&rig).await;
    rig.live(&daemon, 1..=last);
    assert!(recreates(&daemon, "") >= 1.0);

    // Idle: the next message finds another consumer.
    let before = recreates(&daemon, "\"deleted\"");
    let idle = delete_consumers(&rig).await;
    assert!(idle.iter().all(|name| !busy.contains(name)), "{busy:?} {idle:?}");
    wait::until("another consumer", DEADLINE, || {
        (recreates(&daemon, "\"deleted\"") > before).then_some(())
    });
    rig.publish(last + 1..=last + 1).await;
    rig.live(&daemon, 1..=last + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_restarts_in_a_row_repeat_and_skip_nothing() {
    const ROUNDS: u64 = 20;
    let mut random = Random::from_environment("FAULTS_SEED");
    let mut rig = Rig::new().await;
    let mut last = rig.publish_padded(1..=BACKLOG, PADDING).await;
    let daemon = rig.start_slowly();
    let mut in_the_middle = 0;
    for _ in 0..ROUNDS {
        wait::pass(Duration::from_millis(random.below(100)));
        in_the_middle += u64::from(rig.site.checkpoint("log").is_none_or(|at| at.sequence < last));
        if random.below(2) == 0 {
            rig.server.kill();
        } else {
            rig.server.stop();
        }
        wait::pass(Duration::from_millis(random.below(50)));
        rig.server.start_again();
        // There is always more to read, and the reader is never far ahead of it.
        last = rig.publish_padded(last + 1..=last + 1 + random.below(1_000), PADDING).await;
    }
    rig.live(&daemon, 1..=last);
    assert!(in_the_middle >= ROUNDS / 2, "the backlogs are too small: {in_the_middle}");
}

/// Deletes what an operator sees, and returns the names.
async fn delete_consumers(rig: &Rig) -> Vec<String> {
    let stream = rig.stream().await;
    let names: Vec<_> = stream.consumer_names().collect().await;
    let names: Vec<String> = names.into_iter().map(Result::unwrap).collect();
    assert!(!names.is_empty());
    for name in &names {
        stream.delete_consumer(name).await.unwrap();
    }
    names
}
