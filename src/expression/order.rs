//! Equality and order of values: by value for numbers (1 == 1.0), by bytes for text, as in jq for the rest.
//!
//! null < false < true < numbers < strings < arrays < objects. Objects compare by their sorted keys first, then by the
//! values in the order of these keys; so the order in which members were written does not count.

use std::cmp::Ordering;

use super::budget;
use super::value::{Members, Value};

impl Value {
    /// The one order of all values.
    pub fn compare(&self, other: &Self) -> Ordering {
        budget::operation();
        match (self, other) {
            (Self::Null, Self::Null) => Ordering::Equal,
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Number(a), Self::Number(b)) => a.compare(b),
            (Self::Text(a), Self::Text(b)) => {
                budget::scan(a.len().min(b.len()));
                a.as_bytes().cmp(b.as_bytes())
            }
            _ => self.kind().cmp(&other.kind()).then_with(|| self.compare_members(other)),
        }
    }

    /// Of two arrays or two objects.
    fn compare_members(&self, other: &Self) -> Ordering {
        if let (Some(a), Some(b)) = (self.elements(), other.elements()) {
            let unequal =
                a.iter().zip(b.iter()).map(|(a, b)| a.compare(b)).find(|order| order.is_ne());
            return unequal.unwrap_or_else(|| a.len().cmp(&b.len()));
        }
        let (Some(a), Some(b)) = (self.members(), other.members()) else {
            unreachable!("scalars of one kind were compared by their kind")
        };
        let (a, b) = (sorted(&a), sorted(&b));
        let keys = a.iter().map(|(key, _)| key).cmp(b.iter().map(|(key, _)| key));
        let values =
            || a.iter().zip(&b).map(|((_, a), (_, b))| a.compare(b)).find(|order| order.is_ne());
        keys.then_with(|| values().unwrap_or(Ordering::Equal))
    }
}

/// Members in the order of their keys.
pub(super) fn sorted(members: &Members) -> Vec<(&str, &Value)> {
    budget::operations(members.len());
    let mut sorted: Vec<_> = members.iter().map(|(key, value)| (key.as_str(), value)).collect();
    sorted.sort_unstable_by_key(|(key, _)| *key);
    sorted
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.compare(other).is_eq()
    }
}

impl Eq for Value {}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other)
    }
}
