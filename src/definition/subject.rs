//! NATS subject filters: the syntax that a server accepts, and which filter contains which.

use crate::syntax::{Report, Text, Value};

/// Whether some subject matches both filters.
pub fn overlap(a: &str, b: &str) -> bool {
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        return match (a.next(), b.next()) {
            (None, None) => true,
            // `>` stands for one word or more.
            (Some(">"), Some(_)) | (Some(_), Some(">")) => true,
            (Some(x), Some(y)) if x == y || x == "*" || y == "*" => continue,
            _ => false,
        };
    }
}

/// Reads `subjects`. None if any filter is wrong.
pub(super) fn read(report: &mut Report, value: Option<&Value>) -> Option<Vec<String>> {
    let Some(value) = value else { return Some(Vec::new()) };
    let filters = report.texts(value, "`subjects`")?;
    if filters.is_empty() {
        report
            .error(&value.span, "`subjects` is empty")
            .label("no filter")
            .hint("leave `subjects` out to read every subject of the stream".to_owned());
        return None;
    }
    let sound: Vec<&Text> =
        filters.iter().copied().filter(|filter| check(report, filter)).collect();
    let apart = check_apart(report, &sound);
    (apart && sound.len() == filters.len())
        .then(|| sound.into_iter().map(|filter| filter.value.clone()).collect())
}

fn check(report: &mut Report, filter: &Text) -> bool {
    let Err(problem) = syntax(&filter.value) else { return true };
    let message = if filter.value.is_empty() {
        "a subject filter is empty".to_owned()
    } else {
        format!("`{}` is not a subject filter: {problem}", filter.value)
    };
    report
        .error(&filter.span, message)
        .label("not a subject filter")
        .hint(
            "a filter is words with dots between: `*` stands for one word, `>` at the end for one or more"
                .to_owned(),
        );
    false
}

fn syntax(filter: &str) -> Result<(), &'static str> {
    if filter.is_empty() {
        return Err("it is empty");
    }
    if filter.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it has a blank in it");
    }
    let words: Vec<&str> = filter.split('.').collect();
    for (index, word) in words.iter().enumerate() {
        match *word {
            "" => return Err("a word between two dots is empty"),
            ">" if index + 1 < words.len() => return Err("`>` can only be its last word"),
            "*" | ">" => {}
            word if word.contains(['*', '>']) => {
                return Err("`*` and `>` stand for whole words, not for parts of one");
            }
            _ => {}
        }
    }
    Ok(())
}

/// A server refuses a consumer one of whose filters contains another (error 10138).
fn check_apart(report: &mut Report, filters: &[&Text]) -> bool {
    let mut apart = true;
    for (index, filter) in filters.iter().enumerate() {
        // Of two equal ones only the second is too much.
        let wider = filters.iter().enumerate().find(|&(other, wider)| {
            other != index
                && covers(&wider.value, &filter.value)
                && (wider.value != filter.value || other < index)
        });
        let Some((_, wider)) = wider else { continue };
        apart = false;
        let message = if wider.value == filter.value {
            format!("`{}` is there twice", filter.value)
        } else {
            format!("`{}` is already covered by `{}`", filter.value, wider.value)
        };
        report
            .error(&filter.span, message)
            .label("covered by another filter")
            .hint("NATS refuses filters that contain each other: leave this one out".to_owned());
    }
    apart
}

/// Whether every subject that matches `narrow` matches `wide`.
pub fn covers(wide: &str, narrow: &str) -> bool {
    let (mut wide, mut narrow) = (wide.split('.'), narrow.split('.'));
    loop {
        match (wide.next(), narrow.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) => return true,
            (Some("*"), Some(word)) if word != ">" => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_overlap() {
        let check = |a: &str, b: &str, expected: bool| {
            assert_eq!(overlap(a, b), expected, "{a} {b}");
            assert_eq!(overlap(b, a), expected, "{b} {a}");
        };
        check("a.b", "a.b", true);
        check("a.*", "*.b", true);
        check("a.>", "a.b.c", true);
        check(">", "a", true);
        check("a.>", "a", false);
        check("a.b", "a.c", false);
        check("a.*", "a.b.c", false);
        check("a.*.c", "a.>", true);
    }

    #[test]
    fn which_contains_which() {
        for (wide, narrow, expected) in [
            ("a.>", "a.b", true),
            ("a.>", "a.b.c", true),
            ("a.>", "a", false),
            ("a.>", "a.>", true),
            ("a.>", "a.*", true),
            ("a.*", "a.>", false),
            ("a.*", "a.b", true),
            ("a.*.c", "a.b.*", false),
            (">", "*.b", true),
            ("a.b", "a.*", false),
            ("a", "a.b", false),
        ] {
            assert_eq!(covers(wide, narrow), expected, "{wide} contains {narrow}");
        }
    }

    #[test]
    fn filters_that_a_server_takes() {
        for filter in ["a", "a.b", "*", ">", "a.*.c", "a.>", "$KV.x", "ä.b-c_d"] {
            assert!(syntax(filter).is_ok(), "{filter}");
        }
        for filter in ["", ".", "a.", ".a", "a..b", "a b", "a.>.b", "a*", "a.b>", "a.\t"] {
            assert!(syntax(filter).is_err(), "{filter}");
        }
    }
}
