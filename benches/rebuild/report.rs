//! What the runs come to: tables for people, JSON for programs.

use serde_json::{Value, json};

use crate::bench::Run;
use crate::measure::{median, range};
use crate::rows::{Row, Way};

/// A row with its runs; the n-th run of each row was made in the n-th round.
pub struct Measured {
    pub row: Row,
    pub events: u64,
    pub runs: Vec<Run>,
}

/// Of two rows, round by round.
struct Ratio {
    median: f64,
    low: f64,
    high: f64,
}

impl Measured {
    /// Events a second that reached a view, of all views.
    fn rate(&self, run: &Run) -> f64 {
        self.work() / run.seconds
    }

    fn work(&self) -> f64 {
        (self.events * self.row.projections() as u64) as f64
    }

    fn is_live(&self) -> bool {
        matches!(self.row.way, Way::Live { .. })
    }

    fn json(&self, all: &[Self]) -> Value {
        let runs: Vec<_> = self.runs.iter().map(run).collect();
        let mut json = json!({
            "name": self.row.name, "events": self.events, "projections": self.row.projections(), "runs": runs,
        });
        if !self.is_live() {
            json["events_per_second"] = median(&self.runs, |run| self.rate(run)).into();
            json["of_raw"] = raw(all, self).map(|raw| rates(self, raw).json()).into();
            json["of_hand"] = hand(all, self).map(|hand| rates(self, hand).json()).into();
            json["cpu_of_hand"] = hand(all, self).map(|hand| cpus(self, hand).json()).into();
        }
        json
    }
}

impl Ratio {
    fn new(left: &Measured, right: &Measured, of: impl Fn(&Run, &Run) -> f64) -> Self {
        let pairs: Vec<_> = left.runs.iter().zip(&right.runs).collect();
        let (low, high) = range(&pairs, |(left, right)| of(left, right));
        Self { median: median(&pairs, |(left, right)| of(left, right)), low, high }
    }

    fn json(&self) -> Value {
        json!({ "median": self.median, "lowest": self.low, "highest": self.high })
    }
}

impl std::fmt::Display for Ratio {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = format!("{:.2} ({:.2} to {:.2})", self.median, self.low, self.high);
        out.pad(&text)
    }
}

fn run(run: &Run) -> Value {
    let mut json = json!({
        "seconds": run.seconds, "cpu_seconds": run.cpu, "server_cpu_seconds": run.server_cpu, "peak_rss_bytes": run.peak_rss,
    });
    for (phase, seconds) in &run.phases {
        json["seconds_to_end_of"][phase] = (*seconds).into();
    }
    if let Some(latencies) = &run.latencies {
        json["latency_p50_ms"] = latencies.percentile(50).into();
        json["latency_p99_ms"] = latencies.percentile(99).into();
    }
    json
}

pub fn json(all: &[Measured]) -> Value {
    Value::from(all.iter().map(|measured| measured.json(all)).collect::<Vec<_>>())
}

/// One run, while the others are still to come.
pub fn line(measured: &Measured, run: &Run) -> String {
    let name = measured.row.name;
    match &run.latencies {
        Some(latencies) => {
            let (p50, p99) = (latencies.percentile(50), latencies.percentile(99));
            format!("{name:15} {p50:8.2} ms p50 {p99:8.2} ms p99")
        }
        None => format!("{name:15} {:>9.0} events/s", measured.rate(run)),
    }
}

#[expect(clippy::print_stdout, reason = "the result")]
pub fn print_tables(tables: &[(&str, u64)]) {
    let tables: Vec<_> = tables.iter().map(|(table, rows)| format!("{table} {rows}")).collect();
    if !tables.is_empty() {
        println!("\nrows, the same by whoever wrote them: {}", tables.join(", "));
    }
}

#[expect(clippy::print_stdout, reason = "the result")]
pub fn print(all: &[Measured]) {
    let (live, read): (Vec<_>, Vec<_>) = all.iter().partition(|measured| measured.is_live());
    println!("\nMedian of {} rounds (lowest to highest of the ratios).", all[0].runs.len());
    if !read.is_empty() {
        println!(
            "\n{:15} {:>9} {:>3} {:>10} {:>21} {:>21} {:>21} {:>8} {:>9} {:>8}",
            "",
            "events",
            "x",
            "events/s",
            "of the fastest raw",
            "of hand",
            "CPU of hand",
            "CPU s/M",
            "server",
            "peak RSS"
        );
    }
    for measured in read {
        let of = |ratio: Option<Ratio>| ratio.map_or_else(String::new, |ratio| ratio.to_string());
        let million = |seconds: f64| seconds * 1e6 / measured.work();
        println!(
            "{:15} {:>9} {:>3} {:>10.0} {:>21} {:>21} {:>21} {:>8.2} {:>9.2} {:>5.0} MB",
            measured.row.name,
            measured.events,
            measured.row.projections(),
            median(&measured.runs, |run| measured.rate(run)),
            of(raw(all, measured).map(|raw| rates(measured, raw))),
            of(hand(all, measured).map(|hand| rates(measured, hand))),
            of(hand(all, measured).map(|hand| cpus(measured, hand))),
            million(median(&measured.runs, |run| run.cpu)),
            million(median(&measured.runs, |run| run.server_cpu)),
            median(&measured.runs, |run| run.peak_rss as f64 / 1e6),
        );
        print_phases(measured);
    }
    if !live.is_empty() {
        println!(
            "\n{:15} {:>9} {:>9} {:>21} {:>9} {:>21} {:>8} {:>9} {:>8}",
            "", "events", "p50 ms", "of hand", "p99 ms", "of hand", "CPU s/M", "server", "peak RSS"
        );
    }
    for measured in live {
        print_live(all, measured);
    }
    for (row, than) in
        [("rebuild-10x", "rebuild"), ("rebuild-where", "rebuild"), ("catch-up-where", "catch-up")]
    {
        if let (Some(row), Some(than)) = (find(all, row), find(all, than)) {
            println!(
                "\n{} runs at {} x the rate of {}",
                row.row.name,
                rates(row, than),
                than.row.name
            );
        }
    }
}

/// Where the time of a rebuild goes; the bulk phase is what grows with the stream.
#[expect(clippy::print_stdout, reason = "the result")]
fn print_phases(measured: &Measured) {
    let Some(first) = measured.runs.iter().max_by_key(|run| run.phases.len()) else { return };
    let mut before = 0.0;
    for (phase, _) in &first.phases {
        let end = |run: &Run| {
            let known = run.phases.iter().find(|(known, _)| known == phase);
            known.map_or(f64::NAN, |(_, seconds)| *seconds)
        };
        let seconds = median(&measured.runs, end);
        let rate = match phase.as_str() {
            "bulk" => format!(", {:.0} events/s up to here", measured.work() / seconds),
            _ => String::new(),
        };
        println!("    {phase:12} {:>6.2} s to {seconds:.2} s{rate}", seconds - before);
        before = seconds;
    }
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print_live(all: &[Measured], measured: &Measured) {
    let hand = hand(all, measured);
    let percentile = |run: &Run, percent| {
        run.latencies.as_ref().map_or(f64::NAN, |latencies| latencies.percentile(percent))
    };
    let of = |percent| {
        let ratio =
            |left: &Run, right: &Run| percentile(left, percent) / percentile(right, percent);
        hand.map_or_else(String::new, |hand| Ratio::new(measured, hand, ratio).to_string())
    };
    let million = |seconds: f64| seconds * 1e6 / measured.work();
    println!(
        "{:15} {:>9} {:>9.2} {:>21} {:>9.2} {:>21} {:>8.2} {:>9.2} {:>5.0} MB",
        measured.row.name,
        measured.events,
        median(&measured.runs, |run| percentile(run, 50)),
        of(50),
        median(&measured.runs, |run| percentile(run, 99)),
        of(99),
        million(median(&measured.runs, |run| run.cpu)),
        million(median(&measured.runs, |run| run.server_cpu)),
        median(&measured.runs, |run| run.peak_rss as f64 / 1e6),
    );
}

fn rates(left: &Measured, right: &Measured) -> Ratio {
    Ratio::new(left, right, |run, than| left.rate(run) / right.rate(than))
}

/// For one event into one view.
fn cpus(left: &Measured, right: &Measured) -> Ratio {
    Ratio::new(left, right, |run, than| (run.cpu / left.work()) / (than.cpu / right.work()))
}

fn find<'a>(all: &'a [Measured], name: &str) -> Option<&'a Measured> {
    all.iter().find(|measured| measured.row.name == name)
}

/// The fastest raw read of the same stream, by its median.
fn raw<'a>(all: &'a [Measured], of: &Measured) -> Option<&'a Measured> {
    let seconds = |measured: &Measured| median(&measured.runs, |run| run.seconds);
    let raw = all.iter().filter(|measured| {
        matches!(measured.row.way, Way::Raw(_)) && measured.row.many == of.row.many
    });
    raw.min_by(|left, right| seconds(left).total_cmp(&seconds(right)))
}

/// The hand-written consumer of the same stream, at the same work.
fn hand<'a>(all: &'a [Measured], of: &Measured) -> Option<&'a Measured> {
    all.iter().find(|measured| match (measured.row.way, of.row.way) {
        (Way::Hand(table), Way::CatchUp(projection)) => table == projection && same(measured, of),
        (Way::Hand(table), Way::Hand(other)) => table == other && same(measured, of),
        (Way::Hand(table), Way::Rebuild { projections, .. }) => {
            let named = projections == [crate::definitions::NAMED];
            (table == crate::definitions::NAMED) == named && same(measured, of)
        }
        (Way::Live { viewd: false, rate }, Way::Live { rate: other, .. }) => rate == other,
        _ => false,
    })
}

fn same(left: &Measured, right: &Measured) -> bool {
    left.row.many == right.row.many
}
