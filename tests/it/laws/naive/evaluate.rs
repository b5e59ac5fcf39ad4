//! What expressions give.

use super::super::model::{Comparison, Expression, Handler, Projection, Target, Value};
use super::super::reached::Reached;
use super::{Broken, Event, Key, World};

/// One handler at work on one event, and what its variables stand for at the moment.
pub(super) struct Running<'a> {
    pub(super) projection: &'a Projection,
    pub(super) handler: &'a Handler,
    pub(super) event: &'a Event<'a>,
    pub(super) world: &'a mut World,
    pub(super) reached: &'a mut Reached,
    /// `$item` and `$index`.
    pub(super) item: Option<(Value, usize)>,
    pub(super) row: Value,
    /// Those that have been evaluated.
    pub(super) lets: Vec<Option<Value>>,
}

impl Running<'_> {
    /// `$item` becomes another: what depends on it is evaluated anew.
    pub(super) fn take_item(&mut self, item: Option<(Value, usize)>) {
        self.item = item;
        let handler = self.handler;
        self.forget(|expression| expression.names(&handler.lets).item);
        self.take_row(Value::Null);
    }

    /// `$row` becomes another.
    pub(super) fn take_row(&mut self, row: Value) {
        self.row = row;
        let handler = self.handler;
        self.forget(|expression| expression.names(&handler.lets).row);
    }

    fn forget(&mut self, depends: impl Fn(&Expression) -> bool) {
        for (value, expression) in self.lets.iter_mut().zip(&self.handler.lets) {
            if depends(expression) {
                *value = None;
            }
        }
    }

    /// The one value that an expression gives: null if none.
    pub(super) fn evaluate(&mut self, expression: &Expression) -> Result<Value, Broken> {
        self.prepare(expression)?;
        match expression {
            Expression::SelectAbove(value, number) => {
                let value = self.value(value)?;
                let above = value.order(&Value::integer(*number)).is_gt();
                Ok(if above { value } else { Value::Null })
            }
            Expression::Each(field) => {
                let elements = elements(self.event.field(field)).ok_or(Broken::Event)?;
                self.reached.mark("an expression with any number of outputs");
                match &elements[..] {
                    [] => Ok(Value::Null),
                    [one] => Ok(one.clone()),
                    _ => Err(Broken::Event),
                }
            }
            Expression::Twice(_) => Err(Broken::Event),
            expression => self.value(expression),
        }
    }

    /// Evaluates the lets that an expression names, each once.
    pub(super) fn prepare(&mut self, expression: &Expression) -> Result<(), Broken> {
        let handler = self.handler;
        for index in expression.lets() {
            if self.lets[index].is_some() {
                self.reached.mark("a let used again");
                continue;
            }
            self.reached.mark("a let evaluated");
            let of_row = handler.lets[index].names(&handler.lets).row;
            let found = matches!(handler.target, Target::Where(_));
            self.reached.mark_if("a let of a row that a where found", of_row && found);
            let value = self.evaluate(&handler.lets[index])?;
            self.lets[index] = Some(value);
        }
        Ok(())
    }

    pub(super) fn value(&mut self, expression: &Expression) -> Result<Value, Broken> {
        self.value_of(expression, &Value::Null)
    }

    /// `here`: what a prefix has gone into.
    pub(super) fn value_of(
        &mut self,
        expression: &Expression,
        here: &Value,
    ) -> Result<Value, Broken> {
        let mut of = |expression: &Expression| self.value_of(expression, here);
        let member = |value: &Value, name: &str| value.member(name).ok_or(Broken::Event);
        match expression {
            Expression::Here(field) => member(here, field),
            Expression::Add(a, b) => of(a)?.add(of(b)?).ok_or(Broken::Event),
            Expression::Sub(a, b) => of(a)?.sub(of(b)?).ok_or(Broken::Event),
            Expression::Share(a) => match of(a)? {
                Value::Number(number) => number.share().map(Value::Number).ok_or(Broken::Event),
                _ => Ok(Value::Null),
            },
            Expression::Compare(comparison, a, b) => {
                let order = of(a)?.order(&of(b)?);
                Ok(Value::Boolean(match comparison {
                    Comparison::Same => order.is_eq(),
                    Comparison::Other => order.is_ne(),
                    Comparison::Below => order.is_lt(),
                    Comparison::Above => order.is_gt(),
                }))
            }
            Expression::And(a, b) => Ok(Value::Boolean(of(a)?.holds() && of(b)?.holds())),
            Expression::Or(a, b) => Ok(Value::Boolean(of(a)?.holds() || of(b)?.holds())),
            Expression::Not(a) => Ok(Value::Boolean(!of(a)?.holds())),
            Expression::Else(a, b) => match of(a)? {
                Value::Null | Value::Boolean(false) => of(b),
                value => Ok(value),
            },
            Expression::If(condition, then, otherwise) => {
                if of(condition)?.holds() {
                    of(then)
                } else {
                    of(otherwise)
                }
            }
            Expression::Array(items) => {
                items.iter().map(of).collect::<Result<_, _>>().map(Value::Array)
            }
            Expression::Lookup { table, keys, column } => {
                let keys = keys.iter().map(of).collect::<Result<_, _>>()?;
                let row = self.lookup(*table, keys)?;
                match column {
                    Some(column) => member(&row, &format!("c{column}")),
                    None => Ok(row),
                }
            }
            expression => self.leaf(expression),
        }
    }

    fn leaf(&self, expression: &Expression) -> Result<Value, Broken> {
        let member = |value: &Value, name: &str| value.member(name).ok_or(Broken::Event);
        let item = || &self.item.as_ref().expect("a handler for each item").0;
        Ok(match expression {
            Expression::Data(field) => self.event.field(field),
            Expression::Row(column) => member(&self.row, &format!("c{column}"))?,
            Expression::WholeRow => self.row.clone(),
            Expression::Item(field) => member(item(), field)?,
            Expression::WholeItem => item().clone(),
            Expression::Index => {
                Value::integer(self.item.as_ref().expect("a handler for each item").1 as i64)
            }
            Expression::Part => Value::integer(self.event.part.into()),
            Expression::Let(index) => self.lets[*index].clone().expect("prepared"),
            Expression::Type => Value::text(self.event.type_name),
            Expression::Sequence => Value::integer(self.event.message.sequence as i64),
            Expression::Time => Value::Text(self.event.time()),
            Expression::Token => Value::text(self.event.message.token),
            Expression::Null => Value::Null,
            Expression::Text(text) => Value::text(text),
            Expression::Integer(number) => Value::integer(*number),
            Expression::Boolean(boolean) => Value::Boolean(*boolean),
            Expression::Hundredths(count) => {
                Value::Number(super::super::value::Number::new((*count).into(), 2))
            }
            other => unreachable!("{other:?} stands alone or is made of others"),
        })
    }

    /// The row of a table as it stands now.
    fn lookup(&mut self, table: usize, keys: Vec<Value>) -> Result<Value, Broken> {
        if keys.contains(&Value::Null) {
            self.reached.mark("lookup with a null key");
            return Ok(Value::Null);
        }
        let columns = self.projection.tables[table].columns.iter();
        let key: Option<Key> =
            keys.iter().zip(columns).map(|(value, column)| column.kind.store(value)).collect();
        let Some(key) = key else {
            self.reached.mark("lookup with a key of another type");
            return Err(Broken::Event);
        };
        let own = table == self.handler.table;
        let (now, before) =
            (self.world.changed_now(table, &key), self.world.changed_before(table, &key));
        let reached = &mut *self.reached;
        let found = self.world.row(table, &key);
        if found.is_none() {
            reached.mark("lookup of an absent row");
            reached.mark_if("lookup of a row deleted in the same event", now);
            reached.mark_if("lookup of a row deleted earlier in the batch", before);
        } else {
            reached.mark(if own { "lookup in its own table" } else { "lookup in another table" });
            reached.mark_if("lookup of a row changed in the same event", now);
            reached.mark_if("lookup of a row changed earlier in the batch", before);
            reached.mark_if("lookup of a row as stored", !now && !before);
        }
        Ok(shown(self.projection, table, found))
    }
}

/// A row as `$row` and `lookup` show it.
pub(super) fn shown(
    projection: &Projection,
    table: usize,
    row: Option<&Vec<super::Cell>>,
) -> Value {
    let Some(row) = row else { return Value::Null };
    let columns = projection.tables[table].columns.iter().zip(row).enumerate();
    let member = |(index, (column, cell)): (usize, (&super::super::model::Column, _))| {
        (format!("c{index}"), column.kind.show(cell))
    };
    Value::Object(columns.map(member).collect())
}

/// What `.[]` gives; None where it has an error.
pub(super) fn elements(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        Value::Object(members) => Some(members.into_iter().map(|(_, value)| value).collect()),
        _ => None,
    }
}
