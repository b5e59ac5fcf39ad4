//! A disk that is full, or does not answer: nothing is lost, and the rows go on as far as they can.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;

use viewd::status::{Projection, Reason, State};

use super::rig::{DEFINITION, NAME, QUICK, Rig, SOURCES, follows, of};
use crate::daemon::{DEADLINE, Daemon, Site};
use crate::wait;

const IDS: u64 = 400;
const MIB: usize = 1 << 20;
/// What is built leaves 64 MiB.
const DISK_MIB: u64 = 128;

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_the_index_alone_stops_nothing_else() {
    let rig = Rig::new(DEFINITION).await;
    rig.publish(500, IDS).await;
    rig.site.catch_up(QUICK);
    let search = format!("data/{NAME}/current/search");
    // It is empty: the index is made again there.
    let Some(daemon) = rig.site.start_on_disk(&search, DISK_MIB, QUICK) else { return };
    follows(&daemon, "items", 500);
    let ballast = daemon.inside(&search).join("ballast");
    fill(&ballast);
    let before = of(&daemon.projection(NAME), "items").clone();
    let last = rig.publish(2_000, 2 * IDS).await;
    daemon.reaches(NAME, last);
    let report = until(&daemon, "degraded", |report| {
        report.state == State::Degraded && report.reason == Some(Reason::Search)
    });
    let index = of(&report, "items");
    // What was there is searched, and says what it is of.
    assert!(index.documents.is_some() && index.sequence < Some(last), "{report:?}");
    assert!(index.sequence >= before.sequence, "{report:?}");
    assert!(report.detail.as_ref().is_some_and(|said| said.contains("no space")), "{report:?}");
    assert!(report.next.as_ref().is_some_and(|said| said.contains("space")), "{report:?}");
    let (_, metrics) = daemon.get("/metrics");
    let errors = "viewd_storage_errors_total{component=\"search\",kind=\"full\"} ";
    let count = metrics.lines().find_map(|line| line.strip_prefix(errors)).unwrap();
    assert!(count.parse::<u64>().unwrap() > 0);

    fs::remove_file(&ballast).unwrap();
    follows(&daemon, "items", last);
    until(&daemon, "live", |report| report.state == State::Live);
    rig.verified();
    // It went on from where it was.
    let made = rig.site.log().matches("index is made again").count();
    assert_eq!(made, 1, "{}", rig.site.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_of_both_loses_nothing() {
    let rig = Rig::new(DEFINITION).await;
    let Some(daemon) = rig.site.start_on_disk("data", DISK_MIB, QUICK) else { return };
    let first = rig.publish(500, IDS).await;
    follows(&daemon, "items", first);
    for round in 0..3 {
        let ballast = daemon.inside("data/ballast");
        fill(&ballast);
        // The log may have had some room left.
        let mut last = rig.publish(2_000, 2 * IDS).await;
        until(&daemon, "degraded", |report| {
            report.state == State::Degraded
                && matches!(report.reason, Some(Reason::StorageFull | Reason::Search))
        });
        last = last.max(rig.publish(100, 2 * IDS).await);
        fs::remove_file(&ballast).unwrap();
        follows(&daemon, "items", last);
        until(&daemon, "live", |report| report.state == State::Live);
        let (code, body) = daemon.post(&format!("/v1/admin/projections/{NAME}/verify-search"));
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        let found = (code, &body["data"][0]["index"], &body["data"][0]["finding"]);
        assert_eq!(found, (200, &"items".into(), &serde_json::Value::Null), "round {round}");
    }
    assert!(!rig.site.log().contains("made again"), "{}", rig.site.log());
}

/// Whatever takes an index away under the daemon, it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_removed_under_the_daemon_is_made_again() {
    let rig = Rig::new(DEFINITION).await;
    let daemon = rig.site.start(QUICK);
    let last = rig.publish(300, IDS).await;
    follows(&daemon, "items", last);
    fs::remove_dir_all(rig.index("items")).unwrap();
    let last = rig.publish(300, IDS).await;
    wait::until("made again", DEADLINE, || rig.site.log().contains("made again").then_some(()));
    follows(&daemon, "items", last);
    rig.verified();
    assert!(daemon.terminate().success(), "{}", rig.site.log());
    rig.verified();
}

/// A file that nobody answers for: the thread of the indexes hangs, and nothing else does.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_hangs_fails_nothing() {
    let rig = Rig::new(DEFINITION).await;
    rig.publish(300, IDS).await;
    rig.site.catch_up(QUICK);
    let meta = rig.index("items").join("meta.json");
    fs::remove_file(&meta).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &meta,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
    let daemon = rig.site.start(&[QUICK, &["limits.stall_ms_max=1000"]].concat());
    let report = until(&daemon, "degraded", |report| {
        report.state == State::Degraded && report.reason == Some(Reason::Search)
    });
    assert!(report.detail.as_ref().is_some_and(|said| said.contains("stand still")), "{report:?}");
    let last = rig.publish(300, IDS).await;
    daemon.reaches(NAME, last);
    // It gets an answer, if a useless one.
    drop(File::options().write(true).open(&meta).unwrap());
    follows(&daemon, "items", last);
    until(&daemon, "live", |report| report.state == State::Live);
    rig.verified();
    assert!(daemon.terminate().success(), "{}", rig.site.log());
}

/// Nobody waits for ever for an index that cannot be written, and nobody for a server that is away. What was made of the
/// rows is there all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_catches_up_waits_for_no_miracle() {
    let rig = Rig::new(DEFINITION).await;
    rig.publish(300, IDS).await;
    rig.site.catch_up(QUICK);
    let last = rig.publish(300, IDS).await;
    // Not even their operator can write to a file that is a folder.
    let meta = rig.index("items").join("meta.json");
    let kept = fs::read(&meta).unwrap();
    fs::remove_file(&meta).unwrap();
    fs::create_dir(&meta).unwrap();
    let nobody = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let away = Site::at(&[format!("nats://{nobody}")], SOURCES, &[(NAME, DEFINITION)]);
    // Each for its half a minute, at once.
    let run = |site: &Site| {
        let output = site.run(&["run", "--exit-when-caught-up"], QUICK);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (index, server) = std::thread::scope(|scope| {
        let server = scope.spawn(|| run(&away));
        (run(&rig.site), server.join().unwrap())
    });
    assert_eq!(index.0, Some(3), "{}", index.1);
    let said = "projection `items`: its full-text indexes do not follow: index `items` ";
    assert!(index.1.contains(said), "{}", index.1);
    assert_eq!(rig.site.checkpoint(NAME).unwrap().sequence, last);
    assert_eq!(server.0, Some(69), "{}", server.1);
    let said = "the head of the stream of projection `items` is not known after 30 s: ";
    assert!(server.1.contains(said), "{}", server.1);
    fs::remove_dir(&meta).unwrap();
    fs::write(&meta, kept).unwrap();
    rig.site.catch_up(QUICK);
    rig.verified();
}

/// Takes all that is free.
fn fill(ballast: &Path) {
    let mut file = File::options().create(true).append(true).open(ballast).unwrap();
    let zeros = vec![0; MIB];
    let mut size = MIB;
    // Ever smaller pieces, to the last byte.
    while size > 0 {
        if file.write_all(&zeros[..size]).is_err() {
            size /= 2;
        }
    }
}

#[track_caller]
fn until(daemon: &Daemon, what: &str, says: impl Fn(&Projection) -> bool) -> Projection {
    let mut seen = None;
    let found = wait::until_or(DEADLINE, || {
        let report = daemon.projection(NAME);
        seen = Some(report.clone());
        says(&report).then_some(report)
    });
    found.unwrap_or_else(|| panic!("not {what}: {seen:?}\n{}", daemon.log()))
}
