//! jq expressions of a definition: compiled when it is loaded, evaluated for every event.
//!
//! jaq-core brings the syntax and the evaluation, everything else is here: a value type with exact numbers that reads
//! an event where it lies, a prelude of the names on the allow list ([`names`]) and nothing else, and a budget that
//! ends every evaluation at the same place on every machine ([`budget`]).
//!
//! Invariant: whatever an event holds, evaluation gives a value or a [`Failure`]. It never aborts, exits, hangs or
//! exhausts the stack, and it knows no clock, zone, environment or randomness (I9).
//!
//! A plain path or literal is answered from the event's own bytes ([`path`]), an expression of single values by a walk
//! over a small tree ([`direct`]), everything else by jaq; the routes agree. What goes into a column as it stands in the
//! event has a route of its own ([`straight`]).

mod arithmetic;
mod binding;
mod budget;
mod calls;
mod cells;
mod compile;
pub mod convert;
mod decimal;
mod direct;
mod document;
mod engine;
mod functions;
mod lookup;
mod names;
mod number;
mod order;
mod output;
mod path;
mod prelude;
pub mod reference;
mod references;
mod roots;
mod rows;
mod several;
mod slips;
mod straight;
mod stream;
mod syntax;
mod syntax_error;
mod text;
mod transform;
mod update;
mod value;
mod write;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use self::compile::Program;
use self::direct::Node;
use self::path::Path;
use self::references::References;
use crate::diagnostic::{Diagnostic, Source};
use crate::event::chunk::Event;
use crate::syntax::Text;

pub use self::binding::{Bindings, Lookup};
pub use self::budget::{EVENT_OPERATIONS_MAX, charge, shared};
pub use self::number::Number;
pub use self::output::Output;
pub use self::value::{Value, ValueKind};

/// Where an expression stands, which decides what it may say.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    pub place: Place,
    /// The names of variables by their slot, without the `$`.
    pub variables: &'a [&'a str],
    /// The tables that `lookup` can name.
    pub tables: &'a [Table<'a>],
    /// By slot: the table whose row the variable holds, or null; none for slots beyond the slice.
    pub rows: &'a [Option<usize>],
}

/// What an expression may know of a table.
#[derive(Clone, Copy, Debug)]
pub struct Table<'a> {
    pub name: &'a str,
    /// The names of its key columns, in the order in which `lookup` takes their values.
    pub key: &'a [&'a str],
    /// The names of all its columns; empty if they are not known.
    pub columns: &'a [&'a str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a handler or an `order_key`: no assignments, no `if` without `else`.
    Handler,
    /// A source's `transform`: from event to event.
    Transform,
}

/// A compiled expression.
pub struct Expression {
    text: String,
    route: Route,
    references: References,
}

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Error {
    /// Bytes of the expression's text.
    pub span: Range<usize>,
    pub message: String,
    /// What stands at the span, in a few words.
    pub label: String,
    pub hint: Option<String>,
}

/// Why an expression gave no value for an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: FailureKind,
    /// Lowercase, one sentence, such as `ascii_downcase: null is not a string`.
    pub message: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// An error of jq's.
    Error,
    /// More operations, text or depth than one evaluation may take.
    Budget,
    /// More than one value.
    Several,
    /// A panic in the engine.
    Fault,
}

/// How an expression is evaluated.
enum Route {
    Literal(Literal),
    Path(Path),
    /// A variable of the scope, or a plain path of it.
    Variable(usize, Option<Path>),
    /// Of single values only.
    Direct(Box<Node>),
    /// By jaq.
    Program(Box<Program>),
}

/// A constant, in a form that threads can share.
#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Null,
    Bool(bool),
    Integer(i64),
    /// A number in the JSON grammar.
    Number(String),
    Text(String),
}

impl Scope<'static> {
    /// Of an expression that sees an event and nothing else.
    pub const EVENT: Self = Self { place: Place::Handler, variables: &[], tables: &[], rows: &[] };
    /// Of a source's `transform`.
    pub const TRANSFORM: Self =
        Self { place: Place::Transform, variables: &[], tables: &[], rows: &[] };
}

impl Expression {
    /// Compiles an expression: everything that can be refused without an event is refused here.
    pub fn compile(text: &str, scope: Scope<'_>) -> Result<Self, Error> {
        let (route, references) = compile::compile(text, scope)?;
        Ok(Self { text: text.to_owned(), route, references })
    }

    /// A constant number, by its text in the JSON grammar; `inf` and `nan`, which TOML has, are not numbers.
    pub fn number(text: &str) -> Option<Self> {
        Literal::number(text).map(|literal| Self::constant(text.to_owned(), literal))
    }

    /// A constant truth value.
    pub fn boolean(value: bool) -> Self {
        Self::constant(value.to_string(), Literal::Bool(value))
    }

    fn constant(text: String, literal: Literal) -> Self {
        Self { text, route: Route::Literal(literal), references: References::default() }
    }

    /// The expression as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What a literal gives, whatever the event; None for any other expression.
    pub fn literal(&self) -> Option<Output<'_>> {
        match &self.route {
            Route::Literal(literal) => Some(literal.output()),
            _ => None,
        }
    }

    /// The slots of the variables that it names, ascending, each with a place in its text.
    pub fn variables(&self) -> &[(usize, Range<usize>)] {
        &self.references.variables
    }

    /// The tables that it looks rows up in, by their indices in the scope, ascending.
    pub fn lookups(&self) -> &[usize] {
        &self.references.lookups
    }

    /// The table of which it gives a row or null, by its index in the scope, if that is certain.
    pub fn row(&self) -> Option<usize> {
        self.references.row
    }

    /// The keys of the object that is its last step, as written, if all are literal.
    pub fn object_members(&self) -> Option<&[(String, Range<usize>)]> {
        self.references.members.as_deref()
    }

    /// What the expression gives for an event: one value; no output is null.
    #[inline]
    pub fn evaluate<'a>(&'a self, event: &'a Event) -> Result<Output<'a>, Failure> {
        self.evaluate_with(event, &Bindings::NONE)
    }

    /// The same, with what a handler lends.
    #[inline]
    pub fn evaluate_with<'a>(
        &'a self,
        event: &'a Event,
        bindings: &Bindings<'a>,
    ) -> Result<Output<'a>, Failure> {
        match &self.route {
            Route::Path(path) => path.evaluate(event),
            Route::Literal(literal) => Ok(literal.output()),
            Route::Variable(slot, None) => Ok(Output::of_bound(bindings.variable(*slot))),
            Route::Variable(slot, Some(path)) => path.output_of(bindings.variable(*slot)),
            Route::Direct(node) => {
                compile::evaluate_directly(node, event, bindings).map(Output::of_value)
            }
            Route::Program(program) => program.evaluate(event, bindings).map(Output::of_value),
        }
    }
}

/// Runs what an evaluation waits for within the budget of one.
pub fn within_budget<T>(run: impl FnOnce() -> T) -> Result<T, Failure> {
    budget::bounded(run).map_err(Failure::of_exceeded)
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Expression({})", self.text)
    }
}

impl Error {
    /// At its place in the file that the expression stands in.
    pub fn diagnostic(&self, source: &Arc<Source>, text: &Text) -> Diagnostic {
        let span = text.locate(self.span.clone());
        let diagnostic = Diagnostic::error(source, span, self.message.clone(), self.label.clone());
        match &self.hint {
            Some(hint) => diagnostic.hint(hint.clone()),
            None => diagnostic,
        }
    }
}

impl Failure {
    fn error(message: impl Into<String>) -> Self {
        Self { kind: FailureKind::Error, message: message.into() }
    }
}

impl Literal {
    fn number(text: &str) -> Option<Self> {
        if let Some(integer) = number::small_integer(text) {
            return Some(Self::Integer(integer));
        }
        number::is_json_number(text).then(|| Self::Number(text.to_owned()))
    }

    fn output(&self) -> Output<'_> {
        match self {
            Self::Null => Output::Null,
            Self::Bool(value) => Output::Bool(*value),
            Self::Integer(value) => Output::Number(Number::from(*value)),
            Self::Number(text) => Output::Number(Number::written(text)),
            Self::Text(text) => Output::Text(text.into()),
        }
    }
}

fn refused(
    span: Range<usize>,
    message: impl Into<String>,
    label: impl Into<String>,
    hint: Option<String>,
) -> Error {
    Error { span, message: message.into(), label: label.into(), hint }
}

#[cfg(test)]
mod tests;
