//! How a build ends, and what its operation says then.

use super::operation::{Ended, Operation, Progress};
use crate::store::Error as StoreError;
use crate::store::difference::Comparison;
use crate::store::layout::Generation;
use crate::worker::command::Refused;

/// How a build ended.
#[derive(Debug)]
pub(super) enum End {
    Served {
        generation: Generation,
    },
    /// It was made to be compared.
    Compared(Box<Comparison>),
    /// It was made to be compared, and may differ without anything being wrong.
    NotComparable {
        detail: String,
    },
    /// What the view knows and the stream no longer holds.
    WouldForget {
        detail: String,
        next: Option<String>,
    },
    /// The checks before the cut-over.
    Refused {
        detail: String,
        next: Option<String>,
    },
    Failed {
        detail: String,
        next: Option<String>,
    },
    Cancelled,
    /// The daemon is ending.
    Shutdown,
}

impl End {
    pub(super) fn failed(detail: impl ToString) -> Self {
        Self::Failed { detail: detail.to_string(), next: None }
    }

    /// Says it, in the log too.
    pub(super) fn tell(self, operation: &Operation) {
        let projection = operation.projection.as_str();
        let none = serde_json::Value::Null;
        let (progress, detail, next, result) = match self {
            Self::Served { generation } => {
                tracing::debug!(projection, %generation, "build is served");
                (Progress::Done, None, None, none)
            }
            Self::Compared(comparison) => {
                let mut result = serde_json::json!(comparison);
                result["comparable"] = true.into();
                (Progress::Done, None, None, result)
            }
            Self::NotComparable { detail } => {
                let result = serde_json::json!({ "comparable": false, "detail": detail });
                (Progress::Done, None, None, result)
            }
            Self::WouldForget { detail, next } => (Progress::WouldForget, Some(detail), next, none),
            Self::Refused { detail, next } => (Progress::Refused, Some(detail), next, none),
            Self::Failed { detail, next } => (Progress::Failed, Some(detail), next, none),
            Self::Cancelled => (Progress::Cancelled, None, None, none),
            Self::Shutdown => {
                let detail = "the daemon is ending: what is sealed goes on with the next start";
                (Progress::Cancelled, Some(detail.to_owned()), None, none)
            }
        };
        if let Some(detail) = detail.as_ref().filter(|_| progress != Progress::Cancelled) {
            tracing::warn!(projection, detail, "build ended");
        }
        operation.end(Ended { progress, detail, next, result });
    }
}

impl From<StoreError> for End {
    fn from(error: StoreError) -> Self {
        Self::Failed { detail: error.to_string(), next: error.hint() }
    }
}

impl From<Refused> for End {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::NotAcceptable { next, .. } | Refused::Storage { next, .. } => {
                Self::Failed { detail, next }
            }
            _ => Self::Failed { detail, next: None },
        }
    }
}
