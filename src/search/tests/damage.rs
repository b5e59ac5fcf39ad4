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

/// Whether it is seen, at once or by a look at every file.
fn is_seen(files: &Files) -> bool {
    match open(files) {
        Err(Error::Damaged { .. } | Error::OtherShape { .. }) => true,
        Err(error) => panic!("{error:?}"),
        Ok((index, _)) => index.damage().unwrap().is_some(),
    }
}

#[test]
fn a_flipped_bit_is_seen() {
    let (whole, _) = whole();
    assert!(!is_seen(&whole.copy()));
    for ending in &ENDINGS[1..] {
        let (name, bytes) = whole.file(ending);
        for at in [0, bytes.len() / 3, bytes.len() / 2, bytes.len() - 10, bytes.len() - 1] {
            let files = whole.copy();
            let mut bent = bytes.clone();
            bent[at] ^= 0x10;
            files.overwrite(&name, &bent);
            assert!(is_seen(&files), "{name} at {at} of {}", bytes.len());
        }
    }
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
