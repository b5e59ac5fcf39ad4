//! The messages, and what must become of each.

use rusqlite::types::Value;

/// Of the daemon under test.
pub const EVENT_BYTES_MAX: usize = 900_000;

pub const DEFINITION: &str = r#"
source = "bad"

[tables.rows]
key = ["id"]
columns.id     = "integer"
columns.n      = "integer"
columns.amount = "decimal(2)"
columns.real   = "real"
columns.flag   = "boolean"
columns.text   = "text"
columns.at     = "timestamp"
columns.day    = "date"
columns.any    = "json"
columns.blob   = "bytes"

[tables.sums]
key = ["id"]
columns.id  = "integer"
columns.sum = "integer"

[tables.strict]
key = ["id"]
columns.id   = "integer"
columns.name = { type = "text", required = true }

[[on]]
event  = "Put"
upsert = "rows"
key.id     = ".data.id"
set.n      = ".data.n"
set.amount = ".data.amount"
set.real   = ".data.real"
set.flag   = ".data.flag"
set.text   = ".data.text"
set.at     = ".data.at"
set.day    = ".data.day"
set.any    = ".data.any"
set.blob   = ".data.blob"

[[on]]
event  = "Sum"
upsert = "sums"
key.id  = ".data.id"
add.sum = ".data.n"

[[on]]
event  = "Strict"
upsert = "strict"
key.id   = ".data.id"
set.name = ".data.name"

[[on]]
event = "Number"
upsert = "rows"
key.id = ".data.id"
set.n  = ".data.text | tonumber"

[[on]]
event = "Parsed"
upsert = "rows"
key.id = ".data.id"
set.n  = ".data.text | fromjson | length"

[[on]]
event = "Reduced"
upsert = "rows"
key.id = ".data.id"
set.n  = "reduce .data.numbers[] as $number (0; . + $number)"

[[on]]
event = "Ranged"
upsert = "rows"
key.id = ".data.id"
set.n  = "[range(0; .data.n)] | length"

[[on]]
event = "Divided"
upsert = "rows"
key.id   = ".data.id"
set.real = ".data.n / .data.by"

[[on]]
event = "Several"
upsert = "rows"
key.id = ".data.id"
set.n  = ".data.numbers[] | select(. != null)"

[[on]]
event = "Matched"
upsert = "rows"
key.id   = ".data.id"
set.flag = '.data.text | test("^(a+)+$")'

[[on]]
event = "Lowered"
upsert = "rows"
key.id   = ".data.id"
set.text = ".data.text | ascii_downcase"
"#;

/// What must become of a message.
pub enum Fate {
    /// A dead letter with each of these in its reason.
    Dead(&'static [&'static str]),
    /// A cell of the row `id` is this: table, column, value.
    Row(&'static str, &'static str, Value),
    /// No handler takes it.
    Ignored,
}

pub struct Case {
    pub name: &'static str,
    pub headers: &'static [(&'static str, &'static str)],
    /// The last token of the subject.
    pub token: &'static str,
    pub payload: Vec<u8>,
    /// The row that it is to be found in.
    pub id: i64,
    pub fate: Fate,
}

/// A message of type `Put` with these members of `data` besides the id.
fn put(name: &'static str, id: i64, members: &str, fate: Fate) -> Case {
    event(name, "Put", id, members, fate)
}

fn event(name: &'static str, type_name: &str, id: i64, members: &str, fate: Fate) -> Case {
    let comma = if members.is_empty() { "" } else { "," };
    raw(
        name,
        id,
        format!("{{\"type\":\"{type_name}\",\"data\":{{\"id\":{id}{comma}{members}}}}}"),
        fate,
    )
}

fn raw(name: &'static str, id: i64, payload: impl Into<Vec<u8>>, fate: Fate) -> Case {
    Case { name, headers: &[], token: "Put", payload: payload.into(), id, fate }
}

fn integer(column: &'static str, value: i64) -> Fate {
    Fate::Row("rows", column, Value::Integer(value))
}

fn text(column: &'static str, value: &str) -> Fate {
    Fate::Row("rows", column, Value::Text(value.to_owned()))
}

/// What is no document at all.
pub fn undecodable() -> Vec<Case> {
    let dead = |name, payload: &[u8], reason| raw(name, 0, payload, Fate::Dead(reason));
    let deep = |brackets: usize| {
        format!(
            "{{\"type\":\"Put\",\"data\":{{\"id\":1,\"any\":{}{}}}}}",
            "[".repeat(brackets),
            "]".repeat(brackets)
        )
    };
    let mut cases = vec![
        dead("not JSON", b"nonsense", &["decode", "not JSON", "byte"]),
        dead("cut off", b"{\"type\":\"Put\",\"data\":{\"id\":1", &["decode", "not JSON", "byte"]),
        dead("two documents", b"{} {}", &["decode", "not JSON"]),
        dead("white space alone", b" \n ", &["decode", "not JSON"]),
        dead("comment", b"{\"a\":1/*x*/}", &["decode", "not JSON"]),
        dead("trailing comma", b"{\"a\":[1,]}", &["decode", "not JSON"]),
        dead("leading zero", b"{\"a\":01}", &["decode", "not JSON"]),
        dead("plus sign", b"{\"a\":+1}", &["decode", "not JSON"]),
        dead("NaN", b"{\"a\":NaN}", &["decode", "not JSON"]),
        dead("hexadecimal", b"{\"a\":0x10}", &["decode", "not JSON"]),
        dead("single quotes", b"{'a':1}", &["decode", "not JSON"]),
        dead("line feed in a string", b"{\"a\":\"x\ny\"}", &["decode", "not JSON"]),
        dead("byte order mark", b"\xef\xbb\xbf{}", &["decode", "not JSON"]),
        dead(
            "invalid UTF-8",
            b"{\"type\":\"Put\",\"data\":{\"id\":1,\"text\":\"\xff\"}}",
            &["decode", "UTF-8 at byte 37"],
        ),
        dead("overlong UTF-8", b"{\"a\":\"\xc0\xaf\"}", &["decode", "UTF-8 at byte 6"]),
        dead("lone high surrogate", br#"{"a":"\ud800"}"#, &["decode", "surrogate"]),
        dead("lone low surrogate", br#"{"a":"\udc00x"}"#, &["decode", "surrogate"]),
        dead("reversed surrogates", br#"{"a":"\udc00\ud800"}"#, &["decode", "surrogate"]),
        dead("unknown escape", br#"{"a":"\x41"}"#, &["decode", "not JSON"]),
        dead(
            "nested 100,000 deep",
            deep(100_000).as_bytes(),
            &["decode", "nested deeper than 128"],
        ),
        dead("nested 129 deep", deep(127).as_bytes(), &["decode", "nested deeper than 128"]),
        dead(
            "100,000 open brackets",
            "[".repeat(100_000).as_bytes(),
            &["decode", "nested deeper than 128"],
        ),
        dead(
            "too large",
            &vec![b' '; EVENT_BYTES_MAX + 1],
            &["too_large", "900001 bytes", "event_bytes_max = 900000"],
        ),
        dead(
            "CloudEvent without an id",
            br#"{"specversion":"1.0","type":"Put","source":"/x"}"#,
            &["decode", "id"],
        ),
    ];
    cases.push(Case {
        headers: &[("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/x")],
        ..dead("binary CloudEvent without a type", b"{}", &["decode", "type"])
    });
    cases.push(Case {
        headers: &[("Content-Type", "application/cloudevents+json")],
        ..dead("CloudEvent that is an array", b"[]", &["decode", "CloudEvent"])
    });
    cases
}

/// Documents that break a rule of the definition.
pub fn rule_breaking() -> Vec<Case> {
    let dead = |name, type_name, members: &str, reason| {
        event(name, type_name, 1, members, Fate::Dead(reason))
    };
    let brackets = "[".repeat(100_000);
    let both = format!("{brackets}{}", "]".repeat(100_000));
    vec![
        dead(
            "text in an integer",
            "Put",
            "\"n\":\"abc\"",
            &["type", "projection `bad`", "`rows.n` (integer)", "`.data.n`", "abc", "sequence"],
        ),
        dead("fraction in an integer", "Put", "\"n\":1.5", &["type", "`rows.n` (integer)", "1.5"]),
        dead(
            "integer past 64 bits",
            "Put",
            "\"n\":9223372036854775808",
            &["type", "`rows.n` (integer)", "9223372036854775808"],
        ),
        dead(
            "huge exponent in an integer",
            "Put",
            "\"n\":1e999999999",
            &["type", "`rows.n` (integer)"],
        ),
        dead(
            "huge negative exponent",
            "Put",
            "\"n\":1e-999999999",
            &["type", "`rows.n` (integer)"],
        ),
        dead(
            "exponent past 64 bits",
            "Put",
            "\"n\":1e99999999999999999999999",
            &["type", "`rows.n` (integer)"],
        ),
        dead("real past its range", "Put", "\"real\":1e400", &["type", "`rows.real` (real)"]),
        dead("text in a real", "Put", "\"real\":\"1.5\"", &["type", "`rows.real` (real)"]),
        dead(
            "decimal with too many digits",
            "Put",
            "\"amount\":1.005",
            &["type", "`rows.amount` (decimal(2))", "round(2)"],
        ),
        dead(
            "huge exponent in a decimal",
            "Put",
            "\"amount\":1e999999999",
            &["type", "`rows.amount` (decimal(2))"],
        ),
        dead("number in a text", "Put", "\"text\":1", &["type", "`rows.text` (text)"]),
        dead("number in a boolean", "Put", "\"flag\":1", &["type", "`rows.flag` (boolean)"]),
        dead(
            "a day that is none",
            "Put",
            "\"day\":\"2013-02-30\"",
            &["type", "`rows.day` (date)", "2013-02-30"],
        ),
        dead(
            "a time without an offset",
            "Put",
            "\"at\":\"2013-01-01T00:00:00\"",
            &["type", "`rows.at` (timestamp)"],
        ),
        dead("no base64", "Put", "\"blob\":\"a\"", &["type", "`rows.blob` (bytes)"]),
        raw(
            "null key",
            0,
            r#"{"type":"Put","data":{"id":null}}"#,
            Fate::Dead(&["null_key", "`rows.id`", "`.data.id`"]),
        ),
        raw(
            "missing key",
            0,
            r#"{"type":"Put","data":{}}"#,
            Fate::Dead(&["null_key", "`rows.id`"]),
        ),
        raw(
            "object as a key",
            0,
            r#"{"type":"Put","data":{"id":{}}}"#,
            Fate::Dead(&["type", "`rows.id` (integer)"]),
        ),
        raw("a number as the body", 0, "42", Fate::Dead(&["expression", "`rows.id`", "42"])),
        raw("an array as the body", 0, "[1]", Fate::Dead(&["expression", "`rows.id`"])),
        raw("empty payload", 0, "", Fate::Dead(&["null_key", "`rows.id`"])),
        dead(
            "null in a required column",
            "Strict",
            "\"name\":null",
            &["required", "`strict.name`", "`.data.name`"],
        ),
        dead(
            "100,000 brackets through tonumber",
            "Number",
            &format!("\"text\":\"{brackets}\""),
            &["expression", "`rows.n`", "tonumber"],
        ),
        dead(
            "100,000 brackets through fromjson",
            "Parsed",
            &format!("\"text\":\"{both}\""),
            &["expression", "`rows.n`", "fromjson"],
        ),
        dead(
            "no number through tonumber",
            "Number",
            "\"text\":\" 1\"",
            &["expression", "tonumber"],
        ),
        dead(
            "a range without end",
            "Ranged",
            "\"n\":1e300",
            &["expression", "`rows.n`", "1000000 operations"],
        ),
        dead(
            "a long range",
            "Ranged",
            "\"n\":1000000000",
            &["expression", "`rows.n`", "1000000 operations"],
        ),
        dead(
            "division by zero",
            "Divided",
            "\"n\":1,\"by\":0",
            &["expression", "`rows.real`", "zero"],
        ),
        dead(
            "several outputs",
            "Several",
            "\"numbers\":[1,2]",
            &["expression", "`rows.n`", "several"],
        ),
        dead(
            "text of null",
            "Lowered",
            "",
            &["expression", "`rows.text`", "ascii_downcase", "null"],
        ),
    ]
}

/// What looks bad and is not, each with a row of its own.
pub fn applied() -> Vec<Case> {
    let numbers = vec!["1"; 200_000].join(",");
    let brackets = |count: usize| format!("{}{}", "[".repeat(count), "]".repeat(count));
    vec![
        raw(
            "repeated keys",
            101,
            r#"{"type":"x","type":"Put","data":{"id":0,"n":1,"id":101,"n":2}}"#,
            integer("n", 2),
        ),
        raw(
            "repeated data",
            102,
            r#"{"type":"Put","data":{"id":1},"data":{"id":102,"n":3}}"#,
            integer("n", 3),
        ),
        event(
            "an array of 200,000 numbers through reduce",
            "Reduced",
            103,
            &format!("\"numbers\":[{numbers}]"),
            integer("n", 200_000),
        ),
        put("integral in other clothes", 104, "\"n\":12.0e0", integer("n", 12)),
        put("integer in quotes", 105, "\"n\":\"1e2\"", integer("n", 100)),
        put("the largest integer", 106, "\"n\":9223372036854775807", integer("n", i64::MAX)),
        put("the smallest integer", 107, "\"n\":-9223372036854775808", integer("n", i64::MIN)),
        put("zero with a huge exponent", 108, "\"n\":0e999999999", integer("n", 0)),
        put("minus zero", 109, "\"real\":-0.0", Fate::Row("rows", "real", Value::Real(0.0))),
        put(
            "a number too small for a float",
            110,
            "\"real\":1e-400",
            Fate::Row("rows", "real", Value::Real(0.0)),
        ),
        put("NUL in a text", 111, "\"text\":\"a\\u0000b\"", text("text", "a\0b")),
        put("a surrogate pair", 112, "\"text\":\"\\ud83d\\ude00\"", text("text", "😀")),
        put(
            "names that are SQL",
            113,
            "\"text\":\"'; DROP TABLE rows; --\"",
            text("text", "'; DROP TABLE rows; --"),
        ),
        put(
            "a document 128 deep",
            114,
            &format!("\"any\":{}", brackets(126)),
            text("any", &brackets(126)),
        ),
        put(
            "a text of 800,000 bytes",
            115,
            &format!("\"text\":\"{}\"", "x".repeat(800_000)),
            text("text", &"x".repeat(800_000)),
        ),
        put(
            "a leap second is none, the last second is",
            116,
            "\"at\":\"2016-12-31T23:59:59Z\"",
            text("at", "2016-12-31T23:59:59.000000Z"),
        ),
        put(
            "a far offset",
            117,
            "\"day\":\"2013-01-01T23:00:00-05:00\"",
            text("day", "2013-01-02"),
        ),
        event(
            "no output is null",
            "Several",
            118,
            "\"numbers\":[]",
            Fate::Row("rows", "n", Value::Null),
        ),
        event(
            "a regular expression that others never finish",
            "Matched",
            119,
            &format!("\"text\":\"{}b\"", "a".repeat(50_000)),
            integer("flag", 0),
        ),
        Case { token: "Nothing", ..raw("empty payload that nobody takes", 0, "", Fate::Ignored) },
        raw("a type that nobody takes", 0, r#"{"type":"Unheard","data":{}}"#, Fate::Ignored),
    ]
}
