//! What is told to a daemon about its generations, on its admin socket: begun, held, promoted, rolled back, cancelled,
//! paused, removed.

use std::process::Output;

use rustix::process::Signal;
use serde_json::Value;
use viewd::status::{Phase, Reason, State};

use crate::daemon::{DEADLINE, Daemon};
use crate::reload::{LOG, Rig, becomes, reload, serves};
use crate::wait;

impl Rig {
    /// Runs a command, which must end with this code; what it printed, data and talk.
    #[track_caller]
    fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.site.run(arguments, &[]);
        let said = texts(&output);
        let ended = output.status.code();
        assert_eq!(ended, Some(code), "{arguments:?}: {said}\n{}", self.site.log());
        said
    }

    fn has(&self, generation: u64) -> bool {
        self.site.path(&format!("data/log/gen-{generation:06}")).exists()
    }

    /// All that its view holds.
    fn dump(&self) -> Vec<i64> {
        self.numbers()
    }
}

fn texts(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Waits until a build waits to be promoted.
#[track_caller]
fn held(daemon: &Daemon) {
    becomes(daemon, "log", "a held build", |projection| {
        projection.rebuild.as_ref().is_some_and(|build| build.phase == Phase::Held)
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_is_served_when_it_is_promoted() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.ends(0, &["rebuild", "log", "--hold", "--detach"]);
    held(&daemon);
    assert_eq!(daemon.projection("log").generation, 1);
    // Asked for again it is the same, asked for otherwise it is another.
    rig.ends(0, &["rebuild", "log", "--hold", "--detach"]);
    let said = rig.ends(75, &["rebuild", "log", "--detach", "--force"]);
    assert!(said.contains("operation 1 (rebuild) is held"), "{said}");
    rig.ends(75, &["rollback", "log"]);
    rig.publish(11..=12).await;
    daemon.reaches("log", 12);
    rig.ends(0, &["promote", "log"]);
    assert_eq!(serves(&daemon, 2).checkpoint_sequence, 12);
    assert_eq!(rig.dump(), (1..=12).collect::<Vec<_>>());
    rig.ends(0, &["promote", "log"]);
    assert!(rig.has(1) && !rig.has(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_build_is_held_over_a_crash() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.ends(0, &["rebuild", "log", "--hold", "--detach"]);
    held(&daemon);
    daemon.kill();
    rig.publish(11..=12).await;
    let daemon = rig.site.start(&[]);
    held(&daemon);
    daemon.reaches("log", 12);
    assert_eq!(daemon.projection("log").generation, 1);
    assert!(daemon.terminate().success());
    let daemon = rig.site.start(&[]);
    held(&daemon);
    rig.ends(0, &["promote", "log"]);
    serves(&daemon, 2);
    assert_eq!(rig.dump(), (1..=12).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_what_is_cancelled() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.ends(0, &["cancel", "log"]);
    rig.ends(0, &["rebuild", "log", "--hold", "--detach"]);
    held(&daemon);
    assert!(rig.has(2));
    rig.ends(0, &["cancel", "log"]);
    assert!(!rig.has(2));
    let projection = daemon.projection("log");
    assert_eq!((projection.generation, projection.rebuild), (1, None));
    rig.ends(0, &["rebuild", "log"]);
    assert_eq!(serves(&daemon, 2).state, State::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_definition_that_changes_during_a_build_is_built_instead() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.redefine("\".data.n\"", "\".data.n * 2\"");
    rig.ends(0, &["rebuild", "log", "--hold", "--detach"]);
    held(&daemon);
    rig.redefine("\".data.n\"", "\".data.n * 3\"");
    reload(&daemon);
    becomes(&daemon, "log", "the newest definition", |projection| {
        projection.generation > 1 && projection.rebuild.is_none()
    });
    assert_eq!(rig.dump(), (1..=10).map(|n| n * 3).collect::<Vec<_>>());
    // Back to what is served: nothing is to be built.
    rig.ends(0, &["rebuild", "log", "--hold", "--detach"]);
    held(&daemon);
    reload(&daemon);
    held(&daemon);
    rig.ends(0, &["cancel", "log"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_rollback_brings_back_stays_until_a_person_says_otherwise() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.ends(3, &["rollback", "log"]);
    rig.redefine("\".data.n\"", "\".data.n * 2\"");
    reload(&daemon);
    serves(&daemon, 2);
    rig.publish(11..=12).await;
    daemon.reaches("log", 12);
    rig.ends(0, &["rollback", "log"]);
    let is_pinned = |daemon: &Daemon| {
        let projection = serves(daemon, 1);
        assert!(projection.pinned);
        assert_eq!(projection.next.as_deref(), Some("viewd promote log"), "{projection:#?}");
    };
    becomes(&daemon, "log", "the pin is told", |projection| projection.next.is_some());
    is_pinned(&daemon);
    assert_eq!(rig.dump(), (1..=12).collect::<Vec<_>>());
    // Neither a reload nor a restart changes it, nor the definition that is served already.
    reload(&daemon);
    is_pinned(&daemon);
    assert!(daemon.terminate().success());
    let daemon = rig.site.start(&[]);
    becomes(&daemon, "log", "the pin is told", |projection| projection.next.is_some());
    is_pinned(&daemon);
    rig.define("log", LOG);
    reload(&daemon);
    assert!(daemon.projection("log").pinned);
    rig.redefine("\".data.n\"", "\".data.n * 2\"");
    reload(&daemon);
    is_pinned(&daemon);
    // A third one does.
    rig.redefine("\".data.n\"", "\".data.n * 3\"");
    reload(&daemon);
    assert!(!serves(&daemon, 3).pinned);
    assert_eq!(rig.dump(), (1..=12).map(|n| n * 3).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn promoted_a_pinned_projection_follows_its_definition_again() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.redefine("\".data.n\"", "\".data.n * 2\"");
    reload(&daemon);
    serves(&daemon, 2);
    rig.ends(0, &["rollback", "log", "--now"]);
    assert!(serves(&daemon, 1).pinned);
    rig.ends(0, &["promote", "log"]);
    let projection = serves(&daemon, 3);
    assert!(!projection.pinned && projection.detail.is_none(), "{projection:#?}");
    assert_eq!(rig.dump(), (1..=10).map(|n| n * 2).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn paused_it_stands_still_over_restarts_and_builds() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.ends(0, &["pause", "log"]);
    rig.ends(0, &["pause", "log"]);
    rig.publish(11..=12).await;
    let paused = |daemon: &Daemon, generation| {
        let projection = becomes(daemon, "log", "paused", |projection| {
            projection.generation == generation && projection.state == State::Paused
        });
        assert_eq!(projection.next.as_deref(), Some("viewd resume log"));
        projection.checkpoint_sequence
    };
    assert_eq!(paused(&daemon, 1), 10);
    assert!(daemon.terminate().success());
    let daemon = rig.site.start(&[]);
    assert_eq!(paused(&daemon, 1), 10);
    // The next generation stands still too.
    rig.redefine("\".data.n\"", "\".data.n + 0\"");
    reload(&daemon);
    paused(&daemon, 2);
    rig.ends(0, &["resume", "log"]);
    rig.ends(0, &["resume", "log"]);
    rig.publish(13..=13).await;
    daemon.reaches("log", 13);
    assert_eq!(serves(&daemon, 2).state, State::Live);
    assert_eq!(rig.dump(), (1..=13).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_are_rebuilt_at_once() {
    let rig = Rig::new(&[("log", LOG), ("b", LOG), ("c", LOG)]).await;
    let daemon = rig.site.start(&[]);
    ["log", "b", "c"].into_iter().for_each(|name| daemon.reaches(name, 10));
    let said = rig.ends(0, &["rebuild", "--all", "--json"]);
    for name in ["log", "b", "c"] {
        let projection = daemon.projection(name);
        assert_eq!((projection.generation, projection.rebuild), (2, None), "{said}");
    }
    assert_eq!(rig.dump(), (1..=10).collect::<Vec<_>>());
    let said = rig.ends(2, &["rebuild", "nobody"]);
    assert!(said.contains("nobody"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_view_is_rebuilt_and_runs() {
    let rig = Rig::new(&[("log", LOG)]).await;
    rig.site.catch_up(&[]);
    rig.damage();
    let daemon = rig.site.start(&[]);
    becomes(&daemon, "log", "damaged", |projection| projection.reason == Some(Reason::Corrupt));
    rig.ends(3, &["rollback", "log"]);
    rig.ends(0, &["rebuild", "log"]);
    let generation = daemon.projection("log").generation;
    assert_eq!(serves(&daemon, generation).reason, None);
    rig.publish(11..=12).await;
    daemon.reaches("log", 12);
    assert_eq!(rig.dump(), (1..=12).collect::<Vec<_>>());
    rig.ends(0, &["pause", "log"]);
    rig.ends(0, &["resume", "log"]);
    rig.ends(0, &["rebuild", "log"]);
    assert!(daemon.terminate().success());
    rig.site.catch_up(&[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_right_is_not_built() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.redefine("\".data.n\"", "\".data.n + )\"");
    let said = rig.ends(78, &["rebuild", "log"]);
    assert!(said.contains("log.toml"), "{said}");
    assert_eq!(daemon.projection("log").generation, 1);
    rig.define("log", LOG);
    rig.purge_below(6).await;
    let said = rig.ends(3, &["rebuild", "log"]);
    assert!(said.contains("would forget: the stream now begins at 6"), "{said}");
    assert!(!rig.has(2));
    rig.ends(0, &["rebuild", "log", "--forget"]);
    serves(&daemon, 2);
    assert_eq!(rig.dump(), (6..=10).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_needs_goes_when_it_is_told() {
    let (rig, daemon) = Rig::live(&["rebuild.keep_generations=9"]).await;
    rig.define("other", LOG);
    reload(&daemon);
    daemon.reaches("other", 10);
    rig.ends(0, &["rebuild", "log"]);
    rig.ends(0, &["rebuild", "log"]);
    assert!(rig.has(1) && rig.has(2) && rig.has(3));
    rig.forget("other");
    reload(&daemon);
    assert!(rig.site.path("data/other").exists());
    rig.ends(0, &["gc"]);
    assert!(!rig.has(1) && !rig.has(2) && rig.has(3));
    assert!(!rig.site.path("data/other").exists());
    // Those beyond what is kept go by themselves.
    assert!(daemon.terminate().success());
    let daemon = rig.site.start(&["rebuild.keep_generations=0"]);
    serves(&daemon, 3);
    rig.ends(0, &["rebuild", "log"]);
    wait::until("the retired one is gone", DEADLINE, || (!rig.has(3)).then_some(()));
    assert!(rig.has(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_end_during_a_build_is_an_end_in_order() {
    let (rig, mut daemon) = Rig::live(&[]).await;
    rig.ends(0, &["rebuild", "log", "--hold", "--detach"]);
    held(&daemon);
    daemon.signal(Signal::TERM);
    assert!(daemon.ended().success(), "{}", rig.site.log());
    assert!(rig.has(2), "it is sealed, and goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_found_again() {
    let (rig, daemon) = Rig::live(&[]).await;
    rig.ends(0, &["rebuild", "log"]);
    let (code, body) = daemon.get("/v1/admin/operations");
    assert_eq!(code, 200, "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["data"][0]["state"], "done", "{body}");
    assert_eq!(body["data"][0]["projection"], "log", "{body}");
    let (_, text) = daemon.get("/metrics");
    let line = "viewd_rebuilds_total{outcome=\"done\",projection=\"log\"} 1";
    assert!(text.contains(line), "{text}");
}
