//! The independent poll of a stream's head: what lag rests on (I7).
//!
//! It runs on the control connection, apart from every reader. A poll that fails leaves the last answer standing; whoever
//! uses it looks at its age, so a dead poll shows as unknown, never as current.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::api::{Api, Error};
use super::connection::Connection;
use super::trouble::Trouble;
use crate::event::Sequence;
use crate::event::time::Timestamp;

/// A stream as it stood at a poll.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamHead {
    pub created_ns: i64,
    /// The subjects that it takes.
    pub subjects: Vec<String>,
    /// A mirror, one with sources, or one that changes subjects: it may hold subjects that it does not take.
    pub holds_others: bool,
    /// `limits`, or what a reader refuses.
    pub retention: String,
    pub messages: u64,
    pub first_sequence: Sequence,
    pub last_sequence: Sequence,
    /// The time of the poll by the server's clock.
    pub at: Timestamp,
    /// When it was asked for, by our clock: it says nothing of any time before, and maybe nothing of any time after.
    pub asked: Instant,
}

/// What a poll of one stream shows to others.
#[derive(Clone, Debug)]
pub struct Head {
    /// None until the first answer.
    pub stream: watch::Receiver<Option<StreamHead>>,
    /// Why polls fail, while they do.
    pub trouble: Arc<Trouble>,
    /// Over which they go; None where nobody polls.
    pub connection: Option<Connection>,
}

/// The task that polls; [`Poll::run`] is to be spawned.
#[derive(Debug)]
pub struct Poll {
    api: Api,
    connection: Connection,
    stream: String,
    every: Duration,
    sender: watch::Sender<Option<StreamHead>>,
    trouble: Arc<Trouble>,
}

/// Asks once, for commands that only want to know; None if there is no such stream.
pub async fn ask(connection: &Connection, stream: &str) -> Result<Option<StreamHead>, String> {
    match StreamHead::ask(&Api::new(connection), stream).await {
        Ok(head) => Ok(Some(head)),
        Err(error) if error.is_stream_missing() => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

/// Whether the stream holds any message whose subject matches a filter.
pub async fn holds(connection: &Connection, stream: &str, filter: &str) -> Result<bool, String> {
    let first = Api::new(connection).next_message(stream, Sequence(1), filter).await;
    first.map(|message| message.is_some()).map_err(|error| error.to_string())
}

impl Head {
    /// Whether it could be polled now, as far as is known.
    pub fn is_connected(&self) -> bool {
        self.connection.as_ref().is_some_and(|connection| connection.link().borrow().connected)
    }
}

impl Poll {
    pub fn new(connection: &Connection, stream: &str, every: Duration) -> (Self, Head) {
        let (sender, receiver) = watch::channel(None);
        let trouble = Arc::new(Trouble::default());
        let connection = connection.clone();
        let head = Head {
            stream: receiver,
            trouble: Arc::clone(&trouble),
            connection: Some(connection.clone()),
        };
        (
            Self {
                api: Api::new(&connection),
                connection,
                stream: stream.to_owned(),
                every,
                sender,
                trouble,
            },
            head,
        )
    }

    /// Polls until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        let mut beat = tokio::time::interval(self.every);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let polls = async {
            loop {
                beat.tick().await;
                match self.connection.alive().await {
                    Ok(connection) => {
                        connection.stands(&self.trouble, &self.stream).await;
                        self.poll().await;
                    }
                    Err(error) => self.trouble.failed(&self.stream, error.to_string()),
                }
            }
        };
        // A poll holds nothing that a sudden end could leave half done.
        cancel.run_until_cancelled(polls).await;
    }

    async fn poll(&self) {
        match StreamHead::ask(&self.api, &self.stream).await {
            Ok(head) => {
                self.trouble.recovered(&self.stream);
                self.sender.send_replace(Some(head));
            }
            Err(error) => self.trouble.failed(&self.stream, error.to_string()),
        }
    }
}

impl StreamHead {
    pub(super) async fn ask(api: &Api, stream: &str) -> Result<Self, Error> {
        let asked = Instant::now();
        let info = api.stream_info(stream).await?;
        let at = info.at();
        Ok(Self {
            created_ns: info.created,
            holds_others: info.config.holds_others(),
            subjects: info.config.subjects,
            retention: info.config.retention,
            messages: info.state.messages,
            first_sequence: Sequence(info.state.first_seq),
            last_sequence: Sequence(info.state.last_seq),
            at,
            asked,
        })
    }
}
