//! From a transition to its shape, and from a shape to SQL.
//!
//! A *shape* is what decides the text of a transition's statement: the table, whether a row is made if none is there,
//! and what is done to each column of one that is. As bytes: the table's number, a kind, a code a column.
//!
//! | transition | statement |
//! |---|---|
//! | open, absent: nothing | `UPDATE ... SET ... WHERE key` |
//! | open, absent: a row, present: kept | `INSERT ... ON CONFLICT DO NOTHING` |
//! | open, absent: a row, present: changed | `INSERT ... ON CONFLICT DO UPDATE SET ...` |
//! | settled on a row | the same, every column from the new row |
//! | settled on none | `DELETE ... WHERE key` |
//!
//! A change that changes nothing is left out by a WHERE, so it dirties no page. A sum is checked before it is added:
//! SQLite's `+` would turn into a float past 64 bits. What SQL cannot say exactly and cheaply (guards of overwritten
//! columns, sums beyond 64 bits) is [`Step::Known`]: the row is read and the transition applied to it.

use std::fmt::Write as _;

use super::schema::quoted;
use crate::definition::Table;
use crate::projection::known::Changed;
use crate::projection::transition::{Change, Sum, Transition};
use crate::row::{Cell, Row};

/// The SQL function that raises an error; it names a column by its number, and is called for a sum that does not fit.
pub(super) const OUT_OF_RANGE: &str = "_viewd_out_of_range";

/// So many new rows are made by one statement. More gain nothing: measured 1.45 times the rows a second in no order of
/// keys and 1.55 in order, with 64 a little less. The widest table has 2,000 columns, and a statement 32,766 parameters.
pub(super) const NEW_TOGETHER: usize = 16;

/// What is to be done for one transition.
pub(super) enum Step<'a> {
    Nothing,
    /// A statement of the shape in the scratch space, bound with these.
    Statement {
        row: Option<&'a Row>,
        changes: &'a [Change],
        key: bool,
    },
    /// The row must be read first.
    Known,
}

/// First byte of a shape after the table's number.
mod kind {
    pub(super) const UPDATE: u8 = 0;
    /// Make the row if none is there.
    pub(super) const INSERT: u8 = 1;
    /// Make the row, or change the one that is there.
    pub(super) const MERGE: u8 = 2;
    /// The row, whatever was there.
    pub(super) const REPLACE: u8 = 3;
    pub(super) const DELETE: u8 = 4;
    /// Make the row: none is there.
    pub(super) const NEW: u8 = 5;
    /// The same for [`NEW_TOGETHER`](super::NEW_TOGETHER) rows.
    pub(super) const NEW_ROWS: u8 = 6;
}

/// What is done to one column of a row that is there: a byte each, after the kind.
pub(super) mod code {
    pub(in crate::store) const KEEP: u8 = 0;
    pub(in crate::store) const SET: u8 = 1;
    /// Set to what the new row has: nothing more to bind.
    pub(in crate::store) const SET_AS_NEW: u8 = 2;
    /// Add 0: NULL becomes 0.
    pub(in crate::store) const ZERO: u8 = 3;
    /// Add a sum that only rose.
    pub(in crate::store) const ADD_UP: u8 = 4;
    pub(in crate::store) const ADD: u8 = 5;
    pub(in crate::store) const MIN: u8 = 6;
    pub(in crate::store) const MAX: u8 = 7;
}

/// A table's names as SQL takes them.
pub(super) struct TableSql {
    name: String,
    columns: Vec<String>,
    key: Vec<usize>,
    /// `"a" = ?{n} AND ...`, with the first number to be added.
    pub(super) select: String,
}

/// Writes the shape of a transition and says how to carry it out.
pub(super) fn shape<'t>(shape: &mut Vec<u8>, table: usize, transition: &'t Transition) -> Step<'t> {
    shape.clear();
    shape.extend(number(table));
    match transition {
        Transition::Settled { guards, .. } | Transition::Open { guards, .. }
            if !guards.is_empty() =>
        {
            Step::Known
        }
        Transition::Settled { row: Some(row), .. } => {
            shape.push(kind::REPLACE);
            Step::Statement { row: Some(row), changes: &[], key: false }
        }
        Transition::Settled { row: None, .. } => {
            shape.push(kind::DELETE);
            Step::Statement { row: None, changes: &[], key: true }
        }
        Transition::Open { absent, present, .. } => {
            shape.push(kind::MERGE);
            let mut changed = false;
            for (column, change) in present.iter().enumerate() {
                let Some(code) = code_of(change, absent.as_ref().map(|row| &row[column])) else {
                    return Step::Known;
                };
                changed |= code != code::KEEP;
                shape.push(code);
            }
            match (absent, changed) {
                (None, false) => Step::Nothing,
                (Some(row), false) => {
                    shape.truncate(3);
                    shape[2] = kind::INSERT;
                    Step::Statement { row: Some(row), changes: &[], key: false }
                }
                (Some(row), true) => {
                    Step::Statement { row: Some(row), changes: present, key: false }
                }
                (None, true) => {
                    shape[2] = kind::UPDATE;
                    Step::Statement { row: None, changes: present, key: true }
                }
            }
        }
    }
}

/// The same for a row that is known.
pub(super) fn shape_of_known(shape: &mut Vec<u8>, table: usize, changed: &Changed<'_>) {
    shape.clear();
    shape.extend(number(table));
    shape.push(match changed {
        Changed { is_there: false, .. } => kind::DELETE,
        Changed { is_stored: false, .. } => kind::NEW,
        _ => kind::REPLACE,
    });
}

/// The shape of [`NEW_TOGETHER`] new rows.
pub(super) fn shape_of_new_rows(shape: &mut Vec<u8>, table: usize) {
    shape.clear();
    shape.extend(number(table));
    shape.push(kind::NEW_ROWS);
}

/// The table's number, the kind and the codes of a shape.
pub(super) fn split(shape: &[u8]) -> (usize, u8, &[u8]) {
    (usize::from(u16::from_le_bytes([shape[0], shape[1]])), shape[2], &shape[3..])
}

fn number(table: usize) -> [u8; 2] {
    u16::try_from(table).expect("a definition has a handful of tables").to_le_bytes()
}

/// None: SQL cannot say it.
fn code_of(change: &Change, new: Option<&Cell>) -> Option<u8> {
    Some(match change {
        Change::Keep => code::KEEP,
        Change::Set(cell) if new == Some(cell) => code::SET_AS_NEW,
        Change::Set(_) => code::SET,
        Change::Min(_) => code::MIN,
        Change::Max(_) => code::MAX,
        Change::Add(sum) if **sum == Sum::default() => code::ZERO,
        // The WHERE that leaves out no-ops would leave out the check too.
        Change::Add(sum) if sum.total == 0 => return None,
        Change::Add(sum) => {
            let fits = |value| i64::try_from(value).is_ok();
            match (fits(sum.total) && fits(sum.lowest) && fits(sum.highest), sum.lowest) {
                (false, _) => return None,
                (true, 0) => code::ADD_UP,
                (true, _) => code::ADD,
            }
        }
    })
}

impl TableSql {
    pub(super) fn new(table: &Table) -> Self {
        let name = quoted(&table.name);
        let columns: Vec<_> = table.columns.iter().map(|column| quoted(&column.name)).collect();
        let mut sql = Self { name, columns, key: table.key.clone(), select: String::new() };
        sql.select = sql.search(&sql.key);
        sql
    }

    /// Selects the rows whose columns equal the parameters.
    pub(super) fn search(&self, columns: &[usize]) -> String {
        let all = self.columns.join(", ");
        let condition = match columns {
            [] => String::new(),
            columns => format!(" WHERE {}", self.equal(columns, 1)),
        };
        format!("SELECT {all} FROM {}{condition}", self.name)
    }

    pub(super) fn sql(&self, kind: u8, codes: &[u8]) -> String {
        match kind {
            kind::UPDATE => {
                let (set, unless_same, parameters) = self.changes(codes, 1);
                let key = self.key_is(parameters);
                format!("UPDATE {} SET {set} WHERE {key}{}", self.name, and(unless_same))
            }
            kind::DELETE => format!("DELETE FROM {} WHERE {}", self.name, self.key_is(1)),
            kind::INSERT => format!("{} DO NOTHING", self.insert_unless()),
            kind::NEW => self.insert("INSERT", 1),
            // Without a journal of its own: what fails rolls back the whole batch.
            kind::NEW_ROWS => self.insert("INSERT OR FAIL", NEW_TOGETHER),
            kind::MERGE => self.upsert(codes),
            _ => {
                let code =
                    |column| if self.key.contains(&column) { code::KEEP } else { code::SET_AS_NEW };
                let codes: Vec<u8> = (0..self.columns.len()).map(code).collect();
                self.upsert(&codes)
            }
        }
    }

    fn upsert(&self, codes: &[u8]) -> String {
        let (set, unless_same, _) = self.changes(codes, self.columns.len() + 1);
        if set.is_empty() {
            return format!("{} DO NOTHING", self.insert_unless());
        }
        let unless_same =
            unless_same.map_or(String::new(), |condition| format!(" WHERE {condition}"));
        format!("{} DO UPDATE SET {set}{unless_same}", self.insert_unless())
    }

    /// The alias keeps a table named `excluded` apart from what SQLite calls the new row.
    fn insert(&self, verb: &str, rows: usize) -> String {
        let width = self.columns.len();
        let row = |row: usize| {
            let numbers = (row * width + 1..=(row + 1) * width).map(|number| format!("?{number}"));
            format!("({})", numbers.collect::<Vec<_>>().join(", "))
        };
        let values = (0..rows).map(row).collect::<Vec<_>>().join(", ");
        format!("{verb} INTO {} AS _row ({}) VALUES {values}", self.name, self.columns.join(", "))
    }

    fn insert_unless(&self) -> String {
        let key = self
            .key
            .iter()
            .map(|&column| self.columns[column].as_str())
            .collect::<Vec<_>>()
            .join(", ");
        format!("{} ON CONFLICT ({key})", self.insert("INSERT", 1))
    }

    fn key_is(&self, first: usize) -> String {
        self.equal(&self.key, first)
    }

    fn equal(&self, columns: &[usize], first: usize) -> String {
        let equals = |(index, &column): (usize, &usize)| {
            format!("{} = ?{}", self.columns[column], first + index)
        };
        columns.iter().enumerate().map(equals).collect::<Vec<_>>().join(" AND ")
    }

    /// The assignments of the codes, the condition under which they change anything (None: always), and the number
    /// of the next parameter.
    fn changes(&self, codes: &[u8], first: usize) -> (String, Option<String>, usize) {
        let (mut set, mut differs, mut always, mut next) =
            (String::new(), Vec::new(), false, first);
        for (column, &code) in self.columns.iter().zip(codes) {
            let (value, difference, parameters) = match code {
                code::SET => (format!("?{next}"), format!("{column} IS NOT ?{next}"), 1),
                code::SET_AS_NEW => {
                    (format!("excluded.{column}"), format!("{column} IS NOT excluded.{column}"), 0)
                }
                code::ZERO => (format!("coalesce({column}, 0)"), format!("{column} IS NULL"), 0),
                code::ADD_UP | code::ADD => {
                    always = true;
                    let (sum, parameters) = self.sum(column, code, next);
                    (sum, String::new(), parameters)
                }
                code::MIN | code::MAX => {
                    let less = if code == code::MIN { '<' } else { '>' };
                    let wins = format!("{column} IS NULL OR ?{next} {less} {column}");
                    (format!("CASE WHEN {wins} THEN ?{next} ELSE {column} END"), wins, 1)
                }
                _ => continue,
            };
            next += parameters;
            differs.push(difference);
            let comma = if set.is_empty() { "" } else { ", " };
            write!(set, "{comma}{column} = {value}").expect("writing to a string cannot fail");
        }
        let unless_same = (!always && !differs.is_empty()).then(|| differs.join(" OR "));
        (set, unless_same, next)
    }

    /// A sum, if the column is within the bounds that keep it and its prefixes in range. NULL counts as 0.
    fn sum(&self, column: &str, code: u8, next: usize) -> (String, usize) {
        let number =
            self.columns.iter().position(|name| name == column).expect("it is one of them");
        let (within, total, parameters) = match code {
            code::ADD_UP => (format!("coalesce({column}, 0) <= ?{next}"), next + 1, 2),
            _ => (format!("coalesce({column}, 0) BETWEEN ?{next} AND ?{}", next + 1), next + 2, 3),
        };
        let sum = format!(
            "CASE WHEN {within} THEN coalesce({column}, 0) + ?{total} ELSE {OUT_OF_RANGE}({number}) END"
        );
        (sum, parameters)
    }
}

fn and(condition: Option<String>) -> String {
    condition.map_or(String::new(), |condition| format!(" AND ({condition})"))
}
