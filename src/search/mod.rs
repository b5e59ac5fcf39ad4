//! Full-text indexes over rows, and what is found in them.
//!
//! An index is made from rows, never from events, and holds no row: a hit is a key, and its row comes from SQLite.
