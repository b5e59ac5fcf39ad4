//! `viewd plan`: what a changed definition asks for, and which part of it.

use serde_json::{Value, json};

use crate::cli::{Folder, filled, keys};
use crate::nats::{self, Server};

const DEFINITION: &str = include_str!("../trial/orders.toml");

const REPLAYS: &str = "replays the stream beside the view that is served, and serves the new one when it has caught up";

/// A folder whose view was built by the definition, and the server that it was built from.
async fn built() -> (Server, Folder) {
    built_by(DEFINITION).await
}

async fn built_by(definition: &str) -> (Server, Folder) {
    let server = Server::start();
    let client = server.client().await;
    nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    for id in ["1", "2", "3"] {
        let body = format!(r#"{{"type":"Placed","data":{{"id":"{id}"}}}}"#);
        nats::publish(&client, [("shop.a".to_owned(), body.into_bytes())]).await;
    }
    let folder = Folder::new();
    folder.write("config/viewd.toml", &settings(&server));
    folder.write("projections/orders.toml", definition);
    folder.ends(&["run", "--exit-when-caught-up"], 0);
    (server, folder)
}

fn settings(server: &Server) -> String {
    format!(
        "[nats]\nservers = [{:?}]\n[http]\nlisten = \"off\"\n[sources.shop]\nstream = \"SHOP\"\n",
        server.url()
    )
}

/// What is planned after one change of the definition that the view was built by.
fn check(
    folder: &Folder,
    built_by: &str,
    (from, to): (&str, &str),
    action: &str,
    changes: &[&str],
) {
    assert!(built_by.contains(from), "{from}");
    folder.write("projections/orders.toml", &built_by.replacen(from, to, 1));
    let (out, _) = folder.ends(&["plan"], 0);
    let mut lines = out.lines();
    assert_eq!(lines.next(), Some(format!("orders: {action}").as_str()), "{from} -> {to}");
    let found: Vec<_> = lines.filter(|line| !line.starts_with("  next: ")).map(str::trim).collect();
    assert_eq!(found, changes, "{from} -> {to}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_a_full_text_index_is_named() {
    const INDEX: &str = "[search.orders]\ntable = \"orders\"\nfilters = [\"total\"]\nfields.status = {}\nfields.order_id = { weight = 2.5, language = \"en\" }\n";
    let indexed = DEFINITION.replacen("[views.open]", &format!("{INDEX}\n[views.open]"), 1);
    let (_server, folder) = built_by(&indexed).await;
    let check = |from: &str, to: &str, action: &str, changes: &[&str]| {
        check(&folder, &indexed, (from, to), action, changes);
    };
    check("2.5", "2.50", "nothing would change", &[]);
    let weights = "words   full-text index `orders`: weights: status 1, order_id";
    let heavier = format!("{weights} 3, was status 1, order_id 2.5");
    check("weight = 2.5", "weight = 3", "adopt", &[&heavier]);
    // A field that goes takes its weight with it.
    check(
        "fields.order_id = { weight = 2.5, language = \"en\" }\n",
        "",
        "reshape",
        &["shapes  full-text index `orders`: fields: status, was order_id (en), status"],
    );
    check(
        "\"en\"",
        "\"de\"",
        "reshape",
        &[
            "shapes  full-text index `orders`: fields: order_id (de), status, was order_id (en), status",
        ],
    );
    check(
        "filters = [\"total\"]\n",
        "",
        "reshape",
        &["shapes  full-text index `orders`: filters: none, was total"],
    );
    check(
        "[search.orders]",
        "[search.others]",
        "reshape",
        &["shapes  full-text index `others` is new", "shapes  full-text index `orders` is gone"],
    );
    check(
        "key = [\"day\"]",
        "key = [\"day\"]\nchanges = true",
        "reshape",
        &["shapes  table `daily`: changes: true, was false"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_named_and_asks_for_what_it_must() {
    let (_server, folder) = built().await;
    let check = |from: &str, to: &str, action: &str, changes: &[&str]| {
        check(&folder, DEFINITION, (from, to), action, changes);
    };
    check("a", "a", "nothing would change", &[]);
    check(
        "columns.lines    = \"json\"",
        "# a comment\ncolumns.lines=\"json\"",
        "nothing would change",
        &[],
    );
    check(
        "source = \"shop\"",
        "source = \"shop\"\ndescription = \"d\"",
        "adopt",
        &["words   description"],
    );
    check(
        "source = \"shop\"",
        "source = \"shop\"\npolicy.freshness = \"9s\"",
        "adopt",
        &["words   policy.freshness: 9 s, was 5 s"],
    );
    check("\"what is right passes\"", "\"it passes\"", "adopt", &["words   tests"]);
    check(
        "key = [\"day\"]",
        "key = [\"day\"]\nindexes = [[\"orders\"]]",
        "reshape",
        &["shapes  index of `daily` on orders is new"],
    );
    check("status = 'placed'", "status <> 'paid'", "reshape", &["shapes  view `open`: its SQL"]);
    check(
        "[views.open]",
        "[views.open]\nkey = [\"order_id\"]",
        "reshape",
        &["shapes  view `open`: key: order_id, was none"],
    );
    check(
        "\"decimal(2)\"",
        "\"decimal(3)\"",
        "rebuild",
        &["rows    table `orders`: column `total`: decimal(3), was decimal(2)"],
    );
    check(
        "columns.lines    = \"json\"",
        "columns.lines = \"json\"\ncolumns.x = \"text\"",
        "rebuild",
        &["rows    table `orders`: column `x` is new"],
    );
    check(
        "columns.total    = \"decimal(2)\"\ncolumns.lines    = \"json\"",
        "columns.lines = \"json\"\ncolumns.total = \"decimal(2)\"",
        "rebuild",
        &[
            "rows    table `orders`: columns: order is order_id, status, lines, total, was order_id, status, total, lines",
        ],
    );
    check(
        "\".data.total\"",
        "\".data.total // 0\"",
        "rebuild",
        &["rows    handler 1 (line 18): set.total: `.data.total // 0`, was `.data.total`"],
    );
    check(
        "event  = \"Paid\"",
        "event  = [\"Paid\", \"Settled\"]",
        "rebuild",
        &["rows    handler 3 (line 32): event: Paid, Settled, was Paid"],
    );
    check(
        "event  = \"Paid\"",
        "event  = \"Paid\"\nwhen = \".data.id\"",
        "rebuild",
        &["rows    handler 3 (line 32): when: `.data.id`, was none"],
    );
    check(
        "add.orders = 1",
        "add.orders = 1\n[[on]]\nevent = \"Gone\"\ndelete = \"orders\"\nkey.order_id = \".data.id\"",
        "rebuild",
        &["rows    handler 3 (line 31, delete of `orders` on Gone) is new"],
    );
    check(
        "set.lines    = \".data.lines\"\n",
        "",
        "rebuild",
        &["rows    handler 1 (line 18): set.lines is gone, was `.data.lines`"],
    );
    check(
        "source = \"shop\"",
        "source = \"shop\"\nsubjects = [\"shop.*\"]",
        "rebuild",
        &["events  subjects: shop.*, was all"],
    );
    check(
        "source = \"shop\"",
        "source = \"shop\"\npolicy.on_error = \"skip\"",
        "rebuild",
        &["events  policy.on_error: skip, was park"],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_are_otherwise_are_found() {
    let (_server, folder) = built().await;
    for (sets, changes) in [
        (
            &["sources.shop.format=json"][..],
            &["events  sources.shop.format: `json`, was `auto`"][..],
        ),
        (
            &["sources.shop.order_key=\".id\"", "limits.event_bytes_max=1000000"],
            &[
                "events  sources.shop.order_key: `.id`, was none",
                "events  limits.event_bytes_max: 1000000, was 8388608",
            ],
        ),
        (&["sources.shop.transform=\".\""], &["events  sources.shop.transform: `.`, was none"]),
    ] {
        let sets: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let (out, _) = folder.ends(&[&["plan"][..], &sets].concat(), 0);
        let found: Vec<_> =
            out.lines().filter(|line| line.starts_with("  events")).map(str::trim).collect();
        assert_eq!(found, changes, "{out}");
    }
    let with = |command: &[&str], order_key: &str| {
        let order_key = format!("sources.shop.order_key={order_key}");
        let sets = ["--set", "data_dir=other", "--set", &order_key];
        folder.ends(&[command, &sets].concat(), 0).0
    };
    with(&["run", "--exit-when-caught-up"], "\".id\"");
    let out = with(&["plan"], "\".type\"");
    assert!(out.contains("  events  sources.shop.order_key: `.type`, was `.id`\n"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_stream_no_longer_holds_would_be_forgotten() {
    let (server, folder) = built().await;
    folder.write("projections/orders.toml", &DEFINITION.replacen("decimal(2)", "decimal(3)", 1));
    let plan = |arguments: &[&str]| {
        let (out, err) = folder.ends(&[&["plan", "--json"], arguments].concat(), 0);
        let found: Value = serde_json::from_str(&out).unwrap();
        (found["data"][0].clone(), found["nats_error"].clone(), err)
    };
    let (planned, error, _) = plan(&[]);
    assert_eq!(
        keys(&planned),
        [
            "projection",
            "action",
            "changes",
            "stream",
            "from_sequence",
            "stream_first_sequence",
            "forgets",
            "by_itself",
            "next"
        ]
    );
    assert_eq!(
        (&planned["action"], &planned["forgets"], error),
        (&json!("rebuild"), &json!(false), Value::Null)
    );
    assert_eq!(
        (&planned["from_sequence"], &planned["stream_first_sequence"]),
        (&json!(1), &json!(1))
    );
    assert_eq!(planned["changes"][0]["part"], "rows");
    assert_eq!(planned["by_itself"], json!(true));
    assert_eq!(planned["next"], format!("`viewd reload`, or the next start, {REPLAYS}"));
    let (planned, ..) = plan(&["--set", "rebuild.auto=false"]);
    assert_eq!(planned["by_itself"], json!(false));
    assert_eq!(planned["next"], "rebuild.auto is false: `viewd rebuild orders` does it");
    let (planned, ..) = plan(&["--offline"]);
    assert_eq!((&planned["action"], &planned["forgets"]), (&json!("rebuild"), &Value::Null));
    assert_eq!(planned["by_itself"], Value::Null);
    assert!(planned["next"].as_str().unwrap().ends_with("the stream was not asked"), "{planned}");
    let (planned, error, _) = plan(&["--set", "nats.servers=[\"nats://127.0.0.1:9\"]"]);
    assert_eq!(planned["forgets"], Value::Null);
    assert!(error.as_str().unwrap().contains("cannot be reached"), "{error}");

    let client = server.client().await;
    let stream = async_nats::jetstream::new(client.clone()).get_stream("SHOP").await.unwrap();
    stream.purge().sequence(3).await.unwrap();
    let (planned, ..) = plan(&[]);
    assert_eq!((&planned["action"], &planned["forgets"]), (&json!("forget"), &json!(true)));
    assert_eq!(planned["by_itself"], json!(false));
    let (out, _) = folder.ends(&["plan"], 0);
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        (lines[0], lines[lines.len() - 1]),
        (
            "orders: would forget: the stream now begins at 3, the serving generation began at 1",
            "  next: the view goes on by the definition that it was built by; `viewd rebuild orders --forget` builds it from what the stream still holds, and loses the rest"
        )
    );
    // A copy of the rows forgets nothing.
    let index = DEFINITION.replacen("key = [", "indexes = [[\"status\"]]\nkey = [", 1);
    folder.write("projections/orders.toml", &index);
    let (planned, ..) = plan(&[]);
    assert_eq!((&planned["action"], &planned["forgets"]), (&json!("reshape"), &json!(false)));
    folder.write("projections/orders.toml", &DEFINITION.replacen("decimal(2)", "decimal(3)", 1));

    nats::delete_stream(&client, "SHOP").await;
    let (out, _) = folder.ends(&["plan"], 0);
    assert!(out.starts_with("orders: would forget: there is no stream SHOP\n"), "{out}");
    assert!(out.contains("undo the change, or make the stream"), "{out}");
    nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    let (out, _) = folder.ends(&["plan"], 0);
    assert!(
        out.starts_with("orders: would forget: the serving generation was built from another stream than SHOP is now\n"),
        "{out}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn new_projections_are_built_and_those_without_a_definition_are_kept() {
    let folder = filled().await;
    let definition = std::fs::read_to_string(folder.path("projections/orders.toml")).unwrap();
    std::fs::remove_file(folder.path("projections/orders.toml")).unwrap();
    folder.write("projections/sales.toml", &definition);
    let (out, err) = folder.ends(&["plan"], 0);
    assert_eq!(
        out,
        "sales: build\n  next: `viewd reload`, or the next start, builds it\norders: retired\n  next: no definition names it: the view is kept and stands still; `viewd gc orders` removes it\n"
    );
    assert_eq!(err, "");
    // Those that are named, whatever is wrong with others.
    let (out, _) = folder.ends(&["plan", "sales"], 0);
    assert_eq!(out, "sales: build\n  next: `viewd reload`, or the next start, builds it\n");
    let (out, _) = folder.ends(&["plan", "orders"], 0);
    assert!(out.starts_with("orders: retired\n") && !out.contains("sales"), "{out}");
    let (out, err) = folder.ends(&["plan", "sale"], 2);
    assert!(out.is_empty() && err.contains("did you mean `sales`?"), "{err}");
    // One that is not right hides none of the others, and is not retired.
    folder.write("projections/orders.toml", "source = 5");
    let (out, err) = folder.ends(&["plan"], 78);
    assert!(out.starts_with("sales: build\n"), "{out}");
    assert!(
        out.contains("orders: its definition is not right\n  next: what runs goes on"),
        "{out}"
    );
    assert!(!out.contains("retired") && err.contains("orders.toml:1"), "{out}{err}");
    folder.ends(&["plan", "sales"], 0);
    folder.ends(&["plan", "orders"], 78);
}
