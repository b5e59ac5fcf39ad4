//! The settings as they hold, and what a look at the disk changes of them.

use std::sync::Arc;

use super::disk::{Declared, Definitions, Disk};
use super::refused::Refused;
use crate::config::{Config, Loaded, Setting};
use crate::diagnostic::Diagnostic;
use crate::store::layout::Folder;
use crate::store::step::Steps;
use crate::worker::recipe::Recipe;

/// Changed by one command at a time.
pub(super) struct Site {
    disk: Disk,
    pub(super) config: Config,
    /// As they were at the start.
    settings: Vec<Setting>,
    /// What is done at the steps of a generation's life.
    steps: Steps,
}

/// What one look at the disk has found.
pub(super) struct Found {
    pub(super) definitions: Definitions,
    /// Settings that differ and hold from the next start on.
    pub(super) later: Vec<String>,
}

impl Site {
    pub(super) fn new(disk: Disk, loaded: Loaded, steps: Steps) -> Self {
        Self { disk, config: loaded.config, settings: loaded.settings, steps }
    }

    pub(super) fn folder(&self, projection: &str) -> Folder {
        Folder::new(&self.config.data_dir, projection).with_steps(self.steps.clone())
    }

    /// Reads settings and definitions anew. Sources and `[rebuild]` hold from now on; connections, addresses and limits
    /// are those of the start.
    pub(super) fn read(&mut self) -> Result<Found, Refused> {
        let invalid = |diagnostics| Refused::Invalid { diagnostics };
        let Loaded { config, settings, .. } = self.disk.settings().map_err(invalid)?;
        let read =
            Config { sources: config.sources, rebuild: config.rebuild, ..self.config.clone() };
        let definitions = Definitions::read(&read).map_err(|error| Refused::Unreadable {
            detail: format!("{error}: {}", error.source),
        })?;
        if definitions.names.is_empty() {
            let folder = read.projections.display();
            return Err(Refused::NotPossible {
                detail: format!("there are no definitions (*.toml) in `{folder}`"),
                next: Some(
                    "look whether the folder is where it should be; nothing was changed".to_owned(),
                ),
            });
        }
        self.config = read;
        Ok(Found { definitions, later: self.later(&settings) })
    }

    /// Those that differ from the start's and are not taken over.
    fn later(&self, settings: &[Setting]) -> Vec<String> {
        let is_taken = |key: &str| key.starts_with("sources.") || key.starts_with("rebuild.");
        let among = |key: &str, settings: &[Setting]| {
            settings.iter().find(|setting| setting.key == key).map(|setting| setting.value.clone())
        };
        let mut keys: Vec<_> = [&self.settings, settings]
            .into_iter()
            .flatten()
            .map(|setting| setting.key.clone())
            .filter(|key| !is_taken(key) && among(key, &self.settings) != among(key, settings))
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}

impl Found {
    /// What a projection's definition says, if it is right.
    pub(super) fn recipe(&self, projection: &str, config: &Config) -> Result<Arc<Recipe>, Refused> {
        let is_named = |declared: &&Declared| declared.name() == projection;
        match self.definitions.declared.iter().find(is_named) {
            Some(declared) => Ok(Arc::new(declared.recipe(config))),
            None if self.is_wrong(projection) => {
                Err(Refused::Invalid { diagnostics: self.errors(projection) })
            }
            None => Err(Refused::NotPossible {
                detail: format!("no definition names projection `{projection}` any more"),
                next: Some("`viewd reload`, which retires it".to_owned()),
            }),
        }
    }

    /// Whether it has a definition that is not right.
    pub(super) fn is_wrong(&self, projection: &str) -> bool {
        self.definitions.names.iter().any(|name| name == projection)
            && !self.definitions.declared.iter().any(|declared| declared.name() == projection)
    }

    pub(super) fn errors(&self, projection: &str) -> Vec<Diagnostic> {
        self.definitions.errors(Some(projection))
    }
}
