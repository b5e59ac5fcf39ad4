//! The documents of a file with one a line, plain or compressed.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::{Context, Result};
use flate2::read::GzDecoder;
use serde_json::Value;

pub fn documents(path: &Path) -> Result<impl Iterator<Item = Value> + use<>> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let compressed = path.extension().is_some_and(|extension| extension == "gz");
    let file: Box<dyn Read> =
        if compressed { Box::new(GzDecoder::new(file)) } else { Box::new(file) };
    let lines = BufReader::new(file).lines();
    Ok(lines.map(|line| {
        let line = line.expect("the file was made whole, or not at all");
        serde_json::from_str(&line).expect("one JSON document a line")
    }))
}
