//! Programs outside of viewd that read a view, as `reader.py` does.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::Rig;

/// Readers at work.
pub(super) struct Readers {
    children: Vec<(&'static str, Child)>,
    stop: PathBuf,
}

/// What one has seen.
#[derive(Debug, serde::Deserialize)]
pub(super) struct Seen {
    pub(super) looks: u64,
    /// How often its file said that it is retired.
    pub(super) retired: u64,
    /// How often it has come upon a later generation.
    pub(super) moves: u64,
    /// Those that it kept open for a while.
    pub(super) transactions: u64,
    pub(super) generation: u64,
}

impl Readers {
    /// Two that open the file for each look, two with long transactions.
    pub(super) fn start(rig: &Rig) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/rebuild/reader.py");
        let database = rig.folder().join("current/view.db");
        let stop = rig.site.path("readers-stop");
        let children = ["use", "hold", "use", "hold"].map(|mode| {
            let mut command = Command::new("python3");
            command.arg(&script).arg(&database).arg(mode).arg(&stop);
            let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            (mode, piped.spawn().unwrap())
        });
        Self { children: children.into(), stop }
    }

    /// Whether one has ended before its time: by something that no reader may see.
    pub(super) fn check(&mut self) {
        let ended = self.children.iter_mut().any(|(_, child)| child.try_wait().unwrap().is_some());
        if ended {
            std::mem::replace(self, Self { children: Vec::new(), stop: self.stop.clone() }).stop();
        }
    }

    /// Ends them; none may have anything to complain of.
    pub(super) fn stop(mut self) -> Vec<(&'static str, Seen)> {
        fs::write(&self.stop, "").unwrap();
        let ended = self.children.drain(..).map(|(mode, child)| {
            let output = child.wait_with_output().unwrap();
            let talk = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "reader `{mode}`: {talk}");
            (mode, serde_json::from_slice(&output.stdout).unwrap())
        });
        ended.collect()
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        for (_, child) in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
