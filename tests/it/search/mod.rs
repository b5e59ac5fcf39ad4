//! Full-text search through the daemon: on real text, and through whatever may happen to it.

// A generation with its indexes, worked on by hand.
mod alone;
// The command, and what it asks the daemon.
mod cli;
// What a search finds, by reading every row.
mod naive;
// The process ended at every step of an index.
mod crash;
// An index whose files are not what they were.
mod damage;
// A disk that is full, or does not answer.
mod disk;
// Indexes follow the rows: live, over restarts, definitions and builds.
mod follow;
// How far an index is that is made from the rows.
mod making;
// Generated queries beside a scan of the rows.
mod oracle;
// Many projections, each with an index.
mod many;
// A daemon with a table that is searched, and what is published to it.
mod rig;
// Random histories of view and indexes, with crashes.
mod updates;
// What an index finds, beside a plain look at all rows.
mod hits;
// The loss of power, with more or less kept of the rows than of the index.
mod power;
// What is searched for, held to the naive search; and what nobody should search for.
mod words;
