//! One bulk read for several members at once: a stream is read and decoded once, however many views are built from it.
//!
//! All begin at the same position, nobody is dismissed, and the slowest sets the pace: who is ahead waits, as it would
//! for the stream. What lies in the members' queues are the same chunks, so together they hold no more than the longest
//! of them does, which is one queue's bound. A member leaves by dropping its feed, and the others go on.
//!
//! Nothing is begun anew here. A fault is the last that each member gets; if the reader panics, or is cancelled, each
//! feed ends with what lies in it, and what comes next is for the members to decide.

use std::sync::Arc;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::Position;
use super::feed::{Current, Feed};
use super::hub::{Source, read};
use super::share::Share;
use super::sink::Sink;
use super::status::{Recreate, Status, Tally};

/// What one of them takes from.
#[derive(Debug)]
pub struct Member {
    pub feed: Feed,
    /// The reader that all have, and how much this member has not taken yet.
    pub current: Arc<Current>,
}

/// The task that reads for all; [`Task::run`] is to be spawned.
#[derive(Debug)]
pub struct Task {
    source: Arc<Source>,
    tally: Arc<Tally>,
    position: Position,
    share: Arc<Share>,
    status: Arc<Status>,
}

/// So many feeds of what comes after a position, and the task that fills them.
pub fn convoy(
    source: Arc<Source>,
    tally: Arc<Tally>,
    position: Position,
    members: usize,
) -> (Vec<Member>, Task) {
    let status = Arc::new(Status::new(Arc::clone(&tally)));
    status.set_position(&position);
    let share = Share::patient(position.clone(), source.queue_bytes_max);
    let member = || {
        let current = Arc::new(Current::of(&status));
        let seat = share.join(current.gauge()).expect("a share that has just begun has not ended");
        // Where it would leave is not asked: it goes by itself, or all end.
        Member { feed: Feed::of(seat.receiver), current }
    };
    let members = std::iter::repeat_with(member).take(members).collect();
    (members, Task { source, tally, position, share, status })
}

impl Task {
    /// Reads until cancelled, until no member is left, or up to a fault.
    pub async fn run(self, cancel: CancellationToken) {
        // However this ends, the feeds end with it.
        let _ending = Ending(Arc::clone(&self.share));
        let stream = self.source.settings.stream.clone();
        let sink = Sink::Share(self.share.clone());
        let mut reading = JoinSet::new();
        reading.spawn(read(
            self.source.clone(),
            self.position.clone(),
            sink,
            self.status.clone(),
            cancel,
        ));
        if let Some(Err(error)) = reading.join_next().await {
            tracing::error!(stream, %error, "reader of several builds ended");
            self.tally.count_recreate(Recreate::Panicked);
        }
    }
}

/// Ends a share's queues.
struct Ending(Arc<Share>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}
