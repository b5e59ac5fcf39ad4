//! The values of a filter in one segment: a number for each document, in the order of the values.
//!
//! A text is its place in the segment's dictionary, so that nothing compares texts while documents are gone through;
//! numbers and times are themselves, in all segments alike.

use std::io;

use compact_str::CompactString;
use tantivy::columnar::{Column, ColumnIndex, StrColumn, TermOrdHit};
use tantivy::{DocId, SegmentReader, f64_to_u64, i64_to_u64, u64_to_f64, u64_to_i64};

use super::document;
use super::shape::{Filter, FilterKind, Shape};
use crate::event::time::Timestamp;
use crate::row::Cell;

const DAY_MICROSECONDS: i64 = 86_400_000_000;

pub(super) enum Values {
    /// No document of the segment has one.
    Absent,
    Texts(StrColumn),
    Numbers(Column<u64>, FilterKind),
}

/// Where a value stands among a segment's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    At(u64),
    /// It is not there; the next greater one is.
    Before(u64),
}

impl Values {
    pub(super) fn of_filter(
        shape: &Shape,
        filter: &Filter,
        segment: &SegmentReader,
    ) -> tantivy::Result<Self> {
        let name = shape.schema().get_field_name(filter.field);
        let fields = segment.fast_fields();
        Ok(match filter.kind {
            FilterKind::Text => fields.str(name)?.map_or(Self::Absent, Self::Texts),
            kind => match fields.u64_lenient(name)? {
                Some((column, _)) => Self::Numbers(column, kind),
                None => Self::Absent,
            },
        })
    }

    /// Of the keys, which every document has.
    pub(super) fn of_keys(shape: &Shape, segment: &SegmentReader) -> tantivy::Result<Self> {
        let name = shape.schema().get_field_name(shape.key);
        Ok(segment.fast_fields().str(name)?.map_or(Self::Absent, Self::Texts))
    }

    /// None: NULL.
    #[inline]
    pub(super) fn of(&self, doc: DocId) -> Option<u64> {
        let column = match self {
            Self::Absent => return None,
            Self::Texts(column) => column.ords(),
            Self::Numbers(column, _) => column,
        };
        match column.index {
            // Every document has one: nothing is to be looked up but the value.
            ColumnIndex::Full => Some(column.values.get_val(doc)),
            _ => column.first(doc),
        }
    }

    /// The least and the greatest there are, at most.
    pub(super) fn span(&self) -> (u64, u64) {
        match self {
            Self::Absent => (0, 0),
            Self::Texts(column) => (0, (column.num_terms() as u64).saturating_sub(1)),
            Self::Numbers(column, _) => (column.min_value(), column.max_value()),
        }
    }

    /// None: no value of the column is like it.
    pub(super) fn find(&self, cell: &Cell) -> io::Result<Option<Standing>> {
        Ok(match (self, cell) {
            (Self::Absent, _) => Some(Standing::Before(0)),
            (Self::Texts(_), Cell::Text(text)) => Some(self.find_text(text)?),
            (Self::Numbers(_, FilterKind::Real), Cell::Real(value)) => {
                Some(Standing::At(f64_to_u64(*value)))
            }
            (Self::Numbers(_, kind), cell) => {
                document::number(*kind, cell).map(|number| Standing::At(i64_to_u64(number)))
            }
            _ => None,
        })
    }

    pub(super) fn find_text(&self, text: &str) -> io::Result<Standing> {
        let Self::Texts(column) = self else { return Ok(Standing::Before(0)) };
        Ok(match column.dictionary().term_ord_or_next(text)? {
            TermOrdHit::Exact(ordinal) => Standing::At(ordinal),
            TermOrdHit::Next(ordinal) => Standing::Before(ordinal),
        })
    }

    /// The cells of numbers that [`Values::of`] gave, in their order.
    pub(super) fn cells(&self, numbers: &[Option<u64>]) -> io::Result<Vec<Cell>> {
        match self {
            Self::Absent => Ok(vec![Cell::Null; numbers.len()]),
            Self::Numbers(_, kind) => {
                let cell = |number: &Option<u64>| number.map_or(Cell::Null, |n| cell(*kind, n));
                Ok(numbers.iter().map(cell).collect())
            }
            Self::Texts(column) => {
                // The dictionary is read once, forwards.
                let mut order: Vec<usize> = (0..numbers.len()).collect();
                order.retain(|&at| numbers[at].is_some());
                order.sort_by_key(|&at| numbers[at]);
                let sorted: Vec<u64> = order.iter().filter_map(|&at| numbers[at]).collect();
                let mut cells = vec![Cell::Null; numbers.len()];
                let mut places = order.into_iter();
                let mut damaged = false;
                let all = column.dictionary().sorted_ords_to_term_cb(&sorted, |bytes| {
                    match (std::str::from_utf8(bytes), places.next()) {
                        (Ok(text), Some(at)) => cells[at] = Cell::Text(CompactString::from(text)),
                        _ => damaged = true,
                    }
                })?;
                if damaged || !all {
                    let message = "a dictionary lacks what its documents have";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                Ok(cells)
            }
        }
    }
}

/// The cell that a row has where a filter holds this number.
fn cell(kind: FilterKind, number: u64) -> Cell {
    let integer = u64_to_i64(number);
    match kind {
        FilterKind::Real => Cell::Real(u64_to_f64(number)),
        FilterKind::Timestamp => Cell::Time(Timestamp(integer)),
        FilterKind::Date => {
            let day = Timestamp(integer.saturating_mul(DAY_MICROSECONDS));
            Cell::Text(CompactString::new(&*day.date()))
        }
        FilterKind::Integer | FilterKind::Text => Cell::Integer(integer),
    }
}
