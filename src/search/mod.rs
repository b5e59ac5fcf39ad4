//! Full-text indexes over rows, and what is found in them.
//!
//! An index is made from rows, never from events, and holds no row: a hit is a key, and its row comes from SQLite. Tantivy
//! is named here alone.
//!
//! | module | |
//! |---|---|
//! | `shape` | the fields of an index, and the hash of all that its documents depend on |
//! | `analysis` | from a text to what it is found by |
//! | `words` | what somebody searches for, read |
//! | `sought` | what is looked up for it in a field |
//! | `clause` | what is searched for, in fields and terms |
//! | `compile` | from words to it |
//! | `statistics` | what its scores rest on, the same for all pages |
//! | `expand` | beginnings of words and words with faults |
//! | `matches` | the documents of a segment in which it is found, with their scores |
//! | `window` | some documents side by side |
//! | `list` | the documents of a term |
//! | `phrase` | terms that stand together |
//! | `highlight` | where it is in a row's text |
//! | `document` | from a row to a document, which cannot be wrongly typed |
//! | `payload` | how far an index has come: in each of its commits |
//! | `queue` | documents on their way to Tantivy's threads |
//! | `directory` | the files of an index, until a writer has ended |
//! | `index` | an index, opened |
//! | `searcher` | one commit of it, to be read on any thread |
//! | `writer` | [`Writer`]: changes, committed with their payload |
//! | `build` | an index of all rows at once |
//! | `folder` | the names of an index's folders, and how one replaces another |
//! | `found` | a search: what is asked, and the hits |
//! | `filter` | a filter, asked of documents |
//! | `collect` | the best hits of an order behind a cursor, and how many there are |
//! | `top` | those of one segment |
//! | `facets` | how many hits have which value |
//! | `values` | the values of a filter, as numbers that order as they do |
//! | `rows` | from hits to rows |
//! | `verify` | an index against the rows |
//! | `error` | what can go wrong, by what the caller does about it |
//!
//! Invariants: the payload that is on the disk never says more than the documents beside it hold; after any error a writer
//! takes no more, and whoever held it opens the index again and goes on from the payload that is there.

mod analysis;
mod build;
mod clause;
mod collect;
pub mod compile;
mod directory;
mod document;
mod error;
mod expand;
mod facets;
mod filter;
mod folder;
pub mod found;
pub mod highlight;
mod index;
mod list;
mod matches;
mod payload;
mod phrase;
mod queue;
pub mod rows;
mod searcher;
mod shape;
mod sought;
mod statistics;
#[cfg(test)]
mod tests;
mod top;
mod values;
mod verify;
mod window;
pub mod words;
mod writer;

pub use build::{Build, Built, Part};
pub use error::Error;
pub use facets::Facet;
pub use folder::Folder;
pub use index::Index;
pub use payload::{Payload, at_rest};
pub use searcher::Searcher;
pub use shape::{Filter, FilterKind, Shape, Text};
pub use verify::{Comparison, Difference, Differences};
pub use writer::{Committed, Writer};
