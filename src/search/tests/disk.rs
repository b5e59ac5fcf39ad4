//! A disk that is full for real: a small file system in memory, in a namespace that ends with the process.

use std::process::Command;

use super::*;
use crate::search::{Build, Folder, Part};

/// Says to this test, begun anew in a namespace of its own, where its disk is.
const DISK: &str = "VIEWD_TEST_DISK";

#[test]
fn a_full_disk_loses_nothing_and_is_gone_on_from() {
    if let Some(disk) = std::env::var_os(DISK) {
        return on(disk.as_ref());
    }
    let own = ["--user", "--map-root-user", "--mount"];
    let tried =
        Command::new("unshare").args(own).args(["mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !tried.is_ok_and(|output| output.status.success()) {
        println!("no namespaces here: not tried");
        return;
    }
    let disk = tempfile::tempdir().unwrap();
    let script = "mount -t tmpfs -o size=12m none \"$1\" && exec \"$2\" --exact --nocapture \"$3\"";
    let name = concat!(module_path!(), "::a_full_disk_loses_nothing_and_is_gone_on_from");
    let (_, name) = name.split_once("::").unwrap();
    let output = Command::new("unshare")
        .args(own)
        .args(["sh", "-c", script, "sh"])
        .arg(disk.path())
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env(DISK, disk.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Fills the disk while an index follows, again and again, until it has failed in several ways.
fn on(disk: &std::path::Path) {
    let folder = Folder::new(disk, "items");
    let (shape_, payload_, steps) = (shape(), payload(0), Steps::default());
    let build = Build {
        shape: &shape_,
        payload: &payload_,
        workers: 1,
        memory_bytes: MEMORY_BYTES,
        progress: &|_| true,
        steps: &steps,
    };
    build.run::<Error>(&folder, Vec::<Part<'_, Error>>::new()).unwrap();
    let (mut rows, mut refused) = (Rows::default(), 0);
    let filling = disk.join("filling");
    for round in 0..30 {
        let index = Index::open(&folder.path(), shape()).unwrap();
        let mut writer = Writer::open(&index, MEMORY_BYTES, &steps).unwrap();
        let before = index.payload().change;
        (0..20).for_each(|id| rows.put(&format!("{}", (round * 7 + id) % 50), round));
        // So much is left that a different file of the commit meets the end each time.
        let free = rustix::fs::statvfs(disk).unwrap();
        let left = round as u64 * 4_096;
        let fill = (free.f_bavail * free.f_frsize).saturating_sub(left);
        std::fs::write(&filling, vec![1; fill as usize]).unwrap();
        match rows.follow(&mut writer, before) {
            Ok(committed) => rows.assert_are(&committed.searcher),
            Err(Error::Full { .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
        drop((writer, index));
        std::fs::remove_file(&filling).unwrap();
        let index = Index::open(&folder.path(), shape()).unwrap();
        assert!(index.payload().change == before || index.payload().change == rows.last_change());
        let mut writer = Writer::open(&index, MEMORY_BYTES, &steps).unwrap();
        let after = index.payload().change;
        rows.assert_are(&rows.follow(&mut writer, after).unwrap().searcher);
    }
    assert!(refused > 5, "the disk was full {refused} times");
}
