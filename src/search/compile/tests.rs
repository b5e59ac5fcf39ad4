use std::time::Duration;

use proptest::prelude::any as anything;
use proptest::prelude::{ProptestConfig, prop_assert, proptest};
use tantivy::schema::{
    FAST, IndexRecordOption, NumericOptions, Schema, TextFieldIndexing, TextOptions,
};
use tantivy::{DocAddress, Index, Score, TantivyDocument};

use super::*;
use crate::definition::Language;
use crate::search::matches::tests::found;
use crate::search::{analysis, expand, words};

const ROWS: [(&str, &str); 8] = [
    ("The Running Shoes", "red and blue"),
    ("Shoe of the runner", "blue Zoë 12:30"),
    ("Cat", "to be or not to be"),
    ("The", "the end"),
    ("東京都の字典", "iPhone手机"),
    ("new york city", "a b a c a b d"),
    ("news from yorkshire", "workshop works worker word"),
    ("", ""),
];

struct Fixture {
    index: Index,
    texts: Vec<Text>,
}

/// English titles and bodies without a language, in segments of three rows.
fn fixture(rows: &[(&str, &str)]) -> Fixture {
    let mut schema = Schema::builder();
    let mut texts = Vec::new();
    let manager = tantivy::tokenizer::TokenizerManager::default();
    for (column, (name, language, weight)) in
        [("title", Some(Language::English), 2.0), ("body", None, 1.0)].into_iter().enumerate()
    {
        let indexing = TextFieldIndexing::default()
            .set_tokenizer(name)
            .set_index_option(IndexRecordOption::WithFreqsAndPositions);
        let field =
            schema.add_text_field(name, TextOptions::default().set_indexing_options(indexing));
        manager.register(name, analysis::analyzer(language));
        texts.push(Field { column, name: name.to_owned(), weight, language, field });
    }
    let id = schema.add_u64_field("id", NumericOptions::default().set_fast() | FAST);
    let mut index = Index::create_in_ram(schema.build());
    index.set_tokenizers(manager);
    let mut writer = index.writer_with_num_threads(1, 15_000_000).unwrap();
    writer.set_merge_policy(Box::new(tantivy::merge_policy::NoMergePolicy));
    for (number, (title, body)) in rows.iter().enumerate() {
        let mut row = TantivyDocument::new();
        row.add_text(texts[0].field, title);
        row.add_text(texts[1].field, body);
        row.add_u64(id, number as u64);
        writer.add_document(row).unwrap();
        if number % 3 == 2 {
            writer.commit().unwrap();
        }
    }
    writer.commit().unwrap();
    writer.wait_merging_threads().unwrap();
    Fixture { index, texts }
}

type Text = Field;

impl Fixture {
    fn words(&self, text: &str) -> Words {
        words::parse(text, &["title", "body"], &[]).unwrap()
    }

    /// Rows by number, with their scores.
    fn scored(&self, text: &str) -> (Vec<(u64, Score)>, Vec<String>) {
        let deadline = Instant::now() + Duration::from_secs(60);
        let compiled = compile(&self.words(text), &self.texts, deadline).unwrap();
        let searcher = self.index.reader().unwrap().searcher();
        let id = |(at, score): (DocAddress, Score)| {
            let column = searcher.segment_reader(at.segment_ord).fast_fields().u64("id").unwrap();
            (column.first(at.doc_id).unwrap(), score)
        };
        let found = found(&compiled.clause, &searcher).unwrap();
        let mut found: Vec<_> = found.into_iter().map(id).collect();
        found.sort_by_key(|(id, _)| *id);
        (found, compiled.warnings)
    }

    fn find(&self, text: &str) -> (Vec<u64>, Vec<String>) {
        let (found, warnings) = self.scored(text);
        (found.into_iter().map(|(id, _)| id).collect(), warnings)
    }
}

#[test]
fn what_is_searched_for_is_found() {
    let fixture = fixture(&ROWS);
    for (text, expected) in [
        // Stems in one field, words as they are in the other.
        ("run", &[0][..]),
        ("SHOES", &[0, 1]),
        ("shoes red", &[0]),
        ("shoes zoe", &[1]),
        ("work", &[]),
        ("works", &[6]),
        ("12:30", &[1]),
        ("30:12", &[]),
        // Phrases, with what is left out between.
        ("\"running shoe\"", &[0]),
        ("\"shoes running\"", &[]),
        ("title:\"shoe of the runner\"", &[1]),
        ("title:\"shoe and a runner\"", &[1]),
        ("title:\"shoe runner\"", &[]),
        ("\"a b a c\"", &[5]),
        ("\"a c a b d\"", &[5]),
        ("\"b a b\"", &[]),
        // Beginnings, whatever the stem; with words before them.
        ("runn*", &[0, 1]),
        ("title:sho*", &[0, 1]),
        ("wor*", &[6]),
        ("body:work*", &[6]),
        ("\"new yor*\"", &[5]),
        ("\"new*\"", &[5, 6]),
        ("\"from yor*\"", &[6]),
        ("\"new york ci*\"", &[5]),
        ("\"new york yor*\"", &[]),
        ("\"a b*\"", &[5]),
        ("\"c a*\"", &[5]),
        ("\"d a*\"", &[]),
        ("new-yor*", &[5]),
        // Words with faults.
        ("shoos~", &[0]),
        ("sheo~", &[1]),
        ("runing~", &[0]),
        ("rnuning~", &[0]),
        ("runer~", &[1]),
        ("yorc~", &[5]),
        ("wrod~ -nothing", &[6]),
        ("xorkk~", &[]),
        // No stem is nearly a word as written: `run` and `shoe` are only there as stems.
        ("title:runs~", &[]),
        // Scripts without spaces.
        ("京都", &[4]),
        ("東京都", &[4]),
        ("都", &[4]),
        ("典", &[4]),
        ("京*", &[4]),
        ("都東", &[]),
        ("iphone手", &[4]),
        ("\"iphone 手机\"", &[4]),
        ("\"東京 字\"", &[]),
        // What follows a space does not follow in a run.
        ("\"東京 都*\"", &[]),
        ("\"京 都*\"", &[]),
        ("\"iphone 手 机\"", &[]),
        // Operators.
        ("cat OR city", &[2, 5]),
        ("cat OR new york", &[2, 5]),
        ("(cat OR new) york", &[5]),
        ("-shoe", &[2, 3, 4, 5, 6, 7]),
        ("NOT (shoe OR cat)", &[3, 4, 5, 6, 7]),
        ("shoe -red", &[1]),
        ("cat OR -blue", &[2, 3, 4, 5, 6, 7]),
        ("NOT NOT cat", &[2]),
        ("-(-cat)", &[2]),
        ("-cat -shoe -new", &[3, 4, 6, 7]),
        // What Tantivy panics at, with assertions: the phrase is further on than the row.
        ("-\"new york\"", &[0, 1, 2, 3, 4, 6, 7]),
        ("NOT (\"new york\" city)", &[0, 1, 2, 3, 4, 6, 7]),
        ("-\"blue zoe\" -\"new york\"", &[0, 2, 3, 4, 6, 7]),
        // Fields.
        ("title:blue", &[]),
        ("body:blue", &[0, 1]),
        ("body:(red OR zoe)", &[0, 1]),
        ("title:(cat OR body:red)", &[0, 2]),
        // Stop words of a searched field ask for nothing.
        ("the cat", &[2]),
        ("cat -the", &[2]),
        ("the OR cat", &[2]),
        ("body:the", &[3]),
        ("\"the end\"", &[3]),
        ("body:\"to be or not\"", &[2]),
        ("the*", &[3]),
        ("cat 🙂", &[2]),
    ] {
        let (found, warnings) = fixture.find(text);
        assert_eq!(found, expected, "{text}");
        assert_eq!(warnings, [""; 0], "{text}");
    }
}

#[test]
fn what_asks_for_nothing_finds_nothing_and_says_so() {
    let fixture = fixture(&ROWS);
    for (text, because) in [
        ("the", ": `title` leaves out `the`, `body:the` does not"),
        ("-the", ": `title` leaves out `the`, `body:the` does not"),
        ("the OR (a AND of)", ": `title` leaves out `the`, `body:the` does not"),
        ("title:the", ": `title` leaves out `the`, `body:the` does not"),
        (
            "\"to be or not\"",
            ": `title` leaves out `\"to be or not\"`, `body:\"to be or not\"` does not",
        ),
        ("🙂", ""),
        ("()", ""),
        ("*", ""),
    ] {
        let nothing = format!("there is no word to search for{because}");
        assert_eq!(fixture.find(text), (Vec::new(), vec![nothing]), "{text}");
    }
    for (text, expected, warning) in [
        ("cat~", &[2][..], "`~` is for one word of 4 letters or more: \"cat\" is found as it is"),
        (
            "\"new york\"~",
            &[5],
            "`~` is for one word of 4 letters or more: \"new york\" is found as it is",
        ),
        ("cat.*", &[2], "`*` stands right after a letter: \"cat.\" is found as it is"),
    ] {
        assert_eq!(fixture.find(text), (expected.to_vec(), vec![warning.to_owned()]), "{text}");
    }
}

#[test]
fn phrases_are_short() {
    let fixture = fixture(&ROWS);
    let deadline = Instant::now() + Duration::from_secs(60);
    for text in ["a-".repeat(257), "字".repeat(300), "a-".repeat(130) + " " + &"b-".repeat(130)] {
        let refused = compile(&fixture.words(&text), &fixture.texts, deadline).err().unwrap();
        assert_eq!(refused.detail, "phrases of more than 256 words together", "{text}");
    }
    assert_eq!(fixture.find(&"a-".repeat(256)).0, [0; 0]);
}

#[test]
fn weights_count() {
    let rows = [("cat", "dog"), ("dog", "cat"), ("fish cat", "cat"), ("a", "b")];
    let fixture = fixture(&rows);
    for text in ["cat", "ca*", "catt~ OR caat~"] {
        let (mut found, _) = fixture.scored(text);
        found.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        let rows: Vec<u64> = found.iter().map(|(row, _)| *row).collect();
        assert!(found.len() == 3 || text.contains('~'), "{text}: {found:?}");
        if found.len() == 3 {
            // In both fields, in the one that counts twice, in the other.
            assert_eq!(rows, [2, 0, 1], "{text}: {found:?}");
        }
    }
    assert_eq!(fixture.scored("ca*").0, [(0, 2.0), (1, 1.0), (2, 3.0)]);
}

#[test]
fn a_walk_ends_at_the_deadline() {
    let bodies: Vec<String> = (0..1_000).map(|number| format!("word{number} x")).collect();
    let rows: Vec<(&str, &str)> = bodies.iter().map(|body| ("x", body.as_str())).collect();
    let fixture = fixture(&rows);
    let past = Instant::now();
    // In one segment, so that the clock is looked at.
    let mut writer: tantivy::IndexWriter =
        fixture.index.writer_with_num_threads(1, 15_000_000).unwrap();
    let segments = fixture.index.searchable_segment_ids().unwrap();
    writer.merge(&segments).wait().unwrap();
    let searcher = fixture.index.reader().unwrap().searcher();
    for text in ["word*", "\"x word\" OR body:wo*", "body:word1~ OR wor*"] {
        let compiled = compile(&fixture.words(text), &fixture.texts, past).unwrap();
        let error = found(&compiled.clause, &searcher).unwrap_err();
        assert!(expand::is_timed_out(&error), "{text}: {error}");
    }
    assert_eq!(fixture.find("word*").0.len(), 1_000);
    assert_eq!(fixture.find("word1*").0.len(), 111);
}

/// More places of a phrase than are held at a time.
#[test]
fn a_phrase_in_many_places_is_found_in_all() {
    let long = "x y ".repeat(300_000);
    let rows = [
        ("a", long.as_str()),
        ("b", long.as_str()),
        ("c", "x"),
        ("d", long.as_str()),
        ("e", "x yes"),
    ];
    let fixture = fixture(&rows);
    assert_eq!(fixture.find("\"x y*\"").0, [0, 1, 3, 4]);
    assert_eq!(fixture.find("\"x ye*\"").0, [4]);
    assert_eq!(fixture.find("\"y y*\"").0, [0; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// A text is found by any word of it, by its beginning and by its neighbours, in any language.
    #[test]
    fn a_text_is_found_by_itself(text in "[a-cA-C é字京ßthe'-]{1,24}") {
        let fixture = fixture(&[(&text, &text), ("other", "")]);
        for part in text.split_whitespace() {
            let (found, warnings) = fixture.find(&format!("\"{part}\""));
            prop_assert!(found.contains(&0) || !warnings.is_empty(), "{part}");
            let (found, warnings) = fixture.find(&format!("body:\"{text}\""));
            prop_assert!(found.contains(&0) || !warnings.is_empty(), "{text}");
            let begun: String = part.chars().take(2).collect();
            let (found, warnings) = fixture.find(&format!("body:\"{begun}\"*"));
            prop_assert!(found.contains(&0) || !warnings.is_empty(), "{begun}");
        }
    }

    #[test]
    fn any_words_are_answered(text in anything::<String>()) {
        let Ok(words) = words::parse(&text, &["title", "body"], &[]) else { return Ok(()) };
        let fixture = fixture(&ROWS[..2]);
        let searcher = fixture.index.reader().unwrap().searcher();
        let deadline = Instant::now() + Duration::from_secs(60);
        if let Ok(compiled) = compile(&words, &fixture.texts, deadline) {
            found(&compiled.clause, &searcher).unwrap();
        }
    }
}
