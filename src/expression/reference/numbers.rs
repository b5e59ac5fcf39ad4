//! Functions of numbers.

use super::{Area, Entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(&["floor"], "floor", "The greatest whole number that is not greater.", [".data.n | floor", r#"{"n":-1.5}"#, "-2"]),
    entry(&["ceil"], "ceil", "The least whole number that is not less.", [".data.n | ceil", r#"{"n":-1.5}"#, "-1"]),
    entry(&["round", "round(digits)"], "round", "Rounded to a whole number, or to so many digits after the point; a half goes away from zero.", [".data.total * 0.19 | round(2)", r#"{"total":12.50}"#, "2.38"]).differs("`round(digits)` is viewd's own. It is exact: 2.375 is 2.38."),
    entry(&["trunc"], "trunc", "Without the digits after the point.", [".data.n | trunc", r#"{"n":-1.5}"#, "-1"]),
    entry(&["abs"], "abs", "Without its sign.", [".data.change | abs", r#"{"change":-2.5}"#, "2.5"]),
    entry(&["sqrt"], "sqrt", "The square root, a float.", [".data | sqrt", "2", "1.4142135623730951"]).differs("A negative input is an error."),
    entry(&["pow(base; exponent)"], "pow", "A power, a float.", ["pow(.data; 10)", "2", "1024"]).differs("What is not finite is an error."),
    entry(&["log"], "log", "The natural logarithm, a float.", [".data | log", "1", "0"]).differs("What is not finite is an error."),
    entry(&["log2"], "log2", "The logarithm to base 2, a float.", [".data | log2", "8", "3"]).differs("What is not finite is an error."),
    entry(&["log10"], "log10", "The logarithm to base 10, a float.", [".data | log10", "1000", "3"]).differs("What is not finite is an error."),
    entry(&["exp"], "exp", "e to the power of the input, a float.", [".data | exp", "0", "1"]),
    entry(&["exp2"], "exp2", "2 to the power of the input, a float.", [".data | exp2", "3", "8"]),
    entry(&["exp10"], "exp10", "10 to the power of the input, a float.", [".data | exp10", "2", "100"]),
    entry(&["sin"], "sin", "The sine of radians, a float.", [".data | sin", "0", "0"]),
    entry(&["cos"], "cos", "The cosine of radians, a float.", [".data | cos", "0", "1"]),
    entry(&["tan"], "tan", "The tangent of radians, a float.", [".data | tan", "0", "0"]),
    entry(&["asin"], "asin", "The arc sine in radians, a float.", [".data | asin", "1", "1.5707963267948966"]),
    entry(&["acos"], "acos", "The arc cosine in radians, a float.", [".data | acos", "1", "0"]),
    entry(&["atan"], "atan", "The arc tangent in radians, a float.", [".data | atan", "1", "0.7853981633974483"]),
    entry(&["atan2(y; x)"], "atan2", "The angle of a point in radians, a float.", ["atan2(.data.y; .data.x)", r#"{"y":1,"x":1}"#, "0.7853981633974483"]),
];

const fn entry(
    usage: &'static [&'static str],
    name: &'static str,
    meaning: &'static str,
    example: [&'static str; 3],
) -> Entry {
    Entry::new(Area::Numbers, usage, name, meaning, example)
}
