//! How fast a view catches up with a year of flights, beside what a good engineer writes by hand.
//!
//! One run, one server, one stream, five ways of reading it, in turn and several times over:
//!
//! | row | what it does |
//! |---|---|
//! | raw read | the client's fastest pull, messages counted and dropped |
//! | hand, 1 table | a hand-written loop into the board: typed decode, one prepared statement an event, one transaction a batch |
//! | viewd, 1 table | the same table, declared (`board.toml`) |
//! | hand, 6 tables | the hand-written loop into the six tables of `projections/flights.toml` |
//! | viewd, 6 tables | those six tables, declared |
//!
//! Each is a process of its own, so that its CPU time and memory are its own; the server's CPU time is read beside it.
//! `cargo bench --bench catch_up -- --rounds 5 --events 1006869`. Prints a table and, with `--json FILE`, all runs.

mod hand;
#[path = "../measure/mod.rs"]
mod measure;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};
use measure::server::Server;
use measure::{Measured, median, range, say, value};

const STREAM: &str = "FLIGHTS";

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let Some(role) = value(&arguments, "--role") {
        return hand::run(
            role,
            value(&arguments, "--server").context("--server")?,
            Path::new(value(&arguments, "--data").context("--data")?),
            value(&arguments, "--events").context("--events")?.parse()?,
        );
    }
    let rounds = value(&arguments, "--rounds").map_or(Ok(3), str::parse)?;
    let events = value(&arguments, "--events").map_or(Ok(u64::MAX), str::parse)?;
    let bench = Bench::start(events)?;
    let mut rows = bench.rows();
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

enum Way {
    /// A role of this program.
    Hand(&'static str),
    /// A folder of definitions.
    Viewd(PathBuf),
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

    fn rows(&self) -> Vec<Row> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let row = |name, way| Row { name, way, runs: Vec::new() };
        vec![
            row("raw read", Way::Hand("raw")),
            row("hand, 1 table", Way::Hand("board")),
            row("viewd, 1 table", Way::Viewd(root.join("benches/catch_up/board"))),
            row("hand, 6 tables", Way::Hand("six")),
            row("viewd, 6 tables", Way::Viewd(root.join("projections"))),
        ]
    }

    fn measure(&self, row: &Row) -> Result<Measured> {
        let data = self.folder.path().join("data");
        let _ = std::fs::remove_dir_all(&data);
        std::fs::create_dir_all(&data)?;
        let mut command = match &row.way {
            Way::Hand(role) => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["--role", role, "--server", &self.server.url]);
                command.args(["--events", &self.events.to_string(), "--data"]).arg(&data);
                command
            }
            Way::Viewd(projections) => self.viewd(projections, &data)?,
        };
        let measured = self.server.measure(&mut command)?;
        if !measured.success {
            bail!("{} failed: {command:?}", row.name);
        }
        Ok(measured)
    }

    fn viewd(&self, projections: &Path, data: &Path) -> Result<Command> {
        // Only the flights: a folder may hold other samples.
        let only = self.folder.path().join("projections");
        let _ = std::fs::remove_dir_all(&only);
        std::fs::create_dir_all(&only)?;
        std::fs::copy(projections.join("flights.toml"), only.join("flights.toml"))?;
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
        for (viewd, hand, what) in [(2, 1, "1 table"), (4, 3, "6 tables")] {
            let pairs: Vec<_> = rows[hand].runs.iter().zip(&rows[viewd].runs).collect();
            let speed = |(hand, viewd): &(&Measured, &Measured)| hand.wall / viewd.wall;
            let cpu = |(hand, viewd): &(&Measured, &Measured)| viewd.cpu / hand.cpu;
            let (low, high) = range(&pairs, speed);
            println!(
                "\n{what}: viewd runs at {:.2} x the hand-written loop ({low:.2} to {high:.2} by round), with {:.2} x its CPU time",
                median(&pairs, speed),
                median(&pairs, cpu),
            );
        }
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
