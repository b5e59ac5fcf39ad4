//! What moves the checkpoint without any event: a gap that was accepted, the new identity of a restored stream.
//!
//! Each is one transaction of its own, by the same compare-and-set as a batch, synced before it returns: what an
//! operator has accepted need not be accepted again.

use super::Error;
use super::checkpoint::Advance;
use super::writer::Store;
use crate::event::Sequence;
use crate::event::anchor::Origin;
use crate::event::time::Timestamp;

impl Store {
    /// Goes on past sequences that the stream no longer holds, up to and with `last`; how many were missed.
    pub fn pass_gap(&mut self, last: Sequence, committed_at: Timestamp) -> Result<u64, Error> {
        let missed = last.0.saturating_sub(self.checkpoint().sequence.0);
        let sequence = last.max(self.checkpoint().sequence);
        self.advance(&Advance { missed_sequences: missed, ..still(sequence, committed_at) })?;
        Ok(missed)
    }

    /// Takes a stream for the one that was read: its anchors match, its identity is another.
    pub fn adopt(&mut self, origin: Origin, committed_at: Timestamp) -> Result<(), Error> {
        let sequence = self.checkpoint().sequence;
        self.advance(&Advance { origin: Some(origin), ..still(sequence, committed_at) })
    }
}

/// Moves the checkpoint and nothing else.
fn still(sequence: Sequence, committed_at: Timestamp) -> Advance {
    Advance {
        sequence,
        event_time: None,
        committed_at,
        messages: 0,
        missed_sequences: 0,
        live: false,
        origin: None,
        anchor: None,
        rows_changed: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::anchor::Anchor;
    use crate::store::batch::Batch;
    use crate::store::writer::tests::{batch, store};

    #[test]
    fn a_gap_is_counted_and_nothing_else_changes() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        store.commit(batch(10, 0..3)).expect("committed");
        let before = store.checkpoint().clone();
        assert_eq!(store.pass_gap(Sequence(25), Timestamp(7)).expect("passed"), 15);
        let after = store.checkpoint().clone();
        assert_eq!((after.sequence, after.missed_sequences), (Sequence(25), 15));
        assert_eq!((after.messages, after.revision), (before.messages, before.revision));
        let store = store.reopen().expect("the same file");
        assert_eq!(*store.checkpoint(), after, "durable");
        assert_eq!(store.rows(0).expect("rows").len(), 3);
    }

    #[test]
    fn a_gap_before_the_checkpoint_moves_nothing() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        store.commit(batch(10, 0..1)).expect("committed");
        assert_eq!(store.pass_gap(Sequence(4), Timestamp(7)).expect("nothing to pass"), 0);
        assert_eq!(store.checkpoint().sequence, Sequence(10));
        assert_eq!(store.checkpoint().missed_sequences, 0);
    }

    #[test]
    fn a_restored_stream_is_adopted_with_its_anchors() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut store = store(data.path());
        let origin = |created_ns, first| Origin { created_ns, first_sequence: Sequence(first) };
        let anchor = Anchor { sequence: Sequence(10), stored_at_ns: 5, payload_hash: 6 };
        let proved = Batch { origin: Some(origin(1, 3)), anchor: Some(anchor), ..batch(10, 0..1) };
        store.commit(proved).expect("committed");
        store.adopt(origin(2, 8), Timestamp(7)).expect("adopted");
        let found = store.reopen().expect("the same file").checkpoint().clone();
        assert_eq!((found.stream_created_ns, found.sequence), (Some(2), Sequence(10)));
        assert_eq!(found.anchors, [anchor]);
        assert_eq!(found.from_sequence, Some(Sequence(3)), "where the build began stays");
    }

    #[test]
    fn a_stale_writer_accepts_nothing() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut stale = store(data.path());
        stale.commit(batch(10, 0..1)).expect("committed");
        let mut other = store(data.path());
        other.commit(batch(11, 1..2)).expect("committed");
        let origin = Origin { created_ns: 9, first_sequence: Sequence(1) };
        for refused in [
            stale.pass_gap(Sequence(25), Timestamp(7)).map(drop),
            stale.adopt(origin, Timestamp(7)),
        ] {
            assert!(matches!(refused, Err(Error::Stale { previous: Sequence(10), .. })));
            assert_eq!(stale.checkpoint().sequence, Sequence(10));
        }
        let found = store(data.path()).checkpoint().clone();
        assert_eq!((found.sequence, found.missed_sequences), (Sequence(11), 0));
        assert_eq!(found.stream_created_ns, None);
    }
}
