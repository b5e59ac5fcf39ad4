//! `[[test]]`: events in, rows out. Whatever can be wrong without running it is told when the file is read.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::definition::expectation::{self, Relations};
use crate::definition::expected_search;
use crate::definition::json_line::{self, Member};
use crate::definition::{Definition, Expect, Test};
use crate::diagnostic;
use crate::event::time::Timestamp;
use crate::syntax::{Entry, Kind, Report, Table, Text, Value};

const KEYS: [&str; 5] = ["name", "given", "expect", "expect_search", "expect_error"];

/// The members of an event document that a test may give.
const EVENT: [&str; 9] =
    ["type", "subject", "data", "id", "time", "sequence", "stored_at", "headers", "attributes"];

/// Reads all tests.
pub(super) fn read(report: &mut Report, value: &Value, relations: Relations<'_>) -> Vec<Test> {
    let Kind::Array(tests) = &value.kind else {
        report
            .error(
                &value.span,
                format!("`test` must be a list of tests, not {}", value.kind.describe()),
            )
            .label("expected [[test]]")
            .hint("write [[test]], in two pairs of brackets: there may be several".to_owned());
        return Vec::new();
    };
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut read = Vec::new();
    for value in tests {
        let Some(table) = report.table(value, "a test") else { continue };
        report.unknown_keys(table, "a test", &KEYS);
        let name = read_name(report, value, table, &mut names);
        let test = Test {
            name: name.unwrap_or_default(),
            given: read_given(report, value, table),
            expect: expectation::read(report, table, relations),
            expect_search: expected_search::read(report, table, relations),
            expect_error: read_error(report, table),
            span: value.span.clone(),
        };
        let known = |entry: &Entry| KEYS.contains(&entry.key.name.as_str());
        if table.entries.iter().all(known) {
            check_sense(report, table, &test);
        }
        read.push(test);
    }
    read
}

fn read_name(
    report: &mut Report,
    value: &Value,
    table: &Table,
    names: &mut BTreeMap<String, usize>,
) -> Option<String> {
    let Some(given) = table.get("name") else {
        report
            .error(&value.span, "the test has no name")
            .label("no `name`")
            .hint("say what it shows: name = \"a paid order shows what was paid\"".to_owned());
        return None;
    };
    let text = report.text(given, "`name`")?;
    let name = text.value.trim();
    if name.is_empty() || name.contains('\n') {
        report
            .error(&text.span, "the name of a test must be one line of text")
            .label(if name.is_empty() { "empty" } else { "several lines" });
        return None;
    }
    let line = report.line(text.span.start);
    if let Some(first) = names.insert(name.to_owned(), line) {
        report
            .error(&text.span, format!("there is a test `{name}` already"))
            .label(format!("the first is on line {first}"));
    }
    Some(name.to_owned())
}

fn read_given(report: &mut Report, value: &Value, table: &Table) -> Vec<(String, Range<usize>)> {
    let example =
        "one event a line, between ''' and ''': {\"type\": \"OrderPlaced\", \"data\": {}}";
    let Some(given) = table.get("given") else {
        report
            .error(&value.span, "the test gives no events")
            .label("no `given`")
            .hint(example.to_owned());
        return Vec::new();
    };
    let Some(text) = lines_text(report, given, "`given`", example) else { return Vec::new() };
    let mut sequence = 0;
    let mut events = Vec::new();
    for (line, span) in json_line::lines(text) {
        let Some(members) = members(report, text, line, &span) else { break };
        check_event(report, &Line { text, start: span.start }, &members, &mut sequence);
        events.push((line.to_owned(), text.locate(span)));
    }
    events
}

/// A text with one JSON object a line.
pub(super) fn lines_text<'a>(
    report: &mut Report,
    value: &'a Value,
    what: &str,
    example: &str,
) -> Option<&'a Text> {
    if let Kind::String(text) = &value.kind {
        return Some(text);
    }
    report
        .error(
            &value.span,
            format!(
                "{what} must be a string with one JSON object a line, not {}",
                value.kind.describe()
            ),
        )
        .label("expected a string")
        .hint(example.to_owned());
    None
}

/// The members of a line; none if it is no object. What follows a broken line is often part of it: the caller stops.
pub(super) fn members<'a>(
    report: &mut Report,
    text: &Text,
    line: &'a str,
    span: &Range<usize>,
) -> Option<Vec<Member<'a>>> {
    match json_line::members(line) {
        Ok(members) => Some(members),
        Err(problem) => {
            let at = span.start + problem.at;
            let next = line[floor(line, problem.at)..].chars().next().map_or(0, char::len_utf8);
            let hint = match line[floor(line, problem.at)..].chars().next() {
                Some('\'') => "JSON has double quotes alone",
                _ => "each line is one whole JSON object",
            };
            report
                .error(&text.locate(at..at + next), problem.message)
                .label("not a JSON object")
                .hint(hint.to_owned());
            None
        }
    }
}

/// serde counts bytes: what it stops at may lie inside a character.
fn floor(line: &str, at: usize) -> usize {
    line.floor_char_boundary(at)
}

/// A line of a text, for places in it.
pub(super) struct Line<'a> {
    pub(super) text: &'a Text,
    pub(super) start: usize,
}

impl Line<'_> {
    pub(super) fn locate(&self, span: &Range<usize>) -> Range<usize> {
        self.text.locate(self.start + span.start..self.start + span.end)
    }
}

/// Checks an event document. `last` is the sequence of the one before.
fn check_event(report: &mut Report, line: &Line<'_>, members: &[Member<'_>], last: &mut u64) {
    check_repeated(report, line, members);
    let mut sequence = *last + 1;
    for member in members {
        let (name, span) = (member.name.as_ref(), line.locate(&member.value_span));
        let wrong = match name {
            "data" => None,
            "type" | "id" | "subject" => (!is_text(member)).then_some("a string"),
            "time" | "stored_at" => {
                let time = text_of(member).and_then(|text| Timestamp::parse(&text));
                time.is_none().then_some("a time like \"2013-01-31T05:00:00Z\"")
            }
            "headers" => (!is_text_object(member)).then_some("an object of strings"),
            "attributes" => (!member.value.starts_with('{')).then_some("an object"),
            "sequence" => match member.value.parse::<u64>() {
                Ok(given) if given > *last => {
                    sequence = given;
                    None
                }
                Ok(_) => Some("more than the one before"),
                Err(_) => Some("a whole number"),
            },
            "tokens" => {
                report
                    .error(&line.locate(&member.name_span), "`tokens` cannot be given")
                    .label("the subject, split at its dots")
                    .hint("give the `subject`".to_owned());
                continue;
            }
            _ => {
                report
                    .error(&line.locate(&member.name_span), format!("an event has no `{name}`"))
                    .label("unknown member")
                    .hint(event_hint(name));
                continue;
            }
        };
        if let Some(wanted) = wrong {
            report
                .error(&span, format!("`{name}` of an event must be {wanted}"))
                .label(format!("not {wanted}"));
        }
    }
    *last = sequence;
}

fn event_hint(name: &str) -> Option<String> {
    if let Some(meant) = diagnostic::nearest(name, EVENT) {
        return Some(format!("did you mean `{meant}`?"));
    }
    Some(format!("what happened goes into `data`: \"data\": {{{name:?}: ...}}"))
}

pub(super) fn check_repeated(report: &mut Report, line: &Line<'_>, members: &[Member<'_>]) {
    for (index, member) in members.iter().enumerate() {
        if members[..index].iter().any(|first| first.name == member.name) {
            report
                .error(
                    &line.locate(&member.name_span),
                    format!("`{}` is there twice in this line", member.name),
                )
                .label("second time");
        }
    }
}

fn text_of(member: &Member<'_>) -> Option<String> {
    serde_json::from_str(member.value).ok()
}

fn is_text(member: &Member<'_>) -> bool {
    text_of(member).is_some()
}

fn is_text_object(member: &Member<'_>) -> bool {
    serde_json::from_str::<BTreeMap<String, String>>(member.value).is_ok()
}

fn read_error(report: &mut Report, table: &Table) -> Option<Text> {
    let text = report.text(table.get("expect_error")?, "`expect_error`")?;
    if text.value.trim().is_empty() {
        report
            .error(&text.span, "`expect_error` is empty")
            .label("every reason contains this")
            .hint("write a part of the reason, such as \"is required\"".to_owned());
        return None;
    }
    Some(text.clone())
}

/// A test must say what comes out, and an error needs an event.
fn check_sense(report: &mut Report, table: &Table, test: &Test) {
    let says = |key: &str| {
        table.get(key).is_some_and(
            |value| !matches!(&value.kind, Kind::Table(expected) if expected.entries.is_empty()),
        )
    };
    if !["expect", "expect_search", "expect_error"].into_iter().any(says) {
        report
            .error(&test.span, "the test expects nothing")
            .label("neither `expect` nor `expect_search` nor `expect_error`")
            .hint("expect.orders = '''...''' says the rows, one JSON object a line".to_owned());
    }
    let given = table.get("given").map(|value| &value.kind);
    let no_events = matches!(given, Some(Kind::String(text)) if text.value.trim().is_empty());
    if let (Some(error), true) = (&test.expect_error, no_events) {
        report
            .error(&error.span, "`expect_error` without an event in `given`")
            .label("the last event must fail")
            .hint("give the event that fails as the last line of `given`".to_owned());
    }
}

impl Definition {
    /// What the tests expect of a view, for whoever knows its columns.
    pub(crate) fn expected_of<'a>(&'a self, view: &'a str) -> impl Iterator<Item = &'a Expect> {
        let expected = self.tests.iter().flat_map(|test| &test.expect);
        expected.filter(move |expect| expect.relation == view)
    }
}
