//! The schema of a definition, but for its handlers.

use serde_json::{Value, json};

use crate::definition::search::{WEIGHT_MAX, WEIGHT_MIN};
use crate::definition::{Language, OnError, OnGap, OnSourceChange, Policy};
use crate::row::ColumnType;
use crate::schema::handler;
use crate::schema::shape::{Names, Shape};
use crate::syntax::NAME_CHARS_MAX;

/// What the readers refuse above; `tests/it/schema.rs` holds these to them.
const DECIMAL_DIGITS_MAX: u8 = 9;
const DEAD_LETTERS_MAX: i64 = 1_000_000;

/// Words with dots between; `*` for one, `>` at the end for one or more.
const SUBJECT_FILTER: &str = "^(>|(\\*|[^\\s.*>]+)(\\.(\\*|[^\\s.*>]+))*(\\.>)?)$";

/// The schema of one file of the projections folder.
pub fn definition() -> Value {
    let subjects = Shape::list(Shape::pattern(SUBJECT_FILTER).example("shop.*.placed")).about(
        "NATS filters: which subjects of the stream are read. Left out: all. No filter may contain another.",
    );
    let source = Shape::pattern(&format!("^[a-z][a-z0-9_]{{0,{}}}$", NAME_CHARS_MAX - 1))
        .about("Where the events come from: a [sources.*] of viewd.toml.")
        .example("shop");
    let keys = vec![
        ("description", Shape::pattern("").about("What the projection is for, in a sentence.")),
        ("source", source),
        ("subjects", subjects),
        (
            "tables",
            Shape::map(Names::Sql, table())
                .filled()
                .about("The tables that the handlers keep current."),
        ),
        (
            "on",
            Shape::list(handler::handler())
                .with("uniqueItems", false.into())
                .about("The handlers, in the order in which they run."),
        ),
        ("views", Shape::map(Names::Sql, view()).about("SQL views over the tables.")),
        (
            "search",
            Shape::map(Names::Sql, search())
                .about("Full-text indexes over the rows of tables, for `viewd search`."),
        ),
        ("policy", policy()),
        (
            "test",
            Shape::list(test())
                .with("uniqueItems", false.into())
                .with("minItems", 0.into())
                .about("Tests, which `viewd test` runs without NATS."),
        ),
    ];
    Shape::table(keys, &["source", "tables", "on"])
        .about(
            "A projection: which events do what to which tables. The file's name is the projection's: \
             lower-case letters, digits and `_`.",
        )
        .root("viewd definition")
}

fn text(about: &str) -> Shape {
    Shape::text().about(about)
}

fn columns_of(about: &str, example: &str) -> Shape {
    Shape::list(Shape::text().example(example)).about(about)
}

fn table() -> Shape {
    let indexes =
        Shape::list(columns_of("The columns of one index, the first sorted first.", "status"))
            .with("minItems", 0.into())
            .about("Indexes, each a list of columns: for `where`, for the queries of readers.");
    let keys = vec![
        (
            "key",
            columns_of(
                "The columns that tell one row from another: one or several, neither real nor json.",
                "order_id",
            ),
        ),
        ("indexes", indexes),
        (
            "columns",
            Shape::map(Names::Sql, column())
                .filled()
                .about("The columns, in their order in the view."),
        ),
        (
            "changes",
            Shape::boolean()
                .about("Whether its changes are kept for who follows them. They are anyway where a full-text index is over it.")
                .default(false),
        ),
    ];
    Shape::table(keys, &["key", "columns"]).about("A table: its key, its columns, its indexes.")
}

fn column() -> Shape {
    let required = Shape::boolean()
        .about("Whether null is an error of the event. Key columns are always required.")
        .default(false);
    let default = Shape::any().about(
        "What a new row holds where no handler sets the column. A column that is added to has 0 unless it states one.",
    );
    let keys = vec![("type", column_type()), ("required", required), ("default", default)];
    let long = Shape::table(keys, &["type"]).about("A column with its type and more.");
    Shape::either(column_type(), long)
        .about("A column: its type, or { type = \"...\", required = ..., default = ... }.")
}

/// Every type by its name, so that an editor can list them.
fn column_type() -> Shape {
    const AMOUNT: &str =
        "a number with at most n digits after the point, exact; `round(n)` cuts further ones";
    let mut types = vec![
        (ColumnType::Text, "a string"),
        (ColumnType::Integer, "a whole number within 64 bits"),
    ];
    types.extend((0..=DECIMAL_DIGITS_MAX).map(|digits| (ColumnType::Decimal(digits), AMOUNT)));
    types.extend([
        (ColumnType::Real, "a floating-point number"),
        (ColumnType::Boolean, "true or false"),
        (ColumnType::Timestamp, "an RFC 3339 time with any offset, kept in UTC"),
        (ColumnType::Date, "YYYY-MM-DD, or a time, whose date in UTC is taken"),
        (ColumnType::Json, "any value"),
        (ColumnType::Bytes, "base64 text, kept as bytes"),
    ]);
    let words: Vec<_> = types.iter().map(|(name, about)| (name.to_string(), *about)).collect();
    Shape::words(&words).about("The type: what values the column takes, and how they are kept.")
}

fn view() -> Shape {
    let columns = Shape::map(Names::Sql, column_type())
        .about("The types of columns that are not a table's own.");
    let keys = vec![
        (
            "sql",
            text("One SELECT over the tables of this projection. It knows no clock.").example(
                "SELECT order_id, total - paid AS due FROM orders WHERE status = 'placed'",
            ),
        ),
        (
            "key",
            columns_of(
                "The columns that tell one row from another, for whoever pages through the view.",
                "order_id",
            ),
        ),
        ("columns", columns),
    ];
    Shape::table(keys, &["sql"]).about("A plain SQL view, queried like a table.")
}

fn search() -> Shape {
    let language = Shape::words(&Language::ALL.map(|language| (language.word(), language.name())))
        .about("Whose word forms are one: `orders` finds `order`. Left out: words as they are written.");
    let weight = Shape::number(WEIGHT_MIN, WEIGHT_MAX)
        .about("What a word counts for that is found in this column, beside the others.")
        .default(1.0);
    let field = Shape::table(vec![("weight", weight), ("language", language)], &[])
        .about("A text column that words are searched in: {}, or its weight and its language.");
    let keys = vec![
        ("table", text("The table whose rows are found.").example("orders")),
        (
            "fields",
            Shape::map(Names::Sql, field).filled().about("The columns that words are searched in."),
        ),
        (
            "filters",
            columns_of("The columns that hits are filtered, ordered and counted by: neither json nor bytes.", "status")
                .with("minItems", 0.into()),
        ),
    ];
    Shape::table(keys, &["table", "fields"]).about("A full-text index over the rows of one table.")
}

fn policy() -> Shape {
    let policy = Policy::default();
    let on_error = Shape::words(&[
        (
            OnError::Park.as_str(),
            "set the event aside; later ones of the same order key wait behind it",
        ),
        (OnError::Halt.as_str(), "stop before the event"),
        (OnError::Skip.as_str(), "set the event aside, and let nothing wait"),
    ])
    .about("What an event that breaks a rule does.")
    .default(policy.on_error.as_str());
    let on_gap = Shape::words(&[
        (OnGap::Halt.as_str(), "stop, and leave it to a person"),
        (OnGap::Continue.as_str(), "go on past them, and count them as missed"),
        (OnGap::Rebuild.as_str(), "build the view from what the stream still holds"),
    ])
    .about("What happens when the stream has removed messages that were not yet applied.")
    .default(policy.on_gap.as_str());
    let on_source_change = Shape::words(&[
        (OnSourceChange::Halt.as_str(), "stop, and leave it to a person"),
        (OnSourceChange::Rebuild.as_str(), "build the view from the stream as it now is"),
    ])
    .about("What happens when the stream was deleted and made anew, restored, or rewound.")
    .default(policy.on_source_change.as_str());
    let freshness = Shape::pattern("^[0-9]*[1-9][0-9]*(ms|s|m|h|d)$")
        .about("The lag that you promise; the alert ViewdProjectionLagHigh compares with it.")
        .default(format!("{}s", policy.freshness.as_secs()))
        .example("500ms");
    let keys = vec![
        ("on_error", on_error),
        (
            "dead_letters_max",
            Shape::integer(0, DEAD_LETTERS_MAX)
                .about("More dead letters, and the projection fails: set_aside_full.")
                .default(policy.dead_letters_max),
        ),
        ("on_gap", on_gap),
        ("on_source_change", on_source_change),
        ("freshness", freshness),
    ];
    Shape::table(keys, &[])
        .about("What to do when something goes wrong, and how soon rows are wanted.")
}

fn expect_search() -> Shape {
    let value = || Shape::any().with("type", json!(["string", "number", "boolean"]));
    let key = Shape::either(value(), Shape::list(value()).with("uniqueItems", false.into()))
        .about("A key: its value, or a list with one value for each key column.");
    let keys = vec![
        ("query", Shape::pattern("").about("What is searched for, as `viewd search` takes it.")),
        (
            "keys",
            Shape::list(key)
                .with("minItems", 0.into())
                .about("The keys of the rows that are found, in any order."),
        ),
    ];
    Shape::table(keys, &["query", "keys"]).about("What a query finds: exactly these rows.")
}

fn test() -> Shape {
    let rows = Shape::pattern("").about(
        "One row a line, as JSON. A table holds exactly these keys, and of each row the columns named match; \
         a view holds exactly these rows, in any order.",
    );
    let keys = vec![
        (
            "name",
            text("What the test shows, as a sentence.").example("a paid order shows what was paid"),
        ),
        (
            "given",
            Shape::pattern("").about(
                "One event a line, as JSON. Left out: `sequence` counts from 1, `time` and `stored_at` are 2000-01-01T00:00:00Z for the first event and a second later for each further one, `subject` is test.<type>.",
            ),
        ),
        ("expect", Shape::map(Names::Sql, rows).about("What tables and views hold at the end.")),
        ("expect_search", Shape::map(Names::Sql, expect_search()).about("What queries find at the end.")),
        (
            "expect_error",
            text("The last event becomes a dead letter whose reason contains this text."),
        ),
    ];
    Shape::table(keys, &["name", "given"])
        .about("A test: events, and what the tables hold after them.")
}
