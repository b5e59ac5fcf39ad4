//! How fast a year of flights becomes six tables, beside what a good engineer writes by hand for the same six.
//!
//! One run, one server, one stream of real events, three ways of reading it, in turn and several times over:
//!
//! | row | what it does |
//! |---|---|
//! | raw | the client's stream of a pull consumer, messages counted and dropped |
//! | hand | a hand-written loop: typed decode, prepared statements, one transaction a batch |
//! | viewd | the same tables, declared (`projections/flights.toml`) |
//!
//! Each is a process of its own, so that its CPU time and memory are its own; the server's CPU time is read beside it.
//! One table of small events, rebuilds and latency are what `rebuild` measures.
//! `cargo bench --bench catch_up -- --rounds 5 --events 1006869`. Prints a table and, with `--json FILE`, all runs.

mod hand;
#[path = "../measure/mod.rs"]
mod measure;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use measure::server::Server;
use measure::{Measured, median, range, raw, say, value};

const STREAM: &str = "FLIGHTS";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = value(&arguments, "--role") {
        let told = |name: &str| value(&arguments, name).context(name.to_owned());
        let (server, events) = (told("--server")?, told("--events")?.parse()?);
        return match role {
            "hand" => hand::run(server, STREAM, Path::new(told("--data")?), events),
            way => raw::read(way, server, STREAM, events).map(|_| ()),
        };
    }
    let rounds = value(&arguments, "--rounds").map_or(Ok(3), str::parse)?;
    let events = value(&arguments, "--events").map_or(Ok(u64::MAX), str::parse)?;
    let bench = Bench::start(events)?;
    let row = |name, way| Row { name, way, runs: Vec::new() };
    let mut rows = [
        row("raw", Way::Role("pull:5000")),
        row("hand", Way::Role("hand")),
        row("viewd", Way::Viewd),
    ];
    for round in 1..=rounds {
        for row in &mut rows {
            let measured = bench.measure(row)?;
            say(&format!(
                "round {round}: {:16} {:>9.0} events/s",
                row.name,
                bench.events as f64 / measured.wall
            ));
            row.runs.push(measured);
        }
    }
    bench.report(&rows);
    if let Some(file) = value(&arguments, "--json") {
        std::fs::write(file, bench.json(&rows)).with_context(|| format!("write {file}"))?;
    }
    Ok(())
}

struct Bench {
    server: Server,
    folder: tempfile::TempDir,
    events: u64,
}

struct Row {
    name: &'static str,
    way: Way,
    runs: Vec<Measured>,
}

#[derive(Clone, Copy)]
enum Way {
    /// A role of this program.
    Role(&'static str),
    Viewd,
}

impl Bench {
    /// Starts a server and publishes the year, or its first events.
    fn start(limit: u64) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = Server::start(&folder.path().join("nats"))?;
        let data = measure::tool("tests/tools/flights-data")?;
        say("publishing");
        let mut publish = Command::new(env!("CARGO"));
        publish.args(["run", "--quiet", "--release", "--example", "publish-flights", "--"]);
        publish.args(["--server", &server.url, "--stream", STREAM, "--data", &data]);
        if limit != u64::MAX {
            publish.args(["--until", &limit.to_string()]);
        }
        ensure!(publish.status().context("start the publisher")?.success(), "the publisher failed");
        let events = hand::last_sequence(&server.url, STREAM)?;
        Ok(Self { server, folder, events })
    }

    fn measure(&self, row: &Row) -> Result<Measured> {
        let data = self.folder.path().join("data");
        let _ = std::fs::remove_dir_all(&data);
        std::fs::create_dir_all(&data)?;
        let mut command = match row.way {
            Way::Role(role) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--role", role, "--server", &self.server.url]);
                command.args(["--events", &self.events.to_string(), "--data"]).arg(&data);
                command
            }
            Way::Viewd => self.viewd(&data)?,
        };
        let measured = self.server.measure(&mut command)?;
        if !measured.success {
            bail!("{} failed: {command:?}", row.name);
        }
        Ok(measured)
    }

    fn viewd(&self, data: &Path) -> Result<Command> {
        // Only the flights: a folder may hold other samples.
        let only = self.folder.path().join("projections");
        let _ = std::fs::remove_dir_all(&only);
        std::fs::create_dir_all(&only)?;
        let flights = Path::new(env!("CARGO_MANIFEST_DIR")).join("projections/flights.toml");
        std::fs::copy(flights, only.join("flights.toml"))?;
        let config = self.folder.path().join("viewd.toml");
        let text = format!(
            "projections = {only:?}\ndata_dir = {data:?}\n[nats]\nservers = [{:?}]\n\
             [sources.flights]\nstream = {STREAM:?}\n[http]\nlisten = \"off\"\n",
            self.server.url
        );
        std::fs::write(&config, text)?;
        let mut command = Command::new(env!("CARGO_BIN_EXE_viewd"));
        command.args(["run", "--exit-when-caught-up", "--quiet", "--config"]).arg(config);
        command.env("RUST_LOG", "warn");
        Ok(command)
    }

    #[expect(clippy::print_stdout, reason = "the result")]
    fn report(&self, rows: &[Row]) {
        println!(
            "\n{} events; median of {} runs (lowest to highest)\n",
            self.events,
            rows[0].runs.len()
        );
        println!(
            "{:16} {:>26} {:>8} {:>14} {:>14} {:>9}",
            "", "events/s", "of raw", "CPU s/million", "server CPU s/M", "peak RSS"
        );
        let per_million = |seconds: f64| seconds * 1e6 / self.events as f64;
        let raw = median(&rows[0].runs, |run| run.wall);
        for row in rows {
            let rate = |run: &Measured| self.events as f64 / run.wall;
            let (low, high) = range(&row.runs, rate);
            println!(
                "{:16} {:>8.0} ({:>6.0} to {:>6.0}) {:>8.2} {:>14.2} {:>14.2} {:>6.0} MB",
                row.name,
                median(&row.runs, rate),
                low,
                high,
                raw / median(&row.runs, |run| run.wall),
                per_million(median(&row.runs, |run| run.cpu)),
                per_million(median(&row.runs, |run| run.server_cpu)),
                median(&row.runs, |run| run.peak_rss as f64 / 1e6),
            );
        }
        let pairs: Vec<_> = rows[1].runs.iter().zip(&rows[2].runs).collect();
        let speed = |(hand, viewd): &(&Measured, &Measured)| hand.wall / viewd.wall;
        let cpu = |(hand, viewd): &(&Measured, &Measured)| viewd.cpu / hand.cpu;
        let (low, high) = range(&pairs, speed);
        println!(
            "\nviewd runs at {:.2} x the hand-written loop ({low:.2} to {high:.2} by round), with {:.2} x its CPU time",
            median(&pairs, speed),
            median(&pairs, cpu),
        );
    }

    fn json(&self, rows: &[Row]) -> String {
        let row = |row: &Row| {
            let runs: Vec<_> = row.runs.iter().map(Measured::json).collect();
            serde_json::json!({ "name": row.name, "runs": runs })
        };
        let rows: Vec<_> = rows.iter().map(row).collect();
        serde_json::json!({ "events": self.events, "rows": rows }).to_string()
    }
}
