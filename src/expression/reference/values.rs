//! Functions of any value.

use super::{Area, Entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(&["true"], "true", "The constant true.", ["true", "{}", "true"]),
    entry(&["false"], "false", "The constant false.", ["(.data.paid // false)", "{}", "false"]),
    entry(
        &["null"],
        "null",
        "The constant null: no value, NULL in a column.",
        ["if .data.total > 0 then .data.total else null end", r#"{"total":0}"#, "null"],
    ),
    entry(
        &["type"],
        "type",
        "The kind of a value: `null`, `boolean`, `number`, `string`, `array` or `object`.",
        [".data.tags | type", r#"{"tags":[]}"#, r#""array""#],
    ),
    entry(
        &["length"],
        "length",
        "Characters of a string, elements of an array, members of an object, 0 for null, a number without its sign.",
        [".data.items | length", r#"{"items":[1,2,3]}"#, "3"],
    ),
    entry(
        &["not"],
        "not",
        "The opposite of a truth value; only null and false are not true.",
        [".data.cancelled | not", r#"{"cancelled":null}"#, "true"],
    ),
    entry(
        &["empty"],
        "empty",
        "No value at all: left out of an array, null as the value of an expression.",
        ["[.data[] | if . > 1 then . else empty end]", "[1,2,3]", "[2,3]"],
    ),
    entry(
        &["error", "error(message)"],
        "error",
        "Fails: the event becomes a dead letter with this message.",
        [
            r#"if .data.total < 0 then error("negative total: \(.data.total)") else .data.total end"#,
            r#"{"total":-1}"#,
            "error: negative total: -1",
        ],
    ),
    entry(
        &["select(condition)"],
        "select",
        "Its input if the condition holds, else no value.",
        ["[.data[] | select(.paid) | .id]", r#"[{"id":1,"paid":true},{"id":2}]"#, "[1]"],
    ),
    entry(
        &["has(key)"],
        "has",
        "Whether an object has a member of this name, or an array this index; a member may be null.",
        [r#".data | has("total")"#, r#"{"total":null}"#, "true"],
    ),
    entry(
        &["in(object)"],
        "in",
        "Whether an object has the input as a key.",
        [r#".data.code | in({"DE": 1, "FR": 2})"#, r#"{"code":"FR"}"#, "true"],
    ),
    entry(
        &["contains(part)"],
        "contains",
        "Whether the input holds the part: a substring, elements, or members, at any depth.",
        [r#".data.tags | contains(["new"])"#, r#"{"tags":["new","sale"]}"#, "true"],
    ),
    entry(
        &["inside(whole)"],
        "inside",
        "`contains` the other way round.",
        [r#".data.code | inside("DE,FR,IT")"#, r#"{"code":"FR"}"#, "true"],
    ),
    entry(
        &["any", "any(condition)", "any(values; condition)"],
        "any",
        "Whether a condition holds for an element.",
        ["any(.data.items[]; .price > 100)", r#"{"items":[{"price":5},{"price":150}]}"#, "true"],
    ),
    entry(
        &["all", "all(condition)", "all(values; condition)"],
        "all",
        "Whether a condition holds for every element; true for none.",
        [
            ".data.items | all(.shipped)",
            r#"{"items":[{"shipped":true},{"shipped":false}]}"#,
            "false",
        ],
    ),
    entry(
        &["isempty(values)"],
        "isempty",
        "Whether there is no value.",
        ["isempty(.data.items[])", r#"{"items":[]}"#, "true"],
    ),
    entry(
        &["IN(values)", "IN(source; values)"],
        "IN",
        "Whether the input is one of these values.",
        [r#".data.status | IN("paid", "shipped")"#, r#"{"status":"paid"}"#, "true"],
    ),
    entry(
        &["tostring"],
        "tostring",
        "A string as it is, any other value as JSON.",
        [".data.id | tostring", r#"{"id":7}"#, r#""7""#],
    )
    .differs(r#"A number keeps its digits: `1.50` gives `"1.50"`."#),
    entry(
        &["tojson"],
        "tojson",
        "The value as compact JSON text.",
        [".data.items | tojson", r#"{"items":[1.50,"a"]}"#, r#""[1.50,\"a\"]""#],
    )
    .differs("Numbers keep their digits."),
    entry(
        &["fromjson"],
        "fromjson",
        "The value that a JSON text stands for.",
        [".data.body | fromjson | .id", r#"{"body":"{\"id\":7}"}"#, "7"],
    )
    .differs("Only JSON by RFC 8259: no `NaN`, no leading zeros."),
    entry(
        &["tonumber"],
        "tonumber",
        "The number that a string stands for; a number as it is.",
        [".data.amount | tonumber", r#"{"amount":"12.50"}"#, "12.50"],
    )
    .differs(
        r#"Only numbers of JSON: `" 12"`, `"0x10"` and `"nan"` are errors. The digits are kept."#,
    ),
    entry(
        &["toboolean"],
        "toboolean",
        r#"`"true"` and `"false"` as truth values; a truth value as it is."#,
        [".data.gift | toboolean", r#"{"gift":"true"}"#, "true"],
    ),
    entry(
        &["values"],
        "values",
        "Its input unless that is null.",
        ["[.data[] | values]", "[1,null,2]", "[1,2]"],
    ),
    entry(
        &["nulls"],
        "nulls",
        "Its input if it is null.",
        ["[.data[] | nulls] | length", "[1,null,null]", "2"],
    ),
    entry(
        &["booleans"],
        "booleans",
        "Its input if it is true or false.",
        ["[.data[] | booleans]", r#"[1,true,"a"]"#, "[true]"],
    ),
    entry(
        &["numbers"],
        "numbers",
        "Its input if it is a number.",
        ["[.data[] | numbers] | add", r#"[1,"a",2.5]"#, "3.5"],
    ),
    entry(
        &["strings"],
        "strings",
        "Its input if it is a string.",
        ["[.data[] | strings]", r#"[1,"a"]"#, r#"["a"]"#],
    ),
    entry(
        &["arrays"],
        "arrays",
        "Its input if it is an array.",
        ["[.data[] | arrays]", "[1,[2]]", "[[2]]"],
    ),
    entry(
        &["objects"],
        "objects",
        "Its input if it is an object.",
        ["[.data[] | objects]", r#"[1,{"a":2}]"#, r#"[{"a":2}]"#],
    ),
    entry(
        &["iterables"],
        "iterables",
        "Its input if it is an array or an object.",
        ["[.data[] | iterables]", "[1,[],{}]", "[[],{}]"],
    ),
    entry(
        &["scalars"],
        "scalars",
        "Its input if it is neither array nor object.",
        ["[.data | .. | scalars]", r#"{"a":1,"b":[2,null]}"#, "[1,2,null]"],
    ),
    entry(
        &["first", "first(values)"],
        "first",
        "The first element of an array, or the first of several values.",
        [
            "first(.data.items[] | select(.primary)) | .id",
            r#"{"items":[{"id":1},{"id":2,"primary":true}]}"#,
            "2",
        ],
    ),
    entry(
        &["last", "last(values)"],
        "last",
        "The last element of an array, or the last of several values.",
        [".data.steps | last", r#"{"steps":["a","b"]}"#, r#""b""#],
    ),
    entry(
        &["nth(n)", "nth(n; values)"],
        "nth",
        "The element at an index from 0, or the value after n others.",
        [".data | nth(1)", r#"["a","b","c"]"#, r#""b""#],
    ),
    entry(
        &["limit(n; values)"],
        "limit",
        "The first n values.",
        ["[limit(2; .data[])]", "[1,2,3]", "[1,2]"],
    )
    .differs("A negative number gives none, where jq 1.8 fails and older ones give all."),
    entry(
        &["skip(n; values)"],
        "skip",
        "All but the first n values.",
        ["[skip(1; .data[])]", "[1,2,3]", "[2,3]"],
    ),
    entry(
        &["path(path)"],
        "path",
        "The path itself, as an array of keys and indices.",
        [
            "[path(.data.items[])]",
            r#"{"items":["a","b"]}"#,
            r#"[["data","items",0],["data","items",1]]"#,
        ],
    ),
    entry(
        &["paths", "paths(condition)"],
        "paths",
        "The paths to every value inside, or to those for which the condition holds.",
        [r#"[.data | paths(type == "number")]"#, r#"{"a":1,"b":["x",2]}"#, r#"[["a"],["b",1]]"#],
    ),
    entry(
        &["getpath(path)"],
        "getpath",
        "The value at a path; null where there is nothing.",
        [r#".data | getpath(["a","b"])"#, r#"{"a":{"b":1}}"#, "1"],
    ),
    entry(
        &["setpath(path; value)"],
        "setpath",
        "The input with another value at a path.",
        [r#".data | setpath(["a","b"]; 2)"#, r#"{"a":{"b":1}}"#, r#"{"a":{"b":2}}"#],
    ),
    entry(
        &["delpaths(paths)"],
        "delpaths",
        "The input without the values at these paths.",
        [r#".data | delpaths([["a"],["b",0]])"#, r#"{"a":1,"b":[2,3]}"#, r#"{"b":[3]}"#],
    ),
    entry(
        &["del(path)"],
        "del",
        "The input without what the path leads to.",
        [".data | del(.password)", r#"{"name":"Ada","password":"x"}"#, r#"{"name":"Ada"}"#],
    ),
    entry(
        &["pick(path)"],
        "pick",
        "Only what the paths lead to, where it was.",
        [
            ".data | pick(.name, .address.city)",
            r#"{"name":"Ada","address":{"city":"Bonn","zip":"53113"}}"#,
            r#"{"name":"Ada","address":{"city":"Bonn"}}"#,
        ],
    ),
    entry(
        &["walk(f)"],
        "walk",
        "Every value inside changed by f, inner ones first.",
        [
            r#".data | walk(if type == "string" then trim else . end)"#,
            r#"{"a":" x ","b":[" y"]}"#,
            r#"{"a":"x","b":["y"]}"#,
        ],
    ),
    entry(
        &["to_entries"],
        "to_entries",
        "An object as an array of `{key, value}`, in its own order.",
        [
            ".data | to_entries",
            r#"{"b":1,"a":2}"#,
            r#"[{"key":"b","value":1},{"key":"a","value":2}]"#,
        ],
    ),
    entry(
        &["from_entries"],
        "from_entries",
        "The object of an array of `{key, value}`; `name` or `k`, and `v`, do as well.",
        [
            ".data | from_entries",
            r#"[{"key":"a","value":1},{"name":"b","value":2}]"#,
            r#"{"a":1,"b":2}"#,
        ],
    ),
    entry(
        &["with_entries(f)"],
        "with_entries",
        "An object with each of its entries changed by f.",
        [".data | with_entries(select(.value != null))", r#"{"a":1,"b":null}"#, r#"{"a":1}"#],
    ),
    entry(
        &["keys"],
        "keys",
        "The keys of an object, sorted; the indices of an array.",
        [".data | keys", r#"{"b":1,"a":2}"#, r#"["a","b"]"#],
    ),
    entry(
        &["keys_unsorted"],
        "keys_unsorted",
        "The keys of an object in its own order.",
        [".data | keys_unsorted", r#"{"b":1,"a":2}"#, r#"["b","a"]"#],
    ),
    entry(
        &["map(f)"],
        "map",
        "An array of what f gives for each element.",
        [
            ".data.items | map(.price * .quantity) | add",
            r#"{"items":[{"price":1.10,"quantity":3},{"price":2,"quantity":1}]}"#,
            "5.3",
        ],
    ),
    entry(
        &["map_values(f)"],
        "map_values",
        "An object or array with each value changed by f.",
        [".data | map_values(. * 2)", r#"{"a":1,"b":2}"#, r#"{"a":2,"b":4}"#],
    ),
];

const fn entry(
    usage: &'static [&'static str],
    name: &'static str,
    meaning: &'static str,
    example: [&'static str; 3],
) -> Entry {
    Entry::new(Area::Values, usage, name, meaning, example)
}
