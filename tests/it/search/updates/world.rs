//! A view with its indexes, worked on by hand as its worker would, and files that are as a crash leaves them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;
use viewd::clock;
use viewd::event::time::Timestamp;
use viewd::event::{Format, Sequence};
use viewd::projection::plan::Plan;
use viewd::search::at_rest;
use viewd::source::memory::{Recorded, chunks};
use viewd::store::layout::{Folder, Generation};
use viewd::store::snapshot;
use viewd::store::step::{Step, Steps};
use viewd::store::writer::Store;
use viewd::worker::batch::Batcher;
use viewd::worker::fences::Fences;

use super::documents;
use super::{Act, Change};
use crate::search::alone::Alone;
use crate::wait;

const NAME: &str = "updates";
const DEFINITION: &str = r#"
source = "s"

[tables.things]
key = ["k"]
indexes = [["n"]]
columns.k = "text"
columns.words = "text"
columns.n = "integer"
columns.d = "date"

[tables.pairs]
key = ["n", "k"]
columns.n = "integer"
columns.k = "text"
columns.words = "text"

[search.things]
table   = "things"
filters = ["n", "d"]
fields.words = {}

[search.pairs]
table   = "pairs"
filters = ["n"]
fields.words = {}

[[on]]
event  = "Put"
upsert = "things"
key.k     = ".data.k"
set.words = ".data.words"
set.n     = ".data.n"
set.d     = ".data.d"

[[on]]
event  = "Put"
upsert = "pairs"
key.n     = ".data.n"
key.k     = ".data.k"
set.words = ".data.words"

[[on]]
event  = "Delete"
delete = "things"
key.k  = ".data.k"

[[on]]
event   = "Delete"
delete  = "pairs"
where.k = ".data.k"

[[on]]
event     = "Where"
update    = "things"
where.n   = ".data.n"
set.words = ".data.words"
"#;

const DEADLINE: Duration = Duration::from_secs(60);
/// Nothing runs on it: the events come from memory.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
const WORDS: [&str; 6] = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];

pub struct World {
    alone: Alone,
    plan: Arc<Plan>,
    /// What is on the disk.
    data: TempDir,
    trap: Arc<Trap>,
    open: Option<Open>,
    saved: Option<TempDir>,
    /// What the stream holds: a view that goes back reads the same again.
    stream: Vec<Change>,
    /// The view was put back by an older copy, and its indexes have not seen that.
    put_back: bool,
    kills: u32,
}

/// A process.
struct Open {
    store: Store,
    batches: Batcher,
    fences: Fences,
}

/// Copies what is on the disk when a step is reached: a process that ended there would leave it so.
#[derive(Default)]
struct Trap(Mutex<Set>);

#[derive(Default)]
struct Set {
    step: Option<Step>,
    from: PathBuf,
    image: Option<TempDir>,
}

impl World {
    pub fn new() -> Self {
        let alone = Alone::new(NAME, DEFINITION, RUNTIME.handle());
        let mut world = Self {
            plan: Arc::new(Plan::new(Arc::clone(&alone.definition))),
            alone,
            data: folder(),
            trap: Arc::default(),
            open: None,
            saved: None,
            stream: Vec::new(),
            put_back: false,
            kills: 0,
        };
        world.begin();
        world
    }

    /// How often a step was reached at which the process was to end.
    pub fn kills(&self) -> u32 {
        self.kills
    }

    pub fn play(&mut self, act: &Act) {
        match act {
            Act::Batch(changes) => self.batch(changes),
            Act::Index => self.settle(),
            Act::Fence => self.open().fences_work(),
            Act::Trim { too_far } => self.trim(*too_far),
            Act::Reopen => {
                self.end();
                self.begin();
            }
            Act::Kill(step, changes) => self.kill(*step, changes),
            Act::Save => {
                self.settle();
                self.saved = Some(image(self.data.path()));
            }
            Act::Older { view } => self.older(*view),
            Act::Lose { all } => self.lose(*all),
        }
    }

    /// What is wrong with the indexes once they hold all that the view does.
    pub fn check(&mut self) -> Result<(), String> {
        self.settle();
        let definition = Arc::clone(&self.alone.definition);
        let open = self.open();
        let published = open.fences.board().unwrap().published();
        let mut held = Vec::new();
        for search in &definition.searches {
            let rows = open.store.rows(search.table).unwrap();
            let searcher = published.index(&search.name).unwrap().searcher.as_ref().unwrap();
            let mut comparison = searcher.compare().unwrap();
            rows.iter().for_each(|row| comparison.row(row).unwrap());
            let differences = comparison.finish().unwrap();
            if !differences.is_empty() {
                return Err(format!("{}: {differences:?}", search.name));
            }
            held.push((search, rows));
        }
        // Its files go and come while it is open.
        self.end();
        let checked = held.into_iter().try_for_each(|(search, rows)| {
            let folder = self.generation().join("search").join(&search.name);
            documents::hold(&folder, search, &definition.tables[search.table], &rows)
        });
        self.begin();
        checked
    }

    fn batch(&mut self, changes: &[Change]) {
        let next = self.open().store.checkpoint().sequence.0 + 1;
        let first = usize::try_from(next).unwrap() - 1;
        let last = first + changes.len();
        let known = self.stream.len();
        self.stream.extend_from_slice(&changes[known.saturating_sub(first).min(changes.len())..]);
        let stream = self.stream[first..last].to_vec();
        let open = self.open();
        let messages = (next..).zip(&stream).map(|(sequence, change)| Recorded {
            sequence: Sequence(sequence),
            stored_at: Timestamp(sequence as i64),
            subject: "events.one".to_owned(),
            payload: change.event().into_bytes(),
            ..Recorded::default()
        });
        let messages: Vec<Recorded> = messages.collect();
        let chunks = chunks(&messages, Format::Auto, 1 << 20, []);
        let done = open.batches.take(&mut open.store, &chunks, None, |_| false, clock::now());
        let done = done.unwrap();
        assert!(done.dead_letters.is_empty(), "{:?}", done.dead_letters);
        open.fences.committed(&open.store);
    }

    /// Works as a worker does, until every index stands where the view does.
    fn settle(&mut self) {
        let open = self.open();
        wait::until("the indexes", DEADLINE, || {
            open.fences.work(&mut open.store).unwrap();
            let published = open.fences.board().unwrap().published();
            let stands = open.store.checkpoint().sequence;
            let all = published.indexes.iter();
            all.map(|index| index.sequence(&published))
                .all(|sequence| sequence == Some(stands))
                .then_some(())
        });
        self.put_back = false;
    }

    fn trim(&mut self, too_far: bool) {
        let open = self.open();
        let published = open.fences.board().unwrap().published();
        let durable = published
            .indexes
            .iter()
            .map(|index| index.searcher.as_ref().map_or(0, |searcher| searcher.payload().change));
        let durable = durable.min().unwrap();
        let upto = if too_far { open.store.last_change() } else { durable };
        while open.store.trim_changes(upto).unwrap() {}
    }

    /// Ends in order.
    fn end(&mut self) {
        let Some(open) = self.open.take() else { return };
        let Open { mut store, fences, .. } = open;
        fences.end(&mut store).unwrap();
    }

    /// Ends at a step, if it comes: what is done after it is done in vain.
    fn kill(&mut self, step: Step, changes: &[Change]) {
        // Whether the image is of before they have.
        let put_back = self.put_back;
        self.trap.set(step, self.data.path());
        self.batch(changes);
        self.settle();
        if let Some(image) = self.trap.sprung() {
            self.kills += 1;
            self.end();
            self.data = image;
            self.put_back = put_back;
            self.trails();
            self.begin();
        }
    }

    /// Whatever step the process ended at: no index is ahead of its rows.
    fn trails(&self) {
        if self.put_back {
            return;
        }
        let folder = Folder::new(self.data.path(), NAME);
        let sequence = snapshot::open(&folder).unwrap().sequence();
        for search in &self.alone.definition.searches {
            let index = self.generation().join("search").join(&search.name);
            let ahead = at_rest(&index).filter(|(payload, _)| payload.sequence() > sequence);
            assert_eq!(ahead, None, "the rows are at {sequence}");
        }
    }

    fn older(&mut self, view: bool) {
        let Some(saved) = self.saved.take() else { return };
        self.settle();
        self.end();
        let search = PathBuf::from("search");
        let (older, newer) = (self.generation_in(saved.path()), self.generation());
        if view {
            // What was saved is of a history that is not this one's from here on.
            std::fs::remove_dir_all(older.join(&search)).unwrap();
            std::fs::rename(newer.join(&search), older.join(&search)).unwrap();
            self.data = saved;
            self.put_back = true;
        } else {
            std::fs::remove_dir_all(newer.join(&search)).unwrap();
            std::fs::rename(older.join(&search), newer.join(&search)).unwrap();
        }
        self.begin();
    }

    fn lose(&mut self, all: bool) {
        self.settle();
        self.end();
        let search = self.generation().join("search");
        if all {
            std::fs::remove_dir_all(search).unwrap();
        } else {
            std::fs::remove_file(search.join("things/meta.json")).unwrap();
        }
        self.begin();
    }

    fn begin(&mut self) {
        let (mut store, mut fences) = self.alone.open(self.data.path(), self.trap.steps());
        let mut batches = Batcher::new(Arc::clone(&self.plan), None, 1_000);
        batches.begin(&store).unwrap();
        // As a worker does: before anything is applied.
        fences.work(&mut store).unwrap();
        self.open = Some(Open { store, batches, fences });
    }

    fn open(&mut self) -> &mut Open {
        self.open.as_mut().expect("it is open but while it is closed")
    }

    fn generation(&self) -> PathBuf {
        self.generation_in(self.data.path())
    }

    fn generation_in(&self, data: &Path) -> PathBuf {
        Folder::new(data, NAME).generation(Generation(1))
    }
}

impl Open {
    fn fences_work(&mut self) {
        self.fences.work(&mut self.store).unwrap();
    }
}

impl Trap {
    fn set(&self, step: Step, from: &Path) {
        *self.0.lock().unwrap() = Set { step: Some(step), from: from.to_owned(), image: None };
    }

    /// What was on the disk at that step.
    fn sprung(&self) -> Option<TempDir> {
        std::mem::take(&mut *self.0.lock().unwrap()).image
    }

    fn steps(self: &Arc<Self>) -> Steps {
        let trap = Arc::clone(self);
        Steps::new(move |step| {
            let mut set = trap.0.lock().unwrap();
            if set.step == Some(step) {
                set.step = None;
                set.image = Some(image(&set.from));
            }
        })
    }
}

impl Change {
    fn event(&self) -> String {
        let key = |key: &u8| match key {
            // Longer than what is a term by itself.
            11 => format!("long {}", "x".repeat(2_000)),
            10 => "ä \"quoted\" \\ \u{1F600}".to_owned(),
            key => format!("key {key}"),
        };
        let words = |words: &u8| match words % 16 {
            0 => serde_json::Value::Null,
            _ => {
                let one = |shift| WORDS[usize::from(words >> shift) % WORDS.len()];
                format!("{} {} {}", one(0), one(2), one(5)).into()
            }
        };
        let (kind, data) = match self {
            Self::Put { key: k, words: w, number } => {
                let day = (*number > 0).then(|| format!("2013-01-{:02}", number + 1));
                ("Put", serde_json::json!({"k": key(k), "words": words(w), "n": number, "d": day}))
            }
            Self::Delete { key: k } => ("Delete", serde_json::json!({"k": key(k)})),
            Self::Where { number, words: w } => {
                ("Where", serde_json::json!({"n": number, "words": words(w)}))
            }
        };
        serde_json::json!({"specversion": "1.0", "id": "1", "source": "/", "type": kind, "data": data})
            .to_string()
    }
}

/// For files that nobody needs after a loss of power.
fn folder() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// What is on the disk at this moment, while another thread may be at work: it is looked at again until it stood still.
fn image(from: &Path) -> TempDir {
    wait::until("files that stand still", DEADLINE, || {
        let (to, before) = (folder(), listed(from));
        let copied = copy(from, to.path());
        (copied.is_ok() && listed(from) == before).then_some(to)
    })
}

type Listed = Vec<(PathBuf, u64, Option<std::time::SystemTime>)>;

fn listed(folder: &Path) -> Listed {
    let mut all = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return all };
    for entry in entries.flatten() {
        let Ok(metadata) = entry.path().symlink_metadata() else { continue };
        if metadata.is_dir() {
            all.extend(listed(&entry.path()));
        } else {
            all.push((entry.path(), metadata.len(), metadata.modified().ok()));
        }
    }
    all.sort();
    all
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (kind, to) = (entry.file_type()?, to.join(entry.file_name()));
        if kind.is_dir() {
            std::fs::create_dir(&to)?;
            copy(&entry.path(), &to)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(std::fs::read_link(entry.path())?, to)?;
        } else if !entry.path().to_string_lossy().ends_with("-shm") {
            // The shared memory goes with its process.
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
