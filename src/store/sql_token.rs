//! The words of an SQL statement, as far as checks need them: what stands in quotes or comments is no word.

use std::ops::Range;

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    pub(super) kind: Kind,
    /// As written, with its quotes.
    pub(super) text: &'a str,
    pub(super) span: Range<usize>,
    /// How many parentheses are open around it.
    pub(super) depth: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword, name or number without quotes.
    Word,
    /// In single quotes.
    Text,
    /// A name in double quotes, backticks or brackets.
    Quoted,
    /// One character of anything else.
    Symbol,
}

impl Token<'_> {
    pub(super) fn is(&self, word: &str) -> bool {
        self.kind != Kind::Text && self.text.eq_ignore_ascii_case(word)
    }

    /// The name or text without its quotes, as far as it has no quotes inside.
    pub(super) fn bare(&self) -> &str {
        match self.kind {
            Kind::Text | Kind::Quoted => {
                let inner = self.text.len().saturating_sub(1).max(1);
                self.text.get(1..inner).unwrap_or_default()
            }
            Kind::Word | Kind::Symbol => self.text,
        }
    }
}

/// Takes a statement apart. An unclosed quote or comment ends with the text.
pub(super) fn tokens(sql: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    let (mut at, mut depth) = (0, 0_usize);
    while let Some(c) = sql[at..].chars().next() {
        let rest = &sql[at..];
        let (kind, length) = match c {
            _ if c.is_whitespace() => (None, c.len_utf8()),
            '-' if rest.starts_with("--") => (None, rest.find('\n').unwrap_or(rest.len())),
            '/' if rest.starts_with("/*") => {
                (None, rest[2..].find("*/").map_or(rest.len(), |end| end + 4))
            }
            '\'' => (Some(Kind::Text), quoted(rest, '\'')),
            '"' | '`' => (Some(Kind::Quoted), quoted(rest, c)),
            '[' => (Some(Kind::Quoted), rest.find(']').map_or(rest.len(), |end| end + 1)),
            _ if is_word(c) => (Some(Kind::Word), rest.find(|c| !is_word(c)).unwrap_or(rest.len())),
            _ => (Some(Kind::Symbol), c.len_utf8()),
        };
        if c == ')' {
            depth = depth.saturating_sub(1);
        }
        if let Some(kind) = kind {
            tokens.push(Token { kind, text: &rest[..length], span: at..at + length, depth });
        }
        if c == '(' {
            depth += 1;
        }
        at += length;
    }
    tokens
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '$'
}

/// The length of what a quote opens: a doubled one is part of it.
fn quoted(rest: &str, mark: char) -> usize {
    let mut at = 1;
    while let Some(end) = rest[at..].find(mark) {
        at += end + 1;
        if !rest[at..].starts_with(mark) {
            return at;
        }
        at += 1;
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_comments_are_seen() {
        for (sql, expected) in [
            ("SELECT a.b, 'it''s' FROM t", "SELECT|a|.|b|,|'it''s'|FROM|t"),
            ("x -- now\n/* y */ z", "x|z"),
            ("\"a\"\"b\" [c d] `e`", "\"a\"\"b\"|[c d]|`e`"),
            ("'open", "'open"),
            ("/* open", ""),
            ("\"", "\""),
            ("é(1.5)", "é|(|1|.|5|)"),
        ] {
            let found: Vec<_> = tokens(sql).iter().map(|token| token.text).collect();
            assert_eq!(found.join("|"), expected, "{sql}");
        }
    }

    #[test]
    fn parentheses_count() {
        let found = tokens("a(b(c)d)e)");
        let depths: Vec<_> = found.iter().map(|token| token.depth).collect();
        assert_eq!(depths, [0, 0, 1, 1, 2, 1, 1, 0, 0, 0]);
    }
}
