//! `viewd verify`: what can be seen to be wrong in a view's files, and its digest; `--deep`: whether the stream gives the
//! same rows, by a build of the running daemon that is compared and never served.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::failure::{Failure, Kind};
use super::output::Output;
use super::socket::Data;
use super::status::grouped;
use super::{digest, operation, socket};
use crate::config::Config;
use crate::indexer::verify::{Compared, at_rest};
use crate::rebuild::operation::{Kind as Work, Progress, Shown};
use crate::store::difference::Comparison;
use crate::store::digest::Digest;
use crate::store::layout::Folder;
use crate::store::lock::Lock;
use crate::store::snapshot::{self, Snapshot};
use crate::store::stored;
use crate::store::verify::{self, Finding};
use crate::worker::recipe::Recipe;

/// What an answer takes: reading the view and its indexes once, however large.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(600);

#[derive(Serialize)]
struct Report<'a> {
    /// Tables and their hashes; missing where the file is too damaged to be read.
    #[serde(flatten)]
    digest: Option<&'a Digest>,
    /// Those that were held against their rows.
    indexes: Vec<Index<'a>>,
    findings: &'a [Finding],
    /// What the comparison with a build came to, if there was one.
    #[serde(skip_serializing_if = "Option::is_none")]
    deep: Option<&'a Value>,
}

#[derive(Serialize)]
struct Index<'a> {
    index: &'a str,
    /// Null of one that cannot be opened.
    documents: Option<u64>,
    equal: bool,
}

pub(super) fn run(
    config: &Config,
    projection: &str,
    deep: bool,
    output: &Output,
) -> Result<(), Failure> {
    let folder = super::view_folder(config, projection)?;
    let snapshot = snapshot::open(&folder).map_err(super::store_failure)?;
    let mut findings = verify::check(&snapshot).map_err(super::store_failure)?;
    // Of a damaged file it would say nothing, if it can be made at all.
    let damaged = findings.iter().any(Finding::is_damage);
    let of_files = if damaged { None } else { Some(Digest::of(&snapshot)) };
    let of_files = of_files.transpose().map_err(super::store_failure)?;
    let compared = match damaged {
        true => Vec::new(),
        false => indexes(config, projection, &folder, &snapshot)?,
    };
    findings.extend(compared.iter().filter_map(|compared| compared.finding.clone()));
    // While the daemon builds, the log must not grow for this.
    drop(snapshot);
    if !output.json {
        print(projection, of_files.as_ref(), &compared, &findings, output);
    }
    let rebuilt = if deep { Some(compare(config, projection, output)?) } else { None };
    if output.json {
        let indexes = compared.iter().map(Index::of).collect();
        let (digest, deep) = (of_files.as_ref(), rebuilt.as_ref());
        let report = Report { digest, indexes, findings: &findings, deep };
        output.line(&serde_json::to_string(&report).expect("a report is plain data"));
    } else if findings.is_empty() && !deep {
        output.note(
            "nothing is wrong in the files; `viewd verify --deep` compares them with the stream",
        );
    }
    let differs = rebuilt.is_some_and(|rebuilt| rebuilt["equal"] != true);
    if findings.is_empty() && !differs {
        return Ok(());
    }
    Err(Failure::printed(Kind::FoundProblems))
}

/// Whether the full-text indexes are the rows: by the daemon, which has them open, or by the files where none runs.
fn indexes(
    config: &Config,
    projection: &str,
    folder: &Folder,
    snapshot: &Snapshot,
) -> Result<Vec<Compared>, Failure> {
    let path = format!("/v1/admin/{}", socket::path(projection, "verify-search"));
    if let Some(answer) = socket::request(&config.data_dir, "POST", &path, ANSWER_TIMEOUT)? {
        return Ok(socket::read::<Data<Compared>>(&answer.body()?)?.data);
    }
    let _lock = Lock::read(&config.data_dir).map_err(super::store_failure)?;
    let stored = stored::read(folder.path()).map_err(super::store_failure)?;
    let recipe = Recipe::stored(&stored, &config.limits).map_err(|error| {
        Failure::new(Kind::FoundProblems, anyhow::anyhow!("what the view was built by: {error}"))
    })?;
    let generation = folder.generation(snapshot.generation());
    let found = at_rest(&generation, recipe.plan.definition(), snapshot);
    found.map_err(|error| Failure::new(Kind::Io, error))
}

fn print(
    projection: &str,
    of_files: Option<&Digest>,
    compared: &[Compared],
    findings: &[Finding],
    output: &Output,
) {
    if let Some(digest) = of_files {
        digest::print(projection, digest, output);
    }
    for Compared { index, documents, finding } in compared {
        let verdict = if finding.is_none() { "as the table" } else { "not as the table" };
        let rows = documents.map(|documents| format!("{} rows, {verdict}", grouped(documents)));
        output.line(&format!("index {index}: {}", rows.as_deref().unwrap_or("cannot be searched")));
    }
    for finding in findings {
        output.line(&format!("\n{finding}\n  next: {}", output.told(&finding.next)));
    }
}

impl<'a> Index<'a> {
    fn of(compared: &'a Compared) -> Self {
        let Compared { index, documents, finding } = compared;
        Self { index, documents: *documents, equal: finding.is_none() }
    }
}

/// Lets the daemon build the view again, and says what came of it: as the operation's result has it.
fn compare(config: &Config, projection: &str, output: &Output) -> Result<Value, Failure> {
    let path = format!("/v1/admin/{}", socket::path(projection, "verify"));
    let begun = operation::begin(config, &path, &[Work::Verify], output)?;
    let again = format!("viewd verify {projection} --deep");
    let ended = operation::follow(config, begun, &again, output)?.operations.pop();
    match ended {
        Some(Shown { state: Progress::Done, result, .. }) => {
            if !output.json {
                tell(projection, &result, output)?;
            }
            Ok(result)
        }
        // What went wrong has been said.
        _ => Err(Failure::printed(Kind::FoundProblems)),
    }
}

fn tell(projection: &str, result: &Value, output: &Output) -> Result<(), Failure> {
    if result["comparable"] != true {
        let detail = result["detail"].as_str().unwrap_or_default();
        output.line(&format!("{projection}: not comparable: {detail}"));
        return Ok(());
    }
    let Comparison { equal, served, rebuilt, differences } = socket::read(&result.to_string())?;
    let sequence = served.sequence;
    if equal {
        let digest = served.digest;
        output.line(&format!("{projection} at sequence {sequence}: rebuilt = served: {digest}"));
        return Ok(());
    }
    let digests = format!("served {}, rebuilt {}", served.digest, rebuilt.digest);
    output.line(&format!(
        "{projection} at sequence {sequence}: rebuilt and served differ: {digests}"
    ));
    differences.iter().for_each(|difference| output.line(&format!("  {difference}")));
    output.line(&format!(
        "  next: `viewd rebuild {projection} --force` serves what the stream gives"
    ));
    Ok(())
}
