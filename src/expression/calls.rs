//! Calls of functions, checked when they are loaded: names, numbers of arguments, arguments that are literals.
//!
//! Twice: by tokens before the text is parsed, where what was meant can be written out from the text, and by terms.

use jaq_core::load::lex::{StrPart, Tok, Token};
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::load::span;

use super::functions::{self, Direct};
use super::number::is_json_number;
use super::path::plain_text;
use super::{Error, Scope, document, lookup, names, prelude, refused};

/// A word with what stands right behind it, as in `length(.data)` or `data.status`.
pub(super) fn check_shape(
    token: &Token<&str>,
    next: Option<&Token<&str>>,
    text: &str,
    scope: Scope<'_>,
) -> Result<(), Error> {
    let name = token.0;
    let Some(next) = next else { return Ok(()) };
    let place = span(text, name);
    let adjacent = place.end == span(text, next.0).start;
    match &next.1 {
        Tok::Sym if adjacent && next.0.len() > 1 && next.0.starts_with('.') && next.0 != ".." => {
            check_undotted(name, place.start, text, scope)
        }
        Tok::Block(inner) if next.0.starts_with('(') => {
            let problem = if name == lookup::NAME {
                check_lookup(name, inner, next.0, text, scope)
            } else {
                check_call(name, inner, next.0, text)
            };
            problem.map_or(Ok(()), Err)
        }
        _ => Ok(()),
    }
}

/// `data.status` is a function `data`, and a member of what it gives.
fn check_undotted(name: &str, start: usize, text: &str, scope: Scope<'_>) -> Result<(), Error> {
    if names::is_allowed(name) || name == lookup::NAME || names::instead(name).is_some() {
        return Ok(());
    }
    let rest = &text[start..];
    let end = rest.find(|char: char| !(char.is_alphanumeric() || "._".contains(char)));
    let path = &rest[..end.unwrap_or(rest.len()).max(name.len())];
    let (hint, label) = if document::Field::named(name).is_some() {
        (format!("a path starts with a dot: `.{path}`"), "no dot before it")
    } else if scope.variables.contains(&name) {
        (format!("a variable starts with a dollar sign: `${path}`"), "no `$` before it")
    } else {
        let rest = &path[name.len()..];
        let whole =
            matches!(name, "event" | "e" | "evt" | "msg" | "message" | "this" | "it" | "self");
        let payload = matches!(name, "payload" | "body");
        let member = rest.trim_start_matches('.').split('.').next().unwrap_or_default();
        let hint = match (whole, payload) {
            (true, _) if document::Field::named(member).is_some() => {
                format!("`.` is the event: `{rest}`")
            }
            (true, _) | (_, true) => format!("the data of the event is `.data`: `.data{rest}`"),
            _ => format!("a path starts with a dot, in the data: `.data.{path}`"),
        };
        (hint, "not a function")
    };
    let message = format!("unknown function `{name}`");
    Err(refused(start..start + path.len(), message, label, Some(hint)))
}

/// A name with arguments in brackets that it does not take so.
fn check_call(name: &str, inner: &[Token<&str>], block: &str, text: &str) -> Option<Error> {
    let place = span(text, name).start..span(text, block).end;
    let mut split = arguments(inner, block, &[";"], text);
    if !names::is_allowed(name) {
        let (message, hint) = names::refuse(name, split.len())?;
        let equivalent = names::equivalent(name).filter(|_| !inner.is_empty());
        let whole = place == (0..text.len());
        let hint = equivalent.map(|function| meant(function, split, whole)).or(hint);
        return Some(refused(span(text, name), message, "not a function", hint));
    }
    let fits = |count: usize| names::refuse(name, count).is_none();
    if inner.len() == 1 {
        let hint = names::refuse(name, 0).map_or(Some(format!("write `{name}`")), |(_, hint)| hint);
        return Some(refused(
            place,
            format!("`{name}()` has no arguments"),
            "empty brackets",
            hint,
        ));
    }
    let commas = arguments(inner, block, &[","], text);
    // Commas make several values of one argument, which only functions of filters are given on purpose.
    let takes_one_value = || matches!(functions::direct(name, 1), Some(Direct::Unary(_)));
    let label = if split.len() == 1 && commas.len() > 1 && (takes_one_value() || !fits(1)) {
        split = commas;
        "one argument, of several values"
    } else if is_input(name, &split) {
        "its input, not its argument"
    } else if has_input_first(name, &split) {
        "no flags"
    } else if fits(split.len()) {
        return None;
    } else {
        "another number of arguments"
    };
    let message = match names::refuse(name, split.len()) {
        Some((message, _)) => message,
        None if is_input(name, &split) => format!("`{name}` takes its input from the left"),
        None if label == "no flags" => format!("`{}` are no flags of `{name}`", split[1]),
        None => format!("a `,` between the arguments of `{name}`"),
    };
    Some(refused(place.clone(), message, label, Some(meant(name, split, place == (0..text.len())))))
}

/// `round(.data.total)`: a path where digits, a depth or a stream of values would be.
fn is_input(name: &str, arguments: &[&str]) -> bool {
    let plain = |char: char| char.is_ascii_alphanumeric() || "._$[]".contains(char);
    match (name, arguments) {
        // What has members is neither a number nor an array.
        ("round" | "flatten", [path]) => {
            path.starts_with('.') && *path != "." && path.chars().all(plain)
        }
        // One value has no first, no last and no sum.
        ("add" | "first" | "last", [path]) => {
            is_path(path) && path.chars().all(plain) && !path.contains("[]") && !path.contains("..")
        }
        _ => false,
    }
}

/// `test(.data.name; "a")`: its second argument would be flags.
fn has_input_first(name: &str, arguments: &[&str]) -> bool {
    let takes_flags = matches!(name, "test" | "match" | "capture" | "scan" | "split" | "splits");
    let [first, second] = arguments else { return false };
    let flags = second.strip_prefix('"').and_then(|second| second.strip_suffix('"'));
    takes_flags
        && is_path(first)
        && flags.is_some_and(|flags| flags.chars().any(|flag| !"ginpsx".contains(flag)))
}

/// How a call was probably meant, for a hint.
fn meant(name: &str, mut arguments: Vec<&str>, whole: bool) -> String {
    let fits = |count: usize| names::refuse(name, count).is_none();
    let call = |arguments: &[&str]| match arguments {
        [] => name.to_owned(),
        some => format!("{name}({})", some.join("; ")),
    };
    let input = arguments.iter().position(|argument| is_path(argument));
    if fits(arguments.len() - 1) && (input.is_some() || !fits(arguments.len())) {
        let input = arguments.remove(input.unwrap_or(0));
        let input = if input.contains(" as ") { format!("({input})") } else { input.to_owned() };
        let piped = format!("{input} | {}", call(&arguments));
        let piped = if whole { piped } else { format!("({piped})") };
        format!("a function follows its input: `{piped}`")
    } else if fits(arguments.len()) {
        format!("arguments are separated by `;`: `{}`", call(&arguments))
    } else {
        "arguments are separated by `;`".to_owned()
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with(['.', '$'])
}

/// `lookup("table", key)`, where there is a table of as many keys.
fn check_lookup(
    name: &str,
    inner: &[Token<&str>],
    block: &str,
    text: &str,
    scope: Scope<'_>,
) -> Option<Error> {
    let split = arguments(inner, block, &[",", ";"], text);
    let given = split[0].trim_matches('"');
    let table = scope.tables.iter().find(|table| table.name == given)?;
    let semicolons = arguments(inner, block, &[";"], text).len();
    if split.len() != table.key.len() + 1 || semicolons == split.len() && split[0] != given {
        return None;
    }
    let (message, label) = if semicolons == split.len() {
        ("`lookup` wants the name of a table in quotes", "no quotes around its table")
    } else {
        ("the arguments of `lookup` are separated by `;`", "values separated by `,`")
    };
    let hint = format!("write `lookup(\"{given}\"; {})`", split[1..].join("; "));
    let place = span(text, name).start..span(text, block).end;
    Some(refused(place, message, label, Some(hint)))
}

/// The texts between separators in a block of brackets.
fn arguments<'t>(
    inner: &[Token<&str>],
    block: &'t str,
    separators: &[&str],
    text: &str,
) -> Vec<&'t str> {
    let given = &block[1..block.len() - 1];
    let base = span(text, given).start;
    let mut from = 0;
    let mut found = Vec::new();
    for token in inner.iter().filter(|token| separators.contains(&token.0)) {
        let place = span(text, token.0);
        found.push(given[from..place.start - base].trim());
        from = place.end - base;
    }
    found.push(given[from..].trim());
    found
}

/// Names on the allow list, numbers in the JSON grammar, patterns that compile, zones that exist.
pub(super) fn check(term: &Term<&str>, text: &str, scope: Scope<'_>) -> Result<(), Error> {
    let mut problem = None;
    prelude::visit(term, &mut |term| {
        if problem.is_none() {
            problem = term_problem(term, text, scope);
        }
    });
    problem.map_or(Ok(()), Err)
}

fn term_problem(term: &Term<&str>, text: &str, scope: Scope<'_>) -> Option<Error> {
    match term {
        Term::Num(number) if !is_json_number(number) => {
            let message = format!("`{number}` is not a number of JSON");
            Some(refused(span(text, number), message, "not a number", None))
        }
        Term::Str(Some(format), _) => call_problem(format, 0, text, scope),
        Term::Call(name, arguments) if *name == lookup::NAME => {
            lookup::problem(name, arguments, text, scope)
        }
        Term::BinOp(left, operator @ (BinaryOp::And | BinaryOp::Or), right) => {
            constant_problem(left, operator, text)
                .or_else(|| constant_problem(right, operator, text))
        }
        Term::Call(name, arguments) => call_problem(name, arguments.len(), text, scope)
            .or_else(|| pattern_problem(name, arguments, text))
            .or_else(|| zone_problem(name, arguments, text)),
        _ => None,
    }
}

fn call_problem(name: &str, arguments: usize, text: &str, scope: Scope<'_>) -> Option<Error> {
    let (message, hint) = names::refuse(name, arguments)?;
    let (label, hint) = if names::is_allowed(name) {
        let variable = arguments == 0 && scope.variables.contains(&name);
        let hint = if variable { Some(format!("the variable is `${name}`")) } else { hint };
        ("another number of arguments", hint)
    } else if arguments > 0 {
        ("not a function", hint)
    } else if document::Field::named(name).is_some() {
        ("no dot before it", Some(format!("a path starts with a dot: `.{name}`")))
    } else if scope.variables.contains(&name) {
        ("no `$` before it", Some(format!("a variable starts with a dollar sign: `${name}`")))
    } else if names::instead(name).is_some() || name.starts_with('@') {
        ("not a function", hint)
    } else {
        let hint = hint.map_or_else(String::new, |hint| format!("{hint} otherwise "));
        // Alone it is a value of the file, where it has the file's quotes as well.
        let quotes = if text.trim() == name { "'" } else { "" };
        let hint = format!(
            "{hint}a string is written `{quotes}\"{name}\"{quotes}`, a member of the data `.data.{name}`"
        );
        ("not a function", Some(hint))
    };
    Some(refused(span(text, name), message, label, hint))
}

/// `.data.status == "a" or "b"` always holds.
fn constant_problem(term: &Term<&str>, operator: &BinaryOp<&str>, text: &str) -> Option<Error> {
    let place = match term {
        Term::Num(number) => span(text, number),
        Term::Str(None, parts) => match &parts[..] {
            [StrPart::Str(part)] => span(text, part),
            _ => return None,
        },
        _ => return None,
    };
    let operator = if matches!(operator, BinaryOp::Or) { "or" } else { "and" };
    let message = format!("a constant beside `{operator}` is always true");
    let hint = "to compare with several values, write `.data.status | IN(\"a\", \"b\")`".to_owned();
    Some(refused(place, message, "a constant", Some(hint)))
}

/// A literal pattern, and literal flags.
fn pattern_problem(name: &str, arguments: &[Term<&str>], text: &str) -> Option<Error> {
    let flags = match (name, arguments.len()) {
        ("test" | "match" | "capture" | "scan" | "splits", 1) | ("sub" | "gsub", 2) => None,
        ("test" | "match" | "capture" | "scan" | "splits" | "split", 2) => arguments.get(1),
        ("sub" | "gsub", 3) => arguments.get(2),
        _ => return None,
    };
    let literal = |term: &Term<&str>| match term {
        Term::Str(None, parts) => plain_text(parts).map(|text| text.into_owned()),
        _ => None,
    };
    let pattern = arguments.first().and_then(literal).unwrap_or_default();
    let flags = flags.and_then(literal).unwrap_or_default();
    let problem = functions::check_pattern(&pattern, &flags).err()?;
    let hint = problem
        .contains("flag")
        .then(|| format!("a function follows its input: `.data.name | {name}(\"...\")`"));
    Some(refused(span(text, name), problem, "its pattern", hint))
}

fn zone_problem(name: &str, arguments: &[Term<&str>], text: &str) -> Option<Error> {
    let ("in_zone", [Term::Str(None, parts)]) = (name, arguments) else { return None };
    let zone = plain_text(parts)?;
    if functions::is_zone(&zone) {
        return None;
    }
    let hint = "zones are named as in `in_zone(\"Europe/Berlin\")`".to_owned();
    let message = format!("there is no time zone `{zone}`");
    Some(refused(span(text, name), message, "its zone", Some(hint)))
}
