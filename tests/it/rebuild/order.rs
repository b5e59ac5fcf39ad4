//! What operators tell the daemon of generations: hold, promote, cancel, rollback, pause, resume, gc; each may be said
//! twice, and is kept over restarts.

use std::time::Duration;

use viewd::status::State;

use super::{NAME, Rig, live, settled};
use crate::daemon::DEADLINE;
use crate::wait;

const MESSAGES: u64 = 600;

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_is_pinned_until_told_otherwise() {
    let rig = Rig::new(MESSAGES).await;
    let mut daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    rig.edit(2);
    rig.ends(0, &["rebuild", NAME]);
    let last = rig.publish(20).await;
    live(&daemon, last);
    rig.ends(0, &["rollback", NAME]);
    // It has caught up first.
    assert_eq!((rig.served(), rig.versions()), ((1, Some(1)), vec![1]));
    assert_eq!(rig.site.checkpoint(NAME).unwrap().messages, MESSAGES + 20);
    assert_eq!(rig.state_of("gen-000002"), "retired");
    // The definition on disk is still the one that was left: neither a restart nor a reload goes back to it.
    for _ in 0..2 {
        assert!(daemon.projection(NAME).pinned);
        rig.ends(0, &["reload"]);
        let last = rig.publish(20).await;
        live(&daemon, last);
        wait::pass(Duration::from_millis(300));
        settled(&daemon);
        assert_eq!(rig.served(), (1, Some(1)));
        assert!(daemon.terminate().success());
        daemon = rig.site.start(&[]);
    }
    // A definition that is neither of the two is a new intention.
    settled(&daemon);
    rig.edit(3);
    rig.ends(0, &["reload"]);
    wait::until_eq("the third version", DEADLINE, &Some(3), || rig.served().1);
    settled(&daemon);
    assert!(!daemon.projection(NAME).pinned);
    assert_eq!(rig.digest(), rig.undisturbed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_at_once_serves_what_is_there_and_follows() {
    let rig = Rig::new(MESSAGES).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    rig.edit(2);
    rig.ends(0, &["rebuild", NAME]);
    rig.ends(0, &["rollback", NAME, "--now"]);
    assert_eq!(rig.served(), (1, Some(1)));
    let last = rig.publish(20).await;
    live(&daemon, last);
    assert_eq!(rig.versions(), [1]);
    assert_eq!(rig.site.checkpoint(NAME).unwrap().messages, last);
    // Promote ends the pin, and what the definition on disk asks for is built.
    rig.ends(0, &["promote", NAME]);
    wait::until_eq("the second version", DEADLINE, &Some(2), || rig.served().1);
    settled(&daemon);
    assert_eq!(rig.digest(), rig.undisturbed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_build_can_be_cancelled_or_promoted_twice() {
    let rig = Rig::new(MESSAGES).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    rig.ends(0, &["rebuild", NAME, "--hold"]);
    assert_eq!(rig.generations(), ["gen-000001", "gen-000002"]);
    // Another one is refused while this one waits.
    rig.ends(75, &["rebuild", NAME, "--forget"]);
    rig.ends(0, &["cancel", NAME]);
    wait::until_eq("nothing left", DEADLINE, &vec!["gen-000001".to_owned()], || rig.generations());
    rig.ends(0, &["cancel", NAME]);
    rig.ends(0, &["rebuild", NAME, "--hold"]);
    let last = rig.publish(20).await;
    live(&daemon, last);
    rig.ends(0, &["promote", NAME]);
    let served = rig.served().0;
    assert!(served > 1);
    rig.ends(0, &["promote", NAME]);
    assert_eq!(rig.served().0, served);
    settled(&daemon);
    assert_eq!(rig.digest(), rig.undisturbed());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_is_kept_over_restarts() {
    let rig = Rig::new(MESSAGES).await;
    let mut daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    for _ in 0..2 {
        rig.ends(0, &["pause", NAME]);
        rig.ends(0, &["pause", NAME]);
        rig.publish(20).await;
        wait::until_eq("paused", DEADLINE, &State::Paused, || daemon.projection(NAME).state);
        assert_eq!(rig.site.checkpoint(NAME).unwrap().sequence, MESSAGES);
        assert!(daemon.terminate().success());
        daemon = rig.site.start(&[]);
        wait::until_eq("paused", DEADLINE, &State::Paused, || daemon.projection(NAME).state);
    }
    assert_eq!(rig.site.checkpoint(NAME).unwrap().sequence, MESSAGES);
    rig.ends(0, &["resume", NAME]);
    rig.ends(0, &["resume", NAME]);
    live(&daemon, MESSAGES + 40);
    assert!(daemon.terminate().success());
    let daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES + 40);
    assert_eq!(rig.digest(), rig.undisturbed());
}

#[tokio::test(flavor = "multi_thread")]
async fn gc_removes_what_is_retired_and_nobody_reads() {
    let rig = Rig::new(MESSAGES).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    rig.ends(0, &["rebuild", NAME]);
    let old = rusqlite::Connection::open_with_flags(
        rig.folder().join("gen-000001/view.db"),
        rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .unwrap();
    old.execute_batch("BEGIN; SELECT count(*) FROM items").unwrap();
    // Held by a reader, which is told.
    let held = rig.site.run(&["gc", NAME], &[]);
    assert!(rig.generations().len() == 2, "{held:?}");
    drop(old);
    rig.ends(0, &["gc", NAME]);
    assert_eq!(rig.generations(), ["gen-000002"]);
    rig.ends(0, &["gc", NAME]);
    let said = rig.ends(3, &["rollback", NAME]);
    assert!(said.contains("no generation was served before"), "{said}");
    settled(&daemon);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_says_what_ends_it_and_stays_where_that_is_refused() {
    let rig = Rig::new(MESSAGES).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, MESSAGES);
    rig.purge(MESSAGES / 2).await;
    let ends_it = format!("viewd promote {NAME}");
    let pinned = || {
        assert!(daemon.projection(NAME).pinned);
        // What there is to say is found a moment after the cut-over, once retired generations are gone.
        let next = || daemon.projection(NAME).next;
        wait::until_eq("the next step", DEADLINE, &Some(ends_it.clone()), next);
        let plan = rig.ends(0, &["plan"]);
        assert!(plan.contains("pinned generation 1"), "{plan}");
    };
    // Nothing would change: the definition is the same, and the pin is there nonetheless.
    rig.ends(0, &["rebuild", NAME, "--forget"]);
    rig.ends(0, &["rollback", NAME]);
    settled(&daemon);
    pinned();
    rig.ends(0, &["promote", NAME]);
    let projection = daemon.projection(NAME);
    assert_eq!((projection.pinned, projection.next), (false, None));
    // Another definition, for which something would be forgotten.
    rig.edit(2);
    rig.ends(0, &["rebuild", NAME, "--forget"]);
    rig.ends(0, &["rollback", NAME]);
    settled(&daemon);
    pinned();
    let said = rig.ends(3, &["promote", NAME]);
    assert!(said.contains("would forget") && said.contains("--forget"), "{said}");
    settled(&daemon);
    pinned();
    rig.ends(0, &["rebuild", NAME, "--forget"]);
    settled(&daemon);
    assert!(!daemon.projection(NAME).pinned);
    assert_eq!(rig.served().1, Some(2));
}
