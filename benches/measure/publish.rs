//! Filling a stream: thousands of messages under way at a time, every one acknowledged in the end.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::Client;
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt;

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
