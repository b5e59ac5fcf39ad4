//! A part of a stream, read once and from outside: for commands that show or try what it holds.
//!
//! By an ephemeral consumer without acknowledgements, like a reader's, which is given up at the end: nothing on the
//! server is changed by looking. Unlike a reader it gives up when it meets trouble, and follows nothing.

use std::time::Duration;

use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;

use super::ack::{self, Ack};
use super::api::{self, Api, Stored};
use super::connection::Connection;
use super::consumer::Config;
use super::memory::Recorded;
use super::poison::{self, Looked, Steps};
use super::session::too_old;
use super::verify::retention;
use crate::event::Sequence;
use crate::event::time::Timestamp;

/// Messages of one pull: with the largest messages that servers take as a rule, 100 MiB.
const PULL_MESSAGES: u64 = 100;
/// How long the server may take for a pull. It answers at once: what is asked for is there.
const PULL_TIMEOUT: Duration = Duration::from_secs(5);

/// Which messages of those that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The newest.
    Last(u64),
    /// From a sequence on, so many at most.
    From(Sequence, u64),
}

/// Why there is no slice.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no stream {stream}")]
    NoStream { stream: String },
    /// The stream or the server is not one that viewd reads.
    #[error("{detail}")]
    Refused { detail: String },
    #[error("{detail}")]
    Failed { detail: String },
}

/// A part of a stream that is being read.
pub struct Slice {
    connection: Connection,
    api: Api,
    stream: String,
    filters: Vec<String>,
    subscriber: Subscriber,
    inbox: String,
    consumer: String,
    /// Behind what was read.
    position: Sequence,
    /// To be read and not shown: they were stored while the beginning was looked for.
    skip: u64,
    left: u64,
    whole: bool,
}

/// A consumer that has been made, and how many messages wait for it.
struct Made {
    name: String,
    first: Sequence,
    pending: u64,
}

impl Slice {
    /// Finds the part. `filters` as in a definition: none for every subject.
    pub async fn open(
        connection: &Connection,
        stream: &str,
        filters: &[String],
        part: Part,
    ) -> Result<Self, Error> {
        if let Some(detail) = too_old(&connection.client.server_info().version) {
            return Err(Error::Refused { detail });
        }
        let api = Api::new(connection);
        let info = api.stream_info(stream).await.map_err(|error| failed(stream, error))?;
        // Where retention depends on consumers, even one that only looks could delete.
        retention(stream, &info).map_err(|fault| Error::Refused { detail: fault.detail })?;
        let inbox = connection.client.new_inbox();
        let subscriber = connection.client.subscribe(inbox.clone()).await;
        let subscriber = subscriber.map_err(|error| Error::Failed { detail: error.to_string() })?;
        let search = Search { api: &api, stream, filters, inbox: &inbox };
        let (made, wanted) = match part {
            Part::From(first, most) => (search.make(first).await?, most),
            Part::Last(most) => {
                let (first, last) = (info.state.first_seq.max(1), info.state.last_seq);
                (search.last(most, first, last).await?, most)
            }
        };
        let skip = match part {
            Part::Last(most) => made.pending.saturating_sub(most),
            Part::From(..) => 0,
        };
        Ok(Self {
            connection: connection.clone(),
            stream: stream.to_owned(),
            filters: filters.to_vec(),
            subscriber,
            inbox,
            position: Sequence(made.first.0.max(1) - 1),
            // Nothing that matches lies before it.
            whole: skip == 0 && made.first.0 <= info.state.first_seq.max(1),
            consumer: made.name,
            skip,
            left: (made.pending - skip).min(wanted),
            api,
        })
    }

    /// Whether nothing that matches lies before it.
    pub fn begins_with_stream(&self) -> bool {
        self.whole
    }

    /// The next messages in stream order; none at the end.
    pub async fn next(&mut self) -> Result<Vec<Recorded>, Error> {
        let mut page = Vec::new();
        while page.is_empty() && self.left > 0 {
            self.pull(&mut page).await?;
        }
        Ok(page)
    }

    /// Lets the server forget the consumer now rather than later.
    pub async fn close(self) {
        self.api.forget_consumer(&self.stream, &self.consumer).await;
    }

    async fn pull(&mut self, page: &mut Vec<Recorded>) -> Result<(), Error> {
        let batch = PULL_MESSAGES.min(self.skip + self.left);
        let body = format!("{{\"batch\":{batch},\"expires\":{}}}", PULL_TIMEOUT.as_nanos());
        let subject = self.api.pull_subject(&self.stream, &self.consumer);
        let denials = self.connection.link().borrow().denials;
        let client = &self.connection.client;
        let connects = self.connection.connects();
        let body = Bytes::from(body);
        let sent = client.publish_with_reply(subject.clone(), self.inbox.clone(), body).await;
        sent.map_err(|error| Error::Failed { detail: error.to_string() })?;
        for _ in 0..batch {
            let message = tokio::select! {
                biased; // What has arrived was sent before the connection was lost.
                message = self.subscriber.next() => message,
                () = self.connection.lost(connects) => None,
                denied = self.connection.denied(denials, &subject) => {
                    return Err(Error::Failed { detail: denied.to_string() });
                }
                () = tokio::time::sleep(2 * PULL_TIMEOUT) => {
                    let detail = format!("the server stopped sending messages of {}", self.stream);
                    return Err(Error::Failed { detail });
                }
            };
            // A message may be what drops the connection, and it would do so again.
            let Some(message) = message else { return self.go_on(page).await };
            let Some(ack) = message.reply.as_ref().and_then(|reply| ack::parse(reply)) else {
                // A pull ends early when messages were deleted meanwhile: those that are left do not come.
                self.left = 0;
                return Ok(());
            };
            self.take(recorded(&message, ack), page);
            if ack.pending == 0 {
                self.left = 0;
            }
            if self.left == 0 {
                return Ok(());
            }
        }
        Ok(())
    }

    fn take(&mut self, recorded: Recorded, page: &mut Vec<Recorded>) {
        self.position = recorded.sequence;
        if self.skip > 0 {
            self.skip -= 1;
        } else {
            self.left -= 1;
            page.push(recorded);
        }
    }

    /// Reads on over a new connection: a pull's worth message by message, the rest with a new consumer.
    async fn go_on(&mut self, page: &mut Vec<Recorded>) -> Result<(), Error> {
        if self.connection.has_ended() {
            let opened = self.connection.reopen().await;
            self.connection =
                opened.map_err(|error| Error::Failed { detail: error.to_string() })?;
            self.api = Api::new(&self.connection);
        }
        if tokio::time::timeout(PULL_TIMEOUT, self.connection.connected()).await.is_err() {
            return Err(Error::Failed { detail: "the connection to NATS was lost".to_owned() });
        }
        let (api, stream, filters) = (self.api.clone(), self.stream.clone(), self.filters.clone());
        let mut steps = Steps::new(&api, &stream, &filters);
        for _ in 0..PULL_MESSAGES.min(self.skip + self.left) {
            let stored =
                steps.after(self.position).await.map_err(|error| failed(&stream, error))?;
            let Some(stored) = stored else {
                // Deleted meanwhile.
                self.left = 0;
                return Ok(());
            };
            self.take(stepped(stored), page);
        }
        if self.left == 0 {
            return Ok(());
        }
        let client = &self.connection.client;
        self.inbox = client.new_inbox();
        let subscriber = client.subscribe(self.inbox.clone()).await;
        self.subscriber =
            subscriber.map_err(|error| Error::Failed { detail: error.to_string() })?;
        let search = Search { api: &api, stream: &stream, filters: &filters, inbox: &self.inbox };
        let made = search.make(self.position.next()).await?;
        let before = std::mem::replace(&mut self.consumer, made.name);
        api.forget_consumer(&stream, &before).await;
        if made.pending == 0 {
            self.left = 0;
        }
        Ok(())
    }
}

/// Makes consumers to see how many messages wait for them.
struct Search<'a> {
    api: &'a Api,
    stream: &'a str,
    filters: &'a [String],
    inbox: &'a str,
}

impl Search<'_> {
    /// A consumer of what is stored at a sequence or behind it.
    async fn make(&self, first: Sequence) -> Result<Made, Error> {
        // Unique by the client's own measure, and by the place that it begins at.
        let name = format!("viewd-{}-{first}", self.inbox.rsplit('.').next().unwrap_or_default());
        let after = Sequence(first.0.max(1) - 1);
        let config = Config::after(after, self.filters, name.clone());
        let made = self.api.create_consumer(self.stream, &config).await;
        let made = made.map_err(|error| failed(self.stream, error))?;
        if let Some(difference) = config.difference(&made.config) {
            let detail = format!("the server made another consumer than asked for: {difference}");
            return Err(Error::Refused { detail });
        }
        Ok(Made { name, first, pending: made.num_pending })
    }

    /// A consumer of the newest `wanted` that match: one step further back matches no more than one more, so its
    /// beginning is found by halving.
    async fn last(&self, wanted: u64, first: u64, last: u64) -> Result<Made, Error> {
        // Without filters and deletions it is here.
        let mut begin = last.saturating_sub(wanted.saturating_sub(1)).max(first);
        let mut made = self.make(Sequence(begin)).await?;
        let mut span = wanted.max(1);
        // Too few lie behind this.
        let mut few = last + 1;
        while made.pending < wanted && begin > first {
            few = begin;
            span = span.saturating_mul(8);
            begin = last.saturating_sub(span).max(first);
            made = self.again(made, begin).await?;
        }
        while made.pending > wanted && few - begin > 1 {
            let middle = begin + (few - begin) / 2;
            let tried = self.make(Sequence(middle)).await?;
            if tried.pending < wanted {
                few = middle;
                self.api.forget_consumer(self.stream, &tried.name).await;
            } else {
                begin = middle;
                self.api.forget_consumer(self.stream, &made.name).await;
                made = tried;
            }
        }
        Ok(made)
    }

    async fn again(&self, made: Made, begin: u64) -> Result<Made, Error> {
        self.api.forget_consumer(self.stream, &made.name).await;
        self.make(Sequence(begin)).await
    }
}

fn recorded(message: &Message, ack: Ack) -> Recorded {
    let headers = message.headers.iter().flat_map(|headers| headers.iter());
    let first = |(name, values): (&async_nats::HeaderName, &Vec<async_nats::HeaderValue>)| {
        Some((name.to_string(), values.first()?.as_str().to_owned()))
    };
    Recorded {
        sequence: ack.stream_sequence,
        stored_at: Timestamp::from_nanoseconds(ack.stored_at_ns),
        subject: message.subject.to_string(),
        headers: headers.filter_map(first).collect(),
        payload: message.payload.to_vec(),
        reject: None,
    }
}

fn stepped(stored: Stored) -> Recorded {
    let Looked { headers, reject } = poison::look(&stored);
    Recorded {
        sequence: stored.sequence,
        stored_at: Timestamp::from_nanoseconds(stored.stored_at_ns),
        subject: stored.subject,
        headers,
        payload: stored.payload,
        reject,
    }
}

fn failed(stream: &str, error: api::Error) -> Error {
    if error.is_stream_missing() {
        return Error::NoStream { stream: stream.to_owned() };
    }
    Error::Failed { detail: error.to_string() }
}
