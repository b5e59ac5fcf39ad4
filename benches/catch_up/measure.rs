//! A process and a server, measured from outside through `/proc`.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

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
}

impl Measured {
    pub fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "wall_seconds": self.wall, "cpu_seconds": self.cpu,
            "server_cpu_seconds": self.server_cpu, "peak_rss_bytes": self.peak_rss,
        })
    }
}

/// A nats-server of this program's own.
pub struct Server {
    pub url: String,
    child: Child,
}

// A run is some seconds long: half a percent of error at most.
const POLL: Duration = Duration::from_millis(10);

impl Server {
    /// Starts one with JetStream on a free port of the loopback.
    pub fn start(store: &Path) -> Result<Self> {
        std::fs::create_dir_all(store)?;
        let child = Command::new(tool("tests/tools/nats-server")?)
            .args(["--jetstream", "--addr", "127.0.0.1", "--port", "-1", "--store_dir"])
            .arg(store)
            .arg("--ports_file_dir")
            .arg(store)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start nats-server")?;
        // From here on it ends with this value, whatever goes wrong.
        let mut server = Self { url: String::new(), child };
        let begun = Instant::now();
        loop {
            if let Some(text) = ports(store)
                && let Ok(ports) = serde_json::from_str::<serde_json::Value>(&text)
            {
                server.url = ports["nats"][0].as_str().context("a port")?.to_owned();
                return Ok(server);
            }
            ensure!(
                begun.elapsed() < Duration::from_secs(10),
                "nats-server did not start within 10 s"
            );
            std::thread::sleep(POLL);
        }
    }

    /// Runs a command to its end.
    pub fn measure(&self, command: &mut Command) -> Result<Measured> {
        let server_before = cpu(self.child.id())?.0;
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
        let server_cpu = cpu(self.child.id())?.0 - server_before;
        Ok(Measured {
            success: child.wait()?.success(),
            wall,
            cpu: cpu_seconds,
            server_cpu,
            peak_rss,
        })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The file that the server writes when it listens; its name begins with the program's.
fn ports(folder: &Path) -> Option<String> {
    let mut entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let file =
        entries.find(|path| path.extension().is_some_and(|extension| extension == "ports"))?;
    std::fs::read_to_string(file).ok()
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

/// CPU seconds of a process, and whether it has ended (its parent has not yet asked for it).
fn cpu(pid: u32) -> Result<(f64, bool)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))
        .context("read /proc: Linux is needed")?;
    // The name in parentheses may hold spaces.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |field: usize| fields[field].parse::<f64>();
    // USER_HZ is 100 on every Linux that Rust runs on.
    Ok(((ticks(11)? + ticks(12)?) / 100.0, fields[0] == "Z"))
}

fn peak(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}
