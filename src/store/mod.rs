//! A projection's view in SQLite: its folder, its schema, its one writer, its readers.
//!
//! Rows, dead letters, counts and checkpoint of a batch commit in one transaction, and the checkpoint is a
//! compare-and-set on generation and previous sequence (I1): a stale writer fails, it never overwrites.
//! Nothing here knows events or expressions: it takes [`Transition`](crate::projection::transition::Transition)s.
//!
//! | module | |
//! |---|---|
//! | `lock` | one daemon a data directory |
//! | `layout` | the folders of a projection, and the link that says which one is served |
//! | `schema` | from declared tables to SQL, and the `_viewd_*` tables |
//! | `view` | declared views, checked over empty tables in memory |
//! | `select_list` | whether a query shows columns as they are |
//! | `sql_problem` | what is wrong with the SQL of a view |
//! | `sql_token` | the words of an SQL statement |
//! | `connection` | how a file is opened, for writing and for reading |
//! | `writer` | [`Store`](writer::Store): commits batches |
//! | `batch` | one transaction |
//! | `append` | what a transaction adds to the change log |
//! | `change_log` | which rows have changed, and the fence that makes it durable for full-text indexes |
//! | `scan` | rows of a snapshot: by key, and all of a table by several threads |
//! | `readers` | rows for queries, on connections that are used again |
//! | `rows` | the rows as committed |
//! | `shape` | from a transition to the SQL that carries it out |
//! | `statement` | prepared statements, and their bindings |
//! | `bulk` | a generation that nobody reads yet, and how it is sealed |
//! | `indexes` | secondary indexes, made last |
//! | `reshape` | the same rows with other indexes and views |
//! | `succession` | how one generation follows another |
//! | `settle` | what a start makes of the generations that it finds |
//! | `removal` | which retired generations go, and when |
//! | `found` | every generation, and the room that there is |
//! | `control` | what a person has told a projection to do |
//! | `state` | what a generation is |
//! | `step` | failpoints |
//! | `snapshot` | one generation at one sequence, to be read on any thread |
//! | `digest` | a canonical hash of each table |
//! | `difference` | where two snapshots differ, row by row |
//! | `verify` | what can be seen to be wrong in one file |
//! | `attempt` | what is being built, and how often that was begun in vain |
//! | `accept` | the checkpoint past a gap, or on a restored stream |
//! | `checkpoint` | the durable position and what stands beside it |
//! | `dead_letter` | events set aside |
//! | `run` | how often the process has ended at one checkpoint |
//! | `files` | sizes for metrics |
//! | `wal` | when the write-ahead log is copied into the database |
//! | `query` | read-only SQL by strangers, within limits |
//! | `contents` | the rows of a view, read by its writer |
//! | `shown` | values as people and the HTTP API see them |
//! | `stored` | what a file says of its projection, for `status` without a daemon |
//!
//! No function here opens `view.db`, `-wal` or `-shm` of a live generation by itself: closing such a file would drop
//! the locks that SQLite holds on it in this process.

mod accept;
mod anchors;
mod append;
pub mod attempt;
pub mod batch;
pub mod bulk;
pub mod change_log;
pub mod checkpoint;
mod connection;
pub mod contents;
pub mod control;
pub mod dead_letter;
pub mod difference;
pub mod digest;
mod error;
pub mod files;
pub mod found;
mod indexes;
pub mod layout;
pub mod lock;
pub mod query;
pub mod readers;
pub mod removal;
mod reshape;
mod rows;
mod run;
pub mod scan;
mod schema;
mod select_list;
mod settle;
mod shape;
pub mod shown;
pub mod snapshot;
mod sql_problem;
mod sql_token;
pub mod state;
mod statement;
pub mod step;
pub mod stored;
mod succession;
pub mod verify;
pub mod view;
mod wal;
pub mod writer;

pub use error::Error;
