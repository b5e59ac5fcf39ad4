//! What the documents of an index hold, read with Tantivy alone.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use tantivy::schema::IndexRecordOption;
use tantivy::{DocSet as _, Index, SegmentReader, TERMINATED};
use viewd::definition::{Search, Table};
use viewd::row::{Cell, Row};

/// Of one document: the words of each field, and the number of each filter.
#[derive(Debug, Default, PartialEq)]
struct Document {
    words: BTreeMap<String, BTreeSet<String>>,
    numbers: BTreeMap<String, Option<i64>>,
}

/// Holds the documents of an index on the disk to rows, whose texts are plain words with spaces between them.
pub fn hold(folder: &Path, search: &Search, table: &Table, rows: &[Row]) -> Result<(), String> {
    let expected = rows.iter().map(|row| expected(search, table, row));
    let expected: BTreeMap<String, Document> = expected.collect();
    let index = Index::open_in_dir(folder).map_err(|error| error.to_string())?;
    let searcher = index.reader().unwrap().searcher();
    let mut found = BTreeMap::new();
    for segment in searcher.segment_readers() {
        for (key, document) in documents(search, table, segment) {
            if let Some(twice) = found.insert(key.clone(), document) {
                return Err(format!("{}: {key} twice, once as {twice:?}", search.name));
            }
        }
    }
    if found == expected {
        return Ok(());
    }
    Err(format!("{}:\n   found {found:?}\nexpected {expected:?}", search.name))
}

fn expected(search: &Search, table: &Table, row: &Row) -> (String, Document) {
    let key = table.key.iter().map(|&column| match &row[column] {
        Cell::Text(text) => text.as_str().into(),
        Cell::Integer(number) => serde_json::Value::from(*number),
        other => unreachable!("no key here holds {other:?}"),
    });
    let key = serde_json::Value::from(key.collect::<Vec<_>>()).to_string();
    let mut document = Document::default();
    for field in &search.fields {
        let words = match &row[field.column] {
            Cell::Text(text) => text.split(' ').map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        };
        document.words.insert(table.columns[field.column].name.clone(), words);
    }
    for &filter in &search.filters {
        let number = match &row[filter] {
            Cell::Integer(number) => Some(*number),
            // The day of January 2013, from 1970 on.
            Cell::Text(date) => Some(15_705 + date[8..].parse::<i64>().unwrap()),
            _ => None,
        };
        document.numbers.insert(table.columns[filter].name.clone(), number);
    }
    (key, document)
}

fn documents(search: &Search, table: &Table, segment: &SegmentReader) -> Vec<(String, Document)> {
    let alive: Vec<u32> = segment.doc_ids_alive().collect();
    let mut documents: BTreeMap<u32, Document> =
        alive.iter().map(|doc| (*doc, Document::default())).collect();
    for field in &search.fields {
        let name = &table.columns[field.column].name;
        for document in documents.values_mut() {
            document.words.insert(name.clone(), BTreeSet::new());
        }
        let field = segment.schema().get_field(&format!("words:{name}")).unwrap();
        let index = segment.inverted_index(field).unwrap();
        let mut terms = index.terms().stream().unwrap();
        while let Some((term, info)) = terms.next() {
            let word = String::from_utf8(term.to_vec()).unwrap();
            let mut postings =
                index.read_postings_from_terminfo(info, IndexRecordOption::Basic).unwrap();
            while postings.doc() != TERMINATED {
                if let Some(document) = documents.get_mut(&postings.doc()) {
                    document.words.get_mut(name).unwrap().insert(word.clone());
                }
                postings.advance();
            }
        }
    }
    for &filter in &search.filters {
        let name = &table.columns[filter].name;
        let column = segment.fast_fields().i64(&format!("filter:{name}")).unwrap();
        for (doc, document) in &mut documents {
            document.numbers.insert(name.clone(), column.first(*doc));
        }
    }
    let keys = segment.fast_fields().str("_key").unwrap().unwrap();
    let long = segment.get_store_reader(1).unwrap();
    let long_key = segment.schema().get_field("_long_key").unwrap();
    let named = documents.into_iter().map(|(doc, document)| {
        let mut key = String::new();
        keys.ord_to_str(keys.term_ords(doc).next().unwrap(), &mut key).unwrap();
        let stored: tantivy::TantivyDocument = long.get(doc).unwrap();
        if let Some((_, bytes)) = stored.field_values().find(|(field, _)| *field == long_key) {
            let bytes = tantivy::schema::Value::as_bytes(&bytes).unwrap();
            key = String::from_utf8(bytes.to_vec()).unwrap();
        }
        (key, document)
    });
    named.collect()
}
