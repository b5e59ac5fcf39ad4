//! The command line, as clap reads it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::schema::Which;
use crate::api::search::asked::TREES;
use crate::definition::policy::duration;

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
  viewd check --json                  one document, {\"data\":[...]}, for editors and CI")]
    Check {
        /// Does not ask NATS.
        #[arg(long)]
        offline: bool,
    },
    /// Runs the tests in the definitions, in memory and without NATS.
    #[command(after_help = "\
Examples:
  viewd test
  viewd test orders --filter paid
  viewd test --junit target/viewd.xml

Each test runs again with its events split into batches everywhere, with a crash between them, and one event \
at a time: the rows must be the same. Ends with 3 if a test has failed.")]
    Test(Test),
    /// Shows messages of a source as handlers see them: one event document a line.
    #[command(after_help = "\
Examples:
  viewd events shop
  viewd events shop --last 1 | jq .data
  viewd events shop --from 1000 --subject 'shop.*.placed'
  viewd events shop --last 5 --as-test          as the start of a [[test]]")]
    Events(Events),
    /// Projects a slice of the real stream in memory; prints rows and dead letters.
    #[command(after_help = "\
Examples:
  viewd try orders
  viewd try orders --from 1 --count 100000 --limit 5
  viewd try orders --last 3 --as-test           as a [[test]] with what came out")]
    Try(Try),
    /// Says what the definitions on disk would change, and which part of each asks for it.
    #[command(after_help = "\
Examples:
  viewd plan
  viewd plan orders --json
  viewd plan --offline                without asking NATS what the streams still hold")]
    Plan {
        /// Only of these.
        #[arg(value_name = "PROJECTION")]
        projections: Vec<String>,
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
    /// Waits until a projection's view has a sequence of its stream, and says what became of the message.
    #[command(after_help = "\
Examples:
  viewd wait orders --sequence 1234
  viewd wait orders --sequence 1234 --timeout 2m --json

Publishing to JetStream answers with the sequence. Ends with 0 when the view has it (passed, dead_lettered, parked or \
skipped), with 4 if it has not in time or the stream ends before it, with 3 if the projection is failed or paused.")]
    Wait {
        /// Whose view.
        projection: String,
        /// The sequence of the projection's stream.
        #[arg(long, value_name = "N")]
        sequence: u64,
        /// How long at most: 500ms, 10s, 2m.
        #[arg(long, default_value = "10s", value_name = "TIME", value_parser = timeout)]
        timeout: Duration,
    },
    /// Builds views again from the stream, beside those that are served, and follows that to the end.
    #[command(after_help = "\
Examples:
  viewd rebuild orders
  viewd rebuild orders customers      at once, by one read of the stream
  viewd rebuild --all --detach        begins it and ends; `viewd status --watch` shows how far it is
  viewd rebuild orders --hold         builds it, and serves it when `viewd promote orders` says so

Readers notice nothing: the old view is served, and follows the stream, until the new one has caught up and takes its \
place in one step. Ctrl-C ends the command and not the rebuild; the same command follows it again.
Ends with 0 when it is served (or held), with 3 if it was refused, failed or cancelled, with 75 while something else is \
done to the projection.")]
    Rebuild(Rebuild),
    /// Serves a build that was held, or ends the pin of a rollback.
    #[command(after_help = "\
Example:
  viewd promote orders")]
    Promote {
        /// Whose build.
        projection: String,
    },
    /// Serves the generation before this one again, and keeps to it.
    #[command(after_help = "\
Examples:
  viewd rollback orders               the old generation catches up beside the serving one, then takes its place
  viewd rollback orders --now         it is served at once, as it stands, and catches up from there

The projection is pinned then: no restart, no reload and no rebuild.auto replaces what was rolled back to, until \
`viewd promote`, `viewd rebuild`, or a definition that is neither of the two.")]
    Rollback(Rollback),
    /// Ends what is being built for a projection, and leaves nothing of it.
    #[command(after_help = "\
Example:
  viewd cancel orders

What is served stays as it is. With nothing to cancel it says so and ends with 0.")]
    Cancel {
        /// Whose build.
        projection: String,
    },
    /// Lets a projection stand still, over restarts too, until `viewd resume`.
    #[command(after_help = "\
Example:
  viewd pause orders                  its view is served as it stands; the stream goes on without it")]
    Pause {
        /// Which one.
        projection: String,
    },
    /// Lets a paused projection go on.
    #[command(after_help = "\
Example:
  viewd resume orders")]
    Resume {
        /// Which one.
        projection: String,
    },
    /// Reads the settings and definitions on disk again, without a restart.
    #[command(after_help = "\
Examples:
  viewd plan && viewd reload          what would happen, then let it happen
  viewd reload --json

The same as SIGHUP. A file that is wrong is left out, and does not stop the others: its projection goes on as it was, \
and the command ends with 78.")]
    Reload,
    /// Removes retired generations, and views that no definition names any more.
    #[command(after_help = "\
Examples:
  viewd gc                            of all projections
  viewd gc orders                     of this one; of a view without a definition, all of it

What is served by a definition is never touched. Works without a daemon too.")]
    Gc {
        /// Only of this one.
        projection: Option<String>,
    },
    /// Goes on past a gap in the stream, or with a restored stream whose messages are the same.
    #[command(after_help = "\
Examples:
  viewd status                        says what is wrong, and whether `accept` mends it
  viewd accept orders

The messages that a gap took are gone: they are counted as missed. Of a stream that is another one nothing can be \
accepted, and the command ends with 3. With nothing to accept it says so and ends with 0.")]
    Accept {
        /// Which one; it has failed by `gap` or `source_changed`.
        projection: String,
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
    /// Finds rows by words, with a full-text index of a projection; works with and without a daemon.
    #[command(after_help = "\
Examples:
  viewd search shop orders blue shirt
  viewd search shop orders '\"blue shirt\" OR trousers -red' --highlight
  viewd search shop orders 'customer:ada ship*' --where status=eq.paid --order placed_at.desc
  viewd search shop orders --where total=gte.100 --facets status --total --limit 0
  viewd search shop orders ada --min-sequence 1234 --json
  viewd search shop orders shirt --order placed_at --limit 500 --cursor bSlX... --json
  viewd search shop orders --limit 5 -- -red shirt

Words must all be found, in any field; a phrase in quotes; pre* for a beginning; word~1 for a slip of one letter; \
field:word in that field alone; AND, OR, NOT, - and parentheses. Words that begin with - stand behind --, after all \
options. Conditions: column=eq.VALUE, neq, gt, gte, lt, lte, \
in.(a,b), like, ilike, is.null, each also after not. -- on the filters of the index, which --order and --facets take too.

It pages by itself, up to --limit; with `next` of --json, --cursor goes on behind its last row.

With --min-sequence, which a publish acknowledgement says, it waits until the index has that sequence, and ends with 4 \
if it has not in time. Ends with 69 while the index is made from the rows.")]
    Search(Search),
    /// Prints a canonical hash of each table: two builds of the same events have the same.
    #[command(after_help = "\
Examples:
  viewd digest orders
  viewd digest orders --at 1234 --json          as the view is at exactly this sequence

Neither the layout of the file nor the order in which rows were written counts. With --at the running daemon ends a \
batch at the sequence; ends with 3 if the view is past it, with 4 if it does not come to it in time.")]
    Digest(Digest),
    /// Checks a projection's view: its file, its counts, its indexes against its rows; prints its digest.
    #[command(after_help = "\
Examples:
  viewd verify orders
  viewd verify orders --deep                    builds it again beside, and compares row by row

Works with and without a daemon; --deep is carried out by the running one, and what it builds is never served. \
Ends with 3 if something is wrong.")]
    Verify {
        /// Whose view.
        projection: String,
        /// Builds it again from the stream, by the definition that it was built by, and compares.
        #[arg(long)]
        deep: bool,
    },
    /// Prints the JSON Schema of definitions or of viewd.toml, for editors.
    #[command(after_help = "\
Example:
  viewd schema > projections/projection.schema.json
  and in the first line of a definition:  #:schema ./projection.schema.json")]
    Schema {
        /// Of which file.
        #[arg(value_enum, default_value_t = Which::Definition)]
        which: Which,
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

#[derive(Debug, Args)]
pub(super) struct Search {
    /// Whose rows.
    pub(super) projection: String,
    /// A [search.*] of its definition.
    pub(super) index: String,
    /// What they are found by; left out: every row that the conditions let through.
    pub(super) words: Vec<String>,
    /// A condition on a filter of the index, e.g. `status=eq.paid`; all of them must hold.
    #[arg(long = "where", value_name = "COLUMN=CONDITION", value_parser = condition)]
    pub(super) filters: Vec<(String, String)>,
    /// Filters of the index, or _score, each with .asc or .desc [default: the best first, without words by key].
    #[arg(long, value_name = "COLUMNS")]
    pub(super) order: Option<String>,
    /// How many rows at most.
    #[arg(long, default_value_t = 50, value_name = "N")]
    pub(super) limit: usize,
    /// Goes on behind the last row of an answer with the same words, conditions and order: the `next` of its --json.
    #[arg(long, value_name = "NEXT")]
    pub(super) cursor: Option<String>,
    /// Shows where the words stand in the texts.
    #[arg(long)]
    pub(super) highlight: bool,
    /// Counts the values of these filters over all hits; the most frequent are shown.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub(super) facets: Vec<String>,
    /// Counts all hits.
    #[arg(long)]
    pub(super) total: bool,
    /// Waits until the index has this sequence of the projection's stream.
    #[arg(long, value_name = "N")]
    pub(super) min_sequence: Option<u64>,
    /// How long at most: 500ms, 10s, 2m.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = timeout, requires = "min_sequence")]
    pub(super) timeout: Duration,
}

#[derive(Debug, Args)]
pub(super) struct Digest {
    /// Of whose view.
    pub(super) projection: String,
    /// At exactly this sequence of its stream.
    #[arg(long, value_name = "N")]
    pub(super) at: Option<u64>,
    /// How long at most to wait for it: 500ms, 10s, 2m.
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = timeout, requires = "at")]
    pub(super) timeout: Duration,
}

#[derive(Debug, Args)]
pub(super) struct Rebuild {
    /// Which ones.
    #[arg(value_name = "PROJECTION", required_unless_present = "all", conflicts_with = "all")]
    pub(super) projections: Vec<String>,
    /// All of them.
    #[arg(long)]
    pub(super) all: bool,
    /// Ends as soon as it has begun.
    #[arg(long)]
    pub(super) detach: bool,
    /// Builds it up to the point where it could be served, and waits for `viewd promote`.
    #[arg(long)]
    pub(super) hold: bool,
    /// Consents to losing rows that rest on messages which the stream no longer holds.
    #[arg(long)]
    pub(super) forget: bool,
    /// Serves it whatever the checks before that find.
    #[arg(long)]
    pub(super) force: bool,
}

#[derive(Debug, Args)]
pub(super) struct Rollback {
    /// Which one.
    pub(super) projection: String,
    /// Serves it at once, as it stands: what it lacks is seen missing until it has caught up.
    #[arg(long)]
    pub(super) now: bool,
    /// Even where the stream no longer holds what it lacks: that is counted as missed.
    #[arg(long, requires = "now")]
    pub(super) accept_gap: bool,
}

#[derive(Debug, Args)]
pub(super) struct Test {
    /// Only the tests of these.
    #[arg(value_name = "PROJECTION")]
    pub(super) projections: Vec<String>,
    /// Only tests whose name contains this.
    #[arg(long, value_name = "TEXT")]
    pub(super) filter: Option<String>,
    /// Writes the results as JUnit XML too.
    #[arg(long, value_name = "FILE")]
    pub(super) junit: Option<PathBuf>,
}

/// Which messages of a stream: 20 to be shown, 1,000 to be tried, unless it is said.
#[derive(Debug, Clone, Args)]
pub(super) struct Slice {
    /// The newest so many [default: events: 20; try: 1000, with --as-test 100].
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "count"])]
    pub(super) last: Option<u64>,
    /// From this sequence on.
    #[arg(long, value_name = "SEQUENCE")]
    pub(super) from: Option<u64>,
    /// With --from: so many [default: as of --last].
    #[arg(long, value_name = "N", requires = "from")]
    pub(super) count: Option<u64>,
}

#[derive(Debug, Args)]
pub(super) struct Events {
    /// A [sources.*] of the settings.
    pub(super) source: String,
    #[command(flatten)]
    pub(super) slice: Slice,
    /// Only messages whose subject matches, with `*` and `>` as NATS has them.
    #[arg(long, value_name = "FILTER")]
    pub(super) subject: Option<String>,
    /// Prints a [[test]] that is given these events.
    #[arg(long)]
    pub(super) as_test: bool,
}

#[derive(Debug, Args)]
pub(super) struct Try {
    /// Which definition.
    pub(super) projection: String,
    #[command(flatten)]
    pub(super) slice: Slice,
    /// How many rows of each table, and how many dead letters, at most.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub(super) limit: usize,
    /// Prints a [[test]] that is given these events and expects what came out: all of it.
    #[arg(long, conflicts_with = "limit")]
    pub(super) as_test: bool,
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

fn condition(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=');
    let pair = pair.map(|(name, condition)| (name.trim().to_owned(), condition.to_owned()));
    // Any other parameter of the request has an option of its own.
    let pair = pair.filter(|(name, _)| !name.starts_with('_') || TREES.contains(&name.as_str()));
    pair.ok_or_else(|| "write a column and its condition, such as status=eq.paid".to_owned())
}

fn timeout(text: &str) -> Result<Duration, String> {
    duration(text).ok_or_else(|| "write 500ms, 10s or 2m".to_owned())
}
