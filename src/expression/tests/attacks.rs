//! What an event or a definition may try: every evaluation ends, soon, on a thread's ordinary stack.

use std::time::{Duration, Instant};

use super::*;

/// In a debug build on a machine that builds other things; far above what any attack takes alone.
const EVALUATION_SECONDS_MAX: u64 = 300;

/// Runs on a thread with the stack that threads have by default.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(2 << 20).spawn(run).unwrap();
    thread.join().unwrap();
}

/// An expression over `.data.x`, and what its outcome starts with.
fn check(attacks: &[(&str, &str, &str)]) {
    let owned = |(expression, x, expected): &(&str, &str, &str)| {
        [(*expression).to_owned(), (*x).to_owned(), (*expected).to_owned()]
    };
    let attacks: Vec<_> = attacks.iter().map(owned).collect();
    on_a_small_stack(move || {
        for [expression, x, expected] in attacks {
            let event = event_of(&x);
            let start = Instant::now();
            let given = given(&format!(".data.x | {expression}"), &event);
            let took = start.elapsed();
            assert!(given.starts_with(&expected), "{x:.40} | {expression}\n  gives {given:.200}");
            assert!(
                took < Duration::from_secs(EVALUATION_SECONDS_MAX),
                "{x:.40} | {expression}: {took:?}"
            );
        }
    });
}

const OPERATIONS: &str = "error: took more than 1000000 operations";
const TEXT: &str = "error: made more than 16 MiB of text";
const DEEP: &str = "error: made a value deeper than 128";

#[test]
fn generators_end() {
    check(&[
        ("[range(1e18)] | length", "1", OPERATIONS),
        ("last(range(1e18))", "1", OPERATIONS),
        ("first(range(0; 1; 0))", "1", "null"),
        ("first(range(1e18))", "1", "0"),
        ("[limit(3; range(1e18))]", "1", "[0,1,2]"),
        ("[range(1e18)?] | length", "1", OPERATIONS),
        ("try last(range(1e18)) catch 1", "1", OPERATIONS),
        ("(last(range(1e18)) // 1)", "1", OPERATIONS),
        ("last(range(1e6) | range(1e6) | empty)", "1", OPERATIONS),
        ("last(range(1e6) as $a | range(1e6) as $b | empty)", "1", OPERATIONS),
        ("reduce range(1e18) as $i (0; .)", "1", OPERATIONS),
        ("last(foreach range(1e18) as $i (0; . + 1))", "1", OPERATIONS),
        ("last(limit(1e18; range(1e18)))", "1", OPERATIONS),
        ("isempty(range(1e18) | empty)", "1", OPERATIONS),
        ("first(range(1e18) | select(false))", "1", OPERATIONS),
        ("any(range(1e18); false)", "1", OPERATIONS),
        ("[.[]?, first(empty)?]", "1", "[]"),
        ("[skip(1e18; range(1e18))]", "1", OPERATIONS),
        ("[range(0; 1e18; 1e-30)] | length", "1", OPERATIONS),
    ]);
}

/// A filter that clones its input and does nothing else is not counted by operations.
#[test]
fn clones_are_counted() {
    let doubled = |times: usize| vec!["(., .)"; times].join(" | ");
    let nested =
        |times: usize| (0..times).map(|n| format!("(., .) as $v{n} | ")).collect::<String>();
    check(&[
        (&format!("last({})", doubled(22)), "1", OPERATIONS),
        (&format!("last({} empty)", nested(24)), "1", OPERATIONS),
    ]);
}

#[test]
fn growth_ends() {
    let large = format!("\"{}\"", "a".repeat(1 << 20));
    check(&[
        ("reduce range(100) as $i (\"ab\"; . + .)", "1", TEXT),
        ("reduce range(100) as $i ([1]; . + .) | length", "1", OPERATIONS),
        ("reduce range(100) as $i ({a: 1}; {a: ., b: .}) | tojson | length", "1", OPERATIONS),
        ("reduce range(40) as $i ([1]; [., .]) | flatten | length", "1", OPERATIONS),
        ("reduce range(40) as $i ([1]; [., .]) == 1", "1", "false"),
        ("reduce range(40) as $i ([1]; [., .])", "1", OPERATIONS),
        (
            "reduce range(40) as $i (\"aaaaaaaa\"; {a: ., b: .}) | error",
            "1",
            "error: {\"a\":{\"a\":",
        ),
        ("reduce range(40) as $i (1; [., .]) | .a", "1", "error: [[[["),
        ("reduce range(40) as $i ([1]; [., .]) | . == (. + [])", "1", OPERATIONS),
        ("\"x\" * 1e9", "1", TEXT),
        ("\"x\" * 1e18", "1", TEXT),
        ("\"x\" * 1e999", "1", "error: "),
        (".[1e9] = 1", "null", "error: index 1000000000 is too far past the end"),
        (".[1e7] = 1", "null", OPERATIONS),
        ("setpath([1e8]; 1)", "null", "error: index 100000000 is too far past the end"),
        ("explode | length", &large, OPERATIONS),
        ("split(\"\") | length", &large, OPERATIONS),
        (". as $t | [range(40) | $t + \"x\"] | length", &large, TEXT),
        (". as $t | [range(40) | $t | ascii_downcase] | length", &large, TEXT),
        (". as $t | [range(40) | $t[1:]] | length", &large, TEXT),
        (". as $t | [range(40) | $t | tojson] | length", &large, TEXT),
        (". as $t | [range(40) | $t | ltrimstr(\"a\")] | length", &large, TEXT),
        (". as $t | [range(40) | \"\\($t)!\"] | length", &large, TEXT),
        (". as $t | [range(40) | $t] | join(\"\") | length", &large, TEXT),
        (". as $t | [range(40) | $t] | add | length", &large, TEXT),
        (". as $t | [range(40) | $t | @base64] | length", &large, TEXT),
        (". as $t | [range(40) | $t | @uri] | length", &large, TEXT),
        (". as $t | all(range(1e5); $t == ($t + \"\"))", &large, "error: "),
        (". as $t | ($t + \"b\") as $u | all(range(1e5); $t < $u)", &large, OPERATIONS),
        (
            ". as $t | ($t + \"b\") as $u | all(range(1e5); $t | contains(\"b\") | not)",
            &large,
            OPERATIONS,
        ),
        (". as $t | last(range(1e5) | $t | length)", &large, OPERATIONS),
        (". as $t | last(range(1e5) | $t | indices(\"b\"))", &large, OPERATIONS),
        ("indices(\"aaaa\") | length", &large, OPERATIONS),
    ]);
}

#[test]
fn depth_ends() {
    let deep = format!("{}1{}", "[".repeat(120), "]".repeat(120));
    let objects = format!("{}1{}", "{\"a\":".repeat(120), "}".repeat(120));
    check(&[
        ("reduce range(1000) as $i (1; [.])", "1", DEEP),
        ("reduce range(1000) as $i (1; {a: .})", "1", DEEP),
        ("reduce range(1000) as $i ([]; .[0] |= [.])", "1", DEEP),
        ("reduce range(1000) as $i (1; setpath([\"a\"]; 1) | {b: .})", "null", "error: "),
        ("setpath([range(1000) | \"a\"]; 1)", "null", DEEP),
        ("getpath([range(100000) | \"a\"])", "null", DEEP),
        ("path(getpath([range(100000) | \"a\"]))", "null", DEEP),
        ("getpath([range(100000) | \"a\"]) |= 1", "null", DEEP),
        ("del(getpath([range(100000) | \"a\"]))", "null", DEEP),
        ("delpaths([[range(100000) | \"a\"]])", "null", DEEP),
        ("reduce range(100) as $i (.; [.]) | tojson", &deep, DEEP),
        ("reduce range(100) as $i (.; [.]) | length", &deep, "1"),
        ("reduce range(100) as $i (.; [.]) | walk(.) | length", &deep, DEEP),
        ("reduce range(100) as $i (.; [.])", &deep, DEEP),
        ("walk(.) | length", &deep, "1"),
        ("walk(walk(.)) | length", &deep, "1"),
        ("[..] | length", &deep, "121"),
        ("[..] | length", &objects, "121"),
        ("[paths] | length", &objects, "120"),
        ("flatten", &deep, "[1]"),
        (". == .", &deep, "true"),
        ("(reduce range(100) as $i (.; [.])) as $d | $d == $d", &deep, "true"),
        ("(reduce range(100) as $i (.; {a: .})) as $d | ($d * $d) == $d", &objects, DEEP),
        ("contains(.)", &deep, "true"),
        ("[[., .] | group_by(.)[]] | length", &deep, "1"),
        ("tojson | fromjson == 1", &deep, "false"),
        ("fromjson", &format!("\"{}\"", "[".repeat(100_000)), "error: fromjson: "),
        ("tonumber", &format!("\"{}\"", "[".repeat(100_000)), "error: tonumber: "),
        ("del(..)", &deep, "null"),
        ("[path(..)] | length", &deep, "121"),
        ("delpaths([path(..)])", &objects, "null"),
        ("map_values(.) | tojson | length", &objects, "721"),
        ("with_entries(.) | length", &objects, "1"),
        ("del(.. | select(. == 1))", &deep, "["),
        ("pick(..) | length", &objects, "1"),
    ]);
}

#[test]
fn patterns_end() {
    let a = |length: usize| format!("\"{}\"", "a".repeat(length));
    check(&[
        ("test(\"^(a+)+$\")", &format!("\"{}b\"", "a".repeat(100_000)), "false"),
        ("test(\"(a|aa)+$\")", &format!("\"{}b\"", "a".repeat(100_000)), "false"),
        ("[match(\"a.*b|a\"; \"g\")] | length", &a(100_000), OPERATIONS),
        ("[match(\"\"; \"g\")] | length", &a(100_000), OPERATIONS),
        ("gsub(\"a\"; \"bbbbbbbbbb\") | length", &a(20_000), "error: "),
        ("test(.)", &a(5_000), "error: test: a pattern of 5000 bytes is longer than 4096"),
        ("test(\"((a{100}){100}){100}\" + .)", "\"a\"", "error: test: the pattern is too large"),
        ("test(\"(((a{9}){9}){9}){9}\" + .)", "\"a\"", "false"),
        ("test(. * 400)", "\"(\"", "error: test: "),
        ("[range(1000) as $i | \"a\" | test(\"\\($i)\\\\w{10}\")] | length", "1", OPERATIONS),
        ("[range(3000) as $i | \"a\" | test(\"\\($i)\")] | length", "1", "3000"),
    ]);
}

#[test]
fn numbers_end() {
    let digits = "9".repeat(1_000_000);
    check(&[
        (". + 1", "1e999999999", "error: 1e999999999 + 1: the result has more than 38 digits"),
        (". + 1", "1e-999999999", "error: 1e-999999999 + 1: the result has more than 38 digits"),
        (". == 1", "1e-999999999999999999999999999", "false"),
        ("floor", "1e999999999", "error: floor of 1e999999999: the result has more than 38 digits"),
        ("tostring | length", "1e999999999", "11"),
        (". * 1", "1e9999", "1e9999"),
        (". * 10", "1e9999", "error: "),
        (". / 1", "1e9999", "error: 1e9999 / 1: the result is not a finite number"),
        ("1 / .", "1e9999", "0"),
        (". + 1", &digits, "error: "),
        (". == .", &digits, "true"),
        (". < 1", &format!("-{digits}"), "true"),
        ("sqrt", &digits, "error: "),
        (".[1e999999999]", "[1]", "error: [1] is an array and has no element"),
        (".[9223372036854775807]", "[1]", "null"),
        (".[-9223372036854775808]", "[1]", "null"),
        (".[-9223372036854775808:9223372036854775807]", "[1]", "[1]"),
        ("-.", "-9223372036854775808", "9223372036854775808"),
        ("abs", "-9223372036854775808", "9223372036854775808"),
        (". % -1", "-9223372036854775808", "0"),
        ("round(1000)", "1", "error: round: 1000 digits are not between -100 and 100"),
        ("round(-38)", "5e37", "1e38"),
        (
            "strftime(\"%Y\")",
            "1e300",
            "error: strftime: 1e300 is not a time within the years 1 to 9999",
        ),
        ("strftime(\"%999999999Y\" * 100)", "1", "error: strftime: "),
        ("[.] | implode", "1e999999999", "error: implode: "),
        ("todate", "-62135596800", "\"0001-01-01T00:00:00Z\""),
        ("in_zone(\"Asia/Tokyo\")", "\"9999-12-31T23:59:59Z\"", "error: in_zone: "),
    ]);
}

#[test]
fn two_hundred_thousand_numbers_through_reduce() {
    let numbers = format!("[{}]", vec!["1.25"; 200_000].join(","));
    check(&[
        ("reduce .[] as $x (0; . + $x)", &numbers, "250000"),
        ("add", &numbers, "250000"),
        ("length", &numbers, "200000"),
        ("max", &numbers, "1.25"),
        ("reduce .[] as $x ([]; . + [$x]) | length", &numbers, "200000"),
        ("map(. * 2) | length", &numbers, "200000"),
    ]);
}

#[test]
fn texts_that_nest_are_refused_or_compiled() {
    on_a_small_stack(|| {
        // At the bottom of each, recursions over the deepest value that an event can hold.
        let deep = format!("{}1{}", "[".repeat(126), "]".repeat(126));
        let event = event_of(&deep);
        let leaf = "(.data.x | walk(.) | [.., paths, tojson, flatten, (. == .)] | length)";
        let many = |text: &str, times: usize| text.repeat(times);
        for times in [
            10, 40, 55, 60, 65, 80, 100, 110, 120, 130, 140, 148, 150, 200, 700, 1_000, 1_900,
            3_000, 100_000,
        ] {
            let texts = [
                many("(", times) + leaf + &many(")", times),
                many("[", times) + leaf + &many("]", times),
                many("-", times) + leaf,
                many("try ", times) + leaf,
                many(". | ", times) + leaf,
                many("1, ", times) + leaf,
                many("1 + ", times) + leaf,
                many("1 as $x | ", times) + leaf,
                many("if 1 then ", times) + leaf + &many(" else 2 end", times),
                many("if 1 then 1 else ", times) + leaf + &many(" end", times),
                "if false then 1 ".to_owned()
                    + &many("elif false then 1 ", times)
                    + "else "
                    + leaf
                    + " end",
                "{".to_owned() + &(0..times).map(|n| format!("a{n}: 1,")).collect::<String>() + "}",
                many("{a:", times) + leaf + &many("}", times),
                many("\"\\(", times) + leaf + &many(")\"", times),
                "\"".to_owned() + &many("\\(1)", times) + "\"",
                "\"".to_owned() + &many("\\n", times) + "\"",
                many("first(", times) + leaf + &many(")", times),
                many("map(", times) + leaf + &many(")", times),
                many(".[", times) + leaf + &many("]", times),
                ".".to_owned() + &many("a.", times) + "a",
                ".".to_owned() + &many("[0]", times),
                many("reduce 1 as $x (1; ", times) + leaf + &many(")", times),
                ". as ".to_owned() + &many("[", times) + "$x" + &many("]", times) + " | 1",
                many("null // ", times) + leaf,
                many(". as [$a] | ", times) + leaf,
                many("walk(", times) + leaf + &many(")", times),
                many("(.. | ", times) + leaf + &many(")", times),
                many("limit(1; ", times) + leaf + &many(")", times),
                many("path(", times) + "." + &many(")", times),
                many("(.a |= ", times) + leaf + &many(")", times),
                many(".a |= ", times) + leaf,
            ];
            for text in texts {
                if let Ok(expression) = Expression::compile(&text, Scope::TRANSFORM) {
                    // Whatever it gives: it must come back.
                    let _ = shown(expression.evaluate(&event));
                }
            }
        }
    });
}
