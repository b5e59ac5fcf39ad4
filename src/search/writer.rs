//! Changes of an index, committed with their payload.
//!
//! A Tantivy writer that has failed goes on as if nothing were the matter: it takes documents that nobody indexes, and its
//! next commit succeeds without them, with a payload that says they are there. So the first error ends a [`Writer`]:
//! it takes nothing more and touches no file again, whatever Tantivy's threads are still at. Whoever held it opens the
//! index again and goes on from the payload that is on the disk.
//!
//! A put always replaces. To leave out the removal of what is certainly new is faster, and wrong: a commit that has failed
//! may have left its documents in the list of files, by a merge that ended after it, under the payload before.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tantivy::indexer::{IndexWriterOptions, LogMergePolicy};
use tantivy::schema::Document;
use tantivy::{Directory as _, IndexReader, IndexWriter, TantivyError};

use super::directory::Fence;
use super::document::Name;
use super::queue::{Queue, Queued};
use super::{Error, Index, Payload, Searcher, Shape};
use crate::budget::WRITER_BYTES_MIN;
use crate::row::{Cell, Key};
use crate::store::step::{Step, Steps};

/// More makes no commit faster.
const MEMORY_BYTES_MAX: usize = 50_000_000;
/// Segments of about one size are one when there are this many: fewer to search, more often written anew.
const SEGMENTS_OF_A_SIZE: usize = 6;
/// A segment of more is merged no more, unless many of its documents are gone: that would take minutes.
const MERGED_DOCUMENTS_MAX: usize = 5_000_000;
/// While one is at large segments for long, the other keeps those of commits few.
const MERGE_THREADS: usize = 2;
/// Of a segment's documents that are no more: from here on it is written anew.
const REMOVED_RATIO_MAX: f32 = 0.3;

/// One index's only writer.
pub struct Writer {
    path: PathBuf,
    shape: Arc<Shape>,
    fence: Fence,
    reader: IndexReader,
    queue: Queue,
    steps: Steps,
    /// None once an error has ended it.
    inner: Option<IndexWriter<Queued>>,
}

/// A commit that is durable.
pub struct Committed {
    /// What it made: to be published.
    pub searcher: Searcher,
    pub duration: Duration,
}

impl Writer {
    /// `memory_bytes`: what it may hold of changes before it writes them to files that nobody sees yet.
    pub fn open(index: &Index, memory_bytes: usize, steps: &Steps) -> Result<Self, Error> {
        let memory_bytes = memory_bytes.clamp(WRITER_BYTES_MIN, MEMORY_BYTES_MAX);
        let options = IndexWriterOptions::builder()
            .num_worker_threads(1)
            .num_merge_threads(MERGE_THREADS)
            .memory_budget_per_thread(memory_bytes)
            .build();
        if !index.fence().is_open() {
            return Err(Error::Ended { path: index.path().to_path_buf() });
        }
        let open = || {
            let inner: IndexWriter<Queued> = index.inner().writer_with_options(options)?;
            inner.set_merge_policy(Box::new(merge_policy()));
            // A commit that did not end leaves files, one of them by a name that the same commit, done again, gives to
            // one of its own: Tantivy would refuse it for ever.
            inner.garbage_collect_files().wait()?;
            // Tantivy numbers what is done, and goes on with the number of the last commit itself. What it removed by that
            // number, a merge would take for done wherever that commit has removed something: the document of before would
            // stay for ever. So nothing is done by it.
            inner.run([])?;
            Ok(inner)
        };
        let inner = open().map_err(|error| cause(index.path(), index.fence(), error))?;
        Ok(Self {
            path: index.path().to_path_buf(),
            shape: index.shape().clone(),
            fence: index.fence().clone(),
            reader: index.reader().clone(),
            queue: Queue::default(),
            steps: steps.clone(),
            inner: Some(inner),
        })
    }

    /// Makes the document of a row anew, whether or not there is one.
    pub fn put(&mut self, row: &[Cell]) -> Result<(), Error> {
        let (name, document, bytes) = self.shape.document(row)?;
        let term = name.term(&self.shape);
        let document = self.queue.enter(document, bytes);
        self.with(|writer| {
            writer.delete_term(term);
            writer.add_document(document).map(drop)
        })
    }

    /// Removes the document of a row, if there is one.
    pub fn remove(&mut self, key: &Key) -> Result<(), Error> {
        let term = Name::of(key).term(&self.shape);
        self.with(|writer| {
            writer.delete_term(term);
            Ok(())
        })
    }

    /// Makes all since the last commit durable and visible, together with how far that is.
    pub fn commit(&mut self, payload: Payload) -> Result<Committed, Error> {
        let begun = Instant::now();
        let steps = self.steps.clone();
        self.with(|writer| commit(writer, &payload, &steps))?;
        // Of a merge: it is begun again, and what comes next has another cause.
        let _ = self.fence.failure();
        let reader = self.reader.clone();
        self.with(|_| reader.reload())?;
        let inner = self.reader.searcher();
        let searcher = Searcher::new(inner, self.shape.clone(), payload, &self.path);
        Ok(Committed { searcher, duration: begun.elapsed() })
    }

    /// Lets merges that are at work end, until a deadline. What is not committed is not kept.
    pub fn close(mut self, within: Duration) {
        let Some(writer) = self.inner.take() else { return };
        let (ended, end) = mpsc::sync_channel(1);
        let waiting = std::thread::Builder::new().name("index-close".into()).spawn(move || {
            let _ = ended.send(writer.wait_merging_threads().is_ok());
        });
        if waiting.is_ok() {
            let _ = end.recv_timeout(within);
        }
    }

    /// Does something with the writer; an error ends it.
    fn with(
        &mut self,
        work: impl FnOnce(&mut IndexWriter<Queued>) -> Result<(), TantivyError>,
    ) -> Result<(), Error> {
        let Some(writer) = &mut self.inner else {
            return Err(Error::Ended { path: self.path.clone() });
        };
        work(writer).map_err(|error| self.end(error))
    }

    fn end(&mut self, error: TantivyError) -> Error {
        self.fence.close();
        self.inner = None;
        cause(&self.path, &self.fence, error)
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.fence.close();
    }
}

/// The one way to commit: without a payload, the one before would be gone.
pub(super) fn commit<D: Document>(
    writer: &mut IndexWriter<D>,
    payload: &Payload,
    steps: &Steps,
) -> tantivy::Result<()> {
    steps.reached(Step::IndexApplied);
    let mut commit = writer.prepare_commit()?;
    commit.set_payload(&payload.text());
    commit.commit()?;
    steps.reached(Step::IndexCommitted);
    // Tantivy syncs what it writes, but not the name under which it puts its list of files.
    writer.index().directory().sync_directory()?;
    steps.reached(Step::IndexSynced);
    Ok(())
}

/// What an error means: if a write has failed, that is what it comes from, whatever Tantivy says.
pub(super) fn cause(path: &Path, fence: &Fence, error: TantivyError) -> Error {
    match fence.failure() {
        Some(failure) => Error::io(path, &failure),
        None => Error::tantivy(path, error),
    }
}

fn merge_policy() -> LogMergePolicy {
    let mut policy = LogMergePolicy::default();
    policy.set_min_num_segments(SEGMENTS_OF_A_SIZE);
    policy.set_max_docs_before_merge(MERGED_DOCUMENTS_MAX);
    policy.set_del_docs_ratio_before_merge(REMOVED_RATIO_MAX);
    policy
}
