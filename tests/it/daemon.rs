//! The daemon as a process, with the folder that it works in.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use rustix::process::{Pid, Signal};
use viewd::status::{Counts, Projection, Report};

use crate::nats::Server;
use crate::wait;

/// A start, a catch-up or an end of few events; a busy machine takes seconds where an idle one takes milliseconds.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Settings, definitions and data of a daemon that may be started more than once.
pub struct Site {
    folder: tempfile::TempDir,
}

/// A running daemon; killed when dropped.
pub struct Daemon {
    child: Child,
    site: Arc<Site>,
    /// Where it has files of its own that nobody else sees.
    root: Option<PathBuf>,
}

/// A checkpoint, as the file has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Checkpoint {
    pub sequence: u64,
    pub messages: u64,
}

impl Site {
    /// `sources` are `[sources.*]` tables, `definitions` names and texts.
    pub fn new(server: &Server, sources: &str, definitions: &[(&str, &str)]) -> Arc<Self> {
        Self::at(&[server.url()], sources, definitions)
    }

    /// The same for several servers, or for what stands before one.
    pub fn at(servers: &[String], sources: &str, definitions: &[(&str, &str)]) -> Arc<Self> {
        let site = Self { folder: tempfile::tempdir().unwrap() };
        // Lag that is known soon is what ends a wait for `live`.
        let settings = format!(
            "projections = {:?}\ndata_dir = {:?}\n[nats]\nservers = {:?}\n[http]\nlisten = \"off\"\n\
             [limits]\nhead_poll_ms = 100\n{sources}\n",
            site.path("projections"),
            site.path("data"),
            servers,
        );
        site.write("viewd.toml", &settings);
        for (name, text) in definitions {
            site.write(&format!("projections/{name}.toml"), text);
        }
        Arc::new(site)
    }

    pub fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside)
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.path(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Starts a daemon; each of `set` is a `key=value`.
    pub fn start(self: &Arc<Self>, set: &[&str]) -> Daemon {
        self.start_with(&[], set)
    }

    /// The same, with variables in its environment.
    pub fn start_with(self: &Arc<Self>, environment: &[(&str, &str)], set: &[&str]) -> Daemon {
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let mut command = self.command(&["run"], set);
        command.envs(environment.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Daemon { child, site: Arc::clone(self), root: None }
    }

    /// The same, with a small disk of its own in place of a folder of the site: a file system in memory, which ends with
    /// the process. None where the system lets nobody but its operator have one.
    pub fn start_on_disk(self: &Arc<Self>, folder: &str, mib: u64, set: &[&str]) -> Option<Daemon> {
        let own = ["--user", "--map-root-user", "--mount"];
        let mut tried = Command::new("unshare");
        tried.args(own).args(["mount", "-t", "tmpfs", "none", "/mnt"]);
        if !tried.output().is_ok_and(|output| output.status.success()) {
            return None;
        }
        // Whatever the link names: a mount stays where it is.
        let folder = self.path(folder);
        fs::create_dir_all(&folder).unwrap();
        let folder = fs::canonicalize(folder).unwrap();
        let script = format!("mount -t tmpfs -o size={mib}m none \"$1\" && shift && exec \"$@\"");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.path("log")).unwrap();
        let viewd = self.command(&["run"], set);
        let mut command = Command::new("unshare");
        command.args(own).args(["sh", "-c", &script, "sh"]).arg(&folder);
        command.arg(viewd.get_program()).args(viewd.get_args()).env("NO_COLOR", "1");
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let root = Some(PathBuf::from(format!("/proc/{}/root", child.id())));
        Some(Daemon { child, site: Arc::clone(self), root })
    }

    /// Runs a command to its end.
    pub fn run(&self, arguments: &[&str], set: &[&str]) -> Output {
        self.command(arguments, set).output().unwrap()
    }

    /// Fills the views once; the daemon ends by itself and must be content.
    #[track_caller]
    pub fn catch_up(&self, set: &[&str]) {
        let output = self.run(&["run", "--exit-when-caught-up"], set);
        assert!(
            output.status.success(),
            "{}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }

    /// The view, opened as a stranger would.
    pub fn view(&self, projection: &str) -> Connection {
        self.view_if_there(projection).unwrap()
    }

    /// The same where the file may not be there yet.
    pub fn view_if_there(&self, projection: &str) -> Option<Connection> {
        let path = self.path("data").join(projection).join("current/view.db");
        let connection =
            Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY).ok()?;
        connection.busy_timeout(DEADLINE).unwrap();
        Some(connection)
    }

    /// Where the view stands; None before there is one.
    pub fn checkpoint(&self, projection: &str) -> Option<Checkpoint> {
        let sql = "SELECT sequence, messages FROM _viewd_checkpoint";
        self.view_if_there(projection)?
            .query_row(sql, (), |row| {
                let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
                Ok(Checkpoint { sequence: number(0)?, messages: number(1)? })
            })
            .ok()
    }

    pub fn counts(&self, projection: &str) -> Counts {
        let sql = "SELECT applied, ignored, dead_lettered, parked, skipped FROM _viewd_counts";
        self.view(projection)
            .query_row(sql, (), |row| {
                let number = |column| row.get::<_, i64>(column).map(i64::unsigned_abs);
                Ok(Counts {
                    applied: number(0)?,
                    ignored: number(1)?,
                    dead_lettered: number(2)?,
                    parked: number(3)?,
                    skipped: number(4)?,
                })
            })
            .unwrap()
    }

    /// What all daemons so far have said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn command(&self, arguments: &[&str], set: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_viewd"));
        command.args(arguments).arg("--config").arg(self.path("viewd.toml")).env("NO_COLOR", "1");
        set.iter().for_each(|set| {
            command.args(["--set", set]);
        });
        command
    }
}

impl Daemon {
    /// A daemon in a folder of its own, with one source and its stream.
    pub fn start(
        server: &Server,
        source: &str,
        stream: &str,
        definitions: &[(&str, &str)],
    ) -> Self {
        let sources = format!("[sources.{source}]\nstream = \"{stream}\"");
        Site::new(server, &sources, definitions).start(&[])
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it and those before it in its folder have said.
    pub fn log(&self) -> String {
        self.site.log()
    }

    /// Where a file of the site is, as it sees it.
    pub fn inside(&self, file: &str) -> PathBuf {
        let path = self.site.path(file);
        match &self.root {
            Some(root) => root.join(path.strip_prefix("/").unwrap()),
            None => path,
        }
    }

    /// Code and body of a GET, over the admin socket: it has every route, and needs no port.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path)
    }

    /// Code and body of a POST without a body.
    #[track_caller]
    pub fn post(&self, path: &str) -> (u16, String) {
        self.ask("POST", path)
    }

    #[track_caller]
    fn ask(&self, method: &str, path: &str) -> (u16, String) {
        let socket = self.inside("data/admin.sock");
        let mut failed = None;
        let answered = wait::until_or(DEADLINE, || {
            self.assert_running();
            ask(&socket, method, path).map_err(|error| failed = Some(error)).ok()
        });
        answered.unwrap_or_else(|| panic!("{method} {path}: {failed:?}\n{}", self.log()))
    }

    /// What it says of one projection.
    #[track_caller]
    pub fn projection(&self, name: &str) -> Projection {
        self.reported(&format!("/v1/projections/{name}")).projections.pop().unwrap()
    }

    /// What it says of all of them.
    #[track_caller]
    pub fn report(&self) -> Report {
        self.reported("/v1/projections")
    }

    #[track_caller]
    fn reported(&self, path: &str) -> Report {
        let (code, body) = self.get(path);
        assert_eq!(code, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// Waits until everything up to a sequence has been committed.
    #[track_caller]
    pub fn reaches(&self, projection: &str, sequence: u64) {
        let mut seen = None;
        let what = || format!("sequence {sequence} of `{projection}`");
        wait::until(&what(), DEADLINE, || {
            self.assert_running();
            seen = self.site.checkpoint(projection).max(seen);
            seen.is_some_and(|seen| seen.sequence >= sequence).then_some(())
        });
    }

    /// Ends it as a crash would, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits.
    pub fn terminate(mut self) -> ExitStatus {
        self.signal(Signal::TERM);
        self.ended()
    }

    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Waits until it has ended by itself.
    #[track_caller]
    pub fn ended(&mut self) -> ExitStatus {
        wait::until("the daemon's end", DEADLINE, || self.child.try_wait().unwrap())
    }

    /// How it has ended, if it has.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    #[track_caller]
    fn assert_running(&self) {
        let alive = rustix::process::test_kill_process(Pid::from_child(&self.child)).is_ok();
        // One that has ended is a zombie until it is waited for, and still there for the signal.
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.id())).unwrap_or_default();
        assert!(alive && !stat.contains(") Z "), "the daemon has ended:\n{}", self.site.log());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request. An error where nobody listens, and where somebody does and has no answer.
fn ask(socket: &Path, method: &str, path: &str) -> io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(DEADLINE))?;
    let head = format!("{method} {path} HTTP/1.1\r\nHost: viewd\r\nContent-Length: 0\r\n");
    write!(stream, "{head}Connection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let cut = || io::Error::other(format!("no answer: {answer:?}"));
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(cut)?;
    assert!(!head.to_ascii_lowercase().contains("transfer-encoding: chunked"), "{head}");
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).ok_or_else(cut)?;
    Ok((code, body.to_owned()))
}
