//! From chunks to what one transaction writes: folded rows, dead letters, counts.
//!
//! Runs over the same chunks as often as needed: again with an exact fold when an open one met a failure that depends
//! on stored rows, and again up to an earlier message when a policy says that the batch must end before it. Each run
//! begins from the blocked keys as committed, so its outcome depends on the messages and the stored rows alone.

use std::collections::HashSet;
use std::sync::Arc;

use super::batch::Stop;
use crate::beat::Beat;
use crate::definition::OnError;
use crate::event::Sequence;
use crate::event::chunk::{Chunk, Event};
use crate::event::time::Timestamp;
use crate::expression::Expression;
use crate::projection::ahead::Ahead;
use crate::projection::fold::{Fold, Rows};
use crate::projection::plan::Plan;
use crate::projection::reject::Reject;
use crate::projection::run::Stopped;
use crate::status::{Counts, Reason};
use crate::store::Error;
use crate::store::dead_letter::{DeadLetter, State};
use crate::store::writer::Store;

/// What a batch comes to.
pub(super) struct Assembled {
    pub(super) fold: Fold,
    pub(super) dead_letters: Vec<DeadLetter>,
    pub(super) counts: Counts,
    /// Order keys that this batch blocks.
    pub(super) blocked: HashSet<String>,
    /// The position after it.
    pub(super) sequence: Sequence,
    pub(super) messages: u64,
    /// When the stream stored its last message; None if it holds none.
    pub(super) stored_at: Option<Timestamp>,
    /// The memory of dead letters and blocked keys.
    pub(super) letters_bytes: usize,
}

/// Why the chunks must be gone through again.
pub(super) enum Again<E> {
    /// With an exact fold.
    Exact,
    /// Only up to before this message, after which the projection stops.
    Until(Sequence, Stop),
    /// A row could not be read, or the batch not written.
    Store(E),
}

/// What decides over events that break a rule.
pub(super) struct Rules {
    pub(super) plan: Arc<Plan>,
    pub(super) order_key: Option<Arc<Expression>>,
    pub(super) parked_events_max: u64,
    /// Told of each event.
    pub(super) beat: Arc<Beat>,
}

/// The events that are set aside, as committed.
#[derive(Default)]
pub(super) struct SetAside {
    /// Order keys with a dead letter or parked events.
    pub(super) blocked: HashSet<String>,
    pub(super) dead_letters: u64,
    pub(super) parked: u64,
}

impl SetAside {
    pub(super) fn of(store: &Store) -> Result<Self, Error> {
        let blocked = store.blocked_keys()?.into_iter().collect();
        let mut set_aside = Self { blocked, ..Self::default() };
        set_aside.count(store);
        Ok(set_aside)
    }

    /// Takes the numbers as they are after a commit.
    pub(super) fn count(&mut self, store: &Store) {
        self.dead_letters = store.totals().dead;
        self.parked = store.totals().parked;
    }
}

/// Folds the messages of `chunks` above `after` and below `until`.
///
/// What lies at or below `after`, or in an earlier chunk, has been applied: chunks of two readers may overlap.
pub(super) fn assemble<R: Rows>(
    rules: &Rules,
    set_aside: &SetAside,
    chunks: &[Arc<Chunk>],
    after: Sequence,
    until: Option<Sequence>,
    exact: bool,
    rows: &mut R,
) -> Result<Assembled, Again<R::Error>> {
    let mut done = Assembled::new(rules.plan.fold(exact), after);
    let mut run = Run { rules, set_aside, ahead: &mut Ahead::default(), done: &mut done };
    for chunk in chunks {
        let after = run.done.sequence;
        let mut next = chunk.first_above(after);
        while let Some(event) = &mut next {
            if until.is_some_and(|until| event.sequence() >= until) {
                run.done.scanned(chunk, after, until);
                return Ok(done);
            }
            rules.beat.at(event.sequence());
            run.event(event, rows)?;
            if !event.turn_to_next() {
                break;
            }
        }
        run.done.scanned(chunk, after, until);
    }
    Ok(done)
}

impl Assembled {
    /// Nothing yet, behind a position.
    pub(super) fn new(fold: Fold, after: Sequence) -> Self {
        Self {
            fold,
            dead_letters: Vec::new(),
            counts: Counts::default(),
            blocked: HashSet::new(),
            sequence: after,
            messages: 0,
            stored_at: None,
            letters_bytes: 0,
        }
    }

    /// Counts the messages of a chunk, those that its source's `transform` dropped included, and moves on behind them.
    pub(super) fn scanned(&mut self, chunk: &Chunk, above: Sequence, below: Option<Sequence>) {
        let scanned = chunk.scanned(above, below);
        self.messages += scanned.messages;
        self.stored_at = scanned.stored_at.or(self.stored_at);
        let end = chunk.scanned_to();
        let reached = below.map_or(end, |below| end.min(Sequence(below.0 - 1)));
        self.sequence = self.sequence.max(reached);
    }
}

/// Events on their way into what one transaction writes.
pub(super) struct Run<'a> {
    pub(super) rules: &'a Rules,
    pub(super) set_aside: &'a SetAside,
    pub(super) ahead: &'a mut Ahead,
    pub(super) done: &'a mut Assembled,
}

impl Run<'_> {
    #[inline]
    pub(super) fn event<R: Rows>(
        &mut self,
        event: &Event,
        rows: &mut R,
    ) -> Result<(), Again<R::Error>> {
        if self.blocks()
            && let Some(key) = self.order_key(event)
            && self.blocked(&key)
        {
            self.ahead.skip();
            let reason = format!("parked behind a dead letter of order key `{key}`");
            return self.set_aside(event, State::Parked, reason, Some(key));
        }
        let fold = &mut self.done.fold;
        match self.rules.plan.project(event, fold, rows, self.ahead) {
            Ok(true) => self.done.counts.applied += 1,
            Ok(false) => self.done.counts.ignored += 1,
            Err(Stopped::Reject(reject)) => return self.reject(event, &reject),
            Err(Stopped::Uncertain) => return Err(Again::Exact),
            Err(Stopped::Rows(error)) => return Err(Again::Store(error)),
        }
        Ok(())
    }

    /// Does what the definition's policy says of an event that breaks a rule.
    #[cold]
    fn reject<E>(&mut self, event: &Event, reject: &Reject) -> Result<(), Again<E>> {
        let reason = reject.to_string();
        match self.rules.plan.definition().policy.on_error {
            OnError::Halt => Err(Again::Until(event.sequence(), halt(reason))),
            OnError::Skip => self.set_aside(event, State::Skipped, reason, None),
            OnError::Park => {
                let key = self.order_key(event);
                self.set_aside(event, State::Dead, reason, key.clone())?;
                self.block(key);
                Ok(())
            }
        }
    }

    fn set_aside<E>(
        &mut self,
        event: &Event,
        state: State,
        reason: String,
        order_key: Option<String>,
    ) -> Result<(), Again<E>> {
        let policy = &self.rules.plan.definition().policy;
        let counts = &mut self.done.counts;
        let (count, total, max, what) = match state {
            State::Dead => {
                let before = self.set_aside.dead_letters;
                (
                    &mut counts.dead_lettered,
                    before,
                    policy.dead_letters_max,
                    "dead letters (policy.dead_letters_max)",
                )
            }
            State::Parked => {
                let before = self.set_aside.parked;
                (
                    &mut counts.parked,
                    before,
                    self.rules.parked_events_max,
                    "parked events (limits.parked_events_max)",
                )
            }
            // Nothing waits for a person behind these.
            State::Skipped => (&mut counts.skipped, 0, u64::MAX, "skipped events"),
        };
        if total + *count >= max {
            let detail = format!(
                "{max} {what} are allowed, and sequence {} would be one more: {reason}",
                event.sequence()
            );
            let name = &self.rules.plan.definition().name;
            let next = format!(
                "viewd query {name} \"SELECT sequence, state, reason FROM _viewd_dead_letters\""
            );
            return Err(Again::Until(
                event.sequence(),
                Stop { reason: Reason::SetAsideFull, detail, next: Some(next) },
            ));
        }
        *count += 1;
        let payload = self.payload(event);
        let letter = dead_letter(event, state, order_key, reason, payload);
        self.done.letters_bytes += letter.bytes();
        self.done.dead_letters.push(letter);
        Ok(())
    }

    fn block(&mut self, key: Option<String>) {
        let Some(key) = key else { return };
        let bytes = 2 * size_of::<String>() + key.len();
        if self.done.blocked.insert(key) {
            self.done.letters_bytes += bytes;
        }
    }

    /// The message's payload, kept once for all its parts.
    fn payload(&self, event: &Event) -> Arc<[u8]> {
        match self.done.dead_letters.last() {
            Some(last) if last.sequence == event.sequence() => Arc::clone(&last.payload),
            _ => event.payload().into(),
        }
    }

    /// Whether any order key is blocked: if none is, no event's key needs to be known.
    fn blocks(&self) -> bool {
        !(self.set_aside.blocked.is_empty() && self.done.blocked.is_empty())
    }

    fn blocked(&self, key: &str) -> bool {
        self.set_aside.blocked.contains(key) || self.done.blocked.contains(key)
    }

    /// The event's order key as text; None (an expression that fails included) parks nothing.
    fn order_key(&self, event: &Event) -> Option<String> {
        let output = self.rules.order_key.as_ref()?.evaluate(event).ok()?;
        if output.is_null() { None } else { output.into_text().ok() }
    }
}

fn halt(detail: String) -> Stop {
    let next = "correct the definition, or choose another policy.on_error; `viewd reload` builds the view by it";
    Stop { reason: Reason::Halted, detail, next: Some(next.to_owned()) }
}

fn dead_letter(
    event: &Event,
    state: State,
    order_key: Option<String>,
    reason: String,
    payload: Arc<[u8]>,
) -> DeadLetter {
    DeadLetter {
        sequence: event.sequence(),
        part: event.part(),
        type_name: event.reject().is_none().then(|| event.type_name().to_owned()),
        subject: event.subject().to_owned(),
        order_key,
        state,
        reason,
        payload,
        headers: event.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        stored_at: event.stored_at(),
    }
}
