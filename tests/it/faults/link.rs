//! Nothing is heard any more and nothing says why: the link is half open, or the server stands still or goes slowly.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use viewd::status::{Reason, State};

use super::{
    BACKLOG, DEFINITION, HEARTBEAT_MS, PADDING, Rig, SMALL_BATCHES, SOURCES, metric, recreates,
    until,
};
use crate::daemon::{DEADLINE, Daemon, Site};
use crate::proxy::{Fault, Proxy, Way};
use crate::wait;

const HEARTBEAT: Duration = Duration::from_millis(HEARTBEAT_MS);

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stands_still_is_noticed_within_two_heartbeats() {
    let rig = Rig::new().await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, 1..=10);
    rig.server.freeze();
    silence(&daemon);
    rig.server.thaw();
    rig.publish(11..=20).await;
    rig.live(&daemon, 1..=20);

    // In a catch-up.
    drop(daemon);
    let (daemon, last) = rig.catching_up().await;
    rig.server.freeze();
    until(&daemon, "degraded", |report| report.reason == Some(Reason::SourceUnreachable));
    rig.server.thaw();
    rig.live(&daemon, 1..=last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_half_open_link_is_given_up_for_another() {
    let mut rig = Rig::new().await;
    let proxy = Proxy::start(&rig.server.url());
    rig.site = Site::at(&[proxy.url()], SOURCES, &[("log", DEFINITION)]);
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, 1..=10);
    proxy.set(Fault::stalled());
    rig.publish(11..=20).await;
    // What is known of the head grows old before anybody misses a heartbeat.
    until(&daemon, "unknown", |report| report.pending_messages.is_none());
    assert!(daemon.projection("log").lag_seconds.is_none());
    silence(&daemon);
    proxy.mend();
    rig.live(&daemon, 1..=20);

    // In a catch-up, for long enough to be given up.
    let last = rig.publish_padded(21..=BACKLOG, PADDING).await;
    let before = recreates(&daemon, "");
    proxy.set(Fault::stalled());
    wait::until("another consumer", DEADLINE, || (recreates(&daemon, "") > before).then_some(()));
    proxy.mend();
    rig.live(&daemon, 1..=last);
}

/// What a link takes longer to bring than an answer may take does not keep answers from coming: they have a link of
/// their own.
#[tokio::test(flavor = "multi_thread")]
async fn a_narrow_link_is_no_fault() {
    let mut rig = Rig::new().await;
    let last = rig.publish_padded(1..=1_500, PADDING).await;
    // Where sequences are passed over the stream is asked, chunk by chunk.
    let stream = rig.stream().await;
    let deleted: Vec<u64> = (100..last).step_by(100).collect();
    for &sequence in &deleted {
        stream.delete_message(sequence).await.unwrap();
    }
    let proxy = Proxy::start(&rig.server.url());
    proxy.set(Fault::to_client(Way { bytes_per_second: Some(1_500_000), ..Way::default() }));
    rig.site = Site::at(&[proxy.url()], SOURCES, &[("log", DEFINITION)]);
    let daemon = rig.start();
    rig.live(&daemon, (1..=last).filter(|sequence| !deleted.contains(sequence)));
    assert_eq!(recreates(&daemon, ""), 0.0, "{}", rig.site.log());
}

/// The old link never speaks again, but another one would: the reader finds it by itself, and so does the poll.
#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_stays_dead_is_replaced() {
    let mut rig = Rig::new().await;
    let proxy = Proxy::start(&rig.server.url());
    rig.site = Site::at(&[proxy.url()], SOURCES, &[("log", DEFINITION)]);
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, 1..=10);
    proxy.bury();
    let begun = Instant::now();
    rig.publish(11..=20).await;
    daemon.reaches("log", 20);
    let read = begun.elapsed();
    rig.live(&daemon, 1..=20);
    // Far less than the client's own pings take, which give a link up after some 20 seconds.
    assert!(read < 20 * HEARTBEAT, "{read:?}, all {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lame_duck_is_left_and_its_successor_found() {
    let settings = "lame_duck_duration: 30s\nlame_duck_grace_period: 1s";
    let mut rig = Rig::with(settings, |_| {}).await;
    let (daemon, last) = rig.catching_up().await;
    rig.server.retire();
    rig.server.start_again();
    rig.live(&daemon, 1..=last);
    // Idle.
    rig.server.retire();
    rig.server.start_again();
    rig.publish(last + 1..=last + 10).await;
    rig.live(&daemon, 1..=last + 10);
}

/// The server drops a client that takes nothing for a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_stood_still_goes_on() {
    // Less than the two pulls that an idle reader has sent, and more than one.
    let rig = Rig::with("max_pending: 6MB\nwrite_deadline: \"100ms\"", |_| {}).await;
    let mut last = rig.publish(1..=10).await;
    let daemon = rig.site.start(&["limits.heartbeat_ms=1000", SMALL_BATCHES]);
    rig.live(&daemon, 1..=last);
    let mut rounds = 0;
    // What the system's buffers take is a matter of the moment.
    while recreates(&daemon, "") < 1.0 {
        assert!(rounds < 20, "it is never dropped: the test does not test");
        rounds += 1;
        daemon.signal(Signal::STOP);
        last = rig.publish_padded(last + 1..=last + 3_000, PADDING).await;
        wait::pass(HEARTBEAT);
        daemon.signal(Signal::CONT);
        rig.live(&daemon, 1..=last);
    }
}

/// From now on nothing comes: given up within two heartbeats (by whichever notices it first), said soon after, and lag is unknown.
#[track_caller]
fn silence(daemon: &Daemon) {
    let begun = Instant::now();
    let before = recreates(daemon, "");
    wait::until("the consumer given up", DEADLINE, || {
        (recreates(daemon, "") > before).then_some(())
    });
    let noticed = begun.elapsed();
    // The third would have been the next; a busy machine may take that long to say so.
    assert!(noticed < 3 * HEARTBEAT, "{noticed:?}");
    let report = until(daemon, "degraded", |report| report.state == State::Degraded);
    // What mends itself at once is not worth a word, so the state says it two seconds later.
    let said = begun.elapsed();
    assert!(said < 5 * HEARTBEAT + Duration::from_secs(2), "{said:?}");
    assert_eq!(report.reason, Some(Reason::SourceUnreachable), "{report:?}");
    assert_eq!((report.pending_messages, report.lag_seconds), (None, None), "{report:?}");
    assert!(metric(daemon, "viewd_projection_lag_seconds", "").is_nan());
    assert!(metric(daemon, "viewd_projection_pending_messages", "").is_nan());
}
