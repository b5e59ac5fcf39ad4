//! Without a daemon: the files answer as the daemon did.

use std::fs;

use viewd::store::lock::Lock;

use super::{NAME, filled, found, search};

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
