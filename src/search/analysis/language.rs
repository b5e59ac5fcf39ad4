//! The word forms of a language: which words are one, and which are too common to be searched for.

use std::sync::OnceLock;

use compact_str::CompactString;
use hashbrown::HashMap;
use hashbrown::hash_map::EntryRef;
use tantivy::tokenizer::{self, RawTokenizer, Stemmer, StopWordFilter, TextAnalyzer, TokenStream};

use super::fold::{fold, lower};
use crate::definition::Language;

/// How many words are remembered. Texts repeat theirs: nine of ten come from here, and a stemmer takes some
/// hundred nanoseconds.
const MEMO_WORDS_MAX: usize = 8_192;

/// What is remembered is held without an allocation.
const MEMO_BYTES_MAX: usize = 24;

/// The marked forms of the words of one language.
pub(super) struct Forms {
    language: Language,
    /// Takes one word; gives its stem, or nothing for a stop word.
    stemmer: TextAnalyzer,
    memo: HashMap<CompactString, Form>,
}

/// What a word is found by.
#[derive(Clone)]
pub(super) struct Form {
    /// The stem, folded; None for a stop word.
    pub(super) stem: Option<CompactString>,
    /// The mark and the word as written, folded.
    pub(super) written: CompactString,
}

/// No folded word begins with it, so no stem does.
pub(in crate::search) const MARK: char = '=';

impl Clone for Forms {
    /// A clone begins with an empty memory: it is for other texts, often for one short query.
    fn clone(&self) -> Self {
        Self { language: self.language, stemmer: self.stemmer.clone(), memo: HashMap::new() }
    }
}

impl Forms {
    pub(super) fn new(language: Language) -> Self {
        Self { language, stemmer: stemmer(language), memo: HashMap::new() }
    }

    /// Whether small letters of ASCII are not those of this word.
    pub(super) fn has_letters_of_its_own(&self, word: &str) -> bool {
        self.language == Language::Turkish && word.contains('I')
    }

    /// The forms of a word, as written or in small letters; None if nothing of it is left.
    pub(super) fn of(&mut self, word: &str) -> Option<&Form> {
        if self.memo.len() >= MEMO_WORDS_MAX {
            self.memo.clear();
        }
        if word.len() > MEMO_BYTES_MAX {
            // The one place for what is not remembered: that of the empty word, which is no word.
            let form = make(self.language, &mut self.stemmer, word)?;
            return Some(self.memo.entry(CompactString::default()).insert(form).into_mut());
        }
        match self.memo.entry_ref(word) {
            EntryRef::Occupied(entry) => Some(entry.into_mut()),
            EntryRef::Vacant(entry) => {
                let form = make(self.language, &mut self.stemmer, word)?;
                Some(entry.insert_with_key(CompactString::new(word), form))
            }
        }
    }
}

fn make(language: Language, stemmer: &mut TextAnalyzer, word: &str) -> Option<Form> {
    let mut written = String::from(MARK);
    fold(word, &mut written);
    if written.len() == MARK.len_utf8() {
        return None;
    }
    let mut small = String::new();
    lower(word, language == Language::Turkish, &mut small);
    let mut stream = stemmer.token_stream(&small);
    let stem = stream.advance().then(|| {
        let mut stem = String::new();
        fold(&stream.token().text, &mut stem);
        if stem.is_empty() { CompactString::new(&written[MARK.len_utf8()..]) } else { stem.into() }
    });
    Some(Form { stem, written: written.into() })
}

/// A copy of the one for the language: to make its table of stop words takes longer than most searches.
fn stemmer(language: Language) -> TextAnalyzer {
    static MADE: [OnceLock<TextAnalyzer>; Language::ALL.len()] =
        [const { OnceLock::new() }; Language::ALL.len()];
    let make = || {
        let known = known(language);
        let word = TextAnalyzer::builder(RawTokenizer::default()).dynamic();
        let word = match StopWordFilter::new(known) {
            Some(stops) => word.filter_dynamic(stops),
            None => word,
        };
        word.filter(Stemmer::new(known)).build()
    };
    MADE[language as usize].get_or_init(make).clone()
}

fn known(language: Language) -> tokenizer::Language {
    match language {
        Language::Arabic => tokenizer::Language::Arabic,
        Language::Danish => tokenizer::Language::Danish,
        Language::Dutch => tokenizer::Language::Dutch,
        Language::English => tokenizer::Language::English,
        Language::Finnish => tokenizer::Language::Finnish,
        Language::French => tokenizer::Language::French,
        Language::German => tokenizer::Language::German,
        Language::Greek => tokenizer::Language::Greek,
        Language::Hungarian => tokenizer::Language::Hungarian,
        Language::Italian => tokenizer::Language::Italian,
        Language::Norwegian => tokenizer::Language::Norwegian,
        Language::Portuguese => tokenizer::Language::Portuguese,
        Language::Romanian => tokenizer::Language::Romanian,
        Language::Russian => tokenizer::Language::Russian,
        Language::Spanish => tokenizer::Language::Spanish,
        Language::Swedish => tokenizer::Language::Swedish,
        Language::Tamil => tokenizer::Language::Tamil,
        Language::Turkish => tokenizer::Language::Turkish,
    }
}
