//! The direct route and jaq give the same value and the same failure.

use proptest::prelude::*;

use super::bindings::{Rows, SCOPE, values};
use super::*;

/// A document with the names that the paths below use, now and then twice in one object.
fn document() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("false".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,25})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
        any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("\"\\u00e9\\/\\ud83d\\ude00\\n\"".to_owned()),
        "[a-z ]{20,80}".prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5)
                .prop_map(|items| format!("[{}]", items.join(" , "))),
            prop::collection::vec(("[abc]|a b|\\\\u0061", inner), 0..6).prop_map(|members| {
                let member = |(key, value): &(String, String)| format!("\"{key}\" : {value}");
                format!("{{ {} }}", members.iter().map(member).collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

fn path() -> impl Strategy<Value = String> {
    let step = prop_oneof![
        Just(".a".to_owned()),
        Just(".b".to_owned()),
        Just("[\"c\"]".to_owned()),
        Just("[\"a b\"]".to_owned()),
        Just("[\"\\u0061\"]".to_owned()),
        (-4..4_i64).prop_map(|index| format!("[{index}]")),
        Just("[9223372036854775807]".to_owned()),
    ];
    let field = prop_oneof![
        10 => Just(".data"),
        1 => prop::sample::select(vec![
            ".type", ".id", ".time", ".subject", ".tokens", ".sequence", ".stored_at", ".headers", ".attributes",
            ".headers[\"X-Tenant\"]", ".headers[\"x-tenant\"]", ".[\"data\"]",
        ]),
    ];
    (field, prop::collection::vec(step, 0..5))
        .prop_map(|(field, steps)| field.to_owned() + &steps.concat())
}

/// Paths of variables, `index` from a slot beyond the bound ones among them.
fn variable() -> impl Strategy<Value = String> {
    let steps = prop::sample::select(vec![".a", ".b", "[\"a b\"]", "[0]", "[-1]", "[1]"]);
    let name = prop::sample::select(vec!["$row", "$item", "$index", "$part", "$rate", "$list"]);
    (name, prop::collection::vec(steps, 0..4))
        .prop_map(|(name, steps)| name.to_owned() + &steps.concat())
}

/// Expressions, mostly of single values, over the names of `document`.
fn expression() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        6 => path(),
        3 => variable(),
        2 => prop::sample::select(vec![
            ".", "1", "-1.50", "([.] | .[0].other)", "0", "\"a\"", "\"\"", "true", "false", "null", "[]", "{}", ".data.a?", ".data[]", "empty",
        ]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let operator = prop::sample::select(vec![
            "+", "-", "*", "/", "%", "==", "!=", "<", "<=", ">", ">=", "//", "and", "or", "|", ",",
        ]);
        let nullary = prop::sample::select(vec![
            "type",
            "length",
            "not",
            "tostring",
            "tojson",
            "tonumber",
            "keys",
            "add",
            "sort",
            "floor",
            "round",
            "abs",
            "ascii_downcase",
            "trim",
            "first",
            "toarray",
            "reverse",
            "to_entries",
            "fromdate",
            "@base64",
            "values",
        ]);
        let unary = prop::sample::select(vec![
            "has",
            "contains",
            "split",
            "join",
            "startswith",
            "ltrimstr",
            "index",
            "round",
            "test",
            "map",
            "select",
            "getpath",
            "sort_by",
            "error",
            "flatten",
        ]);
        prop_oneof![
            (inner.clone(), operator, inner.clone()).prop_map(|(a, operator, b)| match operator {
                // A constant beside them is refused.
                "and" | "or" => format!("(({a} | .) {operator} ({b} | .))"),
                operator => format!("({a} {operator} {b})"),
            }),
            (inner.clone(), nullary).prop_map(|(a, name)| format!("({a} | {name})")),
            (inner.clone(), unary, inner.clone())
                // In brackets: a plain path as an argument may be refused as a slip.
                .prop_map(|(a, name, b)| format!("({a} | {name}(({b})))")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("(if {a} then {b} elif {c} then {b} else {c} end)")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("{{a: {a}, \"b c\": {b}, a: {b}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]")),
            inner.clone().prop_map(|a| format!("lookup(\"customers\"; {a})")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("lookup(\"lines\"; {a}; {b}).a")),
            inner.clone().prop_map(|a| format!("{{$index, $row, a: {a}}}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("\"x\\({a})y\\({b})\"")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("@json \"x\\({a})\\n\\({b})\"")),
            inner.clone().prop_map(|a| format!("-({a})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("[({a})[] | select({b}) | {c}]")),
            (inner.clone(), inner.clone())
                .prop_map(|(a, b)| format!("[({a})[].a[0][], ({b})[1:][]]")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} | map(., {b}, empty))")),
            (inner.clone(), prop::sample::select(vec!["any", "all"]), inner.clone())
                .prop_map(|(a, name, b)| format!("({a} | {name}({b}), {name}({a}; {b}))")),
            (
                inner.clone(),
                prop::sample::select(vec!["any", "all", "isempty(.[])", "add(.[])", "IN(.[])"])
            )
                .prop_map(|(a, name)| format!("({a} | {name})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} | IN(1, ({b}), {b}))")),
            inner.clone().prop_map(|a| format!("({a} | .).a")),
            (
                inner.clone(),
                prop::sample::select(vec![
                    "1:",
                    ":2",
                    "-2:-1",
                    "0:1.5",
                    "null:\"a\"",
                    ":null",
                    "\"a\":"
                ])
            )
                .prop_map(|(a, slice)| format!("({a})[{slice}].a[0]")),
            inner.prop_map(|a| format!("({a})[0][\"b\"]")),
        ]
    })
}

/// What the checks of texts look for, among characters of several bytes.
const TOKENS: &[&str] = &[
    "é",
    "\u{fffd}",
    "\u{a0}",
    "\u{3000}",
    "😀",
    "“",
    "’",
    "«",
    "≤",
    "–",
    " ",
    "\n",
    "# é\n",
    "\"",
    "\"é\"",
    "'é",
    "`",
    "\\(",
    "\\u",
    "\\é",
    ".",
    "..",
    ".é",
    ".a",
    ".data",
    ".data.a-b",
    ".X-Request-Id",
    ".0",
    ".[0]",
    ".[\"é\"]",
    "[",
    "]",
    "[]",
    "(",
    ")",
    "()",
    "{",
    "}",
    "|",
    ",",
    ";",
    ":",
    "?",
    "??",
    "//",
    "=",
    "==",
    "+=",
    "|=",
    "-",
    "+",
    "!",
    "||",
    "&&",
    "->",
    "1",
    "1.",
    "-9223372036854775808",
    "1e999",
    "$",
    "$row",
    "$row.é",
    "$row.a",
    "$é",
    "$item.x",
    "a::b",
    "a::b.c",
    "@x.y",
    "@é",
    "@text",
    "as $x |",
    "if",
    "then",
    "else",
    "elif",
    "end",
    "else if",
    "and",
    "or",
    "not",
    "is null",
    "in",
    "def",
    "reduce",
    "foreach",
    "try",
    "data.x",
    "event.x",
    "msg.é",
    "row.x",
    "len(.a)",
    "len(é)",
    "length(\"é\")",
    "length()",
    "round(.a)",
    "round(.é, 2)",
    "split(.a, \"é\")",
    "test(.a; \"é\")",
    "test(\"(é\")",
    "lookup(\"customers\"; .a)",
    "lookup(\"customérs\"; 1)",
    "lookup(\"customers\", \"é\")",
    "lookup(customers; \"é\")",
    "lookup",
    ".a(\"é\"; 1)",
    ".é()",
    "in_zone(\"é\")",
    "type",
    "first(.a)",
    "map(",
    "{é}",
    "{\"é\"}",
    "{a}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn expressions_agree(data in document(), texts in prop::collection::vec(expression(), 8)) {
        let event = event(&format!("{{\"type\":\"T\",\"id\":\"i\",\"data\":{data}}}"));
        let (variables, rows) = (values(&event), Rows::default());
        let bindings = Bindings { variables: &variables, rows: Some(&rows) };
        for text in texts {
            let (text, expression) = of_one_value(&text, SCOPE);
            let given = shown(expression.evaluate_with(&event, &bindings));
            let by_jaq = given_by_jaq_with(&text, &event, SCOPE, &bindings);
            prop_assert_eq!(given, by_jaq, "{} of {}", text, data);
        }
    }

    #[test]
    fn paths_agree(data in document(), paths in prop::collection::vec(path(), 8)) {
        let event = event(&format!("{{\"type\":\"T\",\"id\":\"i\",\"data\":{data}}}"));
        for path in paths {
            let expression = Expression::compile(&path, Scope::EVENT).unwrap();
            prop_assert!(matches!(expression.route, Route::Path(_)), "{}", path);
            prop_assert_eq!(shown(expression.evaluate(&event)), given_by_jaq(&path, &event), "{} of {}", path, data);
        }
    }

    /// What was a part of the event and what was built of it are the same value.
    #[test]
    fn parts_and_built_values_agree(data in document()) {
        let event = event(&format!("{{\"data\":{data}}}"));
        let direct = given(".data", &event);
        prop_assert_eq!(&given(".data | walk(.)", &event), &direct);
        prop_assert_eq!(&given(".data | tojson | fromjson", &event), &direct);
        prop_assert_eq!(given(".data == (.data | walk(.))", &event), "true");
        prop_assert_eq!(given("[.data, (.data | walk(.))] | unique | length", &event), "1");
        prop_assert_eq!(given(".data | tojson", &event), serde_json::to_string(&direct).unwrap().replace('\u{7f}', "\\u007f"));
    }

    /// Whatever the event and the expression: an answer, on an ordinary stack.
    #[test]
    fn any_text_is_answered(
        data in document(),
        text in "(\\.(data|a|b)?|\\[|\\]|\\(|\\)|\\{|\\}|\\||,|;|:|\"|\\\\\\(|1|-|\\+|\\*|/|=|<|!| |and|or|not|if|then|else|end|map|first|as|\\$x|reduce|length|sort|tojson|paths|[a-z]|é|#|\\?){0,14}",
    ) {
        if let Ok(expression) = Expression::compile(&text, Scope::TRANSFORM) {
            let event = event(&format!("{{\"data\":{data}}}"));
            let _ = shown(expression.evaluate(&event));
        }
    }

    /// Whatever is wrong with a text, it is told, at a place of the text.
    #[test]
    fn any_text_is_refused_at_a_place(
        text in proptest::collection::vec(proptest::sample::select(TOKENS), 0..12),
    ) {
        let text = text.concat();
        for scope in [SCOPE, Scope::EVENT, Scope::TRANSFORM] {
            if let Err(error) = Expression::compile(&text, scope) {
                prop_assert!(text.get(error.span.clone()).is_some(), "{}: {:?}", text, error);
                prop_assert!(!error.message.is_empty());
            }
        }
    }
}

/// What handlers are full of needs no jaq.
#[test]
fn streams_take_the_direct_route() {
    for text in [
        ".data.items | map(.price * .quantity) | add",
        "[.data.items[] | select(.quantity > 0) | {sku, line: $index}]",
        "[.data.orders[].lines[].sku] | unique",
        ".data.items | map(select(.paid)) | length",
        "any(.data.items[]; .price > 100) and (.data.items | all(.paid))",
        ".data.status | IN(\"paid\", \"shipped\")",
        "add(.data.items[].price) // 0",
        "isempty(.data.items[] | select(.paid))",
        "[.data.ids[] | lookup(\"customers\"; .).a]",
    ] {
        let expression = Expression::compile(text, SCOPE).unwrap();
        assert!(matches!(expression.route, Route::Direct(_)), "{text}");
    }
}

#[test]
fn literals_agree() {
    let event = event("{}");
    for text in [
        "1",
        "-1",
        "1.50",
        "-1.50",
        "0",
        "-0",
        "1e3",
        "12345678901234567890",
        "\"a\\n\\\"é\\u0041\"",
        "\"\"",
        "true",
        "false",
        "null",
    ] {
        let expression = Expression::compile(text, Scope::EVENT).unwrap();
        assert!(expression.literal().is_some(), "{text}");
        assert_eq!(shown(expression.evaluate(&event)), given_by_jaq(text, &event), "{text}");
    }
    assert_eq!(
        Expression::number("1.50").map(|number| shown(number.evaluate(&event))),
        Some("1.50".to_owned())
    );
    assert!(Expression::number("inf").is_none());
    assert_eq!(shown(Expression::boolean(true).evaluate(&event)), "true");
}

#[test]
fn the_document() {
    let event = event(
        r#"{"type":"Placed","id":"e-1","time":"2013-01-01T06:00:00.1234567+02:00","data":{"a":1,"b":[1.50]}}"#,
    );
    assert_eq!(
        given(".", &event),
        r#"{"type":"Placed","id":"m-7","time":"2013-01-01T04:00:00.123456Z","data":{"a":1,"b":[1.50]},"subject":"shop.eu.placed","tokens":["shop","eu","placed"],"sequence":7,"stored_at":"2013-01-01T05:00:00.250000Z","headers":{"Nats-Msg-Id":"m-7","X-Tenant":"acme"},"attributes":{}}"#
    );
    assert_eq!(given(".", &event), given_by_jaq(".", &event));
    assert_eq!(given(".tokens[1]", &event), r#""eu""#);
    assert_eq!(given(".tokens[-1]", &event), r#""placed""#);
    assert_eq!(given(".headers[\"X-Tenant\"]", &event), r#""acme""#);
    assert_eq!(given("keys | length", &event), "10");
    assert_eq!(given(".data.b[0]", &event), "1.50");
}

/// Data that is no JSON: text as it is, bytes as base64.
#[test]
fn other_formats() {
    let decoded = |format, payload: &[u8]| {
        let mut builder = ChunkBuilder::new(format, 1 << 20);
        builder.push(Message {
            sequence: Sequence(1),
            stored_at: Timestamp(0),
            subject: "a.b",
            headers: [],
            payload,
        });
        Arc::new(builder.finish(Sequence(1))).events().next().unwrap()
    };
    let text = decoded(Format::Text, "é\"x\" and more than a few characters".as_bytes());
    let bytes = decoded(Format::Bytes, &[0, 255, 1]);
    let empty = decoded(Format::Json, b"");
    for (event, path, expected) in [
        (&text, ".data", r#""é\"x\" and more than a few characters""#),
        (
            &text,
            ".data.a",
            r#"error: "é\"x\" and more than a few characters" is a string and has no member "a""#,
        ),
        (&text, ".type", r#""b""#),
        (&bytes, ".data", r#""AP8B""#),
        (&empty, ".data", "null"),
        (&empty, ".data.a[1]", "null"),
    ] {
        assert_eq!(given(path, event), expected);
        assert_eq!(given_by_jaq(path, event), expected);
    }
}
