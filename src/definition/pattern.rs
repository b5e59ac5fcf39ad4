//! Which types of event a handler takes.

use std::ops::Range;

use crate::definition::Pattern;
use crate::syntax::{Kind, Report, Table, Text};

/// Reads `event` of a handler.
pub(super) fn read(report: &mut Report, handler: &Table, span: &Range<usize>) -> Vec<Pattern> {
    let Some(value) = handler.get("event") else {
        report
            .error(span, "the handler does not say which events it takes")
            .label("no `event`")
            .hint("write event = \"OrderPlaced\", a list of types, or \"*\" for all".to_owned());
        return Vec::new();
    };
    let types: Vec<&Text> = match &value.kind {
        Kind::String(text) => vec![text],
        Kind::Array(elements) if elements.is_empty() => {
            report
                .error(&value.span, "`event` is an empty list")
                .label("no type")
                .hint("\"*\" takes every event".to_owned());
            return Vec::new();
        }
        Kind::Array(_) => report.texts(value, "`event`").unwrap_or_default(),
        other => {
            let message =
                format!("`event` must be a type or a list of types, not {}", other.describe());
            report.error(&value.span, message).label("expected a string");
            return Vec::new();
        }
    };
    for text in types.iter().filter(|text| text.value.trim().is_empty()) {
        report
            .error(&text.span, "a type of event cannot be empty")
            .label("empty")
            .hint("\"*\" takes every event".to_owned());
    }
    warn_covered(report, &types);
    types.into_iter().map(|text| Pattern::new(text.value.as_str())).collect()
}

/// Warns of types that another one of the list takes already.
fn warn_covered(report: &mut Report, types: &[&Text]) {
    for (index, text) in types.iter().enumerate() {
        if types[..index].iter().any(|first| first.value == text.value) {
            report
                .warning(&text.span, format!("`{}` is there twice", text.value))
                .label("second time");
            continue;
        }
        let pattern = Pattern::new(text.value.as_str());
        let wider = types.iter().find(|other| {
            other.value != text.value && Pattern::new(other.value.as_str()).covers(&pattern)
        });
        if let Some(wider) = wider {
            report
                .warning(&text.span, format!("`{}` takes `{}` too", wider.value, text.value))
                .label("says nothing more");
        }
    }
}

impl Pattern {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// The only type that matches, if there is no `*`: most patterns can be looked up in a map.
    pub fn literal(&self) -> Option<&str> {
        (!self.text.contains('*')).then_some(self.text.as_str())
    }

    /// Whether this one takes every type that the other takes, as far as that is easily told.
    pub(super) fn covers(&self, other: &Self) -> bool {
        match other.literal() {
            Some(event_type) => self.matches(event_type),
            // A star of the other may stand for anything, so also for a star.
            None => self.text == "*" || self.text == other.text || self.covers_stars(other),
        }
    }

    /// `a.*` takes whatever `a.b.*` takes: a prefix alone is easily compared.
    fn covers_stars(&self, other: &Self) -> bool {
        let prefix = self.text.strip_suffix('*').filter(|prefix| !prefix.contains('*'));
        prefix.is_some_and(|prefix| other.text.starts_with(prefix))
    }

    /// Whether an event of this type is meant. `*` stands for any text, the empty one too.
    pub fn matches(&self, event_type: &str) -> bool {
        let Some((prefix, rest)) = self.text.split_once('*') else {
            return self.text == event_type;
        };
        let Some(mut left) = event_type.strip_prefix(prefix) else { return false };
        // What stands between two stars is sought from the left: the first place leaves the
        // most for the others. The part after the last star must be the end.
        let (middle, suffix) = rest.rsplit_once('*').unwrap_or(("", rest));
        for part in middle.split('*') {
            let Some(at) = left.find(part) else { return false };
            left = &left[at + part.len()..];
        }
        left.ends_with(suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn star_stands_for_any_text() {
        for (pattern, event_type, expected) in [
            ("OrderPlaced", "OrderPlaced", true),
            ("OrderPlaced", "OrderPlaced2", false),
            ("*", "", true),
            ("*", "anything.at all", true),
            ("pull_request.*", "pull_request.opened", true),
            ("pull_request.*", "pull_request", false),
            ("*Placed", "OrderPlaced", true),
            ("*Placed", "OrderPlacedAgain", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a*bc*c", "abc", false),
            ("**x**", "yxz", true),
            ("a**b", "ab", true),
            ("é*", "éa", true),
        ] {
            assert_eq!(
                Pattern::new(pattern).matches(event_type),
                expected,
                "{pattern} {event_type}"
            );
        }
    }
}
