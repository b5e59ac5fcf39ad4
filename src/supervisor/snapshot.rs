//! A view at exactly one sequence, for whoever compares it with another.

use std::time::Duration;

use tokio::sync::oneshot;

use super::daemon::Daemon;
use super::refused::Refused;
use crate::event::Sequence;
use crate::status::State;
use crate::store::snapshot::Snapshot;
use crate::worker::command::Command;
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
        let tracked = self
            .tracked(projection)
            .ok_or_else(|| Unseen::Refused(Refused::unknown(projection)))?;
        let numbers = tracked.shared.numbers();
        let stands = matches!(numbers.state, State::Failed | State::Paused);
        if stands && numbers.sequence < sequence {
            return Err(Unseen::Standing(Box::new(numbers)));
        }
        let (reply, answer) = oneshot::channel();
        tracked.tell(Command::SnapshotAt(sequence, reply)).map_err(Unseen::Refused)?;
        match tokio::time::timeout(timeout, answer).await {
            Ok(Ok(answer)) => answer.map_err(|refused| Unseen::Refused(refused.into())),
            Ok(Err(_)) => Err(Unseen::Draining),
            Err(_) => {
                let Numbers { sequence: current, detail, .. } = tracked.shared.numbers();
                Err(Unseen::TimedOut { current, detail })
            }
        }
    }
}
