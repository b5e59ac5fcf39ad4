//! From a text to what is searched for. Goes down once for each parenthesis, `NESTING_MAX` deep.

use super::{CLAUSES_MAX, EXPANSIONS_MAX, Form, NESTING_MAX, Node, TEXT_BYTES_MAX, Text, Words};
use crate::query::Refused;

/// Whoever has more to be told than this reads none of it.
const WARNINGS_MAX: usize = 8;

/// How much of somebody's text is repeated to them.
const QUOTED_CHARS_MAX: usize = 40;

pub(super) fn parse(text: &str, fields: &[&str], filters: &[&str]) -> Result<Words, Refused> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(refused(
            format!("the search is {} bytes long, {TEXT_BYTES_MAX} at most", text.len()),
            "search for a few words of it",
        ));
    }
    let mut parser = Parser {
        rest: text,
        fields,
        filters,
        nesting: 0,
        clauses: 0,
        expansions: 0,
        warnings: Vec::new(),
    };
    let mut nodes = Vec::new();
    loop {
        nodes.extend(parser.any(None)?);
        // What closes a parenthesis that was never opened is passed over.
        if parser.bump().is_none() {
            return Ok(Words { root: all(nodes), warnings: parser.warnings });
        }
    }
}

struct Parser<'a> {
    rest: &'a str,
    fields: &'a [&'a str],
    filters: &'a [&'a str],
    nesting: usize,
    clauses: usize,
    expansions: usize,
    warnings: Vec<String>,
}

type Parsed = Result<Option<Node>, Refused>;

impl<'a> Parser<'a> {
    /// What `OR` joins, up to the end or to a parenthesis that closes.
    fn any(&mut self, field: Option<usize>) -> Parsed {
        let mut nodes = Vec::new();
        loop {
            let (node, is_more) = self.all(field)?;
            nodes.extend(node);
            if !is_more {
                return Ok(any(nodes));
            }
        }
    }

    /// What stands side by side or is joined by `AND`; and whether `OR` comes after it.
    fn all(&mut self, field: Option<usize>) -> Result<(Option<Node>, bool), Refused> {
        let mut nodes = Vec::new();
        // An operator joins what is on both sides of it; anywhere else it is a word.
        let mut can_join = false;
        loop {
            self.skip_space();
            if self.is_end() {
                return Ok((all(nodes), false));
            }
            if can_join && self.operator("OR") {
                return Ok((all(nodes), true));
            }
            if can_join && self.operator("AND") {
                can_join = false;
                continue;
            }
            if can_join {
                self.warn_of_operator();
            }
            nodes.extend(self.signed(field)?);
            can_join = true;
        }
    }

    /// What is asked for, or for its absence.
    fn signed(&mut self, field: Option<usize>) -> Parsed {
        let mut is_negative = false;
        loop {
            self.skip_space();
            if self.operator("NOT") {
                is_negative = !is_negative;
                continue;
            }
            // Two signs are no sign: `--force` is a word as people write it.
            let mut chars = self.rest.chars();
            let (sign, next) = (chars.next(), chars.next());
            let is_before_word =
                next.is_some_and(|next| !next.is_whitespace() && !matches!(next, '-' | '+' | ')'));
            match sign {
                Some('-') if is_before_word => is_negative = !is_negative,
                Some('+') if is_before_word => {}
                _ => break,
            }
            self.bump();
            break;
        }
        let node = self.operand(field)?;
        Ok(if is_negative { node.map(not) } else { node })
    }

    /// A group, a phrase, a word; in the field that is named before it.
    fn operand(&mut self, field: Option<usize>) -> Parsed {
        let mut field = field;
        while let Some(named) = self.field()? {
            field = Some(named);
        }
        match self.rest.chars().next() {
            Some('(') => self.group(field),
            Some(quote) if is_quote(quote) => self.phrase(field),
            _ => self.word(field),
        }
    }

    fn group(&mut self, field: Option<usize>) -> Parsed {
        self.nesting += 1;
        if self.nesting > NESTING_MAX {
            return Err(refused(
                format!("parentheses within parentheses, {NESTING_MAX} deep at most"),
                "`a AND b OR c` needs no parentheses: AND binds before OR",
            ));
        }
        self.bump();
        let node = self.any(field)?;
        self.bump();
        self.nesting -= 1;
        Ok(node)
    }

    fn phrase(&mut self, field: Option<usize>) -> Parsed {
        self.bump();
        let inside = self.take(is_quote);
        self.bump();
        let signs = match self.rest.chars().next() {
            Some('*') => self.take(|c| c != '*'),
            Some('~') => self.take(|c| c != '~' && !c.is_ascii_digit()),
            _ => "",
        };
        let (text, form) = self.form(inside, signs);
        self.text(field, text, form)
    }

    fn word(&mut self, field: Option<usize>) -> Parsed {
        self.refuse_regex()?;
        let word = self.take(|c| c.is_whitespace() || matches!(c, '(' | ')') || is_quote(c));
        self.warn_of_signs(word);
        let digits = word.bytes().rev().take_while(u8::is_ascii_digit).count();
        let (text, form) = match word[..word.len() - digits].strip_suffix('~') {
            Some(bare) => self.form(bare, &word[bare.len()..]),
            None => self.form(word, ""),
        };
        self.text(field, text, form)
    }

    /// How a text is meant by the signs at its end, in quotes or after them.
    fn form(&mut self, text: &'a str, signs: &str) -> (&'a str, Form) {
        let bare = text.trim_end_matches('*');
        if bare.contains('*') {
            self.warn(format!(
                "`{}`: `*` stands for letters at the end of a word only",
                shown(text)
            ));
        }
        let form = if signs.starts_with('~') {
            if !matches!(signs, "~" | "~1") {
                self.warn(format!(
                    "`{}{}`: one letter may differ, not more",
                    shown(bare),
                    shown(signs)
                ));
            }
            Form::Fuzzy
        } else if bare.len() < text.len() || !signs.is_empty() {
            Form::Prefix
        } else {
            Form::Exact
        };
        (bare, form)
    }

    fn text(&mut self, field: Option<usize>, text: &str, form: Form) -> Parsed {
        if !text.contains(char::is_alphanumeric) {
            return Ok(None);
        }
        self.clauses += 1;
        self.expansions += usize::from(form != Form::Exact);
        if self.clauses > CLAUSES_MAX {
            return Err(refused(
                format!("more than {CLAUSES_MAX} words and phrases"),
                "search for the rarest of them",
            ));
        }
        if self.expansions > EXPANSIONS_MAX {
            return Err(refused(
                format!("more than {EXPANSIONS_MAX} words with `*` or `~`"),
                "write some of them out",
            ));
        }
        Ok(Some(Node::Text(Text { field, text: text.to_owned(), form })))
    }

    /// The field that is named here, if one is: `name:` with something right behind it.
    fn field(&mut self) -> Result<Option<usize>, Refused> {
        let name_len =
            self.rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
        let (name, after) = self.rest.split_at(name_len);
        let Some(behind) = after.strip_prefix(':') else { return Ok(None) };
        if name.starts_with('_') {
            return Err(refused(format!("`{name}:` is no field to search"), &self.known()));
        }
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic());
        let is_before_word =
            behind.starts_with(|c: char| !c.is_whitespace() && !matches!(c, ':' | ')'));
        if !is_name || !is_before_word {
            return Ok(None);
        }
        let field = self.fields.iter().position(|field| field.eq_ignore_ascii_case(name));
        let mut filters = self.filters.iter();
        let filter = filters.find(|filter| filter.eq_ignore_ascii_case(name));
        if field.is_some() {
            self.rest = behind;
        } else if let Some(filter) = filter {
            let end = |c: char| c.is_whitespace() || matches!(c, '(' | ')') || is_quote(c);
            let value = behind.split(end).next().filter(|value| !value.is_empty());
            self.warn(format!(
                "`{}:` is a filter, no field, and taken as a word; a condition on it is `{filter}=eq.{}`",
                shown(name),
                shown(value.unwrap_or("value"))
            ));
        } else if !behind.starts_with("//") {
            self.warn(format!(
                "`{}:` is no field, and taken as a word; {}",
                shown(name),
                self.known()
            ));
        }
        Ok(field)
    }

    fn known(&self) -> String {
        format!("fields are {}", self.fields.join(", "))
    }

    /// `/…/` with signs of a pattern in it. Paths have none.
    fn refuse_regex(&self) -> Result<(), Refused> {
        let Some(inside) = self.rest.strip_prefix('/') else { return Ok(()) };
        let (mut is_escaped, mut is_pattern) = (false, false);
        for (at, c) in inside.char_indices() {
            match c {
                _ if c.is_whitespace() => return Ok(()),
                '/' if !is_escaped => {
                    let is_last = inside[at + 1..]
                        .chars()
                        .next()
                        .is_none_or(|c| c.is_whitespace() || c == ')');
                    if is_pattern && is_last {
                        return Err(refused(
                            format!("`/{}/` is a regular expression", shown(&inside[..at])),
                            "search for words, or for their beginnings: `wor*`",
                        ));
                    }
                    return Ok(());
                }
                '\\' | '*' | '+' | '?' | '[' | ']' | '(' | ')' | '{' | '}' | '|' | '^' | '$' => {
                    is_pattern = true;
                }
                _ => {}
            }
            is_escaped = c == '\\' && !is_escaped;
        }
        Ok(())
    }

    /// What others write for an operator, between words.
    fn warn_of_operator(&mut self) {
        let end = |c: char| c.is_whitespace() || matches!(c, '(' | ')');
        let word = self.rest.split(end).next().unwrap_or_default();
        let after = self.rest[word.len()..].trim_start();
        if after.is_empty() || after.starts_with(')') {
            return;
        }
        match word {
            "or" | "Or" => {
                self.warn(format!("`{word}` is a word here: `OR` in capitals is either"));
            }
            "||" => self.warn("`||` stands for nothing: `OR` is either".to_owned()),
            "&&" => {
                self.warn("`&&` stands for nothing: all words are asked for anyway".to_owned());
            }
            _ => {}
        }
    }

    /// Signs within a word that stand for something elsewhere. Addresses have them too.
    fn warn_of_signs(&mut self, word: &str) {
        let within = |sign: char| {
            let mut parts = word.split(sign);
            let before = parts.next().is_some_and(|part| part.ends_with(char::is_alphanumeric));
            before && parts.next().is_some_and(|part| part.starts_with(char::is_alphanumeric))
        };
        if within('?') && !word.contains(['/', '=']) {
            self.warn(format!(
                "`{}`: `?` stands for no letter; `wor*` is every word that begins so",
                shown(word)
            ));
        }
        let is_weight = word
            .split_once('^')
            .is_some_and(|(_, behind)| behind.starts_with(|c: char| c.is_ascii_digit()));
        if is_weight {
            self.warn(format!(
                "`{}`: `^` stands for nothing; fields have weights, in the definition",
                shown(word)
            ));
        }
    }

    /// Whether an operator comes next, and something for it to act on; it is passed then.
    fn operator(&mut self, word: &str) -> bool {
        let Some(after) = self.rest.strip_prefix(word) else { return false };
        let is_whole = after.starts_with(|c: char| c.is_whitespace() || c == '(' || is_quote(c));
        let is_followed = after.trim_start().starts_with(|c| c != ')');
        if is_whole && is_followed {
            self.rest = after;
        }
        is_whole && is_followed
    }

    fn take(&mut self, is_end: impl Fn(char) -> bool) -> &'a str {
        let (taken, rest) = self.rest.split_at(self.rest.find(is_end).unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn is_end(&self) -> bool {
        self.rest.is_empty() || self.rest.starts_with(')')
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next();
        self.rest = chars.as_str();
        next
    }

    fn warn(&mut self, warning: String) {
        if self.warnings.len() < WARNINGS_MAX && !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }
}

fn all(nodes: Vec<Node>) -> Option<Node> {
    join(nodes, Node::All, |node| match node {
        Node::All(nodes) => Ok(nodes),
        other => Err(other),
    })
}

fn any(nodes: Vec<Node>) -> Option<Node> {
    join(nodes, Node::Any, |node| match node {
        Node::Any(nodes) => Ok(nodes),
        other => Err(other),
    })
}

/// Several nodes as one; what is joined the same way already is taken in.
fn join(
    nodes: Vec<Node>,
    joined: fn(Vec<Node>) -> Node,
    parts: fn(Node) -> Result<Vec<Node>, Node>,
) -> Option<Node> {
    let mut flat = Vec::with_capacity(nodes.len());
    for node in nodes {
        match parts(node) {
            Ok(parts) => flat.extend(parts),
            Err(node) => flat.push(node),
        }
    }
    if flat.len() < 2 { flat.pop() } else { Some(joined(flat)) }
}

fn not(node: Node) -> Node {
    match node {
        Node::Not(node) => *node,
        other => Node::Not(Box::new(other)),
    }
}

fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '‟' | '«' | '»' | '＂')
}

/// The beginning of somebody's text, to be repeated to them.
pub(in crate::search) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(QUOTED_CHARS_MAX).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    shown
}

fn refused(detail: String, hint: &str) -> Refused {
    Refused::new(detail).hint(hint)
}
