//! What a text is found by: its tokens. One analysis for rows and for queries, so that a word is found by itself.
//!
//! | text | tokens |
//! |---|---|
//! | a word: letters, digits and their marks, up to anything else | the word, folded (`fold`): small, without accents |
//! | the same, in a field with a language | the stem, and at the same position `=` and the word, folded; nothing for a stop word, whose position stays empty |
//! | a run of a script without spaces (Han, kana, Hangul, Thai, Lao, Khmer, Myanmar) | from each character on a pair of characters, and the last one alone |
//!
//! What was written is there beside the stem since the beginning of a word, and a word with a fault, are seldom those
//! of its stem. A run of characters is found by any part of it: several by the pairs in their order, one by the tokens
//! that begin with it.

mod fold;
mod language;

use std::mem;
use std::ops::Range;

use tantivy::tokenizer::{TextAnalyzer, Token, TokenStream, Tokenizer};

use self::fold::{Class, WORD_BYTES_MAX, class, continues, fold};
use self::language::Forms;
pub(super) use self::language::MARK;
use crate::definition::Language;

/// Raised with whatever changes tokens: indexes are made anew.
const VERSION: u32 = 1;

/// Whose stemmers these are: `tantivy` does not tell.
const STEMMERS: &str = "frostem 1.20260821.8";

/// What tokens come from, beside Tantivy and the language: part of an index's shape.
pub(super) fn version() -> String {
    let (tables, letters) = (unicode_normalization::UNICODE_VERSION, char::UNICODE_VERSION);
    format!("analysis {VERSION}, {STEMMERS}, unicode {tables:?} {letters:?}")
}

/// For a field's tokenizer.
pub(super) fn analyzer(language: Option<Language>) -> TextAnalyzer {
    TextAnalyzer::from(Analyzer::new(language))
}

/// Makes tokens of texts.
#[derive(Clone)]
pub struct Analyzer {
    forms: Option<Forms>,
    token: Token,
    /// The second token of a word, until it is given.
    written: String,
}

/// The tokens of one text.
pub struct Tokens<'a> {
    text: &'a str,
    at: usize,
    has_written: bool,
    /// The character of an unspaced script that the next token begins with.
    character: Option<(Range<usize>, String)>,
    analyzer: &'a mut Analyzer,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word, or its stem.
    Word,
    /// A word as written, beside its stem.
    Written,
    /// A stop word as written: not in the index.
    Stop,
    /// Two characters of an unspaced script.
    Pair,
    /// The last one of a run.
    Last,
}

impl Analyzer {
    pub fn new(language: Option<Language>) -> Self {
        Self { forms: language.map(Forms::new), token: Token::default(), written: String::new() }
    }
}

impl Tokenizer for Analyzer {
    type TokenStream<'a> = Tokens<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Tokens<'a> {
        self.token.reset();
        Tokens { text, at: 0, has_written: false, character: None, analyzer: self }
    }
}

impl TokenStream for Tokens<'_> {
    fn advance(&mut self) -> bool {
        loop {
            match self.step() {
                Some(Kind::Stop) => {}
                Some(_) => return true,
                None => return false,
            }
        }
    }

    fn token(&self) -> &Token {
        &self.analyzer.token
    }

    fn token_mut(&mut self) -> &mut Token {
        &mut self.analyzer.token
    }
}

impl Tokens<'_> {
    /// The next token, stop words too.
    pub(super) fn step(&mut self) -> Option<Kind> {
        if mem::take(&mut self.has_written) {
            mem::swap(&mut self.analyzer.token.text, &mut self.analyzer.written);
            return Some(Kind::Written);
        }
        if self.character.is_some() {
            return Some(self.pair());
        }
        let bytes = self.text.as_bytes();
        while let Some(&byte) = bytes.get(self.at) {
            let start = self.at;
            if byte.is_ascii_alphanumeric() {
                let rest = &bytes[start..];
                let plain = rest.iter().position(|byte| !byte.is_ascii_alphanumeric());
                self.at = start + plain.unwrap_or(rest.len());
                if bytes.get(self.at).is_some_and(|next| !next.is_ascii()) {
                    self.at = self.end_of_word(self.at);
                }
                if let Some(kind) = self.word(start..self.at) {
                    return Some(kind);
                }
            } else if byte.is_ascii() {
                self.at += 1;
            } else if let Some(kind) = self.beyond_ascii() {
                return Some(kind);
            }
        }
        None
    }

    /// Goes past a character that is not ASCII, or gives the token that begins with it.
    fn beyond_ascii(&mut self) -> Option<Kind> {
        let start = self.at;
        let first = self.text[start..].chars().next()?;
        match class(first) {
            Class::Word => {
                self.at = self.end_of_word(start);
                self.word(start..self.at)
            }
            Class::Unspaced => {
                self.character = self.next_character();
                self.character.is_some().then(|| self.pair())
            }
            Class::Mark | Class::Joiner | Class::Other => {
                self.at += first.len_utf8();
                None
            }
        }
    }

    /// Where the word ends that goes on at `from`.
    fn end_of_word(&self, from: usize) -> usize {
        let mut end = from;
        for (at, c) in self.text[from..].char_indices() {
            match class(c) {
                Class::Word | Class::Mark => end = from + at + c.len_utf8(),
                // Counts if more of the word follows.
                Class::Joiner => {}
                Class::Unspaced | Class::Other => break,
            }
        }
        end
    }

    /// The token of a word, if anything is left of it.
    fn word(&mut self, range: Range<usize>) -> Option<Kind> {
        let Analyzer { forms, token, written } = &mut *self.analyzer;
        let text = &self.text[range.clone()];
        token.text.clear();
        let is_plain = text.is_ascii()
            && !forms.as_ref().is_some_and(|forms| forms.has_letters_of_its_own(text));
        if is_plain {
            token.text.push_str(&text[..text.len().min(WORD_BYTES_MAX)]);
            token.text.make_ascii_lowercase();
        }
        let mut kind = Kind::Word;
        if let Some(forms) = forms {
            let form = forms.of(if is_plain { &token.text } else { text })?;
            token.text.clear();
            match &form.stem {
                Some(stem) => {
                    token.text.push_str(stem);
                    written.clear();
                    written.push_str(&form.written);
                    self.has_written = true;
                }
                None => {
                    token.text.push_str(&form.written);
                    kind = Kind::Stop;
                }
            }
        } else if !is_plain {
            fold(text, &mut token.text);
            if token.text.is_empty() {
                return None;
            }
        }
        self.place(range);
        Some(kind)
    }

    /// The token that begins with the character at hand, which the one after it then is.
    fn pair(&mut self) -> Kind {
        let (range, mut text) = self.character.take().expect("asked for where there is one");
        self.character = self.next_character();
        let (end, kind) = match &self.character {
            Some((next, folded)) => {
                text.push_str(folded);
                (next.end, Kind::Pair)
            }
            None => (range.end, Kind::Last),
        };
        text.truncate(text.floor_char_boundary(WORD_BYTES_MAX));
        self.analyzer.token.text = text;
        self.place(range.start..end);
        kind
    }

    /// The next character of the run, past its marks, if the run goes on.
    fn next_character(&mut self) -> Option<(Range<usize>, String)> {
        loop {
            let (past_joiners, first) =
                self.text[self.at..].char_indices().find(|(_, c)| class(*c) != Class::Joiner)?;
            if class(first) != Class::Unspaced {
                return None;
            }
            let start = self.at + past_joiners;
            self.at = start + character_len(&self.text[start..]);
            let mut folded = String::new();
            fold(&self.text[start..self.at], &mut folded);
            if !folded.is_empty() {
                return Some((start..self.at, folded));
            }
        }
    }

    fn place(&mut self, range: Range<usize>) {
        let token = &mut self.analyzer.token;
        token.position = token.position.wrapping_add(1);
        token.offset_from = range.start;
        token.offset_to = range.end;
    }
}

/// The bytes of the first character of a text in an unspaced script, with what belongs to it.
pub(super) fn character_len(text: &str) -> usize {
    let mut chars = text.char_indices();
    let mut end = chars.next().map_or(0, |(_, first)| first.len_utf8());
    for (at, c) in chars {
        match class(c) {
            Class::Mark => end = at + c.len_utf8(),
            Class::Unspaced if continues(c) => end = at + c.len_utf8(),
            Class::Joiner => {}
            Class::Unspaced | Class::Word | Class::Other => break,
        }
    }
    end
}

#[cfg(test)]
mod tests;
