//! Rows of a view: column types, cells as SQLite stores them, keys.
//!
//! A cell is always of its column's stored form: a `decimal(2)` of 12.5 is `Integer(1250)`, a timestamp is text in
//! UTC with six digits. Conversion happens once, when a handler's expression has given its value; everything later,
//! from the fold to the file, compares and adds stored values.

use std::cmp::Ordering;
use std::fmt;

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::event::time::Timestamp;

/// The declared type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ColumnType {
    Text,
    Integer,
    /// A number with exactly this many digits after the point, 0 to 9; stored as a count of 10^-n.
    Decimal(u8),
    Real,
    Boolean,
    Timestamp,
    Date,
    Json,
    Bytes,
}

impl ColumnType {
    /// The type of the column in a STRICT table.
    pub fn sql(self) -> &'static str {
        match self {
            Self::Text | Self::Timestamp | Self::Date | Self::Json => "TEXT",
            Self::Integer | Self::Decimal(_) | Self::Boolean => "INTEGER",
            Self::Real => "REAL",
            Self::Bytes => "BLOB",
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text => f.write_str("text"),
            Self::Integer => f.write_str("integer"),
            Self::Decimal(digits) => write!(f, "decimal({digits})"),
            Self::Real => f.write_str("real"),
            Self::Boolean => f.write_str("boolean"),
            Self::Timestamp => f.write_str("timestamp"),
            Self::Date => f.write_str("date"),
            Self::Json => f.write_str("json"),
            Self::Bytes => f.write_str("bytes"),
        }
    }
}

/// One value of a row, as SQLite stores it.
///
/// Within one column the variants never mix but for `Null` and the two of text, so the order is that of SQLite's BINARY
/// collation: NULL first, numbers by value, text and blobs by bytes.
#[derive(Clone, Debug)]
pub enum Cell {
    Null,
    Integer(i64),
    /// Finite, and never -0.0.
    Real(f64),
    Text(CompactString),
    /// The text of an instant, written out only when it is asked for: it is the same cell as that text, and in the same
    /// order. Most rows hold some, which as texts are too long to lie within the row.
    Time(Timestamp),
    Bytes(Box<[u8]>),
}

impl Cell {
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// What it holds outside of itself, as an allocator rounds it.
    #[inline]
    pub fn heap_bytes(&self) -> usize {
        let allocated = |bytes: usize| (bytes + 8).next_multiple_of(16).max(32);
        match self {
            Self::Text(text) if text.is_heap_allocated() => allocated(text.capacity()),
            Self::Bytes(bytes) if !bytes.is_empty() => allocated(bytes.len()),
            _ => 0,
        }
    }
}

impl PartialEq for Cell {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Real(a), Self::Real(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Time(a), Self::Time(b)) => a == b,
            (Self::Text(text), Self::Time(time)) | (Self::Time(time), Self::Text(text)) => {
                **text == *time.text()
            }
            (Self::Bytes(a), Self::Bytes(b)) => a == b,
            _ => false,
        }
    }
}

impl PartialOrd for Cell {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        let rank = |cell: &Self| match cell {
            Self::Null => 0,
            Self::Integer(_) => 1,
            Self::Real(_) => 2,
            Self::Text(_) | Self::Time(_) => 3,
            Self::Bytes(_) => 4,
        };
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.partial_cmp(b),
            (Self::Real(a), Self::Real(b)) => a.partial_cmp(b),
            (Self::Text(a), Self::Text(b)) => a.partial_cmp(b),
            // All their texts are of one length and have the year first.
            (Self::Time(a), Self::Time(b)) => a.partial_cmp(b),
            (Self::Text(text), Self::Time(time)) => (**text).partial_cmp(&*time.text()),
            (Self::Time(time), Self::Text(text)) => (*time.text()).partial_cmp(&**text),
            (Self::Bytes(a), Self::Bytes(b)) => a.partial_cmp(b),
            (a, b) => rank(a).partial_cmp(&rank(b)),
        }
    }
}

/// The cells of a row in the order of the table's columns.
pub type Row = Box<[Cell]>;

/// The cells of a row's key, in the order of the table's key columns: never NULL, never REAL.
#[derive(Clone, Debug, PartialEq)]
pub struct Key(pub SmallVec<[Cell; 2]>);

// Equality of cells is partial only for REAL, which no key column can have.
impl Eq for Key {}

impl std::hash::Hash for Key {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        for cell in &self.0 {
            match cell {
                Cell::Integer(value) => state.write_i64(*value),
                Cell::Text(text) => text.hash(state),
                Cell::Time(time) => time.text().hash(state),
                Cell::Bytes(bytes) => bytes.hash(state),
                // No key column has these; equal keys still hash equally.
                Cell::Null | Cell::Real(_) => {}
            }
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        let pairs = self.0.iter().zip(&other.0);
        pairs
            .map(|(a, b)| a.partial_cmp(b).unwrap_or(Ordering::Equal))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher as _, RandomState};

    use super::*;

    #[test]
    fn a_time_is_the_cell_that_its_text_is() {
        let times =
            [-62_135_596_800_000_000, -1, 0, 1, 999_999, 1_000_000, 253_402_300_799_999_999];
        let time = |micros: i64| Cell::Time(Timestamp(micros));
        let text = |micros: i64| Cell::Text((&*Timestamp(micros).text()).into());
        let key = |cell: Cell| Key([cell].into_iter().collect());
        let hasher = RandomState::new();
        for a in times {
            assert_eq!(hasher.hash_one(key(time(a))), hasher.hash_one(key(text(a))));
            for b in times {
                let order = Some(a.cmp(&b));
                for (one, other) in
                    [(time(a), time(b)), (time(a), text(b)), (text(a), time(b)), (text(a), text(b))]
                {
                    assert_eq!(one.partial_cmp(&other), order, "{one:?}, {other:?}");
                    assert_eq!(one == other, a == b, "{one:?}, {other:?}");
                }
            }
            let others = [Cell::Null, Cell::Integer(a), Cell::Real(0.0), Cell::Bytes([0].into())];
            for other in others {
                assert_ne!(time(a), other);
                assert_eq!(time(a).partial_cmp(&other), text(a).partial_cmp(&other), "{other:?}");
            }
        }
    }
}
