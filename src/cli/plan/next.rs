//! What becomes of a change, in words: what the daemon does by itself, and what only by command.

use super::{Action, Planned};

/// What there is between a definition on disk and the view that it asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hindrance {
    /// The daemon is at it, by this operation.
    UnderWay(u64),
    /// A rollback has left this definition, for this generation.
    Pinned(u64),
    /// `rebuild.auto` is false.
    NotAuto,
}

/// Whether it happens by itself, if that is known and there is anything to do; and what happens next or is to be done.
pub(super) fn of(
    planned: &Planned,
    hindrance: Option<Hindrance>,
) -> (Option<bool>, Option<String>) {
    let name = &planned.projection;
    let itself =
        |what: &str| (Some(true), Some(format!("`viewd reload`, or the next start, {what}")));
    let by_hand = |what: String| (Some(false), Some(what));
    match (planned.action, hindrance) {
        (Action::Nothing, Some(Hindrance::Pinned(generation))) => (
            None,
            Some(format!(
                "a rollback has pinned generation {generation}: `viewd promote {name}` ends that"
            )),
        ),
        (Action::Nothing, _) => (None, None),
        (Action::Build, _) => itself("builds it"),
        (Action::Adopt, _) => itself("takes it over"),
        (Action::Invalid, _) => {
            by_hand("what runs goes on as it was until that is corrected".to_owned())
        }
        (Action::Retired, _) => by_hand(format!(
            "no definition names it: the view is kept and stands still; `viewd gc {name}` removes it"
        )),
        (Action::Forget, Some(Hindrance::Pinned(generation))) => {
            by_hand(format!("a rollback has pinned generation {generation}: {}", consent(planned)))
        }
        (Action::Forget, _) => by_hand(consent(planned)),
        (Action::Reshape | Action::Rebuild, Some(Hindrance::UnderWay(number))) => (
            Some(true),
            Some(format!(
                "operation {number} is at it: `viewd rebuild {name}` follows it to its end"
            )),
        ),
        (Action::Reshape | Action::Rebuild, Some(Hindrance::Pinned(generation))) => {
            by_hand(format!(
                "a rollback has pinned generation {generation}: it goes on until `viewd promote {name}` or `viewd rebuild {name}`"
            ))
        }
        (Action::Reshape | Action::Rebuild, Some(Hindrance::NotAuto)) => {
            by_hand(format!("rebuild.auto is false: `viewd rebuild {name}` does it"))
        }
        (Action::Reshape, None) => itself(
            "copies the rows beside the view that is served, with other indexes and views, and serves the copy",
        ),
        (Action::Rebuild, None) => {
            let what = "replays the stream beside the view that is served, and serves the new one when it has caught up";
            match planned.forgets {
                Some(_) => itself(what),
                None => (
                    None,
                    itself(&format!(
                        "{what}, unless something would be forgotten: the stream was not asked"
                    ))
                    .1,
                ),
            }
        }
    }
}

/// What a replay would lose, in the words of the refusal.
pub(super) fn forgotten(planned: &Planned) -> String {
    let (stream, from) = (&planned.stream, planned.from_sequence.unwrap_or(1));
    match planned.stream_first_sequence {
        None => format!("there is no stream {stream}"),
        Some(first) if first > from => {
            format!("the stream now begins at {first}, the serving generation began at {from}")
        }
        Some(_) => {
            format!("the serving generation was built from another stream than {stream} is now")
        }
    }
}

fn consent(planned: &Planned) -> String {
    let name = &planned.projection;
    let goes_on = "the view goes on by the definition that it was built by";
    match planned.stream_first_sequence {
        None => format!("{goes_on}; undo the change, or make the stream"),
        Some(_) => format!(
            "{goes_on}; `viewd rebuild {name} --forget` builds it from what the stream still holds, and loses the rest"
        ),
    }
}
