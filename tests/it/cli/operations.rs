//! Builds as operators ask for them: followed to the end, left, found again, refused, held, rolled back, removed.

use std::io::BufRead as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rustix::process::{Pid, Signal};
use serde_json::Value;
use viewd::status::Phase;

use super::{DEFINITION, keys};
use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{self, Server};
use crate::wait;

const EVENTS: u64 = 40;

/// Each event takes so long that a build can be met on its way.
fn slow() -> String {
    DEFINITION.replacen("\".data.paid\"", "\"([range(2000)] | length) > 0\"", 1)
}

struct Rig {
    server: Server,
    site: Arc<Site>,
    daemon: Option<Daemon>,
}

impl Rig {
    /// A live daemon that has read `EVENTS` messages of each of these.
    async fn new(definitions: &[(&str, &str)]) -> Self {
        let server = Server::start();
        let client = server.client().await;
        nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
        let body = |id| format!(r#"{{"type":"Placed","data":{{"id":{id},"paid":true}}}}"#);
        let events = (1..=EVENTS).map(|id| ("shop.a".to_owned(), body(id).into_bytes()));
        nats::publish(&client, events).await;
        let site = Site::new(&server, "[sources.shop]\nstream = \"SHOP\"", definitions);
        let mut rig = Self { server, site, daemon: None };
        rig.start();
        for (name, _) in definitions {
            rig.daemon.as_ref().unwrap().reaches(name, EVENTS);
        }
        rig
    }

    fn start(&mut self) {
        self.daemon = Some(self.site.start(&[]));
    }

    fn stop(&mut self) {
        assert!(self.daemon.take().unwrap().terminate().success());
    }

    /// Runs a command that must end with this code; what it printed.
    #[track_caller]
    fn ends(&self, arguments: &[&str], code: i32) -> (String, String) {
        let output = self.site.run(arguments, &[]);
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
        (out, err)
    }

    /// What is wrong, and what to do, of a command that must end with this code and print nothing else.
    #[track_caller]
    fn refuses(&self, arguments: &[&str], code: i32) -> String {
        let (out, err) = self.ends(arguments, code);
        assert_eq!(out, "", "{arguments:?}");
        // The reader's own settings are named in what is to be typed next.
        err.replace(&format!("--config {} ", self.site.path("viewd.toml").display()), "")
    }

    #[track_caller]
    fn generation(&self, projection: &str) -> u64 {
        self.daemon.as_ref().unwrap().projection(projection).generation
    }

    fn write(&self, definition: &str) {
        self.site.write("projections/orders.toml", definition);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_is_followed_to_its_end() {
    let rig = Rig::new(&[("orders", DEFINITION), ("sales", DEFINITION)]).await;
    let (out, err) = rig.ends(&["rebuild", "orders"], 0);
    assert_eq!(out, "orders: generation 2 is served, 40 messages\n");
    assert!(err.lines().all(|line| line.starts_with("orders: ")), "{err}");
    assert_eq!(rig.ends(&["rebuild", "orders", "--quiet"], 0), Default::default());
    assert_eq!(rig.generation("orders"), 3);

    let (out, _) = rig.ends(&["rebuild", "--all", "--json"], 0);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(keys(&found), ["data", "refused"]);
    assert_eq!(found["refused"], serde_json::json!([]));
    let data = found["data"].as_array().unwrap();
    assert_eq!(data.len(), 2);
    assert_eq!(
        keys(&data[0]),
        [
            "operation",
            "projection",
            "kind",
            "cause",
            "state",
            "detail",
            "next",
            "rebuild",
            "result"
        ]
    );
    assert_eq!(
        keys(&data[0]["rebuild"]),
        ["generation", "phase", "applied", "total", "messages_per_second", "seconds_left"]
    );
    assert!(data.iter().all(|one| one["state"] == "done" && one["kind"] == "rebuild"), "{out}");

    let err = rig.refuses(&["rebuild", "order"], 2);
    assert_eq!(err, "Error: there is no projection `order`\nHint: did you mean `orders`?\n");
    let err = rig.refuses(&["rebuild", "orders", "sale"], 2);
    assert!(err.contains("`sale`") && err.contains("did you mean `sales`?"), "{err}");
    rig.refuses(&["rebuild"], 2);
    rig.refuses(&["rebuild", "orders", "--all"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_waits_for_its_promotion() {
    let rig = Rig::new(&[("orders", DEFINITION)]).await;
    let (out, _) = rig.ends(&["rebuild", "orders", "--hold"], 0);
    let out = out.replace(&format!("--config {} ", rig.site.path("viewd.toml").display()), "");
    assert_eq!(
        out,
        "orders: generation 2 is held, 40 messages; `viewd promote orders` serves it\n"
    );
    assert_eq!(rig.generation("orders"), 1);
    // One thing at a time, and the way out of it.
    for other in
        [&["rebuild", "orders", "--force"][..], &["rebuild", "orders", "--forget", "--detach"]]
    {
        assert_eq!(
            rig.refuses(other, 75),
            "Error: operation 1 (rebuild) is held on projection `orders`\n\
             Hint: `viewd promote orders` serves it, `viewd cancel orders` ends it\n"
        );
    }
    // Who asks for what there is finds it; who asks for it to be served hears that it is not.
    rig.ends(&["rebuild", "orders", "--hold"], 0);
    let (out, _) = rig.ends(&["reload"], 0);
    assert!(out.contains("held") && out.contains("promote orders"), "{out}");
    let (out, err) = rig.ends(&["rebuild", "orders"], 75);
    assert!(out.contains("is held") && err.contains("under way already, as operation 1"), "{err}");
    let (out, _) = rig.ends(&["promote", "orders"], 0);
    assert_eq!(out, "orders: generation 2 is served, 40 messages\n");
    assert_eq!(rig.generation("orders"), 2);
    assert_eq!(rig.ends(&["promote", "orders"], 0).0, "orders: nothing waits to be promoted\n");
    assert_eq!(rig.ends(&["cancel", "orders"], 0).0, "orders: nothing to cancel\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_a_rebuild_finds_it_again() {
    let rig = Rig::new(&[("orders", &slow())]).await;
    let client = rig.server.client().await;
    let body = r#"{"type":"Placed","data":{"id":7,"paid":true}}"#;
    let more = (0..2_000).map(|_| ("shop.a".to_owned(), body.into()));
    nats::publish(&client, more).await;
    let mut follower = Command::new(env!("CARGO_BIN_EXE_viewd"))
        .args(["rebuild", "orders", "--config"])
        .arg(rig.site.path("viewd.toml"))
        .env("NO_COLOR", "1")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let building = || rig.daemon.as_ref().unwrap().projection("orders").rebuild;
    wait::until("a build on its way", DEADLINE, || {
        building().filter(|build| build.phase == Phase::Bulk)
    });
    // Once it has said something of the build it follows it, and hears signals.
    let mut stderr = std::io::BufReader::new(follower.stderr.take().unwrap());
    let mut said = String::new();
    while !said.contains("orders: ") {
        assert!(stderr.read_line(&mut said).unwrap() > 0, "{said}");
    }
    rustix::process::kill_process(Pid::from_child(&follower), Signal::INT).unwrap();
    assert_eq!(follower.wait().unwrap().into_raw() >> 8, 130);
    let said = said + &std::io::read_to_string(stderr).unwrap();
    assert!(
        said.contains("goes on in the daemon") && said.contains("rebuild orders` follows it"),
        "{said}"
    );
    assert!(building().is_some());

    // It is found by the same command, and ended by another.
    let mut follower = Command::new(env!("CARGO_BIN_EXE_viewd"))
        .args(["rebuild", "orders", "--config"])
        .arg(rig.site.path("viewd.toml"))
        .env("NO_COLOR", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(follower.stderr.take().unwrap());
    let mut line = String::new();
    std::io::BufRead::read_line(&mut said, &mut line).unwrap();
    assert!(line.starts_with("orders: "), "{line}");
    let (out, _) = rig.ends(&["cancel", "orders"], 0);
    assert_eq!(out, "orders: rebuild cancelled, nothing of it is left (operation 1)\n");
    assert_eq!(follower.wait().unwrap().code(), Some(3));
    let said = std::io::read_to_string(said).unwrap();
    assert!(said.contains("Error: rebuild of `orders` cancelled"), "{said}");
    assert_eq!(rig.generation("orders"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_be_forgotten_needs_consent() {
    let rig = Rig::new(&[("orders", DEFINITION)]).await;
    let client = rig.server.client().await;
    let stream = async_nats::jetstream::new(client).get_stream("SHOP").await.unwrap();
    stream.purge().sequence(11).await.unwrap();
    let forgets = "would forget: the stream now begins at 11, the serving generation began at 1";
    for detach in [&[][..], &["--detach"]] {
        let (out, err) = rig.ends(&[&["rebuild", "orders"], detach].concat(), 3);
        assert!(out.is_empty() && err.contains(forgets), "{out}{err}");
        assert!(err.contains("--forget"), "{err}");
    }
    // Nor does a changed definition do it by itself, and the reload says so.
    rig.write(&DEFINITION.replacen("decimal(2)", "decimal(3)", 1));
    let (out, _) = rig.ends(&["reload"], 3);
    assert!(out.contains(forgets) && out.contains("rebuild orders --forget"), "{out}");
    let (out, _) = rig.ends(&["status"], 0);
    assert!(out.contains(forgets), "{out}");
    assert_eq!(rig.generation("orders"), 1);
    let (out, _) = rig.ends(&["rebuild", "orders", "--forget"], 0);
    assert!(out.contains("is served"), "{out}");
    // What knows more than the stream goes by command alone, and only that.
    let retired = || std::fs::exists(rig.site.path("data/orders/gen-000001")).unwrap();
    assert!(retired());
    assert_eq!(rig.ends(&["gc", "orders"], 0).0, "orders: removed gen-000001\n");
    assert!(!retired());
    assert_eq!(rig.ends(&["gc"], 0).0, "orders: nothing to remove\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_holds_against_the_definition_until_it_is_promoted() {
    let rig = Rig::new(&[("orders", DEFINITION)]).await;
    assert_eq!(
        rig.refuses(&["rollback", "orders"], 3),
        "Error: no generation was served before this one, or it has been removed\n\
         Hint: put the earlier definition back, and `viewd reload`; `rebuild.keep_generations` says how many generations are kept to go back to\n"
    );
    rig.write(&DEFINITION.replacen("\"boolean\"", "\"text\"", 1).replacen(
        "\".data.paid\"",
        "\".data.paid | tostring\"",
        1,
    ));
    let (out, _) = rig.ends(&["reload"], 0);
    assert!(out.starts_with("orders: rebuild beside the view that is served"), "{out}");
    wait::until("the new view", DEADLINE, || (rig.generation("orders") == 2).then_some(()));
    let (out, _) = rig.ends(&["rollback", "orders"], 0);
    assert!(out.starts_with("orders: generation 1 is served"), "{out}");
    let (out, _) = rig.ends(&["status"], 0);
    assert!(out.contains("(pinned)"), "{out}");
    let (out, _) = rig.ends(&["plan"], 0);
    assert!(out.contains("a rollback has pinned generation 1"), "{out}");
    // Neither a reload nor a restart moves it.
    let (out, _) = rig.ends(&["reload"], 0);
    assert!(out.contains("pinned"), "{out}");
    assert_eq!(rig.generation("orders"), 1);
    let (out, _) = rig.ends(&["promote", "orders"], 0);
    assert!(out.contains("is served"), "{out}");
    assert!(rig.generation("orders") > 1);
    assert!(!rig.daemon.as_ref().unwrap().projection("orders").pinned);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_outlasts_the_daemon() {
    let mut rig = Rig::new(&[("orders", DEFINITION)]).await;
    for _ in 0..2 {
        let (out, _) = rig.ends(&["pause", "orders"], 0);
        assert!(out.starts_with("orders: paused: "), "{out}");
    }
    rig.stop();
    let (out, _) = rig.ends(&["status"], 0);
    assert!(out.contains("paused by command"), "{out}");
    rig.start();
    let state = |word: &str| {
        let state = rig.daemon.as_ref().unwrap().projection("orders").state;
        (state.word() == word).then_some(())
    };
    wait::until("the pause", DEADLINE, || state("paused"));
    rig.ends(&["wait", "orders", "--sequence", "99"], 3);
    for _ in 0..2 {
        assert_eq!(rig.ends(&["resume", "orders"], 0).0, "orders: is not paused any more\n");
    }
    wait::until("life", DEADLINE, || state("live"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_takes_what_is_right_and_names_what_is_not() {
    let rig = Rig::new(&[("orders", DEFINITION), ("sales", DEFINITION)]).await;
    rig.write("source = 5\n");
    rig.site.write("projections/new.toml", DEFINITION);
    std::fs::remove_file(rig.site.path("projections/sales.toml")).unwrap();
    let (out, err) = rig.ends(&["reload", "--json"], 78);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(keys(&found), ["data", "whole", "diagnostics", "with_next_start"]);
    let outcomes: Vec<_> = found["data"].as_array().unwrap().iter().collect();
    assert_eq!(keys(outcomes[0]), ["projection", "outcome", "operation", "detail", "next"]);
    let outcomes: Vec<_> = outcomes
        .iter()
        .map(|one| (one["projection"].as_str().unwrap(), one["outcome"].as_str().unwrap()))
        .collect();
    assert_eq!(outcomes, [("new", "added"), ("orders", "kept"), ("sales", "removed")]);
    assert!(err.contains("orders.toml:1: ") && err.contains("not all that is on disk"), "{err}");
    // What no definition names is kept until it is said that nobody wants it.
    assert!(rig.site.path("data/sales/current/view.db").exists());
    assert_eq!(
        rig.ends(&["gc", "sales"], 0).0,
        "sales: its view is removed, since no definition names it\n"
    );
    assert!(!rig.site.path("data/sales").exists());
}

/// Without a daemon nothing can be built; what nobody needs can be removed.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_daemon() {
    let mut rig = Rig::new(&[("orders", DEFINITION)]).await;
    rig.ends(&["rebuild", "orders"], 0);
    rig.stop();
    for command in [
        &["rebuild", "orders"][..],
        &["rebuild", "--all"],
        &["promote", "orders"],
        &["rollback", "orders", "--now"],
        &["cancel", "orders"],
        &["pause", "orders"],
        &["resume", "orders"],
        &["accept", "orders"],
        &["wait", "orders", "--sequence", "1"],
        &["reload"],
        &["verify", "orders", "--deep"],
    ] {
        let (_, err) = rig.ends(command, 69);
        assert!(
            err.contains("Error: no daemon is running on ") && err.contains("run` starts one"),
            "{command:?}: {err}"
        );
    }
    assert_eq!(rig.ends(&["gc"], 0).0, "orders: removed gen-000001\n");
    assert_eq!(rig.refuses(&["gc", "order"], 2).lines().count(), 2);
    // A folder that was named wrongly does not make the view one that nobody wants.
    std::fs::remove_file(rig.site.path("projections/orders.toml")).unwrap();
    rig.refuses(&["gc"], 78);
    assert!(rig.ends(&["gc", "orders"], 0).0.contains("its view is removed"));
    assert!(!rig.site.path("data/orders").exists());
}

/// The same over HTTP: stable codes, and what is misspelt is not taken for what is left out.
#[tokio::test(flavor = "multi_thread")]
async fn the_api_refuses_with_stable_codes() {
    let rig = Rig::new(&[("orders", DEFINITION)]).await;
    let daemon = rig.daemon.as_ref().unwrap();
    let post = |path: &str| {
        let (code, body) = daemon.post(&format!("/v1/admin/{path}"));
        (code, serde_json::from_str::<Value>(&body).unwrap())
    };
    for (path, status, code) in [
        ("projections/order/rebuild", 404, "unknown-projection"),
        ("projections/orders/rebuild?_forgte=true", 400, "bad-parameter"),
        ("projections/orders/rebuild?_hold=yes", 400, "bad-parameter"),
        ("projections/orders/rollback?_accept_gap=true", 400, "bad-parameter"),
        ("projections/orders/rollback", 409, "no-retired-generation"),
        ("projections/orders/pause?_hold=true", 400, "bad-parameter"),
        ("rebuild?_projections=", 400, "bad-parameter"),
        ("gc?_projection=order", 404, "unknown-projection"),
        ("projections/orders/rebiuld", 404, "unknown-route"),
    ] {
        let (found, problem) = post(path);
        assert_eq!((found, &problem["code"]), (status, &code.into()), "{path}: {problem}");
    }
    let (code, begun) = post("projections/orders/rebuild?_hold=true");
    assert_eq!((code, &begun["data"][0]["operation"]), (202, &1.into()));
    let (code, busy) = post("projections/orders/rebuild");
    assert_eq!(
        (code, &busy["code"], &busy["operation"]),
        (409, &"busy".into(), &1.into()),
        "{busy}"
    );
    let (code, several) = post("rebuild?_projections=orders");
    assert_eq!((code, &several["refused"][0]["projection"]), (409, &"orders".into()), "{several}");
    wait::until("a held build", DEADLINE, || {
        let (code, body) = daemon.get("/v1/admin/operations/1");
        assert_eq!(code, 200, "{body}");
        body.contains(r#""state":"held""#).then_some(())
    });
    assert_eq!(post("projections/orders/cancel").0, 200);
    // It ends with the wait, which would last for a minute.
    let (code, over) = daemon.get("/v1/admin/operations?_wait=60s");
    assert!(code == 200 && over.contains(r#""state":"cancelled""#), "{over}");
    assert_eq!(daemon.get("/v1/admin/operations/7").0, 404);
}
