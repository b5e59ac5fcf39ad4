//! The rows of the tables: what is run for each.

use std::fmt;

use anyhow::{Context, Result};

use crate::corpora::Corpus;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub corpus: Corpus,
    pub way: Way,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Tantivy alone, fed from memory or from SQLite.
    Bare {
        sqlite: bool,
    },
    /// The same from memory, with Tantivy's own analysis.
    BareDefault,
    /// viewd's build from the rows.
    Build,
    /// A new view from the stream.
    CatchUp {
        search: bool,
    },
    /// Updates as fast as they come.
    Updates {
        search: bool,
    },
    /// From publish to found; None: as often as viewd commits by default.
    Searchable {
        commit_ms: Option<u64>,
    },
    Queries {
        writing: bool,
    },
}

const WAYS: [(&str, Way); 12] = [
    ("bare", Way::Bare { sqlite: false }),
    ("bare-sqlite", Way::Bare { sqlite: true }),
    ("bare-default", Way::BareDefault),
    ("build", Way::Build),
    ("catch-up-plain", Way::CatchUp { search: false }),
    ("catch-up", Way::CatchUp { search: true }),
    ("updates-plain", Way::Updates { search: false }),
    ("updates", Way::Updates { search: true }),
    ("searchable", Way::Searchable { commit_ms: None }),
    ("searchable-100", Way::Searchable { commit_ms: Some(100) }),
    ("queries-idle", Way::Queries { writing: false }),
    ("queries", Way::Queries { writing: true }),
];

impl Row {
    /// Those that are asked for, or all, in the order of a round.
    pub fn asked(names: Option<&str>) -> Result<Vec<Self>> {
        let every = Corpus::ALL
            .into_iter()
            .flat_map(|corpus| WAYS.into_iter().map(move |(_, way)| Self { corpus, way }));
        let every: Vec<_> = every.collect();
        let Some(names) = names else { return Ok(every) };
        let row = |name: &str| {
            let known = every.iter().find(|row| row.to_string() == name).copied();
            known.with_context(|| {
                let all: Vec<_> = every.iter().map(Self::to_string).collect();
                format!("no row {name}; there are {}", all.join(", "))
            })
        };
        names.split(',').map(row).collect()
    }

    pub fn with(self, way: Way) -> Self {
        Self { way, ..self }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = WAYS.iter().find(|(_, way)| *way == self.way);
        let name = known.map_or("", |(name, _)| name);
        out.pad(&format!("{}/{name}", self.corpus.name()))
    }
}
