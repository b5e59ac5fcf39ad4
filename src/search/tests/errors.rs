//! Fact 25: an error of Tantivy loses documents in silence, and the commit after it says that they are there.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tantivy::schema::{INDEXED, STRING, Schema};
use tantivy::{IndexWriter, TantivyDocument};

use super::*;

/// What Tantivy does by itself. If this fails, it has become better, and some of our care is for nothing.
#[test]
fn tantivy_by_itself_loses_documents_and_says_that_they_are_there() {
    let mut schema = Schema::builder();
    let key = schema.add_text_field("key", STRING);
    let count = schema.add_i64_field("count", INDEXED);
    let index = tantivy::Index::create_in_ram(schema.build());
    let mut writer: IndexWriter = index.writer_with_num_threads(1, MEMORY_BYTES).unwrap();
    let add = |writer: &IndexWriter, id: &str| {
        let mut document = TantivyDocument::new();
        document.add_text(key, id);
        document.add_i64(count, 1);
        writer.add_document(document)
    };
    add(&writer, "good").unwrap();
    let mut poison = TantivyDocument::new();
    poison.add_text(count, "not a number");
    writer.add_document(poison).expect("it is taken without a word");
    assert!(writer.prepare_commit().is_err());
    let mut again = writer.prepare_commit().expect("as if nothing were the matter");
    again.set_payload("all of it");
    again.commit().unwrap();
    assert_eq!(index.load_metas().unwrap().payload.as_deref(), Some("all of it"));
    assert_eq!(index.reader().unwrap().searcher().num_docs(), 0, "and none of it is there");
}

#[test]
fn a_cell_of_another_type_is_refused_before_tantivy_sees_it() {
    let files = created();
    let (_index, mut writer) = open(&files).unwrap();
    let mut rows = Rows::default();
    rows.put("a", 1);
    writer.put(&rows.rows["a"]).unwrap();
    let wrong = [
        (NAME, Cell::Integer(1)),
        (2, Cell::Bytes([1].into())),
        (3, Cell::Text("1".into())),
        (4, Cell::Real(1.0)),
        (5, Cell::Integer(1)),
        (6, Cell::Text("true".into())),
        (7, Cell::Text("yesterday".into())),
        (7, Cell::Integer(0)),
        (8, Cell::Text("2013-02-30".into())),
    ];
    for (column, cell) in wrong {
        let mut row = row("b", 2);
        row[column] = cell.clone();
        let refused = writer.put(&row).expect_err("refused");
        let Error::Cell { column: name, .. } = &refused else { panic!("{cell:?}: {refused}") };
        assert_eq!(*name, table().columns[column].name);
    }
    // Nothing was given to it, so it goes on.
    let committed = writer.commit(payload(1)).unwrap();
    rows.assert_are(&committed.searcher);
}

/// How an index is asked to fail.
#[derive(Clone, Copy, Debug)]
struct Fault {
    /// Which of the operations on files, from 0.
    at: usize,
    kind: io::ErrorKind,
    /// From there on, or that one alone.
    lasting: bool,
}

#[test]
fn whatever_fails_nothing_is_lost_and_no_payload_is_ahead() {
    let (files, mut rows) = (created(), Rows::default());
    for commit in 0..3 {
        let (_index, mut writer) = open(&files).unwrap();
        let before = rows.last_change();
        (0..5).for_each(|id| rows.put(&format!("{commit}-{id}"), id));
        rows.follow(&mut writer, before).unwrap();
        writer.close(DEADLINE);
    }
    for (kind, lasting) in [(io::ErrorKind::StorageFull, true), (io::ErrorKind::Other, false)] {
        let mut at = 0;
        while fails_at(files.copy(), rows.clone(), Fault { at, kind, lasting }) {
            at += 1;
        }
        assert!(at > 20, "{kind}: only {at} operations");
    }
}

/// False if it came to an end before that operation.
#[track_caller]
fn fails_at(files: Files, mut rows: Rows, fault: Fault) -> bool {
    let before = rows.last_change();
    rows.put("new", 1);
    rows.put("0-1", 7);
    rows.remove("1-2");
    rows.put("1-3", 8);
    rows.remove("1-3");
    let (index, mut writer) = open(&files).unwrap();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    files.before(move |_| {
        let now = counted.fetch_add(1, Ordering::Relaxed);
        let fails = now == fault.at || (fault.lasting && now > fault.at);
        if fails { Err(fault.kind.into()) } else { Ok(()) }
    });
    let followed = rows.follow(&mut writer, before);
    if let Err(error) = &followed {
        match (fault.kind, error) {
            (io::ErrorKind::StorageFull, Error::Full { .. }) => {}
            (io::ErrorKind::Other, Error::Io { .. }) => {}
            _ => panic!("{fault:?}: {error:?}"),
        }
        let ended = |result| matches!(result, Err(Error::Ended { .. }));
        assert!(ended(writer.put(&row("more", 1))), "{fault:?}");
        assert!(ended(writer.remove(&key("more"))), "{fault:?}");
        assert!(ended(writer.commit(payload(1_000)).map(drop)), "{fault:?}");
        assert!(ended(Writer::open(&index, MEMORY_BYTES, &Steps::default()).map(drop)));
    }
    drop((writer, index));
    files.heal();
    let (index, mut writer) = open(&files).unwrap();
    let change = index.payload().change;
    assert!(change == before || change == rows.last_change(), "{fault:?}: {change}");
    if followed.is_ok() || change == rows.last_change() {
        assert_eq!(change, rows.last_change(), "{fault:?}");
        rows.assert_are(index.searcher());
    }
    let committed = rows.follow(&mut writer, change).unwrap();
    rows.assert_are(&committed.searcher);
    count.load(Ordering::Relaxed) > fault.at
}

#[test]
fn what_ended_a_worker_is_told_and_not_that_it_has_ended() {
    let files = created();
    let (_index, mut writer) = open(&files).unwrap();
    files.before(|doing| match doing.starts_with("create") {
        true => Err(io::ErrorKind::StorageFull.into()),
        false => Ok(()),
    });
    let error = (0..1_000_000).find_map(|value| writer.put(&row("a", value)).err());
    assert!(matches!(error, Some(Error::Full { .. })), "{error:?}");
    assert!(matches!(writer.put(&row("a", 1)), Err(Error::Ended { .. })));
}
