//! Expressions that mostly give a value of the kind that is wanted.

use super::super::model::{Comparison, Expression, Kind, Table};
use super::Choices;

/// What an expression may name where it stands.
#[derive(Clone)]
pub(super) struct Scope<'a> {
    pub(super) tables: &'a [Table],
    /// The table of the handler.
    pub(super) own: usize,
    pub(super) item: bool,
    pub(super) row: bool,
    pub(super) lets: Vec<(Kind, Expression)>,
    /// `.` is no event.
    pub(super) here: bool,
    /// It is part of another.
    pub(super) inner: bool,
}

impl<'a> Scope<'a> {
    pub(super) fn new(tables: &'a [Table], own: usize) -> Self {
        Self { tables, own, item: false, row: false, lets: Vec::new(), here: false, inner: false }
    }

    pub(super) fn own(&self) -> &'a Table {
        &self.tables[self.own]
    }

    /// The last column of a kind in the handler's table.
    pub(super) fn own_column(&self, kind: Kind) -> Option<usize> {
        self.own().columns_of(kind).last()
    }

    fn inner(&self) -> Self {
        Self { inner: true, ..self.clone() }
    }

    /// The lets of a kind that can be named.
    fn lets(&self, kind: Kind) -> Vec<usize> {
        let all: Vec<Expression> = self.lets.iter().map(|(_, value)| value.clone()).collect();
        let allowed = |value: &Expression| {
            let names = value.names(&all);
            (self.row || !names.row) && (self.item || !names.item)
        };
        let lets = self.lets.iter().enumerate();
        lets.filter(|(_, (of, value))| *of == kind && allowed(value)).map(|(at, _)| at).collect()
    }

    /// The columns of a kind, by table.
    fn columns(&self, kind: Kind) -> Vec<(usize, usize)> {
        let tables = self.tables.iter().enumerate();
        tables
            .flat_map(|(table, of)| of.columns_of(kind).map(move |column| (table, column)))
            .collect()
    }
}

impl Table {
    fn columns_of(&self, kind: Kind) -> impl Iterator<Item = usize> {
        let columns = self.columns.iter().enumerate();
        columns.filter(move |(_, column)| column.kind == kind).map(|(index, _)| index)
    }

    fn has(&self, kind: Kind) -> bool {
        self.columns_of(kind).next().is_some()
    }
}

impl Choices<'_> {
    /// `small`: out of few values, so that rows meet.
    pub(super) fn expression(&mut self, kind: Kind, scope: &Scope<'_>, small: bool) -> Expression {
        if self.calm && small && self.once_in(2) {
            return self.field(kind, scope, small);
        }
        let lets = scope.lets(kind);
        if !lets.is_empty() && self.once_in(2) {
            return Expression::Let(self.of(&lets));
        }
        let number = matches!(kind, Kind::Integer | Kind::Decimal(_) | Kind::Real);
        if self.parts && number && !scope.here && self.once_in(8) {
            return Expression::Part;
        }
        match self.below(40) {
            15..=18 if scope.row => {
                let columns: Vec<usize> = scope.own().columns_of(kind).collect();
                if columns.is_empty() {
                    return self.field(kind, scope, small);
                }
                Expression::Row(self.of(&columns))
            }
            19..=23 => {
                self.lookup_of(kind, scope).unwrap_or_else(|| self.field(kind, scope, small))
            }
            24..=33 => self.computed(kind, scope, small),
            34 | 35 => {
                let condition = Box::new(self.condition(&scope.inner()));
                let then = Box::new(self.expression(kind, &scope.inner(), small));
                let otherwise = Box::new(self.field(kind, scope, small));
                Expression::If(condition, then, otherwise)
            }
            36 | 37 => {
                let first = self.expression(kind, &scope.inner(), small);
                Expression::Else(Box::new(first), Box::new(self.field(kind, scope, small)))
            }
            38 if !scope.here && !self.calm => Expression::Data("m"),
            39 if !scope.inner && (!self.calm || self.once_in(4)) => self.alone(kind, scope),
            _ => self.field(kind, scope, small),
        }
    }

    fn field(&mut self, kind: Kind, scope: &Scope<'_>, small: bool) -> Expression {
        let field = match (kind, small) {
            (Kind::Text, true) => "ks",
            (Kind::Integer | Kind::Decimal(_), true) => "ki",
            (Kind::Text, false) => "s",
            (Kind::Integer, false) => "i",
            (Kind::Decimal(_), false) => "d",
            (Kind::Real, _) => "r",
            (Kind::Boolean, _) => "b",
            (Kind::Timestamp, _) => "t",
            (Kind::Date, _) => "e",
            (Kind::Json, _) => "j",
            (Kind::Bytes, _) => "x",
        };
        match () {
            () if scope.here => Expression::Here(field),
            () if scope.item && self.below(3) > 0 => Expression::Item(field),
            () => Expression::Data(field),
        }
    }

    /// What stands alone or not at all.
    fn alone(&mut self, kind: Kind, scope: &Scope<'_>) -> Expression {
        let value = self.field(kind, scope, false);
        match self.below(5) {
            0 | 1 => Expression::SelectAbove(Box::new(value), 0),
            2 | 3 => Expression::Each("l"),
            _ => Expression::Twice(Box::new(value)),
        }
    }

    /// A column of a row of some table; None if none has one of the kind.
    fn lookup_of(&mut self, kind: Kind, scope: &Scope<'_>) -> Option<Expression> {
        let columns = scope.columns(kind);
        if columns.is_empty() {
            return None;
        }
        let other = |(table, _): &&(usize, usize)| *table != scope.own;
        let others: Vec<(usize, usize)> = columns.iter().filter(other).copied().collect();
        let columns = if !others.is_empty() && self.once_in(2) { others } else { columns };
        let (table, column) = self.of(&columns);
        Some(self.lookup(table, Some(column), scope))
    }

    fn lookup(&mut self, table: usize, column: Option<usize>, scope: &Scope<'_>) -> Expression {
        let of = &scope.tables[table];
        if scope.row && table == scope.own && of.keys == 1 && of.columns[0].kind == Kind::Integer {
            // The row before: whoever changes several sees in which order.
            let before =
                || Expression::Sub(Box::new(Expression::Row(0)), Box::new(Expression::Integer(1)));
            if self.once_in(3) {
                return Expression::Lookup { table, keys: vec![before()], column };
            }
        }
        let key = of.columns[..of.keys].iter();
        let keys = key.map(|column| self.key_of(column.kind, scope)).collect();
        Expression::Lookup { table, keys, column }
    }

    /// Mostly a field: lookups within lookups are few.
    fn key_of(&mut self, kind: Kind, scope: &Scope<'_>) -> Expression {
        match self.below(30) {
            26..=28 => self.expression(kind, &scope.inner(), true),
            29 if !scope.here && !self.calm => Expression::Data("m"),
            _ => self.field(kind, scope, true),
        }
    }

    fn computed(&mut self, kind: Kind, scope: &Scope<'_>, small: bool) -> Expression {
        let inner = scope.inner();
        let boxed = |expression| Box::new(expression);
        match kind {
            Kind::Text => self.text(scope),
            Kind::Integer | Kind::Decimal(_) | Kind::Real => self.number(kind, scope, small),
            Kind::Boolean => self.condition(scope),
            Kind::Timestamp | Kind::Date if !scope.here => Expression::Time,
            Kind::Timestamp | Kind::Date => self.field(kind, scope, small),
            Kind::Json => match self.below(5) {
                0 => {
                    let items = [Kind::Integer, Kind::Text];
                    Expression::Array(items.map(|kind| self.field(kind, scope, true)).into())
                }
                1 if scope.row && scope.own().has(Kind::Json) => {
                    // The row's own list, and one more.
                    let column = scope.own().columns_of(Kind::Json).next().expect("it has one");
                    let list = Expression::Else(
                        boxed(Expression::Row(column)),
                        boxed(Expression::Array(Vec::new())),
                    );
                    let one =
                        Expression::Array(vec![self.expression(Kind::Integer, &inner, small)]);
                    Expression::Add(boxed(list), boxed(one))
                }
                2 => {
                    // Rows that hold no JSON: otherwise they might grow beyond bounds.
                    let plain = scope.tables.iter().position(|table| !table.has(Kind::Json));
                    match plain {
                        Some(table) => self.lookup(table, None, scope),
                        None => self.field(kind, scope, small),
                    }
                }
                3 if scope.item => Expression::WholeItem,
                _ if scope.here => Expression::Here("j"),
                _ => Expression::Data(self.of(&["o", "l", "s", "i"])),
            },
            Kind::Bytes => self.field(kind, scope, small),
        }
    }

    fn number(&mut self, kind: Kind, scope: &Scope<'_>, small: bool) -> Expression {
        let field = Box::new(self.field(kind, scope, small));
        let row = scope.own().columns_of(kind).next().filter(|_| scope.row);
        match (self.below(12), row) {
            (0 | 1, _) => Expression::Add(field, Box::new(Expression::Integer(1))),
            // Growing by itself, as `$row` lets it.
            (2 | 3, Some(column)) => Expression::Add(Box::new(Expression::Row(column)), field),
            (4, Some(column)) => Expression::Sub(Box::new(Expression::Row(column)), field),
            (5, _) if kind == Kind::Integer && scope.item => {
                Expression::Add(Box::new(Expression::Index), Box::new(Expression::Integer(1)))
            }
            (6, _) if !scope.here => Expression::Sequence,
            (7, _) if !scope.here => Expression::Part,
            (8, _) if matches!(kind, Kind::Decimal(2..)) => Expression::Share(field),
            (9, _) if matches!(kind, Kind::Decimal(2..)) => {
                Expression::Hundredths(self.of(&[25, 100, -1, 1999]))
            }
            (10, _) => Expression::Integer(self.of(&[1, 0, -1, 4])),
            (11, _) => Expression::Sub(field, Box::new(self.field(kind, scope, true))),
            _ => *field,
        }
    }

    fn text(&mut self, scope: &Scope<'_>) -> Expression {
        let field = Box::new(self.field(Kind::Text, scope, false));
        match self.below(6) {
            0 => Expression::Text("a"),
            1 if !scope.here => Expression::Token,
            2 if !scope.here => Expression::Type,
            3 => Expression::Add(field, Box::new(Expression::Text("a"))),
            _ => Expression::Else(field, Box::new(Expression::Text("or"))),
        }
    }

    pub(super) fn condition(&mut self, scope: &Scope<'_>) -> Expression {
        let compare = |comparison, a, b| Expression::Compare(comparison, Box::new(a), Box::new(b));
        match self.below(18) {
            0 => self.field(Kind::Boolean, scope, false),
            1 => compare(
                Comparison::Above,
                self.field(Kind::Integer, scope, false),
                Expression::Integer(0),
            ),
            2 => compare(
                Comparison::Same,
                self.field(Kind::Text, scope, false),
                Expression::Text("a"),
            ),
            3 if !scope.here && !self.calm => {
                compare(Comparison::Below, Expression::Data("m"), Expression::Integer(1))
            }
            4..=6 if scope.row => self.condition_of_row(scope),
            7 | 8 | 16 | 17 => {
                let table = self.below(scope.tables.len());
                let row = self.lookup(table, None, scope);
                compare(self.of(&[Comparison::Same, Comparison::Other]), row, Expression::Null)
            }
            9 | 10 if scope.item => compare(
                self.of(&[Comparison::Below, Comparison::Above, Comparison::Same]),
                Expression::Index,
                Expression::Integer(self.of(&[1, 0])),
            ),
            11 => {
                let (a, b) = (self.condition(&scope.inner()), self.condition(&scope.inner()));
                Expression::And(Box::new(a), Box::new(b))
            }
            12 => {
                let (a, b) = (self.condition(&scope.inner()), self.condition(&scope.inner()));
                Expression::Or(Box::new(a), Box::new(b))
            }
            13 => Expression::Not(Box::new(self.condition(&scope.inner()))),
            14 if !scope.here && !self.calm => {
                Expression::Add(Box::new(Expression::Data("m")), Box::new(Expression::Integer(1)))
            }
            15 => {
                let lets = scope.lets(Kind::Boolean);
                if lets.is_empty() {
                    return self.field(Kind::Boolean, scope, false);
                }
                Expression::Let(self.of(&lets))
            }
            _ => self.field(Kind::Boolean, scope, false),
        }
    }

    pub(super) fn condition_of_row(&mut self, scope: &Scope<'_>) -> Expression {
        let comparison =
            self.of(&[Comparison::Same, Comparison::Other, Comparison::Below, Comparison::Above]);
        if self.once_in(3) {
            return Expression::Compare(
                comparison,
                Box::new(Expression::WholeRow),
                Box::new(Expression::Null),
            );
        }
        let columns = &scope.own().columns;
        let column = columns.len() - 1 - self.below(columns.len());
        let value = match columns[column].kind {
            Kind::Json => Expression::Null,
            kind => self.expression(kind, &scope.inner(), true),
        };
        Expression::Compare(comparison, Box::new(Expression::Row(column)), Box::new(value))
    }

    /// Mostly an array of objects.
    pub(super) fn for_each(&mut self, scope: &Scope<'_>) -> Expression {
        let list = || Box::new(Expression::Data("l"));
        match self.below(12) {
            6 => {
                let items = [Kind::Integer, Kind::Text];
                Expression::Array(items.map(|kind| self.field(kind, scope, true)).into())
            }
            7 => {
                let one = Expression::Array(vec![Expression::Data("o")]);
                Expression::Add(list(), Box::new(one))
            }
            8 => {
                let condition = Box::new(self.condition(scope));
                Expression::If(condition, list(), Box::new(Expression::Null))
            }
            9 => self.lookup_of(Kind::Json, scope).unwrap_or(Expression::Data("l")),
            10 => {
                Expression::Else(list(), Box::new(Expression::Array(vec![Expression::Data("o")])))
            }
            11 if !self.calm => Expression::Data("j"),
            _ => Expression::Data("l"),
        }
    }
}
