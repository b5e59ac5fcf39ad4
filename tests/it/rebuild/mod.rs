//! Generations built beside the one that is served, and served instead: nobody who reads, inside or outside, may notice
//! but by newer rows; and whatever ends the process, one whole generation is served afterwards.
//!
//! One projection from which a mix of two generations would show: each of its rows says which version of the definition
//! made it, and three counts of the messages, kept in different ways, must agree in whatever is read together.

mod constant;
mod crash;
mod cut_over;
mod definition;
mod disk;
mod forget;
mod load;
mod order;
mod proof;
mod readers;

use std::fs;
use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;

use async_nats::Client;
use async_nats::jetstream;
use serde_json::Value;
use viewd::status::State;

use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, publish};
use crate::wait;

const SOURCES: &str = "[sources.s]\nstream = \"S\"";
const NAME: &str = "items";
/// So many rows that reading them all takes a moment.
const ITEMS: u64 = 200;

/// A server with the stream `S`, and the folder of a daemon with the projection `items` of it.
struct Rig {
    server: Server,
    client: Client,
    site: Arc<Site>,
}

impl Rig {
    /// With so many messages to begin with.
    async fn new(messages: u64) -> Self {
        let server = Server::start();
        let client = server.client().await;
        create_stream(&client, "S", &["s.>"], |_| {}).await;
        let definition = definition(1);
        let site = Site::new(&server, SOURCES, &[(NAME, &definition)]);
        let rig = Self { server, client, site };
        rig.publish(messages).await;
        rig
    }

    async fn publish(&self, messages: u64) -> u64 {
        publish_items(&self.client, messages).await
    }

    /// Writes the definition with another version: its rows are others.
    fn edit(&self, version: u64) {
        self.site.write(&format!("projections/{NAME}.toml"), &definition(version));
    }

    /// Gives the definition an index: its rows stay.
    fn index(&self, number: usize) {
        let mut columns = ["\"last\", \"version\"", "\"version\", \"last\"", "\"last\", \"times\""];
        columns.rotate_left(number);
        let indexes = format!("key = [\"id\"]\nindexes = [[{}]]", columns[0]);
        let text = definition(1).replace("key = [\"id\"]", &indexes);
        self.site.write(&format!("projections/{NAME}.toml"), &text);
    }

    /// Removes the first messages from the stream.
    async fn purge(&self, messages: u64) {
        let stream = jetstream::new(self.client.clone()).get_stream("S").await.unwrap();
        stream.purge().sequence(messages + 1).await.unwrap();
    }

    /// Runs a command, which must end with this code.
    #[track_caller]
    fn ends(&self, code: i32, arguments: &[&str]) -> String {
        let output = self.site.run(arguments, &[]);
        let (said, talk) = texts(&output);
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}: {said}\n{talk}\n{}",
            self.site.log()
        );
        format!("{said}{talk}")
    }

    /// The JSON that a command prints.
    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.site.run(&[arguments, &["--json"]].concat(), &[]);
        let (said, talk) = texts(&output);
        assert!(output.status.success(), "{arguments:?}: {said}\n{talk}\n{}", self.site.log());
        serde_json::from_str(&said).unwrap()
    }

    fn folder(&self) -> PathBuf {
        self.site.path("data").join(NAME)
    }

    /// The names in the projection's folder, but for the link and the count of builds that have begun.
    fn generations(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> =
            names.filter(|name| name != "current" && name != ".attempts").collect();
        names.sort();
        names
    }

    /// The generation that is served, and what its rows say of the definition that made them.
    fn served(&self) -> (u64, Option<u64>) {
        let sql = "SELECT generation, (SELECT max(version) FROM items) FROM _viewd_meta";
        let row =
            |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Option<i64>>(1)?));
        let (generation, version) = self.site.view(NAME).query_row(sql, (), row).unwrap();
        (generation.unsigned_abs(), version.map(i64::unsigned_abs))
    }

    /// The versions of all rows that are served.
    fn versions(&self) -> Vec<u64> {
        let view = self.site.view(NAME);
        let mut statement = view.prepare("SELECT DISTINCT version FROM items ORDER BY 1").unwrap();
        let rows = statement.query_map((), |row| row.get::<_, i64>(0)).unwrap();
        rows.map(|row| row.unwrap().unsigned_abs()).collect()
    }

    /// What its file says of a generation.
    fn state_of(&self, generation: &str) -> String {
        let view =
            rusqlite::Connection::open(self.folder().join(generation).join("view.db")).unwrap();
        view.query_row("SELECT state FROM _viewd_meta", (), |row| row.get(0)).unwrap()
    }

    /// The digest of all tables, by the files, and the sequence that it is of.
    #[track_caller]
    fn digest(&self) -> (u64, String) {
        let digest = self.json(&["digest", NAME]);
        (digest["sequence"].as_u64().unwrap(), digest["digest"].as_str().unwrap().to_owned())
    }

    /// The same of a view that nothing ever disturbed, built by the definition as it is now.
    #[track_caller]
    fn undisturbed(&self) -> (u64, String) {
        let text = fs::read_to_string(self.site.path(&format!("projections/{NAME}.toml"))).unwrap();
        let site = Site::new(&self.server, SOURCES, &[(NAME, &text)]);
        site.catch_up(&[]);
        let output = site.run(&["digest", NAME, "--json"], &[]);
        let digest: Value = serde_json::from_slice(&output.stdout).unwrap();
        (digest["sequence"].as_u64().unwrap(), digest["digest"].as_str().unwrap().to_owned())
    }

    fn current(&self) -> String {
        fs::read_link(self.folder().join("current")).unwrap().display().to_string()
    }
}

/// A number of the environment, or this one.
fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().unwrap())
}

fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn definition(version: u64) -> String {
    format!(
        r#"
source = "s"

[tables.items]
key = ["id"]
columns.id      = "integer"
columns.version = "integer"
columns.last    = "integer"
columns.times   = "integer"

[tables.whole]
key = ["all"]
columns.all    = "boolean"
columns.events = "integer"

[[on]]
event       = "*"
upsert      = "items"
key.id      = ".sequence % {ITEMS}"
set.version = "{version}"
set.last    = ".sequence"
add.times   = 1

[[on]]
event      = "*"
upsert     = "whole"
key.all    = "true"
add.events = 1
"#
    )
}

async fn publish_items(client: &Client, messages: u64) -> u64 {
    let message = |n| ("s.a".to_owned(), format!("{{\"n\":{n}}}").into_bytes());
    publish(client, (1..=messages).map(message)).await
}

/// Waits until a projection is live and no build runs beside it.
#[track_caller]
fn settled(daemon: &Daemon) {
    wait::until("the build's end", DEADLINE, || {
        let report = daemon.projection(NAME);
        assert_ne!(report.state, State::Failed, "{report:?}\n{}", daemon.log());
        (report.state == State::Live && report.rebuild.is_none()).then_some(())
    });
}

/// Waits until nothing is pending behind a sequence.
#[track_caller]
fn live(daemon: &Daemon, sequence: u64) {
    wait::until("the live state", DEADLINE, || {
        let report = daemon.projection(NAME);
        assert_ne!(report.state, State::Failed, "{report:?}\n{}", daemon.log());
        (report.state == State::Live && report.checkpoint_sequence >= sequence).then_some(())
    });
}
