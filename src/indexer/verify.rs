//! Whether an index is its rows.
//!
//! It trails them: rows that have changed since its last commit are left out, as the change log names them. All others
//! must be in it as they are, once, and nothing else.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

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

/// What is wrong with the indexes in a generation's folder, which nobody has open; `snapshot` is of its rows.
pub fn at_rest(
    generation: &Path,
    definition: &Definition,
    snapshot: &Snapshot,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for (number, shape) in shapes(definition).into_iter().enumerate() {
        let opened = opened(generation, &shape);
        if matches!(opened, Err(Error::Search(search::Error::Missing { .. })))
            && snapshot.sequence() == Sequence(0)
        {
            // The process ended before it was made, and it has no rows.
            continue;
        }
        let found = opened.and_then(|index| {
            if index.payload().generation() != snapshot.generation() {
                return Ok(Some("is of another generation".to_owned()));
            }
            compared(index.searcher(), definition, number, snapshot)
        });
        findings.extend(finding(shape.name(), found, at_rest_next)?);
    }
    Ok(findings)
}

/// What is wrong with indexes that are searched; `snapshot` was opened after `published` was. One that is damaged is made
/// again.
pub fn published(
    board: &Board,
    published: &Published,
    snapshot: &Snapshot,
) -> Result<Vec<Finding>, Error> {
    let mut findings = Vec::new();
    for (number, index) in published.indexes.iter().enumerate() {
        let found = match (&index.searcher, index.trouble()) {
            (_, Some(trouble)) => Ok(Some(trouble.detail)),
            (Some(searcher), None) => {
                let folder = Folder::new(&published.folder, &index.name);
                match damage(&folder, searcher.shape()) {
                    Some(detail) => {
                        board.damaged(number, detail.clone());
                        Ok(Some(format!("{detail}; it is made again from the rows")))
                    }
                    None => compared(searcher, &published.definition, number, snapshot),
                }
            }
            (None, None) => Ok(Some("is not open yet".to_owned())),
        };
        findings.extend(finding(&index.name, found, running_next)?);
    }
    Ok(findings)
}

/// What is wrong with the files of an index that is in use, if anything is. Those that are merged into others go
/// meanwhile: what is damage is so each time that it is looked at.
pub(super) fn damage(folder: &Folder, shape: &Arc<Shape>) -> Option<String> {
    let mut last = None;
    for _ in 0..TRIES {
        match Index::open(&folder.path(), Arc::clone(shape)) {
            Err(search::Error::Damaged { detail, .. }) => last = Some(detail),
            // What else keeps it from being read is no damage.
            _ => return None,
        }
    }
    last
}

fn opened(generation: &Path, shape: &Arc<Shape>) -> Result<Index, Error> {
    // All of its files are read by that.
    Ok(Index::open(&Folder::new(generation, shape.name()).path(), Arc::clone(shape))?)
}

fn compared(
    searcher: &Searcher,
    definition: &Definition,
    number: usize,
    snapshot: &Snapshot,
) -> Result<Option<String>, Error> {
    let change = searcher.payload().change;
    if searcher.payload().sequence() > snapshot.sequence() || change > snapshot.last_change()? {
        return Ok(Some("is ahead of the rows".to_owned()));
    }
    if !snapshot.goes_on_from(change, searcher.payload().sequence())? {
        return Ok(Some("does not go on in the change log".to_owned()));
    }
    let Differences { count, first } = differences(searcher, definition, number, snapshot)?;
    if count == 0 {
        return Ok(None);
    }
    let named: Vec<_> =
        first.iter().map(|(difference, key)| format!("{key} {difference}")).collect();
    Ok(Some(format!("differs from the rows in {count} places: {}", named.join("; "))))
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

fn finding(
    name: &str,
    found: Result<Option<String>, Error>,
    next: fn(&str) -> String,
) -> Result<Option<Finding>, Error> {
    let what = match found {
        Ok(what) => what,
        Err(Error::Search(error)) => Some(error.to_string()),
        Err(error) => return Err(error),
    };
    Ok(what.map(|what| Finding { place: format!("search.{name}"), what, next: next(name) }))
}

fn at_rest_next(name: &str) -> String {
    format!(
        "`viewd run` makes it again from the rows; where only values differ, once the folder search/{name} of the generation is removed"
    )
}

fn running_next(name: &str) -> String {
    format!(
        "stop viewd and remove the folder search/{name} of the generation: it is made again from the rows"
    )
}
