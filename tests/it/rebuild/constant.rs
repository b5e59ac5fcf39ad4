//! A rebuild while messages are published all the time and the view is queried: nobody waits for it.
//!
//! The figures of a release build: REBUILD_MESSAGES=200000 REBUILD_MESSAGES_PER_SECOND=5000 REBUILD_LAG_MS_MAX=1000.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use viewd::status::State;

use super::load::{Load, Published};
use super::{NAME, Rig, definition, live, number, settled};
use crate::daemon::{DEADLINE, Daemon, Site};
use crate::wait;

/// A debug build on a machine with other work does a tenth or so of what is promised.
const MESSAGES: u64 = 3_000;
const MESSAGES_PER_SECOND: u64 = 400;
const LAG_MS_MAX: u64 = 10_000;

/// So that a build takes its time: each of its events does.
const COSTLY: &str = r#"set.last    = ".sequence + ([range(0; 200)] | length)""#;

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_holds_nobody_up() {
    let messages = number("REBUILD_MESSAGES", MESSAGES);
    let rate = number("REBUILD_MESSAGES_PER_SECOND", MESSAGES_PER_SECOND);
    let rig = Rig::new(messages).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, messages);
    let load = Load::start(&rig.client, rate);
    let queries = Queries::start(&rig.site, load.published());
    let begun = Instant::now();
    let text = definition(2).replace(r#"set.last    = ".sequence""#, COSTLY);
    rig.site.write(&format!("projections/{NAME}.toml"), &text);
    rig.ends(0, &["reload"]);
    let shown = served_by_itself(&rig, &daemon);
    let built = begun.elapsed();
    let (asked, seen) = queries.stop();
    let verified = tokio::task::block_in_place(|| rig.json(&["verify", NAME, "--deep"]));
    assert_eq!(verified["deep"]["equal"], true, "{verified}");
    let last = load.stop().await;
    live(&daemon, last);
    println!(
        "{messages} messages rebuilt in {built:?} beside {rate} published a second: the view at most {seen:?} behind \
         (it said {shown:?}), {asked} queries; {} published, rebuilt = live",
        last - messages
    );
    assert!(asked > 10 && last > messages);
    let most = Duration::from_millis(number("REBUILD_LAG_MS_MAX", LAG_MS_MAX));
    assert!(seen <= most && shown <= most, "{seen:?}, {shown:?}");
    settled(&daemon);
    assert_eq!(rig.digest(), rig.undisturbed());
}

/// Waits for the cut-over that nobody asks for: how far the served generation says that it was behind at most.
#[track_caller]
fn served_by_itself(rig: &Rig, daemon: &Daemon) -> Duration {
    let mut lag = 0.0_f64;
    wait::until("the cut-over", DEADLINE * 5, || {
        let report = daemon.projection(NAME);
        let well = (State::Live, None);
        assert_eq!((report.state, report.reason), well, "{report:?}\n{}", rig.site.log());
        lag = lag.max(report.lag_seconds.unwrap_or_default());
        (report.generation > 1).then_some(())
    });
    assert_eq!(rig.served(), (2, Some(2)));
    Duration::from_secs_f64(lag)
}

/// Asks the view again and again, as a program beside it would.
struct Queries {
    stop: Arc<AtomicBool>,
    /// How many were answered, and how far behind the stream the view was at most.
    thread: JoinHandle<(u64, Duration)>,
}

impl Queries {
    fn start(site: &Arc<Site>, published: Published) -> Self {
        let stop = Arc::<AtomicBool>::default();
        let (site, stopped) = (Arc::clone(site), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            let (mut asked, mut behind) = (0_u64, Duration::ZERO);
            while !stopped.load(Ordering::Relaxed) {
                behind = behind.max(published.behind(sequence(&site)));
                if asked.is_multiple_of(50) {
                    let sql = "SELECT count(*) FROM items WHERE last > 100";
                    let output = site.run(&["query", NAME, sql], &[]);
                    assert!(output.status.success(), "{output:?}");
                }
                asked += 1;
                wait::pass(Duration::from_millis(2));
            }
            (asked, behind)
        });
        Self { stop, thread }
    }

    /// None may have failed.
    fn stop(self) -> (u64, Duration) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// Where the view stands, as a program beside it reads it; its two counts of messages agree.
fn sequence(site: &Site) -> u64 {
    let sql = "SELECT (SELECT total(times) FROM items) = (SELECT total(events) FROM whole), sequence \
               FROM _viewd_checkpoint";
    let row = |row: &rusqlite::Row<'_>| Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?));
    let (agrees, sequence) = site.view(NAME).query_row(sql, (), row).unwrap();
    assert!(agrees);
    sequence.unsigned_abs()
}
