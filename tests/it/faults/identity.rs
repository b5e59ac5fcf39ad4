//! The stream is another than the one that was read: nothing of it is applied, and nothing makes the view forget.

use async_nats::Client;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use viewd::status::Reason;

use super::{Rig, copy_of, replace};
use crate::daemon::Daemon;
use crate::nats::delete_stream;

/// Applied before anything happens to the stream.
const APPLIED: u64 = 100;

/// What [`Rig::failed`] would take for the same message, were it applied.
const OTHER: u64 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_stream_is_not_read() {
    for messages in [0, 5, APPLIED, 2 * APPLIED] {
        // While the daemon reads.
        let rig = Rig::new().await;
        let daemon = applied(&rig).await;
        rig.recreate_stream().await;
        rig.publish(OTHER + 1..=OTHER + messages).await;
        changed(&rig, &daemon);
        drop(daemon);
        // The same is seen by one that starts now, and again by the next.
        for _ in 0..2 {
            changed(&rig, &rig.start());
        }

        // While it does not.
        let rig = Rig::new().await;
        drop(applied(&rig).await);
        rig.recreate_stream().await;
        rig.publish(OTHER + 1..=OTHER + messages).await;
        changed(&rig, &rig.start());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_recreated_in_a_catch_up_gives_nothing_more() {
    let rig = Rig::new().await;
    let (daemon, last) = rig.catching_up().await;
    rig.recreate_stream().await;
    rig.publish(OTHER + 1..=OTHER + last + 1).await;
    let report = super::until(&daemon, "failed", |report| report.reason.is_some());
    assert_eq!(report.reason, Some(Reason::SourceChanged), "{report:?}");
    // What was read of the old stream before may be applied; of the new one nothing.
    let at = report.checkpoint_sequence;
    assert!((200..=last).contains(&at), "{report:?}");
    rig.failed(&daemon, Reason::SourceChanged, 1..=at);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_stream_is_waited_for_and_its_return_as_another_is_seen() {
    let rig = Rig::new().await;
    let daemon = applied(&rig).await;
    delete_stream(&rig.client, "S").await;
    let report = super::until(&daemon, "degraded", |report| report.reason.is_some());
    assert_eq!(report.reason, Some(Reason::SourceUnreachable), "{report:?}");
    assert!(report.detail.as_ref().unwrap().contains("stream not found"), "{report:?}");
    crate::nats::create_stream(&rig.client, "S", &["s.>"], |_| {}).await;
    changed(&rig, &daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_is_not_read() {
    for later in [0, 20] {
        for running in [true, false] {
            let rig = Rig::new().await;
            rig.publish(1..=APPLIED - later).await;
            let backup = snapshot(&rig.client).await;
            rig.publish(APPLIED - later + 1..=APPLIED).await;
            let daemon = rig.start();
            rig.live(&daemon, 1..=APPLIED);
            let daemon = running.then_some(daemon);
            delete_stream(&rig.client, "S").await;
            restore(&rig.client, &backup).await;
            assert_eq!(rig.messages().await, APPLIED - later);
            let daemon = daemon.unwrap_or_else(|| rig.start());
            changed(&rig, &daemon);
            // Written on past the position, it is still another.
            rig.publish(OTHER + 1..=OTHER + APPLIED).await;
            drop(daemon);
            changed(&rig, &rig.start());
        }
    }
}

/// The hardest to see: the same time of creation, and other messages at the same sequences.
#[tokio::test(flavor = "multi_thread")]
async fn an_older_store_that_was_written_on_is_not_read() {
    for running in [true, false] {
        // How many messages the older store gets: none, fewer than were applied, and more.
        for written in [0, 10, 500] {
            let mut rig = Rig::new().await;
            rig.publish(1..=APPLIED - 50).await;
            rig.server.stop();
            let older = copy_of(&rig.server.store());
            rig.server.start_again();
            rig.publish(APPLIED - 49..=APPLIED).await;
            let daemon = rig.start();
            rig.live(&daemon, 1..=APPLIED);
            let daemon = running.then_some(daemon);
            rig.server.stop();
            replace(&rig.server.store(), older.path());
            rig.server.start_again();
            rig.publish(OTHER + 1..=OTHER + written).await;
            let daemon = daemon.unwrap_or_else(|| rig.start());
            changed(&rig, &daemon);
        }
    }
}

/// A daemon that has applied what there is.
async fn applied(rig: &Rig) -> Daemon {
    rig.publish(1..=APPLIED).await;
    let daemon = rig.start();
    rig.live(&daemon, 1..=APPLIED);
    daemon
}

/// The projection has failed with all that it knew, and knows no lag.
#[track_caller]
fn changed(rig: &Rig, daemon: &Daemon) {
    let report = rig.failed(daemon, Reason::SourceChanged, 1..=APPLIED);
    assert_eq!(report.checkpoint_sequence, APPLIED, "{report:?}");
    assert_eq!((report.pending_messages, report.lag_seconds), (None, None), "{report:?}");
}

/// What `nats stream backup` keeps: the configuration and state, and the data in its pieces.
struct Backup {
    head: Value,
    pieces: Vec<bytes::Bytes>,
}

async fn snapshot(client: &Client) -> Backup {
    let inbox = client.new_inbox();
    let mut data = client.subscribe(inbox.clone()).await.unwrap();
    let asked = json!({ "deliver_subject": inbox, "no_consumers": true, "chunk_size": 65_536 });
    let answer = ask(client, "$JS.API.STREAM.SNAPSHOT.S", &asked).await;
    let mut pieces = Vec::new();
    loop {
        let piece = data.next().await.unwrap();
        if let Some(reply) = &piece.reply {
            client.publish(reply.clone(), "".into()).await.unwrap();
        }
        // The end is an empty message.
        if piece.payload.is_empty() {
            break;
        }
        pieces.push(piece.payload);
    }
    Backup { head: json!({ "config": answer["config"], "state": answer["state"] }), pieces }
}

async fn restore(client: &Client, backup: &Backup) {
    let answer = ask(client, "$JS.API.STREAM.RESTORE.S", &backup.head).await;
    let subject = answer["deliver_subject"].as_str().unwrap().to_owned();
    for piece in &backup.pieces {
        client.request(subject.clone(), piece.clone()).await.unwrap();
    }
    let end = client.request(subject, "".into()).await.unwrap();
    let end: Value = serde_json::from_slice(&end.payload).unwrap();
    assert!(end["error"].is_null(), "{end}");
}

async fn ask(client: &Client, subject: &str, body: &Value) -> Value {
    let answer = client.request(subject.to_owned(), body.to_string().into()).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert!(answer["error"].is_null(), "{answer}");
    answer
}
