//! Waiting for a sequence: by the command and over HTTP, for everything that can become of a message.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use viewd::status::State;

use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, publish};
use crate::wait;

/// `Broken` breaks a rule; events of one order wait behind it.
const DEFINITION: &str = r#"
source = "shop"
subjects = ["shop.>"]
[tables.orders]
key = ["id"]
columns.id = "integer"
[[on]]
event = "Placed"
upsert = "orders"
key.id = ".data.id"
[[on]]
event = "Broken"
upsert = "orders"
key.id = ".data.none"
"#;

const SOURCES: &str = "[sources.shop]\nstream = \"SHOP\"\norder_key = '.data.id'";

fn event(type_name: &str, id: u64) -> (String, Vec<u8>) {
    ("shop.a".to_owned(), format!(r#"{{"type":"{type_name}","data":{{"id":{id}}}}}"#).into_bytes())
}

fn placed(id: u64) -> (String, Vec<u8>) {
    event("Placed", id)
}

async fn shop(definitions: &[(&str, &str)]) -> (Server, async_nats::Client, Arc<Site>) {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "SHOP", &["shop.>", "noise.>"], |_| ()).await;
    let site = Site::new(&server, SOURCES, definitions);
    (server, client, site)
}

/// `viewd wait`, up to a sequence.
fn command(site: &Site, projection: &str, sequence: u64, more: &[&str]) -> Output {
    let sequence = sequence.to_string();
    let arguments = [&["wait", projection, "--sequence", &sequence], more].concat();
    site.run(&arguments, &[])
}

#[track_caller]
fn check(output: &Output, code: i32, said: &str) {
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{text}");
    assert!(text.contains(said), "{text}");
}

/// The answer of the route: its code, its body.
#[track_caller]
fn route(daemon: &Daemon, path: &str) -> (u16, serde_json::Value) {
    let (code, body) = daemon.get(&format!("/v1/projections/{path}"));
    (code, serde_json::from_str(&body).unwrap())
}

fn write_lock(site: &Site, name: &str) -> Connection {
    let connection =
        Connection::open(site.path("data").join(name).join("current/view.db")).unwrap();
    connection.busy_timeout(DEADLINE).unwrap();
    connection.execute_batch("BEGIN IMMEDIATE").unwrap();
    connection
}

/// The sum of a metric's series.
fn metric(daemon: &Daemon, name: &str) -> f64 {
    let (_, text) = daemon.get("/metrics");
    let series = text
        .lines()
        .filter(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' '])));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

/// Requests that were answered with 503.
fn refused(daemon: &Daemon) -> f64 {
    let (_, text) = daemon.get("/metrics");
    let series = text.lines().filter(|line| {
        line.starts_with("viewd_http_requests_total{") && line.contains("code=\"503\"")
    });
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_said_what_became_of_each_message() {
    let skips = format!("{DEFINITION}[policy]\non_error = \"skip\"\n");
    let (_server, client, site) = shop(&[("orders", DEFINITION), ("skips", &skips)]).await;
    let daemon = site.start(&[]);
    for (sequence, message, outcome) in [
        (1, placed(1), "passed"),
        (2, event("Broken", 2), "dead_lettered"),
        (3, placed(2), "parked"),
        (4, event("Ignored", 3), "passed"),
        (5, ("noise.a".to_owned(), b"{}".to_vec()), "passed"),
    ] {
        assert_eq!(publish(&client, [message]).await, sequence);
        let (code, body) = route(&daemon, &format!("orders/wait?_sequence={sequence}&_timeout=1m"));
        assert_eq!((code, &body["data"][0]["outcome"]), (200, &outcome.into()), "{body}");
        assert_eq!(body["data"][0]["sequence"], sequence);
        assert_eq!(body["data"][0]["reason"].is_null(), outcome == "passed", "{body}");
        assert_eq!((&body["sequence"], &body["generation"]), (&sequence.into(), &1.into()));
    }
    // What was reached long ago is answered at once, whatever the time.
    let reached = command(&site, "orders", 2, &["--timeout", "0s"]);
    check(&reached, 0, "orders is at 5; sequence 2 dead_lettered: null_key");
    let reached = command(&site, "orders", 0, &["--json"]);
    check(&reached, 0, r#""data":[{"sequence":0,"outcome":"passed","reason":null}]"#);
    check(&command(&site, "skips", 2, &["--timeout", "1m"]), 0, "sequence 2 skipped: null_key");
    assert_eq!(metric(&daemon, "viewd_sequence_wait_duration_seconds_count"), 8.0);
    assert_eq!(metric(&daemon, "viewd_sequence_wait_timeouts_total"), 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filtered_view_advances_when_somebody_waits_and_not_at_the_next_poll() {
    const POLL: Duration = Duration::from_secs(60);
    let (_server, client, site) = shop(&[("orders", DEFINITION), ("others", DEFINITION)]).await;
    publish(&client, [placed(1)]).await;
    let daemon = site.start(&["limits.head_poll_ms=60000"]);
    daemon.reaches("others", 1);
    check(&command(&site, "orders", 1, &["--timeout", "50s"]), 0, "passed");
    check(&command(&site, "others", 1, &["--timeout", "50s"]), 0, "passed");
    // Twenty times what no filter matches: no poll could have come between all of them.
    let begun = Instant::now();
    let mut longest = Duration::ZERO;
    for sequence in 2..=21 {
        let noise = ("noise.a".to_owned(), b"{}".to_vec());
        assert_eq!(publish(&client, [noise]).await, sequence);
        let asked = Instant::now();
        let projection = if sequence % 2 == 0 { "orders" } else { "others" };
        let (code, body) =
            route(&daemon, &format!("{projection}/wait?_sequence={sequence}&_timeout=50s"));
        assert_eq!((code, &body["data"][0]["outcome"]), (200, &"passed".into()), "{body}");
        longest = longest.max(asked.elapsed());
    }
    assert!(begun.elapsed() < POLL / 2, "{:?}; the longest {longest:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_come_is_not_waited_for() {
    let halts = format!("{DEFINITION}[policy]\non_error = \"halt\"\n");
    let (_server, client, site) = shop(&[("orders", DEFINITION), ("halts", &halts)]).await;
    check(&command(&site, "orders", 1, &[]), 69, "no daemon is running");
    publish(&client, [placed(1), event("Broken", 2)]).await;
    let daemon = site.start(&[]);
    daemon.reaches("orders", 2);
    let begun = Instant::now();

    // Beyond the end of the stream, as the server says now, not as a poll said.
    let (code, body) = route(&daemon, "orders/wait?_sequence=3&_timeout=5m");
    assert_eq!((code, &body["code"], &body["sequence"]), (504, &"beyond-head".into(), &2.into()));
    check(&command(&site, "orders", 3, &["--timeout", "1h"]), 4, "the stream ends at sequence 2");

    // Failed: what it has is said, what it will not get as well.
    wait::until("the failure", DEADLINE, || {
        (daemon.projection("halts").state == State::Failed).then_some(())
    });
    check(&command(&site, "halts", 1, &[]), 0, "sequence 1 passed");
    let (code, body) = route(&daemon, "halts/wait?_sequence=2&_timeout=5m");
    assert_eq!((code, &body["code"]), (409, &"projection-stands-still".into()), "{body}");
    let failed = command(&site, "halts", 2, &["--timeout", "1h"]);
    check(&failed, 3, "projection `halts` is failed (halted): message ");
    check(&failed, 3, "Hint: correct the definition");

    check(&command(&site, "order", 1, &[]), 2, "did you mean `orders`?");
    check(&command(&site, "orders/../..", 1, &[]), 2, "no projection `orders/../..`");
    check(&command(&site, "orders", 1, &["--timeout", "soon"]), 2, "write 500ms, 10s or 2m");
    assert_eq!(route(&daemon, "orders/wait").0, 400);
    assert!(begun.elapsed() < DEADLINE * 2, "something waited: {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_ends_in_time_and_with_the_daemon() {
    let (server, client, site) = shop(&[("orders", DEFINITION)]).await;
    publish(&client, [placed(1)]).await;
    let daemon = site.start(&["limits.heartbeat_ms=500"]);
    daemon.reaches("orders", 1);
    let lock = write_lock(&site, "orders");
    publish(&client, [placed(2)]).await;
    let late = command(&site, "orders", 2, &["--timeout", "200ms", "--json"]);
    check(&late, 4, "\"timed_out\"");
    check(&late, 4, "has not reached sequence 2 in time; its view is at 1");
    assert_eq!(metric(&daemon, "viewd_sequence_wait_timeouts_total"), 1.0);

    lock.execute_batch("ROLLBACK").unwrap();
    daemon.reaches("orders", 2);

    // Whoever still waits when the daemon ends is told so, though nothing else happens that could wake him.
    server.freeze();
    wait::until("the silence", DEADLINE, || {
        (daemon.projection("orders").state == State::Degraded).then_some(())
    });
    let waiter = std::thread::spawn({
        let site = Arc::clone(&site);
        move || command(&site, "orders", 3, &["--timeout", "10m"])
    });
    wait::until("the waiter", DEADLINE, || {
        (metric(&daemon, "viewd_http_requests_in_flight") >= 2.0).then_some(())
    });
    let ended = daemon.terminate();
    check(&waiter.join().unwrap(), 69, "shutting down");
    assert!(ended.success(), "{}", site.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_may_wait_and_the_others_are_answered() {
    let (server, client, site) = shop(&[("orders", DEFINITION)]).await;
    publish(&client, [placed(1)]).await;
    let daemon = site.start(&["limits.heartbeat_ms=500"]);
    daemon.reaches("orders", 1);
    server.freeze();
    let socket = site.path("data/admin.sock");
    let waiters: Vec<UnixStream> = (0..130)
        .map(|_| {
            let mut waiter = UnixStream::connect(&socket).unwrap();
            let path = "/v1/projections/orders/wait?_sequence=2&_timeout=5m";
            write!(waiter, "GET {path} HTTP/1.1\r\nHost: viewd\r\n\r\n").unwrap();
            waiter
        })
        .collect();
    // Only when all have been judged: a request that came first would have the place of one of them.
    wait::until("two refusals", DEADLINE, || {
        (refused(&daemon) == 2.0 && metric(&daemon, "viewd_http_requests_in_flight") == 129.0)
            .then_some(())
    });
    let ask = |wanted: u16| {
        let (code, body) = route(&daemon, "orders/wait?_sequence=2&_timeout=0s");
        (code == wanted).then_some(body["code"].clone())
    };
    assert_eq!(ask(503).unwrap(), "too-many-waits");
    // Who goes away waits no longer.
    drop(waiters);
    assert_eq!(wait::until("a place", DEADLINE, || ask(504)), "timed-out");
}
