//! One consumer, from its creation to its end.
//!
//! Per message: what lies at or below the position is dropped; a missing consumer sequence ends the session, and the next
//! one goes on behind what was handed on; a stream sequence that does not rise means another stream. Nothing is handed
//! on that was not checked for sequences that the stream lost meanwhile: eviction under a reader is a jump in the stream
//! sequence and none in the consumer sequence.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message, ServerInfo, Subscriber};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::Instant;

use super::ack::Replies;
use super::advance::Withheld;
use super::api::Error;
use super::connection::Link;
use super::gather::Gathered;
use super::pulls::Pulls;
use super::reader::Reader;
use super::status::Recreate;
use super::verify::{retention, rewritten, verify};
use super::{Fault, Reason, consumer, poison};
use crate::event::Sequence;
use crate::event::anchor::Origin;

/// How long a chunk waits for messages that are known to be under way.
const LINGER: Duration = Duration::from_millis(1);
/// The oldest server whose consumers take several filters.
const SERVER_MIN: (u64, u64) = (2, 10);

/// How a session ended.
#[derive(Debug)]
pub(super) enum End {
    /// Cancelled, or nobody takes what is read.
    Stopped,
    Fault(Fault),
    /// To be continued with another consumer.
    Again {
        reason: Recreate,
        detail: String,
        /// Whether the session has read anything: then the trouble is a new one.
        proved: bool,
    },
}

pub(super) struct Session<'a> {
    pub(super) reader: &'a mut Reader,
    pub(super) gathered: Gathered,
    pub(super) subscriber: Subscriber,
    inbox: String,
    pull_subject: String,
    pub(super) pulls: Pulls,
    pub(super) replies: Replies,
    pub(super) consumer_sequence: u64,
    /// Nothing more matched when the last message was sent, and the server has been free to send since.
    pub(super) at_head: bool,
    /// More matched when the last message was sent, and the server has not been idle since.
    pub(super) more_pending: bool,
    /// A message that the stream holds and the consumer has not sent, as first seen.
    pub(super) withheld: Option<Withheld>,
    /// How often the consumer has said that it has nothing to send.
    pub(super) idle_beats: u64,
    /// How far it had come when it was last looked whether the position can move to where somebody waits.
    pub(super) advance_tried: Option<(Sequence, u64)>,
    link: watch::Receiver<Link>,
    link_at_start: Link,
    /// Which connection requests go over.
    control: u64,
    pub(super) heard: Instant,
    /// When the chunk that is being built began.
    pub(super) began: Instant,
    pub(super) proved: bool,
    /// The newest anchor is being read again.
    anchor: Option<BoxFuture<'static, Result<Option<Sequence>, Error>>>,
    anchor_next: Instant,
}

enum Woken {
    Message(Option<Message>),
    Link,
    Head,
    Advance,
    Room,
    Linger,
    AnchorDue,
    Anchor(Result<Option<Sequence>, Error>),
    Silence,
    Closed,
}

impl<'a> Session<'a> {
    /// Creates the consumer, then verifies the stream.
    pub(super) async fn open(reader: &'a mut Reader) -> Result<Self, End> {
        let mut link = reader.connection.link();
        let link_at_start = link.borrow_and_update().clone();
        let control = reader.control.connects();
        supported(reader)?;
        if reader.step_by_step {
            poison::pass(reader).await?;
        }
        let inbox = reader.connection.client.new_inbox();
        let subscriber = reader.connection.client.subscribe(inbox.clone()).await;
        let subscriber = subscriber.map_err(|error| End::again(Recreate::Request, error))?;
        // Unique by the client's own measure, and never reused: a name's start cannot be changed.
        let name = format!("viewd-{}", inbox.rsplit('.').next().unwrap_or_default());
        let pending = create(reader, &name).await?;
        reader.status.pulse.beat();
        let origin = prove(reader).await?;
        // Once more: at first the client may still tell of the server that it was connected to before.
        let server = supported(reader)?;

        let settings = &reader.settings;
        let now = Instant::now();
        Ok(Self {
            gathered: Gathered::new(reader, origin),
            subscriber,
            inbox,
            pull_subject: reader.api.pull_subject(&settings.stream, &name),
            pulls: Pulls::new(reader.sender.bytes_max(), server.max_payload, settings.heartbeat),
            replies: Replies::default(),
            consumer_sequence: 0,
            at_head: pending == 0,
            more_pending: pending > 0,
            withheld: None,
            idle_beats: 0,
            advance_tried: None,
            link,
            link_at_start,
            control,
            heard: now,
            began: now,
            proved: false,
            anchor: None,
            anchor_next: now + anchor_every(reader),
            reader,
        })
    }

    pub(super) async fn run(&mut self) -> End {
        loop {
            if let Err(end) = self.step().await {
                return match self.finish(end).await {
                    End::Again { reason, detail, .. } => {
                        End::Again { reason, detail, proved: self.proved }
                    }
                    end => end,
                };
            }
        }
    }

    async fn step(&mut self) -> Result<(), End> {
        self.reader.status.pulse.beat();
        self.pull().await?;
        self.advance_further().await?;
        match self.wake().await {
            Woken::Message(Some(message)) => self.take_ready(message).await,
            Woken::Message(None) => {
                Err(End::again(Recreate::Disconnected, "the subscription ended"))
            }
            Woken::Link => self.check_link(),
            Woken::Head => {
                let head = self.reader.head.borrow_and_update().clone();
                match head {
                    Some(head) => self.compare_head(&head).await,
                    None => Ok(()),
                }
            }
            Woken::Advance => self.advance_asked().await,
            Woken::Room => Ok(()),
            Woken::Linger => self.flush().await,
            Woken::AnchorDue => {
                let Reader { api, settings, position, .. } = &*self.reader;
                let (api, stream, position) =
                    (api.clone(), settings.stream.clone(), position.clone());
                self.anchor = Some(rewritten(api, stream, position).boxed());
                Ok(())
            }
            Woken::Anchor(read) => self.check_anchor(read),
            Woken::Silence => Err(self.silent()),
            Woken::Closed => Err(End::Stopped),
        }
    }

    async fn wake(&mut self) -> Woken {
        let silence = self.heard + 2 * self.reader.settings.heartbeat;
        let waits_for_room = self.pulls.wants_more();
        // Nothing was asked for: whoever takes what is read decides when it goes on.
        let status = Arc::clone(&self.reader.status);
        let _rest = self.pulls.is_idle().then(|| status.pulse.rest());
        tokio::select! {
            biased; // What ends the session goes first, silence last: what has arrived was not silence.
            changed = self.link.changed() => match changed {
                Ok(()) => Woken::Link,
                Err(_) => Woken::Message(None),
            },
            Ok(()) = self.reader.head.changed() => Woken::Head,
            () = self.reader.sender.closed() => Woken::Closed,
            () = self.reader.status.advance.notified() => Woken::Advance,
            message = self.subscriber.next() => Woken::Message(message),
            _ = self.reader.sender.room(), if waits_for_room => Woken::Room,
            () = tokio::time::sleep_until(self.began + LINGER), if !self.gathered.builder.is_empty() => Woken::Linger,
            read = async { self.anchor.as_mut().expect("it is asked for").await }, if self.anchor.is_some() => Woken::Anchor(read),
            () = tokio::time::sleep_until(self.anchor_next), if self.anchor.is_none() => Woken::AnchorDue,
            () = tokio::time::sleep_until(silence), if !self.pulls.is_idle() => Woken::Silence,
        }
    }

    /// Asks for more as long as there is room for it.
    async fn pull(&mut self) -> Result<(), End> {
        while self.pulls.wants_more() && self.reader.sender.has_room() {
            if self.pulls.is_idle() {
                // Nothing was asked for, so nothing could be heard.
                self.heard = Instant::now();
            }
            let body = Bytes::from(self.pulls.request());
            let client = &self.reader.connection.client;
            let sent = client
                .publish_with_reply(self.pull_subject.clone(), self.inbox.clone(), body)
                .await;
            sent.map_err(|error| End::again(Recreate::Request, error))?;
        }
        if self.pulls.is_idle() {
            // From here on the stream may lose what nobody asks for.
            self.at_head = false;
        }
        Ok(())
    }

    /// Another message at a sequence that was applied: which fault that is, the next session says.
    fn check_anchor(&mut self, read: Result<Option<Sequence>, Error>) -> Result<(), End> {
        self.anchor = None;
        self.anchor_next = Instant::now() + anchor_every(self.reader);
        match read {
            // A request that fails proves nothing, and what is wrong with the server shows elsewhere.
            Ok(None) | Err(_) => Ok(()),
            Ok(Some(sequence)) => {
                let detail = format!("the stream holds another message {sequence} than before");
                Err(End::again(Recreate::Identity, detail))
            }
        }
    }

    fn check_link(&mut self) -> Result<(), End> {
        let link = self.link.borrow_and_update().clone();
        if !link.connected || link.connects != self.link_at_start.connects {
            let detail = link.error.unwrap_or_else(|| "the connection to NATS was lost".to_owned());
            return Err(End::again(Recreate::Disconnected, detail));
        }
        if let Some(denied) = link.denied_since(self.link_at_start.denials, &self.pull_subject) {
            return Err(End::again(Recreate::Denied, denied));
        }
        if link.slow_consumers != self.link_at_start.slow_consumers {
            return Err(End::again(Recreate::SlowConsumer, "the client dropped messages"));
        }
        Ok(())
    }

    /// A right that is missing shows as silence, and its reason as an error of the connection.
    fn silent(&self) -> End {
        let error = self.link.borrow().error.clone();
        let because = error.map_or_else(String::new, |error| format!("; it said: {error}"));
        End::again(
            Recreate::Heartbeat,
            format!("the server was silent for two heartbeats{because}"),
        )
    }

    /// Hands on what was gathered, once it is certain that nothing before it is missing.
    pub(super) async fn flush(&mut self) -> Result<(), End> {
        self.gathered.hand_on(self.reader).await
    }

    /// What arrived before the session ended is as good as any, unless the stream itself is in doubt.
    ///
    /// It also is what keeps a message that drops the connection from taking those before it along.
    async fn finish(&mut self, end: End) -> End {
        let End::Again { reason, detail, .. } = &end else { return end };
        if *reason == Recreate::Identity {
            return end;
        }
        match self.drain(detail).await {
            Err(other @ (End::Fault(_) | End::Stopped)) => other,
            Err(End::Again { .. }) | Ok(()) => end,
        }
    }

    /// Takes what lies ready, up to whatever is not as it should be.
    async fn drain(&mut self, detail: &str) -> Result<(), End> {
        let mut taken = Ok(());
        while let Some(Some(message)) = self.subscriber.next().now_or_never() {
            taken = self.take(&message);
            if taken.is_err() {
                break;
            }
            if self.is_full() {
                self.certain(detail)?;
                self.flush().await?;
            }
        }
        if let Err(End::Fault(fault)) = taken {
            return Err(End::Fault(fault));
        }
        if self.gathered.builder.is_empty() {
            return Ok(());
        }
        self.certain(detail)?;
        self.flush().await
    }

    /// Before what was received can be handed on behind its session: where sequences were passed over, the stream has to
    /// be asked, and over the connection that stood all the time. Another server, or one that was started again, may
    /// hold another history.
    fn certain(&self, detail: &str) -> Result<(), End> {
        if self.gathered.jump.is_none() {
            return Ok(());
        }
        let Reader { status, settings, control, .. } = &*self.reader;
        // It may take a while, and what is served is not current meanwhile.
        status.set_verified(false);
        status.trouble.failed(&settings.stream, detail.to_owned());
        if control.is_lost(self.control) {
            let detail = "what was passed over is not certain any more";
            return Err(End::again(Recreate::Disconnected, detail));
        }
        Ok(())
    }
}

/// How often the newest anchor is read again: seldom enough to cost nothing, often enough for a wrong history to show
/// before much of it is applied.
fn anchor_every(reader: &Reader) -> Duration {
    2 * reader.settings.heartbeat
}

/// The server, if it is one that can be read from. Another may be there at the next try: it is no fault.
fn supported(reader: &Reader) -> Result<ServerInfo, End> {
    let server = reader.connection.client.server_info();
    match too_old(&server.version) {
        None => Ok(server),
        Some(detail) => Err(End::again(Recreate::Unsupported, detail)),
    }
}

/// Makes the consumer and returns how many messages wait for it.
async fn create(reader: &mut Reader, name: &str) -> Result<u64, End> {
    let settings = &reader.settings;
    // Before there is a consumer: where retention depends on consumers, even one that reads nothing could delete.
    let before = reader.api.stream_info(&settings.stream).await.map_err(again)?;
    retention(&settings.stream, &before).map_err(End::Fault)?;

    let after = reader.position.sequence;
    let config = consumer::Config::after(after, &settings.filters, name.to_owned());
    reader.consumer = Some(name.to_owned());
    let info = reader.api.create_consumer(&settings.stream, &config).await.map_err(again)?;
    if let Some(difference) = config.difference(&info.config) {
        let detail =
            format!("the server made another consumer than it was asked for: {difference}");
        return Err(End::again(Recreate::Unsupported, detail));
    }
    tracing::debug!(stream = settings.stream, consumer = name, %after, "consumer created");
    Ok(info.num_pending)
}

/// Verifies the stream that the consumer reads.
pub(super) async fn prove(reader: &mut Reader) -> Result<Origin, End> {
    let stream = &reader.settings.stream;
    let origin =
        verify(&reader.api, stream, &reader.position).await.map_err(again)?.map_err(|fault| {
            if matches!(fault.reason, Reason::Gap { .. }) {
                reader.status.count_gap();
            }
            End::Fault(fault)
        })?;
    reader.position.created_ns = Some(origin.created_ns);
    reader.status.set_verified(true);
    if !reader.was_silent {
        reader.status.trouble.recovered(stream);
    }
    Ok(origin)
}

pub(super) fn again(error: Error) -> End {
    let reason = match error {
        Error::NoResponders => Recreate::NoResponders,
        Error::Denied { .. } => Recreate::Denied,
        ref missing if missing.is_consumer_missing() => Recreate::Deleted,
        _ => Recreate::Request,
    };
    End::again(reason, error)
}

/// What is wrong with a server of this version, if it is one that nothing is read from.
pub(super) fn too_old(version: &str) -> Option<String> {
    let mut numbers = version.split(['.', '-']).map(|number| number.parse::<u64>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (numbers.next(), numbers.next()) else {
        // A version that says nothing: what the server cannot do shows in the echoed configuration.
        return None;
    };
    let (least_major, least_minor) = SERVER_MIN;
    ((major, minor) < SERVER_MIN).then(|| {
        format!("nats-server {version} is too old, at least {least_major}.{least_minor} is needed: upgrade it")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn server_versions() {
        for (version, refused) in [
            ("2.15.1", false),
            ("2.10.0", false),
            ("2.10.0-beta.1", false),
            ("3.0.0", false),
            ("2.9.10", true),
            ("1.4.1", true),
            ("dev", false),
            ("", false),
        ] {
            assert_eq!(too_old(version).is_some(), refused, "{version}");
        }
    }
}
