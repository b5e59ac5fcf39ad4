//! The JetStream reader before a real server: everything once and in order, through restarts, deletions and trimming.

use std::time::{Duration, Instant};

use async_nats::jetstream::{self, stream};
use tokio_util::sync::CancellationToken;
use viewd::config::{Login, Nats};
use viewd::event::Sequence;
use viewd::source::connection::Connection;
use viewd::source::head::{self, Poll};
use viewd::source::status::Recreate;
use viewd::source::{Position, Reason};

use crate::nats::{self, Server, create_stream, publish, publish_numbers};
use crate::reading::{DEADLINE, HEARTBEAT, How, PACE, Rig, settings};
use crate::wait;

// Messages of every kind that JetStream has, and deletions of every kind: no gap where there is none.
mod traffic;
// What is taken from a reader before it has read it, or withheld.
mod unread;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_read_once_and_in_order() {
    let rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=25_000).await;
    let mut reading = rig.read().await;
    reading.take_to(25_000);
    // Live: what is published now arrives soon.
    for last in 25_001..=25_020 {
        publish_numbers(&rig.client, "s.b", last..=last).await;
        reading.take_to(last);
    }
    reading.saw_all_to(25_020);
    reading.assert_undisturbed();
    assert!(reading.position.anchors.len() > 1);

    // A second reader goes on from the first one's position.
    let position = reading.stop().await;
    publish_numbers(&rig.client, "s.a", 25_021..=25_100).await;
    let mut reading = rig.read_from(&[], position).await;
    reading.take_to(25_100);
    assert!(reading.seen.iter().copied().eq(25_021..=25_100));
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restart_of_the_server_loses_and_repeats_nothing() {
    let mut rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=60_000).await;
    let mut reading = rig.read().await;
    // Busy: in the middle of catching up.
    reading.take_to(1_000);
    rig.server.stop();
    rig.server.start_again();
    let begun = Instant::now();
    reading.take_to(60_000);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(!reading.recreates().is_empty());

    // Idle, and killed.
    rig.server.kill();
    wait::until("trouble", DEADLINE, || reading.status.trouble.standing());
    rig.server.start_again();
    publish_numbers(&rig.client, "s.a", 60_001..=60_010).await;
    reading.take_to(60_010);
    reading.saw_all_to(60_010);
    assert!(reading.status.trouble.standing().is_none());
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_start_waits_for_the_server() {
    let mut rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=10).await;
    rig.server.stop();
    let mut reading = rig.read().await;
    wait::until("trouble", DEADLINE, || reading.status.trouble.standing());
    rig.server.start_again();
    reading.take_to(10);
    reading.saw_all_to(10);
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_consumer_is_recreated() {
    let rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=60_000).await;
    let mut reading = rig.read().await;
    // Busy.
    reading.take_to(1_000);
    let busy = rig.consumer().await;
    rig.stream().await.delete_consumer(&busy).await.unwrap();
    reading.take_to(60_000);
    // Idle.
    let idle = rig.consumer().await;
    assert_ne!(busy, idle);
    let before: u64 = reading.recreates().iter().map(|(_, count)| count).sum();
    rig.stream().await.delete_consumer(&idle).await.unwrap();
    reading.until_recreated(before + 1);
    publish_numbers(&rig.client, "s.a", 60_001..=60_001).await;
    reading.take_to(60_001);
    reading.saw_all_to(60_001);
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_stream_of_that_name_is_not_read() {
    for (case, published) in [("shorter", 5), ("longer", 200)] {
        // While it reads.
        let rig = Rig::new().await;
        publish_numbers(&rig.client, "s.a", 1..=100).await;
        let mut reading = rig.read().await;
        reading.take_to(100);
        nats::delete_stream(&rig.client, "S").await;
        create_stream(&rig.client, "S", &["s.>"], |_| {}).await;
        publish_numbers(&rig.client, "s.a", 1..=published).await;
        assert_eq!(reading.take_fault().reason, Reason::SourceChanged, "{case}");
        reading.saw_all_to(100);

        // And after a restart of the reader.
        let position = reading.stop().await;
        let mut reading = rig.read_from(&[], position).await;
        assert_eq!(reading.take_fault().reason, Reason::SourceChanged, "{case}, started again");
        assert!(reading.seen.is_empty());
        reading.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewritten_history_is_found_by_its_anchor() {
    let mut rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=10).await;
    let mut reading = rig.read().await;
    reading.take_to(10);
    let position = reading.stop().await;
    rig.server.stop();
    let older = copy_of(&rig.server.store());
    rig.server.start_again();
    rig.stream().await.purge().await.unwrap();

    // The same store, seen twice: once unchanged, once with other messages at the same sequences.
    rig.server.stop();
    replace(&rig.server.store(), older.path());
    rig.server.start_again();
    publish_numbers(&rig.client, "s.a", 11..=12).await;
    let mut reading = rig.read_from(&[], position.clone()).await;
    reading.take_to(12);
    let mut other = reading.stop().await;
    other.anchors.last_mut().unwrap().stored_at_ns += 1;
    let mut reading = rig.read_from(&[], other).await;
    assert_eq!(reading.take_fault().reason, Reason::SourceChanged);
    assert!(reading.seen.is_empty());
    reading.stop().await;

    // The older store again, without 11 and 12: the position lies beyond its end.
    rig.server.stop();
    replace(&rig.server.store(), older.path());
    rig.server.start_again();
    let beyond = Position { sequence: Sequence(12), ..position };
    let mut reading = rig.read_from(&[], beyond).await;
    assert_eq!(reading.take_fault().reason, Reason::SourceChanged);
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_trimmed_before_the_start_is_a_gap() {
    let rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=100).await;
    let mut reading = rig.read().await;
    reading.take_to(100);
    let mut position = reading.stop().await;
    publish_numbers(&rig.client, "s.a", 101..=200).await;
    rig.stream().await.purge().sequence(151).await.unwrap();

    position.anchors.retain(|anchor| anchor.sequence <= Sequence(100));
    let mut reading = rig.read_from(&[], position).await;
    let fault = reading.take_fault();
    assert_eq!(fault.reason, Reason::Gap { first: Sequence(101), last: Sequence(150) });
    assert!(fault.detail.contains("101 to 150"), "{}", fault.detail);
    assert_eq!((reading.seen.len(), reading.status.tally().gaps()), (0, 1));
    reading.stop().await;

    // A first start begins where the stream does.
    let mut reading = rig.read().await;
    reading.take_to(200);
    assert!(reading.seen.iter().copied().eq(151..=200));
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_trimmed_under_a_slow_reader_is_a_gap() {
    for filters in [&[][..], &["s.a"], &["s.*", "t.a"], &[">"]] {
        let rig = Rig::new().await;
        publish_numbers(&rig.client, "s.a", 1..=60_000).await;
        // The smallest queue: the reader waits for its receiver after the first pulls.
        let mut reading = rig.read_with(filters, Position::default(), 1).await;
        reading.take_to(1);
        rig.stream().await.purge().sequence(59_001).await.unwrap();
        let fault = reading.take_fault();
        let Reason::Gap { first, last } = fault.reason else { panic!("{filters:?}: {fault:?}") };
        let next = reading.position.sequence.next();
        assert_eq!((first, last), (next, Sequence(59_000)), "{filters:?}");
        reading.saw_all_to(reading.position.sequence.0);
        reading.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletions_within_a_stream_are_no_gap() {
    let rig = Rig::with(|config| config.max_messages_per_subject = 1).await;
    publish_numbers(&rig.client, "s.first", 1..=1).await;
    for n in 2..=300 {
        publish_numbers(&rig.client, &format!("s.{}", n % 7), n..=n).await;
    }
    rig.stream().await.delete_message(297).await.unwrap();
    let mut reading = rig.read().await;
    reading.take_to(300);
    assert_eq!(reading.seen, [1, 294, 295, 296, 298, 299, 300]);
    // The last message is deleted before it is read: the position still gets there.
    let position = reading.stop().await;
    publish_numbers(&rig.client, "s.9", 301..=302).await;
    rig.stream().await.delete_message(302).await.unwrap();
    let mut reading = rig.read_from(&[], position).await;
    reading.take_to(302);
    assert!(reading.seen.is_empty());
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_deletes_what_is_read_is_refused() {
    for retention in [stream::RetentionPolicy::Interest, stream::RetentionPolicy::WorkQueue] {
        let rig = Rig::with(|config| config.retention = retention).await;
        if retention == stream::RetentionPolicy::Interest {
            // Without a consumer such a stream keeps nothing.
            let keeper = jetstream::consumer::pull::Config {
                durable_name: Some("keeper".to_owned()),
                ..Default::default()
            };
            rig.stream().await.create_consumer(keeper).await.unwrap();
        }
        publish_numbers(&rig.client, "s.a", 1..=10).await;
        let mut reading = rig.read().await;
        let fault = reading.take_fault();
        assert!(reading.seen.is_empty());
        assert_eq!(fault.reason, Reason::Retention, "{fault:?}");
        assert_eq!(rig.stream().await.info().await.unwrap().state.messages, 10);
        reading.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_filter_that_matches_nothing_still_advances() {
    let rig = Rig::new().await;
    let mut reading = rig.read_from(&["s.x.>", "s.y"], Position::default()).await;
    let mixed = (1..=1_000_u64).map(|n| {
        let subject = match n {
            400 => "s.x.1",
            700 => "s.y",
            _ => "s.other",
        };
        (subject.to_owned(), format!("{{\"n\":{n}}}").into_bytes())
    });
    publish(&rig.client, mixed).await;
    reading.take_to(1_000);
    assert_eq!(reading.seen, [400, 700]);
    publish_numbers(&rig.client, "s.other", 1_001..=1_100).await;
    reading.status.request_advance();
    reading.take_to(1_100);
    assert_eq!(reading.seen, [400, 700]);
    // The anchor of an advance is the message at the head, and verifies like any other.
    assert_eq!(reading.position.anchors.last().unwrap().sequence, Sequence(1_100));
    let position = reading.stop().await;
    publish_numbers(&rig.client, "s.y", 1_101..=1_101).await;
    let mut reading = rig.read_from(&["s.y"], position).await;
    reading.take_to(1_101);
    assert_eq!(reading.seen, [1_101]);
    reading.assert_undisturbed();
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_receiver_bounds_the_queue() {
    const BYTES: u64 = 100_000;
    let rig = Rig::new().await;
    let padding = "x".repeat(BYTES as usize);
    let large = (1..=200)
        .map(|n| ("s.a".to_owned(), format!(r#"{{"n":{n},"padding":"{padding}"}}"#).into_bytes()));
    publish(&rig.client, large).await;
    let bound = 1 << 20;
    let mut reading = rig.read_with(&[], Position::default(), bound).await;
    // A chunk closes with the message that passes 1 MiB.
    let chunk_max = 3 << 20;
    wait::until("a full queue", DEADLINE, || (reading.gauge.bytes() >= bound).then_some(()));
    let mut most = 0;
    while reading.position.sequence < Sequence(200) {
        most = most.max(reading.gauge.bytes());
        reading.take_to(reading.position.sequence.0 + 1);
    }
    assert!(most <= bound + chunk_max, "{most}");
    reading.saw_all_to(200);
    reading.assert_undisturbed();
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_largest_messages_fit() {
    let rig = Rig::new().await;
    let payload_max = 1 << 20;
    let padding = "x".repeat(payload_max - 40);
    let large = (1..=20).map(|n| {
        let payload = if n % 2 == 0 {
            format!(r#"{{"n":{n},"padding":"{padding}"}}"#)
        } else {
            format!(r#"{{"n":{n}}}"#)
        };
        ("s.a".to_owned(), payload.into_bytes())
    });
    publish(&rig.client, large).await;
    // The budget of a pull is far below such a message.
    let mut reading = rig.read_with(&[], Position::default(), 4_096).await;
    reading.take_to(20);
    reading.saw_all_to(20);
    reading.assert_undisturbed();
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_head_is_polled_by_itself() {
    let mut rig = Rig::new().await;
    let control = Connection::open(&settings(rig.server.url()), "control", PACE).await.unwrap();
    control.connected().await;
    assert_eq!(head::ask(&control, "NONE").await, Ok(None));
    let asked = head::ask(&control, "S").await.unwrap().unwrap();
    assert_eq!((asked.messages, asked.subjects.as_slice()), (0, &["s.>".to_owned()][..]));
    assert!(!asked.holds_others);
    assert_eq!(head::holds(&control, "S", "s.*").await, Ok(false));

    let (poll, mut head) = Poll::new(&control, "S", Duration::from_millis(50));
    let cancel = CancellationToken::new();
    let task = tokio::spawn(poll.run(cancel.clone()));
    publish_numbers(&rig.client, "s.a", 1..=10).await;
    assert_eq!(head::holds(&control, "S", "s.*").await, Ok(true));
    assert_eq!(head::holds(&control, "S", "s.b").await, Ok(false));
    let last_is_10 = |head: &Option<head::StreamHead>| {
        head.as_ref().is_some_and(|head| head.last_sequence == Sequence(10))
    };
    let seen = head.stream.wait_for(last_is_10).await.unwrap().clone().unwrap();
    assert_eq!((seen.first_sequence, seen.messages), (Sequence(1), 10));
    assert_eq!(seen.created_ns, asked.created_ns);
    assert!(seen.at >= asked.at);

    // Without a server the last answer stands and grows old, and the trouble shows.
    rig.server.kill();
    wait::until("trouble", DEADLINE, || head.trouble.standing());
    assert!(!control.link().borrow().connected);
    rig.server.start_again();
    wait::until("recovery", DEADLINE, || head.trouble.standing().is_none().then_some(()));

    // A server that stands still is not asked for long: within two of what an answer may take, a second.
    let begun = Instant::now();
    rig.server.freeze();
    wait::until("trouble", DEADLINE, || head.trouble.standing());
    wait::until("a lost connection", DEADLINE, || {
        (!control.link().borrow().connected).then_some(())
    });
    assert!(begun.elapsed() < 3 * HEARTBEAT.max(Duration::from_secs(1)), "{:?}", begun.elapsed());
    rig.server.thaw();
    wait::until("recovery", DEADLINE, || head.trouble.standing().is_none().then_some(()));
    cancel.cancel();
    task.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stands_still_is_noticed() {
    let rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=10).await;
    let mut reading = rig.read().await;
    reading.take_to(10);
    rig.server.freeze();
    let begun = Instant::now();
    wait::until("trouble", DEADLINE, || reading.status.trouble.standing());
    assert!(begun.elapsed() < 4 * HEARTBEAT, "{:?}", begun.elapsed());
    rig.server.thaw();
    publish_numbers(&rig.client, "s.a", 11..=20).await;
    reading.take_to(20);
    reading.saw_all_to(20);
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stored_message_may_look_like_a_status() {
    let rig = Rig::new().await;
    let mut raw = tokio::net::TcpStream::connect(rig.server.url().trim_start_matches("nats://"))
        .await
        .unwrap();
    let mut published = "CONNECT {\"headers\":true,\"verbose\":false}\r\n".to_owned();
    for (n, status) in ["100 Idle Heartbeat", "409 Consumer Deleted", "503"].into_iter().enumerate()
    {
        let (headers, body) =
            (format!("NATS/1.0 {status}\r\n\r\n"), format!("{{\"n\":{}}}", n + 1));
        published += &format!(
            "HPUB s.a {} {}\r\n{headers}{body}\r\n",
            headers.len(),
            headers.len() + body.len()
        );
    }
    tokio::io::AsyncWriteExt::write_all(&mut raw, published.as_bytes()).await.unwrap();
    let mut reading = rig.read().await;
    reading.take_to(3);
    reading.saw_all_to(3);
    reading.assert_undisturbed();
    reading.stop().await;
}

/// The rights that the documentation asks for, of an account in which everything else is denied.
const RIGHTS: &str = r#"
    publish: [
        "$JS.API.STREAM.INFO.S", "$JS.API.STREAM.MSG.GET.S", "$JS.API.CONSUMER.CREATE.S.>",
        "$JS.API.CONSUMER.MSG.NEXT.S.*", "$JS.API.CONSUMER.DELETE.S.*"
    ]
    subscribe: ["_INBOX_viewd.>"]
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn few_rights_are_enough_and_a_missing_one_is_named() {
    for (missing, rights) in [
        (None, RIGHTS.to_owned()),
        (Some("CONSUMER.CREATE"), RIGHTS.replace("CONSUMER.CREATE", "CONSUMER.NONE")),
        (Some("CONSUMER.MSG.NEXT"), RIGHTS.replace("CONSUMER.MSG.NEXT", "CONSUMER.NONE")),
    ] {
        let server = Server::configured(&format!(
            "authorization {{ users: [ {{ user: all, password: all }}, \
             {{ user: viewd, password: secret, permissions: {{ {rights} }} }} ] }}\nno_auth_user: all\n"
        ));
        let client = server.client().await;
        create_stream(&client, "S", &["s.>"], |_| {}).await;
        let password = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(password.path(), "secret\n").unwrap();
        let login =
            Login::Password { user: "viewd".to_owned(), password_file: password.path().to_owned() };
        let nats =
            Nats { login, inbox_prefix: Some("_INBOX_viewd".to_owned()), ..settings(server.url()) };
        let rig = Rig { server, client, nats };
        publish_numbers(&rig.client, "s.a", 1..=100).await;
        let mut reading = rig.read_from(&["s.a", "s.b"], Position::default()).await;
        match missing {
            None => {
                reading.take_to(100);
                reading.saw_all_to(100);
            }
            Some(right) => {
                wait::until("the missing right", DEADLINE, || {
                    let standing = reading.status.trouble.standing()?;
                    standing.error.contains(&format!("$JS.API.{right}")).then_some(())
                });
                assert!(reading.seen.is_empty());
            }
        }
        reading.stop().await;
    }
}

/// No poll of the head within a test.
const NEVER: Duration = Duration::from_secs(3_600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_for_the_head_has_it_at_once() {
    let mut rig = Rig::new().await;
    publish_numbers(&rig.client, "s.other", 1..=100).await;
    let how = How { poll: NEVER, ..How::default() };
    let mut reading = rig.reading(&["s.x", "s.y"], Position::default(), how, |_| {}).await;
    // Asked before there is a consumer.
    reading.status.request_advance();
    reading.take_to(100);
    // What matches, and behind it what does not; each asks for what it published, all at once.
    let mut last = 100;
    for round in 0..20 {
        publish_numbers(&rig.client, "s.x", last + 1..=last + 1).await;
        publish_numbers(&rig.client, "s.other", last + 2..=last + 4).await;
        reading.status.request_advance();
        if round % 2 == 0 {
            publish_numbers(&rig.client, "s.other", last + 5..=last + 5).await;
            reading.status.request_advance();
            last += 1;
        }
        last += 4;
        reading.take_to(last);
    }
    assert_eq!(reading.seen.len(), 20);
    reading.assert_undisturbed();
    // While the server is away, and is started again.
    rig.server.kill();
    wait::until("trouble", DEADLINE, || reading.status.trouble.standing());
    reading.status.request_advance();
    rig.server.start_again();
    publish_numbers(&rig.client, "s.other", last + 1..=last + 5).await;
    reading.status.request_advance();
    reading.take_to(last + 5);
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_waits_behind_a_full_queue_has_it_once_there_is_room() {
    let rig = Rig::new().await;
    publish_numbers(&rig.client, "s.x", 1..=30_000).await;
    publish_numbers(&rig.client, "s.other", 30_001..=30_010).await;
    let how = How { poll: NEVER, queue_bytes_max: 1, ..How::default() };
    let mut reading = rig.reading(&["s.x"], Position::default(), how, |_| {}).await;
    reading.take_to(1);
    reading.status.request_advance();
    reading.take_to(30_010);
    assert!(reading.seen.iter().copied().eq(1..=30_000));
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_client_drops_is_read_again() {
    let rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=20_000).await;
    // A pull brings more than fits: its middle is dropped, and at the end its tail, with silence behind it.
    let how = How { channel_messages: 700, ..How::default() };
    let mut reading = rig.reading(&[], Position::default(), how, |_| {}).await;
    reading.take_to(20_000);
    reading.saw_all_to(20_000);
    let recreated: Vec<_> = reading.recreates().iter().map(|(reason, _)| *reason).collect();
    assert!(recreated.contains(&"slow_consumer") || recreated.contains(&"hole"), "{recreated:?}");
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_history_that_changes_under_an_idle_reader_is_found() {
    let rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=10).await;
    let mut reading = rig.read().await;
    reading.take_to(10);
    // From now on somebody else answers for the leader: another message 10.
    let mut asked = rig.client.subscribe("other.leader").await.unwrap();
    rig.client.flush().await.unwrap();
    rig.server.reconfigure("mappings: { \"$JS.API.STREAM.MSG.GET.S\": \"other.leader\" }\n");
    let client = rig.client.clone();
    let answers = tokio::spawn(async move {
        use futures_util::StreamExt as _;
        while let Some(message) = asked.next().await {
            let body = r#"{"message":{"subject":"s.a","seq":10,"data":"e30=","time":"2024-01-01T00:00:00Z"}}"#;
            client.publish(message.reply.unwrap(), body.into()).await.unwrap();
        }
    });
    let begun = Instant::now();
    assert_eq!(reading.take_fault().reason, Reason::SourceChanged);
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(reading.status.tally().recreates(Recreate::Identity), 1);
    reading.saw_all_to(10);
    answers.abort();
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_other_than_asked_for_is_not_read() {
    let mut rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=10).await;
    // An old server's answer: it has ignored the second filter.
    let mut asked = rig.client.subscribe("old.server").await.unwrap();
    rig.client.flush().await.unwrap();
    rig.server.reconfigure("mappings: { \"$JS.API.CONSUMER.CREATE.S.*\": \"old.server\" }\n");
    let client = rig.client.clone();
    let answers = tokio::spawn(async move {
        use futures_util::StreamExt as _;
        while let Some(message) = asked.next().await {
            let asked: serde_json::Value = serde_json::from_slice(&message.payload).unwrap();
            let mut config = asked["config"].clone();
            config.as_object_mut().unwrap().remove("filter_subjects");
            let body = serde_json::json!({"config": config, "num_pending": 10}).to_string();
            client.publish(message.reply.unwrap(), body.into()).await.unwrap();
        }
    });
    let mut reading = rig.read_from(&["s.a", "s.b"], Position::default()).await;
    let detail = wait::until("trouble", DEADLINE, || {
        let standing = reading.status.trouble.standing()?;
        (reading.status.tally().recreates(Recreate::Unsupported) >= 3).then_some(standing.error)
    });
    assert!(detail.contains("filter_subjects"), "{detail}");
    assert!(!reading.status.verified() && reading.receiver.try_recv().is_err());
    // The server has been upgraded.
    answers.abort();
    rig.server.reconfigure("");
    rig.server.stop();
    rig.server.start_again();
    reading.take_to(10);
    reading.saw_all_to(10);
    assert!(reading.status.trouble.standing().is_none());
    reading.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_waits_for_room_goes_on_where_it_was() {
    let rig = Rig::new().await;
    publish_numbers(&rig.client, "s.a", 1..=60_000).await;
    let mut reading = rig.read_with(&[], Position::default(), 1).await;
    reading.take_to(1);
    // The server forgets a consumer that nobody pulls from.
    let consumer = rig.consumer().await;
    rig.stream().await.delete_consumer(&consumer).await.unwrap();
    // What was read already may be trimmed, and what lies within the stream may be deleted.
    let read = reading.position.sequence.0;
    rig.stream().await.purge().sequence(read + 1).await.unwrap();
    reading.take_to(60_000);
    reading.saw_all_to(60_000);
    reading.stop().await;
}

/// A copy of a folder, in a temporary one.
fn copy_of(folder: &std::path::Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    copy_into(folder, copy.path());
    copy
}

fn replace(folder: &std::path::Path, with: &std::path::Path) {
    std::fs::remove_dir_all(folder).unwrap();
    copy_into(with, folder);
}

fn copy_into(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
