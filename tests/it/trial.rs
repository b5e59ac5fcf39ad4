//! `viewd test` as those meet it who write definitions: what passes, what fails, and what is said of it.

use serde_json::{Value, json};

use crate::cli::Folder;

const ORDERS: &str = include_str!("../trial/orders.toml");
/// What is printed of it. `UPDATE_GOLDEN=1` rewrites it; read it as a newcomer would before committing it.
const FAILED: &str = "tests/trial/orders.stdout";

/// A definition with one table of an integer key and what `set` gives, and tests.
fn definition(set: &str, rest: &str) -> String {
    format!(
        "source = \"shop\"\n[tables.t]\nkey = [\"id\"]\ncolumns.id = \"integer\"\ncolumns.v = \"json\"\n\
         [[on]]\nevent = \"A\"\nupsert = \"t\"\nkey.id = \".data.id\"\n{set}\n{rest}"
    )
}

/// A test with these lines.
fn test(given: &[&str], expect: &str) -> String {
    format!("[[test]]\nname = \"it\"\ngiven = '''\n{}\n'''\n{expect}\n", given.join("\n"))
}

/// Runs one definition's tests: the exit code, and what was printed without times.
fn run(settings: &str, definition: &str, code: i32) -> String {
    let folder = Folder::new();
    folder.write("projections/orders.toml", definition);
    folder.write("config/viewd.toml", &format!("[sources.shop]\nstream = \"SHOP\"\n{settings}"));
    let (out, err) = folder.ends(&["test"], code);
    untimed(&(out + &err))
}

/// Without what a run took.
fn untimed(text: &str) -> String {
    let took = |word: &&str| word.starts_with('(') && word[1..].parse::<f64>().is_ok();
    let line = |line: &str| {
        let words: Vec<_> = line.split(' ').collect();
        let end = words.len();
        let timed = end > 2 && took(&words[end - 2]) && matches!(words[end - 1], "ms)" | "s)");
        if timed { words[..end - 2].join(" ") } else { line.to_owned() }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n") + "\n"
}

/// Whether a failed run printed what its golden file has.
#[track_caller]
fn check_golden(out: &str, file: &str) {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, untimed(out)).unwrap();
    }
    assert_eq!(untimed(out), std::fs::read_to_string(&golden).unwrap());
}

#[test]
fn failures_read_as_the_golden_file_has_them() {
    let folder = Folder::new();
    folder.write("projections/orders.toml", ORDERS);
    let (out, err) = folder.ends(&["test"], 3);
    check_golden(&out, FAILED);
    let warning = "warning: orders: publishing `Placed` twice changes `daily`\n";
    assert!(err.starts_with(warning) && err.contains("Nats-Msg-Id"), "{err}");
    let (out, _) = folder.ends(&["test", "--quiet", "--filter", "right passes"], 0);
    assert_eq!(out, "");
}

/// Indexes are as the language has it: words in their forms, keys of several columns and types.
#[test]
fn what_queries_find_is_held_to_what_is_expected() {
    let folder = Folder::new();
    folder.write("projections/shop.toml", include_str!("../trial/search.toml"));
    folder.write("config/viewd.toml", "[sources.shop]\nstream = \"SHOP\"\n");
    let (out, _) = folder.ends(&["test"], 3);
    check_golden(&out, "tests/trial/search.stdout");
    let (out, _) = folder.ends(&["test", "--json", "--filter", "not found"], 3);
    let found: Value = serde_json::from_str(&out).unwrap();
    let [failure] = &found["data"][0]["failures"].as_array().unwrap()[..] else { panic!("{out}") };
    let wanted = json!({
        "kind": "found", "line": 64, "relation": "products", "detail": null,
        "message": "full-text index `products` on `blue shirt`: 2 rows missing, 1 row not expected",
        "rows": [
            {
                "change": "missing", "key": null, "found": null,
                "expected": {"sku": "2", "name": "Red shirt", "notes": "bluebell print"},
            },
            {"change": "missing", "key": null, "expected": {"sku": "4"}, "found": null},
            {
                "change": "unexpected", "key": null, "expected": null,
                "found": {"sku": "1", "name": "Blue shirts", "notes": "cotton"},
            },
        ],
    });
    assert_eq!(*failure, wanted, "{failure:#}");
    // A query that finds what it is to may be another than was meant, all the same.
    let said = "`gest:` is no field";
    let (_, err) = folder.ends(&["test", "--filter", "is found by"], 0);
    assert!(
        err.contains("warning: projections/shop.toml:70: full-text index `guests` on `gest:zoe`: ")
            && err.contains(said),
        "{err}"
    );
    let (out, _) = folder.ends(&["test", "--json", "--filter", "is found by"], 0);
    let found: Value = serde_json::from_str(&out).unwrap();
    let warning = &found["data"][0]["warnings"][0];
    assert_eq!((&warning["index"], &warning["query"]), (&json!("guests"), &json!("gest:zoe")));
    assert!(warning["message"].as_str().unwrap().contains(said), "{warning}");
}

#[test]
fn json_has_a_fixed_shape() {
    let folder = Folder::new();
    folder.write("projections/orders.toml", ORDERS);
    let (out, _) = folder.ends(&["test", "orders", "--json"], 3);
    let mut found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&found["passed"], &found["failed"]), (&json!(1), &json!(4)));
    for test in found["data"].as_array_mut().unwrap() {
        let took = test.as_object_mut().unwrap().shift_remove("milliseconds").unwrap();
        assert!(took.as_f64().unwrap() > 0.0);
    }
    let warning = |event: u64| {
        json!({
            "event": event, "type": "Placed", "tables": ["daily"],
            "message": "published twice, it changes daily"
        })
    };
    assert_eq!(
        found["data"][0],
        json!({
            "projection": "orders", "test": "what is right passes",
            "file": "projections/orders.toml", "line": 38, "passed": true, "failures": [],
            "warnings": [warning(1), warning(2)],
        })
    );
    let wanted = json!({
        "projection": "orders", "test": "rows that differ, are missing, are not expected",
        "file": "projections/orders.toml", "line": 56, "passed": false,
        "failures": [
            {
                "kind": "rows", "line": 63,
                "message": "`orders`: 1 row otherwise than expected, 1 row missing, 1 row not expected",
                "detail": null, "relation": "orders",
                "rows": [
                    {
                        "change": "different", "key": {"order_id": "1"},
                        "expected": {"status": "placed", "total": 12.55},
                        "found": {"status": "paid", "total": 12.50}
                    },
                    {
                        "change": "missing", "key": null,
                        "expected": {"order_id": "2", "status": "paid"}, "found": null
                    },
                    {
                        "change": "unexpected", "key": null, "expected": null,
                        "found": {"order_id": "3", "status": "placed", "total": 0.01, "lines": null}
                    },
                ]
            },
            {
                "kind": "rows", "line": 67,
                "message": "`open`: 1 row missing, 1 row not expected",
                "detail": null, "relation": "open",
                "rows": [
                    {
                        "change": "missing", "key": null,
                        "expected": {"order_id": "3", "total": 0.02}, "found": null
                    },
                    {
                        "change": "unexpected", "key": null, "expected": null,
                        "found": {"order_id": "3", "total": 0.01}
                    },
                ]
            }
        ],
        "warnings": [warning(1), warning(2)],
    });
    assert_eq!(found["data"][1], wanted, "{:#}", found["data"][1]);
    let kinds: Vec<_> =
        (2..5).map(|test| found["data"][test]["failures"][0]["kind"].clone()).collect();
    assert_eq!(kinds, ["set_aside", "no_error", "no_error"]);
}

#[test]
fn junit_is_xml_with_a_case_a_test() {
    let folder = Folder::new();
    folder.write("projections/orders.toml", ORDERS);
    folder.ends(&["test", "--junit", "report.xml"], 3);
    let xml = std::fs::read_to_string(folder.path("report.xml")).unwrap();
    assert!(xml.starts_with("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"viewd\" tests=\"5\" failures=\"4\" errors=\"0\" time=\""), "{xml}");
    for part in [
        "<testsuite name=\"orders\" tests=\"5\" failures=\"4\"",
        "<testcase classname=\"orders\" name=\"what is right passes\" file=\"projections/orders.toml\" line=\"38\"",
        "<failure message=\"`orders`: 1 row otherwise than expected, 1 row missing, 1 row not expected\">",
        "~ {&quot;order_id&quot;:&quot;1&quot;}",
    ] {
        assert!(xml.contains(part), "no `{part}` in\n{xml}");
    }
    let (opened, closed) = (xml.matches("<testcase ").count(), xml.matches("</testcase>").count());
    assert_eq!((opened, closed + xml.matches("\"/>").count()), (5, 5));
    folder.ends(&["test", "--junit", "nowhere/report.xml"], 74);
}

#[test]
fn what_a_given_event_leaves_out() {
    let whole = definition("set.v = \".\"", "");
    let expect = "expect.t = '''\n\
        {\"id\":1,\"v\":{\"type\":\"A\",\"id\":null,\"time\":\"2000-01-01T00:00:00.000000Z\",\"data\":{\"id\":1},\"subject\":\"test.A\",\"tokens\":[\"test\",\"A\"],\"sequence\":1,\"stored_at\":\"2000-01-01T00:00:00.000000Z\",\"headers\":{},\"attributes\":{}}}\n\
        {\"id\":2,\"v\":{\"type\":\"A\",\"id\":\"x\",\"time\":\"2013-01-01T00:00:00.000000Z\",\"data\":{\"id\":2},\"subject\":\"a.b\",\"tokens\":[\"a\",\"b\"],\"sequence\":10,\"stored_at\":\"2000-01-01T00:00:01.000000Z\",\"headers\":{\"k\":\"v\"},\"attributes\":{\"s\":\"t\"}}}\n\
        {\"id\":3,\"v\":{\"type\":\"A\",\"id\":null,\"time\":\"2000-01-01T00:00:02.000000Z\",\"data\":{\"id\":3},\"subject\":\"test.A\",\"tokens\":[\"test\",\"A\"],\"sequence\":11,\"stored_at\":\"2000-01-01T00:00:02.000000Z\",\"headers\":{},\"attributes\":{}}}\n'''";
    let given = [
        r#"{"type":"A","data":{"id":1}}"#,
        r#"{"type":"A","data":{"id":2},"id":"x","time":"2013-01-01T01:00:00+01:00","subject":"a.b","sequence":10,"headers":{"k":"v"},"attributes":{"s":"t"}}"#,
        r#"{"type":"A","data":{"id":3}}"#,
    ];
    run("", &(whole + &test(&given, expect)), 0);
}

#[test]
fn a_transform_runs_and_may_drop_split_and_fail() {
    let transform = r#"transform = 'if .type == "Many" then [.data.ids[] as $id | .type = "A" | .data = {id: $id, part: .type}] elif .type == "Gone" then null else . end'"#;
    let parts = definition("set.v = \"$part\"", "");
    let given = [
        r#"{"type":"Many","data":{"ids":[1,2]}}"#,
        r#"{"type":"Gone"}"#,
        r#"{"type":"A","data":{"id":3}}"#,
    ];
    let expect = "expect.t = '''\n{\"id\":1,\"v\":0}\n{\"id\":2,\"v\":1}\n{\"id\":3,\"v\":0}\n'''";
    run(transform, &(parts.clone() + &test(&given, expect)), 0);
    // One part fails, the other stays; the message that cannot be transformed fails as a whole.
    let part = test(
        &[r#"{"type":"Many","data":{"ids":[1,"x"]}}"#],
        "expect_error = \"integer\"\nexpect.t = '{\"id\":1}'",
    );
    run(transform, &(parts.clone() + &part), 0);
    let whole = test(&[r#"{"type":"Many","data":{"ids":5}}"#], "expect_error = \"transform: \"");
    run(transform, &(parts + &whole), 0);
}

#[test]
fn the_last_event_alone_may_fail() {
    let good = r#"{"type":"A","data":{"id":1}}"#;
    let bad = r#"{"type":"A","data":{}}"#;
    let error = "expect_error = \"null for a key column\"";
    for (policy, given, code, part) in [
        ("", vec![good, bad], 0, "1 passed, 0 failed"),
        ("on_error = \"skip\"", vec![good, bad], 0, "1 passed, 0 failed"),
        ("on_error = \"halt\"", vec![good, bad], 0, "1 passed, 0 failed"),
        ("", vec![bad, good], 3, "event 1 of 2 (A) was set aside: dead"),
        ("", vec![bad, bad], 3, "event 1 of 2 (A) was set aside: dead"),
        ("on_error = \"skip\"", vec![bad, bad], 3, "event 1 of 2 (A) was set aside: skipped"),
        ("", vec![good], 3, "the last event did not fail with `null for a key column`"),
    ] {
        let text = definition("", &format!("[policy]\n{policy}\n{}", test(&given, error)));
        let printed = run("", &text, code);
        assert!(printed.contains(part), "{policy} {given:?}\n{printed}");
    }
    let halted = definition(
        "",
        &format!("[policy]\non_error = \"halt\"\n{}", test(&[bad, good], "expect.t = ''")),
    );
    let printed = run("", &halted, 3);
    assert!(printed.contains("the projection stops"), "{printed}");
    // What waits behind a dead letter is told as such.
    let parked = definition("", &test(&[bad, good], "expect.t = ''"));
    let printed = run("order_key = '.type'", &parked, 3);
    assert!(printed.contains("event 2 of 2 (A) was set aside: parked"), "{printed}");
}

#[test]
fn rows_that_depend_on_the_batches_fail_the_test() {
    let given = [r#"{"type":"A","data":{"id":"2"}}"#, r#"{"type":"A","data":{"id":"1"}}"#];
    // Rows of one batch are written in the order of their keys.
    let view = |sql: &str| {
        let view = format!("[views.ids]\nsql = \"{sql}\"\ncolumns.ids = \"text\"\n");
        let test = test(&given, "expect.t = '''{\"id\":\"1\"}\n{\"id\":\"2\"}'''");
        // An integer key would be the order of the rows.
        definition("set.v = \".data.id\"", &(view + &test)).replace("\"integer\"", "\"text\"")
    };
    let printed = run("", &view("SELECT group_concat(v) AS ids FROM t"), 3);
    assert!(
        printed
            .contains("`ids` come to something else when applied otherwise: split after event 1"),
        "{printed}"
    );
    run("", &view("SELECT group_concat(v) AS ids FROM (SELECT v FROM t ORDER BY id)"), 0);
}

#[test]
fn a_view_that_fails_on_some_rows_fails_the_tests_that_expect_of_it() {
    let view = "[views.parsed]\nsql = \"SELECT json_extract(v, '$.a') AS a FROM t\"\ncolumns.a = \"text\"\n";
    let given = [r#"{"type":"A","data":{"id":1}}"#];
    let with = |expect: &str| {
        let text = definition("set.v = '\"no JSON\"'", &(view.to_owned() + &test(&given, expect)));
        text.replace("columns.v = \"json\"", "columns.v = \"text\"")
    };
    let printed = run("", &with("expect.parsed = '{\"a\":\"x\"}'"), 3);
    let wanted = "`parsed` cannot be read (line 19)\n    malformed JSON\n";
    assert!(printed.contains(wanted), "{printed}");
    run("", &with("expect.t = '{\"id\":1}'"), 0);
}

#[test]
fn a_failed_test_tells_of_types_that_no_handler_takes() {
    let given = [r#"{"type":"A","data":{"id":1}}"#, r#"{"type":"a","data":{"id":2}}"#];
    let printed = |expect: &str, code| run("", &definition("", &test(&given, expect)), code);
    let line = "event 2 (a): no handler takes this type; did you mean `A`?";
    let failed = printed("expect.t = '{\"id\":2}'", 3);
    assert!(failed.contains(line) && !failed.contains("event 1 (A)"), "{failed}");
    let passed = printed("expect.t = '{\"id\":1}'", 0);
    assert!(!passed.contains("no handler takes"), "{passed}");
}

#[test]
fn an_event_that_changes_rows_when_it_comes_twice_is_a_warning() {
    let given = [r#"{"type":"A","data":{"id":1}}"#];
    let counted = definition("add.n = 1", &test(&given, "expect.t = '{\"id\":1,\"n\":1}'"))
        .replace("columns.v = \"json\"", "columns.n = \"integer\"");
    let printed = run("", &counted, 0);
    assert!(printed.contains("warning: orders: publishing `A` twice changes `t`"), "{printed}");
    let printed =
        run("", &definition("set.v = \".data\"", &test(&given, "expect.t = '{\"id\":1}'")), 0);
    assert!(!printed.contains("warning"), "{printed}");
}

#[test]
fn hundreds_of_events_are_tried_within_bounds() {
    let given: Vec<_> =
        (1..=600).map(|id| format!(r#"{{"type":"A","data":{{"id":{}}}}}"#, id % 7)).collect();
    let given: Vec<_> = given.iter().map(String::as_str).collect();
    let expect: String = (0..7).map(|id| format!("{{\"id\":{id}}}\n")).collect();
    run("", &definition("", &test(&given, &format!("expect.t = '''{expect}'''"))), 0);
}

#[test]
fn nothing_to_run_is_said() {
    let folder = Folder::new();
    let (out, err) = folder.ends(&["test"], 0);
    assert_eq!(out, "");
    assert!(
        err.contains("there are no tests") && err.contains("viewd try orders --last 3 --as-test"),
        "{err}"
    );
    let (out, _) = folder.ends(&["test", "--json"], 0);
    assert_eq!(out, "{\"data\":[],\"passed\":0,\"failed\":0}\n");
    folder.write("projections/orders.toml", ORDERS);
    let (_, err) = folder.ends(&["test", "--filter", "rihgt"], 2);
    assert!(err.contains("no test's name contains `rihgt`"), "{err}");
    let (_, err) = folder.ends(&["test", "order"], 2);
    assert!(err.contains("did you mean `orders`?"), "{err}");
    // A file that is wrong stands in the way of all, but not of those that are named.
    folder.write("projections/broken.toml", "source = 5");
    folder.ends(&["test"], 78);
    folder.ends(&["test", "broken"], 78);
    folder.ends(&["test", "orders", "--filter", "right passes"], 0);
}
