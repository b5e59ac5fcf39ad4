//! An index, opened: its files looked at, its tokenizers set, and its last commit ready to be read.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tantivy::directory::{MmapDirectory, RamDirectory};
use tantivy::index::IndexMeta;
use tantivy::store::Compressor;
use tantivy::{Directory, IndexReader, IndexSettings, IndexWriter, ReloadPolicy};

use super::directory::{Fence, Fenced};
use super::{Error, Payload, Searcher, Shape, writer};
use crate::budget::WRITER_BYTES_MIN;
use crate::store::step::Steps;

/// One opening of an index. After an error of its writer it is of no more use: it is opened again.
pub struct Index {
    path: PathBuf,
    shape: Arc<Shape>,
    fence: Fence,
    inner: tantivy::Index,
    reader: IndexReader,
    searcher: Searcher,
}

/// How much of an index is read before it is used.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Read {
    All,
    /// What its files hold, and not that.
    Lists,
}

impl Index {
    /// Opens what is in a folder, and reads all of it: an index is some megabytes to some gigabytes, and what is not as it
    /// was written would end the process once a commit comes upon it, by a panic in a thread of Tantivy's.
    pub fn open(path: &Path, shape: Arc<Shape>) -> Result<Self, Error> {
        exists(path)?;
        Self::open_in(path, directory(path)?, shape)
    }

    /// The same without reading all of it: for whoever asks how far it is, and writes nothing.
    pub fn look(path: &Path, shape: Arc<Shape>) -> Result<Self, Error> {
        exists(path)?;
        Self::open_as(path, directory(path)?, shape, Read::Lists)
    }

    /// An empty one that lives as long as it, for tests of definitions.
    pub fn in_memory(shape: Arc<Shape>, payload: Payload) -> Result<Self, Error> {
        let (path, directory) = (Path::new("memory"), Box::new(RamDirectory::create()));
        let create = || {
            let index = create(Fenced::new(directory.clone()), &shape)?;
            let mut writer: IndexWriter = index.writer_with_num_threads(1, WRITER_BYTES_MIN)?;
            writer::commit(&mut writer, &payload, &Steps::default())
        };
        create().map_err(|error| Error::tantivy(path, error))?;
        Self::open_in(path, directory, shape)
    }

    pub(super) fn open_in(
        path: &Path,
        directory: Box<dyn Directory>,
        shape: Arc<Shape>,
    ) -> Result<Self, Error> {
        Self::open_as(path, directory, shape, Read::All)
    }

    fn open_as(
        path: &Path,
        directory: Box<dyn Directory>,
        shape: Arc<Shape>,
        read: Read,
    ) -> Result<Self, Error> {
        let directory = Fenced::new(directory);
        // Tantivy checks little of what it reads, and asserts the rest.
        let opened = catch_unwind(AssertUnwindSafe(|| Self::opened(path, directory, shape, read)));
        opened.unwrap_or_else(|_| Err(Error::damaged(path, None)))
    }

    fn opened(
        path: &Path,
        directory: Fenced,
        shape: Arc<Shape>,
        read: Read,
    ) -> Result<Self, Error> {
        let failed = |error| Error::tantivy(path, error);
        let fence = directory.fence();
        let mut inner = tantivy::Index::open(directory).map_err(failed)?;
        let meta = inner.load_metas().map_err(failed)?;
        let payload = meta.payload.as_deref().and_then(Payload::read);
        let payload = payload.ok_or_else(|| Error::Damaged {
            path: path.into(),
            detail: "it does not say how far it has come".to_owned(),
        })?;
        if payload.shape() != shape.hash() || inner.schema() != *shape.schema() {
            return Err(Error::OtherShape { path: path.into() });
        }
        if read == Read::All
            && let Some(file) = damaged_file(&inner, &meta).map_err(failed)?
        {
            return Err(Error::damaged(path, Some(&file)));
        }
        inner.set_tokenizers(shape.tokenizers());
        let reader = inner.reader_builder().reload_policy(ReloadPolicy::Manual);
        let reader = reader.try_into().map_err(failed)?;
        let searcher = Searcher::new(reader.searcher(), shape.clone(), payload, path);
        Ok(Self { path: path.to_path_buf(), shape, fence, inner, reader, searcher })
    }

    /// As it was when it was opened.
    pub fn searcher(&self) -> &Searcher {
        &self.searcher
    }

    /// What it had come to when it was opened.
    pub fn payload(&self) -> &Payload {
        self.searcher.payload()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Reads all of it once more, and names a file that is not as it was written.
    pub fn damage(&self) -> Result<Option<PathBuf>, Error> {
        let found = self.inner.load_metas().and_then(|meta| damaged_file(&self.inner, &meta));
        found.map_err(|error| Error::tantivy(&self.path, error))
    }

    pub(super) fn fence(&self) -> &Fence {
        &self.fence
    }

    pub(super) fn inner(&self) -> &tantivy::Index {
        &self.inner
    }

    pub(super) fn reader(&self) -> &IndexReader {
        &self.reader
    }
}

fn exists(path: &Path) -> Result<(), Error> {
    match fs::exists(path) {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::Missing { path: path.to_path_buf() }),
        Err(error) => Err(Error::io(path, &error)),
    }
}

fn directory(path: &Path) -> Result<Box<dyn Directory>, Error> {
    let directory = MmapDirectory::open(path);
    Ok(Box::new(directory.map_err(|error| Error::tantivy(path, error.into()))?))
}

/// A new one, which says nothing yet of how far it has come.
pub(super) fn create(directory: Fenced, shape: &Shape) -> tantivy::Result<tantivy::Index> {
    let settings = IndexSettings {
        // Nothing is stored but keys that hardly any index has.
        docstore_compression: Compressor::None,
        // A thread for each commit, and twice its time.
        docstore_compress_dedicated_thread: false,
        ..IndexSettings::default()
    };
    let mut index = tantivy::Index::create(directory, shape.schema().clone(), settings)?;
    index.set_tokenizers(shape.tokenizers());
    Ok(index)
}

/// Tantivy's own check leaves out what another file does not list, and takes a missing file for an empty one.
fn damaged_file(index: &tantivy::Index, meta: &IndexMeta) -> tantivy::Result<Option<PathBuf>> {
    let directory = index.directory();
    for file in meta.list_segment_files() {
        // Of these two a segment may have none.
        let optional = file.extension().is_some_and(|ending| ending == "del" || ending == "temp");
        if optional && !directory.exists(&file)? {
            continue;
        }
        if !directory.exists(&file)? || !directory.validate_checksum(&file)? {
            return Ok(Some(file));
        }
    }
    Ok(None)
}
