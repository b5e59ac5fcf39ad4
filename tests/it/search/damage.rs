//! An index whose files are not what they were: it is made again from the rows, which are served meanwhile.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use viewd::diagnostic::Source;
use viewd::row::{Cell, Key};
use viewd::search::{Index, Shape, Writer};
use viewd::store::step::Steps;

use super::rig::{DEFINITION, QUICK, Rig, follows};
use crate::daemon::DEADLINE;

const IDS: u64 = 500;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_made_again() {
    let rig = Rig::new(DEFINITION).await;
    rig.publish(1_500, IDS).await;
    rig.site.catch_up(QUICK);
    let files = files(&rig.index("items"));
    assert!(files.len() > 6, "{files:?}");
    let names: Vec<_> = files.iter().map(|file| file.file_name().unwrap().to_owned()).collect();
    // Segments have other names after each time, so it is their kind that counts.
    let kinds = names.iter().filter_map(|name| Path::new(name).extension());
    let mut kinds: Vec<_> = kinds.map(|kind| kind.to_string_lossy().into_owned()).collect();
    kinds.sort();
    kinds.dedup();
    for kind in &kinds {
        for damage in [truncated as fn(&Path), removed, flipped] {
            let file = of_kind(&rig.index("items"), kind);
            damage(&file);
            mends(&rig, &format!("{}", file.display()));
        }
    }
    println!("{} kinds of files", kinds.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_another_shape_or_generation_is_made_again() {
    let rig = Rig::new(DEFINITION).await;
    rig.publish(300, IDS).await;
    rig.site.catch_up(QUICK);
    let meta = rig.index("items").join("meta.json");
    let text = fs::read_to_string(&meta).unwrap();
    for (what, with) in [
        (r#"\"shape\":\""#, r#"\"shape\":\"0"#),
        (r#"\"generation\":1"#, r#"\"generation\":2"#),
        (r#"\"change\":"#, r#"\"change\":9"#),
        (r#"\"sequence\":"#, r#"\"sequence\":9"#),
    ] {
        assert!(text.contains(what), "{text}");
        let text = fs::read_to_string(&meta).unwrap();
        fs::write(&meta, text.replace(what, with)).unwrap();
        mends(&rig, what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_behind_the_log_is_made_again() {
    let rig = Rig::new(DEFINITION).await;
    rig.publish(100, IDS).await;
    // However much comes at once, it is thousands of changes.
    let settings = [QUICK, &["limits.changes_keep=0", "limits.batch_events_max=50"]].concat();
    rig.site.catch_up(&settings);
    let (index, kept) = (rig.index("items"), rig.site.path("kept"));
    copy(&index, &kept);
    rig.publish(3_000, IDS).await;
    let daemon = rig.site.start(&settings);
    follows(&daemon, "items", 3_100);
    // More than a thousand changes that nobody needs any more are removed.
    crate::wait::until("a short log", DEADLINE, || {
        let sql = "SELECT count(*) FROM _viewd_changes";
        let left: i64 = rig.site.view("items").query_row(sql, (), |row| row.get(0)).unwrap();
        (left < 1_000).then_some(())
    });
    assert!(daemon.terminate().success());
    fs::remove_dir_all(&index).unwrap();
    copy(&kept, &index);
    mends(&rig, "behind the log");
}

/// Bits that rot while the daemon runs: whoever verifies is told, and so is whoever searches; the index is made again.
#[tokio::test(flavor = "multi_thread")]
async fn what_rots_while_it_is_searched_is_made_again() {
    let rig = Rig::new(DEFINITION).await;
    let last = rig.publish(1_500, IDS).await;
    let daemon = rig.site.start(QUICK);
    follows(&daemon, "items", last);
    flip_in_place(&of_kind(&rig.index("items"), "pos"), 1);
    let said = rig.ends(3, &["verify", "items"]);
    assert!(said.contains("is not as it was written"), "{said}");
    wait_until_made(&rig, 1);
    follows(&daemon, "items", last);
    rig.verified();

    // All that a search begins with, of every segment.
    for file in files(&rig.index("items"))
        .iter()
        .filter(|file| file.extension().is_some_and(|kind| kind == "term"))
    {
        flip_in_place(file, usize::MAX);
    }
    crate::wait::until("made again", DEADLINE, || {
        let (code, body) =
            daemon.get("/v1/projections/items/search/items?_q=red%20or%20title:green*");
        assert!(code == 200 || code == 503, "{body}");
        (made_again(&rig) == 2).then_some(())
    });
    follows(&daemon, "items", last);
    rig.verified();
    assert!(daemon.terminate().success(), "{}", rig.site.log());
}

/// Values that are not those of the rows, in files that are whole: who verifies beside a daemon has it made again.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_differs_from_its_rows_is_made_again() {
    let rig = Rig::new(DEFINITION).await;
    let last = rig.publish(1_500, IDS).await;
    rig.site.catch_up(QUICK);
    let rows = rig.rows("items");
    let compared = |documents: u64, equal: bool| serde_json::json!([{ "index": "items", "documents": documents, "equal": equal }]);
    assert_eq!(rig.json(&["verify", "items"])["indexes"], compared(rows, true));
    let said = rig.ends(0, &["verify", "items"]);
    assert!(said.contains(&format!("\nindex items: {rows} rows, as the table\n")), "{said}");

    let id = rig.site.view("items").query_row("SELECT min(id) FROM items", (), |row| row.get(0));
    forget(&rig.index("items"), id.unwrap());
    let differs = |rig: &Rig| {
        let said = rig.ends(3, &["verify", "items"]);
        let count = format!("\nindex items: {} rows, not as the table\n", rows - 1);
        assert!(said.contains(&count), "{said}");
        assert!(said.contains("search.items: it differs from the rows in 1 place: ["), "{said}");
        said
    };
    let said = differs(&rig);
    assert!(said.contains("verify` once more while `viewd"), "{said}");
    let daemon = rig.site.start(QUICK);
    follows(&daemon, "items", last);
    let said = differs(&rig);
    assert!(
        said.contains("is not in the index; it is made again from the rows\n  next: `viewd"),
        "{said}"
    );
    wait_until_made(&rig, 1);
    follows(&daemon, "items", last);
    assert_eq!(rig.json(&["verify", "items"])["indexes"], compared(rows, true));
}

/// Takes a row's document out of an index, as if its row had gone.
fn forget(folder: &Path, id: i64) {
    let source = Source::new("items.toml", DEFINITION);
    let definition = viewd::definition::parse(&source, "items", &["s"]).0.unwrap();
    let search = &definition.searches[0];
    let shape = Arc::new(Shape::new(search, &definition.tables[search.table]));
    let index = Index::open(folder, shape).unwrap();
    let mut writer = Writer::open(&index, 0, &Steps::default()).unwrap();
    writer.remove(&Key([Cell::Integer(id)].into_iter().collect())).unwrap();
    writer.commit(index.payload().clone()).unwrap();
    writer.close(DEADLINE);
}

/// Whoever waits until all is there waits for what is searched.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_catches_up_makes_what_is_damaged() {
    let rig = Rig::new(DEFINITION).await;
    rig.publish(1_500, IDS).await;
    rig.site.catch_up(QUICK);
    truncated(&of_kind(&rig.index("items"), "term"));
    let out = rig.ends(69, &["search", "items", "items"]);
    assert!(out.contains(".term is not as it was written"), "{out}");
    let out = rig.ends(3, &["verify", "items"]);
    assert!(out.contains("\nindex items: cannot be searched\n"), "{out}");
    assert!(out.contains("run` makes it again from the rows\n"), "{out}");
    rig.site.catch_up(QUICK);
    let status = rig.json(&["status"]);
    assert_eq!(status["projections"][0]["search"][0]["sequence"], 1_500, "{status}");
    rig.verified();
    let answer = rig.json(&["search", "items", "items", "--total", "--limit", "0"]);
    assert_eq!(answer["total"], rig.rows("items"), "{answer}");
}

/// A view that was put back by an older copy comes to the same rows by other batches, so by other ids of the log: an index
/// that was made of the newer one must not go on from an id, whatever ends the process before it is made again.
#[tokio::test(flavor = "multi_thread")]
async fn an_index_of_a_view_that_was_put_back_is_made_again() {
    let rig = Rig::new(DEFINITION).await;
    rig.publish(500, IDS).await;
    rig.site.catch_up(QUICK);
    let (current, kept) = (rig.site.path("data/items/current"), rig.site.path("kept"));
    fs::create_dir_all(&kept).unwrap();
    for file in ["view.db", "view.db-wal", "view.db-shm"] {
        fs::copy(current.join(file), kept.join(file)).unwrap();
    }
    // One change a message, as each is a batch of its own.
    let singly = [QUICK, &["limits.batch_events_max=1"]].concat();
    rig.publish(1_500, IDS).await;
    rig.site.catch_up(&singly);
    for file in ["view.db", "view.db-wal", "view.db-shm"] {
        fs::copy(kept.join(file), current.join(file)).unwrap();
    }
    rig.publish(6_000, 40).await;
    let mut daemon = rig.site.start_with(&[("VIEWD_ABORT_AT", "index_built")], QUICK);
    // Not before the log has grown past what the index has taken.
    assert_eq!(daemon.ended().signal(), Some(6), "{}", rig.site.log());
    let daemon = rig.site.start(QUICK);
    follows(&daemon, "items", 8_000);
    rig.verified();
    assert!(daemon.terminate().success(), "{}", rig.site.log());
    rig.verified();
}

#[track_caller]
fn mends(rig: &Rig, what: &str) {
    // Whoever looks at the files is told.
    let said = rig.ends(3, &["verify", "items"]);
    assert!(said.contains("search.items"), "{what}: {said}");
    let before = made_again(rig);
    let last = rig.site.checkpoint("items").unwrap().sequence;
    let daemon = rig.site.start(QUICK);
    // What is found by reading all files is found a moment after the start.
    crate::wait::until(what, DEADLINE, || (made_again(rig) > before).then_some(()));
    follows(&daemon, "items", last);
    assert!(daemon.terminate().success(), "{what}: {}", rig.site.log());
    rig.verified();
}

fn made_again(rig: &Rig) -> usize {
    rig.site.log().matches("index is made again").count()
}

fn truncated(file: &Path) {
    let bytes = fs::read(file).unwrap();
    fs::write(file, &bytes[..bytes.len() / 2]).unwrap();
}

/// Changes so many bytes from the middle on, up to what Tantivy knows a file by, as a disk would: under whoever has it open.
fn flip_in_place(file: &Path, bytes: usize) {
    let mut content = fs::read(file).unwrap();
    let end = content.len().saturating_sub(200).max(content.len() / 2 + 1);
    let begin = if bytes == usize::MAX { 0 } else { content.len() / 2 };
    for byte in content[begin..end].iter_mut().take(bytes) {
        *byte ^= 0xff;
    }
    let open = fs::OpenOptions::new().write(true).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&open, &content, 0).unwrap();
}

fn wait_until_made(rig: &Rig, times: usize) {
    crate::wait::until("made again", DEADLINE, || (made_again(rig) == times).then_some(()));
}

fn removed(file: &Path) {
    fs::remove_file(file).unwrap();
}

fn flipped(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    fs::write(file, bytes).unwrap();
}

fn of_kind(index: &Path, kind: &str) -> PathBuf {
    let found = files(index).into_iter().find(|file| {
        file.extension().is_some_and(|found| found == kind)
            // Its own list of files is no part of what is searched.
            && file.file_name().is_some_and(|name| name != ".managed.json")
    });
    found.unwrap_or_else(|| panic!("no .{kind} in {}", index.display()))
}

fn files(index: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        fs::read_dir(index).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| !file.to_string_lossy().ends_with(".lock"));
    files.sort();
    files
}

pub(super) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap().path();
        fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}
