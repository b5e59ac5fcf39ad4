//! The patterns of `like` and `ilike`, matched as SQLite's LIKE does.

use super::Refused;

/// What a text must look like: `%` (or `*`, as in PostgREST) stands for any text, `_` for one character, and a
/// backslash takes the meaning from what follows it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pattern {
    pieces: Vec<Piece>,
    folded: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Piece {
    /// Any text, the empty one too.
    Any,
    /// One character, whichever.
    One,
    /// This character; of a folded pattern in lower case.
    Just(char),
}

impl Pattern {
    /// Folded: the case of ASCII letters does not count, as in SQLite.
    pub fn new(text: &str, folded: bool) -> Result<Self, Refused> {
        let mut pieces = Vec::new();
        let mut characters = text.chars();
        let just = |c: char| Piece::Just(if folded { c.to_ascii_lowercase() } else { c });
        while let Some(c) = characters.next() {
            let piece = match c {
                '%' | '*' => Piece::Any,
                '_' => Piece::One,
                '\\' => match characters.next() {
                    Some(escaped) => just(escaped),
                    None => {
                        return Err(Refused::new("the pattern ends in a backslash")
                            .hint("two backslashes stand for one"));
                    }
                },
                '\0' => return Err(Refused::new("the pattern holds a NUL character")),
                c => just(c),
            };
            // Several in a row say no more than one, and would each be tried.
            if piece != Piece::Any || pieces.last() != Some(&Piece::Any) {
                pieces.push(piece);
            }
        }
        Ok(Self { pieces, folded })
    }

    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    pub fn is_folded(&self) -> bool {
        self.folded
    }

    /// What every text that matches begins with.
    pub fn prefix(&self) -> String {
        if self.folded {
            return String::new();
        }
        let just = self.pieces.iter().map_while(|piece| match piece {
            Piece::Just(c) => Some(*c),
            Piece::Any | Piece::One => None,
        });
        just.collect()
    }

    /// In time proportional to the text times the pattern at most: only the last `Any` is ever tried again.
    pub fn matches(&self, text: &str) -> bool {
        // SQLite's LIKE sees a text end at a NUL character.
        let mut rest = text.split('\0').next().unwrap_or_default().chars();
        let mut at = 0;
        // The piece behind the last `Any`, and where the text that it takes may end next.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            match self.pieces.get(at) {
                Some(Piece::Any) => {
                    at += 1;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                piece => match (piece, rest.next()) {
                    (None, None) => return true,
                    (Some(Piece::One), Some(_)) => {
                        at += 1;
                        continue;
                    }
                    (Some(Piece::Just(wanted)), Some(c)) if self.same(*wanted, c) => {
                        at += 1;
                        continue;
                    }
                    // The text has ended and something is still wanted: taking more of it cannot help.
                    (Some(_), None) => return false,
                    _ => {}
                },
            }
            let Some((behind, from)) = &mut retry else { return false };
            if from.next().is_none() {
                return false;
            }
            at = *behind;
            rest = from.clone();
        }
    }

    fn same(&self, wanted: char, c: char) -> bool {
        wanted == c || (self.folded && wanted == c.to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, like, ilike) in [
            ("", "", true, true),
            ("", "a", false, false),
            ("abc", "abc", true, true),
            ("abc", "aBc", false, true),
            ("ABC", "aBc", false, true),
            ("a*", "a", true, true),
            ("a%", "abc", true, true),
            ("*c", "abcabc", true, true),
            ("*bc*a_*", "abcab", true, true),
            ("*bc*a_*", "abca", false, false),
            ("_", "é", true, true),
            ("_", "", false, false),
            ("__", "日本", true, true),
            ("É", "é", false, false),
            ("10\\%", "10%", true, true),
            ("10\\%", "100", false, false),
            ("\\*\\\\", "*\\", true, true),
            ("a", "a\0b", true, true),
            ("%%%", "x", true, true),
        ] {
            let matches = |folded| Pattern::new(pattern, folded).unwrap().matches(text);
            assert_eq!((matches(false), matches(true)), (like, ilike), "{pattern} {text}");
        }
    }

    #[test]
    fn what_is_refused() {
        assert!(Pattern::new("a\\", false).is_err());
        assert!(Pattern::new("a\0", false).is_err());
    }

    #[test]
    fn a_hard_pattern_takes_no_time() {
        let pattern = Pattern::new(&"%a".repeat(1_000), true).unwrap();
        assert!(!pattern.matches(&format!("{}b", "a".repeat(20_000))));
    }

    #[test]
    fn prefixes() {
        for (pattern, folded, prefix) in
            [("abc*d", false, "abc"), ("a\\*_", false, "a*"), ("abc", true, ""), ("*", false, "")]
        {
            assert_eq!(Pattern::new(pattern, folded).unwrap().prefix(), prefix);
        }
    }
}
