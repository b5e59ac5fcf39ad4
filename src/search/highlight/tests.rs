use std::time::Instant;

use tantivy::schema::Schema;

use super::*;
use crate::definition::Language;
use crate::search::words;

/// The fragments of a text in a field without a language (0) or in English (1).
fn fragments(searched: &str, field: usize, text: &str) -> Vec<String> {
    let mut schema = Schema::builder();
    let fields = [("plain", None), ("english", Some(Language::English))];
    let fields = fields.map(|(name, language)| {
        let field = schema.add_text_field(name, tantivy::schema::TEXT);
        Field { column: 0, name: name.to_owned(), weight: 1.0, language, field }
    });
    let words = words::parse(searched, &["plain", "english"], &[]).unwrap();
    Highlighter::new(&words, &fields).fragments(field, text)
}

#[test]
fn what_was_searched_for_is_marked() {
    for (searched, field, text, expected) in [
        (
            "red",
            0,
            "A Red <shoe> & red's",
            "A <mark>Red</mark> &lt;shoe&gt; &amp; <mark>red</mark>&#39;s",
        ),
        ("red", 0, "blue", ""),
        ("shoe", 0, "shoes", ""),
        ("shoe", 1, "Shoes, \"shoe\"", "<mark>Shoes</mark>, &quot;<mark>shoe</mark>&quot;"),
        ("the shoe", 1, "the shoe", "the <mark>shoe</mark>"),
        ("zoe", 0, "Zoe\u{308}", "<mark>Zoe\u{308}</mark>"),
        // Phrases where they are, without what is between.
        (
            "\"a b\"",
            0,
            "a b, b a, a, b a b",
            "<mark>a</mark> <mark>b</mark>, b a, <mark>a</mark>, <mark>b</mark> <mark>a</mark> <mark>b</mark>",
        ),
        (
            "\"shoe of runner\"",
            1,
            "the shoes for runners, shoe runner",
            "the <mark>shoes</mark> for <mark>runners</mark>, shoe runner",
        ),
        ("12:30", 0, "30:12:30", "30:<mark>12</mark>:<mark>30</mark>"),
        // Beginnings, faults.
        ("runn*", 1, "running run runner", "<mark>running</mark> run <mark>runner</mark>"),
        ("run*", 0, "rung ran", "<mark>rung</mark> ran"),
        (
            "\"the runn*\"",
            0,
            "the runner, a runner",
            "<mark>the</mark> <mark>runner</mark>, a runner",
        ),
        (
            "shose~",
            1,
            "shoes shoe shoos hose",
            "<mark>shoes</mark> <mark>shoe</mark> shoos <mark>hose</mark>",
        ),
        ("cat*", 1, "the cats at", "the <mark>cats</mark> at"),
        ("the*", 1, "the them", "the <mark>them</mark>"),
        // Characters.
        ("京都", 0, "東京都", "東<mark>京都</mark>"),
        ("京", 0, "東京都", "東<mark>京</mark>都"),
        ("東京都", 0, "東京都です", "<mark>東京都</mark>です"),
        ("都", 0, "東京都", "東京<mark>都</mark>"),
        // Not what is to be absent, nor what is sought elsewhere.
        ("a -b", 0, "a b", "<mark>a</mark> b"),
        ("plain:a english:b", 0, "a b", "<mark>a</mark> b"),
        ("plain:a english:b", 1, "a b", "a <mark>b</mark>"),
        ("a OR b", 0, "a b", "<mark>a</mark> <mark>b</mark>"),
        ("<script>", 0, "<script>", "&lt;<mark>script</mark>&gt;"),
    ] {
        assert_eq!(fragments(searched, field, text).join("|"), expected, "{searched} in {text}");
    }
}

#[test]
fn long_texts_are_shown_in_parts() {
    let filler = "lorem ipsum dolor sit amet ".repeat(20);
    let text =
        format!("{filler}one cat here. {filler}a cat and a dog, {filler}dog {filler}cat {filler}");
    let parts = fragments("cat dog", 0, &text);
    assert_eq!(parts.len(), 3);
    assert!(parts[1].contains("a <mark>cat</mark> and a <mark>dog</mark>,"), "{parts:?}");
    for part in &parts {
        let bare = part.replace("<mark>", "").replace("</mark>", "");
        assert!(text.contains(&bare), "{part}");
        assert!((100..=160).contains(&bare.chars().count()), "{part}");
        // Between words.
        assert!(text.contains(&format!(" {bare} ")), "{part}");
    }
    // The ends of a text are no reason to show less.
    assert!(fragments("cat", 0, &format!("cat {filler}"))[0].starts_with("<mark>cat</mark> lorem"));
    assert!(fragments("cat", 0, &format!("{filler} cat"))[0].ends_with(" <mark>cat</mark>"));
}

#[test]
fn parts_are_short_whatever_the_text() {
    for (searched, text) in [
        ("a*", "a".repeat(1 << 16)),
        ("字", "字".repeat(1 << 14)),
        ("\"字字\"", "字".repeat(1 << 14)),
        ("a*", format!("a{}", "\u{301}".repeat(1 << 14))),
        ("b", format!("{}b{}", "🙂".repeat(10_000), "🙂".repeat(10_000))),
        ("\"a a a\" OR a", "a ".repeat(1 << 14)),
    ] {
        let parts = fragments(searched, 0, &text);
        assert!((1..=3).contains(&parts.len()), "{searched}: {}", parts.len());
        for part in parts {
            let bare = part.replace("<mark>", "").replace("</mark>", "");
            assert!(bare.chars().count() <= 160 && part.contains("<mark>"), "{searched}: {part}");
        }
    }
}

/// What is marked in a megabyte takes no longer than a query may: some ten milliseconds, and a few seconds at worst
/// where tests run, in phrases that begin everywhere and end nowhere.
#[test]
fn a_megabyte_is_shown_in_time() {
    let begun = Instant::now();
    let endless = format!("\"{}b\"", "a ".repeat(200));
    for searched in [endless.as_str(), "a b c d* e~ \"a a a\"", "aaab~ aaba~ abaa~ baaa~ a* b*"] {
        let _ = fragments(searched, 1, &"a ".repeat(1 << 19));
        let _ = fragments(searched, 0, &"aaaa ".repeat(1 << 18));
    }
    assert!(begun.elapsed().as_secs() < 60, "{:?}", begun.elapsed());
}
