//! Requests to the running daemon, over its admin socket.
//!
//! What a refusal means for a command is decided here alone: by the stable code of the problem, else by that of HTTP.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Kind};
use super::output::Output;
use crate::api::{self, serve};
use crate::config::Config;

/// What a request has beside its path.
const HEAD_BYTES: usize = 128;

/// What the daemon answered.
pub(super) struct Answer {
    /// The code of HTTP.
    pub(super) code: u16,
    pub(super) body: String,
}

/// The envelope of every answer.
#[derive(Deserialize)]
pub(super) struct Data<T> {
    pub(super) data: Vec<T>,
}

/// What became of one projection, in a sentence.
#[derive(Deserialize)]
struct Told {
    projection: String,
    detail: String,
}

/// Why it refused, as its HTTP API says so.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Problem {
    pub(super) code: String,
    status: u16,
    pub(super) detail: String,
    pub(super) hint: Option<String>,
    /// Of whom, where several answer at once.
    projection: Option<String>,
    /// Where the view stands, if that is part of it.
    pub(super) sequence: Option<u64>,
    /// What it is busy with.
    pub(super) operation: Option<u64>,
}

impl Answer {
    /// What a daemon would answer that refuses so.
    pub(super) fn of(problem: &api::problem::Problem) -> Self {
        Self { code: problem.status(), body: problem.json() }
    }

    /// The body; a refusal as the command's failure.
    pub(super) fn body(self) -> Result<String, Failure> {
        match self.code {
            200..300 => Ok(self.body),
            _ => Err(self.problem()?.failure()),
        }
    }

    /// What it refused.
    pub(super) fn problem(&self) -> Result<Problem, Failure> {
        serde_json::from_str(&self.body).map_err(|_| {
            let error = anyhow::anyhow!("the daemon answered {}: {}", self.code, self.body.trim());
            Failure::new(Kind::Internal, error)
        })
    }
}

impl Problem {
    /// How a command ends that is refused so.
    pub(super) fn failure(self) -> Failure {
        let kind = self.kind();
        let of = self.projection.map_or(String::new(), |name| format!("`{name}`: "));
        Failure::new(kind, anyhow::anyhow!("{of}{}", self.detail)).hints(self.hint)
    }

    pub(super) fn kind(&self) -> Kind {
        match (self.code.as_str(), self.status) {
            ("busy", _) => Kind::Busy,
            (_, 400 | 404) => Kind::Usage,
            (_, 409) => Kind::FoundProblems,
            (_, 422) => Kind::Configuration,
            (_, 503) => Kind::Unreachable,
            ("query-timeout", _) => Kind::FoundProblems,
            (_, 504) => Kind::TimedOut,
            (_, 507) | ("view-unreadable", _) => Kind::Io,
            _ => Kind::Internal,
        }
    }
}

/// The path of what is asked of a projection. The daemon knows which names there are, so any text is a name here.
pub(super) fn path(projection: &str, what: &str) -> String {
    format!("projections/{}/{what}", encoded(projection))
}

/// Any text as a part of a path.
pub(super) fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// Asks where only a daemon can answer.
pub(super) fn ask(
    config: &Config,
    method: &str,
    path: &str,
    timeout: Duration,
) -> Result<Answer, Failure> {
    let answer = request(&config.data_dir, method, path, timeout)?;
    answer.ok_or_else(|| no_daemon(&config.data_dir))
}

/// Asks; None if no daemon listens on this data directory.
pub(super) fn request(
    data_dir: &Path,
    method: &str,
    path: &str,
    timeout: Duration,
) -> Result<Option<Answer>, Failure> {
    if path.len() + HEAD_BYTES > serve::HEADER_BYTES_MAX {
        // The daemon would end the connection, and could hardly say why.
        let error = anyhow::anyhow!("what is asked for has {} bytes", path.len());
        let most = serve::HEADER_BYTES_MAX - HEAD_BYTES;
        return Err(
            Failure::new(Kind::Usage, error).hint(format!("the daemon takes {most} at most"))
        );
    }
    let socket = serve::socket_path(data_dir);
    let asking = || format!("ask the daemon on {}", socket.display());
    match UnixStream::connect(&socket) {
        Ok(stream) => {
            let answer = exchange(stream, method, path, timeout);
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

/// Prints what is done once it has been answered: the answer itself with `--json`, else a line a projection.
pub(super) fn print(body: &str, output: &Output) -> Result<(), Failure> {
    if output.json {
        output.line(body);
        return Ok(());
    }
    for told in read::<Data<Told>>(body)?.data {
        output.line(&format!("{}: {}", told.projection, told.detail));
    }
    Ok(())
}

/// The daemon's answer, as it is meant.
pub(super) fn read<T: DeserializeOwned>(body: &str) -> Result<T, Failure> {
    serde_json::from_str(body)
        .context("read the daemon's answer")
        .map_err(|error| Failure::new(Kind::Internal, error))
}

/// What to say where only a daemon can do it.
fn no_daemon(data_dir: &Path) -> Failure {
    let error = anyhow::anyhow!("no daemon is running on {}", data_dir.display());
    Failure::new(Kind::Unreachable, error).hint("`viewd run` starts one; without it no view moves")
}

/// The daemon closes the connection after its answer.
fn exchange(mut stream: UnixStream, method: &str, path: &str, timeout: Duration) -> Result<Answer> {
    stream.set_read_timeout(Some(timeout))?;
    let length = if method == "GET" { "" } else { "Content-Length: 0\r\n" };
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: viewd\r\n{length}Connection: close\r\n\r\n")?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    ensure!(!line.is_empty(), "it closed the connection without an answer: it may have ended");
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
