//! A daemon with a projection whose rows are searched, and what is published to it.

use std::path::PathBuf;
use std::sync::Arc;

use async_nats::Client;
use serde_json::Value;
use viewd::status::{Index, Projection, State};

use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, publish};
use crate::wait;

pub(super) const SOURCES: &str = "[sources.s]\nstream = \"S\"";
pub(super) const NAME: &str = "items";
/// Quick to be searched, so that tests do not wait for the beat.
pub(super) const QUICK: &[&str] = &["limits.search_commit_ms=50"];

/// Words of which texts are made.
const WORDS: [&str; 12] = [
    "red", "green", "blue", "fast", "slow", "bicycle", "train", "ship", "harbour", "mountain",
    "river", "bridge",
];

/// Items with a title and a note, searched by both; some of the events remove their item.
pub(super) const DEFINITION: &str = r#"
source = "s"

[tables.items]
key = ["id"]
columns.id    = "integer"
columns.title = "text"
columns.note  = "text"
columns.times = "integer"

[[on]]
event     = "*"
when      = ".data.gone | not"
upsert    = "items"
key.id    = ".data.id"
set.title = ".data.title"
set.note  = ".data.note"
add.times = 1

[[on]]
event  = "*"
when   = ".data.gone"
delete = "items"
key.id = ".data.id"

[search.items]
table   = "items"
filters = ["times", "title"]
fields.title = { weight = 2.0 }
fields.note  = { language = "en" }
"#;

/// A server with the stream `S`, and the folder of a daemon with the projection `items` of it.
pub(super) struct Rig {
    _server: Server,
    pub(super) client: Client,
    pub(super) site: Arc<Site>,
    /// Messages so far.
    published: std::cell::Cell<u64>,
}

impl Rig {
    pub(super) async fn new(definition: &str) -> Self {
        let server = Server::start();
        let client = server.client().await;
        create_stream(&client, "S", &["s.>"], |_| {}).await;
        let site = Site::new(&server, SOURCES, &[(NAME, definition)]);
        Self { _server: server, client, site, published: std::cell::Cell::new(0) }
    }

    /// Writes another definition.
    pub(super) fn edit(&self, definition: &str) {
        self.site.write(&format!("projections/{NAME}.toml"), definition);
    }

    /// Publishes so many messages about `ids` items; the sequence of the last.
    pub(super) async fn publish(&self, messages: u64, ids: u64) -> u64 {
        let first = self.published.get() + 1;
        let last = publish(&self.client, (first..first + messages).map(|n| message(n, ids))).await;
        self.published.set(self.published.get() + messages);
        last
    }

    /// Publishes so many items that no other message is about.
    pub(super) async fn steady(&self, items: u64) -> u64 {
        let item = |id: u64| {
            let data =
                serde_json::json!({ "id": 1_000_000 + id, "title": "steadfast", "note": "stays" });
            let event = serde_json::json!({ "type": "Item", "data": data });
            ("s.a".to_owned(), event.to_string().into_bytes())
        };
        publish(&self.client, (0..items).map(item)).await
    }

    /// Runs a command, which must end with this code.
    #[track_caller]
    pub(super) fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.site.run(arguments, &[]);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let said = format!("{}{}", text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}\n{}", self.site.log());
        said
    }

    /// The JSON that a command prints.
    #[track_caller]
    pub(super) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.site.run(&[arguments, &["--json"]].concat(), &[]);
        assert!(
            output.status.success(),
            "{arguments:?}: {}\n{}",
            String::from_utf8_lossy(&output.stderr),
            self.site.log()
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Whether rows and indexes are one, by the command that says so.
    #[track_caller]
    pub(super) fn verified(&self) {
        self.ends(0, &["verify", NAME]);
    }

    /// The folder of an index of the generation that is served.
    pub(super) fn index(&self, name: &str) -> PathBuf {
        self.site.path("data").join(NAME).join("current/search").join(name)
    }

    /// The generations that there are.
    pub(super) fn generations(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.site.path("data").join(NAME)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.filter(|name| name.starts_with("gen-")).collect();
        names.sort();
        names
    }

    /// Rows of the table, at rest or not.
    pub(super) fn rows(&self, table: &str) -> u64 {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: i64 = self.site.view(NAME).query_row(&sql, (), |row| row.get(0)).unwrap();
        rows.unsigned_abs()
    }
}

fn message(n: u64, ids: u64) -> (String, Vec<u8>) {
    let word =
        |salt: u64| WORDS[(n.wrapping_mul(2_654_435_761).wrapping_add(salt) >> 3) as usize % 12];
    let data = serde_json::json!({
        "id": n.wrapping_mul(7_919) % ids,
        "gone": n.is_multiple_of(11),
        "title": format!("{} {} {n}", word(1), word(50)),
        "note": format!("{} {} the {} runs", word(100), word(200), word(300)),
    });
    let event = serde_json::json!({ "type": "Item", "data": data });
    ("s.a".to_owned(), event.to_string().into_bytes())
}

/// Waits until an index of the projection reflects a sequence, and is in order.
#[track_caller]
pub(super) fn follows(daemon: &Daemon, index: &str, sequence: u64) -> Index {
    let mut last = None;
    let what = || format!("index `{index}` at {sequence}");
    let found = wait::until(&what(), DEADLINE, || {
        let report = daemon.projection(NAME);
        assert_ne!(report.state, State::Failed, "{report:?}\n{}", daemon.log());
        let found = of(&report, index).clone();
        let there = found.state == "following" && found.sequence >= Some(sequence);
        last = Some(report);
        there.then_some(found)
    });
    drop(last);
    found
}

/// What a report says of one index.
#[track_caller]
pub(super) fn of<'a>(report: &'a Projection, index: &str) -> &'a Index {
    let found = report.search.iter().find(|found| found.index == index);
    found.unwrap_or_else(|| panic!("no index `{index}`: {report:?}"))
}
