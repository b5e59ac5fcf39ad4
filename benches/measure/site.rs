//! viewd within a benchmark's process: its settings, its definitions, its daemon.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use viewd::config::{Config, Loaded};
use viewd::definition;
use viewd::diagnostic::{Diagnostic, Source};
use viewd::metrics::Metrics;
use viewd::projection::plan::Plan;
use viewd::store::step::Steps;
use viewd::supervisor::Running;
use viewd::supervisor::disk::{Declared, Disk};
use viewd::supervisor::start::{self, Setup};

/// The source's name in every definition of a benchmark.
pub const SOURCE: &str = "bench";

/// Settings as they are by default, of one stream, with everything stored in a folder.
pub fn config(folder: &Path, server: &str, stream: &str) -> Result<Config> {
    let text = format!(
        "projections = {:?}\ndata_dir = {:?}\n[nats]\nservers = [{server:?}]\n\
         [sources.{SOURCE}]\nstream = {stream:?}\n[http]\nlisten = \"off\"\n",
        folder.join("projections"),
        folder.join("data"),
    );
    let file = folder.join("viewd.toml");
    std::fs::write(&file, text).with_context(|| format!("write {}", file.display()))?;
    let loaded = Config::load(Some(&file), [], &[]).map_err(|found| refused(&found))?;
    Ok(loaded.config)
}

/// One projection, from its text.
pub fn declared(name: &str, text: &str) -> Result<Declared> {
    let source = Source::new(format!("{name}.toml"), text);
    let (definition, found) = definition::parse(&source, name, &[SOURCE]);
    let definition = definition.ok_or_else(|| refused(&found))?;
    Ok(Declared { plan: Arc::new(Plan::new(Arc::new(definition))), order_key: None })
}

/// The daemon without its edges.
pub async fn start(config: &Config, declared: Vec<Declared>) -> Result<Running> {
    let setup = Setup {
        // Nothing is read again.
        disk: Disk::new(None, &[]),
        loaded: Loaded { config: config.clone(), settings: Vec::new(), warnings: Vec::new() },
        declared,
        metrics: Arc::new(Metrics::new()),
        steps: Steps::default(),
    };
    Ok(start::start(setup).await?)
}

fn refused(found: &[Diagnostic]) -> anyhow::Error {
    anyhow::anyhow!("{found:#?}")
}
