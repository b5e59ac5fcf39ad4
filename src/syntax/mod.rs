//! A TOML file as a tree in which every key and every value knows its place.
//!
//! Both the configuration and the definitions are read through this, so that what is wrong in
//! either is told alike. Serde would do for the values, but it stops at the first mistake and
//! forgets where the rest stood.

mod error;
mod opening;
mod report;
mod text;

use std::ops::Range;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Diagnostic, Source};

pub use report::{Note, Report};
pub use text::Text;

/// Longer names make paths and `SELECT`s unreadable; PostgreSQL draws the line here too.
pub const NAME_CHARS_MAX: usize = 63;

#[derive(Debug, Clone, Default)]
pub struct Table {
    /// In file order, each key once.
    pub entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub key: Key,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub struct Key {
    pub name: String,
    /// This key alone: of `columns.total` either `columns` or `total`.
    pub span: Range<usize>,
}

#[derive(Debug, Clone)]
pub struct Value {
    pub kind: Kind,
    /// Of a table written under a header, the header; of one made by dotted keys, the key.
    pub span: Range<usize>,
}

#[derive(Debug, Clone)]
pub enum Kind {
    String(Text),
    /// None: beyond 64 bits.
    Integer(Option<i64>),
    /// As written but for underscores and a plus sign; may be `inf` or `nan`.
    Float(String),
    Boolean(bool),
    /// As written.
    Datetime(String),
    Array(Vec<Value>),
    Table(Table),
}

impl Table {
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.entry(name).map(|entry| &entry.value)
    }

    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key.name == name)
    }
}

impl Kind {
    /// The kind in the words of a message: `a string`.
    pub fn describe(&self) -> &'static str {
        match self {
            Self::String(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a number",
            Self::Boolean(_) => "a boolean",
            Self::Datetime(_) => "a date or time",
            Self::Array(_) => "a list",
            Self::Table(_) => "a table",
        }
    }
}

/// Whether a projection or a source may be called so: the names turn up in folders, URLs, metrics
/// and environment variables.
pub fn is_plain_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|first| first.is_ascii_lowercase())
        && chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.len() <= NAME_CHARS_MAX
}

/// Reads a file. With errors of syntax there is no tree: what could be made out of the rest would
/// have each error told a second time, as something that is missing.
pub fn parse(source: &Arc<Source>) -> Result<Table, Vec<Diagnostic>> {
    let (root, errors) = DeTable::parse_recoverable(&source.text);
    if errors.is_empty() {
        Ok(table(root.get_ref(), &source.text))
    } else {
        Err(error::read(source, &errors))
    }
}

/// Reads one value as it would stand after `key =`; none if it is not TOML.
pub fn parse_value(text: &str) -> Option<Value> {
    let parsed = DeValue::parse(text).ok()?;
    Some(value(&parsed, text))
}

fn table(parsed: &DeTable<'_>, file: &str) -> Table {
    let mut entries: Vec<Entry> = parsed
        .iter()
        .map(|(key, inner)| Entry {
            key: Key { name: key.get_ref().to_string(), span: key.span() },
            value: value(inner, file),
        })
        .collect();
    entries.sort_by_key(|entry| entry.key.span.start);
    Table { entries }
}

fn value(parsed: &Spanned<DeValue<'_>>, file: &str) -> Value {
    let span = parsed.span();
    let kind = match parsed.get_ref() {
        DeValue::String(text) => Kind::String(Text::decoded(text.to_string(), file, span.clone())),
        DeValue::Integer(integer) => {
            Kind::Integer(i64::from_str_radix(integer.as_str(), integer.radix()).ok())
        }
        DeValue::Float(float) => Kind::Float(float.as_str().trim_start_matches('+').to_owned()),
        DeValue::Boolean(boolean) => Kind::Boolean(*boolean),
        DeValue::Datetime(_) => Kind::Datetime(file[span.clone()].to_owned()),
        DeValue::Array(array) => {
            Kind::Array(array.iter().map(|inner| value(inner, file)).collect())
        }
        DeValue::Table(inner) => Kind::Table(table(inner, file)),
    };
    Value { kind, span }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_file_order_and_their_own_spans() {
        let source = Source::new("x.toml", "b.z = 1\nb.a = { c = \"x\" }\na = [1]\n[[on]]\n");
        let root = parse(&source).expect("valid TOML");
        let names: Vec<_> = root.entries.iter().map(|entry| entry.key.name.as_str()).collect();
        assert_eq!(names, ["b", "a", "on"]);
        let Kind::Table(b) = &root.entries[0].value.kind else { panic!("no table") };
        assert_eq!(b.entries[0].key.span, 2..3);
        assert_eq!(&source.text[b.entries[1].value.span.clone()], "{ c = \"x\" }");
        assert_eq!(&source.text[root.entries[2].value.span.clone()], "[[on]]");
    }

    #[test]
    fn plain_names() {
        for name in ["orders", "a", "flight_board", "o2", &"a".repeat(63)] {
            assert!(is_plain_name(name), "{name}");
        }
        for name in ["", "Orders", "2orders", "_orders", "or-ders", "or.ders", "é", &"a".repeat(64)]
        {
            assert!(!is_plain_name(name), "{name}");
        }
    }

    #[test]
    fn several_syntax_errors_one_a_line() {
        let source = Source::new("x.toml", "a =\nb = word\nc = 1\nc = 2\n[x\n");
        let errors = parse(&source).expect_err("wrong TOML");
        let lines: Vec<_> =
            errors.iter().map(|error| error.start().expect("in the file").line).collect();
        assert_eq!(lines, [1, 2, 4, 5], "{errors:?}");
    }

    #[test]
    fn deep_nesting_is_an_error() {
        for text in
            [format!("a = {}", "[".repeat(100_000)), format!("a{} = 1", ".b".repeat(100_000))]
        {
            assert!(parse(&Source::new("x.toml", text)).is_err());
        }
    }

    #[test]
    fn numbers() {
        let source =
            Source::new("x.toml", "a = 1_000\nb = 0x10\nc = 99999999999999999999\nd = +1_0.5\n");
        let root = parse(&source).expect("valid TOML");
        assert!(matches!(root.entries[0].value.kind, Kind::Integer(Some(1000))));
        assert!(matches!(root.entries[1].value.kind, Kind::Integer(Some(16))));
        assert!(matches!(root.entries[2].value.kind, Kind::Integer(None)));
        assert!(matches!(&root.entries[3].value.kind, Kind::Float(text) if text == "10.5"));
    }
}
