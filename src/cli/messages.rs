//! A part of a source's stream, for commands that show or try it.

use std::time::Duration;

use super::args;
use super::failure::{Failure, Kind};
use crate::config::{Config, SourceSettings};
use crate::event::Sequence;
use crate::source::connection::{Connection, Pace};
use crate::source::memory::Recorded;
use crate::source::slice::{Error, Part, Slice};

// A server on the same network answers in milliseconds; one that does not within this is as good as away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

impl args::Slice {
    /// With so many messages unless it is said.
    pub(super) fn part(&self, messages: u64) -> Part {
        match self.from {
            Some(from) => Part::From(Sequence(from), self.count.unwrap_or(messages)),
            None => Part::Last(self.last.unwrap_or(messages)),
        }
    }
}

/// Gives messages in stream order, page by page, until there are no more or `take` fails. Whether nothing that matches
/// lies before them.
pub(super) fn read(
    config: &Config,
    source: &SourceSettings,
    filters: &[String],
    part: Part,
    take: impl FnMut(Vec<Recorded>) -> Result<(), Failure>,
) -> Result<bool, Failure> {
    runtime()?.block_on(async {
        let connection = connect(config, "viewd").await?;
        let opened = Slice::open(&connection, &source.stream, filters, part).await;
        let mut slice = opened.map_err(failure)?;
        let (whole, result) = (slice.begins_with_stream(), pages(&mut slice, take).await);
        slice.close().await;
        result.map(|()| whole)
    })
}

async fn pages(
    slice: &mut Slice,
    mut take: impl FnMut(Vec<Recorded>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    loop {
        let page = slice.next().await.map_err(failure)?;
        if page.is_empty() {
            return Ok(());
        }
        take(page)?;
    }
}

/// For one command's own use.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| Failure::new(Kind::Io, anyhow::Error::from(error).context("start")))
}

/// A connection that stands.
pub(super) async fn connect(config: &Config, name: &str) -> Result<Connection, Failure> {
    let pace = Pace::of(&config.limits);
    let connection =
        Connection::open(&config.nats, name, pace).await.map_err(super::connection_failure)?;
    if tokio::time::timeout(CONNECT_TIMEOUT, connection.connected()).await.is_ok() {
        return Ok(connection);
    }
    let said = connection.link().borrow().error.clone();
    Err(unreachable(&config.nats.shown_servers(), said))
}

fn unreachable(servers: &str, said: Option<String>) -> Failure {
    let said = said.unwrap_or_else(|| format!("no answer within {} s", CONNECT_TIMEOUT.as_secs()));
    // Each sentence begins with its server, which for one alone has been said.
    let address = servers.rsplit(['/', '@']).next().unwrap_or_default();
    let rest = said.strip_prefix(address).and_then(|rest| rest.strip_prefix(": "));
    let error = anyhow::anyhow!("NATS cannot be reached at {servers}: {}", rest.unwrap_or(&said));
    // A server that says why it refuses is there.
    let away = ["no answer", "connection refused", "was not resolved"];
    let hint = match away.iter().any(|words| said.contains(words)) {
        true => "start it, or name another in `nats.servers`",
        false => "see [nats] in the settings",
    };
    Failure::new(Kind::Unreachable, error).hint(hint)
}

fn failure(error: Error) -> Failure {
    let (kind, hint) = match &error {
        Error::NoStream { .. } => {
            (Kind::Configuration, Some("`viewd check` says which streams the definitions need"))
        }
        Error::Refused { .. } => (Kind::Configuration, None),
        Error::Failed { .. } => (Kind::Unreachable, None),
    };
    Failure::new(kind, error).hints(hint.map(str::to_owned))
}
