//! The engine: a definition compiled to a plan, events turned into operations, operations folded into transitions.
//!
//! Pure: no tokio, no SQL, no clock, no file. What a plan gives for an event depends on the event and the definition
//! alone; what a fold gives depends on the rows that it is lent.

pub mod ahead;
pub mod fold;
mod handler;
pub mod known;
pub mod plan;
pub mod reject;
pub mod run;
pub mod seen;
pub mod transition;
mod view;
