//! An index against the rows: by key, and by the hash of what each document was made from.
//!
//! Every row is looked up, and its documents are marked; what is not marked at the end is of no row. That holds a bit for
//! each document in memory, whatever the number of rows.

use std::fmt;
use std::sync::Arc;

use tantivy::columnar::Column;
use tantivy::schema::IndexRecordOption;
use tantivy::{
    BitSet, DocAddress, DocId, DocSet as _, InvertedIndexReader, SegmentReader, TERMINATED,
};

use super::document::Name;
use super::shape::CONTENT;
use super::{Error, Searcher};
use crate::row::{Cell, Key};

/// Differences that are named; those beyond are only counted.
const NAMED_MAX: usize = 10;

/// A comparison that goes on.
pub struct Comparison<'a> {
    searcher: &'a Searcher,
    segments: Vec<Segment<'a>>,
    differences: Differences,
}

/// In what an index is not its rows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Differences {
    pub count: u64,
    /// The first of them, with the key as text.
    pub first: Vec<(Difference, String)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// A row without a document.
    Missing,
    /// A document without a row.
    LeftOver,
    /// A row with more than one document.
    Twice,
    /// A document that was made from other values.
    Stale,
}

struct Segment<'a> {
    reader: &'a SegmentReader,
    keys: Arc<InvertedIndexReader>,
    hashes: Column<u64>,
    seen: BitSet,
}

impl Searcher {
    /// Begins to compare it with the rows that it should be made from.
    pub fn compare(&self) -> Result<Comparison<'_>, Error> {
        let segments = self.inner.segment_readers().iter().map(|reader| {
            Ok(Segment {
                reader,
                keys: reader.inverted_index(self.shape.key)?,
                hashes: reader.fast_fields().u64(CONTENT)?,
                seen: BitSet::with_max_value(reader.max_doc()),
            })
        });
        let segments: tantivy::Result<_> = segments.collect();
        let segments = segments.map_err(|error| self.error(error))?;
        Ok(Comparison { searcher: self, segments, differences: Differences::default() })
    }
}

impl Comparison<'_> {
    /// Compares one row. Each is given once, in any order.
    pub fn row(&mut self, row: &[Cell]) -> Result<(), Error> {
        let shape = &self.searcher.shape;
        let name = shape.name_of(row);
        let hash = shape.content_hash(row);
        let documents = self.mark(&name)?;
        let difference = match documents.as_slice() {
            [] => Difference::Missing,
            [found] if *found == Some(hash) => return Ok(()),
            [_] => Difference::Stale,
            _ => Difference::Twice,
        };
        self.differences.add(difference, name.text());
        Ok(())
    }

    /// Leaves out a row that has changed since the index's last commit: its documents may be whatever they are.
    pub fn skip(&mut self, key: &Key) -> Result<(), Error> {
        self.mark(&Name::of(key)).map(drop)
    }

    /// What was found, and every document that is of none of the rows.
    pub fn finish(self) -> Result<Differences, Error> {
        let Self { searcher, segments, mut differences } = self;
        for (segment, ord) in segments.iter().zip(0..) {
            let unseen = segment.reader.doc_ids_alive().filter(|&doc| !segment.seen.contains(doc));
            for doc in unseen {
                if differences.first.len() < NAMED_MAX {
                    let key = searcher.key(DocAddress::new(ord, doc))?;
                    differences.add(Difference::LeftOver, &key);
                } else {
                    differences.count += 1;
                }
            }
        }
        Ok(differences)
    }

    /// The hashes of the documents of a key, which are seen.
    fn mark(&mut self, name: &Name) -> Result<Vec<Option<u64>>, Error> {
        let term = name.term(&self.searcher.shape);
        let mut found = Vec::new();
        for segment in &mut self.segments {
            let documents = segment.keys.read_postings(&term, IndexRecordOption::Basic);
            let documents = documents.map_err(|error| self.searcher.error(error.into()))?;
            let Some(mut documents) = documents else { continue };
            while documents.doc() != TERMINATED {
                let doc: DocId = documents.doc();
                if segment.reader.alive_bitset().is_none_or(|alive| alive.is_alive(doc)) {
                    segment.seen.insert(doc);
                    found.push(segment.hashes.first(doc));
                }
                documents.advance();
            }
        }
        Ok(found)
    }
}

impl Differences {
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn add(&mut self, difference: Difference, key: &str) {
        self.count += 1;
        if self.first.len() < NAMED_MAX {
            self.first.push((difference, key.to_owned()));
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Missing => "is not in the index",
            Self::LeftOver => "is in the index, and no row",
            Self::Twice => "is in the index more than once",
            Self::Stale => "is in the index with other values",
        })
    }
}
