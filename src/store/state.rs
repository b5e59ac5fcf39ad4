//! What a generation is, in `_viewd_meta.state`.
//!
//! | state | |
//! |---|---|
//! | building | being filled: nobody reads it, and a crash removes it |
//! | sealed | complete and synced: it follows the stream beside the one that is served; a crash keeps it |
//! | serving | the link names it |
//! | retired | another is served instead: `successor` |
//!
//! A retired one that is to be served again is sealed meanwhile, and remembers since when it was retired.

use rusqlite::{Connection, params};

use super::layout::Generation;
use crate::event::time::Timestamp;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Building,
    Sealed,
    Serving,
    Retired,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Sealed => "sealed",
            Self::Serving => "serving",
            Self::Retired => "retired",
        }
    }

    /// Of a word that the table's own check lets through.
    pub(super) fn of(word: &str) -> Self {
        match word {
            "building" => Self::Building,
            "sealed" => Self::Sealed,
            "serving" => Self::Serving,
            _ => Self::Retired,
        }
    }
}

/// Says that a generation is now `building`, `sealed` or `serving`.
pub(super) fn mark(connection: &Connection, state: State) -> rusqlite::Result<()> {
    let sql = match state {
        State::Serving => "UPDATE _viewd_meta SET state = ?1, successor = NULL, retired_at = NULL",
        _ => "UPDATE _viewd_meta SET state = ?1",
    };
    connection.execute(sql, [state.word()]).map(drop)
}

/// Says that another generation is served instead; None: that none is, since no definition names the projection.
pub(super) fn retire(
    connection: &Connection,
    successor: Option<Generation>,
    now: Timestamp,
) -> rusqlite::Result<()> {
    let successor = successor.map(|generation| generation.to_string());
    connection
        .execute(
            "UPDATE _viewd_meta SET state = 'retired', successor = ?1, retired_at = ?2",
            params![successor, now.to_string()],
        )
        .map(drop)
}
