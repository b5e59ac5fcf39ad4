//! From an expression's text to the route that answers it.

use jaq_core::compile::Undefined;
use jaq_core::load::lex::Lexer;
use jaq_core::load::parse::{Parser, Term};
use jaq_core::load::{Arena, File, Loader, span};
use jaq_core::{Compiler, Ctx, Filter, Vars};

use super::binding::Bindings;
use super::budget::{self, Exceeded};
use super::direct::Node;
use super::engine::{Context, Engine};
use super::number::Number;
use super::path::{Path, plain_text};
use super::references::{self, References};
use super::value::Value;
use super::{
    Error, Failure, FailureKind, Literal, Route, Scope, calls, lookup, prelude, refused, roots,
    rows, several, slips, syntax, syntax_error,
};
use crate::event::chunk::Event;

/// An expression for jaq.
pub(super) struct Program {
    filter: Filter<Engine>,
    /// The slots of the variables that it names: jaq's global variables, in this order.
    variables: Box<[usize]>,
    /// The tables that it looks rows up in, by their names.
    tables: Box<[(String, usize)]>,
}

/// Checks a text and chooses its route.
pub(super) fn compile(text: &str, scope: Scope<'_>) -> Result<(Route, References), Error> {
    if text.trim().is_empty() {
        let hint = "`.` is the whole event, `null` is no value".to_owned();
        return Err(refused(0..text.len(), "the expression is empty", "nothing here", Some(hint)));
    }
    syntax::check_brackets(text)?;
    let tokens = Lexer::new(text).lex().map_err(|errors| syntax_error::lex_error(text, &errors))?;
    syntax::check_tokens(&tokens, text)?;
    slips::refuse(&tokens, text, scope)?;
    let parsed = Parser::new(&tokens).parse(|parser| parser.term());
    let term = parsed.map_err(|errors| syntax_error::parse_error(text, &tokens, &errors[0]))?;
    syntax::check_term(&term, text)?;
    syntax::check_paths(&term, text)?;
    calls::check(&term, text, scope)?;
    let references = References::of_term(&term, text, scope)?;
    roots::check(&term, text)?;
    rows::check(&term, text, scope)?;
    several::check(&term, &tokens, text, scope)?;
    let route = if let Some(literal) = Literal::of_term(&term) {
        Route::Literal(literal)
    } else if let Some(path) = Path::of_term(&term) {
        Route::Path(path)
    } else {
        match Node::of_term(&term, scope) {
            Some(Node::Variable(slot)) => Route::Variable(slot, None),
            Some(Node::VariablePath(slot, path)) => Route::Variable(slot, Some(path)),
            Some(node) => Route::Direct(Box::new(node)),
            None => Route::Program(Box::new(Program::compile(text, &term, scope, &references)?)),
        }
    };
    Ok((route, references))
}

impl Program {
    pub(super) fn compile(
        text: &str,
        term: &Term<&str>,
        scope: Scope<'_>,
        references: &References,
    ) -> Result<Self, Error> {
        let arena = Arena::default();
        let loader = Loader::new(prelude::definitions(term));
        let modules = loader.load(&arena, File { code: text, path: () });
        let modules =
            modules.map_err(|_| refused(0..text.len(), "not an expression", "here", None))?;
        let variables: Box<[usize]> = references.variables.iter().map(|(slot, _)| *slot).collect();
        let names: Vec<String> =
            variables.iter().map(|slot| format!("${}", scope.variables[*slot])).collect();
        let tables: Box<[_]> = references
            .lookups
            .iter()
            .map(|table| (scope.tables[*table].name.to_owned(), *table))
            .collect();
        let lookups = lookup::natives().filter(|_| !tables.is_empty());
        let compiled = Compiler::default()
            .with_funs(prelude::natives().chain(lookups))
            .with_global_vars(names.iter().map(String::as_str))
            .compile(modules);
        let filter = compiled.map_err(|errors| {
            let undefined = errors.first().and_then(|(_, errors)| errors.first());
            undefined.map_or_else(
                || refused(0..text.len(), "not an expression", "here", None),
                |(name, undefined)| undefined_error(text, name, undefined, scope),
            )
        })?;
        Ok(Self { filter, variables, tables })
    }

    pub(super) fn evaluate(
        &self,
        event: &Event,
        bindings: &Bindings<'_>,
    ) -> Result<Value, Failure> {
        match budget::bounded(|| self.run(Value::Document(event.clone()), *bindings)) {
            Ok(outcome) => outcome,
            Err(exceeded) => Err(Failure::of_exceeded(exceeded)),
        }
    }

    fn run<'a>(&'a self, input: Value, bindings: Bindings<'a>) -> Result<Value, Failure> {
        let values = self.variables.iter().map(|slot| bindings.variable(*slot).clone());
        let variables = Vars::new(values);
        let context = Context { lut: &self.filter.lut, bindings, tables: &self.tables };
        let mut outputs = self.filter.id.run((Ctx::<Engine>::new(context, variables), input));
        let failed = |exception: jaq_core::Exn<'_, Value>| match exception.get_err() {
            Ok(error) => Failure::of_error(error),
            // `halt` and `break` cannot be written.
            Err(_) => Failure::of_exceeded(Exceeded::Fault),
        };
        let value = match outputs.next() {
            None => return Ok(Value::Null),
            Some(first) => first.map_err(failed)?,
        };
        match outputs.next() {
            None => Ok(value),
            Some(Err(exception)) => Err(failed(exception)),
            Some(Ok(second)) => {
                let message = format!("gave several values: {value}, {second}");
                Err(Failure { kind: FailureKind::Several, message })
            }
        }
    }
}

/// What a single-valued expression gives.
pub(super) fn evaluate_directly(
    node: &Node,
    event: &Event,
    bindings: &Bindings<'_>,
) -> Result<Value, Failure> {
    match budget::bounded(|| node.evaluate(&Value::Document(event.clone()), bindings)) {
        Ok(outcome) => outcome.map_err(Failure::of_error),
        Err(exceeded) => Err(Failure::of_exceeded(exceeded)),
    }
}

impl Failure {
    pub(super) fn of_error(error: jaq_core::Error<Value>) -> Self {
        let message = match error.into_val() {
            Value::Text(text) => {
                // A message may be made of an event.
                let end = text.floor_char_boundary(MESSAGE_BYTES_MAX);
                text[..end].to_owned()
            }
            value => value.shown(),
        };
        Self::error(message)
    }

    pub(super) fn of_exceeded(exceeded: Exceeded) -> Self {
        let (kind, message) = match exceeded {
            Exceeded::Operations => (
                FailureKind::Budget,
                format!("took more than {} operations", budget::OPERATIONS_MAX),
            ),
            Exceeded::EventOperations => (
                FailureKind::Budget,
                format!(
                    "took all handlers of the event past {} operations together",
                    budget::EVENT_OPERATIONS_MAX
                ),
            ),
            Exceeded::Text => (
                FailureKind::Budget,
                format!("made more than {} MiB of text", budget::TEXT_BYTES_MAX >> 20),
            ),
            Exceeded::Depth => {
                (FailureKind::Budget, format!("made a value deeper than {}", budget::DEPTH_MAX))
            }
            Exceeded::Fault => {
                (FailureKind::Fault, "the expression engine failed on this event".to_owned())
            }
        };
        Self { kind, message }
    }
}

/// As much of a message as a dead letter needs.
const MESSAGE_BYTES_MAX: usize = 500;

impl Literal {
    pub(super) fn of_term(term: &Term<&str>) -> Option<Self> {
        match term {
            Term::Num(text) => Self::number(text),
            Term::Neg(inner) => match &**inner {
                Term::Num(text) => Self::number(&Number::parse(text)?.neg().ok()?.text()),
                _ => None,
            },
            Term::Str(None, parts) => plain_text(parts).map(|text| Self::Text(text.into_owned())),
            Term::Call(name, arguments) if arguments.is_empty() => match *name {
                "null" => Some(Self::Null),
                "true" => Some(Self::Bool(true)),
                "false" => Some(Self::Bool(false)),
                _ => None,
            },
            _ => None,
        }
    }
}

fn undefined_error(text: &str, name: &str, undefined: &Undefined, scope: Scope<'_>) -> Error {
    let place = span(text, name);
    match undefined {
        // It is made somewhere in the expression, but not to the left.
        Undefined::Var => references::unknown(name, text, scope, &[name]),
        other => {
            refused(place, format!("unknown {} `{name}`", other.as_str()), "not known here", None)
        }
    }
}
