//! Every example of the reference gives what it says, and every allowed name has one.

use std::collections::HashSet;

use super::super::names;
use super::super::reference::{Example, differences, reference};
use super::*;
use crate::row::{Cell, ColumnType};

const SCOPE: Scope<'static> = Scope {
    place: Place::Handler,
    variables: &["row", "item", "index", "part"],
    tables: &[Table { name: "customers", key: &["id"], columns: &["id", "name"] }],
    rows: &[],
};

struct Customers;

impl Lookup for Customers {
    fn lookup(&self, _: usize, key: Vec<Value>) -> Result<Value, String> {
        Ok(match key[0].as_text().map(|id| id.as_str()) {
            Some("c-1") => Value::of_row([("name", ColumnType::Text)], &[Cell::Text("Ada".into())]),
            _ => Value::Null,
        })
    }
}

/// What is wrong with an example, if anything.
fn problem(example: &Example) -> Option<String> {
    let event = example_event(example.data);
    let expression = match Expression::compile(example.expression, SCOPE) {
        Ok(expression) => expression,
        Err(error) => return Some(format!("{}\n  {error} {:?}", example.expression, error.hint)),
    };
    let item = given("{price: 2.10, quantity: 3}", &event);
    let item = Expression::compile(&item, Scope::EVENT).unwrap();
    let row = [Cell::Text("open".into())];
    let variables = [
        Value::of_row([("status", ColumnType::Text)], &row),
        item.evaluate(&event).unwrap().into_value(&event),
        Value::from(0_i64),
        Value::from(0_i64),
    ];
    let bindings = Bindings { variables: &variables, rows: Some(&Customers) };
    let given = shown(expression.evaluate_with(&event, &bindings));
    (given != example.result).then(|| {
        let Example { expression, data, result } = example;
        format!("{data} | {expression}\n  gives {given}\n  not   {result}")
    })
}

/// A CloudEvent with these data, which may be any JSON.
fn example_event(data: &str) -> Event {
    let mut builder = ChunkBuilder::new(Format::Auto, 1 << 20);
    let payload = format!(
        "{{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"/shop\",\"type\":\"Example\",\"data\":{data}}}"
    );
    builder.push(Message {
        sequence: Sequence(7),
        stored_at: Timestamp::parse("2013-01-01T05:00:00.25Z").unwrap(),
        subject: "shop.eu.placed",
        headers: [],
        payload: payload.as_bytes(),
    });
    Arc::new(builder.finish(Sequence(7))).events().next().unwrap()
}

#[test]
fn every_example_gives_what_it_says() {
    let entries = reference().map(|entry| &entry.example);
    let examples = entries.chain(differences().iter().map(|difference| &difference.example));
    let wrong: Vec<_> = examples.filter_map(problem).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_allowed_name_has_an_entry() {
    let mut seen = HashSet::new();
    for entry in reference() {
        assert!(seen.insert(entry.name), "{} twice", entry.name);
        assert!(entry.meaning.ends_with('.') && !entry.meaning.contains('\n'), "{}", entry.name);
        assert!(entry.example.expression.contains(entry.name), "{}", entry.name);
        // One form for each number of arguments, as the allow list has it.
        let Some((_, arities)) = names::ALLOWED.iter().find(|(name, _)| *name == entry.name) else {
            assert!(entry.name == "lookup" || entry.name.starts_with('$'), "{}", entry.name);
            continue;
        };
        let arguments = |usage: &&str| match usage.split_once('(') {
            Some((name, arguments)) if name == entry.name => arguments.split(';').count(),
            _ => 0,
        };
        let mut used: Vec<_> = entry.usage.iter().map(arguments).collect();
        used.dedup();
        assert_eq!(used, *arities, "{}: {:?}", entry.name, entry.usage);
    }
    let missing: Vec<_> = names::ALLOWED.iter().filter(|(name, _)| !seen.contains(name)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
