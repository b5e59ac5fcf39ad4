//! Messages that drop the connection of whoever reads them: found, set aside, passed.
//!
//! The server stores headers that the client does not read, and the client drops its connection when it is sent some. A
//! consumer would send them again and again. So a session that follows a lost connection without having come any
//! further first goes message by message: it asks the stream's leader for the next one of each filter. Such an answer
//! holds the headers as base64, which any client can read. A message whose headers are malformed is handed on as
//! a reject, any other as what it is: whatever made the client give up, reading goes on behind it.

use std::collections::BTreeMap;

use super::api::{self, Api, Stored};
use super::gather::Gathered;
use super::reader::Reader;
use super::session::{End, again, prove};
use super::{CHUNK_BYTES_MAX, CHUNK_MESSAGES_MAX, headers};
use crate::event::chunk::Message;
use crate::event::time::Timestamp;
use crate::event::{Reject, RejectKind, Sequence};

/// So many good messages in a row, and a consumer reads on: they cost about as much, one by one, as two connections that
/// are lost.
const GOOD_MESSAGES: usize = 100;

/// The messages of a stream that match, by one request each.
pub(super) struct Steps<'a> {
    api: &'a Api,
    stream: &'a str,
    filters: &'a [String],
    /// The next one of each filter, as far as it is known.
    next: BTreeMap<usize, Stored>,
}

/// What can be said of a message that was asked for by itself.
pub(super) struct Looked {
    pub(super) headers: headers::Headers,
    pub(super) reject: Option<Reject>,
}

/// Reads message by message, from behind what the reader has handed on to where a consumer may read on.
pub(super) async fn pass(reader: &mut Reader) -> Result<(), End> {
    let origin = prove(reader).await?;
    let mut gathered = Gathered::new(reader, origin);
    let chunk_messages_max = CHUNK_MESSAGES_MAX.min(reader.settings.batch_events_max);
    let (api, settings) = (reader.api.clone(), reader.settings.clone());
    let mut steps = Steps::new(&api, &settings.stream, &settings.filters);
    let (mut set_aside, mut good) = (0_u64, 0);
    while good < GOOD_MESSAGES {
        reader.status.pulse.beat();
        let Some(stored) = steps.after(gathered.received).await.map_err(again)? else { break };
        let looked = look(&stored);
        if looked.reject.is_some() {
            tracing::debug!(stream = settings.stream, sequence = %stored.sequence, "malformed headers");
            (set_aside, good) = (set_aside + 1, 0);
        } else {
            good += 1;
        }
        gather(&mut gathered, stored, looked);
        if gathered.builder.len() >= chunk_messages_max
            || gathered.builder.bytes_len() >= CHUNK_BYTES_MAX
        {
            gathered.hand_on(reader).await?;
        }
    }
    gathered.hand_on(reader).await?;
    if set_aside > 0 {
        let up_to = reader.position.sequence;
        let stream = &reader.settings.stream;
        tracing::warn!(stream, set_aside, %up_to, "messages with malformed headers set aside");
    }
    Ok(())
}

fn gather(gathered: &mut Gathered, stored: Stored, looked: Looked) {
    if stored.sequence > gathered.received.next() {
        gathered.jumped();
    }
    let message = Message {
        sequence: stored.sequence,
        stored_at: Timestamp::from_nanoseconds(stored.stored_at_ns),
        subject: &stored.subject,
        headers: looked.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())),
        payload: &stored.payload,
    };
    match looked.reject {
        None => gathered.builder.push(message),
        Some(reject) => gathered.builder.push_reject(message, reject),
    }
    gathered.moved_to(stored.sequence, Some(stored.stored_at_ns));
}

/// Looks at a message's headers as the client would.
pub(super) fn look(stored: &Stored) -> Looked {
    match headers::parse(&stored.headers) {
        Ok(headers) => Looked { headers, reject: None },
        Err(malformed) => {
            let reject = Reject { kind: RejectKind::Headers, detail: malformed.detail };
            Looked { headers: malformed.readable, reject: Some(reject) }
        }
    }
}

impl<'a> Steps<'a> {
    /// `filters` as in a definition: none for every subject.
    pub(super) fn new(api: &'a Api, stream: &'a str, filters: &'a [String]) -> Self {
        Self { api, stream, filters, next: BTreeMap::new() }
    }

    /// The first message behind a sequence that any filter matches.
    pub(super) async fn after(&mut self, after: Sequence) -> Result<Option<Stored>, api::Error> {
        let everything = [">".to_owned()];
        let filters = if self.filters.is_empty() { &everything[..] } else { self.filters };
        for (number, filter) in filters.iter().enumerate() {
            if self.next.get(&number).is_some_and(|known| known.sequence > after) {
                continue;
            }
            let next = self.api.next_message(self.stream, after.next(), filter).await?;
            match next {
                Some(stored) => self.next.insert(number, stored),
                None => self.next.remove(&number),
            };
        }
        let first = self.next.iter().min_by_key(|(_, stored)| stored.sequence);
        let first = first.map(|(number, _)| *number);
        Ok(first.and_then(|number| self.next.remove(&number)))
    }
}
