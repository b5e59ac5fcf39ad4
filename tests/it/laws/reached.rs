//! What the cases of a run came upon: a law that is never put to the test holds nothing.

use std::collections::BTreeMap;

/// How often each thing happened.
#[derive(Clone, Debug, Default)]
pub struct Reached(BTreeMap<&'static str, u64>);

impl Reached {
    pub fn mark(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub fn mark_if(&mut self, what: &'static str, happened: bool) {
        if happened {
            self.mark(what);
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            *self.0.entry(what).or_default() += times;
        }
    }

    /// Each thing has happened some times: with fewer the generator has lost its way.
    pub fn check(&self, times_min: u64) {
        let rare: Vec<_> = EXPECTED
            .iter()
            .map(|what| (what, self.times(what)))
            .filter(|(_, times)| *times < times_min)
            .collect();
        assert!(rare.is_empty(), "fewer than {times_min} times: {rare:#?}\nof {self:#?}");
    }

    pub fn check_one(&self, what: &str) {
        assert!(self.times(what) > 0, "{what}: never; {self:#?}");
    }

    fn times(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }
}

/// Everything that is marked.
const EXPECTED: [&str; 85] = [
    "a batch begins with blocked keys",
    "a let evaluated",
    "a let of a row that a where found",
    "a let used again",
    "a row changed earlier in the same event",
    "add, min or max of null",
    "an expression with any number of outputs",
    "assigned boolean",
    "assigned bytes",
    "assigned date",
    "assigned decimal",
    "assigned integer",
    "assigned json",
    "assigned real",
    "assigned text",
    "assigned timestamp",
    "dead",
    "delete removed",
    "delete without a row",
    "dropped by the transform",
    "failed after a row was changed",
    "failed in a later part",
    "failed in the transform",
    "failed on a sum",
    "for_each of no array",
    "for_each of null",
    "for_each of several",
    "halted",
    "insert created",
    "insert left a row alone",
    "lookup in another table",
    "lookup in its own table",
    "lookup of a row as stored",
    "lookup of a row changed earlier in the batch",
    "lookup of a row changed in the same event",
    "lookup of a row deleted earlier in the batch",
    "lookup of a row deleted in the same event",
    "lookup of an absent row",
    "lookup with a key of another type",
    "lookup with a null key",
    "max changed",
    "min changed",
    "min or max kept",
    "null key",
    "parked behind a dead letter of an earlier batch",
    "parked",
    "set of an object",
    "set of several objects, or none",
    "set without an object",
    "set_aside_full",
    "set_once assigned",
    "set_once left alone",
    "skipped",
    "some parts of a message applied, others not",
    "split by the transform",
    "stopped within a message",
    "sum failed on a row that the batch had changed",
    "update changed",
    "update without a row",
    "upsert changed",
    "upsert created",
    "when false before for_each",
    "when false for an item",
    "when false of a row",
    "when false",
    "when of the row at a key",
    "when of the row at a null key",
    "when took some items and not others",
    "when true of a row",
    "when true",
    "where no more of a row that matched before the batch",
    "where of a row changed in the same event",
    "where of a row that the batch made match",
    "where of boolean",
    "where of bytes",
    "where of date",
    "where of decimal",
    "where of integer",
    "where of null",
    "where of one row",
    "where of several columns",
    "where of several rows",
    "where of text",
    "where of timestamp",
    "where without a row",
];
