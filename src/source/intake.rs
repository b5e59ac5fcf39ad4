//! What a session does with each message that the server sends.

use async_nats::{Message, StatusCode};
use futures_util::{FutureExt, StreamExt};
use tokio::time::Instant;

use super::ack::Ack;
use super::session::{End, Session};
use super::status::Recreate;
use super::{BUILD_AGAIN, CHUNK_BYTES_MAX, CHUNK_MESSAGES_MAX, Fault, Reason};
use crate::event::Sequence;
use crate::event::chunk;
use crate::event::time::Timestamp;

impl Session<'_> {
    /// Takes a message and those that lie ready behind it, and hands them on unless more are certain to follow at once.
    pub(super) async fn take_ready(&mut self, first: Message) -> Result<(), End> {
        self.heard = Instant::now();
        if self.gathered.builder.is_empty() {
            self.began = self.heard;
        }
        self.take(&first)?;
        self.take_more()?;
        self.gathered.builder.spent(self.heard.elapsed());
        if self.is_full() {
            return self.flush().await;
        }
        let more_follow = !self.at_head && !self.pulls.is_idle();
        if more_follow { Ok(()) } else { self.flush().await }
    }

    /// Takes what lies ready, up to a full chunk.
    // Not part of what waits: what such a function holds is moved about in memory.
    fn take_more(&mut self) -> Result<(), End> {
        while !self.is_full() {
            let next = tokio::task::coop::unconstrained(self.subscriber.next());
            let Some(Some(message)) = next.now_or_never() else { break };
            self.take(&message)?;
        }
        Ok(())
    }

    /// Whether the chunk that is being built is as large as it may be.
    pub(super) fn is_full(&self) -> bool {
        let chunk_messages_max = CHUNK_MESSAGES_MAX.min(self.reader.settings.batch_events_max);
        let builder = &self.gathered.builder;
        builder.len() >= chunk_messages_max || builder.bytes_len() >= CHUNK_BYTES_MAX
    }

    pub(super) fn take(&mut self, message: &Message) -> Result<(), End> {
        // A stored message may claim a status of its own; only what the server delivers has its reply subject.
        match message.reply.as_ref().and_then(|reply| self.replies.parse(reply)) {
            Some(ack) => self.take_message(message, ack),
            None => self.take_status(message),
        }
    }

    fn take_message(&mut self, message: &Message, ack: Ack) -> Result<(), End> {
        self.pulls.arrived(message.length);
        if ack.consumer_sequence != self.consumer_sequence + 1 {
            let (got, expected) = (ack.consumer_sequence, self.consumer_sequence + 1);
            return Err(End::again(
                Recreate::Hole,
                format!("message {got} of the consumer came instead of {expected}"),
            ));
        }
        self.consumer_sequence = ack.consumer_sequence;
        self.prove();
        let sequence = ack.stream_sequence;
        if sequence <= self.gathered.received {
            return self.repeated(sequence);
        }
        if sequence > self.gathered.received.next() {
            // By the filter or by deletions within the stream, or because they were evicted: the stream is asked before
            // the chunk is handed on. That nothing was pending before says nothing: the consumer runs behind its stream.
            self.gathered.jumped();
        }
        let headers = message.headers.iter().flat_map(|headers| headers.iter());
        self.gathered.builder.push(chunk::Message {
            sequence,
            stored_at: Timestamp::from_nanoseconds(ack.stored_at_ns),
            subject: &message.subject,
            headers: headers
                .filter_map(|(name, values)| Some((name.as_ref(), values.first()?.as_str()))),
            payload: &message.payload,
        });
        self.gathered.moved_to(sequence, Some(ack.stored_at_ns));
        self.at_head = ack.pending == 0;
        self.more_pending = ack.pending > 0;
        Ok(())
    }

    /// The server has answered a pull.
    fn prove(&mut self) {
        if !self.proved {
            self.proved = true;
            self.reader.was_silent = false;
            self.reader.status.trouble.recovered(&self.reader.settings.stream);
        }
    }

    /// A sequence that was received before: of an old consumer's making it may come again, within one it may not.
    fn repeated(&mut self, sequence: Sequence) -> Result<(), End> {
        if sequence <= self.reader.position.sequence {
            self.reader.status.count_dropped(1);
            return Ok(());
        }
        let stream = &self.reader.settings.stream;
        let detail =
            format!("stream {stream} sent message {sequence} after {}", self.gathered.received);
        Err(End::Fault(Fault { reason: Reason::SourceChanged, detail, next: Some(BUILD_AGAIN) }))
    }

    fn take_status(&mut self, message: &Message) -> Result<(), End> {
        let number = |name: &str| {
            message
                .headers
                .as_ref()
                .and_then(|headers| headers.get(name))
                .and_then(|value| value.as_str().parse().ok())
        };
        let left = |name: &str| number(name).map(|left: u64| left as usize);
        let description = message.description.as_deref().unwrap_or_default();
        match message.status {
            Some(StatusCode::IDLE_HEARTBEAT) => {
                self.prove();
                // What matched and was deleted since will not come.
                self.more_pending = false;
                self.idle_beats += 1;
                // It follows everything that was sent: a dropped tail shows here.
                match number("Nats-Last-Consumer") {
                    Some(sent) if sent != self.consumer_sequence => {
                        let detail = format!(
                            "the consumer sent {sent} messages, {} came",
                            self.consumer_sequence
                        );
                        Err(End::again(Recreate::Hole, detail))
                    }
                    _ => Ok(()),
                }
            }
            Some(StatusCode::NO_RESPONDERS) => {
                Err(End::again(Recreate::NoResponders, "no server has the consumer any more"))
            }
            Some(StatusCode::REQUEST_TERMINATED) if description.contains("Deleted") => {
                Err(End::again(Recreate::Deleted, "the consumer was deleted"))
            }
            Some(StatusCode::REQUEST_TERMINATED) if description.contains("Leadership") => {
                Err(End::again(Recreate::Leadership, "the consumer's server gave up its lead"))
            }
            Some(StatusCode::REQUEST_TERMINATED) if description.contains("Shutdown") => {
                Err(End::again(Recreate::Disconnected, "the server is shutting down"))
            }
            Some(StatusCode::REQUEST_TERMINATED)
                if description.starts_with("Exceeded") || description.contains("push") =>
            {
                Err(End::again(Recreate::Request, format!("a pull was refused: {description}")))
            }
            Some(StatusCode::REQUEST_TERMINATED | StatusCode::TIMEOUT | StatusCode::NOT_FOUND) => {
                let bytes_left = left("Nats-Pending-Bytes");
                self.pulls.ended(left("Nats-Pending-Messages"), bytes_left);
                if description.contains("Exceeds MaxBytes") {
                    self.pulls.too_small(bytes_left);
                }
                Ok(())
            }
            // Whatever it was, silence or a hole will follow if it mattered.
            _ => Ok(()),
        }
    }
}
