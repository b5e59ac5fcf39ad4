//! Names of tables and columns.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::syntax::{NAME_CHARS_MAX, Report};

/// Checks the name of a table, view or column (`what`): letters, digits and underscores, so that it
/// needs no quotes in SQL, in jq and in a URL.
pub(super) fn check(report: &mut Report, what: &str, name: &str, span: &Range<usize>) -> bool {
    let Some(problem) = problem(name) else { return true };
    report
        .error(span, format!("`{name}` cannot be the name of a {what}: {problem}"))
        .label("not a usable name")
        .hint(suggestion(name).map(|name| format!("`{name}` would do")));
    false
}

/// Why nothing can be called so.
pub(crate) fn problem(name: &str) -> Option<&'static str> {
    let problem = if name.starts_with('_') {
        "names that start with `_` are viewd's own"
    } else if ["rowid", "oid"].iter().any(|taken| name.eq_ignore_ascii_case(taken)) {
        "SQLite calls its own row number so"
    } else if name.to_ascii_lowercase().starts_with("sqlite_") {
        "names that start with `sqlite_` are SQLite's own"
    } else if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        "it must start with a letter"
    } else if !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        "only letters a to z, digits and `_` may be used"
    } else if name.len() > NAME_CHARS_MAX {
        "it may have 63 characters"
    } else {
        return None;
    };
    Some(problem)
}

/// Complains of names that SQLite, or a file system, takes for one, since it folds ASCII case.
#[derive(Debug, Default)]
pub(super) struct Folded(BTreeMap<String, String>);

impl Folded {
    pub(super) fn insert(
        &mut self,
        report: &mut Report,
        what: &str,
        name: &str,
        span: &Range<usize>,
    ) -> bool {
        let Some(first) = self.0.insert(name.to_ascii_lowercase(), name.to_owned()) else {
            return true;
        };
        report
            .error(span, format!("{what} `{name}` is already there as `{first}`"))
            .label("differs only in upper and lower case");
        false
    }
}

/// The nearest name that passes, if changing the wrong one leaves it readable.
fn suggestion(name: &str) -> Option<String> {
    if !name.is_ascii() || name.len() > NAME_CHARS_MAX {
        return None;
    }
    if ["rowid", "oid"].iter().any(|taken| name.eq_ignore_ascii_case(taken)) {
        return Some("row_id".to_owned());
    }
    let usable = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let better: String = name.trim_start_matches('_').chars().map(usable).collect();
    let sqlite = better.to_ascii_lowercase().starts_with("sqlite_");
    (better.starts_with(|c: char| c.is_ascii_alphabetic()) && !sqlite).then_some(better)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggestions_are_usable() {
        for (name, better) in [
            ("_id", Some("id")),
            ("order-id", Some("order_id")),
            ("RowId", Some("row_id")),
            ("oid", Some("row_id")),
            ("2nd", None),
            ("sqlite_x", None),
            ("größe", None),
            ("", None),
        ] {
            assert_eq!(suggestion(name).as_deref(), better, "{name}");
        }
    }
}
