//! What handlers do, in the order that the definition language states.

use std::cmp::Ordering;

use super::super::model::{
    Action, Cell, Column, Expression, Handler, Kind, Object, Prefix, Projection, Table, Target,
    Value, Verb,
};
use super::super::reached::Reached;
use super::evaluate::{Running, elements, shown};
use super::{Broken, Event, Key, World};

/// Column, action, value as stored.
type Assigned = (usize, Action, Cell);

/// Does everything to the tables that the handlers say; whether any of them took the event.
pub(super) fn apply(
    projection: &Projection,
    event: &Event<'_>,
    world: &mut World,
    reached: &mut Reached,
) -> Result<bool, Broken> {
    if event.broken {
        return Err(Broken::Event);
    }
    let mut applied = false;
    for handler in &projection.handlers {
        if handler.events.iter().any(|pattern| matches(pattern, event.type_name)) {
            let lets = vec![None; handler.lets.len()];
            let (item, row) = (None, Value::Null);
            let running =
                &mut Running { projection, handler, event, world, reached, item, row, lets };
            applied |= running.handle()?;
        }
    }
    Ok(applied)
}

/// Whether a `*` of the pattern can stand for what the type has in its place.
fn matches(pattern: &str, type_name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == type_name,
        Some((before, after)) => type_name.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && matches(after, &rest[at..]))
        }),
    }
}

impl<'a> Running<'a> {
    fn table(&self) -> &'a Table {
        &self.projection.tables[self.handler.table]
    }

    /// Whether the handler took the event.
    fn handle(&mut self) -> Result<bool, Broken> {
        let handler = self.handler;
        let names = handler.when.as_ref().map(|when| when.names(&handler.lets)).unwrap_or_default();
        let per_row = names.row && matches!(handler.target, Target::Where(_));
        let key_of_item = match &handler.target {
            Target::Key(key) => key.iter().any(|key| key.names(&handler.lets).item),
            Target::Where(_) => false,
        };
        let once = !(names.item || per_row || names.row && key_of_item);
        if once && !self.when(names.row)? {
            self.reached.mark_if("when false before for_each", handler.for_each.is_some());
            return Ok(false);
        }
        let Some(for_each) = &handler.for_each else {
            self.take_item(None);
            return self.each(once, per_row);
        };
        let mut took = once;
        let items = self.items(for_each)?;
        let mut skipped = false;
        for (index, item) in items.into_iter().enumerate() {
            self.take_item(Some((item, index)));
            let took_item = self.each(once, per_row)?;
            took |= took_item;
            skipped |= !took_item;
        }
        self.reached.mark_if("when took some items and not others", took && skipped);
        Ok(took)
    }

    fn items(&mut self, for_each: &Expression) -> Result<Vec<Value>, Broken> {
        let items = match self.evaluate(for_each)? {
            Value::Null => {
                self.reached.mark("for_each of null");
                Vec::new()
            }
            Value::Array(items) => items,
            _ => {
                self.reached.mark("for_each of no array");
                return Err(Broken::Event);
            }
        };
        self.reached.mark_if("for_each of several", items.len() > 1);
        Ok(items)
    }

    /// Does one item's part, or all if there are no items; whether it applied.
    fn each(&mut self, asked: bool, per_row: bool) -> Result<bool, Broken> {
        let handler = self.handler;
        if !asked && !per_row {
            let names_row = handler.when.as_ref().is_some_and(|when| when.names(&handler.lets).row);
            if !self.when(names_row)? {
                self.reached.mark("when false for an item");
                return Ok(false);
            }
        }
        match &handler.target {
            Target::Key(key) => {
                let key = self.key(key)?;
                let Some(key) = key else {
                    self.reached.mark("null key");
                    return Err(Broken::Event);
                };
                self.bind(&key);
                self.change(key)?;
                Ok(true)
            }
            Target::Where(columns) => {
                let keys = self.find(columns)?;
                let mut took = !per_row;
                for key in keys {
                    self.bind(&key);
                    if per_row {
                        let held = self.when(false)?;
                        self.reached.mark(if held {
                            "when true of a row"
                        } else {
                            "when false of a row"
                        });
                        if !held {
                            continue;
                        }
                        took = true;
                    }
                    self.change(key)?;
                }
                Ok(took)
            }
        }
    }

    /// Whether the condition holds, which may be of the row at the key.
    fn when(&mut self, of_row: bool) -> Result<bool, Broken> {
        let handler = self.handler;
        let Some(when) = &handler.when else { return Ok(true) };
        if of_row && let Target::Key(key) = &handler.target {
            match self.key(key)? {
                Some(key) => self.bind(&key),
                None => {
                    self.reached.mark("when of the row at a null key");
                    self.take_row(Value::Null);
                }
            }
        }
        let held = self.evaluate(when)?.holds();
        self.reached.mark(if held { "when true" } else { "when false" });
        self.reached.mark_if("when of the row at a key", of_row);
        Ok(held)
    }

    /// The row at a key becomes `$row`.
    fn bind(&mut self, key: &Key) {
        let table = self.handler.table;
        if self.world.changed_now(table, key) {
            self.reached.mark("a row changed earlier in the same event");
        }
        let row = shown(self.projection, table, self.world.row(table, key));
        self.take_row(row);
    }

    /// None if a part of it is null.
    fn key(&mut self, key: &[Expression]) -> Result<Option<Key>, Broken> {
        let mut cells = Key::new();
        for (column, expression) in self.table().columns.iter().zip(key) {
            let value = self.evaluate(expression)?;
            cells.push(column.kind.store(&value).ok_or(Broken::Event)?);
        }
        Ok((!cells.contains(&Cell::Null)).then_some(cells))
    }

    /// The keys of the rows that a `where` means.
    fn find(&mut self, columns: &[(usize, Expression)]) -> Result<Vec<Key>, Broken> {
        let mut cells = Vec::new();
        for (column, expression) in columns {
            let value = self.evaluate(expression)?;
            let kind = self.table().columns[*column].kind;
            cells.push((*column, kind.store(&value).ok_or(Broken::Event)?));
            self.reached.mark(where_kind(kind));
        }
        self.reached.mark_if("where of several columns", cells.len() > 1);
        if cells.iter().any(|(_, cell)| *cell == Cell::Null) {
            self.reached.mark("where of null");
            return Ok(Vec::new());
        }
        let table = self.handler.table;
        let matches = |row: &[Cell]| cells.iter().all(|(column, cell)| row[*column] == *cell);
        let found = self.world.tables[table].iter().filter(|(_, row)| matches(row));
        let keys: Vec<Key> = found.map(|(key, _)| key.clone()).collect();
        let before = self.world.before[table].iter().filter(|(_, row)| matches(row));
        let gone = before.clone().any(|(key, _)| !keys.contains(key));
        let new = keys.iter().any(|key| before.clone().all(|(before, _)| before != key));
        let now = keys.iter().any(|key| self.world.changed_now(table, key));
        let reached = &mut *self.reached;
        reached.mark(match keys.len() {
            0 => "where without a row",
            1 => "where of one row",
            _ => "where of several rows",
        });
        reached.mark_if("where of a row that the batch made match", new);
        reached.mark_if("where no more of a row that matched before the batch", gone);
        reached.mark_if("where of a row changed in the same event", now);
        Ok(keys)
    }

    /// Does to the row at a key what the verb says.
    fn change(&mut self, key: Key) -> Result<(), Broken> {
        let handler = self.handler;
        let (table, index) = (self.table(), handler.table);
        let values = if handler.verb == Verb::Delete { Vec::new() } else { self.values()? };
        let before = self.world.row(index, &key).cloned();
        self.reached.mark(verb_word(handler.verb, before.is_some()));
        let known = self.world.changed_now(index, &key) || self.world.changed_before(index, &key);
        let assigned = |row, created, reached: &mut Reached| {
            let row = assigned(row, &values, created, table, reached);
            reached
                .mark_if("sum failed on a row that the batch had changed", row.is_err() && known);
            row
        };
        let after = match (handler.verb, before) {
            (Verb::Insert, Some(row)) => Some(row),
            (Verb::Insert | Verb::Upsert, None) => {
                let row = fresh(index, table, &key, &self.projection.handlers);
                Some(assigned(row, true, self.reached)?)
            }
            (Verb::Upsert | Verb::Update, Some(row)) => Some(assigned(row, false, self.reached)?),
            (Verb::Update, None) | (Verb::Delete, _) => None,
        };
        self.world.put(index, key, after);
        Ok(())
    }

    /// What is assigned, in the table's column order, all of it against the same row.
    fn values(&mut self) -> Result<Vec<Assigned>, Broken> {
        let handler = self.handler;
        let table = self.table();
        let mut values = Vec::new();
        if let Some(object) = &handler.object {
            for (column, value) in self.object(object)? {
                values.push(stored(table, column, Action::Set, &value)?);
            }
        }
        let mut assignments: Vec<_> = handler.assignments.iter().collect();
        assignments.sort_by_key(|(column, ..)| *column);
        for (column, action, expression) in assignments {
            let value = self.evaluate(expression)?;
            values.push(stored(table, *column, *action, &value)?);
        }
        values.sort_by_key(|(column, ..)| *column);
        Ok(values)
    }

    fn object(&mut self, object: &Object) -> Result<Vec<(usize, Value)>, Broken> {
        for (_, expression) in &object.members {
            self.prepare(expression)?;
        }
        let here = match &object.prefix {
            Prefix::None => Value::Null,
            Prefix::Select(condition) => {
                self.prepare(condition)?;
                if !self.value(condition)?.holds() {
                    self.reached.mark("set without an object");
                    return Err(Broken::Event);
                }
                Value::Null
            }
            Prefix::Of(field) => self.event.field(field),
            Prefix::Each(field) => {
                let elements = elements(self.event.field(field)).ok_or(Broken::Event)?;
                let [one] = &elements[..] else {
                    self.reached.mark("set of several objects, or none");
                    return Err(Broken::Event);
                };
                one.clone()
            }
        };
        let mut members = Vec::new();
        for (column, expression) in &object.members {
            members.push((*column, self.value_of(expression, &here)?));
        }
        self.reached.mark("set of an object");
        Ok(members)
    }
}

fn stored(table: &Table, column: usize, action: Action, value: &Value) -> Result<Assigned, Broken> {
    let Column { kind, required, .. } = &table.columns[column];
    let cell = match (action, value) {
        (Action::Add | Action::Sub, Value::Boolean(boolean)) => kind.count(*boolean),
        _ => kind.store(value).ok_or(Broken::Event)?,
    };
    let set = matches!(action, Action::Set | Action::SetOnce);
    if set && cell == Cell::Null && *required {
        return Err(Broken::Event);
    }
    Ok((column, action, cell))
}

/// A new row: the key and the defaults.
fn fresh(index: usize, table: &Table, key: &[Cell], handlers: &[Handler]) -> Vec<Cell> {
    let summed = |column: usize| {
        let mine = handlers.iter().filter(|handler| handler.table == index);
        mine.flat_map(|handler| &handler.assignments).any(|(assigned, action, _)| {
            *assigned == column && matches!(action, Action::Add | Action::Sub)
        })
    };
    let cell = |(at, column): (usize, &Column)| match (key.get(at), &column.default) {
        (Some(cell), _) => cell.clone(),
        (None, Some(default)) => default.cell.clone(),
        (None, None) if summed(at) => zero(column.kind),
        (None, None) => Cell::Null,
    };
    table.columns.iter().enumerate().map(cell).collect()
}

fn zero(kind: Kind) -> Cell {
    if kind == Kind::Real { Cell::real(0.0) } else { Cell::Integer(0) }
}

/// The row after the assignments.
fn assigned(
    mut row: Vec<Cell>,
    values: &[Assigned],
    created: bool,
    table: &Table,
    reached: &mut Reached,
) -> Result<Vec<Cell>, Broken> {
    for (column, action, value) in values {
        let old = row[*column].clone();
        reached.mark(stored_kind(table.columns[*column].kind));
        row[*column] = match action {
            Action::Set => value.clone(),
            Action::SetOnce if created => {
                reached.mark("set_once assigned");
                value.clone()
            }
            Action::SetOnce => {
                reached.mark("set_once left alone");
                old
            }
            // A null output changes nothing.
            _ if *value == Cell::Null => {
                reached.mark("add, min or max of null");
                old
            }
            Action::Add => sum(&old, value, 1)?,
            Action::Sub => sum(&old, value, -1)?,
            Action::Min if old == Cell::Null || order(value, &old) == Ordering::Less => {
                reached.mark("min changed");
                value.clone()
            }
            Action::Max if old == Cell::Null || order(value, &old) == Ordering::Greater => {
                reached.mark("max changed");
                value.clone()
            }
            Action::Min | Action::Max => {
                reached.mark("min or max kept");
                old
            }
        };
    }
    Ok(row)
}

fn sum(old: &Cell, value: &Cell, sign: i8) -> Result<Cell, Broken> {
    match (old, value) {
        (Cell::Null, Cell::Integer(_)) => sum(&Cell::Integer(0), value, sign),
        (Cell::Null, Cell::Real(_)) => sum(&Cell::real(0.0), value, sign),
        (Cell::Integer(a), Cell::Integer(b)) => {
            let sum = i128::from(*a) + i128::from(*b) * i128::from(sign);
            i64::try_from(sum).map(Cell::Integer).map_err(|_| Broken::Sum)
        }
        (Cell::Real(a), Cell::Real(b)) => {
            let sum = f64::from_bits(*a) + f64::from_bits(*b) * f64::from(sign);
            if sum.is_finite() { Ok(Cell::real(sum)) } else { Err(Broken::Sum) }
        }
        _ => unreachable!("{old:?} and {value:?} in one column"),
    }
}

fn order(a: &Cell, b: &Cell) -> Ordering {
    match (a, b) {
        (Cell::Real(a), Cell::Real(b)) => f64::from_bits(*a).total_cmp(&f64::from_bits(*b)),
        _ => a.cmp(b),
    }
}

fn verb_word(verb: Verb, present: bool) -> &'static str {
    match (verb, present) {
        (Verb::Insert, true) => "insert left a row alone",
        (Verb::Insert, false) => "insert created",
        (Verb::Upsert, true) => "upsert changed",
        (Verb::Upsert, false) => "upsert created",
        (Verb::Update, true) => "update changed",
        (Verb::Update, false) => "update without a row",
        (Verb::Delete, true) => "delete removed",
        (Verb::Delete, false) => "delete without a row",
    }
}

fn stored_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "assigned text",
        Kind::Integer => "assigned integer",
        Kind::Decimal(_) => "assigned decimal",
        Kind::Real => "assigned real",
        Kind::Boolean => "assigned boolean",
        Kind::Timestamp => "assigned timestamp",
        Kind::Date => "assigned date",
        Kind::Json => "assigned json",
        Kind::Bytes => "assigned bytes",
    }
}

fn where_kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "where of text",
        Kind::Integer => "where of integer",
        Kind::Decimal(_) => "where of decimal",
        Kind::Boolean => "where of boolean",
        Kind::Timestamp => "where of timestamp",
        Kind::Date => "where of date",
        Kind::Bytes => "where of bytes",
        Kind::Real | Kind::Json => unreachable!("no `where` on these"),
    }
}
