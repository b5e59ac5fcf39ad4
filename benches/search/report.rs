//! What the runs come to: tables for people, JSON for programs. Each figure that has another to be held against says the
//! ratio too, round by round.

use serde_json::{Value, json};

use crate::bench::Run;
use crate::corpora::Corpus;
use crate::measure::{median, range};
use crate::rows::{Row, Way};

/// A row with its runs; the n-th run of each row was made in the n-th round.
pub struct Measured {
    pub row: Row,
    pub runs: Vec<Run>,
}

/// Of two rows, round by round.
struct Ratio {
    median: f64,
    low: f64,
    high: f64,
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
        out.pad(&format!("{:.2} ({:.2} to {:.2})", self.median, self.low, self.high))
    }
}

impl Run {
    fn rate(&self) -> f64 {
        self.work as f64 / self.seconds
    }

    /// Of one kind of what was asked.
    fn percentile(&self, kind: &str, percent: usize) -> f64 {
        let found = self.latencies.iter().find(|(known, _)| known == kind);
        found.map_or(f64::NAN, |(_, latencies)| latencies.percentile(percent))
    }

    fn json(&self) -> Value {
        let latencies = self.latencies.iter().map(|(kind, latencies)| {
            json!({
                "of": kind, "count": latencies.count(),
                "p50_ms": latencies.percentile(50), "p99_ms": latencies.percentile(99),
            })
        });
        json!({
            "seconds": self.seconds, "work": self.work, "text_bytes": self.bytes, "cpu_seconds": self.cpu,
            "peak_rss_bytes": self.peak_rss, "index_bytes": self.index_bytes, "segments": self.segments,
            "latencies": latencies.collect::<Vec<_>>(),
        })
    }
}

impl Measured {
    /// What a row is held against, and as what that is known.
    fn others(&self) -> &'static [(&'static str, Way)] {
        match self.row.way {
            Way::Build | Way::Bare { sqlite: true } | Way::BareDefault => &[
                ("of the loop fed from memory", Way::Bare { sqlite: false }),
                ("of the loop fed from SQLite", Way::Bare { sqlite: true }),
            ],
            Way::CatchUp { search: true } => &[("of no index", Way::CatchUp { search: false })],
            Way::Updates { search: true } => &[("of no index", Way::Updates { search: false })],
            Way::Searchable { commit_ms: Some(_) } => {
                &[("of the default", Way::Searchable { commit_ms: None })]
            }
            Way::Queries { writing: true } => &[("of idle", Way::Queries { writing: false })],
            _ => &[],
        }
    }

    fn beside<'a>(&self, all: &'a [Self]) -> Vec<(&'static str, &'a Self)> {
        let find = |(name, way): &(&'static str, Way)| {
            let row = self.row.with(*way);
            let found = all.iter().find(|other| other.row == row && row != self.row)?;
            Some((*name, found))
        };
        self.others().iter().filter_map(find).collect()
    }

    fn is_rate(&self) -> bool {
        !matches!(self.row.way, Way::Searchable { .. } | Way::Queries { .. })
    }

    fn kinds(&self) -> Vec<&str> {
        let first = self.runs.first();
        first.map_or_else(Vec::new, |run| run.latencies.iter().map(|(kind, _)| &**kind).collect())
    }

    fn json(&self, all: &[Self]) -> Value {
        let runs: Vec<_> = self.runs.iter().map(Run::json).collect();
        let mut json = json!({ "name": self.row.to_string(), "runs": runs });
        if self.is_rate() {
            json["per_second"] = median(&self.runs, Run::rate).into();
        }
        for (name, other) in self.beside(all) {
            json[name.replace(' ', "_")] = match self.is_rate() {
                true => rates(self, other).json(),
                false => {
                    let kinds = self.kinds().into_iter().map(|kind| {
                        let of = |percent| latencies(self, other, kind, percent).json();
                        (kind.to_owned(), json!({ "p50": of(50), "p99": of(99) }))
                    });
                    Value::Object(kinds.collect())
                }
            };
        }
        json
    }
}

pub fn json(all: &[Measured]) -> Value {
    Value::from(all.iter().map(|measured| measured.json(all)).collect::<Vec<_>>())
}

/// One run, while the others are still to come.
pub fn line(row: &Row, run: &Run) -> String {
    let name = format!("{row:26}");
    match run.latencies.last() {
        Some((_, latencies)) => {
            let (p50, p99) = (latencies.percentile(50), latencies.percentile(99));
            format!("{name} {p50:8.2} ms p50 {p99:8.2} ms p99, {} looks", latencies.count())
        }
        None => format!("{name} {:>9.0}/s", run.rate()),
    }
}

#[expect(clippy::print_stdout, reason = "the result")]
pub fn print(all: &[Measured]) {
    println!("\nMedian of {} rounds (lowest to highest of the ratios).", all[0].runs.len());
    for corpus in Corpus::ALL {
        let of: Vec<_> = all.iter().filter(|measured| measured.row.corpus == corpus).collect();
        if of.iter().any(|measured| measured.is_rate()) {
            println!(
                "\n{:26} {:>9} {:>9} {:>7} {:>8} {:>8} {:>9} {:>8}",
                "", "work", "/s", "MB/s", "CPU s/M", "index", "peak RSS", "segments"
            );
        }
        for measured in of.iter().filter(|measured| measured.is_rate()) {
            print_rate(measured, all);
        }
        for measured in of.iter().filter(|measured| !measured.is_rate()) {
            print_latencies(measured, all);
        }
    }
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print_rate(measured: &Measured, all: &[Measured]) {
    let of = |figure: &dyn Fn(&Run) -> f64| median(&measured.runs, figure);
    // Of updates the text is not all of the corpus.
    let bytes = match measured.row.way {
        Way::Updates { .. } => String::new(),
        _ => format!("{:.2}", of(&|run| run.bytes as f64 / run.seconds / 1e6)),
    };
    let megabytes = |bytes: Option<u64>| bytes.map_or(f64::NAN, |bytes| bytes as f64 / 1e6);
    println!(
        "{:26} {:>9} {:>9.0} {:>7} {:>8.1} {:>5.0} MB {:>6.0} MB {:>8.0}",
        measured.row.to_string(),
        measured.runs[0].work,
        of(&Run::rate),
        bytes,
        of(&|run| run.cpu * 1e6 / run.work as f64),
        of(&|run| megabytes(run.index_bytes)),
        of(&|run| run.peak_rss as f64 / 1e6),
        of(&|run| run.segments.map_or(f64::NAN, |segments| segments as f64)),
    );
    for (name, other) in measured.beside(all) {
        println!("    {} {name}", rates(measured, other));
    }
}

#[expect(clippy::print_stdout, reason = "the result")]
fn print_latencies(measured: &Measured, all: &[Measured]) {
    let beside = measured.beside(all);
    let names: Vec<_> = beside.iter().map(|(name, _)| *name).collect();
    let rss = median(&measured.runs, |run| run.peak_rss as f64 / 1e6);
    println!("\n{}, peak RSS {rss:.0} MB; ms, {}", measured.row, names.join(", "));
    for kind in measured.kinds() {
        let of = |percent| median(&measured.runs, |run| run.percentile(kind, percent));
        let count = measured.runs.iter().map(|run| {
            run.latencies.iter().find(|(known, _)| known == kind).map_or(0, |(_, of)| of.count())
        });
        let ratio = |percent| {
            let other = beside.first();
            other.map_or_else(String::new, |(_, other)| {
                latencies(measured, other, kind, percent).to_string()
            })
        };
        println!(
            "    {kind:26} {:>8} p50 {:>8.2} {:>21} p99 {:>8.2} {:>21}",
            count.sum::<usize>(),
            of(50),
            ratio(50),
            of(99),
            ratio(99),
        );
    }
}

fn rates(left: &Measured, right: &Measured) -> Ratio {
    Ratio::new(left, right, |run, than| run.rate() / than.rate())
}

fn latencies(left: &Measured, right: &Measured, kind: &str, percent: usize) -> Ratio {
    Ratio::new(left, right, |run, than| {
        run.percentile(kind, percent) / than.percentile(kind, percent)
    })
}
