//! Why the daemon did not do what it was told.

use crate::diagnostic::Diagnostic;
use crate::event::Sequence;
use crate::rebuild::operation::{Operation, Progress};
use crate::store;
use crate::worker::command;

/// Nothing has changed by what was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("there is no such projection")]
    Unknown { projection: String },
    /// Another operation runs, by its number, or another command is being carried out.
    #[error("{detail}")]
    Busy { operation: Option<u64>, detail: String, next: Option<String> },
    /// As the projection stands it cannot be done.
    #[error("{detail}")]
    NotPossible { detail: String, next: Option<String> },
    /// The settings or definitions on disk are wrong.
    #[error("{}", first(diagnostics))]
    Invalid { diagnostics: Vec<Diagnostic> },
    /// The settings or definitions on disk cannot be read.
    #[error("{detail}")]
    Unreadable { detail: String },
    #[error("no generation was served before this one, or it has been removed")]
    NoRetired,
    /// The sequence that was asked for lies behind the view.
    #[error("the view has passed that sequence: it stands at {current}")]
    Passed { current: Sequence },
    #[error("the stream cannot be asked: {detail}")]
    Unreachable { detail: String },
    #[error("{detail}")]
    Storage { detail: String, next: Option<String> },
    #[error("the daemon is shutting down")]
    Draining,
}

impl Refused {
    /// The next thing to do, when there is one.
    pub fn hint(&self) -> Option<String> {
        let said = match self {
            Self::NotPossible { next, .. }
            | Self::Storage { next, .. }
            | Self::Busy { next: next @ Some(_), .. } => return next.clone(),
            Self::Busy { .. } => "try again in a moment",
            Self::Invalid { .. } => "`viewd check` shows what is wrong",
            Self::NoRetired => {
                "put the earlier definition back, and `viewd reload`; `rebuild.keep_generations` says how many generations are kept to go back to"
            }
            Self::Passed { .. } => "ask for a sequence that is still to come, or for none",
            Self::Unreachable { .. } => "try again when NATS answers; nothing was changed",
            Self::Unknown { .. } | Self::Unreadable { .. } | Self::Draining => return None,
        };
        Some(said.to_owned())
    }

    pub(super) fn unknown(projection: &str) -> Self {
        Self::Unknown { projection: projection.to_owned() }
    }

    pub(super) fn busy(detail: &str) -> Self {
        Self::Busy { operation: None, detail: detail.to_owned(), next: None }
    }

    /// An operation runs already.
    pub(super) fn busy_with(operation: &Operation) -> Self {
        let Operation { id, order, projection, .. } = operation;
        let kind = order.kind.word();
        let held = operation.shown().state == Progress::Held;
        let (detail, next) = if held {
            (
                format!("operation {id} ({kind}) is held on projection `{projection}`"),
                format!(
                    "`viewd promote {projection}` serves it, `viewd cancel {projection}` ends it"
                ),
            )
        } else {
            (
                format!("operation {id} ({kind}) runs on projection `{projection}`"),
                format!("wait for it to end, or end it with `viewd cancel {projection}`"),
            )
        };
        Self::Busy { operation: Some(*id), detail, next: Some(next) }
    }
}

/// Where the first error is, and how many there are besides.
fn first(diagnostics: &[Diagnostic]) -> String {
    let mut errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
    let Some(error) = errors.next() else { return "what is on disk is not right".to_owned() };
    let more = errors.count();
    let more = if more > 0 { format!(" (and {more} more)") } else { String::new() };
    format!("{}: {}{more}", error.place.describe(), error.message)
}

impl From<store::Error> for Refused {
    fn from(error: store::Error) -> Self {
        Self::Storage { detail: error.to_string(), next: error.hint() }
    }
}

/// What a worker says; whose it is, the caller knows.
impl From<command::Refused> for Refused {
    fn from(refused: command::Refused) -> Self {
        match refused {
            // A worker knows no names.
            command::Refused::Unknown => Self::unknown(""),
            command::Refused::NotAcceptable { detail, next } => Self::NotPossible { detail, next },
            command::Refused::Busy(detail) => Self::busy(&detail),
            command::Refused::Passed { current } => Self::Passed { current },
            command::Refused::Unreachable(detail) => Self::Unreachable { detail },
            command::Refused::Storage { detail, next } => Self::Storage { detail, next },
        }
    }
}
