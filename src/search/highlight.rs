//! Where in a row's text the words are.

use super::Text as Field;
use super::words::Words;

/// Marks what was searched for in texts.
pub struct Highlighter {}

impl Highlighter {
    pub fn new(_words: &Words, _fields: &[Field]) -> Self {
        Self {}
    }

    /// The parts of a text of `fields[field]` that show best why it was found, as HTML; none if it was not in it.
    pub fn fragments(&mut self, _field: usize, _text: &str) -> Vec<String> {
        Vec::new()
    }
}
