//! A new generation, built beside the one that is served: on a thread of its own, from the first message of the stream
//! to the cut-over.
//!
//! | phase | what it does | a crash here |
//! |---|---|---|
//! | preparing | looks whether the stream still holds what the view knows (I11), and for room; makes the generation | nothing is left |
//! | bulk | replays the stream into a private file: large folds, no syncs, no indexes | the generation is removed |
//! | sealing | makes indexes, checks the file, makes full-text indexes of its rows, syncs all of it | likewise, until it says that it is sealed |
//! | catching up | follows the stream like a served generation | it goes on with the next start |
//! | comparing | of an unchanged definition: its rows must be those that are served, at one sequence | likewise |
//! | held | waits for `promote` | likewise |
//!
//! The cut-over itself is the worker's, whose store it replaces (`worker::meet`). Until then nothing of the generation
//! that is served changes, and a build that does not come to its end is removed.

mod catch_up;
mod compare;
mod end;
mod fill;
mod indexes;
mod meter;
pub mod operation;
mod prepare;

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use self::catch_up::Reached;
use self::end::End;
use self::meter::Meter;
use self::operation::{Cause, Kind, Operation, Order};
use crate::beat::Stage;
use crate::budget::Ticket;
use crate::event::Sequence;
use crate::source::convoy::Member;
use crate::status::Reason;
use crate::store::layout::{Folder, Generation};
use crate::store::writer::Store;
use crate::worker::batch::Stop;
use crate::worker::command::Command;
use crate::worker::common::{Common, Reading};
use crate::worker::recipe::Recipe;
use crate::worker::shared::Shared;
use crate::worker::successor::Successor;

/// So often may the process end while one thing is built.
const ATTEMPTS_MAX: u32 = 3;

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

/// A build at work.
struct Build {
    operation: Arc<Operation>,
    recipe: Arc<Recipe>,
    folder: Folder,
    serving: Option<Serving>,
    reading: Reading,
    common: Arc<Common>,
    meter: Meter,
    /// Its store's part in the memory budget, until a successor has it.
    ticket: Option<Ticket>,
    /// The generation that it makes.
    generation: Option<Generation>,
    /// Whether what it makes is worth keeping if the process ends.
    keeps: bool,
    /// Whether what is served was read from the stream that is being read: then their sequences mean the same.
    of_one_stream: bool,
}

/// Builds until it is served, refused, failed or cancelled, which the operation then says.
///
/// A successor that is given back has been made the one that is served where no worker was: it is to be launched.
pub fn run(builder: Builder) -> Option<Box<Successor>> {
    let Builder { operation, recipe, begin, folder, serving, reading, together, common } = builder;
    let shared = serving.as_ref().map(|serving| Arc::clone(&serving.shared));
    let meter = Meter::new(Arc::clone(&operation), shared);
    let mut build = Build {
        operation,
        recipe,
        folder,
        serving,
        reading,
        ticket: Some(common.budget.store()),
        common,
        meter,
        generation: None,
        keeps: false,
        of_one_stream: false,
    };
    let name = build.operation.projection.clone();
    tracing::info!(projection = name, kind = build.operation.order.kind.word(), "build begins");
    let begun = match begin {
        Begin::Fresh | Begin::Copy => build.begin_attempt(begin),
        Begin::Sealed(_) | Begin::Retired(_) => Ok(()),
    };
    let built = begun.and_then(|()| build.go(begin, together));
    match built {
        Err(End::Shutdown) => build.folder.pause_attempt(),
        _ => build.folder.end_attempt(),
    }
    let (end, launch) = match built {
        Ok(Reached::Served) => (build.served(), None),
        Ok(Reached::Launch(successor)) => (build.served(), Some(successor)),
        Ok(Reached::Compared(comparison)) => {
            build.remove();
            (End::Compared(comparison), None)
        }
        Err(end) => {
            build.remove_unless_kept(&end);
            (end, None)
        }
    };
    build.meter.finish();
    end.tell(&build.operation);
    launch
}

impl Build {
    fn go(&mut self, begin: Begin, together: Option<Member>) -> Result<Reached, End> {
        let store = match begin {
            Begin::Fresh => {
                let target = self.may_replay()?;
                let generation = self.make(|folder, build| folder.make_next(build))?;
                self.fill(generation, together, target)?
            }
            Begin::Copy => {
                let generation = self.copy()?;
                self.seal_copy(generation)?
            }
            Begin::Sealed(generation) => self.open(generation)?,
            Begin::Retired(generation) => self.open_retired(generation)?,
        };
        if begin != Begin::Fresh {
            self.of_one_stream = self.reads_what_is_served() && self.is_of_one_stream(&store)?;
        }
        self.keeps |= self.order().kind != Kind::Verify;
        // That much is done, and is not begun anew.
        self.folder.end_attempt();
        self.begin_attempt(begin)?;
        self.follow(store)
    }

    /// Whether what is served and what was built are of one stream, as far as both know theirs.
    fn is_of_one_stream(&self, store: &Store) -> Result<bool, End> {
        let served = self.served_checkpoint()?.and_then(|served| served.stream_created_ns);
        let built = store.checkpoint().stream_created_ns;
        Ok(served.zip(built).is_none_or(|(served, built)| served == built))
    }

    /// Where what is served stands, if its sequences are those that are read: a build never passes it unseen, so that
    /// what both have read can be compared at one sequence.
    fn ceiling(&self) -> Option<Sequence> {
        let serving = self.serving.as_ref().filter(|_| self.of_one_stream)?;
        Some(serving.shared.look(|served| served.sequence))
    }

    /// What begins by itself does so only a few times in vain: an event may be what ends the process.
    fn begin_attempt(&mut self, begin: Begin) -> Result<(), End> {
        if self.order().cause == Cause::Command && !matches!(begin, Begin::Sealed(_)) {
            self.folder.end_attempt();
        }
        let order = self.order_text();
        if self.folder.begin_attempt(&order, &self.recipe.fingerprint)? < ATTEMPTS_MAX {
            return Ok(());
        }
        if let Begin::Sealed(generation) = begin {
            self.generation = Some(generation);
        }
        let name = &self.operation.projection;
        Err(End::Failed {
            detail: format!(
                "the process ended {ATTEMPTS_MAX} times while it was being built: the next event may be what ends it"
            ),
            next: Some(format!("look at the log, then `viewd rebuild {name}`")),
        })
    }

    fn order(&self) -> Order {
        self.operation.order
    }

    /// As it is kept over a restart.
    fn order_text(&self) -> String {
        serde_json::to_string(&self.order()).expect("an order has nothing but words")
    }

    /// Whether it is to end; it moves, whatever it waits for.
    fn check(&self) -> Result<(), End> {
        self.operation.beat.begin(Stage::Idle, Sequence(0));
        if self.common.shutdown.is_cancelled() {
            return Err(End::Shutdown);
        }
        if self.operation.cancel.is_cancelled() {
            return Err(End::Cancelled);
        }
        Ok(())
    }

    /// What a policy says of a message, or the stream's fault there.
    fn stopped(&self, at: Sequence, stop: Stop) -> End {
        let name = &self.operation.projection;
        // What it has set aside goes with it, so nothing of it can be queried.
        let next = match stop.reason {
            Reason::SetAsideFull => Some(format!(
                "`viewd try {name}` shows what is set aside; correct the definition, and `viewd reload`"
            )),
            _ => stop.next,
        };
        End::Failed { detail: format!("message {at}: {}", stop.detail), next }
    }

    fn served(&self) -> End {
        End::Served { generation: self.generation.unwrap_or(Generation(0)) }
    }

    fn remove_unless_kept(&self, end: &End) {
        if !(self.keeps && matches!(end, End::Shutdown)) {
            self.remove();
        }
    }

    /// One that was served before is retired again; any other is removed. Nobody has it open any more.
    fn remove(&self) {
        if let Some(generation) = self.generation {
            self.folder.discard(generation);
        }
    }
}
