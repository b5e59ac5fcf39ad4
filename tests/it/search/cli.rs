//! `viewd search` and the route that it asks: every option, every refusal, with a daemon and without.

use serde_json::{Value, json};

use super::rig::{NAME, QUICK, Rig};
use crate::cli::keys;
use crate::daemon::Daemon;
use crate::nats::publish;

mod attacks;
mod rest;
mod unserved;

/// Orders with a compound key and a filter of each type that can be one.
const DEFINITION: &str = r#"
source = "s"

[tables.orders]
key = ["region", "order_id"]
columns.region    = "text"
columns.order_id  = "integer"
columns.customer  = "text"
columns.note      = "text"
columns.status    = "text"
columns.total     = "decimal(2)"
columns.express   = "boolean"
columns.weight    = "real"
columns.placed_at = "timestamp"
columns.day       = "date"
columns.detail    = "json"

[[on]]
event  = "Placed"
upsert = "orders"
key.region   = ".data.region"
key.order_id = ".data.order_id"
set = '.data | {customer, note, status, total, express, weight, placed_at, day: .placed_at, detail}'

[[on]]
event  = "Removed"
delete = "orders"
key.region   = ".data.region"
key.order_id = ".data.order_id"

[search.orders]
table   = "orders"
filters = ["status", "total", "express", "weight", "placed_at", "day", "order_id"]
fields.customer = { weight = 2.0, language = "en" }
fields.note     = {}

[search.notes]
table = "orders"
fields.note = {}
"#;

/// Of an order: region, id, customer, note, status, total, express, weight.
type Order = (&'static str, i64, &'static str, &'static str, Option<&'static str>, f64, bool, f64);
const ORDERS: [Order; 6] = [
    ("eu", 1, "Ada Lovelace", "Blue shirts, cotton", Some("paid"), 12.5, true, 0.5),
    ("eu", 2, "Zoë Müller", "red shirt <b>& tie</b>", Some("placed"), 99.99, false, 1.25),
    ("us", 1, "Grace Hopper", "blue trousers", Some("paid"), 7.0, false, 2.0),
    ("us", 2, "Alan Turing", "apples", Some("placed"), 100.0, true, 0.25),
    ("us", 3, "Ada Yonath", "shipping a ribosome", None, 0.1, false, 8.0),
    ("eu", 3, "Running Brook", "a run of runs", Some("paid"), 55.0, false, 3.0),
];

/// A daemon whose index has the orders.
async fn filled() -> (Rig, Daemon) {
    let rig = Rig::new(DEFINITION).await;
    let daemon = rig.site.start(QUICK);
    let events = ORDERS.iter().enumerate().map(|(at, order)| placed(at, order));
    let last = publish(&rig.client, events).await;
    // Until then there may be no socket, and no view that could be asked without one.
    daemon.reaches(NAME, last);
    for index in ["orders", "notes"] {
        search(&rig, &[index, "--min-sequence", &last.to_string(), "--timeout", "60s"]);
    }
    (rig, daemon)
}

fn placed(
    at: usize,
    &(region, order_id, customer, note, status, total, express, weight): &(
        &str,
        i64,
        &str,
        &str,
        Option<&str>,
        f64,
        bool,
        f64,
    ),
) -> (String, Vec<u8>) {
    let data = json!({
        "region": region, "order_id": order_id, "customer": customer, "note": note,
        "status": status, "total": total, "express": express, "weight": weight,
        "placed_at": format!("2024-05-{:02}T10:00:00Z", at + 1), "detail": {"n": at},
    });
    ("s.a".to_owned(), json!({ "type": "Placed", "data": data }).to_string().into_bytes())
}

/// What `viewd search items ... --json` prints.
#[track_caller]
fn search(rig: &Rig, arguments: &[&str]) -> Value {
    rig.json(&[&["search", NAME], arguments].concat())
}

/// The keys of the rows found, as `eu1`.
fn found(answer: &Value) -> Vec<String> {
    let row = |row: &Value| format!("{}{}", row["region"].as_str().unwrap(), row["order_id"]);
    answer["data"].as_array().unwrap().iter().map(row).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_have_a_fixed_shape() {
    let (rig, daemon) = filled().await;
    let answer = search(
        &rig,
        &[
            "orders",
            "shirt",
            "--where",
            "order_id=eq.2",
            "--highlight",
            "--total",
            "--facets",
            "status,express",
        ],
    );
    assert_eq!(
        keys(&answer),
        ["data", "next", "sequence", "view_sequence", "generation", "total", "facets"]
    );
    let row = &answer["data"][0];
    assert_eq!(
        keys(row),
        [
            "region",
            "order_id",
            "customer",
            "note",
            "status",
            "total",
            "express",
            "weight",
            "placed_at",
            "day",
            "detail",
            "_score",
            "_highlights",
        ]
    );
    let mut wanted = json!({
        "data": [{
            "region": "eu", "order_id": 2, "customer": "Zoë Müller",
            "note": "red shirt <b>& tie</b>", "status": "placed", "total": 99.99,
            "express": false, "weight": 1.25, "placed_at": "2024-05-02T10:00:00.000000Z",
            "day": "2024-05-02", "detail": {"n": 1}, "_score": row["_score"],
            "_highlights": {"note": ["red <mark>shirt</mark> &lt;b&gt;&amp; tie&lt;/b&gt;"]},
        }],
        "next": null, "sequence": 6, "view_sequence": 6, "generation": 1, "total": 1,
        "facets": {
            "status": [{"value": "placed", "count": 1}],
            "express": [{"value": false, "count": 1}],
        },
    });
    assert!(row["_score"].as_f64().unwrap() > 0.0, "{answer}");
    assert_eq!(answer, wanted);

    // The route says the same, and the sequence in its headers.
    let path = format!("/v1/projections/{NAME}/search/orders");
    let query =
        "_q=shirt&order_id=eq.2&_highlight=true&_total=true&_facets=status,express&_limit=50";
    let (code, body) = daemon.get(&format!("{path}?{query}"));
    assert_eq!(code, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body, answer);

    // What is not asked for is not there; without words there is no score.
    let plain =
        search(&rig, &["orders", "--where", "order_id=eq.2", "--where", "status=eq.placed"]);
    assert_eq!(keys(&plain), ["data", "next", "sequence", "view_sequence", "generation"]);
    assert_eq!(found(&plain), ["eu2", "us2"]);
    let row = wanted["data"][0].as_object_mut().unwrap();
    row.shift_remove("_score");
    row.shift_remove("_highlights");
    assert_eq!(plain["data"][0], wanted["data"][0]);
    // A decimal has its digits, which a float would not.
    let out = rig.ends(0, &["search", NAME, "orders", "turing", "--json"]);
    assert!(out.contains("\"total\":100.00,"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn words_conditions_and_order_find_what_they_say() {
    let (rig, _daemon) = filled().await;
    let check = |arguments: &[&str], expected: &[&str]| {
        let answer = search(&rig, &[&["orders"], arguments].concat());
        assert_eq!(found(&answer), expected, "{arguments:?}: {answer}");
    };
    // All words, in any field, by the language of each: `run` is `running`, where that is English.
    check(&["ada", "blue"], &["eu1"]);
    check(&["ada blue"], &["eu1"]);
    check(&["run"], &["eu3"]);
    check(&["zoe"], &["eu2"]);
    check(&["\"blue trousers\""], &["us1"]);
    check(&["note:ada"], &[]);
    check(&["customer:ada", "--order", "total"], &["us3", "eu1"]);
    check(&["shi*", "--order", "order_id.desc"], &["us3", "eu2", "eu1"]);
    check(&["trosers~1"], &["us1"]);
    check(&["ada OR zoe", "--order", "placed_at"], &["eu1", "eu2", "us3"]);
    check(&["ada -blue"], &["us3"]);
    check(&["nobody"], &[]);
    // Conditions, all of which hold, of each type.
    check(&["--where", "status=eq.paid"], &["eu1", "eu3", "us1"]);
    check(&["--where", "status=is.null"], &["us3"]);
    check(&["--where", "status=neq.paid"], &["eu2", "us2"]);
    check(&["--where", "status=not.eq.paid"], &["eu2", "us2"]);
    check(&["--where", "status=in.(placed,x)"], &["eu2", "us2"]);
    check(&["--where", "status=like.pl*"], &["eu2", "us2"]);
    check(&["--where", "total=gte.99.99"], &["eu2", "us2"]);
    check(&["--where", "total=gt.10", "--where", "total=lt.60"], &["eu1", "eu3"]);
    check(&["--where", "express=is.true"], &["eu1", "us2"]);
    check(&["--where", "weight=lte.0.5"], &["eu1", "us2"]);
    check(&["--where", "placed_at=gte.2024-05-05T10:00:00Z"], &["eu3", "us3"]);
    check(&["--where", "day=lt.2024-05-02"], &["eu1"]);
    check(&["--where", "_or=(status.is.null,total.lt.10)"], &["us1", "us3"]);
    check(&["ada", "--where", "status=eq.paid"], &["eu1"]);
    // Orders; NULL comes first, and what is equal by key.
    check(&["--order", "status"], &["us3", "eu1", "eu3", "us1", "eu2", "us2"]);
    check(&["--order", "status.desc,total"], &["eu2", "us2", "us1", "eu1", "eu3", "us3"]);
    check(&["--order", "weight.desc", "--limit", "2"], &["us3", "eu3"]);
    check(&["--limit", "0"], &[]);
    // A word weighs more in the customer's name than in a note.
    let scores = search(&rig, &["orders", "running OR shipping"]);
    assert_eq!(found(&scores), ["eu3", "us3"], "{scores}");
    let scores = search(&rig, &["orders", "running OR shipping", "--order", "_score"]);
    assert_eq!(found(&scores), ["us3", "eu3"], "{scores}");
    // The other index has a field of its own, and no filter.
    assert_eq!(found(&search(&rig, &["notes", "blue"])), ["us1", "eu1"]);
    assert_eq!(found(&search(&rig, &["notes", "ada"])), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn people_see_a_table() {
    let (rig, _daemon) = filled().await;
    let shown =
        |arguments: &[&str]| rig.ends(0, &[&["search", NAME, "orders"], arguments].concat());
    let out = shown(&["shirt", "--order", "total", "--highlight", "--total", "--facets", "status"]);
    let lines: Vec<&str> = out.lines().collect();
    assert!(lines[0].starts_with("region  order_id  customer"), "{out}");
    assert!(lines[0].ends_with("_score  _highlights"), "{out}");
    assert!(lines[1].ends_with("note: red *shirt* <b>& tie</b>"), "{out}");
    assert_eq!(lines[2..], ["total: 1", "", "status  count", "placed      1"], "{out}");
    let status = rig.ends(0, &["status"]);
    let rows: Vec<Vec<&str>> =
        status.lines().skip(3).map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(
        rows,
        [
            ["INDEX", "STATE", "SEQUENCE", "ROWS"].as_slice(),
            &["items", "orders", "following", "6", "6"],
            &["items", "notes", "following", "6", "6"],
        ],
        "{status}"
    );
    let out = shown(&["nobody"]);
    assert_eq!(out, "nothing found at sequence 6\n");
    let out = shown(&["--limit", "2"]);
    assert!(out.ends_with("there are more than 2 rows: --limit shows more\n"), "{out}");
    let out = shown(&["--limit", "0", "--total", "--facets", "status,express"]);
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            "total: 6",
            "",
            "status  count",
            "paid        3",
            "placed      2",
            "(none)      1",
            "",
            "express  count",
            "false        4",
            "true         2",
        ]
    );
    let out = shown(&["custmer:ada"]);
    assert!(out.contains("warning: `custmer:` is no field"), "{out}");
    let json = search(&rig, &["orders", "custmer:ada"]);
    assert!(json["warnings"][0].as_str().unwrap().starts_with("`custmer:`"), "{json}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_meant_is_refused_with_the_next_step() {
    let (rig, daemon) = filled().await;
    let path = |index: &str| format!("/v1/projections/{NAME}/search/{index}");
    let check = |path: &str, status: u16, code: &str, detail: &str, hint: &str| {
        let (answered, body) = daemon.get(path);
        let problem: Value =
            serde_json::from_str(&body).unwrap_or_else(|_| panic!("{path}: {body}"));
        let text = |member: &str| problem[member].as_str().unwrap_or_default().to_owned();
        assert_eq!((answered, text("code").as_str()), (status, code), "{path}: {body}");
        assert!(text("detail").contains(detail), "{path}: {body}");
        assert!(text("hint").contains(hint), "{path}: {body}");
    };
    let bad = |query: &str, code: &str, detail: &str, hint: &str| {
        check(&format!("{}?{query}", path("orders")), 400, code, detail, hint);
    };
    bad("_q=/a.*/", "bad-query", "regular expression", "beginnings");
    bad("_q=%ff", "bad-query", "not UTF-8", "%C3%A9");
    bad("_q=_key:x", "bad-query", "_key", "");
    bad("stats=eq.paid", "bad-filter", "`stats`", "did you mean `status`?");
    let add = "`customer` would be one in `filters` of [search.orders]";
    bad("customer=eq.x", "bad-filter", "`customer` is no filter: the filters are `status`", add);
    bad("_facets=customer", "bad-filter", "`customer` is no filter of index `orders`", add);
    bad("status=paid", "bad-filter", "", "");
    bad("total=eq.much", "bad-filter", "", "");
    bad("_or=(a", "bad-filter", "", "");
    bad("_order=customer", "bad-order", "`customer` is no filter: ", add);
    bad("_order=total+desc", "bad-order", "`total desc`", "`total.desc`");
    bad("_order=total.down", "bad-order", "`down`", "`asc` or `desc`");
    bad("_order=_score", "bad-order", "words", "`_q`");
    bad("_cursor=abc", "bad-cursor", "damaged", "begin again");
    bad("_facets=stats", "bad-filter", "`stats`", "did you mean `status`?");
    bad("_limit=1001", "bad-parameter", "`_limit`", "1000");
    bad("_limt=1", "bad-parameter", "`_limt`", "did you mean `_limit`?");
    bad("_q=a&_q=b", "bad-parameter", "twice", "");
    bad("_total=1", "bad-parameter", "`_total`", "true or false");
    bad("_min_sequence=x", "bad-parameter", "no sequence", "");
    bad("_wait=1h", "bad-parameter", "`_wait`", "300 s");
    check(&path("ordres"), 404, "unknown-index", "`ordres`", "did you mean `orders`?");
    check(
        "/v1/projections/itms/search/orders",
        404,
        "unknown-projection",
        "`itms`",
        "did you mean `items`?",
    );
    let ahead = format!("{}?_min_sequence=1000&_wait=60s", path("orders"));
    check(&ahead, 504, "beyond-head", "ends at sequence 6, before 1000", "of one stream");
    check(&format!("/v1/projections/{NAME}/search/%ff"), 400, "bad-path", "UTF-8", "");

    // A cursor belongs to its index, words, conditions and order.
    let (_, body) = daemon.get(&format!("{}?_limit=1", path("orders")));
    let body: Value = serde_json::from_str(&body).unwrap();
    let cursor = body["next"].as_str().unwrap();
    bad(&format!("_cursor={cursor}&_order=total"), "bad-cursor", "another request", "`_order`");
    bad(&format!("_cursor={cursor}&_q=ada"), "bad-cursor", "another request", "words");
    bad(&format!("_cursor={cursor}&status=eq.paid"), "bad-cursor", "another request", "conditions");
    let other = format!("{}?_cursor={cursor}", path("notes"));
    check(&other, 400, "bad-cursor", "another request", "");

    // As commands: exit codes, and the same words.
    for (code, arguments, said) in [
        (2, &["itms", "orders"][..], "did you mean `items`?"),
        (2, &[NAME, "ordres"], "did you mean `orders`?"),
        (2, &[NAME, "orders", "/a.*/"], "Hint: search for words"),
        (2, &[NAME, "orders", "--where", "stats=eq.paid"], "did you mean `status`?"),
        (2, &[NAME, "orders", "--where", "status"], "such as status=eq.paid"),
        (2, &[NAME, "orders", "--order", "x"], "Error: `--order`: unknown column `x`"),
        (2, &[NAME, "orders", "--order", ""], "as in `--order placed_at.desc,order_id`"),
        (2, &[NAME, "orders", "--order", "_score"], "Hint: ask for words, or order by a column"),
        (2, &[NAME, "orders", "--facets", "x,"], "Error: `--facets`: `x`"),
        (2, &[NAME, "orders", "--where", "_limit=5"], "such as status=eq.paid"),
        (2, &[NAME, "orders", "--facets", "x"], "`x` is no filter"),
        (
            2,
            &[NAME, "orders", "--cursor", "abc"],
            "goes with the same words, conditions and `--order` as",
        ),
        (2, &[NAME, "orders", "--timeout", "1s"], "--min-sequence"),
        (4, &[NAME, "orders", "--min-sequence", "1000"], "ends at sequence 6, before 1000"),
    ] {
        let out = rig.ends(code, &[&["search"], arguments].concat());
        assert!(out.contains(said), "{arguments:?}: {out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other_without_a_gap() {
    let rig = Rig::new(DEFINITION).await;
    let daemon = rig.site.start(QUICK);
    let order = |n: usize| placed(0, &("eu", n as i64, "Ada", "blue", None, 1.0, false, 1.0));
    let last = publish(&rig.client, (0..2_300).map(order)).await;
    daemon.reaches(NAME, last);
    let last = last.to_string();
    let numbers = |answer: &Value| -> Vec<i64> {
        let rows = answer["data"].as_array().unwrap();
        rows.iter().map(|row| row["order_id"].as_i64().unwrap()).collect()
    };
    let all: Vec<i64> = (0..2_300).collect();
    let waits = ["--min-sequence", &last, "--timeout", "60s"];
    let answer =
        search(&rig, &[&["orders", "--order", "order_id", "--limit", "5000"], &waits[..]].concat());
    assert_eq!(numbers(&answer), all);
    assert_eq!((&answer["next"], &answer["sequence"]), (&Value::Null, &json!(2_300)));
    let answer = search(&rig, &["orders", "ada", "--order", "order_id.desc", "--limit", "1500"]);
    let expected: Vec<i64> = (800..2_300).rev().collect();
    assert_eq!(numbers(&answer), expected);
    // The rest, from where that ended.
    let (ada, next) = (["orders", "ada", "--order", "order_id.desc"], answer["next"].as_str());
    let rest = ["--cursor", next.unwrap(), "--limit", "1500"];
    let answer = search(&rig, &[&ada[..], &rest].concat());
    assert_eq!(numbers(&answer), (0..800).rev().collect::<Vec<_>>());
    assert_eq!(answer["next"], Value::Null);
    // All have one score: the key alone orders them.
    let answer = search(&rig, &["orders", "ada", "--limit", "2300", "--total"]);
    let mut found = numbers(&answer);
    found.sort_unstable();
    assert_eq!((found, &answer["total"]), (all, &json!(2_300)));
    assert_eq!(answer["next"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_published_reads_what_was_written() {
    let (rig, daemon) = filled().await;
    for n in 100..130 {
        let order = ("eu", n, "Reader", "own writes", None, 1.0, false, 1.0);
        let sequence = publish(&rig.client, [placed(0, &order)]).await;
        let path = format!(
            "/v1/projections/{NAME}/search/orders?_q=reader&order_id=eq.{n}&_min_sequence={sequence}&_wait=60s"
        );
        let (code, body) = daemon.get(&path);
        assert_eq!(code, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(found(&answer), [format!("eu{n}")], "{body}");
        assert!(answer["sequence"].as_u64() >= Some(sequence), "{body}");
        assert!(answer["view_sequence"].as_u64() >= answer["sequence"].as_u64(), "{body}");
    }
    // A row that is gone is found no more.
    let removed = json!({"type": "Removed", "data": {"region": "eu", "order_id": 100}});
    let sequence =
        publish(&rig.client, [("s.a".to_owned(), removed.to_string().into_bytes())]).await;
    let answer = search(
        &rig,
        &[
            "orders",
            "reader",
            "--where",
            "order_id=eq.100",
            "--min-sequence",
            &sequence.to_string(),
            "--timeout",
            "60s",
        ],
    );
    assert_eq!(found(&answer), Vec::<String>::new());
}
