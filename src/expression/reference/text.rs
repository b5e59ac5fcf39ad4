//! Functions of text.

use super::{Area, Entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(&["ascii_downcase"], "ascii_downcase", "A to Z in lower case; other letters stay.", [".data.email | ascii_downcase", r#"{"email":"Ada@Example.org"}"#, r#""ada@example.org""#]),
    entry(&["ascii_upcase"], "ascii_upcase", "a to z in upper case; other letters stay.", [".data.code | ascii_upcase", r#"{"code":"de"}"#, r#""DE""#]),
    entry(&["ltrimstr(prefix)"], "ltrimstr", "Without the prefix, if it has it.", [r#".data.id | ltrimstr("order-")"#, r#"{"id":"order-7"}"#, r#""7""#]).differs("The input must be a string: jq before 1.8 passes on anything else."),
    entry(&["rtrimstr(suffix)"], "rtrimstr", "Without the suffix, if it has it.", [r#".data.file | rtrimstr(".json")"#, r#"{"file":"a.json"}"#, r#""a""#]).differs("The input must be a string: jq before 1.8 passes on anything else."),
    entry(&["trimstr(text)"], "trimstr", "Without the text at both ends.", [r#".data | trimstr("-")"#, r#""-a-""#, r#""a""#]),
    entry(&["trim"], "trim", "Without white space at both ends.", [".data.name | trim", r#"{"name":" Ada "}"#, r#""Ada""#]),
    entry(&["ltrim"], "ltrim", "Without white space at the start.", [".data | ltrim", r#"" a ""#, r#""a ""#]),
    entry(&["rtrim"], "rtrim", "Without white space at the end.", [".data | rtrim", r#"" a ""#, r#"" a""#]),
    entry(&["startswith(prefix)"], "startswith", "Whether a string starts so.", [r#".data.sku | startswith("A-")"#, r#"{"sku":"A-1"}"#, "true"]),
    entry(&["endswith(suffix)"], "endswith", "Whether a string ends so.", [r#".data.email | endswith(".org")"#, r#"{"email":"a@b.org"}"#, "true"]),
    entry(&["split(separator)", "split(pattern; flags)"], "split", "The parts of a string between separators, or between matches of a pattern.", [r#".data.name | split(" ") | .[0]"#, r#"{"name":"Ada Lovelace"}"#, r#""Ada""#]),
    entry(&["splits(pattern)", "splits(pattern; flags)"], "splits", "The parts between matches of a pattern, as several values.", [r#"[.data | splits(", *")]"#, r#""a,b, c""#, r#"["a","b","c"]"#]),
    entry(&["test(pattern)", "test(pattern; flags)"], "test", "Whether a pattern matches somewhere.", [r#".data.zip | test("^[0-9]{5}$")"#, r#"{"zip":"53113"}"#, "true"]).differs("Patterns are those of RE2 and Rust: linear in the text, so without look-around and back-references. Flags: `g` all matches, `i` either case, `x` with white space and comments, `s` the dot matches a newline, `n` no empty matches, `p` both. No `l`, no `m`, and no array of pattern and flags."),
    entry(&["match(pattern)", "match(pattern; flags)"], "match", "Where a pattern matches: offset, length, string, captures.", [r#".data | match("b+") | [.offset, .length, .string]"#, r#""abbc""#, r#"[1,2,"bb"]"#]).differs("See `test`."),
    entry(&["capture(pattern)", "capture(pattern; flags)"], "capture", "The named groups of a match as an object.", [r#".data.ref | capture("(?<year>[0-9]+)-(?<number>[0-9]+)")"#, r#"{"ref":"2013-17"}"#, r#"{"year":"2013","number":"17"}"#]).differs("See `test`."),
    entry(&["scan(pattern)", "scan(pattern; flags)"], "scan", "Every match, or its groups if it has any.", [r#"[.data | scan("[0-9]+")]"#, r#""1 and 23""#, r#"["1","23"]"#]).differs("See `test`."),
    entry(&["sub(pattern; text)", "sub(pattern; text; flags)"], "sub", "The first match replaced; the text sees the named groups.", [r#".data | sub("(?<first>[a-z]+) (?<second>[a-z]+)"; "\(.second) \(.first)")"#, r#""ada lovelace""#, r#""lovelace ada""#]).differs("See `test`."),
    entry(&["gsub(pattern; text)", "gsub(pattern; text; flags)"], "gsub", "Every match replaced.", [r#".data.phone | gsub("[^0-9]"; "")"#, r#"{"phone":"+49 228/1"}"#, r#""492281""#]).differs("See `test`."),
    entry(&["explode"], "explode", "The code points of a string.", [".data | explode", r#""aé""#, "[97,233]"]),
    entry(&["implode"], "implode", "The string of code points.", [".data | implode", "[97,233]", r#""aé""#]).differs("What is no character is an error."),
    entry(&["utf8bytelength"], "utf8bytelength", "The bytes of a string in UTF-8.", [".data | utf8bytelength", r#""é""#, "2"]),
    entry(&["@text", r#"@text "... \(value) ...""#], "@text", "As `tostring`.", [".data.items | @text", r#"{"items":[1]}"#, r#""[1]""#]),
    entry(&["@json", r#"@json "... \(value) ...""#], "@json", "As `tojson`; before a string, each value in it becomes JSON.", [r#"@json "name: \(.data.name)""#, r#"{"name":"Ada"}"#, r#""name: \"Ada\"""#]),
    entry(&["@uri", r#"@uri "... \(value) ...""#], "@uri", "Escaped for a URL.", [r#"@uri "/search?q=\(.data.q)""#, r#"{"q":"a b"}"#, r#""/search?q=a%20b""#]),
    entry(&["@base64", r#"@base64 "... \(value) ...""#], "@base64", "The bytes of a string in base64.", [".data | @base64", r#""ab""#, r#""YWI=""#]),
    entry(&["@base64d"], "@base64d", "The string that base64 stands for.", [".data | @base64d", r#""YWI=""#, r#""ab""#]).differs("What is not base64, or does not decode to UTF-8, is an error."),
];

const fn entry(
    usage: &'static [&'static str],
    name: &'static str,
    meaning: &'static str,
    example: [&'static str; 3],
) -> Entry {
    Entry::new(Area::Text, usage, name, meaning, example)
}
