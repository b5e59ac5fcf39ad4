//! How deep an expression may nest.
//!
//! jaq lexes, parses, compiles and evaluates by recursion, and its terms nest wherever an operator joins two of them: a
//! list of 1,000 values is 1,000 deep. So the text is measured before each step, by what that step recurses on: its
//! brackets before the lexer, its tokens before the parser, its terms before the compiler and every evaluation.

use std::ops::Range;

use jaq_core::load::lex::{StrPart, Tok, Token};
use jaq_core::load::parse::{BinaryOp, Pattern, Term};
use jaq_core::load::span;
use jaq_core::path::Part;

use super::{Error, prelude};

/// No expression that a person wrote is longer.
const TEXT_BYTES_MAX: usize = 64 << 10;
/// Of brackets and strings in each other.
const BRACKETS_DEPTH_MAX: usize = 64;
/// Of tokens that the parser recurses on: some 6 KiB of stack each in a debug build.
const NESTING_TOKENS_MAX: usize = 150;
/// Of all tokens on the way into one bracket: what the parser leaves is measured and dropped by small recursions.
const TOKENS_MAX: usize = 2_000;
/// Of terms in each other. Measured: evaluation and compiler then take up to 1.2 MiB of stack in a debug build, half in release.
const TERMS_DEPTH_MAX: usize = 150;

/// Refuses a text that jaq's lexer could exhaust the stack on.
pub(super) fn check_brackets(text: &str) -> Result<(), Error> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(too_deep(
            0..0,
            format!("the expression is longer than {TEXT_BYTES_MAX} bytes"),
        ));
    }
    let bytes = text.as_bytes();
    let mut open = Vec::new();
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        at += 1;
        if open.last() == Some(&b'"') {
            match (byte, bytes.get(at)) {
                (b'\\', Some(b'(')) => {
                    open.push(b'(');
                    at += 1;
                }
                (b'\\', _) => at += 1,
                (b'"', _) => drop(open.pop()),
                _ => {}
            }
        } else {
            match byte {
                b'"' | b'(' | b'[' | b'{' => open.push(byte),
                b')' | b']' | b'}' => drop(open.pop()),
                b'#' => at = comment_end(bytes, at),
                _ => {}
            }
        }
        if open.len() > BRACKETS_DEPTH_MAX {
            let message = format!("brackets nest deeper than {BRACKETS_DEPTH_MAX}");
            return Err(too_deep(at - 1..at, message));
        }
    }
    Ok(())
}

/// Refuses tokens that jaq's parser could exhaust the stack on.
pub(super) fn check_tokens(tokens: &[Token<&str>], text: &str) -> Result<(), Error> {
    let nesting = |token: &Token<&str>| {
        let Token(text, token) = token;
        match token {
            Tok::Sym => {
                usize::from(matches!(*text, "|" | "-") || (text.ends_with('=') && *text != "=="))
            }
            Tok::Word => usize::from(matches!(
                *text,
                "if" | "elif" | "then" | "try" | "catch" | "reduce" | "foreach" | "as"
            )),
            _ => 0,
        }
    };
    if depth(tokens, &nesting) > NESTING_TOKENS_MAX || depth(tokens, &|_| 1) > TOKENS_MAX {
        return Err(joined(text));
    }
    Ok(())
}

/// Refuses a term that jaq's compiler or evaluation could exhaust the stack on.
pub(super) fn check_term(term: &Term<&str>, text: &str) -> Result<(), Error> {
    if term_depth(term) > TERMS_DEPTH_MAX { Err(joined(text)) } else { Ok(()) }
}

/// Refuses loops where a path is asked for, as in `path(reduce ...)` or `(foreach ...) |= 1`.
///
/// jaq keeps the steps of a path in a list that is dropped by recursion: a loop makes one of any length, and its end
/// would be the process's. Every other path is as long as its text, or as a value is deep.
pub(super) fn check_paths(term: &Term<&str>, text: &str) -> Result<(), Error> {
    let mut found = None;
    prelude::visit(term, &mut |term| {
        let looped = match term {
            Term::Call("path" | "paths" | "del" | "pick", arguments) => {
                arguments.iter().find_map(loop_in_path)
            }
            Term::BinOp(path, operator, _) if is_assignment(operator) => loop_in_path(path),
            _ => None,
        };
        found = found.take().or(looped);
    });
    let Some(name) = found else { return Ok(()) };
    Err(Error {
        span: span(text, name),
        message: format!("`{name}` in a path"),
        label: "gives no path here".to_owned(),
        hint: Some(
            "collect the paths first, and use `getpath`, `setpath` or `delpaths`".to_owned(),
        ),
    })
}

fn is_assignment(operator: &BinaryOp<&str>) -> bool {
    use BinaryOp::{Assign, Update, UpdateAlt, UpdateMath};
    matches!(operator, Assign | Update | UpdateAlt | UpdateMath(_))
}

/// The loop in a term whose paths are asked for, if there is one.
fn loop_in_path<'s>(term: &Term<&'s str>) -> Option<&'s str> {
    match term {
        Term::Fold(name, ..) => Some(name),
        Term::BinOp(_, BinaryOp::Pipe(Some(_)), right) => loop_in_path(right),
        Term::BinOp(left, BinaryOp::Pipe(None) | BinaryOp::Comma | BinaryOp::Alt, right) => {
            loop_in_path(left).or_else(|| loop_in_path(right))
        }
        Term::IfThenElse(branches, otherwise) => {
            let branches = branches.iter().map(|(_, then)| then);
            branches.chain(otherwise.iter().map(|term| &**term)).find_map(loop_in_path)
        }
        Term::TryCatch(inner, _) | Term::Path(inner, _) => loop_in_path(inner),
        Term::Call("first" | "last" | "limit" | "skip" | "nth", arguments) => {
            arguments.last().and_then(loop_in_path)
        }
        _ => None,
    }
}

/// What counts of the tokens of a bracket, together with the deepest bracket among them.
fn depth(tokens: &[Token<&str>], count: &impl Fn(&Token<&str>) -> usize) -> usize {
    let mut here = 0;
    let mut inner = 0;
    for token in tokens {
        here += count(token);
        match &token.1 {
            Tok::Block(tokens) => inner = inner.max(1 + depth(tokens, count)),
            Tok::Str(parts) => {
                for part in parts {
                    if let StrPart::Term(token) = part {
                        inner = inner.max(1 + depth(std::slice::from_ref(token), count));
                    }
                }
            }
            _ => {}
        }
    }
    here + inner
}

/// How deep the evaluation of a term recurses.
fn term_depth(term: &Term<&str>) -> usize {
    let deepest =
        |terms: &mut dyn Iterator<Item = &Term<&str>>| terms.map(term_depth).max().unwrap_or(0);
    match term {
        Term::Id
        | Term::Recurse
        | Term::Num(_)
        | Term::Break(_)
        | Term::Var(_)
        | Term::Arr(None) => 1,
        Term::Str(_, parts) => {
            let mut terms = parts.iter().filter_map(|part| match part {
                StrPart::Term(inner) => Some(inner),
                _ => None,
            });
            parts.len() + deepest(&mut terms)
        }
        Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => 1 + term_depth(inner),
        Term::Obj(members) => {
            let mut terms =
                members.iter().flat_map(|(key, value)| std::iter::once(key).chain(value));
            members.len() + deepest(&mut terms)
        }
        Term::BinOp(left, operator, right) => {
            let pattern = match operator {
                BinaryOp::Pipe(Some(pattern)) => pattern_depth(pattern),
                _ => 0,
            };
            1 + pattern + term_depth(left).max(term_depth(right))
        }
        Term::Fold(_, source, pattern, arguments) => {
            1 + pattern_depth(pattern) + term_depth(source).max(deepest(&mut arguments.iter()))
        }
        Term::TryCatch(tried, caught) => {
            1 + term_depth(tried).max(deepest(&mut caught.iter().map(|term| &**term)))
        }
        Term::IfThenElse(branches, otherwise) => {
            let terms = branches.iter().flat_map(|(condition, then)| [condition, then]);
            branches.len() + deepest(&mut terms.chain(otherwise.iter().map(|term| &**term)))
        }
        Term::Def(_, inner) => 1 + term_depth(inner),
        Term::Call(_, arguments) => 1 + deepest(&mut arguments.iter()),
        Term::Path(head, parts) => {
            let terms = parts.0.iter().flat_map(|(part, _)| match part {
                Part::Index(index) => [Some(index), None],
                Part::Range(from, upto) => [from.as_ref(), upto.as_ref()],
            });
            parts.0.len() + term_depth(head).max(deepest(&mut terms.flatten()))
        }
    }
}

fn pattern_depth(pattern: &Pattern<&str>) -> usize {
    match pattern {
        Pattern::Var(_) => 1,
        Pattern::Arr(patterns) => {
            patterns.len() + patterns.iter().map(pattern_depth).max().unwrap_or(0)
        }
        Pattern::Obj(members) => {
            let inner =
                members.iter().map(|(key, pattern)| term_depth(key).max(pattern_depth(pattern)));
            members.len() + inner.max().unwrap_or(0)
        }
    }
}

/// As jaq's lexer has it: a backslash at its end continues a comment.
fn comment_end(bytes: &[u8], mut at: usize) -> usize {
    loop {
        let line = bytes[at..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map_or(bytes.len(), |length| at + length);
        let text = bytes[at..line].strip_suffix(b"\r").unwrap_or(&bytes[at..line]);
        let backslashes = text.iter().rev().take_while(|byte| **byte == b'\\').count();
        if backslashes % 2 == 0 || line == bytes.len() {
            return line;
        }
        at = line + 1;
    }
}

fn joined(text: &str) -> Error {
    too_deep(
        0..text.len(),
        format!("the expression joins more than {TERMS_DEPTH_MAX} terms in one place"),
    )
}

fn too_deep(span: Range<usize>, message: String) -> Error {
    Error {
        span,
        message,
        label: "too complex".to_owned(),
        hint: Some("split it, or let the publisher send what is needed".to_owned()),
    }
}
