//! A generation that may follow the one that is served: sealed, and at work like a served one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::batch::Batcher;
use super::fences::Fences;
use super::recipe::Recipe;
use crate::budget::Ticket;
use crate::event::Sequence;
use crate::lag::Watch;
use crate::source::Delivery;
use crate::source::accept::Look;
use crate::source::feed::Feed;
use crate::source::status::Tally;
use crate::store::snapshot::Snapshot;
use crate::store::writer::Store;

/// Everything that a worker goes on with.
pub struct Successor {
    pub recipe: Arc<Recipe>,
    pub store: Store,
    /// For its full-text indexes.
    pub fences: Fences,
    pub batcher: Batcher,
    pub batch_events_max: usize,
    pub feed: Feed,
    /// What was delivered and is not applied yet: a batch ended before it.
    pub left: VecDeque<Delivery>,
    pub watch: Watch,
    pub look: Look,
    /// Of its stream.
    pub tally: Arc<Tally>,
    /// Its store's part in the memory budget.
    pub ticket: Ticket,
    /// How many messages it had read where the one that is served stands still, before it went on.
    pub counted: Option<(Sequence, u64)>,
}

/// What two generations meet for, at one sequence.
#[derive(Clone, Debug)]
pub enum Purpose {
    /// One snapshot of each is opened.
    Compare,
    /// The successor is served from then on.
    CutOver {
        /// Whatever the checks find.
        force: bool,
        /// Though it has read less than the generation that is served (I11).
        forget: bool,
        pin: Pin,
        /// As it stands, and it follows from there.
        now: bool,
    },
}

/// What becomes of the mark by which a projection stays at what it was rolled back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// Set, to what is left.
    Set,
    Clear,
    /// No person has decided anything.
    Keep,
}

/// Where a successor lies that asks to be met: whoever comes first takes it, the worker or the builder that has waited
/// long enough.
#[derive(Clone)]
pub struct Place(Arc<Mutex<Option<Box<Successor>>>>);

impl Place {
    pub fn with(successor: Box<Successor>) -> Self {
        Self(Arc::new(Mutex::new(Some(successor))))
    }

    /// None if somebody else has come first.
    pub fn take(&self) -> Option<Box<Successor>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A successor that asks to meet the generation that is served.
pub struct Meet {
    pub place: Place,
    /// Its build is to end: it is not served any more.
    pub cancel: CancellationToken,
    pub purpose: Purpose,
    /// How long either may be kept from its work.
    pub patience: Duration,
    pub reply: oneshot::Sender<Met>,
}

impl Meet {
    /// Gives the successor back.
    pub(super) fn not_now(self) {
        if let Some(successor) = self.place.take() {
            let _ = self.reply.send(Met::Apart(successor));
        }
    }
}

/// What became of a meeting; whoever is not served comes back.
pub enum Met {
    /// Of the generation that is served, and of the successor.
    Snapshots(Box<Successor>, Box<(Snapshot, Snapshot)>),
    /// The successor is served.
    CutOver,
    /// They did not come to one sequence in time: the successor has to catch up first.
    Apart(Box<Successor>),
    /// Its full-text indexes show less than those that are searched.
    Unsearched { successor: Box<Successor>, detail: String },
    /// It has read less than what is served, which would be forgotten (I11).
    Less { successor: Box<Successor>, detail: String },
    /// The checks say no.
    Refused { successor: Box<Successor>, detail: String },
    /// It cannot be done at all, and the successor is of no use.
    Failed { successor: Box<Successor>, detail: String },
}
