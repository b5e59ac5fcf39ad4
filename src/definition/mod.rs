//! A projection's definition: from the text of its file to a checked value.
//!
//! Pure: the text comes in, a `Definition` and everything that is wrong go out. Nothing here
//! reads a file or asks a clock. Expressions are compiled while they are read, so that what is
//! wrong with the jq is told with everything else. Whoever holds a `Definition` may rely on
//! every rule that the definition language states for load time, but for those that only SQLite
//! can tell of a view (`store::view`).

mod assignment;
mod binding;
mod column;
mod default;
mod expectation;
mod expected_search;
pub mod fingerprint;
mod formula;
mod handler;
pub(crate) mod json_line;
pub(crate) mod name;
mod pattern;
pub(crate) mod policy;
pub(crate) mod search;
pub mod subject;
mod table;
mod target;
mod test_case;
mod verb;
mod view;
mod warning;
mod whole;

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::{self, Diagnostic, Source};
use crate::expression::Expression;
use crate::row::{Cell, ColumnType, Key};
use crate::syntax::{self, Kind, Report, Text};

const KEYS: [&str; 9] =
    ["description", "source", "subjects", "tables", "on", "views", "search", "policy", "test"];

/// Where to point when something is missing from the file as a whole.
const TOP: Range<usize> = 0..0;

/// What one file declares.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The stem of the file's name.
    pub name: String,
    /// The file, for messages that come up later: expressions are compiled elsewhere.
    pub source: Arc<Source>,
    pub description: Option<String>,
    /// Which `[sources.*]` of the configuration the events come from.
    pub stream_source: String,
    /// NATS subject filters, none a subset of another; empty: every subject of the stream.
    pub subjects: Vec<String>,
    /// In file order.
    pub tables: Vec<Table>,
    /// In file order, which is the order in which they run.
    pub handlers: Vec<Handler>,
    pub views: Vec<View>,
    /// In file order.
    pub searches: Vec<Search>,
    pub policy: Policy,
    pub tests: Vec<Test>,
}

#[derive(Debug, Clone)]
pub struct Table {
    pub name: String,
    /// In file order, which is their order in SQLite.
    pub columns: Vec<Column>,
    /// Indices into `columns`, in the order in which `key` names them; never empty.
    pub key: Vec<usize>,
    /// Indices into `columns`.
    pub indexes: Vec<Vec<usize>>,
    /// Its changes are kept for who follows them, with or without a full-text index.
    pub changes: bool,
    pub span: Range<usize>,
}

#[derive(Debug, Clone)]
pub struct Column {
    pub name: String,
    pub column_type: ColumnType,
    /// NULL is an error of the event. Key columns are always required.
    pub required: bool,
    /// What a new row holds where no handler sets the column, as SQLite stores it.
    /// A column that some handler adds to has one always: 0 unless it states another.
    pub default: Option<Cell>,
    pub span: Range<usize>,
}

/// One `[[on]]`.
#[derive(Debug, Clone)]
pub struct Handler {
    /// Counts from 1, in file order.
    pub number: usize,
    /// The line of its `[[on]]`.
    pub line: usize,
    /// The types of event that it takes; never empty.
    pub events: Vec<Pattern>,
    pub when: Option<Formula>,
    pub for_each: Option<Formula>,
    /// In file order: each may use those above it. Let i is variable `variable::LETS + i`.
    pub lets: Vec<Let>,
    /// Index into `Definition::tables`.
    pub table: usize,
    pub verb: Verb,
    pub target: Target,
    /// `set` as one expression that ends in an object with literal keys.
    pub object: Option<Object>,
    /// In the table's column order, no column twice, no key column; without the columns of `object`.
    pub assignments: Vec<Assignment>,
    pub span: Range<usize>,
}

/// The variables of a handler's expressions, by slot (`expression::Scope::variables`).
pub mod variable {
    /// The row as it stands, or null.
    pub const ROW: usize = 0;
    /// Of `for_each`.
    pub const ITEM: usize = 1;
    /// Of `for_each`, from 0.
    pub const INDEX: usize = 2;
    /// Which of its message's events it is, from 0.
    pub const PART: usize = 3;
    /// The first `let`.
    pub const LETS: usize = 4;
    /// The names of those that every handler has.
    pub const NAMES: [&str; LETS] = ["row", "item", "index", "part"];
}

/// One entry of a handler's `let`.
#[derive(Debug, Clone)]
pub struct Let {
    /// Without the `$`.
    pub name: String,
    pub value: Formula,
}

/// Which rows a handler means.
#[derive(Debug, Clone)]
pub enum Target {
    /// One formula for each key column, in key order.
    Key(Vec<Formula>),
    /// Every row whose columns (indices into the table's columns) equal these.
    Where(Vec<(usize, Formula)>),
}

/// Columns that are set together: each from the member of its name.
#[derive(Debug, Clone)]
pub struct Object {
    pub value: Formula,
    /// Indices into the table's columns, in their order.
    pub columns: Vec<usize>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Creates the row if it is absent.
    Insert,
    /// Creates the row or changes it.
    Upsert,
    /// Changes the row if it is present.
    Update,
    /// Removes the row.
    Delete,
}

/// One column of one handler: what to do with what.
#[derive(Debug, Clone)]
pub struct Assignment {
    /// Index into the table's columns.
    pub column: usize,
    pub action: Action,
    /// If it is a literal, it fits the column (`Action::convert`).
    pub value: Formula,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Set,
    /// Only when this handler creates the row.
    SetOnce,
    Add,
    Sub,
    Min,
    Max,
}

/// What yields a value: jq, or a constant written as a TOML number or boolean; compiled.
#[derive(Debug, Clone)]
pub struct Formula {
    pub expression: Arc<Expression>,
    /// The value in the file, with its quotes if it has any.
    pub span: Range<usize>,
}

/// A plain SQL view over the tables.
#[derive(Debug, Clone)]
pub struct View {
    pub name: String,
    /// One SELECT.
    pub sql: Text,
    /// Names of columns, each with its place; empty if it has no key.
    pub key: Vec<Text>,
    /// The declared types of columns, in file order, each with its place.
    pub columns: Vec<(Text, ColumnType)>,
    pub span: Range<usize>,
}

/// One `[[test]]`.
#[derive(Debug, Clone)]
pub struct Test {
    pub name: String,
    /// Event documents, before `transform`, in order: the text of each and its place in the file.
    pub given: Vec<(String, Range<usize>)>,
    pub expect: Vec<Expect>,
    pub expect_search: Vec<ExpectSearch>,
    /// What the reason of the last event's dead letter contains.
    pub expect_error: Option<Text>,
    /// Of its `[[test]]`.
    pub span: Range<usize>,
}

/// What a table or view holds at the end of a test.
#[derive(Debug, Clone)]
pub struct Expect {
    pub relation: String,
    /// Objects by column: the text of each and its place in the file.
    pub rows: Vec<(String, Range<usize>)>,
    pub span: Range<usize>,
}

/// What a query finds in a full-text index at the end of a test.
#[derive(Debug, Clone)]
pub struct ExpectSearch {
    pub index: String,
    pub query: Text,
    /// In any order, none twice.
    pub keys: Vec<Key>,
    pub span: Range<usize>,
}

/// `[search.*]`: a full-text index over one table's rows.
#[derive(Debug, Clone)]
pub struct Search {
    pub name: String,
    /// Index into `Definition::tables`.
    pub table: usize,
    /// What words are searched in; never empty, no column twice.
    pub fields: Vec<SearchField>,
    /// Indices into the table's columns: what hits are filtered, ordered and counted by.
    pub filters: Vec<usize>,
    pub span: Range<usize>,
}

#[derive(Debug, Clone)]
pub struct SearchField {
    /// Index into the table's columns: a text.
    pub column: usize,
    /// What a word that is found in it counts for, beside the other fields; finite and above 0.
    pub weight: f64,
    /// Whose word forms are one; None: words are found as they are written.
    pub language: Option<Language>,
}

/// A language whose word forms are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Language {
    Arabic,
    Danish,
    Dutch,
    English,
    Finnish,
    French,
    German,
    Greek,
    Hungarian,
    Italian,
    Norwegian,
    Portuguese,
    Romanian,
    Russian,
    Spanish,
    Swedish,
    Tamil,
    Turkish,
}

/// What to do when something goes wrong, and how soon rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub on_error: OnError,
    pub dead_letters_max: u64,
    pub on_gap: OnGap,
    pub on_source_change: OnSourceChange,
    pub freshness: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnError {
    Park,
    Halt,
    Skip,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnGap {
    Halt,
    Continue,
    Rebuild,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OnSourceChange {
    Halt,
    Rebuild,
}

/// The types of event that a handler takes: `*` stands for any text, anywhere in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern {
    /// As written.
    pub text: String,
}

impl Definition {
    /// Indices of the tables whose changes are kept.
    pub fn logged(&self) -> Vec<usize> {
        (0..self.tables.len()).filter(|&table| self.is_logged(table)).collect()
    }

    /// Whether the changes of a table are kept: for its full-text indexes, or because it says so.
    pub fn is_logged(&self, table: usize) -> bool {
        self.tables[table].changes || self.searches.iter().any(|search| search.table == table)
    }
}

impl Language {
    pub const ALL: [Self; 18] = [
        Self::Arabic,
        Self::Danish,
        Self::Dutch,
        Self::English,
        Self::Finnish,
        Self::French,
        Self::German,
        Self::Greek,
        Self::Hungarian,
        Self::Italian,
        Self::Norwegian,
        Self::Portuguese,
        Self::Romanian,
        Self::Russian,
        Self::Spanish,
        Self::Swedish,
        Self::Tamil,
        Self::Turkish,
    ];

    /// In English.
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// As ISO 639-1 and definitions have it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Arabic => "ar",
            Self::Danish => "da",
            Self::Dutch => "nl",
            Self::English => "en",
            Self::Finnish => "fi",
            Self::French => "fr",
            Self::German => "de",
            Self::Greek => "el",
            Self::Hungarian => "hu",
            Self::Italian => "it",
            Self::Norwegian => "no",
            Self::Portuguese => "pt",
            Self::Romanian => "ro",
            Self::Russian => "ru",
            Self::Spanish => "es",
            Self::Swedish => "sv",
            Self::Tamil => "ta",
            Self::Turkish => "tr",
        }
    }
}

/// Reads and checks one definition.
///
/// `sources` are the names under `[sources]` in the configuration. Everything that is wrong is
/// told at once, in file order; the definition is there exactly if none of it is an error.
pub fn parse(
    source: &Arc<Source>,
    name: &str,
    sources: &[&str],
) -> (Option<Definition>, Vec<Diagnostic>) {
    parse_with(source, name, sources, |_| Vec::new())
}

/// The same, with what `check_views` finds among the rest: only SQLite can tell what is wrong with
/// SQL, and nothing here knows it. It is asked as soon as tables and views are right otherwise.
pub fn parse_with(
    source: &Arc<Source>,
    name: &str,
    sources: &[&str],
    check_views: impl FnOnce(&Definition) -> Vec<Diagnostic>,
) -> (Option<Definition>, Vec<Diagnostic>) {
    let root = match syntax::parse(source) {
        Ok(root) => root,
        Err(errors) => return (None, errors),
    };
    let mut report = Report::new(source);
    let (definition, relations_right) = read(&mut report, source, &root, name, sources);
    if relations_right {
        report.extend(check_views(&definition));
    }
    ((!report.has_errors()).then_some(definition), report.into_diagnostics())
}

/// The definition as far as it could be read, and whether its tables and views are right.
fn read(
    report: &mut Report,
    source: &Arc<Source>,
    root: &syntax::Table,
    name: &str,
    sources: &[&str],
) -> (Definition, bool) {
    if !syntax::is_plain_name(name) {
        report
            .error(&TOP, format!("`{name}` cannot be the name of a projection"))
            .label("named by the file")
            .hint(
                "call the file by lower-case letters, digits and `_`, a letter first, 63 at most"
                    .to_owned(),
            );
    }
    let others = [("handlers", "on"), ("handler", "on"), ("stream", "source"), ("events", "on")];
    report.unknown_keys_or(root, "a definition", &KEYS, &others);
    let description = root.get("description");
    let description = description.and_then(|value| report.text(value, "`description`"));
    let stream_source = read_source(report, root, sources);
    let subjects = subject::read(report, root.get("subjects"));
    let body = read_body(report, root);
    let policy = policy::read(report, root.get("policy"));
    let definition = Definition {
        name: name.to_owned(),
        source: Arc::clone(source),
        description: description.map(|text| text.value.clone()),
        stream_source: stream_source.unwrap_or_default(),
        subjects: subjects.unwrap_or_default(),
        tables: body.tables,
        handlers: body.handlers,
        views: body.views,
        searches: body.searches,
        policy,
        tests: body.tests,
    };
    (definition, body.relations_right)
}

fn read_source(report: &mut Report, root: &syntax::Table, sources: &[&str]) -> Option<String> {
    let known = sources.iter().copied();
    let Some(value) = root.get("source") else {
        report
            .error(&TOP, "the definition does not say where its events come from")
            .label("no `source`")
            .hint(match sources.first() {
                Some(first) => {
                    format!("write source = {first:?}, a [sources.*] of the configuration")
                }
                None => "declare a [sources.*] in the configuration and name it here".to_owned(),
            });
        return None;
    };
    let text = report.text(value, "`source`")?;
    if !known.clone().any(|name| name == text.value) {
        report
            .error(&text.span, format!("there is no source `{}` in the configuration", text.value))
            .label("unknown source")
            .hint(diagnostic::did_you_mean(&text.value, known).unwrap_or_else(|| {
                format!("add [sources.{}] with its stream to the configuration", text.value)
            }));
        return None;
    }
    Some(text.value.clone())
}

/// What a definition declares, as far as it could be read.
struct Body {
    tables: Vec<Table>,
    handlers: Vec<Handler>,
    views: Vec<View>,
    searches: Vec<Search>,
    tests: Vec<Test>,
    /// Nothing is wrong with the tables and views, as far as that can be told without SQLite.
    relations_right: bool,
}

fn read_body(report: &mut Report, root: &syntax::Table) -> Body {
    let before = report.errors();
    let drafts = root.get("tables").map(|value| table::read(report, value));
    let declared = root.get("tables").map(|value| &value.kind);
    if declared.is_none_or(|kind| matches!(kind, Kind::Table(all) if all.entries.is_empty())) {
        report.error(&TOP, "the definition declares no table").label("no `[tables.*]`").hint(
            "[tables.orders], and in it key = [\"order_id\"] and columns.order_id = \"text\""
                .to_owned(),
        );
    }
    let drafts = drafts.unwrap_or_default();
    let views = root.get("views").map(|value| view::read(report, value, &drafts));
    let views = views.unwrap_or_default();
    let relations_right = report.errors() == before;
    let searches = root.get("search").map(|value| search::read(report, value, &drafts, &views));
    let searches = searches.unwrap_or_default();
    let handlers = root.get("on").map(|value| handler::read(report, value, &drafts));
    if root.get("on").is_none_or(|value| matches!(&value.kind, Kind::Array(all) if all.is_empty()))
    {
        report
            .error(&TOP, "the definition has no handler, so its tables would stay empty")
            .label("no `[[on]]`")
            .hint("[[on]] says which event does what to which table".to_owned());
    }
    let handlers = handlers.unwrap_or_default();
    let relations = expectation::Relations { tables: &drafts, views: &views, searches: &searches };
    let tests = root.get("test").map(|value| test_case::read(report, value, relations));
    let searches: Vec<Search> = searches.into_iter().filter_map(|draft| draft.search).collect();
    let mut tables: Vec<Table> = drafts.into_iter().map(|draft| draft.table).collect();
    whole::check_folds(report, &tables, &handlers);
    if !report.has_errors() {
        // These would only echo what is wrong already.
        whole::default_sums(&mut tables, &handlers);
        whole::check_required(report, &tables, &handlers);
        whole::warn_unused(report, &tables, &handlers);
        warning::read(report, &tables, &handlers, &views);
        warning::weights(report, &searches);
    }
    let handlers = handlers.into_iter().map(|draft| draft.handler).collect();
    Body { tables, handlers, views, searches, tests: tests.unwrap_or_default(), relations_right }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ORDERS: &str = r#"
        source = "shop"
        [tables.daily]
        key = ["region", "day"]
        indexes = [["orders", "day"]]
        columns.day = "date"
        columns.orders = "integer"
        columns.weight = "real"
        columns.price = { type = "decimal(2)", default = 1.5 }
        columns.region = "text"
        columns.status = { type = "text", required = true, default = "new" }
        [[on]]
        event = ["A", "b.*"]
        upsert = "daily"
        key.day = ".time"
        key.region = '"north"'
        sub.weight = 1.50
        set.price = 2
        add.orders = 0x10
        set_once.status = ".data.s"
    "#;

    fn read() -> Definition {
        let (definition, diagnostics) =
            parse(&Source::new("daily.toml", ORDERS), "daily", &["shop"]);
        definition.unwrap_or_else(|| panic!("{}", diagnostic::render(&diagnostics, false)))
    }

    #[test]
    fn tables_are_as_the_file_has_them() {
        let table = &read().tables[0];
        let columns: Vec<_> = table
            .columns
            .iter()
            .map(|column| (column.name.as_str(), column.required, column.default.clone()))
            .collect();
        let text = |text: &str| Some(Cell::Text(text.into()));
        assert_eq!(
            columns,
            [
                ("day", true, None),
                // Both are added to, so they start at 0.
                ("orders", false, Some(Cell::Integer(0))),
                ("weight", false, Some(Cell::Real(0.0))),
                ("price", false, Some(Cell::Integer(150))),
                ("region", true, None),
                ("status", true, text("new")),
            ]
        );
        assert_eq!(table.key, [4, 0]);
        assert_eq!(table.indexes, [[1, 0]]);
    }

    #[test]
    fn handlers_follow_the_order_of_their_table() {
        let definition = read();
        let handler = &definition.handlers[0];
        assert_eq!((handler.number, handler.line, handler.verb), (1, 12, Verb::Upsert));
        let shown = |formula: &Formula| formula.expression.text().to_owned();
        let Target::Key(key) = &handler.target else { panic!("it names its key") };
        let key: Vec<_> = key.iter().map(shown).collect();
        assert_eq!(key, ["\"north\"", ".time"]);
        let assignments: Vec<_> = handler
            .assignments
            .iter()
            .map(|Assignment { column, action, value }| (*column, *action, shown(value)))
            .collect();
        assert_eq!(
            assignments,
            [
                (1, Action::Add, "16".to_owned()),
                (2, Action::Sub, "1.50".to_owned()),
                (3, Action::Set, "2".to_owned()),
                (5, Action::SetOnce, ".data.s".to_owned()),
            ]
        );
        assert!(handler.events[1].matches("b.x"));
        assert_eq!(definition.policy, Policy::default());
    }
}
