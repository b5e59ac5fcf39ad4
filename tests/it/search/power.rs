//! The loss of power: whatever the disk has kept of the rows, and of the index more or less than that, the index is its
//! rows again, and is made again only where it has to be.
//!
//! One run of a store and its index, of which every state on the way is kept: the index at each of its steps, and the
//! store's log, of which any beginning is what a loss of power may leave of it. Then each with each: what SQLite and the
//! index promise of their order (I5) holds for some of these pairs, and all of them must come right.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use viewd::event::Sequence;
use viewd::event::time::Timestamp;
use viewd::indexer::verify;
use viewd::projection::transition::Transition;
use viewd::row::{Cell, Key, Row};
use viewd::search::at_rest;
use viewd::status::Counts;
use viewd::store::batch::Batch;
use viewd::store::layout::Generation;
use viewd::store::step::{Step, Steps};
use viewd::store::writer::Store;
use viewd::worker::fences::Fences;

use super::alone::Alone;
use crate::random::Random;
use crate::wait;

const NAME: &str = "items";
const DEADLINE: Duration = Duration::from_secs(60);
/// Pairs that are looked at, of those where the index goes on and of the others; `make soak` looks at all
/// (POWER_PAIRS=1000).
const PAIRS: usize = 4;
/// Messages of a batch, and how many batches a fence takes.
const MESSAGES: u64 = 8;
const BATCHES: u64 = 2;
const FENCES: u64 = 4;

const DEFINITION: &str = r#"
source = "s"

[tables.items]
key = ["id"]
columns.id   = "integer"
columns.text = "text"

[[on]]
event    = "*"
upsert   = "items"
key.id   = ".data.id"
set.text = ".data.text"

[search.items]
table = "items"
fields.text = {}
"#;

/// What makes stores and indexes.
struct Site {
    runtime: Runtime,
    alone: Alone,
}

/// A store and its index at work.
struct Running {
    store: Store,
    fences: Fences,
}

/// What the disk may have kept of the store.
#[derive(Clone, Debug)]
struct Cut {
    /// Bytes of the log.
    bytes: u64,
    /// What is in it then: the checkpoint, and the changes that the log of changes has.
    sequence: u64,
    changes: (i64, i64),
}

/// What the disk may have kept of the index.
#[derive(Clone, Debug)]
struct Image {
    name: String,
    /// That of all indexes.
    path: PathBuf,
    /// Changes that it says it has taken; None: there is no index.
    change: Option<i64>,
}

/// All that a run has left on the way.
struct Run {
    _folder: TempDir,
    /// The data directory at the end.
    end: PathBuf,
    cuts: Vec<Cut>,
    images: Vec<Image>,
}

#[test]
fn whatever_is_kept_of_rows_and_index_they_become_one() {
    let site = Site::new();
    let run = site.run();
    let last = run.cuts.last().expect("commits").sequence;
    let pairs = run.cuts.iter().flat_map(|cut| run.images.iter().map(move |image| (cut, image)));
    let (mut of_use, mut of_none): (Vec<_>, Vec<_>) =
        pairs.partition(|(cut, image)| image.goes_on_from(cut));
    let mut random = Random::from_environment("POWER_SEED");
    let wanted = std::env::var("POWER_PAIRS").map_or(PAIRS, |text| text.parse().unwrap());
    for (pairs, made) in [(&mut of_use, 0), (&mut of_none, 1)] {
        assert!(pairs.len() > 50, "{made}: {}", pairs.len());
        for _ in 0..wanted.min(pairs.len()) {
            let (cut, image) = pairs.swap_remove(random.below(pairs.len() as u64) as usize);
            let step = random.within(1..=2 * MESSAGES);
            let what = format!("{cut:?}, {image:?}, batches of {step}");
            let data = run.put_together(cut, image);
            let found = site.recover(data.path(), Some(cut), last + 10, step, &what);
            assert_eq!(found, made, "{what}: made again so often");
        }
    }
}

/// The start that finds the index ahead of the rows ends before it has made it again, and the rows have moved on by
/// other batches: the ids of their changes say nothing of what the index holds.
#[test]
fn a_replay_that_was_ended_is_not_taken_for_what_the_index_has_seen() {
    let site = Site::new();
    let run = site.run();
    let last = run.cuts.last().expect("commits").sequence;
    let newest = run.images.iter().rfind(|image| image.name.ends_with("published"));
    let newest = newest.expect("it was published");
    for (cut, step) in [(0, 3), (0, last), (3, 1), (3, 5), (5, last)] {
        let cut = &run.cuts[cut];
        assert!(cut.changes.1 < newest.change.expect("a change"));
        let data = run.put_together(cut, newest);
        let mut ended = site.open(data.path(), Steps::default());
        while ended.store.last_change() <= newest.change.expect("a change") {
            ended.commit(step);
        }
        let reached = ended.store.checkpoint().sequence.0;
        let _within = site.runtime.enter();
        drop(ended);
        let what = format!("{cut:?}, batches of {step} to {reached}");
        site.recover(data.path(), None, reached + 10, 4, &what);
    }
}

impl Site {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().build().unwrap();
        Self { alone: Alone::new(NAME, DEFINITION, runtime.handle()), runtime }
    }

    fn open(&self, data: &Path, steps: Steps) -> Running {
        let _within = self.runtime.enter();
        let (store, fences) = self.alone.open(data, steps);
        Running { store, fences }
    }

    /// Runs a store and its index, and keeps every state of them.
    fn run(&self) -> Run {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let (search, kept) = (generation(&data).join("search"), folder.path().to_path_buf());
        let images: Arc<Mutex<Vec<Image>>> = Arc::default();
        let (all, log) = (Arc::clone(&images), generation(&data).join("view.db-wal"));
        let steps = Steps::new(move |step| {
            if step.word().starts_with("index_") {
                // One thread reaches them all.
                let number = all.lock().unwrap().len();
                let image = Image::take(format!("{number}-{step}"), &search, &kept);
                all.lock().unwrap().push(image);
            }
        });
        let mut running = self.open(&data, steps);
        let mut cuts = Vec::new();
        let mut cut = |store: &Store| {
            let snapshot = store.snapshot().expect("a snapshot");
            let last = snapshot.last_change().expect("a number");
            let first = snapshot.first_change().expect("a number").unwrap_or(last + 1);
            cuts.push(Cut {
                bytes: fs::metadata(&log).unwrap().len(),
                sequence: store.checkpoint().sequence.0,
                changes: (first, last),
            });
        };
        running.follow();
        cut(&running.store);
        for fence in 0..FENCES {
            for _ in 0..BATCHES {
                running.commit(MESSAGES);
                cut(&running.store);
            }
            running.follow();
            cut(&running.store);
            if fence == FENCES / 2 {
                let upto = running.store.last_change() - 1;
                running.store.trim_changes(upto).expect("trimmed");
                cut(&running.store);
            }
        }
        running.commit(MESSAGES);
        cut(&running.store);
        let end = folder.path().join("end");
        // A merge that ends meanwhile takes files away; of these only the view's are used.
        wait::until("a copy of the view", DEADLINE, || {
            let _ = fs::remove_dir_all(&end);
            copied(&data, &end).then_some(())
        });
        // Where the index is at work on no fence it has left nothing behind.
        let _within = self.runtime.enter();
        drop(running);
        let mut images = std::mem::take(&mut *images.lock().unwrap());
        images.extend(unlisted(&images, folder.path()));
        images.push(Image::take("none".to_owned(), Path::new("nowhere"), folder.path()));
        cuts.extend(torn(&cuts));
        Run { _folder: folder, end, cuts, images }
    }

    /// Starts as a daemon would, goes on to a sequence in batches of this size, and compares; how often the index was
    /// made of all rows.
    fn recover(&self, data: &Path, cut: Option<&Cut>, last: u64, step: u64, what: &str) -> u32 {
        let made = Arc::new(Mutex::new(0));
        let count = Arc::clone(&made);
        let steps = Steps::new(move |step| {
            *count.lock().unwrap() += u32::from(step == Step::IndexNamed);
        });
        let mut running = self.open(data, steps);
        let found = running.store.checkpoint().sequence.0;
        assert!(cut.is_none_or(|cut| found == cut.sequence), "{what}: {found}");
        let _within = self.runtime.enter();
        while running.store.checkpoint().sequence.0 < last {
            // As a worker does: before anything is applied, and between two batches.
            running.fences.work(&mut running.store).expect("fenced");
            running.commit(step.min(last - running.store.checkpoint().sequence.0));
        }
        running.follow();
        let board = running.fences.board().expect("an index");
        let published = board.published();
        let snapshot = running.store.snapshot().expect("a snapshot");
        let compared = verify::published(board, &published, &snapshot).expect("readable");
        let compared = compared.expect("nothing moves");
        assert!(compared.iter().all(|index| index.finding.is_none()), "{what}: {compared:?}");
        let searcher = published.indexes[0].searcher.as_ref().expect("it follows");
        let rows = running.store.rows(0).expect("rows");
        assert_eq!(searcher.documents(), rows.len() as u64, "{what}");
        assert_eq!(texts(rows), history(last), "{what}");
        running.fences.end(&mut running.store).expect("ended");
        let definition = &self.alone.definition;
        let compared = verify::at_rest(&generation(data), definition, &snapshot).expect("readable");
        assert!(compared.iter().all(|index| index.finding.is_none()), "{what}: {compared:?}");
        *made.lock().unwrap()
    }
}

impl Running {
    /// Commits so many messages more.
    fn commit(&mut self, messages: u64) {
        let after = self.store.checkpoint().sequence.0;
        let mut rows: BTreeMap<i64, Option<String>> = BTreeMap::new();
        rows.extend((after + 1..=after + messages).map(event));
        let transition = |(id, text): (i64, Option<String>)| {
            let key = Key([Cell::Integer(id)].into_iter().collect());
            let row = text.map(|text| Row::from(vec![Cell::Integer(id), Cell::Text(text.into())]));
            (key, Transition::known(row))
        };
        let batch = Batch {
            sequence: Sequence(after + messages),
            stored_at: Some(Timestamp(1)),
            messages,
            tables: vec![rows.into_iter().map(transition).collect()],
            known: &[],
            dead_letters: &[],
            counts: Counts { applied: messages, ..Counts::default() },
            origin: None,
            anchor: None,
            live: true,
            committed_at: Timestamp(1),
        };
        self.store.commit(batch).expect("committed");
    }

    /// Lets the index come to where the rows are.
    fn follow(&mut self) {
        let sequence = self.store.checkpoint().sequence;
        wait::until("the index at its rows", DEADLINE, || {
            self.fences.work(&mut self.store).expect("fenced");
            let published = self.fences.board().expect("an index").published();
            let index = &published.indexes[0];
            (index.sequence(&published) >= Some(sequence) && index.trouble().is_none())
                .then_some(())
        });
    }
}

impl Run {
    /// A data directory with this much of the store and of the index.
    fn put_together(&self, cut: &Cut, image: &Image) -> TempDir {
        let data = tempfile::tempdir().unwrap();
        copy(&self.end.join(NAME), &data.path().join(NAME));
        let generation = generation(data.path());
        // It says where in the log what is: nothing of it outlives the system.
        fs::remove_file(generation.join("view.db-shm")).unwrap();
        let log = generation.join("view.db-wal");
        let mut kept = fs::read(&log).unwrap();
        kept.truncate(cut.bytes as usize);
        fs::write(&log, kept).unwrap();
        fs::remove_dir_all(generation.join("search")).unwrap();
        if image.path.exists() {
            copy(&image.path, &generation.join("search"));
        }
        data
    }
}

impl Image {
    /// As it is at one moment: a merge that ends meanwhile replaces files.
    fn take(name: String, search: &Path, kept: &Path) -> Self {
        let (path, list) = (kept.join(&name), Path::new(NAME).join("meta.json"));
        let list = || fs::read(search.join(&list)).ok();
        wait::until("a copy of the index", DEADLINE, || {
            let before = list();
            let copied = !search.exists() || copied(search, &path);
            if copied && list() == before {
                return Some(());
            }
            fs::remove_dir_all(&path).unwrap();
            None
        });
        Self::at(name, path)
    }

    /// Whether what it lacks of this store is in the change log, and it has nothing that the store has lost.
    fn goes_on_from(&self, cut: &Cut) -> bool {
        let (first, last) = cut.changes;
        let is_there = |change| if change == 0 { first == 1 } else { change >= first };
        self.change.is_some_and(|change| is_there(change) && change <= last)
    }

    fn at(name: String, path: PathBuf) -> Self {
        let change = at_rest(&path.join(NAME)).map(|(payload, _)| payload.change);
        Self { name, path, change }
    }
}

/// Tantivy syncs all files of a commit, then renames their list, then removes old ones: with the power the new name may
/// go, and the list and all that it names are those of before, beside the new files.
fn unlisted(images: &[Image], kept: &Path) -> Vec<Image> {
    let is_new = |pair: &&[Image]| pair[0].change.is_some() && pair[0].change != pair[1].change;
    let unlist = |pair: &[Image]| {
        let name = format!("{}-unlisted", pair[1].name);
        let path = kept.join(&name);
        copy(&pair[1].path, &path);
        copy(&pair[0].path.join("."), &path);
        Image::at(name, path)
    };
    images.windows(2).filter(is_new).map(unlist).collect()
}

/// A write that was under way: the commit before it counts.
fn torn(cuts: &[Cut]) -> Vec<Cut> {
    let torn = cuts.windows(2).filter(|pair| pair[1].bytes > pair[0].bytes + 1);
    let torn =
        torn.map(|pair| Cut { bytes: (pair[0].bytes + pair[1].bytes) / 2, ..pair[0].clone() });
    torn.collect()
}

/// What a message does: an item and its text; None removes it.
fn event(sequence: u64) -> (i64, Option<String>) {
    let id = (sequence * 7 % 23) as i64;
    let colour = ["red", "green"][id as usize % 2];
    let is_there = !sequence.is_multiple_of(5);
    (id, is_there.then(|| format!("common {colour} of {sequence}")))
}

/// The rows after so many messages.
fn history(last: u64) -> BTreeMap<i64, Option<String>> {
    let mut rows: BTreeMap<_, _> = (1..=last).map(event).collect();
    rows.retain(|_, text| text.is_some());
    rows
}

fn texts(rows: Vec<Row>) -> BTreeMap<i64, Option<String>> {
    let text = |row: Row| match &*row {
        [Cell::Integer(id), Cell::Text(text)] => (*id, Some(text.to_string())),
        other => panic!("{other:?}"),
    };
    rows.into_iter().map(text).collect()
}

fn generation(data: &Path) -> PathBuf {
    data.join(NAME).join(Generation(1).to_string())
}

/// By another program: closing these files here would drop the locks on them.
fn copied(from: &Path, to: &Path) -> bool {
    Command::new("cp").arg("-a").arg(from).arg(to).output().unwrap().status.success()
}

fn copy(from: &Path, to: &Path) {
    assert!(copied(from, to), "{}", from.display());
}
