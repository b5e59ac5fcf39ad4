//! Whether a stream is still the one that a position was read from.
//!
//! | what is found | what it means |
//! |---|---|
//! | retention other than limits | reading would delete: refused |
//! | created at another time | deleted and recreated, or restored: `source_changed` |
//! | the newest anchor still in the stream differs | rewritten: `source_changed` |
//! | it ends before the position | rewound: `source_changed` |
//! | it begins after the position + 1 | trimmed: `gap`, unless newer messages can only have replaced what is missing |
//!
//! It is done after the consumer was created. A stream that is deleted in between takes the consumer with it, so what is
//! verified is what the consumer reads.

use super::api::{Api, Error, StreamInfo};
use super::front::Front;
use super::{ACCEPT, BUILD_AGAIN, Fault, Position, Reason};
use crate::event::Sequence;
use crate::event::anchor::{Anchor, Origin};

/// Asks the stream's leader, and compares.
pub(super) async fn verify(
    api: &Api,
    stream: &str,
    position: &Position,
) -> Result<Result<Origin, Fault>, Error> {
    let info = api.stream_info(stream).await?;
    if let Err(fault) = retention(stream, &info) {
        return Ok(Err(fault));
    }
    let proof = proof(api, stream, position).await?;
    Ok(compare(stream, &info, position, proof))
}

/// A message that was applied and that the stream now holds another of, by the newest anchor that is still there.
pub(super) async fn rewritten(
    api: Api,
    stream: String,
    position: Position,
) -> Result<Option<Sequence>, Error> {
    Ok(match proof(&api, &stream, &position).await? {
        Proof::Differs(sequence) => Some(sequence),
        Proof::Matches(_) | Proof::Unknown => None,
    })
}

/// What anchors say about a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Matches(Sequence),
    Differs(Sequence),
    /// None of them is in the stream any more, or there were none.
    Unknown,
}

/// Refuses a stream from which reading removes messages.
pub(super) fn retention(stream: &str, info: &StreamInfo) -> Result<(), Fault> {
    let retention = info.config.retention.as_str();
    if retention == "limits" {
        return Ok(());
    }
    Err(Fault {
        reason: Reason::Retention,
        detail: format!(
            "stream {stream} has the retention {retention}, which deletes what is read"
        ),
        next: Some(match retention {
            "interest" => {
                "set its retention to limits (nats stream edit NAME --retention limits): viewd reads on by itself"
            }
            // JetStream changes every other retention, and never this one.
            _ => {
                "have the events in a stream with the retention limits, and name that in the settings"
            }
        }),
    })
}

/// Reads the newest anchor that is still there again: a history that differs before it would have moved it.
pub(super) async fn proof(api: &Api, stream: &str, position: &Position) -> Result<Proof, Error> {
    let mut anchors: Vec<Anchor> = position.anchors.clone();
    anchors.sort_unstable_by_key(|anchor| std::cmp::Reverse(anchor.sequence));
    for anchor in anchors {
        if let Some(stored) = api.message(stream, anchor.sequence).await? {
            let same = stored.anchor() == anchor;
            return Ok(if same {
                Proof::Matches(anchor.sequence)
            } else {
                Proof::Differs(anchor.sequence)
            });
        }
    }
    Ok(Proof::Unknown)
}

/// What a stream and its proof say of a position in it.
pub(super) fn compare(
    stream: &str,
    info: &StreamInfo,
    position: &Position,
    proof: Proof,
) -> Result<Origin, Fault> {
    let origin =
        Origin { created_ns: info.created, first_sequence: Sequence(info.state.first_seq) };
    let at = position.sequence;
    let changed =
        |detail: String| Fault { reason: Reason::SourceChanged, detail, next: Some(BUILD_AGAIN) };
    let last = Sequence(info.state.last_seq);
    if position.created_ns.is_some_and(|created| created != info.created) {
        let proven = match proof {
            Proof::Matches(sequence) => format!("; message {sequence} is the same"),
            Proof::Differs(sequence) => format!("; message {sequence} is another"),
            Proof::Unknown => String::new(),
        };
        let fault =
            changed(format!("stream {stream} was deleted and created again, or restored{proven}"));
        let restored = matches!(proof, Proof::Matches(_)) && last >= at;
        return Err(if restored { Fault { next: Some(ACCEPT), ..fault } } else { fault });
    }
    if let Proof::Differs(sequence) = proof {
        return Err(changed(format!(
            "stream {stream} holds another message {sequence} than the one that was applied"
        )));
    }
    if last < at {
        return Err(changed(format!("stream {stream} ends at {last}, before the position {at}")));
    }
    // Nothing was read yet: the stream begins where it begins.
    let replaced = Front::of(&info.config).only_replaced(position.stored_at_ns(), info.at());
    if at > Sequence(0) && origin.first_sequence > at.next() && !replaced {
        return Err(gap(stream, at.next(), origin.first_sequence));
    }
    Ok(origin)
}

/// The fault that sequences up to the stream's first are gone.
pub(super) fn gap(stream: &str, first_missing: Sequence, first_held: Sequence) -> Fault {
    let last_missing = Sequence(first_held.0 - 1);
    Fault {
        reason: Reason::Gap { first: first_missing, last: last_missing },
        detail: format!(
            "stream {stream} no longer holds {first_missing} to {last_missing}, which were not applied"
        ),
        next: Some(ACCEPT),
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

    #[test]
    fn table() {
        let position = |sequence, created_ns| Position {
            sequence: Sequence(sequence),
            created_ns,
            anchors: Vec::new(),
        };
        let gap = |first, last| Reason::Gap { first: Sequence(first), last: Sequence(last) };
        let ok = None;
        for (case, info, position, proof, expected) in [
            ("fresh", info(5, 1, 10), position(0, None), Proof::Unknown, ok),
            ("fresh and trimmed", info(5, 7, 10), position(0, None), Proof::Unknown, ok),
            (
                "restarted before the first message",
                info(5, 7, 10),
                position(0, Some(5)),
                Proof::Unknown,
                ok,
            ),
            ("behind", info(5, 1, 10), position(4, Some(5)), Proof::Matches(Sequence(4)), ok),
            (
                "at the head",
                info(5, 1, 10),
                position(10, Some(5)),
                Proof::Matches(Sequence(10)),
                ok,
            ),
            ("at the head, all purged", info(5, 11, 10), position(10, Some(5)), Proof::Unknown, ok),
            ("just not trimmed", info(5, 5, 10), position(4, Some(5)), Proof::Unknown, ok),
            ("trimmed", info(5, 7, 10), position(4, Some(5)), Proof::Unknown, Some(gap(5, 6))),
            (
                "rewound",
                info(5, 1, 10),
                position(11, Some(5)),
                Proof::Unknown,
                Some(Reason::SourceChanged),
            ),
            (
                "recreated",
                info(6, 1, 10),
                position(4, Some(5)),
                Proof::Unknown,
                Some(Reason::SourceChanged),
            ),
            (
                "restored",
                info(6, 1, 10),
                position(4, Some(5)),
                Proof::Matches(Sequence(4)),
                Some(Reason::SourceChanged),
            ),
            (
                "rewritten",
                info(5, 1, 10),
                position(4, Some(5)),
                Proof::Differs(Sequence(4)),
                Some(Reason::SourceChanged),
            ),
            (
                "recreated before the first message",
                info(6, 1, 0),
                position(0, Some(5)),
                Proof::Unknown,
                Some(Reason::SourceChanged),
            ),
        ] {
            let found = compare("S", &info, &position, proof);
            assert_eq!(found.err().map(|fault| fault.reason), expected, "{case}");
        }
    }

    #[test]
    fn only_limits() {
        for (word, accepted) in
            [("limits", true), ("interest", false), ("workqueue", false), ("", false)]
        {
            let mut info = info(5, 1, 10);
            info.config.retention = word.to_owned();
            assert_eq!(retention("S", &info).is_ok(), accepted, "{word}");
        }
    }
}
