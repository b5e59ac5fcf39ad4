//! How a command ends when it does not succeed: one printer, and the exit code from the kind.

use std::process::ExitCode;

/// The kinds of failure, each with its exit code (after sysexits).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Unknown projection, index or id; a command line that says nothing.
    Usage = 2,
    /// A check, a test or a projection failed.
    FoundProblems = 3,
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
    /// None: everything has been printed already.
    error: Option<anyhow::Error>,
    hint: Option<String>,
}

impl Failure {
    pub(crate) fn new(kind: Kind, error: impl Into<anyhow::Error>) -> Self {
        Self { kind, error: Some(error.into()), hint: None }
    }

    /// What went wrong has been printed; only the code is left to give.
    pub(crate) fn printed(kind: Kind) -> Self {
        Self { kind, error: None, hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn hints(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    /// Prints `Error:`, what caused it, and `Hint:`, to stderr.
    #[expect(clippy::print_stderr, reason = "the one printer of errors")]
    pub(crate) fn report(self, color: bool) -> ExitCode {
        let paint = |code: &str, word: &str| {
            if color { format!("\u{1b}[{code}m{word}\u{1b}[0m") } else { word.to_owned() }
        };
        if let Some(error) = &self.error {
            eprintln!("{} {error}", paint("1;31", "Error:"));
            for cause in error.chain().skip(1) {
                eprintln!("{} {cause}", paint("31", "Caused by:"));
            }
        }
        if let Some(hint) = &self.hint {
            eprintln!("{} {hint}", paint("1;36", "Hint:"));
        }
        ExitCode::from(self.kind as u8)
    }
}
