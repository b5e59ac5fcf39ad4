//! When the write-ahead log is copied into the database.
//!
//! SQLite would do so inside whichever commit crosses a threshold. Here the writer does, between commits: past
//! [`COMMIT_BYTES`], or when idle past [`IDLE_BYTES`]. Always PASSIVE: it waits for nobody. A reader that holds an old
//! snapshot keeps the log from being used again from its start, so the log grows; trying again is put off until it
//! has grown by as much again.

use rusqlite::Connection;
use rusqlite::wal::CheckpointMode;

/// A log of 16 MiB costs some 30 ms to copy, and is read through its index without notice.
const COMMIT_BYTES: u64 = 16 << 20;
/// When idle, 4 MB: what SQLite's own default of 1000 pages comes to.
const IDLE_BYTES: u64 = 1000 * FRAME_BYTES;
/// A page and its header.
const FRAME_BYTES: u64 = 4096 + 24;

/// What came of the log, for metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wal {
    /// How many frames the log had at the last try, if that left some behind.
    tried_at_frames: u64,
    /// All of the log was copied.
    pub complete: u64,
    /// A reader held some of it back.
    pub partial: u64,
    pub failed: u64,
}

impl Wal {
    /// After a commit.
    pub(super) fn committed(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.copy_past(COMMIT_BYTES, connection)
    }

    /// When there is nothing to write.
    pub(super) fn idle(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        self.copy_past(IDLE_BYTES, connection)
    }

    fn copy_past(&mut self, bytes: u64, connection: &Connection) -> rusqlite::Result<()> {
        let (frames, copied) = checkpoint(connection, CheckpointMode::NOOP)?;
        if frames < self.tried_at_frames {
            // The log was begun anew.
            self.tried_at_frames = 0;
        }
        if frames.saturating_sub(copied.max(self.tried_at_frames)) * FRAME_BYTES < bytes {
            return Ok(());
        }
        match checkpoint(connection, CheckpointMode::PASSIVE) {
            Ok((frames, copied)) => {
                let all = copied >= frames;
                self.tried_at_frames = if all { 0 } else { frames };
                *(if all { &mut self.complete } else { &mut self.partial }) += 1;
                Ok(())
            }
            Err(error) => {
                self.tried_at_frames = frames;
                self.failed += 1;
                Err(error)
            }
        }
    }
}

/// Frames in the log, and how many of them are in the database.
fn checkpoint(connection: &Connection, mode: CheckpointMode) -> rusqlite::Result<(u64, u64)> {
    let (frames, copied) = connection.wal_checkpoint_v2(Some("main"), mode)?;
    // -1: not in WAL mode yet, or nothing written.
    Ok((u64::try_from(frames).unwrap_or(0), u64::try_from(copied).unwrap_or(0)))
}
