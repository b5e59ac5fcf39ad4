//! `key` and `where` of one handler: which rows it means.

use std::ops::Range;

use crate::definition::formula::{Names, Spot, check_constant};
use crate::definition::table::{self, unknown_column};
use crate::definition::{self, Action, Column, Formula, Target, Verb};
use crate::expression::Output;
use crate::row::ColumnType;
use crate::syntax::{Kind, Report, Table};

/// Reads whichever is there. What is wrong is told and left out.
pub(super) fn read(
    report: &mut Report,
    handler: &Table,
    span: &Range<usize>,
    verb: Verb,
    target: &table::Draft,
    names: &mut Names<'_>,
) -> Target {
    let (key, matching) = (handler.entry("key"), handler.entry("where"));
    let (Some(entry), true) = (matching, !verb.creates() || key.is_some()) else {
        if let Some(entry) = matching {
            report
                .error(&entry.key.span, format!("`{}` cannot have `where`", verb.as_str()))
                .label("only `update` and `delete` find rows that are there")
                .hint(key_example(target, "say which row it makes: "));
        } else {
            return Target::Key(read_key(report, handler, span, target, names));
        }
        return Target::Key(Vec::new());
    };
    if let Some(key) = key {
        let (first, second) =
            if key.key.span.start < entry.key.span.start { ("key", entry) } else { ("where", key) };
        let hint = if verb.creates() {
            format!("`{}` takes `key`", verb.as_str())
        } else {
            "`key` is for one row, `where` for every row that matches".to_owned()
        };
        report
            .error(&second.key.span, "the handler has both `key` and `where`")
            .label(format!("there is `{first}` already"))
            .hint(hint);
    }
    Target::Where(read_where(report, handler, target, names))
}

/// One formula for each key column, in key order; fewer if something is wrong.
fn read_key(
    report: &mut Report,
    handler: &Table,
    span: &Range<usize>,
    target: &table::Draft,
    names: &mut Names<'_>,
) -> Vec<Formula> {
    let table = &target.table;
    let key: Vec<&Column> = table.key.iter().map(|&index| &table.columns[index]).collect();
    let example = key_example(target, "write ");
    let Some(entry) = handler.entry("key") else {
        report
            .error(span, format!("the handler does not say which row of `{}` it means", table.name))
            .label("no `key`")
            .hint(example);
        return Vec::new();
    };
    let Kind::Table(given) = &entry.value.kind else {
        let message = format!(
            "`key` must say each key column's value, not be {}",
            entry.value.kind.describe()
        );
        report.error(&entry.value.span, message).label("expected a table").hint(example);
        return Vec::new();
    };
    if target.keyed {
        check_key_columns(report, &entry.key.span, given, table, &key);
    }
    let mut formulas = Vec::new();
    for column in key {
        let Some(entry) = given.entry(&column.name) else { continue };
        let what = format!("`key.{}`", entry.key.name);
        let Some(formula) = names.formula(report, &entry.value, &what, Spot::Target) else {
            continue;
        };
        check_constant(report, &formula, table, column, Action::Set);
        formulas.push(formula);
    }
    formulas
}

fn key_example(target: &table::Draft, start: &str) -> Option<String> {
    let first = target.table.key.first().map(|&index| &target.table.columns[index]);
    first.map(|column| format!("{start}key.{} = \".data...\"", column.name))
}

fn check_key_columns(
    report: &mut Report,
    span: &Range<usize>,
    given: &Table,
    table: &definition::Table,
    key: &[&Column],
) {
    let names: Vec<String> = key.iter().map(|column| format!("`{}`", column.name)).collect();
    let names = names.join(", ");
    let mut slips = 0;
    for entry in &given.entries {
        let (name, span) = (&entry.key.name, &entry.key.span);
        if key.iter().any(|column| column.name == *name) {
            continue;
        }
        slips += 1;
        let hint = if table.columns.iter().any(|column| column.name == *name) {
            format!("the key is {names}; give other columns with set.{name}")
        } else {
            format!("the key is {names}")
        };
        report
            .error(span, format!("`{name}` is not a key column of table `{}`", table.name))
            .label("not a key column")
            .hint(hint);
    }
    let missing = key.iter().filter(|column| given.get(&column.name).is_none());
    // As many slips as there are columns missing: these were meant by those.
    for column in missing.skip(slips) {
        report
            .error(
                span,
                format!("key column `{}` of table `{}` is missing", column.name, table.name),
            )
            .label(format!("no `key.{}`", column.name))
            .hint(format!("write key.{} = \".data...\"", column.name));
    }
}

/// The columns that must equal something, each with what.
fn read_where(
    report: &mut Report,
    handler: &Table,
    target: &table::Draft,
    names: &mut Names<'_>,
) -> Vec<(usize, Formula)> {
    let table = &target.table;
    let Some(entry) = handler.entry("where") else { return Vec::new() };
    let Kind::Table(given) = &entry.value.kind else {
        let usable = |column: &&Column| {
            !column.required && !matches!(column.column_type, ColumnType::Real | ColumnType::Json)
        };
        let example =
            table.columns.iter().find(usable).map_or("column", |column| column.name.as_str());
        let message = format!(
            "`where` must say which columns equal what, not be {}",
            entry.value.kind.describe()
        );
        report
            .error(&entry.value.span, message)
            .label("expected a table")
            .hint(format!("write where.{example} = \".data...\"; other conditions go into `when`"));
        return Vec::new();
    };
    if given.entries.is_empty() {
        report
            .error(&entry.value.span, "`where` names no column")
            .label("would mean every row")
            .hint("where.column = \".data...\" matches rows by a column".to_owned());
    }
    let mut found = Vec::new();
    for entry in &given.entries {
        let name = &entry.key.name;
        let what = format!("`where.{name}`");
        let formula = names.formula(report, &entry.value, &what, Spot::Target);
        let Some(index) = table.columns.iter().position(|column| column.name == *name) else {
            if !table.columns.is_empty() {
                let columns: Vec<&Column> = table.columns.iter().collect();
                unknown_column(report, name, &entry.key.span, &table.name, &columns);
            }
            continue;
        };
        let column = &table.columns[index];
        if target.typed[index] {
            check_where_type(report, &entry.key.span, column);
        }
        let Some(formula) = formula else { continue };
        if let Some(Output::Null) = formula.expression.literal() {
            report
                .error(&formula.span, format!("{what} is null, which no row matches"))
                .label("always null")
                .hint(format!("for rows without one: when = '$row.{name} == null'"));
        } else if target.typed[index] {
            check_constant(report, &formula, table, column, Action::Set);
        }
        found.push((index, formula));
    }
    found.sort_by_key(|(column, _)| *column);
    found
}

fn check_where_type(report: &mut Report, span: &Range<usize>, column: &Column) {
    let Column { name, column_type, .. } = column;
    let why = match column_type {
        ColumnType::Real => "two floating-point numbers that look equal may differ",
        ColumnType::Json => "equal values may be written in different ways",
        _ => return,
    };
    report
        .error(span, format!("`{name}` is {column_type} and cannot be compared in `where`"))
        .label(why)
        .hint(format!("compare in `when`, by `$row.{name}`"));
}
