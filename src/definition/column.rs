//! One column of a table: its type, whether it may be NULL, and its default.

use crate::definition::Column;
use crate::definition::default;
use crate::diagnostic;
use crate::row::ColumnType;
use crate::syntax::{Entry, Kind, Report, Table, Text};

/// Places after the point that a decimal may have: with ten, a 64-bit count of them would leave
/// less than a thousand million before it.
const DECIMAL_DIGITS_MAX: u8 = 9;

const TYPES: [&str; 10] = [
    "text",
    "integer",
    "decimal",
    "decimal(2)",
    "real",
    "boolean",
    "timestamp",
    "date",
    "json",
    "bytes",
];

/// What other systems call our types.
const ALIASES: [(&[&str], &str); 8] = [
    (&["string", "str", "varchar", "char", "uuid", "enum"], "`text`"),
    (&["int", "int32", "int64", "i64", "long", "bigint", "smallint", "serial"], "`integer`"),
    (&["float", "float64", "f64", "double"], "`real`, or `decimal(n)` for exact amounts"),
    (
        &["number", "numeric", "money"],
        "`integer`, `decimal(n)` (exact, n digits after the point) or `real`",
    ),
    (&["bool"], "`boolean`"),
    (&["datetime", "time", "instant", "timestamptz"], "`timestamp`"),
    (&["jsonb", "object", "array", "list", "map", "any"], "`json`"),
    (&["blob", "binary", "bytea"], "`bytes`"),
];

/// A column as far as it could be read.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) column: Column,
    /// False: `column_type` is a stand-in, since what the file says is no type.
    pub(super) typed: bool,
    /// Where the file says `required = false`.
    pub(super) optional_span: Option<std::ops::Range<usize>>,
    pub(super) default_span: Option<std::ops::Range<usize>>,
}

/// Reads `columns.name = "type"` or `columns.name = { type = "...", required = ..., default = ... }`.
pub(super) fn read(report: &mut Report, table_name: &str, entry: &Entry) -> Draft {
    let name = entry.key.name.clone();
    let mut draft = Draft {
        column: Column {
            name,
            column_type: ColumnType::Text,
            required: false,
            default: None,
            span: entry.key.span.clone(),
        },
        typed: false,
        optional_span: None,
        default_span: None,
    };
    match &entry.value.kind {
        Kind::String(text) => draft.set_type(column_type(report, text)),
        Kind::Table(table) => long_form(report, &mut draft, entry, table),
        other => {
            let message = format!(
                "column `{table_name}.{}` must be a type in quotes or a table, not {}",
                entry.key.name,
                other.describe()
            );
            report
                .error(&entry.value.span, message)
                .label("expected a type")
                .hint(format!("write columns.{} = \"text\"", entry.key.name));
        }
    }
    draft
}

impl Draft {
    fn set_type(&mut self, column_type: Option<ColumnType>) {
        self.typed = column_type.is_some();
        self.column.column_type = column_type.unwrap_or(ColumnType::Text);
    }
}

fn long_form(report: &mut Report, draft: &mut Draft, entry: &Entry, table: &Table) {
    let name = &entry.key.name;
    report.unknown_keys(table, &format!("column `{name}`"), &["type", "required", "default"]);
    match table.get("type") {
        Some(value) => {
            let text = report.text(value, "`type`");
            draft.set_type(text.and_then(|text| column_type(report, text)));
        }
        None => {
            report
                .error(&entry.key.span, format!("column `{name}` has no type"))
                .label("no `type`")
                .hint(format!("write columns.{name} = {{ type = \"text\", ... }}"));
        }
    }
    if let Some(value) = table.get("required") {
        draft.column.required = report.boolean(value, "`required`") == Some(true);
        draft.optional_span = (!draft.column.required).then(|| value.span.clone());
    }
    let Some(value) = table.get("default").filter(|_| draft.typed) else { return };
    draft.default_span = Some(value.span.clone());
    let column_type = draft.column.column_type;
    match default::cell(&value.kind, column_type) {
        Ok(cell) => draft.column.default = Some(cell),
        Err(problem) => {
            report
                .error(
                    &value.span,
                    format!("default of `{name}` does not fit its type {column_type}: {problem}"),
                )
                .label(format!("not a value of type {column_type}"));
        }
    }
}

/// The type that a text names.
pub(super) fn column_type(report: &mut Report, text: &Text) -> Option<ColumnType> {
    let name = text.value.trim();
    let known = match name {
        "text" => ColumnType::Text,
        "integer" => ColumnType::Integer,
        "real" => ColumnType::Real,
        "boolean" => ColumnType::Boolean,
        "timestamp" => ColumnType::Timestamp,
        "date" => ColumnType::Date,
        "json" => ColumnType::Json,
        "bytes" => ColumnType::Bytes,
        _ => match decimal(name) {
            Some(digits) => ColumnType::Decimal(digits),
            None => {
                report
                    .error(&text.span, format!("unknown column type `{}`", text.value))
                    .label("not a type")
                    .hint(type_hint(name));
                return None;
            }
        },
    };
    Some(known)
}

fn decimal(name: &str) -> Option<u8> {
    let digits = name.strip_prefix("decimal(")?.strip_suffix(')')?.trim();
    digits.parse().ok().filter(|&digits| digits <= DECIMAL_DIGITS_MAX)
}

fn type_hint(name: &str) -> String {
    let lower = name.to_ascii_lowercase();
    let bare = lower.split('(').next().unwrap_or_default().trim();
    if bare == "decimal" {
        return "write `decimal(n)`, with n from 0 to 9 digits after the point".to_owned();
    }
    if let Some((_, meant)) = ALIASES.iter().find(|(aliases, _)| aliases.contains(&bare)) {
        return format!("viewd calls it {meant}");
    }
    match diagnostic::nearest(bare, TYPES) {
        Some("decimal") => "did you mean `decimal(2)`?".to_owned(),
        Some(meant) => format!("did you mean `{meant}`?"),
        None => {
            "the types are text, integer, decimal(n), real, boolean, timestamp, date, json, bytes"
                .to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for (name, digits) in [
            ("decimal(0)", Some(0)),
            ("decimal(9)", Some(9)),
            ("decimal( 2 )", Some(2)),
            ("decimal(10)", None),
            ("decimal(-1)", None),
            ("decimal()", None),
            ("decimal", None),
            ("decimal(2", None),
        ] {
            assert_eq!(decimal(name), digits, "{name}");
        }
    }

    #[test]
    fn hints_for_types() {
        for (name, hint) in [
            ("string", "viewd calls it `text`"),
            ("VARCHAR(20)", "viewd calls it `text`"),
            ("int", "viewd calls it `integer`"),
            ("intger", "did you mean `integer`?"),
            ("Text", "did you mean `text`?"),
            ("decimal", "write `decimal(n)`, with n from 0 to 9 digits after the point"),
            ("decimal(12)", "write `decimal(n)`, with n from 0 to 9 digits after the point"),
            (
                "geometry",
                "the types are text, integer, decimal(n), real, boolean, timestamp, date, json, bytes",
            ),
        ] {
            assert_eq!(type_hint(name), hint, "{name}");
        }
    }
}
