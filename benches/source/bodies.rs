//! Streams of messages alike: JSON bodies of a given size without headers.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use async_nats::jetstream::{self, stream};
use futures_util::StreamExt;

/// Published and not yet acknowledged: far below what the client holds for one subscription.
const UNDER_WAY_MAX: u64 = 8192;
const ACK_TIMEOUT: Duration = Duration::from_secs(30);

/// Creates a stream and fills it.
pub async fn publish(server: &str, name: &str, bytes: usize, count: u64) -> Result<()> {
    let client = async_nats::connect(server).await?;
    let config = stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{name}.>")],
        ..Default::default()
    };
    jetstream::new(client.clone()).create_stream(config).await?;
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await?;
    let mut stored = 0;
    for number in 1..=count {
        let payload = body(number, bytes).into_bytes();
        client.publish_with_reply(subject(name, number), inbox.clone(), payload.into()).await?;
        // Half of them at a time, so that both sides work in long runs.
        let until = match number {
            last if last == count => count,
            full if full - stored == UNDER_WAY_MAX => full - UNDER_WAY_MAX / 2,
            _ => continue,
        };
        while stored < until {
            let reply = tokio::time::timeout(ACK_TIMEOUT, replies.next()).await?;
            let reply = reply.context("the connection was closed")?;
            ensure!(!reply.payload.starts_with(b"{\"error"), "{reply:?}");
            stored += 1;
        }
    }
    Ok(())
}

pub fn subject(stream: &str, number: u64) -> String {
    format!("{stream}.orders.{}.placed", number % 1000)
}

/// An event as shops have them, filled up to its size.
pub fn body(number: u64, bytes: usize) -> String {
    let mut body = format!(
        r#"{{"type":"OrderPlaced","id":"{number}","time":"2024-05-01T12:00:00Z","data":{{"order_id":"o-{number}","customer_id":"c-{}","qty":{},"price":{}.95,"note":""#,
        number % 10_000,
        number % 7 + 1,
        number % 90 + 5,
    );
    let end = r#""}}"#;
    let rest = bytes.saturating_sub(body.len() + end.len());
    body.extend(std::iter::repeat_n('x', rest));
    body.push_str(end);
    body
}
