//! What differs between the definition that a view was built by and the one on disk, in words.

use serde::Serialize;

use crate::definition::{Definition, Formula, Handler, Search, SearchField, Table, Target, View};
use crate::row::Cell;

/// The parts of a fingerprint, those that ask for more first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Part {
    Events,
    Rows,
    Shapes,
    Words,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Change {
    pub(super) part: Part,
    pub(super) what: String,
}

/// A handler as names and texts: what is compared.
type Lines = Vec<(String, String)>;

impl Part {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Rows => "rows",
            Self::Shapes => "shapes",
            Self::Words => "words",
        }
    }
}

impl Change {
    pub(super) fn unreadable() -> Self {
        let what = "this version of viewd cannot read the definition that the view was built by";
        Self { part: Part::Rows, what: what.to_owned() }
    }
}

/// Everything that counts and is otherwise.
pub(super) fn between(before: &Definition, now: &Definition) -> Vec<Change> {
    let mut changes = Changes(Vec::new());
    changes.events(before, now);
    changes.tables(before, now);
    changes.handlers(before, now);
    changes.shapes(before, now);
    changes.words(before, now);
    changes.0
}

struct Changes(Vec<Change>);

impl Changes {
    fn push(&mut self, part: Part, what: String) {
        self.0.push(Change { part, what });
    }

    fn value(&mut self, part: Part, name: &str, before: &str, now: &str) {
        if before != now {
            self.push(part, format!("{name}: {now}, was {before}"));
        }
    }

    fn events(&mut self, before: &Definition, now: &Definition) {
        let subjects = |definition: &Definition| {
            let mut subjects = definition.subjects.clone();
            subjects.sort();
            if subjects.is_empty() { "all".to_owned() } else { subjects.join(", ") }
        };
        self.value(Part::Events, "subjects", &subjects(before), &subjects(now));
        let on_error = |definition: &Definition| definition.policy.on_error.as_str();
        self.value(Part::Events, "policy.on_error", on_error(before), on_error(now));
    }

    fn tables(&mut self, before: &Definition, now: &Definition) {
        for table in &now.tables {
            match before.tables.iter().find(|earlier| earlier.name == table.name) {
                None => self.push(Part::Rows, format!("table `{}` is new", table.name)),
                Some(earlier) => self.table(earlier, table),
            }
        }
        for table in gone(&before.tables, &now.tables, |table| &table.name) {
            self.push(Part::Rows, format!("table `{}` is gone", table.name));
        }
    }

    fn table(&mut self, before: &Table, now: &Table) {
        let name = &now.name;
        let names = |table: &Table| {
            table.columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>()
        };
        let place = |what: &str| format!("table `{name}`: {what}");
        let key = |table: &Table| {
            let key = table.key.iter().map(|&column| table.columns[column].name.as_str());
            key.collect::<Vec<_>>().join(", ")
        };
        self.value(Part::Rows, &place("key"), &key(before), &key(now));
        for column in &now.columns {
            let Some(earlier) = before.columns.iter().find(|one| one.name == column.name) else {
                self.push(Part::Rows, place(&format!("column `{}` is new", column.name)));
                continue;
            };
            let place = place(&format!("column `{}`", column.name));
            let types = (earlier.column_type.to_string(), column.column_type.to_string());
            self.value(Part::Rows, &place, &types.0, &types.1);
            let required = |required| if required { "required" } else { "not required" };
            self.value(Part::Rows, &place, required(earlier.required), required(column.required));
            let default = |cell: &Option<Cell>| match cell {
                None => "none".to_owned(),
                Some(cell) => format!("{cell:?}"),
            };
            let defaults = (default(&earlier.default), default(&column.default));
            self.value(Part::Rows, &format!("{place}: default"), &defaults.0, &defaults.1);
        }
        for column in gone(&before.columns, &now.columns, |column| &column.name) {
            self.push(Part::Rows, place(&format!("column `{}` is gone", column.name)));
        }
        let (mut earlier, mut later) = (names(before), names(now));
        if earlier != later {
            let moved = (earlier.clone(), later.clone());
            earlier.sort();
            later.sort();
            if earlier == later {
                let what =
                    format!("columns: order is {}, was {}", moved.1.join(", "), moved.0.join(", "));
                self.push(Part::Rows, place(&what));
            }
        }
    }

    /// Handlers that are the same stand still; between them, one is another in the place of one.
    fn handlers(&mut self, before: &Definition, now: &Definition) {
        let lines = |definition: &Definition| -> Vec<Lines> {
            definition.handlers.iter().map(|handler| handler_lines(definition, handler)).collect()
        };
        let (earlier, later) = (lines(before), lines(now));
        let (mut i, mut j) = (0, 0);
        for (same_i, same_j) in
            common(&earlier, &later).into_iter().chain([(earlier.len(), later.len())])
        {
            while i < same_i && j < same_j {
                self.handler(&earlier[i], &later[j], &now.handlers[j]);
                (i, j) = (i + 1, j + 1);
            }
            for handler in &before.handlers[i..same_i] {
                let what =
                    format!("handler {} ({}) is gone", handler.number, summary(before, handler));
                self.push(Part::Rows, what);
            }
            for handler in &now.handlers[j..same_j] {
                let (number, line) = (handler.number, handler.line);
                let what =
                    format!("handler {number} (line {line}, {}) is new", summary(now, handler));
                self.push(Part::Rows, what);
            }
            (i, j) = (same_i + 1, same_j + 1);
        }
    }

    fn handler(&mut self, before: &Lines, now: &Lines, handler: &Handler) {
        let place = format!("handler {} (line {})", handler.number, handler.line);
        let text = |lines: &Lines, name: &str| {
            let line = lines.iter().find(|(known, _)| known == name);
            line.map_or_else(|| "none".to_owned(), |(_, text)| text.clone())
        };
        for (name, value) in now {
            self.value(Part::Rows, &format!("{place}: {name}"), &text(before, name), value);
        }
        for (name, value) in before {
            if !now.iter().any(|(known, _)| known == name) {
                self.push(Part::Rows, format!("{place}: {name} is gone, was {value}"));
            }
        }
        // What is left is the order of lets.
        if before != now && !self.0.iter().any(|change| change.what.starts_with(&place)) {
            self.push(Part::Rows, format!("{place}: let is in another order"));
        }
    }

    fn shapes(&mut self, before: &Definition, now: &Definition) {
        let indexes = |definition: &Definition| -> Vec<String> {
            let of_table = |table: &Table| -> Vec<String> {
                let names = |index: &Vec<usize>| {
                    let names = index.iter().map(|&column| table.columns[column].name.as_str());
                    format!("index of `{}` on {}", table.name, names.collect::<Vec<_>>().join(", "))
                };
                table.indexes.iter().map(names).collect()
            };
            definition.tables.iter().flat_map(of_table).collect()
        };
        let (earlier, later) = (indexes(before), indexes(now));
        for index in gone(&later, &earlier, |index| index) {
            self.push(Part::Shapes, format!("{index} is new"));
        }
        for index in gone(&earlier, &later, |index| index) {
            self.push(Part::Shapes, format!("{index} is gone"));
        }
        for view in &now.views {
            match before.views.iter().find(|earlier| earlier.name == view.name) {
                None => self.push(Part::Shapes, format!("view `{}` is new", view.name)),
                Some(earlier) => self.view(earlier, view),
            }
        }
        for view in gone(&before.views, &now.views, |view| &view.name) {
            self.push(Part::Shapes, format!("view `{}` is gone", view.name));
        }
        let order = |views: &[View]| views.iter().map(|view| view.name.clone()).collect::<Vec<_>>();
        let (earlier, later) = (order(&before.views), order(&now.views));
        let (mut earlier_sorted, mut later_sorted) = (earlier.clone(), later.clone());
        earlier_sorted.sort();
        later_sorted.sort();
        if earlier != later && earlier_sorted == later_sorted {
            self.push(Part::Shapes, "views are in another order".to_owned());
        }
        self.searches(before, now);
    }

    fn searches(&mut self, before: &Definition, now: &Definition) {
        for table in &now.tables {
            let earlier = before.tables.iter().find(|earlier| earlier.name == table.name);
            if let Some(earlier) = earlier.filter(|earlier| earlier.changes != table.changes) {
                let place = format!("table `{}`: changes", table.name);
                let (earlier, later) = (earlier.changes.to_string(), table.changes.to_string());
                self.value(Part::Shapes, &place, &earlier, &later);
            }
        }
        for search in &now.searches {
            let place = format!("full-text index `{}`", search.name);
            let Some(earlier) = before.searches.iter().find(|one| one.name == search.name) else {
                self.push(Part::Shapes, format!("{place} is new"));
                continue;
            };
            let (had, has) = (field_names(before, earlier), field_names(now, search));
            let earlier = search_parts(before, earlier, &has);
            let later = search_parts(now, search, &had);
            for ((part, what, before), (_, _, now)) in earlier.iter().zip(&later) {
                self.value(*part, &format!("{place}: {what}"), before, now);
            }
        }
        for search in gone(&before.searches, &now.searches, |search| &search.name) {
            self.push(Part::Shapes, format!("full-text index `{}` is gone", search.name));
        }
    }

    fn view(&mut self, before: &View, now: &View) {
        let name = &now.name;
        if before.sql.value.trim() != now.sql.value.trim() {
            self.push(Part::Shapes, format!("view `{name}`: its SQL"));
        }
        let key = |view: &View| {
            let key = view.key.iter().map(|column| column.value.as_str());
            let key = key.collect::<Vec<_>>().join(", ");
            if key.is_empty() { "none".to_owned() } else { key }
        };
        self.value(Part::Shapes, &format!("view `{name}`: key"), &key(before), &key(now));
        let columns = |view: &View| {
            let columns = view.columns.iter();
            let columns =
                columns.map(|(name, column_type)| format!("{} {column_type}", name.value));
            let columns = columns.collect::<Vec<_>>().join(", ");
            if columns.is_empty() { "none".to_owned() } else { columns }
        };
        self.value(
            Part::Shapes,
            &format!("view `{name}`: columns"),
            &columns(before),
            &columns(now),
        );
    }

    fn words(&mut self, before: &Definition, now: &Definition) {
        if before.description != now.description {
            self.push(Part::Words, "description".to_owned());
        }
        let (earlier, later) = (&before.policy, &now.policy);
        let number = |number: u64| number.to_string();
        let seconds = |span: std::time::Duration| format!("{} s", span.as_secs_f64());
        for (name, before, now) in [
            ("dead_letters_max", number(earlier.dead_letters_max), number(later.dead_letters_max)),
            ("on_gap", earlier.on_gap.as_str().to_owned(), later.on_gap.as_str().to_owned()),
            (
                "on_source_change",
                earlier.on_source_change.as_str().to_owned(),
                later.on_source_change.as_str().to_owned(),
            ),
            ("freshness", seconds(earlier.freshness), seconds(later.freshness)),
        ] {
            self.value(Part::Words, &format!("policy.{name}"), &before, &now);
        }
        let tests = |definition: &Definition| -> Vec<String> {
            let lines = |lines: &[(String, _)]| {
                lines
                    .iter()
                    .map(|(line, _): &(String, std::ops::Range<usize>)| line.clone())
                    .collect::<Vec<_>>()
            };
            let test = |test: &crate::definition::Test| {
                let expect: Vec<_> = test
                    .expect
                    .iter()
                    .map(|expect| (expect.relation.clone(), lines(&expect.rows)))
                    .collect();
                let error = test.expect_error.as_ref().map(|text| text.value.clone());
                let found: Vec<_> = test
                    .expect_search
                    .iter()
                    .map(|expect| (&expect.index, &expect.query.value, &expect.keys))
                    .collect();
                format!("{:?}", (&test.name, lines(&test.given), expect, found, error))
            };
            definition.tests.iter().map(test).collect()
        };
        if tests(before) != tests(now) {
            self.push(Part::Words, "tests".to_owned());
        }
    }
}

fn field_names<'a>(definition: &'a Definition, search: &Search) -> Vec<&'a str> {
    let columns = &definition.tables[search.table].columns;
    search.fields.iter().map(|field| columns[field.column].name.as_str()).collect()
}

/// What a full-text index says, part by part as the fingerprint takes it. The weight of a field that is not among the
/// `others` says nothing new: the field does.
fn search_parts(
    definition: &Definition,
    search: &Search,
    others: &[&str],
) -> [(Part, &'static str, String); 4] {
    let table = &definition.tables[search.table];
    let name = |column: usize| table.columns[column].name.as_str();
    let listed = |mut names: Vec<String>, sorted: bool| {
        if sorted {
            names.sort();
        }
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    };
    let field = |field: &SearchField| match field.language {
        Some(language) => format!("{} ({})", name(field.column), language.word()),
        None => name(field.column).to_owned(),
    };
    let weight = |field: &SearchField| format!("{} {}", name(field.column), field.weight);
    let fields = &search.fields;
    let common = fields.iter().filter(|field| others.contains(&name(field.column)));
    [
        (Part::Shapes, "table", table.name.clone()),
        (Part::Shapes, "fields", listed(fields.iter().map(field).collect(), true)),
        (
            Part::Shapes,
            "filters",
            listed(search.filters.iter().map(|&column| name(column).to_owned()).collect(), true),
        ),
        (Part::Words, "weights", listed(common.map(weight).collect(), false)),
    ]
}

/// Those of `all` that are not among `others`.
fn gone<'a, T, N: PartialEq + ?Sized + 'a>(
    all: &'a [T],
    others: &'a [T],
    name: impl Fn(&'a T) -> &'a N,
) -> Vec<&'a T> {
    let is_gone = |one: &&'a T| !others.iter().any(|other| name(other) == name(one));
    all.iter().filter(is_gone).collect()
}

/// The longest pairs of places, in order, that hold the same.
fn common(a: &[Lines], b: &[Lines]) -> Vec<(usize, usize)> {
    // How many pairs there are from these places on.
    let mut lengths = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            lengths[i][j] = if a[i] == b[j] {
                lengths[i + 1][j + 1] + 1
            } else {
                lengths[i + 1][j].max(lengths[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut pairs) = (0, 0, Vec::new());
    while i < a.len() && j < b.len() {
        if a[i] == b[j] {
            pairs.push((i, j));
            (i, j) = (i + 1, j + 1);
        } else if lengths[i + 1][j] >= lengths[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

fn summary(definition: &Definition, handler: &Handler) -> String {
    let events = handler.events.iter().map(|pattern| pattern.text.as_str());
    let events = events.collect::<Vec<_>>().join(", ");
    let table = &definition.tables[handler.table].name;
    format!("{} of `{table}` on {events}", handler.verb.as_str())
}

/// What a handler says, each key with its value as the fingerprint takes it.
fn handler_lines(definition: &Definition, handler: &Handler) -> Lines {
    let table = &definition.tables[handler.table];
    let formula = |formula: &Formula| format!("`{}`", formula.expression.text().trim());
    let mut events: Vec<_> = handler.events.iter().map(|pattern| pattern.text.clone()).collect();
    events.sort();
    let mut lines = vec![
        ("event".to_owned(), events.join(", ")),
        (handler.verb.as_str().to_owned(), format!("`{}`", table.name)),
    ];
    for (name, value) in [("when", &handler.when), ("for_each", &handler.for_each)] {
        lines.extend(value.iter().map(|value| (name.to_owned(), formula(value))));
    }
    lines.extend(handler.lets.iter().map(|one| (format!("let.{}", one.name), formula(&one.value))));
    let column = |index: usize| table.columns[index].name.as_str();
    match &handler.target {
        Target::Key(key) => {
            let key = table.key.iter().zip(key);
            lines.extend(
                key.map(|(&index, value)| (format!("key.{}", column(index)), formula(value))),
            );
        }
        Target::Where(columns) => {
            let columns = columns.iter();
            lines.extend(
                columns.map(|(index, value)| (format!("where.{}", column(*index)), formula(value))),
            );
        }
    }
    lines.extend(handler.object.iter().map(|object| ("set".to_owned(), formula(&object.value))));
    let mut assignments: Vec<_> = handler
        .assignments
        .iter()
        .map(|one| (format!("{}.{}", one.action.as_str(), column(one.column)), formula(&one.value)))
        .collect();
    // They come in the order of the table's columns, which is told of the table.
    assignments.sort();
    lines.extend(assignments);
    lines
}
