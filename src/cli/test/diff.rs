//! Why a test has failed, for people: what was expected beside what is there, and only where they differ.

use std::fmt::Write as _;

use super::Ran;
use crate::trial::expect::Difference;
use crate::trial::outcome::Members;
use crate::trial::test::Problem;

/// Colours, if wanted.
#[derive(Clone, Copy)]
pub(super) struct Paint(pub(super) bool);

/// Rows of one table that are shown: who has more than these has another problem than the rest of them.
const DIFFERENCES_MAX: usize = 20;

impl Paint {
    pub(super) fn good(self, text: &str) -> String {
        self.with("32", text)
    }

    pub(super) fn bad(self, text: &str) -> String {
        self.with("31", text)
    }

    fn strong(self, text: &str) -> String {
        self.with("1", text)
    }

    fn with(self, code: &str, text: &str) -> String {
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// A failed test with all its problems, each at its line.
pub(super) fn text(ran: &Ran, paint: Paint) -> String {
    let mut text = String::new();
    let name = format!("{}: {}", ran.definition.name, ran.test().name);
    line(&mut text, 0, &paint.strong(&name));
    line(&mut text, 1, &format!("--> {}:{}", ran.definition.source.path, ran.line()));
    for problem in &ran.report.problems {
        describe(&mut text, ran, problem, paint);
    }
    ran.untaken.iter().for_each(|untaken| line(&mut text, 1, untaken));
    text
}

fn describe(text: &mut String, ran: &Ran, problem: &Problem, paint: Paint) {
    line(text, 1, &format!("{} ({})", headline(ran, problem), place(ran, problem)));
    match problem {
        Problem::Rows { differences, .. } | Problem::Found { differences, .. } => {
            for difference in differences.iter().take(DIFFERENCES_MAX) {
                row(text, ran, difference, paint);
            }
            if let more @ 1.. = differences.len().saturating_sub(DIFFERENCES_MAX) {
                line(text, 2, &format!("... and {more} more"));
            }
            if let Problem::Found { warnings, .. } = problem {
                warnings.iter().for_each(|warning| line(text, 2, &format!("warning: {warning}")));
            }
        }
        Problem::SetAside { letter, .. } => line(text, 2, &paint.bad(&letter.reason)),
        Problem::Stopped { reason } => line(text, 2, &paint.bad(reason)),
        Problem::NoError { found, .. } => {
            if let Some(found) = found {
                line(text, 2, &paint.bad(found));
            }
        }
        Problem::Query { refused, .. } => {
            line(text, 2, &paint.bad(&refused.detail));
            problem.hint().into_iter().for_each(|hint| line(text, 2, hint));
        }
        Problem::Given { problem, .. }
        | Problem::View { problem, .. }
        | Problem::Store { problem } => line(text, 2, &paint.bad(problem)),
        Problem::Variant { .. } => line(text, 2, problem.hint().unwrap_or_default()),
    }
}

/// What is wrong, in one line without the values.
pub(super) fn headline(ran: &Ran, problem: &Problem) -> String {
    let event = |index: usize| format!("event {} of {}", index + 1, ran.test().given.len());
    match problem {
        Problem::Given { index, .. } => format!("{} is none", event(*index)),
        Problem::Rows { relation, differences, .. } => {
            format!("`{relation}`: {}", counts(differences))
        }
        Problem::Found { index, query, differences, .. } => {
            format!("full-text index `{index}` on `{}`: {}", query.value, counts(differences))
        }
        Problem::Query { index, query, .. } => {
            format!("full-text index `{index}` refuses `{}`", query.value)
        }
        Problem::View { relation, .. } => format!("`{relation}` cannot be read"),
        Problem::SetAside { index, letter } => {
            let what = letter.type_name.as_deref().unwrap_or("a message");
            let event = index.map_or_else(|| "an event".to_owned(), event);
            format!("{event} ({what}) was set aside: {}", letter.state.word())
        }
        Problem::Stopped { .. } => {
            "the projection stops: policy.on_error is `halt`, or too much was set aside".to_owned()
        }
        Problem::NoError { found: None, expected } => {
            format!("the last event did not fail with `{expected}`")
        }
        Problem::NoError { found: Some(_), expected } => {
            format!("the last event failed for another reason than `{expected}`")
        }
        Problem::Variant { variant, what } => {
            format!("{} come to something else when applied otherwise: {variant}", what.join(", "))
        }
        Problem::Store { .. } => "the view could not be written".to_owned(),
    }
}

/// The line of the file that a problem is about.
pub(super) fn line_number(ran: &Ran, problem: &Problem) -> usize {
    let given = |index: Option<usize>| index.and_then(|index| ran.test().given.get(index));
    match problem {
        Problem::Rows { span, .. } | Problem::View { span, .. } | Problem::Found { span, .. } => {
            ran.line_of(span.start)
        }
        Problem::Query { query, .. } => ran.line_of(query.span.start),
        Problem::Given { index, .. } => {
            given(Some(*index)).map_or(ran.line(), |(_, span)| ran.line_of(span.start))
        }
        Problem::SetAside { index, .. } => {
            given(*index).map_or(ran.line(), |(_, span)| ran.line_of(span.start))
        }
        Problem::NoError { .. } => {
            let expected = ran.test().expect_error.as_ref();
            expected.map_or(ran.line(), |text| ran.line_of(text.span.start))
        }
        Problem::Stopped { .. } | Problem::Variant { .. } | Problem::Store { .. } => ran.line(),
    }
}

fn place(ran: &Ran, problem: &Problem) -> String {
    format!("line {}", line_number(ran, problem))
}

fn counts(differences: &[Difference]) -> String {
    let count = |is: fn(&Difference) -> bool| differences.iter().filter(|one| is(one)).count();
    let rows = |count: usize| if count == 1 { "1 row".to_owned() } else { format!("{count} rows") };
    let parts = [
        (count(|one| matches!(one, Difference::Different { .. })), "otherwise than expected"),
        (count(|one| matches!(one, Difference::Missing { .. })), "missing"),
        (count(|one| matches!(one, Difference::Unexpected { .. })), "not expected"),
        (count(|one| matches!(one, Difference::Unfit { .. })), "that cannot be expected"),
    ];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    parts.map(|(count, what)| format!("{} {what}", rows(count))).collect::<Vec<_>>().join(", ")
}

fn row(text: &mut String, ran: &Ran, difference: &Difference, paint: Paint) {
    match difference {
        Difference::Missing { expected, span } => {
            let place = ran.line_of(span.start);
            line(text, 2, &format!("- {} (line {place})", paint.good(&expected.to_string())));
        }
        Difference::Unexpected { found } => {
            line(text, 2, &format!("+ {}", paint.bad(&found.to_string())));
        }
        Difference::Different { key, expected, found, span } => {
            line(text, 2, &format!("~ {key} (line {})", ran.line_of(span.start)));
            columns(text, expected, found, paint);
        }
        Difference::Unfit { problem, span } => {
            line(text, 2, &format!("{problem} (line {})", ran.line_of(span.start)));
        }
    }
}

fn columns(text: &mut String, expected: &Members, found: &Members, paint: Paint) {
    let width = expected.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    for (name, value) in &expected.0 {
        let is = found.0.iter().find(|(column, _)| column == name);
        let is = is.map_or("nothing", |(_, value)| value.as_str());
        let (value, is) = (paint.good(value), paint.bad(is));
        line(text, 4, &format!("{name:width$}  expected {value}"));
        line(text, 4, &format!("{:width$}  found    {is}", ""));
    }
}

fn line(text: &mut String, indent: usize, content: &str) {
    writeln!(text, "{:width$}{content}", "", width = indent * 2)
        .expect("writing to a string cannot fail");
}
