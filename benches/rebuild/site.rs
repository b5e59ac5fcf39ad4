//! viewd as people run it: settings, definitions and data in a folder, a daemon, and commands to it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::definitions;

/// How exactly a cut-over is seen.
const LOOK: Duration = Duration::from_millis(1);
/// How exactly the end of a phase is: asking costs the daemon something.
const ASK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);
/// In the order in which a build goes through them.
const PHASES: [&str; 5] = ["preparing", "bulk", "sealing", "catching_up", "comparing"];

/// What a daemon works with.
pub struct Site {
    folder: PathBuf,
    projections: Vec<&'static str>,
}

pub struct Daemon<'a> {
    site: &'a Site,
    child: Child,
}

/// What a rebuild took, from the command.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// To the last cut-over.
    pub seconds: f64,
    /// In order, to the end of each phase: those too short to be seen are not among them.
    pub phases: Vec<(String, f64)>,
}

impl Site {
    /// With nothing built yet.
    pub fn new(
        folder: &Path,
        server: &str,
        stream: &str,
        projections: &[&'static str],
        memory_mib: u64,
    ) -> Result<Self> {
        let site = Self { folder: folder.to_owned(), projections: projections.to_vec() };
        fs::create_dir_all(folder.join("projections"))?;
        fs::create_dir_all(site.data())?;
        for name in projections {
            let file = folder.join("projections").join(format!("{name}.toml"));
            fs::write(file, definitions::text(name)?)?;
        }
        let settings = format!(
            "projections = {:?}\ndata_dir = {:?}\n[nats]\nservers = [{server:?}]\n[sources.shop]\nstream = {stream:?}\n\
             [http]\nlisten = \"off\"\n[limits]\nmemory_bytes_max = {}\n",
            folder.join("projections"),
            site.data(),
            memory_mib << 20,
        );
        fs::write(folder.join("viewd.toml"), settings)?;
        Ok(site)
    }

    pub fn view(&self, projection: &str) -> PathBuf {
        self.data().join(projection).join("current/view.db")
    }

    /// Takes what another site has built.
    pub fn copy(&self, from: &Self) -> Result<()> {
        for name in &self.projections {
            let mut copy = Command::new("cp");
            copy.arg("-a").arg(from.data().join(name)).arg(self.data());
            ensure!(copy.status().context("start cp")?.success(), "{copy:?} failed");
        }
        Ok(())
    }

    /// A command of viewd's.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_viewd"));
        command.args(arguments).arg("--quiet").arg("--config").arg(self.folder.join("viewd.toml"));
        command.env("RUST_LOG", "warn");
        command
    }

    /// The command that ends when every view holds the stream.
    pub fn fill(&self) -> Command {
        self.command(&["run", "--exit-when-caught-up"])
    }

    /// Starts a daemon and waits until it is live.
    pub fn start(&self) -> Result<Daemon<'_>> {
        let child = self.command(&["run"]).stdin(Stdio::null()).spawn().context("start viewd")?;
        let mut daemon = Daemon { site: self, child };
        let begun = Instant::now();
        loop {
            if let Some(status) = daemon.child.try_wait()? {
                bail!("viewd ended: {status}");
            }
            let report = daemon.report().unwrap_or_default();
            let live = |projection: &Value| projection["state"] == "live";
            let all = report["projections"].as_array();
            if all.is_some_and(|all| all.len() == self.projections.len() && all.iter().all(live)) {
                return Ok(daemon);
            }
            ensure!(begun.elapsed() < PATIENCE, "not live within {PATIENCE:?}: {report}");
            std::thread::sleep(ASK);
        }
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What is served of each projection.
    fn served(&self) -> Result<Vec<PathBuf>> {
        let link = |name: &&str| fs::read_link(self.data().join(name).join("current"));
        self.projections.iter().map(|name| Ok(link(name)?)).collect()
    }
}

impl Daemon<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Rebuilds all projections at once.
    pub fn rebuild(&self) -> Result<Rebuilt> {
        let before = self.site.served()?;
        let mut command = self.site.command(&["rebuild"]);
        command.args(&self.site.projections);
        let begun = Instant::now();
        let mut rebuilding = command.spawn().with_context(|| format!("start {command:?}"))?;
        let (mut asked, mut phases) = (begun, Vec::<(String, f64)>::new());
        let seconds = loop {
            let served = self.site.served()?;
            if served.iter().zip(&before).all(|(now, before)| now != before) {
                break begun.elapsed().as_secs_f64();
            }
            if asked.elapsed() >= ASK {
                asked = Instant::now();
                let phase = self.phase()?;
                let elapsed = begun.elapsed().as_secs_f64();
                if let Some((_, end)) = phases.last_mut() {
                    *end = elapsed;
                }
                if let Some(phase) = phase
                    && phases.last().is_none_or(|(last, _)| *last != phase)
                {
                    phases.push((phase, elapsed));
                }
            }
            if let Some(status) = rebuilding.try_wait()? {
                ensure!(status.success(), "{command:?}: {status}");
            }
            std::thread::sleep(LOOK);
        };
        ensure!(rebuilding.wait()?.success(), "{command:?} failed after the cut-over");
        if let Some((_, end)) = phases.last_mut() {
            *end = seconds;
        }
        Ok(Rebuilt { seconds, phases })
    }

    /// Ends it as an operator does.
    pub fn stop(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "viewd ended: {status}");
        Ok(())
    }

    /// What the last of the builds is at.
    fn phase(&self) -> Result<Option<String>> {
        let report = self.report()?;
        let projections = report["projections"].as_array().context("projections")?;
        let phases = projections.iter().filter_map(|found| found["rebuild"]["phase"].as_str());
        let order = |phase: &&str| PHASES.iter().position(|known| known == phase);
        Ok(phases.min_by_key(order).map(str::to_owned))
    }

    fn report(&self) -> Result<Value> {
        let mut socket = UnixStream::connect(self.site.data().join("admin.sock"))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        write!(socket, "GET /v1/projections HTTP/1.1\r\nHost: viewd\r\nConnection: close\r\n\r\n")?;
        let mut answer = BufReader::new(socket);
        let mut line = String::new();
        while answer.read_line(&mut line)? > 2 {
            line.clear();
        }
        let mut body = String::new();
        answer.read_to_string(&mut body)?;
        Ok(serde_json::from_str(&body)?)
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
