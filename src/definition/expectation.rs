//! `expect.*` of a test: the rows that a table or view holds at its end.

use std::ops::Range;

use crate::definition::json_line::{self, Member};
use crate::definition::test_case::{Line, check_repeated, lines_text, members};
use crate::definition::{Expect, View, search, table};
use crate::diagnostic;
use crate::row::Cell;
use crate::syntax::{Entry, Kind, Report, Table};

/// What expectations can be about.
#[derive(Clone, Copy)]
pub(super) struct Relations<'a> {
    pub(super) tables: &'a [table::Draft],
    pub(super) views: &'a [View],
    pub(super) searches: &'a [search::Draft],
}

/// Reads `expect` of a test.
pub(super) fn read(report: &mut Report, table: &Table, relations: Relations<'_>) -> Vec<Expect> {
    let Some(value) = table.get("expect") else { return Vec::new() };
    let Kind::Table(expected) = &value.kind else {
        let name = relations.tables.first().map_or("orders", |draft| draft.table.name.as_str());
        report
            .error(
                &value.span,
                format!(
                    "`expect` must say which table holds what, not be {}",
                    value.kind.describe()
                ),
            )
            .label("expected a table")
            .hint(format!("write expect.{name} = '''...''', one row a line"));
        return Vec::new();
    };
    expected.entries.iter().filter_map(|entry| read_relation(report, entry, relations)).collect()
}

fn read_relation(report: &mut Report, entry: &Entry, relations: Relations<'_>) -> Option<Expect> {
    let name = &entry.key.name;
    let known = relations.tables.iter().find(|draft| draft.table.name == *name);
    let views = relations.views.iter().map(|view| view.name.as_str());
    if known.is_none() && !views.clone().any(|view| view == name) {
        let tables = relations.tables.iter().map(|draft| draft.table.name.as_str());
        report
            .error(&entry.key.span, format!("there is no table or view `{name}`"))
            .label("unknown table")
            .hint(diagnostic::did_you_mean(name, tables.chain(views)));
    }
    let example = "one row a line, between ''' and ''': {\"order_id\": \"1\", \"total\": 12.5}";
    let text = lines_text(report, &entry.value, &format!("`expect.{name}`"), example)?;
    let mut rows = Vec::new();
    let mut keys: Vec<Vec<Cell>> = Vec::new();
    for (line, span) in json_line::lines(text) {
        let Some(members) = members(report, text, line, &span) else { break };
        let place = Line { text, start: span.start };
        check_repeated(report, &place, &members);
        if let Some(draft) = known {
            check_row(report, &place, &members, draft, &mut keys, &text.locate(span.clone()));
        }
        rows.push((line.to_owned(), text.locate(span)));
    }
    Some(Expect { relation: name.clone(), rows, span: entry.key.span.clone() })
}

/// Checks a row that a table is expected to hold.
fn check_row(
    report: &mut Report,
    line: &Line<'_>,
    members: &[Member<'_>],
    draft: &table::Draft,
    keys: &mut Vec<Vec<Cell>>,
    span: &Range<usize>,
) {
    let table = &draft.table;
    let mut cells: Vec<Option<Cell>> = vec![None; table.columns.len()];
    for member in members {
        let Some(index) = table.columns.iter().position(|column| column.name == member.name) else {
            if !table.columns.is_empty() {
                let columns: Vec<_> = table.columns.iter().collect();
                let place = line.locate(&member.name_span);
                table::unknown_column(report, &member.name, &place, &table.name, &columns);
            }
            continue;
        };
        if draft.typed[index] {
            cells[index] = check_value(report, line, member, draft, index);
        }
    }
    if !draft.keyed {
        return;
    }
    let named =
        |index: &usize| members.iter().any(|member| member.name == table.columns[*index].name);
    if let Some(&missing) = table.key.iter().find(|index| !named(index)) {
        let name = &table.columns[missing].name;
        report
            .error(span, format!("the row does not say its key column `{name}`"))
            .label(format!("no `{name}`"))
            .hint(
                "a row is found by its key; of other columns only those named are compared"
                    .to_owned(),
            );
        return;
    }
    let key: Option<Vec<Cell>> = table.key.iter().map(|&index| cells[index].clone()).collect();
    let Some(key) = key else { return };
    if keys.contains(&key) {
        report
            .error(span, format!("table `{}` has no two rows of one key", table.name))
            .label("the key of a row above");
    }
    keys.push(key);
}

fn check_value(
    report: &mut Report,
    line: &Line<'_>,
    member: &Member<'_>,
    draft: &table::Draft,
    index: usize,
) -> Option<Cell> {
    let column = &draft.table.columns[index];
    let span = line.locate(&member.value_span);
    match member.cell(column.column_type) {
        Ok(Cell::Null) if column.required || draft.table.key.contains(&index) => {
            report
                .error(&span, format!("`{}` is required and never null", column.name))
                .label("cannot be expected");
            None
        }
        Ok(cell) => Some(cell),
        Err(problem) => {
            report
                .error(&span, format!("`{}` is {}: {problem}", column.name, column.column_type))
                .label("no value of this column");
            None
        }
    }
}
