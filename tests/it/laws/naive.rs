//! The naive interpreter: one event at a time over maps of plain values.
//!
//! It shares nothing with the engine. What it says is what the definition language says, done in the plainest way:
//! each event works on a copy of all tables, which becomes the tables if nothing of the event failed.

mod evaluate;
mod handle;

use std::collections::BTreeMap;

use super::model::{Body, Cell, Message, OnError, OrderKey, Projection, To, Value};
use super::reached::Reached;

pub type Key = Vec<Cell>;
pub type Rows = BTreeMap<Key, Vec<Cell>>;

/// What a projection has come to.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub tables: Vec<Rows>,
    /// Sequence, part and state.
    pub set_aside: Vec<(u64, u32, &'static str)>,
    pub counts: Counts,
    /// Everything up to here was read.
    pub sequence: u64,
    /// How many messages of the filter that was.
    pub messages: u64,
    /// Why it stopped before the end.
    pub stopped: Option<&'static str>,
    /// Order keys behind which events are parked, with the batch that blocked them.
    blocked: BTreeMap<String, usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    pub applied: u64,
    pub ignored: u64,
    pub dead_lettered: u64,
    pub parked: u64,
    pub skipped: u64,
}

/// An event that breaks a rule.
#[derive(Debug)]
enum Broken {
    /// By what it says.
    Event,
    /// A sum leaves its column's range.
    Sum,
}

/// An event, as a transform has left it.
struct Event<'a> {
    message: &'a Message,
    part: u32,
    /// Neither type nor data if the message holds no event.
    broken: bool,
    type_name: &'a str,
    data: Vec<(&'static str, Value)>,
}

/// The tables, and what of them is new, which only tells how well the laws are tested.
#[derive(Clone)]
struct World {
    tables: Vec<Rows>,
    /// As the batch found them.
    before: Vec<Rows>,
    batch: usize,
    event: u64,
    /// In which batch and event a row last became what it is, or nothing.
    changed: BTreeMap<(usize, Key), (usize, u64)>,
}

/// Interprets messages of which the last is followed by nothing up to `scanned_to`.
///
/// The splits decide nothing: they only tell what would meet in one batch.
pub fn interpret(
    projection: &Projection,
    messages: &[Message],
    scanned_to: u64,
    splits: &[usize],
    reached: &mut Reached,
) -> Outcome {
    let tables = vec![Rows::new(); projection.tables.len()];
    let mut outcome = Outcome {
        tables: tables.clone(),
        set_aside: Vec::new(),
        counts: Counts::default(),
        sequence: scanned_to,
        messages: 0,
        stopped: None,
        blocked: BTreeMap::new(),
    };
    let mut world = World {
        tables: tables.clone(),
        before: tables,
        batch: 0,
        event: 0,
        changed: BTreeMap::new(),
    };
    for (index, message) in messages.iter().enumerate() {
        if splits.contains(&index) {
            world.batch += 1;
            world.before = world.tables.clone();
            reached.mark_if("a batch begins with blocked keys", !outcome.blocked.is_empty());
        }
        let before = outcome.clone();
        let events = Event::of(message, projection.transform, reached);
        for event in &events {
            if let Some(stop) = step(projection, event, &mut world, &mut outcome, reached) {
                reached.mark_if("stopped within a message", event.part > 0);
                reached.mark(stop);
                return Outcome { stopped: Some(stop), sequence: message.sequence - 1, ..before };
            }
        }
        outcome.messages += 1;
        outcome.tables.clone_from(&world.tables);
        mark_parts(&before, &outcome, events.len(), reached);
    }
    outcome
}

/// Applies one event or sets it aside; says why the projection stops before it.
fn step(
    projection: &Projection,
    event: &Event<'_>,
    world: &mut World,
    outcome: &mut Outcome,
    reached: &mut Reached,
) -> Option<&'static str> {
    world.event += 1;
    let key = projection.order_key.and_then(|order_key| event.order_key(order_key));
    let (sequence, part) = (event.message.sequence, event.part);
    if let Some(batch) = key.as_ref().and_then(|key| outcome.blocked.get(key)) {
        if outcome.counts.parked >= projection.parked_events_max {
            return Some("set_aside_full");
        }
        reached.mark("parked");
        reached.mark_if("parked behind a dead letter of an earlier batch", *batch < world.batch);
        outcome.counts.parked += 1;
        outcome.set_aside.push((sequence, part, "parked"));
        return None;
    }
    let mut after = world.clone();
    match handle::apply(projection, event, &mut after, reached) {
        Ok(applied) => {
            *world = after;
            let counts = &mut outcome.counts;
            *if applied { &mut counts.applied } else { &mut counts.ignored } += 1;
            return None;
        }
        Err(why) => {
            let changed = after.tables != world.tables;
            reached.mark_if("failed after a row was changed", changed);
            reached.mark_if("failed on a sum", matches!(why, Broken::Sum));
            reached.mark_if("failed in a later part", part > 0);
        }
    }
    match projection.on_error {
        OnError::Halt => return Some("halted"),
        OnError::Skip => {
            reached.mark("skipped");
            outcome.counts.skipped += 1;
            outcome.set_aside.push((sequence, part, "skipped"));
        }
        OnError::Park if outcome.counts.dead_lettered >= projection.dead_letters_max => {
            return Some("set_aside_full");
        }
        OnError::Park => {
            reached.mark("dead");
            outcome.counts.dead_lettered += 1;
            outcome.set_aside.push((sequence, part, "dead"));
            outcome.blocked.extend(key.map(|key| (key, world.batch)));
        }
    }
    None
}

fn mark_parts(before: &Outcome, after: &Outcome, parts: usize, reached: &mut Reached) {
    let failed = after.set_aside.len() > before.set_aside.len();
    let applied = after.counts.applied > before.counts.applied;
    reached.mark_if("some parts of a message applied, others not", parts > 1 && failed && applied);
}

impl<'a> Event<'a> {
    /// The events of a message.
    fn of(message: &'a Message, transform: bool, reached: &mut Reached) -> Vec<Self> {
        let broken = Self { message, part: 0, broken: true, type_name: "", data: Vec::new() };
        let Body::Event { type_name, data, to, .. } = &message.body else { return vec![broken] };
        let whole = Self { broken: false, type_name, data: data.clone(), ..broken };
        let parts = match to {
            _ if !transform => return vec![whole],
            To::Itself => return vec![whole],
            To::Dropped | To::Empty => {
                reached.mark("dropped by the transform");
                return Vec::new();
            }
            To::Odd | To::Failed => {
                reached.mark("failed in the transform");
                return vec![Self { broken: true, type_name: "", data: Vec::new(), ..whole }];
            }
            To::Parts(parts) => parts,
        };
        reached.mark_if("split by the transform", parts.len() > 1);
        let part = |(part, (type_name, i)): (usize, &(&'static str, Value))| Self {
            message,
            part: part as u32,
            broken: false,
            type_name,
            data: [data.clone(), vec![("i", i.clone())]].concat(),
        };
        parts.iter().enumerate().map(part).collect()
    }

    fn order_key(&self, order_key: OrderKey) -> Option<String> {
        match order_key {
            OrderKey::Token => Some(self.message.token.to_owned()),
            OrderKey::Data => match self.field("k") {
                Value::Null => None,
                Value::Text(text) => Some(text),
                value => Some(value.json("")),
            },
        }
    }

    fn field(&self, name: &str) -> Value {
        // Of repeated names the last counts.
        let field = self.data.iter().rev().find(|(field, _)| *field == name);
        field.map_or(Value::Null, |(_, value)| value.clone())
    }

    fn time(&self) -> String {
        match &self.message.body {
            Body::Event { time: Some((_, stored)), .. } => (*stored).to_owned(),
            _ => self.message.stored_at().1,
        }
    }
}

impl World {
    fn row(&self, table: usize, key: &Key) -> Option<&Vec<Cell>> {
        self.tables[table].get(key)
    }

    fn put(&mut self, table: usize, key: Key, row: Option<Vec<Cell>>) {
        if self.tables[table].get(&key) == row.as_ref() {
            return;
        }
        self.changed.insert((table, key.clone()), (self.batch, self.event));
        match row {
            Some(row) => self.tables[table].insert(key, row),
            None => self.tables[table].remove(&key),
        };
    }

    /// Whether a row became what it is in this event.
    fn changed_now(&self, table: usize, key: &Key) -> bool {
        let changed = self.changed.get(&(table, key.clone()));
        changed.is_some_and(|(_, event)| *event == self.event)
    }

    /// Whether it did in an earlier event of this batch.
    fn changed_before(&self, table: usize, key: &Key) -> bool {
        let changed = self.changed.get(&(table, key.clone()));
        changed.is_some_and(|(batch, event)| *batch == self.batch && *event < self.event)
    }
}
