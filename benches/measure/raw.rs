//! The client's own reads, as bare as they can be made: messages are counted and dropped.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use async_nats::Client;
use async_nats::jetstream::{self, consumer, stream::Stream};
use futures_util::StreamExt;

use super::runtime;

/// Longer than any pull of a benchmark takes.
const EXPIRES: Duration = Duration::from_secs(30);

/// Reads a stream's first messages once; the way is `pull:<batch>`, `inbox:<batch>` or `push`, with `/one` or `/tasks`
/// behind it for other threads. Gives the seconds from before the connection was opened to the last message.
pub fn read(way: &str, server: &str, stream: &str, messages: u64) -> Result<f64> {
    let (way, threads) = way.split_once('/').unwrap_or((way, "many"));
    let reading = reading(way.to_owned(), server.to_owned(), stream.to_owned(), messages);
    match threads {
        // The read on this thread, the connection on another.
        "many" => runtime()?.block_on(reading),
        // Both on one: nothing is handed over.
        "one" => {
            tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(reading)
        }
        // Each a task, where the runtime likes.
        "tasks" => runtime()?.block_on(async { tokio::spawn(reading).await? }),
        _ => bail!("unknown threads {threads}"),
    }
}

async fn reading(way: String, server: String, stream: String, messages: u64) -> Result<f64> {
    let begun = Instant::now();
    let client = async_nats::connect(server).await?;
    let stream = jetstream::new(client.clone()).get_stream(stream).await?;
    match way.split_once(':') {
        Some(("pull", batch)) => pull(&stream, batch.parse()?, messages).await?,
        Some(("inbox", batch)) => inbox(&client, &stream, batch.parse()?, messages).await?,
        None if way == "push" => push(&client, &stream, messages).await?,
        _ => bail!("unknown way {way}"),
    }
    Ok(begun.elapsed().as_secs_f64())
}

/// The client's stream of a pull consumer: what a program reads with.
async fn pull(stream: &Stream, batch: usize, count: u64) -> Result<()> {
    let consumer = stream.create_consumer(config()).await?;
    let mut messages = consumer.stream().max_messages_per_batch(batch).messages().await?;
    for _ in 0..count {
        messages.next().await.context("the stream ended")??;
    }
    Ok(())
}

/// A bare subscription, and two pulls in flight that are sent by hand.
async fn inbox(client: &Client, stream: &Stream, batch: usize, count: u64) -> Result<()> {
    let consumer = stream.create_consumer(config()).await?;
    let inbox = client.new_inbox();
    let mut subscriber = client.subscribe(inbox.clone()).await?;
    let ask = async || {
        let request =
            consumer::pull::BatchConfig { batch, expires: Some(EXPIRES), ..Default::default() };
        consumer.request_batch(request, inbox.clone().into()).await
    };
    ask().await?;
    ask().await?;
    let (mut seen, mut left) = (0, 2 * batch);
    while seen < count {
        let message = subscriber.next().await.context("the subscription ended")?;
        ensure!(message.status.is_none(), "the server said {:?}", message.status);
        seen += 1;
        left -= 1;
        if left == batch {
            ask().await?;
            left += batch;
        }
    }
    Ok(())
}

/// An ordered push consumer: the server sends as fast as its flow control lets it.
async fn push(client: &Client, stream: &Stream, count: u64) -> Result<()> {
    let config =
        consumer::push::OrderedConfig { deliver_subject: client.new_inbox(), ..Default::default() };
    let mut messages = stream.create_consumer(config).await?.messages().await?;
    for _ in 0..count {
        messages.next().await.context("the stream ended")??;
    }
    Ok(())
}

fn config() -> consumer::pull::Config {
    consumer::pull::Config {
        ack_policy: consumer::AckPolicy::None,
        memory_storage: true,
        ..Default::default()
    }
}
