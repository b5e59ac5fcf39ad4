//! What one projection reads, whoever reads it: a reader of its own, or one that it shares.
//!
//! A projection that is behind has a private reader; once it is at the head it takes a seat in the share of all live
//! projections that read the same events, and leaves it when it holds the others up. Each reader fills a lane, which is
//! a queue that ends where the next lane begins:
//!
//! | from | to | why nothing is lost |
//! |---|---|---|
//! | private | share | the seat is taken at sequence S; the private reader ends once it has put S into its own lane |
//! | share | private | whoever leaves is told the position behind the last chunk of its lane |
//! | any | private | a projection that starts again says from which position |
//!
//! Lanes may overlap, since S may lie within the private reader's last chunk: the worker drops what lies at or below its
//! checkpoint, and looks at [`Chunk::after`](crate::event::chunk::Chunk::after) of each chunk, so a hole between two
//! lanes would show.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self as lane, RecvTimeoutError};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::hub::{Hub, Key, Source, read};
use super::queue::{self, Gauge, ReceiveError};
use super::share::Seat;
use super::status::{Recreate, Status, Tally};
use super::{Delivery, Position};
use crate::event::Sequence;
use crate::event::time::Timestamp;

/// A private reader asks for a seat from this near to the head: the head itself moves while it is looked at.
const NEAR: u64 = 1_000;
/// Who was dismissed from a share reads alone for this long at least, so that a projection at the edge of its speed
/// does not come and go.
const ALONE: Duration = Duration::from_secs(5);
/// A reader that panicked is a bug that may come again at once.
const AFTER_PANIC: Duration = Duration::from_secs(1);

/// The worker's end.
#[derive(Debug)]
pub struct Feed {
    lanes: lane::Receiver<(Epoch, queue::Receiver)>,
    /// Those that have arrived; the first is being read.
    arrived: RefCell<VecDeque<queue::Receiver>>,
    epoch: Cell<Epoch>,
    orders: mpsc::UnboundedSender<Order>,
}

/// How often a worker has begun to read anew: lanes of before are not its own any more.
type Epoch = u64;

/// What a worker asks for.
#[derive(Debug)]
struct Order {
    epoch: Epoch,
    /// Where to go on; None: read nothing until told.
    position: Option<Position>,
}

/// Shows which reader a projection has at the moment.
#[derive(Debug, Default)]
pub struct Current {
    status: Mutex<Arc<Status>>,
    gauge: Gauge,
    restarts: AtomicU64,
}

/// The task that has the projection's events read; [`Task::run`] is to be spawned.
#[derive(Debug)]
pub struct Task {
    source: Arc<Source>,
    hub: Hub,
    /// Which share it may take a seat in; None: nobody else reads the same.
    key: Option<Key>,
    tally: Arc<Tally>,
    current: Arc<Current>,
    lanes: lane::Sender<(Epoch, queue::Receiver)>,
    orders: mpsc::UnboundedReceiver<Order>,
    epoch: Epoch,
    begin: Position,
    alone_until: Instant,
}

/// What a task does next.
enum Step {
    Read(Position),
    /// Nothing, until it is told.
    Wait,
    End,
}

/// A feed of what comes after `begin`, and the task that fills it.
pub fn feed(
    source: Arc<Source>,
    hub: Hub,
    key: Option<Key>,
    tally: Arc<Tally>,
    begin: Position,
) -> (Feed, Task) {
    let (lane_sender, lanes) = lane::channel();
    let (order_sender, orders) = mpsc::unbounded_channel();
    let feed =
        Feed { lanes, arrived: RefCell::default(), epoch: Cell::new(0), orders: order_sender };
    let status = Arc::new(Status::new(Arc::clone(&tally)));
    status.set_position(&begin);
    let current = Current::of(&status);
    let task = Task {
        source,
        hub,
        key,
        tally,
        current: Arc::new(current),
        lanes: lane_sender,
        orders,
        epoch: 0,
        begin,
        alone_until: Instant::now(),
    };
    (feed, task)
}

impl Feed {
    /// What one queue holds, and then the end: it is not read anew.
    pub fn of(receiver: queue::Receiver) -> Self {
        Self {
            lanes: lane::channel().1,
            arrived: RefCell::new([receiver].into()),
            epoch: Cell::new(0),
            orders: mpsc::unbounded_channel().0,
        }
    }

    /// Takes the next delivery, waiting for one if need be. `Closed`: the daemon is ending, or its reader has.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Delivery, ReceiveError> {
        let deadline = Instant::now() + timeout;
        let mut arrived = self.arrived.borrow_mut();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Some(first) = arrived.front() else {
                match self.lanes.recv_timeout(left) {
                    Ok((epoch, lane)) if epoch == self.epoch.get() => arrived.push_back(lane),
                    Ok(_) => {}
                    Err(RecvTimeoutError::Timeout) => return Err(ReceiveError::Timeout),
                    Err(RecvTimeoutError::Disconnected) => return Err(ReceiveError::Closed),
                }
                continue;
            };
            match first.recv_timeout(left) {
                Err(ReceiveError::Closed) => drop(arrived.pop_front()),
                taken => return taken,
            }
        }
    }

    /// Takes the next delivery if there is one.
    pub fn try_recv(&self) -> Result<Delivery, ReceiveError> {
        self.recv_timeout(Duration::ZERO)
    }

    /// When the stream stored the oldest message that has been read and not taken.
    pub fn oldest(&self) -> Option<Timestamp> {
        self.arrived.borrow().iter().find_map(queue::Receiver::oldest)
    }

    /// Forgets what has been read, and reads on after `position`.
    pub fn restart(&self, position: Position) {
        self.order(Some(position));
    }

    /// Forgets what has been read, and reads nothing until [`Feed::restart`].
    pub fn halt(&self) {
        self.order(None);
    }

    fn order(&self, position: Option<Position>) {
        let epoch = self.epoch.get() + 1;
        self.epoch.set(epoch);
        // First told, then gone: a reader whose lane is gone looks for an order.
        let _ = self.orders.send(Order { epoch, position });
        self.arrived.borrow_mut().clear();
    }
}

impl Current {
    /// Of a reader that stays the same.
    pub(super) fn of(status: &Arc<Status>) -> Self {
        Self { status: Mutex::new(Arc::clone(status)), ..Self::default() }
    }

    /// What the reader tells of itself.
    pub fn status(&self) -> Arc<Status> {
        Arc::clone(&self.lock())
    }

    /// How much has been read and not taken.
    pub fn gauge(&self) -> &Gauge {
        &self.gauge
    }

    /// How often reading began anew: by order of the worker, or because a reader had panicked.
    pub fn restarts(&self) -> u64 {
        self.restarts.load(Ordering::Relaxed)
    }

    fn count_restart(&self) {
        self.restarts.fetch_add(1, Ordering::Relaxed);
    }

    fn set(&self, status: &Arc<Status>) {
        *self.lock() = Arc::clone(status);
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Status>> {
        self.status.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Task {
    pub fn current(&self) -> &Arc<Current> {
        &self.current
    }

    /// Has everything after the first position read until cancelled, or until the worker is gone.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut step = Step::Read(std::mem::take(&mut self.begin));
        loop {
            step = match step {
                Step::Read(position) => self.read(position, &cancel).await,
                Step::Wait => tokio::select! {
                    biased;
                    () = cancel.cancelled() => Step::End,
                    order = self.orders.recv() => self.obey(order),
                },
                Step::End => return,
            };
        }
    }

    fn obey(&mut self, order: Option<Order>) -> Step {
        let Some(Order { epoch, position }) = order else { return Step::End };
        self.epoch = epoch;
        if position.is_some() {
            self.current.count_restart();
        }
        position.map_or(Step::Wait, Step::Read)
    }

    /// Reads by itself until there is a seat in a share.
    async fn read(&mut self, position: Position, cancel: &CancellationToken) -> Step {
        let mut private = self.private(position, cancel);
        let mut positions = private.status.positions();
        let mut head = self.source.head.clone();
        loop {
            // Before that there is no seat to be had.
            let near = self.ahead().map_or(u64::MAX, |ahead| ahead.0.saturating_sub(NEAR));
            private.status.follow_from(Sequence(near));
            if let Some((seat, status)) = self.seat(&private) {
                return self.share(private, seat, &status, cancel).await;
            }
            tokio::select! {
                biased;
                () = cancel.cancelled() => return private.stop(Step::End).await,
                order = self.orders.recv() => {
                    let step = self.obey(order);
                    return private.stop(step).await;
                }
                ended = private.ended() => return self.ended(&private, ended, cancel).await,
                Ok(()) = positions.changed() => {}
                Ok(()) = head.changed() => {}
            }
        }
    }

    fn private(&self, position: Position, cancel: &CancellationToken) -> Private {
        let status = Arc::new(Status::new(Arc::clone(&self.tally)));
        status.set_position(&position);
        self.current.set(&status);
        let gauge = self.current.gauge.clone();
        let (sender, receiver) = queue::channel_counted(self.source.queue_bytes_max, gauge);
        // A worker that is gone ends this task by its orders.
        let _ = self.lanes.send((self.epoch, receiver));
        let cancel = cancel.child_token();
        let mut running = JoinSet::new();
        let source = Arc::clone(&self.source);
        running.spawn(read(source, position, sender.into(), Arc::clone(&status), cancel.clone()));
        Private { cancel, running, status }
    }

    /// What follows a private reader that has ended by itself: a fault was its last word, or nobody takes what it reads.
    async fn ended(
        &mut self,
        private: &Private,
        ended: Option<JoinError>,
        cancel: &CancellationToken,
    ) -> Step {
        let Some(error) = ended else { return Step::Wait };
        tracing::error!(stream = self.source.settings.stream, %error, "reader ended, starting it again");
        self.tally.count_recreate(Recreate::Panicked);
        self.current.count_restart();
        match cancel.run_until_cancelled(tokio::time::sleep(AFTER_PANIC)).await {
            Some(()) => Step::Read(private.status.position()),
            None => Step::End,
        }
    }

    /// A seat in the share of those that read the same, once this projection is as far as they are and keeps up.
    fn seat(&self, private: &Private) -> Option<(Seat, Arc<Status>)> {
        let key = self.key.as_ref()?;
        let keeps_up = self.current.gauge.bytes() <= self.source.queue_bytes_max / 4;
        if !private.status.verified() || !keeps_up || Instant::now() < self.alone_until {
            return None;
        }
        let position = private.status.position();
        if position.sequence.0 + NEAR < self.ahead()?.0 {
            return None;
        }
        Some(self.hub.join(key, &self.source, &self.tally, position, &self.current.gauge))
    }

    /// How far those are that read the same, or the stream itself; None if there is nobody to wait for it with.
    fn ahead(&self) -> Option<Sequence> {
        match self.hub.standing(self.key.as_ref()?) {
            Some((ahead, true)) => Some(ahead),
            // Who reads by itself has no need to wait with others.
            Some((_, false)) => None,
            None => self.source.head.borrow().as_ref().map(|head| head.last_sequence),
        }
    }

    /// Goes on in a share, from when the private reader has come to where the seat begins until it is left.
    async fn share(
        &mut self,
        mut private: Private,
        seat: Seat,
        status: &Arc<Status>,
        cancel: &CancellationToken,
    ) -> Step {
        let Seat { receiver, position, left } = seat;
        private.status.follow_from(position);
        let mut positions = private.status.positions();
        while private.status.delivered() < position {
            tokio::select! {
                biased;
                () = cancel.cancelled() => return private.stop(Step::End).await,
                order = self.orders.recv() => {
                    let step = self.obey(order);
                    return private.stop(step).await;
                }
                ended = private.ended() => return self.ended(&private, ended, cancel).await,
                Ok(()) = positions.changed() => {}
            }
        }
        private.stop(()).await;
        let _ = self.lanes.send((self.epoch, receiver));
        self.current.set(status);
        tokio::select! {
            biased;
            () = cancel.cancelled() => Step::End,
            order = self.orders.recv() => self.obey(order),
            left = left => match left {
                Ok(position) => {
                    self.alone_until = Instant::now() + ALONE;
                    Step::Read(position)
                }
                // A fault was the last in its lane.
                Err(_) => Step::Wait,
            },
        }
    }
}

/// A reader of one projection's own.
struct Private {
    cancel: CancellationToken,
    running: JoinSet<()>,
    status: Arc<Status>,
}

impl Private {
    /// Ends it, and then there is `after`.
    async fn stop<T>(mut self, after: T) -> T {
        self.cancel.cancel();
        while self.running.join_next().await.is_some() {}
        after
    }

    /// Waits until it ends by itself; a panic is the error.
    async fn ended(&mut self) -> Option<JoinError> {
        self.running.join_next().await.and_then(Result::err)
    }
}
