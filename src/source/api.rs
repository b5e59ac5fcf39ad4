//! The JetStream requests that a reader needs, in the server's own JSON.
//!
//! Written out rather than taken from the client's `jetstream` module, which drops what matters here: the server's time
//! of an answer, the configuration exactly as the server echoes it, and nanoseconds. Any answer may be odd, from an old
//! server or from something that is none: it becomes an [`Error`], never a panic.

use std::time::Duration;

use base64::Engine as _;
use bytes::Bytes;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use super::connection::{Connection, Denied};
use super::consumer;
use crate::event::Sequence;
use crate::event::anchor::{Anchor, payload_hash};
use crate::event::time::{Timestamp, parse_nanoseconds};

/// Giving a consumer up is a courtesy: stopping does not wait for it longer than this.
const FORGET_TIMEOUT: Duration = Duration::from_millis(200);

/// Error codes of the server.
const STREAM_NOT_FOUND: u64 = 10_059;
const MESSAGE_NOT_FOUND: u64 = 10_037;
const CONSUMER_NOT_FOUND: u64 = 10_014;

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(
        "no JetStream answers on this server or account: it may be off, or in another `nats.domain`"
    )]
    NoResponders,
    #[error("{request} was not answered within {} s{}", limit.as_secs_f64(), because(hint.as_deref()))]
    Timeout { request: &'static str, limit: Duration, hint: Option<String> },
    #[error("{request} was not answered: the connection to NATS was lost{}", because(hint.as_deref()))]
    Disconnected { request: &'static str, hint: Option<String> },
    #[error("{request}: {denied}")]
    Denied { request: &'static str, denied: Denied },
    #[error("{subject}: {description}{}", remedy(*code))]
    Refused { subject: String, code: u64, description: String },
    #[error("{request} was answered by something that is no JetStream server: {detail}")]
    Odd { request: &'static str, detail: String },
    #[error("{request}: {detail}")]
    Client { request: &'static str, detail: String },
}

/// What STREAM.INFO says, as far as it is needed.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct StreamInfo {
    pub(super) config: StreamConfig,
    /// When it was created.
    #[serde(deserialize_with = "nanoseconds")]
    pub(super) created: i64,
    pub(super) state: StreamState,
    /// The time of the answer by the server's clock; older servers leave it out.
    #[serde(default, deserialize_with = "some_nanoseconds")]
    pub(super) ts: Option<i64>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct StreamConfig {
    pub(super) subjects: Vec<String>,
    pub(super) retention: String,
    pub(super) mirror: Option<IgnoredAny>,
    pub(super) sources: Vec<IgnoredAny>,
    pub(super) subject_transform: Option<IgnoredAny>,
    /// Limits: 0 or less for none.
    pub(super) max_msgs: i64,
    pub(super) max_bytes: i64,
    pub(super) max_msgs_per_subject: i64,
    /// Nanoseconds.
    pub(super) max_age: i64,
    /// `old` or `new`: which messages go when there are too many.
    pub(super) discard: String,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct StreamState {
    pub(super) messages: u64,
    pub(super) first_seq: u64,
    pub(super) last_seq: u64,
}

/// A message that was asked for by itself.
#[derive(Clone, Debug)]
pub(super) struct Stored {
    pub(super) sequence: Sequence,
    pub(super) stored_at_ns: i64,
    pub(super) subject: String,
    /// As bytes: it is the way to read what the client cannot.
    pub(super) headers: Vec<u8>,
    pub(super) payload: Vec<u8>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ConsumerInfo {
    pub(super) config: consumer::Config,
    #[serde(default)]
    pub(super) num_pending: u64,
    #[serde(default)]
    pub(super) delivered: Delivered,
}

/// What a consumer has sent.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Delivered {
    pub(super) consumer_seq: u64,
}

/// Which message to get.
#[derive(Serialize)]
#[serde(untagged)]
enum MessageRequest<'a> {
    At { seq: u64 },
    From { seq: u64, next_by_subj: &'a str },
}

#[derive(Deserialize)]
struct MessageAnswer {
    message: RawMessage,
}

#[derive(Deserialize)]
struct RawMessage {
    seq: u64,
    #[serde(deserialize_with = "nanoseconds")]
    time: i64,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    hdrs: String,
    #[serde(default)]
    data: String,
}

/// Any answer: what was asked for, or an error.
#[derive(Deserialize)]
struct Failure {
    error: Option<Refusal>,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// The requests of one connection.
#[derive(Clone, Debug)]
pub(super) struct Api {
    connection: Connection,
    prefix: String,
}

impl Error {
    /// Whether the stream is not there.
    pub(super) fn is_stream_missing(&self) -> bool {
        matches!(self, Self::Refused { code: STREAM_NOT_FOUND, .. })
    }

    /// Whether the consumer is not there.
    pub(super) fn is_consumer_missing(&self) -> bool {
        matches!(self, Self::Refused { code: CONSUMER_NOT_FOUND, .. })
    }
}

impl StreamConfig {
    /// Whether messages get into the stream under subjects that it does not take itself.
    pub(super) fn holds_others(&self) -> bool {
        self.mirror.is_some() || !self.sources.is_empty() || self.subject_transform.is_some()
    }
}

impl StreamInfo {
    /// When the answer was given.
    pub(super) fn at(&self) -> Timestamp {
        self.ts.map_or_else(crate::clock::now, Timestamp::from_nanoseconds)
    }
}

impl Stored {
    pub(super) fn anchor(&self) -> Anchor {
        let payload_hash = payload_hash(&self.payload);
        Anchor { sequence: self.sequence, stored_at_ns: self.stored_at_ns, payload_hash }
    }
}

impl Api {
    pub(super) fn new(connection: &Connection) -> Self {
        let prefix = match &connection.domain {
            None => "$JS.API".to_owned(),
            Some(domain) => format!("$JS.{domain}.API"),
        };
        Self { connection: connection.clone(), prefix }
    }

    pub(super) async fn stream_info(&self, stream: &str) -> Result<StreamInfo, Error> {
        self.ask("STREAM.INFO", &format!("STREAM.INFO.{stream}"), &()).await
    }

    /// The message at a sequence, from the stream's leader; None if there is none.
    pub(super) async fn message(
        &self,
        stream: &str,
        sequence: Sequence,
    ) -> Result<Option<Stored>, Error> {
        self.get_message(stream, &MessageRequest::At { seq: sequence.0 }).await
    }

    /// The first message at or after a sequence whose subject matches.
    pub(super) async fn next_message(
        &self,
        stream: &str,
        sequence: Sequence,
        filter: &str,
    ) -> Result<Option<Stored>, Error> {
        self.get_message(stream, &MessageRequest::From { seq: sequence.0, next_by_subj: filter })
            .await
    }

    pub(super) async fn create_consumer(
        &self,
        stream: &str,
        config: &consumer::Config,
    ) -> Result<ConsumerInfo, Error> {
        let subject = config.create_subject(stream);
        self.ask(
            "CONSUMER.CREATE",
            &subject,
            &consumer::Create { stream_name: stream, config, action: "create" },
        )
        .await
    }

    /// A consumer as it stands, from the server that sends its messages.
    pub(super) async fn consumer_info(
        &self,
        stream: &str,
        name: &str,
    ) -> Result<ConsumerInfo, Error> {
        self.ask("CONSUMER.INFO", &format!("CONSUMER.INFO.{stream}.{name}"), &()).await
    }

    /// Gives a consumer up without waiting for the answer: the server would forget it by itself, later.
    pub(super) async fn forget_consumer(&self, stream: &str, name: &str) {
        // While disconnected it would wait in the client, for a consumer that is then gone anyway.
        if !self.connection.link().borrow().connected {
            return;
        }
        let subject = format!("{}.CONSUMER.DELETE.{stream}.{name}", self.prefix);
        let client = &self.connection.client;
        let sent = async {
            client.publish(subject, Bytes::new()).await.is_ok() && client.flush().await.is_ok()
        };
        if tokio::time::timeout(FORGET_TIMEOUT, sent).await != Ok(true) {
            tracing::debug!(stream, consumer = name, "consumer not deleted");
        }
    }

    /// Where the pulls of a consumer go.
    pub(super) fn pull_subject(&self, stream: &str, consumer: &str) -> String {
        format!("{}.CONSUMER.MSG.NEXT.{stream}.{consumer}", self.prefix)
    }

    async fn get_message(
        &self,
        stream: &str,
        request: &MessageRequest<'_>,
    ) -> Result<Option<Stored>, Error> {
        const REQUEST: &str = "STREAM.MSG.GET";
        let answer =
            self.ask::<MessageAnswer>(REQUEST, &format!("STREAM.MSG.GET.{stream}"), request).await;
        let message = match answer {
            Ok(answer) => answer.message,
            Err(Error::Refused { code: MESSAGE_NOT_FOUND, .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let bytes = |text: &str| {
            let bytes = base64::engine::general_purpose::STANDARD.decode(text);
            bytes.map_err(|error| Error::Odd { request: REQUEST, detail: error.to_string() })
        };
        Ok(Some(Stored {
            sequence: Sequence(message.seq),
            stored_at_ns: message.time,
            headers: bytes(&message.hdrs)?,
            payload: bytes(&message.data)?,
            subject: message.subject,
        }))
    }

    /// What the server last complained about.
    fn hint(&self) -> Option<String> {
        self.connection.link().borrow().error.clone()
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        request: &'static str,
        subject: &str,
        body: &(impl Serialize + ?Sized),
    ) -> Result<T, Error> {
        let body = serde_json::to_vec(body).expect("requests are plain data");
        // `null` is what no body serializes to.
        let body = if body == b"null" { Bytes::new() } else { Bytes::from(body) };
        let asked_for = subject;
        let subject = format!("{}.{subject}", self.prefix);
        let connection = self.connection.alive().await;
        let connection =
            connection.map_err(|error| Error::Client { request, detail: error.to_string() })?;
        let limit = connection.pace.answer_max();
        if connection.link().borrow().is_deaf() {
            // The subscription for answers is made once a connection: a right that was given since needs another.
            connection.renew().await;
            let _ = tokio::time::timeout(limit, connection.connected()).await;
        }
        let denials = connection.link().borrow().denials;
        let asked = async_nats::Request::new().payload(body).timeout(Some(limit));
        let answer = tokio::select! {
            answer = connection.client.send_request(subject.clone(), asked) => answer,
            denied = connection.denied(denials, &subject) => {
                return Err(Error::Denied { request, denied });
            }
            // An answer comes over the connection that the request went over, or never.
            () = connection.lost(connection.connects()) => {
                return Err(Error::Disconnected { request, hint: self.hint() });
            }
        };
        let answer = answer.map_err(|error| match error.kind() {
            async_nats::RequestErrorKind::NoResponders => Error::NoResponders,
            async_nats::RequestErrorKind::TimedOut => {
                Error::Timeout { request, limit, hint: self.hint() }
            }
            _ => Error::Client { request, detail: error.to_string() },
        })?;
        let odd = |error: serde_json::Error| Error::Odd { request, detail: error.to_string() };
        let failure: Failure = serde_json::from_slice(&answer.payload).map_err(odd)?;
        match failure.error {
            Some(Refusal { err_code, description }) => {
                let subject = asked_for.to_owned();
                Err(Error::Refused { subject, code: err_code, description })
            }
            None => serde_json::from_slice(&answer.payload).map_err(odd),
        }
    }
}

/// What an operator can do about a refusal.
fn remedy(code: u64) -> &'static str {
    match code {
        STREAM_NOT_FOUND => {
            " (where a view has read it, restore it; else create it, or name another as `stream` in [sources])"
        }
        _ => "",
    }
}

fn because(hint: Option<&str>) -> String {
    hint.map_or_else(String::new, |hint| format!("; the server said: {hint}"))
}

fn nanoseconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_nanoseconds(&text).ok_or_else(|| serde::de::Error::custom(format!("no time: {text}")))
}

fn some_nanoseconds<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<i64>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.and_then(|text| parse_nanoseconds(&text)))
}
