//! What clients ask of rows: filters, order, cursors. Pure: texts come in, checked values or a refusal go out.

pub mod filter;
