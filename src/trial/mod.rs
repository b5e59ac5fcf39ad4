//! A projection in memory: the real engine and the real store, with chunks that the caller gives.
//!
//! For `viewd test` and `viewd try`: what they show is what a daemon would make of the same messages. Only the source
//! and the files are missing: a trial writes to nobody's disk and leaves nothing behind.
//!
//! | module | what it is |
//! |---|---|
//! | `given` | event documents to the chunks that a trial takes |
//! | `outcome` | everything that a trial has come to, to be shown or compared |
//! | `expect` | the rows that a test expects beside those that are there |
//! | `found` | what a test's queries find in its rows |
//! | `compare` | when two cells are the same to a test |
//! | `test` | one `[[test]]`, and the ways in which its events must come to the same |

mod compare;
pub mod expect;
mod found;
pub mod given;
pub mod outcome;
pub mod test;

use std::sync::Arc;

use self::outcome::{Outcome, Relation, SetAside};
use crate::clock;
use crate::config::SourceSettings;
use crate::definition::fingerprint::{ENGINE, Fingerprint};
use crate::event::chunk::Chunk;
use crate::expression::Expression;
use crate::projection::plan::Plan;
use crate::store::Error;
use crate::store::layout::Build;
use crate::store::view::{self, Columns};
use crate::store::writer::Store;
use crate::worker::batch::{Batcher, Stop};

/// What is tried.
#[derive(Clone)]
pub struct Setup {
    pub plan: Arc<Plan>,
    /// Of its views.
    columns: Arc<[Columns]>,
    /// Of its source.
    pub order_key: Option<Arc<Expression>>,
    /// Of its source.
    pub transform: Option<Arc<Expression>>,
    stream: String,
    fingerprint: Fingerprint,
    parked_events_max: u64,
}

/// A projection at work on a view of its own in memory.
pub struct Trial {
    setup: Setup,
    store: Store,
    batcher: Batcher,
    set_aside: Vec<SetAside>,
    /// Why it takes nothing more.
    stopped: Option<Stop>,
}

impl Setup {
    pub fn new(
        plan: Arc<Plan>,
        source: &SourceSettings,
        event_bytes_max: u64,
        parked_events_max: u64,
    ) -> Self {
        let fingerprint = Fingerprint::new(plan.definition(), source.reading(event_bytes_max));
        let definition = plan.definition();
        let columns = view::columns(&definition.tables, &definition.views).into();
        Self {
            columns,
            plan,
            order_key: source.order_key.clone(),
            transform: source.transform.clone(),
            stream: source.stream.clone(),
            fingerprint,
            parked_events_max,
        }
    }
}

impl Trial {
    /// An empty view.
    pub fn begin(setup: &Setup) -> Result<Self, Error> {
        let definition = setup.plan.definition();
        let store = Store::in_memory(&Build {
            projection: &definition.name,
            stream: &setup.stream,
            definition: &definition.source.text,
            source: "{}",
            engine: ENGINE,
            fingerprint: &setup.fingerprint,
            tables: &definition.tables,
            views: &definition.views,
            logged: Vec::new(),
        })?;
        let batcher = batcher(setup, &store)?;
        Ok(Self { setup: setup.clone(), store, batcher, set_aside: Vec::new(), stopped: None })
    }

    /// Applies chunks as one batch. A projection that has stopped takes nothing, as in the daemon.
    pub fn take(&mut self, chunks: &[Arc<Chunk>]) -> Result<(), Error> {
        if self.stopped.is_some() || chunks.is_empty() {
            return Ok(());
        }
        let done = self.batcher.take(&mut self.store, chunks, None, |_| false, clock::now())?;
        self.set_aside.extend(done.dead_letters.iter().map(SetAside::new));
        self.stopped = done.stop;
        Ok(())
    }

    /// What another process would find after this one was killed.
    pub fn crash(self) -> Result<Self, Error> {
        let store = self.store.reopen()?;
        let batcher = batcher(&self.setup, &store)?;
        Ok(Self { store, batcher, ..self })
    }

    /// The events that were set aside so far.
    pub fn set_aside(&self) -> &[SetAside] {
        &self.set_aside
    }

    /// Everything that it has come to, with all rows.
    pub fn outcome(&self) -> Result<Outcome, Error> {
        self.outcome_within(None)
    }

    /// The same with so many rows of each table and view at most.
    pub fn outcome_within(&self, rows_max: Option<usize>) -> Result<Outcome, Error> {
        let definition = self.setup.plan.definition();
        let table = |table| Relation::of_table(&self.store, table, rows_max);
        let views = definition.views.iter().zip(self.setup.columns.iter());
        Ok(Outcome {
            tables: definition.tables.iter().map(table).collect::<Result<_, _>>()?,
            views: views
                .map(|(view, columns)| Relation::of_view(&self.store, view, columns, rows_max))
                .collect(),
            set_aside: self.set_aside.clone(),
            counts: *self.store.counts(),
            sequence: self.store.checkpoint().sequence.0,
            stopped: self.stopped.as_ref().map(|stop| stop.detail.clone()),
        })
    }
}

fn batcher(setup: &Setup, store: &Store) -> Result<Batcher, Error> {
    let (plan, order_key) = (Arc::clone(&setup.plan), setup.order_key.clone());
    let mut batcher = Batcher::new(plan, order_key, setup.parked_events_max);
    batcher.begin(store)?;
    Ok(batcher)
}
