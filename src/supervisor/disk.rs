//! What operators write: settings in their layers and a folder of definitions, read at the start and on each reload.
//!
//! A definition is compiled where it is read, so that all that is wrong in any file is told at once.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{Config, Loaded};
use crate::definition;
use crate::diagnostic::{Diagnostic, Place, Severity, Source};
use crate::expression::Expression;
use crate::projection::plan::Plan;
use crate::store::step::ABORT_AT;
use crate::store::view;
use crate::worker::recipe::Recipe;

/// Where the settings come from.
#[derive(Clone, Debug)]
pub struct Disk {
    /// None: where it is looked for by itself.
    file: Option<PathBuf>,
    /// As they were when the process began.
    environment: Vec<(String, String)>,
    /// From the command line, each `key=value`.
    sets: Vec<String>,
}

/// One projection as its file declares it.
#[derive(Clone)]
pub struct Declared {
    pub plan: Arc<Plan>,
    /// Of its source.
    pub order_key: Option<Arc<Expression>>,
}

/// What the folder of definitions holds.
pub struct Definitions {
    /// Those that are right, by name.
    pub declared: Vec<Declared>,
    /// The names of all, right or wrong.
    pub names: Vec<String>,
    /// What is wrong, or may be.
    pub diagnostics: Vec<Diagnostic>,
}

/// A file or folder of definitions that cannot be read at all.
#[derive(Debug, thiserror::Error)]
#[error("read {}", path.display())]
pub struct Unreadable {
    pub path: PathBuf,
    pub source: io::Error,
}

impl Disk {
    pub fn new(file: Option<&Path>, sets: &[String]) -> Self {
        // A variable that is not text is none of ours.
        let environment = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        // What ends the process of a test is no setting.
        let environment = environment.filter(|(name, _)| name != ABORT_AT);
        Self {
            file: file.map(Path::to_owned),
            environment: environment.collect(),
            sets: sets.to_vec(),
        }
    }

    /// Reads the settings of all layers.
    pub fn settings(&self) -> Result<Loaded, Vec<Diagnostic>> {
        Config::load(self.file.as_deref(), self.environment.iter().cloned(), &self.sets)
    }
}

impl Declared {
    pub fn name(&self) -> &str {
        &self.plan.definition().name
    }

    /// With the settings of its source, which it was read with.
    pub fn recipe(&self, config: &Config) -> Recipe {
        Recipe::declared(config, Arc::clone(&self.plan), self.order_key.clone())
    }
}

impl Definitions {
    /// Reads and compiles every definition of the folder.
    pub fn read(config: &Config) -> Result<Self, Unreadable> {
        let sources: Vec<_> = config.sources.keys().map(String::as_str).collect();
        let mut found = Self { declared: Vec::new(), names: Vec::new(), diagnostics: Vec::new() };
        for path in files(&config.projections)? {
            let name = stem(&path);
            let source = match std::fs::read_to_string(&path) {
                Ok(text) => Source::new(path.display().to_string(), text),
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    let source = Source::new(path.display().to_string(), "");
                    let wrong = "definitions are text in UTF-8, and this is not";
                    found.diagnostics.push(Diagnostic::error(&source, 0..0, wrong, ""));
                    found.names.push(name);
                    continue;
                }
                Err(source) => return Err(Unreadable { path, source }),
            };
            let (definition, mut diagnostics) =
                definition::parse_with(&source, &name, &sources, view::check);
            found.diagnostics.append(&mut diagnostics);
            found.names.push(name);
            let Some(definition) = definition else { continue };
            let order_key = config.sources[&definition.stream_source].order_key.clone();
            let plan = Arc::new(Plan::new(Arc::new(definition)));
            found.declared.push(Declared { plan, order_key });
        }
        Ok(found)
    }

    /// What is wrong, of one file or of all.
    pub fn errors(&self, name: Option<&str>) -> Vec<Diagnostic> {
        let is_error = |diagnostic: &&Diagnostic| diagnostic.severity == Severity::Error;
        let is_meant = |diagnostic: &&Diagnostic| is_of(diagnostic, name);
        self.diagnostics.iter().filter(is_error).filter(is_meant).cloned().collect()
    }
}

/// Whether a finding is about a definition of this name; what is about none is about all.
pub fn is_of(diagnostic: &Diagnostic, name: Option<&str>) -> bool {
    match (&diagnostic.place, name) {
        (Place::File { source, .. }, Some(name)) => stem(Path::new(&source.path)) == name,
        _ => true,
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The files of a folder, by name.
fn files(folder: &Path) -> Result<Vec<PathBuf>, Unreadable> {
    let failed = |source| Unreadable { path: folder.to_owned(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        // Editors leave hidden copies of what they have open.
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}
