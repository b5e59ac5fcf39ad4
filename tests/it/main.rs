//! The integration tests: one crate, so one link.
//!
//! A test (`tidy.rs`) holds that every file of this folder is named here, with a word on what it is for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

// Gaps and streams that are others: accepted, gone past, built again, without a restart.
mod accept;
// What `viewd check` asks the streams.
mod check;
// The command line as scripts and people meet it: exit codes, JSON, what errors say.
mod cli;
// The daemon as a process: its configuration, its start, its end, what it says of itself.
mod daemon;
// The week of flights over a bad network, by seeded schedules of faults.
mod chaos;
// Three servers with one stream, of which some are away.
mod cluster;
// One bulk read for several members: each chunk to each of them, at the pace of the slowest.
mod convoy;
// The crash tests: the daemon killed at any moment, its rows as if it never was.
mod crash;
// Messages of every bad kind: set aside with the reason, or applied as documented, and the daemon goes on.
mod bad_input;
// A week of real flights through a real server, cell by cell beside an independent fold.
mod flights;
// What a large fold says of its memory, beside what its process holds.
mod fold_memory;
// The fuzzing in small: no panic, no fault, no rule broken, whatever is written or sent.
mod fuzz;
// The inputs that JSON parsers disagree about, as messages.
mod json_suite;
// GitHub's own examples of webhooks, through the sample that reads them.
mod github;
// Wrong definitions, beside what an operator reads about them.
mod definitions;
// The language reference: every example in it runs.
mod language;
// Read models of other systems, and the samples: their tests pass.
mod read_models;
// The laws of the engine, held to a naive interpreter.
mod laws;
// The house rules: layers, lengths, names.
mod tidy;
// Real text, as events.
#[path = "../corpora/mod.rs"]
mod corpora;
// A NATS server of the test's own, and what is published to it.
mod nats;
// A bad network between a client and its server.
mod proxy;
// Generations built beside the one that is served, and served instead.
mod rebuild;
// What clients ask of rows, beside SQLite.
mod query;
// Numbers that a printed seed gives again.
mod random;
// What is shipped for Prometheus and Grafana, held to a real scrape.
mod observability;
// The README, followed to the letter.
mod readme;
// The daemon against one server and everything that can happen to it and to a stream.
mod faults;
// Messages that drop the connection of whoever reads them.
mod poison;
// A reader under test.
mod reading;
// The JetStream reader against real servers and their faults.
mod source;
// A server that is too old to be trusted with a projection.
mod old_server;
// Definitions that change, come and go, at a start and while the daemon runs.
mod reload;
// What is told to a daemon about its generations: held, promoted, rolled back, cancelled, paused, removed.
mod operations;
// Logins, TLS and rights, each beside a server that enforces it.
mod security;
// The JSON Schemas that editors read.
mod schema;
// Projections that share a reader, and those that cannot.
mod sharing;
// Full-text indexes: what is found in them, and that they are the rows.
mod search;
// The store: every transition beside a naive map, readers, locks, generations.
mod store;
// A source's transform: messages renamed, split, dropped and set aside, through the daemon.
mod transform;
// Tests of definitions: what passes, what fails, and what is said of it.
mod trial;
// The real stream looked at from outside: `viewd events` and `viewd try`.
mod rehearsal;
// What a changed definition asks for.
mod plan;
// The programs that tests need and the machine may not have.
mod tools;
// Waiting for a sequence, for everything that can become of a message.
mod waiting;
// A worker that stands still, seen from outside.
mod watchdog;
// The one place that sleeps: between two looks at a condition, up to a deadline.
mod wait;
