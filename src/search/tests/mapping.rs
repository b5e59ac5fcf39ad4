//! From a row to a document, and what an index's shape is made of.

use super::*;
use crate::search::shape::TANTIVY;

#[test]
fn the_version_of_tantivy_is_the_one_that_is_built_in() {
    let lock = include_str!("../../../Cargo.lock");
    let named = format!("name = \"tantivy\"\nversion = \"{TANTIVY}\"\n");
    assert!(lock.contains(&named), "search::shape::TANTIVY is {TANTIVY}, Cargo.lock has another");
    let manifest = include_str!("../../../Cargo.toml");
    assert!(manifest.contains(&format!("tantivy = {{ version = \"={TANTIVY}\"")), "not pinned");
}

type Change<'a> = &'a dyn Fn(&mut Search, &mut Table);

/// What an index is made anew for, and what it is not.
#[test]
fn a_shape_is_all_that_documents_depend_on() {
    let hash = |change: Change<'_>| {
        let (mut search, mut table) = (search(), table());
        change(&mut search, &mut table);
        Shape::new(&search, &table).hash().to_owned()
    };
    let before = hash(&|_, _| {});
    let same: [Change<'_>; 6] = [
        &|search, _| search.fields.swap(0, 1),
        &|search, _| search.filters.reverse(),
        &|search, _| search.fields[0].weight = 3.0,
        &|search, _| search.name = "another".to_owned(),
        &|_, table| table.columns[9].column_type = ColumnType::Bytes,
        &|_, table| table.columns[3].required = true,
    ];
    for (number, change) in same.iter().enumerate() {
        assert_eq!(hash(change), before, "{number}");
    }
    let other: [Change<'_>; 6] = [
        &|search, _| search.fields[0].language = Some(Language::German),
        &|search, _| search.fields.truncate(1),
        &|search, _| search.filters.truncate(1),
        &|_, table| table.columns[NAME].name = "title".to_owned(),
        &|_, table| table.columns[4].column_type = ColumnType::Decimal(3),
        &|_, table| table.key = vec![ID, 3],
    ];
    let hashes: Vec<String> = other.iter().map(|change| hash(change)).collect();
    for (number, other) in hashes.iter().enumerate() {
        assert_ne!(*other, before, "{number}");
        assert_eq!(hashes.iter().filter(|hash| *hash == other).count(), 1, "{number}");
    }
}

#[test]
fn an_index_of_another_shape_is_told_apart() {
    let files = created();
    let mut search = search();
    search.fields[0].language = Some(Language::English);
    let other = Arc::new(Shape::new(&search, &table()));
    let opened = Index::open_in("index".as_ref(), Box::new(files), other);
    assert!(matches!(opened, Err(Error::OtherShape { .. })));
}

/// A hash that leaves a cell out would let `verify` overlook what is stale in it.
#[test]
fn the_content_hash_is_of_every_cell_that_is_indexed() {
    let shape = shape();
    let hash = |row: &[Cell]| shape.content_hash(row);
    let before = row("a", 1);
    for column in NAME..9 {
        let mut other = before.clone();
        other[column] = row("a", 2)[column].clone();
        assert_ne!(hash(&other), hash(&before), "column {column}");
        other[column] = Cell::Null;
        assert_ne!(hash(&other), hash(&before), "column {column} as NULL");
        assert_ne!(hash(&other), hash(&row("a", 2)), "column {column}");
    }
    let mut other = before.clone();
    other[9] = Cell::Null;
    assert_eq!(hash(&other), hash(&before), "what is not indexed does not count");
    // One text is not the beginning of the next.
    let (mut one, mut two) = (before.clone(), before.clone());
    (one[NAME], one[2]) = (Cell::Text("ab".into()), Cell::Text("c".into()));
    (two[NAME], two[2]) = (Cell::Text("a".into()), Cell::Text("bc".into()));
    assert_ne!(hash(&one), hash(&two));
}

#[test]
fn a_comparison_names_what_differs() {
    let files = created();
    let (_index, mut writer) = open(&files).unwrap();
    let mut rows = Rows::default();
    ["same", "stale", "left over", "skipped"].iter().for_each(|id| rows.put(id, 1));
    let searcher = rows.follow(&mut writer, 0).unwrap().searcher;
    rows.remove("left over");
    rows.put("stale", 2);
    rows.put("missing", 1);
    rows.put("skipped", 3);
    let mut comparison = searcher.compare().unwrap();
    for (id, row) in &rows.rows {
        match id.as_str() {
            "skipped" => comparison.skip(&key(id)).unwrap(),
            _ => comparison.row(row).unwrap(),
        }
    }
    let found = comparison.finish().unwrap();
    let named = |difference, id: &str| (difference, format!("[\"{id}\"]"));
    use crate::search::Difference::{LeftOver, Missing, Stale, Twice};
    assert_eq!(
        (found.count, found.first),
        (3, vec![named(Missing, "missing"), named(Stale, "stale"), named(LeftOver, "left over")])
    );
    drop(writer);
    // Behind our back.
    let index = tantivy::Index::open(files.clone()).unwrap();
    let mut raw: tantivy::IndexWriter = {
        let mut index = index.clone();
        index.set_tokenizers(shape().tokenizers());
        index.writer_with_num_threads(1, MEMORY_BYTES).unwrap()
    };
    raw.add_document(shape().document(&rows.rows["same"]).unwrap().1).unwrap();
    crate::search::writer::commit(&mut raw, &payload(9), &Steps::default()).unwrap();
    drop(raw);
    let index = Index::open_in("index".as_ref(), Box::new(files), shape()).unwrap();
    let found = rows.compare(index.searcher());
    assert!(found.first.contains(&named(Twice, "same")), "{found:?}");
}

#[test]
fn what_is_at_rest_is_read_without_opening_it() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(crate::search::at_rest(folder.path()), None);
    let files = created();
    let (_index, mut writer) = open(&files).unwrap();
    let mut rows = Rows::default();
    (0..5).for_each(|value| rows.put(&value.to_string(), value));
    rows.follow(&mut writer, 0).unwrap();
    rows.remove("3");
    rows.follow(&mut writer, 5).unwrap();
    let meta = tantivy::Directory::atomic_read(&files, "meta.json".as_ref()).unwrap();
    std::fs::write(folder.path().join("meta.json"), meta).unwrap();
    assert_eq!(crate::search::at_rest(folder.path()), Some((payload(6), 4)));
}
