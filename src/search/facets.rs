//! How many hits have which value of a filter.
//!
//! Exact, over all hits: counted by number in each segment, by value over all of them. What they hold is bounded by how
//! many values there are, and more than a person could read are refused.

use std::collections::HashMap;

use tantivy::{DocId, SegmentReader};

use super::collect::Failure;
use super::filter::of_column;
use super::shape::Shape;
use super::values::Values;
use crate::row::Cell;

/// Shown of a facet, the most frequent first.
const VALUES_SHOWN: usize = 100;
/// A column with more values is no facet: counting them would take megabytes for an answer that nobody reads.
const VALUES_MAX: usize = 100_000;
/// Up to so many numbers are counted in a row, not by hash.
const ROW_MAX: u64 = 1 << 16;

/// The values of a column over all hits, NULL among them, by count and then by value.
#[derive(Clone, Debug, PartialEq)]
pub struct Facet {
    /// Index into the table's columns.
    pub column: usize,
    pub values: Vec<(Cell, u64)>,
    /// There are more values than these.
    pub is_cut: bool,
}

/// One facet, over all segments.
pub(super) struct Counts {
    column: usize,
    by_value: HashMap<Value, u64>,
}

/// One facet in one segment.
pub(super) struct SegmentCounts {
    values: Values,
    null: u64,
    counted: Counted,
}

enum Counted {
    /// From this number on.
    Row(u64, Vec<u32>),
    Sparse(HashMap<u64, u32>),
}

/// A cell that can be hashed.
#[derive(PartialEq, Eq, Hash)]
enum Value {
    Null,
    Integer(i64),
    Real(u64),
    Text(compact_str::CompactString),
}

impl Counts {
    pub(super) fn new(column: usize) -> Self {
        Self { column, by_value: HashMap::new() }
    }

    pub(super) fn segment(
        &self,
        shape: &Shape,
        segment: &SegmentReader,
    ) -> Result<SegmentCounts, Failure> {
        let values = Values::of_filter(shape, of_column(shape, self.column)?, segment)?;
        let (least, greatest) = values.span();
        let counted = match greatest.checked_sub(least) {
            Some(span) if span < ROW_MAX => Counted::Row(least, vec![0; span as usize + 1]),
            _ => Counted::Sparse(HashMap::new()),
        };
        Ok(SegmentCounts { values, null: 0, counted })
    }

    pub(super) fn add(&mut self, segment: SegmentCounts) -> Result<(), Failure> {
        if segment.null > 0 {
            *self.by_value.entry(Value::Null).or_default() += segment.null;
        }
        let counted: Vec<(u64, u32)> = match segment.counted {
            Counted::Row(least, row) => {
                let counted = row.into_iter().enumerate().filter(|(_, count)| *count > 0);
                counted.map(|(at, count)| (least + at as u64, count)).collect()
            }
            Counted::Sparse(sparse) => sparse.into_iter().collect(),
        };
        let numbers: Vec<Option<u64>> = counted.iter().map(|(number, _)| Some(*number)).collect();
        let cells = segment.values.cells(&numbers)?;
        for (cell, (_, count)) in cells.into_iter().zip(counted) {
            *self.by_value.entry(Value::of(cell)).or_default() += u64::from(count);
        }
        self.within(self.by_value.len())
    }

    pub(super) fn facet(self) -> Facet {
        let mut values: Vec<(Cell, u64)> =
            self.by_value.into_iter().map(|(value, count)| (value.cell(), count)).collect();
        values.sort_by(|(a, m), (b, n)| {
            n.cmp(m).then_with(|| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal))
        });
        let is_cut = values.len() > VALUES_SHOWN;
        values.truncate(VALUES_SHOWN);
        Facet { column: self.column, values, is_cut }
    }

    pub(super) fn within(&self, values: usize) -> Result<(), Failure> {
        if values > VALUES_MAX {
            return Err(Failure::ManyValues { column: self.column, max: VALUES_MAX });
        }
        Ok(())
    }
}

impl SegmentCounts {
    #[inline]
    pub(super) fn count(&mut self, doc: DocId) {
        match (self.values.of(doc), &mut self.counted) {
            (None, _) => self.null += 1,
            (Some(number), Counted::Row(least, row)) => row[(number - *least) as usize] += 1,
            (Some(number), Counted::Sparse(sparse)) => *sparse.entry(number).or_default() += 1,
        }
    }

    /// How many values there are so far, where that is not known beforehand.
    pub(super) fn sparse(&self) -> usize {
        match &self.counted {
            Counted::Row(..) => 0,
            Counted::Sparse(sparse) => sparse.len(),
        }
    }
}

impl Value {
    fn of(cell: Cell) -> Self {
        match cell {
            Cell::Integer(value) => Self::Integer(value),
            Cell::Real(value) => Self::Real(value.to_bits()),
            Cell::Text(text) => Self::Text(text),
            Cell::Time(time) => Self::Text(compact_str::CompactString::new(&*time.text())),
            // No filter has bytes.
            Cell::Null | Cell::Bytes(_) => Self::Null,
        }
    }

    fn cell(self) -> Cell {
        match self {
            Self::Null => Cell::Null,
            Self::Integer(value) => Cell::Integer(value),
            Self::Real(bits) => Cell::Real(f64::from_bits(bits)),
            Self::Text(text) => Cell::Text(text),
        }
    }
}
