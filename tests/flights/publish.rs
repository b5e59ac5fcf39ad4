//! Publishes the flights of New York in 2013 to a new JetStream stream: `publish-flights --help`.

#![allow(clippy::print_stderr, reason = "a program for people, not part of the daemon")]

#[path = "mod.rs"]
mod flights;

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use flights::events::Flights;
use flights::stream;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

/// How often progress is told where there is no terminal to draw a bar on.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Publishes the flights of New York in 2013 as CloudEvents, in order of time.
#[derive(Parser)]
struct Arguments {
    /// The NATS server.
    #[arg(long, default_value = "nats://127.0.0.1:4222")]
    server: String,
    /// The stream to create; it takes the subjects flights.>
    #[arg(long, default_value = "FLIGHTS")]
    stream: String,
    /// A folder with flights.csv, airlines.csv, airports.csv and planes.csv
    #[arg(long)]
    data: PathBuf,
    /// Only the first N events
    #[arg(long, value_name = "N")]
    until: Option<usize>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let year = Flights::read(&arguments.data)?;
    let client = async_nats::connect(&arguments.server)
        .await
        .with_context(|| format!("connect to {}", arguments.server))?;
    stream::create(&client, &arguments.stream).await?;

    let total = year.events_count().min(arguments.until.unwrap_or(usize::MAX));
    let mut progress = Progress::new(total as u64);
    let count =
        stream::publish(&client, year.events().take(total), |stored| progress.tell(stored)).await?;
    progress.finish(count, &arguments.stream);
    Ok(())
}

/// A bar on a terminal; elsewhere a line every few seconds. On stderr, like all talk.
struct Progress {
    bar: ProgressBar,
    started: Instant,
    next_line: Instant,
}

impl Progress {
    fn new(total: u64) -> Self {
        let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
        let style = "{msg} [{bar:40}] {human_pos} of {human_len} events, {rate}/s, {eta} left";
        let style = ProgressStyle::with_template(style)
            .expect("the template is valid")
            .with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
                let _ = write!(text, "{:.0}", state.per_sec());
            })
            .progress_chars("=> ");
        bar.set_style(style);
        bar.set_message("publishing");
        let started = Instant::now();
        Self { bar, started, next_line: started + LINE_INTERVAL }
    }

    fn tell(&mut self, stored: u64) {
        self.bar.set_position(stored);
        if self.bar.is_hidden() && Instant::now() >= self.next_line {
            let total = self.bar.length().unwrap_or(stored);
            eprintln!("published {stored} of {total} events, {:.0}/s", self.rate(stored));
            self.next_line += LINE_INTERVAL;
        }
    }

    fn finish(&self, count: u64, stream: &str) {
        self.bar.finish_and_clear();
        let seconds = self.started.elapsed().as_secs_f64();
        eprintln!(
            "published {count} events to stream {stream} in {seconds:.1} s, {:.0}/s",
            self.rate(count)
        );
    }

    fn rate(&self, count: u64) -> f64 {
        count as f64 / self.started.elapsed().as_secs_f64().max(0.001)
    }
}
