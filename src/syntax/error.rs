//! The TOML parser's errors, in words for somebody who does not think in tokens.

use std::ops::Range;
use std::sync::Arc;

use super::opening::{self, Unclosed};
use crate::diagnostic::{Diagnostic, Source};

/// Syntax errors told of one file: what comes after many is seldom a mistake of its own.
const ERRORS_MAX: usize = 10;

/// Keys of definitions that are lists, and whose headers therefore have two pairs of brackets.
const LISTS: [&str; 2] = ["on", "test"];

/// In file order, the first of each line: the others follow from it.
pub(super) fn read(source: &Arc<Source>, errors: &[toml::de::Error]) -> Vec<Diagnostic> {
    if source.text.trim_start().starts_with('{') {
        let span = source.text.find('{').map_or(0..0, |at| at..at + 1);
        let message = "TOML syntax: the file is JSON, not TOML";
        let diagnostic = Diagnostic::error(source, span, message, "TOML has no outer braces");
        return vec![diagnostic.hint("write key = value, one a line")];
    }
    let mut errors: Vec<_> = errors
        .iter()
        .map(|error| {
            let span = error.span().unwrap_or(0..0);
            (source.position(span.start).line, span, error.message())
        })
        .collect();
    errors.sort_by_key(|(_, span, _)| span.start);
    errors.dedup_by_key(|(line, _, _)| *line);
    // What was left open is told where it was opened, and nothing of what the parser made of the rest.
    let trust = opening::trust(&source.text);
    let mut in_repeated_table = false;
    errors.retain(|(_, span, message)| {
        let repeated = message.starts_with("duplicate key");
        if repeated && in_header(&source.text, span.start) {
            in_repeated_table = true;
            return span.start < trust.end;
        }
        // Of a table that is there twice, each entry may be too.
        in_repeated_table &= repeated;
        span.start < trust.end && !in_repeated_table
    });
    errors
        .into_iter()
        .take(ERRORS_MAX)
        .map(|(_, span, message)| syntax_error(source, span, message))
        .chain(trust.unclosed.map(|open| never_closed(source, open)))
        .collect()
}

fn never_closed(source: &Arc<Source>, open: Unclosed) -> Diagnostic {
    let what = match open.closes {
        "]" => "list",
        "}" => "table",
        _ => "string",
    };
    let message = format!("TOML syntax: this {what} is never closed");
    let diagnostic = Diagnostic::error(source, open.span, message, "opened here");
    let line = source.position(open.before).line;
    if open.before < source.text.len() {
        diagnostic.hint(format!("put `{}` before line {line}", open.closes))
    } else {
        diagnostic.hint(format!("put `{}` where it ends", open.closes))
    }
}

fn syntax_error(source: &Arc<Source>, span: Range<usize>, message: &str) -> Diagnostic {
    let (reason, expected) = match message.split_once(", expected ") {
        Some((reason, expected)) => (reason, Some(expected)),
        None => (message, None),
    };
    let error = |span, message: &str, label: &str| {
        Diagnostic::error(source, span, format!("TOML syntax: {message}"), label)
    };
    let rest = source.text.get(span.start..).unwrap_or_default();
    let before = source.text.get(..span.start).unwrap_or_default();
    if reason.starts_with("invalid ")
        && reason.ends_with(" string")
        && (rest.is_empty() || rest.starts_with(['\r', '\n']))
    {
        let label = format!("expected {} before the end of the line", expected.unwrap_or("quotes"));
        return error(span, "a string has no end", &label);
    }
    if reason == "duplicate key" {
        return repeated(source, span);
    }
    if reason == "missing escaped value" {
        let escape: String = rest.chars().take_while(|c| !c.is_whitespace()).take(1).collect();
        return error(
            span,
            &format!("`\\{escape}` means nothing between double quotes"),
            "not an escape",
        )
        .hint("write '...' around the text, where a backslash is a backslash, or double it");
    }
    if let Some(rest) = reason.strip_prefix("cannot extend value of type ") {
        let kind = rest.split(' ').next().unwrap_or_default();
        let message = format!("this key has a value already, of type {kind}");
        return error(span, &message, "cannot be a table as well");
    }
    if reason == "unexpected key or value" && before.ends_with(['"', '\'']) {
        return error(span, "the string ends before this", "outside the quotes")
            .hint("between double quotes write \\\" for a quote, or put '...' around the whole");
    }
    if rest.starts_with(':') || before.trim_end().ends_with(':') && reason.contains("key") {
        return error(span, "`:` where `=` is wanted", "TOML writes key = value");
    }
    if reason == "string values must be quoted" {
        return unquoted(source, span, rest);
    }
    let label = expected.map(|expected| format!("expected {expected}")).unwrap_or_default();
    error(span, reason, &label)
}

/// A value that is neither a number nor a boolean nor in quotes.
fn unquoted(source: &Arc<Source>, span: Range<usize>, rest: &str) -> Diagnostic {
    let error = |message: &str, label: &str| {
        Diagnostic::error(source, span.clone(), format!("TOML syntax: {message}"), label)
    };
    if rest.lines().next().unwrap_or_default().trim().is_empty() {
        return error("a value is missing", "nothing follows `=`");
    }
    if rest.starts_with(['\u{201c}', '\u{201d}', '\u{201e}', '\u{2018}', '\u{2019}', '`']) {
        return error("these are not TOML's quotes", "a string must be quoted")
            .hint("write straight quotes: \"...\" or '...'");
    }
    error("a string must be quoted", "neither a number nor a boolean")
        .hint("write '...' (as it is) or \"...\" (with \\ escapes) around it")
}

fn repeated(source: &Arc<Source>, span: Range<usize>) -> Diagnostic {
    if !in_header(&source.text, span.start) {
        return Diagnostic::error(
            source,
            span,
            "TOML syntax: this key is there twice",
            "second time",
        );
    }
    let name = source.text.get(span.clone()).unwrap_or_default().to_owned();
    let message = format!("TOML syntax: table `{name}` is there twice");
    let diagnostic = Diagnostic::error(source, span, message, "second time");
    if LISTS.contains(&name.as_str()) {
        return diagnostic.hint(format!("write [[{name}]] each time, in two pairs of brackets"));
    }
    diagnostic.hint("what belongs to it goes under the first".to_owned())
}

/// Whether a place is in a `[header]`.
fn in_header(text: &str, at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default();
    let line = before.rfind('\n').map_or(before, |newline| &before[newline + 1..]);
    line.trim_start().starts_with('[') && !line.contains('=')
}
