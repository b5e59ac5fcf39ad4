//! Messages published all the time, at a rate, while something else is tried.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::Client;

use super::publish_items;

/// Of a second: so often is what has come due published.
const BEATS: u64 = 20;

/// Publishes until it is stopped or dropped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    published: Arc<AtomicU64>,
    last: Option<tokio::task::JoinHandle<u64>>,
}

impl Load {
    /// So many messages a second, as far as the machine can.
    pub(super) fn start(client: &Client, messages_per_second: u64) -> Self {
        let (stop, published) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (client, stopped, count) = (client.clone(), Arc::clone(&stop), Arc::clone(&published));
        let last = tokio::spawn(async move {
            let mut beat = tokio::time::interval(Duration::from_millis(1_000 / BEATS));
            let mut last = 0;
            while !stopped.load(Ordering::Relaxed) {
                beat.tick().await;
                let messages = (messages_per_second / BEATS).max(1);
                last = publish_items(&client, messages).await;
                count.fetch_add(messages, Ordering::Relaxed);
            }
            last
        });
        Self { stop, published, last: Some(last) }
    }

    pub(super) fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    /// Ends it: the stream's last sequence.
    pub(super) async fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.last.take().unwrap().await.unwrap()
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
