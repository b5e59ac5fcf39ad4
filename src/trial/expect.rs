//! The rows that a test expects of a table or view, beside those that are there.
//!
//! Of a relation with a key the row is found by it, and only the columns that the test names count. A view without a
//! key is compared as a set: each expected row must stand for one of its own.

use std::ops::Range;

use super::compare::same;
use super::outcome::{Members, Relation};
use crate::definition::{Expect, json_line};
use crate::row::{Cell, Row};

/// One row that is otherwise than expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Difference {
    /// It is expected and is not there.
    Missing { expected: Members, span: Range<usize> },
    /// It is there and not expected.
    Unexpected { found: Members },
    /// It is there, with other values in these columns.
    Different { key: Members, expected: Members, found: Members, span: Range<usize> },
    /// The expectation cannot be compared at all.
    Unfit { problem: String, span: Range<usize> },
}

/// An expected row: columns of the relation, each with the cell that it should hold.
struct Wanted {
    cells: Vec<(usize, Cell)>,
    span: Range<usize>,
}

/// Everything that is otherwise.
pub(super) fn differences(expect: &Expect, relation: &Relation) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut wanted = Vec::new();
    for (line, span) in &expect.rows {
        match read(line, span, relation) {
            Ok(row) => wanted.push(row),
            Err(problem) => {
                differences.push(Difference::Unfit { problem, span: span.clone() });
            }
        }
    }
    if !differences.is_empty() {
        return differences;
    }
    let keyed = |wanted: &Wanted| relation.key.iter().all(|&key| wanted.cell(key).is_some());
    if relation.key.is_empty() || !wanted.iter().all(keyed) {
        by_matching(&wanted, relation)
    } else {
        by_key(&wanted, relation)
    }
}

fn read(line: &str, span: &Range<usize>, relation: &Relation) -> Result<Wanted, String> {
    let members = json_line::members(line).map_err(|problem| problem.message)?;
    let cells = members.iter().map(|member| {
        let name = member.name.as_ref();
        let column = relation
            .column(name)
            .ok_or_else(|| format!("`{}` has no column `{name}`", relation.name))?;
        let column_type = relation.columns[column].1;
        let cell = member.cell(column_type).map_err(|problem| format!("`{name}`: {problem}"))?;
        Ok((column, cell))
    });
    Ok(Wanted { cells: cells.collect::<Result<_, String>>()?, span: span.clone() })
}

fn by_key(wanted: &[Wanted], relation: &Relation) -> Vec<Difference> {
    let mut differences = Vec::new();
    let mut left: Vec<&Row> = relation.rows.iter().collect();
    for expected in wanted {
        let here = |row: &&Row| relation.key.iter().all(|&key| expected.holds(key, row, relation));
        let Some(place) = left.iter().position(here) else {
            differences.push(expected.missing(relation));
            continue;
        };
        let row = left.remove(place);
        let other = expected.cells.iter().map(|(column, _)| *column);
        let other: Vec<_> =
            other.filter(|&column| !expected.holds(column, row, relation)).collect();
        if !other.is_empty() {
            differences.push(Difference::Different {
                key: relation.members(row, relation.key.iter().copied()),
                expected: expected.members(relation, &other),
                found: relation.members(row, other),
                span: expected.span.clone(),
            });
        }
    }
    differences.extend(left.into_iter().map(|row| unexpected(row, relation)));
    differences
}

/// As many pairs of an expected row and one that is there as can be made.
fn by_matching(wanted: &[Wanted], relation: &Relation) -> Vec<Difference> {
    let fits: Vec<Vec<usize>> = wanted
        .iter()
        .map(|expected| {
            let rows = relation.rows.iter().enumerate();
            let all = |row: &Row| {
                expected.cells.iter().all(|(column, _)| expected.holds(*column, row, relation))
            };
            rows.filter(|(_, row)| all(row)).map(|(place, _)| place).collect()
        })
        .collect();
    // Whom each row stands for.
    let mut taken: Vec<Option<usize>> = vec![None; relation.rows.len()];
    let mut differences = Vec::new();
    for (index, expected) in wanted.iter().enumerate() {
        if !pair(index, &fits, &mut taken, &mut vec![false; relation.rows.len()]) {
            differences.push(expected.missing(relation));
        }
    }
    let left = relation.rows.iter().zip(&taken).filter(|(_, taken)| taken.is_none());
    differences.extend(left.map(|(row, _)| unexpected(row, relation)));
    differences
}

/// Gives an expected row one that fits, moving others to rows that fit them as well.
fn pair(
    index: usize,
    fits: &[Vec<usize>],
    taken: &mut [Option<usize>],
    tried: &mut [bool],
) -> bool {
    for &row in &fits[index] {
        if std::mem::replace(&mut tried[row], true) {
            continue;
        }
        if taken[row].is_none_or(|other| pair(other, fits, taken, tried)) {
            taken[row] = Some(index);
            return true;
        }
    }
    false
}

fn unexpected(row: &Row, relation: &Relation) -> Difference {
    Difference::Unexpected { found: relation.object(row) }
}

impl Wanted {
    fn cell(&self, column: usize) -> Option<&Cell> {
        self.cells.iter().find(|(named, _)| *named == column).map(|(_, cell)| cell)
    }

    fn holds(&self, column: usize, row: &Row, relation: &Relation) -> bool {
        let column_type = relation.columns[column].1;
        self.cell(column).is_some_and(|cell| same(cell, &row[column], column_type))
    }

    fn missing(&self, relation: &Relation) -> Difference {
        let all: Vec<_> = self.cells.iter().map(|(column, _)| *column).collect();
        Difference::Missing { expected: self.members(relation, &all), span: self.span.clone() }
    }

    fn members(&self, relation: &Relation, columns: &[usize]) -> Members {
        let named = self.cells.iter().filter(|(column, _)| columns.contains(column));
        let member = named.map(|(column, cell)| {
            (relation.columns[*column].0.clone(), relation.json(*column, cell))
        });
        Members(member.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::ColumnType;

    /// Rows of two integers, `a` and `b`.
    fn check(key: &[usize], rows: &[[i64; 2]], expected: &[&str], differences: &[&str]) {
        let row = |row: &[i64; 2]| row.iter().map(|&cell| Cell::Integer(cell)).collect();
        let column = |name: &str| (name.to_owned(), ColumnType::Integer);
        let relation = Relation {
            name: "t".to_owned(),
            columns: vec![column("a"), column("b")],
            key: key.to_vec(),
            rows: rows.iter().map(row).collect(),
            truncated: false,
            problem: None,
        };
        let rows = expected.iter().map(|line| ((*line).to_owned(), 0..0)).collect();
        let expect = Expect { relation: "t".to_owned(), rows, span: 0..0 };
        let shown = |difference: &Difference| match difference {
            Difference::Missing { expected, .. } => format!("missing {expected}"),
            Difference::Unexpected { found } => format!("unexpected {found}"),
            Difference::Different { key, expected, found, .. } => {
                format!("{key} {expected} is {found}")
            }
            Difference::Unfit { problem, .. } => problem.clone(),
        };
        let found: Vec<_> = super::differences(&expect, &relation).iter().map(shown).collect();
        assert_eq!(found, differences, "{expected:?} of {rows:?}", rows = relation.rows);
    }

    #[test]
    fn rows_are_found_by_their_key() {
        let rows = [[1, 10], [2, 20]];
        check(&[0], &rows, &[r#"{"a":2}"#, r#"{"a":1,"b":10}"#], &[]);
        check(
            &[0],
            &rows,
            &[r#"{"a":1,"b":11}"#, r#"{"a":3,"b":20}"#],
            &[
                r#"{"a":1} {"b":11} is {"b":10}"#,
                r#"missing {"a":3,"b":20}"#,
                r#"unexpected {"a":2,"b":20}"#,
            ],
        );
        check(&[0], &rows, &[], &[r#"unexpected {"a":1,"b":10}"#, r#"unexpected {"a":2,"b":20}"#]);
        check(&[0], &rows, &[r#"{"c":1}"#], &["`t` has no column `c`"]);
        check(
            &[0],
            &rows,
            &[r#"{"a":1,"b":"x"}"#],
            &["`b`: expected an integer, got the string \"x\""],
        );
    }

    #[test]
    fn rows_without_a_key_are_a_set() {
        let rows = [[1, 10], [1, 20], [2, 20]];
        check(&[], &rows, &[r#"{"b":20}"#, r#"{"a":1}"#, r#"{"a":1}"#], &[]);
        check(
            &[],
            &rows,
            &[r#"{"a":1}"#, r#"{"a":1}"#, r#"{"a":1}"#],
            &[r#"missing {"a":1}"#, r#"unexpected {"a":2,"b":20}"#],
        );
        // The first could take the row that only the last fits.
        check(&[], &rows, &[r#"{"a":1}"#, r#"{"b":20}"#, r#"{"a":1,"b":10}"#], &[]);
        check(
            &[],
            &rows,
            &[r#"{"a":1}"#],
            &[r#"unexpected {"a":1,"b":20}"#, r#"unexpected {"a":2,"b":20}"#],
        );
        // A view whose key the test does not name.
        check(&[0], &rows, &[r#"{"b":10}"#, r#"{"b":20}"#, r#"{"b":20}"#], &[]);
    }
}
