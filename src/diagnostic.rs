//! What is wrong in something that an operator wrote, told as a compiler tells it.
//!
//! Every complaint about a file carries the bytes that it is about, so that the same value
//! can be printed with a caret under the culprit, or handed to an editor as line and column.
//! Nothing here decides whether something *is* wrong: that is for `config`, `definition`
//! and `projection`.

use std::ops::Range;
use std::sync::Arc;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use serde::Serialize;
use serde::ser::SerializeStruct;

/// A file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Source {
    /// The path as the operator would write it, which is how messages name the file.
    pub path: String,
    pub text: String,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// Where the culprit stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Bytes of a file.
    File { source: Arc<Source>, span: Range<usize> },
    /// Not in a file: an environment variable, a flag, a folder. The text names it.
    Outside(String),
}

/// A line and a column, both counted from 1; columns count characters, not bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// One thing that is wrong, or that may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    pub severity: Severity,
    pub place: Place,
    /// What is wrong, complete without the label and the hint: logs and JSON have only this.
    pub message: String,
    /// What the caret says; may be empty.
    pub label: String,
    /// What to do next, where that is known.
    pub hint: Option<String>,
}

impl Source {
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Arc<Self> {
        Arc::new(Self { path: path.into(), text: text.into() })
    }

    /// The line and column of a byte of the text.
    ///
    /// A byte past the end is taken as the end, one inside a character as that character's first.
    pub fn position(&self, byte: usize) -> Position {
        let before = &self.text[..floor_char(&self.text, byte)];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        Position {
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
        }
    }
}

impl Place {
    pub fn file(source: &Arc<Source>, span: Range<usize>) -> Self {
        Self::File { source: Arc::clone(source), span }
    }

    /// The place in a few words: `viewd.toml:3`, or ``environment variable `VIEWD_DATA_DIR` ``.
    pub fn describe(&self) -> String {
        match self {
            Self::File { source, span } => {
                format!("{}:{}", source.path, source.position(span.start).line)
            }
            Self::Outside(name) => name.clone(),
        }
    }
}

impl Diagnostic {
    pub fn error(
        source: &Arc<Source>,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self { label: label.into(), ..Self::at(Place::file(source, span), message) }
    }

    pub fn warning(
        source: &Arc<Source>,
        span: Range<usize>,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(source, span, message, label) }
    }

    /// An error at a place that need not be in a file.
    pub fn at(place: Place, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            place,
            message: message.into(),
            label: String::new(),
            hint: None,
        }
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// Where the culprit begins; none outside a file.
    pub fn start(&self) -> Option<Position> {
        match &self.place {
            Place::File { source, span } => Some(source.position(span.start)),
            Place::Outside(_) => None,
        }
    }

    /// Where the culprit ends: the position after its last character; none outside a file.
    pub fn end(&self) -> Option<Position> {
        match &self.place {
            Place::File { source, span } => Some(source.position(span.end)),
            Place::Outside(_) => None,
        }
    }
}

/// The form for editors and scripts: one flat object, `null` where there is no file.
impl Serialize for Diagnostic {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (start, end) = (self.start(), self.end());
        let file = match &self.place {
            Place::File { source, .. } => &source.path,
            Place::Outside(name) => name,
        };
        let mut object = serializer.serialize_struct("Diagnostic", 8)?;
        object.serialize_field("file", file)?;
        object.serialize_field("line", &start.map(|at| at.line))?;
        object.serialize_field("column", &start.map(|at| at.column))?;
        object.serialize_field("end_line", &end.map(|at| at.line))?;
        object.serialize_field("end_column", &end.map(|at| at.column))?;
        object.serialize_field("severity", &self.severity)?;
        object.serialize_field("message", &self.message)?;
        object.serialize_field("hint", &self.hint)?;
        object.end()
    }
}

/// Prints diagnostics for people, each followed by an empty line.
pub fn render(diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for diagnostic in diagnostics {
        out.push_str(&renderer.render(&[group(diagnostic)]));
        out.push_str("\n\n");
    }
    out
}

/// The known name that was probably meant: the nearest one, if it is near.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = name.to_lowercase();
    known
        .into_iter()
        .map(|candidate| {
            (strsim::damerau_levenshtein(&wanted, &candidate.to_lowercase()), candidate)
        })
        .filter(|(distance, candidate)| {
            // A third of the letters may be wrong: `colums` is `columns`, `on` is not `key`.
            *distance <= candidate.chars().count().max(wanted.chars().count()).div_ceil(3)
                && *distance < candidate.chars().count()
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The hint for a name that is not known: the one that was probably meant, else all there are.
pub fn did_you_mean<'a>(
    name: &str,
    known: impl IntoIterator<Item = &'a str> + Clone,
) -> Option<String> {
    if let Some(meant) = nearest(name, known.clone()) {
        return Some(format!("did you mean `{meant}`?"));
    }
    let all: Vec<String> = known.into_iter().map(|name| format!("`{name}`")).collect();
    (!all.is_empty()).then(|| format!("there are: {}", all.join(", ")))
}

fn group(diagnostic: &Diagnostic) -> Group<'_> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(diagnostic.message.as_str()));
    group = match &diagnostic.place {
        Place::File { source, span } => {
            let span = visible(&source.text, span.clone());
            let mark = AnnotationKind::Primary.span(span);
            let mark = if diagnostic.label.is_empty() {
                mark
            } else {
                mark.label(diagnostic.label.as_str())
            };
            group.element(
                Snippet::source(source.text.as_str()).path(source.path.as_str()).annotation(mark),
            )
        }
        Place::Outside(name) => group.element(Origin::path(name.as_str())),
    };
    match &diagnostic.hint {
        Some(hint) => group.element(Level::HELP.message(hint.as_str())),
        None => group,
    }
}

/// The part of a span that is worth a caret: within the text, on character bounds.
fn visible(text: &str, span: Range<usize>) -> Range<usize> {
    let start = floor_char(text, span.start);
    let end = floor_char(text, span.end.max(start));
    start..end.max(start)
}

fn floor_char(text: &str, byte: usize) -> usize {
    let mut byte = byte.min(text.len());
    while !text.is_char_boundary(byte) {
        byte -= 1;
    }
    byte
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new("x.toml", "a\nä = 1\r\n");
        for (byte, line, column) in
            [(0, 1, 1), (1, 1, 2), (2, 2, 1), (3, 2, 1), (4, 2, 2), (10, 3, 1), (99, 3, 1)]
        {
            assert_eq!(source.position(byte), Position { line, column }, "byte {byte}");
        }
    }

    #[test]
    fn the_nearest_name_must_be_near() {
        let known = ["description", "source", "subjects", "on", "key"];
        for (name, expected) in [
            ("descripton", Some("description")),
            ("Source", Some("source")),
            ("subject", Some("subjects")),
            ("no", Some("on")),
            ("kye", Some("key")),
            ("owner", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(name, known), expected, "{name}");
        }
    }

    #[test]
    fn what_is_outside_a_file_is_named() {
        let place = Place::Outside("environment variable `VIEWD_X`".to_owned());
        let diagnostic = Diagnostic::at(place, "unknown setting `x`").hint("leave it out");
        let printed = "error: unknown setting `x`\n\
                       --> environment variable `VIEWD_X`\n \
                       = help: leave it out\n\n";
        assert_eq!(render(std::slice::from_ref(&diagnostic), false), printed);
        assert!(render(&[diagnostic], true).contains("\u{1b}["));
    }

    #[test]
    fn odd_spans_are_printed_too() {
        for (text, span) in [("", 0..0), ("ä", 1..1), ("a", 5..9), ("a\n", 2..2), ("a\r\nb", 0..4)]
        {
            let source = Source::new("x.toml", text);
            let diagnostic = Diagnostic::warning(&source, span, "odd", "here");
            assert!(render(&[diagnostic], false).starts_with("warning: odd\n"), "{text:?}");
        }
    }
}
