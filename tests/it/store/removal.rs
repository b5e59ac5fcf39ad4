//! Retired generations go when nobody reads them, and readers in other processes never notice.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use viewd::event::Sequence;
use viewd::event::anchor::Origin;
use viewd::event::time::Timestamp;
use viewd::store::Error;
use viewd::store::batch::Batch;
use viewd::store::layout::{Folder, Generation};
use viewd::store::removal::Collected;
use viewd::store::state::State;
use viewd::store::step::Step;
use viewd::store::writer::Store;

use super::generations::{found, images, names, orders};
use super::{CACHE_BYTES, View, batch};

const HOUR: Duration = Duration::from_secs(3600);

/// A program of another language that has a file open. Each line is a statement; it answers with what came.
struct Reader {
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl Reader {
    fn open(path: &Path) -> Self {
        let script = "import sqlite3, sys\n\
            c = sqlite3.connect('file:' + sys.argv[1] + '?mode=ro', uri=True, isolation_level=None)\n\
            for line in sys.stdin:\n\
            \x20   try: print(c.execute(line.strip()).fetchall(), flush=True)\n\
            \x20   except Exception as error: print('error:', error, flush=True)";
        let mut process = Command::new("python3")
            .args(["-c", script])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 runs");
        let answers = BufReader::new(process.stdout.take().expect("piped"));
        let mut reader = Self { process, answers };
        reader.ask("SELECT 1");
        reader
    }

    fn ask(&mut self, sql: &str) -> String {
        let input = self.process.stdin.as_mut().expect("piped");
        writeln!(input, "{sql}").expect("it listens");
        let mut answer = String::new();
        self.answers.read_line(&mut answer).expect("it answers");
        answer.trim().to_owned()
    }

    fn state(&mut self) -> String {
        self.ask("SELECT state, successor FROM _viewd_meta")
    }

    fn close(mut self) {
        drop(self.process.stdin.take());
        assert!(self.process.wait().expect("it ends").success());
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        // After `close` there is nothing to end.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl View {
    /// Serves another generation, which began at this sequence of the stream; the folder is left to itself.
    fn replace(&mut self, folder: &Folder, from_sequence: u64) {
        let old = self.store.take().unwrap_or_else(|| self.open());
        let mut next = self.bulk(folder);
        let origin = Origin { created_ns: 1, first_sequence: Sequence(from_sequence) };
        let rows = orders(self, 0..1000);
        let first = Batch { origin: Some(origin), ..batch(old.checkpoint().sequence.0 + 1, rows) };
        next.commit(first).expect("committed");
        let mut next = next.seal(CACHE_BYTES, &mut |_| ()).expect("sealed");
        folder.cut_over(Some(&old), &mut next).expect("cut over");
    }
}

fn at(hours: i64) -> Timestamp {
    Timestamp(viewd::clock::now().0 + hours * 3_600_000_000)
}

fn current(view: &View) -> PathBuf {
    view.folder().path().join("current/view.db")
}

#[test]
fn readers_go_on_over_a_cut_over_and_a_removal() {
    let mut view = View::new();
    view.fill(&[("a", 1)]);
    let folder = view.folder();
    let mut inside = Reader::open(&current(&view));
    let mut outside = Reader::open(&current(&view));
    inside.ask("BEGIN");
    assert_eq!(inside.ask("SELECT count(*) FROM orders"), "[(1,)]");
    view.replace(&folder, 1);

    // The one in a transaction sees what it saw, the other one the mark.
    assert_eq!(inside.state(), "[('serving', None)]");
    assert_eq!(outside.state(), "[('retired', 'gen-000002')]");
    assert_eq!(Reader::open(&current(&view)).ask("SELECT count(*) FROM orders"), "[(1000,)]");

    // Held, and not long ago: it stays, with its log.
    let database = folder.database(Generation(1));
    assert_eq!(folder.remove_retired(0, HOUR, at(0)).expect("looked"), []);
    assert_eq!(
        folder.gc().expect("looked"),
        Collected { removed: vec![], held: vec![Generation(1)] }
    );
    assert_eq!(journal(&database), "wal");
    outside.close();
    assert_eq!(folder.remove_retired(0, HOUR, at(0)).expect("looked"), []);
    assert_eq!(folder.remove_retired(1, HOUR, at(2)).expect("kept for a rollback"), []);
    assert_eq!(folder.remove_retired(0, HOUR, at(2)).expect("removed"), [Generation(1)]);
    assert!(!database.exists());
    assert_eq!(inside.ask("SELECT count(*), sum(lines) FROM orders"), "[(1, 1)]");
    inside.ask("COMMIT");
    assert_eq!(inside.state(), "[('retired', 'gen-000002')]");
    inside.close();
    assert_eq!(names(folder.path()), ["current", "gen-000002"]);

    // Nobody holds it: it goes at once.
    view.replace(&folder, 1);
    assert_eq!(folder.remove_retired(0, HOUR, at(0)).expect("removed"), [Generation(2)]);
    assert_eq!(names(folder.path()), ["current", "gen-000003"]);
}

/// As the file's header says it: 2 is a log.
fn journal(database: &Path) -> &'static str {
    match fs::read(database).expect("a file")[18..20] {
        [2, 2] => "wal",
        _ => "no log",
    }
}

#[test]
fn what_knows_more_of_the_stream_goes_only_by_gc() {
    let mut view = View::new();
    let folder = view.folder();
    let origin = Origin { created_ns: 1, first_sequence: Sequence(5) };
    let rows = orders(&view, 0..1);
    view.store().commit(Batch { origin: Some(origin), ..batch(5, rows) }).expect("committed");
    view.replace(&folder, 9);
    view.replace(&folder, 9);
    assert_eq!(folder.remove_retired(0, HOUR, at(2)).expect("removed"), [Generation(2)]);
    assert_eq!(
        folder.gc().expect("removed"),
        Collected { removed: vec![Generation(1)], held: vec![] }
    );
    assert_eq!(found(&folder), [(3, State::Serving, None)]);
}

#[test]
fn those_that_were_retired_last_are_kept() {
    let mut view = View::new();
    let folder = view.folder();
    view.replace(&folder, 1);
    view.replace(&folder, 1);
    // Back to the second: the third is now the last that was retired.
    folder.revive(Generation(2)).expect("revived");
    let third = view.open();
    let mut second = Store::open(&folder, Generation(2), &view.tables, CACHE_BYTES).expect("open");
    folder.cut_over(Some(&third), &mut second).expect("cut over");
    drop((second, third));
    assert_eq!(folder.remove_retired(1, HOUR, at(2)).expect("removed"), [Generation(1)]);
    assert_eq!(found(&folder), [(2, State::Serving, None), (3, State::Retired, Some(2))]);
}

#[test]
fn a_crash_during_a_removal_leaves_what_is_served() {
    let mut view = View::new();
    let copies = tempfile::tempdir().expect("a temporary folder");
    view.replace(&view.folder(), 1);
    let (steps, reached) = images(view.data.path(), copies.path());
    let folder = view.folder().with_steps(steps);
    assert_eq!(folder.remove_retired(0, HOUR, at(0)).expect("removed"), [Generation(1)]);
    let reached = reached.lock().expect("no panic").clone();
    assert_eq!(reached, [Step::Unread, Step::Unnamed, Step::Removed]);
    for (number, step) in reached.iter().enumerate() {
        let folder = Folder::new(&copies.path().join(number.to_string()), "shop");
        folder.settle().expect("settled");
        let expected = match step {
            Step::Unread => vec![(1, State::Retired, Some(2)), (2, State::Serving, None)],
            _ => vec![(2, State::Serving, None)],
        };
        assert_eq!(found(&folder), expected, "after {step}");
        assert_eq!(names(folder.path()).len(), 1 + expected.len(), "after {step}");
        if *step == Step::Unread {
            assert_eq!(journal(&folder.database(Generation(1))), "wal");
        }
    }
}

#[test]
fn a_projection_that_no_definition_names_is_retired_and_goes_by_gc() {
    let mut view = View::new();
    view.fill(&[("a", 1)]);
    view.store = None;
    let folder = view.folder();
    view.replace(&folder, 1);
    folder.retire().expect("marked");
    assert_eq!(found(&folder)[1], (2, State::Retired, None));

    // Its definition comes back.
    folder.settle().expect("settled");
    assert_eq!(found(&folder)[1], (2, State::Serving, None));

    folder.retire().expect("marked");
    let mut reader = Reader::open(&folder.database(Generation(2)));
    assert_eq!(reader.state(), "[('retired', None)]");
    let refused = folder.remove_projection();
    assert!(matches!(refused, Err(Error::Held { .. })), "{refused:?}");
    assert_eq!(reader.state(), "[('retired', None)]");
    reader.close();
    for generation in [Generation(1), Generation(2)] {
        assert_eq!(journal(&folder.database(generation)), "wal");
    }
    fs::create_dir(folder.path().join("damaged-gen-000009")).expect("a folder");
    folder.remove_projection().expect("removed");
    assert!(!folder.path().exists());
}
