//! `[views.*]`, as far as only SQLite can tell: prepared over empty tables in memory when a definition is read.
//!
//! A view gives the same rows for the same tables, whenever and wherever it is read: no clock, no randomness, no state
//! of the connection, nothing but the definition's own tables and the views above it. Every column has a type, since
//! SQLite's own say nothing of decimals, booleans and times.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::{Connection, Statement};

use super::schema::{quoted, quoted_list, table_sql};
use super::sql_problem::clock::{Instants, is_compound, nested_compound};
use super::sql_problem::{self, Denied, Problem, Told, Wrong};
use super::sql_token::{Token, tokens};
use crate::definition::json_line;
use crate::definition::{Definition, Expect, Table, View, name};
use crate::diagnostic::{self, Diagnostic, Place};
use crate::row::ColumnType;

/// The columns of a view, in its order.
pub type Columns = Vec<(String, ColumnType)>;

/// Functions that give another value at another time or on another machine, or that reach outside the tables.
const DENIED_FUNCTIONS: [&str; 15] = [
    "current_date",
    "current_time",
    "current_timestamp",
    "random",
    "randomblob",
    "changes",
    "total_changes",
    "last_insert_rowid",
    "load_extension",
    "fts3_tokenizer",
    "sqlite_compileoption_get",
    "sqlite_compileoption_used",
    "sqlite_offset",
    "sqlite_source_id",
    "sqlite_version",
];

/// Tables that SQLite has by itself, besides those whose names start with `sqlite_` or `pragma_`.
const DENIED_TABLES: [&str; 3] = ["dbstat", "bytecode", "tables_used"];

/// A column that a SELECT gives.
struct Output {
    name: String,
    /// The column whose values these are, if they are a table's or an earlier view's own.
    origin: Option<Origin>,
    /// Its values are times for certain.
    instant: bool,
}

#[derive(Clone)]
struct Origin {
    /// The table or view.
    relation: String,
    column_type: ColumnType,
    instant: bool,
}

/// A view that later ones may read.
type Earlier = (String, Columns);

/// Everything that is wrong with the views of a definition that is right otherwise.
pub fn check(definition: &Definition) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    if definition.views.is_empty() {
        return found;
    }
    let mut bench = Bench::new(&definition.tables);
    for (index, view) in definition.views.iter().enumerate() {
        match bench.outputs(view) {
            Err(problem) => {
                let later = &definition.views[index + 1..];
                found.extend(bench.explain(problem, view, later).map(|told| {
                    let place = Place::file(&definition.source, told.span);
                    let diagnostic = Diagnostic::at(place, told.message);
                    Diagnostic { label: told.label, hint: told.hint, ..diagnostic }
                }));
                bench.broken.push(view.name.clone());
            }
            Ok(outputs) => {
                let before = found.len();
                check_outputs(definition, view, &outputs, &mut found);
                let instants = outputs.iter().map(|output| output.instant).collect();
                let columns = typed(view, outputs);
                if found.len() == before {
                    for expect in definition.expected_of(&view.name) {
                        check_expected(definition, view, &columns, expect, &mut found);
                    }
                }
                bench.add(view, columns, instants);
            }
        }
    }
    found
}

/// The columns of each view of a definition in which [`check`] found nothing.
pub fn columns(tables: &[Table], views: &[View]) -> Vec<Columns> {
    let mut bench = Bench::new(tables);
    for view in views {
        let outputs = bench.outputs(view).unwrap_or_default();
        let instants = outputs.iter().map(|output| output.instant).collect();
        let columns = typed(view, outputs);
        bench.add(view, columns, instants);
    }
    bench.views.into_iter().map(|(_, columns)| columns).collect()
}

/// The statement that makes a view.
pub(super) fn view_sql(view: &View) -> String {
    // What follows on the same line could be inside a comment of the SELECT's.
    format!("CREATE VIEW {} AS {}\n", quoted(&view.name), view.sql.value)
}

/// The tables of a definition, empty, and its views as far as they are right.
struct Bench<'a> {
    connection: Connection,
    tables: &'a [Table],
    views: Vec<Earlier>,
    /// Of each view's columns, whether they are times for certain.
    instants: Vec<Vec<bool>>,
    broken: Vec<String>,
}

impl<'a> Bench<'a> {
    fn new(tables: &'a [Table]) -> Self {
        let open = || {
            let connection = Connection::open_in_memory()?;
            // A name in double quotes that is no column would be a string.
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
            connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
            connection.execute_batch("PRAGMA trusted_schema = OFF;")?;
            for table in tables {
                connection.execute_batch(&table_sql(table))?;
            }
            Ok::<_, rusqlite::Error>(connection)
        };
        let connection = open().expect("SQLite makes the tables of a checked definition in memory");
        Self { connection, tables, views: Vec::new(), instants: Vec::new(), broken: Vec::new() }
    }

    /// Makes the view, for those below it: as an empty table, whose columns are its own, as a table's are.
    fn add(&mut self, view: &View, columns: Columns, instants: Vec<bool>) {
        let name = quoted(&view.name);
        let list = quoted_list(columns.iter().map(|(column, _)| column.as_str()));
        let stand_in =
            format!("{};\nDROP VIEW {name};\nCREATE TABLE {name} ({list});", view_sql(view));
        if self.connection.execute_batch(&stand_in).is_ok() {
            self.views.push((view.name.clone(), columns));
            self.instants.push(instants);
        } else {
            self.broken.push(view.name.clone());
        }
    }

    /// Whether the columns of this name are times, all of them; None if there are none.
    fn instant(&self, name: &str) -> Option<bool> {
        let tables = self.tables.iter().flat_map(|table| &table.columns);
        let tables = tables.map(|column| (&column.name, is_instant(column.column_type)));
        let views = self.views.iter().zip(&self.instants).flat_map(|((_, columns), instants)| {
            columns.iter().zip(instants).map(|((column, _), instant)| (column, *instant))
        });
        let mut same = tables.chain(views).filter(|(column, _)| column.eq_ignore_ascii_case(name));
        let (_, first) = same.next()?;
        Some(first && same.all(|(_, instant)| instant))
    }

    fn explain(&self, problem: Problem, view: &View, later: &[View]) -> Option<Told> {
        let tables = self.tables;
        let wrong = Wrong { view, tables, earlier: &self.views, broken: &self.broken, later };
        wrong.explain(problem)
    }

    /// The columns that a view's SELECT gives.
    fn outputs(&mut self, view: &View) -> Result<Vec<Output>, Problem> {
        let sql = view.sql.value.as_str();
        let tokens = tokens(sql);
        sql_problem::before(&tokens)?;
        if let Some(clock) = Instants::new(&tokens, &|name| self.instant(name)).clock() {
            return Err(Problem::Clock(clock));
        }
        let denied = Arc::new(Mutex::new(None));
        let noted = Arc::clone(&denied);
        let authorize = move |context: AuthContext<'_>| {
            let Some(reason) = deny(&context.action) else { return Authorization::Allow };
            noted.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
            Authorization::Deny
        };
        let authorizer = self.connection.authorizer(Some(authorize));
        authorizer.map_err(Problem::Sqlite)?;
        let outputs = self.prepare(sql);
        let release = self.connection.authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
        release.map_err(Problem::Sqlite)?;
        if let Some(denied) = denied.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(Problem::Denied(denied));
        }
        let mut outputs = outputs?;
        self.agree(sql, &tokens, &mut outputs);
        let instant = |name: &str| self.instant(name);
        let instants = Instants::new(&tokens, &instant);
        let several = tokens.iter().any(is_compound);
        for output in &mut outputs {
            let origin = output.origin.as_ref().is_some_and(|origin| origin.instant);
            output.instant = if several { origin } else { instants.name(&output.name) };
        }
        Ok(outputs)
    }

    /// Of several SELECTs SQLite tells the origins of the first: they count where those of the others have its type.
    /// Of those inside of others it tells one's, and not whose.
    fn agree(&self, sql: &str, tokens: &[Token<'_>], outputs: &mut [Output]) {
        let nothing = |outputs: &mut [Output]| {
            outputs.iter_mut().for_each(|output| output.origin = None);
        };
        if nested_compound(tokens) {
            return nothing(outputs);
        }
        let first = tokens.iter().find(|token| token.depth == 0 && token.is("select"));
        let with = first.map_or(0, |token| token.span.start);
        for index in 0..tokens.len() {
            if !is_compound(&tokens[index]) {
                continue;
            }
            let mut next = tokens[index + 1..].iter().skip_while(|token| token.is("all"));
            let Some(select) = next.next().filter(|token| token.is("select")) else {
                return nothing(outputs);
            };
            // The SELECTs after it do not change what its own columns are.
            let part = self.prepare(&format!("{}{}", &sql[..with], &sql[select.span.start..]));
            let mut part = part.unwrap_or_default().into_iter();
            for output in outputs.iter_mut() {
                let other = part.next().and_then(|other| other.origin);
                output.origin = output.origin.take().zip(other).and_then(|(own, other)| {
                    let instant = own.instant && other.instant;
                    (own.column_type == other.column_type).then_some(Origin { instant, ..own })
                });
            }
        }
    }

    fn prepare(&self, sql: &str) -> Result<Vec<Output>, Problem> {
        let statement = self.connection.prepare(sql).map_err(Problem::Sqlite)?;
        if statement.column_count() == 0 || !statement.readonly() {
            return Err(Problem::NoSelect);
        }
        if statement.parameter_count() > 0 {
            return Err(Problem::Parameters);
        }
        Ok(self.origins(&statement))
    }

    fn origins(&self, statement: &Statement<'_>) -> Vec<Output> {
        let outputs = statement.columns_with_metadata().map(|column| {
            let place = column.table_name().zip(column.origin_name());
            let origin = place.and_then(|(relation, name)| self.origin(relation, name));
            Output { name: column.name().to_owned(), origin, instant: false }
        });
        outputs.collect()
    }

    fn origin(&self, relation: &str, name: &str) -> Option<Origin> {
        if let Some(table) = self.tables.iter().find(|known| known.name == relation) {
            let column_type = table.columns.iter().find(|known| known.name == name)?.column_type;
            let instant = is_instant(column_type);
            return Some(Origin { relation: relation.to_owned(), column_type, instant });
        }
        let view = self.views.iter().position(|(known, _)| known == relation)?;
        let columns = &self.views[view].1;
        let column = columns.iter().position(|(known, _)| known == name)?;
        let (column_type, instant) = (columns[column].1, self.instants[view][column]);
        Some(Origin { relation: relation.to_owned(), column_type, instant })
    }
}

fn is_instant(column_type: ColumnType) -> bool {
    matches!(column_type, ColumnType::Timestamp | ColumnType::Date)
}

/// Why an action is none of a view's.
fn deny(action: &AuthAction<'_>) -> Option<Denied> {
    match action {
        AuthAction::Select | AuthAction::Recursive => None,
        AuthAction::Function { function_name } => {
            let name = function_name.to_ascii_lowercase();
            DENIED_FUNCTIONS.contains(&name.as_str()).then_some(Denied::Function(name))
        }
        AuthAction::Read { table_name, column_name } => {
            let name = table_name.to_ascii_lowercase();
            let own = name.starts_with("sqlite_") || name.starts_with("pragma_");
            if own || DENIED_TABLES.contains(&name.as_str()) {
                return Some(Denied::Table((*table_name).to_owned()));
            }
            // The number of a row depends on when it was written.
            (*column_name == "ROWID").then(|| Denied::RowNumber((*table_name).to_owned()))
        }
        _ => Some(Denied::Statement),
    }
}

/// The columns with their types: a table's own, or declared.
fn typed(view: &View, outputs: Vec<Output>) -> Columns {
    let columns = outputs.into_iter().map(|output| {
        let declared = view.columns.iter().find(|(name, _)| name.value == output.name);
        let own = output.origin.map(|origin| origin.column_type);
        // A column without any has been told.
        let column_type = own.or(declared.map(|(_, column_type)| *column_type));
        (output.name, column_type.unwrap_or(ColumnType::Json))
    });
    columns.collect()
}

/// Names, types and key, beside what the SELECT gives.
fn check_outputs(
    definition: &Definition,
    view: &View,
    outputs: &[Output],
    found: &mut Vec<Diagnostic>,
) {
    let source = &definition.source;
    for (index, output) in outputs.iter().enumerate() {
        check_name(definition, view, outputs, index, found);
        let declared = view.columns.iter().find(|(name, _)| name.value == output.name);
        match (&output.origin, declared) {
            (None, None) if name::problem(&output.name).is_none() => {
                let message =
                    format!("column `{}` of view `{}` has no type", output.name, view.name);
                let label = format!("no `columns.{}`", output.name);
                let diagnostic = Diagnostic::error(source, view.span.clone(), message, label);
                let hint = format!(
                    "only a table's own column has one by itself: write columns.{} = \"integer\", or what it is",
                    output.name
                );
                found.push(diagnostic.hint(hint));
            }
            (Some(origin), Some((name, column_type))) if origin.column_type != *column_type => {
                let own = origin.column_type;
                let message = format!("column `{}` is {own}, not {column_type}", output.name);
                let table = definition.tables.iter().any(|table| table.name == origin.relation);
                let kind = if table { "table" } else { "view" };
                let label = format!("its type is said by the {kind}");
                let diagnostic = Diagnostic::error(source, name.span.clone(), message, label);
                let hint =
                    format!("leave it out: it is the column of {kind} `{}`", origin.relation);
                found.push(diagnostic.hint(hint));
            }
            _ => {}
        }
    }
    let names = || outputs.iter().map(|output| output.name.as_str());
    let named = view.columns.iter().map(|(name, _)| name).chain(&view.key);
    for name in named {
        if !names().any(|known| known == name.value) {
            let message = format!("view `{}` has no column `{}`", view.name, name.value);
            let diagnostic =
                Diagnostic::error(source, name.span.clone(), message, "unknown column");
            let hint = diagnostic::did_you_mean(&name.value, names());
            found.push(Diagnostic { hint, ..diagnostic });
        }
    }
}

/// A column needs a name that needs no quotes, and that no other column has.
fn check_name(
    definition: &Definition,
    view: &View,
    outputs: &[Output],
    index: usize,
    found: &mut Vec<Diagnostic>,
) {
    let name = &outputs[index].name;
    if let Some(problem) = name::problem(name) {
        // SQLite names an expression by its text.
        let at = view.sql.value.find(name.as_str());
        let span = at.map_or(view.span.clone(), |at| view.sql.locate(at..at + name.len()));
        let word = tokens(&view.sql.value).iter().any(|token| token.bare() == name);
        let expression = at.is_some() && !word;
        let (message, label) = if expression {
            (format!("a column of view `{}` has no name", view.name), "an expression")
        } else {
            (format!("`{name}` cannot be the name of a column: {problem}"), "not a usable name")
        };
        let diagnostic = Diagnostic::error(&definition.source, span, message, label);
        let hint = "give it one in the SELECT: ... AS name".to_owned();
        found.push(diagnostic.hint(hint));
    }
    if outputs[..index].iter().any(|first| first.name.eq_ignore_ascii_case(name)) {
        let message = format!("view `{}` has two columns `{name}`", view.name);
        let diagnostic =
            Diagnostic::error(&definition.source, view.span.clone(), message, "second time");
        found.push(diagnostic.hint("give one of them another name in the SELECT: ... AS name"));
    }
}

/// A row that a test expects: its members are columns, with values that these can have.
fn check_expected(
    definition: &Definition,
    view: &View,
    columns: &Columns,
    expect: &Expect,
    found: &mut Vec<Diagnostic>,
) {
    let source = &definition.source;
    for (line, span) in &expect.rows {
        // Of a line with escapes only the whole is known.
        let exact = source.text.get(span.clone()) == Some(line.as_str());
        let place = |part: &std::ops::Range<usize>| {
            if exact { span.start + part.start..span.start + part.end } else { span.clone() }
        };
        for member in json_line::members(line).unwrap_or_default() {
            let Some((_, column_type)) = columns.iter().find(|(name, _)| *name == member.name)
            else {
                let message = format!("view `{}` has no column `{}`", view.name, member.name);
                let names = columns.iter().map(|(name, _)| name.as_str());
                let hint = diagnostic::did_you_mean(&member.name, names);
                let diagnostic =
                    Diagnostic::error(source, place(&member.name_span), message, "unknown column");
                found.push(Diagnostic { hint, ..diagnostic });
                continue;
            };
            if let Err(problem) = member.cell(*column_type) {
                let message = format!("`{}` is {column_type}: {problem}", member.name);
                let label = "no value of this column";
                found.push(Diagnostic::error(source, place(&member.value_span), message, label));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::fingerprint::Fingerprint;
    use crate::definition::parse;
    use crate::diagnostic::Source;
    use crate::store::layout::{Build, Generation};
    use crate::store::state::State;
    use crate::store::{query, schema};

    const TEXT: &str = r#"
        source = "shop"
        [tables.orders]
        key = ["id"]
        columns = { id = "integer", total = "decimal(2)", paid = "decimal(2)" }
        [[on]]
        event = "*"
        upsert = "orders"
        key.id = ".data.id"
        set = ".data | {total, paid}"
        [views.due]
        sql = "SELECT id, total, total - paid AS due FROM orders -- all of them"
        key = ["id"]
        columns.due = "decimal(2)"
        [views.largest]
        sql = "SELECT id, due AS most FROM due ORDER BY due DESC LIMIT 1;"
        columns.most = "decimal(2)"
    "#;

    #[test]
    fn views_are_made_with_their_columns_described() {
        let (definition, diagnostics) = parse(&Source::new("shop.toml", TEXT), "shop", &["shop"]);
        let definition = definition.unwrap_or_else(|| panic!("{diagnostics:?}"));
        assert_eq!(check(&definition), []);
        let text = |text: &str| text.to_owned();
        let fingerprint =
            Fingerprint { events: text("e"), rows: text("r"), shapes: text("s"), words: text("w") };
        let build = Build {
            projection: "shop",
            stream: "SHOP",
            definition: TEXT,
            source: "{}",
            engine: "e",
            fingerprint: &fingerprint,
            tables: &definition.tables,
            views: &definition.views,
            logged: Vec::new(),
        };
        let connection = Connection::open_in_memory().unwrap();
        schema::create(&connection, Generation(1), &build, State::Serving).unwrap();
        connection.execute_batch("INSERT INTO orders VALUES (1, 500, 100), (2, 900, 0)").unwrap();
        let most: (i64, i64) = connection
            .query_row("SELECT id, most FROM largest", (), |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap();
        assert_eq!(most, (2, 900));
        let mut statement = connection
            .prepare(
                "SELECT \"table\" || '.' || \"column\" || ' ' || type || ' ' || ifnull(key, '-') \
                 FROM _viewd_columns WHERE \"table\" <> 'orders' ORDER BY rowid",
            )
            .unwrap();
        let described = statement.query_map((), |row| row.get(0)).unwrap();
        let described: Vec<String> = described.map(Result::unwrap).collect();
        assert_eq!(
            described,
            [
                "due.id integer 1",
                "due.total decimal(2) -",
                "due.due decimal(2) -",
                "largest.id integer -",
                "largest.most decimal(2) -",
            ]
        );
        // Readers are shown them by their types, where they name them.
        let declared = query::declared(&connection).unwrap();
        for (sql, expected) in [
            ("SELECT due, id FROM due", "decimal(2), integer"),
            (
                "SELECT l.*, total FROM largest l JOIN orders USING (id)",
                "integer, decimal(2), decimal(2)",
            ),
            ("SELECT due * 2 AS due FROM due", "-"),
        ] {
            let statement = connection.prepare(sql).unwrap();
            let columns = query::columns(&statement, sql, &declared);
            let types = columns
                .iter()
                .map(|column| column.column_type.map_or("-".to_owned(), |known| known.to_string()));
            assert_eq!(types.collect::<Vec<_>>().join(", "), expected, "{sql}");
        }
    }
}
