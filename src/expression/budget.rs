//! What one evaluation may spend: a budget instead of a clock, so that it ends at the same place on every machine.
//!
//! Three counts bound an evaluation: operations on values (1,000,000), bytes of text made (16 MiB) and depth (128, held
//! by the constructors of arrays and objects). The counts are the thread's own, because jaq calls the value type
//! where no context is at hand and where no error can be returned: comparing, cloning, printing.
//!
//! Past a count the evaluation is unwound to [`bounded`]. An error value would not do: `try`, `?` and `//` swallow
//! errors, and a filter that clones without end (`(., .) | (., .) | ...`) has no place that could return one.

use std::any::Any;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::thread::LocalKey;

#[cfg(panic = "abort")]
compile_error!(
    "an evaluation is ended by unwinding: the profile must not have `panic = \"abort\"`"
);

/// Operations on values in one evaluation: a tenth of a second or so of the dearest ones.
pub const OPERATIONS_MAX: u64 = 1_000_000;
/// Bytes of text made in one evaluation: twice the largest event of the default settings.
pub const TEXT_BYTES_MAX: u64 = 16 << 20;
/// How deep arrays and objects may nest, as in events: comparing, printing and dropping them are recursions.
pub const DEPTH_MAX: u8 = 128;

/// Operations of all evaluations of one event whose handlers repeat themselves: for each item, for each row.
pub const EVENT_OPERATIONS_MAX: u64 = 10_000_000;

/// What is left of an event's budget while none is shared.
const NOT_SHARED: u64 = u64::MAX;

/// Clones are cheap and jaq makes several an operation: this many cost what one operation costs.
const STEPS_PER_OPERATION: u64 = 4;
/// Reading this many bytes of text costs what one operation costs.
const BYTES_PER_OPERATION: usize = 256;

/// Passing over this many bytes of JSON costs what one operation costs.
const BYTES_PASSED_PER_OPERATION: usize = 4_096;

/// Stack that one evaluation may take: half of what threads have by default.
///
/// The bounds on terms and on depth keep a release build at half of it. Should a combination or a build with larger
/// frames come near the end of the stack, then this costs one event, where an overflow would abort the process.
const STACK_BYTES_MAX: usize = 1 << 20;

thread_local! {
    /// Of all evaluations of one event, while they share a budget.
    static EVENT_STEPS_LEFT: Cell<u64> = const { Cell::new(NOT_SHARED) };
    static STEPS_LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    static TEXT_BYTES_LEFT: Cell<u64> = const { Cell::new(u64::MAX) };
    /// The lowest address that the stack may reach: it grows downwards wherever Rust runs.
    static STACK_END: Cell<usize> = const { Cell::new(0) };
}

/// What ended an evaluation before it gave a value or an error of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    Operations,
    /// Those that all evaluations of one event share.
    EventOperations,
    Text,
    Depth,
    /// A panic: a fault of the engine, which must cost one event and not the process.
    Fault,
}

/// Lets all evaluations within `event` share [`EVENT_OPERATIONS_MAX`].
pub fn shared<T>(event: impl FnOnce() -> T) -> T {
    let before = EVENT_STEPS_LEFT.replace(EVENT_OPERATIONS_MAX * STEPS_PER_OPERATION);
    let outcome = event();
    EVENT_STEPS_LEFT.set(before);
    outcome
}

/// Counts work outside of an evaluation against what the event's evaluations share; false if it is used up.
pub fn charge(operations: u64) -> bool {
    let left = match EVENT_STEPS_LEFT.get() {
        NOT_SHARED => return true,
        left => left.checked_sub(operations.saturating_mul(STEPS_PER_OPERATION)),
    };
    EVENT_STEPS_LEFT.set(left.unwrap_or(0));
    left.is_some()
}

/// Runs `evaluation` within a fresh budget, or what is left of the event's.
pub fn bounded<T>(evaluation: impl FnOnce() -> T) -> Result<T, Exceeded> {
    let before = (STEPS_LEFT.get(), TEXT_BYTES_LEFT.get(), STACK_END.get());
    let event_left = EVENT_STEPS_LEFT.get();
    let granted = event_left.min(OPERATIONS_MAX * STEPS_PER_OPERATION);
    STEPS_LEFT.set(granted);
    TEXT_BYTES_LEFT.set(TEXT_BYTES_MAX);
    STACK_END.set(stack_address().saturating_sub(STACK_BYTES_MAX));
    // Nothing that the closure can reach outlives it but the counts, which are set anew.
    let outcome = catch_unwind(AssertUnwindSafe(evaluation));
    if event_left != NOT_SHARED {
        EVENT_STEPS_LEFT.set(event_left - (granted - STEPS_LEFT.get()));
    }
    STEPS_LEFT.set(before.0);
    TEXT_BYTES_LEFT.set(before.1);
    STACK_END.set(before.2);
    outcome.map_err(|payload: Box<dyn Any + Send>| {
        match *payload.downcast().unwrap_or(Box::new(Exceeded::Fault)) {
            Exceeded::Operations if granted == event_left => Exceeded::EventOperations,
            exceeded => exceeded,
        }
    })
}

/// One operation on a value.
#[inline]
pub fn operation() {
    spend(&STEPS_LEFT, STEPS_PER_OPERATION, Exceeded::Operations);
}

/// As many operations at once: called before the work is done or the memory taken.
#[inline]
pub fn operations(count: usize) {
    spend(&STEPS_LEFT, (count as u64).saturating_mul(STEPS_PER_OPERATION), Exceeded::Operations);
}

/// A clone of a value.
#[inline]
pub fn step() {
    spend(&STEPS_LEFT, 1, Exceeded::Operations);
}

/// As many clones, or what costs as much.
#[inline]
pub fn steps(count: usize) {
    spend(&STEPS_LEFT, count as u64, Exceeded::Operations);
}

/// Text that is read through: searched, compared, counted.
#[inline]
pub fn scan(bytes: usize) {
    operations(bytes / BYTES_PER_OPERATION);
}

/// A container of the event in which something is looked up: its members are passed over, not read.
#[inline]
pub fn pass(bytes: usize) {
    operations(bytes / BYTES_PASSED_PER_OPERATION);
}

/// Text that is made: called before the memory is taken.
#[inline]
pub fn text(bytes: usize) {
    spend(&TEXT_BYTES_LEFT, bytes as u64, Exceeded::Text);
}

#[inline]
fn spend(left: &'static LocalKey<Cell<u64>>, amount: u64, exceeded: Exceeded) {
    match left.get().checked_sub(amount) {
        Some(rest) => left.set(rest),
        None => stop(left, exceeded),
    }
    if stack_address() < STACK_END.get() {
        stop_at(Exceeded::Depth);
    }
}

/// About where the stack ends now.
#[inline(always)]
fn stack_address() -> usize {
    let here = 0_u8;
    (&raw const here).addr()
}

#[cold]
fn stop(left: &'static LocalKey<Cell<u64>>, exceeded: Exceeded) {
    left.set(0);
    stop_at(exceeded);
}

/// Ends the evaluation.
#[cold]
pub fn stop_at(exceeded: Exceeded) {
    // What is dropped while unwinding may count too; a second panic there would abort the process.
    if !std::thread::panicking() {
        // Without the panic hook: this is an outcome, not a fault.
        resume_unwind(Box::new(exceeded));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spending_past_a_count_ends_the_evaluation() {
        assert_eq!(bounded(|| operations(1_000_000)), Ok(()));
        assert_eq!(bounded(|| operations(1_000_001)), Err(Exceeded::Operations));
        assert_eq!(bounded(|| operations(usize::MAX)), Err(Exceeded::Operations));
        assert_eq!(bounded(|| text(16 << 20)), Ok(()));
        assert_eq!(bounded(|| text((16 << 20) + 1)), Err(Exceeded::Text));
        assert_eq!(bounded(|| (0..5_000_000).for_each(|_| step())), Err(Exceeded::Operations));
    }

    #[test]
    fn evaluations_of_one_event_share_a_budget() {
        let spent = shared(|| {
            let spent = (0..20).map(|_| bounded(|| operations(900_000))).collect::<Vec<_>>();
            assert!(!charge(1_000_000) && !charge(1));
            spent
        });
        assert_eq!(spent.iter().filter(|spent| spent.is_ok()).count(), 11);
        assert_eq!(spent[19], Err(Exceeded::EventOperations));
        assert!(charge(EVENT_OPERATIONS_MAX * 2));
        assert_eq!(bounded(|| operations(1_000_000)), Ok(()));
    }

    #[test]
    fn outside_of_an_evaluation_nothing_is_counted() {
        operations(usize::MAX);
        text(usize::MAX);
        assert_eq!(bounded(operation), Ok(()));
    }
}
