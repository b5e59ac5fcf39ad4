//! `viewd verify`: what can be seen to be wrong in a view's files, and its digest.

use serde::Serialize;

use super::digest;
use super::failure::{Failure, Kind};
use super::output::Output;
use crate::config::Config;
use crate::store::digest::Digest;
use crate::store::snapshot;
use crate::store::verify::{self, Finding};

#[derive(Serialize)]
struct Report<'a> {
    /// Tables and their hashes; empty where the file is too damaged to be read.
    #[serde(flatten)]
    digest: Option<&'a Digest>,
    findings: &'a [Finding],
}

pub(super) fn run(
    config: &Config,
    projection: &str,
    _deep: bool,
    output: &Output,
) -> Result<(), Failure> {
    let folder = super::view_folder(config, projection)?;
    let snapshot = snapshot::open(&folder).map_err(super::store_failure)?;
    let findings = verify::check(&snapshot).map_err(super::store_failure)?;
    // Of a damaged file it would say nothing, if it can be made at all.
    let damaged = findings.iter().any(Finding::is_damage);
    let digest =
        if damaged { None } else { Some(Digest::of(&snapshot).map_err(super::store_failure)?) };
    if output.json {
        let report = Report { digest: digest.as_ref(), findings: &findings };
        output.line(&serde_json::to_string(&report).expect("a report is plain data"));
    } else {
        if let Some(digest) = &digest {
            digest::print(projection, digest, output);
        }
        for finding in &findings {
            output.line(&format!("\n{finding}\n  next: {}", finding.next));
        }
        if findings.is_empty() {
            output.note("nothing is wrong in the files; `viewd verify --deep` compares them with the stream");
        }
    }
    if findings.is_empty() { Ok(()) } else { Err(Failure::printed(Kind::FoundProblems)) }
}
