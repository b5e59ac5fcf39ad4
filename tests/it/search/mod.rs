//! Full-text search through the daemon, on real text.

// Real text, as events.
#[path = "../../corpora/mod.rs"]
mod corpora;

// What a search finds, by reading every row.
mod naive;
