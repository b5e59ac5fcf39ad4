//! A reader under test, as a projection's: its position follows what is taken from its queue.

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
use viewd::source::head::Poll;
use viewd::source::queue::{self, Gauge, ReceiveError, Receiver};
use viewd::source::reader::{Reader, Settings};
use viewd::source::status::{Recreate, Status};
use viewd::source::{Delivery, Fault, Position};

use crate::nats::{Server, create_stream};

pub const DEADLINE: Duration = Duration::from_secs(20);
pub const HEARTBEAT: Duration = Duration::from_millis(500);
pub const PACE: Pace = Pace { heartbeat: HEARTBEAT, backoff_max: Duration::from_secs(1) };
pub const QUEUE_BYTES_MAX: usize = 8 << 20;

/// A server with the stream `S` and the subjects `s.>`, and a client for the test.
pub struct Rig {
    pub server: Server,
    pub client: Client,
    /// How readers connect.
    pub nats: Nats,
}

/// A reader under test. Its position follows what was taken from its queue, as a store's would.
pub struct Reading {
    pub receiver: Receiver,
    pub status: Arc<Status>,
    pub position: Position,
    pub seen: Vec<u64>,
    pub rejects: Vec<Rejected>,
    /// Each message says its sequence, and is asked.
    pub numbered: bool,
    pub gauge: Gauge,
    cancel: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

/// What a reader under test is given, as a rule what the daemon gives it.
pub struct How {
    pub queue_bytes_max: usize,
    /// How often the head is polled.
    pub poll: Duration,
    pub channel_messages: usize,
}

/// A message that gave no event.
#[derive(Debug)]
pub struct Rejected {
    pub sequence: u64,
    pub reason: String,
    pub payload: Vec<u8>,
}

impl Default for How {
    fn default() -> Self {
        let poll = Duration::from_millis(100);
        Self { queue_bytes_max: QUEUE_BYTES_MAX, poll, channel_messages: 65_536 }
    }
}

impl Rig {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut stream::Config)) -> Self {
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
        self.reading(filters, position, How::default(), change).await
    }

    pub async fn read_with(
        &self,
        filters: &[&str],
        position: Position,
        queue_bytes_max: usize,
    ) -> Reading {
        self.reading(filters, position, How { queue_bytes_max, ..How::default() }, |_| {}).await
    }

    pub async fn reading(
        &self,
        filters: &[&str],
        position: Position,
        how: How,
        change: impl FnOnce(&mut Settings),
    ) -> Reading {
        let nats = self.nats.clone();
        let control = Connection::open(&nats, "control", PACE).await.unwrap();
        let (poll, head) = Poll::new(&control, "S", how.poll);
        let data = Connection::open_bounded(&nats, "data", PACE, how.channel_messages);
        let data = data.await.unwrap();
        let (sender, receiver) = queue::channel(how.queue_bytes_max);
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
            numbered: true,
            gauge,
            cancel,
            tasks,
        }
    }

    pub async fn stream(&self) -> stream::Stream {
        jetstream::new(self.client.clone()).get_stream("S").await.unwrap()
    }

    /// The reader's consumer on the server, once there is one.
    pub async fn consumer(&self) -> String {
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
    pub fn take_fault(&mut self) -> Fault {
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
    pub fn apply(&mut self, chunk: &Arc<Chunk>) {
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
            if self.numbered {
                let Data::Json(data) = event.data() else { panic!("{}", event.document_json()) };
                let n = data.get("n").unwrap().raw().parse::<u64>().unwrap();
                assert_eq!(event.sequence().0, n);
            }
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

    /// Nothing made it begin anew, but for a machine so busy that a heartbeat came late.
    #[track_caller]
    pub fn assert_undisturbed(&self) {
        let mut recreates = self.recreates();
        recreates.retain(|(reason, _)| *reason != Recreate::Heartbeat.label());
        assert_eq!(recreates, []);
    }

    #[track_caller]
    pub fn until_recreated(&self, times: u64) {
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

pub fn settings(server: String) -> Nats {
    Nats {
        servers: vec![server],
        login: Login::None,
        tls: Tls::default(),
        domain: None,
        inbox_prefix: None,
    }
}
