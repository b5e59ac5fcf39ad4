//! Whether an index is its rows.
//!
//! It trails them: rows that have changed since its last commit are left out, as the change log names them. All others
//! must be in it as they are, once, and nothing else.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::published::{Board, Published};
use super::{Error, making, shapes};
use crate::definition::Definition;
use crate::event::Sequence;
use crate::row::Key;
use crate::search::{self, Differences, Folder, Index, Searcher, Shape};
use crate::store::scan::Parts;
use crate::store::snapshot::Snapshot;
use crate::store::verify::Finding;

/// How often files are looked at that may go at any moment.
const TRIES: usize = 3;

/// An index, held against the rows of its table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    pub index: String,
    /// Rows that are in it; None of one that cannot be opened.
    pub documents: Option<u64>,
    /// What is wrong with it, if anything is.
    pub finding: Option<Finding>,
}

/// The indexes in a generation's folder, which nobody has open; `snapshot` is of its rows.
pub fn at_rest(
    generation: &Path,
    definition: &Definition,
    snapshot: &Snapshot,
) -> Result<Vec<Compared>, Error> {
    let again = "`viewd run` makes it again from the rows";
    let compare = |(number, shape): (usize, Arc<Shape>)| {
        let path = Folder::new(generation, shape.name()).path();
        let is_new = snapshot.sequence() == Sequence(0);
        // All of its files are read by that.
        let (documents, what, next) = match Index::open(&path, Arc::clone(&shape)) {
            // The process ended before it was made, and it has no rows.
            Err(search::Error::Missing { .. }) if is_new => (Some(0), None, ""),
            Err(error) => (None, Some(error.to_string()), again),
            Ok(index) => {
                let searcher = index.searcher();
                let (what, next) = match searcher.payload().unfit_for(snapshot)? {
                    Some(why) => (Some(why.to_owned()), again),
                    None => (
                        compared(searcher, definition, number, snapshot)?,
                        "`viewd verify` once more while `viewd run` runs: it is made again from the rows then",
                    ),
                };
                (Some(searcher.documents()), what, next)
            }
        };
        let finding = what.map(|what| finding(shape.name(), what, next));
        Ok(Compared { index: shape.name().to_owned(), documents, finding })
    };
    shapes(definition).into_iter().enumerate().map(compare).collect()
}

/// Indexes that are searched; `snapshot` was opened after `published` was. What is not as it should be is made again.
/// None: they have moved on meanwhile.
pub fn published(
    board: &Board,
    published: &Published,
    snapshot: &Snapshot,
) -> Result<Option<Vec<Compared>>, Error> {
    let mut all = Vec::new();
    for (number, index) in published.indexes.iter().enumerate() {
        let mut next = "`viewd status` shows how far it is".to_owned();
        let what = match (&index.searcher, index.trouble()) {
            (_, Some(trouble)) => {
                next = trouble.next.unwrap_or(next);
                Some(trouble.detail)
            }
            (None, None) => Some("it is being opened".to_owned()),
            (Some(searcher), None) => {
                let folder = Folder::new(&published.folder, &index.name);
                let what = match damage(&folder, searcher.shape()) {
                    None if searcher.payload().unfit_for(snapshot)?.is_some() => return Ok(None),
                    None => compared(searcher, &published.definition, number, snapshot)?,
                    damage => damage,
                };
                what.map(|what| {
                    board.damaged(number, what.clone());
                    format!("{what}; it is made again from the rows")
                })
            }
        };
        all.push(Compared {
            index: index.name.clone(),
            documents: index.searcher.as_ref().map(Searcher::documents),
            finding: what.map(|what| finding(&index.name, what, &next)),
        });
    }
    Ok(Some(all))
}

/// What is wrong with the files of an index that is in use, if anything is. Those that are merged into others go
/// meanwhile: what is damage is so each time that it is looked at.
pub(super) fn damage(folder: &Folder, shape: &Arc<Shape>) -> Option<String> {
    let mut last = None;
    for _ in 0..TRIES {
        match Index::open(&folder.path(), Arc::clone(shape)) {
            Err(search::Error::Damaged { detail, .. }) => last = Some(detail),
            Err(search::Error::Missing { .. }) => last = Some("its files are gone".to_owned()),
            // What else keeps it from being read is no damage.
            _ => return None,
        }
    }
    last
}

fn compared(
    searcher: &Searcher,
    definition: &Definition,
    number: usize,
    snapshot: &Snapshot,
) -> Result<Option<String>, Error> {
    let differences = differences(searcher, definition, number, snapshot);
    let Differences { count, first } = match differences {
        Err(Error::Search(error)) => return Ok(Some(error.to_string())),
        differences => differences?,
    };
    if count == 0 {
        return Ok(None);
    }
    let named: Vec<_> =
        first.iter().map(|(difference, key)| format!("{key} {difference}")).collect();
    let places = if count == 1 { "place" } else { "places" };
    Ok(Some(format!("it differs from the rows in {count} {places}: {}", named.join("; "))))
}

fn differences(
    searcher: &Searcher,
    definition: &Definition,
    number: usize,
    snapshot: &Snapshot,
) -> Result<Differences, Error> {
    let table = &definition.tables[definition.searches[number].table];
    let columns = making::columns(definition, number);
    let mut comparison = searcher.compare()?;
    let mut changed = HashSet::new();
    let (change, last) = (searcher.payload().change, snapshot.last_change()?);
    snapshot.changes(table, &[], change, last, |key, _| {
        changed.insert(key.clone());
        comparison.skip(key).map_err(Error::from)
    })?;
    snapshot.scan(table, &columns, &Parts::default(), |row| {
        let key = || Key(table.key.iter().map(|&column| row[column].clone()).collect());
        if !changed.is_empty() && changed.contains(&key()) {
            return Ok(());
        }
        comparison.row(row).map_err(Error::from)
    })?;
    Ok(comparison.finish()?)
}

fn finding(name: &str, what: String, next: &str) -> Finding {
    Finding { place: format!("search.{name}"), what, next: next.to_owned() }
}
