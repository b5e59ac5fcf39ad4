//! An index of all rows at once.
//!
//! Several threads bring rows and several workers take them, adds only: nothing is removed from an index that is new. One
//! commit at the end carries the payload, so what is not whole says nothing of how far it has come.

use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Duration;

use tantivy::directory::MmapDirectory;
use tantivy::index::{SegmentId, SegmentMeta};
use tantivy::indexer::{IndexWriterOptions, NoMergePolicy};
use tantivy::{Directory, IndexWriter};

use super::directory::{Fence, Fenced};
use super::folder::Folder;
use super::queue::{Queue, Queued};
use super::{Error, Payload, Shape, index, writer};
use crate::budget::WRITER_BYTES_MIN;
use crate::row::Cell;
use crate::store::step::{Step, Steps};

/// With more, a query takes longer; with fewer, a build does, which writes each document anew for that. Less than what
/// makes a writer merge segments of about one size, or the first commit after a build would begin with all of it.
const SEGMENTS_MAX: usize = 4;
/// Documents between two looks at whether to go on.
const BEAT: u64 = 1_000;
/// Between two looks while files are merged.
const MERGE_BEAT: Duration = Duration::from_millis(100);

/// Brings the rows of one part: gives each to the sink, in any order, and ends with the first error of it.
pub type Part<'a, E> =
    Box<dyn FnOnce(&mut dyn FnMut(&[Cell]) -> Result<(), Error>) -> Result<(), E> + Send + 'a>;

/// How an index is built.
pub struct Build<'a> {
    pub shape: &'a Shape,
    /// What it will have come to.
    pub payload: &'a Payload,
    /// Threads that index. Each part has a thread of its own beside them.
    pub workers: usize,
    /// Of all workers together.
    pub memory_bytes: usize,
    /// Told the number of documents so far, now and then; false ends it.
    pub progress: &'a (dyn Fn(u64) -> bool + Sync),
    pub steps: &'a Steps,
}

/// What a build has made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Built {
    pub documents: u64,
    pub segments: usize,
}

/// What the threads of a build share.
struct Shared<'a> {
    build: &'a Build<'a>,
    writer: &'a IndexWriter<Queued>,
    queue: Queue,
    documents: AtomicU64,
    stopped: AtomicBool,
    fence: Fence,
}

impl Build<'_> {
    /// Builds it of the rows of all parts. When it returns, it has its name and is durable; what was there before is
    /// moved aside. After an error nothing has changed.
    pub fn run<E: From<Error> + Send>(
        &self,
        folder: &Folder,
        parts: Vec<Part<'_, E>>,
    ) -> Result<Built, E> {
        let path = folder.begin()?;
        let built = std::fs::create_dir_all(&path).map_err(|error| Error::io(&path, &error));
        let directory = built.and_then(|()| {
            MmapDirectory::open(&path).map_err(|error| Error::tantivy(&path, error.into()))
        });
        let built = directory
            .map_err(E::from)
            .and_then(|directory| self.fill(&path, Box::new(directory), parts));
        if built.is_err() {
            folder.give_up();
        }
        let built = built?;
        self.steps.reached(Step::IndexBuilt);
        folder.take_name()?;
        self.steps.reached(Step::IndexNamed);
        Ok(built)
    }

    pub(super) fn fill<E: From<Error> + Send>(
        &self,
        path: &Path,
        directory: Box<dyn Directory>,
        parts: Vec<Part<'_, E>>,
    ) -> Result<Built, E> {
        let directory = Fenced::new(directory);
        let fence = directory.fence();
        let writer = self.writer(directory);
        let mut writer = writer.map_err(|error| writer::cause(path, &fence, error))?;
        let built = self.add(path, &writer, &fence, parts).and_then(|documents| {
            let segments = self.commit(path, &mut writer, &fence, documents)?;
            Ok(Built { documents, segments })
        });
        fence.close();
        built
    }

    fn writer(&self, directory: Fenced) -> tantivy::Result<IndexWriter<Queued>> {
        let index = index::create(directory, self.shape)?;
        let each = (self.memory_bytes / self.workers.max(1)).max(WRITER_BYTES_MIN);
        let options = IndexWriterOptions::builder()
            .num_worker_threads(self.workers.max(1))
            .num_merge_threads(self.workers.max(1))
            .memory_budget_per_thread(each)
            .build();
        let writer = index.writer_with_options(options)?;
        writer.set_merge_policy(Box::new(NoMergePolicy));
        Ok(writer)
    }

    fn add<E: From<Error> + Send>(
        &self,
        path: &Path,
        writer: &IndexWriter<Queued>,
        fence: &Fence,
        parts: Vec<Part<'_, E>>,
    ) -> Result<u64, E> {
        let shared = Shared {
            build: self,
            writer,
            queue: Queue::default(),
            documents: AtomicU64::new(0),
            stopped: AtomicBool::new(false),
            fence: fence.clone(),
        };
        // The first is the cause of the others.
        let first = Mutex::new(None);
        thread::scope(|threads| {
            for part in parts {
                threads.spawn(|| {
                    let error = part(&mut |row| shared.row(path, row)).err();
                    if let Some(error) = error {
                        first.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                        shared.stopped.store(true, Ordering::Relaxed);
                    }
                });
            }
        });
        match first.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(shared.documents.into_inner()),
        }
    }

    /// Makes durable what was added, in few files.
    fn commit(
        &self,
        path: &Path,
        writer: &mut IndexWriter<Queued>,
        fence: &Fence,
        documents: u64,
    ) -> Result<usize, Error> {
        let failed = |error| writer::cause(path, fence, error);
        writer::commit(writer, self.payload, self.steps).map_err(failed)?;
        let segments = writer.index().searchable_segment_metas().map_err(failed)?;
        let merges = groups(segments).into_iter().filter(|group| group.len() > 1);
        let mut merges: Vec<_> = merges.map(|group| writer.merge(&group)).collect();
        while !merges.is_empty() {
            if !(self.progress)(documents) {
                return Err(Error::Stopped { path: path.to_path_buf() });
            }
            let mut context = Context::from_waker(Waker::noop());
            let mut ended = Ok(());
            merges.retain_mut(|merge| match Pin::new(merge).poll(&mut context) {
                Poll::Pending => true,
                Poll::Ready(result) => {
                    if let Err(error) = result {
                        ended = Err(failed(error));
                    }
                    false
                }
            });
            ended?;
            thread::park_timeout(if merges.is_empty() { Duration::ZERO } else { MERGE_BEAT });
        }
        writer.index().directory().sync_directory().map_err(|error| failed(error.into()))?;
        Ok(writer.index().searchable_segment_ids().map_err(failed)?.len())
    }
}

impl Shared<'_> {
    fn row(&self, path: &Path, row: &[Cell]) -> Result<(), Error> {
        if self.stopped.load(Ordering::Relaxed) {
            return Err(Error::Stopped { path: path.to_path_buf() });
        }
        let (_, document, bytes) = self.build.shape.document(row)?;
        let added = self.writer.add_document(self.queue.enter(document, bytes));
        added.map_err(|error| writer::cause(path, &self.fence, error))?;
        let documents = self.documents.fetch_add(1, Ordering::Relaxed) + 1;
        if documents.is_multiple_of(BEAT) && !(self.build.progress)(documents) {
            return Err(Error::Stopped { path: path.to_path_buf() });
        }
        Ok(())
    }
}

/// Shares segments out to be merged, so that about as many documents are in each group.
fn groups(mut segments: Vec<SegmentMeta>) -> Vec<Vec<SegmentId>> {
    segments.sort_by_key(|segment| std::cmp::Reverse(segment.num_docs()));
    let mut groups: Vec<(u64, Vec<SegmentId>)> = vec![(0, Vec::new()); SEGMENTS_MAX];
    for segment in segments {
        let smallest = groups.iter_mut().min_by_key(|(documents, _)| *documents);
        let (documents, group) = smallest.expect("there are groups");
        *documents += u64::from(segment.num_docs());
        group.push(segment.id());
    }
    groups.into_iter().map(|(_, group)| group).collect()
}
