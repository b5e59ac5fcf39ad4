//! Variables, rows, and what a handler asks of an expression about them.

use std::cell::RefCell;

use super::super::cells;
use super::super::value::ValueKind;
use super::*;
use crate::row::{Cell, ColumnType};

/// As a handler has them: what every handler has, then its lets. The columns of its tables are not known.
pub(super) const SCOPE: Scope<'static> = Scope {
    place: Place::Handler,
    variables: &["row", "item", "index", "part", "rate", "list"],
    tables: &[
        Table { name: "customers", key: &["a"], columns: &[] },
        Table { name: "lines", key: &["a", "b"], columns: &[] },
    ],
    rows: &[Some(0)],
};

/// Rows made of their keys: none for booleans, and an error for what is no scalar.
#[derive(Default)]
pub(super) struct Rows {
    asked: RefCell<Vec<String>>,
}

impl Lookup for Rows {
    fn lookup(&self, table: usize, key: Vec<Value>) -> Result<Value, String> {
        let shown: Vec<_> = key.iter().map(Value::shown).collect();
        self.asked.borrow_mut().push(format!("{table}: {}", shown.join(", ")));
        assert_eq!(key.len(), SCOPE.tables[table].key.len(), "{shown:?}");
        if let Some(wrong) = key.iter().find(|value| value.kind() > ValueKind::String) {
            return Err(format!("lookup: `id` is text, got {wrong}"));
        }
        if key.iter().any(|value| value.kind() == ValueKind::Boolean) {
            return Ok(Value::Null);
        }
        let id = Cell::Text(key[0].shown().into());
        let columns = [
            ("a", ColumnType::Text),
            ("b", ColumnType::Decimal(2)),
            ("j", ColumnType::Json),
            ("c", ColumnType::Boolean),
        ];
        let json = Cell::Text(r#"{"a":[1.50,null],"b":{"a":"x"}}"#.into());
        Ok(Value::of_row(columns, &[id, Cell::Integer(-5), json, Cell::Integer(1)]))
    }
}

/// The values of the variables: the last is beyond the slice.
pub(super) fn values(event: &Event) -> Vec<Value> {
    let given = |text: &str| {
        let expression = Expression::compile(text, Scope::EVENT).unwrap();
        expression.evaluate(event).map_or(Value::Null, |output| output.into_value(event))
    };
    let cells =
        [Cell::Text("r-1".into()), Cell::Integer(1250), Cell::Text("[[1],{\"a\":2}]".into())];
    let columns = [("a", ColumnType::Text), ("b", ColumnType::Decimal(2)), ("c", ColumnType::Json)];
    vec![
        Value::of_row(columns, &cells),
        given(".data.a"),
        Value::from(3_usize),
        Value::from(0_i64),
        given("[.data, {a: .data}, .]"),
    ]
}

fn given_with(text: &str, event: &Event, rows: &Rows) -> String {
    let expression = Expression::compile(text, SCOPE);
    let expression = expression.unwrap_or_else(|error| panic!("{text}: {error} {:?}", error.hint));
    let values = values(event);
    shown(expression.evaluate_with(event, &Bindings { variables: &values, rows: Some(rows) }))
}

#[track_caller]
fn check(examples: &[(&str, &str)]) {
    let event = event(
        r#"{"data":{"a":{"sku":"s-1","a b":[1,2.50]},"id":"c-7","none":null,"ids":["x","y"],"yes":true}}"#,
    );
    let mut wrong = Vec::new();
    for (text, expected) in examples {
        let given = given_with(text, &event, &Rows::default());
        let (values, rows) = (values(&event), Rows::default());
        let bindings = Bindings { variables: &values, rows: Some(&rows) };
        let by_jaq = given_by_jaq_with(text, &event, SCOPE, &bindings);
        if given != *expected || by_jaq != *expected {
            wrong.push(format!(
                "{text}\n  gives    {given}\n  by jaq   {by_jaq}\n  expected {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn variables() {
    check(&[
        ("$item", r#"{"sku":"s-1","a b":[1,2.50]}"#),
        ("$item.sku", r#""s-1""#),
        ("$item[\"a b\"][-1]", "2.50"),
        ("$item.none.at.all", "null"),
        ("$item.sku.x", r#"error: "s-1" is a string and has no member "x""#),
        ("$row", r#"{"a":"r-1","b":12.50,"c":[[1],{"a":2}]}"#),
        ("$row.b", "12.50"),
        ("$row.b * 2", "25"),
        ("$row.c[1].a", "2"),
        ("$row.c[0][0].x", r#"error: 1 is a number and has no member "x""#),
        ("$row.a != \"cancelled\"", "true"),
        ("$index + 1", "4"),
        ("[$part, $index]", "[0,3]"),
        ("$list", "null"),
        ("$list.a[0]", "null"),
        ("$rate[1].a.id", r#""c-7""#),
        ("$rate[2].type", r#""placed""#),
        ("$rate[2].other", "null"),
        ("$rate[2].sequence.x", r#"error: 7 is a number and has no member "x""#),
        (
            "{$index, $item, x: $row.a}",
            r#"{"index":3,"item":{"sku":"s-1","a b":[1,2.50]},"x":"r-1"}"#,
        ),
        ("\"\\($row.a)/\\($index)\"", r#""r-1/3""#),
        ("$item | keys", r#"["a b","sku"]"#),
        ("[.data.ids[] | {id: ., $index}]", r#"[{"id":"x","index":3},{"id":"y","index":3}]"#),
        ("reduce .data.ids[] as $x ($index; . + 1)", "5"),
        (".data.ids as [$x, $y] | $y + $row.a", r#""yr-1""#),
        ("[.data.ids[] as $x | $x + $row.a] | join(\" \")", r#""xr-1 yr-1""#),
    ]);
}

#[test]
fn lookups() {
    check(&[
        (
            "lookup(\"customers\"; .data.id)",
            r#"{"a":"\"c-7\"","b":-0.05,"j":{"a":[1.50,null],"b":{"a":"x"}},"c":true}"#,
        ),
        ("lookup(\"customers\"; .data.id).b", "-0.05"),
        ("lookup(\"customers\"; .data.id).j.b.a", r#""x""#),
        ("lookup(\"customers\"; .data.id) | .c", "true"),
        ("lookup(\"lines\"; .data.id; $index).a", r#""\"c-7\"""#),
        ("lookup(\"customers\"; .data.yes)", "null"),
        ("lookup(\"customers\"; .data.yes).a", "null"),
        ("lookup(\"customers\"; .data.none)", "null"),
        (
            "lookup(\"customers\"; .data)",
            "error: lookup: `id` is text, got {\"a\":{\"sku\":\"s-1\",\"a b\":[1,2.50]},\"id\":\"c-7\",\"none\":null,\"id…",
        ),
        ("[lookup(\"customers\"; .data.ids[]).a]", r#"["\"x\"","\"y\""]"#),
        ("[.data.ids[] | lookup(\"customers\"; .).a]", r#"["\"x\"","\"y\""]"#),
        ("lookup(\"customers\"; lookup(\"customers\"; .data.id).a).a", r#""\"\\\"c-7\\\"\"""#),
        ("[lookup(\"lines\"; .data.ids[]; 1, 2)] | length", "4"),
        ("(lookup(\"customers\"; .data.yes).a // \"nobody\")", r#""nobody""#),
    ]);
    let event = event(r#"{"data":{"id":"c-7","none":null}}"#);
    let rows = Rows::default();
    given_with(
        "[lookup(\"lines\"; .data.none; 1), lookup(\"lines\"; $index; .data.id)]",
        &event,
        &rows,
    );
    // A null key asks nobody.
    assert_eq!(*rows.asked.borrow(), ["1: 3, \"c-7\""]);
    let expression = Expression::compile("lookup(\"customers\"; 1)", SCOPE).unwrap();
    assert_eq!(shown(expression.evaluate(&event)), "error: lookup: there are no rows here");
}

#[test]
fn what_an_expression_names() {
    let text = r#"lookup("lines"; $item.id; $index) as $x | {a: $row.b, $rate, "b c": lookup("customers"; $index)}"#;
    let expression = Expression::compile(text, SCOPE).unwrap();
    let named: Vec<_> =
        expression.variables().iter().map(|(slot, place)| (*slot, &text[place.clone()])).collect();
    assert_eq!(named, [(0, "$row"), (1, "$item"), (2, "$index"), (4, "$rate")]);
    assert_eq!(
        expression.variables()[2].1,
        text.find("$index").unwrap()..text.find("$index").unwrap() + 6
    );
    assert_eq!(expression.lookups(), [0, 1]);
    let members = |text: &str| -> Option<Vec<(String, String)>> {
        let expression = Expression::compile(text, SCOPE).unwrap();
        let shown =
            |(key, place): &(String, Range<usize>)| (key.clone(), text[place.clone()].to_owned());
        expression.object_members().map(|members| members.iter().map(shown).collect())
    };
    let pairs = |pairs: &[(&str, &str)]| {
        Some(
            pairs
                .iter()
                .map(|(key, place)| ((*key).to_owned(), (*place).to_owned()))
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(members(text), pairs(&[("a", "a"), ("rate", "$rate"), ("b c", "b c")]));
    assert_eq!(
        members(".data | {customer_id, total, status: \"placed\"}"),
        pairs(&[("customer_id", "customer_id"), ("total", "total"), ("status", "status")])
    );
    assert_eq!(members("(.data | {a, \"x\\ny\": 1})"), pairs(&[("a", "a"), ("x\ny", "x")]));
    assert_eq!(members("{}"), pairs(&[]));
    for text in [
        "{(.data.a): 1}",
        "{\"a\\($index)\": 1}",
        ".data",
        "{a: 1} | .a",
        "[{a: 1}]",
        "{a: 1} + {b: 2}",
    ] {
        assert_eq!(members(text), None, "{text}");
    }
    assert!(Expression::number("1").unwrap().variables().is_empty());
}

#[test]
fn cells_as_the_api_shows_them() {
    let text = |text: &str| Cell::Text(text.into());
    for (cell, column_type, expected) in [
        (Cell::Null, ColumnType::Json, "null"),
        (text("x\"y"), ColumnType::Text, r#""x\"y""#),
        (Cell::Integer(i64::MIN), ColumnType::Integer, "-9223372036854775808"),
        (Cell::Integer(1250), ColumnType::Decimal(2), "12.50"),
        (Cell::Integer(-5), ColumnType::Decimal(2), "-0.05"),
        (Cell::Integer(0), ColumnType::Decimal(9), "0.000000000"),
        (Cell::Integer(12), ColumnType::Decimal(0), "12"),
        (Cell::Integer(i64::MIN), ColumnType::Decimal(9), "-9223372036.854775808"),
        (Cell::Real(0.1), ColumnType::Real, "0.1"),
        (Cell::Real(1e300), ColumnType::Real, "1e300"),
        (Cell::Integer(1), ColumnType::Boolean, "true"),
        (Cell::Integer(0), ColumnType::Boolean, "false"),
        (
            text("2013-01-01T05:00:00.000000Z"),
            ColumnType::Timestamp,
            r#""2013-01-01T05:00:00.000000Z""#,
        ),
        (text("2013-01-01"), ColumnType::Date, r#""2013-01-01""#),
        (text(r#"{"a":[1.50,"\n"],"b":{}}"#), ColumnType::Json, r#"{"a":[1.50,"\n"],"b":{}}"#),
        (text("null"), ColumnType::Json, "null"),
        (Cell::Bytes([0, 255, 1].into()), ColumnType::Bytes, r#""AP8B""#),
    ] {
        let value = Value::of_cell(&cell, column_type);
        assert_eq!(Output::of_value(value).json().unwrap(), expected, "{cell:?} in {column_type}");
        // What a column showed can be stored in it again.
        let stored =
            convert::convert(Output::of_value(Value::of_cell(&cell, column_type)), column_type);
        let null = expected == "null";
        assert_eq!(stored.unwrap(), if null { Cell::Null } else { cell }, "{expected}");
    }
}

/// An output as a value says what it said, for a variable of the same event.
#[test]
fn outputs_become_values() {
    let event = event(r#"{"data":{"a":{"b":["x","\u00e9\n",1.50,null,true]},"c":{}}}"#);
    for text in [
        ".data",
        ".data.a.b[1]",
        ".data.a.b",
        ".time",
        ".",
        ".data.a.b[2]",
        ".tokens",
        "null",
        "[.data.a]",
        "[.data.a.b[]]",
    ] {
        let expression = Expression::compile(text, Scope::EVENT).unwrap();
        let value = expression.evaluate(&event).unwrap().into_value(&event);
        let bound = [Value::Null, value];
        let again = Expression::compile("$item", SCOPE).unwrap();
        let bindings = Bindings { variables: &bound, rows: None };
        assert_eq!(shown(again.evaluate_with(&event, &bindings)), given(text, &event), "{text}");
    }
    // Of another event: a copy, never another event's bytes.
    let other =
        super::event(r#"{"data":["another","event","of","many","more","values",1,2,3,4,5,6,7]}"#);
    let expression = Expression::compile(".data.a", Scope::EVENT).unwrap();
    let value = expression.evaluate(&event).unwrap().into_value(&other);
    assert_eq!(Output::of_value(value).json().unwrap(), r#"{"b":["x","é\n",1.50,null,true]}"#);
}

#[test]
fn transforms() {
    let thousand = format!("[{}]", vec!["{}"; 1_000].join(","));
    let more = format!("[{}]", vec!["{}"; 1_001].join(","));
    for (text, x, expected) in [
        (
            "{type: .type, data: .data.x}",
            r#"{"b":1.50,"a":1,"b":2}"#,
            r#"{"type":"Placed","data":{"b":2,"a":1}}"#,
        ),
        (".data.x", "null", ""),
        ("empty", "1", ""),
        (".data.x[] | select(.)", "[]", ""),
        ("[.data.x[] | {data: .}]", "[1,2]", "{\"data\":1}\n{\"data\":2}"),
        (".data.x", "[]", ""),
        (".data |= {y: .x} | .data", "1", r#"{"y":1}"#),
        ("if .data.x == 1 then .data.x //= 2 end | .data", "1", r#"{"x":1}"#),
        ("del(.data.x) | {data}", "1", r#"{"data":{}}"#),
        (".data.x", "[{},1]", "error: element 1 is a number, not an event: 1"),
        (".data.x", "[null]", "error: element 0 is null, not an event: null"),
        (".data.x", "1", "error: gave a number, not an event: 1"),
        (".data.x", "\"a\"", "error: gave a string, not an event: \"a\""),
        (".data.x[] | select(.)", "[{},{}]", "error: gave several values: {}, {}"),
        (".data.x", &more, "error: made 1001 events, 1000 at most"),
        ("error(\"no\")", "1", "error: no"),
    ] {
        let event = event_of(x);
        let expression = Expression::compile(text, Scope::TRANSFORM).unwrap();
        let given = match expression.transform(&event) {
            Ok(documents) => documents.join("\n"),
            Err(failure) => format!("error: {failure}"),
        };
        assert_eq!(given, expected, "{x:.40} | {text}");
    }
    let expression = Expression::compile(".data.x", Scope::TRANSFORM).unwrap();
    assert_eq!(expression.transform(&event_of(&thousand)).unwrap().len(), 1_000);
    let whole = Expression::compile(".", Scope::TRANSFORM).unwrap();
    let event = event_of("[1.50]");
    assert_eq!(whole.transform(&event).unwrap(), [given(".", &event)]);
}

/// A stored value may be as deep as an event's, and a row of it one deeper.
#[test]
fn deep_rows() {
    let deep = format!("{}1{}", "[".repeat(128), "]".repeat(128));
    let row = Value::of_row([("j", ColumnType::Json)], &[Cell::Text(deep.as_str().into())]);
    let bound = [row];
    let event = event("{}");
    for (text, expected) in [
        ("$row.j", deep.as_str()),
        ("$row.j | flatten", "[1]"),
        ("[$row.j | ..] | length", "129"),
        ("$row", "error: made a value deeper than 128"),
        ("[$row.j]", "error: made a value deeper than 128"),
        ("[[$row.j], 1] | length", "2"),
        ("$row | walk(.)", "error: made a value deeper than 128"),
        ("reduce range(200) as $i ($row; [.]) | length", "error: made a value deeper than 128"),
        ("reduce range(100) as $i ($row; [.]) | . == .", "true"),
        ("$row | tojson | length", "error: made a value deeper than 128"),
    ] {
        let expression = Expression::compile(text, SCOPE).unwrap();
        let outcome = expression.evaluate_with(&event, &Bindings { variables: &bound, rows: None });
        assert_eq!(shown(outcome), expected, "{text}");
    }
    // What another hand wrote into a file.
    for broken in ["", "{", "[1", "nan", "\u{0}", &"[".repeat(100_000)] {
        let value = Value::of_cell(&Cell::Text(broken.into()), ColumnType::Json);
        assert!(matches!(value, Value::Text(_)), "{broken:.10}");
    }
    let value = Value::of_cell(&Cell::Real(f64::NAN), ColumnType::Real);
    assert!(matches!(value, Value::Null));
    // A copy of a part keeps its place in the depth.
    assert!(matches!(cells::stored(document_of(&event)), Value::Object(_)));
}

fn document_of(event: &Event) -> crate::event::json::Json<'_> {
    match event.data() {
        crate::event::chunk::Data::Json(root) => root,
        _ => panic!("its data is JSON"),
    }
}

/// What rows hold counts like anything else, and a fault costs one event.
#[test]
fn rows_spend_the_budget() {
    struct Large(Cell);
    impl Lookup for Large {
        fn lookup(&self, _: usize, _: Vec<Value>) -> Result<Value, String> {
            assert!(!self.0.is_null(), "a fault");
            Ok(Value::of_row(
                [("j", ColumnType::Json), ("t", ColumnType::Text)],
                &[self.0.clone(), self.0.clone()],
            ))
        }
    }
    let event = event("{}");
    let text = Cell::Text(format!("\"{}\"", "a".repeat(1 << 20)).into());
    let numbers = Cell::Text(format!("[{}1]", "1,".repeat(50_000)).into());
    for (cell, text, expected) in [
        (
            &text,
            "[range(40) | lookup(\"customers\"; .)] | length",
            "error: made more than 16 MiB of text",
        ),
        (&text, "lookup(\"customers\"; 1).t | length", "1048578"),
        (
            &numbers,
            "[range(100) | lookup(\"customers\"; .)] | length",
            "error: took more than 1000000 operations",
        ),
        (&numbers, "lookup(\"customers\"; 1).j | length", "50001"),
        (
            &numbers,
            "last(range(1e9) | lookup(\"customers\"; null))",
            "error: took more than 1000000 operations",
        ),
        (
            &Cell::Null,
            "lookup(\"customers\"; 1)",
            "error: the expression engine failed on this event",
        ),
        (
            &Cell::Null,
            "try lookup(\"customers\"; 1) catch 1",
            "error: the expression engine failed on this event",
        ),
        (&Cell::Null, "lookup(\"customers\"; null)", "null"),
    ] {
        let expression = Expression::compile(text, SCOPE).unwrap();
        let rows = Large(cell.clone());
        let outcome =
            expression.evaluate_with(&event, &Bindings { variables: &[], rows: Some(&rows) });
        assert_eq!(shown(outcome), expected, "{text}");
    }
}
