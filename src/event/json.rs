//! A JSON document, checked whole, as a tape of nodes over its own bytes.
//!
//! One pass over the text proves RFC 8259, bounds the depth and leaves 16 bytes a value: where it begins and ends and
//! where the next one is. Nothing is copied and no tree is built; what a handler reads is found by walking members.
//! Of repeated keys the last counts, so a lookup reads all members of its object.

use std::borrow::Cow;
use std::ops::Range;

/// How deep values may nest; deeper documents are refused, so no later walk can exhaust a stack.
pub const DEPTH_MAX: usize = 128;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Null,
    False,
    True,
    Number,
    /// A string without escapes: its text is its bytes between the quotes.
    String,
    /// A string with at least one escape.
    Escaped,
    Array,
    /// Its nodes alternate: key (`String` or `Escaped`), value.
    Object,
}

/// One value on the tape. Ranges count from the start of the bytes that the tape lies over.
#[derive(Clone, Copy, Debug)]
pub struct Node {
    start: u32,
    end: u32,
    /// The tape's index just after this value and all that it holds.
    next: u32,
    kind: Kind,
}

/// Why bytes are not a document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} at byte {offset}")]
pub struct Error {
    /// Counted from the start of the document.
    pub offset: usize,
    pub reason: &'static str,
}

/// Checks that `text[range]` is one JSON document and appends its nodes to `tape`; returns the root's index.
///
/// On error the tape is as it was. `text` must be shorter than 4 GiB. That the bytes are UTF-8 is the caller's to
/// prove, once, when it makes a `str` of them.
pub fn check(text: &str, range: Range<usize>, tape: &mut Vec<Node>) -> Result<u32, Error> {
    check_to_depth(text, range, tape, DEPTH_MAX)
}

/// The same for an event document, in which the document that a message held is one level further down.
pub(super) fn check_event_document(
    text: &str,
    range: Range<usize>,
    tape: &mut Vec<Node>,
) -> Result<u32, Error> {
    check_to_depth(text, range, tape, DEPTH_MAX + 1)
}

fn check_to_depth(
    text: &str,
    range: Range<usize>,
    tape: &mut Vec<Node>,
    depth_max: usize,
) -> Result<u32, Error> {
    assert!(u32::try_from(range.end).is_ok(), "a chunk is shorter than 4 GiB");
    let root = tape.len();
    let mut checker = Checker { bytes: &text.as_bytes()[..range.end], tape, depth_max };
    match checker.document(range.start) {
        Ok(()) => Ok(u32::try_from(root).expect("a tape is shorter than its bytes")),
        Err((at, reason)) => {
            tape.truncate(root);
            Err(Error { offset: at - range.start, reason })
        }
    }
}

/// What is not as it should be, and where.
type Wrong = (usize, &'static str);

struct Checker<'a> {
    bytes: &'a [u8],
    tape: &'a mut Vec<Node>,
    /// [`DEPTH_MAX`], or one more.
    depth_max: usize,
}

// A place is handed on by value, and all that is on the way of most bytes is inlined: so it lives in a register.
impl Checker<'_> {
    fn document(&mut self, start: usize) -> Result<(), Wrong> {
        // Where an open container's end will stand, the one around it does: depth costs no recursion and no stack.
        const NONE: u32 = u32::MAX;
        let (mut open, mut depth, mut object) = (NONE, 0, false);
        let mut at = self.space(start);
        'value: loop {
            let byte = self.peek(at);
            if let b'{' | b'[' = byte {
                if depth == self.depth_max {
                    return Err((at, "nested deeper than 128"));
                }
                object = byte == b'{';
                let kind = if object { Kind::Object } else { Kind::Array };
                self.push(at, open as usize, kind);
                open = self.tape.len() as u32 - 1;
                depth += 1;
                at = self.space(at + 1);
                let close = if object { b'}' } else { b']' };
                if self.peek(at) != close {
                    if object {
                        at = self.key(at)?;
                    }
                    continue 'value;
                }
            } else {
                at = self.scalar(at, byte)?;
            }
            // After a value, or at the end of an empty container: close what ends here.
            loop {
                at = self.space(at);
                if depth == 0 {
                    return if at == self.bytes.len() {
                        Ok(())
                    } else {
                        Err((at, "expected the end of the document"))
                    };
                }
                match self.peek(at) {
                    b',' => {
                        at = self.space(at + 1);
                        if object {
                            at = self.key(at)?;
                        }
                        continue 'value;
                    }
                    b'}' if object => {}
                    b']' if !object => {}
                    _ if object => return Err((at, "expected `,` or `}`")),
                    _ => return Err((at, "expected `,` or `]`")),
                }
                at += 1;
                open = self.close(open, at);
                depth -= 1;
                object = depth > 0 && self.tape[open as usize].kind == Kind::Object;
            }
        }
    }

    // Each of these takes the place where something begins, and gives the one behind it.

    #[inline(always)]
    fn scalar(&mut self, at: usize, byte: u8) -> Result<usize, Wrong> {
        match byte {
            b'"' => self.string(at),
            b'-' | b'0'..=b'9' => self.number(at),
            b't' => self.word(at, b"true", Kind::True),
            b'f' => self.word(at, b"false", Kind::False),
            b'n' => self.word(at, b"null", Kind::Null),
            _ if at == self.bytes.len() => Err((at, "expected a value, found the end")),
            _ => Err((at, "expected a value")),
        }
    }

    /// A key and its colon.
    #[inline(always)]
    fn key(&mut self, at: usize) -> Result<usize, Wrong> {
        if self.peek(at) != b'"' {
            return Err((at, "expected a key in double quotes"));
        }
        let at = self.string(at)?;
        let at = self.space(at);
        if self.peek(at) != b':' {
            return Err((at, "expected `:`"));
        }
        Ok(self.space(at + 1))
    }

    #[inline(always)]
    fn string(&mut self, start: usize) -> Result<usize, Wrong> {
        let at = plain_to(self.bytes, start + 1);
        if self.peek(at) == b'"' {
            self.push(start, at + 1, Kind::String);
            return Ok(at + 1);
        }
        self.escaped(start, at)
    }

    /// Goes on with a string where it is not plain.
    #[cold]
    #[inline(never)]
    fn escaped(&mut self, start: usize, mut at: usize) -> Result<usize, Wrong> {
        loop {
            match self.bytes.get(at) {
                Some(b'"') => break,
                Some(b'\\') => {
                    at += escape(&self.bytes[at..]).map_err(|reason| (at, reason))?;
                }
                Some(_) => return Err((at, "control character in a string")),
                None => return Err((at, "string without an end")),
            }
            at = plain_to(self.bytes, at);
        }
        self.push(start, at + 1, Kind::Escaped);
        Ok(at + 1)
    }

    #[inline(always)]
    fn number(&mut self, start: usize) -> Result<usize, Wrong> {
        let mut at = start;
        if self.peek(at) == b'-' {
            at += 1;
        }
        at = match self.peek(at) {
            b'0' => at + 1,
            b'1'..=b'9' => self.digits(at + 1),
            _ => return Err((at, "expected a digit")),
        };
        if self.peek(at) == b'.' {
            at = self.some_digits(at + 1)?;
        }
        if let b'e' | b'E' = self.peek(at) {
            at += 1;
            if let b'+' | b'-' = self.peek(at) {
                at += 1;
            }
            at = self.some_digits(at)?;
        }
        if self.peek(at).is_ascii_digit() {
            return Err((at, "number with a leading zero"));
        }
        self.push(start, at, Kind::Number);
        Ok(at)
    }

    #[inline]
    fn some_digits(&self, at: usize) -> Result<usize, Wrong> {
        match self.digits(at) {
            none if none == at => Err((at, "expected a digit")),
            end => Ok(end),
        }
    }

    #[inline]
    fn digits(&self, mut at: usize) -> usize {
        while self.peek(at).is_ascii_digit() {
            at += 1;
        }
        at
    }

    #[inline]
    fn word(&mut self, at: usize, word: &[u8], kind: Kind) -> Result<usize, Wrong> {
        if !self.bytes[at..].starts_with(word) {
            return Err((at, "expected a value"));
        }
        self.push(at, at + word.len(), kind);
        Ok(at + word.len())
    }

    #[inline]
    fn space(&self, mut at: usize) -> usize {
        while let b' ' | b'\n' | b'\r' | b'\t' = self.peek(at) {
            at += 1;
        }
        at
    }

    /// The byte there; 0, which stands nowhere in a document, at the end.
    #[inline(always)]
    fn peek(&self, at: usize) -> u8 {
        self.bytes.get(at).copied().unwrap_or(0)
    }

    #[inline]
    fn push(&mut self, start: usize, end: usize, kind: Kind) {
        let next = self.tape.len() as u32 + 1;
        // Both fit: `check` has refused bytes of 4 GiB and more.
        self.tape.push(Node { start: start as u32, end: end as u32, next, kind });
    }

    /// Ends a container; returns the one around it.
    #[inline]
    fn close(&mut self, container: u32, end: usize) -> u32 {
        let next = self.tape.len() as u32;
        let node = &mut self.tape[container as usize];
        node.next = next;
        std::mem::replace(&mut node.end, end as u32)
    }
}

/// How long the escape is that bytes begin with.
#[cold]
fn escape(bytes: &[u8]) -> Result<usize, &'static str> {
    match bytes.get(1) {
        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok(2),
        Some(b'u') => match hex(bytes, 2)? {
            0xD800..=0xDBFF => {
                let low = bytes.get(6..8) == Some(b"\\u");
                if !low || !(0xDC00..=0xDFFF).contains(&hex(bytes, 8)?) {
                    // RFC 8259 leaves a lone surrogate open; as UTF-8 it has no form.
                    return Err("lone surrogate");
                }
                Ok(12)
            }
            0xDC00..=0xDFFF => Err("lone surrogate"),
            _ => Ok(6),
        },
        _ => Err("unknown escape"),
    }
}

fn hex(bytes: &[u8], at: usize) -> Result<u32, &'static str> {
    let digits = bytes.get(at..at + 4).ok_or("unfinished escape")?;
    digits.iter().try_fold(0, |unit, &byte| {
        let digit = char::from(byte).to_digit(16).ok_or("expected four hexadecimal digits")?;
        Ok(unit * 16 + digit)
    })
}

/// Where a string's plain bytes from a place on end: at a quote, a backslash, a control character, or at the end of all.
/// Eight at a time.
#[inline(always)]
fn plain_to(bytes: &[u8], mut at: usize) -> usize {
    while let Some(eight) = bytes.get(at..).and_then(<[u8]>::first_chunk) {
        let special = special(u64::from_le_bytes(*eight));
        if special != 0 {
            return at + (special.trailing_zeros() / 8) as usize;
        }
        at += 8;
    }
    let is_plain = |byte: &u8| !matches!(byte, b'"' | b'\\' | 0..0x20);
    while bytes.get(at).is_some_and(is_plain) {
        at += 1;
    }
    at
}

/// Marks the quotes, backslashes and control characters of eight bytes; the lowest mark is exact: a borrow can only give
/// false marks above a true one.
#[inline]
fn special(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGHS: u64 = u64::from_ne_bytes([0x80; 8]);
    let quote = (word ^ (ONES * u64::from(b'"'))).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * u64::from(b'\\'))).wrapping_sub(ONES);
    let control = word.wrapping_sub(ONES * 0x20);
    // A byte of 0x80 or more is none of them.
    (quote | backslash | control) & !word & HIGHS
}

/// One value of a checked document.
#[derive(Clone, Copy)]
pub struct Json<'a> {
    text: &'a str,
    tape: &'a [Node],
    at: u32,
}

impl<'a> Json<'a> {
    /// The value at `at` of a tape that [`check`] wrote over `text`.
    pub fn new(text: &'a str, tape: &'a [Node], at: u32) -> Self {
        Self { text, tape, at }
    }

    /// Its index on the tape, for [`Json::new`].
    pub fn at(self) -> u32 {
        self.at
    }

    pub fn kind(self) -> Kind {
        self.node().kind
    }

    /// The value as it was written.
    pub fn raw(self) -> &'a str {
        let node = self.node();
        &self.text[node.start as usize..node.end as usize]
    }

    /// The text of a string; None for any other kind.
    #[inline]
    pub fn text(self) -> Option<Cow<'a, str>> {
        let node = self.node();
        let inner = || &self.text[node.start as usize + 1..node.end as usize - 1];
        match node.kind {
            Kind::String => Some(Cow::Borrowed(inner())),
            Kind::Escaped => Some(Cow::Owned(unescape(inner()))),
            _ => None,
        }
    }

    /// The member of an object with this key, the last of repeated ones; None if there is none or it is no object.
    #[inline]
    pub fn get(self, key: &str) -> Option<Self> {
        if self.kind() != Kind::Object {
            return None;
        }
        let mut found = None;
        let mut at = self.at + 1;
        let end = self.node().next;
        while at < end {
            let name = self.tape[at as usize];
            let value = at + 1;
            let same = match name.kind {
                // By length first: that tells most names apart.
                Kind::String => {
                    (name.end - name.start) as usize == key.len() + 2
                        && self.text.as_bytes()[name.start as usize + 1..name.end as usize - 1]
                            == *key.as_bytes()
                }
                _ => self.with(at).text().is_some_and(|text| text == key),
            };
            if same {
                found = Some(self.with(value));
            }
            at = self.tape[value as usize].next;
        }
        found
    }

    /// The element of an array at an index from 0.
    pub fn element(self, index: usize) -> Option<Self> {
        self.elements().nth(index)
    }

    /// The elements of an array; none for any other kind.
    pub fn elements(self) -> impl Iterator<Item = Json<'a>> {
        let end = if self.kind() == Kind::Array { self.node().next } else { 0 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let here = (at < end).then(|| self.with(at))?;
            at = here.node().next;
            Some(here)
        })
    }

    /// The members of an object as written, repeated keys included; none for any other kind.
    pub fn members(self) -> impl Iterator<Item = (Cow<'a, str>, Json<'a>)> {
        let end = if self.kind() == Kind::Object { self.node().next } else { 0 };
        let mut at = self.at + 1;
        std::iter::from_fn(move || {
            let key = (at < end).then(|| self.with(at))?;
            let value = self.with(at + 1);
            at = value.node().next;
            Some((key.text().expect("a key is a string"), value))
        })
    }

    /// Shows each member as written: its key's bytes, and the index of its value on the tape. The cheapest way past all of
    /// them.
    #[inline]
    pub(super) fn each_member(self, mut found: impl FnMut(&[u8], u32)) {
        let end = if self.kind() == Kind::Object { self.node().next } else { 0 };
        let mut at = self.at + 1;
        while at < end {
            let key = self.tape[at as usize];
            let inner = key.start as usize + 1..key.end as usize - 1;
            match key.kind {
                Kind::String => found(&self.text.as_bytes()[inner], at + 1),
                _ => found(unescape(&self.text[inner]).as_bytes(), at + 1),
            }
            at = self.tape[at as usize + 1].next;
        }
    }

    #[inline]
    fn node(self) -> Node {
        self.tape[self.at as usize]
    }

    /// Another value on the same tape, by its index.
    #[inline]
    pub fn with(self, at: u32) -> Self {
        Self { at, ..self }
    }
}

/// The text of a checked string's inside.
fn unescape(inner: &str) -> String {
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = rest.as_bytes()[at + 1];
        let (char, length) = match escape {
            b'b' => ('\u{8}', 2),
            b'f' => ('\u{c}', 2),
            b'n' => ('\n', 2),
            b'r' => ('\r', 2),
            b't' => ('\t', 2),
            b'u' => unicode(&rest[at..]),
            plain => (char::from(plain), 2),
        };
        text.push(char);
        rest = &rest[at + length..];
    }
    text.push_str(rest);
    text
}

/// The character of `\uXXXX` or of a surrogate pair at the start of `escape`, and the escape's length.
fn unicode(escape: &str) -> (char, usize) {
    let unit = |at: usize| u32::from_str_radix(&escape[at..at + 4], 16).expect("checked");
    let high = unit(2);
    if (0xD800..=0xDBFF).contains(&high) {
        let code = 0x10000 + ((high - 0xD800) << 10) + (unit(8) - 0xDC00);
        return (char::from_u32(code).expect("checked pair"), 12);
    }
    (char::from_u32(high).expect("checked: no lone surrogate"), 6)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn refused(document: &str, error: &str) {
        let mut tape = Vec::new();
        let found =
            check(document, 0..document.len(), &mut tape).map_err(|error| error.to_string());
        assert_eq!(found, Err(error.to_owned()), "{document}");
        assert!(tape.is_empty());
    }

    /// The document, written again from its tape.
    fn written(json: Json<'_>) -> String {
        match json.kind() {
            Kind::Array => {
                let items: Vec<_> = json.elements().map(written).collect();
                format!("[{}]", items.join(","))
            }
            Kind::Object => {
                let member =
                    |(key, value): (Cow<'_, str>, Json<'_>)| format!("{key:?}:{}", written(value));
                let items: Vec<_> = json.members().map(member).collect();
                format!("{{{}}}", items.join(","))
            }
            Kind::String | Kind::Escaped => format!("{:?}", json.text().unwrap()),
            _ => json.raw().to_owned(),
        }
    }

    #[track_caller]
    fn accepted(document: &str, expected: &str) {
        // Not at the start of the bytes, and behind another document's nodes.
        let text = format!("[1] {document}");
        let mut tape = Vec::new();
        check(&text, 0..3, &mut tape).unwrap();
        let root = check(&text, 4..text.len(), &mut tape).unwrap();
        assert_eq!(written(Json::new(&text, &tape, root)), expected);
    }

    #[test]
    fn documents() {
        accepted("null", "null");
        accepted(" [ ] ", "[]");
        accepted("{}", "{}");
        accepted(
            r#"{"a":{"b":[1,-2.50e+3,{"c":true}]},"d":false}"#,
            r#"{"a":{"b":[1,-2.50e+3,{"c":true}]},"d":false}"#,
        );
        accepted("[[],[[]],{}]", "[[],[[]],{}]");
        accepted(r#""a\n\"\\\/\u00e9\ud83d\ude00b""#, "\"a\\n\\\"\\\\/é😀b\"");
        accepted("\"0123456789é0123456\"", "\"0123456789é0123456\"");
        accepted("0", "0");
        accepted("-0", "-0");
    }

    #[test]
    fn refusals() {
        refused("", "expected a value, found the end at byte 0");
        refused(" ", "expected a value, found the end at byte 1");
        refused("hello", "expected a value at byte 0");
        refused("nul", "expected a value at byte 0");
        refused("01", "number with a leading zero at byte 1");
        refused("-", "expected a digit at byte 1");
        refused("1.", "expected a digit at byte 2");
        refused("1e", "expected a digit at byte 2");
        refused(".5", "expected a value at byte 0");
        refused("+1", "expected a value at byte 0");
        refused("NaN", "expected a value at byte 0");
        refused("1 2", "expected the end of the document at byte 2");
        refused("[1,]", "expected a value at byte 3");
        refused("[,1]", "expected a value at byte 1");
        refused("[1 2]", "expected `,` or `]` at byte 3");
        refused("[1}", "expected `,` or `]` at byte 2");
        refused("{\"a\":1,}", "expected a key in double quotes at byte 7");
        refused("{a:1}", "expected a key in double quotes at byte 1");
        refused("{\"a\" 1}", "expected `:` at byte 5");
        refused("{\"a\":1]", "expected `,` or `}` at byte 6");
        refused("{\"a\":}", "expected a value at byte 5");
        refused("\"a", "string without an end at byte 2");
        refused("\"a\nb\"", "control character in a string at byte 2");
        refused("\"\\x\"", "unknown escape at byte 1");
        refused("\"\\u12\"", "unfinished escape at byte 1");
        refused("\"\\u12g4\"", "expected four hexadecimal digits at byte 1");
        refused("\"\\ud800\"", "lone surrogate at byte 1");
        refused("\"\\ud800\\u0041\"", "lone surrogate at byte 1");
        refused("\"\\udc00\"", "lone surrogate at byte 1");
        refused(&"[".repeat(129), "nested deeper than 128 at byte 128");
        refused(&"[".repeat(100_000), "nested deeper than 128 at byte 128");
        refused(&"{\"a\":".repeat(129), "nested deeper than 128 at byte 640");
    }

    #[test]
    fn depth_128_is_accepted() {
        let document = format!("{}{}", "[".repeat(128), "]".repeat(128));
        accepted(&document, &document);
    }

    #[test]
    fn of_repeated_keys_the_last_counts() {
        let document = r#"{"a":1,"b":{"a":2},"\u0061":3}"#;
        let mut tape = Vec::new();
        let root = check(document, 0..document.len(), &mut tape).unwrap();
        let json = Json::new(document, &tape, root);
        assert_eq!(json.get("a").unwrap().raw(), "3");
        assert_eq!(json.get("b").unwrap().get("a").unwrap().raw(), "2");
        assert!(json.get("c").is_none());
        assert!(json.get("a").unwrap().get("a").is_none());
    }

    proptest! {
        /// serde_json is the oracle of what is a document (a raw value: its numbers have no range).
        #[test]
        fn agrees_with_serde_json(document in r#"[\[\]{}",:0-9a-f.eE+\-ntrls \n]{0,24}"#) {
            let mut tape = Vec::new();
            let ours = check(&document, 0..document.len(), &mut tape).is_ok();
            let theirs = serde_json::from_str::<&serde_json::value::RawValue>(&document).is_ok();
            prop_assert_eq!(ours, theirs, "{}", document);
        }

        #[test]
        fn strings_keep_their_text(text in any::<String>()) {
            let document = serde_json::to_string(&text).unwrap();
            let mut tape = Vec::new();
            let root = check(&document, 0..document.len(), &mut tape).unwrap();
            prop_assert_eq!(Json::new(&document, &tape, root).text().unwrap(), text);
        }

        #[test]
        fn any_text_is_answered(text in any::<String>()) {
            let mut tape = Vec::new();
            let ours = check(&text, 0..text.len(), &mut tape).is_ok();
            prop_assert_eq!(ours, serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
