//! A view at exactly one sequence, for whoever compares it with another.

use std::sync::mpsc::TrySendError;
use std::time::Duration;

use tokio::sync::oneshot;

use super::daemon::Daemon;
use crate::event::Sequence;
use crate::status::State;
use crate::store::snapshot::Snapshot;
use crate::worker::command::{Command, Refused};
use crate::worker::numbers::Numbers;

/// Why there is none.
#[derive(Debug)]
pub enum Unseen {
    Refused(Refused),
    /// The projection is failed or paused, before the sequence.
    Standing(Box<Numbers>),
    TimedOut {
        current: Sequence,
        /// What keeps the projection from going on, if that is known.
        detail: Option<String>,
    },
    /// The daemon is shutting down.
    Draining,
}

impl Daemon {
    /// The view as it is at this sequence: its worker ends a batch there.
    pub async fn snapshot_at(
        &self,
        projection: &str,
        sequence: Sequence,
        timeout: Duration,
    ) -> Result<Snapshot, Unseen> {
        let tracked = self.tracked(projection).ok_or(Unseen::Refused(Refused::Unknown))?;
        let numbers = tracked.shared.numbers();
        let stands = matches!(numbers.state, State::Failed | State::Paused);
        if stands && numbers.sequence < sequence {
            return Err(Unseen::Standing(Box::new(numbers)));
        }
        let (reply, answer) = oneshot::channel();
        match tracked.commands.try_send(Command::SnapshotAt(sequence, reply)) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                let busy = "another command is being carried out".to_owned();
                return Err(Unseen::Refused(Refused::Busy(busy)));
            }
            // It has no worker.
            Err(TrySendError::Disconnected(_)) => return Err(Unseen::Standing(Box::new(numbers))),
        }
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(answer)) => answer.map_err(Unseen::Refused),
            Ok(Err(_)) => Err(Unseen::Draining),
            Err(_) => {
                let Numbers { sequence: current, detail, .. } = tracked.shared.numbers();
                Err(Unseen::TimedOut { current, detail })
            }
        }
    }
}
