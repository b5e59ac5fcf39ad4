//! Collects what is wrong in one file while it is read, and reads values with the complaint
//! that fits when they are of the wrong kind.

use std::ops::Range;
use std::sync::Arc;

use crate::diagnostic::{self, Diagnostic, Place, Source};
use crate::syntax::{Kind, Table, Text, Value};

/// What has been found so far.
#[derive(Debug)]
pub struct Report {
    source: Arc<Source>,
    diagnostics: Vec<Diagnostic>,
}

/// A diagnostic just reported, to be completed.
#[derive(Debug)]
pub struct Note<'a>(&'a mut Diagnostic);

impl Note<'_> {
    /// What the caret says.
    pub fn label(self, label: impl Into<String>) -> Self {
        self.0.label = label.into();
        self
    }

    /// What to do next, if that is known.
    pub fn hint(self, hint: impl Into<Option<String>>) -> Self {
        self.0.hint = hint.into();
        self
    }
}

impl Report {
    pub fn new(source: &Arc<Source>) -> Self {
        Self { source: Arc::clone(source), diagnostics: Vec::new() }
    }

    pub fn error(&mut self, span: &Range<usize>, message: impl Into<String>) -> Note<'_> {
        self.add(Diagnostic::error(&self.source, span.clone(), message, ""))
    }

    pub fn warning(&mut self, span: &Range<usize>, message: impl Into<String>) -> Note<'_> {
        self.add(Diagnostic::warning(&self.source, span.clone(), message, ""))
    }

    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many errors there are so far.
    pub fn errors(&self) -> usize {
        self.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count()
    }

    /// Takes what others have found in the same file.
    pub fn extend(&mut self, diagnostics: Vec<Diagnostic>) {
        self.diagnostics.extend(diagnostics);
    }

    /// The line of a byte of the file, from 1.
    pub fn line(&self, byte: usize) -> usize {
        self.source.position(byte).line
    }

    /// Everything reported, in file order.
    pub fn into_diagnostics(mut self) -> Vec<Diagnostic> {
        self.diagnostics.sort_by_key(|diagnostic| match &diagnostic.place {
            Place::File { span, .. } => span.start,
            Place::Outside(_) => 0,
        });
        self.diagnostics
    }

    /// Complains of keys that are not `known`.
    pub fn unknown_keys(&mut self, table: &Table, place: &str, known: &[&str]) {
        self.unknown_keys_or(table, place, known, &[]);
    }

    /// The same, with what other languages call the keys, each with ours.
    pub fn unknown_keys_or(
        &mut self,
        table: &Table,
        place: &str,
        known: &[&str],
        others: &[(&str, &str)],
    ) {
        for entry in &table.entries {
            let (name, span) = (entry.key.name.as_str(), &entry.key.span);
            if known.contains(&name) {
                continue;
            }
            let meant = others.iter().find(|(other, _)| *other == name);
            let meant = meant.map(|(_, meant)| format!("did you mean `{meant}`?"));
            self.error(span, format!("unknown key `{name}` in {place}"))
                .label("unknown key")
                .hint(meant.or_else(|| diagnostic::did_you_mean(name, known.iter().copied())));
        }
    }

    /// `what` names the value in messages, such as `` `source` ``.
    pub fn table<'a>(&mut self, value: &'a Value, what: &str) -> Option<&'a Table> {
        match &value.kind {
            Kind::Table(table) => Some(table),
            other => self.wrong_kind(value, what, "a table", other),
        }
    }

    pub fn text<'a>(&mut self, value: &'a Value, what: &str) -> Option<&'a Text> {
        match &value.kind {
            Kind::String(text) => Some(text),
            other => self.wrong_kind(value, what, "a string", other),
        }
    }

    pub fn boolean(&mut self, value: &Value, what: &str) -> Option<bool> {
        match &value.kind {
            Kind::Boolean(boolean) => Some(*boolean),
            other => self.wrong_kind(value, what, "true or false", other),
        }
    }

    /// A list of strings. A string alone is refused with the list that was meant.
    pub fn texts<'a>(&mut self, value: &'a Value, what: &str) -> Option<Vec<&'a Text>> {
        match &value.kind {
            Kind::Array(elements) => {
                let each = format!("each element of {what}");
                let texts: Vec<_> =
                    elements.iter().filter_map(|element| self.text(element, &each)).collect();
                (texts.len() == elements.len()).then_some(texts)
            }
            Kind::String(text) => {
                self.error(&value.span, format!("{what} must be a list of strings, not a string"))
                    .label("expected a list")
                    .hint(format!("write [{:?}]", text.value));
                None
            }
            other => self.wrong_kind(value, what, "a list of strings", other),
        }
    }

    fn wrong_kind<T>(&mut self, value: &Value, what: &str, wanted: &str, got: &Kind) -> Option<T> {
        self.error(&value.span, format!("{what} must be {wanted}, not {}", got.describe()))
            .label(format!("expected {wanted}"));
        None
    }

    fn add(&mut self, diagnostic: Diagnostic) -> Note<'_> {
        self.diagnostics.push(diagnostic);
        Note(self.diagnostics.last_mut().expect("one was just pushed"))
    }
}
