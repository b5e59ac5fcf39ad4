//! What nobody needs any more: retired generations, and views that no definition names.

use std::path::Path;
use std::sync::Arc;

use super::daemon::Daemon;
use super::refused::Refused;
use crate::store::Error;
use crate::store::layout::{self, Folder, Generation};

/// What became of one projection's generations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    pub projection: String,
    pub removed: Vec<Generation>,
    /// No definition names it: its folder is gone.
    pub whole: bool,
    /// Why something stays.
    pub kept: Option<String>,
}

/// Removes the retired generations of projections, all of them or one, and with them the views that none of the
/// `names` is of. Nobody else may be at work on the data directory.
pub fn collect(
    data_dir: &Path,
    names: &[String],
    only: Option<&str>,
) -> Result<Vec<Collected>, Error> {
    let mut found = layout::projections(data_dir)?;
    found.retain(|name| only.is_none_or(|only| only == name));
    let collect = |name: String| one(&Folder::new(data_dir, &name), &name, names.contains(&name));
    Ok(found.into_iter().map(collect).collect())
}

impl Daemon {
    /// Removes the retired generations of projections, all of them or one, and with them the views that no definition
    /// names.
    pub async fn gc(self: &Arc<Self>, projection: Option<&str>) -> Result<Vec<Collected>, Refused> {
        let projection = projection.map(str::to_owned);
        self.blocking(move |daemon| daemon.gc_now(projection.as_deref())).await
    }

    fn gc_now(&self, only: Option<&str>) -> Result<Vec<Collected>, Refused> {
        let mut site = self.site();
        let found = site.read()?;
        let mut names = layout::projections(&site.config.data_dir)?;
        names.extend(self.names());
        names.sort_unstable();
        names.dedup();
        if let Some(only) = only {
            if !names.iter().any(|name| name == only) {
                return Err(Refused::unknown(only));
            }
            names.retain(|name| name == only);
        }
        let declared = |name: &str| found.definitions.names.iter().any(|known| known == name);
        let collect = |name: String| {
            if let Some(running) = self.operations.running(&name) {
                let kept = Some(Refused::busy_with(&running.operation).to_string());
                return Collected { projection: name, removed: Vec::new(), whole: false, kept };
            }
            // One that still runs is retired by a reload first.
            let stays = declared(&name) || self.tracked(&name).is_some();
            one(&site.folder(&name), &name, stays)
        };
        Ok(names.into_iter().map(collect).collect())
    }
}

fn one(folder: &Folder, name: &str, stays: bool) -> Collected {
    let projection = name.to_owned();
    if stays {
        return match folder.gc() {
            Ok(collected) => Collected {
                projection,
                removed: collected.removed,
                whole: false,
                kept: held(&collected.held),
            },
            Err(error) => Collected {
                projection,
                removed: Vec::new(),
                whole: false,
                kept: Some(error.to_string()),
            },
        };
    }
    match folder.remove_projection() {
        Ok(()) => Collected { projection, removed: Vec::new(), whole: true, kept: None },
        Err(error) => Collected {
            projection,
            removed: Vec::new(),
            whole: false,
            kept: Some(error.to_string()),
        },
    }
}

fn held(held: &[Generation]) -> Option<String> {
    let names: Vec<String> = held.iter().map(Generation::to_string).collect();
    (!names.is_empty()).then(|| format!("a reader has {} open", names.join(", ")))
}
