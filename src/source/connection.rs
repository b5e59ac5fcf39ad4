//! A connection to NATS, and what it says of itself.
//!
//! The client reconnects by itself, for ever; what it cannot do is tell its users apart from one another. Its events
//! are therefore gathered in a [`Link`] that readers, polls and metrics watch. A denied right does not fail a request:
//! the request would time out, and the reason arrives as an event, so the link keeps what was denied. Why an attempt to
//! connect failed is told by the client only before the next one, in its list of servers.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_nats::{AuthError, Client, ConnectOptions, Event, Server, ServerAddr, ServerError};
use tokio::sync::watch;

use super::login::{self, Identity};
use super::refusal::Attempt;
use super::session::too_old;
use super::trouble::Trouble;
use crate::config::{Limits, Login, Nats};

/// One connection: one task of the client, so a reader has one of its own and control another.
#[derive(Clone, Debug)]
pub struct Connection {
    pub(super) client: Client,
    pub(super) domain: Option<String>,
    pub(super) pace: Pace,
    link: watch::Receiver<Link>,
    /// What it takes to open it anew.
    opening: Arc<(Nats, String, usize)>,
    /// The one that took its place, for all who share it.
    successor: Arc<Mutex<Option<Connection>>>,
}

/// How soon a connection takes silence for a fault, and how often it tries again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Twice as long in silence is a fault.
    pub heartbeat: Duration,
    /// The longest pause between attempts, to connect as well as to read.
    pub backoff_max: Duration,
}

/// The state of a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link {
    pub connected: bool,
    /// How often it was established.
    pub connects: u64,
    /// How often the client dropped messages because nobody took them.
    pub slow_consumers: u64,
    /// What the server or the client last complained about, since the connection was established.
    pub error: Option<String>,
    /// How often the server refused to take what was published.
    pub denials: u64,
    /// The last subjects of those, the newest last.
    denied: VecDeque<String>,
    /// The inbox that the server refused to send to, on this connection: no request is answered on it.
    inbox_denied: Option<String>,
    /// The server ended the last connection because its user's time was over.
    expired: bool,
}

/// A right that the server does not give.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("permissions violation: the server does not let viewd publish to {subject}")]
    Publish { subject: String },
    #[error(
        "permissions violation: the server does not let viewd subscribe to {subject}, where answers arrive"
    )]
    Inbox { subject: String },
}

/// Why a connection cannot be tried at all: the operator's settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{setting}: {} cannot be read", path.display())]
    Unreadable { setting: &'static str, path: PathBuf, source: std::io::Error },
    #[error("{setting}: {} {problem}", path.display())]
    Malformed { setting: &'static str, path: PathBuf, problem: String },
    #[error("server address `{server}`")]
    Server { server: String, source: std::io::Error },
    #[error("connect to NATS")]
    Connect(#[source] async_nats::ConnectError),
}

/// Reconnecting begins after this long, and doubles up to the pace's.
const RECONNECT_MIN: Duration = Duration::from_millis(50);
/// A start, or the replacement of a server, takes less and is not worth a word.
const CONNECT_GRACE: Duration = Duration::from_secs(1);
/// An answer may take so long on a busy machine, however short the heartbeat is.
const ANSWER_MIN: Duration = Duration::from_secs(1);
/// More than twice what a reader ever asks for ahead (see `pulls`): only a fault fills it.
const CHANNEL_MESSAGES: usize = 65_536;
/// Each is waited for by one request; more are not under way at a time on one connection.
const DENIED_MAX: usize = 16;

impl Pace {
    pub fn of(limits: &Limits) -> Self {
        Self { heartbeat: limits.heartbeat, backoff_max: limits.backoff_max }
    }

    /// How long an answer of the server may take: an election of a leader takes a few seconds, more is an outage.
    pub(super) fn answer_max(self) -> Duration {
        self.heartbeat.max(ANSWER_MIN)
    }

    /// A half-open link is found by pings that are not answered. The client gives up when the third one is due, which
    /// is within two heartbeats.
    fn ping_every(self) -> Duration {
        self.answer_max() / 2
    }
}

impl Connection {
    /// Begins to connect, and goes on trying; [`Connection::link`] tells when it has succeeded.
    pub async fn open(nats: &Nats, name: &str, pace: Pace) -> Result<Self, Error> {
        Self::open_bounded(nats, name, pace, CHANNEL_MESSAGES).await
    }

    /// The same with room for so many messages that the client has read and nobody has taken; it drops what is more.
    pub async fn open_bounded(
        nats: &Nats,
        name: &str,
        pace: Pace,
        channel_messages: usize,
    ) -> Result<Self, Error> {
        let mut servers = Vec::with_capacity(nats.servers.len());
        for server in &nats.servers {
            let parsed = server.parse::<ServerAddr>();
            servers
                .push(parsed.map_err(|source| Error::Server { server: server.clone(), source })?);
        }
        let identity = Arc::new(Identity::new(nats));
        identity.check()?;
        let (sender, link) = watch::channel(Link::default());
        let sender = Arc::new(sender);
        let mut options = log_in(&identity, &servers)
            .name(name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(move |attempts| reconnect_delay(attempts, pace.backoff_max))
            .ping_interval(pace.ping_every())
            .connection_timeout(pace.answer_max())
            .subscription_capacity(channel_messages);
        options = listen(options, identity, sender);
        options = secure(options, nats);
        if let Some(prefix) = &nats.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        let client = options.connect(servers).await.map_err(Error::Connect)?;
        let opening = Arc::new((nats.clone(), name.to_owned(), channel_messages));
        let successor = Arc::default();
        Ok(Self { client, domain: nats.domain.clone(), pace, link, opening, successor })
    }

    /// Whether the client's own task is gone, which nothing brings back: a header with a carriage return in its value
    /// ends it (async-nats 0.51), and so would any other panic in it.
    pub(super) fn has_ended(&self) -> bool {
        self.link.has_changed().is_err()
    }

    /// The same connection with a new client.
    pub(super) async fn reopen(&self) -> Result<Self, Error> {
        let (nats, name, channel_messages) = &*self.opening;
        Self::open_bounded(nats, name, self.pace, *channel_messages).await
    }

    /// This connection or, if its client has ended, the one that takes its place, opened by whoever comes first.
    pub(super) async fn alive(&self) -> Result<Self, Error> {
        let mut connection = self.newest();
        while connection.has_ended() {
            let opened = connection.reopen().await?;
            let next = connection.successor().get_or_insert(opened).clone();
            connection = next;
        }
        Ok(connection)
    }

    fn newest(&self) -> Self {
        let mut connection = self.clone();
        loop {
            let next = connection.successor().clone();
            match next {
                Some(next) => connection = next,
                None => return connection,
            }
        }
    }

    fn successor(&self) -> MutexGuard<'_, Option<Self>> {
        self.successor.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Follows the state of the connection, or of the one that took its place.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.newest().link
    }

    /// Gives the connection up for a new one: a link that is open on one side alone is never noticed by that side.
    pub(super) async fn renew(&self) {
        let connects = self.connects();
        let renewed = async {
            if self.client.force_reconnect().await.is_ok() {
                self.lost(connects).await;
            }
        };
        // It is known within moments; whoever comes next waits for the connection in any case.
        let _ = tokio::time::timeout(self.pace.answer_max(), renewed).await;
    }

    /// Waits until the connection stands, and says so if that takes long.
    pub(super) async fn stands(&self, trouble: &Trouble, stream: &str) {
        if tokio::time::timeout(CONNECT_GRACE, self.connected()).await.is_ok() {
            return;
        }
        let mut link = self.link.clone();
        loop {
            let Link { connected, error, .. } = link.borrow_and_update().clone();
            if connected {
                return;
            }
            trouble.failed(stream, error.unwrap_or_else(|| "not connected to NATS".to_owned()));
            // Each attempt may fail for another reason, as secrets are renewed and servers started.
            if link.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// How often it was established: the number of the connection that stands now, if one does.
    pub(super) fn connects(&self) -> u64 {
        self.link.borrow().connects
    }

    /// Whether the connection of this number is no more.
    pub(super) fn is_lost(&self, connects: u64) -> bool {
        self.has_ended() || self.link.borrow().is_lost(connects)
    }

    /// Waits until the connection of this number is no more.
    pub(super) async fn lost(&self, connects: u64) {
        // A client that has ended is an error here, and has lost it too.
        let _ = self.link.clone().wait_for(|link| link.is_lost(connects)).await;
    }

    /// Waits until the connection stands; returns at once if it does.
    pub async fn connected(&self) {
        let mut link = self.link.clone();
        if link.wait_for(|link| link.connected).await.is_err() {
            // The client's task has ended, which it does only with its last user: nothing will ever change.
            std::future::pending::<()>().await;
        }
    }

    /// Why viewd reads nothing from the server, if it is one of those.
    pub fn unfit(&self) -> Option<String> {
        too_old(&self.client.server_info().version)
    }

    /// Waits until the server refuses to take what was published to a subject after so many denials, or to send answers.
    pub(super) async fn denied(&self, denials: u64, subject: &str) -> Denied {
        let mut link = self.link.clone();
        loop {
            if let Some(denied) = link.borrow_and_update().denied_since(denials, subject) {
                return denied;
            }
            if link.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Link {
    fn is_lost(&self, connects: u64) -> bool {
        !self.connected || self.connects != connects
    }

    /// What the server has refused of a subject after so many denials.
    pub(super) fn denied_since(&self, denials: u64, subject: &str) -> Option<Denied> {
        let new = usize::try_from(self.denials - denials).unwrap_or(usize::MAX);
        if self.denied.iter().rev().take(new).any(|denied| denied == subject) {
            return Some(Denied::Publish { subject: subject.to_owned() });
        }
        self.inbox_denied.clone().map(|subject| Denied::Inbox { subject })
    }

    /// Whether no request can be answered on this connection.
    pub(super) fn is_deaf(&self) -> bool {
        self.inbox_denied.is_some()
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.connected = true;
                self.connects += 1;
                self.expired = false;
                (self.error, self.inbox_denied) = (None, None);
            }
            Event::Disconnected | Event::Closed => {
                (self.connected, self.inbox_denied) = (false, None);
            }
            Event::SlowConsumer(_) => self.slow_consumers += 1,
            Event::ServerError(ServerError::SlowConsumer(_)) => self.slow_consumers += 1,
            Event::ServerError(error) => self.complain(&error),
            // A failed attempt, of which the list of servers says more.
            Event::ClientError(_) => {}
            Event::LameDuckMode | Event::Draining => {}
        }
    }

    fn complain(&mut self, error: &ServerError) {
        let error = error.to_string();
        let said = error.strip_prefix("nats: ").unwrap_or(&error);
        let quoted = |rest: &str| rest.trim_start().split('"').nth(1).map(str::to_owned);
        if let Some(subject) = after(said, "Permissions Violation for Publish to").and_then(quoted)
        {
            self.denials += 1;
            if self.denied.len() >= DENIED_MAX {
                self.denied.pop_front();
            }
            self.error = Some(Denied::Publish { subject: subject.clone() }.to_string());
            self.denied.push_back(subject);
            return;
        }
        let inbox = after(said, "Permissions Violation for Subscription to").and_then(quoted);
        if let Some(subject) = inbox {
            self.error = Some(Denied::Inbox { subject: subject.clone() }.to_string());
            self.inbox_denied = Some(subject);
            return;
        }
        let lower = said.to_lowercase();
        self.expired |= lower.contains("authentication expired");
        self.error = Some(lower);
    }
}

impl Error {
    /// With its cause, in one line.
    pub(super) fn sentence(&self) -> String {
        match std::error::Error::source(self) {
            Some(source) => format!("{self}: {source}"),
            None => self.to_string(),
        }
    }

    /// Whether a file is there and may not be read.
    pub fn is_permission(&self) -> bool {
        matches!(self, Self::Unreadable { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied)
    }
}

/// Doubles from `min` to `max` with the number of failures, and is spread by half so that clients do not come together.
pub(super) fn backoff(failures: u32, min: Duration, max: Duration) -> Duration {
    let doubled = min.saturating_mul(1_u32 << failures.min(16)).min(max);
    let random = RandomState::new().hash_one(failures) % 1_000;
    doubled.mul_f64(0.5 + random as f64 / 1_000.0)
}

fn reconnect_delay(attempts: usize, max: Duration) -> Duration {
    // The first attempt is made at once: most disconnects are restarts behind a proxy.
    match attempts {
        0 | 1 => Duration::ZERO,
        more => backoff(u32::try_from(more - 2).unwrap_or(u32::MAX), RECONNECT_MIN, max),
    }
}

/// Options that answer each greeting with what the login's file then holds.
fn log_in(identity: &Arc<Identity>, servers: &[ServerAddr]) -> ConnectOptions {
    if identity.login == Login::None {
        let options = ConnectOptions::new();
        return match login::in_url(servers) {
            Some((user, Some(password))) => options.user_and_password(user, password),
            Some((token, None)) => options.token(token),
            None => options,
        };
    }
    let identity = Arc::clone(identity);
    ConnectOptions::with_auth_callback(move |nonce| {
        let identity = Arc::clone(&identity);
        async move {
            let read = tokio::task::spawn_blocking(move || identity.auth(&nonce)).await;
            let auth = read.map_err(AuthError::new)?;
            auth.map_err(|error| AuthError::new(error.sentence()))
        }
    })
}

/// Lets a link follow what the client says.
fn listen(
    options: ConnectOptions,
    identity: Arc<Identity>,
    sender: Arc<watch::Sender<Link>>,
) -> ConnectOptions {
    let link = Arc::clone(&sender);
    let options = options.event_callback(move |event| {
        let link = Arc::clone(&link);
        async move { link.send_modify(|link| link.take(event)) }
    });
    // Called before each attempt, with what became of those before it. It chooses no server.
    options.reconnect_to_server_callback(move |servers, _| {
        let (identity, sender) = (Arc::clone(&identity), Arc::clone(&sender));
        async move {
            let expired = sender.borrow().expired;
            let failed = move || failed_attempts(&servers, &identity, expired);
            if let Ok(Some(error)) = tokio::task::spawn_blocking(failed).await {
                sender.send_modify(|link| link.error = Some(error));
            }
            None
        }
    })
}

/// Why the last attempts failed, if they did.
fn failed_attempts(servers: &[Server], identity: &Identity, expired: bool) -> Option<String> {
    let failed: Vec<_> = servers
        .iter()
        .filter_map(|server| {
            let (host, port) = (server.addr.host(), server.addr.port());
            let attempt = Attempt { host, port, identity, expired };
            server.last_error.as_ref().map(|words| attempt.sentence(words))
        })
        .collect();
    if failed.is_empty() {
        return None;
    }
    // A file that is not as it must be explains them all, and better than the client does.
    match identity.check() {
        Err(error) => Some(error.sentence()),
        Ok(()) => Some(failed.join("; ")),
    }
}

fn secure(mut options: ConnectOptions, nats: &Nats) -> ConnectOptions {
    if let Some(ca) = &nats.tls.ca_file {
        options = options.add_root_certificates(ca.clone()).require_tls(true);
    }
    if let Some(client) = &nats.tls.client {
        options = options
            .add_client_certificate(client.cert_file.clone(), client.key_file.clone())
            .require_tls(true);
    }
    if nats.tls.first { options.tls_first() } else { options }
}

/// What stands behind a beginning, whatever its case.
fn after<'a>(text: &'a str, beginning: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(beginning.len())?;
    head.eq_ignore_ascii_case(beginning).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backoff_doubles_up_to_its_cap() {
        let (min, max) = (Duration::from_millis(50), Duration::from_secs(5));
        for (failures, expected_ms) in
            [(0, 50), (1, 100), (5, 1_600), (6, 3_200), (7, 5_000), (u32::MAX, 5_000)]
        {
            let found = backoff(failures, min, max).as_millis();
            assert!(
                (expected_ms / 2..=expected_ms * 3 / 2).contains(&found),
                "{failures}: {found}"
            );
        }
    }

    #[test]
    fn a_link_follows_the_clients_events() {
        let mut link = Link::default();
        let said = |text: &str| Event::ServerError(ServerError::Other(text.to_owned()));
        link.take(Event::Connected);
        link.take(said("User Authentication Expired"));
        link.take(Event::SlowConsumer(1));
        assert!(link.connected && link.expired);
        assert_eq!(link.error.as_deref(), Some("user authentication expired"));
        link.take(Event::Disconnected);
        assert!(!link.connected);
        link.take(Event::Connected);
        let expected = Link { connected: true, connects: 2, slow_consumers: 1, ..Link::default() };
        assert_eq!(link, expected);
    }

    #[test]
    fn a_file_that_may_not_be_read_is_told_from_one_that_is_wrong() {
        let unreadable = |kind: std::io::ErrorKind| Error::Unreadable {
            setting: "nats.token_file",
            path: PathBuf::from("token"),
            source: kind.into(),
        };
        let denied = unreadable(std::io::ErrorKind::PermissionDenied);
        assert!(
            denied.is_permission() && !unreadable(std::io::ErrorKind::NotFound).is_permission()
        );
        assert_eq!(denied.sentence(), "nats.token_file: token cannot be read: permission denied");
    }

    #[test]
    fn a_denied_right_is_known_by_its_subject() {
        let mut link = Link::default();
        let said = |text: &str| Event::ServerError(ServerError::Other(text.to_owned()));
        link.take(Event::Connected);
        for n in 0..40 {
            link.take(said(&format!("Permissions Violation for Publish to \"a.{n}\"")));
        }
        let publish = |subject: &str| Some(Denied::Publish { subject: subject.to_owned() });
        assert_eq!(link.denied_since(38, "a.39"), publish("a.39"));
        assert_eq!(link.denied_since(38, "a.37"), None, "it was denied before");
        assert_eq!(link.denied_since(0, "a.24"), publish("a.24"));
        assert_eq!(link.denied_since(40, "a.39"), None);
        assert!(link.error.as_ref().is_some_and(|error| error.ends_with("publish to a.39")));
        assert!(!link.is_deaf());
        link.take(said(
            "Permissions Violation for Subscription to \"_INBOX.x.*\" using queue \"q\"",
        ));
        let inbox = Denied::Inbox { subject: "_INBOX.x.*".to_owned() };
        assert_eq!(link.denied_since(40, "a"), Some(inbox));
        assert!(link.is_deaf());
        link.take(Event::Disconnected);
        assert!(!link.is_deaf());
    }
}
