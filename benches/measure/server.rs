//! A nats-server of a benchmark's own.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Measured, POLL, measure, tool};

pub struct Server {
    pub url: String,
    /// `host:port` of its own counts.
    pub monitoring: String,
    child: Child,
}

impl Server {
    /// Starts one with JetStream on free ports of the loopback.
    pub fn start(store: &Path) -> Result<Self> {
        std::fs::create_dir_all(store)?;
        let child = Command::new(tool("tests/tools/nats-server")?)
            .args(["--jetstream", "--addr", "127.0.0.1", "--port", "-1", "--http_port", "-1"])
            .arg("--store_dir")
            .arg(store)
            .arg("--ports_file_dir")
            .arg(store)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("start nats-server")?;
        // From here on it ends with this value, whatever goes wrong.
        let mut server = Self { url: String::new(), monitoring: String::new(), child };
        let begun = Instant::now();
        loop {
            if let Some(text) = ports(store)
                && let Ok(ports) = serde_json::from_str::<serde_json::Value>(&text)
            {
                server.url = ports["nats"][0].as_str().context("a port")?.to_owned();
                let monitoring = ports["monitoring"][0].as_str().context("a monitoring port")?;
                server.monitoring = monitoring.trim_start_matches("http://").to_owned();
                return Ok(server);
            }
            ensure!(
                begun.elapsed() < Duration::from_secs(10),
                "nats-server did not start within 10 s"
            );
            std::thread::sleep(POLL);
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Runs a command to its end.
    pub fn measure(&self, command: &mut Command) -> Result<Measured> {
        measure(self.pid(), command)
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
