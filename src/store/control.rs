//! What a person has told a projection to do until told otherwise: kept over restarts, and by its next generations.

use rusqlite::{Connection, params};

use super::Error;
use super::writer::Store;
use crate::definition::fingerprint::Fingerprint;

/// One row of `_viewd_control`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Control {
    pub paused: bool,
    /// After a rollback: the definition that was left, which does not start a build by itself.
    pub pinned: Option<Fingerprint>,
    /// Of a build: what it was ordered by, for whoever goes on with it after a crash.
    pub order: Option<String>,
}

impl Control {
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        connection.query_row("SELECT paused, pinned, build_order FROM _viewd_control", (), |row| {
            let pinned: Option<String> = row.get(1)?;
            Ok(Self {
                paused: row.get(0)?,
                pinned: pinned.and_then(|text| text.parse().ok()),
                order: row.get(2)?,
            })
        })
    }
}

impl Store {
    pub fn control(&self) -> &Control {
        &self.control
    }

    /// Remembers it, and survives a loss of power from then on.
    pub fn set_control(&mut self, control: Control) -> Result<(), Error> {
        self.durably(|connection| {
            connection
                .execute(
                    // A transaction that changes nothing syncs nothing: so the count.
                    "UPDATE _viewd_control SET paused = ?1, pinned = ?2, build_order = ?3, writes = writes + 1",
                    params![
                        control.paused,
                        control.pinned.as_ref().map(Fingerprint::to_string),
                        control.order
                    ],
                )
                .map(drop)
                .map_err(Into::into)
        })?;
        self.control = control;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::writer::tests::store;

    #[test]
    fn control_is_kept_over_a_restart() {
        let data = tempfile::tempdir().expect("a temporary folder");
        let mut first = store(data.path());
        assert_eq!(*first.control(), Control::default());
        let pinned = Some("a:b:c:d".parse().expect("a fingerprint"));
        let control = Control { paused: true, pinned, order: Some("{}".to_owned()) };
        first.set_control(control.clone()).expect("written");
        drop(first);
        let mut again = store(data.path());
        assert_eq!(*again.control(), control);
        again.set_control(Control::default()).expect("written");
        assert_eq!(*store(data.path()).control(), Control::default());
    }
}
