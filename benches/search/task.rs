//! A part that this program plays in a process of its own: an index of all rows of a view.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow, bail};
use serde::{Deserialize, Serialize};
use viewd::definition::{self, Definition, Table};
use viewd::diagnostic::Source;
use viewd::search::Shape;

use crate::corpora::Corpus;
use crate::measure::value;
use crate::{bare, build};

/// What it is to do.
pub struct Task {
    pub corpus: Corpus,
    /// The folder of the data that holds the view.
    pub data: PathBuf,
    pub view: PathBuf,
    /// Where the index is to be: an empty folder.
    pub folder: PathBuf,
    /// Of a daemon that makes one index: it is given half of it.
    pub memory_bytes_max: u64,
}

/// What it says at its end.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Done {
    /// Without what had to be read or made ready before.
    pub seconds: f64,
    pub documents: u64,
}

impl Task {
    pub fn shape(&self) -> Result<Arc<Shape>> {
        let (definition, table) = table(self.corpus)?;
        Ok(Arc::new(Shape::new(&definition.searches[0], &table)))
    }
}

#[expect(clippy::print_stdout, reason = "read by the program that started this one")]
pub fn play(role: &str, arguments: &[String]) -> Result<()> {
    let told = |name: &str| value(arguments, name).context(name.to_owned());
    let corpus = told("--corpus")?;
    let corpus = Corpus::ALL.into_iter().find(|known| known.name() == corpus).context("corpus")?;
    let task = Task {
        corpus,
        data: told("--data")?.into(),
        view: told("--view")?.into(),
        folder: told("--folder")?.into(),
        memory_bytes_max: told("--memory-bytes")?.parse()?,
    };
    let done = match role {
        "bare" => bare::run(&task, &bare::Way { sqlite: false, default: false })?,
        "bare-sqlite" => bare::run(&task, &bare::Way { sqlite: true, default: false })?,
        "bare-default" => bare::run(&task, &bare::Way { sqlite: false, default: true })?,
        "build" => build::run(&task)?,
        _ => bail!("no role {role}"),
    };
    println!("{}", serde_json::to_string(&done)?);
    Ok(())
}

/// The definition of a corpus, and the table that it indexes.
pub fn table(corpus: Corpus) -> Result<(Definition, Table)> {
    let source = Source::new(format!("{}.toml", corpus.name()), corpus.definition());
    let (definition, found) = definition::parse(&source, corpus.name(), &["corpus"]);
    let definition = definition.ok_or_else(|| anyhow!("{found:#?}"))?;
    let table = definition.tables[definition.searches[0].table].clone();
    Ok((definition, table))
}
