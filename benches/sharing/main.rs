//! What twenty live projections on one stream cost, beside the same twenty fed from a file.
//!
//! The server's side: how many messages it sent to viewd for each that was published, by its own count. The process's
//! side: its CPU seconds while messages come at a steady pace, against those of a process in which the same messages
//! are read from a file at the same pace, decoded once and handed to the same twenty workers. What is between the two is
//! the price of reading from a server, and of sharing.
//!
//! | row | what feeds the projections |
//! |---|---|
//! | stream | viewd's daemon, live: one shared reader |
//! | file | a file with the same messages, each due when it was published |
//!
//! `cargo bench --bench sharing -- --rounds 5 --projections 20 --rate 2000 --seconds 15`. Prints a table and, with
//! `--json FILE`, all runs.

mod file;
#[path = "../measure/mod.rs"]
mod measure;
mod messages;
#[path = "../measure/site.rs"]
mod site;
mod stream;

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use measure::server::Server;
use measure::{median, range, say, value};

/// What a run is made of.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub projections: usize,
    /// Messages a second.
    pub rate: u64,
    pub messages: u64,
}

/// What a role says of its live part.
#[derive(Clone, Copy, Debug, serde::Serialize, serde::Deserialize)]
pub struct Fed {
    pub cpu_seconds: f64,
    pub wall_seconds: f64,
    /// Bytes, over the whole run.
    pub peak_rss: u64,
    /// Messages that the server sent to viewd for each that was published; None where no server was asked.
    pub delivered_each: Option<f64>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u64| value(&arguments, name).map_or(Ok(default), str::parse);
    let rate = number("--rate", 2_000)?;
    let load = Load {
        projections: usize::try_from(number("--projections", 20)?)?,
        rate,
        messages: rate * number("--seconds", 15)?,
    };
    if let Some(role) = value(&arguments, "--role") {
        let told = |name: &str| value(&arguments, name).context(name.to_owned());
        let fed = match role {
            "publish" => return stream::publish(told("--server")?, load),
            "stream" => stream::run(load, told("--server")?, told("--monitoring")?)?,
            _ => file::run(load)?,
        };
        return print(&serde_json::to_value(fed)?);
    }
    let rounds = number("--rounds", 5)?;
    let (mut streams, mut files) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        for (role, runs) in [("stream", &mut streams), ("file", &mut files)] {
            let fed = play(role, &arguments)?;
            say(&format!("round {round}: {role:8} {:6.2} CPU s", fed.cpu_seconds));
            runs.push(fed);
        }
    }
    report(load, &streams, &files);
    if let Some(file) = value(&arguments, "--json") {
        let runs = serde_json::json!({ "stream": streams, "file": files });
        std::fs::write(file, runs.to_string()).with_context(|| format!("write {file}"))?;
    }
    Ok(())
}

/// One run in a process of its own, with a server of its own.
fn play(role: &str, arguments: &[String]) -> Result<Fed> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(&folder.path().join("nats"))?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args(arguments).args(["--role", role, "--server", &server.url]);
    command.args(["--monitoring", &server.monitoring]).stdout(Stdio::piped());
    let run = server.measure(&mut command)?;
    ensure!(run.success, "{role} failed");
    Ok(serde_json::from_str(&run.output)?)
}

#[expect(clippy::print_stdout, reason = "what the caller reads")]
fn report(load: Load, streams: &[Fed], files: &[Fed]) {
    let Load { projections, rate, messages } = load;
    println!("{projections} projections, {messages} messages at {rate}/s");
    println!("row      CPU s (lowest to highest)   µs an event   peak MB   server's messages each");
    for (name, runs) in [("stream", streams), ("file", files)] {
        let cpu = median(runs, |fed| fed.cpu_seconds);
        let (low, high) = range(runs, |fed| fed.cpu_seconds);
        let each = cpu * 1e6 / (messages as f64 * projections as f64);
        let peak = median(runs, |fed| fed.peak_rss as f64) / 1e6;
        let delivered = match runs.iter().all(|fed| fed.delivered_each.is_some()) {
            true => format!("{:.3}", median(runs, |fed| fed.delivered_each.unwrap_or_default())),
            false => "-".to_owned(),
        };
        println!(
            "{name:8} {cpu:5.2} ({low:.2} to {high:.2})        {each:11.2} {peak:9.0}   {delivered}"
        );
    }
    let ratios: Vec<f64> = streams
        .iter()
        .zip(files)
        .map(|(stream, file)| stream.cpu_seconds / file.cpu_seconds)
        .collect();
    let (low, high) = range(&ratios, |ratio| *ratio);
    println!(
        "CPU of stream to file: {:.2} ({low:.2} to {high:.2} by round)",
        median(&ratios, |ratio| *ratio)
    );
}

#[expect(clippy::print_stdout, reason = "what the caller reads")]
fn print(result: &serde_json::Value) -> Result<()> {
    println!("{result}");
    Ok(())
}
