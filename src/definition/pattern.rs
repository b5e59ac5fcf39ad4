//! Which types of event a handler takes.

use crate::definition::Pattern;

impl Pattern {
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: text.into() }
    }

    /// The only type that matches, if there is no `*`: most patterns can be looked up in a map.
    pub fn literal(&self) -> Option<&str> {
        (!self.text.contains('*')).then_some(self.text.as_str())
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
