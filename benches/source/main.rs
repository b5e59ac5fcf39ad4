//! How fast viewd reads a stream into nothing, beside the fastest raw read of the client.
//!
//! One server, three streams (a year of flights, bodies of 184 and of 300 bytes), and ways to read each to its end, in
//! turn and several times over:
//!
//! | row | what it does |
//! |---|---|
//! | pull:5000 | the client's stream of a pull consumer with 5,000 messages a pull, counted and dropped |
//! | inbox:20000 | a bare subscription, with two pulls of 20,000 in flight that are sent by hand |
//! | push/one | an ordered push consumer |
//! | .../one | the same with connection and reading on one thread |
//! | reader | viewd's reader: every message checked, decoded and queued, to a thread that drops it |
//! | worker | viewd's daemon with a projection that takes none of the events, to its checkpoint |
//!
//! The fastest of the first by median is what `reader` and `worker` are held against, round by round. Each is a process
//! of its own, so that its CPU time and memory are its own; the server's CPU time is read beside it. Time runs from
//! before the connection is opened to the last message.
//!
//! `cargo bench --bench source -- --rounds 5 --messages 1000000 --streams flights,bodies184,bodies300 --ways reader,...`.
//! Prints a table a stream and, with `--json FILE`, all runs.

mod bodies;
mod decode;
#[path = "../../tests/flights/mod.rs"]
mod flights;
#[path = "../measure/mod.rs"]
mod measure;
mod role;
#[path = "../measure/site.rs"]
mod site;
mod viewd;

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use measure::server::Server;
use measure::{Measured, median, range, runtime, say, value};

const STREAMS: &str = "flights,bodies184,bodies300";
/// About as many as there are flights.
const BODIES: u64 = 1_000_000;
const WAYS: &str = "pull:5000,inbox:5000/one,inbox:20000/one,inbox:20000,push/one,reader,worker";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(read) = role::play(&arguments)? {
        return print(&serde_json::json!({ "seconds": read.seconds, "messages": read.messages }));
    }
    if arguments.iter().any(|argument| argument == "--decode") {
        for stream in STREAMS.split(',') {
            let nanoseconds = decode::nanoseconds(stream)?;
            say(&format!("{stream:12} {nanoseconds:>6.0} ns a message to decode"));
        }
        return Ok(());
    }
    let rounds = value(&arguments, "--rounds").map_or(Ok(5), str::parse)?;
    let messages = value(&arguments, "--messages").map(str::parse).transpose()?;
    let folder = tempfile::tempdir()?;
    let server = Server::start(&folder.path().join("nats"))?;
    let mut tables = Vec::new();
    for name in value(&arguments, "--streams").unwrap_or(STREAMS).split(',') {
        let bench = Bench { stream: Stream::publish(&server, name, messages)?, server: &server };
        let ways = value(&arguments, "--ways").unwrap_or(WAYS).split(',');
        let mut rows: Vec<_> =
            ways.map(|way| Row { way: way.to_owned(), runs: Vec::new() }).collect();
        for round in 1..=rounds {
            for row in &mut rows {
                let run = bench.measure(&row.way)?;
                let rate = bench.stream.messages as f64 / run.seconds;
                say(&format!("{name} round {round}: {:16} {rate:>9.0} messages/s", row.way));
                row.runs.push(run);
            }
        }
        tables.push(bench.json(&rows));
        bench.report(&rows);
    }
    if let Some(file) = value(&arguments, "--json") {
        let text = serde_json::Value::from(tables).to_string();
        std::fs::write(file, text).with_context(|| format!("write {file}"))?;
    }
    Ok(())
}

#[expect(clippy::print_stdout, reason = "what the caller reads")]
fn print(result: &serde_json::Value) -> Result<()> {
    println!("{result}");
    Ok(())
}

struct Stream {
    name: String,
    messages: u64,
}

struct Bench<'a> {
    server: &'a Server,
    stream: Stream,
}

struct Row {
    way: String,
    runs: Vec<Run>,
}

struct Run {
    /// Of the reading itself.
    seconds: f64,
    process: Measured,
}

impl Row {
    fn is_raw(&self) -> bool {
        !matches!(self.way.as_str(), "reader" | "worker")
    }
}

impl Stream {
    /// The first messages of the year of flights, or so many bodies.
    fn publish(server: &Server, name: &str, messages: Option<u64>) -> Result<Self> {
        say(&format!("publishing {name}"));
        match name.strip_prefix("bodies") {
            Some(bytes) => runtime()?.block_on(bodies::publish(
                &server.url,
                name,
                bytes.parse()?,
                messages.unwrap_or(BODIES),
            ))?,
            None if name == "flights" => {
                let mut publish = Command::new(env!("CARGO"));
                publish.args(["run", "--quiet", "--release", "--example", "publish-flights", "--"]);
                publish.args(["--server", &server.url, "--stream", name, "--data"]);
                publish.arg(measure::tool("tests/tools/flights-data")?);
                if let Some(messages) = messages {
                    publish.args(["--until", &messages.to_string()]);
                }
                ensure!(publish.status()?.success(), "the publisher failed");
            }
            None => bail!("unknown stream {name}"),
        }
        let messages = runtime()?.block_on(async {
            let client = async_nats::connect(&server.url).await?;
            let mut stream = async_nats::jetstream::new(client).get_stream(name).await?;
            anyhow::Ok(stream.info().await?.state.last_sequence)
        })?;
        Ok(Self { name: name.to_owned(), messages })
    }
}

impl Bench<'_> {
    fn measure(&self, way: &str) -> Result<Run> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--role", way, "--server", &self.server.url, "--stream", &self.stream.name]);
        command.args(["--messages", &self.stream.messages.to_string(), "--folder"]);
        command.arg(folder.path()).stdout(Stdio::piped());
        let process = self.server.measure(&mut command)?;
        ensure!(process.success, "{way} failed: {command:?}");
        let told: serde_json::Value = serde_json::from_str(&process.output)?;
        let seconds = told["seconds"].as_f64().context("seconds")?;
        Ok(Run { seconds, process })
    }

    #[expect(clippy::print_stdout, reason = "the result")]
    fn report(&self, rows: &[Row]) {
        let Stream { name, messages } = &self.stream;
        println!(
            "\n{name}: {messages} messages; median of {} runs (lowest to highest)\n",
            rows[0].runs.len()
        );
        println!(
            "{:16} {:>28} {:>28} {:>14} {:>14} {:>9}",
            "",
            "messages/s",
            "of the fastest raw read",
            "CPU s/million",
            "server CPU s/M",
            "peak RSS"
        );
        let raw = rows.iter().filter(|row| row.is_raw());
        let raw = raw.min_by(|left, right| left.seconds().total_cmp(&right.seconds()));
        let per_million = |seconds: f64| seconds * 1e6 / *messages as f64;
        for row in rows {
            let rate = |run: &Run| *messages as f64 / run.seconds;
            let (low, high) = range(&row.runs, rate);
            let ratio = raw.map_or_else(String::new, |raw| {
                let pairs: Vec<_> = raw.runs.iter().zip(&row.runs).collect();
                let ratio = |(raw, run): &(&Run, &Run)| raw.seconds / run.seconds;
                let (low, high) = range(&pairs, ratio);
                format!("{:.3} ({low:.3} to {high:.3})", median(&pairs, ratio))
            });
            println!(
                "{:16} {:>8.0} ({low:>7.0} to {high:>7.0}) {ratio:>28} {:>14.2} {:>14.2} {:>6.0} MB",
                row.way,
                median(&row.runs, rate),
                per_million(median(&row.runs, |run| run.process.cpu)),
                per_million(median(&row.runs, |run| run.process.server_cpu)),
                median(&row.runs, |run| run.process.peak_rss as f64 / 1e6),
            );
        }
    }

    fn json(&self, rows: &[Row]) -> serde_json::Value {
        let run = |run: &Run| {
            let mut json = run.process.json();
            json["seconds"] = run.seconds.into();
            json
        };
        let row = |row: &Row| {
            let runs: Vec<_> = row.runs.iter().map(run).collect();
            serde_json::json!({ "way": row.way, "runs": runs })
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        serde_json::json!({ "stream": self.stream.name, "messages": self.stream.messages, "rows": rows })
    }
}

impl Row {
    fn seconds(&self) -> f64 {
        median(&self.runs, |run| run.seconds)
    }
}
