//! Texts that are no expression: what is wrong with them, and what to write instead.

use jaq_core::load::lex::{self, Tok, Token};
use jaq_core::load::{parse, span};

use super::{Error, names, refused};

/// What is wrong with a text that has no tokens.
pub(super) fn lex_error(text: &str, errors: &[lex::Error<&str>]) -> Error {
    let Some((expected, rest)) = errors.last() else {
        return refused(0..0, "not an expression", "here", None);
    };
    let start = span(text, rest).start;
    let next = rest.chars().next().map_or(0, char::len_utf8);
    let found = &rest[..next];
    let place = start..start + next;
    match expected {
        lex::Expect::Token => no_token(rest, start),
        lex::Expect::Delim(open) => {
            let start = span(text, open).start;
            refused(start..start + 1, format!("`{open}` is never closed"), "opened here", None)
        }
        lex::Expect::Escape => refused(
            place,
            format!("unknown escape `\\{found}`"),
            "in this string",
            Some("write `\\\\` for a backslash".into()),
        ),
        lex::Expect::Unicode => {
            refused(place, "expected four hexadecimal digits", "after `\\u`", None)
        }
        lex::Expect::Digit => {
            let hint = element_hint(text);
            refused(place, "a number without digits", "expected a digit here", hint)
        }
        lex::Expect::Ident => {
            let hint = match (&text[..start], found) {
                (before, "{") if before.ends_with('$') => {
                    Some("a value is put into a string by `\"... \\(.data.name) ...\"`".to_owned())
                }
                (before, "." | "[") if before.ends_with(['$', '@']) => {
                    Some("the event is `.`: a path begins as in `.data.name`".to_owned())
                }
                _ => None,
            };
            refused(place, "a name is missing", "expected a name here", hint)
        }
        _ => refused(place, "not an expression", "here", None),
    }
}

/// A character that begins nothing, `start` bytes into the text.
fn no_token(rest: &str, start: usize) -> Error {
    const QUOTES: [(char, &str, &str); 8] = [
        ('\'', "'", "single quotes"),
        ('`', "`", "backticks"),
        ('“', "”“\"", "curly quotes"),
        ('”', "”“\"", "curly quotes"),
        ('„', "“”\"", "curly quotes"),
        ('‘', "’‘'", "curly quotes"),
        ('’', "’‘'", "curly quotes"),
        ('«', "»", "guillemets"),
    ];
    const OPERATORS: [(&str, &str); 9] = [
        ("&&", "write `and`"),
        ("&", "write `and`"),
        ("≠", "write `!=`"),
        ("≤", "write `<=`"),
        ("≥", "write `>=`"),
        ("–", "write `-`"),
        ("—", "write `-`"),
        ("^", "use `pow(a; b)`"),
        ("~", "use `test(\"...\")`"),
    ];
    let first = rest.chars().next().unwrap_or(' ');
    if let Some((_, closing, quotes)) = QUOTES.iter().find(|(open, ..)| *open == first) {
        let inner = &rest[first.len_utf8()..];
        let end = inner.find(|char: char| closing.contains(char));
        let length = end
            .map_or(inner.len(), |end| end + inner[end..].chars().next().map_or(0, char::len_utf8));
        let inner = &inner[..end.unwrap_or(inner.len())];
        let hint = format!("a string is written with double quotes: \"{inner}\"");
        let place = start..start + first.len_utf8() + length;
        return refused(place, format!("a string in {quotes}"), "not a string of jq", Some(hint));
    }
    if let Some((operator, hint)) = OPERATORS.iter().find(|(known, _)| rest.starts_with(known)) {
        let message = format!("unknown operator `{operator}`");
        let place = start..start + operator.len();
        return refused(place, message, "not an operator of jq", Some((*hint).to_owned()));
    }
    let place = start..start + first.len_utf8();
    refused(place, format!("unexpected `{first}`"), "no part of an expression", None)
}

/// What is wrong with tokens that are no expression.
pub(super) fn parse_error(
    text: &str,
    tokens: &[Token<&str>],
    error: &parse::TError<'_, &str>,
) -> Error {
    if let Some(slip) = unparsed(tokens, text) {
        return slip;
    }
    let (expected, found) = error;
    let wanted = match expected {
        parse::Expect::Just(token) => format!("expected `{token}`"),
        parse::Expect::Term => "expected a value".to_owned(),
        parse::Expect::Key => "expected a key, as in `.name` or `.[\"name\"]`".to_owned(),
        parse::Expect::Nothing => "expected an operator, or the end".to_owned(),
        parse::Expect::ElseOrEnd => "expected `else` or `end`".to_owned(),
        parse::Expect::SemicolonOrRParen => "expected `;` or `)`".to_owned(),
        other => format!("expected {}", other.as_str()),
    };
    match found {
        Some(token) => {
            let place = span(text, token.as_str());
            let shown: String = token.as_str().chars().take(20).collect();
            let hint = method_hint(token.as_str(), &text[..place.start]);
            let hint = hint.or_else(|| element_hint(&text[..place.end]));
            refused(place, format!("unexpected `{shown}`"), wanted, hint)
        }
        None => refused(text.len()..text.len(), "the expression ends too early", wanted, None),
    }
}

/// `.data.items.0` is `.data.items[0]`.
fn element_hint(text: &str) -> Option<String> {
    let (before, _) = text.char_indices().find(|(at, char)| {
        let next = text[at + char.len_utf8()..].chars().next();
        *char == '.'
            && next.is_some_and(|next| next.is_ascii_digit())
            && text[..*at].ends_with(|char: char| char.is_ascii_alphabetic() || "_]".contains(char))
    })?;
    let rest = &text[before + 1..];
    let digits = &rest[..rest.find(|char: char| !char.is_ascii_digit()).unwrap_or(rest.len())];
    Some(format!("an element is read by `[{digits}]`, as in `.data.items[{digits}]`"))
}

/// `.data.name.length()` is `.data.name | length`.
fn method_hint(found: &str, before: &str) -> Option<String> {
    let inside = |char: char| char.is_ascii_alphanumeric() || "._".contains(char);
    let path = &before[before.trim_end_matches(inside).len()..];
    let (input, method) = path.rsplit_once('.').filter(|_| found.starts_with('('))?;
    let input = if input.is_empty() { "." } else { input };
    Some(match names::instead(method) {
        _ if names::is_allowed(method) => {
            let arguments = if found == "()" { "" } else { "(...)" };
            format!("a function follows its input: `{input} | {method}{arguments}`")
        }
        Some(instead) => format!("a value has no methods: {instead}"),
        None => "a value has no methods: a function follows its input, as in `.data.name | length`"
            .to_owned(),
    })
}

/// Slips that jaq cannot parse.
fn unparsed(tokens: &[Token<&str>], text: &str) -> Option<Error> {
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1);
        if token.0 == "else" && next.is_some_and(|next| next.0 == "if") {
            let place = span(text, token.0).start..span(text, next?.0).end;
            let hint = "write `elif`, with one `end` for all".to_owned();
            return Some(refused(
                place,
                "`else if` without an `end` of its own",
                "expected `elif`",
                Some(hint),
            ));
        }
        if token.0 == "?" && tokens[index..].iter().any(|later| later.0 == ":") {
            let hint = "write `if ... then ... else ... end`".to_owned();
            return Some(refused(
                span(text, token.0),
                "unknown operator `? :`",
                "not an operator of jq",
                Some(hint),
            ));
        }
        if let (Tok::Word, "in" | "between" | "BETWEEN") = (&token.1, token.0)
            && index > 0
            && next.is_some()
        {
            let hint = "use `IN(\"a\", \"b\")`, or `>=` and `<=`".to_owned();
            let message = format!("unknown operator `{}`", token.0);
            return Some(refused(
                span(text, token.0),
                message,
                "not an operator of jq",
                Some(hint),
            ));
        }
        if let Tok::Block(inner) = &token.1
            && let Some(slip) = unparsed(inner, text)
        {
            return Some(slip);
        }
    }
    None
}
