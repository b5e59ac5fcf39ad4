//! `viewd query`: one SELECT over a projection's view, read-only, on its files: a daemon need not run.

use super::failure::{Failure, Kind};
use super::output::{Align, Output, Table};
use crate::config::Config;
use crate::store::query::{self, Limits, Rows, Shown};

pub(super) fn run(
    config: &Config,
    projection: &str,
    sql: &str,
    limit: usize,
    output: &Output,
) -> Result<(), Failure> {
    let folder = super::view_folder(config, projection)?;
    let limits = Limits { rows: limit, timeout: config.limits.query_timeout };
    let rows = query::run(folder.path(), sql, &limits).map_err(failure)?;
    if output.json {
        output.line(&json(&rows));
    } else {
        print(&rows, output);
    }
    if rows.truncated {
        output.note(&match limit {
            1 => "there is more than 1 row: --limit shows more".to_owned(),
            _ => format!("there are more than {limit} rows: --limit shows more"),
        });
    }
    Ok(())
}

fn failure(error: query::Error) -> Failure {
    let hint = error.hint();
    let kind = match error {
        query::Error::Store(error) => return super::store_failure(error),
        query::Error::Sql { .. } | query::Error::Denied { .. } => Kind::Usage,
        query::Error::TimedOut { .. } | query::Error::TooLarge { .. } => Kind::FoundProblems,
    };
    Failure::new(kind, error).hints(hint)
}

/// `{"data":[{column: value}], "sequence": N}`; of columns with one name the last counts.
fn json(rows: &Rows) -> String {
    let object = |row: &Vec<Shown>| {
        let member = |(column, value): (&query::ColumnInfo, &Shown)| {
            format!("{}:{}", serde_json::Value::from(column.name.as_str()), value.json())
        };
        format!("{{{}}}", rows.columns.iter().zip(row).map(member).collect::<Vec<_>>().join(","))
    };
    let data: Vec<_> = rows.rows.iter().map(object).collect();
    format!("{{\"data\":[{}],\"sequence\":{}}}", data.join(","), rows.sequence)
}

fn print(rows: &Rows, output: &Output) {
    let numeric = |index: usize| rows.rows.iter().all(|row| row[index].is_number());
    let align = |index: usize| if numeric(index) { Align::Right } else { Align::Left };
    let columns: Vec<_> = rows
        .columns
        .iter()
        .enumerate()
        .map(|(index, column)| (column.name.as_str(), align(index)))
        .collect();
    let mut table = Table::new(&columns);
    for row in &rows.rows {
        table.row(row.iter().map(Shown::text).collect());
    }
    output.table(&table);
}
