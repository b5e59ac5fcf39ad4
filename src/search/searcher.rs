//! One commit of an index, to be read on any thread, however long, whatever the writer does meanwhile.

use std::sync::Arc;

use super::{Payload, Shape};

/// Cheap to clone.
#[derive(Clone)]
pub struct Searcher {
    pub(super) inner: tantivy::Searcher,
    pub(super) shape: Arc<Shape>,
    payload: Arc<Payload>,
}

impl Searcher {
    pub(super) fn new(inner: tantivy::Searcher, shape: Arc<Shape>, payload: Payload) -> Self {
        Self { inner, shape, payload: Arc::new(payload) }
    }

    pub fn payload(&self) -> &Payload {
        &self.payload
    }

    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    pub fn documents(&self) -> u64 {
        self.inner.num_docs()
    }

    pub fn segments(&self) -> usize {
        self.inner.segment_readers().len()
    }
}
