//! The threads of workers and builders, and what they tell of their ends.

use std::panic::AssertUnwindSafe;
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

use tokio::sync::mpsc;

use crate::worker::End;

/// Those that run, until the daemon ends.
pub(super) struct Threads {
    /// None: no more are begun.
    handles: Mutex<Option<Vec<JoinHandle<()>>>>,
    ended: mpsc::UnboundedSender<Worked>,
}

/// What a thread came to that ends the daemon, if anything does.
pub(super) enum Worked {
    Ended(End),
    /// Of this projection.
    Panicked(String),
}

impl Threads {
    pub(super) fn new() -> (Self, mpsc::UnboundedReceiver<Worked>) {
        let (ended, heard) = mpsc::unbounded_channel();
        (Self { handles: Mutex::new(Some(Vec::new())), ended }, heard)
    }

    /// Begins one for a projection; not once the daemon is ending.
    pub(super) fn spawn(
        &self,
        name: &str,
        projection: &str,
        run: impl FnOnce() -> End + Send + 'static,
    ) {
        let mut handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(handles) = &mut *handles else { return };
        handles.retain(|thread| !thread.is_finished());
        let (ended, projection) = (self.ended.clone(), projection.to_owned());
        let run = move || {
            // Nothing that the thread has used is used after a panic but the name.
            let worked = match std::panic::catch_unwind(AssertUnwindSafe(run)) {
                Ok(end) => Worked::Ended(end),
                Err(_) => Worked::Panicked(projection),
            };
            // Nobody listens any more only when the daemon has ended.
            let _ = ended.send(worked);
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        handles.push(thread.expect("the system has a thread to give"));
    }

    /// Waits for all of them; blocks. None is begun any more.
    pub(super) fn join(&self) {
        let handles = self.handles.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A thread tells of its own panic; the join only waits.
        handles.into_iter().flatten().for_each(|thread| drop(thread.join()));
    }
}
