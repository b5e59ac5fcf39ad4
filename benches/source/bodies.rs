//! Streams of messages alike: JSON bodies of a given size without headers.

use anyhow::Result;

use crate::measure::publish;

/// Creates a stream and fills it.
pub async fn publish(server: &str, name: &str, bytes: usize, count: u64) -> Result<()> {
    let client = async_nats::connect(server).await?;
    publish::create(&client, name).await?;
    let message = |number| (subject(name, number), body(number, bytes).into_bytes());
    publish::fill(&client, (1..=count).map(message)).await?;
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
