//! What a setting's value may be, and how it is shown.

use std::net::SocketAddr;

use crate::config::layer::Given;
use crate::config::rule::{FORMATS, Kind, Range, Rule};
use crate::diagnostic::{self, Diagnostic, Place};
use crate::event::Format;
use crate::syntax::{self, Value};

/// Checks a value against its rule; the error is boxed as it is large and rare.
pub(super) fn check(rule: &Rule, given: &Given) -> Result<(), Box<Diagnostic>> {
    let Given { key, value, place, .. } = given;
    let error = |message: String| Box::new(Diagnostic::at(place.clone(), message));
    let wrong_kind = |wanted: &str| {
        Err(error(format!("`{key}` must be {wanted}, not {}", value.kind.describe())))
    };
    match (rule.kind, &value.kind) {
        (Kind::Boolean, syntax::Kind::Boolean(_)) => Ok(()),
        (Kind::Boolean, _) => wrong_kind("true or false"),
        (Kind::Number(range), syntax::Kind::Integer(Some(number))) => {
            check_range(key, *number, range).map_err(error)
        }
        (Kind::Number(_), _) => wrong_kind("an integer"),
        (Kind::Servers, syntax::Kind::Array(urls)) => check_servers(given, urls),
        (Kind::Servers, syntax::Kind::String(text)) => Err(Box::new(
            error(format!("`{key}` must be a list of URLs, not a string"))
                .hint(format!("write {key} = [{:?}]", text.value)),
        )),
        (Kind::Servers, _) => wrong_kind("a list of URLs"),
        (kind, syntax::Kind::String(text)) => check_text(key, kind, &text.value)
            .map_err(|(message, hint)| Box::new(Diagnostic { hint, ..*error(message) })),
        _ => wrong_kind("a string"),
    }
}

fn check_range(key: &str, number: i64, range: Range) -> Result<(), String> {
    let Range { min, max, why } = range;
    if (min..=max).contains(&number) {
        return Ok(());
    }
    Err(format!("`{key}` is {number}, but must be between {min} and {max}: {why}"))
}

/// A text's complaint: the message and a hint.
type Complaint = (String, Option<String>);

fn check_text(key: &str, kind: Kind, text: &str) -> Result<(), Complaint> {
    if text.trim().is_empty() {
        return Err((format!("`{key}` is empty"), Some("leave it out for none".to_owned())));
    }
    match kind {
        Kind::Format if format(text).is_none() => {
            let known = FORMATS.iter().map(|(name, _)| *name);
            Err((format!("`{key}` cannot be `{text}`"), diagnostic::did_you_mean(text, known)))
        }
        Kind::Listen if listen(text).is_err() => Err((
            format!("`{key}` cannot be `{text}`: an IP address with a port, or \"off\", is wanted"),
            Some(format!("such as \"{}\"", text.replace("localhost", "127.0.0.1")))
                .filter(|_| text.starts_with("localhost:"))
                .or(Some("such as \"127.0.0.1:8420\"".to_owned())),
        )),
        Kind::Stream if text.contains(|c: char| c.is_whitespace() || ".*>/\\".contains(c)) => {
            Err((
                format!(
                    "`{text}` cannot be the name of a stream: blanks and . * > / \\ are not allowed in it"
                ),
                Some("the stream's name, not its subjects: `nats stream ls` lists them".to_owned()),
            ))
        }
        Kind::Subject if !is_plain_subject(text) => Err((
            format!(
                "`{key}` cannot be `{text}`: words with dots between are wanted, without wildcards"
            ),
            None,
        )),
        _ => Ok(()),
    }
}

fn is_plain_subject(text: &str) -> bool {
    text.split('.').all(|word| {
        !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c == '*' || c == '>')
    })
}

fn check_servers(given: &Given, urls: &[Value]) -> Result<(), Box<Diagnostic>> {
    let Given { key, place, source, .. } = given;
    if urls.is_empty() {
        return Err(Box::new(Diagnostic::at(place.clone(), format!("`{key}` is an empty list"))));
    }
    for url in urls {
        // In a file the element is pointed at; a variable or a flag is named as a whole.
        let place = match (place, source) {
            (Place::File { .. }, Some(source)) => Place::file(source, url.span.clone()),
            _ => place.clone(),
        };
        let problem = match &url.kind {
            syntax::Kind::String(text) => match server_problem(&text.value) {
                Some(problem) => {
                    format!("`{}` is not a server's URL: {problem}", masked(&text.value))
                }
                None => continue,
            },
            other => format!("each of `{key}` must be a URL, not {}", other.describe()),
        };
        return Err(Box::new(
            Diagnostic::at(place, problem).hint("such as \"nats://127.0.0.1:4222\""),
        ));
    }
    Ok(())
}

fn server_problem(url: &str) -> Option<&'static str> {
    let (scheme, rest) = url.split_once("://").unwrap_or(("nats", url));
    let host = rest.rsplit('@').next().unwrap_or_default();
    if !["nats", "tls"].contains(&scheme) {
        Some("it must start with nats:// or tls://")
    } else if host.is_empty() || host.starts_with(':') {
        Some("there is no host in it")
    } else if url.contains(char::is_whitespace) {
        Some("there is a blank in it")
    } else {
        None
    }
}

/// A URL without the password or token that may be in it.
pub(super) fn masked(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    match rest.rsplit_once('@') {
        Some((_, host)) if scheme.is_empty() => format!("***@{host}"),
        Some((_, host)) => format!("{scheme}://***@{host}"),
        None => url.to_owned(),
    }
}

/// The format that a word names.
pub(super) fn format(text: &str) -> Option<Format> {
    FORMATS.iter().find(|(name, _)| *name == text).map(|(_, format)| *format)
}

/// The address to listen at; none for `off`.
pub(super) fn listen(text: &str) -> Result<Option<SocketAddr>, std::net::AddrParseError> {
    if text == "off" { Ok(None) } else { text.parse().map(Some) }
}

/// A value as it would stand in the file, secrets masked.
pub(super) fn show(kind: Kind, value: &Value) -> String {
    match &value.kind {
        syntax::Kind::String(text) => quoted(&text.value),
        syntax::Kind::Array(elements) => {
            let elements: Vec<String> = elements
                .iter()
                .map(|element| match &element.kind {
                    syntax::Kind::String(text) if kind == Kind::Servers => {
                        quoted(&masked(&text.value))
                    }
                    _ => show(kind, element),
                })
                .collect();
            format!("[{}]", elements.join(", "))
        }
        syntax::Kind::Integer(integer) => integer.unwrap_or_default().to_string(),
        syntax::Kind::Boolean(boolean) => boolean.to_string(),
        syntax::Kind::Float(text) | syntax::Kind::Datetime(text) => text.clone(),
        syntax::Kind::Table(_) => "{}".to_owned(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// The reverse of `format`.
pub(super) fn format_word(format: Format) -> &'static str {
    FORMATS.iter().find(|(_, known)| *known == format).map_or("auto", |(word, _)| word)
}
