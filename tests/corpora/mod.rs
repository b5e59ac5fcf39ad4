//! Real text, as events: what full-text search is tested and measured on. `README.md` says where it is from.

#![allow(dead_code, reason = "the tests and the benchmark each use a part of this")]

#[path = "../flights/mod.rs"]
pub mod flights;
mod reference;

use std::path::{Path, PathBuf};

use anyhow::Result;
use serde_json::{Value, json};

use self::flights::cloudevents::Event;
use self::flights::events::Flights;

/// A corpus, and the projection over it. Its source is `corpus`; its subjects begin with its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Corpus {
    Flights,
    Reference,
}

/// Subject and payload: a CloudEvent in the body.
pub type Message = (String, Vec<u8>);

impl Corpus {
    pub const ALL: [Self; 2] = [Self::Flights, Self::Reference];

    /// Of the projection too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Flights => "flights",
            Self::Reference => "reference",
        }
    }

    /// The table that is indexed, which is the index's name.
    pub fn table(self) -> &'static str {
        match self {
            Self::Flights => "board",
            Self::Reference => "documents",
        }
    }

    pub fn definition(self) -> &'static str {
        match self {
            Self::Flights => include_str!("flights.toml"),
            Self::Reference => include_str!("reference.toml"),
        }
    }

    /// The same view without a full-text index.
    pub fn definition_without_search(self) -> String {
        let blocks = self.definition().split("\n\n");
        let kept: Vec<_> = blocks.filter(|block| !block.starts_with("[search.")).collect();
        kept.join("\n\n")
    }

    /// What the repository holds of it.
    pub fn slice(self) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join(match self {
            Self::Flights => "tests/flights/week",
            Self::Reference => "tests/corpora/reference.jsonl.gz",
        })
    }

    /// The tool that obtains the whole, and prints where it is.
    pub fn tool(self) -> &'static str {
        match self {
            Self::Flights => "tests/tools/flights-data",
            Self::Reference => "tests/tools/reference-docs",
        }
    }

    /// Every event, in order.
    pub fn events(self, path: &Path) -> Result<Box<dyn Iterator<Item = Message>>> {
        Ok(match self {
            Self::Flights => {
                // It is read once, by a program that soon ends.
                let year = Box::leak(Box::new(Flights::read(path)?));
                Box::new(year.events().map(structured))
            }
            Self::Reference => {
                let documents = reference::documents(path)?;
                Box::new(documents.map(move |data| self.event("DocumentPublished", &data)))
            }
        })
    }

    /// An event of one row alone.
    pub fn event(self, type_name: &str, data: &Value) -> Message {
        let body = json!({
            "specversion": "1.0", "id": "one", "source": "/corpora", "type": type_name, "data": data,
        });
        (format!("{}.{type_name}", self.name()), body.to_string().into_bytes())
    }
}

/// With what headers say moved into the body.
fn structured(event: Event) -> Message {
    if event.headers.iter().all(|(name, _)| *name != "ce-id") {
        return (event.subject, event.payload);
    }
    let mut body = format!(
        r#"{{"specversion":"1.0","id":"{}","source":"/flights","type":"{}","time":"{}","data":"#,
        event.id, event.type_name, event.time
    );
    body.push_str(std::str::from_utf8(&event.payload).expect("JSON"));
    body.push('}');
    (event.subject, body.into_bytes())
}
