//! One bulk read for several members: each gets every chunk, nobody is dismissed, and what ends it ends all.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use viewd::event::chunk::Chunk;
use viewd::event::{Format, Sequence};
use viewd::source::connection::Connection;
use viewd::source::convoy::{self, Member};
use viewd::source::head::Poll;
use viewd::source::hub::Source;
use viewd::source::queue::ReceiveError;
use viewd::source::reader::Settings;
use viewd::source::{Delivery, Position, Reason};

use crate::nats::publish;
use crate::reading::{DEADLINE, HEARTBEAT, PACE, Rig};
use crate::wait;

/// Of one queue: some chunks of the test's messages.
const QUEUE_BYTES_MAX: usize = 1 << 20;
const MESSAGES: u64 = 20_000;

struct Convoy {
    members: Vec<Member>,
    running: JoinHandle<()>,
    cancel: CancellationToken,
}

async fn convoy(rig: &Rig, members: usize, position: Position) -> Convoy {
    let control = Connection::open(&rig.nats, "control", PACE).await.unwrap();
    let cancel = CancellationToken::new();
    let (poll, head) = Poll::new(&control, "S", Duration::from_millis(100));
    tokio::spawn(poll.run(cancel.clone()));
    let settings = Settings {
        stream: "S".to_owned(),
        filters: Vec::new(),
        format: Format::Auto,
        transform: None,
        event_bytes_max: 8 << 20,
        batch_events_max: 1_000,
        heartbeat: HEARTBEAT,
    };
    let source = Source {
        nats: rig.nats.clone(),
        control,
        pace: PACE,
        settings,
        queue_bytes_max: QUEUE_BYTES_MAX,
        head: head.stream,
    };
    let (members, task) = convoy::convoy(Arc::new(source), Arc::default(), position, members);
    Convoy { members, running: tokio::spawn(task.run(cancel.clone())), cancel }
}

async fn rig() -> Rig {
    let rig = Rig::new().await;
    let body = |n: u64| format!(r#"{{"n":{n},"padding":"{}"}}"#, "x".repeat(300)).into_bytes();
    publish(&rig.client, (1..=MESSAGES).map(|n| (format!("s.{}", n % 7), body(n)))).await;
    rig
}

/// Everything after a sequence, and the chunks that it came in.
#[track_caller]
fn take(member: &Member, mut after: Sequence, to: u64) -> Vec<Arc<Chunk>> {
    let mut chunks = Vec::new();
    while after < Sequence(to) {
        let Ok(Delivery::Chunk(chunk)) = member.feed.recv_timeout(DEADLINE) else {
            panic!("nothing after {after}: {:?}", member.current)
        };
        assert_eq!(chunk.after(), after);
        let sequences = chunk.events().map(|event| event.sequence().0);
        assert!(sequences.eq(after.0 + 1..=chunk.scanned_to().0));
        after = chunk.scanned_to();
        chunks.push(chunk);
    }
    chunks
}

#[tokio::test(flavor = "multi_thread")]
async fn each_gets_every_chunk_and_who_leaves_holds_up_nobody() {
    let rig = rig().await;
    let Convoy { mut members, running, cancel } = convoy(&rig, 3, Position::default()).await;
    let leaving = members.pop().unwrap();
    take(&leaving, Sequence(0), 1);
    drop(leaving);
    let (first, second) = (members.remove(0), members.remove(0));
    let other = std::thread::spawn(move || (take(&second, Sequence(0), MESSAGES), second));
    let chunks = take(&first, Sequence(0), MESSAGES);
    let (others, second) = other.join().unwrap();
    assert!(chunks.iter().zip(&others).all(|(one, other)| Arc::ptr_eq(one, other)), "not copies");
    let consumers = rig.stream().await.get_info().await.unwrap().state.consumer_count;
    assert_eq!(consumers, 1, "the server delivers once");
    assert!(Arc::ptr_eq(&first.current.status(), &second.current.status()));
    wait::until("the status", DEADLINE, || {
        (first.current.status().delivered() == Sequence(MESSAGES)).then_some(())
    });
    // They follow the stream, as any reader does.
    publish(&rig.client, [("s.1".to_owned(), b"{}".to_vec())]).await;
    take(&first, Sequence(MESSAGES), MESSAGES + 1);
    drop((first, second));
    tokio::time::timeout(DEADLINE, running).await.expect("it ends with its last member").unwrap();
    assert!(!cancel.is_cancelled());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_slowest_sets_the_pace_and_all_hold_one_budget() {
    let rig = rig().await;
    let Convoy { members, running, cancel } = convoy(&rig, 2, Position::default()).await;
    let (fast, slow) = (&members[0], &members[1]);
    let mut after = Sequence(0);
    // The fast one takes until there is nothing more to take: far longer than a shared reader would wait.
    loop {
        match fast.feed.recv_timeout(Duration::from_secs(1)) {
            Ok(Delivery::Chunk(chunk)) => after = chunk.scanned_to(),
            Ok(Delivery::Fault(fault)) => panic!("{fault:?}"),
            Err(error) => break assert_eq!(error, ReceiveError::Timeout),
        }
    }
    assert!(after > Sequence(0) && after < Sequence(MESSAGES), "{after}");
    assert_eq!(fast.current.gauge().bytes(), 0);
    let held = slow.current.gauge().bytes();
    // And one chunk more, whose memory is no larger than the bound.
    assert!((QUEUE_BYTES_MAX / 2..2 * QUEUE_BYTES_MAX).contains(&held), "{held}");
    take(slow, Sequence(0), after.0);
    let Ok(Delivery::Chunk(next)) = fast.feed.recv_timeout(DEADLINE) else { panic!("it goes on") };
    assert_eq!(next.after(), after);
    cancel.cancel();
    tokio::time::timeout(DEADLINE, running).await.expect("it ends when cancelled").unwrap();
    let begun = Instant::now();
    while let Ok(Delivery::Chunk(_)) = slow.feed.recv_timeout(DEADLINE) {
        assert!(begun.elapsed() < DEADLINE);
    }
    assert_eq!(slow.feed.try_recv().unwrap_err(), ReceiveError::Closed);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fault_goes_to_all() {
    let rig = rig().await;
    let another = Position { sequence: Sequence(5), created_ns: Some(1), ..Position::default() };
    let Convoy { members, running, .. } = convoy(&rig, 3, another).await;
    for member in &members {
        let Ok(Delivery::Fault(fault)) = member.feed.recv_timeout(DEADLINE) else {
            panic!("no fault: {:?}", member.current)
        };
        assert_eq!(fault.reason, Reason::SourceChanged);
    }
    tokio::time::timeout(DEADLINE, running).await.expect("it ends").unwrap();
    for member in &members {
        assert_eq!(member.feed.try_recv().unwrap_err(), ReceiveError::Closed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn if_its_task_is_gone_so_are_the_feeds() {
    let rig = rig().await;
    let Convoy { members, running, .. } = convoy(&rig, 2, Position::default()).await;
    take(&members[0], Sequence(0), 1);
    running.abort();
    for member in &members {
        wait::until("the end", DEADLINE, || {
            (member.feed.try_recv().err()? == ReceiveError::Closed).then_some(())
        });
    }
}
