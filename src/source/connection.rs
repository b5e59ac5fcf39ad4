//! A connection to NATS, and what it says of itself.
//!
//! The client reconnects by itself, for ever; what it cannot do is tell its users apart from one another. Its events
//! are therefore gathered in a [`Link`] that readers, polls and metrics watch. A denied right does not fail a request:
//! the request times out and the reason arrives as an event, so the link keeps the last error.

use std::hash::{BuildHasher, RandomState};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, ConnectOptions, Event, ServerAddr, ServerError};
use tokio::sync::watch;

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
    opening: Arc<(Nats, String)>,
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
}

/// Why a connection cannot be tried at all: the operator's settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("read {path}")]
    Secret { path: String, source: std::io::Error },
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
        let mut servers = Vec::with_capacity(nats.servers.len());
        for server in &nats.servers {
            let parsed = server.parse::<ServerAddr>();
            servers
                .push(parsed.map_err(|source| Error::Server { server: server.clone(), source })?);
        }
        let (sender, link) = watch::channel(Link::default());
        let sender = Arc::new(sender);
        let mut options = ConnectOptions::new()
            .name(name)
            .retry_on_initial_connect()
            .max_reconnects(None)
            .reconnect_delay_callback(move |attempts| reconnect_delay(attempts, pace.backoff_max))
            .ping_interval(pace.ping_every())
            .connection_timeout(pace.answer_max())
            .event_callback(move |event| {
                let sender = Arc::clone(&sender);
                async move { sender.send_modify(|link| link.take(event)) }
            });
        options = log_in(options, &nats.login).await?;
        options = secure(options, nats);
        if let Some(prefix) = &nats.inbox_prefix {
            options = options.custom_inbox_prefix(prefix);
        }
        let client = options.connect(servers).await.map_err(Error::Connect)?;
        let opening = Arc::new((nats.clone(), name.to_owned()));
        Ok(Self { client, domain: nats.domain.clone(), pace, link, opening })
    }

    /// Whether the client's own task is gone, which nothing brings back: a header with a carriage return in its value
    /// ends it (async-nats 0.51), and so would any other panic in it.
    pub(super) fn has_ended(&self) -> bool {
        self.link.has_changed().is_err()
    }

    /// The same connection with a new client.
    pub(super) async fn reopen(&self) -> Result<Self, Error> {
        let (nats, name) = &*self.opening;
        Self::open(nats, name, self.pace).await
    }

    /// Follows the state of the connection.
    pub fn link(&self) -> watch::Receiver<Link> {
        self.link.clone()
    }

    /// Gives the connection up for a new one: a link that is open on one side alone is never noticed by that side.
    pub(super) async fn renew(&self) {
        let mut link = self.link.clone();
        let connects = link.borrow_and_update().connects;
        if self.client.force_reconnect().await.is_ok() {
            let renewed = link.wait_for(|link| !link.connected || link.connects != connects);
            // It is known within moments; whoever comes next waits for the connection in any case.
            let _ = tokio::time::timeout(self.pace.answer_max(), renewed).await;
        }
    }

    /// Waits until the connection stands, and says so if that takes long.
    pub(super) async fn stands(&self, trouble: &Trouble, stream: &str) {
        if tokio::time::timeout(CONNECT_GRACE, self.connected()).await.is_err() {
            let error = self.link.borrow().error.clone();
            trouble.failed(stream, error.unwrap_or_else(|| "not connected to NATS".to_owned()));
            self.connected().await;
        }
    }

    /// Waits until this connection is no more: until it breaks, if it stands.
    pub(super) async fn lost(&self) {
        let mut link = self.link.clone();
        let connects = link.borrow_and_update().connects;
        // A client that has ended breaks nothing that can be waited for, but answers nothing either.
        let _ = link.wait_for(|link| !link.connected || link.connects != connects).await;
    }

    /// Waits until the connection stands; returns at once if it does.
    pub async fn connected(&self) {
        let mut link = self.link.clone();
        if link.wait_for(|link| link.connected).await.is_err() {
            // The client's task has ended, which it does only with its last user: nothing will ever change.
            std::future::pending::<()>().await;
        }
    }
}

impl Link {
    fn take(&mut self, event: Event) {
        match event {
            Event::Connected => {
                self.connected = true;
                self.connects += 1;
                self.error = None;
            }
            Event::Disconnected | Event::Closed => self.connected = false,
            Event::SlowConsumer(_) => self.slow_consumers += 1,
            Event::ServerError(ServerError::SlowConsumer(_)) => self.slow_consumers += 1,
            Event::ServerError(error) => self.error = Some(error.to_string()),
            Event::ClientError(error) => self.error = Some(error.to_string()),
            Event::LameDuckMode | Event::Draining => {}
        }
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

async fn log_in(options: ConnectOptions, login: &Login) -> Result<ConnectOptions, Error> {
    Ok(match login {
        Login::None => options,
        Login::Credentials { file } => {
            options.credentials_file(file).await.map_err(|source| secret(file, source))?
        }
        Login::Nkey { file } => options.nkey(read_secret(file)?),
        Login::Token { file } => options.token(read_secret(file)?),
        Login::Password { user, password_file } => {
            options.user_and_password(user.clone(), read_secret(password_file)?)
        }
    })
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

fn read_secret(file: &Path) -> Result<String, Error> {
    match std::fs::read_to_string(file) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(source) => Err(secret(file, source)),
    }
}

fn secret(file: &Path, source: std::io::Error) -> Error {
    Error::Secret { path: file.display().to_string(), source }
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
        link.take(Event::Connected);
        link.take(Event::ServerError(ServerError::Other("Permissions Violation".to_owned())));
        link.take(Event::SlowConsumer(1));
        assert!(link.connected);
        assert!(
            link.error.as_ref().is_some_and(|error| error.contains("Permissions Violation")),
            "{link:?}"
        );
        link.take(Event::Disconnected);
        assert!(!link.connected);
        link.take(Event::Connected);
        assert_eq!(link, Link { connected: true, connects: 2, slow_consumers: 1, error: None });
    }
}
