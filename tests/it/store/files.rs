//! What lies in the data directory, and who may read it.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use viewd::store::Error;
use viewd::store::layout;
use viewd::store::lock::Lock;
use viewd::store::writer::Store;

use super::{CACHE_BYTES, View, batch};

#[test]
fn others_may_read_the_files_whatever_the_umask() {
    let view = View::new();
    let folder = view.folder().path().to_path_buf();
    let link = fs::read_link(folder.join("current")).expect("a link");
    assert_eq!(link, Path::new("gen-000001"));
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o7777;
    assert_eq!(mode(&folder), 0o755);
    assert_eq!(mode(&folder.join("gen-000001")), 0o755);
    for name in ["view.db", "view.db-wal", "view.db-shm"] {
        assert_eq!(mode(&folder.join("current").join(name)), 0o644, "{name}");
    }
    assert_eq!(layout::projections(view.data.path()).expect("names"), ["shop"]);

    // The same of one that was built beside it.
    let store = view.bulk(&view.folder()).seal(CACHE_BYTES, &mut |_| ()).expect("sealed");
    drop(store);
    assert_eq!(mode(&folder.join("gen-000002")), 0o755);
    for name in ["view.db", "view.db-wal", "view.db-shm"] {
        assert_eq!(mode(&folder.join("gen-000002").join(name)), 0o644, "{name}");
    }
}

/// The umask is the process's, so the test above is run once more by a process of its own.
#[test]
fn a_narrow_umask_changes_nothing() {
    let test = "store::files::others_may_read_the_files_whatever_the_umask";
    let itself = std::env::current_exe().expect("a program");
    let output = Command::new("sh")
        .args(["-c", "umask 077; exec \"$0\" --exact \"$1\""])
        .arg(itself)
        .arg(test)
        .output()
        .expect("sh runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

/// A program of another language reads while the daemon's store is open and after it was closed; as another user
/// where this test may become one.
#[test]
fn another_process_reads_while_the_store_is_open_and_after() {
    let mut view = View::new();
    view.fill(&[("a", 1)]);
    fs::set_permissions(view.data.path(), fs::Permissions::from_mode(0o755)).expect("own folder");
    let root = fs::metadata("/proc/self").expect("a process").uid() == 0;
    let path = view.folder().path().join("current/view.db");
    let read = |stranger: bool| {
        let script = "import sqlite3, sys\n\
            c = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True)\n\
            print(c.execute('SELECT id, lines, sequence, state FROM orders, _viewd_checkpoint, _viewd_meta').fetchall())\n\
            c.close()";
        let mut python = Command::new("python3");
        python.arg("-c").arg(script).arg(&path).current_dir("/");
        if stranger {
            // Nobody.
            python.uid(65534).gid(65534);
        }
        let output = python.output().expect("python3 runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    };
    for open in [true, false] {
        if !open {
            view.store = None;
        }
        for stranger in [false, true].into_iter().filter(|stranger| root || !stranger) {
            assert_eq!(
                read(stranger),
                "[('a', 1, 1, 'serving')]",
                "open: {open}, stranger: {stranger}"
            );
        }
    }
    // The store opens again after strangers have been there.
    view.store = Some(view.open());
    view.fill(&[("b", 2)]);
    assert_eq!(read(root).matches("serving").count(), 2);
}

#[test]
fn a_first_generation_that_was_never_finished_is_made_again() {
    let mut view = View::new();
    view.fill(&[("a", 1)]);
    view.store = None;
    let folder = view.folder().path().to_path_buf();
    let current = folder.join("current");

    // With data in it, the loss of the link is told, and nothing is removed.
    fs::remove_file(&current).expect("the link");
    let refused = view.current_or_first();
    assert!(matches!(refused, Err(Error::Unlinked { .. })), "{refused:?}");
    assert!(folder.join("gen-000001/view.db").exists());

    // Cut off anywhere before the link: an empty folder, an empty file, half a database.
    let half = &b"SQLite format 3\0 and then the power went"[..];
    for (name, left) in
        [("gen-000001", None), ("gen-000001", Some(&b""[..])), (".unnamed-gen-000001", Some(half))]
    {
        fs::remove_dir_all(&folder).expect("the folder");
        fs::create_dir_all(folder.join(name)).expect("a folder");
        fs::create_dir_all(folder.join("notes")).expect("a folder");
        if let Some(content) = left {
            fs::write(folder.join(name).join("view.db"), content).expect("a file");
        }
        std::os::unix::fs::symlink("gen-000009", folder.join(".current.new")).expect("a link");
        let mut store = view.open();
        store.commit(batch(1, Vec::new())).expect("committed");
        assert!(folder.join("notes").exists(), "a stranger's folder stays");
        assert_eq!(fs::read_link(&current).expect("a link"), Path::new("gen-000001"));
    }
}

#[test]
fn a_damaged_or_foreign_file_is_told_and_left_alone() {
    type Case = (&'static str, fn(&Path), fn(&Error) -> bool);
    let cases: [Case; 4] = [
        (
            "garbage",
            |path| fs::write(path, vec![7; 8192]).expect("a file"),
            |error| matches!(error, Error::Corrupt { .. }),
        ),
        (
            "gone",
            |path| fs::remove_file(path).expect("a file"),
            |error| matches!(error, Error::Access { .. }),
        ),
        (
            "empty",
            |path| fs::write(path, b"").expect("a file"),
            |error| matches!(error, Error::Foreign { .. }),
        ),
        ("overwritten pages", overwrite_pages, |error| matches!(error, Error::Corrupt { .. })),
    ];
    for (name, damage, expected) in cases {
        let mut view = View::new();
        view.store = None;
        let generation = view.folder().current().expect("a link").expect("a generation");
        let path = view.folder().database(generation);
        fs::remove_file(path.with_extension("db-wal")).expect("the log");
        damage(&path);
        let Err(error) = Store::open(&view.folder(), generation, &view.tables, CACHE_BYTES) else {
            panic!("{name}: opened");
        };
        assert!(expected(&error), "{name}: {error:?}");
        assert_eq!(path.exists(), name != "gone", "{name}");
    }
}

fn overwrite_pages(path: &Path) {
    let mut content = fs::read(path).expect("a database");
    content[4096..].fill(0x55);
    fs::write(path, content).expect("a file");
}

#[test]
fn a_second_daemon_is_told_who_the_first_is() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let data_dir = data.path().join("deep/data");
    let first = Lock::take(&data_dir).expect("free");
    match Lock::take(&data_dir) {
        Err(Error::Locked { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{other:?}"),
    }
    drop(first);
    Lock::take(&data_dir).expect("free again");
}
