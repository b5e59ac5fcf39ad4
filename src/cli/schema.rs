//! `viewd schema`: JSON Schema for editors.

use super::output::Output;
use crate::schema;

/// Which kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Which {
    /// The files of the projections folder.
    Definition,
    /// viewd.toml.
    Config,
}

/// Prints a schema; the same with and without `--json`.
pub(super) fn run(which: Which, output: &Output) {
    let schema = match which {
        Which::Definition => schema::definition(),
        Which::Config => schema::config(),
    };
    output.data(&schema::text(&schema));
}
