//! One commit of an index, to be read on any thread, however long, whatever the writer does meanwhile.

use std::path::Path;
use std::sync::Arc;

use tantivy::schema::Value as _;
use tantivy::{DocAddress, TantivyDocument, TantivyError};

use super::document::HASHED;
use super::shape::KEY;
use super::{Error, Payload, Shape};

/// Cheap to clone.
#[derive(Clone)]
pub struct Searcher {
    pub(super) inner: tantivy::Searcher,
    pub(super) shape: Arc<Shape>,
    payload: Arc<Payload>,
    path: Arc<Path>,
}

impl Searcher {
    pub(super) fn new(
        inner: tantivy::Searcher,
        shape: Arc<Shape>,
        payload: Payload,
        path: &Path,
    ) -> Self {
        Self { inner, shape, payload: Arc::new(payload), path: path.into() }
    }

    /// The same with other weights: the shapes have one hash.
    pub fn with_shape(&self, shape: Arc<Shape>) -> Self {
        Self { shape, ..self.clone() }
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

    /// The key of a document, as text.
    pub(super) fn key(&self, at: DocAddress) -> Result<String, Error> {
        let failed = |error| self.error(error);
        let segment = self.inner.segment_reader(at.segment_ord);
        let keys = segment.fast_fields().str(KEY).map_err(failed)?;
        let keys = keys.ok_or_else(|| self.damaged("a document has no key"))?;
        let ordinal = keys.term_ords(at.doc_id).next();
        let ordinal = ordinal.ok_or_else(|| self.damaged("a document has no key"))?;
        let mut term = String::new();
        keys.ord_to_str(ordinal, &mut term).map_err(|error| failed(error.into()))?;
        if !term.starts_with(HASHED) {
            return Ok(term);
        }
        let document: TantivyDocument = self.inner.doc(at).map_err(failed)?;
        let long = document.get_first(self.shape.long_key);
        let long = long.and_then(|value| value.as_bytes()).map(String::from_utf8_lossy);
        long.map(String::from).ok_or_else(|| self.damaged("a document has no key"))
    }

    pub(super) fn error(&self, error: TantivyError) -> Error {
        Error::tantivy(&self.path, error)
    }

    fn damaged(&self, detail: &str) -> Error {
        Error::Damaged { path: self.path.to_path_buf(), detail: detail.to_owned() }
    }
}
