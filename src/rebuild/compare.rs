//! Two generations, row by row, while both go on: what differs between a rebuilt view and the one that is served.

use std::thread::JoinHandle;

use tokio_util::sync::CancellationToken;

use super::end::End;
use crate::store::Error;
use crate::store::difference::Comparison;
use crate::store::snapshot::Snapshot;

/// A comparison at work, on a thread of its own.
pub(super) struct Comparing(JoinHandle<Result<Comparison, Error>>);

impl Comparing {
    /// Begins with the snapshots of what is served and of what was built.
    pub(super) fn begin(snapshots: (Snapshot, Snapshot), cancel: &CancellationToken) -> Self {
        let (mut served, mut built) = snapshots;
        let cancel = cancel.clone();
        let compare = move || {
            for snapshot in [&mut served, &mut built] {
                let cancel = cancel.clone();
                snapshot.stop_when(move || cancel.is_cancelled())?;
            }
            Comparison::of(&mut served, &mut built)
        };
        let thread = std::thread::Builder::new().name("compare".to_owned()).spawn(compare);
        Self(thread.expect("the system has a thread to give"))
    }

    pub(super) fn is_over(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits for what came of it.
    pub(super) fn result(self) -> Result<Comparison, End> {
        match self.0.join() {
            Ok(Err(Error::Stopped { .. })) => Err(End::Cancelled),
            Ok(compared) => Ok(compared?),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}
