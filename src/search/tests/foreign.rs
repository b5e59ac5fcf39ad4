//! Fact 31: another process has the index open, which none should.

use tantivy::Directory as _;
use tantivy::directory::{INDEX_WRITER_LOCK, META_LOCK, MmapDirectory};

use super::*;
use crate::search::{Build, Folder, Part};

/// An empty index on the disk.
fn on_disk() -> (tempfile::TempDir, std::path::PathBuf) {
    let generation = tempfile::tempdir().unwrap();
    let folder = Folder::new(generation.path(), "items");
    let build = Build {
        shape: &shape(),
        payload: &payload(0),
        workers: 1,
        memory_bytes: MEMORY_BYTES,
        progress: &|_| true,
        steps: &Steps::default(),
    };
    build.run::<Error>(&folder, Vec::<Part<'_, Error>>::new()).unwrap();
    let path = folder.path();
    (generation, path)
}

/// Held for ever by somebody, Tantivy's lock on its files would stop every commit of ours, in its midst.
#[test]
fn a_reader_of_another_process_stops_nothing() {
    let (_generation, path) = on_disk();
    let foreign = MmapDirectory::open(&path).unwrap();
    let _lock = foreign.acquire_lock(&META_LOCK).unwrap();
    let (ended, end) = std::sync::mpsc::channel();
    let ours = std::thread::spawn(move || {
        let index = Index::open(&path, shape()).unwrap();
        let mut writer = Writer::open(&index, MEMORY_BYTES, &Steps::default()).unwrap();
        let mut rows = Rows::default();
        rows.put("a", 1);
        rows.assert_are(&rows.follow(&mut writer, 0).unwrap().searcher);
        rows.put("a", 2);
        rows.assert_are(&rows.follow(&mut writer, 1).unwrap().searcher);
        ended.send(()).unwrap();
    });
    end.recv_timeout(DEADLINE).expect("it goes on");
    ours.join().unwrap();
}

#[test]
fn a_writer_of_another_process_is_told_and_waited_for() {
    let (_generation, path) = on_disk();
    let foreign = MmapDirectory::open(&path).unwrap();
    let lock = foreign.acquire_lock(&INDEX_WRITER_LOCK).unwrap();
    let index = Index::open(&path, shape()).unwrap();
    let opened = || Writer::open(&index, MEMORY_BYTES, &Steps::default());
    assert!(matches!(opened(), Err(Error::Held { .. })));
    drop(lock);
    let writer = opened().unwrap();
    assert!(foreign.acquire_lock(&INDEX_WRITER_LOCK).is_err(), "and it waits for ours");
    drop(writer);
    foreign.acquire_lock(&INDEX_WRITER_LOCK).unwrap();
}

/// It wrote while nobody looked: whatever it did, what it left does not say how far it has come.
#[test]
fn what_another_process_has_committed_is_not_taken_for_ours() {
    let (_generation, path) = on_disk();
    let foreign = tantivy::Index::open_in_dir(&path).unwrap();
    let mut writer: tantivy::IndexWriter =
        foreign.writer_with_num_threads(1, MEMORY_BYTES).unwrap();
    writer.commit().unwrap();
    assert!(matches!(Index::open(&path, shape()), Err(Error::Damaged { .. })));
}
