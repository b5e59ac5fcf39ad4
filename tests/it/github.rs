//! The sample over GitHub's webhooks, held to all of GitHub's own examples: as messages, through decoding, `transform` and
//! the engine, beside tables that plain Rust makes of the same payloads.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value, json};
use viewd::config::Config;
use viewd::definition;
use viewd::diagnostic::{Source, render};
use viewd::event::Sequence;
use viewd::event::time::Timestamp;
use viewd::projection::plan::Plan;
use viewd::source::memory::{Recorded, chunks, transformed};
use viewd::trial::outcome::Outcome;
use viewd::trial::{Setup, Trial};

const EVENT_BYTES_MAX: usize = 8 << 20;

/// 2026-01-01T00:00:00Z, when the stream stored the first one.
const FIRST_STORED_AT: i64 = 1_767_225_600;

/// One webhook.
struct Webhook {
    event: String,
    payload: Value,
}

fn path(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn webhooks() -> Vec<Webhook> {
    let file = std::fs::File::open(path("tests/github/events.jsonl.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    let read = |line: &str| {
        let mut line: Value = serde_json::from_str(line).unwrap();
        let event = line["event"].as_str().unwrap().to_owned();
        Webhook { event, payload: line["payload"].take() }
    };
    text.lines().map(read).collect()
}

/// What viewd makes of webhooks in this order, in batches of so many messages.
fn projected(webhooks: &[Webhook], batch: usize) -> Outcome {
    let loaded = Config::load(Some(&path("config/github.toml")), [], &[]);
    let config = loaded.unwrap_or_else(|wrong| panic!("{}", render(&wrong, false))).config;
    let text = std::fs::read_to_string(path("projections/github/github.toml")).unwrap();
    let source = Source::new("github.toml", text);
    let (definition, found) = definition::parse(&source, "github", &["github"]);
    let definition = definition.unwrap_or_else(|| panic!("{}", render(&found, false)));
    let settings = &config.sources["github"];
    let plan = Arc::new(Plan::new(Arc::new(definition)));
    let setup = Setup::new(plan, settings, EVENT_BYTES_MAX as u64, 1_000);
    let messages: Vec<_> = webhooks.iter().enumerate().map(message).collect();
    let mut trial = Trial::begin(&setup).unwrap();
    for messages in messages.chunks(batch) {
        let decoded = chunks(messages, settings.format, EVENT_BYTES_MAX, []);
        trial.take(&transformed(&decoded, settings.transform.as_ref().unwrap())).unwrap();
    }
    trial.outcome().unwrap()
}

/// A webhook as it is published.
fn message((index, webhook): (usize, &Webhook)) -> Recorded {
    Recorded {
        sequence: Sequence(index as u64 + 1),
        stored_at: Timestamp((FIRST_STORED_AT + index as i64) * 1_000_000),
        subject: format!("github.{}", webhook.event),
        headers: vec![
            ("X-GitHub-Event".to_owned(), webhook.event.clone()),
            ("Nats-Msg-Id".to_owned(), format!("delivery-{index}")),
        ],
        payload: webhook.payload.to_string().into_bytes(),
        ..Recorded::default()
    }
}

/// Rows of a table by key.
type Rows = BTreeMap<String, Map<String, Value>>;

const TABLES: [&str; 8] = [
    "repositories",
    "issues",
    "issue_labels",
    "pull_requests",
    "commits",
    "stargazers",
    "people",
    "event_counts",
];

fn rows_of(outcome: &Outcome, table: &str) -> Rows {
    let relation = outcome.relation(table).unwrap();
    let rows = relation.rows.iter().map(|row| {
        let members = relation.object(row).0.into_iter();
        let row: Map<_, _> =
            members.map(|(column, json)| (column, serde_json::from_str(&json).unwrap())).collect();
        let key = relation.key.iter().map(|&key| row[&relation.columns[key].0].clone());
        (name_of(key), row)
    });
    rows.collect()
}

fn name_of(key: impl IntoIterator<Item = Value>) -> String {
    Value::from_iter(key).to_string()
}

/// The same tables, written without viewd.
#[derive(Default)]
struct Oracle {
    tables: BTreeMap<&'static str, Rows>,
}

impl Oracle {
    fn rows(&mut self, table: &'static str) -> &mut Rows {
        self.tables.entry(table).or_default()
    }

    /// The row at a key, and whether it is new, with these values.
    fn row(
        &mut self,
        table: &'static str,
        key: &[(&str, &Value)],
        new: Value,
    ) -> (&mut Map<String, Value>, bool) {
        let name = name_of(key.iter().map(|(_, value)| (*value).clone()));
        let created = !self.rows(table).contains_key(&name);
        let row = self.rows(table).entry(name).or_insert_with(|| {
            let mut row = new.as_object().unwrap().clone();
            row.extend(key.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())));
            row
        });
        (row, created)
    }

    fn apply(&mut self, webhook: &Webhook, stored_at: i64) {
        let Webhook { event, payload } = webhook;
        let action = payload["action"].as_str().unwrap_or_default();
        if !payload["repository"]["id"].is_null() {
            self.repository(&payload["repository"]);
        }
        self.tally(webhook, action, &seconds(stored_at));
        let repository = &payload["repository"]["id"];
        match event.as_str() {
            "fork" => self.fork(payload),
            "issues" | "issue_comment" => self.issue(repository, &payload["issue"]),
            "pull_request" => self.pull_request(repository, payload),
            "push" => self.push(repository, payload),
            "star" => self.star(repository, action, payload),
            _ => {}
        }
        if event == "issues" && ["deleted", "transferred"].contains(&action) {
            let number = &payload["issue"]["number"];
            self.rows("issues").remove(&name_of([repository.clone(), number.clone()]));
            self.forget_labels(repository, number);
        }
    }

    fn tally(&mut self, webhook: &Webhook, action: &str, at: &Value) {
        let sender = &webhook.payload["sender"];
        if !sender["login"].is_null() {
            let (row, _) = self.row("people", &[("login", &sender["login"])], json!({"events": 0}));
            row.insert("kind".to_owned(), sender["type"].clone());
            row.insert("seen_at".to_owned(), at.clone());
            count(row);
        }
        let key = [("event", &json!(webhook.event)), ("action", &json!(action))];
        let (row, _) = self.row("event_counts", &key, json!({"events": 0, "first_at": at}));
        row.insert("last_at".to_owned(), at.clone());
        count(row);
    }

    fn repository(&mut self, repository: &Value) {
        let new = json!({"events": 0, "topics": [], "parent": null});
        let (row, _) = self.row("repositories", &[("repository_id", &repository["id"])], new);
        copy(row, repository, &["full_name", "private", "archived", "description"]);
        copy(row, repository, &["language", "default_branch"]);
        if !repository["topics"].is_null() {
            copy(row, repository, &["topics"]);
        }
        figures(row, repository);
        count(row);
    }

    fn fork(&mut self, payload: &Value) {
        let forkee = &payload["forkee"];
        let new = json!({
            "events": 0, "topics": [], "archived": null, "description": null, "language": null,
            "parent": payload["repository"]["full_name"],
        });
        let (row, _) = self.row("repositories", &[("repository_id", &forkee["id"])], new);
        copy(row, forkee, &["full_name", "private", "default_branch"]);
        figures(row, forkee);
    }

    fn issue(&mut self, repository: &Value, issue: &Value) {
        let number = &issue["number"];
        let key = [("repository_id", repository), ("number", number)];
        let (row, created) = self.row("issues", &key, json!({"state": null, "locked": null}));
        // In one form and one zone, times sort as text.
        if !created && time(&issue["updated_at"]).as_str() < row["updated_at"].as_str() {
            return;
        }
        copy(row, issue, &["title", "comments"]);
        for name in ["created_at", "updated_at", "closed_at"] {
            row.insert(name.to_owned(), time(&issue[name]));
        }
        for name in ["state", "locked"] {
            if !issue[name].is_null() {
                copy(row, issue, &[name]);
            }
        }
        row.insert("author".to_owned(), issue["user"]["login"].clone());
        let assignees = issue["assignees"].as_array().unwrap().iter();
        let assignees = assignees.map(|assignee| assignee["login"].clone()).collect();
        row.insert("assignees".to_owned(), assignees);
        row.insert("milestone".to_owned(), issue["milestone"]["title"].clone());
        let Some(labels) = issue["labels"].as_array() else { return };
        self.forget_labels(repository, number);
        for label in labels {
            let key =
                [("repository_id", repository), ("number", number), ("label", &label["name"])];
            copy(self.row("issue_labels", &key, json!({})).0, label, &["color"]);
        }
    }

    fn forget_labels(&mut self, repository: &Value, number: &Value) {
        self.rows("issue_labels")
            .retain(|_, row| row["repository_id"] != *repository || row["number"] != *number);
    }

    fn pull_request(&mut self, repository: &Value, payload: &Value) {
        let pull = &payload["pull_request"];
        let key = [("repository_id", repository), ("number", &pull["number"])];
        let (row, _) = self.row("pull_requests", &key, json!({"times_reopened": 0}));
        let state = match () {
            () if pull["merged"] == json!(true) => "merged",
            () if pull["state"] == "closed" => "closed",
            () if pull["draft"] == json!(true) => "draft",
            () => "open",
        };
        let lines = pull["additions"].as_i64().unwrap() + pull["deletions"].as_i64().unwrap();
        let ended = if pull["merged_at"].is_null() { "closed_at" } else { "merged_at" };
        let reopened =
            row["times_reopened"].as_i64().unwrap() + i64::from(payload["action"] == "reopened");
        copy(row, pull, &["title"]);
        row.extend([
            ("state".to_owned(), json!(state)),
            ("author".to_owned(), pull["user"]["login"].clone()),
            ("head".to_owned(), pull["head"]["label"].clone()),
            ("base".to_owned(), pull["base"]["label"].clone()),
            ("lines_changed".to_owned(), json!(lines)),
            ("files_changed".to_owned(), pull["changed_files"].clone()),
            ("opened_at".to_owned(), time(&pull["created_at"])),
            ("closed_at".to_owned(), time(&pull[ended])),
            ("times_reopened".to_owned(), json!(reopened)),
        ]);
    }

    fn push(&mut self, repository: &Value, payload: &Value) {
        let reference = payload["ref"].as_str().unwrap();
        let Some(branch) = reference.strip_prefix("refs/heads/") else { return };
        for commit in payload["commits"].as_array().unwrap() {
            let author = &commit["author"];
            let named = if author["username"].is_null() { "name" } else { "username" };
            let files = ["added", "removed", "modified"].iter();
            let files: usize = files.map(|list| commit[list].as_array().unwrap().len()).sum();
            let summary = commit["message"].as_str().unwrap().split('\n').next();
            let key = [("repository_id", repository), ("sha", &commit["id"])];
            self.row("commits", &key, json!({})).0.extend([
                ("branch".to_owned(), json!(branch)),
                ("author".to_owned(), author[named].clone()),
                ("summary".to_owned(), json!(summary)),
                ("files".to_owned(), json!(files)),
                ("committed_at".to_owned(), time(&commit["timestamp"])),
            ]);
        }
    }

    fn star(&mut self, repository: &Value, action: &str, payload: &Value) {
        let login = &payload["sender"]["login"];
        if action == "created" {
            let key = [("repository_id", repository), ("login", login)];
            let (row, _) = self.row("stargazers", &key, json!({}));
            row.insert("starred_at".to_owned(), time(&payload["starred_at"]));
        } else {
            self.rows("stargazers").remove(&name_of([repository.clone(), login.clone()]));
        }
    }
}

/// Copies members of the same name.
fn copy(row: &mut Map<String, Value>, from: &Value, names: &[&str]) {
    row.extend(names.iter().map(|name| ((*name).to_owned(), from[name].clone())));
}

/// What a repository and a fork have alike.
fn figures(row: &mut Map<String, Value>, repository: &Value) {
    row.extend([
        ("owner".to_owned(), repository["owner"]["login"].clone()),
        ("stars".to_owned(), repository["stargazers_count"].clone()),
        ("forks".to_owned(), repository["forks_count"].clone()),
        ("open_issues".to_owned(), repository["open_issues_count"].clone()),
        ("created_at".to_owned(), time(&repository["created_at"])),
        ("pushed_at".to_owned(), time(&repository["pushed_at"])),
    ]);
}

fn count(row: &mut Map<String, Value>) {
    let events = row["events"].as_i64().unwrap() + 1;
    row.insert("events".to_owned(), json!(events));
}

/// A time of GitHub's, text or seconds, as a view shows it.
fn time(time: &Value) -> Value {
    match time {
        Value::Null => Value::Null,
        Value::Number(number) => seconds(number.as_i64().unwrap()),
        time => seconds(time.as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second()),
    }
}

fn seconds(seconds: i64) -> Value {
    json!(format!("{:.6}", jiff::Timestamp::from_second(seconds).unwrap()))
}

#[track_caller]
fn check(webhooks: &[Webhook], batch: usize) {
    let outcome = projected(webhooks, batch);
    assert_eq!(outcome.set_aside, [], "nothing is set aside");
    let mut oracle = Oracle::default();
    for (index, webhook) in webhooks.iter().enumerate() {
        oracle.apply(webhook, FIRST_STORED_AT + index as i64);
    }
    for table in TABLES {
        let (found, expected) = (rows_of(&outcome, table), oracle.rows(table));
        for (key, row) in &*expected {
            assert_eq!(found.get(key), Some(row), "{table} {key}");
        }
        assert_eq!(found.len(), expected.len(), "{table}: {:?}", found.keys());
    }
}

#[test]
fn all_examples_of_github_make_the_tables_that_plain_code_makes() {
    let webhooks = webhooks();
    assert_eq!(webhooks.len(), 329);
    for batch in [1, 7, webhooks.len()] {
        check(&webhooks, batch);
    }
}

/// Webhooks come in any order.
#[test]
fn in_any_order_too() {
    let mut webhooks = webhooks();
    webhooks.reverse();
    check(&webhooks, 50);
    let mut seed = 1_u64;
    for _ in 0..6 {
        for index in (1..webhooks.len()).rev() {
            // Knuth's MMIX generator: any shuffle will do that is the same each time.
            seed = seed.wrapping_mul(6_364_136_223_846_793_005);
            seed = seed.wrapping_add(1_442_695_040_888_963_407);
            webhooks.swap(index, (seed >> 33) as usize % (index + 1));
        }
        check(&webhooks, 50);
    }
}

/// What the tables are about is in the examples: equal tables are not empty ones.
#[test]
fn the_examples_fill_the_tables() {
    let outcome = projected(&webhooks(), 329);
    for (table, least) in [
        ("repositories", 5),
        ("issues", 1),
        ("issue_labels", 1),
        ("pull_requests", 1),
        ("people", 5),
        ("event_counts", 100),
    ] {
        let rows = rows_of(&outcome, table).len();
        assert!(rows >= least, "{table} has {rows} rows");
    }
}
