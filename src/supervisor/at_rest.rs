//! What the files say of their projections when no daemon runs.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::definition::Definition;
use crate::event::Sequence;
use crate::indexer::shapes;
use crate::search::{self, Shape};
use crate::status::{Index, Nats, Projection, Report, State};
use crate::store::layout::Folder;
use crate::store::snapshot::{self, Snapshot};
use crate::store::{self, layout, stored};
use crate::worker::recipe;

/// The report of a data directory at rest: nothing is known of any stream.
pub fn report(config: &Config) -> Result<Report, store::Error> {
    let names = layout::projections(&config.data_dir)?;
    let projections =
        names.iter().map(|name| projection(config, name)).collect::<Result<_, _>>()?;
    Ok(Report { nats: Nats { connected: false }, projections })
}

fn projection(config: &Config, name: &str) -> Result<Projection, store::Error> {
    let stored = stored::read(&config.data_dir.join(name))?;
    let search = match recipe::defined(&stored) {
        Ok(definition) => declared(&Folder::new(&config.data_dir, name), &definition)?,
        // Another version has made them.
        Err(_) => found(&config.data_dir.join(name).join("current")),
    };
    let paused = "paused by command: it stands still when a daemon runs, too";
    let paused = stored.control.paused.then(|| paused.to_owned());
    let wrong = search.iter().filter_map(|index| index.detail.clone());
    let details: Vec<String> = paused.into_iter().chain(wrong).collect();
    let mends = search.iter().any(|index| index.detail.is_some()).then(|| "viewd run".to_owned());
    Ok(Projection {
        name: name.to_owned(),
        state: State::Stopped,
        reason: None,
        detail: (!details.is_empty()).then(|| details.join("; ")),
        next: mends,
        pinned: stored.control.pinned.is_some(),
        generation: stored.checkpoint.generation.0,
        stream: stored.stream,
        position: stored.checkpoint.sequence.0,
        checkpoint_sequence: stored.checkpoint.sequence.0,
        stream_first_sequence: None,
        stream_last_sequence: None,
        pending_messages: None,
        lag_seconds: None,
        lag_target_seconds: 0.0,
        events_per_second: 0.0,
        counts: stored.counts,
        missed_sequences: stored.checkpoint.missed_sequences,
        dead_letters: stored.set_aside.dead,
        parked_events: stored.set_aside.parked,
        rebuild: None,
        search,
    })
}

/// The indexes of the generation that is served, beside its rows.
fn declared(folder: &Folder, definition: &Definition) -> Result<Vec<Index>, store::Error> {
    if definition.searches.is_empty() {
        return Ok(Vec::new());
    }
    let snapshot = snapshot::open(folder)?;
    let generation = folder.generation(snapshot.generation());
    shapes(definition).into_iter().map(|shape| beside(&generation, shape, &snapshot)).collect()
}

fn beside(
    generation: &Path,
    shape: Arc<Shape>,
    snapshot: &Snapshot,
) -> Result<Index, store::Error> {
    let name = shape.name().to_owned();
    let to_be_made = |why: &dyn std::fmt::Display| {
        Some(format!("index `{name}` has to be made from the rows: {why}"))
    };
    let opened = search::Index::look(&search::Folder::new(generation, &name).path(), shape);
    let (at, detail) = match opened {
        // It has no rows, either.
        Err(search::Error::Missing { .. }) if snapshot.sequence() == Sequence(0) => (None, None),
        Err(error) => (None, to_be_made(&error)),
        Ok(index) => match index.payload().unfit_for(snapshot)? {
            Some(why) => (None, to_be_made(&why)),
            None => {
                let (at, view) = (index.payload().stands_at(snapshot)?, snapshot.sequence());
                let behind = format!("index `{name}` is at sequence {at}, the view at {view}");
                (Some((at.0, index.searcher().documents())), (at < view).then_some(behind))
            }
        },
    };
    let (sequence, documents) = at.unzip();
    let state = State::Stopped.word().to_owned();
    Ok(Index { index: name, sequence, documents, state, detail })
}

/// What lies there, as their last commits left them.
fn found(generation: &Path) -> Vec<Index> {
    let Ok(folders) = fs::read_dir(generation.join("search")) else { return Vec::new() };
    let names = folders.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    // What is moved aside, and what is being made, has a point in its name.
    let mut names: Vec<String> = names.filter(|name| !name.contains('.')).collect();
    names.sort_unstable();
    let shown = |index: String| {
        let found = search::at_rest(&search::Folder::new(generation, &index).path());
        let (payload, documents) = found.unzip();
        Index {
            index,
            sequence: payload.map(|payload| payload.sequence().0),
            documents,
            state: State::Stopped.word().to_owned(),
            detail: None,
        }
    };
    names.into_iter().map(shown).collect()
}
