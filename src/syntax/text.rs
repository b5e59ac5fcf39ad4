//! A string of a TOML file that remembers where each of its bytes was written.
//!
//! Expressions are jq inside TOML strings. An error in the jq has an offset in the decoded
//! text; the operator looks at the file, where escapes, quotes and continued lines lie between.

use std::ops::Range;

use crate::syntax::Key;

/// A decoded string and the way back to the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub value: String,
    /// Where it stands in the file, with its quotes.
    pub span: Range<usize>,
    /// What the value is made of, in order. Their lengths add up to the value's.
    pieces: Vec<Piece>,
}

/// A run of bytes that stand in the file as they are in the value, or one escape.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Piece {
    value: Range<usize>,
    file: Range<usize>,
}

impl Text {
    /// A text that stands in its source as it is, without quotes: what an environment variable holds.
    pub fn plain(value: impl Into<String>) -> Self {
        let value = value.into();
        let all = 0..value.len();
        Self { span: all.clone(), pieces: vec![Piece { value: all.clone(), file: all }], value }
    }

    /// A key, which has a place as a whole.
    pub fn key(key: &Key) -> Self {
        Self { value: key.name.clone(), span: key.span.clone(), pieces: Vec::new() }
    }

    /// The text that the TOML parser decoded from `file[span]`, where it found no fault.
    pub(super) fn decoded(value: String, file: &str, span: Range<usize>) -> Self {
        let pieces = pieces(&file[span.clone()], span.start);
        debug_assert_eq!(pieces.last().map_or(0, |piece| piece.value.end), value.len());
        Self { value, span, pieces }
    }

    /// The bytes of the file that a range of the value came from.
    pub fn locate(&self, range: Range<usize>) -> Range<usize> {
        let start = self.locate_start(range.start);
        if range.is_empty() {
            return start..start;
        }
        start..self.locate_end(range.end).max(start)
    }

    fn locate_start(&self, at: usize) -> usize {
        match self.pieces.iter().find(|piece| piece.value.contains(&at)) {
            Some(piece) if piece.is_literal() => piece.file.start + (at - piece.value.start),
            Some(piece) => piece.file.start,
            // The end of the value is before the closing quotes.
            None => self.pieces.last().map_or(self.span.start, |piece| piece.file.end),
        }
    }

    /// The end of what `at - 1` came from, which an escape or a continued line may separate from
    /// the start of what `at` came from.
    fn locate_end(&self, at: usize) -> usize {
        match self.pieces.iter().find(|piece| piece.value.contains(&(at - 1))) {
            Some(piece) if piece.is_literal() => piece.file.start + (at - piece.value.start),
            Some(piece) => piece.file.end,
            None => self.pieces.last().map_or(self.span.end, |piece| piece.file.end),
        }
    }
}

impl Piece {
    fn is_literal(&self) -> bool {
        self.value.len() == self.file.len()
    }
}

/// Takes a quoted string apart. The parser has accepted it, so whatever looks odd is literal.
fn pieces(quoted: &str, file_start: usize) -> Vec<Piece> {
    let Some((open, close, escapes)) = quotes(quoted) else { return Vec::new() };
    let mut walk = Walk { pieces: Vec::new(), value: 0, file_start };
    let mut at = open;
    let end = quoted.len() - close;
    while at < end {
        let rest = &quoted[at..end];
        let (value_len, file_len) = match rest.strip_prefix('\\') {
            Some(escape) if escapes => escape_lengths(escape),
            _ => {
                let len = rest.find('\\').filter(|_| escapes).unwrap_or(rest.len());
                (len, len)
            }
        };
        walk.step(value_len, at, file_len);
        at += file_len;
    }
    walk.pieces
}

struct Walk {
    pieces: Vec<Piece>,
    value: usize,
    file_start: usize,
}

impl Walk {
    fn step(&mut self, value_len: usize, at: usize, file_len: usize) {
        if value_len > 0 {
            let start = self.file_start + at;
            self.pieces.push(Piece {
                value: self.value..self.value + value_len,
                file: start..start + file_len,
            });
            self.value += value_len;
        }
    }
}

/// The lengths of the opening and closing quotes, and whether a backslash escapes between them.
/// The line break that may follow three opening quotes is not part of the string.
fn quotes(quoted: &str) -> Option<(usize, usize, bool)> {
    let escapes = quoted.starts_with('"');
    let mark = quoted.chars().next().filter(|mark| matches!(mark, '"' | '\''))?;
    let triple = String::from(mark).repeat(3);
    if let Some(body) = quoted.strip_prefix(&triple).filter(|_| quoted.len() >= 6) {
        let newline = match body.as_bytes() {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => 0,
        };
        return Some((3 + newline, 3, escapes));
    }
    (quoted.len() >= 2).then_some((1, 1, escapes))
}

/// How many bytes an escape yields, and how many it takes in the file; `escape` is what follows
/// the backslash.
fn escape_lengths(escape: &str) -> (usize, usize) {
    let hex_digits = match escape.as_bytes().first() {
        Some(b'x') => 2,
        Some(b'u') => 4,
        Some(b'U') => 8,
        Some(b' ' | b'\t' | b'\r' | b'\n') => {
            // A backslash before the end of a line: it and all blanks up to the next text vanish.
            let text = escape.trim_start_matches([' ', '\t', '\r', '\n']);
            return (0, 1 + escape.len() - text.len());
        }
        _ => return (1, 1 + escape.chars().next().map_or(0, char::len_utf8)),
    };
    let decoded = escape
        .get(1..1 + hex_digits)
        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
        .and_then(char::from_u32);
    (decoded.map_or(1, char::len_utf8), 2 + hex_digits.min(escape.len() - 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use toml::de::DeTable;

    fn text(file: &str) -> Text {
        let document = DeTable::parse(file).expect("valid TOML");
        let (_, value) = document.get_ref().iter().next().expect("one key");
        let decoded = value.get_ref().as_str().expect("a string").to_owned();
        Text::decoded(decoded, file, value.span())
    }

    /// Each `needle` of the value must be found at `written` in the file.
    #[track_caller]
    fn check(file: &str, needle: &str, written: &str) {
        let text = text(file);
        let at = text.value.find(needle).unwrap_or_else(|| panic!("no {needle:?} in {text:?}"));
        assert_eq!(&file[text.locate(at..at + needle.len())], written, "{needle:?} in {file}");
    }

    #[test]
    fn every_kind_of_string() {
        check("a = '.data.b'", "data", "data");
        check("a = ''", "", "");
        check(r#"a = "x \"placed\" y""#, "\"placed\"", r#"\"placed\""#);
        check(r#"a = "x \"placed\" y""#, "placed", "placed");
        check(r#"a = "x \"placed\" y""#, "y", "y");
        check("a = \"\\u00e9\\U0001F600\\x41z\"", "z", "z");
        check("a = \"\\u00e9\\U0001F600\\x41z\"", "😀", "\\U0001F600");
        check("a = \"\\u00e9\\U0001F600\\x41z\"", "A", "\\x41");
        check("a = 'é.b'", "b", "b");
        check("a = '''\n.x\n.y'''", ".y", ".y");
        check("a = '''\r\n.x\r\n.y'''", ".y", ".y");
        check("a = \"\"\"\\\n   one \\\n   two\"\"\"", "two", "two");
        check("a = \"\"\"\\\n   one \\\n   two\"\"\"", "one ", "one ");
        check("a = \"\"\"one\\\n   two\"\"\"", "one", "one");
        check("a = \"\"\"one\\\n   two\"\"\"", "etwo", "e\\\n   two");
        check("a = \"\"\"say \"\"\\\"x\"\"\"\"\"", "x\"\"", "x\"\"");
    }

    #[test]
    fn the_end_of_the_value_is_before_the_quotes() {
        let file = "a = 'ab'";
        assert_eq!(text(file).locate(2..2), 7..7);
        assert_eq!(text(file).locate(0..99), 5..7);
        assert_eq!(text("a = ''").locate(0..0), 4..4);
    }

    proptest::proptest! {
        /// The walk agrees with the parser on the length of whatever the parser accepts.
        #[test]
        fn agrees_with_the_parser(body in r#"([a-é'" ]|\\[nt"\\]|\\u00[0-9a-f]{2}|\\\n *|\r?\n){0,12}"#, triple: bool, literal: bool) {
            let quotes = if literal { "'" } else { "\"" }.repeat(if triple { 3 } else { 1 });
            let file = format!("a = {quotes}{body}{quotes}");
            if let Ok(document) = DeTable::parse(&file) {
                let value = document.get_ref().values().next().expect("one key");
                let decoded = value.get_ref().as_str().expect("a string").to_owned();
                let length = pieces(&file[value.span()], 0).last().map_or(0, |piece| piece.value.end);
                proptest::prop_assert_eq!(length, decoded.len(), "{:?}", file);
            }
        }
    }
}
