//! What is refused when a definition is loaded: the message, where it points, and the hint.

use super::super::{names, prelude};
use super::*;

/// Rows of: text, message, what the span covers, hint.
#[track_caller]
pub(super) fn check(scope: Scope<'_>, rows: &[(&str, &str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (text, message, covered, hint) in rows {
        match Expression::compile(text, scope) {
            Ok(_) => wrong.push(format!("{text}\n  is accepted")),
            Err(error) => {
                let given = (
                    &*error.message,
                    &text[error.span.clone()],
                    error.hint.as_deref().unwrap_or(""),
                );
                if given != (*message, *covered, *hint) {
                    wrong.push(format!(
                        "{text}\n  gives    {given:?}\n  expected {:?}",
                        (message, covered, hint)
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn slips() {
    let rows = &[
        ("", "the expression is empty", "", "`.` is the whole event, `null` is no value"),
        (" \n", "the expression is empty", " \n", "`.` is the whole event, `null` is no value"),
        (
            "'placed'",
            "a string in single quotes",
            "'placed'",
            "a string is written with double quotes: \"placed\"",
        ),
        (
            ".a == 'x' ",
            "a string in single quotes",
            "'x'",
            "a string is written with double quotes: \"x\"",
        ),
        (
            "placed",
            "unknown function `placed`",
            "placed",
            "a string is written `'\"placed\"'`, a member of the data `.data.placed`",
        ),
        (
            "lenght",
            "unknown function `lenght`",
            "lenght",
            "did you mean `length`? otherwise a string is written `'\"lenght\"'`, a member of the data `.data.lenght`",
        ),
        (
            ".a | asci_downcase(1)",
            "unknown function `asci_downcase`",
            "asci_downcase",
            "did you mean `ascii_downcase`?",
        ),
        (".a && .b", "unknown operator `&&`", "&&", "write `and`"),
        (
            ".a || .b",
            "unknown operator `||`",
            "||",
            "write `or`, or `//` for a value to use instead of null",
        ),
        ("!.a", "unknown operator `!`", "!", "write `| not`, as in `(.data.paid | not)`"),
        (".a <> 1", "unknown operator `<>`", "<>", "write `!=`"),
        (".a === 1", "unknown operator `===`", "===", "write `==`"),
        (".a is null", "unknown operator `is`", "is null", "write `== null`"),
        (".a is not null", "unknown operator `is`", "is not", "write `!= null`"),
        (".a AND .b", "unknown operator `AND`", "AND", "write `and`"),
        ("not .a", "`not` before its input", "not", "a function follows its input: `.a | not`"),
        (
            "length .data.x",
            "`length` before its input",
            "length",
            "a function follows its input: `.data.x | length`",
        ),
        (
            "if .a then 1 else if .b then 2 else 3 end",
            "`else if` without an `end` of its own",
            "else if",
            "write `elif`, with one `end` for all",
        ),
        (".a ? 1 : 2", "unknown operator `? :`", "?", "write `if ... then ... else ... end`"),
        (
            "lookup(\"customers\", .data.id)",
            "`lookup` is not available here",
            "lookup",
            "a handler's expressions can look rows up; this one sees one event",
        ),
        (
            ".data.order-id",
            "`.order-id` means `.order` minus `id`",
            ".order-id",
            "a name with a dash is quoted: `.data[\"order-id\"]`; to subtract, put spaces around the `-`",
        ),
        (
            ".headers.X-Request-Id",
            "`.X-Request-Id` means `.X` minus `Request-Id`",
            ".X-Request-Id",
            "a name with a dash is quoted: `.headers[\"X-Request-Id\"]`; to subtract, put spaces around the `-`",
        ),
        (".a = 1", "an assignment: `=`", "=", "to compare, write `==`"),
        (
            ".a |= 1",
            "an assignment: `|=`",
            "|=",
            "the object with another value is `. + {a: (...)}`",
        ),
        (
            "map(.a += 1)",
            "an assignment: `+=`",
            "+=",
            "the object with another value is `. + {a: (.a + ...)}`",
        ),
        (
            "[if .a then 1 end]",
            "`if` without `else`",
            "if .a then 1 end",
            "without `else` it gives its input, the whole event: write `else null`",
        ),
        (
            "if .a then (if .b then 1 end) else 2 end",
            "`if` without `else`",
            "if .b then 1 end",
            "without `else` it gives its input, the whole event: write `else null`",
        ),
        ("$nme", "unknown variable `$nme`", "$nme", "a variable is made by `... as $nme | ...`"),
        ("$ENV.PATH", "unknown variable `$ENV`", "$ENV", "expressions know no environment"),
        (
            "$__loc__",
            "unknown variable `$__loc__`",
            "$__loc__",
            "expressions know nothing of where they stand",
        ),
        ("def f: 1; f", "`def` is not available", "def", ""),
        ("import \"a\" as a; 1", "`import` is not available", "import", ""),
        ("include \"a\"; 1", "`include` is not available", "include", ""),
        (
            "label $out | 1",
            "`label` is not available",
            "label",
            "`first(f)` and `limit(n; f)` end early",
        ),
        (
            "\"\\(break $x)\"",
            "`break` is not available",
            "break",
            "`first(f)` and `limit(n; f)` end early",
        ),
    ];
    check(Scope::EVENT, rows);
}

#[test]
fn variables_and_lookups() {
    let usage = "write `lookup(\"table\"; key)`, with `;` and as many keys as the table has";
    let other = "choose another name, as in `... as $x | ...`";
    check(
        bindings::SCOPE,
        &[
            ("$itm.sku", "unknown variable `$itm`", "$itm", "did you mean `$item`?"),
            ("1 + $Rate", "unknown variable `$Rate`", "$Rate", "did you mean `$rate`?"),
            (
                "\"\\($zzzzzzz)\"",
                "unknown variable `$zzzzzzz`",
                "$zzzzzzz",
                "there are `$row`, `$item`, `$index`, `$part`, `$rate`, `$list`; a variable of your own is made by a `let`, or by `... as $zzzzzzz | ...`",
            ),
            (
                "$data.x",
                "unknown variable `$data`",
                "$data",
                "a member of the event is written `.data`",
            ),
            ("{$ENV}", "unknown variable `$ENV`", "$ENV", "expressions know no environment"),
            (
                "(1 as $x | $x) + $x",
                "unknown variable `$x`",
                "$x",
                "`$x` is known only to the right of its `as $x |`",
            ),
            ("1 as $total | $totl", "unknown variable `$totl`", "$totl", "did you mean `$total`?"),
            ("[.data[] as $item | $item]", "`$item` means something already", "$item", other),
            ("reduce .data[] as {$row} (0; 1)", "`$row` means something already", "$row", other),
            (". as [$a, {b: $rate}] | 1", "`$rate` means something already", "$rate", other),
            ("lookup", "`lookup` names no table", "lookup", usage),
            (
                "lookup(\"customers\", .data.a, .data.b)",
                "the arguments of `lookup` are separated by `;`",
                "lookup",
                usage,
            ),
            (
                "lookup(customers)",
                "`lookup` wants the name of a table in quotes first",
                "lookup",
                "write `lookup(\"customers\"; ...)`",
            ),
            (
                "lookup(.data.table; .data.id)",
                "`lookup` wants the name of a table in quotes first",
                "lookup",
                usage,
            ),
            (
                "lookup(\"custmers\"; .data.id).name",
                "there is no table `custmers`",
                "custmers",
                "did you mean `customers`?",
            ),
            (
                "lookup(\"x\"; .data.id)",
                "there is no table `x`",
                "x",
                "there are: `customers`, `lines`",
            ),
            (
                "lookup(\"lines\"; .data.id)",
                "`lines` has 2 key columns, 1 given",
                "lookup",
                "write `lookup(\"lines\"; ...; ...)`, with the values of `a` and `b`",
            ),
            (
                "[lookup(\"customers\"; 1; 2)]",
                "`customers` has 1 key column, 2 given",
                "lookup",
                "write `lookup(\"customers\"; ...)`, with the value of `a`",
            ),
            (
                "lokup(\"customers\"; 1)",
                "unknown function `lokup`",
                "lokup",
                "did you mean `lookup`?",
            ),
        ],
    );
}

#[test]
fn columns_of_rows() {
    let columns = &["ab", "b", "c", "j"];
    let tables = [
        Table { name: "customers", key: &["ab"], columns },
        Table { name: "lines", key: &["ab", "b"], columns },
    ];
    let scope = Scope { tables: &tables, ..bindings::SCOPE };
    let (of_a, all) = ("did you mean `ab`?", "there are: `ab`, `b`, `c`, `j`");
    let refused = [
        ("$row.aa", "aa", of_a),
        ("$row[\"aa\"]", "aa", of_a),
        ("$row?.aa", "aa", of_a),
        ("$row.qantity + 1", "qantity", all),
        ("($row.qantity.x // 0) + 1", "qantity", all),
        ("$row | .aa", "aa", of_a),
        ("[$row | .ab, (.b | tostring), .aa]", "aa", of_a),
        ("$row | {ab, aa}", "aa", of_a),
        ("$row | select(.aa) | .b", "aa", of_a),
        ("$row as {aa: $x} | $x", "aa", of_a),
        ("$row as {$aa} | $aa", "aa", of_a),
        ("[.data.items[] | {x: $row.aa}]", "aa", of_a),
        ("if $row == null then 0 else $row.aa end", "aa", of_a),
        ("\"\\($row[\"é\"])\"", "é", all),
        ("reduce .data.items[] as $x ($row; . + $row.aa)", "aa", of_a),
    ];
    let refused = refused.map(|(text, place, hint)| {
        (text, format!("table `customers` has no column `{place}`"), place, hint)
    });
    let refused: Vec<_> = refused
        .iter()
        .map(|(text, message, place, hint)| (*text, &**message, *place, *hint))
        .collect();
    check(scope, &refused);
    let message = "table `lines` has no column `aa`";
    check(
        scope,
        &[
            ("lookup(\"lines\"; .data.id; 1).aa", message, "aa", of_a),
            ("lookup(\"lines\"; .data.id; 1)?.aa", message, "aa", of_a),
            ("(lookup(\"lines\"; .data.id; 1) // error(\"none\")).aa", message, "aa", of_a),
            ("lookup(\"lines\"; 1; $row.b) | .aa == 1", message, "aa", of_a),
            ("[.data.items[] | lookup(\"lines\"; .id; 1) | .aa]", message, "aa", of_a),
        ],
    );
    for text in [
        "$row.j.aa",
        "$row | .j.aa",
        "$row | .j | .aa",
        "$row.j | {aa}",
        "$row[\"ab\"]",
        "$row | keys",
        "$row | map(.aa)",
        "$row | has(\"aa\")",
        "$row + {aa: 1} | .aa",
        "($row // {aa: 1}).aa",
        "(lookup(\"customers\"; 1) // lookup(\"lines\"; 1; 2)).aa",
        "$row | . as $x | $x.aa",
        "$item.aa",
        "reduce .data.items[] as $x ($row; .aa)",
    ] {
        let expression = Expression::compile(text, scope);
        expression.unwrap_or_else(|error| panic!("{text}: {error} {:?}", error.hint));
    }
    // A `let` may hold a row, and be read as one.
    for (text, row) in [
        ("$row", Some(0)),
        ("lookup(\"lines\"; 1; 2)", Some(1)),
        ("lookup(\"lines\"; 1; 2) // error(\"none\")", Some(1)),
        (".data.id as $x | lookup(\"lines\"; $x; 2)", Some(1)),
        ("$row | select(.ab == 1)", Some(0)),
        ("$row.ab", None),
        ("[$row]", None),
        ("$item", None),
        (".", None),
    ] {
        assert_eq!(Expression::compile(text, scope).unwrap().row(), row, "{text}");
    }
}

#[test]
fn syntax() {
    check(
        Scope::EVENT,
        &[
            (".a +", "the expression ends too early", "", ""),
            (".a .b)", "unexpected `)`", ")", ""),
            ("(.a", "`(` is never closed", "(", ""),
            ("\"abc", "`\"` is never closed", "\"", ""),
            ("[1, ]", "unexpected `]`", "]", ""),
            ("{a: }", "unexpected `}`", "}", ""),
            (".a 1", "unexpected `1`", "1", ""),
            (".a == == 1", "unexpected `==`", "==", ""),
            ("if .a then 1", "the expression ends too early", "", ""),
            (".a[", "`[` is never closed", "[", ""),
            ("\"\\d\"", "unknown escape `\\d`", "d", "write `\\\\` for a backslash"),
            ("\"\\u12\"", "expected four hexadecimal digits", "\"", ""),
            ("1.", "a number without digits", "", ""),
            ("01", "`01` is not a number of JSON", "01", ""),
            ("$", "a name is missing", "", ""),
            ("§", "unexpected `§`", "§", ""),
            (".data.§", "unexpected `§`", "§", ""),
            (
                "length(1)",
                "`length` takes no arguments, not 1",
                "length(1)",
                "a function follows its input: `1 | length`",
            ),
            (
                "pow(2, 3)",
                "a `,` between the arguments of `pow`",
                "pow(2, 3)",
                "arguments are separated by `;`: `pow(2; 3)`",
            ),
            ("select", "`select` takes 1 argument, not 0", "select", "write `select(...)`"),
            ("test(\"(\")", "`\"(\"` is not a pattern: unclosed group", "test", ""),
            (
                "test(\"(?=a)\")",
                "`\"(?=a)\"` is not a pattern: look-around, including look-ahead and look-behind, is not supported",
                "test",
                "",
            ),
        ],
    );
}

#[test]
fn names_that_jq_has_and_we_have_not() {
    let clock = "expressions know no clock and no time zone of the machine: use `.time` or `.stored_at`, and `in_zone(\"Europe/Berlin\")`";
    let end = "use `range`, `limit`, `reduce` or `foreach`, which end";
    check(
        Scope::TRANSFORM,
        &[
            ("now", "`now` is not available", "now", clock),
            (
                ".time | strflocaltime(\"%Y\")",
                "`strflocaltime` is not available",
                "strflocaltime",
                clock,
            ),
            ("env.HOME", "`env` is not available", "env", "expressions know no environment"),
            (
                "halt",
                "`halt` is not available",
                "halt",
                "an expression sees one event, and gives a value",
            ),
            ("[., 1] | until(.[0]; 1)", "`until` is not available", "until", end),
            (
                "@csv",
                "`@csv` is not available",
                "@csv",
                "the formats are @text, @json, @uri, @base64 and @base64d",
            ),
            (
                "@html \"a\"",
                "`@html` is not available",
                "@html",
                "the formats are @text, @json, @uri, @base64 and @base64d",
            ),
            (
                "a::b",
                "unknown function `a::b`",
                "a::b",
                "a string is written `'\"a::b\"'`, a member of the data `.data.a::b`",
            ),
        ],
    );
}

#[test]
fn what_a_transform_may_say() {
    for text in [
        ".data.x = 1",
        "if .type == \"a\" then .data.y //= \"EUR\" else . end",
        "if .id then .data end",
        "del(.data.x)",
    ] {
        assert!(Expression::compile(text, Scope::TRANSFORM).is_ok(), "{text}");
    }
}

/// Where a path could get as long as an event likes.
#[test]
fn loops_in_paths() {
    let hint = "collect the paths first, and use `getpath`, `setpath` or `delpaths`";
    check(
        Scope::TRANSFORM,
        &[
            ("path(reduce range(100000) as $i (.; .a))", "`reduce` in a path", "reduce", hint),
            ("[paths(reduce range(9) as $i (.; .a))]", "`reduce` in a path", "reduce", hint),
            ("del(.a | first(foreach .b[] as $i (.; .a)))", "`foreach` in a path", "foreach", hint),
            (
                "(.a, (. as $x | reduce .b[] as $i (.; .a))) |= 1",
                "`reduce` in a path",
                "reduce",
                hint,
            ),
            (
                "(if .a then . else (reduce .b[] as $i (.; .a))?.c end) = 1",
                "`reduce` in a path",
                "reduce",
                hint,
            ),
            (
                "[1] | pick(limit(1; reduce .b[] as $i (.; .a)))",
                "`reduce` in a path",
                "reduce",
                hint,
            ),
        ],
    );
    for text in [
        "del(.data.a[] | select(reduce .b[] as $i (0; . + $i) > 1))",
        ".data.a = (reduce .data.b[] as $i (0; . + $i))",
    ] {
        assert!(Expression::compile(text, Scope::TRANSFORM).is_ok(), "{text}");
    }
}

/// What looks like a slip and is none.
#[test]
fn accepted() {
    for text in [
        "{def: 1, label: 2, if: 3, is: 4, import: 5, end: 6, AND: 7}",
        ".data | {if, then, else, label}",
        ".data.def.label.if.end",
        ".data.a - .data.b",
        ".data.a -1",
        ".data.a-1",
        ".data.a-.data.b",
        ".data[\"order-id\"]",
        ".headers[\"X-Y\"]",
        "if .id then 1 else if .time then 2 else 3 end end",
        "if .id then 1 elif .time then 2 else 3 end",
        "\"a = b || c && 'd' \\(.id)\"",
        ".data? // 1",
        "{\"a\": .data.b?, c: 1}",
        ".data # a comment with 'quotes' && more\n",
        "[..]",
        "[.. | numbers] | add",
        ". as {a: $x, b: [$y]} | $x + $y",
        "reduce .data.x[] as $i (0; . + $i)",
        "@base64 \"a\\(.id)\"",
        "\"in\" | IN(\"in\")",
    ] {
        if let Err(error) = Expression::compile(text, Scope::EVENT) {
            panic!("{text}: {error}: {:?}", error.hint);
        }
    }
}

/// Every name that jq's own libraries define, in every number of arguments.
#[test]
fn of_all_names_that_jaq_knows_only_the_allowed_ones_exist() {
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let mut known: Vec<(String, usize)> =
        definitions.map(|definition| (definition.name.to_owned(), definition.args.len())).collect();
    type Json = jaq_core::data::JustLut<jaq_json::Val>;
    let natives = jaq_core::funs::<Json>().chain(jaq_std::funs()).chain(jaq_json::funs());
    known.extend(natives.map(|(name, arguments, _)| (name.to_owned(), arguments.len())));
    // Of ours, those that are not for users.
    known.extend(prelude::natives().map(|(name, arguments, _)| (name.to_owned(), arguments.len())));
    assert!(known.len() > 200, "{}", known.len());
    for name in
        ["now", "input", "halt", "env", "debug", "repeat", "nan", "_match", "_error", "path_value"]
    {
        assert!(known.iter().any(|(known, _)| known == name) || name == "input", "{name}");
        known.push((name.to_owned(), 0));
    }
    for (name, arguments) in known {
        let separated = vec!["1"; arguments].join("; ");
        let text = if arguments == 0 { name.clone() } else { format!("{name}({separated})") };
        let allowed = names::ALLOWED
            .iter()
            .any(|(known, arities)| *known == name && arities.contains(&arguments));
        let collected = format!("[{text}]");
        assert_eq!(Expression::compile(&collected, Scope::EVENT).is_ok(), allowed, "{text}");
    }
}

#[test]
fn every_allowed_name_exists() {
    for (name, arities) in names::ALLOWED {
        for arguments in *arities {
            let separated = vec!["(\"a\" + \"\")"; *arguments].join("; ");
            let text =
                if *arguments == 0 { (*name).to_owned() } else { format!("{name}({separated})") };
            of_one_value(&text, Scope::EVENT);
        }
    }
}
