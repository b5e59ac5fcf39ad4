//! When the write-ahead log is copied into the database.
//!
//! SQLite would do so inside whichever commit crosses a threshold, and each copy syncs twice: tens of milliseconds in
//! which nothing becomes visible. Here a thread with a connection of its own copies while the writer goes on. It writes
//! no row, and it waits for nobody: always PASSIVE.
//!
//! A log begins anew only at a commit before which all of it was copied. While commits follow one another the thread
//! leaves some behind each time, so a log that has become large is finished by the writer, at a moment when next to
//! nothing is left to copy. A reader that holds an old snapshot keeps the log as well: trying again is put off until it
//! has grown by as much again.
//!
//! | the log is past | what happens after a commit |
//! |---|---|
//! | [`LIVE_BYTES`] at the head of the stream, [`CATCHING_UP_BYTES`] before | the thread copies |
//! | [`FINISH_BYTES`], and less than [`REST_BYTES`] are left | the writer copies the rest |
//! | [`WAIT_BYTES`] | the writer waits for the thread, and copies the rest |

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

use super::Error;
use super::connection::open_writer;

/// 4 MB, what SQLite's own default of 1000 pages comes to: a small copy disturbs who writes meanwhile least.
const LIVE_BYTES: u64 = 1000 * FRAME_BYTES;
/// Pages that change again and again are copied once for so much.
const CATCHING_UP_BYTES: u64 = 16 << 20;
/// As large as the file stays when the log begins anew.
const FINISH_BYTES: u64 = 64 << 20;
/// A few milliseconds' work.
const REST_BYTES: u64 = 1 << 20;
/// Writing is faster than copying: more of the disk is not taken for that.
const WAIT_BYTES: u64 = 256 << 20;
/// A page and its header.
const FRAME_BYTES: u64 = 4096 + 24;
/// The thread's: it keeps no pages.
const CACHE_BYTES: u64 = 256 << 10;

/// What came of the log, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wal {
    /// All of the log was copied.
    pub complete: u64,
    /// A reader held some of it back, or it grew meanwhile.
    pub partial: u64,
    pub failed: u64,
}

/// The log of one store.
pub(super) struct Log {
    path: PathBuf,
    numbers: Wal,
    /// From the first copy on.
    copier: Option<Copier>,
    /// The thread is at work.
    asked: bool,
    /// How many frames the log had when it was last looked at.
    frames: u64,
    /// How many it had at the last try, if that left some behind.
    tried_at: u64,
    /// The writer does not try to copy the rest before the log has so many.
    finish_at: u64,
}

/// A thread that copies when it is asked to.
struct Copier {
    /// None: it is to end.
    asks: Option<SyncSender<()>>,
    outcomes: Receiver<Result<Copied, Error>>,
    thread: Option<JoinHandle<()>>,
}

/// Frames in the log, and how many of them are in the database.
#[derive(Clone, Copy)]
struct Copied {
    frames: u64,
    copied: u64,
}

impl Log {
    pub(super) fn new(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            numbers: Wal::default(),
            copier: None,
            asked: false,
            frames: 0,
            tried_at: 0,
            finish_at: 0,
        }
    }

    pub(super) fn numbers(&self) -> Wal {
        self.numbers
    }

    /// After a commit; at the head of the stream others wait for the next one.
    pub(super) fn committed(&mut self, connection: &Connection, live: bool) -> Result<(), Error> {
        self.look(connection, if live { LIVE_BYTES } else { CATCHING_UP_BYTES })
    }

    /// When there is nothing to write.
    pub(super) fn idle(&mut self, connection: &Connection) -> Result<(), Error> {
        self.look(connection, LIVE_BYTES)
    }

    fn look(&mut self, connection: &Connection, bytes: u64) -> Result<(), Error> {
        if let Some(outcome) = self.outcome(false) {
            self.tried(outcome)?;
        }
        let Copied { frames, copied } = self.checkpoint(connection, CheckpointMode::NOOP)?;
        if frames < self.frames {
            // The log was begun anew.
            (self.tried_at, self.finish_at) = (0, 0);
        }
        self.frames = frames;
        let size = frames * FRAME_BYTES;
        let left = frames.saturating_sub(copied) * FRAME_BYTES;
        let due = frames.saturating_sub(copied.max(self.tried_at)) * FRAME_BYTES;
        if size >= WAIT_BYTES && due >= bytes {
            if let Some(outcome) = self.outcome(true) {
                self.tried(outcome)?;
            }
            return self.copy(connection);
        }
        if self.asked {
            return Ok(());
        }
        if size >= FINISH_BYTES && left <= REST_BYTES && frames >= self.finish_at {
            self.finish_at = frames + REST_BYTES / FRAME_BYTES;
            return self.copy(connection);
        }
        if due >= bytes {
            self.ask();
        }
        Ok(())
    }

    /// The writer's own copy.
    fn copy(&mut self, connection: &Connection) -> Result<(), Error> {
        let outcome = self.checkpoint(connection, CheckpointMode::PASSIVE);
        self.tried(outcome)
    }

    fn ask(&mut self) {
        let copier = match &self.copier {
            Some(copier) => copier,
            None => match Copier::start(&self.path) {
                Ok(copier) => self.copier.insert(copier),
                Err(error) => {
                    tracing::warn!(%error, "start the thread that copies the log");
                    self.numbers.failed += 1;
                    self.tried_at = self.frames;
                    return;
                }
            },
        };
        self.asked = copier.asks.as_ref().is_some_and(|asks| asks.try_send(()).is_ok());
    }

    /// What the thread has done, if it was asked; None also if it is still at work and `wait` is false.
    fn outcome(&mut self, wait: bool) -> Option<Result<Copied, Error>> {
        let copier = self.copier.as_ref().filter(|_| self.asked)?;
        let heard = match wait {
            true => copier.outcomes.recv().map_err(TryRecvError::from),
            false => copier.outcomes.try_recv(),
        };
        self.asked = matches!(heard, Err(TryRecvError::Empty));
        if matches!(heard, Err(TryRecvError::Disconnected)) {
            // It has panicked: the next ask starts another.
            self.copier = None;
        }
        heard.ok()
    }

    fn tried(&mut self, outcome: Result<Copied, Error>) -> Result<(), Error> {
        match outcome {
            Ok(Copied { frames, copied }) => {
                let all = copied >= frames;
                self.tried_at = if all { 0 } else { frames };
                *(if all { &mut self.numbers.complete } else { &mut self.numbers.partial }) += 1;
                Ok(())
            }
            Err(error) => {
                self.tried_at = self.frames;
                self.numbers.failed += 1;
                Err(error)
            }
        }
    }

    fn checkpoint(&self, connection: &Connection, mode: CheckpointMode) -> Result<Copied, Error> {
        checkpoint(connection, mode).map_err(|error| Error::sqlite(&self.path, error))
    }
}

impl Copier {
    fn start(path: &Path) -> std::io::Result<Self> {
        // One ask at a time, and its answer is taken before the next.
        let (asks, asked) = mpsc::sync_channel::<()>(1);
        let (sender, outcomes) = mpsc::channel();
        let path = path.to_path_buf();
        let run = move || {
            let mut own = None;
            while asked.recv().is_ok() {
                if sender.send(copy(&path, &mut own)).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("copy-log".to_owned()).spawn(run)?;
        Ok(Self { asks: Some(asks), outcomes, thread: Some(thread) })
    }
}

impl Drop for Copier {
    /// Whoever closes a store has closed the file.
    fn drop(&mut self) {
        self.asks = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the thread that copies the log has panicked");
        }
    }
}

fn copy(path: &Path, own: &mut Option<Connection>) -> Result<Copied, Error> {
    let connection = match own {
        Some(connection) => connection,
        None => own.insert(open_writer(path, CACHE_BYTES)?),
    };
    checkpoint(connection, CheckpointMode::PASSIVE).map_err(|error| Error::sqlite(path, error))
}

fn checkpoint(connection: &Connection, mode: CheckpointMode) -> rusqlite::Result<Copied> {
    let (frames, copied) = connection.wal_checkpoint_v2(Some("main"), mode)?;
    // -1: not in WAL mode yet, or nothing written.
    let number = |frames| u64::try_from(frames).unwrap_or(0);
    Ok(Copied { frames: number(frames), copied: number(copied) })
}

#[cfg(test)]
impl Log {
    /// The thread is done with what it was asked for; how many frames the log has.
    pub(super) fn done(&mut self) -> u64 {
        if let Some(outcome) = self.outcome(true) {
            self.tried(outcome).expect("copied");
        }
        self.frames
    }
}
