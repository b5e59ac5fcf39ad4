//! A projection and its events as plain values: what the generator makes, the interpreter reads, and the engine gets
//! as the text of a definition and the bytes of messages.

use std::fmt::Write as _;

/// A definition, and what its source says.
#[derive(Clone, Debug)]
pub struct Projection {
    pub tables: Vec<Table>,
    pub handlers: Vec<Handler>,
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
    /// One a key column.
    pub key: Vec<Expression>,
    /// Column, action, value.
    pub assignments: Vec<(usize, Action, Expression)>,
}

/// A small part of jq, and TOML's constants.
#[derive(Clone, Debug)]
pub enum Expression {
    /// `.data.f`
    Field(&'static str),
    /// `(.data.f // "x")`
    Or(&'static str, &'static str),
    /// `.data.f + n`
    Plus(&'static str, i64),
    /// `.data.f > n`
    Above(&'static str, i64),
    /// `.data.f == "x"`
    Same(&'static str, &'static str),
    /// `.data.f | select(. > n)`
    SelectAbove(&'static str, i64),
    /// `if .data.f then .data.g else null end`
    If(&'static str, &'static str),
    /// `.type`
    Type,
    /// `.sequence`
    Sequence,
    /// `.time`
    Time,
    /// `.tokens[1]`
    Token,
    /// A jq string.
    Text(&'static str),
    /// TOML's own.
    Integer(i64),
    Boolean(bool),
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
        data: Vec<(&'static str, Value)>,
    },
    /// Not JSON, in one way or another.
    Broken(&'static [u8]),
    /// An event longer than may be.
    TooLarge,
}

/// What a field of an event holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    /// An array or object: as written, and compact.
    Tree(&'static str, &'static str),
}

/// `digits` times 10 to the power of minus `scale`, exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    pub digits: i128,
    pub scale: u32,
    /// One of the ways to write it.
    pub text: String,
}

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
pub const EVENT_BYTES_MAX: usize = 2_000;

impl Projection {
    /// The definition's file.
    pub fn toml(&self) -> String {
        let mut toml = "source = \"events\"\n".to_owned();
        let on_error = match self.on_error {
            OnError::Park => "park",
            OnError::Halt => "halt",
            OnError::Skip => "skip",
        };
        writeln!(
            toml,
            "[policy]\non_error = \"{on_error}\"\ndead_letters_max = {}",
            self.dead_letters_max
        )
        .unwrap();
        for (index, table) in self.tables.iter().enumerate() {
            let keys: Vec<String> =
                (0..table.keys).map(|column| format!("\"c{column}\"")).collect();
            writeln!(toml, "\n[tables.t{index}]\nkey = [{}]", keys.join(", ")).unwrap();
            for (index, column) in table.columns.iter().enumerate() {
                let mut text = format!("type = \"{}\"", column.kind.word());
                if column.required && index >= table.keys {
                    text += ", required = true";
                }
                if let Some(default) = &column.default {
                    write!(text, ", default = {}", default.toml).unwrap();
                }
                writeln!(toml, "columns.c{index} = {{ {text} }}").unwrap();
            }
        }
        for handler in &self.handlers {
            handler.toml(&mut toml);
        }
        toml
    }
}

impl Handler {
    fn toml(&self, toml: &mut String) {
        let verb = match self.verb {
            Verb::Insert => "insert",
            Verb::Upsert => "upsert",
            Verb::Update => "update",
            Verb::Delete => "delete",
        };
        writeln!(toml, "\n[[on]]\nevent = {:?}\n{verb} = \"t{}\"", self.events, self.table)
            .unwrap();
        if let Some(when) = &self.when {
            writeln!(toml, "when = {}", when.toml()).unwrap();
        }
        for (column, value) in self.key.iter().enumerate() {
            writeln!(toml, "key.c{column} = {}", value.toml()).unwrap();
        }
        for (column, action, value) in &self.assignments {
            let action = match action {
                Action::Set => "set",
                Action::SetOnce => "set_once",
                Action::Add => "add",
                Action::Sub => "sub",
                Action::Min => "min",
                Action::Max => "max",
            };
            writeln!(toml, "{action}.c{column} = {}", value.toml()).unwrap();
        }
    }
}

impl Kind {
    pub fn word(self) -> String {
        match self {
            Self::Text => "text".to_owned(),
            Self::Integer => "integer".to_owned(),
            Self::Decimal(digits) => format!("decimal({digits})"),
            Self::Real => "real".to_owned(),
            Self::Boolean => "boolean".to_owned(),
            Self::Timestamp => "timestamp".to_owned(),
            Self::Date => "date".to_owned(),
            Self::Json => "json".to_owned(),
            Self::Bytes => "bytes".to_owned(),
        }
    }
}

impl Expression {
    fn toml(&self) -> String {
        let jq = match self {
            Self::Field(field) => format!(".data.{field}"),
            Self::Or(field, other) => format!("(.data.{field} // \"{other}\")"),
            Self::Plus(field, number) => format!(".data.{field} + {number}"),
            Self::Above(field, number) => format!(".data.{field} > {number}"),
            Self::Same(field, text) => format!(".data.{field} == \"{text}\""),
            Self::SelectAbove(field, number) => format!(".data.{field} | select(. > {number})"),
            Self::If(field, then) => format!("if .data.{field} then .data.{then} else null end"),
            Self::Type => ".type".to_owned(),
            Self::Sequence => ".sequence".to_owned(),
            Self::Time => ".time".to_owned(),
            Self::Token => ".tokens[1]".to_owned(),
            Self::Text(text) => format!("\"{text}\""),
            Self::Integer(number) => return number.to_string(),
            Self::Boolean(boolean) => return boolean.to_string(),
        };
        format!("'{jq}'")
    }
}

impl Message {
    pub fn subject(&self) -> String {
        format!("s.{}.happened", self.token)
    }

    pub fn payload(&self) -> Vec<u8> {
        match &self.body {
            Body::Broken(bytes) => bytes.to_vec(),
            Body::TooLarge => format!(
                "{{\"type\":\"A\",\"data\":{{\"pad\":\"{}\"}}}}",
                "x".repeat(EVENT_BYTES_MAX)
            )
            .into_bytes(),
            Body::Event { type_name, time, data } => {
                let data: Vec<String> = data
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{}", value.json()))
                    .collect();
                let time =
                    time.map(|(written, _)| format!(",\"time\":\"{written}\"")).unwrap_or_default();
                format!("{{\"type\":\"{type_name}\"{time}, \"data\": {{{}}}}}", data.join(","))
                    .into_bytes()
            }
        }
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

impl Value {
    fn json(&self) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Number(number) => number.text.clone(),
            Self::Text(text) => format!("\"{text}\""),
            Self::Tree(written, _) => (*written).to_owned(),
        }
    }
}
