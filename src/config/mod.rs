//! The settings of the daemon: defaults < file < environment < flags.
//!
//! Each layer is checked alone before it is merged, since a merged value would be blamed on the
//! wrong one, and everything that is wrong in any of them is told at once. Raw settings (every
//! one optional, by its type in TOML) and checked ones are two types: past `load` nothing asks
//! again whether a setting makes sense.

mod check;
mod layer;
mod raw;
pub mod rule;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::diagnostic::{Diagnostic, Place, Source};
use crate::event::Format;
use crate::expression::Expression;

/// Where the file is looked for if nobody says where it is.
const DEFAULT_FILE: &str = "config/viewd.toml";

/// The settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of definitions. Relative paths, here and below, start at the working directory.
    pub projections: PathBuf,
    pub data_dir: PathBuf,
    pub nats: Nats,
    pub sources: BTreeMap<String, SourceSettings>,
    pub http: Http,
    pub limits: Limits,
    pub rebuild: Rebuild,
}

#[derive(Debug, Clone)]
pub struct Nats {
    /// URLs; never empty.
    pub servers: Vec<String>,
    pub login: Login,
    pub tls: Tls,
    pub domain: Option<String>,
    /// Without the final dot.
    pub inbox_prefix: Option<String>,
}

impl Nats {
    /// The servers as people may see them: no password, no token.
    pub fn shown_servers(&self) -> String {
        self.servers.iter().map(|server| value::masked(server)).collect::<Vec<_>>().join(", ")
    }
}

/// How viewd shows NATS who it is. Secrets stay in files: a setting shows up in process lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Login {
    None,
    Credentials { file: PathBuf },
    Nkey { file: PathBuf },
    Token { file: PathBuf },
    Password { user: String, password_file: PathBuf },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    pub ca_file: Option<PathBuf>,
    /// The client's certificate and its key.
    pub client: Option<ClientCertificate>,
    /// The handshake comes before the server's greeting.
    pub first: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCertificate {
    pub cert_file: PathBuf,
    pub key_file: PathBuf,
}

/// One `[sources.*]`.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    pub stream: String,
    pub format: Format,
    /// Which events stay in order behind a failed one.
    pub order_key: Option<Arc<Expression>>,
    /// From event to events, before anything else sees them.
    pub transform: Option<Arc<Expression>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Http {
    /// None: off.
    pub listen: Option<SocketAddr>,
    /// Consent to an address other than loopback without authentication.
    pub insecure_no_auth: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    pub memory_bytes_max: u64,
    pub event_bytes_max: u64,
    pub batch_events_max: usize,
    pub parked_events_max: u64,
    /// Changes of tables that are kept for who follows them, the newest.
    pub changes_keep: u64,
    pub query_timeout: Duration,
    pub head_poll: Duration,
    pub heartbeat: Duration,
    pub backoff_max: Duration,
    pub stall_max: Duration,
    /// How long a full-text index collects changes before it shows them.
    pub search_commit: Duration,
    pub shutdown_timeout: Duration,
}

/// When a new generation is built by itself, and how long an old one is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rebuild {
    /// A definition that asks for one starts one, if nothing is forgotten by it.
    pub auto: bool,
    /// Retired ones that stay for a rollback.
    pub keep_generations: usize,
    /// So long a reader may keep one that has to go.
    pub retire_grace: Duration,
}

/// The outcome of `Config::load`.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub config: Config,
    /// Every setting that has a value, in the order of the sample file, for `config show`.
    pub settings: Vec<Setting>,
    pub warnings: Vec<Diagnostic>,
}

/// One setting as it stands after merging.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Setting {
    /// With dots: `nats.servers`.
    pub key: String,
    /// As TOML, secrets masked.
    pub value: String,
    /// Where it came from: `default`, `config/viewd.toml:3`, ``environment variable `VIEWD_DATA_DIR` ``, `--set data_dir=...`.
    pub origin: String,
}

impl SourceSettings {
    /// The format as the file has it.
    pub fn format_word(&self) -> &'static str {
        value::format_word(self.format)
    }
}

impl Config {
    /// Reads and checks every layer. Without a path, the file is `config/viewd.toml`, which must
    /// exist too: without a source there is nothing to do.
    pub fn load(
        path: Option<&Path>,
        environment: impl IntoIterator<Item = (String, String)>,
        sets: &[String],
    ) -> Result<Loaded, Vec<Diagnostic>> {
        let (file, mut diagnostics) = match read(path) {
            Ok(source) => layer::file(&source),
            Err(diagnostic) => return Err(vec![diagnostic]),
        };
        let (environment, more) = layer::environment(environment);
        diagnostics.extend(more);
        let (flags, more) = layer::flags(sets);
        diagnostics.extend(more);
        if !diagnostics.is_empty() {
            return Err(diagnostics);
        }
        check::merge(vec![file, environment, flags])
    }
}

fn read(path: Option<&Path>) -> Result<Arc<Source>, Diagnostic> {
    let named = path.unwrap_or(Path::new(DEFAULT_FILE));
    let shown = named.display().to_string();
    let failed = |message: String| Diagnostic::at(Place::Outside(shown.clone()), message);
    match std::fs::read(named) {
        Ok(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Source::new(shown, text)),
            Err(_) => Err(failed(format!("`{shown}` is not text in UTF-8"))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && path.is_none() => {
            Err(failed(format!("there is no configuration at `{shown}`")).hint(
                "start viewd in the folder that holds `config`, or say --config FILE; \
                 the least that a file needs is a source: [sources.shop] and stream = \"SHOP\"",
            ))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Err(failed(format!("there is no file `{shown}`")))
        }
        Err(error) => Err(failed(format!("read `{shown}`: {error}"))),
    }
}

#[cfg(test)]
mod tests;
