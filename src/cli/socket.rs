//! One request to the running daemon, over its admin socket.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::failure::{Failure, Kind};
use crate::api::serve;
use crate::config::Config;

/// What the daemon answered.
pub(super) struct Answer {
    /// The code of HTTP.
    pub(super) code: u16,
    pub(super) body: String,
}

/// Why it refused, as its HTTP API says so.
#[derive(Deserialize)]
pub(super) struct Problem {
    pub(super) code: String,
    pub(super) detail: String,
    pub(super) hint: Option<String>,
    /// Where the view stands, if that is part of it.
    pub(super) sequence: Option<u64>,
}

/// Asks; None if no daemon listens on this data directory.
pub(super) fn request(
    config: &Config,
    method: &str,
    path: &str,
    timeout: Duration,
) -> Result<Option<Answer>, Failure> {
    let socket = serve::socket_path(&config.data_dir);
    let asking = || format!("ask the daemon on {}", socket.display());
    match UnixStream::connect(&socket) {
        Ok(stream) => {
            let answer = ask(stream, method, path, timeout);
            let failed = |error: anyhow::Error| {
                let kind = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
                if matches!(kind, Some(ErrorKind::WouldBlock | ErrorKind::TimedOut)) {
                    let error = anyhow::anyhow!("the daemon did not answer").context(asking());
                    return Failure::new(Kind::Unreachable, error)
                        .hint("its process may be stopped, or have no time: look at it");
                }
                Failure::new(Kind::Unreachable, error.context(asking()))
            };
            Ok(Some(answer.map_err(failed)?))
        }
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            let error = anyhow::Error::from(error).context(asking());
            Err(Failure::new(Kind::Permission, error).hint("only the daemon's own user may ask it"))
        }
        Err(_) => Ok(None),
    }
}

/// What to say where only a daemon can do it.
pub(super) fn no_daemon(data_dir: &Path) -> Failure {
    let error = anyhow::anyhow!("no daemon is running on {}", data_dir.display());
    Failure::new(Kind::Unreachable, error).hint("`viewd run` starts one")
}

/// The daemon closes the connection after its answer.
fn ask(mut stream: UnixStream, method: &str, path: &str, timeout: Duration) -> Result<Answer> {
    stream.set_read_timeout(Some(timeout))?;
    let length = if method == "GET" { "" } else { "Content-Length: 0\r\n" };
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: viewd\r\n{length}Connection: close\r\n\r\n")?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let code = line.split(' ').nth(1).and_then(|code| code.parse().ok());
    let code = code.with_context(|| format!("it answered `{}`", line.trim()))?;
    while !line.trim().is_empty() {
        line.clear();
        answer.read_line(&mut line)?;
    }
    let mut body = String::new();
    answer.read_to_string(&mut body)?;
    Ok(Answer { code, body })
}
