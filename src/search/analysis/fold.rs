//! How the ways to write a letter are made one: forms, widths, case, accents. And what stands for a letter at all.
//!
//! A folded text has no compatibility forms (`ﬁ`, wide Latin, narrow kana), no case (`ß` is `ss`), none of the
//! accents and points that people leave out when they type; what is left is composed. Folding what is folded changes
//! nothing.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::{decompose_compatible, is_combining_mark};

/// Longer words are cut: with the mark of a word as written a token has 255 bytes, far below what Tantivy drops in
/// silence (65,530).
pub(super) const WORD_BYTES_MAX: usize = 254;

/// What a character does to the words around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// A letter or digit of a script that puts space between words.
    Word,
    /// One of a script that does not.
    Unspaced,
    /// Part of the character before it.
    Mark,
    /// Cannot be seen, and parts no word: soft hyphens, joiners, marks of direction.
    Joiner,
    Other,
}

pub(super) fn class(c: char) -> Class {
    // Many marks are alphabetic too.
    if c >= '\u{300}' && is_combining_mark(c) {
        Class::Mark
    } else if c.is_alphanumeric() {
        if is_unspaced(c) { Class::Unspaced } else { Class::Word }
    } else if is_joiner(c) {
        Class::Joiner
    } else {
        Class::Other
    }
}

/// Whether a character of an unspaced script belongs to the one before it: marks of voice and tone, and the vowels
/// and finals that make a Hangul syllable.
pub(super) fn continues(c: char) -> bool {
    let mut first = None;
    decompose_compatible(c, |part| {
        first.get_or_insert(part);
    });
    first.is_some_and(|first| {
        is_combining_mark(first)
            || matches!(first, '\u{1160}'..='\u{11ff}' | '\u{d7b0}'..='\u{d7fb}')
    })
}

/// Appends `text` as it is found, cut at `WORD_BYTES_MAX`.
pub(super) fn fold(text: &str, into: &mut String) {
    let letters = text.chars().filter(|c| !is_joiner(*c)).nfkd().filter(|c| !is_accent(*c));
    // Up and down again, since some have a second small form (`ς`) or only a large one of two letters (`ß`).
    let letters = letters.flat_map(char::to_lowercase).flat_map(char::to_uppercase);
    take(letters.flat_map(char::to_lowercase).nfc(), into);
}

/// Appends `text` as stemmers and lists of stop words want it: small letters, composed, with their accents.
pub(super) fn lower(text: &str, turkish: bool, into: &mut String) {
    let letters = text.chars().filter(|c| !is_joiner(*c));
    if turkish {
        // Wide letters and other forms first: they have a point or none as well.
        let dotted = letters.nfkc().map(|c| match c {
            'I' => 'ı',
            'İ' => 'i',
            other => other,
        });
        take(dotted.nfkd().flat_map(char::to_lowercase).nfc(), into);
    } else {
        take(letters.nfkd().flat_map(char::to_lowercase).nfc(), into);
    }
}

fn take(letters: impl Iterator<Item = char>, into: &mut String) {
    let max = into.len() + WORD_BYTES_MAX;
    for letter in letters {
        if into.len() + letter.len_utf8() > max {
            break;
        }
        into.push(letter);
    }
}

fn is_joiner(c: char) -> bool {
    matches!(
        c,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}'
    )
}

/// Accents of any script, Hebrew and Arabic points, the Arabic stretch, and what chooses between pictures of one
/// character. The marks of kana and of Indian scripts are letters of their own and stay.
fn is_accent(c: char) -> bool {
    matches!(
        c,
        '\u{300}'..='\u{36f}' | '\u{591}'..='\u{5bd}' | '\u{5bf}' | '\u{5c1}'..='\u{5c2}'
            | '\u{5c4}'..='\u{5c5}' | '\u{5c7}' | '\u{610}'..='\u{61a}' | '\u{640}'
            | '\u{64b}'..='\u{65f}' | '\u{670}' | '\u{6d6}'..='\u{6dc}' | '\u{6df}'..='\u{6e4}'
            | '\u{6e7}'..='\u{6e8}' | '\u{6ea}'..='\u{6ed}' | '\u{180b}'..='\u{180d}'
            | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}' | '\u{e0100}'..='\u{e01ef}'
    )
}

/// Thai, Lao, Myanmar, Hangul, Khmer, kana, Han and what is written among them.
fn is_unspaced(c: char) -> bool {
    matches!(
        c,
        '\u{e00}'..='\u{eff}' | '\u{1000}'..='\u{109f}' | '\u{1100}'..='\u{11ff}'
            | '\u{1780}'..='\u{17ff}' | '\u{2e80}'..='\u{2fdf}' | '\u{3005}'..='\u{3007}'
            | '\u{3021}'..='\u{3029}' | '\u{3031}'..='\u{3035}' | '\u{3038}'..='\u{303c}'
            | '\u{3041}'..='\u{318f}' | '\u{31a0}'..='\u{31bf}' | '\u{31f0}'..='\u{31ff}'
            | '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{a960}'..='\u{a97f}'
            | '\u{a9e0}'..='\u{a9ff}' | '\u{aa60}'..='\u{aa7f}' | '\u{ac00}'..='\u{d7ff}'
            | '\u{f900}'..='\u{faff}' | '\u{ff66}'..='\u{ffdc}' | '\u{1aff0}'..='\u{1b2ff}'
            | '\u{20000}'..='\u{3ffff}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        let mut folded = String::new();
        fold(text, &mut folded);
        folded
    }

    #[test]
    fn the_ways_to_write_a_word_are_one() {
        for (ways, found) in [
            (&["Café", "CAFÉ", "cafe\u{301}", "cafe", "ｃａｆé"][..], "cafe"),
            (&["straße", "STRASSE", "STRAẞE"], "strasse"),
            (&["ΛΌΓΟΣ", "λόγος", "λογοσ"], "λογοσ"),
            (&["ISPARTA", "ısparta", "İsparta", "isparta"], "isparta"),
            (&["ガ", "ｶﾞ", "カ\u{3099}"], "ガ"),
            (&["한", "\u{1112}\u{1161}\u{11ab}"], "한"),
            (&["ﬁne", "FINE"], "fine"),
            (&["co\u{ad}op", "co\u{200b}op", "coop"], "coop"),
            (&["שָׁלוֹם", "שלום"], "שלום"),
            (&["مُحَمَّد", "محمد", "محـــمد"], "محمد"),
            (&["１２③", "123"], "123"),
            (&["й", "Й", "и"], "и"),
        ] {
            for way in ways {
                assert_eq!(folded(way), found, "{way}");
            }
        }
    }

    /// Every character there is: folding is done after one time, whatever the case, and nothing that is part of a
    /// word folds into the mark of words as written.
    #[test]
    fn folding_is_done_once() {
        for c in ('\0'..=char::MAX).filter(|c| class(*c) != Class::Other) {
            let once = folded(&c.to_string());
            assert_eq!(folded(&once), once, "{c:?}");
            assert!(!once.starts_with('='), "{c:?}");
            if !matches!(c, '\u{345}' | '\u{1f80}'..='\u{1ffc}') {
                assert_eq!(folded(&c.to_uppercase().to_string()), once, "{c:?}");
                assert_eq!(folded(&c.to_lowercase().to_string()), once, "{c:?}");
            }
            let decomposed: String = [c].into_iter().nfd().collect();
            assert_eq!(folded(&decomposed), once, "{c:?}");
        }
    }

    #[test]
    fn long_words_are_cut_between_characters() {
        assert_eq!(folded(&"é".repeat(1_000)), "e".repeat(254));
        assert_eq!(folded(&"ж".repeat(1_000)).len(), 254);
        assert_eq!(folded(&"字".repeat(1_000)).len(), 252);
        assert_eq!(folded(&format!("a{}", "\u{301}".repeat(1_000_000))), "a");
    }
}
