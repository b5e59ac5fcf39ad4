//! Why an event was set aside: the reason of a dead letter.

use std::fmt;

use super::transition::{By, OutOfRange};
use crate::definition::{Definition, Handler};
use crate::event;
use crate::event::chunk::Event;
use crate::expression::Expression;

/// An event that breaks a rule. Its text is what `_viewd_dead_letters.reason` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    pub kind: Kind,
    /// Names the place, what was found there and the event.
    pub detail: String,
}

/// The rule that was broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The message is no document of its source's format.
    Decode,
    /// The message is larger than `event_bytes_max`.
    TooLarge,
    /// The source's `transform` made no events of the message.
    Transform,
    /// The message has headers that no client reads.
    Headers,
    /// An expression failed.
    Expression,
    /// An expression gave what its place cannot hold.
    Type,
    NullKey,
    Required,
    /// A sum left the column's range.
    OutOfRange,
}

/// The part of a handler that an expression stands in. Columns are indices into the table's.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place {
    When,
    ForEach,
    /// Counts from 0.
    Let(usize),
    Key(usize),
    Where(usize),
    /// The rows that `where` finds.
    Rows,
    /// The row that `$row` is.
    Row,
    Object,
    Column(usize),
}

/// Where an event broke a rule.
pub(super) struct At<'a> {
    pub(super) definition: &'a Definition,
    pub(super) handler: &'a Handler,
    pub(super) place: Place,
    /// Of the running item of `for_each`.
    pub(super) index: Option<usize>,
    pub(super) event: &'a Event,
}

impl Reject {
    pub(super) fn from_decode(reject: &event::Reject) -> Self {
        let kind = match reject.kind {
            event::RejectKind::Decode => Kind::Decode,
            event::RejectKind::TooLarge => Kind::TooLarge,
            event::RejectKind::Transform => Kind::Transform,
            event::RejectKind::Headers => Kind::Headers,
        };
        Self { kind, detail: reject.detail.clone() }
    }

    /// An operation that could not be carried out on the row as it stands.
    pub(super) fn out_of_range(
        failure: &OutOfRange,
        by: By,
        definition: &Definition,
        event: &Event,
    ) -> Self {
        let handler = &definition.handlers[by.handler - 1];
        let assigned =
            handler.assignments.iter().find(|assigned| assigned.column == failure.column);
        let expression = assigned.map(|assigned| &*assigned.value.expression);
        let at = At {
            definition,
            handler,
            place: Place::Column(failure.column),
            index: by.index,
            event,
        };
        at.reject(Kind::OutOfRange, expression, &failure.to_string())
    }
}

impl At<'_> {
    /// Names projection, handler, place, expression, what it gave and the event.
    #[cold]
    pub(super) fn reject(
        &self,
        kind: Kind,
        expression: Option<&Expression>,
        problem: &str,
    ) -> Reject {
        let Self { definition, handler, event, .. } = self;
        let place = self.place();
        let item = self.index.map_or(String::new(), |index| format!(" of item {index}"));
        let mark = match kind {
            Kind::Expression if expression.is_some() => " failed:",
            Kind::Type => ":",
            _ => "",
        };
        let text = expression
            .map(|expression| format!(" `{}`{mark}", expression.text()))
            .unwrap_or_default();
        let part =
            if event.part() > 0 { format!(", part {}", event.part()) } else { String::new() };
        let detail = format!(
            "projection `{}`, handler {} (line {}), {place}{item}:{text} {problem} (event {} at sequence {}{part})",
            definition.name,
            handler.number,
            handler.line,
            event.type_name(),
            event.sequence(),
        );
        Reject { kind, detail }
    }

    fn place(&self) -> String {
        let table = &self.definition.tables[self.handler.table];
        let column = |column: usize| {
            let column = &table.columns[column];
            format!("`{}.{}` ({})", table.name, column.name, column.column_type)
        };
        match self.place {
            Place::When => "`when`".to_owned(),
            Place::ForEach => "`for_each`".to_owned(),
            Place::Let(number) => format!("`let.{}`", self.handler.lets[number].name),
            Place::Key(key) => format!("key column {}", column(key)),
            Place::Where(by) => format!("`where` on column {}", column(by)),
            Place::Rows => "`where`".to_owned(),
            Place::Row => format!("a row of table `{}`", table.name),
            Place::Object => format!("`set` on table `{}`", table.name),
            Place::Column(assigned) => format!("column {}", column(assigned)),
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Decode => "decode",
            Self::TooLarge => "too_large",
            Self::Transform => "transform",
            Self::Headers => "malformed headers",
            Self::Expression => "expression",
            Self::Type => "type",
            Self::NullKey => "null_key",
            Self::Required => "required",
            Self::OutOfRange => "out_of_range",
        })
    }
}

impl fmt::Display for Reject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.kind, self.detail)
    }
}
