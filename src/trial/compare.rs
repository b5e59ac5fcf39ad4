//! When an expected cell and one that is there are the same to a test.

use std::borrow::Cow;

use crate::event::json::{self, Json, Kind};
use crate::row::{Cell, ColumnType};

/// As SQLite stores them; JSON as values, so that spaces, escapes and the order of members do not count.
pub(super) fn same(expected: &Cell, found: &Cell, column_type: ColumnType) -> bool {
    match (expected, found) {
        (Cell::Text(expected), Cell::Text(found)) if column_type == ColumnType::Json => {
            expected == found || same_documents(expected, found)
        }
        // What a view has computed: `avg(total)` counts 10^-digits as its column does.
        (Cell::Integer(expected), Cell::Real(found))
            if matches!(column_type, ColumnType::Decimal(_)) =>
        {
            found.round() == *expected as f64
        }
        (Cell::Real(expected), Cell::Integer(found)) => *expected == *found as f64,
        _ => expected == found,
    }
}

fn same_documents(a: &str, b: &str) -> bool {
    let parsed = |text: &str| {
        let mut tape = Vec::new();
        let root = json::check(text, 0..text.len(), &mut tape).ok()?;
        Some((tape, root))
    };
    let (Some((tape_a, root_a)), Some((tape_b, root_b))) = (parsed(a), parsed(b)) else {
        return false;
    };
    same_values(Json::new(a, &tape_a, root_a), Json::new(b, &tape_b, root_b))
}

fn same_values(a: Json<'_>, b: Json<'_>) -> bool {
    match (a.kind(), b.kind()) {
        (Kind::Array, Kind::Array) => {
            a.elements().count() == b.elements().count()
                && a.elements().zip(b.elements()).all(|(a, b)| same_values(a, b))
        }
        (Kind::Object, Kind::Object) => {
            let (a, b) = (members(a), members(b));
            a.len() == b.len()
                && a.iter()
                    .zip(&b)
                    .all(|((name_a, a), (name_b, b))| name_a == name_b && same_values(*a, *b))
        }
        (Kind::Number, Kind::Number) => a.raw() == b.raw() || same_numbers(a.raw(), b.raw()),
        _ => match (a.text(), b.text()) {
            (Some(a), Some(b)) => a == b,
            (None, None) => a.raw() == b.raw(),
            _ => false,
        },
    }
}

/// By name; of repeated ones the last counts.
fn members(object: Json<'_>) -> Vec<(Cow<'_, str>, Json<'_>)> {
    let mut members: Vec<(Cow<'_, str>, Json<'_>)> = Vec::new();
    for (name, value) in object.members() {
        match members.iter_mut().find(|(known, _)| *known == name) {
            Some(member) => member.1 = value,
            None => members.push((name, value)),
        }
    }
    members.sort_by(|(a, _), (b, _)| a.cmp(b));
    members
}

/// 12.50 and 1.25e1, without a float in between.
fn same_numbers(a: &str, b: &str) -> bool {
    match (digits(a), digits(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// The sign, the significant digits and the power of ten of the last of them.
fn digits(number: &str) -> Option<(bool, String, i64)> {
    let (negative, number) = match number.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0').trim_end_matches('0').to_owned();
    if significant.is_empty() {
        return Some((false, significant, 0));
    }
    let zeros = (all.len() - all.trim_end_matches('0').len()) as i64;
    let exponent = exponent.checked_sub(fraction.len() as i64)?.checked_add(zeros)?;
    Some((negative, significant, exponent))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_compared_by_value() {
        for (a, b, expected) in [
            ("{}", "{ }", true),
            (r#"{"a":1,"b":[true,null]}"#, r#"{ "b": [true, null], "a": 1 }"#, true),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#, true),
            (r#"{"a":1}"#, r#"{"a":1,"b":null}"#, false),
            (r#""\u00e9""#, r#""é""#, true),
            (r#""1""#, "1", false),
            ("[1,2]", "[2,1]", false),
            ("[1]", "[1,2]", false),
            ("12.50", "1.25e1", true),
            ("0", "-0.0", true),
            ("100", "1e2", true),
            ("12345678901234567890123", "12345678901234567890124", false),
            ("-1", "1", false),
            ("null", "false", false),
        ] {
            let (x, y) = (Cell::Text(a.into()), Cell::Text(b.into()));
            assert_eq!(same(&x, &y, ColumnType::Json), expected, "{a} {b}");
            assert_eq!(same(&y, &x, ColumnType::Json), expected, "{b} {a}");
        }
    }

    #[test]
    fn other_columns_are_compared_as_stored() {
        let text = |text: &str| Cell::Text(text.into());
        assert!(!same(&text("{}"), &text("{ }"), ColumnType::Text));
        assert!(same(&Cell::Integer(1250), &Cell::Integer(1250), ColumnType::Decimal(2)));
        assert!(!same(&Cell::Null, &text("null"), ColumnType::Json));
    }
}
