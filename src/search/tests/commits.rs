//! Facts 26, 27, 29: what a commit carries, in which order it is done, what is seen of it, and how many files it leaves.

use proptest::prelude::*;

use super::merges::merges_end;
use super::*;
use crate::store::step::Step;

/// Fact 26.
#[test]
fn tantivy_by_itself_clears_a_payload() {
    let files = created();
    let index = tantivy::Index::open(files.copy()).unwrap();
    let mut writer: tantivy::IndexWriter = index.writer_with_num_threads(1, MEMORY_BYTES).unwrap();
    writer.commit().unwrap();
    assert_eq!(index.load_metas().unwrap().payload, None);
}

/// Fact 26: a list of files that says nothing is no index, so it is made anew.
#[test]
fn an_index_without_a_payload_is_damaged() {
    let files = created();
    let index = tantivy::Index::open(files.clone()).unwrap();
    let mut writer: tantivy::IndexWriter = index.writer_with_num_threads(1, MEMORY_BYTES).unwrap();
    writer.commit().unwrap();
    drop(writer);
    assert!(matches!(open(&files), Err(Error::Damaged { .. })));
}

/// Fact 27.
#[test]
fn the_folder_is_synced_after_the_name_of_the_list_of_files() {
    let files = created();
    let index = Index::open_in("index".as_ref(), Box::new(files.clone()), shape()).unwrap();
    let (at, log) = (files.clone(), Arc::new(std::sync::Mutex::new(Vec::new())));
    let noted = log.clone();
    let steps = Steps::new(move |step| {
        noted.lock().unwrap().push((step, at.done()));
    });
    let mut writer = Writer::open(&index, MEMORY_BYTES, &steps).unwrap();
    writer.put(&row("a", 1)).unwrap();
    writer.commit(payload(1)).unwrap();
    let log = std::mem::take(&mut *log.lock().unwrap());
    let steps: Vec<Step> = log.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, [Step::IndexApplied, Step::IndexCommitted, Step::IndexSynced]);
    let committed = &log[1].1;
    let list = committed.iter().position(|done| done == "replace meta.json").expect("a list");
    assert!(
        committed[..list].iter().any(|done| done == "sync folder"),
        "the files that it names: {committed:?}"
    );
    assert_eq!(log[2].1.last().map(String::as_str), Some("sync folder"));
}

/// Fact 29.
#[test]
fn a_searcher_shows_one_commit_for_ever_and_the_next_comes_with_its_payload() {
    let files = created();
    let (index, mut writer) = open(&files).unwrap();
    let mut rows = Rows::default();
    let mut searchers = vec![(rows.clone(), index.searcher().clone())];
    for value in 0..20 {
        let before = rows.last_change();
        rows.put(&format!("{}", value % 7), value);
        let committed = rows.follow(&mut writer, before).unwrap();
        searchers.push((rows.clone(), committed.searcher));
    }
    for (rows, searcher) in &searchers {
        assert_eq!(searcher.payload().change, rows.last_change());
        rows.assert_are(searcher);
    }
}

/// Fact 29. `COMMITS` for others.
#[test]
fn segments_stay_few_however_many_commits_there_are() {
    let commits = std::env::var("COMMITS").map_or(600, |text| text.parse().unwrap());
    let files = created();
    let (_index, mut writer) = open(&files).unwrap();
    let (mut rows, mut most) = (Rows::default(), 0);
    for value in 0..commits {
        let before = rows.last_change();
        for of in 0..3 {
            rows.put(&format!("{}", (value * 7919 + of * 104_729) % 997), value);
        }
        let committed = rows.follow(&mut writer, before).unwrap();
        most = most.max(committed.searcher.segments());
        if value % 100 == 0 {
            rows.assert_are(&committed.searcher);
        }
    }
    assert!(most <= SEGMENTS_MAX, "{most} segments");
}

/// Of one size there are five at most, and while a merge is at work some more come.
const SEGMENTS_MAX: usize = 40;

#[test]
fn long_keys_are_replaced_and_removed_like_others() {
    let files = created();
    let (_index, mut writer) = open(&files).unwrap();
    // What is longer than 65,530 bytes Tantivy drops in silence.
    let ids = [1_019, 1_020, 1_021, 70_000].map(|len| "k".repeat(len));
    let mut rows = Rows::default();
    for value in 0..3 {
        ids.iter().for_each(|id| rows.put(id, value));
    }
    let committed = rows.follow(&mut writer, 0).unwrap();
    rows.assert_are(&committed.searcher);
    let searcher = &committed.searcher;
    let mut keys = Vec::new();
    for (segment, ord) in searcher.inner.segment_readers().iter().zip(0..) {
        for doc in segment.doc_ids_alive() {
            keys.push(searcher.key(tantivy::DocAddress::new(ord, doc)).unwrap());
        }
    }
    keys.sort_by_key(String::len);
    assert_eq!(keys, ids.clone().map(|id| format!("[\"{id}\"]")));
    let before = rows.last_change();
    ids.iter().for_each(|id| rows.remove(id));
    let committed = rows.follow(&mut writer, before).unwrap();
    assert_eq!(committed.searcher.documents(), 0);
}

#[test]
fn an_index_in_memory_is_one() {
    let index = Index::in_memory(shape(), payload(0)).unwrap();
    let mut writer = Writer::open(&index, MEMORY_BYTES, &Steps::default()).unwrap();
    let mut rows = Rows::default();
    rows.put("a", 1);
    rows.put("b", 2);
    rows.assert_are(&rows.follow(&mut writer, 0).unwrap().searcher);
}

#[derive(Clone, Debug)]
enum Op {
    Put(u8, i64),
    Remove(u8),
    Commit,
    /// What is not committed is gone, and done again.
    Crash,
    /// No merge ends from here on, or all do again.
    Merges(bool),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (0_u8..9, 0_i64..5).prop_map(|(id, value)| Op::Put(id, value)),
        1 => (0_u8..9).prop_map(Op::Remove),
        2 => Just(Op::Commit),
        1 => Just(Op::Crash),
        1 => any::<bool>().prop_map(Op::Merges),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// One document a row, whatever was done to it within a commit and over a crash.
    #[test]
    fn documents_are_the_rows(ops in prop::collection::vec(op(), 1..60)) {
        let files = created();
        let (mut index, mut writer) = open(&files).unwrap();
        let (mut rows, mut taken) = (Rows::default(), 0);
        for op in ops {
            match op {
                Op::Put(id, value) => {
                    rows.put(&id.to_string(), value);
                    writer.put(&rows.rows[&id.to_string()]).unwrap();
                }
                Op::Remove(id) => {
                    rows.remove(&id.to_string());
                    writer.remove(&key(&id.to_string())).unwrap();
                }
                Op::Commit => {
                    let committed = writer.commit(payload(rows.last_change())).unwrap();
                    taken = rows.last_change();
                    rows.assert_are(&committed.searcher);
                }
                Op::Merges(end) => merges_end(&files, end),
                Op::Crash => {
                    drop((index, writer));
                    (index, writer) = open(&files).unwrap();
                    prop_assert_eq!(index.payload().change, taken);
                    rows.assert_are(&rows.follow(&mut writer, taken).unwrap().searcher);
                    taken = rows.last_change();
                }
            }
        }
        merges_end(&files, true);
        writer.close(DEADLINE);
        drop(index);
        (index, writer) = open(&files).unwrap();
        let after = index.payload().change;
        rows.assert_are(&rows.follow(&mut writer, after).unwrap().searcher);
    }
}
