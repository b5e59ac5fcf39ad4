//! I11: what a view knows and the stream no longer holds is not forgotten by itself.

use std::time::Duration;

use super::{NAME, Rig, definition, live, settled};
use crate::wait;

const MESSAGES: u64 = 600;
const KEPT: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_forgotten_by_itself() {
    let rig = Rig::new(MESSAGES).await;
    rig.site.catch_up(&[]);
    rig.purge(MESSAGES - KEPT).await;
    rig.edit(2);
    let daemon = rig.site.start(&[]);
    let last = rig.publish(10).await;
    live(&daemon, last);
    // Nothing starts, however long one waits.
    wait::pass(Duration::from_millis(500));
    settled(&daemon);
    assert_eq!((rig.served(), rig.versions()), ((1, Some(1)), vec![1]));
    let lost = format!(
        "would forget: the stream now begins at {}, the serving generation began at 1",
        MESSAGES - KEPT + 1
    );
    let plan = rig.site.run(&["plan"], &[]);
    let said = String::from_utf8_lossy(&plan.stdout).into_owned();
    assert!(said.contains("would forget"), "{said}");
    for command in [&["rebuild", NAME][..], &["rebuild", NAME, "--force"]] {
        let said = rig.ends(3, command);
        assert!(said.contains(&lost) && said.contains("--forget"), "{said}");
    }
    let said = rig.ends(3, &["verify", NAME, "--deep"]);
    assert!(said.contains("not comparable") && said.contains(&lost), "{said}");
    // Nor at a reload, which is the first to meet it or finds it said already.
    rig.ends(3, &["reload"]);
    rig.edit(3);
    for _ in 0..2 {
        let said = rig.ends(3, &["reload"]);
        assert!(said.contains(&lost) && said.contains("--forget"), "{said}");
    }
    assert_eq!(rig.generations(), ["gen-000001"]);
    let before = rig.digest();
    rig.ends(0, &["rebuild", NAME, "--forget"]);
    assert_eq!(rig.served().1, Some(3));
    settled(&daemon);
    assert_eq!(rig.site.checkpoint(NAME).unwrap().messages, KEPT + 10);
    assert_eq!(rig.digest(), rig.undisturbed());
    // What knows more than the one that is served goes only by `gc`.
    assert_eq!(rig.generations().len(), 2);
    rig.ends(0, &["gc", NAME]);
    assert_eq!(rig.generations(), [rig.current()]);
    assert_ne!(rig.digest(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_sets_aside_what_was_applied_is_not_served() {
    let rig = Rig::new(MESSAGES).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    // Message 7 breaks a rule of this one.
    let strict = definition(2).replace(
        r#"set.last    = ".sequence""#,
        r#"set.last    = "if .sequence == 7 then error(\"seven\") else .sequence end""#,
    );
    rig.site.write(&format!("projections/{NAME}.toml"), &strict);
    let said = rig.ends(3, &["rebuild", NAME]);
    assert!(said.contains("sequence 7") && said.contains("seven"), "{said}");
    assert!(
        said.contains("--force") && said.contains(" try items` shows what is set aside"),
        "{said}"
    );
    assert_eq!((rig.served(), rig.versions()), ((1, Some(1)), vec![1]));
    settled(&daemon);
    rig.ends(0, &["rebuild", NAME, "--force"]);
    assert_eq!((rig.served().1, rig.versions()), (Some(2), vec![2]));
    settled(&daemon);
    assert_eq!(daemon.projection(NAME).dead_letters, 1);
    assert_eq!(rig.digest(), rig.undisturbed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_gives_other_rows_says_so() {
    let rig = Rig::new(MESSAGES).await;
    rig.site.catch_up(&[]);
    // As bit rot would: nothing in the file is wrong by itself.
    let view = rusqlite::Connection::open(rig.folder().join("current/view.db")).unwrap();
    view.execute("UPDATE items SET last = last + 1 WHERE id = 9", ()).unwrap();
    drop(view);
    let daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    rig.ends(0, &["verify", NAME]);
    let said = rig.ends(3, &["verify", NAME, "--deep"]);
    assert!(said.contains("items, id = 9: last is 410 served, 409 rebuilt"), "{said}");
    // A rebuild by the same definition must give the same rows, or somebody must say that it may not.
    let said = rig.ends(3, &["rebuild", NAME]);
    assert!(said.contains("items, id = 9") && said.contains("items --deep` shows"), "{said}");
    assert_eq!(rig.served().0, 1);
    rig.ends(0, &["rebuild", NAME, "--force"]);
    settled(&daemon);
    assert_eq!(rig.digest(), rig.undisturbed());
    let deep = rig.json(&["verify", NAME, "--deep"]);
    assert_eq!(deep["deep"]["equal"], true, "{deep}");
}
