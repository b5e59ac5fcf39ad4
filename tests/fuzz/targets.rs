//! What is fuzzed: whatever an operator writes and whatever a stream holds.
//!
//! A target gives an answer, shortened to its kind (new kinds are what fuzzing goes on from), or what is wrong: a rule
//! that was broken. That it ends, and does not panic, is for its caller to see.

#[path = "vocabulary.rs"]
mod vocabulary;

use std::cell::Cell;
use std::sync::Arc;
use std::time::Instant;

use serde_json::value::RawValue;
use viewd::definition::fingerprint::{ENGINE, Fingerprint, Reading};
use viewd::definition::{self, Definition};
use viewd::diagnostic::{self, Diagnostic, Place, Source};
use viewd::event::chunk::{Chunk, ChunkBuilder, Event, Message};
use viewd::event::import::Defaults;
use viewd::event::time::Timestamp;
use viewd::event::{Format, Sequence};
use viewd::expression::convert::convert;
use viewd::expression::{
    self, Bindings, Expression, Failure, FailureKind, Lookup, Output, Scope, Value,
};
use viewd::projection::plan::Plan;
use viewd::row::ColumnType;
use viewd::search::compile::compile;
use viewd::search::highlight::Highlighter;
use viewd::search::{Shape, words};
use viewd::source::transform;
use viewd::store::layout::Build;
use viewd::store::view;
use viewd::store::writer::Store;
use viewd::syntax::{self, Kind};

use self::vocabulary::{DEFINITION_WORDS, EVENT_WORDS, EXPRESSION_WORDS, SEARCH_WORDS};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The text of a definition's file.
    Definition,
    /// jq, compiled in every scope and evaluated for events.
    Expression,
    /// A message: format, headers, payload; decoded, transformed, read by expressions.
    Event,
    /// An event document, as `given` in a test.
    Document,
    /// What somebody searches for, and a text that it may be in.
    Search,
}

/// The kind of answer, or the rule that was broken.
pub type Answer = Result<String, String>;

impl Target {
    pub fn name(self) -> &'static str {
        match self {
            Self::Definition => "definition",
            Self::Expression => "expression",
            Self::Event => "event",
            Self::Document => "document",
            Self::Search => "search",
        }
    }

    pub fn run(self, input: &[u8]) -> Answer {
        match self {
            Self::Definition => definition(&String::from_utf8_lossy(input)),
            Self::Expression => expression(&String::from_utf8_lossy(input)),
            Self::Event => message(input),
            Self::Document => document(&String::from_utf8_lossy(input)),
            Self::Search => search(&String::from_utf8_lossy(input)),
        }
    }

    /// Words that mean something to it.
    pub fn words(self) -> &'static [&'static str] {
        match self {
            Self::Definition => &DEFINITION_WORDS,
            Self::Expression => &EXPRESSION_WORDS,
            Self::Event | Self::Document => &EVENT_WORDS,
            Self::Search => &SEARCH_WORDS,
        }
    }
}

const TYPES: [ColumnType; 10] = [
    ColumnType::Text,
    ColumnType::Integer,
    ColumnType::Decimal(0),
    ColumnType::Decimal(9),
    ColumnType::Real,
    ColumnType::Boolean,
    ColumnType::Timestamp,
    ColumnType::Date,
    ColumnType::Json,
    ColumnType::Bytes,
];

const TRANSFORMS: [&str; 5] = [
    ".data",
    "[.data[]?]",
    ".type = (.data | tostring)",
    "[.data | .. | {type: type, data: .}]",
    ".time = .data.time",
];

const SEARCHED: &str = r#"
source = "shop"

[tables.t]
key = ["id"]
columns.id    = "text"
columns.title = "text"
columns.body  = "text"

[[on]]
event     = "*"
upsert    = "t"
key.id    = ".data.id"
set.title = ".data.title"

[search.s]
table = "t"
fields.title = { language = "en" }
fields.body  = {}
"#;

/// What says why is for a person to read.
const MESSAGE_BYTES_MAX: usize = 4_000;

const EVENT_BYTES_MAX: usize = 1 << 20;

fn definition(text: &str) -> Answer {
    let source = Source::new("fuzz.toml", text);
    let (found, diagnostics) = definition::parse(&source, "fuzz", &["shop", "flights"]);
    let printed = diagnostic::render(&diagnostics, false);
    if found.is_some() == diagnostics.iter().any(Diagnostic::is_error) {
        return Err(format!("a definition and errors, or neither:\n{printed}"));
    }
    check_places(&diagnostics)?;
    serde_json::to_string(&diagnostics).map_err(|error| error.to_string())?;
    let Some(definition) = found else { return Ok(kinds(&diagnostics)) };
    let views = view::check(&definition);
    diagnostic::render(&views, false);
    check_places(&views)?;
    if views.iter().any(Diagnostic::is_error) {
        return Ok(kinds(&views));
    }
    built(text, definition, &kinds(&diagnostics))
}

/// What was accepted can be built.
fn built(text: &str, definition: Definition, warned: &str) -> Answer {
    let reading = Reading {
        stream: "S",
        format: "auto",
        order_key: None,
        transform: None,
        event_bytes_max: 1,
    };
    let fingerprint = Fingerprint::new(&definition, reading);
    let definition = Arc::new(definition);
    let plan = Plan::new(Arc::clone(&definition));
    let source = reading.json();
    let build = Build {
        projection: "fuzz",
        stream: "S",
        definition: text,
        source: &source,
        engine: ENGINE,
        fingerprint: &fingerprint,
        tables: plan.tables(),
        views: &definition.views,
        logged: Vec::new(),
    };
    Store::in_memory(&build)
        .map_err(|error| format!("accepted, but its tables cannot be made: {error}"))?;
    let (tables, handlers) = (definition.tables.len(), definition.handlers.len());
    Ok(format!("{tables} tables, {handlers} handlers, {warned}"))
}

/// What is read, looked up and shown ends, and what was found in a text is shown in it.
fn search(text: &str) -> Answer {
    let (searched, row) =
        text.split_once('\n').unwrap_or((text, "the running shoes\u{6771}\u{4eac}"));
    let words = match words::parse(searched, &["title", "body"], &["price"]) {
        Ok(words) => words,
        Err(refused) => return Ok(kind(&refused.detail)),
    };
    let source = Source::new("fuzz.toml", SEARCHED);
    let (definition, diagnostics) = definition::parse(&source, "fuzz", &["shop"]);
    let definition = definition.ok_or_else(|| diagnostic::render(&diagnostics, false))?;
    let shape = Shape::new(&definition.searches[0], &definition.tables[0]);
    let compiled = match compile(&words, shape.texts(), Instant::now()) {
        Ok(compiled) => compiled,
        Err(refused) => return Ok(kind(&refused.detail)),
    };
    let mut highlighter = Highlighter::new(&words, shape.texts());
    let mut answer = kind(&format!("{:?} {:?}", words.root, compiled.warnings));
    for field in 0..2 {
        let parts = highlighter.fragments(field, row);
        if parts.len() > 3 || parts.iter().any(|part| !part.contains("<mark>")) {
            return Err(format!("parts that show nothing, or too many: {parts:?}"));
        }
        answer.push_str(&parts.len().to_string());
    }
    Ok(answer)
}

/// Every place is inside its text and on the bounds of characters, so that a caret can stand there.
fn check_places(diagnostics: &[Diagnostic]) -> Result<(), String> {
    for diagnostic in diagnostics {
        let Place::File { source, span } = &diagnostic.place else { continue };
        let sound = span.start <= span.end && source.text.get(span.clone()).is_some();
        if !sound || diagnostic.message.is_empty() {
            return Err(format!("{span:?} is no place of the text: {}", diagnostic.message));
        }
    }
    Ok(())
}

fn kinds(diagnostics: &[Diagnostic]) -> String {
    let mut kinds: Vec<_> = diagnostics.iter().map(|found| kind(&found.message)).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds.truncate(3);
    kinds.join("; ")
}

/// A message without what it quotes and counts.
fn kind(message: &str) -> String {
    let mut quote = None;
    let mut kind = String::new();
    for char in message.chars().take(300) {
        match (quote, char) {
            (Some(open), char) if char == open => quote = None,
            (Some(_), _) => {}
            (None, '`' | '"') => quote = Some(char),
            (None, char) if char.is_ascii_digit() => {}
            (None, char) => kind.push(char),
        }
    }
    kind
}

/// Rows as a test would have them: one for most keys.
struct Rows(Cell<u32>);

impl Lookup for Rows {
    fn lookup(&self, table: usize, key: Vec<Value>) -> Result<Value, String> {
        self.0.set(self.0.get() + 1);
        match self.0.get() % 4 {
            0 => Ok(Value::Null),
            1 => Err("no such key".to_owned()),
            _ => Ok(key.into_iter().chain([Value::from(table)]).collect()),
        }
    }
}

fn expression(input: &str) -> Answer {
    let (text, payload) = input
        .split_once('\0')
        .unwrap_or((input, r#"{"x":[1.50,null,"a",{"b":[2]}],"y":"2013-01-01"}"#));
    let columns = ["a", "b", "x", "é"];
    let table = |name, key| expression::Table { name, key, columns: &columns };
    let tables = [table("t", &columns[..1]), table("pair", &columns[..2])];
    let variables = ["row", "item", "index", "part", "note"];
    let handler = Scope {
        place: expression::Place::Handler,
        variables: &variables,
        tables: &tables,
        rows: &[Some(0)],
    };
    let event = only(&chunk(Format::Json, &[], payload.as_bytes()));
    let mut answer = String::new();
    for scope in [handler, Scope::EVENT, Scope::TRANSFORM] {
        match Expression::compile(text, scope) {
            Err(error) => {
                check_error(text, &error)?;
                answer.push_str(&kind(&error.message));
            }
            Ok(expression) => answer.push_str(&evaluated(&expression, &event)?),
        }
        answer.push('|');
    }
    Ok(answer)
}

/// The error can be shown where the expression stands in a file.
fn check_error(text: &str, error: &expression::Error) -> Result<(), String> {
    if text.get(error.span.clone()).is_none() || error.message.is_empty() {
        return Err(format!("{:?} is no place of the expression: {}", error.span, error.message));
    }
    let file = format!("a = 1\nx = {}\n", toml::Value::from(text));
    let source = Source::new("fuzz.toml", file);
    let Ok(root) = syntax::parse(&source) else { return Ok(()) };
    if let Some(Kind::String(text)) = root.get("x").map(|value| &value.kind) {
        let diagnostic = error.diagnostic(&source, text);
        diagnostic::render(std::slice::from_ref(&diagnostic), false);
        check_places(&[diagnostic])?;
    }
    Ok(())
}

/// Twice the same, in a form that every column accepts or refuses, and never a fault.
fn evaluated(expression: &Expression, event: &Event) -> Answer {
    let variables = [
        "a row".into(),
        Value::Null,
        Value::from(3_usize),
        Value::from(0_usize),
        event_value(event),
    ];
    let rows = Rows(Cell::new(0));
    let bindings = Bindings { variables: &variables, rows: Some(&rows) };
    let first = match expression.evaluate_with(event, &bindings) {
        Err(failure) => {
            not_a_fault(&failure)?;
            return Ok(kind(&failure.message));
        }
        Ok(output) => output.into_value(event),
    };
    rows.0.set(0);
    let second = expression.evaluate_with(event, &bindings);
    let second = second.map_err(|failure| format!("it fails the second time: {failure}"))?;
    let json = |value: &Value| Output::of_value(value.clone()).json();
    let (shown, again) = (json(&first), json(&second.into_value(event)));
    if shown != again {
        return Err(format!("{shown:?}, then {again:?}"));
    }
    for column_type in TYPES {
        if let Err(mismatch) = convert(Output::of_value(first.clone()), column_type) {
            let said = mismatch.to_string();
            if said.len() > MESSAGE_BYTES_MAX {
                return Err(format!("a message of {} bytes", said.len()));
            }
        }
    }
    let parts = expression.transform(event);
    if let Err(failure) = [shown.as_ref().map(|_| ()), parts.as_ref().map(|_| ())]
        .into_iter()
        .collect::<Result<(), _>>()
    {
        not_a_fault(failure)?;
    }
    Ok(match &shown {
        Ok(json) => format!("{} {}", log2(json.len()), json.chars().next().unwrap_or(' ')),
        Err(failure) => kind(&failure.message),
    })
}

fn event_value(event: &Event) -> Value {
    let whole = Expression::compile(".data", Scope::EVENT).expect("it is jq");
    let output = whole.evaluate(event);
    output.map_or(Value::Null, |output| output.into_value(event))
}

fn not_a_fault(failure: &Failure) -> Result<(), String> {
    if failure.kind == FailureKind::Fault {
        return Err(format!("a fault: {failure}"));
    }
    // An error may quote what the event says to it, but a dead letter is no copy of the event.
    let bytes = failure.message.len();
    if bytes > MESSAGE_BYTES_MAX { Err(format!("a message of {bytes} bytes")) } else { Ok(()) }
}

fn log2(number: usize) -> u32 {
    number.checked_ilog2().unwrap_or(0)
}

fn chunk(format: Format, headers: &[(&str, &str)], payload: &[u8]) -> Arc<Chunk> {
    let mut builder = ChunkBuilder::new(format, EVENT_BYTES_MAX);
    builder.push(Message {
        sequence: Sequence(7),
        stored_at: Timestamp(1_000_000),
        subject: "shop.7.placed",
        headers: headers.iter().copied(),
        payload,
    });
    Arc::new(builder.finish(Sequence(7)))
}

fn only(chunk: &Arc<Chunk>) -> Event {
    chunk.events().next().expect("it holds an event")
}

/// Format, headers until the end of the line, payload.
fn message(input: &[u8]) -> Answer {
    const FORMATS: [Format; 5] =
        [Format::Auto, Format::CloudEvents, Format::Json, Format::Text, Format::Bytes];
    let end = input.iter().position(|&byte| byte == b'\n').unwrap_or(input.len());
    let (line, payload) = (&input[..end], input.get(end + 1..).unwrap_or_default());
    let format = FORMATS[usize::from(line.first().copied().unwrap_or_default()) % FORMATS.len()];
    let line = String::from_utf8_lossy(line.get(1..).unwrap_or_default()).into_owned();
    let headers: Vec<_> = line.split("; ").filter_map(|header| header.split_once(": ")).collect();

    let chunk = chunk(format, &headers, payload);
    let event = only(&chunk);
    if event.payload() != payload {
        return Err("the payload is not kept".to_owned());
    }
    if format == Format::Json {
        check_json(&event, payload)?;
    }
    if let Some(reject) = event.reject() {
        return Ok(format!("{format:?} {}", kind(&reject.detail)));
    }
    let shown = event.document_json();
    let again = only(&imported(&shown)?);
    if again.document_json() != shown {
        return Err(format!("its document is read as another: {shown} {}", again.document_json()));
    }
    let transformed = transformed(&chunk)?;
    let read = read(&event)?;
    let attributes = event.attributes().len();
    Ok(format!(
        "{format:?} {} {} {attributes} {transformed} {read}",
        event.id().is_some(),
        event.time() == event.stored_at()
    ))
}

/// serde_json is the oracle, but for depth, which it bounds in its own way.
fn check_json(event: &Event, payload: &[u8]) -> Result<(), String> {
    let theirs = serde_json::from_slice::<&RawValue>(payload).is_ok() || payload.is_empty();
    let deep = event.reject().is_some_and(|reject| reject.detail.contains("nested deeper"));
    let deep = deep || payload.iter().filter(|&&byte| byte == b'[' || byte == b'{').count() > 100;
    // What stands in a raw value was not looked into: escapes may name what is no character.
    let surrogate = event.reject().is_some_and(|reject| reject.detail.contains("surrogate"));
    if !deep && !surrogate && event.reject().is_none() != theirs {
        return Err(format!("serde_json accepts: {theirs}, viewd: {:?}", event.reject()));
    }
    Ok(())
}

fn imported(document: &str) -> Result<Arc<Chunk>, String> {
    let mut builder = ChunkBuilder::of_events();
    let defaults = Defaults { sequence: Sequence(1), stored_at: Timestamp(0) };
    builder.push_document(document, defaults)?;
    Ok(Arc::new(builder.finish(Sequence(1))))
}

/// `.` changes nothing; other transforms end, and give whole messages.
fn transformed(chunk: &Arc<Chunk>) -> Answer {
    let apply = |text: &str| {
        let transform = Expression::compile(text, Scope::TRANSFORM).expect("it is jq");
        let chunks = transform::apply(&transform, chunk, 10);
        let messages = chunks.iter().map(|chunk| chunk.messages()).sum::<u64>();
        let events = chunks.into_iter().flat_map(|chunk| Arc::new(chunk).events());
        if messages == 1 {
            Ok(events.collect::<Vec<_>>())
        } else {
            Err(format!("`{text}` makes {messages} messages of one"))
        }
    };
    let event = only(chunk);
    let [same] = &apply(".")?[..] else { return Err("`.` makes other events".to_owned()) };
    if let Some(reject) = same.reject() {
        return Err(format!("`.` fails: {}", reject.detail));
    }
    let value =
        |event: &Event| serde_json::from_str::<serde_json::Value>(&event.document_json()).ok();
    if value(same) != value(&event) {
        return Err(format!("`.` changes it: {} {}", same.document_json(), event.document_json()));
    }
    let mut answer = String::new();
    for text in TRANSFORMS {
        let events = apply(text)?;
        let rejected =
            events.iter().find_map(|event| event.reject().map(|reject| kind(&reject.detail)));
        answer.push_str(&format!("{} {} ", log2(events.len()), rejected.unwrap_or_default()));
    }
    Ok(answer)
}

/// What paths and functions find in it, in every type of column.
fn read(event: &Event) -> Answer {
    let mut answer = String::new();
    for text in [
        ".",
        ".data.time",
        ".data.items[-1]",
        ".attributes",
        ".data | tostring | tonumber? // 0",
        ".. | numbers | . * 1.1",
        ".time | fromdate",
    ] {
        let expression = Expression::compile(text, Scope::EVENT).expect("it is jq");
        match expression.evaluate(event) {
            Ok(output) => {
                let value = output.into_value(event);
                let fits = TYPES.iter().filter(|&&column_type| {
                    convert(Output::of_value(value.clone()), column_type).is_ok()
                });
                answer.push_str(&fits.count().to_string());
            }
            Err(failure) => {
                not_a_fault(&failure)?;
                answer.push('-');
            }
        }
    }
    Ok(answer)
}

fn document(input: &str) -> Answer {
    let chunk = match imported(input) {
        Ok(chunk) => chunk,
        Err(problem) => return Ok(kind(&problem)),
    };
    let event = only(&chunk);
    let shown = event.document_json();
    let again = imported(&shown)
        .map_err(|problem| format!("its document is refused: {problem}: {shown}"))?;
    if only(&again).document_json() != shown {
        return Err(format!("its document is read as another: {shown}"));
    }
    Ok(format!("{} {}", transformed(&chunk)?, read(&event)?))
}
