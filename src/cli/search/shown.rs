//! Hits for people: a table of rows, then what was counted.

use serde_json::value::RawValue;

use super::Page;
use crate::cli::args;
use crate::cli::failure::{Failure, Kind};
use crate::cli::output::{Align, Output, Table};
use crate::cli::status::grouped;
use crate::definition::json_line;

/// Values of a facet that are shown: of a column with more of them the most frequent ones.
const VALUES_MAX: usize = 20;

pub(super) fn print(page: &Page, arguments: &args::Search, output: &Output) -> Result<(), Failure> {
    let rows = page.data.iter().map(|row| members(row)).collect::<Result<Vec<_>, _>>()?;
    if let Some(first) = rows.first() {
        let numeric = |index: usize| rows.iter().all(|row| is_number(&row[index].1));
        let align = |index: usize| if numeric(index) { Align::Right } else { Align::Left };
        let columns: Vec<_> = first
            .iter()
            .enumerate()
            .map(|(index, (name, _))| (name.as_str(), align(index)))
            .collect();
        let mut table = Table::new(&columns);
        for row in &rows {
            table.row(row.iter().map(|(name, value)| cell(name, value)).collect());
        }
        output.table(&table);
    }
    if let Some(total) = page.total {
        output.line(&format!("total: {}", grouped(total)));
    }
    if let Some(facets) = &page.facets {
        for (column, counts) in members(facets)? {
            if output.has_printed() {
                output.line("");
            }
            let (table, more) = counted(&column, &counts, page.facets_cut.contains(&column))?;
            output.table(&table);
            if let Some(more) = more {
                output.line(&more);
            }
        }
    }
    for warning in &page.warnings {
        output.note(&output.told(&format!("warning: {warning}")));
    }
    if rows.is_empty() && arguments.limit > 0 {
        output.note(&format!("nothing found at sequence {}", page.sequence));
    }
    if page.next.is_some() {
        output.note(&match rows.len() {
            1 => "there is more than 1 row: --limit shows more".to_owned(),
            rows => format!("there are more than {rows} rows: --limit shows more"),
        });
    }
    Ok(())
}

/// An object's names and values, these as they stand.
fn members(object: &RawValue) -> Result<Vec<(String, String)>, Failure> {
    let members = json_line::members(object.get()).map_err(|problem| {
        let error = anyhow::anyhow!("read the daemon's answer: {}", problem.message);
        Failure::new(Kind::Internal, error)
    })?;
    let pairs =
        members.into_iter().map(|member| (member.name.into_owned(), member.value.to_owned()));
    Ok(pairs.collect())
}

fn is_number(value: &str) -> bool {
    value == "null" || value.starts_with(|c: char| c == '-' || c.is_ascii_digit())
}

fn cell(name: &str, value: &str) -> String {
    match name {
        "_score" => {
            value.parse().map_or_else(|_| value.to_owned(), |score: f64| format!("{score:.2}"))
        }
        "_highlights" => highlights(value),
        _ => text(value),
    }
}

/// A value without the quotes of JSON.
fn text(value: &str) -> String {
    match value {
        "null" => String::new(),
        quoted if quoted.starts_with('"') => {
            serde_json::from_str(quoted).unwrap_or_else(|_| quoted.to_owned())
        }
        other => other.to_owned(),
    }
}

/// `name: a *blue* shirt`. For HTML the text around the marks is escaped, which a terminal does not want.
fn highlights(value: &str) -> String {
    let fields = json_line::members(value).unwrap_or_default();
    let fields = fields.iter().map(|field| {
        let fragments: Vec<String> = serde_json::from_str(field.value).unwrap_or_default();
        (&field.name, fragments.join(" … "))
    });
    let fields = fields.filter(|(_, fragments)| !fragments.is_empty());
    let fields = fields.map(|(name, fragments)| format!("{name}: {fragments}"));
    let mut text = fields.collect::<Vec<_>>().join("; ");
    for (html, plain) in [
        ("<mark>", "*"),
        ("</mark>", "*"),
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#x27;", "'"),
        ("&#39;", "'"),
        ("&amp;", "&"),
    ] {
        text = text.replace(html, plain);
    }
    text
}

/// A line a value, and whether there are more: `is_cut`, how many nobody knows.
fn counted(column: &str, counts: &str, is_cut: bool) -> Result<(Table, Option<String>), Failure> {
    #[derive(serde::Deserialize)]
    struct Count {
        value: Box<RawValue>,
        count: u64,
    }
    let counts: Vec<Count> = crate::cli::socket::read(counts)?;
    let mut table = Table::new(&[(column, Align::Left), ("count", Align::Right)]);
    for Count { value, count } in counts.iter().take(VALUES_MAX) {
        let value = match value.get() {
            "null" => "(none)".to_owned(),
            // Written as it is: nothing would be seen.
            "\"\"" => "\"\"".to_owned(),
            value => text(value),
        };
        table.row(vec![value, grouped(*count)]);
    }
    let more = match counts.len().saturating_sub(VALUES_MAX) {
        0 if !is_cut => None,
        1 if !is_cut => Some("and 1 more value".to_owned()),
        more if !is_cut => Some(format!("and {more} more values")),
        _ => Some("and more".to_owned()),
    };
    Ok((table, more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn highlights_are_plain_text() {
        let value =
            r#"{"name":["a &lt;b&gt; <mark>blue</mark>","&amp;lt; <mark>x</mark>"],"sku":[]}"#;
        assert_eq!(highlights(value), "name: a <b> *blue* … &lt; *x*");
    }

    #[test]
    fn counts_are_told_in_their_order() {
        let counts = r#"[{"value":"paid","count":1200},{"value":null,"count":1},{"value":2.50,"count":1},
            {"value":"","count":1},{"value":"\u001b[31m\u0007\n","count":1}]"#;
        let (table, more) = counted("status", counts, false).unwrap();
        assert_eq!(
            table.text().lines().collect::<Vec<_>>(),
            [
                "status             count",
                "paid               1,200",
                "(none)                 1",
                "2.50                   1",
                r#"""                     1"#,
                r"\u{1b}[31m\u{7}\n      1",
            ]
        );
        assert_eq!(more, None);
    }

    #[test]
    fn values_that_are_not_shown_are_told() {
        let more = |values: usize, is_cut: bool| {
            let counts = vec![r#"{"value":"a","count":1}"#; values].join(",");
            counted("status", &format!("[{counts}]"), is_cut).unwrap().1
        };
        assert_eq!(more(20, false), None);
        assert_eq!(more(21, false).as_deref(), Some("and 1 more value"));
        assert_eq!(more(100, false).as_deref(), Some("and 80 more values"));
        assert_eq!(more(100, true).as_deref(), Some("and more"));
    }
}
