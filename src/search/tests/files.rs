//! Files in memory that outlive an index's openings, tell what was done to them in order, and fail where a test says.

use std::fmt;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};

use tantivy::Directory;
use tantivy::directory::error::{DeleteError, LockError, OpenReadError, OpenWriteError};
use tantivy::directory::{
    AntiCallToken, DirectoryLock, FileHandle, Lock, RamDirectory, TerminatingWrite, WatchCallback,
    WatchHandle, WritePtr,
};

/// Called before anything is written, with what it is; an error is what it ends with.
type Before = Arc<dyn Fn(&str) -> io::Result<()> + Send + Sync>;

/// A clone is the same files.
#[derive(Clone, Default)]
pub(super) struct Files {
    inner: RamDirectory,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    done: Vec<String>,
    before: Option<Before>,
}

struct Writing {
    inner: WritePtr,
    files: Files,
    name: String,
}

impl Files {
    /// What becomes of each write from here on.
    pub(super) fn before(&self, before: impl Fn(&str) -> io::Result<()> + Send + Sync + 'static) {
        self.shared.lock().unwrap().before = Some(Arc::new(before));
    }

    pub(super) fn heal(&self) {
        self.shared.lock().unwrap().before = None;
    }

    /// What was done since this was last asked, in order.
    pub(super) fn done(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unwrap().done)
    }

    /// The file of a name that ends so, to be changed behind an index's back.
    pub(super) fn file(&self, ending: &str) -> (String, Vec<u8>) {
        let meta = self.inner.atomic_read(Path::new(".managed.json")).unwrap();
        let names: Vec<String> = serde_json::from_slice(&meta).unwrap();
        let name = names.into_iter().find(|name| name.ends_with(ending)).unwrap();
        let bytes = self.inner.open_read(Path::new(&name)).unwrap();
        (name, bytes.read_bytes().unwrap().as_slice().to_vec())
    }

    pub(super) fn overwrite(&self, name: &str, bytes: &[u8]) {
        self.inner.atomic_write(Path::new(name), bytes).unwrap();
    }

    /// A copy of all files as they are.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::default();
        self.inner.persist(&copy.inner).unwrap();
        copy
    }

    fn does(&self, what: &str, path: &str) -> io::Result<()> {
        let doing = format!("{what} {path}");
        let before = self.shared.lock().unwrap().before.clone();
        if let Some(before) = before {
            before(&doing)?;
        }
        self.shared.lock().unwrap().done.push(doing);
        Ok(())
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Files")
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.files.does("write", &self.name)?;
        self.inner.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl TerminatingWrite for Writing {
    fn terminate_ref(&mut self, token: AntiCallToken) -> io::Result<()> {
        self.files.does("sync", &self.name)?;
        self.inner.terminate_ref(token)
    }
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

impl Directory for Files {
    fn get_file_handle(&self, path: &Path) -> Result<Arc<dyn FileHandle>, OpenReadError> {
        self.inner.get_file_handle(path)
    }

    fn delete(&self, path: &Path) -> Result<(), DeleteError> {
        let failed =
            |error| DeleteError::IoError { io_error: Arc::new(error), filepath: path.into() };
        self.does("delete", name(path)).map_err(failed)?;
        self.inner.delete(path)
    }

    fn exists(&self, path: &Path) -> Result<bool, OpenReadError> {
        self.inner.exists(path)
    }

    fn open_write(&self, path: &Path) -> Result<WritePtr, OpenWriteError> {
        let failed = |error| OpenWriteError::wrap_io_error(error, path.into());
        self.does("create", name(path)).map_err(failed)?;
        let inner = self.inner.open_write(path)?;
        let writing = Writing { inner, files: self.clone(), name: name(path).to_owned() };
        Ok(BufWriter::new(Box::new(writing)))
    }

    fn atomic_read(&self, path: &Path) -> Result<Vec<u8>, OpenReadError> {
        self.inner.atomic_read(path)
    }

    fn atomic_write(&self, path: &Path, data: &[u8]) -> io::Result<()> {
        self.does("replace", name(path))?;
        self.inner.atomic_write(path, data)
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.does("sync", "folder")?;
        self.inner.sync_directory()
    }

    fn acquire_lock(&self, lock: &Lock) -> Result<DirectoryLock, LockError> {
        self.inner.acquire_lock(lock)
    }

    fn watch(&self, callback: WatchCallback) -> tantivy::Result<WatchHandle> {
        self.inner.watch(callback)
    }
}
