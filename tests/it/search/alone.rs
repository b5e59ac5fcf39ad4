//! A generation with its indexes and no daemon: a test works on it as its worker would.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use viewd::definition::fingerprint::{ENGINE, Fingerprint, Reading};
use viewd::definition::{self, Definition};
use viewd::diagnostic::{Source, render};
use viewd::store::layout::{Build, Folder};
use viewd::store::step::Steps;
use viewd::store::writer::Store;
use viewd::worker::common::Common;
use viewd::worker::fences::Fences;

const CACHE_BYTES: u64 = 2 << 20;

/// What opens stores and indexes of one projection, whose source is `s`.
pub(super) struct Alone {
    pub(super) definition: Arc<Definition>,
    fingerprint: Fingerprint,
    common: Arc<Common>,
}

impl Alone {
    /// A fence is due as soon as something has changed.
    pub(super) fn new(name: &str, definition: &str, runtime: &Handle) -> Self {
        let source = Source::new(format!("{name}.toml"), definition);
        let (definition, found) = definition::parse(&source, name, &["s"]);
        let definition = definition.unwrap_or_else(|| panic!("{}", render(&found, false)));
        let reading = Reading {
            stream: "S",
            format: "auto",
            order_key: None,
            transform: None,
            event_bytes_max: 1 << 20,
        };
        let shutdown = CancellationToken::new();
        let mut common = Common::alone(64 << 20, 1_000, 1_000, runtime.clone(), shutdown);
        Arc::get_mut(&mut common).expect("nobody else has it").search_commit = Duration::ZERO;
        let fingerprint = Fingerprint::new(&definition, reading);
        Self { definition: Arc::new(definition), fingerprint, common }
    }

    /// As a start of the daemon would, before anything is fenced.
    pub(super) fn open(&self, data: &Path, steps: Steps) -> (Store, Fences) {
        let definition = &self.definition;
        let folder = Folder::new(data, &definition.name).with_steps(steps);
        let build = Build {
            projection: &definition.name,
            stream: "S",
            definition: &definition.source.text,
            source: "{}",
            engine: ENGINE,
            fingerprint: &self.fingerprint,
            tables: &definition.tables,
            views: &definition.views,
            logged: definition.logged(),
        };
        let generation = folder.current_or_first(&build).expect("a generation");
        let store = Store::open(&folder, generation, build.tables, CACHE_BYTES).expect("a store");
        let fences = Fences::begin(&self.common, definition, &folder, &store);
        (store, fences)
    }
}
