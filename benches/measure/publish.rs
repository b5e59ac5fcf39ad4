//! Filling a stream: thousands of messages under way at a time, every one acknowledged in the end.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use async_nats::Client;
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt;
use tokio::runtime::Runtime;

/// Published and not yet acknowledged: far below what the client holds for one subscription.
const UNDER_WAY_MAX: u64 = 8192;
const ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// Creates a stream that takes every subject below its own name.
pub async fn create(client: &Client, name: &str) -> Result<()> {
    let config = stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        ..Default::default()
    };
    jetstream::new(client.clone()).create_stream(config).await?;
    Ok(())
}

/// Publishes subjects and payloads in their order; returns how many when the stream has them all.
pub async fn fill(
    client: &Client,
    messages: impl Iterator<Item = (String, Vec<u8>)>,
) -> Result<u64> {
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await?;
    let (mut sent, mut stored) = (0, 0);
    let mut messages = messages.peekable();
    while let Some((subject, payload)) = messages.next() {
        client.publish_with_reply(subject, inbox.clone(), payload.into()).await?;
        sent += 1;
        // Half of them at a time, so that both sides work in long runs.
        let until = match sent - stored {
            _ if messages.peek().is_none() => sent,
            UNDER_WAY_MAX => sent - UNDER_WAY_MAX / 2,
            _ => continue,
        };
        while stored < until {
            let reply = tokio::time::timeout(ACK_TIMEOUT, replies.next()).await?;
            let reply = reply.context("the connection was closed")?;
            ensure!(!reply.payload.starts_with(b"{\"error"), "{reply:?}");
            stored += 1;
        }
    }
    Ok(sent)
}

/// Publishes at so many messages a second; returns when each was given to the client.
pub fn paced(
    runtime: &Runtime,
    client: &Client,
    messages: Vec<(String, Vec<u8>)>,
    rate: u64,
) -> Result<Vec<Instant>> {
    let inbox = client.new_inbox();
    let mut replies = runtime.block_on(client.subscribe(inbox.clone()))?;
    let count = messages.len();
    let acks = runtime.spawn(async move {
        for _ in 0..count {
            let reply = replies.next().await.context("the connection was closed")?;
            ensure!(!reply.payload.starts_with(b"{\"error"), "{reply:?}");
        }
        anyhow::Ok(())
    });
    let mut published = Vec::with_capacity(count);
    let begun = Instant::now();
    for (number, (subject, payload)) in messages.into_iter().enumerate() {
        let due = Duration::from_secs_f64(number as f64 / rate as f64);
        if let Some(early) = due.checked_sub(begun.elapsed()) {
            std::thread::sleep(early);
        }
        published.push(Instant::now());
        runtime.block_on(client.publish_with_reply(subject, inbox.clone(), payload.into()))?;
    }
    runtime.block_on(async { tokio::time::timeout(ACK_TIMEOUT, acks).await })???;
    Ok(published)
}
