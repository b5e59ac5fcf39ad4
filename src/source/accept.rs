//! A fresh look at a stream beside a position in it: whether reading may go on there, and past what.
//!
//! | what is found | what may be accepted |
//! |---|---|
//! | the stream that was read, with what comes next | nothing is wrong any more |
//! | the stream that was read, beginning after the position + 1 | the gap |
//! | another identity, the newest anchor still there is the same, it reaches the position | the restored stream |
//! | anything else | nothing: the view would mix two histories |
//!
//! What is found here is not what is read: after the checkpoint has moved, the reader verifies the stream once more.

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::api::{Api, Error, StreamInfo};
use super::connection::Connection;
use super::verify::{Proof, compare, proof, retention};
use super::{BUILD_AGAIN, Fault, Position, Reason};
use crate::event::Sequence;
use crate::event::anchor::Origin;

/// What a look at a stream has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    pub found: Found,
    /// The bounds of the stream at that moment.
    pub first: Sequence,
    pub last: Sequence,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Reading can go on where it stopped.
    Sound,
    /// These are gone, first and last.
    Gap { first: Sequence, last: Sequence },
    /// The stream has another identity and the messages that were read.
    Restored(Origin),
    /// Reading must not go on.
    Refused(Fault),
}

/// Looks at one stream, for a thread that is none of the runtime's.
#[derive(Clone, Debug)]
pub struct Look(Option<Stream>);

#[derive(Clone, Debug)]
struct Stream {
    connection: Connection,
    api: Api,
    name: String,
    runtime: Handle,
}

impl Look {
    /// Made within the runtime that the connection lives in.
    pub fn new(connection: &Connection, stream: &str) -> Self {
        Self(Some(Stream {
            connection: connection.clone(),
            api: Api::new(connection),
            name: stream.to_owned(),
            runtime: Handle::current(),
        }))
    }

    /// Of events that come from memory: there is no stream to look at.
    pub(crate) fn nowhere() -> Self {
        Self(None)
    }

    /// Asks the stream's leader; blocks until it has answered, has not in time, or `cancel`.
    pub fn take(&self, position: &Position, cancel: &CancellationToken) -> Result<Seen, String> {
        let Some(stream) = &self.0 else { return Err("there is no stream".to_owned()) };
        let answer = stream.runtime.block_on(cancel.run_until_cancelled(stream.ask(position)));
        answer.unwrap_or_else(|| Err("viewd is ending".to_owned()))
    }
}

impl Stream {
    async fn ask(&self, position: &Position) -> Result<Seen, String> {
        if !self.connection.link().borrow().connected {
            return Err("not connected to NATS".to_owned());
        }
        self.look(position).await.map_err(|error| error.to_string())
    }

    async fn look(&self, position: &Position) -> Result<Seen, Error> {
        let info = self.api.stream_info(&self.name).await?;
        let proof = proof(&self.api, &self.name, position).await?;
        Ok(seen(&self.name, &info, position, proof))
    }
}

fn seen(stream: &str, info: &StreamInfo, position: &Position, proof: Proof) -> Seen {
    Seen {
        found: found(stream, info, position, proof),
        first: Sequence(info.state.first_seq),
        last: Sequence(info.state.last_seq),
    }
}

fn found(stream: &str, info: &StreamInfo, position: &Position, proof: Proof) -> Found {
    if let Err(fault) = retention(stream, info) {
        return Found::Refused(fault);
    }
    let Err(fault) = compare(stream, info, position, proof) else { return Found::Sound };
    let at = position.sequence;
    let last = Sequence(info.state.last_seq);
    let another = position.created_ns.is_some_and(|created| created != info.created);
    let refused = |why: String| {
        let detail = format!("{}: {why}", fault.detail);
        Found::Refused(Fault { detail, next: Some(BUILD_AGAIN), ..fault.clone() })
    };
    match (fault.reason, proof) {
        (Reason::Gap { first, last }, _) => Found::Gap { first, last },
        (Reason::SourceChanged, Proof::Matches(_)) if another && last < at => {
            refused(format!("it ends at {last}, before the position {at}"))
        }
        // Nothing of the old one is in the view.
        (Reason::SourceChanged, proof)
            if another && (at == Sequence(0) || matches!(proof, Proof::Matches(_))) =>
        {
            let first_sequence = Sequence(info.state.first_seq);
            Found::Restored(Origin { created_ns: info.created, first_sequence })
        }
        (Reason::SourceChanged, Proof::Unknown) if another => {
            refused("no message that was read is left in it to compare".to_owned())
        }
        _ => Found::Refused(fault),
    }
}

#[cfg(test)]
mod tests {
    use super::super::api::{StreamConfig, StreamState};
    use super::*;

    fn info(created: i64, first_seq: u64, last_seq: u64) -> StreamInfo {
        StreamInfo {
            config: StreamConfig { retention: "limits".to_owned(), ..StreamConfig::default() },
            created,
            state: StreamState { messages: 0, first_seq, last_seq },
            ts: None,
        }
    }

    /// Of a position at 10 in the stream created at 5.
    fn at_ten(info: &StreamInfo, proof: Proof) -> Found {
        let position =
            Position { sequence: Sequence(10), created_ns: Some(5), anchors: Vec::new() };
        seen("S", info, &position, proof).found
    }

    #[test]
    fn what_may_be_accepted() {
        let matches = Proof::Matches(Sequence(9));
        for proof in [Proof::Unknown, matches] {
            assert_eq!(at_ten(&info(5, 1, 20), proof), Found::Sound);
        }
        let gap = Found::Gap { first: Sequence(11), last: Sequence(14) };
        assert_eq!(at_ten(&info(5, 15, 20), Proof::Unknown), gap);
        for last in [10, 20] {
            let origin = Origin { created_ns: 6, first_sequence: Sequence(1) };
            assert_eq!(at_ten(&info(6, 1, last), matches), Found::Restored(origin));
        }
    }

    #[test]
    fn what_may_not() {
        let (matches, differs) = (Proof::Matches(Sequence(9)), Proof::Differs(Sequence(9)));
        for (case, info, proof, told) in [
            ("rewritten", info(5, 1, 20), differs, "another message 9"),
            ("recreated", info(6, 1, 20), differs, "message 9 is another"),
            ("recreated, nothing to compare", info(6, 1, 20), Proof::Unknown, "is left in it"),
            ("recreated beyond", info(6, 15, 20), Proof::Unknown, "is left in it"),
            ("restored too short", info(6, 1, 9), matches, "ends at 9, before the position 10"),
            ("rewound", info(5, 1, 9), Proof::Unknown, "ends at 9, before the position 10"),
            ("rewound, the rest is the same", info(5, 1, 9), matches, "ends at 9"),
        ] {
            let Found::Refused(fault) = at_ten(&info, proof) else { panic!("{case}: accepted") };
            assert!(fault.detail.contains(told), "{case}: {}", fault.detail);
            assert!(fault.next.is_some_and(|next| next.contains("on_source_change")), "{case}");
        }
        let mut deleting = info(5, 1, 20);
        deleting.config.retention = "interest".to_owned();
        let Found::Refused(fault) = at_ten(&deleting, matches) else { panic!("accepted") };
        assert_eq!(fault.reason, Reason::Retention);
    }

    #[test]
    fn before_the_first_message_any_stream_will_do() {
        let position = Position { created_ns: Some(5), ..Position::default() };
        let found = seen("S", &info(6, 3, 7), &position, Proof::Unknown).found;
        let origin = Origin { created_ns: 6, first_sequence: Sequence(3) };
        assert_eq!(found, Found::Restored(origin));
    }
}
