//! What a large fold says of its memory is what it takes: the budget rests on it.
//!
//! Each case is a process of its own, since what a process holds is known of it as a whole.

use std::process::Command;
use std::sync::Arc;

use viewd::clock;
use viewd::definition::fingerprint::{Fingerprint, Reading};
use viewd::definition::parse;
use viewd::diagnostic::{Source, render};
use viewd::event::{Format, Sequence};
use viewd::projection::plan::Plan;
use viewd::source::memory::{Recorded, chunks};
use viewd::store::layout::Build;
use viewd::store::writer::Store;
use viewd::worker::bulk::{Bulk, Taken};

const CASE: &str = "VIEWD_TEST_FOLD";
const ROWS: u64 = 60_000;

/// Tables, handlers, and an event's data by its number.
type Case = (&'static str, fn(u64) -> String);

/// Short cells in place; long ones outside; rows that are searched; events that are set aside.
const CASES: [Case; 4] = [
    (
        "columns.id = \"text\"\ncolumns.a = \"integer\"\ncolumns.b = \"text\"\n[[on]]\nevent = \"E\"\nupsert = \"t\"\nkey = { id = \".data.id\" }\nset = { a = \".data.n\", b = \".data.short\" }",
        |n| format!("\"id\":\"o-{n:08}\",\"n\":{n},\"short\":\"placed\""),
    ),
    (
        "columns.id = \"integer\"\ncolumns.at = \"timestamp\"\ncolumns.note = \"text\"\ncolumns.whole = \"json\"\n[[on]]\nevent = \"E\"\nupsert = \"t\"\nkey = { id = \".data.id\" }\nset = { at = \".time\", note = \".data.note\", whole = \".data\" }",
        |n| format!("\"id\":{n},\"note\":\"{}\"", "a long note ".repeat(n as usize % 30)),
    ),
    (
        "columns.id = \"text\"\ncolumns.owner = \"text\"\ncolumns.kind = \"text\"\n[[on]]\nevent = \"E\"\nupsert = \"t\"\nkey = { id = \".data.id\" }\nset = { owner = \".data.owner\", kind = '\"x\"' }\n[[on]]\nevent = \"Gone\"\ndelete = \"t\"\nwhere = { owner = \".data.owner\" }\n[[on]]\nevent = \"Gone\"\ndelete = \"t\"\nwhere = { kind = \".data.owner\" }",
        |n| format!("\"id\":\"o-{n:08}\",\"owner\":\"owner {}\"", n % 10_000),
    ),
    (
        "columns.id = \"integer\"\n[[on]]\nevent = \"E\"\nupsert = \"t\"\nkey = { id = \".data.note\" }",
        |n| format!("\"note\":\"{n} {}\"", "not a number ".repeat(20)),
    ),
];

#[test]
fn the_memory_of_a_fold_is_what_it_says() {
    if let Ok(case) = std::env::var(CASE) {
        let (said, held) = fold(&CASES[case.parse::<usize>().unwrap()]);
        println!("said {said} held {held}");
        return;
    }
    for (number, (text, _)) in CASES.iter().enumerate() {
        let name = "fold_memory::the_memory_of_a_fold_is_what_it_says";
        let output = Command::new(std::env::current_exe().unwrap())
            .args([name, "--exact", "--nocapture"])
            .env(CASE, number.to_string())
            .output()
            .unwrap();
        let output = String::from_utf8_lossy(&output.stdout).into_owned();
        let after = |word: &str| {
            let words = output.split_whitespace().skip_while(|found| *found != word);
            words.skip(1).flat_map(str::parse::<f64>).next()
        };
        let (Some(said), Some(held)) = (after("said"), after("held")) else {
            panic!("case {number}: {output}");
        };
        let ratio = said / held;
        assert!((0.8..1.25).contains(&ratio), "said {said}, held {held}: {ratio:.2}\n{text}");
    }
}

/// What a fold of a case says that it holds, and by how much the process has grown.
fn fold((text, data): &Case) -> (usize, usize) {
    let head =
        "source = \"events\"\npolicy.dead_letters_max = 1000000\n[tables.t]\nkey = [\"id\"]\n";
    let source = Source::new("fold.toml".to_owned(), format!("{head}{text}"));
    let (definition, diagnostics) = parse(&source, "fold", &["events"]);
    let definition = definition.unwrap_or_else(|| panic!("{}", render(&diagnostics, false)));
    let reading = Reading {
        stream: "EVENTS",
        format: "json",
        order_key: None,
        transform: None,
        event_bytes_max: 1 << 20,
    };
    let fingerprint = Fingerprint::new(&definition, reading);
    let mut store = Store::in_memory(&Build {
        projection: "fold",
        stream: "EVENTS",
        definition: "",
        source: "{}",
        engine: "",
        fingerprint: &fingerprint,
        tables: &definition.tables,
        views: &[],
        logged: Vec::new(),
    })
    .unwrap();
    let mut bulk = Bulk::new(Arc::new(Plan::new(Arc::new(definition))), None, 0);
    bulk.begin(&store).unwrap();
    let mut take = |numbers: std::ops::Range<u64>| {
        let message = |number: u64| Recorded {
            sequence: Sequence(number + 1),
            subject: "e".to_owned(),
            payload: format!(
                "{{\"type\":\"E\",\"time\":\"2013-01-01T05:00:00Z\",\"data\":{{{}}}}}",
                data(number)
            )
            .into_bytes(),
            // Kept with an event that is set aside.
            headers: ["A", "B"].map(|name| (name.to_owned(), "value ".repeat(50))).to_vec(),
            ..Recorded::default()
        };
        let messages: Vec<Recorded> = numbers.map(message).collect();
        for chunk in chunks(&messages, Format::Auto, 1 << 20, []) {
            let taken = bulk.take(&mut store, &chunk, usize::MAX, clock::now()).unwrap();
            assert!(matches!(taken, Taken::Folded), "{taken:?}");
        }
        bulk.bytes()
    };
    // What is there once, whatever is folded.
    let (said, held) = (take(0..256), resident());
    let said =
        (1..ROWS / 256).map(|part| take(part * 256..(part + 1) * 256)).last().unwrap() - said;
    (said, resident() - held)
}

/// Memory that the process holds.
fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<usize>().unwrap() * 1024
}
