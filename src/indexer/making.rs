//! An index made of all rows of its table, as they are in a snapshot: for the seal of a build, and where one is of no use.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::{Error, guarded};
use crate::budget::{Budget, WRITER_BYTES_MIN};
use crate::definition::{Definition, Table};
use crate::search::{self, Build, Folder, Part, Payload, Shape};
use crate::status;
use crate::store::found::{ROOM_LEFT_BYTES, free_bytes};
use crate::store::scan::Parts;
use crate::store::snapshot::Snapshot;
use crate::store::step::Steps;

/// Reading rows takes a fraction of what indexing them does.
const SCANS_MAX: usize = 2;
/// As often as anybody looks.
pub const SHOWN_EVERY: Duration = Duration::from_millis(100);
/// Most are made in less: the log of one that takes long says that it goes on.
const LOGGED_EVERY: Duration = Duration::from_secs(10);

/// How one index is made.
pub struct Order {
    pub projection: String,
    pub folder: Folder,
    pub shape: Arc<Shape>,
    pub table: Table,
    /// What of a row is in a document, as indices into the table's columns.
    pub columns: Vec<usize>,
    pub payload: Payload,
    /// Of one state; none of a table that has no rows.
    pub snapshots: Vec<Snapshot>,
    pub budget: Arc<Budget>,
    pub steps: Steps,
}

/// One that is being made, on threads of its own.
pub(super) struct Making {
    /// The last change that is in what it is made of.
    pub(super) change: i64,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

/// So many snapshots of one state are read side by side.
pub fn scans() -> usize {
    processors().min(SCANS_MAX)
}

/// What of a table's row is in the documents of an index.
pub fn columns(definition: &Definition, search: usize) -> Vec<usize> {
    let search = &definition.searches[search];
    let fields = search.fields.iter().map(|field| field.column);
    let mut columns: Vec<usize> = fields.chain(search.filters.iter().copied()).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Makes it: durable, and by its own name, when this returns. `progress` is told how far it is, now and then; false ends
/// it.
pub fn make(
    order: Order,
    progress: &(dyn Fn(status::Making) -> bool + Sync),
) -> Result<u64, Error> {
    let Order { projection, folder, shape, table, columns, payload, snapshots, budget, steps } =
        order;
    let begun = Instant::now();
    let total = snapshots.first().map_or(Ok(0), |snapshot| snapshot.count(&table))?;
    let logged = Mutex::new(begun);
    let told = |rows| {
        let making = status::Making::new(shape.name(), rows, total, begun.elapsed());
        if let Ok(mut logged) = logged.try_lock()
            && logged.elapsed() >= LOGGED_EVERY
        {
            *logged = Instant::now();
            let (index, left) = (shape.name(), making.seconds_left);
            tracing::info!(
                projection,
                index,
                rows,
                of = total,
                seconds_left = left,
                "index is made"
            );
        }
        progress(making)
    };
    // It takes a large fold's part as well: no fold is at work on what is whole.
    let (_writer, mut fold) = (budget.writer(), budget.fold());
    let fold_bytes = fold.share();
    fold.bytes_max(fold_bytes);
    let memory_bytes = budget.writer_bytes() + fold_bytes;
    let parts = Parts::default();
    let scan = |snapshot: Snapshot| -> Part<'_, Error> {
        let (parts, table, columns) = (&parts, &table, &columns);
        Box::new(move |sink| {
            snapshot.scan(table, columns, parts, |row| sink(row).map_err(Error::from))
        })
    };
    let scans = snapshots.into_iter().map(scan).collect();
    let build = Build {
        shape: &shape,
        payload: &payload,
        workers: processors().min(memory_bytes / WRITER_BYTES_MIN).max(1),
        memory_bytes,
        progress: &told,
        steps: &steps,
    };
    Ok(build.run(&folder, scans)?.documents)
}

impl Making {
    /// Begins; `shows` is told how far it is, `ended` of how many rows it has been made, or why it has not.
    pub(super) fn begin(
        order: Order,
        shows: impl Fn(status::Making) + Send + Sync + 'static,
        ended: impl FnOnce(Result<u64, Error>) + Send + 'static,
    ) -> Self {
        let (change, stop) = (order.payload.change, Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let run = move || {
            // Looked at when it begins, too.
            let shown = Mutex::new(None::<Instant>);
            let place = order.folder.path();
            let is_full = AtomicBool::new(false);
            let progress = |making| {
                if let Ok(mut shown) = shown.try_lock()
                    && shown.is_none_or(|shown| shown.elapsed() > SHOWN_EVERY)
                {
                    *shown = Some(Instant::now());
                    shows(making);
                    is_full.store(!leaves_room(&place), Ordering::Relaxed);
                }
                !stopped.load(Ordering::Relaxed) && !is_full.load(Ordering::Relaxed)
            };
            let made = guarded(|| make(order, &progress));
            ended(match is_full.load(Ordering::Relaxed) {
                true => Err(search::Error::Full { path: place }.into()),
                false => made,
            });
        };
        let thread = std::thread::Builder::new().name("index-build".to_owned()).spawn(run);
        Self { change, stop, thread: thread.expect("the system has a thread to give") }
    }

    /// Gives it up, and waits until nothing of it is at work.
    pub(super) fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        // Its panics are errors.
        let _ = self.thread.join();
    }
}

/// An index that grew the disk full would stop the view that it is of.
fn leaves_room(index: &Path) -> bool {
    let folder = index.ancestors().find(|folder| folder.is_dir());
    folder.and_then(|folder| free_bytes(folder).ok()).is_none_or(|free| free >= ROOM_LEFT_BYTES)
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
