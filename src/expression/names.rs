//! The names that an expression may use: the allow list of the definition language, and nothing else.

use crate::diagnostic::nearest;

/// A name and the numbers of arguments that it takes.
pub(super) type Name = (&'static str, &'static [usize]);

/// Every name. What jaq brings besides, no expression can reach.
pub(super) const ALLOWED: &[Name] = &[
    // Constants, which are filters to jaq.
    ("true", &[0]),
    ("false", &[0]),
    ("null", &[0]),
    // Any value.
    ("type", &[0]),
    ("length", &[0]),
    ("not", &[0]),
    ("empty", &[0]),
    ("error", &[0, 1]),
    ("select", &[1]),
    ("has", &[1]),
    ("in", &[1]),
    ("contains", &[1]),
    ("inside", &[1]),
    ("any", &[0, 1, 2]),
    ("all", &[0, 1, 2]),
    ("isempty", &[1]),
    ("IN", &[1, 2]),
    ("tostring", &[0]),
    ("tojson", &[0]),
    ("fromjson", &[0]),
    ("tonumber", &[0]),
    ("toboolean", &[0]),
    ("values", &[0]),
    ("nulls", &[0]),
    ("booleans", &[0]),
    ("numbers", &[0]),
    ("strings", &[0]),
    ("arrays", &[0]),
    ("objects", &[0]),
    ("iterables", &[0]),
    ("scalars", &[0]),
    ("first", &[0, 1]),
    ("last", &[0, 1]),
    ("nth", &[1, 2]),
    ("limit", &[2]),
    ("skip", &[2]),
    ("path", &[1]),
    ("paths", &[0, 1]),
    ("getpath", &[1]),
    ("setpath", &[2]),
    ("delpaths", &[1]),
    ("del", &[1]),
    ("pick", &[1]),
    ("walk", &[1]),
    ("to_entries", &[0]),
    ("from_entries", &[0]),
    ("with_entries", &[1]),
    ("keys", &[0]),
    ("keys_unsorted", &[0]),
    ("map", &[1]),
    ("map_values", &[1]),
    // Arrays.
    ("add", &[0, 1]),
    ("sort", &[0]),
    ("sort_by", &[1]),
    ("group_by", &[1]),
    ("unique", &[0]),
    ("unique_by", &[1]),
    ("min", &[0]),
    ("max", &[0]),
    ("min_by", &[1]),
    ("max_by", &[1]),
    ("reverse", &[0]),
    ("flatten", &[0, 1]),
    ("transpose", &[0]),
    ("join", &[1]),
    ("index", &[1]),
    ("rindex", &[1]),
    ("indices", &[1]),
    ("bsearch", &[1]),
    ("range", &[1, 2, 3]),
    ("toarray", &[0]),
    // Text.
    ("ascii_downcase", &[0]),
    ("ascii_upcase", &[0]),
    ("ltrimstr", &[1]),
    ("rtrimstr", &[1]),
    ("trimstr", &[1]),
    ("trim", &[0]),
    ("ltrim", &[0]),
    ("rtrim", &[0]),
    ("startswith", &[1]),
    ("endswith", &[1]),
    ("split", &[1, 2]),
    ("splits", &[1, 2]),
    ("test", &[1, 2]),
    ("match", &[1, 2]),
    ("capture", &[1, 2]),
    ("scan", &[1, 2]),
    ("sub", &[2, 3]),
    ("gsub", &[2, 3]),
    ("explode", &[0]),
    ("implode", &[0]),
    ("utf8bytelength", &[0]),
    ("@text", &[0]),
    ("@json", &[0]),
    ("@uri", &[0]),
    ("@base64", &[0]),
    ("@base64d", &[0]),
    // Numbers.
    ("floor", &[0]),
    ("ceil", &[0]),
    ("round", &[0, 1]),
    ("trunc", &[0]),
    ("abs", &[0]),
    ("sqrt", &[0]),
    ("pow", &[2]),
    ("log", &[0]),
    ("log2", &[0]),
    ("log10", &[0]),
    ("exp", &[0]),
    ("exp2", &[0]),
    ("exp10", &[0]),
    ("sin", &[0]),
    ("cos", &[0]),
    ("tan", &[0]),
    ("asin", &[0]),
    ("acos", &[0]),
    ("atan", &[0]),
    ("atan2", &[2]),
    // Time.
    ("fromdate", &[0]),
    ("todate", &[0]),
    ("fromdateiso8601", &[0]),
    ("todateiso8601", &[0]),
    ("strftime", &[1]),
    ("strptime", &[1]),
    ("gmtime", &[0]),
    ("mktime", &[0]),
    ("in_zone", &[1]),
];

/// Names of jq's that people reach for, and what to do instead.
const MISSING: &[(&[&str], &str)] = &[
    (
        &["now", "localtime", "strflocaltime", "today", "dateadd", "datesub", "date"],
        "expressions know no clock and no time zone of the machine: use `.time` or `.stored_at`, and `in_zone(\"Europe/Berlin\")`",
    ),
    (
        &["env", "input_filename", "get_search_list", "modulemeta"],
        "expressions know no environment",
    ),
    (
        &["input", "inputs", "debug", "stderr", "halt", "halt_error", "input_line_number"],
        "an expression sees one event, and gives a value",
    ),
    (&["recurse", "recurse_down"], "`..` gives every value inside, `walk(f)` changes them"),
    (
        &["until", "while", "repeat", "combinations"],
        "use `range`, `limit`, `reduce` or `foreach`, which end",
    ),
    (
        &[
            "nan",
            "infinite",
            "isnan",
            "isinfinite",
            "isnormal",
            "isvalid",
            "finites",
            "normals",
            "significand",
        ],
        "every number is finite: a division by zero is an error of the event",
    ),
    (&["tostream", "fromstream", "truncate_stream"], "streams are not part of the language"),
    (
        &["@csv", "@tsv", "@html", "@sh", "@base32", "@base32d"],
        "the formats are @text, @json, @uri, @base64 and @base64d",
    ),
    (&["lower", "lowercase", "downcase", "tolower", "toLowerCase"], "`ascii_downcase`"),
    (&["upper", "uppercase", "upcase", "toupper", "toUpperCase"], "`ascii_upcase`"),
    (
        &["ascii"],
        "`ascii_downcase` and `ascii_upcase` change the case, `implode` makes text of numbers",
    ),
    (&["count", "len", "size", "char_length", "cardinality"], "`length`"),
    (&["sum"], "`add`"),
    (&["avg", "mean"], "`add / length`"),
    (
        &["cast", "int", "integer", "float", "number", "parseInt", "parseFloat", "to_number"],
        "`tonumber`; the type of a column converts by itself",
    ),
    (&["str", "string", "to_string", "to_char"], "`tostring`, or `\"\\(.data.x)\"`"),
    (&["replace", "regexp_replace"], "`gsub(\"a\"; \"b\")`, by a pattern"),
    (&["exists"], "`!= null`"),
    (&["iif", "iff", "nullif", "decode", "switch"], "`if ... then ... else ... end`"),
    (&["parse_json", "json"], "`fromjson`"),
    (&["mod"], "`%`"),
    (&["filter"], "`map(select(...))`"),
    (&["find"], "`first(.data.items[] | select(...))`"),
    (&["some", "every"], "`any(...)` and `all(...)`"),
    (&["includes"], "`contains(\"...\")`, or `index(...) != null` for an element"),
    (
        &["getdate", "current_timestamp", "current_date", "sysdate"],
        "expressions know no clock: use `.time` or `.stored_at`",
    ),
    (
        &["date_trunc", "to_date", "date_format"],
        "a `date` column takes the date of a time by itself, `.time[0:7]` is its month",
    ),
    (
        &["uuid", "random", "rand", "newid"],
        "the same events give the same rows: nothing is random; the event's own id is `.id`",
    ),
    (&["concat"], "`+` joins strings and arrays, `join(\", \")` the elements of an array"),
    (&["coalesce", "ifnull", "nvl", "default"], "`//`, as in `.data.name // \"none\"`"),
    (&["substr", "substring"], "a slice, as in `.data.name[0:3]`"),
    (&["is_null", "isnull"], "`. == null`"),
    (&["None", "nil", "null", "undefined"], "write `null`"),
    (&["true"], "write `true`"),
    (&["false"], "write `false`"),
];

/// What is wrong with a call, if anything: the message and a hint.
pub(super) fn refuse(name: &str, arguments: usize) -> Option<(String, Option<String>)> {
    let Some((_, arities)) = ALLOWED.iter().find(|(known, _)| *known == name) else {
        return Some(unknown(name));
    };
    if arities.contains(&arguments) {
        return None;
    }
    let message = format!("`{name}` takes {}, not {arguments}", counts(arities));
    let hint = match (arguments, arities[0]) {
        (0, 1) => Some(format!("write `{name}(...)`")),
        (0, _) => Some(format!("write `{name}(...; ...)`")),
        _ => Some("arguments are separated by `;`".to_owned()),
    };
    Some((message, hint))
}

fn unknown(name: &str) -> (String, Option<String>) {
    let message = format!("unknown function `{name}`");
    let missing =
        |(names, _): &&(&[&str], &str)| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    if let Some((_, instead)) = MISSING.iter().find(missing) {
        return (format!("`{name}` is not available"), Some((*instead).to_owned()));
    }
    let known = ALLOWED.iter().map(|(name, _)| *name).chain([super::lookup::NAME]);
    let meant = nearest(name, known).filter(|known| is_near(name, known));
    (message, meant.map(|known| format!("did you mean `{known}`?")))
}

/// Whether one name is a slip of the pen away from another; short words are near to many.
pub(super) fn is_near(name: &str, known: &str) -> bool {
    let distance = strsim::damerau_levenshtein(&name.to_lowercase(), known);
    distance <= if known.len() < 6 { 1 } else { 2 }
}

/// What to do instead of a name that people reach for and that does not exist, in whatever case they write it.
pub(super) fn instead(name: &str) -> Option<&'static str> {
    let of_name =
        |(names, _): &&(&[&str], &str)| names.iter().any(|known| known.eq_ignore_ascii_case(name));
    MISSING.iter().find(of_name).map(|(_, instead)| *instead)
}

/// The function that does what a name of another language does, if it is one.
pub(super) fn equivalent(name: &str) -> Option<&'static str> {
    let function = instead(name)?.strip_prefix('`')?.strip_suffix('`')?;
    is_allowed(function).then_some(function)
}

fn counts(arities: &[usize]) -> String {
    let words: Vec<_> = arities.iter().map(usize::to_string).collect();
    match arities {
        [0] => "no arguments".to_owned(),
        [1] => "1 argument".to_owned(),
        _ => format!("{} arguments", words.join(" or ")),
    }
}

pub(super) fn is_allowed(name: &str) -> bool {
    ALLOWED.iter().any(|(known, _)| *known == name)
}
