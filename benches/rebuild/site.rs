//! A daemon over the shop's events, and a rebuild that is watched from outside.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::definitions;
use crate::measure::daemon::{ASK, Daemon, Settings, Site};

/// How exactly a cut-over is seen.
const LOOK: Duration = Duration::from_millis(1);
/// In the order in which a build goes through them.
const PHASES: [&str; 5] = ["preparing", "bulk", "sealing", "catching_up", "comparing"];

/// What a rebuild took, from the command.
#[derive(Clone, Debug)]
pub struct Rebuilt {
    /// To the last cut-over.
    pub seconds: f64,
    /// In order, to the end of each phase: those too short to be seen are not among them.
    pub phases: Vec<(String, f64)>,
}

/// With nothing built yet.
pub fn site(
    folder: &Path,
    server: &str,
    stream: &str,
    projections: &[&'static str],
    memory_mib: u64,
) -> Result<Site> {
    let text = |name: &&'static str| Ok((*name, definitions::text(name)?));
    let definitions = projections.iter().map(text).collect::<Result<Vec<_>>>()?;
    let limits = format!("memory_bytes_max = {}", memory_mib << 20);
    let settings =
        Settings { server, source: "shop", stream, definitions: &definitions, limits: &limits };
    Site::new(folder, &settings)
}

/// Rebuilds all projections at once.
pub fn rebuild(daemon: &Daemon<'_>) -> Result<Rebuilt> {
    let before = daemon.site.served()?;
    let mut command = daemon.site.command(&["rebuild"]);
    command.args(daemon.site.projections());
    let begun = Instant::now();
    let mut rebuilding = command.spawn().with_context(|| format!("start {command:?}"))?;
    let (mut asked, mut phases) = (begun, Vec::<(String, f64)>::new());
    let seconds = loop {
        let served = daemon.site.served()?;
        if served.iter().zip(&before).all(|(now, before)| now != before) {
            break begun.elapsed().as_secs_f64();
        }
        if asked.elapsed() >= ASK {
            asked = Instant::now();
            let phase = phase(daemon)?;
            let elapsed = begun.elapsed().as_secs_f64();
            if let Some((_, end)) = phases.last_mut() {
                *end = elapsed;
            }
            if let Some(phase) = phase
                && phases.last().is_none_or(|(last, _)| *last != phase)
            {
                phases.push((phase, elapsed));
            }
        }
        if let Some(status) = rebuilding.try_wait()? {
            ensure!(status.success(), "{command:?}: {status}");
        }
        std::thread::sleep(LOOK);
    };
    ensure!(rebuilding.wait()?.success(), "{command:?} failed after the cut-over");
    if let Some((_, end)) = phases.last_mut() {
        *end = seconds;
    }
    Ok(Rebuilt { seconds, phases })
}

/// What the last of the builds is at.
fn phase(daemon: &Daemon<'_>) -> Result<Option<String>> {
    let report = daemon.report()?;
    let projections = report["projections"].as_array().context("projections")?;
    let phases = projections.iter().filter_map(|found| found["rebuild"]["phase"].as_str());
    let order = |phase: &&str| PHASES.iter().position(|known| known == phase);
    Ok(phases.min_by_key(order).map(str::to_owned))
}
