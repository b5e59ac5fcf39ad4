//! Functions of arrays.

use super::{Area, Entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(&["add", "add(values)"], "add", "The sum: of numbers exactly, of strings and arrays joined, of objects merged; null for none.", [".data.prices | add", r#"{"prices":[0.10,0.20]}"#, "0.3"]).differs("Sums of decimals are exact: jq gives `0.30000000000000004`."),
    entry(&["sort"], "sort", "Sorted: null, false, true, numbers, strings, arrays, objects.", [".data | sort", r#"[2,"b",1,"a",null]"#, r#"[null,1,2,"a","b"]"#]),
    entry(&["sort_by(key)"], "sort_by", "Sorted by what the key gives for each element; equal ones keep their order.", ["[.data | sort_by(.price)[] | .id]", r#"[{"id":1,"price":9},{"id":2,"price":5}]"#, "[2,1]"]),
    entry(&["group_by(key)"], "group_by", "Arrays of the elements with equal keys, sorted by the key.", [".data | group_by(.sku) | map({sku: .[0].sku, lines: length})", r#"[{"sku":"b"},{"sku":"a"},{"sku":"b"}]"#, r#"[{"sku":"a","lines":1},{"sku":"b","lines":2}]"#]),
    entry(&["unique"], "unique", "Sorted, each value once.", [".data | unique", r#"["b","a","b"]"#, r#"["a","b"]"#]),
    entry(&["unique_by(key)"], "unique_by", "The first element of each key, sorted by the key.", [".data | unique_by(length)", r#"["b","a","cc"]"#, r#"["b","cc"]"#]),
    entry(&["min"], "min", "The least element; null for none.", [".data | min", "[3,1,2]", "1"]),
    entry(&["max"], "max", "The greatest element, the last of equal ones; null for none.", [".data | max", "[3,1,2]", "3"]),
    entry(&["min_by(key)"], "min_by", "The element with the least key.", [".data | min_by(.price) | .id", r#"[{"id":1,"price":9},{"id":2,"price":5}]"#, "2"]),
    entry(&["max_by(key)"], "max_by", "The element with the greatest key.", [".data | max_by(.price) | .id", r#"[{"id":1,"price":9},{"id":2,"price":5}]"#, "1"]),
    entry(&["reverse"], "reverse", "An array or string backwards.", [".data | reverse", "[1,2,3]", "[3,2,1]"]),
    entry(&["flatten", "flatten(depth)"], "flatten", "Arrays inside the array replaced by their elements.", [".data | flatten", "[1,[2,[3]]]", "[1,2,3]"]),
    entry(&["transpose"], "transpose", "Rows and columns exchanged, short rows filled with null.", [".data | transpose", "[[1,2],[3]]", "[[1,3],[2,null]]"]),
    entry(&["join(separator)"], "join", "Strings, numbers and truth values as one string; null is an empty one.", [r#".data.tags | join(", ")"#, r#"{"tags":["a",1,null]}"#, r#""a, 1, ""#]),
    entry(&["index(part)"], "index", "Where the part is first: characters of a string, elements of an array; null if nowhere.", [r#".data.name | index("b")"#, r#"{"name":"éb b"}"#, "1"]).differs("Characters are counted; jq before 1.8 counts bytes."),
    entry(&["rindex(part)"], "rindex", "Where the part is last.", [r#".data.name | rindex("b")"#, r#"{"name":"éb b"}"#, "3"]).differs("Characters are counted; jq before 1.8 counts bytes."),
    entry(&["indices(part)"], "indices", "Every place where the part is, overlapping ones too.", [".data | indices(2)", "[1,2,3,2]", "[1,3]"]),
    entry(&["bsearch(value)"], "bsearch", "The index of a value in a sorted array, or -1 - n where it would be inserted at n.", [".data | bsearch(3)", "[1,3,5]", "1"]),
    entry(&["range(upto)", "range(from; upto)", "range(from; upto; by)"], "range", "Numbers from 0, or from a number, up to but without another.", ["[range(0; .data.n; 2)]", r#"{"n":6}"#, "[0,2,4]"]),
    entry(&["toarray"], "toarray", "An array as it is, any other value as an array of it.", [".data.tags | toarray", r#"{"tags":"new"}"#, r#"["new"]"#]),
];

const fn entry(
    usage: &'static [&'static str],
    name: &'static str,
    meaning: &'static str,
    example: [&'static str; 3],
) -> Entry {
    Entry::new(Area::Arrays, usage, name, meaning, example)
}
