//! The listening side of HTTP: bounds that `axum::serve` does not have.
//!
//! A connection may take ten seconds to send its headers, which may be 16 KiB; at most 256 connections are open, and a
//! further one waits in the system's queue. At shutdown open requests are finished, idle connections closed.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

// A client on a slow line sends a request in far less; a client that never ends one is cut off.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
// Twice what browsers and proxies send in practice.
pub(crate) const HEADER_BYTES_MAX: usize = 16 * 1024;
// A client that never reads its answers keeps its place no longer than this; others just connect again.
const CONNECTION_TIME_MAX: Duration = Duration::from_secs(600);
// Each holds a few tens of KiB: 256 stay far below the memory budget.
const CONNECTIONS_MAX: usize = 256;
// How long open requests may take to end once shutdown has begun; none takes more than milliseconds.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
// After an accept error (no file descriptors left) before the next try.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The admin socket in the data directory.
const SOCKET: &str = "admin.sock";
/// Of the 108 bytes that Linux has for a socket's path and the 104 of macOS, one is the end.
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// Where to listen.
pub enum Listener {
    Tcp(TcpListener),
    /// With the files that stand for it: the socket, and the link to it if there is one.
    Unix(UnixListener, Vec<PathBuf>),
}

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("listen on {address}")]
    Tcp { address: SocketAddr, source: std::io::Error },
    #[error("open the admin socket {}", path.display())]
    Socket { path: PathBuf, source: std::io::Error },
}

impl Listener {
    /// Whether it is the admin socket.
    pub fn is_admin(&self) -> bool {
        matches!(self, Self::Unix(..))
    }
}

/// Takes the TCP address.
pub async fn tcp(address: SocketAddr) -> Result<Listener, Error> {
    let bound = TcpListener::bind(address).await;
    Ok(Listener::Tcp(bound.map_err(|source| Error::Tcp { address, source })?))
}

/// Makes the admin socket, for this user alone. The directory's lock is held: one that is there was left behind.
///
/// Where its path is too long for a socket, the socket is made in the runtime folder and a link leads to it.
pub fn socket(data_dir: &Path) -> Result<Listener, Error> {
    let path = data_dir.join(SOCKET);
    let made = remove_left(&path).and_then(|()| {
        let place =
            if path.as_os_str().len() > SOCKET_PATH_BYTES_MAX { elsewhere() } else { path.clone() };
        if place != path {
            remove_left(&place)?;
            std::os::unix::fs::symlink(&place, &path)?;
        }
        let socket = UnixListener::bind(&place)?;
        std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600))?;
        Ok(Listener::Unix(socket, vec![path.clone(), place]))
    });
    made.map_err(|source| Error::Socket { path, source })
}

/// Where the admin socket of a data directory is to be found.
pub fn socket_path(data_dir: &Path) -> PathBuf {
    let path = data_dir.join(SOCKET);
    std::fs::read_link(&path).unwrap_or(path)
}

fn elsewhere() -> PathBuf {
    let folder = std::env::var_os("XDG_RUNTIME_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
    folder.join(format!("viewd-{}.sock", std::process::id()))
}

fn remove_left(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Answers requests until `shutdown`, then finishes the open ones.
pub async fn run(listener: Listener, router: Router, shutdown: CancellationToken) {
    let open = GracefulShutdown::new();
    let slots = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        match accepted {
            Ok((Stream::Tcp(stream), slot)) => connection(stream, slot, &router, &open),
            Ok((Stream::Unix(stream), slot)) => connection(stream, slot, &router, &open),
            Err(error) => {
                tracing::warn!(%error, "accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    if let Listener::Unix(socket, files) = listener {
        drop(socket);
        // What is left is removed by the next start.
        files.iter().for_each(|file| drop(std::fs::remove_file(file)));
    }
    // Past the timeout the connections end with the runtime.
    let _ = tokio::time::timeout(DRAIN_TIMEOUT, open.shutdown()).await;
}

enum Stream {
    Tcp(tokio::net::TcpStream),
    Unix(tokio::net::UnixStream),
}

type Slot = tokio::sync::OwnedSemaphorePermit;

async fn accept(listener: &Listener, slots: &Arc<Semaphore>) -> std::io::Result<(Stream, Slot)> {
    let slot = Arc::clone(slots).acquire_owned().await.expect("never closed");
    let stream = match listener {
        Listener::Tcp(listener) => Stream::Tcp(listener.accept().await?.0),
        Listener::Unix(listener, _) => Stream::Unix(listener.accept().await?.0),
    };
    Ok((stream, slot))
}

fn connection<S>(stream: S, slot: Slot, router: &Router, open: &GracefulShutdown)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let service = TowerToHyperService::new(router.clone());
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_buf_size(HEADER_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), service);
    let watched = open.watch(connection);
    // Ends with its client, at the latest with the runtime: `run` waits for all of them.
    tokio::spawn(async move {
        let _slot = slot;
        // What goes wrong on a connection is its client's to see.
        if let Ok(Err(error)) = tokio::time::timeout(CONNECTION_TIME_MAX, watched).await {
            tracing::debug!(%error, "connection ended");
        }
    });
}
