//! `viewd events` and `viewd try`: the real stream, looked at from outside.

use serde_json::{Value, json};

use crate::cli::Folder;
use crate::nats::{self, Server};

const DEFINITION: &str = r#"
source = "shop"
subjects = ["shop.*.placed", "shop.*.paid"]
[tables.orders]
key = ["id"]
columns.id    = "text"
columns.total = "decimal(2)"
columns.note  = "json"
columns.at    = "timestamp"
[views.large]
sql = "SELECT id FROM orders WHERE total > 1000"
[[on]]
event  = "Placed"
upsert = "orders"
key.id    = ".data.id"
set.total = ".data.total"
set.note  = ".data.note"
set.at    = ".time"
[[on]]
event  = "Paid"
delete = "orders"
key.id = ".data.id"
"#;

/// A server with a stream of these messages, and a folder that names it.
async fn site(messages: &[(&str, &str)]) -> (Server, Folder) {
    let server = Server::start();
    let client = server.client().await;
    nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    let messages =
        messages.iter().map(|(subject, body)| ((*subject).to_owned(), body.as_bytes().to_vec()));
    nats::publish(&client, messages).await;
    let folder = Folder::new();
    settings(&folder, &server, "");
    folder.write("projections/orders.toml", DEFINITION);
    (server, folder)
}

fn settings(folder: &Folder, server: &Server, source: &str) {
    folder.write(
        "config/viewd.toml",
        &format!(
            "[nats]\nservers = [{:?}]\n[sources.shop]\nstream = \"SHOP\"\n{source}\n",
            server.url()
        ),
    );
}

const MESSAGES: [(&str, &str); 6] = [
    (
        "shop.1.placed",
        r#"{"type":"Placed","time":"2024-05-01T10:00:00Z","data":{"id":"1","total":12.5,"note":"it's '''so'''"}}"#,
    ),
    ("shop.1.paid", r#"{"type":"Paid","id":"p1","data":{"id":"1"}}"#),
    ("shop.2.placed", r#"{"type":"Placed","data":{"id":"2","total":3}}"#),
    ("shop.2.placed", "{oops"),
    ("shop.3.placed", r#"{"type":"Placed","data":{"id":"3","total":1.125}}"#),
    ("shop.4.placed", r#"{"type":"Placed","data":{"id":"4","total":4.75}}"#),
];

fn lines(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn sequences(out: &str) -> Vec<u64> {
    lines(out).iter().map(|event| event["sequence"].as_u64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_the_slice_that_was_asked_for() {
    let (server, folder) = site(&MESSAGES).await;
    for (arguments, expected) in [
        (&[][..], &[1, 2, 3, 4, 5, 6][..]),
        (&["--last", "2"], &[5, 6]),
        (&["--last", "0"], &[]),
        (&["--from", "3"], &[3, 4, 5, 6]),
        (&["--from", "3", "--count", "2"], &[3, 4]),
        (&["--from", "7"], &[]),
        (&["--subject", "shop.*.paid"], &[2]),
        (&["--subject", "shop.2.>", "--last", "1"], &[4]),
        (&["--subject", "shop.9.>"], &[]),
    ] {
        let (out, err) = folder.ends(&[&["events", "shop"], arguments].concat(), 0);
        assert_eq!(sequences(&out), expected, "{arguments:?}");
        assert_eq!(err.contains("there is no such message"), expected.is_empty(), "{err}");
        let more = err.contains("there is more: --from 5 goes on");
        assert_eq!(more, arguments.contains(&"--count"), "{arguments:?}: {err}");
    }
    let (out, _) = folder.ends(&["events", "shop"], 0);
    let events = lines(&out);
    assert_eq!(events[0]["tokens"], json!(["shop", "1", "placed"]));
    assert_eq!(events[1]["id"], "p1");
    let failed = events[3].as_object().unwrap();
    let keys: Vec<_> = failed.keys().map(String::as_str).collect();
    assert_eq!(
        keys,
        ["error", "subject", "sequence", "stored_at", "headers", "payload", "payload_base64"]
    );
    assert!(failed["error"].as_str().unwrap().starts_with("decode: not JSON"), "{failed:?}");
    assert_eq!(failed["payload"], "{oops");

    // What was looked at is as it was, and no consumer stays.
    let stream =
        async_nats::jetstream::new(server.client().await).get_stream("SHOP").await.unwrap();
    let state = stream.get_info().await.unwrap().state;
    assert_eq!((state.messages, state.consumer_count), (6, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_that_match_are_found_however_thinly_they_lie() {
    let server = Server::start();
    let client = server.client().await;
    nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    let subject = |n: u64| if n.is_multiple_of(97) { "shop.rare" } else { "shop.often" };
    let body = |n: u64| format!("{{\"n\":{n}}}").into_bytes();
    nats::publish(&client, (1..=2000).map(|n| (subject(n).to_owned(), body(n)))).await;
    let stream = async_nats::jetstream::new(client).get_stream("SHOP").await.unwrap();
    stream.delete_message(1940).await.unwrap();
    let folder = Folder::new();
    settings(&folder, &server, "");
    let found = |arguments: &[&str]| {
        sequences(&folder.ends(&[&["events", "shop"], arguments].concat(), 0).0)
    };
    let rare: Vec<u64> = (1..=2000_u64).filter(|n| n.is_multiple_of(97) && *n != 1940).collect();
    for last in [1, 3, 10, 19, 20, 500] {
        let expected = &rare[rare.len().saturating_sub(last)..];
        assert_eq!(found(&["--subject", "shop.rare", "--last", &last.to_string()]), expected);
    }
    assert_eq!(found(&["--last", "1500"]).len(), 1500);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_are_shown_after_the_transform() {
    let (server, folder) = site(&MESSAGES).await;
    settings(
        &folder,
        &server,
        r#"transform = 'if .type == "Paid" then null elif .data.id == "2" then [., (.type = "Copied")] else .data.extra = 1 end'"#,
    );
    let (out, err) = folder.ends(&["events", "shop"], 0);
    let events = lines(&out);
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str()).collect();
    assert_eq!(
        types,
        [Some("Placed"), Some("Placed"), Some("Copied"), None, Some("Placed"), Some("Placed")]
    );
    assert_eq!(events[0]["data"]["extra"], 1);
    assert!(err.contains("1 message gives no event: `transform` drops them"), "{err}");
    // A test is given what comes before it.
    let (out, err) = folder.ends(&["events", "shop", "--as-test"], 0);
    assert!(
        out.contains(r#"{"type":"Paid","subject":"shop.1.paid","stored_at":""#)
            && !out.contains("extra"),
        "{out}"
    );
    assert!(err.contains("left out: sequence 4: decode: not JSON"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_try_shows_rows_and_dead_letters_and_writes_nothing() {
    let (_server, folder) = site(&MESSAGES).await;
    let (out, err) = folder.ends(&["try", "orders"], 0);
    assert!(
        err.starts_with(
            "6 messages of SHOP, sequence 1 to 6: 4 applied, 0 ignored, 2 dead-lettered\n"
        ),
        "{err}"
    );
    assert!(!err.contains("earlier messages"), "{err}");
    for part in [
        "\norders: 2 rows\nid  total  note  at\n2    3.00        20",
        "\nlarge: no rows\n",
        "\ndead letters:\nSEQUENCE  EVENT   STATE  REASON\n       4          dead   decode: not JSON",
        "       5  Placed  dead   type: projection `orders`, handler 1",
    ] {
        assert!(out.contains(part), "no `{part}` in\n{out}");
    }
    let (out, err) = folder.ends(&["try", "orders", "--last", "2", "--limit", "1", "--json"], 0);
    assert_eq!(err, "");
    let mut found: Value = serde_json::from_str(&out).unwrap();
    let at = found["data"][0]["rows"][0].as_object_mut().unwrap().shift_remove("at").unwrap();
    assert!(at.as_str().unwrap().starts_with("20"), "{at}");
    assert!(found["dead_letters"][0]["reason"].as_str().unwrap().contains("1.125"), "{found}");
    found["dead_letters"][0].as_object_mut().unwrap().shift_remove("reason");
    assert_eq!(
        found,
        json!({
            "data": [
                {"relation": "orders", "kind": "table", "rows": [{"id": "4", "total": 4.75, "note": null}], "truncated": false, "problem": null},
                {"relation": "large", "kind": "view", "rows": [], "truncated": false, "problem": null},
            ],
            "dead_letters": [{"sequence": 5, "part": 0, "type": "Placed", "state": "dead"}],
            "counts": {"applied": 1, "ignored": 0, "dead_lettered": 1, "parked": 0, "skipped": 0},
            "messages": 2, "first_sequence": 5, "last_sequence": 6, "stopped": null,
        })
    );
    let (_, err) = folder.ends(&["try", "orders", "--last", "2"], 0);
    assert!(err.contains("earlier messages were not read"), "{err}");
    assert!(!folder.path("data").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_written_from_real_events_passes() {
    let (server, folder) = site(&MESSAGES).await;
    let check = |arguments: &[&str], left_out: &[&str], expects: &str| {
        let (test, err) = folder.ends(&[&["try", "orders", "--as-test"], arguments].concat(), 0);
        for left_out in left_out {
            assert!(err.contains(left_out), "no `{left_out}` in\n{err}");
        }
        assert!(test.contains(expects), "no `{expects}` in\n{test}");
        folder.write("projections/orders.toml", &format!("{DEFINITION}\n{test}"));
        let (out, _) = folder.ends(&["test"], 0);
        assert!(out.contains("1 passed, 0 failed"), "{out}");
        folder.write("projections/orders.toml", DEFINITION);
    };
    let left_out = ["left out: sequence 4: decode", "left out: sequence 5: type: projection"];
    check(&[], &left_out, "{\"id\":\"4\",\"total\":4.75,\"note\":null,");
    check(&["--from", "1", "--count", "1"], &[], r"it's \u0027\u0027\u0027so\u0027\u0027\u0027");
    check(&["--from", "5", "--count", "1"], &[], "expect_error = \"expected at most 2 digits");
    for policy in ["halt", "skip"] {
        let policy = format!("{DEFINITION}\n[policy]\non_error = \"{policy}\"\n");
        folder.write("projections/orders.toml", &policy);
        check(&[], &left_out, "{\"id\":\"4\",\"total\":4.75,\"note\":null,");
    }
    settings(
        &folder,
        &server,
        "order_key = '.type'\ntransform = 'if .type == \"Paid\" then null else . end'",
    );
    check(&[], &left_out, "{\"id\":\"1\",\"total\":12.50,");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_is_given_neither_what_is_parked_nor_other_times() {
    let placed = |id: u64, total: &str| {
        format!(r#"{{"type":"Placed","data":{{"id":"{id}","total":{total}}}}}"#)
    };
    let (fails, last) = (placed(3, "1.125"), placed(5, "2"));
    let messages = [
        MESSAGES[0],
        ("shop.3.placed", fails.as_str()),
        ("shop.3.paid", r#"{"type":"Paid","data":{"id":"3"}}"#),
        ("shop.4.placed", "{oops"),
        ("shop.4.paid", r#"{"type":"Paid","data":{"id":"4"}}"#),
        ("shop.5.placed", last.as_str()),
    ];
    let (server, folder) = site(&messages).await;
    settings(&folder, &server, "order_key = '.tokens[1]'");
    let (test, err) = folder.ends(&["try", "orders", "--as-test"], 0);
    for left_out in ["2: type: ", "3: parked behind", "4: decode: ", "5: parked behind"] {
        assert!(err.contains(&format!("left out: sequence {left_out}")), "{err}");
    }
    assert!(!test.contains("Paid") && !test.contains("1.125"), "{test}");
    // What has no time of its own has that of its message, and so has its row.
    let (events, _) = folder.ends(&["events", "shop", "--last", "1"], 0);
    let stored_at = lines(&events)[0]["stored_at"].as_str().unwrap().to_owned();
    let given = format!(r#""subject":"shop.5.placed","stored_at":"{stored_at}","data""#);
    assert!(test.contains(&given), "{test}");
    assert!(test.contains(r#""time":"2024-05-01T10:00:00.000000Z","data""#), "{test}");
    assert!(test.contains(&format!(r#""note":null,"at":"{stored_at}""#)), "{test}");
    folder.write("projections/orders.toml", &format!("{DEFINITION}\n{test}"));
    folder.ends(&["test"], 0);
    let (_, err) = folder.ends(&["try", "orders", "--as-test", "--limit", "1"], 2);
    assert!(err.contains("cannot be used with"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_is_said_with_its_code() {
    let (server, folder) = site(&MESSAGES).await;
    let says = |arguments: &[&str], code, part: &str| {
        let (out, err) = folder.ends(arguments, code);
        assert!(out.is_empty() && err.contains(part), "{arguments:?}: {out}{err}");
    };
    says(&["events", "shp"], 2, "did you mean `shop`?");
    says(&["try", "order"], 2, "did you mean `orders`?");
    says(&["events", "shop", "--last", "1", "--from", "2"], 2, "cannot be used with");
    let away = "nats.servers=[\"nats://127.0.0.1:9\"]";
    says(&["events", "shop", "--set", away], 69, "NATS cannot be reached at nats://127.0.0.1:9");
    says(&["try", "orders", "--set", away], 69, "NATS cannot be reached");
    says(&["events", "shop", "--set", "sources.shop.stream=NONE"], 78, "there is no stream NONE");
    let client = server.client().await;
    nats::create_stream(&client, "WORK", &["work.>"], |config| {
        config.retention = async_nats::jetstream::stream::RetentionPolicy::WorkQueue;
    })
    .await;
    says(&["events", "shop", "--set", "sources.shop.stream=WORK"], 78, "deletes what is read");
}
