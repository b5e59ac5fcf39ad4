//! The process ended at every step of an index, and at random: after the next start the index is the rows.

use std::os::unix::process::ExitStatusExt as _;
use std::time::Duration;

use viewd::store::step::Step;

use super::rig::{DEFINITION, QUICK, Rig, follows};
use crate::daemon::{DEADLINE, Daemon};
use crate::random::Random;
use crate::wait;

/// What `abort` ends with.
const SIGABRT: i32 = 6;
/// `make soak` does more (SEARCH_KILLS=100).
const KILLS: u64 = 6;
/// Between two looks whether it has ended.
const MESSAGES: u64 = 40;
const IDS: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn ended_while_an_index_takes_what_has_changed() {
    let steps = [
        Step::Fenced,
        Step::IndexApplied,
        Step::IndexCommitted,
        Step::IndexSynced,
        Step::IndexPublished,
    ];
    let rig = Rig::new(DEFINITION).await;
    rig.publish(200, IDS).await;
    for step in steps {
        // While it is opened, and while it follows.
        for times in [1, 4] {
            ends_at(&rig, &format!("{step}:{times}"), QUICK).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_while_the_log_is_trimmed() {
    let settings = [QUICK, &["limits.changes_keep=0"]].concat();
    let rig = Rig::new(DEFINITION).await;
    rig.publish(2_000, IDS).await;
    for times in [1, 2] {
        ends_at(&rig, &format!("{}:{times}", Step::Trimmed), &settings).await;
    }
    assert!(!rig.site.log().contains("made again"), "{}", rig.site.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_while_an_index_is_made_again() {
    let rig = Rig::new(DEFINITION).await;
    rig.publish(2_000, IDS).await;
    rig.site.catch_up(QUICK);
    for step in [Step::IndexBuilt, Step::IndexNamed] {
        std::fs::remove_dir_all(rig.index("items")).unwrap();
        ends_at(&rig, step.word(), QUICK).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_while_a_build_makes_its_index() {
    let rig = Rig::new(DEFINITION).await;
    rig.publish(2_000, IDS).await;
    rig.site.catch_up(QUICK);
    for step in [Step::IndexBuilt, Step::IndexNamed] {
        let mut daemon = rig.site.start_with(&[("VIEWD_ABORT_AT", step.word())], QUICK);
        follows(&daemon, "items", 1);
        // The command loses its daemon.
        rig.site.run(&["rebuild", "items"], &[]);
        assert_eq!(daemon.ended().signal(), Some(SIGABRT), "{step}: {}", rig.site.log());
        goes_on(&rig, step.word(), QUICK).await;
        assert_eq!(rig.generations().len(), 1, "{:?}", rig.generations());
    }
}

/// A daemon that ends there, whatever it takes, and one that goes on.
async fn ends_at(rig: &Rig, at: &str, settings: &[&str]) {
    let mut daemon = rig.site.start_with(&[("VIEWD_ABORT_AT", at)], settings);
    let begun = std::time::Instant::now();
    let status = loop {
        rig.publish(MESSAGES, IDS).await;
        let ended = wait::until_or(Duration::from_millis(100), || daemon.has_ended());
        if let Some(status) = ended {
            break status;
        }
        assert!(begun.elapsed() < DEADLINE, "{at}: {}", rig.site.log());
    };
    assert_eq!(status.signal(), Some(SIGABRT), "{at}: {status}\n{}", rig.site.log());
    goes_on(rig, at, settings).await;
}

/// Whatever it has left is no more than the rows, and the next one brings it to them.
async fn goes_on(rig: &Rig, when: &str, settings: &[&str]) {
    let left = rig.site.run(&["verify", "items"], &[]);
    let said = String::from_utf8_lossy(&left.stdout);
    let missing = said.contains("no index") && when.starts_with("index_");
    assert!(left.status.success() || missing, "ended at {when}: {said}\n{}", rig.site.log());
    let daemon = rig.site.start(settings);
    let last = rig.publish(MESSAGES, IDS).await;
    follows(&daemon, "items", last);
    rig.verified();
    assert!(daemon.terminate().success(), "ended at {when}: {}", rig.site.log());
    rig.verified();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_under_load() {
    let mut random = Random::from_environment("SEARCH_SEED");
    let rig = Rig::new(DEFINITION).await;
    let kills = std::env::var("SEARCH_KILLS").map_or(KILLS, |text| text.parse().unwrap());
    for kill in 0..kills {
        let daemon: Daemon = rig.site.start(QUICK);
        let until = std::time::Instant::now() + Duration::from_millis(300 + random.below(1_200));
        while std::time::Instant::now() < until {
            rig.publish(1 + random.below(300), IDS).await;
        }
        daemon.kill();
        let when = format!("kill {kill}");
        let left = rig.site.run(&["verify", "items"], &[]);
        // It may have been killed before it had a view, or an index.
        let said = String::from_utf8_lossy(&left.stdout);
        let none = left.status.code() == Some(2) || said.contains("no index");
        assert!(left.status.success() || none, "{when}: {said}\n{}", rig.site.log());
    }
    goes_on(&rig, "the last kill", QUICK).await;
    assert!(!rig.site.log().contains("ahead of the rows"), "{}", rig.site.log());
}
