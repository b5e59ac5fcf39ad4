//! The results of tests for programs: JSON, and JUnit's XML for CI.

use serde::Serialize;
use serde_json::value::RawValue;

use super::Ran;
use super::diff::{self, Paint};
use crate::trial::expect::Difference;
use crate::trial::outcome::Members;
use crate::trial::test::{Doubt, Problem};

/// `{"data":[...],"passed":N,"failed":N}`, one element a test.
pub(super) fn json(ran: &[Ran]) -> String {
    let failed = ran.iter().filter(|ran| !ran.passed()).count();
    let data = ran.iter().map(test).collect();
    let report = Report { data, passed: ran.len() - failed, failed };
    serde_json::to_string(&report).expect("a report is plain data")
}

#[derive(Serialize)]
struct Report<'a> {
    data: Vec<Test<'a>>,
    passed: usize,
    failed: usize,
}

#[derive(Serialize)]
struct Test<'a> {
    projection: &'a str,
    test: &'a str,
    file: &'a str,
    line: usize,
    passed: bool,
    milliseconds: f64,
    failures: Vec<Failure<'a>>,
    warnings: Vec<Warning<'a>>,
}

#[derive(Serialize)]
struct Failure<'a> {
    kind: &'static str,
    line: usize,
    message: String,
    detail: Option<&'a str>,
    relation: Option<&'a str>,
    rows: Vec<Row>,
}

/// Values as they stand: numbers of any length come through.
#[derive(Serialize)]
struct Row {
    change: &'static str,
    key: Option<Box<RawValue>>,
    expected: Option<Box<RawValue>>,
    found: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Warning<'a> {
    /// An event that is published twice.
    Event {
        event: usize,
        #[serde(rename = "type")]
        type_name: &'a str,
        tables: &'a [String],
        message: String,
    },
    /// A query that may not be meant.
    Query { index: &'a str, query: &'a str, message: &'a str },
}

fn test(ran: &Ran) -> Test<'_> {
    let doubts = ran.report.doubts.iter().flat_map(|Doubt { index, query, warnings }| {
        let query = &query.value;
        warnings.iter().map(move |message| Warning::Query { index, query, message })
    });
    let warnings = ran.report.warnings.iter().map(|repeated| Warning::Event {
        event: repeated.index + 1,
        type_name: &repeated.type_name,
        tables: &repeated.tables,
        message: format!("published twice, it changes {}", repeated.tables.join(", ")),
    });
    Test {
        projection: &ran.definition.name,
        test: &ran.test().name,
        file: &ran.definition.source.path,
        line: ran.line(),
        passed: ran.passed(),
        milliseconds: (ran.report.took.as_secs_f64() * 1e6).round() / 1e3,
        failures: ran.report.problems.iter().map(|problem| failure(ran, problem)).collect(),
        warnings: warnings.chain(doubts).collect(),
    }
}

fn failure<'a>(ran: &Ran, problem: &'a Problem) -> Failure<'a> {
    let (kind, relation, detail) = match problem {
        Problem::Given { problem, .. } => ("given", None, Some(problem)),
        Problem::Rows { relation, .. } => ("rows", Some(relation), None),
        Problem::Found { index, .. } => ("found", Some(index), None),
        Problem::Query { index, refused, .. } => ("query", Some(index), Some(&refused.detail)),
        Problem::View { relation, problem, .. } => ("view", Some(relation), Some(problem)),
        Problem::SetAside { letter, .. } => ("set_aside", None, Some(&letter.reason)),
        Problem::Stopped { reason } => ("stopped", None, Some(reason)),
        Problem::NoError { found, .. } => ("no_error", None, found.as_ref()),
        Problem::Variant { .. } => ("variant", None, None),
        Problem::Store { problem } => ("store", None, Some(problem)),
    };
    let rows = match problem {
        Problem::Rows { differences, .. } | Problem::Found { differences, .. } => {
            differences.iter().map(row).collect()
        }
        _ => Vec::new(),
    };
    Failure {
        kind,
        line: diff::line_number(ran, problem),
        message: diff::headline(ran, problem),
        detail: detail.map(String::as_str),
        relation: relation.map(String::as_str),
        rows,
    }
}

fn row(difference: &Difference) -> Row {
    let (change, key, expected, found) = match difference {
        Difference::Missing { expected, .. } => ("missing", None, Some(expected), None),
        Difference::Unexpected { found } => ("unexpected", None, None, Some(found)),
        Difference::Different { key, expected, found, .. } => {
            ("different", Some(key), Some(expected), Some(found))
        }
        Difference::Unfit { .. } => ("unfit", None, None, None),
    };
    let raw = |members: Option<&Members>| {
        members.and_then(|members| RawValue::from_string(members.to_string()).ok())
    };
    Row { change, key: raw(key), expected: raw(expected), found: raw(found) }
}

/// One `testsuite` a projection, as GitLab, Jenkins and GitHub's reporters read it.
pub(super) fn junit(ran: &[Ran]) -> String {
    let seconds =
        |tests: &[&Ran]| -> f64 { tests.iter().map(|ran| ran.report.took.as_secs_f64()).sum() };
    let head = |name: &str, tests: &[&Ran]| {
        let failed = tests.iter().filter(|ran| !ran.passed()).count();
        let (name, count, time) = (escaped(name), tests.len(), seconds(tests));
        format!(
            "name=\"{name}\" tests=\"{count}\" failures=\"{failed}\" errors=\"0\" time=\"{time:.3}\""
        )
    };
    let all: Vec<&Ran> = ran.iter().collect();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    text += &format!("<testsuites {}>\n", head("viewd", &all));
    for suite in all.chunk_by(|a, b| a.definition.name == b.definition.name) {
        text += &format!("  <testsuite {}>\n", head(&suite[0].definition.name, suite));
        suite.iter().for_each(|ran| text += &testcase(ran));
        text += "  </testsuite>\n";
    }
    text + "</testsuites>\n"
}

fn testcase(ran: &Ran) -> String {
    let (class, name) = (escaped(&ran.definition.name), escaped(&ran.test().name));
    let (file, line) = (escaped(&ran.definition.source.path), ran.line());
    let time = ran.report.took.as_secs_f64();
    let head = format!(
        "    <testcase classname=\"{class}\" name=\"{name}\" file=\"{file}\" line=\"{line}\" time=\"{time:.3}\""
    );
    let Some(first) = ran.report.problems.first() else { return format!("{head}/>\n") };
    let message = escaped(&diff::headline(ran, first));
    let text = escaped(&diff::text(ran, Paint(false)));
    format!("{head}>\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>\n")
}

/// Text as XML takes it: what no XML document can hold is left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' => escaped.push(char),
            '\u{fffe}' | '\u{ffff}' => {}
            char if char.is_control() => {}
            char => escaped.push(char),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_holds_any_text() {
        assert_eq!(escaped("a<b>&\"c\u{0}\u{1b}\n"), "a&lt;b&gt;&amp;&quot;c\n");
    }
}
