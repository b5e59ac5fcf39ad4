//! `viewd digest`: a canonical hash of each table, of the files as they are, or by the daemon at exactly one sequence.

use std::time::Duration;

use anyhow::anyhow;

use super::args;
use super::failure::{Failure, Kind};
use super::output::{Align, Output, Table};
use super::socket;
use super::status::{self, grouped};
use crate::config::Config;
use crate::store::digest::Digest;
use crate::store::snapshot;

/// What an answer takes beyond the wait: reading the view once, however large.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

pub(super) fn run(
    config: &Config,
    arguments: &args::Digest,
    output: &Output,
) -> Result<(), Failure> {
    let folder = super::view_folder(config, &arguments.projection)?;
    let asked = match arguments.at {
        Some(at) => {
            say_to_come(config, &arguments.projection, at, output);
            ask(config, &arguments.projection, at, arguments.timeout)?
        }
        None => None,
    };
    let digest = match asked {
        Some(digest) => digest,
        None => {
            let snapshot = snapshot::open(&folder).map_err(super::store_failure)?;
            if let Some(at) = arguments.at {
                check_at_rest(&arguments.projection, at, snapshot.sequence().0)?;
            }
            Digest::of(&snapshot).map_err(super::store_failure)?
        }
    };
    if output.json {
        output.line(&serde_json::to_string(&digest).expect("a digest is plain data"));
    } else {
        print(&arguments.projection, &digest, output);
    }
    Ok(())
}

/// A table of hashes, and what they are of.
pub(super) fn print(projection: &str, digest: &Digest, output: &Output) {
    let mut table =
        Table::new(&[("TABLE", Align::Left), ("ROWS", Align::Right), ("DIGEST", Align::Left)]);
    for one in &digest.tables {
        table.row(vec![one.table.clone(), grouped(one.rows), one.digest.clone()]);
    }
    output.table(&table);
    let Digest { sequence, generation, digest, .. } = digest;
    output.line(&format!("{projection} at sequence {sequence}, generation {generation}: {digest}"));
}

/// Says that nothing can be shown before the stream has come so far: who asks too early waits for it.
fn say_to_come(config: &Config, projection: &str, at: u64, output: &Output) {
    let known = status::read(config).ok().map(|(report, _)| report.projections);
    let last = known.into_iter().flatten().find(|known| known.name == projection);
    if let Some(last) = last.and_then(|known| known.stream_last_sequence).filter(|last| at > *last)
    {
        output.note(&format!("the stream ends at sequence {last}: waiting for {at} to come"));
    }
}

/// By the running daemon; None if none runs.
fn ask(
    config: &Config,
    projection: &str,
    at: u64,
    timeout: Duration,
) -> Result<Option<Digest>, Failure> {
    let query = format!("digest?_at={at}&_timeout={}ms", timeout.as_millis());
    let path = format!("/v1/admin/{}", socket::path(projection, &query));
    let answer = socket::request(&config.data_dir, "POST", &path, timeout + ANSWER_TIMEOUT)?;
    answer.map(|answer| socket::read(&answer.body()?)).transpose()
}

/// Files that nobody writes stand where they stand.
fn check_at_rest(projection: &str, at: u64, sequence: u64) -> Result<(), Failure> {
    if sequence == at {
        return Ok(());
    }
    let error = anyhow!("`{projection}` is at sequence {sequence}, and no daemon runs");
    let failure = Failure::new(Kind::FoundProblems, error);
    Err(if sequence < at {
        failure.hint("`viewd run` moves it on; ask again while it runs")
    } else {
        failure.hint("a view never goes back: ask for a later sequence")
    })
}
