//! A disk that fills up while a generation is built: the one that is served is untouched, and goes on.
//!
//! The daemon runs with a small disk of its own as data directory: a file system in memory, in a namespace that ends with
//! the process. It is looked at through `/proc`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use viewd::status::{Phase, Projection, Reason, Report, State};

use super::{NAME, Rig, definition};
use crate::daemon::DEADLINE;
use crate::wait;

/// A build leaves 64 MiB to the generation that is served.
const DISK_MIB: u64 = 128;
const MIB: usize = 1 << 20;
const MESSAGES: u64 = 20_000;

/// A daemon with a disk of its own; killed when dropped.
struct Disk {
    child: Child,
    /// Where this process finds its data directory.
    data: PathBuf,
    /// And where the daemon does.
    inside: PathBuf,
    log: PathBuf,
    config: PathBuf,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_leaves_what_is_served_alone() {
    let rig = Rig::new(MESSAGES).await;
    let Some(disk) = Disk::start(&rig) else { return };
    disk.live(MESSAGES);
    disk.is_refused_without_room();
    disk.ends_when_room_runs_out(&rig);
    let last = rig.publish(100).await;
    disk.live(last);
    assert_eq!(disk.generation(), 1);
    // Full to the last byte: nothing is written, everything is read, and it goes on by itself.
    disk.fill(0);
    rig.publish(3_000).await;
    disk.until("degraded", |report| {
        report.state == State::Degraded && report.reason == Some(Reason::StorageFull)
    });
    assert_eq!(disk.generation(), 1);
    disk.empty();
    disk.live(last + 3_000);
    let (code, talk) = disk.run(&["rebuild", NAME]);
    assert_eq!((code, disk.generation()), (Some(0), 2), "{talk}");
}

impl Disk {
    /// None where the system lets nobody but its operator have a file system of his own.
    #[expect(clippy::print_stdout, reason = "why nothing was tried")]
    fn start(rig: &Rig) -> Option<Self> {
        let own = ["--user", "--map-root-user", "--mount"];
        let tried = Command::new("unshare")
            .args(own)
            .args(["mount", "-t", "tmpfs", "none", "/mnt"])
            .output();
        let allowed = tried.is_ok_and(|output| output.status.success());
        if !allowed {
            println!("no namespaces here: not tried");
            return None;
        }
        let inside = rig.site.path("disk");
        fs::create_dir(&inside).unwrap();
        let (log, config) = (rig.site.path("log"), rig.site.path("viewd.toml"));
        let script = format!(
            "mount -t tmpfs -o size={DISK_MIB}m none \"$1\" && exec \"$2\" run --config \"$3\" --set data_dir=\"$1\""
        );
        let child = Command::new("unshare")
            .args(own)
            .args(["sh", "-c", &script, "sh"])
            .args([inside.as_os_str(), env!("CARGO_BIN_EXE_viewd").as_ref(), config.as_os_str()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let data = PathBuf::from(format!("/proc/{}/root{}", child.id(), inside.display()));
        Some(Self { child, data, inside, log, config })
    }

    fn is_refused_without_room(&self) {
        self.fill(60);
        let (code, talk) = self.run(&["rebuild", NAME]);
        assert!(code == Some(3) && talk.contains("MiB are free"), "{code:?}: {talk}");
        self.empty();
        assert_eq!(self.names(), ["gen-000001"]);
    }

    /// It is met while it reads the stream, which takes a minute by this definition.
    fn ends_when_room_runs_out(&self, rig: &Rig) {
        let slow = r#"set.last    = ".sequence + ([range(0; 3000)] | length)""#;
        let slow = definition(2).replace(r#"set.last    = ".sequence""#, slow);
        rig.site.write(&format!("projections/{NAME}.toml"), &slow);
        let (code, talk) = self.run(&["rebuild", NAME, "--detach"]);
        assert_eq!(code, Some(0), "{talk}");
        self.until("replaying", |report| {
            report.rebuild.as_ref().is_some_and(|rebuild| rebuild.phase == Phase::Bulk)
        });
        self.fill(60);
        self.until("the build's end", |report| report.rebuild.is_none());
        self.empty();
        assert_eq!(self.generation(), 1);
        assert_eq!(self.names(), ["gen-000001"]);
        let said = fs::read_to_string(&self.log).unwrap();
        assert!(said.contains("64 MiB are free"), "{said}");
        rig.edit(1);
        let (code, talk) = self.run(&["reload"]);
        assert_eq!(code, Some(0), "{talk}");
    }

    /// Leaves so many MiB free.
    fn fill(&self, mib: u64) {
        let statistics = rustix::fs::statvfs(&self.data).unwrap();
        let free = statistics.f_bavail * statistics.f_frsize;
        let mut left =
            usize::try_from(free).unwrap().saturating_sub(usize::try_from(mib).unwrap() * MIB);
        let mut ballast =
            File::options().create(true).append(true).open(self.data.join("ballast")).unwrap();
        let zeros = vec![0; MIB];
        // The last bytes may be taken by the daemon meanwhile.
        while left > 0 && ballast.write_all(&zeros[..left.min(MIB)]).is_ok() {
            left -= left.min(MIB);
        }
    }

    fn empty(&self) {
        fs::remove_file(self.data.join("ballast")).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data.join(NAME)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        names.filter(|name| name.starts_with("gen-")).collect()
    }

    /// Of the view that is served, which answers whatever happens.
    #[track_caller]
    fn generation(&self) -> u64 {
        let sql = "SELECT generation, (SELECT total(times) FROM items) = (SELECT total(events) FROM whole) AS agrees FROM _viewd_meta";
        let (code, said) = self.run(&["query", NAME, sql, "--json"]);
        assert_eq!(code, Some(0), "{said}");
        let found: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(found["data"][0]["agrees"], 1, "{said}");
        found["data"][0]["generation"].as_u64().unwrap()
    }

    /// Runs a command beside the daemon, where its disk is.
    fn run(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new("nsenter");
        command.args([
            "--user",
            "--preserve-credentials",
            "--mount",
            "--target",
            &self.child.id().to_string(),
        ]);
        let set = format!("data_dir={}", self.inside.display());
        command.arg(env!("CARGO_BIN_EXE_viewd")).args(arguments);
        let output =
            command.arg("--config").arg(&self.config).args(["--set", &set]).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }

    /// What the daemon says; None before it listens.
    fn report(&self) -> Option<Projection> {
        let (_, said) = self.run(&["status", NAME, "--json"]);
        let report: Report = serde_json::from_str(said.lines().next()?).ok()?;
        report.projections.into_iter().next()
    }

    #[track_caller]
    fn until(&self, what: &str, says: impl Fn(&Projection) -> bool) -> Projection {
        let mut seen = None;
        let found = wait::until_or(DEADLINE, || {
            seen = self.report();
            seen.clone().filter(|report| says(report))
        });
        found.unwrap_or_else(|| {
            panic!("not {what}: {seen:?}\n{}", fs::read_to_string(&self.log).unwrap_or_default())
        })
    }

    #[track_caller]
    fn live(&self, sequence: u64) {
        self.until("live", |report| {
            report.state == State::Live && report.checkpoint_sequence >= sequence
        });
        wait::pass(Duration::from_millis(50));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
