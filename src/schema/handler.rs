//! `[[on]]`.

use serde_json::json;

use crate::definition::{Action, Verb};
use crate::schema::shape::{Names, Shape};

/// A handler: the keys in the order in which they are evaluated.
pub(super) fn handler() -> Shape {
    let key = map(
        "Which row: one expression for each key column. Null is an error of the event.",
        ".data.order_id",
    )
    .filled();
    let conditions = map(
        "Which rows: all whose columns equal these values, in key order. Null matches nothing. \
         Instead of `key`, for `update` and `delete`.",
        ".data.customer_id",
    )
    .filled();
    let mut keys = vec![
        ("event", events()),
        (
            "when",
            jq("The handler applies when this gives a value other than false and null. Evaluated \
                once, or for each item if it names $item or $index.")
            .example(".data.amount > 0"),
        ),
        (
            "for_each",
            jq("Gives one array, or null for none. The handler runs once for each element, which is \
                $item, at $index (from 0).")
            .example(".data.items"),
        ),
        ("let", lets()),
    ];
    keys.extend(VERBS.map(|(verb, about)| (verb.as_str(), table_name(about))));
    keys.push(("key", key));
    keys.push(("where", conditions));
    keys.push((Action::Set.as_str(), set()));
    keys.extend(ACTIONS.map(|(action, about, example)| (action.as_str(), map(about, example))));
    Shape::table(keys, &["event"])
        .with("oneOf", json!(VERBS.map(|(verb, _)| requirements(verb))))
        .about(
            "A handler: what one kind of event does to one table. Handlers run in file order for each \
             event; later ones see what earlier ones did, and all of it commits together.",
        )
}

const VERBS: [(Verb, &str); 4] = [
    (Verb::Insert, "Creates a row of this table, and leaves one that is there alone."),
    (Verb::Upsert, "Creates a row of this table, or changes the one that is there."),
    (Verb::Update, "Changes rows of this table that are there."),
    (Verb::Delete, "Removes rows of this table."),
];

/// The actions but `set`, which has a second form.
const ACTIONS: [(Action, &str, &str); 5] = [
    (Action::SetOnce, "Assigns only when this handler creates the row; not in `update`.", ".time"),
    (
        Action::Add,
        "Adds to an integer, decimal or real column. True counts 1, false 0; null adds nothing.",
        ".data.amount",
    ),
    (
        Action::Sub,
        "Takes away from an integer, decimal or real column. True counts 1, false 0; null takes nothing.",
        ".data.amount",
    ),
    (
        Action::Min,
        "Keeps the smaller of what is there and this: numbers, text, dates, timestamps. Null changes nothing.",
        ".time",
    ),
    (
        Action::Max,
        "Keeps the larger of what is there and this: numbers, text, dates, timestamps. Null changes nothing.",
        ".time",
    ),
];

fn events() -> Shape {
    let pattern = || Shape::text().example("OrderPlaced");
    Shape::either(pattern(), Shape::list(pattern()).with("uniqueItems", json!(false))).about(
        "The types of event that this handler takes: one, or a list. `*` stands for any text: \
         \"pull_request.*\", \"*\".",
    )
}

fn lets() -> Shape {
    Shape::map(Names::Variable, Shape::formula().example(".data.total * 0.19 | round(2)")).about(
        "Names for expressions: `let.vat = \"...\"` is $vat in the others. Evaluated once, before the first \
         of them that names it; may use the lets above it, $item, $index and $row.",
    )
}

fn table_name(about: &str) -> Shape {
    Shape::text().about(about).example("orders")
}

fn set() -> Shape {
    let object = Shape::text().example(".data | {customer_id, total, status: \"placed\"}");
    Shape::either(columns(".data.total"), object).about(
        "Assigns; null gives NULL. An expression for each column, or one expression whose last step is \
         an object with literal keys.",
    )
}

fn jq(about: &str) -> Shape {
    Shape::text().about(about)
}

fn map(about: &str, example: &str) -> Shape {
    columns(example).about(about)
}

/// An expression for each of some columns.
fn columns(example: &str) -> Shape {
    Shape::map(Names::Sql, Shape::formula().about("jq, or a constant: a number, true or false; a text constant is a jq string, '\"paid\"'.").example(example))
}

/// What a handler of this verb must and must not have. Exactly one of the four holds.
fn requirements(verb: Verb) -> serde_json::Value {
    let without = |keys: &[&str]| {
        let keys: Vec<_> = keys.iter().map(|key| json!({ "required": [key] })).collect();
        json!({ "anyOf": keys })
    };
    let one_target = json!([{ "required": ["key"] }, { "required": ["where"] }]);
    let verb_name = verb.as_str();
    match verb {
        Verb::Insert | Verb::Upsert => {
            json!({ "required": [verb_name, "key"], "not": without(&["where"]) })
        }
        Verb::Update => json!({
            "required": [verb_name], "oneOf": one_target, "not": without(&["set_once"]),
        }),
        Verb::Delete => json!({
            "required": [verb_name], "oneOf": one_target,
            "not": without(&["set", "set_once", "add", "sub", "min", "max"]),
        }),
    }
}
