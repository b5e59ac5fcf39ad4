//! The fuzzer, `make fuzz`: each target for a while, with inputs made from what this repository holds.
//!
//! `fuzz [TARGET ...]`, all of them without a name; `fuzz again TARGET FILE` tries one input. `FUZZ_SECONDS` is the time for each (60), `FUZZ_SEED` makes a run
//! again. A target runs in a process of its own, which writes down each input before it is tried: so an abort, an
//! exhausted stack or memory, and a hang are found as well as a panic or a broken rule. Inputs that something was found
//! with are kept in `target/fuzz`; mended, they go to `tests/fuzz/regressions`.

#![allow(clippy::print_stdout, reason = "it is a program for people")]

mod corpus;
#[path = "../json_suite/mod.rs"]
#[expect(dead_code, reason = "what is accepted is for the tests")]
mod json_suite;
mod mutate;
mod targets;

use std::collections::HashSet;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, setrlimit};

use self::corpus::{Corpus, seeds};
use self::mutate::Random;
use self::targets::Target;

const TARGETS: [Target; 5] =
    [Target::Definition, Target::Expression, Target::Event, Target::Document, Target::Search];

/// One evaluation's budget ends within a second or so; an input is several of them.
const INPUT_DEADLINE: Duration = Duration::from_secs(10);

/// The stack that threads of the daemon have.
const STACK_BYTES: usize = 2 << 20;

/// More memory than any input has a right to.
const MEMORY_BYTES_MAX: u64 = 4 << 30;

/// After so many ends a target is given up.
const ENDS_MAX: u32 = 20;

const HUNG: u8 = 3;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, target, seconds, seed, folder] = &arguments[..]
        && first == "one"
    {
        let number = |text: &String| text.parse().expect("a number");
        return one(named(target), number(seconds), number(seed), Path::new(folder));
    }
    if let [first, target, file] = &arguments[..]
        && first == "again"
    {
        return again(named(target), Path::new(file));
    }
    let targets: Vec<_> = match &arguments[..] {
        [] => TARGETS.to_vec(),
        names => names.iter().map(|name| named(name)).collect(),
    };
    let variable = |name: &str| std::env::var(name).ok().and_then(|text| text.parse().ok());
    let seconds = variable("FUZZ_SECONDS").unwrap_or(60);
    let seed = variable("FUZZ_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("seed {seed}, {seconds} s a target");
    let found: usize = targets.into_iter().map(|target| all(target, seconds, seed)).sum();
    if found == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Tries one input, and says what it is answered.
fn again(target: Target, file: &Path) -> ExitCode {
    let input = fs::read(file).expect("the file of an input");
    let began = Instant::now();
    let answer = target.run(&input);
    println!("{answer:?} in {:.0?}", began.elapsed());
    if answer.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn named(name: &str) -> Target {
    let target = TARGETS.into_iter().find(|target| target.name() == name);
    target.unwrap_or_else(|| panic!("there is no target {name}: {:?}", TARGETS.map(Target::name)))
}

/// Runs a target for its time, in as many processes as it takes; returns how much was found.
fn all(target: Target, seconds: u64, seed: u64) -> usize {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/fuzz").join(target.name());
    fs::create_dir_all(&folder).expect("make the folder for what is found");
    let before = kept(&folder);
    let ends = Instant::now() + Duration::from_secs(seconds);
    for process in 0..ENDS_MAX {
        let left = ends.saturating_duration_since(Instant::now()).as_secs();
        if left == 0 {
            break;
        }
        let program = std::env::current_exe().expect("this program");
        let status = Command::new(program)
            .args([
                "one",
                target.name(),
                &left.to_string(),
                &(seed + u64::from(process)).to_string(),
            ])
            .arg(&folder)
            .stdin(Stdio::null())
            .status()
            .expect("start a process of this program");
        if status.success() {
            break;
        }
        let how = match status.code() {
            Some(code) if code == i32::from(HUNG) => format!("no answer within {INPUT_DEADLINE:?}"),
            _ => format!("the process ended: {status}"),
        };
        let input = fs::read(folder.join("current")).unwrap_or_default();
        keep(&folder, &input, &how);
    }
    kept(&folder) - before
}

/// Tries inputs until the time is over; ends in failure only with the input that did it.
fn one(target: Target, seconds: u64, seed: u64, folder: &Path) -> ExitCode {
    // An allocation beyond it aborts, and that is found.
    let limit = Rlimit { current: Some(MEMORY_BYTES_MAX), maximum: Some(MEMORY_BYTES_MAX) };
    setrlimit(Resource::As, limit).expect("bound the memory");
    let (started, ticks) = channel();
    let folder = folder.to_owned();
    let run = move || fuzz(target, Duration::from_secs(seconds), seed, &folder, &started);
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(run);
    if !watch(&ticks) {
        return ExitCode::from(HUNG);
    }
    thread.expect("start a thread").join().expect("panics of targets are caught");
    ExitCode::SUCCESS
}

/// Follows the thread that tries inputs; false if one of them takes too long.
fn watch(started: &Receiver<()>) -> bool {
    loop {
        match started.recv_timeout(INPUT_DEADLINE) {
            Ok(()) => {}
            Err(RecvTimeoutError::Timeout) => return false,
            Err(RecvTimeoutError::Disconnected) => return true,
        }
    }
}

fn fuzz(target: Target, time: Duration, seed: u64, folder: &Path, started: &Sender<()>) {
    let panicked = Arc::new(Mutex::new(String::new()));
    let note = Arc::clone(&panicked);
    std::panic::set_hook(Box::new(move |info| {
        *note.lock().expect("nothing panics with it") = info.to_string();
    }));
    let (begun, mut random, mut corpus) = (Instant::now(), Random::new(seed), Corpus::new());
    let (mut tried, mut slowest, mut told) = (0_u64, Duration::ZERO, HashSet::new());
    let mut waiting = seeds(target);
    let count = waiting.len();
    while begun.elapsed() < time {
        let input = waiting.pop().unwrap_or_else(|| corpus.next(target.words(), &mut random));
        fs::write(folder.join("current"), &input).expect("note the input");
        let _ = started.send(());
        let began = Instant::now();
        let answer = std::panic::catch_unwind(AssertUnwindSafe(|| target.run(&input)));
        tried += 1;
        if began.elapsed() > slowest {
            slowest = began.elapsed();
            fs::write(folder.join("slowest"), &input).expect("note the input");
        }
        let problem = match answer {
            Ok(Ok(answer)) => {
                corpus.take(input, answer);
                continue;
            }
            Ok(Err(problem)) => problem,
            Err(_) => format!("panic: {}", panicked.lock().expect("nothing panics with it")),
        };
        // Of each kind one is enough; a long message begins with its kind.
        if told.insert(problem.chars().take(60).collect::<String>()) {
            keep(folder, &input, &problem);
        }
    }
    println!(
        "{}: {tried} inputs from {count} seeds, {} kept, the slowest took {slowest:.0?}, {} kinds of problem",
        target.name(),
        corpus.len(),
        told.len()
    );
}

/// Keeps an input, and what is wrong with it beside it.
fn keep(folder: &Path, input: &[u8], problem: &str) {
    let name = format!("{:016x}", viewd::event::anchor::payload_hash(input));
    let path = folder.join(&name).with_extension("txt");
    fs::write(&path, input).expect("keep the input");
    fs::write(path.with_extension("why"), problem).expect("keep what is wrong");
    let shown: String = problem.chars().take(2_000).collect();
    println!("FOUND {}\n  input: {}\n  {shown}", path.display(), input.escape_ascii());
}

fn kept(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).expect("the folder for what is found");
    let paths = entries.map(|entry| -> PathBuf { entry.expect("a file in it").path() });
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "why")).count()
}
