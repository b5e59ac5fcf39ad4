//! `[search.*]`: full-text indexes over the rows of a table.

use std::ops::Range;

use crate::definition::name::{self, Folded};
use crate::definition::table;
use crate::definition::{Column, Language, Search, SearchField, View};
use crate::diagnostic;
use crate::row::ColumnType;
use crate::syntax::{Entry, Kind, Report, Table, Value};

const KEYS: [&str; 3] = ["table", "fields", "filters"];
const FIELD_KEYS: [&str; 2] = ["weight", "language"];

/// Further apart, one field alone would decide, and scores are 32-bit floats.
pub(crate) const WEIGHT_MIN: f64 = 0.001;
pub(crate) const WEIGHT_MAX: f64 = 1_000.0;

/// Written in characters that every index takes in pairs, with or without a language.
const IN_PAIRS: [&str; 17] = [
    "zh", "ja", "ko", "th", "lo", "km", "my", "cn", "jp", "kr", "chinese", "japanese", "korean",
    "thai", "lao", "khmer", "burmese",
];

/// What others call the absence of a language.
const NONE: [&str; 6] = ["", "none", "simple", "standard", "default", "unicode"];

/// An index as far as it could be read. What is wrong with it has been told.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) name: String,
    pub(super) search: Option<Search>,
}

/// Reads all full-text indexes.
pub(super) fn read(
    report: &mut Report,
    value: &Value,
    tables: &[table::Draft],
    views: &[View],
) -> Vec<Draft> {
    if let Some(span) = nameless(value) {
        report.error(span, "a full-text index has a name").label("no name").hint(
            "write [search.NAME], and in it table = \"...\" and fields.COLUMN = {}".to_owned(),
        );
        return Vec::new();
    }
    let Some(searches) = report.table(value, "`search`") else { return Vec::new() };
    let mut names = Folded::default();
    searches
        .entries
        .iter()
        .map(|entry| {
            let (name, span) = (&entry.key.name, &entry.key.span);
            name::check(report, "full-text index", name, span);
            names.insert(report, "full-text index", name, span);
            Draft { name: name.clone(), search: read_one(report, entry, tables, views) }
        })
        .collect()
}

/// `[[search]]`, or `[search]` with what belongs into one: where it is.
fn nameless(value: &Value) -> Option<&Range<usize>> {
    match &value.kind {
        Kind::Array(_) => Some(&value.span),
        Kind::Table(searches) => {
            let own = searches.entries.iter().find(|entry| match entry.key.name.as_str() {
                "table" => matches!(entry.value.kind, Kind::String(_)),
                "filters" => matches!(entry.value.kind, Kind::Array(_)),
                _ => false,
            });
            own.map(|entry| &entry.key.span)
        }
        _ => None,
    }
}

fn read_one(
    report: &mut Report,
    entry: &Entry,
    tables: &[table::Draft],
    views: &[View],
) -> Option<Search> {
    let name = &entry.key.name;
    let place = format!("full-text index `{name}`");
    let Kind::Table(search) = &entry.value.kind else {
        let message = format!("{place} must be a table, not {}", entry.value.kind.describe());
        report
            .error(&entry.value.span, message)
            .label("expected a table")
            .hint(format!("[search.{name}], and in it table = \"...\" and fields.NAME = {{}}"));
        return None;
    };
    report.unknown_keys_or(
        search,
        &place,
        &KEYS,
        &[("columns", "fields"), ("on", "table"), ("facets", "filters"), ("order", "filters")],
    );
    let table = read_table(report, entry, search, tables, views)?;
    let before = report.errors();
    let fields = read_fields(report, entry, search, &tables[table]);
    let filters = search.get("filters");
    let filters = filters.map(|value| read_filters(report, value, &tables[table]));
    let (filters, span) = (filters.unwrap_or_default(), entry.key.span.clone());
    let right = report.errors() == before;
    right.then(|| Search { name: name.clone(), table, fields, filters, span })
}

/// The table whose rows are found.
fn read_table(
    report: &mut Report,
    entry: &Entry,
    search: &Table,
    tables: &[table::Draft],
    views: &[View],
) -> Option<usize> {
    let names = tables.iter().map(|draft| draft.table.name.as_str());
    let Some(value) = search.get("table") else {
        let name = &entry.key.name;
        let likely = names.clone().find(|table| table == name).or(names.clone().next());
        report
            .error(&entry.key.span, format!("full-text index `{name}` does not say its table"))
            .label("no `table`")
            .hint(likely.map(|table| format!("the table whose rows are found: table = {table:?}")));
        return None;
    };
    let text = report.text(value, "`table`")?;
    if let Some(table) = names.clone().position(|name| name == text.value) {
        return Some(table);
    }
    if views.iter().any(|view| view.name == text.value) {
        report
            .error(
                &text.span,
                format!("`{}` is a view, and only rows of a table are found", text.value),
            )
            .label("not a table")
            .hint(
                "keep what is searched in a column of the table, which a handler sets".to_owned(),
            );
        return None;
    }
    report
        .error(&text.span, format!("there is no table `{}`", text.value))
        .label("unknown table")
        .hint(diagnostic::did_you_mean(&text.value, names));
    None
}

fn read_fields(
    report: &mut Report,
    entry: &Entry,
    search: &Table,
    draft: &table::Draft,
) -> Vec<SearchField> {
    let Some(value) = search.get("fields") else {
        no_fields(report, &entry.key.name, &entry.key.span, draft);
        return Vec::new();
    };
    let Kind::Table(fields) = &value.kind else {
        let message = format!("`fields` must be a table of columns, not {}", value.kind.describe());
        let first = match &value.kind {
            Kind::String(text) => Some(text.value.as_str()),
            Kind::Array(all) => all.iter().find_map(|element| match &element.kind {
                Kind::String(text) => Some(text.value.as_str()),
                _ => None,
            }),
            _ => None,
        };
        let first = first.or_else(|| some_text(draft)).unwrap_or("name");
        report
            .error(&value.span, message)
            .label("expected a table")
            .hint(format!("one line for each: fields.{first} = {{}}"));
        return Vec::new();
    };
    if fields.entries.is_empty() {
        no_fields(report, &entry.key.name, &value.span, draft);
    }
    fields.entries.iter().filter_map(|entry| read_field(report, entry, draft)).collect()
}

fn no_fields(report: &mut Report, name: &str, span: &Range<usize>, draft: &table::Draft) {
    let example = some_text(draft).unwrap_or("name");
    report
        .error(span, format!("full-text index `{name}` has no fields"))
        .label("no `fields`")
        .hint(format!("the text columns that words are searched in: fields.{example} = {{}}"));
}

/// A text column, for an example: one that is not of the key, if there is such.
fn some_text(draft: &table::Draft) -> Option<&str> {
    let columns = draft.table.columns.iter().enumerate();
    let mut texts = columns
        .filter(|(index, column)| draft.typed[*index] && column.column_type == ColumnType::Text);
    let first = texts.clone().next();
    let other = texts.find(|(index, _)| !draft.table.key.contains(index));
    other.or(first).map(|(_, column)| column.name.as_str())
}

fn read_field(report: &mut Report, entry: &Entry, draft: &table::Draft) -> Option<SearchField> {
    let (name, span) = (&entry.key.name, &entry.key.span);
    let column = text_column(report, name, span, draft);
    let Kind::Table(field) = &entry.value.kind else {
        let message =
            format!("field `{name}` must be a table, not {}", entry.value.kind.describe());
        let better = match &entry.value.kind {
            Kind::String(text) => format!("{{ language = {:?} }}", text.value),
            Kind::Integer(Some(weight)) => format!("{{ weight = {weight} }}"),
            Kind::Float(weight) => format!("{{ weight = {weight} }}"),
            _ => "{}".to_owned(),
        };
        report
            .error(&entry.value.span, message)
            .label("expected a table")
            .hint(format!("write fields.{name} = {better}"));
        return None;
    };
    let others = [("boost", "weight"), ("lang", "language"), ("analyzer", "language")];
    report.unknown_keys_or(field, &format!("field `{name}`"), &FIELD_KEYS, &others);
    let weight = field.get("weight").map_or(Some(1.0), |value| read_weight(report, value));
    let language = field.get("language").and_then(|value| read_language(report, value));
    Some(SearchField { column: column?, weight: weight?, language })
}

/// The column of a field, if it holds text.
fn text_column(
    report: &mut Report,
    name: &str,
    span: &Range<usize>,
    draft: &table::Draft,
) -> Option<usize> {
    let table = &draft.table;
    let Some(column) = table.columns.iter().position(|column| column.name == name) else {
        let columns: Vec<&Column> = table.columns.iter().collect();
        table::unknown_column(report, name, span, &table.name, &columns);
        return None;
    };
    let column_type = table.columns[column].column_type;
    if draft.typed[column] && column_type != ColumnType::Text {
        let hint = match is_filter(column_type) {
            true => format!("a filter takes its values: filters = [{name:?}]"),
            false => "keep its text in a column of its own, which a handler sets".to_owned(),
        };
        report
            .error(
                span,
                format!("column `{name}` is {column_type}, and words are found in text alone"),
            )
            .label("not a text column")
            .hint(hint);
    }
    Some(column)
}

fn read_weight(report: &mut Report, value: &Value) -> Option<f64> {
    let weight = match &value.kind {
        Kind::Integer(Some(weight)) => *weight as f64,
        Kind::Integer(None) => f64::INFINITY,
        Kind::Float(text) => text.parse().unwrap_or(f64::NAN),
        other => {
            report
                .error(&value.span, format!("`weight` must be a number, not {}", other.describe()))
                .label("expected a number");
            return None;
        }
    };
    if (WEIGHT_MIN..=WEIGHT_MAX).contains(&weight) {
        return Some(weight);
    }
    report
        .error(&value.span, format!("`weight` must be between {WEIGHT_MIN} and {WEIGHT_MAX}"))
        .label("out of range")
        .hint(
            "a word counts so many times as much as in a field of weight 1; a column that should not count is left out of `fields`"
                .to_owned(),
        );
    None
}

fn read_language(report: &mut Report, value: &Value) -> Option<Language> {
    let text = report.text(value, "`language`")?;
    let found = Language::ALL.into_iter().find(|language| language.word() == text.value);
    if found.is_none() {
        report
            .error(&text.span, format!("there is no language `{}`", text.value))
            .label("unknown language")
            .hint(language_hint(&text.value));
    }
    found
}

fn language_hint(written: &str) -> String {
    let lower = written.trim().to_lowercase();
    let code = lower.split(['-', '_']).next().unwrap_or_default();
    if IN_PAIRS.contains(&code) {
        return "leave `language` out: the characters of Chinese, Japanese, Korean, Thai, Lao, Khmer and Burmese are found in pairs, whatever the language"
            .to_owned();
    }
    if NONE.contains(&code) {
        return "leave `language` out: words are then found as they are written".to_owned();
    }
    let code = if matches!(code, "nb" | "nn") { "no" } else { code };
    let named =
        |language: &Language| language.word() == code || language.name().eq_ignore_ascii_case(code);
    if let Some(meant) = Language::ALL.iter().find(|language| named(language)) {
        return format!("viewd calls it `{}`", meant.word());
    }
    let all: Vec<_> =
        Language::ALL.iter().map(|language| format!("`{}`", language.word())).collect();
    format!("there are: {}; without one, words are found as they are written", all.join(", "))
}

fn read_filters(report: &mut Report, value: &Value, draft: &table::Draft) -> Vec<usize> {
    let Some(names) = report.texts(value, "`filters`") else { return Vec::new() };
    let columns: Vec<&Column> = draft.table.columns.iter().collect();
    let filters = table::column_list(report, &draft.table.name, &names, &columns);
    for &filter in &filters {
        let Column { name, column_type, .. } = columns[filter];
        if !draft.typed[filter] || is_filter(*column_type) {
            continue;
        }
        let span = names.iter().find(|text| text.value == *name);
        report
            .error(
                span.map_or(&value.span, |text| &text.span),
                format!("column `{name}` is {column_type} and cannot be a filter"),
            )
            .label("hits are filtered, ordered and counted by single values")
            .hint("keep what is asked for in a column of its own, which a handler sets".to_owned());
    }
    filters
}

fn is_filter(column_type: ColumnType) -> bool {
    !matches!(column_type, ColumnType::Json | ColumnType::Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_for_languages() {
        for (written, expected) in [
            ("English", "viewd calls it `en`"),
            ("en-US", "viewd calls it `en`"),
            ("de_DE", "viewd calls it `de`"),
            ("nb", "viewd calls it `no`"),
            ("zh", "in pairs"),
            ("zh-Hant", "in pairs"),
            ("Japanese", "in pairs"),
            ("none", "leave `language` out: words"),
            ("", "leave `language` out: words"),
            ("pl", "there are: `ar`, `da`"),
        ] {
            let hint = language_hint(written);
            assert!(hint.contains(expected), "{written}: {hint}");
        }
    }
}
