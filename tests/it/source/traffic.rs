//! What a JetStream stream holds besides plain messages, and how it loses messages without a gap.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use async_nats::jetstream::stream;
use viewd::event::Sequence;
use viewd::source::{Position, Reason};

use crate::reading::{DEADLINE, Reading, Rig};

/// A stream that takes everything, with as much kept as the test needs.
fn everything(config: &mut stream::Config) {
    config.allow_rollup = true;
    config.allow_message_ttl = true;
    config.subject_delete_marker_ttl = Some(Duration::from_secs(1));
    config.allow_atomic_publish = true;
}

/// Publishes one message with headers; the server's answer is awaited.
async fn put(rig: &Rig, subject: &str, headers: &[(&str, &str)], payload: &'static str) {
    let mut map = HeaderMap::new();
    headers.iter().for_each(|(name, value)| map.insert(*name, *value));
    let answer =
        rig.client.request_with_headers(subject.to_owned(), map, payload.into()).await.unwrap();
    let answer = String::from_utf8_lossy(&answer.payload).into_owned();
    assert!(!answer.contains("\"error\""), "{subject}: {answer}");
}

async fn last(rig: &Rig) -> u64 {
    rig.stream().await.info().await.unwrap().state.last_sequence
}

/// Everything that was delivered, as an event or as a dead letter.
fn delivered(reading: &Reading) -> Vec<u64> {
    let rejected = reading.rejects.iter().map(|reject| reject.sequence);
    let mut all: Vec<_> = reading.seen.iter().copied().chain(rejected).collect();
    all.sort_unstable();
    all
}

/// What the stream holds above a sequence on these subjects.
async fn held(rig: &Rig, after: u64, filters: &[&str]) -> Vec<u64> {
    let stream = rig.stream().await;
    let mut held = Vec::new();
    for sequence in after + 1..=last(rig).await {
        let Ok(message) = stream.get_raw_message(sequence).await else { continue };
        let subject = message.subject.as_str();
        let matches = |filter: &&str| {
            let start = filter.trim_end_matches('>');
            subject == *filter || (start != *filter && subject.starts_with(start))
        };
        if filters.is_empty() || filters.iter().any(matches) {
            held.push(sequence);
        }
    }
    held
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn none_of_it_is_a_gap() {
    let rig = Rig::with(everything).await;
    let mut live = rig.read().await;
    let mut filtered = rig.read_from(&["s.k.>", "s.e"], Position::default()).await;
    (live.numbered, filtered.numbered) = (false, false);

    put(&rig, "s.a", &[], "{}").await;
    put(&rig, "s.e", &[], "").await;
    // A key's life in a key-value bucket.
    put(&rig, "s.k.1", &[], r#"{"v":1}"#).await;
    put(&rig, "s.k.1", &[("KV-Operation", "DEL")], "").await;
    put(&rig, "s.k.1", &[], r#"{"v":2}"#).await;
    live.take_to(5);
    filtered.take_to(5);
    put(&rig, "s.k.1", &[("KV-Operation", "PURGE"), ("Nats-Rollup", "sub")], "").await;
    // A message that lives a second leaves a marker.
    put(&rig, "s.k.2", &[("Nats-TTL", "1s")], "{}").await;
    let begun = last(&rig).await;
    live.take_to(begun);
    filtered.take_to(begun);
    live.take_to(begun + 1);
    filtered.take_to(begun + 1);
    let marker = rig.stream().await.get_raw_message(begun + 1).await.unwrap();
    assert_eq!(marker.headers.get("Nats-Marker-Reason").unwrap().as_str(), "MaxAge");
    // A batch is there as a whole.
    for part in 1..=5 {
        let number = part.to_string();
        let mut headers = vec![("Nats-Batch-Id", "b"), ("Nats-Batch-Sequence", number.as_str())];
        headers.extend((part == 5).then_some(("Nats-Batch-Commit", "1")));
        put(&rig, if part % 2 == 0 { "s.a" } else { "s.k.3" }, &headers, "{}").await;
    }
    for _ in 0..20 {
        put(&rig, "s.a", &[], "{}").await;
    }
    let end = last(&rig).await;
    live.take_to(end);
    filtered.take_to(end);
    // Within the stream, at its end, and a whole subject.
    for gone in [end - 10, end - 9, end - 3, end] {
        rig.stream().await.delete_message(gone).await.unwrap();
    }
    rig.stream().await.purge().filter("s.k.3").await.unwrap();
    assert!(delivered(&live).into_iter().eq(1..=end), "{:?}", delivered(&live));
    live.assert_undisturbed();

    // The marker has its own time.
    let waited = Instant::now();
    while rig.stream().await.get_raw_message(begun + 1).await.is_ok() {
        assert!(waited.elapsed() < DEADLINE, "the marker stays");
    }

    // Whoever comes later reads what is left, from wherever they stand.
    for filters in [&[][..], &["s.k.>", "s.e"], &["s.a"]] {
        for after in 0..end {
            if after % 4 != 0 {
                continue;
            }
            let position = Position { sequence: Sequence(after), ..Position::default() };
            let mut late = rig.read_from(filters, position).await;
            late.numbered = false;
            late.take_to(end);
            assert_eq!(delivered(&late), held(&rig, after, filters).await, "{filters:?} {after}");
            assert_eq!(late.status.tally().gaps(), 0);
            late.stop().await;
        }
    }

    // A rollup of everything takes what was read along, which is no gap for those who had read it.
    put(&rig, "s.a", &[("Nats-Rollup", "all")], "{}").await;
    live.take_to(end + 1);
    filtered.take_to(end + 1);
    put(&rig, "s.e", &[], "").await;
    live.take_to(end + 2);
    filtered.take_to(end + 2);
    assert_eq!(delivered(&live).len() as u64, end + 2);
    let position = live.stop().await;
    let mut on_time = rig.read_from(&[], position).await;
    put(&rig, "s.a", &[], "{}").await;
    on_time.numbered = false;
    on_time.take_to(end + 3);
    on_time.stop().await;
    filtered.stop().await;
    let position = Position { sequence: Sequence(end - 5), ..Position::default() };
    let mut too_late = rig.read_from(&[], position).await;
    let gap = Reason::Gap { first: Sequence(end - 4), last: Sequence(end) };
    assert_eq!(too_late.take_fault().reason, gap);
    too_late.stop().await;
}
