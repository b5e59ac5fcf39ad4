//! The files of an index, for one writer: once that has ended, nothing that it left behind touches them.
//!
//! Tantivy merges in threads of its own. They outlive their writer, and one of them that ends late would write the list of
//! files as its writer knew it over the list that the next one has committed. So each opening of an index has a fence,
//! and a closed fence lets no write, removal or sync through.
//!
//! Tantivy hides some failed writes behind errors of its own that name no kind. What failed first is noted here, so that a
//! full disk is told from the rest.
//!
//! Tantivy guards its files against the readers of other processes by a lock file that anybody could hold for ever, in
//! the middle of our commit. No other process may open an index, so that lock is one within this process.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock};

use tantivy::Directory;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, DirectoryLock, FileHandle, Lock, META_LOCK, TerminatingWrite, WatchCallback,
    WatchHandle, WritePtr,
};

/// The files of one opening of an index.
#[derive(Clone)]
pub(super) struct Fenced {
    inner: Box<dyn Directory>,
    fence: Fence,
}

/// Shared by all that one opening of an index has begun.
#[derive(Clone)]
pub(super) struct Fence(Arc<Shared>);

struct Shared {
    open: RwLock<bool>,
    /// The first write that failed, as far as anybody needs to know it.
    failed: Mutex<Option<(io::ErrorKind, String)>>,
    /// Whether somebody removes files, or opens them.
    busy: Mutex<bool>,
    free: Condvar,
}

/// Held while files are opened or removed.
struct Busy(Fence);

/// A file that is being written.
struct Writing {
    inner: Box<dyn TerminatingWrite + Send + Sync>,
    fence: Fence,
}

impl Fenced {
    pub(super) fn new(inner: Box<dyn Directory>) -> Self {
        let shared = Shared {
            open: RwLock::new(true),
            failed: Mutex::default(),
            busy: Mutex::new(false),
            free: Condvar::new(),
        };
        Self { inner, fence: Fence(Arc::new(shared)) }
    }

    pub(super) fn fence(&self) -> Fence {
        self.fence.clone()
    }
}

impl Fence {
    /// When it returns, nothing is being changed, and nothing will be.
    pub(super) fn close(&self) {
        *self.0.open.write().unwrap_or_else(PoisonError::into_inner) = false;
    }

    pub(super) fn is_open(&self) -> bool {
        *self.0.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What failed first, if a write has failed; forgotten then.
    pub(super) fn failure(&self) -> Option<io::Error> {
        let failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        failed.map(|(kind, text)| io::Error::new(kind, text))
    }

    /// Does what changes files. Nobody closes the fence meanwhile.
    fn pass<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let open = self.0.open.read().unwrap_or_else(PoisonError::into_inner);
        if !*open {
            return Err(io::Error::other("the index's writer has ended"));
        }
        work().inspect_err(|error| self.note(error))
    }

    fn note(&self, error: &io::Error) {
        let mut failed = self.0.failed.lock().unwrap_or_else(PoisonError::into_inner);
        failed.get_or_insert_with(|| (error.kind(), error.to_string()));
    }

    fn busy(&self) -> Busy {
        let mut busy = self.0.busy.lock().unwrap_or_else(PoisonError::into_inner);
        while *busy {
            busy = self.0.free.wait(busy).unwrap_or_else(PoisonError::into_inner);
        }
        *busy = true;
        Busy(self.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        *self.0.0.busy.lock().unwrap_or_else(PoisonError::into_inner) = false;
        self.0.0.free.notify_one();
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.fence.pass(|| self.inner.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.fence.pass(|| self.inner.flush())
    }
}

impl TerminatingWrite for Writing {
    fn terminate_ref(&mut self, token: AntiCallToken) -> io::Result<()> {
        self.fence.pass(|| self.inner.terminate_ref(token))
    }
}

impl fmt::Debug for Fenced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fenced({:?})", self.inner)
    }
}

impl Directory for Fenced {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let deleted = self.fence.pass(|| Ok(self.inner.delete(path)));
        deleted.unwrap_or_else(|error| {
            Err(DeleteError::IoError { io_error: Arc::new(error), filepath: path.into() })
        })
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let opened = self.fence.pass(|| Ok(self.inner.open_write(path)));
        let opened = opened.map_err(|error| OpenWriteError::wrap_io_error(error, path.into()))?;
        if let Err(OpenWriteError::IoError { io_error, .. }) = &opened {
            self.fence.note(io_error);
        }
        let inner = opened?
            .into_inner()
            .map_err(|error| OpenWriteError::wrap_io_error(error.into_error(), path.into()))?;
        Ok(BufWriter::new(Box::new(Writing { inner, fence: self.fence.clone() })))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.inner.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.fence.pass(|| self.inner.atomic_write(path, data))
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.fence.pass(|| self.inner.sync_directory())
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        if lock.filepath == META_LOCK.filepath {
            return Ok(Box::new(self.fence.busy()).into());
        }
        self.inner.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}
