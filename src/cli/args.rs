//! The command line, as clap reads it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Keeps SQLite views of NATS JetStream events current, exactly once, as declared in files.
#[derive(Debug, Parser)]
#[command(
    name = "viewd",
    version,
    max_term_width = 100,
    propagate_version = true,
    disable_help_subcommand = true
)]
pub(super) struct Arguments {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Args)]
pub(super) struct Global {
    /// The settings [default: config/viewd.toml].
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Overrides one setting, e.g. `--set data_dir=/srv/viewd` or `--set limits.heartbeat_ms=1000`.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
    /// Prints JSON, in a form that scripts may rely on.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// Prints results and errors only.
    #[arg(long, short, global = true)]
    pub(super) quiet: bool,
    /// Prints without colours (so does the variable NO_COLOR).
    #[arg(long, global = true)]
    pub(super) no_color: bool,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Runs the daemon.
    #[command(after_help = "\
Examples:
  viewd run
  viewd run --set data_dir=/srv/viewd
  viewd run --exit-when-caught-up     fill the views once, then end: for scripts and tests

Ends with 0 after SIGTERM or Ctrl-C, which let the running batch commit; a second one cuts that short.")]
    Run {
        /// Ends when each projection has reached the head that its stream had at the start: with 0, or with 3 if one
        /// has failed.
        #[arg(long)]
        exit_when_caught_up: bool,
    },
    /// Checks the settings and every definition; prints what is wrong as a compiler would.
    #[command(after_help = "\
Examples:
  viewd check
  viewd check --offline               without asking NATS whether streams exist and filters match
  viewd check --json                  one object a finding, for editors and CI")]
    Check {
        /// Does not ask NATS.
        #[arg(long)]
        offline: bool,
    },
    /// Shows where each projection stands: of the running daemon, else as the files say.
    #[command(after_help = "\
Examples:
  viewd status
  viewd status flights --json
  viewd status --watch                again every second until Ctrl-C")]
    Status {
        /// Only this one.
        projection: Option<String>,
        /// Shows it again every second.
        #[arg(long)]
        watch: bool,
    },
    /// Answers SQL from a projection's view, read-only; works with and without a daemon.
    #[command(after_help = "\
Examples:
  viewd query flights \"SELECT status, count(*) FROM board GROUP BY status\"
  viewd query flights \"SELECT * FROM carriers ORDER BY scheduled DESC\" --limit 5 --json")]
    Query {
        /// Whose view.
        projection: String,
        /// One SELECT over the projection's tables.
        sql: String,
        /// How many rows at most.
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
    },
    /// Shows the settings.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Prints the completions of a shell.
    #[command(after_help = "\
Example:
  viewd completions bash > /etc/bash_completion.d/viewd")]
    Completions { shell: clap_complete::Shell },
    /// Prints the version.
    Version,
}

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Prints every setting as it stands after all layers, secrets masked.
    Show {
        /// With where each value came from: default, file and line, environment variable or flag.
        #[arg(long)]
        origin: bool,
    },
}
