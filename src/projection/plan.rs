//! A definition, compiled: every expression checked, every constant converted, handlers routed by type of event.
//!
//! A plan is a pure function from an event to row operations or a [`Reject`]. It sees no row: what depends on rows is
//! the fold's. It is shared by threads and holds no state.

use std::sync::Arc;

use hashbrown::HashMap;

use crate::expression::{self, Expression, Scope};
use super::handler::{Handler, Value, converted};
use super::reject::Reject;
use super::transition::Operation;
use crate::definition::{Action, Assignment, Definition, Formula, FormulaKind, Table};
use crate::diagnostic::{Diagnostic, Source};
use crate::event::chunk::Event;
use crate::syntax::Text;

/// A compiled definition.
pub struct Plan {
    definition: Arc<Definition>,
    handlers: Vec<Handler>,
    routes: Routes,
}

/// Which handlers take a type of event.
struct Routes {
    /// For each type that some handler names in full: the handlers that take it, in file order.
    exact: HashMap<String, Vec<usize>>,
    /// The handlers with a `*` in one of their types: all that a type named nowhere can reach.
    patterns: Vec<usize>,
}

impl Plan {
    /// Compiles a definition; tells everything that is wrong with its expressions at once.
    pub fn compile(definition: Arc<Definition>) -> Result<Self, Vec<Diagnostic>> {
        let mut compiler = Compiler { definition: &definition, diagnostics: Vec::new() };
        let handlers: Vec<_> =
            definition.handlers.iter().map(|handler| compiler.handler(handler)).collect();
        let diagnostics = compiler.diagnostics;
        let handlers = handlers.into_iter().collect::<Option<Vec<_>>>();
        match handlers {
            Some(handlers) if diagnostics.is_empty() => {
                let routes = Routes::new(&definition);
                Ok(Self { definition, handlers, routes })
            }
            _ => Err(diagnostics),
        }
    }

    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    pub fn tables(&self) -> &[Table] {
        &self.definition.tables
    }

    /// Appends what an event does to the rows; false if no handler applies to it.
    ///
    /// After a reject `operations` may hold some of the event's operations: the caller drops them.
    pub fn project(&self, event: &Event, operations: &mut Vec<Operation>) -> Result<bool, Reject> {
        if let Some(reject) = event.reject() {
            return Err(Reject::from_decode(reject));
        }
        let mut applied = false;
        self.routes.each(event.type_name(), &self.definition, |handler| {
            applied |= self.handlers[handler].run(event, &self.definition, operations)?;
            Ok(())
        })?;
        Ok(applied)
    }
}

/// An expression's error at its place in the file.
pub fn refused(error: &expression::Error, source: &Arc<Source>, text: &Text) -> Diagnostic {
    let span = text.locate(error.span.clone());
    let diagnostic = Diagnostic::error(source, span, error.message.clone(), error.label.clone());
    match &error.hint {
        Some(hint) => diagnostic.hint(hint.clone()),
        None => diagnostic,
    }
}

impl Routes {
    fn new(definition: &Definition) -> Self {
        let takes = |index: usize, name: &str| {
            definition.handlers[index].events.iter().any(|event| event.matches(name))
        };
        let all = || 0..definition.handlers.len();
        let named = definition.handlers.iter().flat_map(|handler| &handler.events);
        let exact = named
            .filter(|event| !event.text.contains('*'))
            .map(|event| {
                (event.text.clone(), all().filter(|&index| takes(index, &event.text)).collect())
            })
            .collect();
        let pattern = |index: &usize| {
            definition.handlers[*index].events.iter().any(|event| event.text.contains('*'))
        };
        Self { exact, patterns: all().filter(pattern).collect() }
    }

    fn each<E>(
        &self,
        type_name: &str,
        definition: &Definition,
        mut run: impl FnMut(usize) -> Result<(), E>,
    ) -> Result<(), E> {
        if let Some(handlers) = self.exact.get(type_name) {
            return handlers.iter().try_for_each(|&index| run(index));
        }
        let takes = |index: &&usize| {
            definition.handlers[**index].events.iter().any(|event| event.matches(type_name))
        };
        self.patterns.iter().filter(takes).try_for_each(|&index| run(index))
    }
}

/// Collects what is wrong while it compiles what is right.
struct Compiler<'a> {
    definition: &'a Definition,
    diagnostics: Vec<Diagnostic>,
}

impl Compiler<'_> {
    fn handler(&mut self, handler: &crate::definition::Handler) -> Option<Handler> {
        let table = &self.definition.tables[handler.table];
        let when = handler.when.as_ref().map(|text| self.expression(text));
        let key: Vec<_> = table
            .key
            .iter()
            .zip(&handler.key)
            .map(|(&column, formula)| self.formula(formula, table, column, Action::Set))
            .collect();
        let assignments: Vec<_> = handler
            .assignments
            .iter()
            .map(|Assignment { column, action, value }| {
                self.formula(value, table, *column, *action).map(|value| (*column, *action, value))
            })
            .collect();
        Some(Handler {
            number: handler.number,
            line: handler.line,
            table: handler.table,
            verb: handler.verb,
            when: when.map_or(Some(None), |when| when.map(Some))?,
            key: key.into_iter().collect::<Option<_>>()?,
            assignments: assignments.into_iter().collect::<Option<_>>()?,
        })
    }

    fn expression(&mut self, text: &Text) -> Option<Expression> {
        match Expression::compile(&text.value, Scope::Handler) {
            Ok(expression) => Some(expression),
            Err(error) => {
                let source = self.definition.source.clone();
                self.diagnostics.push(refused(&error, &source, text));
                None
            }
        }
    }

    fn number(&mut self, text: &str, formula: &Formula) -> Option<Expression> {
        let number = Expression::number(text);
        if number.is_none() {
            let message = format!("`{text}` is no number that an event can hold");
            let source = &self.definition.source;
            self.diagnostics.push(Diagnostic::error(
                source,
                formula.span.clone(),
                message,
                "not a finite number",
            ));
        }
        number
    }

    fn formula(
        &mut self,
        formula: &Formula,
        table: &Table,
        column: usize,
        action: Action,
    ) -> Option<Value> {
        let expression = match &formula.kind {
            FormulaKind::Jq(text) => self.expression(text)?,
            FormulaKind::Integer(value) => self.number(&value.to_string(), formula)?,
            FormulaKind::Number(text) => self.number(text, formula)?,
            FormulaKind::Boolean(value) => Expression::boolean(*value),
        };
        let Some(literal) = expression.literal() else {
            return Some(Value::Expression(Box::new(expression)));
        };
        // A constant is converted once, and refused here if it does not fit.
        let column_type = table.columns[column].column_type;
        match converted(literal, column_type, action) {
            Ok(cell) => Some(Value::Constant(cell)),
            Err(problem) => {
                let message = format!(
                    "`{}.{}` is {column_type}: {problem}",
                    table.name, table.columns[column].name
                );
                self.diagnostics.push(Diagnostic::error(
                    &self.definition.source,
                    formula.span.clone(),
                    message,
                    "this constant does not fit",
                ));
                None
            }
        }
    }
}
