//! A definition, made ready for its events: handlers compiled, constants converted, routed by type of event.
//!
//! A plan holds no state and is shared by threads. What it does for an event depends on the event, on the definition
//! and, where a handler asks for rows, on the rows as they stand: those that are stored and what has been folded since.

use std::borrow::Cow;
use std::sync::Arc;

use hashbrown::HashMap;

use super::ahead::Ahead;
use super::fold::{Failed, Fold, Rows, Searches};
use super::handler::Handler;
use super::reject::Reject;
use super::run::{Run, Stopped};
use super::transition::Operations;
use super::view::View;
use crate::definition::{Definition, Table, Target};
use crate::event::chunk::Event;
use crate::expression;

/// A compiled definition.
pub struct Plan {
    definition: Arc<Definition>,
    handlers: Vec<Handler>,
    routes: Routes,
    searches: Vec<Searches>,
}

/// Which handlers take a type of event.
struct Routes {
    /// For each type that some handler names in full.
    exact: HashMap<String, Route>,
    /// The handlers with a `*` in one of their types: all that a type named nowhere can reach.
    patterns: Vec<usize>,
    /// Of a type named nowhere, where that is one for all of them.
    others: Option<Route>,
}

/// The handlers that take an event, in file order.
#[derive(Clone)]
struct Route {
    handlers: Vec<usize>,
    /// Each of them is plain.
    plain: bool,
    /// One of them asks for rows.
    reads: bool,
    /// One of them may do the same many times.
    repeats: bool,
}

impl Plan {
    /// Prepares a definition for its events.
    pub fn new(definition: Arc<Definition>) -> Self {
        let handlers: Vec<Handler> = definition
            .handlers
            .iter()
            .map(|handler| Handler::new(handler, &definition.tables[handler.table]))
            .collect();
        let routes = Routes::new(&definition, &handlers);
        let searches = searches(&definition);
        Self { definition, handlers, routes, searches }
    }

    pub fn definition(&self) -> &Arc<Definition> {
        &self.definition
    }

    pub fn tables(&self) -> &[Table] {
        &self.definition.tables
    }

    /// Whether any handler is for events of this type.
    pub fn handles(&self, type_name: &str) -> bool {
        !self.routes.of(type_name, &self.definition, &self.handlers).handlers.is_empty()
    }

    /// By which columns handlers search each table.
    pub fn searches(&self) -> &[Searches] {
        &self.searches
    }

    /// An empty fold for its tables.
    pub fn fold(&self, exact: bool) -> Fold {
        Fold::new(&self.definition.tables, &self.searches, exact)
    }

    /// An empty fold that fills a store without rows.
    pub fn fresh_fold(&self) -> Fold {
        Fold::fresh(&self.definition.tables, &self.searches)
    }

    /// Folds what an event does to the rows; false if no handler applies to it.
    ///
    /// An event that is rejected has left no trace. `ahead` is for all events of a chunk, one after the other.
    #[inline]
    pub fn project<R: Rows>(
        &self,
        event: &Event,
        fold: &mut Fold,
        rows: &mut R,
        ahead: &mut Ahead,
    ) -> Result<bool, Stopped<R::Error>> {
        if let Some((operations, sought)) = ahead.of(event, self, fold) {
            let applied = fold.apply(operations, sought, &self.definition.tables, rows);
            return match applied {
                Ok(()) => Ok(!operations.is_empty()),
                Err(failed) => Err(self.stopped(failed, event)),
            };
        }
        if let Some(reject) = event.reject() {
            return Err(Stopped::Reject(Reject::from_decode(reject)));
        }
        let operations = &mut ahead.other;
        let route = self.routes.of(event.type_name(), &self.definition, &self.handlers);
        if route.repeats {
            return expression::shared(|| self.take(event, &route, fold, rows, operations));
        }
        self.take(event, &route, fold, rows, operations)
    }

    /// Gathers what an event does if that is plain, one operation a handler; false, with some of them, if it is not.
    #[inline]
    pub(super) fn prepare(&self, event: &Event, operations: &mut Operations) -> bool {
        if event.reject().is_some() {
            return false;
        }
        let route = self.routes.of(event.type_name(), &self.definition, &self.handlers);
        route.plain
            && route.handlers.iter().all(|&handler| {
                let handler = &self.handlers[handler];
                handler.plainly(event, &self.definition.tables[handler.table], operations)
            })
    }

    fn take<R: Rows>(
        &self,
        event: &Event,
        route: &Route,
        fold: &mut Fold,
        rows: &mut R,
        operations: &mut Operations,
    ) -> Result<bool, Stopped<R::Error>> {
        if route.reads {
            return self.take_on_rows(event, route, fold, rows, operations);
        }
        operations.clear();
        let mut applied = false;
        for &handler in &route.handlers {
            let handler = &self.handlers[handler];
            let run = Run::<R>::new(handler, &self.definition, event, None, operations);
            applied |= run.run()?;
        }
        fold.apply(&mut operations.list, &[], &self.definition.tables, rows)
            .map_err(|failed| self.stopped(failed, event))?;
        Ok(applied)
    }

    #[cold]
    fn stopped<E>(&self, failed: Failed<E>, event: &Event) -> Stopped<E> {
        match failed {
            Failed::Uncertain => Stopped::Uncertain,
            Failed::Rows(error) => Stopped::Rows(error),
            Failed::OutOfRange { failure, by } => {
                Stopped::Reject(Reject::out_of_range(&failure, by, &self.definition, event))
            }
        }
    }

    /// The same where each handler must see what those before it have done.
    fn take_on_rows<R: Rows>(
        &self,
        event: &Event,
        route: &Route,
        fold: &mut Fold,
        rows: &mut R,
        operations: &mut Operations,
    ) -> Result<bool, Stopped<R::Error>> {
        fold.begin();
        let mut run = || {
            let view = View::new(&self.definition.tables, fold, rows);
            let mut applied = false;
            for &handler in &route.handlers {
                let handler = &self.handlers[handler];
                let run = Run::new(handler, &self.definition, event, Some(&view), operations);
                applied |= run.run()?;
            }
            Ok(applied)
        };
        match run() {
            // One of its operations may fail on a row before the rule is broken that was found.
            Err(Stopped::Reject(_)) if fold.is_uncertain() => Err(Stopped::Uncertain),
            Err(Stopped::Reject(reject)) => {
                fold.roll_back();
                Err(Stopped::Reject(reject))
            }
            outcome => outcome,
        }
    }
}

impl Routes {
    fn new(definition: &Definition, handlers: &[Handler]) -> Self {
        let named = definition.handlers.iter().flat_map(|handler| &handler.events);
        let exact = named
            .filter(|event| !event.text.contains('*'))
            .map(|event| {
                let all = 0..handlers.len();
                (event.text.clone(), Route::new(all, &event.text, definition, handlers))
            })
            .collect();
        let pattern = |index: &usize| {
            definition.handlers[*index].events.iter().any(|event| event.text.contains('*'))
        };
        let patterns: Vec<usize> = (0..handlers.len()).filter(pattern).collect();
        // A pattern that takes the empty name takes every name.
        let candidates = || patterns.iter().copied();
        let others = Route::new(candidates(), "", definition, handlers);
        let others = (others.handlers == patterns).then_some(others);
        Self { exact, patterns, others }
    }

    fn of(&self, name: &str, definition: &Definition, handlers: &[Handler]) -> Cow<'_, Route> {
        match self.exact.get(name).or(self.others.as_ref()) {
            Some(route) => Cow::Borrowed(route),
            None => {
                let patterns = self.patterns.iter().copied();
                Cow::Owned(Route::new(patterns, name, definition, handlers))
            }
        }
    }
}

impl Route {
    /// Of those handlers that take a type of event.
    fn new(
        candidates: impl Iterator<Item = usize>,
        type_name: &str,
        definition: &Definition,
        handlers: &[Handler],
    ) -> Self {
        let takes = |index: &usize| {
            definition.handlers[*index].events.iter().any(|event| event.matches(type_name))
        };
        let taking: Vec<usize> = candidates.filter(takes).collect();
        let plain = taking.iter().all(|&index| handlers[index].plain);
        let reads = taking.iter().any(|&index| handlers[index].reads);
        let repeats = taking.iter().any(|&index| handlers[index].repeats());
        Self { handlers: taking, plain, reads, repeats }
    }
}

/// By which columns each table is searched.
fn searches(definition: &Definition) -> Vec<Searches> {
    let mut searches = vec![Searches::new(); definition.tables.len()];
    for handler in &definition.handlers {
        let Target::Where(columns) = &handler.target else { continue };
        let columns: Vec<usize> = columns.iter().map(|(column, _)| *column).collect();
        let known = &mut searches[handler.table];
        if !known.contains(&columns) {
            known.push(columns);
        }
    }
    searches
}
