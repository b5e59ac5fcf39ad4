//! One `[[test]]`: its events applied at once, and then in every other way in which a daemon may come to apply them.
//!
//! | way | what it stands for |
//! |---|---|
//! | split after an event, with a crash | a batch may end anywhere, and the process with it |
//! | one event at a time | a live projection |
//! | an event twice | a publisher that tries again; not wrong, but worth knowing |

use std::fmt;
use std::ops::Range;
use std::time::{Duration, Instant};

use super::expect::{self, Difference};
use super::found::{Follower, Found};
use super::given::{self, Given};
use super::outcome::{Outcome, SetAside};
use super::{Setup, Trial};
use crate::definition::{Expect, ExpectSearch, Test};
use crate::query::Refused;
use crate::store::Error;
use crate::store::dead_letter::State;
use crate::syntax::Text;

/// Of a longer test so many events, evenly spread, are split after and published twice: each is a whole run.
const PLACES_MAX: usize = 100;

/// How a view is called among what is otherwise.
const VIEW: &str = "view";

/// What became of a test.
#[derive(Debug, Default)]
pub struct Report {
    /// None: it has passed.
    pub problems: Vec<Problem>,
    pub warnings: Vec<Repeated>,
    /// Of queries that find what they are to.
    pub doubts: Vec<Doubt>,
    pub took: Duration,
}

/// Why a test has failed.
#[derive(Debug)]
pub enum Problem {
    /// A document of `given`, from 0, is no event.
    Given { index: usize, problem: String },
    /// Rows of a table or view.
    Rows { relation: String, span: Range<usize>, differences: Vec<Difference> },
    /// Rows that a query finds, and should not, or the reverse.
    Found {
        index: String,
        query: Text,
        span: Range<usize>,
        differences: Vec<Difference>,
        /// What of the query may not be meant.
        warnings: Vec<String>,
    },
    /// A query is refused.
    Query { index: String, query: Text, refused: Refused },
    /// A view could not be read.
    View { relation: String, span: Range<usize>, problem: String },
    /// An event was set aside that should not have been.
    SetAside { index: Option<usize>, letter: SetAside },
    /// The projection has stopped, by its policy.
    Stopped { reason: String },
    /// The last event was expected to fail: it did not, or for another reason.
    NoError { expected: String, found: Option<String> },
    /// Applied in another way the same events come to something else. That is a bug of viewd.
    Variant { variant: Variant, what: Vec<String> },
    /// The store failed.
    Store { problem: String },
}

/// What a query says that may not be meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    pub index: String,
    pub query: Text,
    pub warnings: Vec<String>,
}

/// A way to apply the events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Variant {
    /// Two batches, the first of so many events.
    Split {
        after: usize,
        crash: bool,
    },
    OneByOne,
}

/// An event that changes rows when it is published twice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repeated {
    /// Which of the documents, from 0.
    pub index: usize,
    pub type_name: String,
    /// Those whose rows it changes.
    pub tables: Vec<String>,
}

impl Problem {
    /// What to make of it, where that is not plain.
    pub fn hint(&self) -> Option<&str> {
        let what = match self {
            Self::Query { refused, .. } => return refused.hint.as_deref(),
            Self::Variant { what, .. } => what,
            _ => return None,
        };
        let views = what.iter().all(|what| what.starts_with(VIEW));
        Some(if views {
            "a view without ORDER BY may depend on the order of its rows; else it is a fault of viewd: please report it"
        } else {
            "this is a fault of viewd, not of the definition: please report it"
        })
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Split { after, crash: false } => write!(f, "split after event {after}"),
            Self::Split { after, crash: true } => {
                write!(f, "split after event {after}, with a crash between the batches")
            }
            Self::OneByOne => f.write_str("one event at a time"),
        }
    }
}

/// Runs one test.
pub fn run(setup: &Setup, test: &Test) -> Report {
    let begun = Instant::now();
    let mut report = Report::default();
    let documents = test.given.iter().map(|(document, _)| document.as_str());
    match given::read(documents, setup.transform.as_deref()) {
        Err(refused) => {
            let problem = Problem::Given { index: refused.index, problem: refused.problem };
            report.problems.push(problem);
        }
        Ok(given) => {
            let tried = Tried { setup, test, given };
            if let Err(error) = tried.run(&mut report) {
                report.problems.push(Problem::Store { problem: error.to_string() });
            }
        }
    }
    Report { took: begun.elapsed(), ..report }
}

struct Tried<'a> {
    setup: &'a Setup,
    test: &'a Test,
    given: Vec<Given>,
}

impl Tried<'_> {
    fn run(&self, report: &mut Report) -> Result<(), Error> {
        let Report { problems, warnings, doubts, .. } = report;
        let whole = self.apply(std::iter::once(0..self.given.len()), false)?;
        self.set_aside(&whole, problems);
        for expected in &self.test.expect {
            problems.extend(rows(expected, &whole));
        }
        if let Err(problem) = self.searched(&whole, problems, doubts) {
            problems.push(Problem::Store { problem });
        }
        if whole.views.iter().any(|view| view.problem.is_some()) {
            // It may have taken all the steps that it has, and would take them each time.
            return Ok(());
        }
        if let Some((variant, what)) = self.other_variant(&whole)? {
            problems.push(Problem::Variant { variant, what });
        }
        for index in places(self.given.len()) {
            let tables = self.repeated(index)?;
            if !tables.is_empty() {
                let type_name = self.given[index].type_name.clone();
                warnings.push(Repeated { index, type_name, tables });
            }
        }
        Ok(())
    }

    /// What queries find: in an index of all rows, and in one that has followed them event by event, as a daemon's does.
    fn searched(
        &self,
        whole: &Outcome,
        problems: &mut Vec<Problem>,
        doubts: &mut Vec<Doubt>,
    ) -> Result<(), String> {
        let followers = || -> Result<Vec<Follower<'_>>, String> {
            let expected = self.test.expect_search.iter();
            expected.map(|expect| Follower::new(self.setup.plan.definition(), expect)).collect()
        };
        let (mut at_once, mut following) = (followers()?, followers()?);
        if at_once.is_empty() {
            return Ok(());
        }
        at_once.iter_mut().try_for_each(|index| index.follow(whole))?;
        let mut trial = Trial::begin(self.setup).map_err(|error| error.to_string())?;
        let mut begin = 0;
        for end in places(self.given.len()).map(|place| place + 1).chain([self.given.len()]) {
            let outcome = self.take(&mut trial, begin..end).and_then(|()| trial.outcome());
            let outcome = outcome.map_err(|error| error.to_string())?;
            following.iter_mut().try_for_each(|index| index.follow(&outcome))?;
            begin = end;
        }
        for (at_once, following) in at_once.iter().zip(&following) {
            let (found, other) = (at_once.found(whole), following.found(whole));
            if found != other {
                let what = vec![format!("full-text index `{}`", at_once.expect().index)];
                problems.push(Problem::Variant { variant: Variant::OneByOne, what });
            }
            doubts.extend(found.as_ref().ok().and_then(|found| doubt(at_once.expect(), found)));
            problems.extend(unfound(at_once.expect(), found));
        }
        Ok(())
    }

    /// What the events come to in these batches.
    fn apply(
        &self,
        batches: impl IntoIterator<Item = Range<usize>>,
        crash: bool,
    ) -> Result<Outcome, Error> {
        let mut trial = Trial::begin(self.setup)?;
        for (number, batch) in batches.into_iter().enumerate() {
            if crash && number > 0 {
                trial = trial.crash()?;
            }
            self.take(&mut trial, batch)?;
        }
        trial.outcome()
    }

    fn take(&self, trial: &mut Trial, batch: Range<usize>) -> Result<(), Error> {
        let chunks: Vec<_> =
            self.given[batch].iter().flat_map(|given| given.chunks.iter().cloned()).collect();
        trial.take(&chunks)
    }

    /// The first way that comes to something else, and what of it is otherwise.
    fn other_variant(&self, whole: &Outcome) -> Result<Option<(Variant, Vec<String>)>, Error> {
        let count = self.given.len();
        for place in places(count.saturating_sub(1)) {
            let after = place + 1;
            let split = |crash| self.apply([0..after, after..count], crash);
            let crashed = split(true)?;
            if crashed != *whole {
                let uncrashed = split(false)?;
                let crash = uncrashed == *whole;
                let found = if crash { crashed } else { uncrashed };
                let variant = Variant::Split { after, crash };
                return Ok(Some((variant, otherwise(whole, &found))));
            }
        }
        let single = self.apply((0..count).map(|index| index..index + 1), false)?;
        Ok((single != *whole).then(|| (Variant::OneByOne, otherwise(whole, &single))))
    }

    /// The tables that change when an event comes once more.
    fn repeated(&self, index: usize) -> Result<Vec<String>, Error> {
        let document = &self.test.given[index].0;
        let again = given::again(&self.given[index], document, self.setup.transform.as_deref());
        let Some(again) = again else { return Ok(Vec::new()) };
        let mut trial = Trial::begin(self.setup)?;
        self.take(&mut trial, 0..index + 1)?;
        let before = trial.outcome()?;
        trial.take(&again.chunks)?;
        let after = trial.outcome()?;
        let tables = before.tables.iter().zip(&after.tables);
        let changed = tables.filter(|(before, after)| before.rows != after.rows);
        Ok(changed.map(|(table, _)| table.name.clone()).collect())
    }

    /// Holds what was set aside to what the test says of it.
    fn set_aside(&self, outcome: &Outcome, problems: &mut Vec<Problem>) {
        let last = self.given.last().map(|given| given.sequence.0);
        let (mut found, mut matched) = (None, false);
        for letter in &outcome.set_aside {
            if let Some(expected) = &self.test.expect_error
                && Some(letter.sequence) == last
                && letter.state != State::Parked
            {
                matched |= letter.reason.contains(&expected.value);
                found = Some(letter.reason.clone());
                continue;
            }
            let index = self.given.iter().position(|given| given.sequence.0 == letter.sequence);
            problems.push(Problem::SetAside { index, letter: letter.clone() });
        }
        if let Some(reason) = &outcome.stopped {
            // `on_error = "halt"` sets nothing aside: the reason is that of the stop.
            match &self.test.expect_error {
                Some(expected) if reason.contains(&expected.value) => matched = true,
                Some(_) => found = Some(reason.clone()),
                None => problems.push(Problem::Stopped { reason: reason.clone() }),
            }
        }
        if let (Some(expected), false) = (&self.test.expect_error, matched) {
            problems.push(Problem::NoError { expected: expected.value.clone(), found });
        }
    }
}

fn rows(expected: &Expect, outcome: &Outcome) -> Option<Problem> {
    let name = || expected.relation.clone();
    let span = || expected.span.clone();
    let Some(relation) = outcome.relation(&expected.relation) else {
        let problem = "there is no such table or view".to_owned();
        return Some(Problem::View { relation: name(), span: span(), problem });
    };
    if let Some(problem) = &relation.problem {
        let problem = problem.clone();
        return Some(Problem::View { relation: name(), span: span(), problem });
    }
    let differences = expect::differences(expected, relation);
    (!differences.is_empty()).then(|| Problem::Rows { relation: name(), span: span(), differences })
}

fn unfound(expected: &ExpectSearch, found: Result<Found, Refused>) -> Option<Problem> {
    let (index, query) = (expected.index.clone(), expected.query.clone());
    match found {
        Err(refused) => Some(Problem::Query { index, query, refused }),
        Ok(Found { differences, .. }) if differences.is_empty() => None,
        Ok(Found { differences, warnings }) => {
            let span = expected.span.clone();
            Some(Problem::Found { index, query, span, differences, warnings })
        }
    }
}

/// Of a query that finds what it is to: any other says it with what is otherwise.
fn doubt(expected: &ExpectSearch, found: &Found) -> Option<Doubt> {
    let (index, query) = (expected.index.clone(), expected.query.clone());
    let warnings = found.warnings.clone();
    let is_doubt = found.differences.is_empty() && !warnings.is_empty();
    is_doubt.then_some(Doubt { index, query, warnings })
}

/// What of two outcomes is not the same, in words.
fn otherwise(expected: &Outcome, found: &Outcome) -> Vec<String> {
    let mut what = Vec::new();
    for (kind, expected, found) in
        [("table", &expected.tables, &found.tables), (VIEW, &expected.views, &found.views)]
    {
        let others = expected.iter().zip(found).filter(|(expected, found)| expected != found);
        what.extend(others.map(|(relation, _)| format!("{kind} `{}`", relation.name)));
    }
    if expected.set_aside != found.set_aside {
        what.push("dead letters".to_owned());
    }
    if expected.counts != found.counts {
        what.push("counts".to_owned());
    }
    if expected.stopped != found.stopped {
        what.push("where the projection stops".to_owned());
    }
    what
}

/// All of `count` places, or as many as are worth a run, evenly spread.
fn places(count: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(PLACES_MAX);
    (0..taken).map(move |place| place * count / taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_views_may_differ_by_their_order() {
        let hint = |what: &[&str]| {
            let what = what.iter().map(|&what| what.to_owned()).collect();
            Problem::Variant { variant: Variant::OneByOne, what }.hint().unwrap().to_owned()
        };
        assert!(hint(&["view `due`"]).starts_with("a view without ORDER BY"));
        for what in [&["view `due`", "table `orders`"][..], &["dead letters"], &["counts"]] {
            assert!(hint(what).starts_with("this is a fault of viewd"), "{what:?}");
        }
    }

    #[test]
    fn places_are_spread() {
        assert_eq!(places(0).count(), 0);
        assert_eq!(places(3).collect::<Vec<_>>(), [0, 1, 2]);
        let many: Vec<_> = places(1_000).collect();
        assert_eq!((many.len(), many[0], many[1], many[99]), (PLACES_MAX, 0, 10, 990));
    }
}
