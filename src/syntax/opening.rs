//! What is opened and never closed in a TOML file that does not parse.
//!
//! A parser finds out where it cannot go on, which is lines below the culprit, and then trips over every line after
//! it. This looks for the bracket or string that was left open instead.

use std::ops::Range;

/// A bracket or string that is not closed where its file means it to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unclosed {
    /// The bracket or the quotes.
    pub(super) span: Range<usize>,
    /// What closes it.
    pub(super) closes: &'static str,
    /// Where the file goes on as if it were closed; the end of the file if it does not.
    pub(super) before: usize,
}

/// How far the parser's errors mean what they say, and what was left open there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Trust {
    /// Errors from here on follow from the one that is told.
    pub(super) end: usize,
    pub(super) unclosed: Option<Unclosed>,
}

/// Looks for the first that is left open.
pub(super) fn trust(text: &str) -> Trust {
    match scan(text) {
        Outcome::Closed => Trust { end: usize::MAX, unclosed: None },
        Outcome::Unclosed(unclosed) => Trust { end: unclosed.span.start, unclosed: Some(unclosed) },
        Outcome::Lost { end } => Trust { end, unclosed: None },
    }
}

enum Outcome {
    Closed,
    Unclosed(Unclosed),
    /// A string ends with its line inside a bracket: the parser tells that, but not what follows.
    Lost {
        end: usize,
    },
}

fn scan(text: &str) -> Outcome {
    let mut scan = Scan { text, at: 0, open: Vec::new(), last: '\n' };
    while scan.at < text.len() {
        let rest = &text[scan.at..];
        let c = rest.chars().next().unwrap_or('\0');
        let starts_line = text[..scan.at].ends_with('\n') || scan.at == 0;
        if let (Some(first), Some(last)) =
            (scan.open.first(), scan.open.last().filter(|_| starts_line))
        {
            if last.is_left_open(rest, scan.last) {
                return Outcome::Unclosed(first.unclosed(scan.at));
            }
        } else if starts_line && c == '[' {
            // A header: its brackets are no list's.
            scan.at += rest.find('\n').unwrap_or(rest.len());
            continue;
        }
        match c {
            '#' => {
                scan.at += rest.find('\n').unwrap_or(rest.len());
                continue;
            }
            '"' | '\'' => {
                let triple: &'static str = if c == '"' { "\"\"\"" } else { "'''" };
                match scan.string(c, triple) {
                    Ok(Some(length)) => scan.at += length,
                    // A string without an end is told by the parser. What its line would have closed is not known.
                    Ok(None) if scan.open.is_empty() => {
                        scan.at += rest.find('\n').unwrap_or(rest.len());
                    }
                    Ok(None) => {
                        let end = scan.at + rest.find('\n').unwrap_or(rest.len());
                        return Outcome::Lost { end: end + 1 };
                    }
                    Err(found) => return Outcome::Unclosed(found),
                }
                scan.last = c;
                continue;
            }
            '[' => scan.open.push(Bracket { at: scan.at, closes: "]" }),
            '{' => scan.open.push(Bracket { at: scan.at, closes: "}" }),
            ']' | '}' => {
                scan.open.pop();
            }
            _ => {}
        }
        if !c.is_whitespace() {
            scan.last = c;
        }
        scan.at += c.len_utf8();
    }
    match scan.open.first() {
        Some(first) => Outcome::Unclosed(first.unclosed(text.len())),
        None => Outcome::Closed,
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    open: Vec<Bracket>,
    /// The last character that is no blank or comment.
    last: char,
}

#[derive(Clone, Copy)]
struct Bracket {
    at: usize,
    closes: &'static str,
}

impl Bracket {
    fn unclosed(self, before: usize) -> Unclosed {
        Unclosed { span: self.at..self.at + 1, closes: self.closes, before }
    }

    /// Whether the line that begins here is none that this bracket could hold.
    fn is_left_open(self, line: &str, last: char) -> bool {
        let entry = match self.closes {
            "]" => is_entry(line),
            // In an inline table entries are separated by commas.
            _ => is_entry(line) && !matches!(last, ',' | '{'),
        };
        entry || is_header(line)
    }
}

impl Scan<'_> {
    /// The length of the string that begins here, none if its line ends before it; or that it is not closed.
    fn string(&self, mark: char, triple: &'static str) -> Result<Option<usize>, Unclosed> {
        let rest = &self.text[self.at..];
        let Some(body) = rest.strip_prefix(triple) else {
            let line = &rest[1..rest.find('\n').unwrap_or(rest.len())];
            return Ok(close(line, &mark.to_string(), mark == '"').map(|end| end + 2));
        };
        let open = |before| Unclosed { span: self.at..self.at + 3, closes: triple, before };
        let Some(end) = close(body, triple, mark == '"') else {
            let before = header_in(body).map_or(self.text.len(), |line| self.at + 3 + line);
            return Err(open(before));
        };
        // The next string's quotes have closed it, if what it holds is the rest of the file up to there.
        let after = &body[end + 3..];
        let goes_on = after.lines().next().unwrap_or_default().trim();
        let swallowed = header_in(&body[..end]);
        match swallowed {
            Some(line) if !goes_on.is_empty() || self.opens_text(&body[..end]) => {
                Err(open(self.at + 3 + line))
            }
            _ => Ok(Some(3 + end + 3)),
        }
    }

    /// Whether a text ends in `name =`: what follows it are the quotes of another string.
    fn opens_text(&self, body: &str) -> bool {
        body.trim_end_matches([' ', '\t']).ends_with('=')
    }
}

/// Where a string's end quotes are.
fn close(body: &str, quotes: &str, escapes: bool) -> Option<usize> {
    let mut at = 0;
    while at < body.len() {
        let rest = &body[at..];
        if escapes && rest.starts_with('\\') {
            at += 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
            continue;
        }
        if rest.starts_with(quotes) {
            // Two more quotes may stand before the three that close.
            let mark = &quotes[..1];
            let more = if quotes.len() == 3 {
                rest[3..].chars().take(2).take_while(|c| mark.starts_with(*c)).count()
            } else {
                0
            };
            return Some(at + more);
        }
        at += rest.chars().next().map_or(1, char::len_utf8);
    }
    None
}

/// The first line of a text that is a header, which no JSON, SQL or jq has.
fn header_in(body: &str) -> Option<usize> {
    let mut at = 0;
    for line in body.split_inclusive('\n') {
        if is_header(line) {
            return Some(at);
        }
        at += line.len();
    }
    None
}

/// Whether a line is `[name]` or `[[name]]`, closed or not.
fn is_header(line: &str) -> bool {
    let line = line.lines().next().unwrap_or_default();
    let line = line.split('#').next().unwrap_or_default().trim();
    let Some(inner) = line.strip_prefix("[[").or_else(|| line.strip_prefix('[')) else {
        return false;
    };
    let inner = inner.trim_end_matches(']').trim();
    let value = ["true", "false", "inf", "nan"].contains(&inner);
    !value
        && inner.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && inner.chars().all(|c| c.is_ascii_alphanumeric() || "_-. ".contains(c))
}

/// Whether a line is `name = ...`.
fn is_entry(line: &str) -> bool {
    let line = line.lines().next().unwrap_or_default();
    let Some((name, _)) = line.split_once('=') else { return false };
    let name = name.trim();
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-. \"'".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_open_is_found_where_it_is_opened() {
        for (text, expected) in [
            ("a = [\"x\"\nb = 1\n", Some((4, "]", 9))),
            ("a = [\"x\"\n\n[on]\n", Some((4, "]", 10))),
            ("a = [\n  [1],\n  [2]\n]\n[[on]]\nb = 1\n", None),
            ("a = [[\"x\"]\nb = 1\n", Some((4, "]", 11))),
            ("a = { b = 1\nc = 2\n", Some((4, "}", 12))),
            ("a = { b = 1,\nc = 2 }\n", None),
            ("a = [ { b = 1,\nc = [2] } ]\n", None),
            ("a = '''\nx\n[[on]]\nb = '''\ny\n'''\n", Some((4, "'''", 10))),
            ("a = '''\nx\n", Some((4, "'''", 10))),
            ("a = '''\n[on]\n'''\nb = 1\n", None),
            ("a = \"\"\"x\\\"\"\"\"\nb = [\n", Some((18, "]", 20))),
            ("a = '''x'''''\nb = [", Some((18, "]", 19))),
            ("a = \"[\"\nb = '{' # [\n", None),
            ("a = \"[\nb = 1\n", None),
            ("a = [\"x, \"y\"]\nb = [\n", None),
            ("a = [1\n\n[on\nb = [2]\n", Some((4, "]", 8))),
            ("[on\nb = 1\n", None),
            ("", None),
        ] {
            let expected = expected.map(|(at, closes, before): (usize, &'static str, usize)| {
                Unclosed { span: at..at + if closes.len() == 3 { 3 } else { 1 }, closes, before }
            });
            assert_eq!(trust(text).unclosed, expected, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_scanned(text in "(\\[|\\]|\\{|\\}|\"|'|'''|\"\"\"|\\\\|=|#|,|\n|a|é| |\\[on\\]\n|b = ){0,40}") {
            trust(&text);
        }
    }
}
