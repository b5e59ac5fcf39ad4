//! The process ended at every step of a build and of a cut-over, and at random: one whole generation is served, at rest
//! and after the next start, and its rows are those of a view that nothing disturbed.

use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitStatus;
use std::time::Duration;

use viewd::store::step::Step;

use super::{NAME, Rig, live, number, settled};
use crate::daemon::Daemon;
use crate::random::Random;
use crate::wait;

const MESSAGES: u64 = 500;
/// Between two ends: the serving generation goes on too.
const MORE: u64 = 20;
/// `make soak` does a hundred (REBUILD_KILLS=100).
const KILLS: u64 = 8;
const REBUILD: &[&str] = &["rebuild", NAME];
/// With a definition that has another index.
const RESHAPE: &[&str] = &["reload"];
/// What `abort` ends with.
const SIGABRT: i32 = 6;

/// What is removed is removed soon.
const SETTINGS: &[&str] = &["rebuild.keep_generations=0"];

#[tokio::test(flavor = "multi_thread")]
async fn ended_while_a_generation_is_made() {
    ended_at(&[Step::Filled, Step::Made, Step::Written, Step::Committed], REBUILD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_while_it_is_sealed() {
    let steps =
        [Step::Indexed, Step::Analyzed, Step::Checked, Step::Closed, Step::Synced, Step::Sealed];
    ended_at(&steps, REBUILD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_at_its_cut_over() {
    let steps = [
        Step::Durable,
        Step::LinkMade,
        Step::Linked,
        Step::LinkSynced,
        Step::MarkedServing,
        Step::MarkedRetired,
    ];
    ended_at(&steps, REBUILD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_while_the_old_one_is_removed() {
    ended_at(&[Step::Unread, Step::Unnamed, Step::Removed], REBUILD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ended_while_one_is_copied() {
    ended_at(&[Step::Copied, Step::Reshaped], RESHAPE).await;
}

/// Every step is in one of the tests above, but for those of full-text indexes.
#[test]
fn no_step_is_left_out() {
    assert_eq!(Step::ALL.len(), 4 + 6 + 6 + 3 + 2 + 8);
}

/// For each step a daemon that ends there, and one that goes on.
async fn ended_at(steps: &[Step], command: &[&str]) {
    let rig = Rig::new(MESSAGES).await;
    rig.site.catch_up(SETTINGS);
    for (number, step) in steps.iter().enumerate() {
        let mut daemon = rig.site.start_with(&[("VIEWD_ABORT_AT", step.word())], SETTINGS);
        settled(&daemon);
        if command == RESHAPE {
            rig.index(number);
        }
        // The command loses its daemon, at once or later.
        let told = rig.site.run(command, &[]);
        let status = daemon.ended();
        assert_eq!(
            status.signal(),
            Some(SIGABRT),
            "at {step}: {status}, {told:?}\n{}",
            rig.site.log()
        );
        rig.publish(MORE).await;
        stands(&rig, &format!("ended at {step}"));
        goes_on(&rig, &format!("ended at {step}"));
    }
    assert_eq!(rig.digest(), rig.undisturbed());
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_of_a_rebuild() {
    let mut random = Random::from_environment("REBUILD_SEED");
    let rig = Rig::new(4 * MESSAGES).await;
    rig.site.catch_up(SETTINGS);
    // How long a build takes here, at most.
    let mut span = Duration::from_millis(1_500);
    let (kills, mut met) = (number("REBUILD_KILLS", KILLS), 0);
    for kill in 0..kills {
        let before = rig.current();
        let daemon = rig.site.start(SETTINGS);
        settled(&daemon);
        let begun = std::time::Instant::now();
        if random.below(4) == 0 {
            rig.ends(0, &["rebuild", NAME]);
            span = begun.elapsed();
        } else {
            rig.ends(0, &["rebuild", NAME, "--detach"]);
        }
        wait::pass(Duration::from_millis(random.below(span.as_millis() as u64 + 1)));
        daemon.kill();
        // Something of a build that had not come to its end is there.
        met += u64::from(rig.current() == before && rig.generations().len() > 1);
        rig.publish(MORE).await;
        stands(&rig, &format!("kill {kill}"));
    }
    println!("{met} of {kills} kills met a build at work");
    goes_on(&rig, "the last kill");
    assert_eq!(rig.digest(), rig.undisturbed());
}

/// Whoever reads the files of a daemon that has ended finds one view, whole.
#[track_caller]
fn stands(rig: &Rig, when: &str) {
    let (sequence, _) = rig.digest();
    assert!(sequence >= MESSAGES, "{when}: {sequence}");
    let serving = rig.generations().iter().filter(|name| name.starts_with("gen-")).count();
    assert!((1..=3).contains(&serving), "{when}: {:?}", rig.generations());
}

/// The next daemon serves one generation, ends what can go on, and removes the rest.
#[track_caller]
fn goes_on(rig: &Rig, when: &str) {
    let daemon = rig.site.start(SETTINGS);
    let last = rig.site.checkpoint(NAME).unwrap().sequence;
    live(&daemon, last + MORE);
    settled(&daemon);
    one_serves(rig, &daemon, when);
    assert!(terminated(daemon).success(), "{when}\n{}", rig.site.log());
    rig.ends(0, &["verify", NAME]);
}

#[track_caller]
fn one_serves(rig: &Rig, daemon: &Daemon, when: &str) {
    wait::until(&format!("one generation after {when}"), crate::daemon::DEADLINE, || {
        (rig.generations() == [rig.current()]).then_some(())
    });
    assert_eq!(rig.state_of(&rig.current()), "serving", "{when}");
    let shown = format!("gen-{:06}", daemon.projection(NAME).generation);
    assert_eq!(shown, rig.current(), "{when}");
}

fn terminated(daemon: Daemon) -> ExitStatus {
    daemon.terminate()
}
