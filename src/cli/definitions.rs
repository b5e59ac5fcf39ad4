//! From the folders on disk to checked settings and compiled plans, with everything that is wrong told at once.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::failure::{Failure, Kind};
use super::output::Output;
use crate::config::{Config, Loaded};
use crate::definition;
use crate::diagnostic::{self, Diagnostic, Place, Severity, Source};
use crate::projection::plan::Plan;
use crate::store::view;
use crate::supervisor::Declared;

/// Reads the settings of all layers.
pub(super) fn settings(
    path: Option<&Path>,
    sets: &[String],
    output: &Output,
) -> Result<Loaded, Failure> {
    // A variable that is not text is none of ours.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let loaded = Config::load(path, environment, sets).map_err(Failure::invalid)?;
    report(&loaded.warnings, output);
    Ok(loaded)
}

/// Reads and compiles every definition of the folder; the findings of all files, and what could be compiled.
pub(super) fn read(config: &Config) -> Result<(Vec<Declared>, Vec<Diagnostic>), Failure> {
    let mut diagnostics = Vec::new();
    let sources: Vec<_> = config.sources.keys().map(String::as_str).collect();
    let mut declared = Vec::new();
    for source in files(&config.projections)? {
        let name =
            Path::new(&source.path).file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let (definition, mut found) = definition::parse_with(&source, &name, &sources, view::check);
        diagnostics.append(&mut found);
        let Some(definition) = definition else { continue };
        let order_key = config.sources[&definition.stream_source].order_key.clone();
        let plan = Arc::new(Plan::new(Arc::new(definition)));
        declared.push(Declared { plan, order_key });
    }
    if declared.is_empty() && diagnostics.is_empty() {
        let error = anyhow::anyhow!(
            "there are no definitions (*.toml) in `{}`",
            config.projections.display()
        );
        return Err(Failure::new(Kind::Configuration, error)
            .hint("declare a projection there, or name another folder in `projections`"));
    }
    Ok((declared, diagnostics))
}

/// What a run needs: every definition right, or none of them runs.
pub(super) fn all(config: &Config, output: &Output) -> Result<Vec<Declared>, Failure> {
    let (declared, diagnostics) = read(config)?;
    if has_errors(&diagnostics) {
        return Err(Failure::invalid(diagnostics));
    }
    report(&diagnostics, output);
    Ok(declared)
}

/// Those that are named, else all: what is wrong with others does not matter to a command that names some.
pub(super) fn named(
    config: &Config,
    names: &[String],
    output: &Output,
) -> Result<Vec<Declared>, Failure> {
    if names.is_empty() {
        return all(config, output);
    }
    let (mut declared, mut diagnostics) = read(config)?;
    let known = known(config)?;
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        return Err(super::unknown_projection(unknown, &known));
    }
    let is_named = |name: &String| names.contains(name);
    diagnostics.retain(|diagnostic| match &diagnostic.place {
        Place::File { source, .. } => stem(&source.path).as_ref().is_some_and(is_named),
        Place::Outside(_) => true,
    });
    if has_errors(&diagnostics) {
        return Err(Failure::invalid(diagnostics));
    }
    report(&diagnostics, output);
    declared.retain(|declared| is_named(&declared.plan.definition().name));
    Ok(declared)
}

/// The names of all definitions, right or wrong.
pub(super) fn known(config: &Config) -> Result<Vec<String>, Failure> {
    Ok(files(&config.projections)?.iter().filter_map(|source| stem(&source.path)).collect())
}

pub(super) fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
}

/// Prints findings as a compiler would.
pub(super) fn report(diagnostics: &[Diagnostic], output: &Output) {
    if !diagnostics.is_empty() {
        output.warn(diagnostic::render(diagnostics, output.color).trim_end());
    }
}

fn stem(path: &str) -> Option<String> {
    Path::new(path).file_stem().map(|stem| stem.to_string_lossy().into_owned())
}

fn files(folder: &Path) -> Result<Vec<Arc<Source>>, Failure> {
    let unreadable = |error: std::io::Error| {
        let kind = match error.kind() {
            std::io::ErrorKind::NotFound => Kind::Configuration,
            std::io::ErrorKind::PermissionDenied => Kind::Permission,
            _ => Kind::Io,
        };
        let error = anyhow::Error::from(error)
            .context(format!("read the definitions in `{}`", folder.display()));
        Failure::new(kind, error)
            .hint("`projections` in the settings names the folder of definitions")
    };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        // Editors leave hidden copies of what they have open.
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if path.extension().is_some_and(|extension| extension == "toml") && !hidden {
            paths.push(path);
        }
    }
    paths.sort();
    let read = |path: &std::path::PathBuf| {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()));
        let text = text.map_err(|error| {
            let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
            match kind {
                Some(std::io::ErrorKind::InvalidData) => {
                    Failure::new(Kind::Configuration, error).hint("definitions are UTF-8 text")
                }
                Some(std::io::ErrorKind::PermissionDenied) => Failure::new(Kind::Permission, error),
                _ => Failure::new(Kind::Io, error),
            }
        })?;
        Ok(Arc::new(Source { path: path.display().to_string(), text }))
    };
    paths.iter().map(read).collect()
}
