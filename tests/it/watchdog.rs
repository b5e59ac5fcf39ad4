//! A worker that stands still, seen from outside, and what the others make of it.

use std::sync::Arc;

use rusqlite::Connection;
use viewd::status::{Projection, Reason, State};

use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, publish};
use crate::wait;

const DEFINITION: &str = r#"
source = "shop"
[tables.orders]
key = ["id"]
columns.id = "integer"
[[on]]
event = "Placed"
upsert = "orders"
key.id = ".data.id"
"#;

fn placed(id: u64) -> (String, Vec<u8>) {
    ("shop.a".to_owned(), format!(r#"{{"type":"Placed","data":{{"id":{id}}}}}"#).into_bytes())
}

/// Looks until a report of a projection says this.
#[track_caller]
fn until(
    daemon: &Daemon,
    name: &str,
    what: &str,
    says: impl Fn(&Projection) -> bool,
) -> Projection {
    wait::until(what, DEADLINE, || Some(daemon.projection(name)).filter(&says))
}

#[track_caller]
fn until_live(daemon: &Daemon, name: &str, sequence: u64) {
    until(daemon, name, "live", |report| {
        report.state == State::Live
            && report.checkpoint_sequence == sequence
            && report.pending_messages == Some(0)
    });
}

#[track_caller]
fn until_failed(daemon: &Daemon, name: &str, reason: Reason) -> Projection {
    until(daemon, name, "failed", |report| {
        report.state == State::Failed && report.reason == Some(reason)
    })
}

/// A view's write lock, taken by a stranger: every commit stands still.
fn write_lock(site: &Arc<Site>, name: &str) -> Connection {
    let path = site.path("data").join(name).join("current/view.db");
    let connection = Connection::open(path).unwrap();
    connection.busy_timeout(DEADLINE).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_stands_still_is_a_failure_until_it_moves_and_nobody_elses() {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish(&client, [placed(1)]).await;
    let sources = "[sources.shop]\nstream = \"SHOP\"";
    let definitions = [("orders", DEFINITION), ("others", DEFINITION)];
    let site = Site::new(&server, sources, &definitions);
    let daemon = site.start(&["limits.stall_ms_max=1000"]);
    until_live(&daemon, "orders", 1);
    until_live(&daemon, "others", 1);

    let lock = write_lock(&site, "orders");
    publish(&client, (2..=4).map(placed)).await;
    let stalled = until_failed(&daemon, "orders", Reason::Stalled);
    let detail = stalled.detail.unwrap();
    assert!(detail.starts_with("stage commit, behind sequence "), "{detail}");
    assert!(stalled.next.unwrap().contains("restart viewd"));
    // Its lag goes on by the head of the stream, whatever its thread does.
    let first =
        until(&daemon, "orders", "the pending", |report| report.pending_messages == Some(3));
    until(&daemon, "orders", "a lag that grows", |report| report.lag_seconds > first.lag_seconds);
    assert_eq!(daemon.projection("orders").checkpoint_sequence, 1);
    until_live(&daemon, "others", 4);
    let (_, scrape) = daemon.get("/metrics");
    let failed = "viewd_projection_state{projection=\"orders\",state=\"failed\"} 1";
    assert!(scrape.lines().any(|line| line == failed), "{scrape}");

    // SQLite gives up waiting for the lock after five seconds: then it is known what stands in the way.
    let waits = until(&daemon, "orders", "degraded", |report| report.state == State::Degraded);
    assert_eq!(waits.reason, Some(Reason::StorageFull));
    assert!(waits.detail.unwrap().ends_with("another program is writing to it"));
    assert!(waits.next.unwrap().contains("end the other program's transaction"));

    lock.execute_batch("ROLLBACK").unwrap();
    until_live(&daemon, "orders", 4);
    let recovered = daemon.projection("orders");
    assert_eq!((recovered.reason, recovered.detail, recovered.next), (None, None, None));
    let log = site.log();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    let stalls = lines("projection stands still");
    assert!(stalls > 0 && stalls == lines("projection moves again"), "{log}");
    assert!(log.contains("ERROR") && !log.contains("projection=\"others\" stage"), "{log}");
    assert!(daemon.terminate().success());
}
