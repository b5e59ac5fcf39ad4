//! The events of a shop, the same for the same number on every machine: orders in the middle of their lives, mixed.
//!
//! An order is placed, gets one to three items, is paid and shipped, or cancelled: about five events. Each event falls
//! on one of the orders that are open; where that one is over, the next is placed. One event in a hundred gives a
//! customer another name. About 240 bytes each, as CloudEvents in the body.

use std::io::Write;

/// Ten orders each in a million events.
const CUSTOMERS: u64 = 20_000;
const PRODUCTS: u64 = 2_000;
const COUNTRIES: [&str; 8] = ["DE", "FR", "IT", "ES", "NL", "PL", "SE", "AT"];
const CARRIERS: [&str; 5] = ["DHL", "UPS", "GLS", "DPD", "Hermes"];
const METHODS: [&str; 4] = ["card", "invoice", "transfer", "wallet"];
/// So that a million events are four months.
const MILLISECONDS_EACH: u64 = 10_007;
/// 2024-01-01.
const BEGUN: i64 = 1_704_067_200_000;

/// One message.
#[derive(Clone, Debug)]
pub struct Event {
    /// The last two tokens of its subject, and its type.
    pub kind: &'static str,
    pub payload: Vec<u8>,
}

/// All events from the first; without an end.
pub struct Shop {
    random: Random,
    orders: Vec<Option<Order>>,
    placed: u64,
    number: u64,
}

struct Order {
    number: u64,
    customer: u64,
    country: &'static str,
    items: u64,
    /// After which it is paid or cancelled.
    items_wanted: u64,
    cancels: bool,
    paid: bool,
    cents: u64,
}

impl Shop {
    /// `open` orders are in the middle of their lives.
    pub fn new(open: usize) -> Self {
        let orders = std::iter::repeat_with(|| None).take(open).collect();
        Self { random: Random(42), orders, placed: 0, number: 0 }
    }

    fn place(&mut self) -> (Order, &'static str, String) {
        self.placed += 1;
        let order = Order {
            number: self.placed,
            customer: self.random.below(CUSTOMERS),
            country: self.random.of(&COUNTRIES),
            items: 0,
            items_wanted: 1 + self.random.below(3),
            cancels: self.random.below(10) == 0,
            paid: false,
            cents: 495,
        };
        let more = format!(
            r#","customer":"Customer {}","country":"{}","channel":"web","shipping":4.95"#,
            order.customer, order.country
        );
        (order, "orders.placed", more)
    }

    /// The next step of an order; whether it was the last.
    fn step(&mut self, order: &mut Order) -> (&'static str, String, bool) {
        if order.items < order.items_wanted {
            order.items += 1;
            let product = self.random.below(PRODUCTS);
            let (price, quantity) = (199 + product * 7, 1 + self.random.below(4));
            let amount = price * quantity;
            order.cents += amount;
            let (line, price, amount) = (order.items, Cents(price), Cents(amount));
            let more = format!(
                r#","line":{line},"sku":"sku-{product:05}","quantity":{quantity},"price":{price},"amount":{amount}"#
            );
            ("orders.item_added", more, false)
        } else if order.cancels {
            ("orders.cancelled", r#","reason":"changed my mind""#.to_owned(), true)
        } else if !order.paid {
            order.paid = true;
            let (amount, method) = (Cents(order.cents), self.random.of(&METHODS));
            ("orders.paid", format!(r#","amount":{amount},"method":"{method}""#), false)
        } else {
            let (carrier, country) = (self.random.of(&CARRIERS), order.country);
            let tracking = self.random.next() >> 24;
            let more = format!(
                r#","carrier":"{carrier}","country":"{country}","tracking":"{tracking:010x}""#
            );
            ("orders.shipped", more, true)
        }
    }

    fn order(&mut self) -> (&'static str, String) {
        let slot = self.random.below(self.orders.len() as u64) as usize;
        let (order, kind, more, over) = match self.orders[slot].take() {
            None => {
                let (order, kind, more) = self.place();
                (order, kind, more, false)
            }
            Some(mut order) => {
                let (kind, more, over) = self.step(&mut order);
                (order, kind, more, over)
            }
        };
        let data = format!(
            r#""order_id":"o-{:09}","customer_id":"c-{:05}"{more}"#,
            order.number, order.customer
        );
        if !over {
            self.orders[slot] = Some(order);
        }
        (kind, data)
    }
}

impl Iterator for Shop {
    type Item = Event;

    fn next(&mut self) -> Option<Event> {
        self.number += 1;
        let number = self.number;
        let (kind, data) = if number.is_multiple_of(100) {
            let customer = self.random.below(CUSTOMERS);
            let data = format!(
                r#""customer_id":"c-{customer:05}","name":"Customer {customer} of {number}""#
            );
            ("customers.renamed", data)
        } else {
            self.order()
        };
        let time = BEGUN + (number * MILLISECONDS_EACH) as i64;
        let time = jiff::Timestamp::from_millisecond(time).expect("within the years of times");
        let mut payload = Vec::with_capacity(320);
        write!(
            payload,
            r#"{{"specversion":"1.0","id":"e-{number:09}","source":"/shop","type":"{kind}","time":"{time:.6}","data":{{{data}}}}}"#
        )
        .expect("memory takes it all");
        Some(Event { kind, payload })
    }
}

struct Cents(u64);

impl std::fmt::Display for Cents {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

/// Splitmix64: ten lines, and the same numbers for ever.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }
}
