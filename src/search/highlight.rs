//! Where in a row's text the words are: its best parts, with `<mark>` around what was searched for.
//!
//! The text is the row's, from SQLite, analysed as it is for the index, so what is marked is what was found: a word of
//! a phrase where the phrase is, what begins so or is nearly so wherever it is. What was searched for with `NOT` marks
//! nothing. The answer is HTML: the text itself is escaped.

use std::ops::Range;

use hashbrown::HashMap;
use tantivy::tokenizer::{TokenStream, Tokenizer};

use super::Text as Field;
use super::analysis::{Analyzer, Kind, MARK, character_len};
use super::sought::{Open, Sought};
use super::words::{Node, Text, Words};

/// Further than this into a text nothing is marked: some ten milliseconds of analysis.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Two lines on a screen.
const FRAGMENT_CHARS_MAX: usize = 160;

const FRAGMENTS_MAX: usize = 3;

/// Places of phrases that are tried in a text; words that repeat themselves for pages would have them tried forever.
const TRIES_MAX: usize = 1_000_000;

/// Marks what was searched for in texts.
pub struct Highlighter {
    fields: Vec<Marker>,
}

/// What is marked in one field.
struct Marker {
    analyzer: Analyzer,
    sought: Vec<Sought>,
    /// Indices into what is found, by term.
    terms: HashMap<String, usize>,
    /// After those of the terms: what stands for many.
    opens: Vec<Open>,
}

/// A part of the text that is marked, and which of the sought it is for.
#[derive(Clone, Debug, PartialEq)]
struct Mark {
    range: Range<usize>,
    /// A bit for each: there are no more than `CLAUSES_MAX`, which is 64.
    sought: u64,
}

/// A place in the text: the number of the word, and its bytes.
type Found = (usize, Range<usize>);

impl Highlighter {
    pub fn new(words: &Words, fields: &[Field]) -> Self {
        let mut texts = Vec::new();
        if let Some(root) = &words.root {
            collect(root, &mut texts);
        }
        let marker = |(index, field): (usize, &Field)| {
            let texts = texts.iter().filter(|text| text.field.is_none_or(|field| field == index));
            Marker::new(texts.copied(), Analyzer::new(field.language))
        };
        Self { fields: fields.iter().enumerate().map(marker).collect() }
    }

    /// The parts of a text of `fields[field]` that show best why it was found, as HTML; none if it was not in it.
    pub fn fragments(&mut self, field: usize, text: &str) -> Vec<String> {
        let text = &text[..text.floor_char_boundary(TEXT_BYTES_MAX)];
        let marks = self.fields[field].marks(text);
        if marks.is_empty() {
            return Vec::new();
        }
        if text.chars().nth(FRAGMENT_CHARS_MAX).is_none() {
            return vec![html(text, 0..text.len(), &marks)];
        }
        let parts = extend(text, &windows(text, &marks));
        parts.into_iter().map(|part| html(text, part, &marks)).collect()
    }
}

impl Marker {
    fn new<'a>(texts: impl Iterator<Item = &'a Text>, mut analyzer: Analyzer) -> Self {
        let sought: Vec<_> = texts.map(|text| Sought::of(text, &mut analyzer)).collect();
        let mut terms = HashMap::new();
        for (_, term) in sought.iter().flat_map(|sought| &sought.terms) {
            let next = terms.len();
            terms.entry(term.clone()).or_insert(next);
        }
        let opens = sought.iter().filter_map(|sought| sought.open.clone().map(|(_, open)| open));
        let opens = opens.collect();
        Self { analyzer, sought, terms, opens }
    }

    /// What is marked, in order, none over another.
    fn marks(&mut self, text: &str) -> Vec<Mark> {
        if self.sought.iter().all(Sought::is_nothing) {
            return Vec::new();
        }
        let found = self.find(text);
        let (mut marks, mut tries, mut opened) = (Vec::new(), 0, self.terms.len());
        for (index, sought) in self.sought.iter().enumerate() {
            let terms = sought.terms.iter().map(|(place, term)| (*place, self.terms[term]));
            let mut places: Vec<_> = terms.collect();
            if let Some((place, _)) = sought.open {
                places.push((place, opened));
                opened += 1;
            }
            phrase(&places, &found, &mut tries, |range| {
                marks.push(Mark { range, sought: 1 << (index % 64) });
            });
        }
        marks.sort_by_key(|mark| mark.range.start);
        let mut apart: Vec<Mark> = Vec::with_capacity(marks.len());
        for mark in marks {
            match apart.last_mut() {
                Some(last) if mark.range.start < last.range.end => {
                    last.range.end = last.range.end.max(mark.range.end);
                    last.sought |= mark.sought;
                }
                _ => apart.push(mark),
            }
        }
        apart
    }

    /// Where each term is, then where what each open one stands for is.
    fn find(&mut self, text: &str) -> Vec<Vec<Found>> {
        let mut found = vec![Vec::new(); self.terms.len() + self.opens.len()];
        let mut stream = self.analyzer.token_stream(text);
        while let Some(kind) = stream.step() {
            if kind == Kind::Stop {
                continue;
            }
            let token = stream.token();
            let (place, range) = (token.position, token.offset_from..token.offset_to);
            if let Some(index) = self.terms.get(token.text.as_str()) {
                found[*index].push((place, range.clone()));
            }
            for (index, open) in self.opens.iter().enumerate() {
                if is_open_for(open, &token.text) {
                    // A pair begins with the one character that was sought.
                    let end = match kind {
                        Kind::Pair => range.start + character_len(&text[range.clone()]),
                        _ => range.end,
                    };
                    found[self.terms.len() + index].push((place, range.start..end));
                }
            }
        }
        found
    }
}

/// What is asked for; not what is asked to be absent.
fn collect<'a>(node: &'a Node, texts: &mut Vec<&'a Text>) {
    match node {
        Node::All(nodes) | Node::Any(nodes) => {
            for node in nodes {
                collect(node, texts);
            }
        }
        Node::Not(_) => {}
        Node::Text(text) => texts.push(text),
    }
}

/// Gives what is found at `places` (where in the phrase, which of `found`) wherever all of it is.
fn phrase(
    places: &[(usize, usize)],
    found: &[Vec<Found>],
    tries: &mut usize,
    mut take: impl FnMut(Range<usize>),
) {
    let Some(((first_place, first), others)) = places.split_first() else { return };
    let at = |wanted: usize, index: usize| {
        let found = &found[index];
        found.binary_search_by_key(&wanted, |(place, _)| *place).ok().map(|at| &found[at].1)
    };
    for (place, range) in &found[*first] {
        let is_whole = others.iter().all(|(other_place, other)| {
            *tries += 1;
            at(place + other_place - first_place, *other).is_some()
        });
        if *tries > TRIES_MAX {
            return;
        }
        if is_whole {
            take(range.clone());
            for (other_place, other) in others {
                take(at(place + other_place - first_place, *other).expect("just found").clone());
            }
        }
    }
}

fn is_open_for(open: &Open, term: &str) -> bool {
    match open {
        Open::Prefix(prefix) => term.starts_with(prefix),
        Open::Fuzzy(word) => {
            word.starts_with(MARK) == term.starts_with(MARK) && is_near(word, term)
        }
    }
}

/// Whether a letter more, less, other or two that changed places make one of the other.
fn is_near(one: &str, other: &str) -> bool {
    let (mut one, mut other) = (one.chars(), other.chars());
    while let (Some(a), Some(b)) = (one.clone().next(), other.clone().next())
        && a == b
    {
        one.next();
        other.next();
    }
    while let (Some(a), Some(b)) = (one.clone().next_back(), other.clone().next_back())
        && a == b
    {
        one.next_back();
        other.next_back();
    }
    let (mut first, mut second) = ([None; 3], [None; 3]);
    first.iter_mut().for_each(|letter| *letter = one.next());
    second.iter_mut().for_each(|letter| *letter = other.next());
    matches!((first, second), ([_, None, _], [_, None, _]))
        || matches!((first, second), ([Some(a), Some(b), None], [c, d, None]) if (c, d) == (Some(b), Some(a)))
}

/// The best stretches of marks that fit into a fragment each, in order.
fn windows(text: &str, marks: &[Mark]) -> Vec<Range<usize>> {
    let mut chars = Vec::with_capacity(marks.len());
    let (mut at, mut count) = (0, 0);
    for mark in marks {
        count += text[at..mark.range.start].chars().count();
        let len = text[mark.range.clone()].chars().count();
        chars.push(count..count + len);
        (at, count) = (mark.range.end, count + len);
    }
    let mut windows: Vec<(u32, usize, Range<usize>)> = Vec::with_capacity(marks.len());
    for first in 0..marks.len() {
        let fits = |mark: &&Range<usize>| mark.end - chars[first].start <= FRAGMENT_CHARS_MAX;
        let len = chars[first..].iter().take_while(fits).count().max(1);
        let inside = &marks[first..first + len];
        let sought = inside.iter().fold(0, |all, mark| all | mark.sought);
        // Another word says more than the same one again.
        let worth = sought.count_ones() * 256 + u32::try_from(len).unwrap_or(u32::MAX).min(255);
        windows.push((worth, first, marks[first].range.start..inside[len - 1].range.end));
    }
    windows.sort_by_key(|(worth, first, _)| (u32::MAX - worth, *first));
    let mut best: Vec<Range<usize>> = Vec::new();
    for (_, _, window) in windows {
        if best.iter().all(|other| window.end <= other.start || other.end <= window.start) {
            best.push(window);
        }
        if best.len() == FRAGMENTS_MAX {
            break;
        }
    }
    best.sort_by_key(|window| window.start);
    best
}

/// The windows with what is around them, up to the length of a fragment, between words if there is a space.
fn extend(text: &str, windows: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for (index, window) in windows.iter().enumerate() {
        let from = parts.last().map_or(0, |part| part.end);
        let to = windows.get(index + 1).map_or(text.len(), |next| next.start);
        let len = text[window.clone()].chars().count();
        let spare = FRAGMENT_CHARS_MAX.saturating_sub(len);
        let before = text[from..window.start].char_indices().rev().take(spare / 2);
        let mut start = before.last().map_or(window.start, |(at, _)| from + at);
        if start > from {
            let space = text[start..window.start].find(char::is_whitespace);
            start = space.map_or(start, |space| start + space);
        }
        let rest = &text[start..to];
        let mut end = rest.char_indices().nth(FRAGMENT_CHARS_MAX).map_or(to, |(at, _)| start + at);
        if end < to && end > window.end {
            let space = text[window.end..end].rfind(char::is_whitespace);
            end = space.map_or(end, |space| window.end + space);
        }
        let part = &text[start..end];
        start += part.len() - part.trim_start().len();
        parts.push(start..start + part.trim().len());
    }
    parts
}

fn html(text: &str, part: Range<usize>, marks: &[Mark]) -> String {
    let mut html = String::with_capacity(part.len() + 32);
    let mut at = part.start;
    let first = marks.partition_point(|mark| mark.range.end <= part.start);
    for Mark { range, .. } in &marks[first..] {
        let (start, end) = (range.start.max(part.start), range.end.min(part.end));
        if start >= end {
            break;
        }
        escape(&text[at..start], &mut html);
        html.push_str("<mark>");
        escape(&text[start..end], &mut html);
        html.push_str("</mark>");
        at = end;
    }
    escape(&text[at..part.end], &mut html);
    html
}

fn escape(text: &str, html: &mut String) {
    for c in text.chars() {
        match c {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
}

#[cfg(test)]
mod tests;
