//! The settings as they are merged: every one optional, by its type in TOML. `check` makes a
//! `Config` of them.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Settings {
    pub(super) projections: Option<PathBuf>,
    pub(super) data_dir: Option<PathBuf>,
    pub(super) nats: Nats,
    pub(super) sources: BTreeMap<String, Source>,
    pub(super) http: Http,
    pub(super) limits: Limits,
    pub(super) rebuild: Rebuild,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Nats {
    pub(super) servers: Option<Vec<String>>,
    pub(super) credentials_file: Option<PathBuf>,
    pub(super) nkey_file: Option<PathBuf>,
    pub(super) token_file: Option<PathBuf>,
    pub(super) user: Option<String>,
    pub(super) password_file: Option<PathBuf>,
    pub(super) tls: Tls,
    pub(super) domain: Option<String>,
    pub(super) inbox_prefix: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Tls {
    pub(super) ca_file: Option<PathBuf>,
    pub(super) cert_file: Option<PathBuf>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) first: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Source {
    pub(super) stream: Option<String>,
    pub(super) format: Option<String>,
    pub(super) order_key: Option<String>,
    pub(super) transform: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Http {
    pub(super) listen: Option<String>,
    pub(super) insecure_no_auth: Option<bool>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Limits {
    pub(super) memory_bytes_max: Option<u64>,
    pub(super) event_bytes_max: Option<u64>,
    pub(super) batch_events_max: Option<usize>,
    pub(super) parked_events_max: Option<u64>,
    pub(super) changes_keep: Option<u64>,
    pub(super) query_timeout_ms: Option<u64>,
    pub(super) head_poll_ms: Option<u64>,
    pub(super) heartbeat_ms: Option<u64>,
    pub(super) backoff_ms_max: Option<u64>,
    pub(super) stall_ms_max: Option<u64>,
    pub(super) search_commit_ms: Option<u64>,
    pub(super) shutdown_timeout_ms: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Rebuild {
    pub(super) auto: Option<bool>,
    pub(super) keep_generations: Option<usize>,
    pub(super) retire_grace_ms: Option<u64>,
}
