//! One server, its streams, and the runs against it.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::live;
use crate::measure::daemon::Site;
use crate::measure::server::Server;
use crate::measure::{self, Latencies, Measured, cpu, publish, say};
use crate::proof::Proof;
use crate::rows::{MEMORY_MIB, Row, Way};
use crate::shop::{Event, Shop};
use crate::site;

/// Orders in the middle of their lives, in a stream of a million events.
const OPEN: u64 = 50_000;

/// How much is done.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub events: u64,
    /// For the rows that ask whether the rate holds.
    pub many: u64,
    pub live_seconds: u64,
}

/// What one run took.
pub struct Run {
    pub seconds: f64,
    /// Of a rebuild, in order: to the end of each phase.
    pub phases: Vec<(String, f64)>,
    pub cpu: f64,
    pub server_cpu: f64,
    pub peak_rss: u64,
    pub latencies: Option<Latencies>,
}

/// What the runs share.
pub struct Bench {
    size: Size,
    server: Server,
    folder: tempfile::TempDir,
    /// Views as they stand before a rebuild, by stream and projection.
    filled: HashSet<(&'static str, &'static str)>,
    proof: Proof,
}

impl Bench {
    /// Starts a server and fills the streams that the rows want.
    pub fn start(size: Size, rows: &[Row]) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = Server::start(&folder.path().join("nats"))?;
        let bench = Self { size, server, folder, filled: HashSet::new(), proof: Proof::default() };
        for many in [false, true] {
            let reads = |row: &Row| row.many == many && !matches!(row.way, Way::Live { .. });
            if rows.iter().any(reads) {
                bench.publish(many)?;
            }
        }
        Ok(bench)
    }

    pub fn events(&self, row: &Row) -> u64 {
        match row.way {
            Way::Live { rate, .. } => rate * self.size.live_seconds,
            _ if row.many => self.size.many,
            _ => self.size.events,
        }
    }

    /// Tables and their rows over the smaller stream.
    pub fn tables(&self) -> Vec<(&str, u64)> {
        self.proof.rows(stream(false))
    }

    /// Runs a row once; an error if its rows are not those of every other run.
    pub fn measure(&mut self, row: &Row) -> Result<Run> {
        match row.way {
            Way::Raw(way) => {
                let mut command = self.role(way, stream(row.many))?;
                command.args(["--events", &self.events(row).to_string()]);
                self.whole(&mut command)
            }
            Way::Hand(table) => {
                let folder = self.fresh("hand")?;
                let mut command = self.hand(stream(row.many), table, &folder)?;
                command.args(["--events", &self.events(row).to_string()]);
                let run = self.whole(&mut command)?;
                self.proof.hold(stream(row.many), row.name, &folder.join("view.db"))?;
                Ok(run)
            }
            Way::CatchUp(projection) => {
                let site = self.site("catch-up", stream(row.many), &[projection], MEMORY_MIB)?;
                let run = self.whole(&mut site.fill())?;
                self.proof.hold(stream(row.many), row.name, &site.view(projection))?;
                Ok(run)
            }
            Way::Rebuild { projections, memory_mib } => self.rebuild(row, projections, memory_mib),
            Way::Live { viewd, rate } => self.live(row, viewd, rate),
        }
    }

    fn publish(&self, many: bool) -> Result<()> {
        let (name, events) = (stream(many), if many { self.size.many } else { self.size.events });
        say(&format!("publishing {events} events"));
        measure::runtime()?.block_on(async {
            let client = async_nats::connect(&self.server.url).await?;
            publish::create(&client, name).await?;
            // Fewer are open in a shorter stream, so that it holds whole lives too.
            let open = OPEN.min(self.size.events / 20).max(1);
            let shop = Shop::new(usize::try_from(open)?).take(usize::try_from(events)?);
            publish::fill(&client, shop.map(|event| message(name, event))).await?;
            Ok(())
        })
    }

    /// A process from its start to its end.
    fn whole(&self, command: &mut Command) -> Result<Run> {
        let Measured { success, wall, cpu, server_cpu, peak_rss, .. } =
            self.server.measure(command)?;
        ensure!(success, "{command:?} failed");
        Ok(Run { seconds: wall, phases: Vec::new(), cpu, server_cpu, peak_rss, latencies: None })
    }

    fn rebuild(&mut self, row: &Row, projections: &[&'static str], memory_mib: u64) -> Result<Run> {
        let stream = stream(row.many);
        let served = self.fill(stream, projections)?;
        let site = self.site("rebuild", stream, projections, memory_mib)?;
        site.copy(&served)?;
        let daemon = site.start(&[])?;
        let (before, server_before) = (cpu(daemon.pid())?.0, cpu(self.server.pid())?.0);
        let rebuilt = site::rebuild(&daemon)?;
        let run = Run {
            seconds: rebuilt.seconds,
            phases: rebuilt.phases,
            cpu: cpu(daemon.pid())?.0 - before,
            server_cpu: cpu(self.server.pid())?.0 - server_before,
            peak_rss: measure::peak(daemon.pid()).context("its memory")?,
            latencies: None,
        };
        daemon.stop()?;
        for projection in projections {
            self.proof.hold(stream, row.name, &site.view(projection))?;
        }
        Ok(run)
    }

    /// First generations, once for all that rebuild them.
    fn fill(&mut self, stream: &'static str, projections: &[&'static str]) -> Result<Site> {
        let new = |projection: &&'static str| !self.filled.contains(&(stream, *projection));
        let missing: Vec<_> = projections.iter().copied().filter(new).collect();
        let folder = self.folder.path().join(format!("served-{stream}"));
        let site = site::site(&folder, &self.server.url, stream, &missing, MEMORY_MIB)?;
        if !missing.is_empty() {
            say(&format!("filling {}", missing.join(", ")));
            let mut fill = site.fill();
            ensure!(fill.status().context("start viewd")?.success(), "{fill:?} failed");
            self.filled.extend(missing.into_iter().map(|projection| (stream, projection)));
        }
        Ok(site)
    }

    fn live(&mut self, row: &Row, viewd: bool, rate: u64) -> Result<Run> {
        let mut stream = live::Stream::new(&self.server.url, "live")?;
        let count = self.events(row);
        let history = format!("{count} live events");
        if viewd {
            let site = self.site("live", "live", &["orders"], MEMORY_MIB)?;
            let (daemon, view) = (site.start(&[])?, site.view("orders"));
            let run =
                self.follow(&mut stream, daemon.pid(), (view, "_viewd_checkpoint"), rate, count)?;
            daemon.stop()?;
            self.proof.hold(&history, row.name, &site.view("orders"))?;
            return Ok(run);
        }
        let folder = self.fresh("live")?;
        let child = Hand(self.hand("live", "orders", &folder)?.spawn()?);
        let view = folder.join("view.db");
        let run =
            self.follow(&mut stream, child.0.id(), (view.clone(), "checkpoint"), rate, count)?;
        drop(child);
        self.proof.hold(&history, row.name, &view)?;
        Ok(run)
    }

    fn follow(
        &self,
        stream: &mut live::Stream,
        pid: u32,
        (view, checkpoint): (PathBuf, &'static str),
        rate: u64,
        count: u64,
    ) -> Result<Run> {
        live::reached(&view, checkpoint)?;
        let (before, server_before) = (cpu(pid)?.0, cpu(self.server.pid())?.0);
        let latencies = stream.follow(view, checkpoint, rate, count)?;
        Ok(Run {
            seconds: count as f64 / rate as f64,
            phases: Vec::new(),
            cpu: cpu(pid)?.0 - before,
            server_cpu: cpu(self.server.pid())?.0 - server_before,
            peak_rss: measure::peak(pid).context("its memory")?,
            latencies: Some(latencies),
        })
    }

    fn site(
        &self,
        folder: &str,
        stream: &str,
        projections: &[&'static str],
        memory_mib: u64,
    ) -> Result<Site> {
        let folder = self.fresh(folder)?;
        site::site(&folder, &self.server.url, stream, projections, memory_mib)
    }

    /// An empty folder.
    fn fresh(&self, name: &str) -> Result<PathBuf> {
        let folder = self.folder.path().join(name);
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    fn hand(&self, stream: &str, table: &str, folder: &Path) -> Result<Command> {
        let mut command = self.role("hand", stream)?;
        command.args(["--table", table, "--folder"]).arg(folder);
        Ok(command)
    }

    /// This program, to play a part of it.
    fn role(&self, role: &str, stream: &str) -> Result<Command> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["--role", role, "--server", &self.server.url, "--stream", stream]);
        command.stdin(Stdio::null());
        Ok(command)
    }
}

/// A hand-written consumer that is live: it has no end of its own.
struct Hand(Child);

impl Drop for Hand {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn stream(many: bool) -> &'static str {
    if many { "many" } else { "shop" }
}

pub fn message(stream: &str, event: Event) -> (String, Vec<u8>) {
    (format!("{stream}.{}", event.kind), event.payload)
}
