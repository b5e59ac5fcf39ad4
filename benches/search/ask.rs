//! A client of the admin socket: one connection, one question after another.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::measure::daemon::PATIENCE;

pub struct Client(BufReader<UnixStream>);

impl Client {
    pub fn connect(socket: &Path) -> Result<Self> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// What a GET of a path answers; an error if it is not 200.
    pub fn get(&mut self, path: &str) -> Result<Value> {
        let (code, body) = self.ask(path)?;
        ensure!(code == 200, "{path}: {code} {body}");
        Ok(serde_json::from_str(&body)?)
    }

    /// Code and body.
    pub fn ask(&mut self, path: &str) -> Result<(u16, String)> {
        write!(self.0.get_mut(), "GET {path} HTTP/1.1\r\nHost: viewd\r\n\r\n")?;
        let mut line = String::new();
        self.0.read_line(&mut line)?;
        let code = line.split(' ').nth(1).context("a status line")?.parse()?;
        let mut length = None;
        loop {
            line.clear();
            ensure!(self.0.read_line(&mut line)? > 0, "the connection was closed");
            if line == "\r\n" {
                break;
            }
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = Some(value.trim().parse()?);
            }
        }
        let mut body = vec![0; length.context("a length")?];
        self.0.read_exact(&mut body)?;
        Ok((code, String::from_utf8(body)?))
    }
}

/// A value in a query string.
pub fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                text.push(char::from(byte));
            }
            _ => text.push_str(&format!("%{byte:02X}")),
        }
    }
    text
}
