//! Usual slips: what people write who know SQL, JavaScript or Python, and what to write instead.

use jaq_core::load::lex::{StrPart, Tok, Token};
use jaq_core::load::span;

use super::{Error, Place, Scope, calls, document, names, refused};

/// Words that are no names of functions.
const KEYWORDS: [&str; 12] =
    ["if", "then", "elif", "else", "end", "and", "or", "as", "try", "catch", "reduce", "foreach"];

/// Words of other languages: what each is there, and what to write instead.
const FOREIGN: [(&[&str], &str, &str); 9] = [
    (&["AND"], "operator", "write `and`"),
    (&["OR"], "operator", "write `or`"),
    (&["IS"], "operator", "write `== null`"),
    (
        &["LIKE", "like", "ILIKE", "ilike", "matches"],
        "operator",
        "use `test(\"...\")`, `startswith(\"...\")` or `contains(\"...\")`",
    ),
    (&["elseif", "elsif"], "operator", "write `elif`"),
    (
        &["CASE", "case", "WHEN", "switch", "IF", "unless"],
        "word",
        "write `if ... then ... elif ... then ... else ... end`",
    ),
    (&["return"], "word", "an expression is its value: leave it out"),
    (
        &["let", "var", "const", "val"],
        "word",
        "a variable is made by a `let` of the handler, or by `... as $x | ...`",
    ),
    (
        &["SELECT", "FROM", "WHERE", "lambda", "function", "fn"],
        "word",
        "an expression is jq: `.data.name` reads, `|` hands on, `select(...)` keeps",
    ),
];

/// Operators of other languages, and what to write instead.
const FOREIGN_OPERATORS: [(&str, &str); 12] = [
    ("||", "write `or`, or `//` for a value to use instead of null"),
    ("<>", "write `!=`"),
    ("!==", "write `!=`"),
    ("===", "write `==`"),
    ("=~", "use `test(\"...\")`"),
    ("**", "use `pow(a; b)`"),
    ("!", "write `| not`, as in `(.data.paid | not)`"),
    ("=>", "write `>=` to compare; a function is given an expression, as in `map(.price)`"),
    ("=<", "write `<=`"),
    ("->", "a member is read by a dot, as in `.data.name`"),
    ("->>", "a member is read by a dot, as in `.data.name`"),
    ("++", "strings and arrays are joined by `+`"),
];

/// Operators of jq.
const OPERATORS: [&str; 25] = [
    "|", "=", "|=", "==", "!=", "<", "<=", ">", ">=", "+", "-", "*", "/", "%", "+=", "-=", "*=",
    "/=", "%=", "//", "//=", "?", ",", ":", ";",
];

type Tokens<'t, 's> = &'t [Token<&'s str>];

/// Refuses what would parse, but not mean what it says.
pub(super) fn refuse(tokens: Tokens<'_, '_>, text: &str, scope: Scope<'_>) -> Result<(), Error> {
    refuse_in(tokens, text, scope, false)
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
                if !KEYWORDS.contains(&token.0) {
                    calls::check_shape(token, next, text, scope)?;
                }
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
                            return Err(refused(
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
                refuse_coalescing(&tokens[index..], text)?;
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
            Err(refused(place, message, "an expression stands alone", None))
        }
        "label" | "break" => {
            let hint = "`first(f)` and `limit(n; f)` end early".to_owned();
            Err(refused(
                place,
                format!("`{}` is not available", token.0),
                "not part of the language",
                Some(hint),
            ))
        }
        "is" | "IS" if matches!(next_word, Some("null" | "NULL" | "not" | "NOT")) => {
            let end = span(text, next.expect("matched").0).end;
            let operator = if matches!(next_word, Some("not" | "NOT")) { "!=" } else { "==" };
            let hint = format!("write `{operator} null`");
            Err(refused(
                place.start..end,
                format!("unknown operator `{}`", token.0),
                "not an operator of jq",
                Some(hint),
            ))
        }
        word => match FOREIGN.iter().find(|(words, ..)| words.contains(&word)) {
            Some((_, what, hint)) => {
                let message = format!("unknown {what} `{word}`");
                let label =
                    format!("not {} of jq", if *what == "word" { "a word" } else { "an operator" });
                Err(refused(place, message, label, Some((*hint).to_owned())))
            }
            None => refuse_prefix(token, next, text),
        },
    }
}

/// `not .a` is `not`, and then a member of what it gives.
fn refuse_prefix(token: &Token<&str>, next: Option<&Token<&str>>, text: &str) -> Result<(), Error> {
    let Some(next) = next else { return Ok(()) };
    let (name, member) = (span(text, token.0), span(text, next.0));
    let path = next.0.starts_with(['.', '$']) && next.0 != "..";
    if !path || name.end == member.start || KEYWORDS.contains(&token.0) {
        return Ok(());
    }
    let rest = &text[member.start..];
    let input = &rest[..rest
        .find(|char: char| char.is_whitespace() || "|),;".contains(char))
        .unwrap_or(rest.len())];
    // `NOT .data.paid`
    let lower = token.0.to_lowercase();
    if !names::is_allowed(&lower) {
        let (message, hint) = names::refuse(token.0, 0).expect("it is not allowed");
        let hint = hint.unwrap_or_else(|| format!("a string is written `\"{}\"`", token.0));
        return Err(refused(name, message, "not a function", Some(hint)));
    }
    let hint = format!("a function follows its input: `{input} | {lower}`");
    Err(refused(
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
                "=" => "to compare, write `==`".to_owned(),
                operator => new_value(operator, path_before(text, place.start)),
            };
            let message = format!("an assignment: `{}`", token.0);
            Err(refused(place, message, "changes nothing here", Some(hint)))
        }
        operator => {
            let letters = operator.starts_with(['.', ')', ']', '}']);
            if letters || OPERATORS.contains(&operator) {
                return Ok(());
            }
            let hint = FOREIGN_OPERATORS.iter().find(|(known, _)| *known == operator);
            let hint = hint.map(|(_, hint)| (*hint).to_owned());
            let message = format!("unknown operator `{operator}`");
            Err(refused(place, message, "not an operator of jq", hint))
        }
    }
}

/// The value that an assignment would have assigned, for a hint.
fn new_value(assignment: &str, path: &str) -> String {
    let operator = assignment.trim_end_matches('=');
    let value = match operator {
        "|" => "...".to_owned(),
        operator => format!("{path} {operator} ..."),
    };
    let member = path.strip_prefix('.').filter(|name| !name.is_empty() && !name.contains('.'));
    match member {
        Some(name) if document::Field::named(name).is_none() => {
            format!("the object with another value is `. + {{{name}: ({value})}}`")
        }
        _ if path.starts_with('$') && operator != "|" => format!("write the new value: `{value}`"),
        _ => {
            "an expression gives a value; only a source's `transform` changes the event".to_owned()
        }
    }
}

/// The path that ends where something else begins.
fn path_before(text: &str, end: usize) -> &str {
    let before = text[..end].trim_end();
    let rest =
        before.trim_end_matches(|char: char| char.is_ascii_alphanumeric() || "._$".contains(char));
    &before[rest.len()..]
}

/// `.a ?? .b` is `.a` with two `?`, and then something.
fn refuse_coalescing(tokens: Tokens<'_, '_>, text: &str) -> Result<(), Error> {
    let [first, second, ..] = tokens else { return Ok(()) };
    if (first.0, second.0) != ("?", "?") {
        return Ok(());
    }
    let place = span(text, first.0).start..span(text, second.0).end;
    let hint = "write `//`, which takes the other value for null and for false".to_owned();
    Err(refused(place, "unknown operator `??`", "not an operator of jq", Some(hint)))
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
    // What stands before it without a space: `.headers` of `.headers.X-Request-Id`.
    let before = if text[..first.start].ends_with(char::is_whitespace) {
        ""
    } else {
        path_before(text, first.start)
    };
    let before = if before.is_empty() { "." } else { before };
    let hint = format!(
        "a name with a dash is quoted: `{before}[\"{key}\"]`; to subtract, put spaces around the `-`"
    );
    let message = format!("`.{key}` means `{}` minus `{}`", name.0, &text[third.start..end]);
    Err(refused(first.start..end, message, "not one name", Some(hint)))
}
