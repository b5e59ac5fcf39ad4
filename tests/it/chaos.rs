//! The week of flights over a bad network: each seed draws a schedule of faults, and in the end the view is what the
//! oracle says, with every event applied once; meanwhile the daemon never says what is not so.
//!
//! `CHAOS_SEEDS` is how many seeds there are (`make soak` takes 200), `CHAOS_SEED` runs one alone. The schedule follows
//! from the seed; where it meets the daemon's work also depends on the machine.

mod schedule;
pub mod truth;

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use viewd::source::status::Recreate;
use viewd::status::{Projection, State};

use self::schedule::{KINDS, Step, Trouble};
use self::truth::{HEAD_POLL, History, Samples};
use crate::daemon::{Daemon, Site};
use crate::flights::{Week, assert_as_the_oracle_says};
use crate::nats::{Server, create_stream, publish};
use crate::proxy::{Counts, Fault, Proxy, Way};
use crate::random::{Random, new_seed};
use crate::wait;

/// Beside the flights in most seeds: of all events, as then both share a reader once they are live, or of some, as then
/// the position also moves where nothing matches. An event that is applied twice or not at all shows in the sum.
const KINDS_OF_EVENTS: &str = r#"
source = "flights"
[tables.kinds]
key = ["kind"]
columns.kind   = "text"
columns.events = { type = "integer", default = 0 }
columns.sum    = { type = "integer", default = 0 }
[[on]]
event      = "*"
upsert     = "kinds"
key.kind   = ".type"
add.events = 1
add.sum    = ".sequence"
"#;
const ALL: &str = r#"["flights.>"]"#;
const SOME: &str = r#"["flights.UA.>", "flights.*.JFK.departed"]"#;

fn kinds(subjects: &str) -> String {
    KINDS_OF_EVENTS.replacen('\n', &format!("\nsubjects = {subjects}\n"), 1)
}

/// The subjects of `SOME`.
fn is_of_some(subject: &str) -> bool {
    subject.starts_with("flights.UA.") || subject.ends_with(".JFK.departed")
}

const SEEDS: u64 = 20;
/// Ten daemons on a machine that has other work as well.
const DEADLINE: Duration = Duration::from_secs(180);
/// Seeds that run at the same time, on one server.
const LANES: usize = 10;
/// Below so many seeds it is chance which faults there are.
const SEEDS_FOR_EVERY_KIND: usize = 15;
/// How the rest is published while faults go on, once all have been live.
const LIVE_PARTS: u64 = 24;
const LIVE_PAUSE: Duration = Duration::from_millis(100);
/// The week takes some two seconds by this: faults hit its middle.
const USUAL: Way = Way {
    latency: Duration::ZERO,
    bytes_per_second: Some(5_000_000),
    slice_bytes_max: None,
    stalled: false,
};
/// Between two looks at what the daemon says.
const SAMPLE_EVERY: Duration = Duration::from_millis(100);

/// What one seed came to.
struct Outcome {
    steps: [u64; KINDS.len()],
    /// Steps that began before all of the catch-up was applied, and while there was something to follow.
    in_catch_up: u64,
    in_live: u64,
    network: Counts,
    samples: Vec<Samples>,
    /// By reason.
    recreates: [u64; Recreate::ALL.len()],
    reconnects: u64,
    duplicates: u64,
    gaps: u64,
    seconds: f64,
}

/// What the seeds of one wave share.
struct Wave {
    url: String,
    /// Messages in the stream before any daemon starts, and in the end.
    base: u64,
    all: u64,
    /// Events of `SOME` up to each sequence.
    some: Vec<u64>,
    history: History,
    /// Seeds that have been live, or have failed.
    been_live: AtomicUsize,
    publishing: AtomicBool,
}

#[tokio::test(flavor = "multi_thread")]
async fn the_week_over_a_bad_network_gives_what_the_oracle_says() {
    let begun = Instant::now();
    let seeds = seeds();
    let mut outcomes = Vec::new();
    for seeds in seeds.chunks(LANES) {
        outcomes.extend(wave(seeds).await);
    }
    report(&outcomes, begun.elapsed());
    if outcomes.len() >= SEEDS_FOR_EVERY_KIND {
        assert_it_hurt(&outcomes);
    }
}

fn seeds() -> Vec<u64> {
    let number = |variable| std::env::var(variable).ok().map(|number| number.parse().unwrap());
    match number("CHAOS_SEED") {
        Some(seed) => vec![seed],
        None => (0..number("CHAOS_SEEDS").unwrap_or(SEEDS)).map(|_| new_seed()).collect(),
    }
}

/// Runs some seeds beside each other, each with a network, a daemon and a folder of its own.
async fn wave(seeds: &[u64]) -> Vec<Outcome> {
    let mut week = Week::new().await;
    let (base, all) = (week.len() * 4 / 5, week.len());
    week.publish(base).await;
    let wave = Arc::new(Wave {
        url: week.server.url(),
        base,
        all,
        some: week.counted(is_of_some),
        history: History::default(),
        been_live: AtomicUsize::new(0),
        publishing: AtomicBool::new(false),
    });
    wave.history.stored(base);
    let run = |seed: u64| {
        let wave = Arc::clone(&wave);
        // What fails in it says the thread's name.
        let thread = std::thread::Builder::new().name(format!("CHAOS_SEED={seed}"));
        thread.spawn(move || Run::new(&wave, seed).run()).unwrap()
    };
    let runs: Vec<_> = seeds.iter().map(|seed| (*seed, run(*seed))).collect();

    wait::until("seeds that are live", DEADLINE, || {
        (wave.been_live.load(Ordering::Relaxed) == seeds.len()).then_some(())
    });
    wave.publishing.store(true, Ordering::Relaxed);
    for part in 1..=LIVE_PARTS {
        let count = base + (all - base) * part / LIVE_PARTS;
        week.publish(count).await;
        wave.history.stored(count);
        wait::pass(LIVE_PAUSE);
    }
    let ended = runs.into_iter().map(|(seed, run)| (seed, run.join()));
    let (ended, failed): (Vec<_>, Vec<_>) = ended.partition(|(_, outcome)| outcome.is_ok());
    let failed: Vec<String> = failed.iter().map(|(seed, _)| format!("CHAOS_SEED={seed}")).collect();
    assert!(failed.is_empty(), "the reasons are above; again with {}", failed.join(" or "));
    ended.into_iter().filter_map(|(_, outcome)| outcome.ok()).collect()
}

/// One seed at work.
struct Run<'a> {
    wave: &'a Wave,
    proxy: Proxy,
    site: Arc<Site>,
    settings: [String; 4],
    daemon: Option<Daemon>,
    /// The subjects of the second projection, if there is one.
    beside: Option<&'static str>,
    samples: Vec<Samples>,
    steps: Vec<Step>,
    by_kind: [u64; KINDS.len()],
    /// Where it is, for whom it fails.
    now: String,
    live: Live<'a>,
}

/// Tells a wave once that a seed has been live, or has failed.
struct Live<'a>(Option<&'a Wave>);

impl Live<'_> {
    fn tell(&mut self) {
        if let Some(wave) = self.0.take() {
            wave.been_live.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        self.tell();
    }
}

impl<'a> Run<'a> {
    fn new(wave: &'a Wave, seed: u64) -> Self {
        let mut random = Random::seeded(seed);
        let proxy = Proxy::seeded(&wave.url, seed);
        proxy.set(Fault::both(USUAL));
        let beside = [None, Some(ALL), Some(SOME)][random.below(3) as usize];
        let definition = beside.map(kinds);
        let more: Vec<_> = definition.iter().map(|text| ("kinds", text.as_str())).collect();
        let site = Week::site_at(&[proxy.url()], &more);
        let batch = format!("limits.batch_events_max={}", random.within(200..=5_000));
        let head_poll = format!("limits.head_poll_ms={}", HEAD_POLL.as_millis());
        let steps = Step::schedule(&mut random);
        let settings = ["limits.heartbeat_ms=250", "limits.backoff_ms_max=400", &head_poll, &batch]
            .map(str::to_owned);
        let samples = (0..=more.len()).map(|_| Samples::default()).collect();
        let now = "at the start".to_owned();
        let mut run = Self {
            wave,
            proxy,
            site,
            settings,
            daemon: None,
            beside,
            samples,
            steps,
            by_kind: [0; KINDS.len()],
            now,
            live: Live(Some(wave)),
        };
        run.start();
        run
    }

    fn start(&mut self) {
        let settings = self.settings.each_ref().map(String::as_str);
        self.daemon = Some(self.site.start(&settings));
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().unwrap()
    }

    /// Goes through the schedule; on failure says where it was.
    #[expect(clippy::print_stdout, reason = "shown with a test that fails")]
    fn run(mut self) -> Outcome {
        let begun = Instant::now();
        let tried = catch_unwind(AssertUnwindSafe(|| self.through_the_steps()));
        let [in_catch_up, in_live] = tried.unwrap_or_else(|panic| {
            let Self { now, proxy, samples, site, .. } = &self;
            println!("{now}\n{:?}\n{samples:?}\n{}", proxy.counts(), site.log());
            resume_unwind(panic)
        });
        if std::env::var_os("CHAOS_SEED").is_some() {
            println!("{}", self.site.log());
        }
        let metrics = self.daemon().get("/metrics").1;
        let network = self.proxy.counts();
        assert!(self.daemon.take().unwrap().terminate().success(), "{}", self.site.log());
        assert_as_the_oracle_says(&self.site, self.wave.all);
        match self.beside {
            None => {}
            Some(SOME) => assert_each_once(&self.site, &self.wave.some),
            Some(_) => assert_each_once(&self.site, &(0..=self.wave.all).collect::<Vec<_>>()),
        }
        Outcome {
            steps: self.by_kind,
            in_catch_up,
            in_live,
            network,
            samples: self.samples,
            recreates: Recreate::ALL.map(|reason| {
                let label = format!("reason=\"{}\"", reason.label());
                sum(&metrics, "viewd_source_recreates_total", &label)
            }),
            reconnects: sum(&metrics, "viewd_nats_reconnects_total", ""),
            duplicates: sum(&metrics, "viewd_source_dropped_duplicates_total", ""),
            gaps: sum(&metrics, "viewd_source_gaps_total", ""),
            seconds: begun.elapsed().as_secs_f64(),
        }
    }

    /// How many steps were in the catch-up, and how many in live.
    fn through_the_steps(&mut self) -> [u64; 2] {
        self.until("the first events", |_, said| said.iter().all(|said| said.position > 0));
        let [mut in_catch_up, mut in_live] = [0; 2];
        let steps = std::mem::take(&mut self.steps);
        for (index, step) in steps.iter().enumerate() {
            if index == steps.len() / 2 {
                self.live();
            }
            self.pass(step.rest);
            self.by_kind[step.trouble.kind()] += 1;
            let position = self.position();
            in_catch_up += u64::from(position < self.wave.base);
            in_live += u64::from((self.wave.base..self.wave.all).contains(&position));
            self.now = format!("in step {} of {}: {step:?}", index + 1, steps.len());
            step.begin(&self.proxy, USUAL);
            if step.trouble == Trouble::Crash {
                self.daemon.take().unwrap().kill();
                self.start();
            }
            self.pass(step.lasts);
            self.proxy.mend();
            self.proxy.set(Fault::both(USUAL));
            self.now = format!("after {}", self.now);
        }
        self.live_again();
        [in_catch_up, in_live]
    }

    /// Asks what is said, and judges it.
    fn sample(&mut self) -> Vec<Projection> {
        let asked = Instant::now();
        let said = self.daemon().report().projections;
        assert_eq!(said.len(), self.samples.len(), "{said:?}");
        let wave = self.wave;
        for (samples, said) in self.samples.iter_mut().zip(&said) {
            let some = said.name == "kinds" && self.beside == Some(SOME);
            let events = |position: u64| if some { wave.some[position as usize] } else { position };
            samples.take(asked, said, &wave.history, wave.base, events);
        }
        said
    }

    /// How far the one is that is behind.
    fn position(&self) -> u64 {
        self.samples.iter().map(|samples| samples.position).min().unwrap()
    }

    fn pass(&mut self, duration: Duration) {
        let end = Instant::now() + duration;
        while Instant::now() < end {
            self.sample();
            wait::pass(SAMPLE_EVERY.min(end.saturating_duration_since(Instant::now())));
        }
    }

    /// Looks as often as always: to ask without a pause would take the machine's time from those who are asked.
    fn until(&mut self, what: &str, mut look: impl FnMut(&Wave, &[Projection]) -> bool) {
        let wave = self.wave;
        wait::until(what, DEADLINE, || {
            let found = look(wave, &self.sample());
            if !found {
                wait::pass(SAMPLE_EVERY / 2);
            }
            found.then_some(())
        });
    }

    /// Waits until it is live, and then for the others, and for events to follow.
    fn live(&mut self) {
        self.until("the live state", |_, said| said.iter().all(|said| said.state == State::Live));
        self.live.tell();
        self.until("the other seeds", |wave, _| wave.publishing.load(Ordering::Relaxed));
    }

    /// Without faults everything is caught up, by itself.
    fn live_again(&mut self) {
        self.until("the end of the stream", |wave, said| {
            let there = |said: &Projection| {
                let at_the_end = said.position == wave.all && said.pending_messages == Some(0);
                at_the_end && said.state == State::Live
            };
            said.iter().all(there)
        });
    }
}

/// Holds that the second projection has had each of its events once, by how many there are up to each sequence.
fn assert_each_once(site: &Site, counted: &[u64]) {
    let sequences =
        (1..counted.len()).filter(|sequence| counted[*sequence] > counted[sequence - 1]);
    let sum: usize = sequences.sum();
    let sums = site.view("kinds").query_row("SELECT sum(events), sum(sum) FROM kinds", (), |row| {
        Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as usize))
    });
    assert_eq!(sums.unwrap(), (*counted.last().unwrap(), sum));
}

/// The sum of a family's series that have a label.
fn sum(metrics: &str, family: &str, label: &str) -> u64 {
    let series = metrics.lines().filter(|line| line.starts_with(family) && line.contains(label));
    series.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap() as u64).sum()
}

#[expect(clippy::print_stdout, reason = "shown with a test that fails, and by `make soak`")]
fn report(outcomes: &[Outcome], took: Duration) {
    let total = |of: &dyn Fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let samples = |of: fn(&Samples) -> u64| total(&|outcome| outcome.samples.iter().map(of).sum());
    println!("{} seeds in {:.1} s", outcomes.len(), took.as_secs_f64());
    let longest = outcomes.iter().map(|outcome| outcome.seconds).fold(0.0, f64::max);
    println!("longest seed {longest:.1} s");
    for (index, kind) in KINDS.iter().enumerate() {
        println!("{kind}: {}", total(&|outcome| outcome.steps[index]));
    }
    println!("faults in catch-up: {}", total(&|outcome| outcome.in_catch_up));
    println!("faults in live: {}", total(&|outcome| outcome.in_live));
    for (index, reason) in Recreate::ALL.iter().enumerate() {
        println!("recreates, {}: {}", reason.label(), total(&|outcome| outcome.recreates[index]));
    }
    for (what, count) in [
        ("reconnects of control", total(&|outcome| outcome.reconnects)),
        ("duplicates dropped", total(&|outcome| outcome.duplicates)),
        ("links", total(&|outcome| outcome.network.links)),
        ("links cut in mid-stream", total(&|outcome| outcome.network.cuts_in_stream)),
        ("resets", total(&|outcome| outcome.network.resets)),
        ("closes", total(&|outcome| outcome.network.closes)),
        ("bytes stalled", total(&|outcome| outcome.network.bytes_stalled)),
        ("bytes delayed", total(&|outcome| outcome.network.bytes_delayed)),
        ("slices", total(&|outcome| outcome.network.slices)),
        ("bytes to viewd", total(&|outcome| outcome.network.bytes_to_client)),
        ("samples", samples(|samples| samples.count)),
        ("samples, head unknown", samples(|samples| samples.unknown)),
        ("samples, degraded", samples(|samples| samples.degraded)),
        ("samples, live", samples(|samples| samples.live)),
    ] {
        println!("{what}: {count}");
    }
}

/// What is in flight takes ten times as long as an answer may: requests must not wait behind it, or time and again all of
/// it is given up.
#[tokio::test(flavor = "multi_thread")]
async fn over_a_slow_link_nothing_is_read_twice() {
    over_a_slow_link(1_000, 12_000, 1_500, 250).await;
}

/// Nor is a message asked for that is on its way.
#[tokio::test(flavor = "multi_thread")]
async fn over_a_slow_link_a_large_message_comes_once() {
    let bytes = over_a_slow_link(600_000, 6, 6, 5_000).await;
    assert!((1_800_000..2_200_000).contains(&bytes), "{bytes} bytes for three messages");
}

/// Reads up to a message of so many, every other of which is large and matches; returns how many bytes came.
async fn over_a_slow_link(bytes: usize, messages: u64, enough: u64, heartbeat_ms: u64) -> u64 {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "FLIGHTS", &["flights.>"], |_| {}).await;
    let message = |n: u64| {
        let (carrier, pad) = if n.is_multiple_of(2) { ("UA", bytes) } else { ("AA", 0) };
        let payload = format!("{{\"type\":\"x\",\"pad\":\"{}\"}}", "x".repeat(pad));
        (format!("flights.{carrier}.EWR.x"), payload.into_bytes())
    };
    publish(&client, (0..messages).map(message)).await;
    let proxy = Proxy::start(&server.url());
    proxy.set(Fault::to_client(Way { bytes_per_second: Some(500_000), ..Way::default() }));
    let source = "[sources.flights]\nstream = \"FLIGHTS\"";
    let site = Site::at(&[proxy.url()], source, &[("kinds", &kinds(SOME))]);
    let heartbeat = format!("limits.heartbeat_ms={heartbeat_ms}");
    let daemon = site.start(&[&heartbeat, "limits.head_poll_ms=100"]);
    daemon.reaches("kinds", enough);
    let metrics = daemon.get("/metrics").1;
    assert_eq!(sum(&metrics, "viewd_source_recreates_total", ""), 0, "{}", site.log());
    proxy.counts().bytes_to_client
}

/// A schedule that hurts nobody proves nothing.
fn assert_it_hurt(outcomes: &[Outcome]) {
    let total = |of: &dyn Fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let samples = |of: fn(&Samples) -> u64| total(&|outcome| outcome.samples.iter().map(of).sum());
    let seeds = outcomes.len() as u64;
    let recreates = |reason: Recreate| total(&|outcome| outcome.recreates[reason as usize]);
    for (index, kind) in KINDS.iter().enumerate() {
        assert!(total(&|outcome| outcome.steps[index]) > 0, "no {kind}");
    }
    for (what, count, least) in [
        ("faults in catch-up", total(&|outcome| outcome.in_catch_up), 2 * seeds),
        ("faults in live", total(&|outcome| outcome.in_live), 2 * seeds),
        ("resets", total(&|outcome| outcome.network.resets), seeds),
        ("closes", total(&|outcome| outcome.network.closes), 1),
        ("links cut in mid-stream", total(&|outcome| outcome.network.cuts_in_stream), seeds / 10),
        ("bytes stalled", total(&|outcome| outcome.network.bytes_stalled), 1_000 * seeds),
        ("bytes delayed", total(&|outcome| outcome.network.bytes_delayed), 1_000 * seeds),
        ("slices", total(&|outcome| outcome.network.slices), 100 * seeds),
        ("recreates after a lost link", recreates(Recreate::Disconnected), seeds),
        ("recreates after silence", recreates(Recreate::Heartbeat), seeds / 4),
        ("reconnects", total(&|outcome| outcome.reconnects), seeds),
        ("samples without a head", samples(|samples| samples.unknown), seeds),
        ("samples in live", samples(|samples| samples.live), seeds),
    ] {
        assert!(count >= least, "{what}: {count}, at least {least} were to be expected");
    }
    assert_eq!(total(&|outcome| outcome.gaps), 0, "gaps");
}
