//! `viewd digest` and `viewd verify` over a daemon's files.

use std::time::Duration;

use rusqlite::Connection;

use super::{NAME, Rig, live};
use crate::nats::{create_stream, delete_stream};
use crate::wait;

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_of_the_events_and_of_nothing_else() {
    let rig = Rig::new(1_000).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, 1_000);
    let beside = rig.json(&["digest", NAME]);
    assert_eq!((&beside["sequence"], &beside["generation"]), (&1_000.into(), &1.into()));
    let names: Vec<_> = beside["data"]
        .as_array()
        .unwrap()
        .iter()
        .map(|table| table["table"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["items", "whole", "_viewd_counts", "_viewd_dead_letters"]);
    assert_eq!(rig.json(&["digest", NAME, "--at", "1000"]), beside, "at the sequence where it is");
    assert!(daemon.terminate().success());
    assert_eq!(rig.json(&["digest", NAME]), beside, "at rest");
    // Another daemon, other batches.
    std::fs::remove_dir_all(rig.folder()).unwrap();
    rig.site.catch_up(&["limits.batch_events_max=7"]);
    assert_eq!(rig.json(&["digest", NAME]), beside);
    rig.publish(1).await;
    rig.site.catch_up(&[]);
    let later = rig.json(&["digest", NAME]);
    assert_eq!(later["sequence"], 1_001);
    assert_ne!(later["digest"], beside["digest"]);
    assert_eq!(later["data"][3], beside["data"][3], "no dead letters");
    rig.ends(3, &["digest", NAME, "--at", "1000"]);
    rig.ends(3, &["digest", NAME, "--at", "1002"]);
    rig.ends(2, &["digest", "itens"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_digest_at_a_sequence_is_of_exactly_that() {
    let rig = Rig::new(500).await;
    let site = &rig.site;
    let daemon = site.start(&["limits.batch_events_max=400"]);
    live(&daemon, 500);
    let asked = at_a_sequence_to_come(&rig, 500);
    let sequence = asked["sequence"].as_u64().unwrap();
    live(&daemon, sequence + 1);
    let said = rig.ends(3, &["digest", NAME, "--at", &sequence.to_string()]);
    assert!(said.contains(&format!("already, past {sequence}")), "{said}");
    let said = rig.ends(4, &["digest", NAME, "--at", "1000000", "--timeout", "200ms"]);
    assert!(said.contains("waiting for 1000000 to come"), "{said}");
    // What the daemon that stopped there showed is what one shows that never read further.
    delete_stream(&rig.client, "S").await;
    create_stream(&rig.client, "S", &["s.>"], |_| {}).await;
    assert!(daemon.terminate().success());
    std::fs::remove_dir_all(rig.folder()).unwrap();
    rig.publish(sequence).await;
    site.catch_up(&[]);
    assert_eq!(rig.json(&["digest", NAME]), asked);
}

/// The digest at a sequence that the view passes while it is asked.
fn at_a_sequence_to_come(rig: &Rig, mut last: u64) -> serde_json::Value {
    for tries in 1..=10 {
        let at = (last + 277).to_string();
        let output = std::thread::scope(|scope| {
            let ask = ["digest", NAME, "--json", "--at", &at, "--timeout", "60s"];
            let asked = scope.spawn(move || rig.site.run(&ask, &[]));
            // On a busy machine the question may come too late all the same.
            wait::pass(Duration::from_millis(200 * tries));
            let publish = rig.publish(1_000);
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(publish));
            asked.join().unwrap()
        });
        last += 1_000;
        if output.status.success() {
            return serde_json::from_slice(&output.stdout).unwrap();
        }
        assert_eq!(output.status.code(), Some(3), "{output:?}");
    }
    panic!("every question came too late");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_what_is_wrong_in_the_files() {
    let rig = Rig::new(500).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, 500);
    let sound = rig.json(&["verify", NAME]);
    assert_eq!(sound["findings"], serde_json::json!([]));
    assert_eq!(sound["digest"], rig.json(&["digest", NAME])["digest"]);
    assert!(daemon.terminate().success());
    let view = Connection::open(rig.folder().join("current/view.db")).unwrap();
    let wrong = "UPDATE _viewd_counts SET applied = 499; UPDATE _viewd_meta SET state = 'sealed'";
    view.execute_batch(wrong).unwrap();
    drop(view);
    let said = rig.ends(3, &["verify", NAME]);
    assert!(
        said.contains("_viewd_counts: say 499 events, of 500 messages that were read"),
        "{said}"
    );
    assert!(said.contains("is sealed, though the link names this generation"), "{said}");
    assert!(said.contains("next: "), "{said}");
}
