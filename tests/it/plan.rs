//! `viewd plan`: what a changed definition asks for, and which part of it.

use serde_json::{Value, json};

use crate::cli::{Folder, filled, keys};
use crate::nats::{self, Server};

const DEFINITION: &str = include_str!("../trial/orders.toml");

/// A folder whose view was built by the definition, and the server that it was built from.
async fn built() -> (Server, Folder) {
    let server = Server::start();
    let client = server.client().await;
    nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    for id in ["1", "2", "3"] {
        let body = format!(r#"{{"type":"Placed","data":{{"id":"{id}"}}}}"#);
        nats::publish(&client, [("shop.a".to_owned(), body.into_bytes())]).await;
    }
    let folder = Folder::new();
    folder.write("config/viewd.toml", &settings(&server));
    folder.write("projections/orders.toml", DEFINITION);
    folder.ends(&["run", "--exit-when-caught-up"], 0);
    (server, folder)
}

fn settings(server: &Server) -> String {
    format!(
        "[nats]\nservers = [{:?}]\n[http]\nlisten = \"off\"\n[sources.shop]\nstream = \"SHOP\"\n",
        server.url()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn each_change_is_named_and_asks_for_what_it_must() {
    let (_server, folder) = built().await;
    let check = |from: &str, to: &str, action: &str, changes: &[&str]| {
        assert!(DEFINITION.contains(from), "{from}");
        folder.write("projections/orders.toml", &DEFINITION.replacen(from, to, 1));
        let (out, _) = folder.ends(&["plan"], 0);
        let mut lines = out.lines();
        assert_eq!(lines.next(), Some(format!("orders: {action}").as_str()), "{from} -> {to}");
        let found: Vec<_> =
            lines.filter(|line| !line.starts_with("  next: ")).map(str::trim).collect();
        assert_eq!(found, changes, "{from} -> {to}");
    };
    check("a", "a", "nothing", &[]);
    check("columns.lines    = \"json\"", "# a comment\ncolumns.lines=\"json\"", "nothing", &[]);
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
                "events  sources.shop.order_key: given, was not",
                "events  limits.event_bytes_max: 1000000, was 8388608",
            ],
        ),
        (&["sources.shop.transform=\".\""], &["events  sources.shop.transform: given, was not"]),
    ] {
        let sets: Vec<_> = sets.iter().flat_map(|set| ["--set", set]).collect();
        let (out, _) = folder.ends(&[&["plan"][..], &sets].concat(), 0);
        let found: Vec<_> =
            out.lines().filter(|line| line.starts_with("  events")).map(str::trim).collect();
        assert_eq!(found, changes, "{out}");
    }
    // Of a text in the place of another only the hash is known.
    let with = |command: &[&str], order_key: &str| {
        let order_key = format!("sources.shop.order_key={order_key}");
        let sets = ["--set", "data_dir=other", "--set", &order_key];
        folder.ends(&[command, &sets].concat(), 0).0
    };
    with(&["run", "--exit-when-caught-up"], "\".id\"");
    let out = with(&["plan"], "\".type\"");
    let change = "events  source `shop`: its format, order_key or transform; else limits.event_bytes_max, or this version of viewd\n";
    assert!(out.contains(change), "{out}");
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
    let (planned, ..) = plan(&["--offline"]);
    assert_eq!((&planned["action"], &planned["forgets"]), (&json!("rebuild"), &Value::Null));
    let (planned, error, _) = plan(&["--set", "nats.servers=[\"nats://127.0.0.1:9\"]"]);
    assert_eq!(planned["forgets"], Value::Null);
    assert!(error.as_str().unwrap().contains("cannot be reached"), "{error}");

    let client = server.client().await;
    let stream = async_nats::jetstream::new(client.clone()).get_stream("SHOP").await.unwrap();
    stream.purge().sequence(3).await.unwrap();
    let (planned, ..) = plan(&[]);
    assert_eq!((&planned["action"], &planned["forgets"]), (&json!("forget"), &json!(true)));
    assert!(planned["next"].as_str().unwrap().contains("begins at sequence 3"), "{planned}");
    let (out, _) = folder.ends(&["plan"], 0);
    assert!(out.starts_with("orders: would forget\n"), "{out}");
    assert!(
        out.contains("the view was built from sequence 1 on; stream SHOP now begins at 3"),
        "{out}"
    );

    nats::delete_stream(&client, "SHOP").await;
    let (out, _) = folder.ends(&["plan"], 0);
    assert!(
        out.contains("orders: would forget") && out.contains("stream SHOP is not there"),
        "{out}"
    );
    nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    let (out, _) = folder.ends(&["plan"], 0);
    assert!(out.contains("built from another stream than SHOP is now"), "{out}");
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
        "sales: build\n  next: `viewd run` builds it\norders: retired\n  next: no definition names it: the view stays as it is; remove data/orders when nobody reads it\n"
    );
    assert_eq!(err, "");
    // Those that are named, whatever is wrong with others.
    let (out, _) = folder.ends(&["plan", "sales"], 0);
    assert_eq!(out, "sales: build\n  next: `viewd run` builds it\n");
    let (out, _) = folder.ends(&["plan", "orders"], 0);
    assert!(out.starts_with("orders: retired\n") && !out.contains("sales"), "{out}");
    let (out, err) = folder.ends(&["plan", "sale"], 2);
    assert!(out.is_empty() && err.contains("did you mean `sales`?"), "{err}");
    folder.write("projections/broken.toml", "source = 5");
    folder.ends(&["plan"], 78);
    folder.ends(&["plan", "sales", "orders"], 0);
}
