//! One reader for many projections: what it reads goes to each member's queue, decoded once.
//!
//! The reader waits for its members, as a private one waits for its projection, and that is all the backpressure there
//! is. But a slow or failed projection may not stop the others: each member has a patience, spent while the reader waits
//! for it and another member has nothing to do, and won back by keeping up. A member that has none left is dismissed at
//! an exact position, from where it reads by itself.
//!
//! Every chunk is put into every queue under one lock, and joining takes the same lock: a member gets exactly what comes
//! after the position at which it joined, up to the position at which it left.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::queue::{self, Closed, Drained, Gauge, Level};
use super::{Delivery, Position};
use crate::event::Sequence;

/// How long one member may hold up the others in all: longer than a commit, shorter than anybody waits for an answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// What it wins back: it may slow the others by a twentieth of their time.
const REGAIN: u32 = 20;

/// What a reader's members have in common.
#[derive(Debug)]
pub struct Share {
    bytes_max: usize,
    drained: Drained,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Behind what was last put into the queues.
    position: Position,
    members: Vec<Member>,
    /// Whether whoever holds up the others for too long is dismissed.
    dismisses: bool,
    ended: bool,
}

#[derive(Debug)]
struct Member {
    sender: queue::Sender,
    patience: Patience,
    /// Told where it leaves.
    left: oneshot::Sender<Position>,
}

/// A place in a share.
#[derive(Debug)]
pub(super) struct Seat {
    /// What comes after `position`.
    pub(super) receiver: queue::Receiver,
    pub(super) position: Sequence,
    /// Comes with the position behind the last chunk of the queue; an error if the share ended by a fault, which is
    /// then the last in the queue.
    pub(super) left: oneshot::Receiver<Position>,
}

/// How much longer a member may hold up the others.
#[derive(Clone, Copy, Debug)]
struct Patience {
    left: Duration,
    at: Instant,
    /// Whether time is spent since then, or won back.
    spending: bool,
}

impl Share {
    /// A share that begins at a position, with queues of `bytes_max` each.
    pub(super) fn new(position: Position, bytes_max: usize) -> Arc<Self> {
        Self::of(State { position, members: Vec::new(), dismisses: true, ended: false }, bytes_max)
    }

    /// The same for members that all wait for the slowest of them, however long it takes.
    pub(super) fn patient(position: Position, bytes_max: usize) -> Arc<Self> {
        Self::of(State { position, members: Vec::new(), dismisses: false, ended: false }, bytes_max)
    }

    fn of(state: State, bytes_max: usize) -> Arc<Self> {
        Arc::new(Self { bytes_max, drained: Drained::default(), state: Mutex::new(state) })
    }

    /// A place for one more; None if the reader has ended.
    pub(super) fn join(&self, gauge: &Gauge) -> Option<Seat> {
        let (sender, receiver) =
            queue::channel_of(self.bytes_max, self.drained.clone(), gauge.clone());
        let (left, leaves) = oneshot::channel();
        let mut state = self.lock();
        if state.ended {
            return None;
        }
        state.members.push(Member { sender, patience: Patience::new(Instant::now()), left });
        let position = state.position.sequence;
        drop(state);
        // Who waits for a member that is stuck now keeps this one waiting.
        self.drained.wake();
        Some(Seat { receiver, position, left: leaves })
    }

    /// Where its reader stands.
    pub(super) fn position(&self) -> Sequence {
        self.lock().position.sequence
    }

    /// Ends it: every member is told to go on by itself, unless a fault was the last that it got.
    pub(super) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let State { position, members, .. } = &mut *state;
        members.drain(..).for_each(|member| member.leave(position));
    }

    pub(super) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Waits for those that are at their bound, as far as they may be waited for, then puts it into every queue.
    pub(super) async fn send(&self, delivery: Delivery) -> Result<(), Closed> {
        self.below(Level::Full).await?;
        let mut state = self.lock();
        if let Delivery::Chunk(chunk) = &delivery {
            state.position.moved_by(chunk);
        }
        state.members.iter().for_each(|member| member.sender.push(delivery.clone()));
        if let Delivery::Fault(_) = &delivery {
            // Dropped without a word: what comes next is for each member's projection to decide.
            state.members.clear();
            state.ended = true;
        }
        Ok(())
    }

    /// Waits until every queue is less than half full, or its member was dismissed.
    pub(super) async fn room(&self) -> Result<(), Closed> {
        self.below(Level::High).await
    }

    /// Whether every queue is less than half full.
    pub(super) fn has_room(&self) -> bool {
        matches!(self.lock().look(Level::High, Instant::now()), Look::Clear)
    }

    /// Waits until there is no member any more.
    pub(super) async fn closed(&self) {
        let gone = |member: &Member| member.sender.level() == Level::Gone;
        self.drained.until_gone(|| self.lock().members.iter().all(gone)).await;
    }

    async fn below(&self, bound: Level) -> Result<(), Closed> {
        loop {
            let mut drained = std::pin::pin!(self.drained.room());
            // Counted as waiting before it looks, so what happens in between wakes it.
            drained.as_mut().enable();
            let look = self.lock().look(bound, Instant::now());
            match look {
                Look::Clear => return Ok(()),
                Look::Nobody => return Err(Closed),
                Look::Blocked(None) => drained.await,
                // Past it somebody's patience has run out.
                Look::Blocked(Some(until)) => drop(tokio::time::timeout_at(until, drained).await),
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that can panic runs under the lock.
        self.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

enum Look {
    Clear,
    Nobody,
    /// By members that may be waited for, and until when.
    Blocked(Option<Instant>),
}

impl State {
    /// Forgets who has gone, dismisses whoever has held up the others for too long.
    fn look(&mut self, bound: Level, now: Instant) -> Look {
        self.members.retain(|member| member.sender.level() != Level::Gone);
        let empty = |member: &Member| member.sender.level() == Level::Empty;
        let starving = self.dismisses && self.members.iter().any(empty);
        let (mut blocked, mut until) = (false, None::<Instant>);
        let mut index = 0;
        while let Some(member) = self.members.get_mut(index) {
            let blocks = member.sender.level() >= bound;
            let left = member.patience.settle(blocks && starving, now);
            if blocks && left.is_zero() {
                let member = self.members.swap_remove(index);
                member.leave(&self.position);
                continue;
            }
            if blocks {
                blocked = true;
                let ends = now + left;
                until = starving.then(|| until.map_or(ends, |until| until.min(ends)));
            }
            index += 1;
        }
        match blocked {
            _ if self.members.is_empty() => Look::Nobody,
            true => Look::Blocked(until),
            false => Look::Clear,
        }
    }
}

impl Member {
    fn leave(self, position: &Position) {
        // Who does not wait for it has gone.
        let _ = self.left.send(position.clone());
    }
}

impl Patience {
    fn new(now: Instant) -> Self {
        Self { left: PATIENCE, at: now, spending: false }
    }

    /// What is left after the time since the last look; `spending` says what the time from now on is.
    fn settle(&mut self, spending: bool, now: Instant) -> Duration {
        let elapsed = now.duration_since(self.at);
        self.left = match self.spending {
            true => self.left.saturating_sub(elapsed),
            false => (self.left + elapsed / REGAIN).min(PATIENCE),
        };
        (self.at, self.spending) = (now, spending);
        self.left
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration as Wait;

    use futures_util::FutureExt;
    use proptest::prelude::*;

    use super::*;
    use crate::event::chunk::Chunk;
    use crate::source::queue::ReceiveError;

    fn chunk(after: u64) -> Delivery {
        let mut chunk = Chunk::advance(Sequence(after + 1), None, None);
        chunk.set_after(Sequence(after));
        Delivery::Chunk(Arc::new(chunk))
    }

    /// A queue of this holds three chunks and is half full with two.
    fn three_chunks() -> usize {
        3 * Chunk::advance(Sequence(1), None, None).bytes_len()
    }

    fn share() -> Arc<Share> {
        Share::new(Position::default(), three_chunks())
    }

    fn join(share: &Share) -> Seat {
        share.join(&Gauge::default()).expect("it has not ended")
    }

    /// What lies in a queue: each chunk continues the one before.
    fn drain(seat: &Seat, at: &mut Sequence) -> Option<ReceiveError> {
        loop {
            match seat.receiver.try_recv() {
                Ok(Delivery::Chunk(chunk)) => {
                    assert_eq!(chunk.after(), *at);
                    *at = chunk.scanned_to();
                }
                Ok(Delivery::Fault(fault)) => panic!("{fault:?}"),
                Err(error) => return Some(error),
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Act {
        Join,
        Send,
        Take(usize),
        Go(usize),
    }

    fn acts() -> impl Strategy<Value = Vec<Act>> {
        let act = prop_oneof![
            1 => Just(Act::Join),
            4 => Just(Act::Send),
            4 => (0..8_usize).prop_map(Act::Take),
            1 => (0..8_usize).prop_map(Act::Go),
        ];
        proptest::collection::vec(act, 0..60)
    }

    proptest! {
        #[test]
        fn each_member_gets_what_comes_after_it_joined(acts in acts()) {
            // A wait for somebody's patience needs a clock.
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
            let runtime = runtime.expect("a runtime");
            let _inside = runtime.enter();
            let share = share();
            let mut seats: Vec<(Seat, Sequence)> = Vec::new();
            let mut sent = 0;
            for act in acts {
                match act {
                    Act::Join => {
                        let seat = join(&share);
                        prop_assert_eq!(seat.position, Sequence(sent));
                        let at = seat.position;
                        seats.push((seat, at));
                    }
                    // Waits where one is full: then nothing was put into any.
                    Act::Send => match share.send(chunk(sent)).now_or_never() {
                        Some(Ok(())) => sent += 1,
                        Some(Err(Closed)) => prop_assert!(seats.is_empty()),
                        None => {}
                    },
                    Act::Take(index) => {
                        if let Some((seat, at)) = seats.get_mut(index) {
                            drain(seat, at);
                        }
                    }
                    Act::Go(index) => {
                        if index < seats.len() {
                            seats.remove(index);
                        }
                    }
                }
            }
            share.end();
            prop_assert!(share.join(&Gauge::default()).is_none());
            for (seat, mut at) in seats {
                prop_assert_eq!(drain(&seat, &mut at), Some(ReceiveError::Closed));
                prop_assert_eq!(at, Sequence(sent));
                let left = seat.left.now_or_never().expect("told").expect("a position");
                prop_assert_eq!(left.sequence, at);
            }
        }
    }

    #[tokio::test]
    async fn who_holds_up_the_others_is_dismissed_where_it_stands() {
        let share = share();
        let (slow, fast) = (join(&share), join(&share));
        let began = Instant::now();
        let mut at = Sequence(0);
        for sequence in 0..10 {
            share.send(chunk(sequence)).await.expect("there are members");
            drain(&fast, &mut at);
        }
        assert_eq!(at, Sequence(10), "it got all");
        assert!(began.elapsed() >= PATIENCE, "the slow one was waited for");
        let mut at = Sequence(0);
        assert_eq!(drain(&slow, &mut at), Some(ReceiveError::Closed));
        assert_eq!(slow.left.await.expect("a position").sequence, at);
        assert_eq!(at, Sequence(3));
    }

    #[tokio::test]
    async fn who_joins_is_not_kept_waiting_by_who_is_stuck() {
        let share = share();
        let stuck = join(&share);
        for sequence in 0..3 {
            share.send(chunk(sequence)).await.expect("there is a member");
        }
        let sending = tokio::spawn({
            let share = Arc::clone(&share);
            async move { share.send(chunk(3)).await }
        });
        tokio::task::yield_now().await;
        let joined = join(&share);
        let sent = tokio::time::timeout(Wait::from_secs(60), sending).await;
        sent.expect("the stuck one is dismissed").expect("no panic").expect("there is a member");
        let mut at = joined.position;
        assert_eq!(drain(&joined, &mut at), Some(ReceiveError::Timeout));
        assert_eq!(at, Sequence(4));
        assert_eq!(stuck.left.await.expect("a position").sequence, Sequence(3));
    }

    #[tokio::test]
    async fn nobody_is_dismissed_while_all_are_busy() {
        let share = share();
        let (one, other) = (join(&share), join(&share));
        for sequence in 0..3 {
            share.send(chunk(sequence)).await.expect("there are members");
        }
        assert!(!share.has_room());
        let waited = tokio::time::timeout(PATIENCE + Wait::from_millis(200), share.room()).await;
        assert!(waited.is_err(), "both are full, and each has something to do");
        let mut at = (Sequence(0), Sequence(0));
        drain(&one, &mut at.0);
        drain(&other, &mut at.1);
        share.room().await.expect("there are members");
        drop((one, other));
        share.closed().await;
        assert_eq!(share.room().await, Err(Closed));
    }

    #[tokio::test]
    async fn the_patient_wait_for_the_slowest() {
        let share = Share::patient(Position::default(), three_chunks());
        let (slow, fast) = (join(&share), join(&share));
        let mut at = (Sequence(0), Sequence(0));
        for sequence in 0..3 {
            share.send(chunk(sequence)).await.expect("there are members");
        }
        drain(&fast, &mut at.0);
        let waited = PATIENCE + Wait::from_millis(200);
        assert!(tokio::time::timeout(waited, share.send(chunk(3))).await.is_err());
        assert_eq!((drain(&fast, &mut at.0), at.0), (Some(ReceiveError::Timeout), Sequence(3)));
        drain(&slow, &mut at.1);
        share.send(chunk(3)).await.expect("there are members");
        drain(&slow, &mut at.1);
        drop(fast);
        // Who has gone is not waited for.
        for sequence in 4..8 {
            share.send(chunk(sequence)).await.expect("there is a member");
            drain(&slow, &mut at.1);
        }
        assert_eq!(at.1, Sequence(8));
    }

    #[tokio::test]
    async fn a_fault_is_the_last_that_each_gets() {
        let share = share();
        let seats = [join(&share), join(&share)];
        let fault = crate::source::Fault {
            reason: crate::source::Reason::SourceChanged,
            detail: "another".to_owned(),
            next: None,
        };
        share.send(Delivery::Fault(fault.clone())).await.expect("there are members");
        share.end();
        for seat in seats {
            let Ok(Delivery::Fault(found)) = seat.receiver.try_recv() else { panic!("no fault") };
            assert_eq!(found, fault);
            assert_eq!(seat.receiver.try_recv().err(), Some(ReceiveError::Closed));
            assert!(seat.left.await.is_err(), "what comes next is not for the share to say");
        }
    }

    #[test]
    fn patience_is_spent_and_won_back() {
        let begin = Instant::now();
        let at = |ms: u64| begin + Wait::from_millis(ms);
        let mut patience = Patience::new(begin);
        for (spending, ms, left_ms) in [
            (true, 1_000, 500),
            (false, 1_200, 300),
            (true, 3_200, 400),
            (true, 3_500, 100),
            (false, 3_700, 0),
            (false, 4_700, 50),
            (false, 60_000, 500),
        ] {
            assert_eq!(patience.settle(spending, at(ms)), Wait::from_millis(left_ms), "{ms} ms");
        }
    }
}
