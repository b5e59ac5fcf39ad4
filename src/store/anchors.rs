//! Which anchors a checkpoint keeps.
//!
//! One would do to tell another stream from ours, but it may have been deleted from the stream since, alone or with
//! all that is older than some age. So a few are kept, ever sparser into the past: the n-th commit of a run replaces
//! slot (trailing zeros of n), which makes slot s half as young as slot s + 1. The newest is always among them.

use crate::event::Sequence;
use crate::event::anchor::Anchor;

/// Slot 7 is replaced every 128 commits: seconds to hours back, within the few hundred bytes of one row.
const SLOTS: usize = 8;

/// Keeps the anchor of the `commits`-th commit, counted from 1.
pub(super) fn keep(anchors: &mut Vec<Anchor>, anchor: Anchor, commits: u64) {
    let slot = (commits.trailing_zeros() as usize).min(SLOTS - 1);
    if anchors.len() < SLOTS {
        // Those of an earlier run are kept until all slots are filled.
        anchors.push(anchor);
        anchors.sort_by_key(|anchor| std::cmp::Reverse(anchor.sequence));
    } else {
        anchors[slot] = anchor;
    }
}

pub(super) fn text(anchors: &[Anchor]) -> String {
    let triples: Vec<_> = anchors
        .iter()
        .map(|anchor| (anchor.sequence.0, anchor.stored_at_ns, anchor.payload_hash))
        .collect();
    serde_json::to_string(&triples).expect("numbers are JSON")
}

/// What cannot be read is no anchor: the others, or the stream's bounds, still have to hold.
pub(super) fn parse(text: &str) -> Vec<Anchor> {
    let triples: Vec<(u64, i64, u64)> = serde_json::from_str(text).unwrap_or_default();
    let anchor = |(sequence, stored_at_ns, payload_hash)| Anchor {
        sequence: Sequence(sequence),
        stored_at_ns,
        payload_hash,
    };
    triples.into_iter().map(anchor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchor(sequence: u64) -> Anchor {
        Anchor { sequence: Sequence(sequence), stored_at_ns: -1, payload_hash: u64::MAX }
    }

    #[test]
    fn the_newest_is_kept_and_the_past_gets_sparser() {
        let mut anchors = Vec::new();
        for commit in 1..=1000 {
            keep(&mut anchors, anchor(commit), commit);
            assert!(anchors.contains(&anchor(commit)));
            assert!(anchors.len() <= SLOTS);
        }
        let oldest = anchors.iter().map(|anchor| anchor.sequence.0).min();
        assert!(oldest < Some(900), "{anchors:?}");
    }

    #[test]
    fn text_and_back() {
        let anchors = vec![anchor(7), anchor(u64::MAX)];
        assert_eq!(parse(&text(&anchors)), anchors);
        assert_eq!(parse("[]"), []);
        assert_eq!(parse("?"), []);
    }
}
