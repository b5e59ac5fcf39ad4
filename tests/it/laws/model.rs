//! A projection and its events as plain values: what the generator makes, the interpreter reads, and the engine gets
//! as the text of a definition and the bytes of messages.

pub use super::value::Value;

/// A definition, and what its source says.
#[derive(Clone, Debug)]
pub struct Projection {
    pub tables: Vec<Table>,
    pub handlers: Vec<Handler>,
    /// Whether its source has [`TRANSFORM`].
    pub transform: bool,
    pub order_key: Option<OrderKey>,
    pub on_error: OnError,
    pub dead_letters_max: u64,
    pub parked_events_max: u64,
}

/// Table `t<index>`: its key columns come first.
#[derive(Clone, Debug)]
pub struct Table {
    pub keys: usize,
    pub columns: Vec<Column>,
    pub indexes: Vec<Vec<usize>>,
}

/// Column `c<index>`.
#[derive(Clone, Debug)]
pub struct Column {
    pub kind: Kind,
    pub required: bool,
    pub default: Option<Default>,
    /// What besides `set` its handlers may do with it.
    pub fold: Fold,
}

/// A default: as TOML, and as stored.
#[derive(Clone, Debug)]
pub struct Default {
    pub toml: String,
    pub cell: Cell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Text,
    Integer,
    Decimal(u32),
    Real,
    Boolean,
    Timestamp,
    Date,
    Json,
    Bytes,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fold {
    None,
    Add,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    Insert,
    Upsert,
    Update,
    Delete,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Set,
    SetOnce,
    Add,
    Sub,
    Min,
    Max,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnError {
    Park,
    Halt,
    Skip,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrderKey {
    /// `.tokens[1]`
    Token,
    /// `.data.k`
    Data,
}

#[derive(Clone, Debug)]
pub struct Handler {
    /// Types, some with `*`.
    pub events: Vec<&'static str>,
    pub verb: Verb,
    pub table: usize,
    pub when: Option<Expression>,
    pub for_each: Option<Expression>,
    /// `$l<index>`, each of those before it.
    pub lets: Vec<Expression>,
    pub target: Target,
    /// `set` as one expression.
    pub object: Option<Object>,
    /// Column, action, value.
    pub assignments: Vec<(usize, Action, Expression)>,
}

#[derive(Clone, Debug)]
pub enum Target {
    /// One a key column.
    Key(Vec<Expression>),
    /// Column and value.
    Where(Vec<(usize, Expression)>),
}

/// `prefix | {c1: value, ...}`
#[derive(Clone, Debug)]
pub struct Object {
    pub prefix: Prefix,
    pub members: Vec<(usize, Expression)>,
}

#[derive(Clone, Debug)]
pub enum Prefix {
    None,
    /// `select(condition) |`: without an output, there is no object.
    Select(Expression),
    /// `.data.f |`: the members are of that.
    Of(&'static str),
    /// `.data.f[] | select(true) |`: there is an object if that has one element.
    Each(&'static str),
}

/// A small part of jq, and TOML's constants.
#[derive(Clone, Debug)]
pub enum Expression {
    /// `.data.f`
    Data(&'static str),
    /// `.f`, where a prefix has gone into the data.
    Here(&'static str),
    /// `$row.c1`
    Row(usize),
    WholeRow,
    /// `$item.f`
    Item(&'static str),
    WholeItem,
    Index,
    Part,
    /// `$l0`
    Let(usize),
    /// `lookup("t0"; k).c1`, or the row.
    Lookup {
        table: usize,
        keys: Vec<Expression>,
        column: Option<usize>,
    },
    Add(Box<Expression>, Box<Expression>),
    Sub(Box<Expression>, Box<Expression>),
    /// `if (a | type) == "number" then (a * 0.19 | round(2)) else null end`
    Share(Box<Expression>),
    Compare(Comparison, Box<Expression>, Box<Expression>),
    And(Box<Expression>, Box<Expression>),
    Or(Box<Expression>, Box<Expression>),
    Not(Box<Expression>),
    /// `a // b`
    Else(Box<Expression>, Box<Expression>),
    If(Box<Expression>, Box<Expression>, Box<Expression>),
    Array(Vec<Expression>),
    /// `a | select(. > n)`; never inside another expression.
    SelectAbove(Box<Expression>, i64),
    /// `.data.f[] | select(true)`; never inside another expression.
    Each(&'static str),
    /// `[a, a] | .[] | select(true)`; never inside another expression.
    Twice(Box<Expression>),
    Type,
    Sequence,
    Time,
    Token,
    Null,
    /// A jq string.
    Text(&'static str),
    /// Alone, these are TOML's own.
    Integer(i64),
    Boolean(bool),
    /// Hundredths.
    Hundredths(i64),
}

#[derive(Clone, Copy, Debug)]
pub enum Comparison {
    Same,
    Other,
    Below,
    Above,
}

/// A message.
#[derive(Clone, Debug)]
pub struct Message {
    pub sequence: u64,
    /// The second token of the subject.
    pub token: &'static str,
    pub body: Body,
}

#[derive(Clone, Debug)]
pub enum Body {
    Event {
        type_name: &'static str,
        /// Its own time, as written and as stored.
        time: Option<(&'static str, &'static str)>,
        /// Of repeated names the last counts.
        data: Vec<(&'static str, Value)>,
        /// For [`TRANSFORM`].
        to: To,
    },
    /// Not JSON, in one way or another.
    Broken(&'static [u8]),
    /// An event longer than may be.
    TooLarge,
}

/// What a transform makes of an event.
#[derive(Clone, Debug)]
pub enum To {
    Itself,
    Dropped,
    Empty,
    /// No object.
    Odd,
    Failed,
    /// Events that differ in type and `.data.i`.
    Parts(Vec<(&'static str, Value)>),
}

/// From event to events, as the event's own `.data.to` says.
pub const TRANSFORM: &str = r#"
if .data.to == null then .
elif .data.to == "dropped" then null
elif .data.to == "empty" then []
elif .data.to == "odd" then "no event"
elif .data.to == "failed" then error("told to")
else [. as $event | .data.to[] as $part | $event | .type = $part.type | .data.i = $part.i]
end"#;

/// What a cell of a table holds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cell {
    Null,
    Integer(i64),
    /// The bits of a float: rows are compared bit for bit.
    Real(u64),
    Text(String),
    Bytes(Vec<u8>),
}

/// Larger messages are refused; all others stay below.
pub const EVENT_BYTES_MAX: usize = 4_000;

impl Message {
    pub fn subject(&self) -> String {
        format!("s.{}.happened", self.token)
    }

    /// When the stream stored it, in microseconds since 1970 and as text.
    pub fn stored_at(&self) -> (i64, String) {
        // 2013-01-01T00:00:00Z, and a second a sequence.
        let (minutes, seconds) = (self.sequence / 60, self.sequence % 60);
        assert!(minutes < 60, "the generator makes fewer events");
        let text = format!("2013-01-01T00:{minutes:02}:{seconds:02}.000000Z");
        (1_356_998_400_000_000 + self.sequence as i64 * 1_000_000, text)
    }
}

impl Cell {
    /// -0.0 is 0.0.
    pub fn real(value: f64) -> Self {
        Self::Real(if value == 0.0 { 0 } else { value.to_bits() })
    }

    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Which variables an expression depends on, by its lets too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// `$item` or `$index`
    pub item: bool,
    pub row: bool,
}

impl Expression {
    pub fn names(&self, lets: &[Self]) -> Names {
        let own = match self {
            Self::Item(_) | Self::WholeItem | Self::Index => Names { item: true, row: false },
            Self::Row(_) | Self::WholeRow => Names { item: false, row: true },
            Self::Let(index) => lets[*index].names(lets),
            _ => Names::default(),
        };
        self.parts().into_iter().fold(own, |names, part| {
            let part = part.names(lets);
            Names { item: names.item || part.item, row: names.row || part.row }
        })
    }

    /// The lets that it names itself.
    pub fn lets(&self) -> Vec<usize> {
        let own = if let Self::Let(index) = self { vec![*index] } else { Vec::new() };
        self.parts().into_iter().fold(own, |lets, part| [lets, part.lets()].concat())
    }

    /// The expressions that it is made of.
    pub fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Lookup { keys, .. } => keys.iter().collect(),
            Self::Array(items) => items.iter().collect(),
            Self::Add(a, b)
            | Self::Sub(a, b)
            | Self::Compare(_, a, b)
            | Self::And(a, b)
            | Self::Or(a, b)
            | Self::Else(a, b) => vec![&**a, &**b],
            Self::If(condition, then, otherwise) => vec![&**condition, &**then, &**otherwise],
            Self::Share(a) | Self::Not(a) | Self::SelectAbove(a, _) | Self::Twice(a) => vec![&**a],
            _ => Vec::new(),
        }
    }
}
