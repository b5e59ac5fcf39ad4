//! Regular expressions: linear time in the text, and a price that keeps them so.
//!
//! A search reads each byte at most once, but a text with many matches is searched once a match, and a match may be
//! looked for up to the end of the text each time. So each search is charged for all the text that it might read.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use jaq_core::box_iter::box_once;
use jaq_core::{Bind, ValX};
use regex::{Captures, Regex, RegexBuilder};

use super::super::budget;
use super::super::value::{Members, Result, Value, error};
use super::{Function, as_text, binary, refused, unary};

/// A compiled pattern and how it is to be applied.
struct Matcher {
    regex: Regex,
    global: bool,
    skip_empty: bool,
    weight: usize,
}

/// Sizes of compiled patterns in bytes, each with the price of compiling one in operations and of 32 bytes searched.
const SIZES: [(usize, usize, usize); 3] =
    [(32 << 10, 100, 1), (256 << 10, 1_000, 8), (2 << 20, 10_000, 64)];
/// Patterns are nearly always literals of a definition; a thread keeps this many compiled.
const KEPT_MAX: usize = 64;
/// Past this a pattern is not one that a person wrote.
const PATTERN_BYTES_MAX: usize = 4_096;

thread_local! {
    /// By flags, a slash and the pattern. Shared, since a clone of a `Regex` makes its caches anew.
    static KEPT: RefCell<HashMap<String, Rc<Matcher>>> = RefCell::default();
}

pub(super) fn functions() -> Vec<Function> {
    vec![
        unary!("test", |value, pattern| test(&value, &pattern, &Value::Null)),
        binary!("test", |value, pattern, flags| test(&value, &pattern, &flags)),
        binary!("_match", |value, pattern, flags| matches(&value, &pattern, &flags)),
        binary!("_capture", |value, pattern, flags| captures(&value, &pattern, &flags)),
        binary!("_scan", |value, pattern, flags| scan(&value, &pattern, &flags)),
        binary!("split", |value, pattern, flags| split(&value, &pattern, &flags)),
        Function::of_filter((
            "sub",
            [Bind::Var(()), Bind::Fun(()), Bind::Var(())].into(),
            |mut cv| {
                let flags = cv.0.pop_var();
                let (f, context) = cv.0.pop_fun();
                let pattern = cv.0.pop_var();
                let replace = |found: Value| {
                    f.run((context.clone(), found)).collect::<ValX<'_, Vec<Value>, Value>>()
                };
                match substituted(&cv.1, &pattern, &flags, replace) {
                    Ok(texts) => Box::new(texts.into_iter().map(|text| Ok(Value::from(text)))),
                    Err(problem) => box_once(Err(problem)),
                }
            },
        )),
    ]
}

/// Whether a literal pattern can be compiled, asked when a definition is loaded.
pub(in super::super) fn check(pattern: &str, flags: &str) -> std::result::Result<(), String> {
    compile(pattern, flags).map(|_| ())
}

fn test(value: &Value, pattern: &Value, flags: &Value) -> Result {
    let (text, matcher) = prepared("test", value, pattern, flags, "")?;
    matcher.charge(text.len());
    Ok(Value::Bool(matcher.regex.is_match(text)))
}

fn matches(value: &Value, pattern: &Value, flags: &Value) -> Result {
    let (text, matcher) = prepared("match", value, pattern, flags, "")?;
    let names: Vec<_> = matcher.regex.capture_names().collect();
    let mut places = Places::new(text);
    let objects = matcher.each(text, |captures| {
        let mut groups = captures.iter().zip(&names);
        let whole = groups.next().and_then(|(whole, _)| whole);
        let mut object = places.members(whole.map(|whole| whole.range()));
        let captured = groups.map(|(group, name)| {
            let mut members = places.members(group.map(|group| group.range()));
            members.insert("name".into(), name.map_or(Value::Null, Value::from));
            Value::object(members)
        });
        let captured = captured.collect();
        object.insert("captures".into(), captured);
        Value::object(object)
    });
    Ok(Value::array(objects))
}

fn captures(value: &Value, pattern: &Value, flags: &Value) -> Result {
    let (text, matcher) = prepared("capture", value, pattern, flags, "")?;
    Ok(Value::array(matcher.each(text, |captures| named(&matcher.regex, captures))))
}

/// Matches as text, or as an array of the groups where the pattern has any.
fn scan(value: &Value, pattern: &Value, flags: &Value) -> Result {
    let (text, matcher) = prepared("scan", value, pattern, flags, "g")?;
    let group = |group: Option<regex::Match<'_>>| {
        group.map_or(Value::Null, |group| Value::from(group.as_str()))
    };
    Ok(Value::array(matcher.each(text, |captures| match captures.len() {
        1 => group(captures.get(0)),
        _ => captures.iter().skip(1).map(group).collect(),
    })))
}

fn split(value: &Value, pattern: &Value, flags: &Value) -> Result {
    let (text, matcher) = prepared("split", value, pattern, flags, "g")?;
    let mut parts = Vec::new();
    let mut from = 0;
    matcher.each(text, |captures| {
        let whole = captures.get_match();
        parts.push(Value::from(&text[from..whole.start()]));
        from = whole.end();
        Value::Null
    });
    parts.push(Value::from(&text[from..]));
    Ok(Value::array(parts))
}

/// Every text that comes of replacing matches: several where `replace` gives several.
fn substituted<'a>(
    value: &Value,
    pattern: &Value,
    flags: &Value,
    replace: impl Fn(Value) -> ValX<'a, Vec<Value>, Value>,
) -> ValX<'a, Vec<String>, Value> {
    let (text, matcher) = prepared("sub", value, pattern, flags, "")?;
    let mut texts = vec![String::new()];
    let mut from = 0;
    let mut failed = None;
    matcher.each(text, |captures| {
        let whole = captures.get_match();
        if failed.is_none() {
            let kept = &text[from..whole.start()];
            match replace(named(&matcher.regex, captures))
                .and_then(|with| Ok(extended(&texts, kept, &with)?))
            {
                Ok(extended) => texts = extended,
                Err(problem) => failed = Some(problem),
            }
        }
        from = whole.end();
        Value::Null
    });
    if let Some(problem) = failed {
        return Err(problem);
    }
    for so_far in &mut texts {
        budget::text(text.len() - from);
        so_far.push_str(&text[from..]);
    }
    Ok(texts)
}

/// Each text with what was kept and each of the replacements.
fn extended(texts: &[String], kept: &str, with: &[Value]) -> Result<Vec<String>> {
    let mut extended = Vec::new();
    for replacement in with {
        let replacement =
            replacement.as_text().ok_or_else(|| refused("sub", replacement, "a string"))?;
        for so_far in texts {
            budget::operation();
            // What a text already has is charged when it is copied only, which one replacement does not ask for.
            let copied = if with.len() > 1 { so_far.len() } else { 0 };
            budget::text(copied + kept.len() + replacement.len());
            extended.push([so_far, kept, replacement].concat());
        }
    }
    Ok(extended)
}

/// The named groups of a match.
fn named(regex: &Regex, captures: &Captures<'_>) -> Value {
    let mut members = Members::new();
    for name in regex.capture_names().flatten() {
        budget::operation();
        let group = captures.name(name).map_or(Value::Null, |group| Value::from(group.as_str()));
        members.insert(name.into(), group);
    }
    Value::object(members)
}

fn prepared<'a>(
    name: &str,
    value: &'a Value,
    pattern: &Value,
    flags: &Value,
    more: &str,
) -> Result<(&'a str, Rc<Matcher>)> {
    let text = as_text(name, value)?;
    let pattern = as_text(name, pattern)?;
    let mut key = more.to_owned();
    if !matches!(flags, Value::Null) {
        key.push_str(as_text(name, flags)?);
    }
    let flags_end = key.len();
    key.push('/');
    key.push_str(pattern);
    let kept = KEPT.with_borrow(|kept| kept.get(&key).cloned());
    let matcher = match kept {
        Some(matcher) => matcher,
        None => {
            let compiled = compile(pattern, &key[..flags_end]);
            let matcher = Rc::new(compiled.map_err(|problem| error(format!("{name}: {problem}")))?);
            KEPT.with_borrow_mut(|kept| {
                if kept.len() >= KEPT_MAX {
                    kept.clear();
                }
                kept.insert(key, Rc::clone(&matcher));
            });
            matcher
        }
    };
    // Charged whether or not it was kept: the price of an event is the same on every thread.
    let (_, compiling, _) =
        SIZES.iter().find(|(.., weight)| *weight == matcher.weight).expect("one of these");
    budget::operations(*compiling);
    Ok((text, matcher))
}

fn compile(pattern: &str, flags: &str) -> std::result::Result<Matcher, String> {
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!(
            "a pattern of {} bytes is longer than {PATTERN_BYTES_MAX}",
            pattern.len()
        ));
    }
    let mut builder = RegexBuilder::new(pattern);
    let (mut global, mut skip_empty) = (false, false);
    for flag in flags.chars() {
        match flag {
            'g' => global = true,
            'i' => drop(builder.case_insensitive(true)),
            'n' => skip_empty = true,
            's' => drop(builder.dot_matches_new_line(true)),
            'x' => drop(builder.ignore_whitespace(true)),
            'p' => {
                builder.dot_matches_new_line(true);
                skip_empty = true;
            }
            other => {
                return Err(format!("unknown flag `{other}`: the flags are g, i, n, p, s and x"));
            }
        }
    }
    let mut problem = String::new();
    for (size, _, weight) in SIZES {
        match builder.size_limit(size).dfa_size_limit(1 << 20).build() {
            Ok(regex) => return Ok(Matcher { regex, global, skip_empty, weight }),
            Err(regex::Error::CompiledTooBig(_)) => problem = "the pattern is too large".to_owned(),
            // Its last line says what is wrong; the ones before draw the pattern.
            Err(other) => {
                let text = other.to_string();
                let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ");
                return Err(format!(
                    "`{}` is not a pattern: {reason}",
                    Value::from(pattern).shown()
                ));
            }
        }
    }
    Err(problem)
}

impl Matcher {
    /// What `make` makes of each match, or of the first if the search is not global.
    fn each(&self, text: &str, mut make: impl FnMut(&Captures<'_>) -> Value) -> Vec<Value> {
        let mut made = Vec::new();
        self.charge(text.len());
        for captures in self.regex.captures_iter(text) {
            let whole = captures.get_match();
            if !(self.skip_empty && whole.is_empty()) {
                made.push(make(&captures));
                if !self.global {
                    break;
                }
            }
            self.charge(text.len() - whole.end());
        }
        made
    }

    fn charge(&self, bytes: usize) {
        budget::operation();
        budget::steps((bytes / 32).saturating_mul(self.weight));
    }
}

/// Places of a text in characters, found from left to right.
struct Places<'a> {
    text: &'a str,
    byte: usize,
    character: usize,
}

impl<'a> Places<'a> {
    fn new(text: &'a str) -> Self {
        Self { text, byte: 0, character: 0 }
    }

    /// Offset, length and text of a match or group, as jq shows them.
    fn members(&mut self, range: Option<std::ops::Range<usize>>) -> Members {
        budget::operations(3);
        let (offset, length, string) = match range {
            Some(range) => {
                let part = &self.text[range.clone()];
                (self.at(range.start) as isize, part.chars().count(), Value::from(part))
            }
            None => (-1, 0, Value::Null),
        };
        let members =
            [("offset", Value::from(offset)), ("length", Value::from(length)), ("string", string)];
        members.into_iter().map(|(name, value)| (name.into(), value)).collect()
    }

    fn at(&mut self, byte: usize) -> usize {
        // A group may begin before the one that was told before it.
        let (from, characters) =
            if byte >= self.byte { (self.byte, self.character) } else { (0, 0) };
        budget::scan(byte - from);
        self.character = characters + self.text[from..byte].chars().count();
        self.byte = byte;
        self.character
    }
}
