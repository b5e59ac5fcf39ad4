//! What the files say of their projections when no daemon runs.

use std::fs;
use std::path::Path;

use crate::config::Config;
use crate::search;
use crate::status::{Index, Nats, Projection, Report, State};
use crate::store::{self, layout, stored};

/// The report of a data directory at rest: nothing is known of any stream.
pub fn report(config: &Config) -> Result<Report, store::Error> {
    let names = layout::projections(&config.data_dir)?;
    let projections =
        names.iter().map(|name| projection(config, name)).collect::<Result<_, _>>()?;
    Ok(Report { nats: Nats { connected: false }, projections })
}

fn projection(config: &Config, name: &str) -> Result<Projection, store::Error> {
    let stored = stored::read(&config.data_dir.join(name))?;
    let paused = "paused by command: it stands still when a daemon runs, too";
    Ok(Projection {
        name: name.to_owned(),
        state: State::Stopped,
        reason: None,
        detail: stored.control.paused.then(|| paused.to_owned()),
        next: None,
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
        search: indexes(&config.data_dir.join(name).join("current")),
    })
}

/// The indexes of the generation that is served, as their last commits left them.
fn indexes(generation: &Path) -> Vec<Index> {
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
