//! One line an example: an expression, the value of `.data.x`, what it gives. Every allowed name has one.

use super::super::names;
use super::*;

#[track_caller]
fn check(examples: &[(&str, &str, &str)]) {
    let mut wrong = Vec::new();
    for (expression, x, expected) in examples {
        let given = given(&format!(".data.x | {expression}"), &event_of(x));
        if given != *expected {
            wrong.push(format!("{x} | {expression}\n  gives    {given}\n  expected {expected}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

const ANY: &[(&str, &str, &str)] = &[
    ("type", "null", r#""null""#),
    ("type", "[]", r#""array""#),
    (
        "map(type)",
        r#"[null,true,1,"a",[],{}]"#,
        r#"["null","boolean","number","string","array","object"]"#,
    ),
    ("length", r#""aé😀""#, "3"),
    ("length", "[1,2]", "2"),
    ("length", r#"{"a":1,"a":2}"#, "1"),
    ("length", "null", "0"),
    ("length", "-1.50", "1.5"),
    ("length", "true", "error: length: true has no length"),
    ("not", "null", "true"),
    ("not", "0", "false"),
    ("empty", "1", "null"),
    ("[empty, 1]", "1", "[1]"),
    ("error", r#""no""#, "error: no"),
    (r#"error("no \(.)")"#, "1", "error: no 1"),
    (r#"try error({a: 1}) catch .a"#, "1", "1"),
    ("error", r#"{"a":1}"#, r#"error: {"a":1}"#),
    ("select(. > 1)", "1", "null"),
    ("select(. > 1)", "2", "2"),
    ("map(select(. != null))", "[1,null]", "[1]"),
    (r#"has("a")"#, r#"{"a":null}"#, "true"),
    ("has(2)", "[1,2]", "false"),
    ("has(-1)", "[1,2]", "false"),
    ("has(0)", "{}", "error: has: an object has no keys like 0"),
    (r#"in({"a": 1})"#, r#""a""#, "true"),
    (r#"contains("bar")"#, r#""foobar""#, "true"),
    (r#"contains({a: [{b: "x"}]})"#, r#"{"a":[{"b":"xyz","c":1}]}"#, "true"),
    ("contains([1])", r#"["1"]"#, "false"),
    (r#"contains("a")"#, "1", r#"error: contains: 1 and "a" are of different kinds"#),
    (r#"inside("foobar")"#, r#""bar""#, "true"),
    ("any", "[false,true]", "true"),
    ("any(. > 1)", "[1,2]", "true"),
    ("any(.[]; . > 2)", "[1,2]", "false"),
    ("all", "[]", "true"),
    ("all(. > 1)", "[1,2]", "false"),
    ("all(.[]; . > 0)", "[1,2]", "true"),
    ("isempty(.[])", "[]", "true"),
    ("isempty(.[])", "[1]", "false"),
    (r#"IN("a", "b")"#, r#""b""#, "true"),
    ("IN(.[]; 1.0, 7)", "[1,2]", "true"),
    ("tostring", "1.50", r#""1.50""#),
    ("tostring", r#""a""#, r#""a""#),
    ("tostring", r#"{"a": [1]}"#, r#""{\"a\":[1]}""#),
    ("tojson", r#""a""#, r#""\"a\"""#),
    ("fromjson", r#""[1.50,{\"a\":null}]""#, r#"[1.50,{"a":null}]"#),
    (
        "fromjson",
        r#""01""#,
        r#"error: fromjson: "01" is not JSON: number with a leading zero at byte 1"#,
    ),
    ("fromjson", r#""NaN""#, r#"error: fromjson: "NaN" is not JSON: expected a value at byte 0"#),
    ("tonumber", r#""12.50""#, "12.50"),
    ("tonumber + 0", r#""12.50""#, "12.5"),
    ("tonumber", "1", "1"),
    ("tonumber", r#"" 12""#, r#"error: tonumber: " 12" is not a number of JSON"#),
    ("tonumber", r#""0x10""#, r#"error: tonumber: "0x10" is not a number of JSON"#),
    ("tonumber", "null", "error: tonumber: null is not a number or a string"),
    ("toboolean", r#""true""#, "true"),
    ("toboolean", "false", "false"),
    ("toboolean", "1", "error: toboolean: 1 is not true or false"),
    ("[.[] | values]", "[1,null]", "[1]"),
    ("[.[] | nulls]", "[1,null]", "[null]"),
    ("[.[] | booleans]", "[1,false]", "[false]"),
    ("[.[] | numbers]", r#"[1,"a"]"#, "[1]"),
    ("[.[] | strings]", r#"[1,"a"]"#, r#"["a"]"#),
    ("[.[] | arrays]", "[1,[2]]", "[[2]]"),
    ("[.[] | objects]", r#"[1,{"a":2}]"#, r#"[{"a":2}]"#),
    ("[.[] | iterables]", "[1,[],{}]", "[[],{}]"),
    ("[.[] | scalars]", "[1,[],null]", "[1,null]"),
    ("first", "[1,2]", "1"),
    ("first(.[] | select(. > 1))", "[1,2,3]", "2"),
    ("last", "[1,2]", "2"),
    ("last(.[])", "[1,2]", "2"),
    ("nth(1)", "[1,2]", "2"),
    ("nth(1; .[])", "[1,2]", "2"),
    ("[limit(2; .[])]", "[1,2,3]", "[1,2]"),
    ("[skip(2; .[])]", "[1,2,3]", "[3]"),
    ("[limit(-1; .[])]", "[1,2]", "[]"),
    ("[path(..)]", r#"{"a":[1]}"#, r#"[[],["a"],["a",0]]"#),
    ("[paths]", r#"{"a":[1]}"#, r#"[["a"],["a",0]]"#),
    (r#"[paths(type == "number")]"#, r#"{"a":[1]}"#, r#"[["a",0]]"#),
    (r#"getpath(["a","b"])"#, "null", "null"),
    (r#"getpath(["a",-1])"#, r#"{"a":[1,2]}"#, "2"),
    (r#"setpath(["a",1]; 5)"#, "null", r#"{"a":[null,5]}"#),
    (r#"setpath([]; 5)"#, "null", "5"),
    (r#"delpaths([["a"],["b",0],["b",1]])"#, r#"{"a":1,"b":[1,2,3],"c":4}"#, r#"{"b":[3],"c":4}"#),
    ("del(.a, .b[0])", r#"{"a":1,"b":[1,2]}"#, r#"{"b":[2]}"#),
    ("del(.[0, 1])", "[1,2,3]", "[3]"),
    ("del(.[1:])", "[1,2,3]", "[1]"),
    ("del(.a.b.c)", r#"{"x":1}"#, r#"{"x":1}"#),
    ("pick(.a.b, .c[1])", r#"{"a":{"b":1,"d":2},"c":[3,4]}"#, r#"{"a":{"b":1},"c":[null,4]}"#),
    (r#"walk(if type == "number" then . + 1 else . end)"#, r#"{"a":[1,2]}"#, r#"{"a":[2,3]}"#),
    ("to_entries", r#"{"b":1,"a":2}"#, r#"[{"key":"b","value":1},{"key":"a","value":2}]"#),
    (
        "from_entries",
        r#"[{"name":"a","value":1},{"k":"b","v":2},{"key":3}]"#,
        r#"{"a":1,"b":2,"3":null}"#,
    ),
    ("with_entries(.value += 1)", r#"{"a":1}"#, r#"{"a":2}"#),
    ("keys", r#"{"b":1,"a":2}"#, r#"["a","b"]"#),
    ("keys", "[7,8]", "[0,1]"),
    ("keys_unsorted", r#"{"b":1,"a":2}"#, r#"["b","a"]"#),
    ("keys", "1", "error: keys: 1 is not an object or array"),
    ("map(. + 1)", "[1,2]", "[2,3]"),
    ("map_values(. + 1)", r#"{"a":1}"#, r#"{"a":2}"#),
    ("map_values(empty)", r#"{"a":1}"#, "{}"),
    ("toarray", "1", "[1]"),
    ("toarray", "[1]", "[1]"),
    ("true", "1", "true"),
    ("false", "1", "false"),
    ("null", "1", "null"),
];

const ARRAYS: &[(&str, &str, &str)] = &[
    ("add", "[0.1,0.2,1]", "1.3"),
    ("add", r#"["a","b"]"#, r#""ab""#),
    ("add", "[[1],[2]]", "[1,2]"),
    ("add", r#"{"a":1,"b":2}"#, "3"),
    ("add", "[]", "null"),
    ("add(.[].a)", r#"[{"a":1},{"a":2.50}]"#, "3.5"),
    ("add", r#"[1,"a"]"#, r#"error: 1 + "a": a number and a string cannot be added"#),
    (
        "sort",
        r#"[{"a":1},[1],"b","a",2,1.5,true,false,null]"#,
        r#"[null,false,true,1.5,2,"a","b",[1],{"a":1}]"#,
    ),
    ("sort", "[10,9,1e1,10.0]", "[9,10,1e1,10.0]"),
    ("sort_by(.a)", r#"[{"a":2},{"a":1}]"#, r#"[{"a":1},{"a":2}]"#),
    ("sort_by(.a, .b)", r#"[{"a":1,"b":2},{"a":1,"b":1}]"#, r#"[{"a":1,"b":1},{"a":1,"b":2}]"#),
    ("group_by(.)", "[1,2,1.0]", "[[1,1.0],[2]]"),
    ("unique", "[2,1,1.0]", "[1,2]"),
    ("unique_by(length)", r#"["a","b","cc"]"#, r#"["a","cc"]"#),
    ("min", "[2,1,3]", "1"),
    ("max", "[2,1,3]", "3"),
    ("min", "[]", "null"),
    ("max", "[1,1.0]", "1.0"),
    ("min_by(.a)", r#"[{"a":2},{"a":1}]"#, r#"{"a":1}"#),
    ("max_by(.a)", r#"[{"a":2},{"a":1}]"#, r#"{"a":2}"#),
    ("reverse", "[1,2]", "[2,1]"),
    ("reverse", r#""ab""#, r#""ba""#),
    ("reverse", "null", "[]"),
    ("flatten", "[1,[2,[3]]]", "[1,2,3]"),
    ("flatten(1)", "[1,[2,[3]]]", "[1,2,[3]]"),
    ("transpose", "[[1,2],[3]]", "[[1,3],[2,null]]"),
    (r#"join(", ")"#, r#"["a",1,true,null]"#, r#""a, 1, true, ""#),
    (r#"join(", ")"#, "[[1]]", "error: join: [1] is an array and cannot be joined"),
    (r#"index("b")"#, r#""éb b""#, "1"),
    ("index(2)", "[1,2,2]", "1"),
    (r#"rindex("b")"#, r#""éb b""#, "3"),
    ("indices([1,2])", "[1,2,1,2]", "[0,2]"),
    (r#"indices("aa")"#, r#""aaa""#, "[0,1]"),
    ("indices(1)", "null", "null"),
    ("bsearch(2)", "[1,2,3]", "1"),
    ("bsearch(0)", "[1,2,3]", "-1"),
    ("[range(.)]", "3", "[0,1,2]"),
    ("[range(1; .)]", "3", "[1,2]"),
    ("[range(0; .; 0.5)]", "1", "[0,0.5]"),
    ("[range(3; 0; -1)]", "1", "[3,2,1]"),
    ("[range(0; 1; 0)]", "1", "[]"),
    ("[range(.)]", "null", "error: range: null is not a number"),
];

const TEXT: &[(&str, &str, &str)] = &[
    ("ascii_downcase", r#""ABÉ""#, r#""abÉ""#),
    ("ascii_downcase", "null", "error: ascii_downcase: null is not a string"),
    (r#"(.name // "") | ascii_downcase"#, "{}", r#""""#),
    ("ascii_upcase", r#""ab""#, r#""AB""#),
    (r#"ltrimstr("a")"#, r#""aab""#, r#""ab""#),
    (r#"rtrimstr("b")"#, r#""abb""#, r#""ab""#),
    (r#"trimstr("-")"#, r#""-a-""#, r#""a""#),
    (r#"ltrimstr("a")"#, "null", "error: ltrimstr: null is not a string"),
    ("trim", r#"" a ""#, r#""a""#),
    ("ltrim", r#"" a ""#, r#""a ""#),
    ("rtrim", r#"" a ""#, r#"" a""#),
    (r#"startswith("a")"#, r#""ab""#, "true"),
    (r#"endswith("a")"#, r#""ab""#, "false"),
    (r#"split(", ")"#, r#""a, b""#, r#"["a","b"]"#),
    (r#"split("")"#, r#""aé""#, r#"["a","é"]"#),
    (r#"split(", *"; null)"#, r#""a,b,  c""#, r#"["a","b","c"]"#),
    (r#"[splits(", *")]"#, r#""a,b""#, r#"["a","b"]"#),
    (r#"[splits("X"; "i")]"#, r#""axb""#, r#"["a","b"]"#),
    (r#"test("^a\\d+$")"#, r#""a12""#, "true"),
    (r#"test("A"; "i")"#, r#""a12""#, "true"),
    (
        r#"match("(?<d>\\d)(x)?")"#,
        r#""é1""#,
        r#"{"offset":1,"length":1,"string":"1","captures":[{"offset":1,"length":1,"string":"1","name":"d"},{"offset":-1,"length":0,"string":null,"name":null}]}"#,
    ),
    (r#"[match("a"; "g").offset]"#, r#""aba""#, "[0,2]"),
    (r#"capture("(?<y>\\d+)-(?<m>\\d+)")"#, r#""2013-01""#, r#"{"y":"2013","m":"01"}"#),
    (r#"[capture("(?<d>\\d)"; "g").d]"#, r#""1a2""#, r#"["1","2"]"#),
    (r#"[scan("\\d")]"#, r#""1a2""#, r#"["1","2"]"#),
    (r#"[scan("([a-z])(\\d)")]"#, r#""a1b2""#, r#"[["a","1"],["b","2"]]"#),
    (r#"[scan("B"; "i")]"#, r#""ab""#, r#"["b"]"#),
    (r#"sub("a"; "x")"#, r#""aba""#, r#""xba""#),
    (r#"sub("(?<c>[a-z])"; "<\(.c)>"; "g")"#, r#""ab""#, r#""<a><b>""#),
    (r#"gsub("\\s+"; " ")"#, r#""a  b \n c""#, r#""a b c""#),
    (r#"gsub("A"; "x"; "i")"#, r#""aba""#, r#""xbx""#),
    (r#"[sub("a"; "x", "y")]"#, r#""ab""#, r#"["xb","yb"]"#),
    (r#"gsub(""; "-")"#, r#""ab""#, r#""-a-b-""#),
    (r#"sub("a"; 1)"#, r#""ab""#, "error: sub: 1 is not a string"),
    (
        r#"test("a"; "q" + "")"#,
        r#""ab""#,
        "error: test: unknown flag `q`: the flags are g, i, n, p, s and x",
    ),
    ("explode", r#""aé""#, "[97,233]"),
    ("implode", "[97,233]", r#""aé""#),
    ("implode", "[55296]", "error: implode: 55296 is not a character"),
    ("utf8bytelength", r#""é""#, "2"),
    ("@text", "[1]", r#""[1]""#),
    ("@json", r#""a""#, r#""\"a\"""#),
    (r#"@json "v: \(.)""#, r#""a""#, r#""v: \"a\"""#),
    ("@uri", r#""a b/é""#, r#""a%20b%2F%C3%A9""#),
    (r#"@uri "q=\(.)""#, r#""a b""#, r#""q=a%20b""#),
    ("@base64", r#""ab""#, r#""YWI=""#),
    ("@base64d", r#""YWI=""#, r#""ab""#),
    ("@base64d", r#""/w==""#, r#"error: @base64d: "/w==" does not decode to UTF-8"#),
    ("@base64d", r#""?""#, r#"error: @base64d: "?" is not base64"#),
    (r#""a\(1 + 1)b\(.)""#, "[1]", r#""a2b[1]""#),
    ("{a: .}", r#""q\"\\\u0000\u007f\n""#, "{\"a\":\"q\\\"\\\\\\u0000\\u007f\\n\"}"),
];

const NUMBERS: &[(&str, &str, &str)] = &[
    (". * 0.19 | round(2)", "12.50", "2.38"),
    (". * 3", "0.1", "0.3"),
    (". + 0.2", "0.1", "0.3"),
    (". - 0.9", "1", "0.1"),
    (". / 4", "10", "2.5"),
    (". / 3", "1", "0.3333333333333333"),
    (". / 0", "1", "error: 1 / 0: division by zero"),
    (". % 0", "1", "error: 1 % 0: division by zero"),
    (". % 3", "-7", "-1"),
    (". % 0.4", "1", "0.2"),
    ("-.", "1.50", "-1.5"),
    (". == 1", "1.0", "true"),
    (". == 100", "1e2", "true"),
    (". < 9007199254740993", "9007199254740992", "true"),
    (".", "1.50", "1.50"),
    ("[., . + 0]", "1.50", "[1.50,1.5]"),
    ("[., . + 0]", "12345678901234567890.5", "[12345678901234567890.5,12345678901234567890.5]"),
    (". * .", "9223372036854775807", "85070591730234615847396907784232501249"),
    (". * .", "1e37", "1e74"),
    (
        ". * .",
        "12345678901234567890.12345",
        "error: 12345678901234567890.12345 * 12345678901234567890.12345: the result has more than 38 digits",
    ),
    (". + 1", "1e999999999", "error: 1e999999999 + 1: the result has more than 38 digits"),
    (".", "1e999999999", "1e999999999"),
    (". > 1", "1e999999999", "true"),
    ("[.[] | floor]", "[1.5,-1.5,2]", "[1,-2,2]"),
    ("[.[] | ceil]", "[1.5,-1.5,2]", "[2,-1,2]"),
    ("[.[] | round]", "[1.5,2.5,-1.5,1.4]", "[2,3,-2,1]"),
    ("[.[] | round(1)]", "[1.25,-1.25,0.04]", "[1.3,-1.3,0]"),
    ("round(-2)", "1250", "1300"),
    ("[.[] | trunc]", "[1.5,-1.5]", "[1,-1]"),
    ("abs", "-1.50", "1.5"),
    ("abs", "null", "error: abs: null is not a number"),
    ("sqrt", "2", "1.4142135623730951"),
    ("sqrt", "-1", "error: sqrt of -1: the result is not a finite number"),
    ("pow(.; 10)", "2", "1024"),
    ("pow(10; .)", "400", "error: pow of 10 and 400: the result is not a finite number"),
    ("log", "1", "0"),
    ("log", "0", "error: log of 0: the result is not a finite number"),
    ("log2", "8", "3"),
    ("log10", "1000", "3"),
    ("exp", "0", "1"),
    ("exp2", "3", "8"),
    ("exp10", "2", "100"),
    ("[sin, cos, tan]", "0", "[0,1,0]"),
    ("[asin, acos, atan]", "1", "[1.5707963267948966,0,0.7853981633974483]"),
    ("atan2(.; 1)", "1", "0.7853981633974483"),
    ("[.[] * 1]", "[1e-5,1e-7,1e40,0.000123,-0]", "[0.00001,1e-7,1e40,0.000123,0]"),
];

const TIMES: &[(&str, &str, &str)] = &[
    ("fromdate", r#""2015-03-05T23:51:47Z""#, "1425599507"),
    ("fromdateiso8601", r#""2015-03-05T23:51:47.25+01:00""#, "1425595907.25"),
    ("fromdate", r#""2015-03-05""#, r#"error: fromdate: "2015-03-05" is not an RFC 3339 time"#),
    ("todate", "1425599507", r#""2015-03-05T23:51:47Z""#),
    ("todateiso8601", "1425599507.25", r#""2015-03-05T23:51:47.250000Z""#),
    ("todate", "1e20", "error: todate: 1e20 is not a time within the years 1 to 9999"),
    ("gmtime", "1425599507.25", "[2015,2,5,23,51,47.25,4,63]"),
    ("gmtime | mktime", "1425599507", "1425599507"),
    (
        "mktime",
        "[2015,13,1,0,0,0]",
        "error: mktime: [2015,13,1,0,0,0] is not a broken down time: [year, month from 0, day, hour, minute, second]",
    ),
    (r#"strftime("%A %d %B %Y")"#, "1425599507", r#""Thursday 05 March 2015""#),
    (r#"gmtime | strftime("%Y-%m-%dT%H:%M:%SZ")"#, "1425599507", r#""2015-03-05T23:51:47Z""#),
    (r#"strptime("%Y-%m-%dT%H:%M:%SZ")"#, r#""2015-03-05T23:51:47Z""#, "[2015,2,5,23,51,47,4,63]"),
    (r#"strptime("%d.%m.%Y %H:%M:%S") | mktime"#, r#""05.03.2015 23:51:47""#, "1425599507"),
    (
        r#"in_zone("Europe/Berlin")"#,
        r#""2013-07-01T22:30:00Z""#,
        r#""2013-07-02T00:30:00.000000+02:00""#,
    ),
    (
        r#"in_zone("America/New_York")"#,
        r#""2013-01-01T05:00:00.5Z""#,
        r#""2013-01-01T00:00:00.500000-05:00""#,
    ),
    (
        r#"in_zone("Mars/" + "Base")"#,
        r#""2013-01-01T05:00:00Z""#,
        r#"error: in_zone: "Mars/Base" is not a time zone"#,
    ),
    (
        r#"in_zone("Europe/Berlin")"#,
        r#""1800-01-01T00:00:00Z""#,
        r#""1800-01-01T00:53:00.000000+00:53""#,
    ),
];

const SYNTAX: &[(&str, &str, &str)] = &[
    (".a.b", "null", "null"),
    (".a.b", "{}", "null"),
    (".a", "1", r#"error: 1 is a number and has no member "a""#),
    (".a?", "1", "null"),
    (".[0]", r#""ab""#, r#"error: "ab" is a string and has no element 0"#),
    (r#".["a"]"#, "[1]", r#"error: [1] is an array and has no member "a""#),
    (".[1.5]", "[1]", "error: [1] is an array and has no element 1.5"),
    (".[5]", "[1]", "null"),
    (".[-1]", "[1,2]", "2"),
    (".[] | select(true)", "[1]", "1"),
    (".[] | select(true)", "[1,2]", "error: gave several values: 1, 2"),
    ("[.[]]", "1", "error: 1 is a number and has no elements"),
    ("[.[]]", "null", "error: null has no elements"),
    (".[1:]", "[1,2,3]", "[2,3]"),
    (".[:-1]", r#""aéb""#, r#""aé""#),
    (".[2:1]", "[1,2,3]", "[]"),
    (".[1:]", "null", "null"),
    ("first(..)", "1", "1"),
    ("[..]", "[[1]]", "[[[1]],[1],1]"),
    (".a // 1", r#"{"a":false}"#, "1"),
    (".a // .b // 3", r#"{"b":2}"#, "2"),
    ("if . > 1 then \"a\" elif . == 1 then \"b\" else \"c\" end", "1", r#""b""#),
    ("if . then 1 end", "false", "false"),
    ("[.[] as [$a, {b: $c}] | $a + $c]", r#"[[1,{"b":2}]]"#, "[3]"),
    ("reduce .[] as $i (0; . + $i)", "[1,2,3]", "6"),
    ("[foreach .[] as $i (0; . + $i)]", "[1,2,3]", "[1,3,6]"),
    ("[foreach .[] as $i (0; . + $i; [$i, .])]", "[1,2]", "[[1,1],[2,3]]"),
    ("try error(\"x\") catch .", "1", r#""x""#),
    ("[.[] | tonumber?]", r#"["1","a"]"#, "[1]"),
    ("{a, b: 2, \"c d\": 3, (.k): 4}", r#"{"a":1,"k":"e"}"#, r#"{"a":1,"b":2,"c d":3,"e":4}"#),
    ("{a: 1} * {a: {b: 2}} * {a: {c: 3}}", "1", r#"{"a":{"b":2,"c":3}}"#),
    ("{a: 1} + {a: 2, b: 3}", "1", r#"{"a":2,"b":3}"#),
    ("{(.): 1}", "1", "error: a key is a string, and 1 is a number"),
    ("[1,2] - [2.0]", "1", "[1]"),
    (r#""ab" * ."#, "2", r#""abab""#),
    (r#""ab" * ."#, "0", "null"),
    (r#""a,b" / ",""#, "0", r#"["a","b"]"#),
    ("{} < []", "0", "false"),
    (r#"{"a":2} < {"b":1}"#, "0", "true"),
    (r#"{"a":1,"b":2} == {"b":2,"a":1.0}"#, "0", "true"),
    (".a = 1", r#"{"b":2}"#, r#"{"b":2,"a":1}"#),
    (".a |= . + 1", r#"{"a":2}"#, r#"{"a":3}"#),
    (".a += 0.1", r#"{"a":0.2}"#, r#"{"a":0.3}"#),
    (".a //= 1", r#"{"a":null}"#, r#"{"a":1}"#),
    (".[2] = 1", "null", "[null,null,1]"),
    (".[1:] = [9]", "[1,2,3]", "[1,9]"),
    (".[] += 1", "[1,2]", "[2,3]"),
    (".a[1:] |= map(. + 1)", r#"{"a":[1,2]}"#, r#"{"a":[1,3]}"#),
    (".[-3] = 1", "[1]", "error: index -3 is before the start of an array of 1"),
    (".a.b.c = 1", "null", r#"{"a":{"b":{"c":1}}}"#),
    ("(.a, .b) = 1", "null", r#"{"a":1,"b":1}"#),
];

#[test]
fn of_any_value() {
    check(ANY);
}

#[test]
fn of_arrays() {
    check(ARRAYS);
}

#[test]
fn of_text() {
    check(TEXT);
}

#[test]
fn of_numbers() {
    check(NUMBERS);
}

#[test]
fn of_time() {
    check(TIMES);
}

#[test]
fn of_syntax() {
    check(SYNTAX);
}

#[test]
fn every_name_has_an_example() {
    let examples: Vec<_> = [ANY, ARRAYS, TEXT, NUMBERS, TIMES].concat();
    let words = |text: &str| -> Vec<String> {
        text.split(|char: char| !(char.is_ascii_alphanumeric() || "_@".contains(char)))
            .map(str::to_owned)
            .collect()
    };
    let used: std::collections::HashSet<String> =
        examples.iter().flat_map(|(expression, ..)| words(expression)).collect();
    let unused: Vec<_> = names::ALLOWED.iter().filter(|(name, _)| !used.contains(*name)).collect();
    assert!(unused.is_empty(), "without an example: {unused:?}");
}
