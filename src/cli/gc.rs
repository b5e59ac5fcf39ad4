//! `viewd gc`: removes retired generations and views without a definition; by the running daemon or, without one, here.

use std::time::Duration;

use serde::Deserialize;

use super::definitions;
use super::failure::{Failure, Kind};
use super::output::Output;
use super::socket::{self, Data};
use crate::api::upkeep;
use crate::config::Config;
use crate::store::layout;
use crate::store::lock::Lock;
use crate::supervisor::gc;

/// Removing a large file takes the system seconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) fn run(
    config: &Config,
    projection: Option<&str>,
    output: &Output,
) -> Result<(), Failure> {
    let query = projection.map(|name| format!("?_projection={}", socket::encoded(name)));
    let path = format!("/v1/admin/gc{}", query.unwrap_or_default());
    let body = match socket::request(&config.data_dir, "POST", &path, ANSWER_TIMEOUT)? {
        Some(answer) => answer.body()?,
        None => at_rest(config, projection)?,
    };
    socket::print(&body, output)?;
    let kept = socket::read::<Data<Collected>>(&body)?.data.iter().any(|one| one.kept.is_some());
    if kept { Err(Failure::printed(Kind::FoundProblems)) } else { Ok(()) }
}

/// Of one projection.
#[derive(Deserialize)]
struct Collected {
    /// Why something of it stays that was to be removed.
    kept: Option<String>,
}

/// On the files, which nobody else may be at work on.
fn at_rest(config: &Config, projection: Option<&str>) -> Result<String, Failure> {
    let views = layout::projections(&config.data_dir).map_err(super::store_failure)?;
    if let Some(unknown) = projection.filter(|name| !views.iter().any(|view| view == name)) {
        return Err(super::unknown_projection(unknown, &views));
    }
    let names = definitions::found(config)?.names;
    if names.is_empty() && projection.is_none() {
        // A folder that was named wrongly must not make every view one that nobody wants.
        let error =
            anyhow::anyhow!("there are no definitions in `{}`", config.projections.display());
        return Err(Failure::new(Kind::Configuration, error)
            .hint("`viewd gc PROJECTION` removes the view of one"));
    }
    let _lock = Lock::take(&config.data_dir).map_err(super::store_failure)?;
    let collected = gc::collect(&config.data_dir, &names, projection);
    Ok(upkeep::removed(&collected.map_err(super::store_failure)?).to_string())
}
