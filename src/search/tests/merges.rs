//! Tantivy's merges outlive their writer. None that ends late changes what the next writer has committed.

use std::io;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::*;

/// How long a thing is given to happen that must not.
const MUST_NOT: Duration = Duration::from_millis(100);

/// A merge that is held where it would put its list of files over the one before.
struct Held {
    reached: Receiver<()>,
    go: std::sync::mpsc::Sender<()>,
}

/// Holds the first list of files that a merge writes.
fn hold(files: &Files) -> Held {
    let ((reach, reached), (go, going)) = (channel(), channel());
    let going = Arc::new(Mutex::new(Some((reach, going))));
    let merged = Arc::new(Mutex::new(false));
    files.before(move |doing| {
        let mut merged = merged.lock().unwrap();
        // Its files come first; then the updater's thread writes the list.
        *merged |= is_merging();
        if *merged && doing == "replace meta.json" {
            *merged = false;
            drop(merged);
            if let Some((reach, going)) = going.lock().unwrap().take() {
                reach.send(()).map_err(io::Error::other)?;
                going.recv_timeout(DEADLINE).map_err(io::Error::other)?;
            }
        }
        Ok(())
    });
    Held { reached, go }
}

/// In a thread of Tantivy's that merges.
fn is_merging() -> bool {
    thread::current().name().is_some_and(|name| name.starts_with("merge_thread"))
}

/// Whether any does, as the end of a process keeps it from that.
pub(super) fn merges_end(files: &Files, end: bool) {
    files.before(move |doing| match end || !is_merging() || !doing.starts_with("create") {
        true => Ok(()),
        false => Err(io::Error::other("the process ends before that")),
    });
}

/// Commits until a merge begins.
fn merging(files: &Files, writer: &mut Writer, rows: &mut Rows) -> Held {
    let held = hold(files);
    for value in 0..5 {
        commit(writer, rows, &format!("m{value}"));
    }
    // The sixth begins a merge, which is held, and with it all that follows: so this one is without a commit after it.
    commit(writer, rows, "m5");
    held.reached.recv_timeout(DEADLINE).expect("six of a size are merged");
    held
}

fn commit(writer: &mut Writer, rows: &mut Rows, id: &str) {
    let before = rows.last_change();
    rows.put(id, before);
    rows.follow(writer, before).unwrap();
}

#[test]
fn a_writer_ends_only_after_the_list_of_files_that_its_merge_is_writing() {
    let files = created();
    let (index, mut writer) = open(&files).unwrap();
    let mut rows = Rows::default();
    let held = merging(&files, &mut writer, &mut rows);
    let (ended, end) = channel();
    let ending = thread::spawn(move || {
        drop((writer, index));
        ended.send(()).unwrap();
    });
    assert!(end.recv_timeout(MUST_NOT).is_err(), "a list is being written behind it");
    held.go.send(()).unwrap();
    end.recv_timeout(DEADLINE).expect("it ends");
    ending.join().unwrap();
    let (index, mut writer) = open(&files).unwrap();
    assert_eq!(index.payload().change, rows.last_change());
    rows.assert_are(index.searcher());
    commit(&mut writer, &mut rows, "after");
    let (index, _) = {
        drop((writer, index));
        open(&files).unwrap()
    };
    assert_eq!(index.payload().change, rows.last_change());
    rows.assert_are(index.searcher());
}

#[test]
fn payloads_outlive_merges() {
    let files = created();
    let (index, mut writer) = open(&files).unwrap();
    let mut rows = Rows::default();
    (0..40).for_each(|value| commit(&mut writer, &mut rows, &format!("{value}")));
    writer.close(DEADLINE);
    drop(index);
    let (index, mut writer) = open(&files).unwrap();
    assert!(index.searcher().segments() < 40, "nothing was merged");
    assert_eq!(*index.payload(), payload(40));
    rows.assert_are(index.searcher());
    // A merge that ends after the last commit writes the list of files anew.
    let done = files.done();
    let lists = done.iter().filter(|done| *done == "replace meta.json").count();
    assert!(lists > 41, "{lists} lists of files");
    commit(&mut writer, &mut rows, "last");
}

/// A writer that numbered its first removal as the commit before it: a merge of what that commit left would take it for
/// done in each segment that the commit has changed.
#[test]
fn the_first_removal_of_a_writer_is_kept_by_a_merge_of_what_the_last_one_left() {
    let files = created();
    let (index, mut writer) = open(&files).unwrap();
    let mut rows = Rows::default();
    merges_end(&files, false);
    // What the last commit has changed must not be the largest, and so much of it that it is to be merged.
    for (ids, value) in [(0..10, 1), (10..16, 1), (10..13, 2)] {
        let before = rows.last_change();
        ids.for_each(|id| rows.put(&id.to_string(), value));
        rows.follow(&mut writer, before).unwrap();
    }
    drop((writer, index));
    merges_end(&files, true);
    let (index, mut writer) = open(&files).unwrap();
    assert_eq!(index.searcher().segments(), 3, "they are still to be merged");
    let before = rows.last_change();
    rows.put("13", 3);
    rows.put("14", 3);
    rows.follow(&mut writer, before).unwrap();
    writer.close(DEADLINE);
    drop(index);
    let (index, _writer) = open(&files).unwrap();
    assert!(index.searcher().segments() < 3, "they are merged");
    rows.assert_are(index.searcher());
}

#[test]
fn close_does_not_wait_for_ever() {
    let files = created();
    let (_index, mut writer) = open(&files).unwrap();
    let held = merging(&files, &mut writer, &mut Rows::default());
    let (ended, end) = channel();
    thread::spawn(move || {
        writer.close(Duration::from_millis(1));
        ended.send(())
    });
    // It waits for the one list that is being written, and for no merge.
    held.go.send(()).unwrap();
    end.recv_timeout(DEADLINE).expect("it ends");
}

/// Large segments are merged for minutes.
#[test]
fn a_long_merge_lets_others_keep_segments_few() {
    let files = created();
    let (_index, mut writer) = open(&files).unwrap();
    let (begun, began) = channel();
    let (go, going) = channel::<()>();
    let first = Arc::new(Mutex::new(Some((begun, going))));
    files.before(move |doing| {
        if is_merging() && doing.starts_with("create") {
            let held = first.lock().unwrap().take();
            if let Some((begun, going)) = held {
                begun.send(()).map_err(io::Error::other)?;
                going.recv_timeout(DEADLINE).map_err(io::Error::other)?;
            }
        }
        Ok(())
    });
    let mut rows = Rows::default();
    (0..6).for_each(|value| commit(&mut writer, &mut rows, &format!("{value}")));
    began.recv_timeout(DEADLINE).expect("six of a size are merged");
    let mut most = 0;
    for value in 6..60 {
        let before = rows.last_change();
        rows.put(&format!("{value}"), value);
        most = most.max(rows.follow(&mut writer, before).unwrap().searcher.segments());
    }
    assert!(most < 40, "{most} segments");
    go.send(()).unwrap();
}
