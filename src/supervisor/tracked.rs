//! One projection as the supervisor holds it: handles, and what its definition on disk asks for.

use std::sync::mpsc::{SyncSender, TrySendError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::refused::Refused;
use crate::definition::fingerprint::Fingerprint;
use crate::rebuild::Serving;
use crate::store::files::Files;
use crate::store::layout::Folder;
use crate::worker::command::Command;
use crate::worker::recipe::Recipe;
use crate::worker::shared::Shared;

/// A worker looks for commands between two batches; one that is at work for longer is told so by the watchdog.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(30);
const LEAVE_AGAIN: Duration = Duration::from_millis(20);

/// What the daemon keeps of one projection, however often its generation changes.
pub(super) struct Tracked {
    pub(super) shared: Arc<Shared>,
    /// Of its generations.
    pub(super) folder: Folder,
    pub(super) files: Files,
    /// None where nothing can be served.
    worker: Mutex<Option<Working>>,
    intent: Mutex<Intent>,
}

/// A worker's handles.
#[derive(Clone)]
pub(super) struct Working {
    pub(super) commands: SyncSender<Command>,
    /// Cancelled when its thread has ended.
    pub(super) ended: CancellationToken,
}

/// What is to be served, as the files say.
#[derive(Clone)]
pub(super) struct Intent {
    pub(super) recipe: Arc<Recipe>,
    /// What a build was last begun for by itself: once, whatever became of it.
    pub(super) tried: Option<Fingerprint>,
    pub(super) stay: Stay,
}

/// Whether a definition names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    Stays,
    /// None does any more: its worker is told to end.
    Leaves,
    /// One does again, before its worker has ended.
    Returns,
}

impl Tracked {
    pub(super) fn new(shared: Arc<Shared>, folder: Folder, recipe: Arc<Recipe>) -> Self {
        Self {
            shared,
            files: folder.files(),
            folder,
            worker: Mutex::default(),
            intent: Mutex::new(Intent { recipe, tried: None, stay: Stay::Stays }),
        }
    }

    pub(super) fn name(&self) -> &str {
        self.shared.name()
    }

    pub(super) fn employ(&self, working: Working) {
        *self.worker() = Some(working);
    }

    /// What builders talk to.
    pub(super) fn serving(&self) -> Option<Serving> {
        let working = self.worker().clone()?;
        Some(Serving { commands: working.commands, shared: Arc::clone(&self.shared) })
    }

    pub(super) fn intent(&self) -> Intent {
        self.intent_lock().clone()
    }

    /// Takes what the files say now.
    pub(super) fn intend(&self, recipe: Arc<Recipe>) {
        let mut intent = self.intent_lock();
        intent.recipe = recipe;
        if intent.stay == Stay::Leaves {
            intent.stay = Stay::Returns;
        }
    }

    pub(super) fn has_tried(&self, fingerprint: Option<&Fingerprint>) {
        self.intent_lock().tried = fingerprint.cloned();
    }

    /// Tells its worker something.
    pub(super) fn tell(&self, command: Command) -> Result<(), Refused> {
        let commands = self.worker().as_ref().map(|working| working.commands.clone());
        let Some(commands) = commands else { return Err(self.unserved()) };
        match commands.try_send(command) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => {
                Err(Refused::busy("another command is being carried out"))
            }
            Err(TrySendError::Disconnected(_)) => Err(Refused::Draining),
        }
    }

    /// Whether its worker's thread has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.worker().as_ref().is_some_and(|working| working.ended.is_cancelled())
    }

    /// Ends its worker and waits for that; blocks. False if it stands still and did not end in time: it ends when it
    /// moves again.
    pub(super) fn leave(&self) -> bool {
        self.intent_lock().stay = Stay::Leaves;
        let Some(working) = self.worker().clone() else { return true };
        let until = Instant::now() + LEAVE_TIMEOUT;
        let mut told = false;
        while !working.ended.is_cancelled() {
            if Instant::now() > until {
                return false;
            }
            told = told
                || !matches!(working.commands.try_send(Command::Leave), Err(TrySendError::Full(_)));
            std::thread::sleep(LEAVE_AGAIN);
        }
        *self.worker() = None;
        true
    }

    fn unserved(&self) -> Refused {
        let numbers = self.shared.numbers();
        Refused::NotPossible {
            detail: numbers.detail.unwrap_or_else(|| "nothing is served of it".to_owned()),
            next: numbers.next,
        }
    }

    fn worker(&self) -> MutexGuard<'_, Option<Working>> {
        self.worker.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn intent_lock(&self) -> MutexGuard<'_, Intent> {
        self.intent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
