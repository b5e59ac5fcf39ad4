//! A process and a server, measured from outside through `/proc`, and what many runs of them come to.

#![allow(dead_code, reason = "each benchmark uses a part of this")]

pub mod daemon;
pub mod publish;
pub mod raw;
pub mod server;

use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// What one run took.
#[derive(Clone, Debug)]
pub struct Measured {
    pub success: bool,
    /// Seconds from start to end.
    pub wall: f64,
    /// Seconds of CPU, user and system.
    pub cpu: f64,
    pub server_cpu: f64,
    /// Bytes.
    pub peak_rss: u64,
    /// What it printed, if its output was piped: at most a pipe's 64 KiB.
    pub output: String,
}

// A run is some seconds long: half a percent of error at most.
const POLL: Duration = Duration::from_millis(10);

impl Measured {
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "wall_seconds": self.wall, "cpu_seconds": self.cpu,
            "server_cpu_seconds": self.server_cpu, "peak_rss_bytes": self.peak_rss,
        })
    }
}

/// Runs a command to its end, beside a server.
pub fn measure(server: u32, command: &mut Command) -> Result<Measured> {
    let server_before = cpu(server)?.0;
    let begun = Instant::now();
    let mut child = command.spawn().with_context(|| format!("start {command:?}"))?;
    let mut peak_rss = 0;
    let cpu_seconds = loop {
        let (seconds, ended) = cpu(child.id())?;
        if ended {
            break seconds;
        }
        peak_rss = peak_rss.max(peak(child.id()).unwrap_or(0));
        std::thread::sleep(POLL);
    };
    let wall = begun.elapsed().as_secs_f64();
    let server_cpu = cpu(server)?.0 - server_before;
    let mut output = String::new();
    if let Some(stdout) = &mut child.stdout {
        stdout.read_to_string(&mut output)?;
    }
    Ok(Measured {
        success: child.wait()?.success(),
        wall,
        cpu: cpu_seconds,
        server_cpu,
        peak_rss,
        output,
    })
}

/// CPU seconds of a process, and whether it has ended (its parent has not yet asked for it).
pub fn cpu(pid: u32) -> Result<(f64, bool)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .context("read /proc: Linux is needed")?;
    // The name in parentheses may hold spaces.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>();
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok(((ticks(11)? + ticks(12)?) / 100.0, fields[0] == "Z"))
}

/// The most memory that a process has held.
pub fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

/// Milliseconds, ascending.
pub struct Latencies(Vec<f64>);

impl Latencies {
    pub fn new(mut milliseconds: Vec<f64>) -> Self {
        milliseconds.sort_unstable_by(f64::total_cmp);
        Self(milliseconds)
    }

    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Of a hundred, so many are at or below it.
    pub fn percentile(&self, percent: usize) -> f64 {
        self.0[(self.0.len() * percent / 100).min(self.0.len() - 1)]
    }
}

/// What one of the project's tool scripts prints: the path of what it obtained.
pub fn tool(script: &str) -> Result<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let output = Command::new(&path)
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("run {script}"))?;
    if !output.status.success() {
        bail!("{script} failed");
    }
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// The value behind a name on the command line.
pub fn value<'a>(arguments: &'a [String], name: &str) -> Option<&'a str> {
    let at = arguments.iter().position(|argument| argument == name)?;
    arguments.get(at + 1).map(String::as_str)
}

/// As the daemon has it.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

#[expect(clippy::print_stderr, reason = "a program's talk")]
pub fn say(line: &str) {
    eprintln!("{line}");
}

pub fn median<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    let mut figures: Vec<_> = runs.iter().map(figure).collect();
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

pub fn range<T>(runs: &[T], figure: impl Fn(&T) -> f64) -> (f64, f64) {
    let figures = runs.iter().map(figure);
    figures.fold((f64::MAX, f64::MIN), |(low, high), figure| (low.min(figure), high.max(figure)))
}
