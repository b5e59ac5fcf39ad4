//! The parts of a schema, by what they say of a value.

use serde_json::{Map, Value, json};

use crate::definition::variable;

/// What a value may be.
#[derive(Debug, Clone)]
pub(super) struct Shape(Map<String, Value>);

/// Which names the keys of a map may have.
#[derive(Debug, Clone, Copy)]
pub(super) enum Names {
    /// Of tables, columns and views: usable in SQL, jq and URLs without quotes.
    Sql,
    /// Of projections and sources.
    Plain,
    /// Of `let`: what may follow `$`.
    Variable,
}

impl Shape {
    fn of(value: Value) -> Self {
        match value {
            Value::Object(map) => Self(map),
            _ => unreachable!("shapes are objects"),
        }
    }

    /// Any value.
    pub(super) fn any() -> Self {
        Self(Map::new())
    }

    /// A string that is not blank.
    pub(super) fn text() -> Self {
        Self::of(json!({ "type": "string", "pattern": "\\S" }))
    }

    pub(super) fn pattern(pattern: &str) -> Self {
        Self::of(json!({ "type": "string", "pattern": pattern }))
    }

    pub(super) fn boolean() -> Self {
        Self::of(json!({ "type": "boolean" }))
    }

    pub(super) fn integer(min: i64, max: i64) -> Self {
        Self::of(json!({ "type": "integer", "minimum": min, "maximum": max }))
    }

    pub(super) fn number(min: f64, max: f64) -> Self {
        Self::of(json!({ "type": "number", "minimum": min, "maximum": max }))
    }

    /// One of a few words, each with what it means.
    pub(super) fn words<W: AsRef<str>, A: AsRef<str>>(words: &[(W, A)]) -> Self {
        let names: Vec<&str> = words.iter().map(|(word, _)| word.as_ref()).collect();
        let about: Vec<&str> = words.iter().map(|(_, about)| about.as_ref()).collect();
        Self::of(json!({ "enum": names, "x-taplo": { "docs": { "enumValues": about } } }))
    }

    /// jq, or a constant as a TOML number or boolean.
    pub(super) fn formula() -> Self {
        Self::of(json!({ "type": ["string", "number", "boolean"], "pattern": "\\S" }))
    }

    /// A list with at least one element, none twice.
    pub(super) fn list(element: Self) -> Self {
        Self::of(json!({
            "type": "array", "items": element.value(), "minItems": 1, "uniqueItems": true,
        }))
    }

    pub(super) fn either(one: Self, other: Self) -> Self {
        Self::of(json!({ "anyOf": [one.value(), other.value()] }))
    }

    /// A table with these keys and no others.
    pub(super) fn table(keys: Vec<(&'static str, Self)>, required: &[&str]) -> Self {
        let properties: Map<String, Value> =
            keys.into_iter().map(|(key, shape)| (key.to_owned(), shape.value())).collect();
        let table = json!({
            "type": "object", "properties": properties, "additionalProperties": false,
        });
        let mut table = Self::of(table);
        if !required.is_empty() {
            table = table.with("required", json!(required));
            // What an editor writes when it completes the table.
            table = table.with("x-taplo", json!({ "initKeys": required }));
        }
        table
    }

    /// A table whose keys the author names.
    pub(super) fn map(names: Names, value: Self) -> Self {
        Self::of(json!({
            "type": "object", "propertyNames": names.schema(), "additionalProperties": value.value(),
        }))
    }

    /// A map that holds something.
    pub(super) fn filled(self) -> Self {
        self.with("minProperties", json!(1))
    }

    /// The sentence that an editor shows.
    pub(super) fn about(mut self, about: &str) -> Self {
        self.0.shift_insert(0, "description".to_owned(), Value::from(about));
        self
    }

    pub(super) fn default(self, value: impl Into<Value>) -> Self {
        self.with("default", value.into())
    }

    pub(super) fn example(self, value: impl Into<Value>) -> Self {
        self.with("examples", json!([value.into()]))
    }

    pub(super) fn with(mut self, keyword: &str, value: Value) -> Self {
        self.0.insert(keyword.to_owned(), value);
        self
    }

    pub(super) fn value(self) -> Value {
        Value::Object(self.0)
    }

    /// The whole of a file.
    pub(super) fn root(self, title: &str) -> Value {
        let mut root = self;
        root.0.shift_insert(0, "title".to_owned(), Value::from(title));
        let dialect = "https://json-schema.org/draft/2020-12/schema";
        root.0.shift_insert(0, "$schema".to_owned(), Value::from(dialect));
        root.value()
    }
}

impl Names {
    fn schema(self) -> Value {
        match self {
            // No look-ahead: not every validator's expressions have it.
            Self::Sql => json!({
                "pattern": "^[A-Za-z][A-Za-z0-9_]{0,62}$",
                "not": {
                    "pattern": "^([Rr][Oo][Ww][Ii][Dd]|[Oo][Ii][Dd]|[Ss][Qq][Ll][Ii][Tt][Ee]_.*)$",
                },
            }),
            Self::Plain => json!({ "pattern": "^[a-z][a-z0-9_]{0,62}$" }),
            Self::Variable => json!({
                "pattern": "^[A-Za-z][A-Za-z0-9_]{0,62}$", "not": { "enum": variable::NAMES },
            }),
        }
    }
}
