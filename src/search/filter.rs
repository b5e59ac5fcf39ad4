//! A filter, asked of the documents of one segment.
//!
//! Exact, as SQLite would answer over the rows that the documents were made from. A comparison with NULL is neither true
//! nor false, and stays so under `not`: so a `not` is carried down to the conditions, each of which knows what it makes
//! of a document without a value; where the whole is not true a document is left out.

use std::ops::RangeInclusive;

use tantivy::{DocId, SegmentReader, Term};

use super::clause::Clause;
use super::collect::{Deadline, Failure};
use super::shape::{self, FilterKind, Shape};
use super::values::{Standing, Values};
use crate::query::filter::{Comparison, Filter};
use crate::query::pattern::Pattern;
use crate::row::Cell;

/// A condition on a text leads the search where at most one document in so many fulfils it: going through its list
/// is then cheaper than to ask every document that has the words.
const LEADS_ONE_IN: u64 = 8;
/// Each is looked up in each segment before the search begins.
const LEADING_VALUES_MAX: usize = 50;

/// A filter over one segment.
pub(super) enum Predicate {
    Is(bool),
    All(Vec<Predicate>),
    Any(Vec<Predicate>),
    /// Whether the value is accepted, the other way round if negated; of a document without one, `null`.
    Test {
        values: Values,
        accepted: Accepted,
        negated: bool,
        null: bool,
    },
}

/// Which values a condition accepts.
pub(super) enum Accepted {
    None,
    Range(RangeInclusive<u64>),
    /// In ascending order.
    Listed(Vec<u64>),
    /// A bit a value.
    Marked(Vec<u64>),
}

impl Predicate {
    #[inline]
    pub(super) fn holds(&self, doc: DocId) -> bool {
        match self {
            Self::Is(is) => *is,
            Self::All(all) => all.iter().all(|one| one.holds(doc)),
            Self::Any(any) => any.iter().any(|one| one.holds(doc)),
            Self::Test { values, accepted, negated, null } => match values.of(doc) {
                Some(value) => accepted.has(value) != *negated,
                None => *null,
            },
        }
    }
}

impl Accepted {
    #[inline]
    fn has(&self, value: u64) -> bool {
        match self {
            Self::None => false,
            Self::Range(range) => range.contains(&value),
            Self::Listed(listed) => listed.binary_search(&value).is_ok(),
            Self::Marked(bits) => bits[(value / 64) as usize] >> (value % 64) & 1 == 1,
        }
    }
}

/// The filter over a segment; `not`: where it is false instead of true.
pub(super) fn predicate(
    filter: &Filter,
    not: bool,
    shape: &Shape,
    segment: &SegmentReader,
    deadline: &mut Deadline,
) -> Result<Predicate, Failure> {
    let mut each = |filters: &[Filter]| {
        let made = filters.iter().map(|one| predicate(one, not, shape, segment, deadline));
        made.collect::<Result<Vec<_>, _>>()
    };
    let open =
        |column| Ok::<_, Failure>(Values::of_filter(shape, of_column(shape, column)?, segment)?);
    let (values, accepted, negated, null) = match filter {
        Filter::All(filters) if not => return each(filters).map(any),
        Filter::All(filters) => return each(filters).map(all),
        Filter::Any(filters) if not => return each(filters).map(all),
        Filter::Any(filters) => return each(filters).map(any),
        Filter::Not(filter) => return predicate(filter, !not, shape, segment, deadline),
        Filter::In { values, .. } if values.is_empty() => return Ok(Predicate::Is(not)),
        Filter::Compare { column, comparison, value } => {
            // Its opposite is a range too, and NULL is in neither.
            let comparison = if not { comparison.negated() } else { *comparison };
            let values = open(*column)?;
            let accepted = compared(&values, comparison, value)?;
            (values, accepted, comparison == Comparison::NotEqual, false)
        }
        Filter::In { column, values: wanted } => {
            let values = open(*column)?;
            let accepted = listed(&values, wanted)?;
            (values, accepted, not, false)
        }
        Filter::Like { column, pattern } => {
            let values = open(*column)?;
            let accepted = marked(&values, pattern, deadline)?;
            (values, accepted, not, false)
        }
        Filter::IsNull { column } => (open(*column)?, Accepted::None, not, !not),
        Filter::IsTrue { column, is } => {
            let values = open(*column)?;
            let value = Cell::Integer(i64::from(*is));
            let accepted = compared(&values, Comparison::Equal, &value)?;
            (values, accepted, not, not)
        }
    };
    Ok(Predicate::Test { values, accepted, negated, null })
}

/// Clauses of which every document fulfils one, for those conditions that hold of few documents: the search goes
/// through their lists. They decide nothing: the filter is asked of each document all the same.
pub(super) fn leads(
    filter: &Filter,
    shape: &Shape,
    searcher: &tantivy::Searcher,
) -> tantivy::Result<Vec<Clause>> {
    let (column, listed) = match filter {
        Filter::All(filters) => {
            let leads = filters.iter().map(|filter| leads(filter, shape, searcher));
            return Ok(leads.collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect());
        }
        Filter::Compare { column, comparison: Comparison::Equal, value } => {
            (*column, std::slice::from_ref(value))
        }
        Filter::In { column, values } => (*column, values.as_slice()),
        _ => return Ok(Vec::new()),
    };
    let Some(filter) = shape.filters().iter().find(|filter| filter.column == column) else {
        return Ok(Vec::new());
    };
    if listed.len() > LEADING_VALUES_MAX {
        return Ok(Vec::new());
    }
    let mut terms = Vec::with_capacity(listed.len());
    let mut documents = 0;
    for value in listed {
        match value {
            Cell::Text(text) if filter.kind == FilterKind::Text => {
                let term = Term::from_field_text(filter.field, text);
                documents += searcher.doc_freq(&term)?;
                terms.push(Clause::term(term));
            }
            _ => return Ok(Vec::new()),
        }
    }
    if documents > searcher.num_docs() / LEADS_ONE_IN {
        return Ok(Vec::new());
    }
    // What is filtered by says nothing of how well the words are answered: they are not weighed.
    Ok(vec![Clause::Any(terms)])
}

pub(super) fn of_column(shape: &Shape, column: usize) -> Result<&shape::Filter, Failure> {
    let found = shape.filters().iter().find(|filter| filter.column == column);
    found.ok_or(Failure::NoFilter(column))
}

/// The values that stand so to this one; of `NotEqual` those that are equal.
fn compared(values: &Values, comparison: Comparison, value: &Cell) -> Result<Accepted, Failure> {
    let Some(standing) = values.find(value)? else { return Ok(Accepted::None) };
    // The first value that is not less, and the first that is greater.
    let (least, greater) = match standing {
        Standing::At(value) => (value, value.checked_add(1)),
        Standing::Before(next) => (next, Some(next)),
    };
    let below = |end: u64| end.checked_sub(1).map(|last| 0..=last);
    let range = match comparison {
        Comparison::Equal | Comparison::NotEqual => match standing {
            Standing::At(value) => Some(value..=value),
            Standing::Before(_) => None,
        },
        Comparison::Less => below(least),
        Comparison::LessOrEqual => greater.map_or(Some(0..=u64::MAX), below),
        Comparison::Greater => greater.map(|greater| greater..=u64::MAX),
        Comparison::GreaterOrEqual => Some(least..=u64::MAX),
    };
    Ok(range.map_or(Accepted::None, Accepted::Range))
}

fn listed(values: &Values, listed: &[Cell]) -> Result<Accepted, Failure> {
    let mut found = Vec::with_capacity(listed.len());
    for value in listed {
        if let Some(Standing::At(value)) = values.find(value)? {
            found.push(value);
        }
    }
    found.sort_unstable();
    Ok(Accepted::Listed(found))
}

/// The texts that a pattern matches, each of the dictionary's looked at once.
fn marked(
    values: &Values,
    pattern: &Pattern,
    deadline: &mut Deadline,
) -> Result<Accepted, Failure> {
    let Values::Texts(column) = values else { return Ok(Accepted::None) };
    let prefix = pattern.prefix();
    let mut bits = vec![0; column.num_terms().div_ceil(64)];
    let mut texts = column.dictionary().prefix_range(prefix).into_stream()?;
    while texts.advance() {
        deadline.step()?;
        let text = std::str::from_utf8(texts.key());
        if text.is_ok_and(|text| pattern.matches(text)) {
            let ordinal = texts.term_ord();
            bits[(ordinal / 64) as usize] |= 1 << (ordinal % 64);
        }
    }
    Ok(Accepted::Marked(bits))
}

fn all(mut filters: Vec<Predicate>) -> Predicate {
    filters.retain(|filter| !matches!(filter, Predicate::Is(true)));
    if filters.iter().any(|filter| matches!(filter, Predicate::Is(false))) {
        return Predicate::Is(false);
    }
    if filters.is_empty() { Predicate::Is(true) } else { Predicate::All(filters) }
}

fn any(mut filters: Vec<Predicate>) -> Predicate {
    filters.retain(|filter| !matches!(filter, Predicate::Is(false)));
    if filters.iter().any(|filter| matches!(filter, Predicate::Is(true))) {
        return Predicate::Is(true);
    }
    if filters.is_empty() { Predicate::Is(false) } else { Predicate::Any(filters) }
}
