//! One index, kept at the rows of its table: opened, followed, given up after an error and opened again.

use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use prometheus::{Histogram, IntCounterVec};

use super::making::{self, Making, Order};
use super::published::{Board, State, Trouble};
use super::thread::Event;
use super::{Desk, Error, Means, guarded, verify};
use crate::beat::Stage;
use crate::budget::{Budget, Ticket};
use crate::definition::Table;
use crate::event::Sequence;
use crate::search::{self, Folder, Index, Payload, Searcher, Shape, Writer};
use crate::store::layout::Generation;
use crate::store::snapshot::Snapshot;
use crate::store::step::{Step, Steps};

/// So many changes are committed together: their removals stay in memory until then.
const PORTION: i64 = 20_000;
/// An index whose table is quiet commits once so many changes of others have gone by: else the log could not be trimmed.
const PASSED_MAX: i64 = 10_000;
/// So many errors in a row at one payload, and the index is of no use.
const ERRORS_MAX: u32 = 3;
/// After an error: doubled up to half a minute, as space and disks come back by hand.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Searches that fail, one after another, ask for no more than this of the disk.
const SUSPECT_EVERY: Duration = Duration::from_secs(60);
/// How long a merge may keep an index from being closed: what it has not finished is done again.
const MERGE_WITHIN: Duration = Duration::from_millis(200);

/// One index.
pub(super) struct Keeper {
    projection: String,
    /// Among the definition's.
    number: usize,
    shape: Arc<Shape>,
    table: Table,
    /// What of a row is in a document, as indices into the table's columns.
    columns: Vec<usize>,
    generation: Generation,
    folder: Folder,
    board: Arc<Board>,
    desk: Arc<Desk>,
    budget: Arc<Budget>,
    steps: Steps,
    commits: Histogram,
    errors: IntCounterVec,
    at: At,
    /// Up to this change it is on the disk, as far as that is known.
    durable: i64,
    failing: Option<Failing>,
    /// When its files were last suspected.
    suspected: Option<Instant>,
}

/// What it is at.
enum At {
    Closed,
    Open(Box<Opened>),
    /// It has to be made again.
    Wanted(String),
    /// For this reason.
    Making(Making, String),
}

struct Opened {
    writer: Writer,
    searcher: Searcher,
    /// All changes up to this one, of the rows at this sequence: further than what is on the disk, where none since was
    /// of its table.
    taken: (i64, Sequence),
    /// Its part in the memory budget.
    _ticket: Ticket,
}

/// Errors in a row.
#[derive(Clone, Copy)]
struct Failing {
    /// Of a kind that does not pass by itself, at one payload.
    errors: u32,
    durable: i64,
    pause: Duration,
    again: Instant,
}

impl Keeper {
    pub(super) fn new(
        number: usize,
        shape: Arc<Shape>,
        means: &Means,
        board: &Arc<Board>,
        desk: &Arc<Desk>,
    ) -> Self {
        let search = &means.definition.searches[number];
        let labels = &[means.projection.as_str(), search.name.as_str()];
        Self {
            projection: means.projection.clone(),
            number,
            shape,
            table: means.definition.tables[search.table].clone(),
            columns: making::columns(&means.definition, number),
            generation: means.generation,
            folder: Folder::new(&means.folder, &search.name),
            board: Arc::clone(board),
            desk: Arc::clone(desk),
            budget: Arc::clone(&means.budget),
            steps: means.steps.clone(),
            commits: means.metrics.search_commit_duration_seconds.with_label_values(labels),
            errors: means.metrics.storage_errors_total.clone(),
            at: At::Closed,
            durable: 0,
            failing: None,
            suspected: None,
        }
    }

    /// Takes what has changed up to a fence.
    pub(super) fn take(&mut self, snapshot: &Snapshot) {
        if matches!(self.at, At::Making(..) | At::Wanted(_)) || self.again().is_some() {
            return;
        }
        let at = std::mem::replace(&mut self.at, At::Closed);
        let followed = guarded(|| self.follow(at, snapshot));
        self.ends(followed);
    }

    /// Its files may not be as they were written: they are read, in a thread of their own, once in a while.
    pub(super) fn suspect(&mut self) {
        let is_due = self.suspected.is_none_or(|before| before.elapsed() > SUSPECT_EVERY);
        if !matches!(self.at, At::Open(_)) || !is_due {
            return;
        }
        self.suspected = Some(Instant::now());
        let (folder, shape, number) = (self.folder.clone(), Arc::clone(&self.shape), self.number);
        let board = Arc::clone(&self.board);
        let check = move || {
            if let Some(detail) = verify::damage(&folder, &shape) {
                board.damaged(number, detail);
            }
        };
        let spawned = std::thread::Builder::new().name("index-check".to_owned()).spawn(check);
        spawned.expect("the system has a thread to give");
    }

    /// They are not.
    pub(super) fn damaged(&mut self, detail: String) {
        // One that is made again is not what was looked at.
        if matches!(self.at, At::Open(_)) {
            self.at = At::Closed;
            self.ends(Err(search::Error::Damaged { path: self.folder.path(), detail }.into()));
        }
    }

    /// Every change up to this one is in it, whatever happens; of one that is being made, in what it is made from.
    pub(super) fn durable(&self) -> i64 {
        match &self.at {
            At::Making(making, _) => making.change,
            _ => self.durable,
        }
    }

    /// When it wants a fence, whether or not anything has changed.
    pub(super) fn wants_fence_at(&self) -> Option<Instant> {
        match self.at {
            At::Closed | At::Wanted(_) => Some(self.again().unwrap_or_else(Instant::now)),
            At::Open(_) | At::Making(..) => None,
        }
    }

    pub(super) fn is_to_be_made(&self) -> bool {
        matches!(self.at, At::Wanted(_))
    }

    /// Whether it can begin to be made now.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_to_be_made() && self.again().is_none()
    }

    pub(super) fn is_making(&self) -> bool {
        matches!(self.at, At::Making(..))
    }

    /// Goes on with a shape of the same hash.
    pub(super) fn adopt(&mut self, shape: Arc<Shape>) {
        self.shape = shape;
    }

    /// Begins to make it again, of snapshots of one state; it is told to the thread when it is done.
    pub(super) fn make(&mut self, snapshots: Vec<Snapshot>, events: &mpsc::Sender<Event>) {
        let At::Wanted(why) = std::mem::replace(&mut self.at, At::Closed) else { return };
        match self.making(snapshots, &why, events) {
            Ok(making) => self.at = At::Making(making, why),
            Err(error) => {
                self.at = At::Wanted(why);
                self.failed(&error);
            }
        }
    }

    /// It has been made, or not: what it is worth shows when it is opened.
    pub(super) fn made(&mut self, made: Result<(), Error>) {
        let At::Making(_, why) = std::mem::replace(&mut self.at, At::Closed) else { return };
        if let Err(error) = made {
            // What was there before is of no use still.
            self.at = At::Wanted(why);
            self.failed(&error);
        }
    }

    /// Lets its merges end for a moment.
    pub(super) fn close(&mut self) {
        match std::mem::replace(&mut self.at, At::Closed) {
            At::Open(opened) => opened.writer.close(MERGE_WITHIN),
            At::Making(making, _) => making.end(),
            At::Closed | At::Wanted(_) => {}
        }
    }
}

impl Keeper {
    /// Goes on from what it is at; whoever calls this has taken that, so that after an error it is closed.
    fn follow(&mut self, at: At, snapshot: &Snapshot) -> Result<(), Error> {
        self.board.beat().begin(Stage::Commit, snapshot.sequence());
        let mut opened = match at {
            At::Open(opened) => opened,
            _ => match self.open(snapshot)? {
                Some(opened) => opened,
                None => return Ok(()),
            },
        };
        let (taken, sequence) = opened.taken;
        if !snapshot.goes_on_from(taken, sequence)? {
            self.want("the changes that it lacks are no longer kept".to_owned());
            return Ok(());
        }
        self.catch_up(&mut opened, snapshot)?;
        self.at = At::Open(opened);
        Ok(())
    }

    /// None: it has to be made.
    fn open(&mut self, snapshot: &Snapshot) -> Result<Option<Box<Opened>>, Error> {
        let open = || Index::open(&self.folder.path(), Arc::clone(&self.shape));
        let index = match open() {
            // The first generation has no rows to make it of.
            Err(search::Error::Missing { .. }) if snapshot.sequence() == Sequence(0) => {
                let payload = Payload::new(&self.shape, self.generation, 0, Sequence(0));
                making::make(self.order(payload, Vec::new()), &|_| true)?;
                open()?
            }
            opened => opened?,
        };
        let payload = index.payload();
        if let Some(why) = payload.unfit_for(snapshot)? {
            self.want(why.to_owned());
            return Ok(None);
        }
        let ticket = self.budget.writer();
        let writer = Writer::open(&index, self.budget.writer_bytes(), &self.steps)?;
        self.durable = payload.change;
        let (searcher, taken) = (index.searcher().clone(), (payload.change, payload.sequence()));
        Ok(Some(Box::new(Opened { writer, searcher, taken, _ticket: ticket })))
    }

    fn catch_up(&mut self, opened: &mut Opened, snapshot: &Snapshot) -> Result<(), Error> {
        let last = snapshot.last_change()?;
        while opened.taken.0 < last {
            let portion = snapshot.portion(opened.taken.0, PORTION)?;
            let touched = self.apply(opened, snapshot, portion.upto)?;
            if touched || portion.upto - self.durable >= PASSED_MAX {
                let sequence = portion.sequence;
                let payload = Payload::new(&self.shape, self.generation, portion.upto, sequence);
                self.board.beat().begin(Stage::Commit, sequence);
                let committed = opened.writer.commit(payload)?;
                self.commits.observe(committed.duration.as_secs_f64());
                opened.searcher = committed.searcher;
                self.durable = portion.upto;
            }
            opened.taken = (portion.upto, portion.sequence);
            self.publish(opened);
            if self.desk.stop.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
        opened.taken.1 = snapshot.sequence();
        self.publish(opened);
        Ok(())
    }

    /// Makes the documents of what has changed anew; whether anything had.
    fn apply(&self, opened: &mut Opened, snapshot: &Snapshot, upto: i64) -> Result<bool, Error> {
        let (writer, mut touched) = (&mut opened.writer, false);
        let (beat, sequence) = (self.board.beat(), snapshot.sequence());
        snapshot.changes(&self.table, &self.columns, opened.taken.0, upto, |key, row| {
            touched = true;
            beat.begin(Stage::Apply, sequence);
            match row {
                Some(row) => writer.put(row)?,
                None => writer.remove(key)?,
            }
            Ok::<_, Error>(())
        })?;
        Ok(touched)
    }

    fn publish(&self, opened: &Opened) {
        let searcher = opened.searcher.with_shape(Arc::clone(&self.shape));
        self.board.follows(self.number, searcher, opened.taken);
        self.steps.reached(Step::IndexPublished);
    }

    /// How it is made, of snapshots of one state.
    fn order(&self, payload: Payload, snapshots: Vec<Snapshot>) -> Order {
        Order {
            projection: self.projection.clone(),
            folder: self.folder.clone(),
            shape: Arc::clone(&self.shape),
            table: self.table.clone(),
            columns: self.columns.clone(),
            payload,
            snapshots,
            budget: Arc::clone(&self.budget),
            steps: self.steps.clone(),
        }
    }

    fn making(
        &self,
        snapshots: Vec<Snapshot>,
        why: &str,
        events: &mpsc::Sender<Event>,
    ) -> Result<Making, Error> {
        tracing::info!(
            projection = self.projection,
            index = self.shape.name(),
            why,
            "index is made again"
        );
        let (change, sequence) = (snapshots[0].last_change()?, snapshots[0].sequence());
        let payload = Payload::new(&self.shape, self.generation, change, sequence);
        let order = self.order(payload, snapshots);
        let (board, number, events) = (Arc::clone(&self.board), self.number, events.clone());
        let (why, index) = (why.to_owned(), self.shape.name().to_owned());
        let projection = self.projection.clone();
        let shows = move |making| {
            board.set(number, State::Rebuilding { making: Some(making), why: why.clone() });
        };
        Ok(Making::begin(order, shows, move |made| {
            let made = made.map(|rows| tracing::info!(projection, index, rows, "index made again"));
            // Nobody listens any more only when the thread has ended.
            let _ = events.send(Event::Made(number, made));
        }))
    }

    /// It is of no use as it is.
    fn want(&mut self, why: String) {
        self.board.rebuilds(self.number, why.clone());
        self.at = At::Wanted(why);
    }

    /// What has come of a try.
    fn ends(&mut self, tried: Result<(), Error>) {
        let name = self.shape.name();
        match tried {
            Ok(()) => {
                if self.failing.take().is_some() {
                    tracing::info!(
                        projection = self.projection,
                        index = name,
                        "index follows again"
                    );
                }
            }
            Err(Error::Search(
                error @ (search::Error::Missing { .. }
                | search::Error::Damaged { .. }
                | search::Error::OtherShape { .. }),
            )) => {
                tracing::warn!(projection = self.projection, index = name, %error, "index is of no use");
                self.want(error.to_string());
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &Error) {
        self.errors.with_label_values(&["search", error.kind()]).inc();
        let before = self.failing.filter(|failing| failing.durable == self.durable);
        let pause = before.map_or(PAUSE_MIN, |before| (before.pause * 2).min(PAUSE_MAX));
        let errors = before.map_or(0, |before| before.errors) + u32::from(error.is_lasting());
        if self.failing.is_none() {
            tracing::warn!(projection = self.projection, index = self.shape.name(), %error, "index does not follow, trying again");
        }
        let again = Instant::now() + pause;
        self.failing = Some(Failing { errors, durable: self.durable, pause, again });
        if errors >= ERRORS_MAX && !matches!(self.at, At::Wanted(_)) {
            return self.want(error.to_string());
        }
        let (detail, next) = (error.to_string(), error.hint());
        self.board.set(self.number, State::Troubled(Trouble { detail, next }));
    }

    /// When it is tried again after an error; None: nothing keeps it.
    fn again(&self) -> Option<Instant> {
        self.failing.map(|failing| failing.again).filter(|again| *again > Instant::now())
    }
}
