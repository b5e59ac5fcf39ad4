//! Files that are not as they were written: told, never a panic.

use super::*;

const ENDINGS: [&str; 8] =
    ["meta.json", ".term", ".idx", ".pos", ".fast", ".fieldnorm", ".store", ".del"];

fn whole() -> (Files, Rows) {
    let files = created();
    let (_index, mut writer) = open(&files).unwrap();
    let mut rows = Rows::default();
    (0..50).for_each(|value| rows.put(&value.to_string(), value));
    rows.follow(&mut writer, 0).unwrap();
    rows.remove("3");
    rows.follow(&mut writer, 50).unwrap();
    writer.close(DEADLINE);
    (files, rows)
}

#[test]
fn a_flipped_bit_is_seen_before_tantivy_comes_upon_it() {
    let (whole, _) = whole();
    let index = Index::open_in("index".as_ref(), Box::new(whole.copy()), shape()).unwrap();
    assert_eq!(index.damage().unwrap(), None);
    for ending in &ENDINGS[1..] {
        let (name, bytes) = whole.file(ending);
        for at in [0, bytes.len() / 3, bytes.len() / 2, bytes.len() - 10, bytes.len() - 1] {
            let files = whole.copy();
            let index = Index::open_in("index".as_ref(), Box::new(files.clone()), shape()).unwrap();
            let mut bent = bytes.clone();
            bent[at] ^= 0x10;
            files.overwrite(&name, &bent);
            let opened = open(&files).map(drop);
            let seen = matches!(opened, Err(Error::Damaged { .. }));
            assert!(seen, "{name} at {at} of {}: {opened:?}", bytes.len());
            // While it is open, whoever asks is told.
            let told = index.damage();
            assert!(!matches!(told, Ok(None)), "{name} at {at} of {}", bytes.len());
        }
    }
}

/// Without its list of all files Tantivy would check none.
#[test]
fn nothing_is_overlooked_for_another_file() {
    let (files, rows) = whole();
    let bent = files.copy();
    let (name, mut bytes) = bent.file(".pos");
    bytes[0] ^= 1;
    bent.overwrite(&name, &bytes);
    tantivy::Directory::delete(&files, ".managed.json".as_ref()).unwrap();
    let (index, _) = open(&files).unwrap();
    rows.assert_are(index.searcher());
    drop(index);
    let files = bent;
    tantivy::Directory::delete(&files, ".managed.json".as_ref()).unwrap();
    assert!(matches!(open(&files), Err(Error::Damaged { .. })));
}

#[test]
fn what_is_cut_off_or_gone_is_seen_when_it_is_opened() {
    let (whole, _) = whole();
    for ending in ENDINGS {
        let (name, bytes) = whole.file(ending);
        for left in [0, 1, bytes.len() / 2, bytes.len() - 1] {
            let files = whole.copy();
            files.overwrite(&name, &bytes[..left]);
            // What ends a list of files is no part of it.
            let opened = open(&files).map(drop);
            let harmless = ending == "meta.json" && left == bytes.len() - 1;
            assert!(harmless || matches!(opened, Err(Error::Damaged { .. })), "{name}: {left}");
        }
        let files = whole.copy();
        tantivy::Directory::delete(&files, name.as_ref()).unwrap();
        assert!(
            matches!(open(&files), Err(Error::Damaged { .. } | Error::Missing { .. })),
            "{name}"
        );
    }
}

/// Says to the test below, begun anew, that it is to walk into the trap.
const WALK_IN: &str = "VIEWD_TEST_DAMAGE";

/// What Tantivy does by itself, and why an index is read through first: a commit that removes something reads all
/// segments in a thread whose panic ends the process.
#[test]
fn tantivy_by_itself_ends_the_process_over_a_damaged_file() {
    use std::os::unix::process::ExitStatusExt as _;
    if std::env::var_os(WALK_IN).is_some() {
        return walk_in();
    }
    let name = concat!(module_path!(), "::tantivy_by_itself_ends_the_process_over_a_damaged_file");
    let (_, name) = name.split_once("::").unwrap();
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name])
        .env(WALK_IN, "1")
        .output()
        .unwrap();
    assert_eq!(output.status.signal(), Some(6), "{output:?}");
}

fn walk_in() {
    let (whole, _) = whole();
    for ending in [".term", ".idx", ".fast", ".fieldnorm"] {
        let (name, bytes) = whole.file(ending);
        for at in 0..bytes.len() - 100 {
            let files = whole.copy();
            let mut bent = bytes.clone();
            bent[at] ^= 0xff;
            files.overwrite(&name, &bent);
            let Ok(index) = tantivy::Index::open(files.clone()) else { continue };
            let mut writer: tantivy::IndexWriter =
                index.writer_with_num_threads(1, MEMORY_BYTES).unwrap();
            writer.delete_term(crate::search::document::Name::of(&key("7")).term(&shape()));
            let _ = writer.commit();
        }
    }
}
