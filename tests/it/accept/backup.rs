//! A stream's backup by the server's own requests, as its command-line tool takes and restores it.

use std::time::Duration;

use async_nats::Client;
use futures_util::StreamExt as _;
use serde_json::{Value, json};

/// A busy machine takes seconds where an idle one takes milliseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// What a server sends of a stream.
pub struct Backup {
    stream: String,
    config: Value,
    state: Value,
    chunks: Vec<bytes::Bytes>,
}

impl Backup {
    pub async fn of(client: &Client, stream: &str) -> Self {
        let inbox = client.new_inbox();
        let mut chunks_of = client.subscribe(inbox.clone()).await.unwrap();
        let request = json!({ "deliver_subject": inbox, "no_consumers": true });
        let answer = ask(client, &format!("$JS.API.STREAM.SNAPSHOT.{stream}"), &request).await;
        let mut chunks = Vec::new();
        loop {
            let chunk = tokio::time::timeout(ANSWER_TIMEOUT, chunks_of.next());
            let chunk = chunk.await.unwrap().unwrap();
            // The empty one is the last.
            if chunk.payload.is_empty() {
                break;
            }
            chunks.push(chunk.payload);
            if let Some(reply) = chunk.reply {
                client.publish(reply, bytes::Bytes::new()).await.unwrap();
            }
        }
        assert!(!chunks.is_empty());
        let (config, state) = (answer["config"].clone(), answer["state"].clone());
        Self { stream: stream.to_owned(), config, state, chunks }
    }

    /// Where there is no stream of that name.
    pub async fn restore(&self, client: &Client) {
        let request = json!({ "config": self.config, "state": self.state });
        let subject = format!("$JS.API.STREAM.RESTORE.{}", self.stream);
        let answer = ask(client, &subject, &request).await;
        let subject = answer["deliver_subject"].as_str().unwrap().to_owned();
        for chunk in self.chunks.iter().cloned().chain([bytes::Bytes::new()]) {
            let request = async_nats::Request::new().payload(chunk).timeout(Some(ANSWER_TIMEOUT));
            let answer = client.send_request(subject.clone(), request).await.unwrap();
            if !answer.payload.is_empty() {
                let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
                assert!(answer.get("error").is_none(), "{answer}");
            }
        }
    }
}

async fn ask(client: &Client, subject: &str, request: &Value) -> Value {
    let request = async_nats::Request::new()
        .payload(request.to_string().into())
        .timeout(Some(ANSWER_TIMEOUT));
    let answer = client.send_request(subject.to_owned(), request).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
    assert!(answer.get("error").is_none(), "{answer}");
    answer
}
