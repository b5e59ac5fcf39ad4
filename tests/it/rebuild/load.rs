//! Messages published all the time, at a rate, while something else is tried.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_nats::Client;

use super::publish_items;

/// Of a second: so often is what has come due published.
const BEATS: u64 = 20;

/// Publishes until it is stopped or dropped.
pub(super) struct Load {
    stop: Arc<AtomicBool>,
    published: Published,
    last: Option<tokio::task::JoinHandle<u64>>,
}

/// What the stream has, and who reads the view is to see: sequences, each with when the stream had it.
#[derive(Clone, Default)]
pub(super) struct Published(Arc<Mutex<VecDeque<(u64, Instant)>>>);

impl Load {
    /// So many messages a second, as far as the machine can.
    pub(super) fn start(client: &Client, messages_per_second: u64) -> Self {
        let (stop, published) = (Arc::<AtomicBool>::default(), Published::default());
        let (client, stopped, had) = (client.clone(), Arc::clone(&stop), published.clone());
        let last = tokio::spawn(async move {
            let mut beat = tokio::time::interval(Duration::from_millis(1_000 / BEATS));
            let mut last = 0;
            while !stopped.load(Ordering::Relaxed) {
                beat.tick().await;
                let messages = (messages_per_second / BEATS).max(1);
                last = publish_items(&client, messages).await;
                had.0.lock().unwrap().push_back((last, Instant::now()));
            }
            last
        });
        Self { stop, published, last: Some(last) }
    }

    pub(super) fn published(&self) -> Published {
        self.published.clone()
    }

    /// Ends it: the stream's last sequence.
    pub(super) async fn stop(mut self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.last.take().unwrap().await.unwrap()
    }
}

impl Published {
    /// How long a view at this sequence has lacked what the stream has.
    pub(super) fn behind(&self, sequence: u64) -> Duration {
        let mut published = self.0.lock().unwrap();
        while published.front().is_some_and(|(last, _)| *last <= sequence) {
            published.pop_front();
        }
        published.front().map_or(Duration::ZERO, |(_, since)| since.elapsed())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}
