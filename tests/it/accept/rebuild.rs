//! Policies that build again: beside the generation that is served, then in its place.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use viewd::status::{Phase, Reason, State};

use super::{DEFINITION, Rig, until, until_failed};
use crate::daemon::{DEADLINE, Daemon};
use crate::wait;

const REBUILD: &str = "policy.on_gap = \"rebuild\"\npolicy.on_source_change = \"rebuild\"";

/// Transactions of a few events: a build has many moments to be killed at.
const SLOWLY: &[&str] = &["limits.batch_events_max=2"];

/// Messages of a build that takes its time.
const MANY: u64 = 20_000;

impl Rig {
    /// What the link names.
    fn serving(&self) -> PathBuf {
        std::fs::read_link(self.site.path("data/log/current")).unwrap()
    }

    /// State and successor of a generation, as its file has them.
    fn meta(&self, generation: u64) -> (String, Option<String>) {
        let path = self.site.path(&format!("data/log/gen-{generation:06}/view.db"));
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let view = rusqlite::Connection::open_with_flags(path, flags).unwrap();
        let sql = "SELECT state, successor FROM _viewd_meta";
        view.query_row(sql, (), |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
    }

    /// The second generation has followed the first, and is the only one that serves.
    #[track_caller]
    fn succeeded(&self) {
        assert_eq!(self.serving(), PathBuf::from("gen-000002"));
        assert_eq!(self.meta(1), ("retired".to_owned(), Some("gen-000002".to_owned())));
        assert_eq!(self.meta(2), ("serving".to_owned(), None));
        assert!(!self.site.path("data/log/gen-000003").exists());
    }

    /// Waits until the second generation has come so far, served or not.
    #[track_caller]
    fn is_built_to(&self, sequence: u64) {
        let begun = Instant::now();
        while self.built().is_none_or(|built| built < sequence) {
            assert!(
                begun.elapsed() < DEADLINE,
                "{:?} of {sequence}\n{}",
                self.built(),
                self.site.log()
            );
            wait::pass(Duration::from_millis(5));
        }
    }

    /// How far the second generation has come.
    fn built(&self) -> Option<u64> {
        let path = self.site.path("data/log/gen-000002/view.db");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let view = rusqlite::Connection::open_with_flags(path, flags).ok()?;
        let sql = "SELECT sequence FROM _viewd_checkpoint";
        view.query_row(sql, (), |row| row.get::<_, i64>(0)).ok().map(i64::unsigned_abs)
    }
}

/// Waits until a build says that it has come so far, while the old view is served.
#[track_caller]
fn building(daemon: &Daemon, applied: u64) {
    let report = until(daemon, "log", "building", |report| {
        report.rebuild.as_ref().is_some_and(|rebuild| rebuild.applied >= applied)
    });
    assert_eq!((report.state, report.generation), (State::Failed, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_gap_the_view_is_built_from_what_is_left() {
    let rig = Rig::new(REBUILD).await;
    rig.gap_of_five().await;
    let daemon = rig.start();
    until(&daemon, "log", "rebuilt", |report| report.generation == 2);
    rig.live(&daemon, "log", &[16..=20]);
    rig.succeeded();
    rig.publish(21..=25).await;
    rig.live(&daemon, "log", &[16..=25]);
    let report = daemon.projection("log");
    assert_eq!((report.missed_sequences, report.counts.applied), (0, 10));
    assert_eq!(rig.lines("ERROR", ""), 1, "{}", rig.site.log());
    // And again: numbers go on.
    assert!(daemon.terminate().success());
    rig.succeeded();
    rig.publish(26..=30).await;
    rig.purge_below(29).await;
    let output = rig.site.run(&["run", "--exit-when-caught-up"], &[]);
    assert!(output.status.success(), "{output:?}");
    rig.holds("log", &[29..=30]);
    assert_eq!(rig.serving(), PathBuf::from("gen-000003"));
    assert_eq!(rig.meta(2), ("retired".to_owned(), Some("gen-000003".to_owned())));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_stream_is_built_beside_the_old_view() {
    let rig = Rig::new("").await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    rig.recreate().await;
    rig.publish(1..=MANY).await;
    until_failed(&daemon, "log", Reason::SourceChanged);
    assert!(daemon.terminate().success());

    // A policy asks for no build by itself, and is adopted.
    rig.site.write("projections/log.toml", &format!("{REBUILD}\n{DEFINITION}"));
    let daemon = rig.site.start(SLOWLY);
    let report = until(&daemon, "log", "building", |report| {
        report.rebuild.as_ref().is_some_and(|rebuild| rebuild.applied > 0)
    });
    let rebuild = report.rebuild.clone().unwrap();
    assert_eq!((rebuild.generation, rebuild.phase, rebuild.total), (2, Phase::Bulk, MANY));
    assert!(rebuild.applied < MANY, "{rebuild:?}");
    assert_eq!((report.state, report.reason), (State::Failed, Some(Reason::SourceChanged)));
    assert_eq!((report.generation, report.checkpoint_sequence), (1, 10));
    rig.holds("log", &[1..=10]);
    let (code, json) = rig.accept("log");
    assert_eq!((code, json["error"]["code"].as_str()), (75, Some("busy")), "{json}");
    rig.live(&daemon, "log", &[1..=MANY]);
    rig.succeeded();
    assert!(daemon.projection("log").generation == 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_stream_makes_an_empty_view() {
    let rig = Rig::new(REBUILD).await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    rig.recreate().await;
    until(&daemon, "log", "rebuilt", |report| report.generation == 2);
    rig.publish(1..=3).await;
    rig.live(&daemon, "log", &[1..=3]);
    rig.succeeded();
}

/// The store refuses the cut-over, and the stream goes on meanwhile: what it brings is for no other generation.
#[tokio::test(flavor = "multi_thread")]
async fn a_build_that_is_given_up_leaves_the_old_view_as_it_was() {
    let rig = Rig::new(REBUILD).await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    let obstacle = rig.site.path("data/log/.current.new");
    std::fs::create_dir(&obstacle).unwrap();
    rig.recreate().await;
    rig.publish(1..=20).await;
    let mut published = 20;
    wait::until("two builds given up", DEADLINE, || {
        (rig.lines("WARN", "build ended") >= 2).then_some(())
    });
    for _ in 0..20 {
        published += 1;
        rig.publish(published..=published).await;
        let projection = daemon.projection("log");
        assert_eq!(
            (projection.state, projection.reason, projection.generation),
            (State::Failed, Some(Reason::SourceChanged), 1),
            "{:?}",
            projection.detail
        );
    }
    rig.holds("log", &[1..=10]);
    std::fs::remove_dir(&obstacle).unwrap();
    rig.live(&daemon, "log", &[1..=published]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_changes_under_a_build_begins_another() {
    let rig = Rig::new(REBUILD).await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    assert!(daemon.terminate().success());
    rig.recreate().await;
    rig.publish(1..=MANY).await;
    let daemon = rig.site.start(SLOWLY);
    building(&daemon, 1);
    rig.recreate().await;
    rig.publish(1..=5).await;
    until(&daemon, "log", "rebuilt", |report| report.generation == 2);
    rig.live(&daemon, "log", &[1..=5]);
    rig.succeeded();
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_during_a_build_one_generation_serves() {
    let rig = Rig::new(REBUILD).await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    assert!(daemon.terminate().success());
    rig.recreate().await;
    rig.publish(1..=MANY).await;
    // As it begins, and on the way: the old view is served, and what was built is gone at the next start.
    for reached in [None, Some(MANY / 4)] {
        let daemon = rig.site.start(SLOWLY);
        match reached {
            None => wait::until("a build", DEADLINE, || {
                rig.site.path("data/log/gen-000002").exists().then_some(())
            }),
            Some(reached) => building(&daemon, reached),
        }
        daemon.kill();
        assert_eq!(rig.serving(), PathBuf::from("gen-000001"));
        rig.holds("log", &[1..=10]);
    }
    // Asked to end, it does so at once.
    let daemon = rig.site.start(SLOWLY);
    building(&daemon, MANY / 4);
    assert!(daemon.terminate().success());
    assert_eq!(rig.serving(), PathBuf::from("gen-000001"));
    // As it comes to its end.
    let daemon = rig.site.start(SLOWLY);
    rig.is_built_to(MANY);
    daemon.kill();
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=MANY]);
    rig.succeeded();
    assert!(daemon.terminate().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_ends_in_each_build_is_left_alone_after_the_third() {
    let rig = Rig::new(REBUILD).await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    assert!(daemon.terminate().success());
    rig.recreate().await;
    rig.publish(1..=MANY).await;
    for _ in 0..3 {
        let daemon = rig.site.start(SLOWLY);
        building(&daemon, 1);
        daemon.kill();
    }
    let daemon = rig.start();
    until_failed(&daemon, "log", Reason::CrashLoop);
    rig.holds("log", &[1..=10]);
    let (code, json) = rig.accept("log");
    assert_eq!((code, json["error"]["code"].as_str()), (3, Some("found_problems")), "{json}");
    assert_eq!(rig.serving(), PathBuf::from("gen-000001"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_adopted_and_asks_for_no_build() {
    let rig = Rig::new("").await;
    rig.publish(1..=10).await;
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    assert!(daemon.terminate().success());
    let planned = || {
        let output = rig.site.run(&["plan", "--offline", "--json"], &[]);
        let planned: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        planned["data"][0]["action"].as_str().unwrap_or_else(|| panic!("{planned}")).to_owned()
    };
    rig.site.write("projections/log.toml", &format!("{REBUILD}\n{DEFINITION}"));
    assert_eq!(planned(), "adopt");
    let daemon = rig.start();
    rig.live(&daemon, "log", &[1..=10]);
    assert_eq!(daemon.projection("log").generation, 1);
    assert!(daemon.terminate().success());
    assert_eq!(planned(), "nothing");
}
