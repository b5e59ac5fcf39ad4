//! Puts events into a JetStream stream, fast and checked.
//!
//! Waiting for each acknowledgement in turn would cost a round trip an event. Here a bounded number is under way at
//! once, each with a reply subject that names it, and every acknowledgement is read: what `publish` counts is stored.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap, Message, StatusCode, Subscriber};
use futures_util::StreamExt as _;
use serde::Deserialize;

use super::cloudevents::Event;

/// Events published and not yet acknowledged. Far below the 65,536 messages that the client holds for one
/// subscription, so that no acknowledgement is ever dropped, and enough to hide the round trip.
const UNDER_WAY_MAX: u64 = 8192;

/// A server that stores nothing for so long is not going to.
const ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// Creates the stream, which must be new or empty: a second copy of the events would not be the same history.
pub async fn create(client: &Client, name: &str) -> Result<()> {
    let config = stream::Config {
        name: name.to_owned(),
        subjects: vec!["flights.>".to_owned()],
        storage: stream::StorageType::File,
        retention: stream::RetentionPolicy::Limits,
        // Every id is published once. With the default of two minutes the server would remember all million
        // ids at once, for nothing.
        duplicate_window: Duration::from_secs(1),
        ..stream::Config::default()
    };
    let mut stream = jetstream::new(client.clone())
        .create_stream(config)
        .await
        .with_context(|| format!("create stream {name} with subjects flights.>"))?;
    let held = stream.info().await.context("read the stream's state")?.state.messages;
    ensure!(
        held == 0,
        "stream {name} already holds {held} messages; delete it, or give another server or name"
    );
    Ok(())
}

/// Publishes the events in order and returns how many are stored; `stored` is told the count as it grows.
pub async fn publish(
    client: &Client,
    events: impl Iterator<Item = Event>,
    mut stored: impl FnMut(u64),
) -> Result<u64> {
    let inbox = client.new_inbox();
    let mut acks = Acks {
        replies: client
            .subscribe(format!("{inbox}.*"))
            .await
            .context("subscribe to acknowledgements")?,
        count: 0,
        last_sequence: 0,
    };
    let mut published = 0;
    for event in events {
        let mut headers = HeaderMap::new();
        for (name, value) in event.headers {
            headers.insert(name, value);
        }
        client
            .publish_with_reply_and_headers(
                event.subject,
                format!("{inbox}.{published}"),
                headers,
                event.payload.into(),
            )
            .await
            .with_context(|| format!("publish {}", event.id))?;
        published += 1;

        // Waiting for half of them at a time lets sender and server both work in long runs.
        if published - acks.count == UNDER_WAY_MAX {
            acks.read_until(published - UNDER_WAY_MAX / 2).await?;
            stored(acks.count);
        }
    }
    acks.read_until(published).await?;
    stored(acks.count);
    Ok(acks.count)
}

/// Acknowledgements as they come in: in the order of publishing, as one connection's messages are stored in order.
struct Acks {
    replies: Subscriber,
    count: u64,
    last_sequence: u64,
}

impl Acks {
    async fn read_until(&mut self, count: u64) -> Result<()> {
        while self.count < count {
            let reply = tokio::time::timeout(ACK_TIMEOUT, self.replies.next())
                .await
                .with_context(|| {
                    format!("no acknowledgement of event {} within {ACK_TIMEOUT:?}", self.count)
                })?
                .context("the connection was closed")?;
            self.check(&reply).with_context(|| format!("store event {}", self.count))?;
            self.count += 1;
        }
        Ok(())
    }

    /// Holds that this is the next event's acknowledgement and that the stream really took it.
    fn check(&mut self, reply: &Message) -> Result<()> {
        #[derive(Deserialize)]
        struct Ack {
            #[serde(default)]
            seq: u64,
            #[serde(default)]
            duplicate: bool,
            error: Option<serde_json::Value>,
        }

        ensure!(
            reply.status != Some(StatusCode::NO_RESPONDERS),
            "no stream takes the subject, or JetStream is off"
        );
        let ack: Ack =
            serde_json::from_slice(&reply.payload).context("read the acknowledgement")?;
        if let Some(error) = ack.error {
            bail!("the server refused it: {error}");
        }
        ensure!(!ack.duplicate, "the stream took it for a duplicate of {}", ack.seq);
        ensure!(
            reply.subject.ends_with(&format!(".{}", self.count)),
            "acknowledged out of order: {}",
            reply.subject
        );
        ensure!(
            ack.seq > self.last_sequence,
            "sequence {} came after {}",
            ack.seq,
            self.last_sequence
        );
        self.last_sequence = ack.seq;
        Ok(())
    }
}
