//! A rebuild while messages are published all the time and the view is queried: nobody waits for it.
//!
//! The figures of a release build: REBUILD_MESSAGES=200000 REBUILD_MESSAGES_PER_SECOND=5000 REBUILD_LAG_MS_MAX=1000.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use viewd::status::State;

use super::load::Load;
use super::{NAME, Rig, live, number, settled};
use crate::daemon::{DEADLINE, Daemon, Site};
use crate::wait;

/// A debug build on a machine with other work does a tenth or so of what is promised.
const MESSAGES: u64 = 10_000;
const MESSAGES_PER_SECOND: u64 = 400;
const LAG_MS_MAX: u64 = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_holds_nobody_up() {
    let messages = number("REBUILD_MESSAGES", MESSAGES);
    let rate = number("REBUILD_MESSAGES_PER_SECOND", MESSAGES_PER_SECOND);
    let rig = Rig::new(messages).await;
    let daemon = rig.site.start(&[]);
    live(&daemon, messages);
    let load = Load::start(&rig.client, rate);
    let queries = Queries::start(&rig.site);
    rig.edit(2);
    rig.ends(0, &["reload"]);
    let lag = served_by_itself(&rig, &daemon);
    let asked = queries.stop();
    let verified = tokio::task::block_in_place(|| rig.json(&["verify", NAME, "--deep"]));
    assert_eq!(verified["deep"]["equal"], true, "{verified}");
    let published = load.published();
    let last = load.stop().await;
    live(&daemon, last);
    println!(
        "{messages} messages rebuilt beside {published} published at {rate} a second: lag at most {lag:?}, {asked} queries"
    );
    assert!(asked > 10 && published > 0);
    assert!(lag <= Duration::from_millis(number("REBUILD_LAG_MS_MAX", LAG_MS_MAX)), "{lag:?}");
    settled(&daemon);
    assert_eq!(rig.digest(), rig.undisturbed());
}

/// Waits for the cut-over that nobody asks for: how far the served generation was behind at most.
#[track_caller]
fn served_by_itself(rig: &Rig, daemon: &Daemon) -> Duration {
    let mut lag = 0.0_f64;
    wait::until("the cut-over", DEADLINE * 5, || {
        let report = daemon.projection(NAME);
        assert_eq!(
            (report.state, report.reason),
            (State::Live, None),
            "{report:?}\n{}",
            rig.site.log()
        );
        lag = lag.max(report.lag_seconds.unwrap_or_default());
        (report.generation > 1).then_some(())
    });
    assert_eq!(rig.served(), (2, Some(2)));
    Duration::from_secs_f64(lag)
}

/// Asks the view again and again, as a program beside it would.
struct Queries {
    stop: Arc<AtomicBool>,
    asked: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Queries {
    fn start(site: &Arc<Site>) -> Self {
        let (stop, asked) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (site, stopped, count) = (Arc::clone(site), Arc::clone(&stop), Arc::clone(&asked));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let view = site.view(NAME);
                let sql =
                    "SELECT (SELECT total(times) FROM items) = (SELECT total(events) FROM whole)";
                let agrees: bool = view.query_row(sql, (), |row| row.get(0)).unwrap();
                assert!(agrees);
                if count.fetch_add(1, Ordering::Relaxed).is_multiple_of(50) {
                    let sql = "SELECT count(*) FROM items WHERE last > 100";
                    let output = site.run(&["query", NAME, sql], &[]);
                    assert!(output.status.success(), "{output:?}");
                }
                wait::pass(Duration::from_millis(2));
            }
        });
        Self { stop, asked, thread }
    }

    /// How many were answered; none may have failed.
    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.asked.load(Ordering::Relaxed)
    }
}
