//! Every setting that there is: its key, what it may be, and its default.
//!
//! The one list that the checks of a layer, the defaults, `config show` and the test of the sample
//! file go by: a setting is added here, to `raw`, and to the checked types.

use crate::event::Format;

/// What a setting may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any text but the empty one.
    Text,
    Path,
    /// A list of server URLs.
    Servers,
    /// The name of a stream.
    Stream,
    /// The start of subjects: words with dots between.
    Subject,
    Format,
    /// jq.
    Expression,
    /// An address with a port, or `off`.
    Listen,
    Boolean,
    Number(Range),
}

/// The values that a number may have, and why no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    pub min: i64,
    pub max: i64,
    /// Ends a sentence after `; `.
    pub why: &'static str,
}

#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// With dots; `*` stands for the name of a source.
    pub key: &'static str,
    pub kind: Kind,
    /// As TOML.
    pub default: Option<&'static str>,
}

const KIB: i64 = 1_024;
const MIB: i64 = 1_024 * KIB;
const MINUTE_MS: i64 = 60_000;

/// The words of `format`.
pub const FORMATS: [(&str, Format); 5] = [
    ("auto", Format::Auto),
    ("cloudevents", Format::CloudEvents),
    ("json", Format::Json),
    ("text", Format::Text),
    ("bytes", Format::Bytes),
];

/// In the order of the sample file.
pub const RULES: [Rule; 35] = [
    rule("projections", Kind::Path, Some("\"projections\"")),
    rule("data_dir", Kind::Path, Some("\"data\"")),
    rule("nats.servers", Kind::Servers, Some("[\"nats://127.0.0.1:4222\"]")),
    rule("nats.credentials_file", Kind::Path, None),
    rule("nats.nkey_file", Kind::Path, None),
    rule("nats.token_file", Kind::Path, None),
    rule("nats.user", Kind::Text, None),
    rule("nats.password_file", Kind::Path, None),
    rule("nats.tls.ca_file", Kind::Path, None),
    rule("nats.tls.cert_file", Kind::Path, None),
    rule("nats.tls.key_file", Kind::Path, None),
    rule("nats.tls.first", Kind::Boolean, Some("false")),
    rule("nats.domain", Kind::Subject, None),
    rule("nats.inbox_prefix", Kind::Subject, None),
    rule("sources.*.stream", Kind::Stream, None),
    rule("sources.*.format", Kind::Format, Some("\"auto\"")),
    rule("sources.*.order_key", Kind::Expression, None),
    rule("sources.*.transform", Kind::Expression, None),
    rule("http.listen", Kind::Listen, Some("\"127.0.0.1:8420\"")),
    rule("http.insecure_no_auth", Kind::Boolean, Some("false")),
    number(
        "limits.memory_bytes_max",
        "268435456",
        64 * MIB,
        1_048_576 * MIB,
        "with less, queues, caches and folds have no room to work",
    ),
    number(
        "limits.event_bytes_max",
        "8388608",
        KIB,
        64 * MIB,
        "64 MiB is the most that a NATS server takes as one message",
    ),
    number(
        "limits.batch_events_max",
        "10000",
        1,
        1_000_000,
        "a batch is one transaction, and readers see nothing of it before its end",
    ),
    number(
        "limits.parked_events_max",
        "100000",
        0,
        100_000_000,
        "each one is kept whole, in the view's own file",
    ),
    number(
        "limits.changes_keep",
        "100000",
        0,
        100_000_000,
        "each one is a row in the view's own file",
    ),
    number(
        "limits.query_timeout_ms",
        "2000",
        10,
        10 * MINUTE_MS,
        "while a query reads, the file's log cannot shrink",
    ),
    number("limits.head_poll_ms", "2000", 100, MINUTE_MS, "lag is known no better than this"),
    number(
        "limits.heartbeat_ms",
        "5000",
        100,
        MINUTE_MS,
        "NATS sends none faster, and a dead connection is noticed after two",
    ),
    number(
        "limits.backoff_ms_max",
        "5000",
        50,
        10 * MINUTE_MS,
        "the pauses begin at 50 ms, and what came back is noticed only after one",
    ),
    number(
        "limits.stall_ms_max",
        "60000",
        1_000,
        60 * MINUTE_MS,
        "a disk may take a second, and after an hour nobody waits for it any more",
    ),
    number(
        "limits.search_commit_ms",
        "500",
        50,
        MINUTE_MS,
        "each commit of an index costs some ten milliseconds, and what is new is not found until the next",
    ),
    number(
        "limits.shutdown_timeout_ms",
        "20000",
        100,
        10 * MINUTE_MS,
        "what is not finished by then is read again after the next start",
    ),
    rule("rebuild.auto", Kind::Boolean, Some("true")),
    number("rebuild.keep_generations", "1", 0, 100, "each one is a whole view on the disk"),
    number(
        "rebuild.retire_grace_ms",
        "3600000",
        0,
        30 * 24 * 60 * MINUTE_MS,
        "it bounds how long a reader that never closes its file keeps a retired view on the disk",
    ),
];

/// Settings that the design has and that nothing obeys yet: refused, so that nobody relies on them.
pub(super) const LATER: [&str; 7] = [
    "http.tls",
    "http.read_tokens_file",
    "http.admin_tokens_file",
    "http.cors_origins",
    "http.metrics_listen",
    "limits.page_rows_max",
    "data_mode",
];

const fn rule(key: &'static str, kind: Kind, default: Option<&'static str>) -> Rule {
    Rule { key, kind, default }
}

const fn number(
    key: &'static str,
    default: &'static str,
    min: i64,
    max: i64,
    why: &'static str,
) -> Rule {
    rule(key, Kind::Number(Range { min, max, why }), Some(default))
}

/// The rule of a setting, by its key with the source's name in it.
pub(super) fn find(key: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| matches(rule.key, key))
}

/// Whether a key is that of a section: a rule's key goes on after it.
pub(super) fn is_section(key: &str) -> bool {
    RULES.iter().any(|rule| {
        let depth = key.split('.').count();
        let words: Vec<&str> = rule.key.split('.').collect();
        words.len() > depth && matches(&words[..depth].join("."), key)
    })
}

/// Whether a key is one of the settings to come, or below one.
pub(super) fn is_later(key: &str) -> bool {
    LATER.iter().any(|later| {
        let depth = later.split('.').count();
        let words: Vec<&str> = key.split('.').take(depth).collect();
        matches(later, &words.join("."))
    })
}

/// The words that may follow a section's key.
pub(super) fn children(section: &str) -> Vec<&'static str> {
    let depth = if section.is_empty() { 0 } else { section.split('.').count() };
    let mut children: Vec<&str> = RULES
        .iter()
        .filter(|rule| {
            let words: Vec<&str> = rule.key.split('.').take(depth).collect();
            matches(&words.join("."), section)
        })
        .filter_map(|rule| rule.key.split('.').nth(depth))
        .collect();
    children.dedup();
    children
}

fn matches(pattern: &str, key: &str) -> bool {
    let (mut pattern, mut key) = (pattern.split('.'), key.split('.'));
    loop {
        match (pattern.next(), key.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_sections() {
        assert!(find("sources.shop.stream").is_some());
        assert!(find("sources.shop").is_none());
        for (key, expected) in [
            ("nats", true),
            ("nats.tls", true),
            ("sources.shop", true),
            ("nats.servers", false),
            ("nats.tsl", false),
            ("rebuild", true),
        ] {
            assert_eq!(is_section(key), expected, "{key}");
        }
        for (key, expected) in [
            ("rebuild.auto", false),
            ("data_mode", true),
            ("http.tls.cert_file", true),
            ("sources.shop.transform", false),
            ("http", false),
            ("sources.shop", false),
        ] {
            assert_eq!(is_later(key), expected, "{key}");
        }
        assert_eq!(children("http"), ["listen", "insecure_no_auth"]);
        assert_eq!(children("sources.x"), ["stream", "format", "order_key", "transform"]);
        assert_eq!(
            children(""),
            ["projections", "data_dir", "nats", "sources", "http", "limits", "rebuild"]
        );
    }
}
