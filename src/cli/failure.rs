//! How a command ends when it does not succeed: one printer, and the exit code from the kind.
//!
//! People read stderr. With `--json` a program reads stdout, and finds one document there whatever happens: what the
//! command gives, or the error, as `{"error":{"code","message","causes","hint","exit","diagnostics"}}`.

use std::process::ExitCode;

use super::output::Output;
use crate::diagnostic::{self, Diagnostic};

/// The kinds of failure, each with its exit code (after sysexits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Unknown projection, index or id; a command line that says nothing.
    Usage = 2,
    /// A check, a test or a projection failed.
    FoundProblems = 3,
    /// A wait ended before what was waited for.
    TimedOut = 4,
    /// The daemon or NATS cannot be reached.
    Unreachable = 69,
    /// A bug of viewd.
    Internal = 70,
    /// Disk full, I/O error, damaged file.
    Io = 74,
    /// The data directory is locked.
    Busy = 75,
    /// A file may not be read or written.
    Permission = 77,
    /// Settings or definitions are invalid: starting again cannot help.
    Configuration = 78,
    /// By a signal, before what was asked for was done.
    Interrupted = 130,
}

/// A command's failure, as it is printed.
#[derive(Debug)]
pub(crate) struct Failure {
    kind: Kind,
    /// None: people have been told already.
    error: Option<anyhow::Error>,
    hint: Option<String>,
    /// Of settings and definitions.
    diagnostics: Vec<Diagnostic>,
}

impl Kind {
    /// The word in JSON.
    fn code(self) -> &'static str {
        match self {
            Self::Usage => "usage",
            Self::FoundProblems => "found_problems",
            Self::TimedOut => "timed_out",
            Self::Unreachable => "unreachable",
            Self::Internal => "internal",
            Self::Io => "io",
            Self::Busy => "busy",
            Self::Permission => "permission",
            Self::Configuration => "configuration",
            Self::Interrupted => "interrupted",
        }
    }

    /// What there is to say where people have been told already.
    fn message(self) -> &'static str {
        match self {
            Self::FoundProblems => "problems were found",
            Self::Configuration => "settings or definitions are invalid",
            Self::Interrupted => "interrupted before it was done",
            _ => "it failed",
        }
    }
}

impl Failure {
    pub(crate) fn new(kind: Kind, error: impl Into<anyhow::Error>) -> Self {
        Self { kind, error: Some(error.into()), hint: None, diagnostics: Vec::new() }
    }

    /// What went wrong has been printed; only the code is left to give.
    pub(crate) fn printed(kind: Kind) -> Self {
        Self { kind, error: None, hint: None, diagnostics: Vec::new() }
    }

    /// Settings or definitions that are wrong, printed as a compiler would.
    pub(crate) fn invalid(diagnostics: Vec<Diagnostic>) -> Self {
        Self { kind: Kind::Configuration, error: None, hint: None, diagnostics }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn hints(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    pub(crate) fn exit(&self) -> ExitCode {
        ExitCode::from(self.kind as u8)
    }

    /// Prints `Error:`, what caused it, and `Hint:`, to stderr; with `--json` one object to stdout too, unless the
    /// command has printed its own.
    pub(crate) fn report(self, output: &Output) -> ExitCode {
        self.print(output);
        if output.json && !output.has_printed() {
            output.line(&self.json());
        }
        self.exit()
    }

    #[expect(clippy::print_stderr, reason = "the one printer of errors")]
    pub(crate) fn print(&self, output: &Output) {
        let text = self.text(output);
        if !text.is_empty() {
            eprintln!("{text}");
        }
    }

    /// What people read, on as many lines as it needs.
    fn text(&self, output: &Output) -> String {
        let color = output.color;
        let paint = |code: &str, word: &str| {
            if color { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
        };
        let mut lines = Vec::new();
        if !self.diagnostics.is_empty() {
            lines.push(diagnostic::render(&self.diagnostics, color).trim_end().to_owned());
        }
        if let Some(error) = &self.error {
            lines.push(format!("{} {error}", paint("1;31", "Error:")));
            let causes = error.chain().skip(1);
            lines.extend(causes.map(|cause| format!("{} {cause}", paint("31", "Caused by:"))));
        }
        if let Some(hint) = &self.hint {
            lines.push(format!("{} {}", paint("1;36", "Hint:"), output.told(hint)));
        }
        lines.join("\n")
    }

    /// What went wrong, in one line.
    pub(crate) fn message(&self) -> String {
        self.error
            .as_ref()
            .map_or_else(|| self.kind.message().to_owned(), |error| format!("{error:#}"))
    }

    pub(crate) fn json(&self) -> String {
        let message =
            self.error.as_ref().map_or_else(|| self.kind.message().to_owned(), ToString::to_string);
        let causes = self.error.iter().flat_map(|error| error.chain().skip(1));
        let causes: Vec<_> = causes.map(ToString::to_string).collect();
        serde_json::json!({ "error": {
            "code": self.kind.code(),
            "message": message,
            "causes": causes,
            "hint": self.hint,
            "exit": self.kind as u8,
            "diagnostics": self.diagnostics,
        }})
        .to_string()
    }
}
