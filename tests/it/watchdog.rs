//! A worker that stands still, and a stream that is not heard of, seen from outside.

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
    let scrape = daemon.get("/metrics").1;
    let state = "viewd_projection_state{projection=\"orders\",state=\"failed\"}";
    assert_eq!(metric(&scrape, state), 1.0);
    assert_eq!(metric(&scrape, "viewd_projection_pending_messages{projection=\"orders\"}"), 3.0);
    // What stands behind the alert on a projection that stands still stands still.
    let progress = "viewd_projection_last_progress_timestamp_seconds";
    let of = |name: &str| {
        metric(&daemon.get("/metrics").1, &format!("{progress}{{projection=\"{name}\"}}"))
    };
    assert!(of("orders") + 0.5 < of("others"));

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

/// Within the budget of each handler, and half a minute of work in all.
fn slow_definition() -> String {
    let handler = r#"
[[on]]
event = "Slow"
when = '(reduce range(100000) as $i (0; . + $i)) < 0'
upsert = "orders"
key.id = ".data.id"
"#;
    format!("{DEFINITION}{}", handler.repeat(100))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_does_not_end_is_named() {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish(&client, [placed(1), placed(2)]).await;
    publish(&client, [("shop.a".to_owned(), br#"{"type":"Slow","data":{"id":3}}"#.to_vec())]).await;
    let sources = "[sources.shop]\nstream = \"SHOP\"";
    let definitions = [("orders", slow_definition()), ("others", DEFINITION.to_owned())];
    let definitions = definitions.each_ref().map(|(name, text)| (*name, text.as_str()));
    let site = Site::new(&server, sources, &definitions);
    let daemon = site.start(&["limits.stall_ms_max=1000"]);
    let stalled = until_failed(&daemon, "orders", Reason::Stalled);
    let detail = stalled.detail.unwrap();
    assert!(detail.starts_with("stage apply, sequence 3: the event has not ended for"), "{detail}");
    assert_eq!(
        stalled.next.as_deref(),
        Some("restart viewd, and report it with the log and the event")
    );
    until_live(&daemon, "others", 3);
    let log = site.log();
    assert!(log.contains("stage=\"apply\" sequence=3"), "{log}");
    // The end of the event is not waited for.
    daemon.kill();
}

/// The value of a series.
#[track_caller]
fn metric(scrape: &str, series: &str) -> f64 {
    let line = scrape.lines().find_map(|line| line.strip_prefix(series));
    line.unwrap_or_else(|| panic!("no {series}\n{scrape}")).trim().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_is_not_read_is_an_unknown_lag_and_no_live_state() {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish(&client, [placed(1)]).await;
    let site = Site::new(&server, "[sources.shop]\nstream = \"SHOP\"", &[("orders", DEFINITION)]);
    let daemon = site.start(&["limits.heartbeat_ms=500"]);
    until_live(&daemon, "orders", 1);
    let pending = "viewd_projection_pending_messages{projection=\"orders\"}";
    let lag = "viewd_projection_lag_seconds{projection=\"orders\"}";
    let polled = "viewd_stream_poll_last_success_timestamp_seconds{stream=\"SHOP\"}";
    let (_, scrape) = daemon.get("/metrics");
    assert_eq!((metric(&scrape, pending), metric(&scrape, lag)), (0.0, 0.0));

    server.freeze();
    let unknown = until(&daemon, "orders", "an unknown lag", |report| report.lag_seconds.is_none());
    assert_eq!((unknown.pending_messages, unknown.stream_last_sequence), (None, None));
    let degraded = until(&daemon, "orders", "degraded", |report| report.state != State::Live);
    assert_eq!(
        (degraded.state, degraded.reason, degraded.pending_messages),
        (State::Degraded, Some(Reason::SourceUnreachable), None)
    );
    let (_, first) = daemon.get("/metrics");
    assert!(metric(&first, pending).is_nan() && metric(&first, lag).is_nan(), "{first}");
    // What stands behind the alert on a source that is unknown stands still.
    wait::pass(std::time::Duration::from_millis(300));
    let (_, second) = daemon.get("/metrics");
    assert!((metric(&first, polled) - metric(&second, polled)).abs() < 0.1);

    server.thaw();
    publish(&client, [placed(2)]).await;
    until_live(&daemon, "orders", 2);
    let (_, third) = daemon.get("/metrics");
    assert!(metric(&third, polled) > metric(&second, polled) + 0.2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_stands_still_says_so_and_what_is_served_goes_on() {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish(&client, [placed(1)]).await;
    publish(&client, [("shop.a".to_owned(), br#"{"type":"Slow","data":{"id":3}}"#.to_vec())]).await;
    let site = Site::new(&server, "[sources.shop]\nstream = \"SHOP\"", &[("orders", DEFINITION)]);
    let daemon = site.start(&["limits.stall_ms_max=1000"]);
    until_live(&daemon, "orders", 2);
    site.write("projections/orders.toml", &slow_definition());
    assert!(site.run(&["reload"], &[]).status.success());
    let stalled = wait::until("a build that stands still", DEADLINE, || {
        let body = daemon.get("/v1/admin/operations/1").1;
        let shown: serde_json::Value = serde_json::from_str(&body).unwrap();
        shown["data"][0]["detail"].as_str().map(str::to_owned)
    });
    assert!(stalled.starts_with("stage apply, sequence 2: the event has not ended"), "{stalled}");
    assert!(site.log().contains("build stands still"), "{}", site.log());
    publish(&client, [placed(4)]).await;
    until_live(&daemon, "orders", 3);
    // The end of the event is not waited for.
    daemon.kill();
}
