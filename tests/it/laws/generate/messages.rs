//! Messages: events of few types with fields of every kind, and what is no event.

use super::super::column::TIMES;
use super::super::model::{Body, Message, To};
use super::super::value::{Number, Value};
use super::Choices;

const TYPES: [&str; 4] = ["A", "B", "AB", "C"];
const TOKENS: [&str; 5] = ["x", "y", "z", "u", "v"];
const TEXTS: [&str; 6] = ["a", "b", "", "ä€", "B", "aa"];
const FIELDS: [&str; 13] = ["ki", "ks", "k", "i", "d", "r", "b", "s", "t", "e", "j", "x", "m"];
/// Those of an item, the ones that are used most first.
const ITEM_FIELDS: [&str; 11] = ["ki", "ks", "i", "d", "b", "s", "r", "t", "e", "j", "x"];
/// Texts that are numbers in the grammar of JSON.
const NUMBERS: [&str; 6] = ["7", "-3", "12.0", "1e2", "0.25", "-0"];
const BASE64: [&str; 4] = ["", "AQI=", "/+8=", "AAAA"];
const DATES: [&str; 3] = ["2013-01-01", "2012-02-29", "9999-12-31"];

/// Bodies that are no events.
const BROKEN: [&[u8]; 7] = [
    b"{",
    b"{\"type\":\"A\"} x",
    b"nope",
    b"{\"type\":\"A\",\"data\":{\"i\":01}}",
    b"\xff\xfe",
    b"{\"a\":\"\\ud800\"}",
    b"[1,]",
];

impl Choices<'_> {
    /// The message after the one at `sequence`.
    pub fn message(&mut self, sequence: u64) -> Message {
        let sequence = sequence + 1 + self.of(&[0, 0, 0, 1, 2]);
        let token = self.of(&TOKENS);
        let body = match self.below(50) {
            48 => Body::Broken(self.of(&BROKEN)),
            49 => Body::TooLarge,
            _ => {
                let type_name = self.of(&TYPES);
                let time = self.once_in(4).then(|| self.of(&TIMES));
                let to = self.to();
                Body::Event { type_name, time, data: self.data(), to }
            }
        };
        Message { sequence, token, body }
    }

    fn to(&mut self) -> To {
        match self.below(16) {
            7..=11 => {
                let parts = 1 + self.below(3);
                let part = |number| (self.of(&TYPES), self.part(number));
                To::Parts((0..parts).map(part).collect())
            }
            12 => To::Dropped,
            13 => To::Empty,
            14 if self.once_in(2) => To::Failed,
            14 => To::Odd,
            _ => To::Itself,
        }
    }

    /// The later ones fail more often: then those before have left their traces.
    fn part(&mut self, number: usize) -> Value {
        let mess = if number == 0 { self.once_in(10) } else { self.once_in(2) };
        if mess { self.mess() } else { self.field_value("i") }
    }

    fn data(&mut self) -> Vec<(&'static str, Value)> {
        let mut data = Vec::new();
        for name in FIELDS {
            let key = matches!(name, "ki" | "ks" | "k");
            match self.below(if key { 200 } else { 100 }) {
                25 => {}
                26 | 27 => data.push((name, Value::Null)),
                28 => data.push((name, self.mess())),
                29 => data.extend([(name, self.mess()), (name, self.field_value(name))]),
                _ => data.push((name, self.field_value(name))),
            }
        }
        let object = match self.below(40) {
            38 => self.mess(),
            39 => Value::Null,
            _ => self.item(),
        };
        data.push(("o", object));
        match self.below(40) {
            37 => {}
            38 => data.push(("l", self.mess())),
            39 => data.push(("l", Value::Null)),
            _ => {
                let items = self.below(4);
                data.push(("l", Value::Array((0..items).map(|_| self.item()).collect())));
            }
        }
        data
    }

    fn item(&mut self) -> Value {
        if self.once_in(50) {
            return self.mess();
        }
        let mut members = Vec::new();
        for name in ITEM_FIELDS {
            match self.below(80) {
                78 => {}
                79 => members.push((name.to_owned(), Value::Null)),
                _ => members.push((name.to_owned(), self.field_value(name))),
            }
        }
        Value::Object(members)
    }

    fn field_value(&mut self, name: &str) -> Value {
        match name {
            "ki" => self.number_of(&[1, 2, 3], 0),
            "k" => {
                let number = self.of(&["1", "2", "3", "4", "5"]);
                if self.once_in(2) { Value::text(number) } else { written(number) }
            }
            "ks" => Value::text(self.of(&["a", "b", "ä"])),
            "i" => {
                let (max, min) = (i128::from(i64::MAX), i128::from(i64::MIN));
                match self.below(10) {
                    4 => self.number_of(&[max, max - 1, 1 << 62, max / 3], 0),
                    5 => self.number_of(&[min, min + 1, -(1 << 62), min / 3], 0),
                    6 => Value::text(self.of(&NUMBERS)),
                    7 => Value::integer(self.of(&[i64::MAX, i64::MIN])),
                    _ => self.number_of(&[1, 2, -1, 0, -3, 16], 0),
                }
            }
            "d" => match self.below(8) {
                6 => self.number_of(
                    &[i64::MAX.into(), i64::MIN.into(), 9_223_372_036_854_775_807_000],
                    2,
                ),
                7 => Value::text(self.of(&NUMBERS)),
                _ => self.number_of(&[150, 1250, -25, 0, 1, 100], 2),
            },
            "r" => match self.below(20) {
                19 => written(self.of(&["1.7e308", "-1.7e308", "1e-300"])),
                _ => self.number_of(&[1, 2, 3, -7, 0, 123_456_789, 10_000_000_000_000_000], 1),
            },
            "b" => Value::Boolean(!self.once_in(2)),
            "s" => Value::text(self.of(&TEXTS)),
            "t" => Value::text(self.of(&TIMES).0),
            "e" => match self.below(3) {
                2 => Value::text(self.of(&TIMES).0),
                _ => Value::text(self.of(&DATES)),
            },
            "j" => self.tree(),
            "x" => Value::text(self.of(&BASE64)),
            _ => self.mess(),
        }
    }

    fn tree(&mut self) -> Value {
        let object = |members: &[(&str, Value)]| {
            let members = members.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
            Value::Object(members.collect())
        };
        match self.below(6) {
            0 => Value::Array(Vec::new()),
            1 => object(&[
                ("b", Value::integer(1)),
                ("a", Value::Array(vec![Value::integer(2), Value::Null])),
            ]),
            2 => Value::Array(vec![Value::Boolean(true)]),
            3 => object(&[]),
            4 => Value::Array(vec![object(&[("ki", Value::integer(3)), ("ks", Value::text("a"))])]),
            _ => Value::Array(vec![written("1.50"), written("250E-1"), Value::text("a")]),
        }
    }

    /// A value of any kind, also of none that a column takes.
    fn mess(&mut self) -> Value {
        match self.below(8) {
            0 => Value::Null,
            1 => Value::Boolean(true),
            2 => self.number_of(&[1, 25, 9_223_372_036_854_775_808, 1 << 70], 0),
            3 => self.number_of(&[5, 120], 1),
            4 => Value::text(self.of(&[
                "",
                "nope!",
                "012",
                "+1",
                " 1",
                "2013-02-30",
                "1e",
                "NaN",
                "0x1",
                "AQI",
            ])),
            5 => {
                Value::text(self.of(&["2013-01-01T24:00:00Z", "2013-01-01 05:00:00Z", "13-01-01"]))
            }
            6 => Value::Object(Vec::new()),
            _ => self.number_of(&[1_000_000_001], 9),
        }
    }

    /// A number, written in one of the ways that JSON has.
    fn number_of(&mut self, digits: &[i128], scale: usize) -> Value {
        let digits = self.of(digits);
        let text = match (self.below(4), scale) {
            (1, 0) => format!("{digits}.0"),
            (2, _) => format!("{digits}e-{scale}"),
            (3, _) if digits != 0 => format!("{digits}0E-{}", scale + 1),
            (_, 0) => digits.to_string(),
            _ => {
                let unit = 10_u128.pow(scale as u32);
                let sign = if digits < 0 { "-" } else { "" };
                let (whole, rest) = (digits.unsigned_abs() / unit, digits.unsigned_abs() % unit);
                format!("{sign}{whole}.{rest:0scale$}")
            }
        };
        written(&text)
    }
}

fn written(text: &str) -> Value {
    Value::Number(Number::parse(text).expect("a number"))
}
