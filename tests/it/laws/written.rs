//! The model as the engine reads it: a definition in TOML and jq, messages in JSON.

use std::fmt::Write as _;

use super::model::{
    Action, Body, Comparison, EVENT_BYTES_MAX, Expression, Handler, Kind, Message, Object, OnError,
    Prefix, Projection, Table, Target, To, Value, Verb,
};

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
            table.toml(index, &mut toml);
        }
        for handler in &self.handlers {
            handler.toml(&mut toml);
        }
        toml
    }
}

impl Table {
    fn toml(&self, index: usize, toml: &mut String) {
        let named = |columns: &[usize]| {
            let names: Vec<String> =
                columns.iter().map(|column| format!("\"c{column}\"")).collect();
            format!("[{}]", names.join(", "))
        };
        let keys: Vec<usize> = (0..self.keys).collect();
        let indexes: Vec<String> = self.indexes.iter().map(|index| named(index)).collect();
        writeln!(toml, "\n[tables.t{index}]\nkey = {}", named(&keys)).unwrap();
        if !indexes.is_empty() {
            writeln!(toml, "indexes = [{}]", indexes.join(", ")).unwrap();
        }
        for (index, column) in self.columns.iter().enumerate() {
            let mut text = format!("type = \"{}\"", column.kind.word());
            if column.required && index >= self.keys {
                text += ", required = true";
            }
            if let Some(default) = &column.default {
                write!(text, ", default = {}", default.toml).unwrap();
            }
            writeln!(toml, "columns.c{index} = {{ {text} }}").unwrap();
        }
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
        let mut line = |key: &str, value: String| writeln!(toml, "{key} = {value}").unwrap();
        if let Some(when) = &self.when {
            line("when", when.toml());
        }
        if let Some(for_each) = &self.for_each {
            line("for_each", for_each.toml());
        }
        for (index, value) in self.lets.iter().enumerate() {
            line(&format!("let.l{index}"), value.toml());
        }
        match &self.target {
            Target::Key(key) => {
                for (column, value) in key.iter().enumerate() {
                    line(&format!("key.c{column}"), value.toml());
                }
            }
            Target::Where(columns) => {
                for (column, value) in columns {
                    line(&format!("where.c{column}"), value.toml());
                }
            }
        }
        if let Some(object) = &self.object {
            line("set", format!("'{}'", object.jq()));
        }
        for (column, action, value) in &self.assignments {
            line(&format!("{}.c{column}", action.word()), value.toml());
        }
    }
}

impl Object {
    fn jq(&self) -> String {
        let prefix = match &self.prefix {
            Prefix::None => String::new(),
            Prefix::Select(condition) => format!("select({}) | ", condition.jq()),
            Prefix::Of(field) => format!(".data.{field} | "),
            Prefix::Each(field) => format!(".data.{field}[] | select(true) | "),
        };
        let members: Vec<String> = self
            .members
            .iter()
            .map(|(column, value)| format!("c{column}: {}", value.inner()))
            .collect();
        format!("{prefix}{{{}}}", members.join(", "))
    }
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Set => "set",
            Self::SetOnce => "set_once",
            Self::Add => "add",
            Self::Sub => "sub",
            Self::Min => "min",
            Self::Max => "max",
        }
    }
}

impl Kind {
    fn word(self) -> String {
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
        match self {
            Self::Integer(_) | Self::Boolean(_) | Self::Hundredths(_) => self.jq(),
            _ => format!("'{}'", self.jq()),
        }
    }

    fn jq(&self) -> String {
        match self {
            Self::Data(field) => format!(".data.{field}"),
            Self::Here(field) => format!(".{field}"),
            Self::Row(column) => format!("$row.c{column}"),
            Self::WholeRow => "$row".to_owned(),
            Self::Item(field) => format!("$item.{field}"),
            Self::WholeItem => "$item".to_owned(),
            Self::Index => "$index".to_owned(),
            Self::Part => "$part".to_owned(),
            Self::Let(index) => format!("$l{index}"),
            Self::Lookup { table, keys, column } => {
                let keys: Vec<String> = keys.iter().map(Self::jq).collect();
                let column = column.map(|column| format!(".c{column}")).unwrap_or_default();
                format!("lookup(\"t{table}\"; {}){column}", keys.join("; "))
            }
            Self::Add(a, b) => format!("{} + {}", a.inner(), b.inner()),
            Self::Sub(a, b) => format!("{} - {}", a.inner(), b.inner()),
            Self::Share(a) => {
                let a = a.inner();
                format!("if ({a} | type) == \"number\" then ({a} * 0.19 | round(2)) else null end")
            }
            Self::Compare(comparison, a, b) => {
                let operator = match comparison {
                    Comparison::Same => "==",
                    Comparison::Other => "!=",
                    Comparison::Below => "<",
                    Comparison::Above => ">",
                };
                format!("{} {operator} {}", a.inner(), b.inner())
            }
            Self::And(a, b) => format!("{} and {}", a.inner(), b.inner()),
            Self::Or(a, b) => format!("{} or {}", a.inner(), b.inner()),
            Self::Not(a) => format!("{} | not", a.inner()),
            Self::Else(a, b) => format!("{} // {}", a.inner(), b.inner()),
            Self::If(condition, then, otherwise) => {
                let (then, otherwise) = (then.jq(), otherwise.jq());
                format!("if {} then {then} else {otherwise} end", condition.jq())
            }
            Self::Array(items) => {
                let items: Vec<String> = items.iter().map(Self::inner).collect();
                format!("[{}]", items.join(", "))
            }
            Self::SelectAbove(a, number) => format!("{} | select(. > {number})", a.inner()),
            Self::Each(field) => format!(".data.{field}[] | select(true)"),
            Self::Twice(a) => format!("[{}, {}] | .[] | select(true)", a.inner(), a.inner()),
            Self::Type => ".type".to_owned(),
            Self::Sequence => ".sequence".to_owned(),
            Self::Time => ".time".to_owned(),
            Self::Token => ".tokens[1]".to_owned(),
            Self::Null => "null".to_owned(),
            Self::Text(text) => format!("\"{text}\""),
            Self::Integer(number) => number.to_string(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Hundredths(count) => {
                let sign = if *count < 0 { "-" } else { "" };
                format!("{sign}{}.{:02}", count.unsigned_abs() / 100, count.unsigned_abs() % 100)
            }
        }
    }

    /// As part of another expression.
    fn inner(&self) -> String {
        match self {
            Self::Add(..)
            | Self::Sub(..)
            | Self::Share(_)
            | Self::Compare(..)
            | Self::And(..)
            | Self::Or(..)
            | Self::Not(_)
            | Self::Else(..)
            | Self::If(..) => format!("({})", self.jq()),
            Self::Integer(i64::MIN..0) | Self::Hundredths(i64::MIN..0) => {
                format!("({})", self.jq())
            }
            _ => self.jq(),
        }
    }
}

impl Message {
    pub fn payload(&self) -> Vec<u8> {
        match &self.body {
            Body::Broken(bytes) => bytes.to_vec(),
            Body::TooLarge => format!(
                "{{\"type\":\"A\",\"data\":{{\"pad\":\"{}\"}}}}",
                "x".repeat(EVENT_BYTES_MAX)
            )
            .into_bytes(),
            Body::Event { type_name, time, data, to } => {
                let mut data: Vec<String> = data
                    .iter()
                    .map(|(name, value)| format!("\"{name}\":{}", value.json(" ")))
                    .collect();
                data.extend(to.json().map(|to| format!("\"to\":{to}")));
                let time =
                    time.map(|(written, _)| format!(",\"time\":\"{written}\"")).unwrap_or_default();
                format!("{{\"type\":\"{type_name}\"{time}, \"data\": {{{}}}}}", data.join(","))
                    .into_bytes()
            }
        }
    }
}

impl To {
    fn json(&self) -> Option<String> {
        let word = match self {
            Self::Itself => return None,
            Self::Dropped => "\"dropped\"",
            Self::Empty => "\"empty\"",
            Self::Odd => "\"odd\"",
            Self::Failed => "\"failed\"",
            Self::Parts(parts) => {
                let part = |(type_name, i): &(&'static str, Value)| {
                    Value::Object(vec![
                        ("type".to_owned(), Value::text(type_name)),
                        ("i".to_owned(), i.clone()),
                    ])
                };
                return Some(Value::Array(parts.iter().map(part).collect()).json(""));
            }
        };
        Some(word.to_owned())
    }
}
