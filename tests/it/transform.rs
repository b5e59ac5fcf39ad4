//! A source's `transform` through a real server into the real daemon: messages renamed, split and dropped, the ones
//! that it fails on set aside, and all of it once, however often the daemon ends on the way.

use async_nats::Client;
use rusqlite::Connection;
use viewd::status::State;

use crate::daemon::{DEADLINE, Site};
use crate::nats::{Server, create_stream, publish};
use crate::wait;

/// An order becomes a line for each of its lines, a ping nothing, and what an old program sent is renamed.
const SOURCES: &str = r#"
[sources.shop]
stream = "SHOP"
order_key = ".data.sku"
transform = '''
if .type == "Order" then
  .data.order as $order | [.data.lines[] as $line | .type = "Line" | .data = $line + {order: $order}]
elif .type == "Ping" then null
elif .type == "OldLine" then .type = "Line" | .data.order //= .tokens[1]
elif .type == "Broken" then .type = .data
else . end
'''
"#;

const LINES: &str = r#"
source = "shop"
[tables.lines]
key = ["order", "sku"]
columns.order    = "text"
columns.sku      = "text"
columns.quantity = { type = "integer", required = true }
columns.subject  = "text"
[tables.totals]
key = ["sku"]
columns.sku      = "text"
columns.lines    = "integer"
columns.quantity = "integer"
[[on]]
event        = "Line"
upsert       = "lines"
key.order    = ".data.order"
key.sku      = ".data.sku"
set.quantity = ".data.quantity"
set.subject  = ".subject"
[[on]]
event        = "Line"
upsert       = "totals"
key.sku      = ".data.sku"
add.lines    = 1
add.quantity = ".data.quantity"
"#;

/// Transactions of a few events: many moments to be killed at, and messages of more events than one should hold.
const SMALL_BATCHES: &[&str] = &["limits.batch_events_max=2"];

async fn shop() -> (Server, Client, std::sync::Arc<Site>) {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "SHOP", &["shop.>"], |_| {}).await;
    let site = Site::new(&server, SOURCES, &[("lines", LINES)]);
    (server, client, site)
}

fn message(type_name: &str, data: &str) -> (String, Vec<u8>) {
    let payload = format!(r#"{{"type":"{type_name}","data":{data}}}"#);
    (format!("shop.7.{type_name}"), payload.into_bytes())
}

fn column(view: &Connection, sql: &str) -> Vec<String> {
    let mut statement = view.prepare(sql).unwrap();
    let rows = statement.query_map((), |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_are_renamed_split_dropped_and_set_aside() {
    let (_server, client, site) = shop().await;
    let messages = [
        message(
            "Order",
            r#"{"order":"1","lines":[{"sku":"a","quantity":1},{"sku":"b","quantity":2}]}"#,
        ),
        message("Ping", "{}"),
        message("OldLine", r#"{"sku":"a","quantity":4}"#),
        // The second line breaks a rule of the table: the ones beside it are applied.
        message(
            "Order",
            r#"{"order":"2","lines":[{"sku":"c","quantity":1},{"sku":"d"},{"sku":"e","quantity":2}]}"#,
        ),
        message("Order", r#"{"order":"3","lines":5}"#),
        message("Broken", r#"{"x":1}"#),
        ("shop.7.junk".to_owned(), b"junk".to_vec()),
        // What is behind the second line of order 2 waits; what is beside it does not.
        message(
            "Order",
            r#"{"order":"4","lines":[{"sku":"f","quantity":8},{"sku":"d","quantity":1}]}"#,
        ),
        message("Other", "{}"),
        message("Order", r#"{"order":"5","lines":[]}"#),
        message("Ping", "{}"),
    ];
    let last = publish(&client, messages.clone()).await;
    let daemon = site.start(&[]);
    daemon.reaches("lines", last);

    let view = site.view("lines");
    assert_eq!(
        column(
            &view,
            "SELECT \"order\" || ' ' || sku || ' ' || quantity || ' ' || subject FROM lines ORDER BY 1"
        ),
        [
            "1 a 1 shop.7.Order",
            "1 b 2 shop.7.Order",
            "2 c 1 shop.7.Order",
            "2 e 2 shop.7.Order",
            "4 f 8 shop.7.Order",
            "7 a 4 shop.7.OldLine",
        ]
    );
    let letters = "SELECT sequence || '.' || part || ' ' || state || ' ' || coalesce(type, '-') || ' ' || \
                   coalesce(order_key, '-') || ' ' || substr(reason, 1, instr(reason, ':') - 1) \
                   FROM _viewd_dead_letters ORDER BY sequence, part";
    let parked = column(&view, "SELECT reason FROM _viewd_dead_letters WHERE sequence = 8");
    assert_eq!(parked, ["parked behind a dead letter of order key `d`"]);
    assert_eq!(
        column(&view, letters),
        [
            "4.1 dead Line d required",
            "5.0 dead - - transform",
            "6.0 dead - - transform",
            "7.0 dead - - decode",
            "8.1 parked Line d ",
        ]
    );
    let reason =
        column(&view, "SELECT reason FROM _viewd_dead_letters WHERE sequence = 6").remove(0);
    assert!(reason.contains(r#"`type` is {"x":1}, but must be a string"#), "{reason}");
    // A dead letter holds what the stream holds.
    let payloads = view
        .prepare("SELECT sequence, payload FROM _viewd_dead_letters")
        .unwrap()
        .query_map((), |row| Ok((row.get::<_, u32>(0)?, row.get::<_, Vec<u8>>(1)?)))
        .unwrap()
        .map(Result::unwrap)
        .collect::<Vec<_>>();
    assert_eq!(payloads.len(), 5);
    assert!(
        payloads.iter().all(|(sequence, payload)| *payload == messages[*sequence as usize - 1].1)
    );

    // Every message was scanned, each event counted: 2 + 1 + 3 + 3 rejects + 2 + the type that no handler takes.
    let counts = site.counts("lines");
    assert_eq!((counts.applied, counts.ignored), (6, 1));
    assert_eq!((counts.dead_lettered, counts.parked, counts.skipped), (4, 1, 0));
    let checkpoint = site.checkpoint("lines").unwrap();
    assert_eq!((checkpoint.sequence, checkpoint.messages), (last, last));
    wait::until("live", DEADLINE, || {
        (daemon.projection("lines").state == State::Live).then_some(())
    });
    assert!(daemon.terminate().success(), "{}", site.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_split_once_however_often_the_daemon_ends() {
    const MESSAGES: u64 = 3_000;
    const TOTALS: &str = "SELECT sku || ' ' || lines || ' ' || quantity FROM totals ORDER BY sku";
    let (_server, client, site) = shop().await;
    // Message n has n % 5 lines of quantity n.
    let messages = (1..=MESSAGES).map(|n| {
        let lines = (0..n % 5).map(|line| format!(r#"{{"sku":"{line}","quantity":{n}}}"#));
        let lines = lines.collect::<Vec<_>>().join(",");
        message("Order", &format!(r#"{{"order":"{n}","lines":[{lines}]}}"#))
    });
    let last = publish(&client, messages).await;
    let mut killed_at = 0;
    for reached in [200, 900, 1_600] {
        let daemon = site.start(SMALL_BATCHES);
        daemon.reaches("lines", reached);
        daemon.kill();
        let found = site.checkpoint("lines").unwrap();
        assert!(
            found.sequence > killed_at && found.sequence < last,
            "killed on the way: {found:?}"
        );
        // Dropped messages count as well (I4).
        assert_eq!(found.messages, found.sequence);
        let lines = (1..=found.sequence).map(|n| n % 5).sum::<u64>();
        assert_eq!(site.counts("lines").applied, lines, "no message was split over batches");
        killed_at = found.sequence;
    }
    site.catch_up(&[]);
    let checkpoint = site.checkpoint("lines").unwrap();
    assert_eq!((checkpoint.sequence, checkpoint.messages), (last, last));
    let expected: Vec<_> = (0..4)
        .map(|line| {
            let with_line = || (1..=MESSAGES).filter(|n| n % 5 > line);
            format!("{line} {} {}", with_line().count(), with_line().sum::<u64>())
        })
        .collect();
    let view = site.view("lines");
    assert_eq!(column(&view, TOTALS), expected);
    assert_eq!(
        column(&view, "SELECT count(*) || '' FROM lines"),
        [(MESSAGES / 5 * 10).to_string()]
    );

    // Another transform makes other events: the view is built anew beside the one that is served.
    let each_counts_one =
        settings(&site).replace("{order: $order}", "{order: $order, quantity: 1}");
    site.write("viewd.toml", &each_counts_one);
    site.catch_up(&[]);
    let lines = |line| (1..=MESSAGES).filter(|n| n % 5 > line).count();
    let expected: Vec<_> =
        (0..4).map(|line| format!("{line} {} {}", lines(line), lines(line))).collect();
    assert_eq!(column(&site.view("lines"), TOTALS), expected);
}

fn settings(site: &Site) -> String {
    std::fs::read_to_string(site.path("viewd.toml")).unwrap()
}
