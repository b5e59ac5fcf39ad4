//! How far a catch-up has come: a bar on a terminal, a line every ten seconds elsewhere.

use std::fmt::Write;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::status::grouped;
use crate::status::{Projection, Report, State};

const LINE_EVERY: Duration = Duration::from_secs(10);

/// Follows reports until their projections have caught up.
pub(super) enum Progress {
    Bars { all: MultiProgress, bars: Vec<(String, ProgressBar)> },
    Lines { last: Instant },
    Silent,
}

impl Progress {
    pub(super) fn new(terminal: bool, quiet: bool) -> Self {
        match (quiet, terminal) {
            (true, _) => Self::Silent,
            (_, true) => Self::Bars {
                all: MultiProgress::with_draw_target(ProgressDrawTarget::stderr()),
                bars: Vec::new(),
            },
            (_, false) => Self::Lines { last: Instant::now() },
        }
    }

    /// Shows a report.
    pub(super) fn show(&mut self, report: &Report, say: impl Fn(&str)) {
        match self {
            Self::Silent => {}
            Self::Lines { last } if last.elapsed() < LINE_EVERY => {}
            Self::Lines { last } => {
                *last = Instant::now();
                report.projections.iter().for_each(|projection| say(&line(projection)));
            }
            Self::Bars { all, bars } => {
                for projection in &report.projections {
                    let bar = match bars.iter().position(|(name, _)| *name == projection.name) {
                        Some(index) => &bars[index].1,
                        None => {
                            bars.push((projection.name.clone(), bar(all, &projection.name)));
                            &bars[bars.len() - 1].1
                        }
                    };
                    draw(bar, projection);
                }
            }
        }
    }

    /// Leaves the bars as they stand.
    pub(super) fn finish(&mut self) {
        if let Self::Bars { bars, .. } = self {
            bars.iter().for_each(|(_, bar)| bar.abandon());
        }
    }
}

/// A bar within `all`: nothing is drawn before it is.
fn bar(all: &MultiProgress, name: &str) -> ProgressBar {
    let style =
        "{prefix:16} {bar:32} {human_pos}/{human_len} messages  {rate:>16}  {eta} left  {msg}";
    let rate = |state: &ProgressState, out: &mut dyn Write| {
        // A line that cannot be written is not shown.
        let _ = write!(out, "{} a second", grouped(state.per_sec().round() as u64));
    };
    let style = ProgressStyle::with_template(style).expect("a constant template");
    let style = style.progress_chars("█▉▊▋▌▍▎▏ ").with_key("rate", rate);
    let bar = all.add(ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()));
    bar.set_style(style);
    bar.set_prefix(name.to_owned());
    bar
}

fn draw(bar: &ProgressBar, projection: &Projection) {
    if let Some(last) = projection.stream_last_sequence {
        bar.set_length(last);
        // What was there at the start was not done now: it must not count for the rate.
        if bar.position() == 0 && projection.checkpoint_sequence > 0 {
            bar.reset_eta();
        }
        bar.set_position(projection.checkpoint_sequence);
    }
    let message = match projection.state {
        State::Failed | State::Degraded => projection.detail.clone().unwrap_or_default(),
        _ => String::new(),
    };
    bar.set_message(message);
}

fn line(projection: &Projection) -> String {
    let Projection { name, checkpoint_sequence, events_per_second, .. } = projection;
    let done = grouped(*checkpoint_sequence);
    let total = projection.stream_last_sequence.map_or("an unknown number of".to_owned(), grouped);
    let rate = grouped(events_per_second.round() as u64);
    let left = match projection.pending_messages {
        Some(pending) if *events_per_second > 0.0 => {
            format!(", {:.0} s left", pending as f64 / events_per_second)
        }
        _ => String::new(),
    };
    format!("{name}: {done} of {total} messages, {rate} events/s{left}")
}
