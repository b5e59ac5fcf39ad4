//! Where viewd's expressions are not those of jq.

use super::{Difference, Example};

/// What somebody who knows jq should know, the most important first.
pub fn differences() -> &'static [Difference] {
    DIFFERENCES
}

const DIFFERENCES: &[Difference] = &[
    difference(
        "Numbers",
        "floats of 64 bits: `0.1 + 0.2` is 0.30000000000000004, integers lose digits past 2^53",
        "integers and decimals are exact through `+ - *`, `%`, comparison and sums, up to 38 digits; `/` and mathematics give floats",
        [".data.a + .data.b", r#"{"a":0.1,"b":0.2}"#, "0.3"],
    ),
    difference(
        "Numbers that are passed on",
        "since 1.7 as they were written, before as floats",
        "as they were written",
        [".data.n", r#"{"n":1.50}"#, "1.50"],
    ),
    difference(
        "`%`",
        "cuts both numbers to integers first",
        "exact for decimals, with the sign of the dividend",
        [".data.a % .data.b", r#"{"a":5.5,"b":2}"#, "1.5"],
    ),
    difference(
        "NaN and infinity",
        "values, written as null or the largest float",
        "do not exist: what would give them is an error of the event",
        [".data | log", "0", "error: log of 0: the result is not a finite number"],
    ),
    difference(
        "How many values",
        "a filter gives any number",
        "an expression gives one: none is null, several are an error; what always gives several is refused when it is loaded",
        ["[.data.items[].id]", r#"{"items":[{"id":1},{"id":2}]}"#, "[1,2]"],
    ),
    difference(
        "`first`, `last` and `add` of a path",
        "of one value, give that value",
        "are refused: `first(.data.items)` was meant as `.data.items | first`",
        [".data.items | first", r#"{"items":[{"id":1},{"id":2}]}"#, r#"{"id":1}"#],
    ),
    difference(
        "`if` without `else`",
        "gives its input",
        "is refused, but in a source's `transform`",
        ["if .data.a then 1 else null end", r#"{"a":false}"#, "null"],
    ),
    difference(
        "Assignments",
        "change the input",
        "are refused, but in a source's `transform`; functions such as `map_values`, `del` and `setpath` are at hand",
        [".data | map_values(. + 1)", r#"{"a":1}"#, r#"{"a":2}"#],
    ),
    difference(
        "Paths from the event",
        "a member that is not there is null",
        "a member that no event has, such as `.customer`, is refused: data are in `.data`; so is a column that a row's table does not have",
        [".data.customer.name", "{}", "null"],
    ),
    difference(
        "Functions of null",
        "mostly errors, a few pass it on",
        "errors: paths are null-safe, functions are not",
        [r#"(.data.name // "") | ascii_downcase"#, "{}", r#""""#],
    ),
    difference(
        "Index of an array",
        "is rounded down: `.[1.7]` is `.[1]`",
        "must be whole",
        ["[.data[1.0], .data[-1]]", "[1,2,3]", "[2,3]"],
    ),
    difference(
        "`reduce` whose update gives no value",
        "goes on with null",
        "gives no value",
        ["[reduce .data[] as $x (0; empty)]", "[1,2]", "[]"],
    ),
    difference(
        "Objects",
        "keys in the order of insertion",
        "the same; of repeated keys of an event the last value counts, at the first one's place",
        [".data", r#"{"b":1,"a":2,"b":3}"#, r#"{"b":3,"a":2}"#],
    ),
    difference(
        "Patterns",
        "Oniguruma, with look-around and back-references",
        "linear in the text, without them; flags see `test`",
        [r#".data | test("a.b"; "s")"#, r#""a\nb""#, "true"],
    ),
    difference(
        "Definitions and modules",
        "`def`, `import`, `include`, `label`, `break`",
        "do not exist",
        ["[limit(1; .data[])]", "[1,2]", "[1]"],
    ),
    difference(
        "Clock, environment, input, output",
        "`now`, `localtime`, `env`, `$ENV`, `input`, `debug`, `halt` ...",
        "do not exist: the same events give the same rows",
        [".time", "{}", r#""2013-01-01T05:00:00.250000Z""#],
    ),
    difference(
        "Loops without an end",
        "`recurse(f)`, `until`, `while`, `repeat`",
        "do not exist; every evaluation has a budget of 1,000,000 operations on values, 16 MiB of text and a depth of 128",
        ["last(range(.data.n))", r#"{"n":1000000000}"#, "error: took more than 1000000 operations"],
    ),
    difference(
        "Other formats",
        "`@csv`, `@tsv`, `@html`, `@sh`, `@base32`, `@urid`",
        "do not exist",
        [r#"@json "\(.data)""#, "[1]", r#""[1]""#],
    ),
    difference(
        "Names of variables",
        "`... as $x` may take any name, and hide another",
        "not one of viewd's or of a `let`",
        ["[.data[] as $x | $x + 1]", "[1]", "[2]"],
    ),
];

const fn difference(
    what: &'static str,
    jq: &'static str,
    viewd: &'static str,
    [expression, data, result]: [&'static str; 3],
) -> Difference {
    Difference { what, jq, viewd, example: Example { expression, data, result } }
}
