//! The integration tests: one crate, so one link.
//!
//! A test (`tidy.rs`) holds that every file of this folder is named here, with a word on what it is for.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

// What `viewd check` asks the streams.
mod check;
// The command line as scripts and people meet it: exit codes, JSON, what errors say.
mod cli;
// The daemon as a process: its configuration, its start, its end, what it says of itself.
mod daemon;
// The crash tests: the daemon killed at any moment, its rows as if it never was.
mod crash;
// Messages of every bad kind: set aside with the reason, or applied as documented, and the daemon goes on.
mod bad_input;
// A week of real flights through a real server, cell by cell beside an independent fold.
mod flights;
// Wrong definitions, beside what an operator reads about them.
mod definitions;
// The laws of the engine, held to a naive interpreter.
mod laws;
// The house rules: layers, lengths, names.
mod tidy;
// A NATS server of the test's own, and what is published to it.
mod nats;
// What is shipped for Prometheus and Grafana, held to a real scrape.
mod observability;
// The README, followed to the letter.
mod readme;
// The JetStream reader against real servers and their faults.
mod source;
// The store: every transition beside a naive map, readers, locks, generations.
mod store;
// A source's transform: messages renamed, split, dropped and set aside, through the daemon.
mod transform;
// The programs that tests need and the machine may not have.
mod tools;
// The one place that sleeps: between two looks at a condition, up to a deadline.
mod wait;
