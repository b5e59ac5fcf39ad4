//! The client's own reads, as bare as they can be made: messages are counted and dropped.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use async_nats::Client;
use async_nats::jetstream::{self, consumer, stream::Stream};
use futures_util::StreamExt;

use crate::role::{Arguments, Read, runtime};

/// Longer than any pull of a benchmark takes.
const EXPIRES: Duration = Duration::from_secs(30);

/// Reads a stream's messages once, in the way that the role names.
pub fn run(arguments: &Arguments) -> Result<Read> {
    let (way, threads) = arguments.role.split_once('/').unwrap_or((&arguments.role, "many"));
    let read = read(way.to_owned(), arguments.clone());
    match threads {
        // The read on this thread, the connection on another.
        "many" => runtime()?.block_on(read),
        // Both on one: nothing is handed over.
        "one" => tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(read),
        // Each a task, where the runtime likes.
        "tasks" => runtime()?.block_on(async { tokio::spawn(read).await? }),
        _ => bail!("unknown threads {threads}"),
    }
}

async fn read(way: String, arguments: Arguments) -> Result<Read> {
    let begun = Instant::now();
    let client = async_nats::connect(&arguments.server).await?;
    let stream = jetstream::new(client.clone()).get_stream(&arguments.stream).await?;
    match way.split_once(':') {
        Some(("pull", batch)) => pull(&stream, batch.parse()?, arguments.messages).await?,
        Some(("inbox", batch)) => {
            inbox(&client, &stream, batch.parse()?, arguments.messages).await?;
        }
        None if way == "push" => push(&client, &stream, arguments.messages).await?,
        _ => bail!("unknown way {way}"),
    }
    Ok(Read { seconds: begun.elapsed().as_secs_f64(), messages: arguments.messages })
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
