//! What is wrong with the SQL of a view, in words for the one who wrote it.

pub(super) mod clock;

use std::ops::Range;

use self::clock::Clock;
use super::sql_token::{Kind, Token, tokens};
use super::view::Columns;
use crate::definition::{Table, View};
use crate::diagnostic;

/// What begins the parts of a SELECT.
const CLAUSES: [&str; 9] =
    ["SELECT", "FROM", "WHERE", "JOIN", "GROUP", "HAVING", "ORDER", "LIMIT", "UNION"];

const NO_CLOCK: &str = "views know no clock: give the column as it is, and compare it in the query that reads the view";

const INSTANTS_ONLY: &str = "a time function takes a timestamp or date column, whose name stands for nothing else in this SELECT; or a literal";

/// Why a SELECT cannot be a view.
#[derive(Debug)]
pub(super) enum Problem {
    Sqlite(rusqlite::Error),
    Denied(Denied),
    NoSelect,
    Parameters,
    Clock(Clock),
}

/// What the SELECT wanted and may not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    Function(String),
    Table(String),
    /// The row number of this table.
    RowNumber(String),
    /// Anything but reading.
    Statement,
}

/// A complaint, with its place in the file.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) span: Range<usize>,
    pub(super) message: String,
    pub(super) label: String,
    pub(super) hint: Option<String>,
}

/// A view whose SQL is wrong, and what it may read.
pub(super) struct Wrong<'a> {
    pub(super) view: &'a View,
    pub(super) tables: &'a [Table],
    pub(super) earlier: &'a [(String, Columns)],
    /// Views above whose own mistakes have been told.
    pub(super) broken: &'a [String],
    pub(super) later: &'a [View],
}

/// What can be told from the words alone.
pub(super) fn before(tokens: &[Token<'_>]) -> Result<(), Problem> {
    let first = tokens.first();
    if !first.is_some_and(|first| ["select", "with", "values"].iter().any(|word| first.is(word))) {
        return Err(Problem::NoSelect);
    }
    Ok(())
}

impl Wrong<'_> {
    /// None: it follows from a mistake that has been told.
    pub(super) fn explain(&self, problem: Problem) -> Option<Told> {
        let name = &self.view.name;
        let told = match problem {
            Problem::NoSelect => {
                let first = self.place(|_| true);
                told(first, format!("the SQL of view `{name}` must be a SELECT"), "not a SELECT")
                    .hint("write what the view shows: SELECT ... FROM ...".to_owned())
            }
            Problem::Parameters => {
                let is_mark = |token: &Token<'_>| {
                    ["?", ":", "@", "$"].iter().any(|mark| token.text.starts_with(mark))
                };
                told(self.place(is_mark), "a view has no parameters", "nobody gives it a value")
            }
            Problem::Clock(clock) => self.clock(clock),
            Problem::Denied(denied) => self.denied(denied),
            Problem::Sqlite(rusqlite::Error::MultipleStatement) => {
                let message = format!("the SQL of view `{name}` must be one SELECT");
                told(self.place(|token| token.text == ";"), message, "something follows this")
            }
            Problem::Sqlite(rusqlite::Error::SqlInputError { msg, offset, .. }) => {
                return self.sqlite(&msg, usize::try_from(offset).ok());
            }
            Problem::Sqlite(rusqlite::Error::SqliteFailure(_, Some(message))) => {
                return self.sqlite(&message, None);
            }
            Problem::Sqlite(error) => told(self.whole(), format!("SQL: {error}"), ""),
        };
        Some(told)
    }

    fn clock(&self, clock: Clock) -> Told {
        let name = &self.view.name;
        let text = |span: &Range<usize>| self.view.sql.value[span.clone()].to_owned();
        match clock {
            Clock::Asked(span) => {
                let message =
                    format!("`{}` makes view `{name}` depend on when it is read", text(&span));
                told(self.view.sql.locate(span), message, "the clock or the zone of the machine")
                    .hint(NO_CLOCK.to_owned())
            }
            Clock::Argument(span) => {
                let message = format!(
                    "`{}` may make view `{name}` depend on when it is read: the text `now` is the time of reading",
                    text(&span)
                );
                told(self.view.sql.locate(span), message, "not known to be a time")
                    .hint(INSTANTS_ONLY.to_owned())
            }
            Clock::Modifier(span) => {
                let message = format!(
                    "`{}` may make view `{name}` depend on where it is read: the text `localtime` is the zone of the machine",
                    text(&span)
                );
                told(self.view.sql.locate(span), message, "not a literal")
                    .hint("a time function's modifiers are literals, such as '+1 day'".to_owned())
            }
        }
    }

    fn denied(&self, denied: Denied) -> Told {
        let name = &self.view.name;
        match denied {
            Denied::Function(function) => {
                let message = format!("`{function}` makes view `{name}` depend on when it is read");
                let told = told(self.word(&function), message, "not the same at each reading");
                if function.starts_with("current_") { told.hint(NO_CLOCK.to_owned()) } else { told }
            }
            Denied::Table(table) => {
                // SQLite's own tables have several names.
                let tokens = tokens(&self.view.sql.value);
                let written = tokens.iter().find(|token| {
                    token.is(&table) || token.bare().to_ascii_lowercase().starts_with("sqlite_")
                });
                self.own_tables_only(written.map_or(table.as_str(), |token| token.bare()))
            }
            Denied::RowNumber(table) => {
                let named = |token: &Token<'_>| {
                    ["rowid", "oid", "_rowid_"].iter().any(|name| token.is(name))
                };
                let message = format!("view `{name}` reads the row number of table `{table}`");
                told(self.place(named), message, "depends on the order in which rows were written")
                    .hint(format!("the rows of `{table}` are known by its key"))
            }
            Denied::Statement => {
                let message = format!("the SQL of view `{name}` must be a SELECT");
                told(self.whole(), message, "does more than reading")
            }
        }
    }

    /// SQLite's message, read.
    fn sqlite(&self, message: &str, offset: Option<usize>) -> Option<Told> {
        let sql = &self.view.sql;
        let at = offset.filter(|&at| sql.value.is_char_boundary(at));
        let place = at.map(|at| {
            let tokens = tokens(&sql.value);
            let token = tokens.iter().find(|token| token.span.start == at);
            sql.locate(token.map_or(at..at, |token| token.span.clone()))
        });
        if let Some(name) = message.strip_prefix("no such table: ") {
            return self.no_such_table(name.trim_start_matches("main."));
        }
        if let Some(rest) = message.strip_prefix("no such column: ") {
            return Some(self.no_such_column(rest, place));
        }
        if let Some(name) = message.strip_prefix("no such function: ") {
            let told = told(
                self.word(name),
                format!("SQLite has no function `{name}`"),
                "unknown function",
            );
            let clock = name.eq_ignore_ascii_case("now");
            return Some(if clock { told.hint(NO_CLOCK.to_owned()) } else { told });
        }
        let near =
            message.strip_prefix("near \"").and_then(|rest| rest.strip_suffix("\": syntax error"));
        if let Some(near) = near {
            return Some(self.syntax(near, at));
        }
        if message.starts_with("unrecognized token: \"'") {
            let place = place.unwrap_or_else(|| self.whole());
            return Some(told(place, "SQL syntax: a string is never closed", "opened here"));
        }
        if message == "incomplete input" {
            let end = sql.value.trim_end().len();
            let message = "SQL syntax: the SELECT ends too early";
            return Some(told(sql.locate(end..end), message, "something is missing"));
        }
        Some(told(place.unwrap_or_else(|| self.whole()), format!("SQL: {message}"), ""))
    }

    /// A word of which SQLite can make nothing.
    fn syntax(&self, near: &str, at: Option<usize>) -> Told {
        let tokens = tokens(&self.view.sql.value);
        let index = tokens.iter().position(|token| match at {
            Some(at) => token.span.start == at,
            None => token.text == near,
        });
        let span = index.map(|index| self.view.sql.locate(tokens[index].span.clone()));
        let message = format!("SQL syntax: unexpected `{near}`");
        let told = told(span.unwrap_or_else(|| self.whole()), message, "not expected here");
        let before = index.and_then(|index| index.checked_sub(1)).map(|index| &tokens[index]);
        if before.is_some_and(|before| before.text == ",") {
            return told.hint("nothing stands between this and the comma before it".to_owned());
        }
        let known = |word: &str| CLAUSES.iter().any(|clause| word.eq_ignore_ascii_case(clause));
        // A misspelt clause is taken for a name, and what follows it is unexpected.
        let before = before.filter(|before| before.kind == Kind::Word && !known(before.text));
        let clause = before.and_then(|before| diagnostic::nearest(before.text, CLAUSES));
        let tables = self.tables.iter().map(|table| table.name.as_str());
        match (clause, diagnostic::nearest(near, tables)) {
            (Some(clause), _) => told.hint(format!("before it, did you mean `{clause}`?")),
            (None, Some(table)) if table != near => told.hint(format!("did you mean `{table}`?")),
            _ => told,
        }
    }

    fn no_such_column(&self, rest: &str, place: Option<Range<usize>>) -> Told {
        let name = rest.split(" - ").next().unwrap_or(rest);
        let bare = name.rsplit('.').next().unwrap_or(name).trim_matches('"');
        let place = place.unwrap_or_else(|| self.word(bare));
        if name.starts_with('"') {
            return told(
                place,
                format!("there is no column {name}"),
                "double quotes are for names",
            )
            .hint(format!("a string is written in single quotes: '{bare}'"));
        }
        let own = self.tables.iter().flat_map(|table| &table.columns);
        let own = own.map(|column| column.name.as_str());
        let seen = self.earlier.iter().flat_map(|(_, columns)| columns);
        let nearest = diagnostic::nearest(bare, own.chain(seen.map(|(name, _)| name.as_str())));
        let told = told(place, format!("there is no column `{name}` here"), "unknown column");
        match nearest {
            Some(name) if name != bare => told.hint(format!("did you mean `{name}`?")),
            _ => told,
        }
    }

    fn no_such_table(&self, name: &str) -> Option<Told> {
        if self.broken.iter().any(|broken| broken.eq_ignore_ascii_case(name)) {
            return None;
        }
        if name.starts_with('_') || name.to_ascii_lowercase().starts_with("sqlite_") {
            return Some(self.own_tables_only(name));
        }
        let hint = if self.later.iter().any(|view| view.name.eq_ignore_ascii_case(name)) {
            Some(format!("move view `{name}` up: a view sees only those above it"))
        } else if self.view.name.eq_ignore_ascii_case(name) {
            Some("a view cannot read itself".to_owned())
        } else {
            let tables = self.tables.iter().map(|table| table.name.as_str());
            let views = self.earlier.iter().map(|(name, _)| name.as_str());
            diagnostic::did_you_mean(name, tables.chain(views))
        };
        let bare = name.rsplit('.').next().unwrap_or(name);
        let told =
            told(self.word(bare), format!("there is no table or view `{name}`"), "unknown table");
        Some(Told { hint, ..told })
    }

    fn own_tables_only(&self, name: &str) -> Told {
        let tables: Vec<String> =
            self.tables.iter().map(|table| format!("`{}`", table.name)).collect();
        told(
            self.word(name),
            format!("view `{}` cannot read `{name}`", self.view.name),
            "not a table of this definition",
        )
        .hint(format!("there are: {}", tables.join(", ")))
    }

    fn whole(&self) -> Range<usize> {
        self.view.sql.span.clone()
    }

    /// The first name or word of this text.
    fn word(&self, name: &str) -> Range<usize> {
        self.place(|token| token.kind != Kind::Text && token.bare().eq_ignore_ascii_case(name))
    }

    fn place(&self, wanted: impl Fn(&Token<'_>) -> bool) -> Range<usize> {
        let tokens = tokens(&self.view.sql.value);
        let found = tokens.iter().find(|token| wanted(token));
        found.map_or_else(|| self.whole(), |token| self.view.sql.locate(token.span.clone()))
    }
}

impl Told {
    fn hint(self, hint: String) -> Self {
        Self { hint: Some(hint), ..self }
    }
}

fn told(span: Range<usize>, message: impl Into<String>, label: &str) -> Told {
    Told { span, message: message.into(), label: label.to_owned(), hint: None }
}
