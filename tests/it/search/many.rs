//! Many projections, each with an index: all of them follow and are searched, within what one process may take.

use std::fs;

use serde_json::Value;
use viewd::status::{Index, State};

use super::rig::{DEFINITION, SOURCES};
use crate::daemon::{DEADLINE, Daemon, Site};
use crate::nats::{Server, create_stream, publish};
use crate::wait;

const PROJECTIONS: usize = 20;
const MEBIBYTE: u64 = 1 << 20;
const MEMORY_BYTES_MAX: u64 = 128 * MEBIBYTE;
/// Glibc would keep what Tantivy gives back: how much, no two runs agree on.
const ENVIRONMENT: (&str, &str) = ("MALLOC_MMAP_THRESHOLD_", "524288");
/// The one that follows the rows, Tantivy's writer, its updater and its two mergers.
const THREADS_EACH: u64 = 5;
/// Workers and what answers: some twenty, and more where many requests come at once.
const THREADS_BESIDE: u64 = 60;

#[tokio::test(flavor = "multi_thread")]
async fn twenty_indexes_follow_within_one_budget() {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "S", &["s.>"], |_| {}).await;
    let names: Vec<_> = (1..=PROJECTIONS).map(|number| format!("p{number}")).collect();
    let definitions: Vec<_> = names.iter().map(|name| (name.as_str(), DEFINITION)).collect();
    let site = Site::new(&server, SOURCES, &definitions);
    let item = |id: u64| {
        let data = serde_json::json!({
            "id": id, "title": format!("item {id} of many"), "note": "x".repeat(200),
        });
        let event = serde_json::json!({ "type": "Item", "data": data });
        ("s.a".to_owned(), event.to_string().into_bytes())
    };
    publish(&client, (0..500).map(item)).await;
    let memory = format!("limits.memory_bytes_max={MEMORY_BYTES_MAX}");
    let daemon = site.start_with(&[ENVIRONMENT], &["limits.search_commit_ms=200", &memory]);
    // What was there, and what comes in meanwhile: none is left behind by the others.
    let sequence = publish(&client, (500..1_000).map(item)).await;
    for name in &names {
        let index = follows(&daemon, name, sequence);
        assert_eq!(index.documents, Some(1_000), "{name}");
    }
    for (number, name) in names.iter().enumerate() {
        let id = 999 - number;
        let path = format!("/v1/projections/{name}/search/items?_q=item+AND+title:{id}");
        let (code, body) = daemon.get(&path);
        assert_eq!(code, 200, "{body}");
        let found: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(found["data"].as_array().unwrap().len(), 1, "{body}");
        assert_eq!(found["data"][0]["id"], id, "{body}");
        let (code, body) = daemon.post(&format!("/v1/admin/projections/{name}/verify-search"));
        assert_eq!(code, 200, "{body}");
        let compared: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(compared["data"][0]["finding"], Value::Null, "{name}");
    }
    let (threads, peak_bytes) =
        (of_process(&daemon, "Threads:"), of_process(&daemon, "VmHWM:") << 10);
    println!("{threads} threads, {} MiB at most", peak_bytes / MEBIBYTE);
    let most = THREADS_EACH * PROJECTIONS as u64 + THREADS_BESIDE;
    assert!(threads <= most, "{threads} threads, more than {most}");
    // What each writer takes at least counts beside the budget, and no more than that does.
    let writers = PROJECTIONS as u64 * 15_000_000;
    assert!(peak_bytes <= MEMORY_BYTES_MAX + writers, "{} MiB", peak_bytes / MEBIBYTE);
    assert!(daemon.terminate().success(), "{}", site.log());
}

#[track_caller]
fn follows(daemon: &Daemon, name: &str, sequence: u64) -> Index {
    wait::until(name, DEADLINE, || {
        let mut report = daemon.projection(name);
        assert!(!matches!(report.state, State::Failed | State::Degraded), "{report:?}");
        report.search.pop().filter(|index| index.sequence >= Some(sequence))
    })
}

/// A number that the system knows of the process.
fn of_process(daemon: &Daemon, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}
