//! The files of an index, for one writer: once that has ended, nothing that it left behind touches them.
//!
//! Tantivy merges in threads of its own. They outlive their writer, and one of them that ends late would write the list of
//! files as its writer knew it over the list that the next one has committed. So each opening of an index has a fence,
//! and a closed fence lets no write, removal or sync through.
//!
//! Tantivy guards its files against the readers of other processes by a lock file that anybody could hold for ever, in
//! the middle of our commit. No other process may open an index, so that lock is one within this process.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, PoisonError, RwLock, RwLockReadGuard};

use tantivy::Directory;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    DirectoryLock, FileHandle, Lock, META_LOCK, WatchCallback, WatchHandle, WritePtr,
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
    /// Whether somebody removes files, or opens them.
    busy: Mutex<bool>,
    free: Condvar,
}

/// Held while files are opened or removed.
struct Busy(Fence);

impl Fenced {
    pub(super) fn new(inner: Box<dyn Directory>) -> Self {
        let shared =
            Shared { open: RwLock::new(true), busy: Mutex::new(false), free: Condvar::new() };
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

    /// Nobody closes it while the pass is held.
    fn pass(&self) -> io::Result<RwLockReadGuard<'_, bool>> {
        let open = self.0.open.read().unwrap_or_else(PoisonError::into_inner);
        if *open { Ok(open) } else { Err(io::Error::other("the index's writer has ended")) }
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
        let failed =
            |error| DeleteError::IoError { io_error: Arc::new(error), filepath: path.into() };
        let _pass = self.fence.pass().map_err(failed)?;
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let failed = |error| OpenWriteError::wrap_io_error(error, path.into());
        let _pass = self.fence.pass().map_err(failed)?;
        self.inner.open_write(path)
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.inner.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        let _pass = self.fence.pass()?;
        self.inner.atomic_write(path, data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        let _pass = self.fence.pass()?;
        self.inner.sync_directory()
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
