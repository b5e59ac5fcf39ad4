//! The daemon, live on a stream to which messages are published at a steady pace.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use async_nats::jetstream;
use viewd::status::State;
use viewd::supervisor::Running;

use super::measure::{cpu, peak};
use super::messages::{Due, STREAM, definitions, payload};
use super::site::{config, declared, start};
use super::{Fed, Load};

/// The name of every connection that messages are read over.
const READER: &str = "viewd reader";

/// A start takes less, and so does what is left after the last message.
const TIMEOUT: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

pub fn run(load: Load, server: &str, monitoring: &str) -> Result<Fed> {
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = async_nats::connect(server).await?;
        let jetstream = jetstream::new(client.clone());
        let stream = jetstream::stream::Config {
            name: STREAM.to_owned(),
            subjects: vec!["orders".to_owned()],
            ..Default::default()
        };
        jetstream.create_stream(stream).await?;
        client.publish("orders", payload(load.messages).into()).await?;
        client.flush().await?;
        let texts = definitions(load.projections);
        let projections =
            texts.iter().map(|(name, text)| declared(name, text)).collect::<Result<_>>()?;
        let running = start(&config(folder.path(), server, STREAM)?, projections).await?;
        reach(&running, 1).await?;
        shared(&jetstream).await?;

        let (before, begun) = (cpu(std::process::id())?.0, Instant::now());
        let sent = delivered(monitoring)?;
        let mut publisher = publisher(server, load)?;
        reach(&running, 1 + load.messages).await?;
        ensure!(publisher.wait()?.success(), "the publisher failed");
        let cpu_seconds = cpu(std::process::id())?.0 - before;
        let fed = Fed {
            cpu_seconds,
            wall_seconds: begun.elapsed().as_secs_f64(),
            peak_rss: peak(std::process::id()).context("its memory")?,
            delivered_each: Some((delivered(monitoring)? - sent) as f64 / load.messages as f64),
        };
        running.stop().await;
        Ok(fed)
    })
}

/// Publishes what is due, and waits until the server has it all; a process of its own, so that its time is.
pub fn publish(server: &str, load: Load) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let client = async_nats::connect(server).await?;
        let mut due = Due::new(load);
        while let Some(numbers) = due.wait() {
            for number in numbers {
                client.publish("orders", payload(number).into()).await?;
            }
            client.flush().await?;
        }
        // Sent is not stored yet.
        let mut stream = jetstream::new(client).get_stream(STREAM).await?;
        let begun = Instant::now();
        while stream.info().await?.state.last_sequence != load.messages + 1 {
            ensure!(begun.elapsed() < TIMEOUT, "the server has lost messages");
            tokio::time::sleep(LOOK).await;
        }
        Ok(())
    })
}

fn publisher(server: &str, load: Load) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--role", "publish", "--server", server]);
    command.args(["--rate", &load.rate.to_string()]);
    command.args(["--seconds", &(load.messages / load.rate).to_string()]);
    command.stdout(Stdio::null()).spawn().context("start the publisher")
}

async fn reach(running: &Running, sequence: u64) -> Result<()> {
    let begun = Instant::now();
    let patience = TIMEOUT + Duration::from_secs(sequence / 100);
    loop {
        let report = running.daemon().report();
        if let Some(failed) = report.projections.iter().find(|found| found.state == State::Failed) {
            bail!("{} failed: {:?}", failed.name, failed.detail);
        }
        if report.projections.iter().all(|found| found.checkpoint_sequence >= sequence) {
            return Ok(());
        }
        ensure!(begun.elapsed() < patience, "not within {patience:?}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Waits until all have found to one reader.
async fn shared(jetstream: &jetstream::Context) -> Result<()> {
    let begun = Instant::now();
    let mut stream = jetstream.get_stream(STREAM).await?;
    while stream.info().await?.state.consumer_count != 1 {
        ensure!(begun.elapsed() < TIMEOUT, "there are several readers after {TIMEOUT:?}");
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// The messages that the server has sent over connections that are read from and still stand.
fn delivered(monitoring: &str) -> Result<u64> {
    let mut connection = TcpStream::connect(monitoring)?;
    write!(connection, "GET /connz?limit=1000 HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (_, body) = answer.split_once("\r\n\r\n").context("an answer")?;
    let connections: serde_json::Value = serde_json::from_str(body)?;
    let connections = connections["connections"].as_array().context("connections")?;
    let readers = connections.iter().filter(|connection| connection["name"] == READER);
    Ok(readers.filter_map(|connection| connection["out_msgs"].as_u64()).sum())
}
