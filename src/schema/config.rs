//! The schema of `viewd.toml`: its structure, limits and defaults are those of the rules that check a file.

use serde_json::Value;

use crate::config::rule::{FORMATS, Kind, RULES, Rule};
use crate::schema::shape::{Names, Shape};
use crate::syntax;

/// The schema of the settings.
pub fn config() -> Value {
    section("").root("viewd settings")
}

/// The table at a key; its settings and tables in the order of the rules.
fn section(key: &str) -> Shape {
    let below = |word: &str| if key.is_empty() { word.to_owned() } else { format!("{key}.{word}") };
    let words = words_below(key);
    if words == ["*"] {
        return Shape::map(Names::Plain, section(&below("*"))).about(about(key));
    }
    let keys = words.into_iter().map(|word| {
        let key = below(word);
        let rule = RULES.iter().find(|rule| rule.key == key);
        (word, rule.map_or_else(|| section(&key), setting))
    });
    // The one setting without which viewd cannot work.
    let required: &[&str] = if key == "sources.*" { &["stream"] } else { &[] };
    Shape::table(keys.collect(), required).about(about(key))
}

/// The words that may follow a table's key, in the order of the rules.
fn words_below(key: &str) -> Vec<&'static str> {
    let rest = |rule: &Rule| match key {
        "" => Some(rule.key),
        _ => rule.key.strip_prefix(key)?.strip_prefix('.'),
    };
    let mut words: Vec<_> =
        RULES.iter().filter_map(rest).filter_map(|rest| rest.split('.').next()).collect();
    words.dedup();
    words
}

fn setting(rule: &Rule) -> Shape {
    let shape = match rule.kind {
        Kind::Text | Kind::Path | Kind::Expression => Shape::text(),
        Kind::Servers => Shape::list(
            Shape::pattern("^((nats|tls)://)?[^\\s/:]").example("nats://127.0.0.1:4222"),
        ),
        Kind::Stream => Shape::pattern("^[^\\s.*>/\\\\]+$").example("SHOP"),
        Kind::Subject => Shape::pattern("^[^\\s.*>]+(\\.[^\\s.*>]+)*$"),
        Kind::Format => Shape::words(&FORMATS.map(|(word, _)| (word, format_about(word)))),
        Kind::Listen => Shape::pattern("^(off|.+:[0-9]+)$").example("off"),
        Kind::Boolean => Shape::boolean(),
        Kind::Number(range) => Shape::integer(range.min, range.max),
    };
    let shape = shape.about(about(rule.key));
    match rule.default {
        Some(default) => shape.default(json(default)),
        None => shape,
    }
}

/// The value that a default is.
fn json(toml: &str) -> Value {
    let value = syntax::parse_value(toml).expect("a default is TOML");
    of(&value.kind)
}

fn of(kind: &syntax::Kind) -> Value {
    match kind {
        syntax::Kind::String(text) => Value::from(text.value.as_str()),
        syntax::Kind::Integer(Some(integer)) => Value::from(*integer),
        syntax::Kind::Boolean(boolean) => Value::from(*boolean),
        syntax::Kind::Array(elements) => elements.iter().map(|element| of(&element.kind)).collect(),
        _ => unreachable!("no default is {}", kind.describe()),
    }
}

fn format_about(word: &str) -> &'static str {
    match word {
        "auto" => "CloudEvents where a message says so, else JSON",
        "cloudevents" => "CloudEvents, structured or binary; other messages are dead letters",
        "json" => "JSON: `type` and `data` of the body, else the subject's last token and the body",
        "text" => "text: `data` is the string",
        "bytes" => "bytes: `data` is their base64",
        _ => "",
    }
}

/// What an editor says of a setting or a table.
fn about(key: &str) -> &'static str {
    ABOUT.iter().find(|(known, _)| *known == key).map_or("", |(_, about)| about)
}

const ABOUT: [(&str, &str); 43] = [
    (
        "",
        "The settings of viewd. Later ones win: default, this file, environment (VIEWD_LIMITS__HEARTBEAT_MS=1000), --set limits.heartbeat_ms=1000.",
    ),
    (
        "projections",
        "The folder of definitions: one TOML file for each projection. A relative path starts at the folder that viewd is started in.",
    ),
    ("data_dir", "Where the views are: one folder for each projection, one daemon at a time."),
    (
        "nats",
        "The NATS servers, and how to log in: one of credentials_file, nkey_file, token_file, user with password_file, or none.",
    ),
    ("nats.servers", "Tried in turn; tls:// asks for TLS."),
    ("nats.credentials_file", "A file with a JWT and its key, from `nsc generate creds`."),
    ("nats.nkey_file", "A file with a user's seed alone."),
    ("nats.token_file", "A file with a token alone."),
    ("nats.user", "The user's name, with password_file."),
    ("nats.password_file", "A file with the password alone."),
    ("nats.tls", "Certificates, and when the handshake comes."),
    ("nats.tls.ca_file", "Authorities trusted instead of the system's."),
    ("nats.tls.cert_file", "The client's certificate, for mutual TLS; with key_file."),
    ("nats.tls.key_file", "The key of the client's certificate."),
    ("nats.tls.first", "TLS before the server's greeting (`handshake_first` there)."),
    ("nats.domain", "The JetStream domain, across leaf nodes."),
    ("nats.inbox_prefix", "Where answers arrive, for accounts that allow no other subject."),
    (
        "sources",
        "Streams, and how their messages are read. Definitions name them: source = \"shop\".",
    ),
    ("sources.*", "One stream, and how its messages are read."),
    ("sources.*.stream", "The stream's name, not its subjects. Its retention must be `limits`."),
    ("sources.*.format", "How a message becomes an event."),
    (
        "sources.*.order_key",
        "jq over the event: events of one key wait behind a failed one. Left out: nothing waits.",
    ),
    (
        "sources.*.transform",
        "jq from event to event, to a list of up to 1,000 events, or to null, which drops it: for naming the type, upcasting, splitting.",
    ),
    ("http", "Health, metrics and status over HTTP."),
    ("http.listen", "The address, or \"off\" for none."),
    (
        "http.insecure_no_auth",
        "Consents to an address that others reach, though nobody there has to log in.",
    ),
    ("limits", "Bounds, each with its unit in its name."),
    (
        "limits.memory_bytes_max",
        "Bytes; one budget for queues, page caches, folds and indexes. At least 16 times event_bytes_max.",
    ),
    ("limits.event_bytes_max", "Bytes; a larger message becomes a dead letter."),
    ("limits.batch_events_max", "Events; a transaction holds at most so many."),
    ("limits.parked_events_max", "Events; more behind dead letters, and the projection fails."),
    (
        "limits.changes_keep",
        "Changes; the newest that are kept of the tables that have a full-text index or `changes = true`.",
    ),
    ("limits.query_timeout_ms", "Milliseconds; a query is cut off then."),
    (
        "limits.head_poll_ms",
        "Milliseconds; how often the stream's last sequence is asked for: lag is known as well as this.",
    ),
    (
        "limits.heartbeat_ms",
        "Milliseconds; how often an idle stream says that it is there. Two missed are a lost connection.",
    ),
    (
        "limits.backoff_ms_max",
        "Milliseconds; pauses between attempts to connect or to read again double up to this.",
    ),
    (
        "limits.stall_ms_max",
        "Milliseconds; a projection that stands still within one event or one commit for longer is reported as failed.",
    ),
    (
        "limits.search_commit_ms",
        "Milliseconds; a full-text index shows what is new at most so often.",
    ),
    (
        "limits.shutdown_timeout_ms",
        "Milliseconds; what is not finished by then is cut short, and read again after the next start.",
    ),
    ("rebuild", "When a new generation is built by itself, and how long an old one is kept."),
    (
        "rebuild.auto",
        "A changed definition is built beside the view that is served, and then served, unless something would be forgotten by it. With false only `viewd rebuild` does.",
    ),
    ("rebuild.keep_generations", "Retired generations that are kept for `viewd rollback`."),
    (
        "rebuild.retire_grace_ms",
        "Milliseconds; a retired generation that is not kept goes when nobody reads it, and after this in any case.",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Each setting and each table is told of, and nothing else.
    #[test]
    fn every_key_has_its_sentence() {
        let mut keys = vec![String::new()];
        for rule in &RULES {
            let words: Vec<&str> = rule.key.split('.').collect();
            keys.extend((1..=words.len()).map(|depth| words[..depth].join(".")));
        }
        keys.sort();
        keys.dedup();
        let mut told: Vec<String> = ABOUT.iter().map(|(key, _)| (*key).to_owned()).collect();
        told.sort();
        assert_eq!(told, keys);
        assert!(FORMATS.iter().all(|(word, _)| !format_about(word).is_empty()));
    }
}
