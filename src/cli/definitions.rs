//! From the folders on disk to checked settings and compiled plans, with everything that is wrong told at once.

use std::io::ErrorKind;

use super::failure::{Failure, Kind};
use super::output::Output;
use crate::config::{Config, Loaded};
use crate::diagnostic::{self, Diagnostic, Severity};
use crate::supervisor::disk::{self, Declared, Definitions, Disk, Unreadable};

/// Reads the settings of all layers.
pub(super) fn settings(disk: &Disk, output: &Output) -> Result<Loaded, Failure> {
    let loaded = disk.settings().map_err(Failure::invalid)?;
    report(&loaded.warnings, output);
    Ok(loaded)
}

/// Reads and compiles every definition of the folder; the findings of all files, and what could be compiled.
pub(super) fn read(config: &Config) -> Result<Definitions, Failure> {
    let found = found(config)?;
    if found.names.is_empty() {
        let error = anyhow::anyhow!(
            "there are no definitions (*.toml) in `{}`",
            config.projections.display()
        );
        return Err(Failure::new(Kind::Configuration, error)
            .hint("declare a projection there, or name another folder in `projections`"));
    }
    Ok(found)
}

/// What a run needs: every definition right, or none of them runs.
pub(super) fn all(config: &Config, output: &Output) -> Result<Vec<Declared>, Failure> {
    named(config, &[], output)
}

/// Those that are named, else all: what is wrong with others does not matter to a command that names some.
pub(super) fn named(
    config: &Config,
    names: &[String],
    output: &Output,
) -> Result<Vec<Declared>, Failure> {
    let mut found = read(config)?;
    if let Some(unknown) = names.iter().find(|name| !found.names.contains(name)) {
        return Err(super::unknown_projection(unknown, &found.names));
    }
    keep(&mut found, names);
    if has_errors(&found.diagnostics) {
        return Err(Failure::invalid(found.diagnostics));
    }
    report(&found.diagnostics, output);
    Ok(found.declared)
}

/// Those that are named, else all, and what is found in them.
pub(super) fn keep(found: &mut Definitions, names: &[String]) {
    if !names.is_empty() {
        found.names.retain(|name| names.contains(name));
        found.declared.retain(|declared| names.iter().any(|name| name == declared.name()));
        let is_of = |found: &Diagnostic| names.iter().any(|name| disk::is_of(found, Some(name)));
        found.diagnostics.retain(is_of);
    }
}

/// All definitions, right or wrong, if there are any.
pub(super) fn found(config: &Config) -> Result<Definitions, Failure> {
    Definitions::read(config).map_err(|error| unreadable(error, config))
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

/// Of a file or of the folder itself.
fn unreadable(error: Unreadable, config: &Config) -> Failure {
    let is_folder = error.path == config.projections;
    let hint = is_folder.then_some("`projections` in the settings names the folder of definitions");
    let kind = match error.source.kind() {
        ErrorKind::NotFound if is_folder => Kind::Configuration,
        ErrorKind::PermissionDenied => Kind::Permission,
        _ => Kind::Io,
    };
    Failure::new(kind, error).hints(hint.map(str::to_owned))
}
