//! The thread that keeps a generation's full-text indexes at its rows.
