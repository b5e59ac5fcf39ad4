//! The stream loses what was not applied yet: a gap, with the first and the last sequence that are missing, and never
//! passed over. And the streams from which reading itself would remove messages.

use std::ops::RangeInclusive;
use std::time::Duration;

use async_nats::jetstream::{self, consumer, stream};
use viewd::status::Reason;

use super::{BACKLOG, Change, PADDING, Rig, hold};
use crate::daemon::{DEADLINE, Daemon};
use crate::nats::{create_stream, delete_stream};
use crate::wait;

/// The shortest that the server takes.
const MAX_AGE: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn what_is_purged_or_evicted_behind_a_stopped_daemon_is_named() {
    let limits: [(&str, Change); 4] = [
        ("purged", |_| {}),
        ("max_msgs", |config| config.max_messages = 50),
        ("max_bytes", |config| config.max_bytes = 64 * 50),
        // Newer messages replace older ones here, but that is not what removed these.
        ("both", |config| {
            config.max_messages = 50;
            config.max_messages_per_subject = 100;
        }),
    ];
    for (case, limit) in limits {
        let rig = Rig::with("", limit).await;
        rig.publish(1..=40).await;
        let daemon = rig.start();
        rig.live(&daemon, 1..=40);
        assert!(daemon.terminate().success());
        rig.publish(41..=200).await;
        if case == "purged" {
            rig.stream().await.purge().sequence(151).await.unwrap();
        }
        let first = rig.stream().await.cached_info().state.first_sequence;
        assert!((42..=200).contains(&first), "{case}: {first}");

        let daemon = rig.start();
        gap(&rig, &daemon, 40, first - 1, 200);
        // More that goes makes it no better, and more that comes no worse.
        rig.publish(201..=210).await;
        drop(daemon);
        let first = rig.stream().await.cached_info().state.first_sequence;
        gap(&rig, &rig.start(), 40, first - 1, 210);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_grows_too_old_is_a_gap_for_a_stopped_daemon_alone() {
    let rig = Rig::with("", |config| config.duplicate_window = MAX_AGE).await;
    rig.publish(1..=40).await;
    let daemon = rig.start();
    rig.live(&daemon, 1..=40);
    expire(&rig).await;
    // What goes after it was applied is nobody's loss.
    rig.live(&daemon, 1..=40);
    rig.publish(41..=45).await;
    rig.live(&daemon, 1..=45);
    drop(daemon);
    let daemon = rig.start();
    rig.live(&daemon, 1..=45);
    drop(daemon);
    rig.publish(46..=60).await;
    expire(&rig).await;
    gap(&rig, &rig.start(), 45, 60, 60);
}

/// The writer of the view is held up, so that the reader cannot keep up.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_evicted_or_purged_under_a_running_daemon_is_named() {
    for purged in [false, true] {
        let kept = 500;
        let rig = Rig::with("", |config| {
            if !purged {
                config.max_messages = i64::from(kept);
            }
        })
        .await;
        rig.publish_padded(1..=10, PADDING).await;
        let daemon = rig.start_slowly();
        rig.live(&daemon, 1..=10);
        let held = hold(&rig.site);
        rig.publish_padded(11..=BACKLOG, PADDING).await;
        if purged {
            rig.stream().await.purge().keep(kept as u64).await.unwrap();
        }
        drop(held);
        let at = super::until(&daemon, "failed", |report| report.reason == Some(Reason::Gap));
        let missing_to = BACKLOG - kept as u64;
        assert!((10..missing_to).contains(&at.checkpoint_sequence), "{at:?}");
        // Eviction may have been noticed while it went on.
        let missing = missing(&rig, &daemon, at.checkpoint_sequence, BACKLOG);
        assert_eq!(*missing.start(), at.checkpoint_sequence + 1);
        assert!(missing_to == *missing.end() || !purged && missing_to > *missing.end(), "{at:?}");
        drop(daemon);
        gap(&rig, &rig.start(), at.checkpoint_sequence, missing_to, BACKLOG);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_of_what_was_applied_is_no_gap() {
    let rig = Rig::new().await;
    rig.publish(1..=100).await;
    let daemon = rig.start();
    rig.live(&daemon, 1..=100);
    // Everything: the stream begins behind its end.
    rig.stream().await.purge().await.unwrap();
    rig.publish(101..=102).await;
    rig.live(&daemon, 1..=102);
    rig.stream().await.purge().await.unwrap();
    drop(daemon);
    // No anchor is left.
    let daemon = rig.start();
    rig.live(&daemon, 1..=102);
    rig.publish(103..=110).await;
    rig.live(&daemon, 1..=110);
    rig.stream().await.purge().sequence(106).await.unwrap();
    drop(daemon);
    rig.publish(111..=112).await;
    rig.live(&rig.start(), 1..=112);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_build_begins_where_the_stream_does() {
    let rig = Rig::new().await;
    rig.publish(1..=200).await;
    rig.stream().await.purge().sequence(151).await.unwrap();
    let daemon = rig.start();
    rig.live(&daemon, 151..=200);

    // Nothing is left of it: it begins behind its end.
    let rig = Rig::new().await;
    rig.publish(1..=200).await;
    rig.stream().await.purge().await.unwrap();
    let daemon = rig.start();
    rig.live(&daemon, []);
    rig.publish(201..=210).await;
    rig.live(&daemon, 201..=210);

    let rig = Rig::with("", |config| config.first_sequence = Some(1_000)).await;
    let daemon = rig.start();
    rig.live(&daemon, []);
    // Their number is their sequence.
    rig.publish(1_000..=1_010).await;
    rig.live(&daemon, 1_000..=1_010);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_deletes_what_is_read_is_refused_at_start() {
    for retention in [stream::RetentionPolicy::Interest, stream::RetentionPolicy::WorkQueue] {
        let rig = Rig::with("", |config| config.retention = retention).await;
        keep(&rig).await;
        rig.publish(1..=10).await;
        for _ in 0..2 {
            let daemon = rig.start();
            let report = rig.failed(&daemon, Reason::Retention, []);
            let word = if retention == stream::RetentionPolicy::Interest {
                "interest"
            } else {
                "workqueue"
            };
            assert!(report.detail.as_ref().unwrap().contains(word), "{report:?}");
            assert!(daemon.terminate().success());
        }
        assert_eq!((rig.messages().await, rig.consumers().await), (10, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retention_that_changes_under_the_daemon_is_refused() {
    for retention in [stream::RetentionPolicy::Interest, stream::RetentionPolicy::WorkQueue] {
        let rig = Rig::new().await;
        rig.publish(1..=10).await;
        let daemon = rig.start();
        rig.live(&daemon, 1..=10);
        keep(&rig).await;
        let mut config = rig.stream().await.cached_info().config.clone();
        config.retention = retention;
        let jetstream = jetstream::new(rig.client.clone());
        let changed = jetstream.update_stream(&config).await;
        if changed.is_err() {
            // The server refuses this change: such a stream takes the place of the old one.
            delete_stream(&rig.client, "S").await;
            create_stream(&rig.client, "S", &["s.>"], |stream| stream.retention = retention).await;
            keep(&rig).await;
        }
        rig.failed(&daemon, Reason::Retention, 1..=10);
        let before = rig.messages().await;
        rig.publish(1_000..=1_009).await;
        drop(daemon);
        rig.failed(&rig.start(), Reason::Retention, 1..=10);
        assert_eq!(rig.messages().await, before + 10, "{retention:?}");
        assert_eq!(rig.consumers().await, 1, "{retention:?}");
    }
}

/// The projection has failed at its checkpoint, and names what the stream lacks; how far it is behind is known.
#[track_caller]
fn gap(rig: &Rig, daemon: &Daemon, checkpoint: u64, last_missing: u64, last: u64) {
    let missing = missing(rig, daemon, checkpoint, last);
    assert_eq!(missing, checkpoint + 1..=last_missing);
}

/// What a projection that has failed names as missing.
#[track_caller]
fn missing(rig: &Rig, daemon: &Daemon, checkpoint: u64, last: u64) -> RangeInclusive<u64> {
    let report = rig.failed(daemon, Reason::Gap, 1..=checkpoint);
    super::until(daemon, "pending", |report| {
        report.pending_messages == Some(last - checkpoint)
            && report.lag_seconds.is_some_and(|seconds| seconds > 0.0)
            && report.missed_sequences == 0
    });
    let detail = report.detail.unwrap();
    let (_, range) = detail.split_once("no longer holds ").expect(&detail);
    let (first, rest) = range.split_once(" to ").expect(&detail);
    first.parse().unwrap()..=rest.split(',').next().unwrap().parse().unwrap()
}

/// Lets all that the stream holds grow too old.
async fn expire(rig: &Rig) {
    let mut config = rig.stream().await.cached_info().config.clone();
    let jetstream = jetstream::new(rig.client.clone());
    config.max_age = MAX_AGE;
    jetstream.update_stream(&config).await.unwrap();
    let begun = std::time::Instant::now();
    while rig.messages().await > 0 {
        assert!(begun.elapsed() < DEADLINE, "messages stay");
        wait::pass(Duration::from_millis(20));
    }
    config.max_age = Duration::ZERO;
    jetstream.update_stream(&config).await.unwrap();
}

/// A consumer of somebody else, who has not read yet: without one, interest keeps nothing.
async fn keep(rig: &Rig) {
    let keeper =
        consumer::pull::Config { durable_name: Some("keeper".to_owned()), ..Default::default() };
    rig.stream().await.create_consumer(keeper).await.unwrap();
}

impl Rig {
    async fn consumers(&self) -> usize {
        self.stream().await.cached_info().state.consumer_count
    }
}
