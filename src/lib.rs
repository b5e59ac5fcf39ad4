//! viewd: a read-model projection daemon. The query side of CQRS as one program.
//!
//! It reads domain events from NATS JetStream, keeps the SQLite tables that definitions declare current with
//! exactly-once effect, and says how far each one has come.
//!
//! # Code map
//!
//! Each module imports only from those above it; a test (`tests/it/tidy.rs`) holds that and where crates are named.
//!
//! | module | what it is |
//! |---|---|
//! | [`event`] | events: decoded messages in chunks, JSON as a tape, times, anchors |
//! | [`row`] | column types, cells as stored, keys |
//! | [`diagnostic`] | what is wrong in an operator's file, printed as a compiler would |
//! | [`syntax`] | TOML as a tree in which every key and value knows its place |
//! | [`clock`] | the wall clock, for people and alerts only |
//! | [`budget`] | the one memory budget, and what each takes of it |
//! | [`beat`] | what a thread is at, for the watchdog |
//! | [`metrics`] | every family that Prometheus reads |
//! | [`telemetry`] | logs, counted by level |
//! | [`status`] | states, reasons, the report |
//! | [`expression`] | jq: compiled when a file is loaded, evaluated for every event; what an output makes of a column |
//! | [`config`] | raw settings, then checked settings, with where each value came from |
//! | [`definition`] | the text of a file to a checked definition; its fingerprint |
//! | [`schema`] | JSON Schema of definitions and settings, for editors |
//! | [`projection`] | the engine: expressions, plan, handlers, transitions, fold |
//! | [`query`] | what clients ask of rows: filters, order, cursors |
//! | [`source`] | the JetStream reader, private or shared, and the lanes it fills; the poll of the head; memory for tests |
//! | [`store`] | SQLite: generations, schema, writer, readers, the checkpoint |
//! | [`search`] | Tantivy: full-text indexes over rows, and what is found in them |
//! | [`lag`] | distance from the head |
//! | [`indexer`] | the thread that keeps a generation's full-text indexes at its rows |
//! | [`worker`] | one projection's loop: batch, fold, commit |
//! | [`rebuild`] | a new generation, built beside the one that is served |
//! | [`trial`] | a projection in memory, for tests and for trying |
//! | [`supervisor`] | the tasks, their start and end; the watchdog; who waits for a sequence |
//! | [`api`] | HTTP: health, metrics, status; the admin socket |
//! | [`cli`] | arguments, commands, exit codes, what people see |
//!
//! # What is absent where
//!
//! - `definition` and `projection` know no tokio, SQL, NATS, HTTP, clock, file or environment (I9).
//! - `projection` reads rows only through the trait `Rows` that the worker lends it.
//! - Nothing acknowledges a message (I10): the only progress is the checkpoint row, which one transaction writes with
//!   the rows, dead letters and counts of its batch (I1, I4), and which only `store` writes.
//! - No two threads write one view: each has one worker thread, and no state is shared between projections.
//! - No lane of a feed is trusted to continue the one before: a worker drops what lies at or below its checkpoint, and
//!   reads again what a chunk does not continue.
//! - No lag is derived from a reader (I7): only from the head that `source::head` polls.
//! - No state is what a worker says of itself: it is derived from what is known, by the watchdog too, while a worker hangs.
//! - No statement is built from input: names come from the checked definition, values are bound.

pub mod api;
pub mod beat;
pub mod budget;
pub mod cli;
pub mod clock;
pub mod config;
pub mod definition;
pub mod diagnostic;
pub mod event;
pub mod expression;
pub mod indexer;
pub mod lag;
pub mod metrics;
pub mod projection;
pub mod query;
pub mod rebuild;
pub mod row;
pub mod schema;
pub mod search;
pub mod source;
pub mod status;
pub mod store;
pub mod supervisor;
pub mod syntax;
pub mod telemetry;
pub mod trial;
pub mod worker;
