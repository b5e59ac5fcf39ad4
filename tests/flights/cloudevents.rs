//! One message, as the CloudEvents binding for NATS has it.

use jiff::Timestamp;
use serde::Serialize;

/// One message to publish.
#[derive(Clone, Debug)]
pub struct Event {
    /// Unique and readable, `2013-01-01-UA-1545-EWR.departed`; also sent as `Nats-Msg-Id`.
    pub id: String,
    pub type_name: &'static str,
    pub time: Timestamp,
    pub subject: String,
    pub headers: Vec<(&'static str, String)>,
    pub payload: Vec<u8>,
}

/// Whether the CloudEvents attributes travel in the body or in headers.
#[derive(Clone, Copy)]
pub enum Encoding {
    Structured,
    Binary,
}

/// The CloudEvents attributes of one event.
pub struct Envelope<'a> {
    pub id: String,
    pub source: String,
    pub type_name: &'static str,
    pub about: &'a str,
    pub time: Timestamp,
}

impl Envelope<'_> {
    pub fn event(self, subject: String, encoding: Encoding, data: &impl Serialize) -> Event {
        #[derive(Serialize)]
        struct Body<'a, T> {
            specversion: &'static str,
            id: &'a str,
            source: &'a str,
            #[serde(rename = "type")]
            type_name: &'static str,
            subject: &'a str,
            time: String,
            datacontenttype: &'static str,
            data: &'a T,
        }

        let Self { id, source, type_name, about, time } = self;
        let mut headers = vec![("Nats-Msg-Id", id.clone())];
        let payload = match encoding {
            Encoding::Structured => {
                headers.push(("Content-Type", "application/cloudevents+json".to_owned()));
                serde_json::to_vec(&Body {
                    specversion: "1.0",
                    id: &id,
                    source: &source,
                    type_name,
                    subject: about,
                    time: time.to_string(),
                    datacontenttype: "application/json",
                    data,
                })
            }
            Encoding::Binary => {
                headers.extend([
                    ("Content-Type", "application/json".to_owned()),
                    ("ce-specversion", "1.0".to_owned()),
                    ("ce-id", id.clone()),
                    ("ce-source", source),
                    ("ce-type", type_name.to_owned()),
                    ("ce-subject", about.to_owned()),
                    ("ce-time", time.to_string()),
                ]);
                serde_json::to_vec(data)
            }
        };
        let payload = payload.expect("plain structs of text and numbers are JSON");
        Event { id, type_name, time, subject, headers, payload }
    }
}
