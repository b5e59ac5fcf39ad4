use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use super::*;

/// The tokens as `place:text`, those of one place joined by `/`; stop words in brackets.
fn tokens(language: Option<Language>, text: &str) -> String {
    let mut analyzer = Analyzer::new(language);
    let mut stream = analyzer.token_stream(text);
    let (mut tokens, mut last) = (String::new(), usize::MAX);
    while let Some(kind) = stream.step() {
        let Token { position, text, .. } = stream.token();
        let (open, close) = if kind == Kind::Stop { ("[", "]") } else { ("", "") };
        if *position == last {
            tokens += &format!("/{text}");
        } else {
            tokens += &format!(" {open}{position}:{text}{close}");
        }
        last = *position;
    }
    tokens.trim_start().to_owned()
}

#[track_caller]
fn check(language: Option<Language>, text: &str, expected: &str) {
    assert_eq!(tokens(language, text), expected, "{text:?}");
}

#[test]
fn words_are_found_as_they_are_written() {
    check(None, "Red, SHOES-for the Zoë!", "0:red 1:shoes 2:for 3:the 4:zoe");
    check(None, "12:30 a@b.org don't", "0:12 1:30 2:a 3:b 4:org 5:don 6:t");
    check(None, "naïve—ﬁne co\u{ad}op\u{ad} x", "0:naive 1:fine 2:coop 3:x");
    check(None, "🙂 ... \0 \u{301} \u{fe0f}", "");
    check(None, "❤\u{fe0f}a\u{fe0f} b", "0:a 1:b");
    check(None, "हिन्दी भाषा", "0:हिन्दी 1:भाषा");
}

#[test]
fn a_language_has_stems_and_stop_words() {
    let english = Some(Language::English);
    check(english, "The Running Shoes", "[0:=the] 1:run/=running 2:shoe/=shoes");
    check(Some(Language::German), "Die Häuser", "[0:=die] 1:haus/=hauser");
    check(Some(Language::German), "STRASSE Straße", "0:strass/=strasse 1:strass/=strasse");
    check(Some(Language::Turkish), "İßI İßＩ", "0:issi/=issi 1:issi/=issi");
    check(Some(Language::Turkish), "ISPARTA ısparta", "0:ispar/=isparta 1:ispar/=isparta");
    check(Some(Language::Greek), "ΛΌΓΟΣ λόγος", "0:λογ/=λογοσ 1:λογ/=λογοσ");
    // One that has none.
    check(Some(Language::Tamil), "the", "0:the/=the");
}

#[test]
fn scripts_without_spaces_are_pairs() {
    check(None, "東京都 x", "0:東京 1:京都 2:都 3:x");
    check(None, "字", "0:字");
    check(None, "iPhone手机2", "0:iphone 1:手机 2:机 3:2");
    check(Some(Language::English), "the手机", "[0:=the] 1:手机 2:机");
    check(None, "ｶﾞｷﾞ", "0:ガギ 1:ギ");
    check(None, "カ\u{3099}キ\u{3099}", "0:ガギ 1:ギ");
    check(None, "\u{1112}\u{1161}\u{11ab}국", "0:한국 1:국");
    check(None, "ที่นี่", "0:ที่นี่ 1:นี่");
    check(None, "กข\u{200b}ค", "0:กข 1:ขค 2:ค");
}

#[test]
fn tokens_say_where_they_are() {
    let mut analyzer = Analyzer::new(None);
    let text = "Zoe\u{308}, 東京都";
    let mut stream = analyzer.token_stream(text);
    let mut there = Vec::new();
    while stream.advance() {
        there.push(&text[stream.token().offset_from..stream.token().offset_to]);
    }
    assert_eq!(there, ["Zoe\u{308}", "東京", "京都", "都"]);
}

/// The stemmers are another crate's, which Tantivy chooses.
#[test]
fn the_version_names_the_stemmers_that_are_built_in() {
    let lock = include_str!("../../../Cargo.lock");
    let (name, version) = STEMMERS.split_once(' ').unwrap();
    assert!(
        lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"")),
        "Cargo.lock has another version of {name}: name it in STEMMERS, so that indexes are made anew"
    );
}

fn languages() -> impl Strategy<Value = Option<Language>> {
    prop_oneof![Just(None), prop::sample::select(&Language::ALL[..]).prop_map(Some)]
}

/// Letters that are special somewhere, and anything else.
fn texts() -> impl Strategy<Value = String> {
    let special = prop::sample::select(vec![
        "a", "Z", "I", "İ", "ı", "ß", "ẞ", "Σ", "ς", "é", "e\u{301}", "\u{301}", "ﬁ", "Ａ", "ｶ",
        "ﾞ", "カ", "\u{3099}", "字", "東", "한", "\u{1100}", "\u{1161}", "\u{11a8}", "ㄱ", "ท", "ี",
        "่", "က", "្", "ا", "ّ", "ـ", "ש", "\u{5c1}", "ा", "न", "\u{200d}", "\u{200b}", "\u{ad}",
        "\u{202e}", "\0", " ", "-", "'", "🙂", "\u{fe0f}", "½", "1", "ing", "s", "the", "=",
    ]);
    prop_oneof![
        prop::collection::vec(special, 0..12).prop_map(|parts| parts.concat()),
        any::<String>(),
        "[a-zA-Z]{1,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_has_tokens_in_order(language in languages(), text in texts()) {
        let mut analyzer = Analyzer::new(language);
        let mut stream = analyzer.token_stream(&text);
        let (mut from, mut next) = (0, 0);
        while stream.step().is_some() {
            let token = stream.token();
            prop_assert!(!token.text.is_empty() && token.text.len() <= 255, "{token:?}");
            prop_assert!(token.offset_from >= from && token.offset_from < token.offset_to, "{token:?}");
            prop_assert!(text.get(token.offset_from..token.offset_to).is_some(), "{token:?}");
            prop_assert!(token.position == next || token.position + 1 == next, "{token:?}");
            (from, next) = (token.offset_from, token.position + 1);
        }
    }

    #[test]
    fn the_ways_to_write_a_text_are_one(language in languages(), text in texts()) {
        let expected = tokens(language, &text);
        prop_assert_eq!(tokens(language, &text.nfd().collect::<String>()), expected.clone(), "decomposed");
        prop_assert_eq!(tokens(language, &text.nfc().collect::<String>()), expected.clone(), "composed");
        let wide: String = text.chars().map(|c| match c {
            '!'..='~' => char::from_u32(u32::from(c) + 0xfee0).unwrap(),
            other => other,
        }).collect();
        prop_assert_eq!(tokens(language, &wide), expected, "wide");
    }

    /// In Turkish, small and large letters are others.
    #[test]
    fn case_does_not_count(text in "[a-zA-ZäöüéèñçßæøåжЖяЯλΛςΣ -]{0,20}") {
        for language in [None, Some(Language::English), Some(Language::German), Some(Language::Russian)] {
            let expected = tokens(language, &text);
            prop_assert_eq!(tokens(language, &text.to_lowercase()), expected.clone(), "{:?}", language);
            if language.is_none() {
                prop_assert_eq!(tokens(language, &text.to_uppercase()), expected, "{:?}", language);
            }
        }
    }

    /// What is remembered of a word is what is made of it.
    #[test]
    fn memory_changes_nothing(language in languages(), texts in prop::collection::vec(texts(), 1..8)) {
        let mut analyzer = Analyzer::new(language);
        for text in texts.iter().chain(&texts) {
            let mut stream = analyzer.token_stream(text);
            let (mut with, mut without) = (Vec::new(), Vec::new());
            while stream.advance() { with.push(stream.token().clone()); }
            let mut fresh = Analyzer::new(language);
            let mut stream = fresh.token_stream(text);
            while stream.advance() { without.push(stream.token().clone()); }
            prop_assert_eq!(with, without);
        }
    }
}

/// What would take time or memory of its own.
#[test]
fn long_texts_are_read_once() {
    for text in [
        "a".repeat(1 << 18),
        "é".repeat(1 << 17),
        "字".repeat(1 << 16),
        format!("a{}", "\u{301}".repeat(1 << 17)),
        format!("字{}", "\u{301}".repeat(1 << 17)),
        format!("a{}", "\u{200d}".repeat(1 << 18)),
        "a\u{200d}".repeat(1 << 17),
        "\u{3099}".repeat(1 << 18),
        "\u{1161}".repeat(1 << 18),
    ] {
        for language in [None, Some(Language::Greek)] {
            let mut analyzer = Analyzer::new(language);
            let mut stream = analyzer.token_stream(&text);
            while stream.advance() {
                assert!(stream.token().text.len() <= 255);
            }
        }
    }
}
