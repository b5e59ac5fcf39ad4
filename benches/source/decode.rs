//! What viewd does with a message between the client and the queue, without either: nanoseconds on one core.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use viewd::event::chunk::{ChunkBuilder, Message};
use viewd::event::time::Timestamp;
use viewd::event::{Format, Sequence};
use viewd::source::CHUNK_MESSAGES_MAX;

use crate::flights::events::Flights;
use crate::{bodies, measure};

/// Enough for a mixture of all events.
const MESSAGES: usize = 20_000;
/// The fastest of so many is an undisturbed one.
const ROUNDS: usize = 100;
const EVENT_BYTES_MAX: usize = 8 << 20;

struct Stored {
    subject: String,
    headers: Vec<(String, String)>,
    payload: Vec<u8>,
}

/// Nanoseconds for one message of a stream, chunks made and dropped.
pub fn nanoseconds(stream: &str) -> Result<f64> {
    let messages = messages(stream)?;
    let mut builder = ChunkBuilder::new(Format::Auto, EVENT_BYTES_MAX);
    let mut seconds = 0.0;
    for messages in messages.chunks(CHUNK_MESSAGES_MAX) {
        let mut fastest = f64::MAX;
        for _ in 0..ROUNDS {
            let begun = Instant::now();
            for message in messages {
                builder.push(Message {
                    sequence: Sequence(1),
                    stored_at: Timestamp(0),
                    subject: &message.subject,
                    headers: message.headers.iter().map(|(name, value)| (&**name, &**value)),
                    payload: &message.payload,
                });
            }
            let chunk = black_box(builder.finish(Sequence(1)));
            ensure!(chunk.len() == messages.len(), "a chunk of {}", chunk.len());
            drop(chunk);
            fastest = fastest.min(begun.elapsed().as_secs_f64());
        }
        seconds += fastest;
    }
    Ok(seconds * 1e9 / messages.len() as f64)
}

fn messages(stream: &str) -> Result<Vec<Stored>> {
    if stream == "flights" {
        let data = measure::tool("tests/tools/flights-data")?;
        let year = Flights::read(std::path::Path::new(&data))?;
        // Behind the registers.
        let events = year.events().skip(MESSAGES).take(MESSAGES).map(|event| {
            let headers = event.headers.into_iter();
            Stored {
                subject: event.subject,
                headers: headers.map(|(name, value)| (name.to_owned(), value)).collect(),
                payload: event.payload,
            }
        });
        return Ok(events.collect());
    }
    let Some(bytes) = stream.strip_prefix("bodies") else { bail!("unknown stream {stream}") };
    let bytes = bytes.parse().context("a size")?;
    let message = |number| Stored {
        subject: bodies::subject(stream, number),
        headers: Vec::new(),
        payload: bodies::body(number, bytes).into_bytes(),
    };
    Ok((1..=MESSAGES as u64).map(message).collect())
}
