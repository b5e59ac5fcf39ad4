//! What is searched for, held to the naive search; and what nobody should search for.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::select;
use viewd::definition::{self, Definition, Language};
use viewd::diagnostic::Source;
use viewd::event::Sequence;
use viewd::row::{Cell, Key, Row};
use viewd::search::found::{Error, Request};
use viewd::search::rows::{Page, Rows, page};
use viewd::search::{Index, Payload, Searcher, Shape, Writer};
use viewd::store;
use viewd::store::layout::Generation;
use viewd::store::step::Steps;

use super::naive::{self, Text, Words};

const DEFINITION: &str = r#"
source = "shop"

[tables.items]
key = ["id"]
columns.id    = "text"
columns.title = "text"
columns.body  = "text"

[[on]]
event     = "*"
upsert    = "items"
key.id    = ".data.id"
set.title = ".data.title"
set.body  = ".data.body"

[search.items]
table = "items"
fields.title = { language = "en" }
fields.body  = {}
"#;

/// Rows and the index of them.
struct Site {
    definition: Definition,
    rows: Vec<[String; 2]>,
    searcher: Searcher,
}

impl Rows for Site {
    fn row(&self, key: &Key) -> Result<Option<Row>, store::Error> {
        let number = number(key);
        Ok(self.rows.get(number).map(|row| cells(number, row)))
    }
}

fn cells(number: usize, [title, body]: &[String; 2]) -> Row {
    let cells = [&number.to_string(), title, body].map(|text| Cell::Text(text.as_str().into()));
    cells.into_iter().collect()
}

fn number(key: &Key) -> usize {
    let [Cell::Text(id)] = &key.0[..] else { panic!("{key:?}") };
    id.parse().unwrap()
}

impl Site {
    fn new(rows: Vec<[String; 2]>) -> Self {
        let source = Source::new("items.toml", DEFINITION);
        let (definition, diagnostics) = definition::parse(&source, "items", &["shop"]);
        let definition = definition.unwrap_or_else(|| panic!("{diagnostics:?}"));
        let shape = Arc::new(Shape::new(&definition.searches[0], &definition.tables[0]));
        let payload = || Payload::new(&shape, Generation(1), 1, Sequence(1));
        let index = Index::in_memory(Arc::clone(&shape), payload()).unwrap();
        let mut writer = Writer::open(&index, 0, &Steps::default()).unwrap();
        for (number, row) in rows.iter().enumerate() {
            writer.put(&cells(number, row)).unwrap();
            if number % 4 == 3 {
                writer.commit(payload()).unwrap();
            }
        }
        let searcher = writer.commit(payload()).unwrap().searcher;
        writer.close(Duration::ZERO);
        Self { definition, rows, searcher }
    }

    fn search(&self, words: &str) -> Result<Page, Error> {
        let request = Request {
            words: Some(words.to_owned()),
            filter: None,
            order: Default::default(),
            after: None,
            limit: 1_000,
            highlight: true,
            facets: Vec::new(),
            total: true,
            deadline: Instant::now() + Duration::from_secs(60),
        };
        page(&self.searcher, &self.definition.tables[0], self, &request)
    }
}

/// Words that share beginnings, stems, letters and characters, and some that fields leave out.
const WORDS: [&str; 30] = [
    "run",
    "runs",
    "Running",
    "runner",
    "rung",
    "ruin",
    "the",
    "of",
    "with",
    "width",
    "shoe",
    "shoes",
    "SHOED",
    "hose",
    "cafe\u{301}",
    "Café",
    "cafés",
    "straße",
    "strasse",
    "12:30",
    "12",
    "red-hot",
    "hot",
    "東京",
    "京都",
    "東京都庁",
    "都",
    "iPhone京",
    "ｶﾞｷ",
    "한국어",
];

fn texts() -> impl Strategy<Value = String> {
    let gap = select(vec![" ", " ", " ", ", ", "", "-", " 🙂 "]);
    prop::collection::vec((select(&WORDS[..]), gap), 0..8)
        .prop_map(|parts| parts.into_iter().map(|(word, gap)| format!("{word}{gap}")).collect())
}

fn words() -> impl Strategy<Value = Words> {
    let word = || select(&WORDS[..]).prop_map(str::to_owned);
    let begun = (word(), 1..4_usize).prop_map(|(word, len)| word.chars().take(len).collect());
    let begun = begun.prop_map(|begun: String| begun.trim_end_matches([':', '-']).to_owned());
    let begun = move || begun.clone();
    let several = || prop::collection::vec(word(), 1..4);
    let wrong =
        (word(), any::<prop::sample::Index>(), any::<bool>()).prop_map(|(word, at, more)| {
            let mut letters: Vec<char> = word.chars().collect();
            let at = at.index(letters.len());
            if more {
                letters.insert(at, 'x');
            } else {
                letters.remove(at);
            }
            letters.into_iter().filter(|c| c.is_alphanumeric()).collect()
        });
    let leaf = prop_oneof![
        4 => word().prop_map(Words::Word),
        3 => several().prop_map(Words::Phrase),
        2 => begun().prop_map(Words::Prefix),
        2 => (several(), begun()).prop_map(|(mut words, begun)| {
            words.push(begun);
            Words::PhrasePrefix(words)
        }),
        2 => wrong.prop_filter("a word", |word: &String| !word.is_empty()).prop_map(Words::Fuzzy),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        let several = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            several.clone().prop_map(Words::All),
            several.prop_map(Words::Any),
            inner.clone().prop_map(|words| Words::Not(Box::new(words))),
            (select(vec!["title", "body"]), inner)
                .prop_map(|(field, words)| Words::Field(field.to_owned(), Box::new(words))),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_is_what_reading_every_row_finds(
        rows in prop::collection::vec([texts(), texts()], 1..12),
        searches in prop::collection::vec(words(), 20),
    ) {
        let site = Site::new(rows);
        let analysed: Vec<naive::Row> = site.rows.iter().map(|[title, body]| naive::Row::new(&[
            Text { field: "title", language: Some(Language::English), text: title },
            Text { field: "body", language: None, text: body },
        ])).collect();
        for words in searches {
            let text = words.to_string();
            let found = site.search(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            let mut keys: Vec<usize> = found.hits.iter().map(|hit| number(&hit.key)).collect();
            keys.sort_unstable();
            let expected: Vec<usize> =
                (0..analysed.len()).filter(|row| words.matches(&analysed[*row])).collect();
            prop_assert_eq!(&keys, &expected, "{} in {:?}", text, site.rows);
            // What is asked for in one text is shown where it is.
            if let Words::Word(_) | Words::Phrase(_) | Words::Prefix(_) | Words::PhrasePrefix(_) | Words::Fuzzy(_) = words {
                for hit in &found.hits {
                    let shown = hit.highlights.iter().flat_map(|(_, parts)| parts);
                    prop_assert!(shown.clone().count() > 0, "{} in {:?}", text, site.rows[number(&hit.key)]);
                    prop_assert!(shown.clone().all(|part| part.contains("<mark>")), "{} {:?}", text, hit);
                }
            }
        }
    }
}

/// Where threads have the smallest stack: each is refused for a reason, or answered, and soon.
#[test]
fn attacks_are_refused_or_answered() {
    let attacks = [
        ("parentheses", "(".repeat(10_000), "2048 at most"),
        ("parentheses that fit", "(".repeat(2_048), "20 deep"),
        ("groups", "(a ".repeat(600), "20 deep"),
        ("negations", "NOT ".repeat(2_500) + "a", "2048 at most"),
        ("negations that fit", "NOT ".repeat(510) + "a", ""),
        ("negative groups", "-(".repeat(1_000), "20 deep"),
        ("signs", "-".repeat(2_048), ""),
        ("alternatives", "a OR ".repeat(409), "more than 64"),
        ("beginnings", "a* ".repeat(600), "more than 16"),
        ("faults", "abcd~ ".repeat(300), "more than 16"),
        ("a regular expression", "/(a+)+$/".to_owned(), "regular expression"),
        ("one of a field", "title:/.*/".to_owned(), "regular expression"),
        ("a reserved field", "_key:a".to_owned(), "no field"),
        ("the field of a hash", "_hash:[0 TO 9]".to_owned(), "no field"),
        ("anything", "*".to_owned(), ""),
        ("any field", "*:*".to_owned(), ""),
        ("a range", "title:[a TO z]".to_owned(), ""),
        ("one letter, nearly", "a~".to_owned(), ""),
        ("far", "running~99999999999999999999".to_owned(), ""),
        ("quotes", "\"".repeat(2_048), ""),
        ("a long phrase", format!("\"{}\"", "a ".repeat(1_000)), "more than 256"),
        ("a long word", "a".repeat(2_048), ""),
        ("a megabyte", "a".repeat(1 << 20), "2048 at most"),
        ("fields", "title:".repeat(341), ""),
        ("from right to left", "\u{202e}eht\u{202c}".repeat(40), ""),
        ("nothing to be seen", "\u{200b}".repeat(682), ""),
        ("accents", format!("a{}", "\u{301}".repeat(1_000)), ""),
        ("NUL", "\0".repeat(2_048), ""),
        ("no character", "\u{fffd}\u{ffff}\u{10ffff}".repeat(100), ""),
        ("pictures", "👩\u{200d}👩\u{200d}👧".repeat(80), ""),
        ("backslashes", "\\".repeat(2_048), ""),
        ("colons", ":".repeat(2_048), ""),
        ("names", "a:".repeat(1_024), "more than 256"),
    ];
    let site =
        Site::new(vec![["The Running Shoes".into(), "a b c".into()], ["".into(), "aa".into()]]);
    let attack = move || {
        for (name, text, reason) in attacks {
            let begun = Instant::now();
            match site.search(&text) {
                Err(Error::Refused(refused)) => {
                    assert!(
                        !reason.is_empty() && refused.detail.contains(reason),
                        "{name}: {refused:?}"
                    );
                    assert!(
                        refused.hint.is_some() && refused.detail.len() < 300,
                        "{name}: {refused:?}"
                    );
                }
                Err(other) => panic!("{name}: {other}"),
                Ok(page) => {
                    assert!(reason.is_empty(), "{name}: {page:?}");
                    assert!(page.warnings.len() <= 16, "{name}: {:?}", page.warnings);
                    assert!(page.warnings.iter().all(|warning| warning.len() < 300), "{name}");
                }
            }
            assert!(begun.elapsed() < Duration::from_secs(20), "{name}: {:?}", begun.elapsed());
        }
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(attack).unwrap().join().unwrap();
}

/// Why there is a parser of our own (fact 30): Tantivy's goes down the stack with the parentheses, and what happens then
/// cannot be caught.
#[test]
fn tantivys_own_parser_takes_the_process_with_it() {
    const NAME: &str = "search::words::tantivys_own_parser_takes_the_process_with_it";
    const INSIDE: &str = "VIEWD_TEST_TANTIVY_PARSER";
    if std::env::var_os(INSIDE).is_some() {
        let mut schema = tantivy::schema::Schema::builder();
        let field = schema.add_text_field("title", tantivy::schema::TEXT);
        let index = tantivy::Index::create_in_ram(schema.build());
        let parser = tantivy::query::QueryParser::for_index(&index, vec![field]);
        let _ = parser.parse_query_lenient(&"(".repeat(2_000));
        return;
    }
    let this = std::env::current_exe().unwrap();
    let output = Command::new(this).args(["--exact", NAME]).env(INSIDE, "1").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("overflow"), "{:?} {said}", output.status);
    // Ours, with the same.
    let site = Site::new(Vec::new());
    assert!(matches!(site.search(&"(".repeat(2_000)), Err(Error::Refused(_))));
}
