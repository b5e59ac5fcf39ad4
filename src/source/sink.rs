//! Where a reader puts what it reads: into one projection's queue, or into those of all that share it.

use std::sync::Arc;

use super::Delivery;
use super::queue::{Closed, Sender};
use super::share::Share;

/// The reader's side of what it fills.
#[derive(Debug)]
pub enum Sink {
    Queue(Sender),
    Share(Arc<Share>),
}

impl Sink {
    /// Waits until there is less than the bound, then adds to it.
    pub(super) async fn send(&self, delivery: Delivery) -> Result<(), Closed> {
        match self {
            Self::Queue(sender) => sender.send(delivery).await,
            Self::Share(share) => share.send(delivery).await,
        }
    }

    /// Waits until there is less than half of the bound: the moment to ask the server for more.
    pub(super) async fn room(&self) -> Result<(), Closed> {
        match self {
            Self::Queue(sender) => sender.room().await,
            Self::Share(share) => share.room().await,
        }
    }

    /// Whether there is less than half of the bound.
    pub(super) fn has_room(&self) -> bool {
        match self {
            Self::Queue(sender) => sender.has_room(),
            Self::Share(share) => share.has_room(),
        }
    }

    /// The bound of one queue.
    pub(super) fn bytes_max(&self) -> usize {
        match self {
            Self::Queue(sender) => sender.bytes_max(),
            Self::Share(share) => share.bytes_max(),
        }
    }

    /// Waits until nobody takes what is read.
    pub(super) async fn closed(&self) {
        match self {
            Self::Queue(sender) => sender.closed().await,
            Self::Share(share) => share.closed().await,
        }
    }
}

impl From<Sender> for Sink {
    fn from(sender: Sender) -> Self {
        Self::Queue(sender)
    }
}
