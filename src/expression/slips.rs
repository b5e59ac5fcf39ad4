//! Usual slips: what people write who know SQL, JavaScript or Python, and what to write instead.

use std::ops::Range;

use jaq_core::load::lex::{self, StrPart, Tok, Token};
use jaq_core::load::{parse, span};

use super::{Error, Place, Scope};

type Tokens<'t, 's> = &'t [Token<&'s str>];

/// Refuses what would parse, but not mean what it says.
pub(super) fn refuse(tokens: Tokens<'_, '_>, text: &str, scope: Scope<'_>) -> Result<(), Error> {
    refuse_in(tokens, text, scope, false)
}

/// What is wrong with a text that has no tokens.
pub(super) fn lex_error(text: &str, errors: &[lex::Error<&str>]) -> Error {
    let Some((expected, rest)) = errors.last() else {
        return at(0..0, "not an expression", "here", None);
    };
    let start = span(text, rest).start;
    let next = rest.chars().next().map_or(0, char::len_utf8);
    let found = &rest[..next];
    let place = start..start + next;
    match expected {
        lex::Expect::Token if rest.starts_with('\'') => {
            let inner = rest[1..].split('\'').next().unwrap_or_default();
            let hint = format!("a string is written with double quotes: \"{inner}\"");
            let length = (inner.len() + 2).min(rest.len());
            at(start..start + length, "a string in single quotes", "not a string of jq", Some(hint))
        }
        lex::Expect::Token if rest.starts_with("&&") => at(
            start..start + 2,
            "unknown operator `&&`",
            "not an operator of jq",
            Some("write `and`".to_owned()),
        ),
        lex::Expect::Token => {
            at(place, format!("unexpected `{found}`"), "no part of an expression", None)
        }
        lex::Expect::Delim(open) => {
            let start = span(text, open).start;
            at(start..start + 1, format!("`{open}` is never closed"), "opened here", None)
        }
        lex::Expect::Escape => at(
            place,
            format!("unknown escape `\\{found}`"),
            "in this string",
            Some("write `\\\\` for a backslash".into()),
        ),
        lex::Expect::Unicode => at(place, "expected four hexadecimal digits", "after `\\u`", None),
        lex::Expect::Digit => at(place, "a number without digits", "expected a digit here", None),
        lex::Expect::Ident => at(place, "a name is missing", "expected a name here", None),
        _ => at(place, "not an expression", "here", None),
    }
}

/// What is wrong with tokens that are no expression.
pub(super) fn parse_error(
    text: &str,
    tokens: Tokens<'_, '_>,
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
            at(place, format!("unexpected `{shown}`"), wanted, None)
        }
        None => at(text.len()..text.len(), "the expression ends too early", wanted, None),
    }
}

fn at(
    place: Range<usize>,
    message: impl Into<String>,
    label: impl Into<String>,
    hint: Option<String>,
) -> Error {
    Error { span: place, message: message.into(), label: label.into(), hint }
}

fn refuse_in(
    tokens: Tokens<'_, '_>,
    text: &str,
    scope: Scope<'_>,
    object: bool,
) -> Result<(), Error> {
    let mut conditions = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1);
        match &token.1 {
            Tok::Word if !is_key(tokens, index, object) => {
                refuse_word(token, next, text)?;
                match token.0 {
                    "if" => conditions.push((token, false)),
                    "else" => conditions
                        .iter_mut()
                        .last()
                        .into_iter()
                        .for_each(|(_, otherwise)| *otherwise = true),
                    "end" => match conditions.pop() {
                        Some((condition, false)) if scope.place == Place::Handler => {
                            let hint = "without `else` it gives its input, the whole event: write `else null`";
                            let place = span(text, condition.0).start..span(text, token.0).end;
                            return Err(at(
                                place,
                                "`if` without `else`",
                                "no `else`",
                                Some(hint.to_owned()),
                            ));
                        }
                        _ => {}
                    },
                    _ => {}
                }
            }
            Tok::Sym => {
                refuse_symbol(token, text, scope)?;
                refuse_dash(&tokens[index..], text)?;
            }
            Tok::Block(inner) => refuse_in(inner, text, scope, token.0.starts_with('{'))?,
            Tok::Str(parts) => {
                for part in parts {
                    if let StrPart::Term(token) = part {
                        refuse_in(std::slice::from_ref(token), text, scope, false)?;
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
}

/// In an object, words before `:` or alone are keys, whatever they mean elsewhere.
fn is_key(tokens: Tokens<'_, '_>, index: usize, object: bool) -> bool {
    object && (index == 0 || tokens[index - 1].0 == ",")
}

fn refuse_word(token: &Token<&str>, next: Option<&Token<&str>>, text: &str) -> Result<(), Error> {
    let place = span(text, token.0);
    let next_word = next.map(|next| next.0);
    match token.0 {
        "def" | "import" | "include" | "module" => {
            let message = format!("`{}` is not available", token.0);
            Err(at(place, message, "an expression stands alone", None))
        }
        "label" | "break" => {
            let hint = "`first(f)` and `limit(n; f)` end early".to_owned();
            Err(at(
                place,
                format!("`{}` is not available", token.0),
                "not part of the language",
                Some(hint),
            ))
        }
        "is" if matches!(next_word, Some("null" | "NULL" | "not" | "NOT")) => {
            let end = span(text, next.expect("matched").0).end;
            let operator = if matches!(next_word, Some("not" | "NOT")) { "!=" } else { "==" };
            let hint = format!("write `{operator} null`");
            Err(at(place.start..end, "unknown operator `is`", "not an operator of jq", Some(hint)))
        }
        "AND" | "OR" | "IS" | "LIKE" | "like" | "elseif" | "elsif" => {
            let hint = match token.0 {
                "AND" => "write `and`",
                "OR" => "write `or`",
                "IS" => "write `== null`",
                "LIKE" | "like" => {
                    "use `test(\"...\")`, `startswith(\"...\")` or `contains(\"...\")`"
                }
                _ => "write `elif`",
            };
            Err(at(
                place,
                format!("unknown operator `{}`", token.0),
                "not an operator of jq",
                Some(hint.to_owned()),
            ))
        }
        _ => refuse_prefix(token, next, text),
    }
}

/// `not .a` is `not`, and then a member of what it gives.
fn refuse_prefix(token: &Token<&str>, next: Option<&Token<&str>>, text: &str) -> Result<(), Error> {
    const KEYWORDS: [&str; 12] = [
        "if", "then", "elif", "else", "end", "and", "or", "as", "try", "catch", "reduce", "foreach",
    ];
    let Some(next) = next else { return Ok(()) };
    let (name, member) = (span(text, token.0), span(text, next.0));
    let path = next.0.starts_with('.') && next.0 != "..";
    if !path || name.end == member.start || KEYWORDS.contains(&token.0) {
        return Ok(());
    }
    let rest = &text[member.start..];
    let input = &rest[..rest
        .find(|char: char| char.is_whitespace() || "|),;".contains(char))
        .unwrap_or(rest.len())];
    let hint = format!("a function follows its input: `{input} | {}`", token.0);
    Err(at(
        name,
        format!("`{}` before its input", token.0),
        "takes no input from its right",
        Some(hint),
    ))
}

fn refuse_symbol(token: &Token<&str>, text: &str, scope: Scope<'_>) -> Result<(), Error> {
    let place = span(text, token.0);
    match token.0 {
        "=" | "|=" | "+=" | "-=" | "*=" | "/=" | "%=" | "//=" if scope.place == Place::Handler => {
            let hint = match token.0 {
                "=" => "to compare, write `==`",
                _ => "an expression gives a value; only a source's `transform` changes the event",
            };
            Err(at(
                place,
                format!("an assignment: `{}`", token.0),
                "changes nothing here",
                Some(hint.to_owned()),
            ))
        }
        operator @ ("||" | "<>" | "!" | "===" | "!==" | "=~" | "**") => {
            let hint = match operator {
                "||" => "write `or`, or `//` for a value to use instead of null",
                "<>" | "!==" => "write `!=`",
                "===" => "write `==`",
                "=~" => "use `test(\"...\")`",
                "**" => "use `pow(a; b)`",
                _ => "write `| not`, as in `(.data.paid | not)`",
            };
            let message = format!("unknown operator `{operator}`");
            Err(at(place, message, "not an operator of jq", Some(hint.to_owned())))
        }
        _ => Ok(()),
    }
}

/// `.order-id` is `.order` minus `id`.
fn refuse_dash(tokens: Tokens<'_, '_>, text: &str) -> Result<(), Error> {
    let [name, dash, word, ..] = tokens else { return Ok(()) };
    if name.0.len() < 2
        || !name.0.starts_with('.')
        || name.0 == ".."
        || dash.0 != "-"
        || !matches!(word.1, Tok::Word)
    {
        return Ok(());
    }
    let (first, second, third) = (span(text, name.0), span(text, dash.0), span(text, word.0));
    if first.end != second.start || second.end != third.start {
        return Ok(());
    }
    // As many `-word` as follow without a space belong to the name.
    let rest =
        text[third.end..].find(|char: char| !(char.is_ascii_alphanumeric() || "-_".contains(char)));
    let end = rest.map_or(text.len(), |length| third.end + length);
    let key = &text[first.start + 1..end];
    let hint = format!(
        "a name with a dash is quoted: `.[\"{key}\"]`; to subtract, put spaces around the `-`"
    );
    let message = format!("`.{key}` means `{}` minus `{}`", name.0, &text[third.start..end]);
    Err(at(first.start..end, message, "not one name", Some(hint)))
}

/// Slips that jaq cannot parse.
fn unparsed(tokens: Tokens<'_, '_>, text: &str) -> Option<Error> {
    for (index, token) in tokens.iter().enumerate() {
        let next = tokens.get(index + 1);
        if token.0 == "else" && next.is_some_and(|next| next.0 == "if") {
            let place = span(text, token.0).start..span(text, next?.0).end;
            let hint = "write `elif`, with one `end` for all".to_owned();
            return Some(at(
                place,
                "`else if` without an `end` of its own",
                "expected `elif`",
                Some(hint),
            ));
        }
        if token.0 == "?" && tokens[index..].iter().any(|later| later.0 == ":") {
            let hint = "write `if ... then ... else ... end`".to_owned();
            return Some(at(
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
            return Some(at(span(text, token.0), message, "not an operator of jq", Some(hint)));
        }
        if let Tok::Block(inner) = &token.1
            && let Some(slip) = unparsed(inner, text)
        {
            return Some(slip);
        }
    }
    None
}
