//! From a text to the words that are found.

use tantivy::tokenizer::{LowerCaser, SimpleTokenizer, TextAnalyzer};

use crate::definition::Language;

/// Of what it makes of a text: an index that another has made is made anew.
pub(super) const VERSION: u32 = 0;

pub(super) fn analyzer(_language: Option<Language>) -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default()).filter(LowerCaser).build()
}
