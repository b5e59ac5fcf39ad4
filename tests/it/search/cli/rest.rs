//! Without a daemon: the files answer as the daemon did.

use std::fs;

use serde_json::Value;
use viewd::store::lock::Lock;

use super::super::damage::copy;
use super::{NAME, ORDERS, QUICK, filled, found, placed, search};
use crate::daemon::DEADLINE;
use crate::nats::publish;
use crate::wait;

#[tokio::test(flavor = "multi_thread")]
async fn files_answer_as_the_daemon_did() {
    let (rig, daemon) = filled().await;
    let questions: [&[&str]; 4] = [
        &["orders", "ada OR shirt", "--highlight", "--total", "--facets", "status"],
        &["orders", "--order", "total.desc", "--limit", "3"],
        &["notes", "blue"],
        &["orders", "custmer:ada"],
    ];
    let answers = questions.map(|arguments| search(&rig, arguments));
    assert!(daemon.terminate().success());
    for (arguments, answer) in questions.iter().zip(&answers) {
        assert_eq!(search(&rig, arguments), *answer, "{arguments:?}");
    }
    // What the index has, it need not wait for; what it has not, only a daemon brings.
    let answer = search(&rig, &["orders", "ada", "--min-sequence", "6"]);
    assert_eq!(found(&answer).len(), 2, "{answer}");
    let asked = ["search", NAME, "orders", "ada"];
    let out = rig.ends(69, &[&asked[..], &["--min-sequence", "7"]].concat());
    assert!(out.contains("is at sequence 6, and no daemon runs"), "{out}");
    assert!(out.contains("Hint: `viewd --config"), "{out}");
    for (code, arguments, said) in [
        (2, &["itms", "orders"][..], "did you mean `items`?"),
        (2, &[NAME, "ordres"], "did you mean `orders`?"),
        (2, &[NAME, "orders", "/a.*/"], "Hint: search for words"),
        (2, &[NAME, "orders", "--where", "stats=eq.paid"], "did you mean `status`?"),
    ] {
        let out = rig.ends(code, &[&["search"], arguments].concat());
        assert!(out.contains(said), "{arguments:?}: {out}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_opened_by_one_process_and_only_if_they_are_whole() {
    let (rig, daemon) = filled().await;
    assert!(daemon.terminate().success());
    let asked = ["search", NAME, "orders", "ada"];
    let held = Lock::take(&rig.site.path("data")).unwrap();
    let out = rig.ends(75, &asked);
    assert!(out.contains("LOCK"), "{out}");
    drop(held);
    let index = rig.site.path("data").join(NAME).join("current/search/orders");
    fs::rename(&index, index.with_extension("away")).unwrap();
    let out = rig.ends(69, &asked);
    assert!(out.contains("has to be made from the rows first"), "{out}");
    assert!(out.contains("run` does so"), "{out}");
    assert!(!index.exists(), "a search makes nothing");
}

/// Those that read keep nobody from reading, and a daemon from starting for a moment.
#[tokio::test(flavor = "multi_thread")]
async fn many_search_at_once_and_a_daemon_waits_for_them() {
    let (rig, daemon) = filled().await;
    assert!(daemon.terminate().success());
    let data = rig.site.path("data");
    let reads = Lock::read(&data).unwrap();
    std::thread::scope(|scope| {
        let site = &rig.site;
        let asks = || site.run(&["search", NAME, "orders", "ada"], &[]).status.success();
        let asked: Vec<_> = (0..4).map(|_| scope.spawn(asks)).collect();
        asked.into_iter().for_each(|asked| assert!(asked.join().unwrap()));
    });
    let log = rig.site.log().len();
    let daemon = rig.site.start(QUICK);
    let begins = || rig.site.log()[log..].contains("viewd starts").then_some(());
    wait::until("a daemon that begins", DEADLINE, begins);
    drop(reads);
    assert_eq!(daemon.get("/livez").0, 200);
}

/// What is wrong with an index is said without reading all of it, and `viewd run` mends it.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_says_which_index_has_to_be_made() {
    let (rig, daemon) = filled().await;
    assert!(daemon.terminate().success());
    let status = || rig.json(&["status"])["projections"][0].clone();
    let sound = status();
    assert_eq!((&sound["detail"], &sound["next"]), (&Value::Null, &Value::Null), "{sound}");
    assert_eq!(sound["search"][0]["sequence"], 6, "{sound}");
    let index = rig.index("orders");
    let file = fs::read_dir(&index).unwrap().map(|file| file.unwrap().path());
    let mut term = file.filter(|file| file.extension().is_some_and(|kind| kind == "term"));
    fs::remove_file(term.next().unwrap()).unwrap();
    fs::remove_dir_all(rig.index("notes")).unwrap();
    let broken = status();
    for (number, said) in [(0, ".term is missing"), (1, "search/notes: no index")] {
        let index = &broken["search"][number];
        let detail = index["detail"].as_str().unwrap();
        assert!(detail.contains("has to be made from the rows: "), "{broken}");
        assert!(detail.ends_with(said), "{broken}");
        assert!(broken["detail"].as_str().unwrap().contains(detail), "{broken}");
        assert_eq!((&index["sequence"], &index["documents"]), (&Value::Null, &Value::Null));
    }
    assert_eq!(broken["next"], "viewd run");
    rig.site.catch_up(QUICK);
    assert_eq!(status(), sound);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_nobody_moves_on_says_so() {
    let (rig, daemon) = filled().await;
    assert!(daemon.terminate().success());
    let index = rig.site.path("data").join(NAME).join("current/search/notes");
    let kept = rig.site.path("kept");
    copy(&index, &kept);
    publish(&rig.client, [placed(6, &ORDERS[0])]).await;
    rig.site.catch_up(QUICK);
    assert_eq!(search(&rig, &["notes", "blue"])["warnings"], Value::Null);
    fs::remove_dir_all(&index).unwrap();
    copy(&kept, &index);
    let status = rig.ends(0, &["status"]);
    let behind = "items: index `notes` is at sequence 6, the view at 7\n  next: viewd --config";
    assert!(status.contains(behind), "{status}");
    let answer = search(&rig, &["notes", "blue"]);
    let said = "the index is at sequence 6, the view at 7: `viewd run` moves it on";
    assert_eq!(answer["warnings"], serde_json::json!([said]), "{answer}");
    let out = rig.ends(0, &["search", NAME, "notes", "blue"]);
    assert!(
        out.contains("warning: the index is at sequence 6, the view at 7: `viewd --config"),
        "{out}"
    );
}
