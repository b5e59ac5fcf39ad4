//! Where a SELECT may know a clock: SQLite's time functions read the text `now` as the time of reading, wherever it
//! comes from.
//!
//! So a time function is given only what is an instant for certain: a column of type `timestamp` or `date`, a literal,
//! the result of another time function. Columns are followed by their names: a name that stands for anything else
//! anywhere in the SELECT is no instant in it.

use std::collections::HashSet;
use std::ops::Range;

use super::super::sql_token::{Kind, Token};

/// Functions that take the clock if they are given no time, or are given `now`.
const TIME_FUNCTIONS: [&str; 7] =
    ["date", "time", "datetime", "julianday", "unixepoch", "strftime", "timediff"];

/// Functions that give one of their arguments.
const CHOOSING_FUNCTIONS: [&str; 5] = ["coalesce", "ifnull", "nullif", "max", "min"];

/// Table-valued functions, and the columns that they have.
const JSON_TABLES: [&str; 4] = ["json_each", "json_tree", "jsonb_each", "jsonb_tree"];
const JSON_COLUMNS: [&str; 8] = ["key", "value", "type", "atom", "id", "parent", "fullkey", "path"];

/// Words that are no names.
const RESERVED: [&str; 39] = [
    "all",
    "and",
    "as",
    "between",
    "case",
    "collate",
    "default",
    "distinct",
    "else",
    "escape",
    "except",
    "exists",
    "from",
    "group",
    "having",
    "in",
    "index",
    "intersect",
    "into",
    "is",
    "isnull",
    "join",
    "limit",
    "not",
    "notnull",
    "null",
    "on",
    "or",
    "order",
    "select",
    "set",
    "table",
    "then",
    "to",
    "union",
    "using",
    "values",
    "when",
    "where",
];

/// Words that a value follows, but where a name is expected they are names.
const OPERATORS: [&str; 9] =
    ["by", "like", "glob", "match", "regexp", "offset", "with", "recursive", "over"];

/// What a view must not do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) enum Clock {
    /// The bytes of what asks for the time or the zone.
    Asked(Range<usize>),
    /// The bytes of an argument that may be `now`.
    Argument(Range<usize>),
    /// The bytes of a modifier that is no literal.
    Modifier(Range<usize>),
}

/// The names of a SELECT that stand for instants.
pub(in crate::store) struct Instants<'a> {
    tokens: &'a [Token<'a>],
    /// Whether the columns of this name are instants, all of them; None if there are none.
    known: &'a dyn Fn(&str) -> Option<bool>,
    /// What each name stands for that the SELECT itself gives.
    aliases: Vec<(String, Range<usize>)>,
    /// Names that stand for something else too.
    others: HashSet<String>,
    /// One name stands for the columns of several SELECTs.
    compound: bool,
}

impl<'a> Instants<'a> {
    pub(in crate::store) fn new(
        tokens: &'a [Token<'a>],
        known: &'a dyn Fn(&str) -> Option<bool>,
    ) -> Self {
        let compound = nested_compound(tokens);
        let (aliases, others) = names(tokens);
        let mut instants = Self { tokens, known, aliases, others, compound };
        loop {
            let wrong = instants.aliases.iter().find(|(name, expression)| {
                !instants.others.contains(name) && !instants.holds(&tokens[expression.clone()])
            });
            let Some((name, _)) = wrong else { return instants };
            let name = name.clone();
            instants.others.insert(name);
        }
    }

    /// Whether a name stands for an instant, wherever it does.
    pub(in crate::store) fn name(&self, name: &str) -> bool {
        let name = name.to_ascii_lowercase();
        // `VALUES` calls its columns so.
        let listed =
            name.starts_with("column") && self.tokens.iter().any(|token| token.is("values"));
        if self.compound || listed || self.others.contains(&name) {
            return false;
        }
        (self.known)(&name).unwrap_or_else(|| self.aliases.iter().any(|(known, _)| *known == name))
    }

    /// The first time function that may read the clock.
    pub(in crate::store) fn clock(&self) -> Option<Clock> {
        let calls = self.tokens.iter().enumerate().filter(|(index, token)| {
            is_one_of(token, &TIME_FUNCTIONS)
                && self.tokens.get(index + 1).is_some_and(|next| next.text == "(")
        });
        calls.into_iter().find_map(|(index, _)| self.call(index))
    }

    fn call(&self, function: usize) -> Option<Clock> {
        let token = &self.tokens[function];
        let open = function + 1;
        let close = closing(self.tokens, open);
        let arguments = arguments(self.tokens, open + 1..close);
        let end = self.tokens.get(close).map_or(token.span.end, |close| close.span.end);
        // The format of `strftime`.
        let before = usize::from(is_one_of(token, &["strftime"]));
        let times = if is_one_of(token, &["timediff"]) { 2 } else { 1 };
        if arguments.len() <= before {
            return Some(Clock::Asked(token.span.start..end));
        }
        for (number, argument) in arguments.into_iter().enumerate().skip(before) {
            let tokens = &self.tokens[argument];
            let zones = ["now", "localtime", "utc"];
            let asks = tokens.iter().find(|token| {
                token.kind == Kind::Text
                    && zones.iter().any(|zone| token.bare().trim().eq_ignore_ascii_case(zone))
            });
            if let Some(asks) = asks {
                return Some(Clock::Asked(asks.span.clone()));
            }
            let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else { continue };
            let span = first.span.start..last.span.end;
            if number < before + times {
                if !self.holds(tokens) {
                    return Some(Clock::Argument(span));
                }
            } else if !matches!(tokens, [one] if one.kind == Kind::Text || is_number(one)) {
                return Some(Clock::Modifier(span));
            }
        }
        None
    }

    /// Whether an expression gives an instant.
    fn holds(&self, tokens: &[Token<'_>]) -> bool {
        match tokens {
            [one] if one.kind == Kind::Text => one.bare().starts_with(|c: char| c.is_ascii_digit()),
            [one] if is_number(one) || one.is("null") => true,
            [one] => is_name(one) && self.name(one.bare()),
            [whole, dot, _] if is_number(whole) && dot.text == "." => true,
            [relation, dot, column] if dot.text == "." => {
                is_name(relation) && is_name(column) && self.name(column.bare())
            }
            [open, select, rest @ .., _] if open.text == "(" && select.is("select") => {
                let depth = select.depth;
                let from = rest.iter().position(|token| token.depth == depth && token.is("from"));
                closing(tokens, 0) == tokens.len() - 1
                    && from.is_some_and(|from| self.holds(&rest[..from]))
            }
            [open, inner @ .., _] if open.text == "(" => {
                closing(tokens, 0) == tokens.len() - 1 && self.holds(inner)
            }
            [function, open, ..] if open.text == "(" && closing(tokens, 1) == tokens.len() - 1 => {
                if is_one_of(function, &CHOOSING_FUNCTIONS) {
                    let arguments = arguments(tokens, 2..tokens.len() - 1);
                    return arguments.into_iter().all(|argument| self.holds(&tokens[argument]));
                }
                // Of `strftime` the format may be anything. What these are given is looked at by itself.
                is_one_of(function, &TIME_FUNCTIONS) && !is_one_of(function, &["strftime"])
            }
            _ => false,
        }
    }
}

/// Whether a SELECT inside of others, or inside of WITH, is several: SQLite tells the origins of one of them only.
pub(in crate::store) fn nested_compound(tokens: &[Token<'_>]) -> bool {
    tokens.iter().any(|token| token.depth > 0 && is_compound(token))
}

pub(in crate::store) fn is_compound(token: &Token<'_>) -> bool {
    ["union", "intersect", "except"].iter().any(|word| token.is(word))
}

/// The names that a SELECT gives, each with its expression, and those whose expressions are not known.
fn names(tokens: &[Token<'_>]) -> (Vec<(String, Range<usize>)>, HashSet<String>) {
    let (mut aliases, mut others) = (Vec::new(), HashSet::new());
    for (index, token) in tokens.iter().enumerate() {
        if is_one_of(token, &JSON_TABLES) {
            others.extend(JSON_COLUMNS.map(str::to_owned));
        }
        let Some(before) = index.checked_sub(1) else { continue };
        let defines = ["(", "materialized", "not"];
        if token.is("as")
            && tokens.get(index + 1).is_some_and(|next| defines.iter().any(|word| next.is(word)))
        {
            // `WITH name(column, ...) AS (`
            let list = tokens[..index].iter().rev().skip(1);
            let list =
                list.take_while(|inner| tokens[before].text == ")" && inner.depth > token.depth);
            others.extend(list.map(|name| name.bare().to_ascii_lowercase()));
        }
        let named = token.kind == Kind::Text || is_name(token);
        let end = if tokens[before].is("as") { before } else { index };
        if named && (end == before || ends_value(tokens, before)) {
            aliases.push((token.bare().to_ascii_lowercase(), expression(tokens, end)));
        }
    }
    (aliases, others)
}

/// The tokens of the expression that ends before this one.
fn expression(tokens: &[Token<'_>], end: usize) -> Range<usize> {
    let depth = tokens[end].depth;
    let begins = |token: &Token<'_>| {
        let words = ["select", "distinct", "all", "from", "join", ","];
        token.depth < depth || (token.depth == depth && words.iter().any(|word| token.is(word)))
    };
    let start = tokens[..end].iter().rposition(begins).map_or(0, |begin| begin + 1);
    start..end
}

/// Whether a value may end here, so that a name after it is its name.
fn ends_value(tokens: &[Token<'_>], at: usize) -> bool {
    let token = &tokens[at];
    match token.kind {
        Kind::Text | Kind::Quoted => true,
        Kind::Symbol => token.text == ")",
        Kind::Word if token.is("null") => true,
        Kind::Word if is_one_of(token, &RESERVED) => false,
        Kind::Word if is_one_of(token, &OPERATORS) => {
            let before = at.checked_sub(1).map(|before| &tokens[before]);
            before.is_some_and(|before| {
                [",", ".", "(", "select", "distinct", "all"].iter().any(|word| before.is(word))
            })
        }
        Kind::Word => true,
    }
}

/// The arguments between two parentheses.
fn arguments(tokens: &[Token<'_>], range: Range<usize>) -> Vec<Range<usize>> {
    let Some(first) = tokens[range.clone()].first() else { return Vec::new() };
    let depth = first.depth;
    let (mut found, mut start) = (Vec::new(), range.start);
    for index in range.clone() {
        if tokens[index].depth == depth && tokens[index].text == "," {
            found.push(start..index);
            start = index + 1;
        }
    }
    found.push(start..range.end);
    found
}

/// Where a parenthesis is closed, or the end.
fn closing(tokens: &[Token<'_>], open: usize) -> usize {
    let depth = tokens[open].depth;
    let rest = &tokens[open + 1..];
    let close = rest.iter().position(|token| token.depth <= depth);
    close.map_or(tokens.len(), |close| open + 1 + close)
}

fn is_number(token: &Token<'_>) -> bool {
    token.kind == Kind::Word && token.text.starts_with(|c: char| c.is_ascii_digit())
}

fn is_name(token: &Token<'_>) -> bool {
    match token.kind {
        Kind::Quoted => true,
        Kind::Word => !is_number(token) && !is_one_of(token, &RESERVED),
        Kind::Text | Kind::Symbol => false,
    }
}

/// A name may stand in quotes, a function's too.
fn is_one_of(token: &Token<'_>, words: &[&str]) -> bool {
    let quoted = token.kind == Kind::Text;
    !quoted && words.iter().any(|word| token.bare().eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::super::super::sql_token::tokens;
    use super::*;

    fn found(sql: &str) -> Option<String> {
        // `at` and `day` are instants, `g` and `last` are not: one column `last` is text.
        let known = |name: &str| match name {
            "at" | "day" | "value" | "column1" | "by" => Some(true),
            "g" | "last" => Some(false),
            _ => None,
        };
        let tokens = tokens(sql);
        let clock = Instants::new(&tokens, &known).clock()?;
        let (Clock::Asked(span) | Clock::Argument(span) | Clock::Modifier(span)) = clock;
        Some(sql[span].to_owned())
    }

    #[test]
    fn clocks_are_found() {
        for (sql, expected) in [
            ("SELECT date('now') FROM t", Some("'now'")),
            ("SELECT datetime(at, 'LocalTime') FROM t", Some("'LocalTime'")),
            ("SELECT date(lower('NOW')) FROM t", Some("'NOW'")),
            ("SELECT date() FROM t", Some("date()")),
            ("SELECT strftime('%Y') FROM t", Some("strftime('%Y')")),
            ("SELECT \"date\"('now') FROM t", Some("'now'")),
            ("SELECT unixepoch('subsec') FROM t", Some("'subsec'")),
            ("SELECT date(x'6e6f77') FROM t", Some("x'6e6f77'")),
            ("SELECT date(g) FROM t", Some("g")),
            ("SELECT [date] (t.g) FROM t", Some("t.g")),
            ("SELECT strftime('%Y', last) FROM t", Some("last")),
            ("SELECT timediff(at, g) FROM t", Some("g")),
            ("SELECT date('no' || 'w') FROM t", Some("'no' || 'w'")),
            ("SELECT date(strftime('%Y', at)) FROM t", Some("strftime('%Y', at)")),
            ("SELECT date(at, g) FROM t", Some("g")),
            ("SELECT date(at, '+' || n || ' days') FROM t", Some("'+' || n || ' days'")),
            ("SELECT date(coalesce(at, 'now')) FROM t", Some("'now'")),
            ("SELECT date(max(at, g)) FROM t", Some("max(at, g)")),
            ("SELECT date((SELECT g FROM t)) FROM t", Some("(SELECT g FROM t)")),
        ] {
            assert_eq!(found(sql).as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn names_that_stand_for_something_else_are_no_instants() {
        for (sql, expected) in [
            ("SELECT date(at) FROM (SELECT g AS at FROM t)", Some("at")),
            ("SELECT date(at) FROM (SELECT g at FROM t)", Some("at")),
            ("SELECT date(at) FROM (SELECT g 'at' FROM t)", Some("at")),
            ("SELECT date(at) FROM (SELECT 'now' at)", Some("at")),
            ("SELECT date(at) FROM (SELECT by at FROM (SELECT g AS by FROM t))", Some("at")),
            ("SELECT g AS x FROM t ORDER BY date(x)", Some("x")),
            ("WITH c(at) AS (SELECT g FROM t) SELECT date(at) FROM c", Some("at")),
            ("WITH c(x, at) AS NOT MATERIALIZED (SELECT 1, g) SELECT date(at) FROM c", Some("at")),
            ("SELECT date(at) FROM (SELECT at FROM t UNION ALL SELECT g FROM t)", Some("at")),
            ("SELECT date(column1) FROM (VALUES ('now'))", Some("column1")),
            ("SELECT date(value) FROM t, json_each(t.j)", Some("value")),
        ] {
            assert_eq!(found(sql).as_deref(), expected, "{sql}");
        }
    }

    #[test]
    fn instants_are_no_clocks() {
        for sql in [
            "SELECT strftime('%Y', at) FROM t",
            "SELECT date(at, '+1 day', 'start of month') FROM t",
            "SELECT date FROM t WHERE status = 'now'",
            "SELECT max(date(at)), 'now' FROM t -- date('now')",
            "SELECT date(\"t\".\"At\") AS at FROM t ORDER BY at",
            "SELECT unixepoch(max(at)) - unixepoch(min(t.at)) AS took FROM t GROUP BY day",
            "SELECT date(coalesce(at, '2000-01-01'), '+1 day') FROM t",
            "SELECT date(datetime(at, '-1 hour')), date(0), julianday(2440587.5), date(NULL) FROM t",
            "SELECT date(d) FROM (SELECT date(at) AS d FROM t)",
            "SELECT unixepoch((SELECT max(at) FROM t)) - unixepoch((at)) FROM t",
            "SELECT timediff(at, day) FROM t WHERE x LIKE at ORDER BY at DESC, day",
            "SELECT at FROM t UNION ALL SELECT date(at) FROM u",
            "WITH c(m, n) AS (VALUES ('now', 1)) SELECT date(at) FROM t JOIN c ON m = g",
        ] {
            assert_eq!(found(sql), None, "{sql}");
        }
    }
}
