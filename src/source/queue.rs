//! The queue between a reader's task and a projection's thread, bounded in bytes.
//!
//! Bytes are what memory is made of: a bound in messages would be wrong by the size of a message. The queue takes a
//! chunk as long as it is below its bound, so it holds at most the bound and one chunk. Dropping one end ends the other.
//! Queues that one reader fills, or one projection empties, may share what wakes them and what counts their bytes.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::Delivery;
use crate::event::time::Timestamp;

/// The reader's end.
#[derive(Debug)]
pub struct Sender(Arc<Shared>);

/// The projection's end.
#[derive(Debug)]
pub struct Receiver(Arc<Shared>);

/// Tells how full queues are, without being an end of any.
#[derive(Clone, Debug, Default)]
pub struct Gauge(Arc<AtomicUsize>);

/// Wakes whoever fills queues and waits for room when something was taken from one of them; and whoever waits for its
/// end when a receiver has gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Drained(Arc<Wakers>);

#[derive(Debug, Default)]
struct Wakers {
    room: Notify,
    // Apart, so that nothing is woken by what is taken while nobody waits for room: as a rule that is so.
    gone: Notify,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiveError {
    #[error("nothing arrived in time")]
    Timeout,
    #[error("the reader has ended")]
    Closed,
}

/// The receiver is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the projection has ended")]
pub struct Closed;

#[derive(Debug)]
struct Shared {
    bytes_max: usize,
    state: Mutex<State>,
    /// Something to receive, or no sender any more.
    filled: Condvar,
    /// Something was received, or no receiver any more.
    drained: Drained,
    gauge: Gauge,
}

#[derive(Debug, Default)]
struct State {
    deliveries: VecDeque<Delivery>,
    bytes: usize,
    sender_gone: bool,
    receiver_gone: bool,
}

/// How a queue stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Level {
    /// Its receiver has nothing to do.
    Empty,
    Low,
    /// At least half full.
    High,
    /// At its bound.
    Full,
    /// There is no receiver any more.
    Gone,
}

/// A queue that holds up to `bytes_max`, and then one chunk more.
pub fn channel(bytes_max: usize) -> (Sender, Receiver) {
    channel_of(bytes_max, Drained::default(), Gauge::default())
}

/// The same, counted by `gauge`.
pub(super) fn channel_counted(bytes_max: usize, gauge: Gauge) -> (Sender, Receiver) {
    channel_of(bytes_max, Drained::default(), gauge)
}

/// The same, waking `drained`.
pub(super) fn channel_of(bytes_max: usize, drained: Drained, gauge: Gauge) -> (Sender, Receiver) {
    let shared = Arc::new(Shared {
        bytes_max,
        state: Mutex::default(),
        filled: Condvar::new(),
        drained,
        gauge,
    });
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

impl Sender {
    /// Waits until the queue is below its bound, then adds to it.
    pub async fn send(&self, delivery: Delivery) -> Result<(), Closed> {
        self.below(Level::Full).await?;
        self.push(delivery);
        Ok(())
    }

    /// Adds to the queue, whatever it holds.
    pub(super) fn push(&self, delivery: Delivery) {
        let bytes = bytes(&delivery);
        let mut state = self.0.lock();
        if state.receiver_gone {
            return;
        }
        state.bytes += bytes;
        self.0.gauge.0.fetch_add(bytes, Ordering::Relaxed);
        state.deliveries.push_back(delivery);
        drop(state);
        self.0.filled.notify_one();
    }

    /// Waits until the queue is less than half full: the moment to ask the server for more.
    pub async fn room(&self) -> Result<(), Closed> {
        self.below(Level::High).await
    }

    /// Whether the queue is less than half full.
    pub fn has_room(&self) -> bool {
        self.level() < Level::High
    }

    pub fn bytes_max(&self) -> usize {
        self.0.bytes_max
    }

    pub fn gauge(&self) -> Gauge {
        self.0.gauge.clone()
    }

    /// Waits until the receiver is gone.
    pub async fn closed(&self) {
        self.0.drained.until_gone(|| self.level() == Level::Gone).await;
    }

    pub(super) fn level(&self) -> Level {
        let state = self.0.lock();
        match state.bytes {
            _ if state.receiver_gone => Level::Gone,
            _ if state.deliveries.is_empty() => Level::Empty,
            bytes if bytes >= self.0.bytes_max => Level::Full,
            bytes if bytes >= self.0.bytes_max / 2 => Level::High,
            _ => Level::Low,
        }
    }

    async fn below(&self, bound: Level) -> Result<(), Closed> {
        loop {
            let mut room = std::pin::pin!(self.0.drained.room());
            // Counted as waiting before it looks, so what happens in between wakes it.
            room.as_mut().enable();
            match self.level() {
                Level::Gone => return Err(Closed),
                level if level < bound => return Ok(()),
                _ => room.await,
            }
        }
    }
}

impl Drained {
    /// Waits until `gone` says so; it looks at once, and then whenever a receiver has gone.
    pub(super) async fn until_gone(&self, gone: impl Fn() -> bool) {
        loop {
            let mut notified = std::pin::pin!(self.0.gone.notified());
            notified.as_mut().enable();
            if gone() {
                return;
            }
            notified.await;
        }
    }

    /// Something was taken, or a receiver has gone.
    pub(super) fn room(&self) -> tokio::sync::futures::Notified<'_> {
        self.0.room.notified()
    }

    pub(super) fn wake(&self) {
        self.0.room.notify_waiters();
    }

    fn wake_all(&self) {
        self.wake();
        self.0.gone.notify_waiters();
    }
}

impl Receiver {
    /// Takes the next delivery, waiting for one if need be. What was sent before the reader ended still arrives.
    pub fn recv_timeout(&self, timeout: Duration) -> Result<Delivery, ReceiveError> {
        let deadline = Instant::now() + timeout;
        let mut state = self.0.lock();
        loop {
            match self.take(&mut state) {
                Err(ReceiveError::Timeout) => {}
                taken => return taken,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ReceiveError::Timeout);
            }
            state = self
                .0
                .filled
                .wait_timeout(state, left)
                .unwrap_or_else(|poisoned| poisoned.into_inner())
                .0;
        }
    }

    /// Takes the next delivery if there is one.
    pub fn try_recv(&self) -> Result<Delivery, ReceiveError> {
        self.take(&mut self.0.lock())
    }

    /// When the stream stored the oldest message in the queue.
    pub fn oldest(&self) -> Option<Timestamp> {
        let state = self.0.lock();
        state.deliveries.iter().find_map(|delivery| match delivery {
            Delivery::Chunk(chunk) => chunk.oldest(),
            Delivery::Fault(_) => None,
        })
    }

    pub fn gauge(&self) -> Gauge {
        self.0.gauge.clone()
    }

    fn take(&self, state: &mut State) -> Result<Delivery, ReceiveError> {
        match state.deliveries.pop_front() {
            Some(delivery) => {
                let bytes = bytes(&delivery);
                state.bytes -= bytes;
                self.0.gauge.0.fetch_sub(bytes, Ordering::Relaxed);
                self.0.drained.wake();
                Ok(delivery)
            }
            None if state.sender_gone => Err(ReceiveError::Closed),
            None => Err(ReceiveError::Timeout),
        }
    }
}

impl Gauge {
    /// The bytes in the queues.
    pub fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.lock().sender_gone = true;
        self.0.filled.notify_all();
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.receiver_gone = true;
        // What nobody will read need not wait for the reader's end to be freed.
        let unread = std::mem::take(&mut state.deliveries);
        self.0.gauge.0.fetch_sub(std::mem::take(&mut state.bytes), Ordering::Relaxed);
        drop(state);
        drop(unread);
        self.0.drained.wake_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

fn bytes(delivery: &Delivery) -> usize {
    match delivery {
        Delivery::Chunk(chunk) => chunk.bytes_len(),
        Delivery::Fault(fault) => fault.detail.len(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Sequence;
    use crate::event::chunk::Chunk;

    fn advance(sequence: u64) -> Delivery {
        Delivery::Chunk(Arc::new(Chunk::advance(Sequence(sequence), None, None)))
    }

    fn scanned(delivery: Delivery) -> u64 {
        match delivery {
            Delivery::Chunk(chunk) => chunk.scanned_to().0,
            Delivery::Fault(fault) => panic!("{fault:?}"),
        }
    }

    #[tokio::test]
    async fn a_full_queue_waits_for_its_receiver() {
        // One chunk fills it.
        let (sender, receiver) = channel(1);
        sender.send(advance(1)).await.unwrap();
        assert!(!sender.has_room());
        let gauge = sender.gauge();
        let full = gauge.bytes();
        let sending = tokio::spawn(async move {
            for sequence in 2..=100 {
                sender.send(advance(sequence)).await.unwrap();
            }
        });
        let received = tokio::task::spawn_blocking(move || {
            let mut sequences = Vec::new();
            while let Ok(delivery) = receiver.recv_timeout(Duration::from_secs(10)) {
                assert!(gauge.bytes() <= full);
                sequences.push(scanned(delivery));
            }
            assert_eq!(receiver.try_recv().unwrap_err(), ReceiveError::Closed);
            sequences
        });
        sending.await.unwrap();
        assert_eq!(received.await.unwrap(), (1..=100).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn each_end_learns_that_the_other_is_gone() {
        let (sender, receiver) = channel(1);
        assert_eq!(receiver.try_recv().unwrap_err(), ReceiveError::Timeout);
        assert_eq!(
            receiver.recv_timeout(Duration::from_millis(1)).unwrap_err(),
            ReceiveError::Timeout
        );
        sender.send(advance(1)).await.unwrap();
        let blocked = tokio::spawn(async move {
            let sent = sender.send(advance(2)).await;
            sender.closed().await;
            sent
        });
        drop(receiver);
        assert_eq!(blocked.await.unwrap(), Err(Closed));

        let (sender, receiver) = channel(1);
        sender.send(advance(1)).await.unwrap();
        drop(sender);
        assert_eq!(scanned(receiver.try_recv().unwrap()), 1);
        assert_eq!(
            receiver.recv_timeout(Duration::from_secs(10)).unwrap_err(),
            ReceiveError::Closed
        );
    }
}
