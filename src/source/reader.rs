//! The reader of one projection: sessions, one after another, until it is stopped or meets a fault.
//!
//! A session is one consumer, from its creation to whatever ends it. Between sessions nothing is kept but the position
//! that was last put into the queue (which loses nothing, so the next session goes on behind it) and the anchors to
//! verify the stream by. What survives the process is the checkpoint alone.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::api::Api;
use super::connection::{Connection, backoff};
use super::head::StreamHead;
use super::session::{End, Session};
use super::sink::Sink;
use super::status::{Recreate, Status};
use super::{Delivery, Position, transform};
use crate::event::chunk::Chunk;
use crate::event::{Format, Sequence};
use crate::expression::Expression;

/// What to read and how.
#[derive(Clone, Debug)]
pub struct Settings {
    pub stream: String,
    /// Subject filters; none: every subject of the stream.
    pub filters: Vec<String>,
    pub format: Format,
    /// From event to events.
    pub transform: Option<Arc<Expression>>,
    pub event_bytes_max: usize,
    /// A chunk is never split over batches, so it may not be larger than one, but for one message's events.
    pub batch_events_max: usize,
    pub heartbeat: Duration,
}

/// The task that reads; [`Reader::run`] is to be spawned.
#[derive(Debug)]
pub struct Reader {
    /// For what is delivered.
    pub(super) connection: Connection,
    /// For requests: on the reader's own connection they would wait behind what is being delivered.
    pub(super) control: Connection,
    pub(super) api: Api,
    pub(super) settings: Settings,
    /// Behind what was put into the queue.
    pub(super) position: Position,
    pub(super) sender: Sink,
    pub(super) head: watch::Receiver<Option<StreamHead>>,
    pub(super) status: Arc<Status>,
    /// The consumer that exists, or may.
    pub(super) consumer: Option<String>,
    /// The last session ended without being heard: the next has to be before the trouble is over.
    pub(super) was_silent: bool,
    /// The last session lost its connection without having come any further: a message may be what drops it.
    pub(super) step_by_step: bool,
    /// How often its connection had been established when the session began.
    connects: u64,
    /// Somebody waits for a position; this was the stream's last sequence when they said so.
    pub(super) advance_to: Option<Sequence>,
    /// When something was last put into the queue.
    pub(super) handed_on: Instant,
}

/// A consumer that fails is recreated after this long, doubling up to the connection's longest pause.
const RECREATE_MIN: Duration = Duration::from_millis(50);
/// Whatever a session waits for, it gives up after one or two.
const STALLED_HEARTBEATS: u32 = 10;

impl Reader {
    /// A reader of what comes after `position`, on a connection of its own; `control` is for its requests.
    pub fn new(
        connection: Connection,
        control: &Connection,
        settings: Settings,
        position: Position,
        sender: impl Into<Sink>,
        head: watch::Receiver<Option<StreamHead>>,
        status: Arc<Status>,
    ) -> Self {
        let api = Api::new(control);
        status.set_position(&position);
        Self {
            connection,
            control: control.clone(),
            api,
            settings,
            position,
            sender: sender.into(),
            head,
            status,
            consumer: None,
            was_silent: false,
            step_by_step: false,
            connects: 0,
            advance_to: None,
            handed_on: Instant::now(),
        }
    }

    /// Reads until cancelled, until the receiver is gone, or up to a fault, which is the last delivery.
    ///
    /// What it read last is in its status.
    pub async fn run(mut self, cancel: CancellationToken) {
        let mut failures = 0;
        loop {
            // What a session holds when it is cancelled was not handed on, and is read again by the next one.
            let before = self.position.sequence;
            let session = cancel.run_until_cancelled(self.watched());
            let end = session.await.unwrap_or(End::Stopped);
            self.step_by_step =
                self.connection.is_lost(self.connects) && self.position.sequence == before;
            self.status.set_verified(false);
            if let Some(consumer) = self.consumer.take() {
                self.api.forget_consumer(&self.settings.stream, &consumer).await;
            }
            match end {
                End::Stopped => return,
                End::Fault(fault) => {
                    tracing::debug!(
                        stream = self.settings.stream,
                        detail = fault.detail,
                        "source stopped"
                    );
                    let _ =
                        cancel.run_until_cancelled(self.sender.send(Delivery::Fault(fault))).await;
                    return;
                }
                End::Again { reason, detail, proved } => {
                    self.status.count_recreate(reason);
                    self.status.trouble.failed(&self.settings.stream, detail);
                    self.was_silent = matches!(reason, Recreate::Heartbeat | Recreate::Denied);
                    failures = if proved { 0 } else { failures + 1 };
                    if cancel.run_until_cancelled(self.mend(reason)).await.is_none() {
                        return;
                    }
                    let delay = backoff(failures, RECREATE_MIN, self.connection.pace.backoff_max);
                    if cancel.run_until_cancelled(tokio::time::sleep(delay)).await.is_none() {
                        return;
                    }
                }
            }
        }
    }

    /// Puts the events of a chunk into the queue; the end if nobody takes them any more.
    pub(super) async fn hand_on(&mut self, chunk: Chunk) -> Result<(), End> {
        let status = Arc::clone(&self.status);
        let rest = status.pulse.rest();
        let taken = self.transformed(chunk).await;
        drop(rest);
        self.handed_on = Instant::now();
        if taken { Ok(()) } else { Err(End::Stopped) }
    }

    async fn transformed(&mut self, chunk: Chunk) -> bool {
        let Settings { transform, batch_events_max, .. } = &self.settings;
        let Some(transform) = transform.as_ref().filter(|_| !chunk.is_empty()) else {
            return self.put(chunk).await;
        };
        let Some(chunks) = transform::apply_aside(transform, chunk, *batch_events_max).await else {
            return false;
        };
        for chunk in chunks {
            if !self.put(chunk).await {
                return false;
            }
        }
        true
    }

    async fn put(&mut self, mut chunk: Chunk) -> bool {
        chunk.set_after(self.position.sequence);
        let chunk = Arc::new(chunk);
        if self.sender.send(Delivery::Chunk(Arc::clone(&chunk))).await.is_err() {
            return false;
        }
        self.position.moved_by(&chunk);
        self.status.set_position(&self.position);
        true
    }

    /// A session, up to its end or until nothing happens in it any more.
    async fn watched(&mut self) -> End {
        let status = Arc::clone(&self.status);
        let limit = STALLED_HEARTBEATS * self.connection.pace.answer_max();
        status.pulse.beat();
        tokio::select! {
            biased;
            end = self.session() => end,
            () = status.pulse.stops(limit) => {
                let detail = format!("nothing has happened in the reader for {} s", limit.as_secs());
                End::again(Recreate::Stalled, detail)
            }
        }
    }

    /// Gives up a connection over which nothing comes.
    async fn mend(&mut self, reason: Recreate) {
        match reason {
            Recreate::Heartbeat => self.connection.renew().await,
            Recreate::Stalled => {
                // The client itself may be what does not move. If it cannot be replaced now, the next session tries.
                let _ = self.replace().await;
            }
            _ => {}
        }
    }

    async fn session(&mut self) -> End {
        if let Err(end) = self.reopen().await {
            return end;
        }
        let rest = self.status.pulse.rest();
        match self.control.alive().await {
            Ok(alive) => self.control = alive,
            Err(error) => return End::again(Recreate::Disconnected, error),
        }
        self.control.stands(&self.status.trouble, &self.settings.stream).await;
        self.connection.stands(&self.status.trouble, &self.settings.stream).await;
        drop(rest);
        self.connects = self.connection.connects();
        match Session::open(self).await {
            Ok(mut session) => session.run().await,
            Err(end) => end,
        }
    }

    /// Replaces a client that has ended.
    pub(super) async fn reopen(&mut self) -> Result<(), End> {
        if self.connection.has_ended() { self.replace().await } else { Ok(()) }
    }

    async fn replace(&mut self) -> Result<(), End> {
        let opened = self.connection.reopen().await;
        self.connection =
            opened.map_err(|error| End::again(Recreate::Disconnected, error.sentence()))?;
        Ok(())
    }
}

impl End {
    pub(super) fn again(reason: Recreate, detail: impl ToString) -> Self {
        Self::Again { reason, detail: detail.to_string(), proved: false }
    }
}
