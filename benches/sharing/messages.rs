//! The projections and the messages: small orders, of which each projection keeps another view.

use std::time::{Duration, Instant};

use super::Load;

pub const STREAM: &str = "ORDERS";

/// The texts of so many projections: what customers, days and articles come to, and the orders themselves.
pub fn definitions(count: usize) -> Vec<(String, String)> {
    let kinds = [
        ("customers", ".data.customer", "add.total = \".data.cents\""),
        ("articles", ".data.sku", "add.total = \".data.quantity\""),
        ("days", ".data.day", "max.total = \".data.cents\""),
        ("orders", ".data.order", "set.total = \".data.cents\""),
    ];
    let definition = |index: usize| {
        let (name, key, total) = kinds[index % kinds.len()];
        let text = format!(
            "source = \"bench\"\n[tables.{name}]\nkey = [\"id\"]\ncolumns.id = \"text\"\ncolumns.total = \"integer\"\n\
             columns.events = \"integer\"\n[[on]]\nevent = \"OrderPlaced\"\nupsert = \"{name}\"\nkey.id = \"{key}\"\n{total}\n\
             add.events = 1\n"
        );
        (format!("{name}_{index}"), text)
    };
    (0..count).map(definition).collect()
}

/// The payload of the n-th message, some 200 bytes.
pub fn payload(n: u64) -> String {
    format!(
        "{{\"id\":\"{n}\",\"type\":\"OrderPlaced\",\"data\":{{\"order\":\"o-{n}\",\"customer\":\"c-{}\",\"sku\":\"sku-{}\",\
         \"day\":\"2013-01-{:02}\",\"cents\":{},\"quantity\":{},\"note\":\"to be left with the neighbours, please\"}}}}",
        n % 997,
        n % 101,
        n % 31 + 1,
        n * 37 % 10_000,
        n % 5 + 1
    )
}

/// The numbers of messages as they become due, a millisecond's at a time.
pub struct Due {
    load: Load,
    begun: Instant,
    next: u64,
}

impl Due {
    pub fn new(load: Load) -> Self {
        Self { load, begun: Instant::now(), next: 0 }
    }

    /// Waits for the next ones; None when all were due.
    pub fn wait(&mut self) -> Option<std::ops::Range<u64>> {
        if self.next == self.load.messages {
            return None;
        }
        std::thread::sleep(Duration::from_millis(1));
        let due = (self.begun.elapsed().as_secs_f64() * self.load.rate as f64) as u64;
        let due = due.min(self.load.messages);
        Some(std::mem::replace(&mut self.next, due)..due)
    }
}
