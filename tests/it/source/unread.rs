//! What a reader has not read: whatever takes it from it, and whoever withholds it, it says so or gets it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use viewd::event::Sequence;
use viewd::source::{Delivery, Fault, Position, Reason};

use crate::nats::publish_numbers;
use crate::reading::{DEADLINE, Reading, Rig};

/// A reader of everything, and one whose filter passes over what is published to `s.b`.
const FILTERS: [&[&str]; 2] = [&[], &["s.a"]];

/// Takes what comes up to a sequence, or the fault before it.
fn take(reading: &mut Reading, to: u64) -> Option<Fault> {
    let begun = Instant::now();
    while reading.position.sequence < Sequence(to) {
        assert!(begun.elapsed() < DEADLINE, "at {}", reading.position.sequence);
        match reading.receiver.recv_timeout(Duration::from_millis(100)) {
            Ok(Delivery::Chunk(chunk)) => reading.apply(&chunk),
            Ok(Delivery::Fault(fault)) => return Some(fault),
            Err(_) => {}
        }
    }
    None
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_hides_no_purge_of_what_it_would_have_passed() {
    for filters in FILTERS {
        let rig = Rig::new().await;
        publish_numbers(&rig.client, "s.a", 1..=60_000).await;
        let mut reading = rig.read_with(filters, Position::default(), 1).await;
        reading.take_to(1);
        rig.stream().await.purge().await.unwrap();
        publish_numbers(&rig.client, "s.b", 60_001..=60_001).await;
        let fault = take(&mut reading, 60_001).expect("most was never read");
        let seen = reading.seen.len() as u64;
        let (first, last) = (Sequence(seen + 1), Sequence(60_000));
        assert_eq!(fault.reason, Reason::Gap { first, last }, "{filters:?}");
        reading.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_hides_no_eviction_under_a_live_reader() {
    for filters in FILTERS {
        for kept in [1, 5, 50] {
            let rig = Rig::with(|config| config.max_messages = kept).await;
            let mut reading = rig.read_from(filters, Position::default()).await;
            publish_numbers(&rig.client, "s.a", 1..=1).await;
            reading.take_to(1);
            let client = rig.client.clone();
            let burst = async move { publish_numbers(&client, "s.a", 2..=20_000).await };
            let publishing = tokio::spawn(burst);
            let fault = take(&mut reading, 20_000);
            publishing.await.unwrap();
            // All of them, or the gap named where it begins.
            let seen = reading.seen.len() as u64;
            assert_eq!(reading.position.sequence, Sequence(seen), "{filters:?}, kept {kept}");
            match fault.map(|fault| fault.reason) {
                None => assert_eq!(seen, 20_000),
                Some(Reason::Gap { first, .. }) => assert_eq!(first, Sequence(seen + 1)),
                Some(reason) => panic!("{reason:?}"),
            }
            reading.stop().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_withholds_messages_is_given_up() {
    for filters in FILTERS {
        let rig = Rig::new().await;
        publish_numbers(&rig.client, "s.a", 1..=10).await;
        let mut reading = rig.read_from(filters, Position::default()).await;
        reading.take_to(10);
        let subject = format!("$JS.API.CONSUMER.PAUSE.S.{}", rig.consumer().await);
        let pause = r#"{"pause_until":"2099-01-01T00:00:00Z"}"#;
        let answer = rig.client.request(subject, pause.into()).await.unwrap();
        assert!(String::from_utf8_lossy(&answer.payload).contains("\"paused\":true"));
        publish_numbers(&rig.client, "s.a", 11..=20).await;
        assert_eq!(take(&mut reading, 20), None);
        assert!(reading.recreates().contains(&("stalled", 1)), "{:?}", reading.recreates());
        reading.saw_all_to(20);
        reading.stop().await;
    }
}

/// Somebody answers in the server's place with a header that ends the client's task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_control_connection_that_was_ended_is_replaced() {
    let rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=10).await;
    let mut reading = rig.read().await;
    reading.take_to(10);
    let mut raw = TcpStream::connect(rig.server.url().replace("nats://", "")).unwrap();
    raw.set_read_timeout(Some(DEADLINE)).unwrap();
    let hello = "CONNECT {\"verbose\":false,\"headers\":true}\r\nSUB _INBOX.> 1\r\nPING\r\n";
    raw.write_all(hello.as_bytes()).unwrap();
    let mut lines = BufReader::new(raw.try_clone().unwrap());
    loop {
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let words: Vec<_> = line.split_whitespace().collect();
        if words.first() != Some(&"MSG") {
            continue;
        }
        let mut payload = vec![0; words[words.len() - 1].parse::<usize>().unwrap() + 2];
        lines.read_exact(&mut payload).unwrap();
        if String::from_utf8_lossy(&payload).contains("stream_info_response") {
            let header = "NATS/1.0\r\nA: b\rc\r\n\r\n";
            let answer = format!("HPUB {} {1} {1}\r\n{header}\r\n", words[1], header.len());
            raw.write_all(answer.as_bytes()).unwrap();
            break;
        }
    }
    // A reader that has to begin anew asks a good deal.
    let name = rig.consumer().await;
    rig.stream().await.delete_consumer(&name).await.unwrap();
    publish_numbers(&rig.client, "s.a", 11..=20).await;
    assert_eq!(take(&mut reading, 20), None);
    reading.saw_all_to(20);
    reading.stop().await;
}
