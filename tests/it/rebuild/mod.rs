//! Generations built beside the one that is served, and served instead: nobody who reads, inside or outside, may notice
//! but by newer rows; and whatever ends the process, one whole generation is served afterwards.
//!
//! One projection from which a mix of two generations would show: each of its rows says which version of the definition
//! made it, and three counts of the messages, kept in different ways, must agree in whatever is read together.

mod proof;

use std::path::PathBuf;
use std::process::Output;
use std::sync::Arc;

use async_nats::Client;
use serde_json::Value;
use viewd::status::State;

use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, publish};
use crate::wait;

const NAME: &str = "items";
/// So many rows that reading them all takes a moment.
const ITEMS: u64 = 200;

/// A server with the stream `S`, and the folder of a daemon with the projection `items` of it.
struct Rig {
    _server: Server,
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
        let site = Site::new(&server, "[sources.s]\nstream = \"S\"", &[(NAME, &definition)]);
        let rig = Self { _server: server, client, site };
        rig.publish(messages).await;
        rig
    }

    async fn publish(&self, messages: u64) -> u64 {
        publish_items(&self.client, messages).await
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

/// Waits until nothing is pending behind a sequence.
#[track_caller]
fn live(daemon: &Daemon, sequence: u64) {
    wait::until("the live state", DEADLINE, || {
        let report = daemon.projection(NAME);
        assert_ne!(report.state, State::Failed, "{report:?}\n{}", daemon.log());
        (report.state == State::Live && report.checkpoint_sequence >= sequence).then_some(())
    });
}
