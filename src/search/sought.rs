//! What a text of the query is looked up by in one field: for the index and for highlights the same.

use tantivy::tokenizer::{TokenStream, Tokenizer};

use super::analysis::{Analyzer, Kind, MARK};
use super::words::{Form, Text};

/// Shorter words are near too many others.
pub(super) const FUZZY_CHARS_MIN: usize = 4;

/// Terms at their places relative to each other, the last one perhaps for many.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sought {
    /// Places of stop words are left out, not closed up.
    pub(super) terms: Vec<(usize, String)>,
    pub(super) open: Option<(usize, Open)>,
    /// `*` or `~` was written and stands for nothing here.
    pub(super) is_form_lost: bool,
}

/// Many terms of the dictionary.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Open {
    /// Those that begin with it.
    Prefix(String),
    /// Those that are one edit from it: a letter more, less, other, or two that changed places.
    Fuzzy(String),
}

impl Sought {
    pub(super) fn of(text: &Text, analyzer: &mut Analyzer) -> Self {
        let mut sought = Self::default();
        let mut stream = analyzer.token_stream(&text.text);
        let (mut last, mut end, mut written) = (Kind::Stop, 0, None);
        let mut is_end_of_run = false;
        while let Some(kind) = stream.step() {
            let token = stream.token();
            end = token.offset_to;
            if kind == Kind::Stop && text.form == Form::Exact {
                continue;
            }
            is_end_of_run = kind == Kind::Last && last == Kind::Pair;
            if matches!(kind, Kind::Word | Kind::Pair | Kind::Last) {
                sought.terms.push((token.position, token.text.clone()));
            }
            written = Some((token.position, token.text.clone()));
            last = kind;
        }
        if is_end_of_run {
            // The pairs hold every character of their run, and it may go on in the row.
            sought.terms.pop();
            last = Kind::Pair;
        }
        let Some((place, word)) = written else { return sought };
        let is_long = word.trim_start_matches(MARK).chars().count() >= FUZZY_CHARS_MIN;
        sought.open = match (text.form, last) {
            // A character is found wherever it stands in a run.
            (_, Kind::Last) => Some((place, Open::Prefix(word))),
            // So is a pair.
            (Form::Exact, _) | (Form::Prefix, Kind::Pair) => None,
            (Form::Prefix, _) if end == text.text.len() => Some((place, Open::Prefix(word))),
            (Form::Fuzzy, Kind::Word | Kind::Written | Kind::Stop) if place == 0 && is_long => {
                Some((place, Open::Fuzzy(word)))
            }
            _ => {
                sought.is_form_lost = true;
                None
            }
        };
        if sought.open.is_some() {
            sought.terms.retain(|(at, _)| *at != place);
        }
        sought
    }

    /// Whether the field leaves out all of it.
    pub(super) fn is_nothing(&self) -> bool {
        self.terms.is_empty() && self.open.is_none()
    }
}
