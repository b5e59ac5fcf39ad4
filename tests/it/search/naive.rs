//! What a search finds, by reading every row: the oracle of full-text search.
//!
//! Written from the language reference, without the product's analysis: no pairs of characters, no dictionary, no
//! positions left empty. A text is a list of pieces, and what is searched for is tried at each of them.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fmt;
use std::rc::Rc;

use tantivy::tokenizer::{
    Language as Stems, RawTokenizer, Stemmer, StopWordFilter, TextAnalyzer, TokenStream,
};
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;
use viewd::definition::Language;

/// What is searched for; `Display` writes it as somebody would.
#[derive(Clone, Debug)]
pub enum Words {
    Word(String),
    Phrase(Vec<String>),
    Prefix(String),
    /// The last word is the beginning of one.
    PhrasePrefix(Vec<String>),
    Fuzzy(String),
    Field(String, Box<Words>),
    All(Vec<Words>),
    Any(Vec<Words>),
    Not(Box<Words>),
}

/// A field of a row.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    pub field: &'a str,
    pub language: Option<Language>,
    pub text: &'a str,
}

/// A row, analysed.
pub struct Row {
    fields: Vec<(String, Option<Language>, Vec<Piece>)>,
}

impl Row {
    pub fn new(fields: &[Text]) -> Self {
        let analysed = |field: &Text| {
            (field.field.to_owned(), field.language, pieces(field.text, field.language))
        };
        Self { fields: fields.iter().map(analysed).collect() }
    }
}

impl Words {
    /// Whether a row is found. Where nothing is asked for (stop words alone), none is.
    pub fn matches(&self, row: &Row) -> bool {
        evaluate(self, row, None).unwrap_or(false)
    }
}

/// None: it asks for nothing.
fn evaluate(words: &Words, row: &Row, field: Option<&str>) -> Option<bool> {
    let each = |words: &[Words]| -> Vec<bool> {
        words.iter().filter_map(|words| evaluate(words, row, field)).collect()
    };
    match words {
        Words::Word(text) => find(text, End::Whole, row, field),
        Words::Phrase(words) => find(&words.join(" "), End::Whole, row, field),
        Words::Prefix(text) => find(text, End::Open, row, field),
        Words::PhrasePrefix(words) => find(&words.join(" "), End::Open, row, field),
        Words::Fuzzy(text) => find(text, End::Near, row, field),
        Words::Field(name, words) => evaluate(words, row, Some(name)),
        Words::All(words) => {
            let each = each(words);
            (!each.is_empty()).then(|| each.iter().all(|found| *found))
        }
        Words::Any(words) => {
            let each = each(words);
            (!each.is_empty()).then(|| each.iter().any(|found| *found))
        }
        Words::Not(words) => evaluate(words, row, field).map(|found| !found),
    }
}

/// What the last piece stands for.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Whole,
    Open,
    Near,
}

fn find(text: &str, end: End, row: &Row, field: Option<&str>) -> Option<bool> {
    let mut found = false;
    let fields = row.fields.iter().filter(|(name, ..)| field.is_none_or(|field| field == name));
    for (_, language, there) in fields {
        let sought = sought(text, *language);
        let is_one_word = sought.len() == 1 && !sought[0].is_character;
        let is_near = end == End::Near && is_one_word && sought[0].written.chars().count() >= 4;
        let end = if end == End::Near && !is_near { End::Whole } else { end };
        let mut sought = &sought[..];
        // Stop words at the ends hold nothing apart.
        while end == End::Whole && sought.last().is_some_and(|piece| piece.is_stop) {
            sought = &sought[..sought.len() - 1];
        }
        let last = sought.len().saturating_sub(1);
        let first = sought
            .iter()
            .enumerate()
            .position(|(index, piece)| !piece.is_stop || (index == last && end != End::Whole))?;
        found |= (0..there.len()).any(|at| stands_at(&sought[first..], end, &there[at..]));
    }
    Some(found)
}

/// The pieces of what is searched for, which is the same for all rows.
fn sought(text: &str, language: Option<Language>) -> Rc<[Piece]> {
    type Known = HashMap<(String, Option<Language>), Rc<[Piece]>>;
    thread_local!(static KNOWN: RefCell<Known> = RefCell::default());
    KNOWN.with_borrow_mut(|known| {
        let made = || pieces(text, language).into();
        Rc::clone(known.entry((text.to_owned(), language)).or_insert_with(made))
    })
}

fn stands_at(sought: &[Piece], end: End, there: &[Piece]) -> bool {
    sought.len() <= there.len()
        && sought.iter().zip(there).enumerate().all(|(index, (sought_piece, piece))| {
            let is_last = index + 1 == sought.len();
            // Characters are side by side in one run if they are sought so, and in two if not.
            if index > 0
                && sought[index - 1].is_character
                && (sought[index - 1].run == sought_piece.run)
                    != (there[index - 1].run == piece.run)
            {
                return false;
            }
            match end {
                _ if sought_piece.is_character => {
                    piece.is_character && piece.written == sought_piece.written
                }
                _ if piece.is_character => sought_piece.is_stop && !is_last,
                End::Open if is_last => {
                    !piece.is_stop && piece.written.starts_with(&sought_piece.written)
                }
                End::Near if is_last => {
                    !piece.is_stop && is_near(&sought_piece.written, &piece.written)
                }
                _ if sought_piece.is_stop => true,
                _ => !piece.is_stop && piece.stem == sought_piece.stem,
            }
        })
}

/// One edit apart, or none: a letter more, less, other, or two neighbours the other way round.
pub fn is_near(one: &str, other: &str) -> bool {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().collect(), other.chars().collect());
    let (m, n) = (one.len(), other.len());
    let mut edits = vec![vec![0; n + 1]; m + 1];
    for i in 0..=m {
        for j in 0..=n {
            if i == 0 || j == 0 {
                edits[i][j] = i + j;
                continue;
            }
            let is_other = usize::from(one[i - 1] != other[j - 1]);
            let mut least =
                (edits[i - 1][j] + 1).min(edits[i][j - 1] + 1).min(edits[i - 1][j - 1] + is_other);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                least = least.min(edits[i - 2][j - 2] + 1);
            }
            edits[i][j] = least;
        }
    }
    edits[m][n] <= 1
}

/// A word, or one character of a script without spaces.
#[derive(Debug, PartialEq)]
struct Piece {
    written: String,
    stem: String,
    is_stop: bool,
    is_character: bool,
    /// Characters with nothing between them have the same.
    run: usize,
}

fn pieces(text: &str, language: Option<Language>) -> Vec<Piece> {
    let unseen = |c: &char| matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}');
    let text: String = text.chars().filter(|c| !unseen(c)).collect();
    let mut stems = language.map(stems);
    let mut pieces = Vec::new();
    for (run, (word, is_unspaced)) in runs(&text).into_iter().enumerate() {
        let folded = fold(word);
        if is_unspaced {
            let mut characters: Vec<String> = Vec::new();
            for c in folded.chars() {
                match characters.last_mut() {
                    Some(last) if is_combining_mark(c) => last.push(c),
                    _ => characters.push(c.to_string()),
                }
            }
            pieces.extend(characters.into_iter().map(|written| Piece {
                stem: written.clone(),
                written,
                is_stop: false,
                is_character: true,
                run,
            }));
        } else if !folded.is_empty() {
            let stem = match &mut stems {
                Some(stems) => {
                    let small: String = word.nfkd().flat_map(char::to_lowercase).nfc().collect();
                    let mut stream = stems.token_stream(&small);
                    stream.advance().then(|| fold(&stream.token().text))
                }
                None => Some(folded.clone()),
            };
            let is_stop = stem.is_none();
            let stem = stem.unwrap_or_default();
            pieces.push(Piece { written: folded, stem, is_stop, is_character: false, run });
        }
    }
    pieces
}

/// What is letters and marks without a break and of one kind, and whether its script has no spaces.
fn runs(text: &str) -> Vec<(&str, bool)> {
    let mut runs = Vec::new();
    let mut begun: Option<(usize, bool)> = None;
    for (at, c) in text.char_indices() {
        let kind = match c {
            _ if is_combining_mark(c) => begun.map(|(_, is_unspaced)| is_unspaced),
            _ if c.is_alphanumeric() => Some(is_unspaced(c)),
            _ => None,
        };
        if begun.map(|(_, is_unspaced)| is_unspaced) != kind {
            if let Some((from, is_unspaced)) = begun {
                runs.push((&text[from..at], is_unspaced));
            }
            begun = kind.map(|kind| (at, kind));
        }
    }
    if let Some((from, is_unspaced)) = begun {
        runs.push((&text[from..], is_unspaced));
    }
    runs
}

fn is_unspaced(c: char) -> bool {
    // Thai and Lao, Myanmar, Hangul, Khmer, kana, Han, narrow kana and Hangul.
    [
        (0x0e00, 0x0eff),
        (0x1000, 0x109f),
        (0x1100, 0x11ff),
        (0x1780, 0x17ff),
        (0x3005, 0x3007),
        (0x3041, 0x318f),
        (0x3400, 0x4dbf),
        (0x4e00, 0x9fff),
        (0xac00, 0xd7ff),
        (0xf900, 0xfaff),
        (0xff66, 0xffdc),
        (0x20000, 0x3ffff),
    ]
    .iter()
    .any(|(from, to)| (*from..=*to).contains(&u32::from(c)))
}

fn fold(text: &str) -> String {
    let bare: String = text
        .nfkd()
        .filter(|c| !matches!(c, '\u{300}'..='\u{36f}' | '\u{fe00}'..='\u{fe0f}'))
        .collect();
    let mut folded: String =
        bare.to_lowercase().to_uppercase().to_lowercase().replace('ς', "σ").nfc().collect();
    folded.truncate(folded.floor_char_boundary(254));
    folded
}

/// One word to its stem; nothing for a stop word.
fn stems(language: Language) -> TextAnalyzer {
    let language = match language {
        Language::Arabic => Stems::Arabic,
        Language::Danish => Stems::Danish,
        Language::Dutch => Stems::Dutch,
        Language::English => Stems::English,
        Language::Finnish => Stems::Finnish,
        Language::French => Stems::French,
        Language::German => Stems::German,
        Language::Greek => Stems::Greek,
        Language::Hungarian => Stems::Hungarian,
        Language::Italian => Stems::Italian,
        Language::Norwegian => Stems::Norwegian,
        Language::Portuguese => Stems::Portuguese,
        Language::Romanian => Stems::Romanian,
        Language::Russian => Stems::Russian,
        Language::Spanish => Stems::Spanish,
        Language::Swedish => Stems::Swedish,
        Language::Tamil => Stems::Tamil,
        Language::Turkish => Stems::Turkish,
    };
    let word = TextAnalyzer::builder(RawTokenizer::default()).dynamic();
    let word = match StopWordFilter::new(language) {
        Some(stops) => word.filter_dynamic(stops),
        None => word,
    };
    word.filter(Stemmer::new(language)).build()
}

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |words: &Words| match words {
            Words::All(_) | Words::Any(_) => format!("({words})"),
            other => other.to_string(),
        };
        let joined =
            |words: &[Words], by: &str| words.iter().map(group).collect::<Vec<_>>().join(by);
        match self {
            Words::Word(word) if is_plain(word) => write!(f, "{word}"),
            Words::Word(word) => write!(f, "\"{word}\""),
            Words::Phrase(words) => write!(f, "\"{}\"", words.join(" ")),
            Words::Prefix(word) => write!(f, "{word}*"),
            Words::PhrasePrefix(words) => write!(f, "\"{}*\"", words.join(" ")),
            Words::Fuzzy(word) => write!(f, "{word}~"),
            Words::Field(name, words) => match &**words {
                Words::Not(_) => write!(f, "{name}:({words})"),
                other => write!(f, "{name}:{}", group(other)),
            },
            Words::All(words) => write!(f, "{}", joined(words, " ")),
            Words::Any(words) => write!(f, "{}", joined(words, " OR ")),
            Words::Not(words) => write!(f, "NOT {}", group(words)),
        }
    }
}

/// Whether a word means itself without quotes.
fn is_plain(word: &str) -> bool {
    let is_odd =
        |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"' | ':' | '*' | '~' | '/');
    word.starts_with(char::is_alphanumeric)
        && !word.contains(is_odd)
        && !["AND", "OR", "NOT"].contains(&word)
}

#[test]
fn the_oracle_knows_the_reference() {
    let english = Some(Language::English);
    let row = Row::new(&[
        Text { field: "title", language: english, text: "The Running Shoes of Zoë" },
        Text { field: "code", language: None, text: "AB-12 東京都 the end" },
    ]);
    for (words, is_found) in [
        (Words::Word("run".into()), true),
        (Words::Word("ZOE".into()), true),
        (Words::Word("walk".into()), false),
        (Words::Phrase(vec!["running".into(), "shoe".into()]), true),
        (Words::Phrase(vec!["shoes".into(), "running".into()]), false),
        (Words::Prefix("runn".into()), true),
        (Words::Prefix("the".into()), true),
        (Words::Field("title".into(), Box::new(Words::Prefix("the".into()))), false),
        (Words::PhrasePrefix(vec!["running".into(), "sh".into()]), true),
        (Words::PhrasePrefix(vec!["runs".into(), "of".into()]), false),
        (Words::Any(vec![Words::Word("walk".into()), Words::Word("shoe".into())]), true),
        (Words::Fuzzy("shoos".into()), true),
        (Words::Fuzzy("shosez".into()), false),
        (Words::Word("ab-12".into()), true),
        (Words::Word("京都".into()), true),
        (Words::Word("京".into()), true),
        (Words::Word("都東".into()), false),
        (Words::Word("the".into()), false),
        (Words::All(vec![Words::Word("the".into()), Words::Word("shoe".into())]), true),
        (Words::Not(Box::new(Words::Word("walk".into()))), true),
        (Words::Field("code".into(), Box::new(Words::Word("the".into()))), true),
        (Words::Field("title".into(), Box::new(Words::Word("end".into()))), false),
    ] {
        assert_eq!(words.matches(&row), is_found, "{words}");
    }
}
