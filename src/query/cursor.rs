//! Where a page of an answer ended: the values that the order names and the key of its last row.
//!
//! The next page holds the rows strictly behind that place, so rows that come and go before it shift nothing. A cursor
//! goes to the client as opaque text. A check in it binds it to what was asked and to its order: one that is damaged or
//! from elsewhere is refused and never guessed at. It is no secret and no proof: whoever forges one names a place.

use std::cmp::Ordering;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Refused;
use super::order::{By, Order};
use crate::definition::Table;
use crate::row::{Cell, ColumnType};

/// The place of a row in an order.
#[derive(Clone, Debug, PartialEq)]
pub struct Cursor {
    /// One for each part of the order; a score is a `Real`.
    pub values: Vec<Cell>,
    /// The key's text.
    pub key: String,
    /// Where the order has a score: the numbers that scores rest on, as they were for the first page.
    pub statistics: Arc<[u64]>,
}

/// Bytes of the check: damage is found, and a cursor stays short.
const CHECK_BYTES: usize = 8;

/// A cursor as it is written. Floats by their bits, since JSON's are read inexactly.
#[derive(Serialize, Deserialize)]
struct Written(Vec<WrittenCell>, String, Vec<u64>);

#[derive(Serialize, Deserialize)]
enum WrittenCell {
    N,
    I(i64),
    R(u64),
    T(String),
    B(Vec<u8>),
}

impl Cursor {
    /// As text for the client. `scope` names what is asked, as in `search orders/by_text`.
    pub fn text(&self, scope: &str, table: &Table, order: &Order) -> String {
        let values = self.values.iter().map(WrittenCell::of).collect();
        let written =
            serde_json::to_vec(&Written(values, self.key.clone(), self.statistics.to_vec()))
                .expect("numbers and texts are JSON");
        let mut bytes = check(scope, table, order, &written).to_vec();
        bytes.extend(written);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// How this place stands to another in an order.
    pub fn compare(&self, other: &Self, order: &Order) -> Ordering {
        let parts = self.values.iter().zip(&other.values).zip(&order.0);
        let by_values = parts.map(|((a, b), part)| {
            let ordering = a.partial_cmp(b).unwrap_or(Ordering::Equal);
            if part.descending { ordering.reverse() } else { ordering }
        });
        by_values.fold(Ordering::Equal, Ordering::then).then_with(|| self.key.cmp(&other.key))
    }
}

/// Reads a cursor that [`Cursor::text`] made for the same scope, table and order.
pub fn read(text: &str, scope: &str, table: &Table, order: &Order) -> Result<Cursor, Refused> {
    decoded(text, scope, table, order).ok_or_else(foreign)
}

/// What a cursor is answered that is of no use here.
pub fn foreign() -> Refused {
    Refused::new("the cursor is damaged, or belongs to another request").hint(
        "a cursor goes with the same words, conditions and `_order` as the answer that gave it; begin again without one",
    )
}

fn decoded(text: &str, scope: &str, table: &Table, order: &Order) -> Option<Cursor> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (found, written) = bytes.split_at_checked(CHECK_BYTES)?;
    if found != check(scope, table, order, written) {
        return None;
    }
    let Written(values, key, statistics) = serde_json::from_slice(written).ok()?;
    let values: Vec<Cell> = values.into_iter().map(WrittenCell::cell).collect::<Option<_>>()?;
    // The check can be computed by anybody: that the values fit the order is looked at all the same.
    let fit = values.len() == order.0.len()
        && values.iter().zip(&order.0).all(|(value, part)| match part.by {
            By::Column(column) => fits(value, table.columns[column].column_type),
            By::Score => matches!(value, Cell::Real(_)),
        });
    fit.then(|| Cursor { values, key, statistics: statistics.into() })
}

/// By the names of columns, not by their places: cursors outlive a new generation with other columns before them.
fn check(scope: &str, table: &Table, order: &Order, written: &[u8]) -> [u8; CHECK_BYTES] {
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    };
    part(scope.as_bytes());
    for by in &order.0 {
        let name = match by.by {
            By::Column(column) => {
                let column = &table.columns[column];
                format!("{} {}", column.name, column.column_type)
            }
            By::Score => "_score".to_owned(),
        };
        part(name.as_bytes());
        part(if by.descending { b"desc" } else { b"asc" });
    }
    part(written);
    let hash: [u8; 32] = hash.finalize().into();
    hash[..CHECK_BYTES].try_into().expect("a hash has 32 bytes")
}

fn fits(value: &Cell, column_type: ColumnType) -> bool {
    match value {
        Cell::Null => true,
        Cell::Integer(_) => column_type.sql() == "INTEGER",
        Cell::Real(_) => column_type == ColumnType::Real,
        Cell::Text(_) | Cell::Time(_) => column_type.sql() == "TEXT",
        Cell::Bytes(_) => column_type == ColumnType::Bytes,
    }
}

impl WrittenCell {
    fn of(cell: &Cell) -> Self {
        match cell {
            Cell::Null => Self::N,
            Cell::Integer(value) => Self::I(*value),
            Cell::Real(value) => Self::R(value.to_bits()),
            Cell::Text(text) => Self::T(text.to_string()),
            Cell::Time(time) => Self::T(time.to_string()),
            Cell::Bytes(bytes) => Self::B(bytes.to_vec()),
        }
    }

    fn cell(self) -> Option<Cell> {
        Some(match self {
            Self::N => Cell::Null,
            Self::I(value) => Cell::Integer(value),
            Self::R(bits) => {
                Cell::Real(Some(f64::from_bits(bits)).filter(|value| value.is_finite())?)
            }
            Self::T(text) => Cell::Text(CompactString::from(text)),
            Self::B(bytes) => Cell::Bytes(bytes.into()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Column;
    use crate::query::order::Part;

    fn table(names: &[(&str, ColumnType)]) -> Table {
        let column = |(name, column_type): &(&str, ColumnType)| Column {
            name: (*name).into(),
            column_type: *column_type,
            required: false,
            default: None,
            span: 0..0,
        };
        Table {
            name: "orders".into(),
            columns: names.iter().map(column).collect(),
            key: vec![0],
            indexes: Vec::new(),
            changes: false,
            span: 0..0,
        }
    }

    const COLUMNS: [(&str, ColumnType); 4] = [
        ("id", ColumnType::Text),
        ("total", ColumnType::Decimal(2)),
        ("weight", ColumnType::Real),
        ("photo", ColumnType::Bytes),
    ];

    fn order(columns: &[usize]) -> Order {
        let part = |&column: &usize| Part { by: By::Column(column), descending: column == 1 };
        let mut parts: Vec<Part> = columns.iter().map(part).collect();
        parts.push(Part { by: By::Score, descending: true });
        Order(parts)
    }

    fn cursor() -> Cursor {
        let values = vec![
            Cell::Integer(i64::MIN),
            Cell::Real(0.1 + 0.2),
            Cell::Bytes([0, 255].into()),
            Cell::Real(f64::from(1.1_f32)),
        ];
        Cursor { values, key: "[\"o-1\"]".to_owned(), statistics: [7, u64::MAX].into() }
    }

    #[test]
    fn what_is_written_is_read() {
        let (columns, by) = (table(&COLUMNS), order(&[1, 2, 3]));
        let text = cursor().text("a", &columns, &by);
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_eq!(read(&text, "a", &columns, &by), Ok(cursor()));
        // The same columns with another before them: a new generation.
        let mut others = COLUMNS.to_vec();
        others.insert(1, ("new", ColumnType::Text));
        let mut moved = by;
        for part in &mut moved.0 {
            if let By::Column(column) = &mut part.by {
                *column += 1;
            }
        }
        assert_eq!(read(&text, "a", &table(&others), &moved), Ok(cursor()));
    }

    #[test]
    fn what_is_foreign_or_damaged_is_refused() {
        let (columns, by) = (table(&COLUMNS), order(&[1, 2, 3]));
        let text = cursor().text("a", &columns, &by);
        let refused = |text: &str, scope, table: &Table, order: &Order| {
            let refused = read(text, scope, table, order).expect_err(text);
            assert_eq!(refused.detail, "the cursor is damaged, or belongs to another request");
        };
        refused(&text, "b", &columns, &by);
        let mut other = by.clone();
        other.0[0].descending = false;
        refused(&text, "a", &columns, &other);
        refused(&text, "a", &columns, &order(&[1, 2]));
        let mut retyped = COLUMNS;
        retyped[1].1 = ColumnType::Integer;
        refused(&text, "a", &table(&retyped), &by);
        for at in 0..text.len() {
            let mut damaged = text.clone().into_bytes();
            damaged[at] = if damaged[at] == b'A' { b'B' } else { b'A' };
            refused(std::str::from_utf8(&damaged).unwrap(), "a", &columns, &by);
            refused(&text[..at], "a", &columns, &by);
        }
        refused("é", "a", &columns, &by);
    }

    /// Anybody can compute the check: what it holds is looked at all the same.
    #[test]
    fn values_of_other_types_are_refused() {
        let (table, order) = (table(&COLUMNS), order(&[1]));
        let score = Cell::Real(1.0);
        for (values, fits) in [
            (vec![Cell::Integer(1), score.clone()], true),
            (vec![Cell::Null, score.clone()], true),
            (vec![Cell::Text("1".into()), score.clone()], false),
            (vec![Cell::Real(1.0), score.clone()], false),
            (vec![Cell::Integer(1), Cell::Null], false),
            (vec![Cell::Integer(1), Cell::Real(f64::NAN)], false),
            (vec![Cell::Integer(1)], false),
            (vec![Cell::Integer(1), score.clone(), score], false),
        ] {
            let text = Cursor { values, key: String::new(), statistics: [].into() }
                .text("a", &table, &order);
            assert_eq!(read(&text, "a", &table, &order).is_ok(), fits);
        }
    }
}
