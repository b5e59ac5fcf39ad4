//! The JetStream reader before a real server: everything once and in order, through restarts, deletions and trimming.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::Client;
use async_nats::jetstream::{self, stream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use viewd::config::{Login, Nats, Tls};
use viewd::event::chunk::{Chunk, Data};
use viewd::event::{Format, Sequence};
use viewd::source::connection::{Connection, Pace};
use viewd::source::head::{self, Poll};
use viewd::source::queue::{self, Gauge, ReceiveError, Receiver};
use viewd::source::reader::{Reader, Settings};
use viewd::source::status::{Recreate, Status};
use viewd::source::{Delivery, Fault, Position, Reason};

use crate::nats::{self, Server, create_stream, publish, publish_numbers};
use crate::wait;

const DEADLINE: Duration = Duration::from_secs(20);
const HEARTBEAT: Duration = Duration::from_millis(500);
const PACE: Pace = Pace { heartbeat: HEARTBEAT, backoff_max: Duration::from_secs(1) };
const QUEUE_BYTES_MAX: usize = 8 << 20;

/// A server with the stream `S` and the subjects `s.>`, and a client for the test.
pub struct Rig {
    pub server: Server,
    pub client: Client,
    /// How readers connect.
    nats: Nats,
}

/// A reader under test. Its position follows what was taken from its queue, as a store's would.
pub struct Reading {
    receiver: Receiver,
    pub status: Arc<Status>,
    position: Position,
    pub seen: Vec<u64>,
    pub rejects: Vec<Rejected>,
    gauge: Gauge,
    cancel: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// A message that gave no event.
#[derive(Debug)]
pub struct Rejected {
    pub sequence: u64,
    pub reason: String,
    pub payload: Vec<u8>,
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut stream::Config)) -> Self {
        let server = Server::start();
        let client = server.client().await;
        create_stream(&client, "S", &["s.>"], change).await;
        let nats = settings(server.url());
        Self { server, client, nats }
    }

    pub async fn read(&self) -> Reading {
        self.read_from(&[], Position::default()).await
    }

    pub async fn read_from(&self, filters: &[&str], position: Position) -> Reading {
        self.read_with(filters, position, QUEUE_BYTES_MAX).await
    }

    /// With settings of the test's own.
    pub async fn read_as(
        &self,
        filters: &[&str],
        position: Position,
        change: impl FnOnce(&mut Settings),
    ) -> Reading {
        self.reading(filters, position, QUEUE_BYTES_MAX, change).await
    }

    async fn read_with(
        &self,
        filters: &[&str],
        position: Position,
        queue_bytes_max: usize,
    ) -> Reading {
        self.reading(filters, position, queue_bytes_max, |_| {}).await
    }

    async fn reading(
        &self,
        filters: &[&str],
        position: Position,
        queue_bytes_max: usize,
        change: impl FnOnce(&mut Settings),
    ) -> Reading {
        let nats = self.nats.clone();
        let control = Connection::open(&nats, "control", PACE).await.unwrap();
        let (poll, head) = Poll::new(&control, "S", Duration::from_millis(100));
        let data = Connection::open(&nats, "data", PACE).await.unwrap();
        let (sender, receiver) = queue::channel(queue_bytes_max);
        let status = Arc::new(Status::default());
        let mut settings = Settings {
            stream: "S".to_owned(),
            filters: filters.iter().map(|filter| (*filter).to_owned()).collect(),
            format: Format::Auto,
            transform: None,
            event_bytes_max: 8 << 20,
            batch_events_max: 10_000,
            heartbeat: HEARTBEAT,
        };
        change(&mut settings);
        let reader = Reader::new(
            data,
            &control,
            settings,
            position.clone(),
            sender,
            head.stream.clone(),
            Arc::clone(&status),
        );
        let cancel = CancellationToken::new();
        let tasks =
            vec![tokio::spawn(poll.run(cancel.clone())), tokio::spawn(reader.run(cancel.clone()))];
        let gauge = receiver.gauge();
        Reading {
            receiver,
            status,
            position,
            seen: Vec::new(),
            rejects: Vec::new(),
            gauge,
            cancel,
            tasks,
        }
    }

    pub async fn stream(&self) -> stream::Stream {
        jetstream::new(self.client.clone()).get_stream("S").await.unwrap()
    }

    /// The reader's consumer on the server, once there is one.
    async fn consumer(&self) -> String {
        use futures_util::StreamExt as _;
        let begun = Instant::now();
        loop {
            if let Some(Ok(name)) = self.stream().await.consumer_names().next().await {
                return name;
            }
            assert!(begun.elapsed() < DEADLINE, "no consumer");
            tokio::task::yield_now().await;
        }
    }
}

impl Reading {
    /// Takes deliveries until everything up to a sequence has been scanned.
    #[track_caller]
    pub fn take_to(&mut self, sequence: u64) {
        let begun = Instant::now();
        while self.position.sequence < Sequence(sequence) {
            let left = DEADLINE.saturating_sub(begun.elapsed());
            match self.receiver.recv_timeout(left) {
                Ok(Delivery::Chunk(chunk)) => self.apply(&chunk),
                other => panic!(
                    "at {} of {sequence}: {other:?}, {:?}",
                    self.position.sequence, self.status
                ),
            }
        }
    }

    /// Takes deliveries up to the fault that ends them.
    #[track_caller]
    fn take_fault(&mut self) -> Fault {
        loop {
            match self.receiver.recv_timeout(DEADLINE) {
                Ok(Delivery::Chunk(chunk)) => self.apply(&chunk),
                Ok(Delivery::Fault(fault)) => {
                    let after = self.receiver.recv_timeout(DEADLINE);
                    assert_eq!(after.unwrap_err(), ReceiveError::Closed, "nothing follows a fault");
                    return fault;
                }
                Err(error) => panic!("no fault: {error}, {:?}", self.status),
            }
        }
    }

    #[track_caller]
    fn apply(&mut self, chunk: &Arc<Chunk>) {
        assert!(chunk.scanned_to() > self.position.sequence, "the position rises");
        for event in chunk.events() {
            if let Some(reject) = event.reject() {
                self.rejects.push(Rejected {
                    sequence: event.sequence().0,
                    reason: format!("{}: {}", reject.kind.as_str(), reject.detail),
                    payload: event.payload().to_vec(),
                });
                continue;
            }
            assert!(event.sequence() <= chunk.scanned_to());
            let Data::Json(data) = event.data() else { panic!("{}", event.document_json()) };
            assert_eq!(event.sequence().0, data.get("n").unwrap().raw().parse::<u64>().unwrap());
            self.seen.push(event.sequence().0);
        }
        self.position.sequence = chunk.scanned_to();
        self.position.created_ns = chunk.origin().map(|origin| origin.created_ns);
        self.position.anchors.extend(chunk.anchor());
    }

    /// Every sequence of the stream was seen once, in order.
    #[track_caller]
    pub fn saw_all_to(&self, last: u64) {
        assert!(self.rejects.is_empty(), "{:?}", self.rejects);
        assert!(
            self.seen.iter().copied().eq(1..=last),
            "{} messages seen, of {last}",
            self.seen.len()
        );
    }

    pub fn recreates(&self) -> Vec<(&'static str, u64)> {
        let counts =
            Recreate::ALL.map(|reason| (reason.label(), self.status.tally().recreates(reason)));
        counts.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    #[track_caller]
    fn until_recreated(&self, times: u64) {
        let begun = Instant::now();
        while self.recreates().iter().map(|(_, count)| count).sum::<u64>() < times {
            assert!(begun.elapsed() < DEADLINE, "{:?} {:?}", self.recreates(), self.status);
            std::thread::yield_now();
        }
    }

    pub async fn stop(self) -> Position {
        self.cancel.cancel();
        let begun = Instant::now();
        for task in self.tasks {
            task.await.unwrap();
        }
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "stopping is prompt: {:?}",
            begun.elapsed()
        );
        self.position
    }
}

fn settings(server: String) -> Nats {
    Nats {
        servers: vec![server],
        login: Login::None,
        tls: Tls::default(),
        domain: None,
        inbox_prefix: None,
    }
}

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
    assert_eq!(reading.recreates(), []);
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
    assert_eq!(reading.recreates(), []);
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
    assert_eq!(reading.recreates(), []);
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
    assert_eq!(reading.recreates(), []);
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
    assert_eq!(reading.recreates(), []);
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
