//! `viewd reload`: the running daemon reads settings and definitions again.

use super::failure::Failure;
use super::output::Output;
use crate::config::Config;

pub(super) fn run(config: &Config, output: &Output) -> Result<(), Failure> {
    let _ = (config, output);
    Ok(())
}
