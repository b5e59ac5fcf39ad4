//! One reading of a stream, by a process of its own.

use anyhow::{Context, Result, bail};

use crate::measure::{raw, value};
use crate::viewd;

/// What a role is told.
#[derive(Clone, Debug)]
pub struct Arguments {
    pub role: String,
    pub server: String,
    pub stream: String,
    pub messages: u64,
    /// For what a role stores.
    pub folder: String,
}

/// What a role says when it has read everything.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// From before the connection was opened to the last message.
    pub seconds: f64,
    pub messages: u64,
}

/// Plays the role that the command line names, if it names one.
pub fn play(arguments: &[String]) -> Result<Option<Read>> {
    let Some(role) = value(arguments, "--role") else { return Ok(None) };
    let told = |name: &str| value(arguments, name).map(str::to_owned).context(name.to_owned());
    let told = Arguments {
        role: role.to_owned(),
        server: told("--server")?,
        stream: told("--stream")?,
        messages: told("--messages")?.parse()?,
        folder: told("--folder")?,
    };
    let read = match role.split(['/', ':']).next() {
        Some("pull" | "inbox" | "push") => {
            let Arguments { role, server, stream, messages, .. } = &told;
            Read { seconds: raw::read(role, server, stream, *messages)?, messages: *messages }
        }
        Some("reader") => viewd::reader(&told)?,
        Some("worker") => viewd::worker(&told)?,
        _ => bail!("unknown role {role}"),
    };
    Ok(Some(read))
}
