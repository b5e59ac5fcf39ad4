//! How far an index has come: what each of its commits carries.
//!
//! It is written with the list of the files that hold the documents, in one step, so the two are never apart: whatever a
//! crash leaves, the index holds all changes up to `change`, of the rows as they were then or later.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Shape;
use crate::event::Sequence;
use crate::store;
use crate::store::layout::Generation;
use crate::store::snapshot::Snapshot;

/// What Tantivy calls the list of an index's files.
pub(super) const META: &str = "meta.json";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Payload {
    generation: u64,
    shape: String,
    /// All up to this one of the change log are in it.
    pub change: i64,
    sequence: u64,
}

/// What is read of Tantivy's list.
#[derive(Deserialize)]
struct Meta {
    segments: Vec<Segment>,
    payload: Option<String>,
}

#[derive(Deserialize)]
struct Segment {
    max_doc: u64,
    deletes: Option<Deletes>,
}

#[derive(Deserialize)]
struct Deletes {
    num_deleted_docs: u64,
}

impl Payload {
    pub fn new(shape: &Shape, generation: Generation, change: i64, sequence: Sequence) -> Self {
        let shape = shape.hash().to_owned();
        Self { generation: generation.0, shape, change, sequence: sequence.0 }
    }

    /// Whose rows it is made from.
    pub fn generation(&self) -> Generation {
        Generation(self.generation)
    }

    /// What its rows reflect.
    pub fn sequence(&self) -> Sequence {
        Sequence(self.sequence)
    }

    /// Why what has come to this cannot go on with the rows of a snapshot; None: it can, from `change` on.
    pub fn unfit_for(&self, snapshot: &Snapshot) -> Result<Option<&'static str>, store::Error> {
        Ok(if self.generation() != snapshot.generation() {
            Some("it is of another generation")
        } else if self.sequence() > snapshot.sequence() || self.change > snapshot.last_change()? {
            Some("it is ahead of the rows")
        } else if !snapshot.goes_on_from(self.change, self.sequence())? {
            Some("the change log does not go on where it ends")
        } else {
            None
        })
    }

    /// What it reflects beside these rows: where nothing has changed since, as much as they do.
    pub fn stands_at(&self, snapshot: &Snapshot) -> Result<Sequence, store::Error> {
        let is_all = snapshot.last_change()? == self.change;
        Ok(if is_all { snapshot.sequence() } else { self.sequence() })
    }

    pub(super) fn shape(&self) -> &str {
        &self.shape
    }

    pub(super) fn text(&self) -> String {
        serde_json::to_string(self).expect("a payload is plain data")
    }

    pub(super) fn read(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

/// The payload of the index in a folder and the number of its documents, without opening it: for whoever looks while
/// nobody writes. None for what is no whole index.
pub fn at_rest(folder: &Path) -> Option<(Payload, u64)> {
    let meta: Meta = serde_json::from_slice(&fs::read(folder.join(META)).ok()?).ok()?;
    let documents = meta.segments.iter().map(|segment| {
        segment.max_doc - segment.deletes.as_ref().map_or(0, |deletes| deletes.num_deleted_docs)
    });
    Some((Payload::read(&meta.payload?)?, documents.sum()))
}
