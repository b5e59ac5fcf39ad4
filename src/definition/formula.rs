//! jq and constants of a handler: compiled where they stand, with the names that they may use there.
//!
//! | where | `$row` | `$item`, `$index` |
//! |---|---|---|
//! | `when`, `set` and the other assignments | yes | with `for_each` |
//! | `key`, `where` | no: they say which row it is | with `for_each` |
//! | `for_each` | no: it says how many rows there are | no: it says what they are |
//! | `let` | as whatever names it | with `for_each` |
//!
//! A `let` counts as what it uses, through other lets too.

use std::ops::Range;
use std::sync::Arc;

use crate::definition::table;
use crate::definition::{self, Action, Column, Formula, variable};
use crate::expression::{self, Expression, Output, Place, Scope};
use crate::syntax::{Kind, Report, Text, Value};

/// Where an expression stands, which decides what it may name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spot {
    ForEach,
    Let,
    /// In `key` or `where`.
    Target,
    /// In `when`, or as what a column gets.
    Value,
}

/// The names that a handler's expressions may use, growing with its lets.
#[derive(Debug)]
pub(super) struct Names<'a> {
    /// By slot.
    variables: Vec<&'a str>,
    tables: Vec<TableNames<'a>>,
    /// By slot: the table whose row the variable holds.
    rows: Vec<Option<usize>>,
    /// What each `let` uses.
    lets: Vec<Uses>,
    /// For each `let`, whether some expression names it.
    named: Vec<bool>,
    /// The lets that are not bound yet, for hints.
    pub(super) later: Vec<&'a str>,
    /// Whether the handler has `for_each`.
    iterates: bool,
    /// Some expression has not compiled: what it names is not known.
    pub(super) incomplete: bool,
}

/// The names of a table, of its key columns and of all its columns.
#[derive(Debug)]
struct TableNames<'a> {
    name: &'a str,
    key: Vec<&'a str>,
    columns: Vec<&'a str>,
}

/// The variables on which an expression depends.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Uses {
    row: bool,
    item: bool,
    index: bool,
}

impl Uses {
    fn of_slot(slot: usize) -> Self {
        Self {
            row: slot == variable::ROW,
            item: slot == variable::ITEM,
            index: slot == variable::INDEX,
        }
    }

    fn or(self, other: Self) -> Self {
        Self {
            row: self.row || other.row,
            item: self.item || other.item,
            index: self.index || other.index,
        }
    }
}

impl<'a> TableNames<'a> {
    fn of_draft(draft: &'a table::Draft) -> Self {
        let table = &draft.table;
        let columns: Vec<_> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let key = if draft.keyed {
            table.key.iter().map(|index| columns[*index]).collect()
        } else {
            vec!["key"; draft.key_len]
        };
        Self { name: &table.name, key, columns }
    }

    fn lent(&self) -> expression::Table<'_> {
        expression::Table { name: self.name, key: &self.key, columns: &self.columns }
    }
}

impl<'a> Names<'a> {
    /// Of a handler that works on the table `target`.
    pub(super) fn new(tables: &'a [table::Draft], target: Option<usize>, iterates: bool) -> Self {
        let mut rows = vec![None; variable::LETS];
        rows[variable::ROW] = target;
        Self {
            variables: variable::NAMES.to_vec(),
            tables: tables.iter().map(TableNames::of_draft).collect(),
            rows,
            lets: Vec::new(),
            named: Vec::new(),
            later: Vec::new(),
            iterates,
            incomplete: false,
        }
    }

    /// Makes the value of a `let`, perhaps a row of a table, known to the expressions that follow.
    pub(super) fn bind(&mut self, name: &'a str, uses: Uses, row: Option<usize>) {
        self.variables.push(name);
        self.rows.push(row);
        self.lets.push(uses);
        self.named.push(false);
    }

    /// Whether some expression names the let of this number.
    pub(super) fn is_named(&self, number: usize) -> bool {
        self.named[number]
    }

    /// jq, or a constant.
    pub(super) fn formula(
        &mut self,
        report: &mut Report,
        value: &Value,
        what: &str,
        spot: Spot,
    ) -> Option<Formula> {
        self.formula_and_uses(report, value, what, spot).map(|(formula, _)| formula)
    }

    pub(super) fn formula_and_uses(
        &mut self,
        report: &mut Report,
        value: &Value,
        what: &str,
        spot: Spot,
    ) -> Option<(Formula, Uses)> {
        if let Kind::String(_) = value.kind {
            return self.expression(report, value, what, spot);
        }
        let Some(expression) = constant(report, value, what) else {
            self.incomplete = true;
            return None;
        };
        let formula = Formula { expression: Arc::new(expression), span: value.span.clone() };
        Some((formula, Uses::default()))
    }

    /// jq alone.
    pub(super) fn expression(
        &mut self,
        report: &mut Report,
        value: &Value,
        what: &str,
        spot: Spot,
    ) -> Option<(Formula, Uses)> {
        let compiled = report.text(value, what).and_then(|text| {
            let expression = self.compile(report, text, what)?;
            Some((text, expression))
        });
        let Some((text, expression)) = compiled else {
            self.incomplete = true;
            return None;
        };
        let mut uses = Uses::default();
        for (slot, place) in expression.variables() {
            uses = uses.or(self.check_use(report, *slot, &text.locate(place.clone()), what, spot));
        }
        let formula = Formula { expression: Arc::new(expression), span: value.span.clone() };
        Some((formula, uses))
    }

    fn compile(&self, report: &mut Report, text: &Text, what: &str) -> Option<Expression> {
        if text.value.trim().is_empty() {
            report
                .error(&text.span, format!("{what} is empty"))
                .label("no expression")
                .hint("`.` is the event; an empty string is written '\"\"'".to_owned());
            return None;
        }
        let tables: Vec<_> = self.tables.iter().map(TableNames::lent).collect();
        let scope = Scope {
            place: Place::Handler,
            variables: &self.variables,
            tables: &tables,
            rows: &self.rows,
        };
        Expression::compile(&text.value, scope)
            .map_err(|error| {
                let named =
                    text.value.get(error.span.clone()).and_then(|name| name.strip_prefix('$'));
                let later = named.filter(|name| self.later.contains(name));
                let hint = later.map(|name| {
                    format!("move `let.{name}` up: a `let` may use only those above it")
                });
                report
                    .error(&text.locate(error.span), error.message)
                    .label(error.label)
                    .hint(hint.or(error.hint));
            })
            .ok()
    }

    /// What a variable depends on; complains if the expression may not depend on it.
    fn check_use(
        &mut self,
        report: &mut Report,
        slot: usize,
        span: &Range<usize>,
        what: &str,
        spot: Spot,
    ) -> Uses {
        let number = slot.checked_sub(variable::LETS);
        if let Some(named) = number.and_then(|number| self.named.get_mut(number)) {
            *named = true;
        }
        let uses = number.map_or(Uses::of_slot(slot), |number| {
            self.lets.get(number).copied().unwrap_or_default()
        });
        let through = number.map(|_| self.variables.get(slot).copied().unwrap_or_default());
        // A let that may not use it has been told where it stands.
        let told = !self.iterates && number.is_some();
        for (name, used) in [("item", uses.item), ("index", uses.index)] {
            if used && (spot == Spot::ForEach || !self.iterates) && !told {
                refuse_item(report, span, name, through, what, spot);
            }
        }
        if uses.row && matches!(spot, Spot::ForEach | Spot::Target) {
            refuse_row(report, span, through, what, spot);
        }
        uses
    }
}

fn refuse_item(
    report: &mut Report,
    span: &Range<usize>,
    name: &str,
    through: Option<&str>,
    what: &str,
    spot: Spot,
) {
    if spot == Spot::ForEach {
        report
            .error(span, format!("`for_each` cannot use {}", used(name, through)))
            .label("there is no element yet")
            .hint("`for_each` gives the list of elements: \".data.items\"".to_owned());
        return;
    }
    report
        .error(span, format!("{what} uses `${name}`, but the handler has no `for_each`"))
        .label("no elements")
        .hint("for_each = \".data.items\" runs the handler once for each element".to_owned());
}

fn refuse_row(
    report: &mut Report,
    span: &Range<usize>,
    through: Option<&str>,
    what: &str,
    spot: Spot,
) {
    let label = match spot {
        Spot::ForEach => "no row is known before the elements are",
        _ => "the row is found by this",
    };
    report
        .error(span, format!("{what} cannot use {}", used("row", through)))
        .label(label)
        .hint("`lookup(\"table\"; .data.id)` reads a row by its key".to_owned());
}

/// `$name`, or the let by which it is used.
fn used(name: &str, through: Option<&str>) -> String {
    match through {
        Some(through) => format!("`${through}`, which uses `${name}`"),
        None => format!("`${name}`"),
    }
}

/// A TOML number or boolean.
fn constant(report: &mut Report, value: &Value, what: &str) -> Option<Expression> {
    let problem = match &value.kind {
        Kind::Integer(Some(integer)) => {
            let number = Expression::number(&integer.to_string());
            return Some(number.expect("an integer is a number of JSON"));
        }
        Kind::Float(text) => match Expression::number(text) {
            Some(number) => return Some(number),
            None => "is not finite".to_owned(),
        },
        Kind::Boolean(boolean) => return Some(Expression::boolean(*boolean)),
        Kind::Integer(None) => "is beyond 64 bits".to_owned(),
        other => format!("must be jq in quotes, a number, true or false, not {}", other.describe()),
    };
    let hint = match &value.kind {
        Kind::Datetime(text) => {
            Some(format!("as jq, a constant is a string in quotes: '\"{text}\"'"))
        }
        Kind::Array(_) => Some("put a list in quotes, as jq: \"[1, 2]\"".to_owned()),
        Kind::Table(_) => Some("put an object in quotes, as jq: \"{a: 1}\"".to_owned()),
        _ => None,
    };
    report.error(&value.span, format!("{what} {problem}")).label("not a value").hint(hint);
    None
}

/// A constant is converted once, when it is used; here it is refused if it does not fit.
pub(super) fn check_constant(
    report: &mut Report,
    formula: &Formula,
    table: &definition::Table,
    column: &Column,
    action: Action,
) {
    let Some(literal) = formula.expression.literal() else { return };
    let name = format!("`{}.{}`", table.name, column.name);
    if let Output::Null = literal {
        if column.required && matches!(action, Action::Set | Action::SetOnce) {
            report
                .error(&formula.span, format!("{name} is required and cannot be null"))
                .label("always null");
        }
        return;
    }
    if let Err(problem) = action.convert(literal, column.column_type) {
        report
            .error(&formula.span, format!("{name} is {}: {problem}", column.column_type))
            .label("this constant does not fit");
    }
}
