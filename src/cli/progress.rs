//! How far a catch-up or a build has come: a bar on a terminal, elsewhere a line every ten seconds and at each change of
//! phase. What must be read stands above the bars, so none of it is drawn over.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::failure::Failure;
use super::output::Output;
use super::status::{grouped, seconds};
use crate::status::{Index, Making, Phase, Projection, Rebuild, State};
use crate::telemetry::Writer;

const LINE_EVERY: Duration = Duration::from_secs(10);

/// How far one projection is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    name: String,
    /// What it is at; empty where there is only one thing to be at.
    phase: String,
    done: u64,
    total: Option<u64>,
    /// Of what.
    counted: &'static str,
    /// A second.
    rate: Option<u64>,
    unit: &'static str,
    seconds_left: Option<f64>,
    /// What keeps it.
    trouble: Option<String>,
    /// Nothing more will come.
    over: bool,
}

/// Shows steps as they go on.
pub(super) struct Progress<'a> {
    output: &'a Output,
    shown: Shown,
}

enum Shown {
    Bars { all: MultiProgress, bars: Vec<(String, ProgressBar)> },
    Lines(Vec<Line>),
    Nothing,
}

/// What was last said of one projection, and when.
struct Line {
    name: String,
    phase: String,
    said: Instant,
}

impl Step {
    /// A catch-up; of one that is being built, the build.
    pub(super) fn of_projection(projection: &Projection) -> Self {
        if let Some(rebuild) = &projection.rebuild {
            return Self::of_build(&projection.name, rebuild);
        }
        let rate = projection.events_per_second;
        let left = projection.pending_messages.filter(|_| rate > 0.0);
        let troubled = matches!(projection.state, State::Failed | State::Degraded);
        let trouble = projection.detail.clone().filter(|_| troubled);
        Self {
            name: projection.name.clone(),
            phase: String::new(),
            done: projection.checkpoint_sequence,
            total: projection.stream_last_sequence,
            counted: "messages",
            rate: Some(rate.round() as u64),
            unit: "events",
            seconds_left: left.map(|pending| pending as f64 / rate),
            trouble: trouble.or_else(|| behind(projection)),
            over: false,
        }
    }

    pub(super) fn of_build(name: &str, rebuild: &Rebuild) -> Self {
        if let Some(making) = &rebuild.index {
            return Self::of_index(name, rebuild.phase, making);
        }
        let Rebuild { phase, applied, total, messages_per_second, seconds_left, .. } = rebuild;
        // Where there is nothing more to read, a rate says nothing and no time is left.
        let reads = applied < total;
        Self {
            name: name.to_owned(),
            phase: phase.word().to_owned(),
            done: *applied,
            total: (*total > 0).then_some(*total),
            counted: "messages",
            rate: reads.then_some(messages_per_second.round() as u64),
            unit: "messages",
            seconds_left: seconds_left.filter(|_| reads),
            trouble: None,
            over: false,
        }
    }

    /// The full-text index that a build makes.
    fn of_index(name: &str, phase: Phase, making: &Making) -> Self {
        let Making { index, rows, total, rows_per_second, seconds_left } = making;
        Self {
            name: name.to_owned(),
            phase: format!("{}, index `{index}`", phase.word()),
            done: *rows,
            total: Some(*total),
            counted: "rows",
            // With all rows in it, its files are merged.
            rate: (rows < total).then_some(rows_per_second.round() as u64),
            unit: "rows",
            seconds_left: *seconds_left,
            trouble: None,
            over: false,
        }
    }

    /// The same with what keeps it.
    pub(super) fn troubled(self, trouble: Option<String>) -> Self {
        Self { trouble, ..self }
    }

    /// The same when nothing more will come.
    pub(super) fn ended(self, word: &str) -> Self {
        Self { phase: word.to_owned(), rate: None, seconds_left: None, over: true, ..self }
    }

    /// As a line says it.
    pub(super) fn line(&self) -> String {
        let total = self.total.map_or("an unknown number".to_owned(), grouped);
        let words = [
            self.phase(),
            self.is_known().then(|| format!("{} of {total} {}", grouped(self.done), self.counted)),
            self.rate.map(|rate| format!("{} {}/s", grouped(rate), self.unit)),
            self.left(),
            self.trouble.clone(),
        ];
        format!("{}: {}", self.name, joined(words))
    }

    /// As it stands beside its bar, on a terminal of eighty columns: what matters most is not cut off.
    fn beside(&self) -> String {
        let total = self.total.map_or("?".to_owned(), grouped);
        let words = [
            self.phase(),
            self.trouble.clone(),
            self.left(),
            self.is_known().then(|| format!("{}/{total}", grouped(self.done))),
            self.rate.map(|rate| format!("{}/s", grouped(rate))),
        ];
        joined(words)
    }

    fn phase(&self) -> Option<String> {
        (!self.phase.is_empty()).then(|| self.phase.clone())
    }

    /// Before a build has begun to read nothing is known of it.
    fn is_known(&self) -> bool {
        self.total.is_some() || self.phase.is_empty()
    }

    fn left(&self) -> Option<String> {
        self.seconds_left.map(|left| format!("{} left", seconds(left)))
    }
}

impl<'a> Progress<'a> {
    pub(super) fn new(terminal: bool, output: &'a Output) -> Self {
        let shown = match (output.quiet, terminal) {
            (true, _) => Shown::Nothing,
            (_, true) => Shown::Bars {
                all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
                bars: Vec::new(),
            },
            (_, false) => Shown::Lines(Vec::new()),
        };
        Self { output, shown }
    }

    /// Shows where all of them are.
    pub(super) fn show(&mut self, steps: &[Step]) {
        match &mut self.shown {
            Shown::Nothing => {}
            Shown::Lines(lines) => {
                let now = Instant::now();
                steps
                    .iter()
                    // Of what is over more is said than a line can hold.
                    .filter(|step| !step.over && is_due(lines, step, now))
                    .for_each(|step| self.output.note(&step.line()));
            }
            Shown::Bars { all, bars } => {
                for step in steps {
                    let known = bars.iter().position(|(name, _)| *name == step.name);
                    let index = known.unwrap_or_else(|| {
                        bars.push((step.name.clone(), bar(all, &step.name)));
                        bars.len() - 1
                    });
                    draw(&bars[index].1, step);
                }
            }
        }
    }

    /// Says at once what went wrong, even with `--quiet`.
    pub(super) fn warn(&self, failure: &Failure) {
        let say = || failure.print(self.output);
        match &self.shown {
            Shown::Bars { all, .. } => all.suspend(say),
            _ => say(),
        }
    }

    /// Where others write lines that must be read.
    pub(super) fn writer(&self) -> Writer {
        match &self.shown {
            Shown::Bars { all, .. } => {
                let all = all.clone();
                Box::new(move || Box::new(Above(all.clone())))
            }
            _ => Box::new(|| Box::new(io::stderr())),
        }
    }

    /// Leaves the bars as they stand.
    pub(super) fn finish(&mut self) {
        if let Shown::Bars { bars, .. } = &self.shown {
            bars.iter().for_each(|(_, bar)| bar.abandon());
        }
    }
}

/// Lines above bars, which would be drawn over them otherwise.
struct Above(MultiProgress);

impl Write for Above {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(lines))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// The full-text index that is still to come to where all rows are.
fn behind(projection: &Projection) -> Option<String> {
    let at = projection.checkpoint_sequence;
    let is_there = projection.pending_messages == Some(0);
    let behind = projection.search.iter().find(|index| index.sequence < Some(at));
    behind.filter(|_| is_there).map(|Index { index, sequence, .. }| match sequence {
        Some(sequence) => format!("index `{index}` at {} of {}", grouped(*sequence), grouped(at)),
        None => format!("index `{index}` is being opened"),
    })
}

/// Whether there is something to say of a step by now; it is taken as said.
fn is_due(lines: &mut Vec<Line>, step: &Step, now: Instant) -> bool {
    let Some(line) = lines.iter_mut().find(|line| line.name == step.name) else {
        lines.push(Line { name: step.name.clone(), phase: step.phase.clone(), said: now });
        // A catch-up has just begun; a build says first what it is at.
        return !step.phase.is_empty();
    };
    let due = line.phase != step.phase || now.duration_since(line.said) >= LINE_EVERY;
    if due {
        (line.phase, line.said) = (step.phase.clone(), now);
    }
    due
}

/// A bar within `all`: nothing is drawn before it is.
fn bar(all: &MultiProgress, name: &str) -> ProgressBar {
    // What is said fits beside it on a terminal of eighty columns.
    let style = "{prefix:12} {bar:12} {wide_msg}";
    let style = ProgressStyle::with_template(style).expect("a constant template");
    let bar = all.add(ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()));
    bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
    bar.set_prefix(name.to_owned());
    bar
}

fn draw(bar: &ProgressBar, step: &Step) {
    if let Some(total) = step.total {
        bar.set_length(total);
        bar.set_position(step.done);
    }
    bar.set_message(step.beside());
}

fn joined(words: [Option<String>; 5]) -> String {
    words.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(phase: Phase, applied: u64, seconds_left: Option<f64>) -> Step {
        let rebuild = Rebuild {
            generation: 2,
            phase,
            applied,
            total: 20_000,
            messages_per_second: 1_234.4,
            seconds_left,
            index: None,
        };
        Step::of_build("orders", &rebuild)
    }

    #[test]
    fn a_build_in_a_line() {
        for (step, line) in [
            (
                step(Phase::Bulk, 5_000, Some(12.2)),
                "orders: bulk, 5,000 of 20,000 messages, 1,234 messages/s, 12 s left",
            ),
            (step(Phase::Sealing, 20_000, Some(0.0)), "orders: sealing, 20,000 of 20,000 messages"),
            (Step { total: None, ..step(Phase::Preparing, 20_000, None) }, "orders: preparing"),
            (
                Step {
                    trouble: Some("no space".to_owned()),
                    ..step(Phase::CatchingUp, 19_999, None)
                },
                "orders: catching_up, 19,999 of 20,000 messages, 1,234 messages/s, no space",
            ),
        ] {
            assert_eq!(step.line(), line);
        }
    }

    #[test]
    fn an_index_that_is_behind_in_a_line() {
        let at = |checkpoint: u64, sequence: Option<u64>| {
            let report = serde_json::json!({
                "name": "orders", "state": "catching_up", "reason": null, "detail": null, "next": null,
                "pinned": false, "generation": 1, "stream": "S", "position": checkpoint,
                "checkpoint_sequence": checkpoint, "stream_first_sequence": 1,
                "stream_last_sequence": 6_000, "pending_messages": 6_000 - checkpoint,
                "lag_seconds": 0.0, "lag_target_seconds": 5.0, "events_per_second": 0.0,
                "counts": crate::status::Counts::default(), "missed_sequences": 0,
                "dead_letters": 0, "parked_events": 0, "rebuild": null,
                "search": [{
                    "index": "names", "sequence": sequence, "documents": null, "state": "following",
                    "detail": null,
                }],
            });
            let report = serde_json::from_value(report).expect("a report");
            Step::of_projection(&report).line()
        };
        let rows = "orders: 6,000 of 6,000 messages, 0 events/s";
        assert_eq!(at(6_000, Some(1_500)), format!("{rows}, index `names` at 1,500 of 6,000"));
        assert_eq!(at(6_000, None), format!("{rows}, index `names` is being opened"));
        assert_eq!(at(6_000, Some(6_000)), rows);
        // As long as rows come, they are what is waited for.
        assert_eq!(at(5_999, Some(1_500)), "orders: 5,999 of 6,000 messages, 0 events/s");
    }

    #[test]
    fn an_index_of_a_build_in_a_line() {
        let at = |rows: u64, seconds: u64| {
            let making = Making::new("items", rows, 30_000, Duration::from_secs(seconds));
            let rebuild = Rebuild {
                phase: Phase::Sealing,
                applied: 20_000,
                total: 20_000,
                index: Some(making),
                ..Rebuild::preparing(2)
            };
            Step::of_build("orders", &rebuild)
        };
        for (rows, seconds, line) in [
            (0, 0, "orders: sealing, index `items`, 0 of 30,000 rows, 0 rows/s"),
            (
                12_000,
                6,
                "orders: sealing, index `items`, 12,000 of 30,000 rows, 2,000 rows/s, 9.0 s left",
            ),
            // Its files are merged.
            (30_000, 20, "orders: sealing, index `items`, 30,000 of 30,000 rows"),
        ] {
            assert_eq!(at(rows, seconds).line(), line);
        }
        let beside = at(12_000, 6).beside();
        assert_eq!(beside, "sealing, index `items`, 9.0 s left, 12,000/30,000, 2,000/s");
        // It is said when it begins, as a phase is.
        let (mut lines, now) = (Vec::new(), Instant::now());
        let steps = [step(Phase::Sealing, 20_000, None), at(1_000, 1), at(2_000, 2)];
        let said = steps.iter().map(|step| is_due(&mut lines, step, now));
        assert_eq!(said.collect::<Vec<_>>(), [true, true, false]);
    }

    #[test]
    fn the_time_left_is_not_cut_off_beside_a_bar() {
        let rebuild = Rebuild {
            generation: 2,
            phase: Phase::CatchingUp,
            applied: 1_006_868,
            total: 1_006_869,
            messages_per_second: 123_456.0,
            seconds_left: Some(3_725.0),
            index: None,
        };
        let words = Step::of_build("flight_board", &rebuild).beside();
        assert_eq!(words, "catching_up, 62 min left, 1,006,868/1,006,869, 123,456/s");
        // Eighty columns, less those of its name and its bar.
        assert!(words[..80 - 26].contains("left, 1,006,868/1,006,869"));
    }

    #[test]
    fn a_line_comes_with_each_phase_and_every_ten_seconds() {
        let begun = Instant::now();
        let mut lines = Vec::new();
        let mut said = Vec::new();
        for (second, phase) in [
            (0, Phase::Preparing),
            (1, Phase::Bulk),
            (2, Phase::Bulk),
            (10, Phase::Bulk),
            (11, Phase::Bulk),
            (12, Phase::Sealing),
            (21, Phase::Sealing),
            (22, Phase::Sealing),
        ] {
            let now = begun + Duration::from_secs(second);
            if is_due(&mut lines, &step(phase, 0, None), now) {
                said.push(second);
            }
        }
        assert_eq!(said, [0, 1, 11, 12, 22]);
    }
}
