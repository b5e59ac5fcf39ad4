//! Cut-overs under load, with readers outside of the process: no error, no mix, nothing left behind.

use std::fs;

use viewd::status::State;

use super::load::Load;
use super::readers::Readers;
use super::{NAME, Rig, live, number};
use crate::daemon::{DEADLINE, Daemon};
use crate::wait;

/// `make soak` does a hundred (CUT_OVERS=100).
const CUT_OVERS: u64 = 10;
const MESSAGES: u64 = 2_000;
const MESSAGES_PER_SECOND: u64 = 300;

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices_a_cut_over_but_by_newer_rows() {
    let cut_overs = number("CUT_OVERS", CUT_OVERS);
    let rig = Rig::new(MESSAGES).await;
    // Nothing is kept for a rollback, and who reads a retired one holds its removal up.
    let daemon = rig.site.start(&["rebuild.keep_generations=0"]);
    live(&daemon, MESSAGES);
    let mut readers = Readers::start(&rig);
    let load = Load::start(&rig.client, MESSAGES_PER_SECOND);
    for version in 2..2 + cut_overs {
        let before = rig.current();
        // Every other time by a definition that makes other rows, or by the same one, whose rows must be the same.
        if version % 2 == 0 {
            rig.edit(version);
        }
        tokio::task::block_in_place(|| rig.ends(0, &["rebuild", NAME]));
        assert!(rig.current() > before, "{} after {before}", rig.current());
        readers.check();
    }
    let last = load.stop().await;
    live(&daemon, last);
    let seen = readers.stop();
    println!("{cut_overs} cut-overs, {last} messages: {seen:?}");
    for (mode, seen) in seen {
        assert!(seen.looks > cut_overs / 2, "{mode}: {seen:?}");
        assert!(mode == "use" || seen.transactions > 0 && seen.retired > 0, "{mode}: {seen:?}");
        assert!(seen.moves > 0 && seen.generation > cut_overs / 2, "{mode}: {seen:?}");
    }
    // What a reader held is looked at once a minute, and whenever a build has ended.
    let verified = rig.json(&["verify", NAME, "--deep"]);
    assert_eq!(verified["deep"]["equal"], true, "{verified}");
    nothing_left(&rig, &daemon);
    assert_eq!(daemon.projection(NAME).state, State::Live);
}

/// One generation, its three files, and none of another that the daemon still has open.
#[track_caller]
fn nothing_left(rig: &Rig, daemon: &Daemon) {
    wait::until_eq("one generation", DEADLINE, &vec![rig.current()], || rig.generations());
    let files = fs::read_dir(rig.folder().join("current")).unwrap();
    let mut files: Vec<_> =
        files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned()).collect();
    files.sort();
    assert_eq!(files, ["view.db", "view.db-shm", "view.db-wal"]);
    let served = rig.folder().join(rig.current());
    wait::until_eq("no other file open", DEADLINE, &Vec::<String>::new(), || {
        let open = fs::read_dir(format!("/proc/{}/fd", daemon.id())).unwrap();
        let open = open.filter_map(|fd| fs::read_link(fd.unwrap().path()).ok());
        let open =
            open.filter(|path| path.starts_with(rig.folder()) && path.parent() != Some(&served));
        open.map(|path| path.display().to_string()).collect()
    });
}
