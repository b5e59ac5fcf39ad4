//! What is allowed and yet nearly surely a mistake. Told only of definitions without errors.
//!
//! There is no way to silence a warning, so each is certain of what it says: where an event, a row or another handler
//! could make a difference that cannot be seen here, nothing is said.

use crate::definition::handler::Draft;
use crate::definition::{
    Action, Assignment, Formula, Handler, Search, SearchField, Table, Target, Verb, View, variable,
};
use crate::syntax::Report;

/// Everything that is told of the handlers, beside each other.
pub(super) fn read(report: &mut Report, tables: &[Table], drafts: &[Draft], views: &[View]) {
    let handlers: Vec<&Handler> = drafts.iter().map(|draft| &draft.handler).collect();
    for (index, Draft { handler, target_span }) in drafts.iter().enumerate() {
        let table = &tables[handler.table];
        unindexed(report, table, handler);
        same_for_each(report, handler);
        if let Some(line) = never_finds(&handlers, index) {
            let message = format!("this handler never finds a row in `{}`", table.name);
            let label = format!("the handler on line {line} has removed it, for the same events");
            report.warning(target_span, message).label(label);
        } else if let Some(line) = never_creates(&handlers, index) {
            let message = format!("this handler never creates a row of `{}`", table.name);
            let label = format!("the handler on line {line} has created it, for the same events");
            report.warning(target_span, message).label(label);
        }
        overwritten(report, tables, &handlers, index);
        partial(report, table, drafts, index);
        comes_late(report, tables, &handlers, handler, views);
    }
}

/// A weight that weighs against nothing.
pub(super) fn weights(report: &mut Report, searches: &[Search]) {
    for search in searches {
        if let [SearchField { weight, .. }] = search.fields[..]
            && weight != 1.0
        {
            let message =
                format!("the weight does nothing: full-text index `{}` has one field", search.name);
            report.warning(&search.span, message).label("nothing to weigh it against");
        }
    }
}

/// A `where` for which every row is read.
fn unindexed(report: &mut Report, table: &Table, handler: &Handler) {
    let Target::Where(columns) = &handler.target else { return };
    let named = |column: &usize| columns.iter().any(|(named, _)| named == column);
    let mut sorted = std::iter::once(&table.key).chain(&table.indexes);
    if sorted.any(|index| index.first().is_some_and(named)) {
        return;
    }
    let Some((_, first)) = columns.first() else { return };
    let names: Vec<String> =
        columns.iter().map(|(column, _)| format!("{:?}", table.columns[*column].name)).collect();
    let message = format!("no index of `{}` helps this `where`", table.name);
    report
        .warning(&first.span, message)
        .label("each such event reads the whole table")
        .hint(format!("in [tables.{}]: indexes = [[{}]]", table.name, names.join(", ")));
}

/// A `for_each` that does the same for every element. Adding is not: it counts them.
fn same_for_each(report: &mut Report, handler: &Handler) {
    let Some(for_each) = &handler.for_each else { return };
    let adds = handler.assigned().any(|(_, action)| matches!(action, Action::Add | Action::Sub));
    let differs = uses(handler, variable::ITEM) || uses(handler, variable::INDEX);
    if !adds && !differs {
        report
            .warning(&for_each.span, "the handler does the same for every element")
            .label("nothing uses `$item` or `$index`")
            .hint(
                "`$item` is the element, `$index` its number: key.line = \"$index + 1\"".to_owned(),
            );
    }
}

/// The line of the handler that has removed the row that this one would change or remove.
fn never_finds(handlers: &[&Handler], index: usize) -> Option<usize> {
    let later = handlers[index];
    if !matches!(later.verb, Verb::Update | Verb::Delete) {
        return None;
    }
    let (at, earlier) = always_before(handlers, index, |verb| verb == Verb::Delete)?;
    let between = &handlers[at + 1..index];
    (!between.iter().any(|other| other.table == later.table && other.verb.creates()))
        .then_some(earlier.line)
}

/// The line of the handler that has created the row that this one would.
fn never_creates(handlers: &[&Handler], index: usize) -> Option<usize> {
    let later = handlers[index];
    if later.verb != Verb::Insert {
        return None;
    }
    let (at, earlier) = always_before(handlers, index, Verb::creates)?;
    let between = &handlers[at + 1..index];
    (!between.iter().any(|other| other.table == later.table && other.verb == Verb::Delete))
        .then_some(earlier.line)
}

/// The last handler above that has run, for the same row, whenever this one runs.
fn always_before<'a>(
    handlers: &[&'a Handler],
    index: usize,
    wanted: impl Fn(Verb) -> bool,
) -> Option<(usize, &'a Handler)> {
    let later = handlers[index];
    let earlier = handlers[..index].iter().enumerate().rev();
    earlier.map(|(at, earlier)| (at, *earlier)).find(|(_, earlier)| {
        wanted(earlier.verb)
            && runs_always(earlier)
            && takes_all_of(earlier, later)
            && same_row(earlier, later)
    })
}

/// Columns that are set in vain: a handler below sets them again, whatever the event.
fn overwritten(report: &mut Report, tables: &[Table], handlers: &[&Handler], index: usize) {
    let earlier = handlers[index];
    for Assignment { column, action, value } in &earlier.assignments {
        if !matches!(action, Action::Set | Action::SetOnce) {
            continue;
        }
        let below = handlers[index + 1..].iter().enumerate();
        let over = below.map(|(at, later)| (index + 1 + at, *later)).find(|(_, later)| {
            matches!(later.verb, Verb::Upsert | Verb::Update)
                && runs_always(later)
                && takes_all_of(later, earlier)
                && same_row(earlier, later)
                && later.assigned().any(|set| set == (*column, Action::Set))
        });
        let Some((at, later)) = over else { continue };
        // Whoever sees the row in between may have made something of it.
        let seen = handlers[index + 1..=at].iter().any(|other| {
            reads(other, earlier.table)
                || (other.table == earlier.table && uses(other, variable::ROW))
        });
        if !seen {
            let table = &tables[earlier.table];
            let name = &table.columns[*column].name;
            report
                .warning(&value.span, format!("what this sets in `{}.{name}` is lost", table.name))
                .label(format!(
                    "the handler on line {} sets it again, for the same events",
                    later.line
                ));
        }
    }
}

/// Two handlers that both create rows, each leaving to its default what the other finds worth setting and the table
/// says is required.
fn partial(report: &mut Report, table: &Table, drafts: &[Draft], index: usize) {
    let Draft { handler: later, target_span } = &drafts[index];
    let sets = |handler: &Handler, column: usize| {
        handler.assigned().any(|(assigned, action)| {
            assigned == column && matches!(action, Action::Set | Action::SetOnce)
        })
    };
    let missing = |from: &Handler, beside: &Handler| {
        let mut columns = (0..table.columns.len()).filter(|&column| {
            let required = table.columns[column].required && !table.key.contains(&column);
            required && sets(beside, column) && !sets(from, column)
        });
        columns.next().map(|column| table.columns[column].name.as_str())
    };
    if !later.verb.creates() {
        return;
    }
    for Draft { handler: earlier, .. } in &drafts[..index] {
        if earlier.table != later.table || !earlier.verb.creates() {
            continue;
        }
        if let (Some(here), Some(there)) = (missing(later, earlier), missing(earlier, later)) {
            let message = format!(
                "two handlers create rows of `{}`, and neither sets all that is required: this one leaves out `{here}`",
                table.name
            );
            report
                .warning(target_span, message)
                .label(format!("the handler on line {} leaves out `{there}`", earlier.line))
                .hint("let one of them create the row and the other `update` it, or let the columns be NULL: without `required`".to_owned());
            return;
        }
    }
}

/// A `lookup` into a table that other events fill, with nothing that makes good what it did not find.
///
/// Whoever says what counts without the row (`// "unknown"`, `// error(...)`, a condition) has thought of it.
fn comes_late(
    report: &mut Report,
    tables: &[Table],
    handlers: &[&Handler],
    handler: &Handler,
    views: &[View],
) {
    for (other, table) in tables.iter().enumerate() {
        let Some(formula) = copied(handler, other).filter(|_| other != handler.table) else {
            continue;
        };
        let writers = || handlers.iter().filter(|writer| writer.table == other);
        let by_others =
            writers().any(|writer| writer.verb.creates() && !takes_all_of(handler, writer));
        let repaired = handlers.iter().any(|late| {
            late.table == handler.table && writers().any(|writer| takes_some_of(late, writer))
        });
        let (name, own) = (&table.name, &tables[handler.table].name);
        let joined = views.iter().any(|view| names(view, name) && names(view, own));
        if !by_others || repaired || joined {
            continue;
        }
        report
            .warning(
                &formula.span,
                format!("if the row of `{name}` comes after this event, `{own}` never gets it"),
            )
            .label(format!("`{name}` is filled by other events"))
            .hint(format!(
                "`update` `{own}` by `where` on those, or join both in a view, or say what counts without the row: `// \"unknown\"`"
            ));
    }
}

/// The expression by which something of a row of another table ends in a column, if nothing reacts to its absence.
fn copied(handler: &Handler, other: usize) -> Option<&Formula> {
    let looks_up = |formula: &Formula| formula.expression.lookups().contains(&other);
    let lets: Vec<usize> = handler
        .lets
        .iter()
        .enumerate()
        .filter(|(_, binding)| looks_up(&binding.value))
        .map(|(number, _)| variable::LETS + number)
        .collect();
    let concerned = |formula: &&Formula| {
        looks_up(formula)
            || formula.expression.variables().iter().any(|(slot, _)| lets.contains(slot))
    };
    let sets = handler
        .assignments
        .iter()
        .filter(|assignment| matches!(assignment.action, Action::Set | Action::SetOnce));
    let sets = sets.map(|assignment| &assignment.value);
    let sets: Vec<&Formula> =
        handler.object.iter().map(|object| &object.value).chain(sets).filter(concerned).collect();
    let first = handler.formulas().find(|formula| looks_up(formula))?;
    let thought_of = handler.formulas().filter(concerned).any(|formula| {
        let text = formula.expression.text();
        let bound = handler.lets.iter().any(|binding| std::ptr::eq(&binding.value, formula));
        let set = sets.iter().any(|set| std::ptr::eq(*set, formula));
        text.contains("//") || text.contains("error(") || !(bound || set)
    });
    (!sets.is_empty() && !thought_of).then_some(first)
}

fn uses(handler: &Handler, slot: usize) -> bool {
    handler
        .formulas()
        .any(|formula| formula.expression.variables().iter().any(|(used, _)| *used == slot))
}

/// Whether it looks up rows of the table.
fn reads(handler: &Handler, table: usize) -> bool {
    handler.formulas().any(|formula| formula.expression.lookups().contains(&table))
}

fn runs_always(handler: &Handler) -> bool {
    handler.when.is_none() && handler.for_each.is_none()
}

fn takes_all_of(wide: &Handler, narrow: &Handler) -> bool {
    narrow.events.iter().all(|event| wide.events.iter().any(|other| other.covers(event)))
}

fn takes_some_of(one: &Handler, other: &Handler) -> bool {
    one.events
        .iter()
        .any(|event| other.events.iter().any(|wanted| event.covers(wanted) || wanted.covers(event)))
}

/// Whether both mean the row of one key, as far as their texts tell: of lets only the names are known.
fn same_row(one: &Handler, other: &Handler) -> bool {
    let (Target::Key(key), Target::Key(others)) = (&one.target, &other.target) else {
        return false;
    };
    one.table == other.table
        && other.for_each.is_none()
        && one.for_each.is_none()
        && key.len() == others.len()
        && key.iter().zip(others).all(|(one, other)| {
            one.expression.variables().is_empty()
                && one.expression.lookups().is_empty()
                && one.expression.text().trim() == other.expression.text().trim()
        })
}

/// Whether the SQL of a view has this word.
fn names(view: &View, table: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    view.sql.value.split(|c| !is_word(c)).any(|word| word.eq_ignore_ascii_case(table))
}
