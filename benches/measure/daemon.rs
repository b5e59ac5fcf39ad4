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

/// How exactly a state is seen: asking costs the daemon something.
pub const ASK: Duration = Duration::from_millis(20);
pub const PATIENCE: Duration = Duration::from_secs(60);

/// What a daemon works with.
pub struct Site {
    folder: PathBuf,
    projections: Vec<String>,
}

/// The one source and what is made of it.
pub struct Settings<'a> {
    pub server: &'a str,
    pub source: &'a str,
    pub stream: &'a str,
    /// Names and texts.
    pub definitions: &'a [(&'a str, &'a str)],
    /// Lines of `[limits]`.
    pub limits: &'a str,
}

pub struct Daemon<'a> {
    pub site: &'a Site,
    child: Child,
}

impl Site {
    /// With nothing built yet.
    pub fn new(folder: &Path, settings: &Settings<'_>) -> Result<Self> {
        let Settings { server, source, stream, definitions, limits } = settings;
        let projections = definitions.iter().map(|(name, _)| (*name).to_owned()).collect();
        let site = Self { folder: folder.to_owned(), projections };
        fs::create_dir_all(folder.join("projections"))?;
        fs::create_dir_all(site.data())?;
        for (name, text) in *definitions {
            fs::write(folder.join("projections").join(format!("{name}.toml")), text)?;
        }
        let settings = format!(
            "projections = {:?}\ndata_dir = {:?}\n[nats]\nservers = [{server:?}]\n[sources.{source}]\n\
             stream = {stream:?}\n[http]\nlisten = \"off\"\n[limits]\n{limits}\n",
            folder.join("projections"),
            site.data(),
        );
        fs::write(folder.join("viewd.toml"), settings)?;
        Ok(site)
    }

    pub fn projections(&self) -> &[String] {
        &self.projections
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

    /// Starts a daemon and waits until it is live; each of `set` is a `key=value`.
    pub fn start(&self, set: &[&str]) -> Result<Daemon<'_>> {
        let mut command = self.command(&["run"]);
        for set in set {
            command.args(["--set", set]);
        }
        let child = command.stdin(Stdio::null()).spawn().context("start viewd")?;
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

    /// Where the admin socket is.
    pub fn socket(&self) -> PathBuf {
        self.data().join("admin.sock")
    }

    /// What is served of each projection.
    pub fn served(&self) -> Result<Vec<PathBuf>> {
        let link = |name: &String| fs::read_link(self.data().join(name).join("current"));
        self.projections.iter().map(|name| Ok(link(name)?)).collect()
    }

    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }
}

impl Daemon<'_> {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn report(&self) -> Result<Value> {
        let mut socket = UnixStream::connect(self.site.socket())?;
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

    /// Ends it as an operator does.
    pub fn stop(mut self) -> Result<()> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::TERM)?;
        let status = self.child.wait()?;
        ensure!(status.success(), "viewd ended: {status}");
        Ok(())
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
