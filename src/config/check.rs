//! Merges the layers and makes checked settings of them: what only the whole can tell.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use figment::Figment;

use crate::config::layer::{self, Given, Layer};
use crate::config::rule::{self, RULES};
use crate::config::{
    ClientCertificate, Config, Http, Limits, Loaded, Login, Nats, Rebuild, Setting, SourceSettings,
    Tls, raw, value,
};
use crate::diagnostic::{Diagnostic, Place};
use crate::event::Format;
use crate::expression::{Expression, Scope};
use crate::syntax::Kind;

/// The reader's queue is an eighth of the memory, and needs room for two events to flow.
const MEMORY_PER_EVENT_BYTES: u64 = 16;

/// A `transform` reads the message and writes its events, and one evaluation makes 16 MiB of text at most.
const TRANSFORMED_BYTES_MAX: u64 = 8 << 20;

/// Merges checked layers, later ones winning.
pub(super) fn merge(layers: Vec<Layer>) -> Result<Loaded, Vec<Diagnostic>> {
    let sources = source_names(&layers);
    let mut all = vec![layer::defaults(&sources)];
    all.extend(layers);
    let figment = all.iter().fold(Figment::new(), |figment, layer| figment.merge(layer));
    let settings: raw::Settings = figment.extract().map_err(|error| {
        // Each layer fits the rules alone, so that this is a mistake of ours.
        vec![Diagnostic::at(Place::Outside("configuration".to_owned()), error.to_string())]
    })?;
    let whole = Whole { figment, layers: all };
    let mut check = Check { whole: &whole, diagnostics: Vec::new() };
    let config = check.config(settings);
    match config {
        Some(config) if check.diagnostics.is_empty() => {
            Ok(Loaded { config, settings: whole.settings(&sources), warnings: Vec::new() })
        }
        _ => Err(check.diagnostics),
    }
}

/// The names under `sources` in any layer, in the order in which they first appear.
fn source_names(layers: &[Layer]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for layer in layers {
        let keys = layer.sections.iter().map(|(section, _)| section.as_str());
        for key in keys.chain(layer.given.iter().map(|given| given.key.as_str())) {
            let Some(rest) = key.strip_prefix("sources.") else { continue };
            let name = rest.split('.').next().unwrap_or(rest);
            if !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// The layers and what they merge to.
struct Whole {
    figment: Figment,
    layers: Vec<Layer>,
}

impl Whole {
    /// What set a key in the end.
    fn winner(&self, key: &str) -> Option<&Given> {
        // figment tags a value with the layer that it came from; a section that several layers
        // share bears the last one's tag, so only values are ever asked for.
        let layer = self.figment.find_metadata(key)?.name.as_ref();
        self.layers.iter().find(|candidate| candidate.name == layer)?.find(key)
    }

    fn place(&self, key: &str) -> Place {
        let section = || {
            let sections = self.layers.iter().flat_map(|layer| &layer.sections);
            sections
                .rev()
                .find(|(section, _)| key.starts_with(&format!("{section}.")))
                .map(|(_, place)| place)
        };
        let below = || {
            let section = key.rsplit_once('.').map_or("", |(section, _)| section);
            let given = self.layers.iter().skip(1).flat_map(|layer| &layer.given);
            given
                .rev()
                .find(|given| given.key.starts_with(&format!("{section}.")))
                .map(|given| &given.place)
        };
        self.winner(key)
            .map(|given| &given.place)
            .or_else(section)
            .or_else(below)
            .cloned()
            .unwrap_or_else(|| Place::Outside("configuration".to_owned()))
    }

    fn settings(&self, sources: &[String]) -> Vec<Setting> {
        let mut settings = Vec::new();
        let mut sources_shown = false;
        for rule in &RULES {
            if !rule.key.contains('*') {
                settings.extend(self.setting(rule.key.to_owned(), rule.kind));
            } else if !sources_shown {
                sources_shown = true;
                for source in sources {
                    let rules = RULES.iter().filter(|rule| rule.key.contains('*'));
                    settings.extend(
                        rules.filter_map(|rule| {
                            self.setting(rule.key.replace('*', source), rule.kind)
                        }),
                    );
                }
            }
        }
        settings
    }

    fn setting(&self, key: String, kind: rule::Kind) -> Option<Setting> {
        let given = self.winner(&key)?;
        let value = value::show(kind, &given.value);
        Some(Setting { value, origin: given.place.describe(), key })
    }
}

struct Check<'a> {
    whole: &'a Whole,
    diagnostics: Vec<Diagnostic>,
}

impl Check<'_> {
    fn error(&mut self, key: &str, message: String, hint: &str) {
        let diagnostic = Diagnostic::at(self.whole.place(key), message);
        self.diagnostics.push(if hint.is_empty() { diagnostic } else { diagnostic.hint(hint) });
    }

    fn config(&mut self, raw: raw::Settings) -> Option<Config> {
        let login = self.login(&raw.nats);
        let tls = self.tls(&raw.nats.tls);
        let sources: BTreeMap<_, _> = raw
            .sources
            .into_iter()
            .filter_map(|(name, source)| Some((name.clone(), self.source(&name, source)?)))
            .collect();
        let http = self.http(&raw.http);
        let limits = self.limits(&raw.limits)?;
        let rebuild = rebuild(&raw.rebuild)?;
        self.transformed(&sources, limits.event_bytes_max);
        Some(Config {
            projections: raw.projections?,
            data_dir: raw.data_dir?,
            nats: Nats {
                servers: raw.nats.servers?,
                login,
                tls,
                domain: raw.nats.domain,
                inbox_prefix: raw.nats.inbox_prefix,
            },
            sources,
            http,
            limits,
            rebuild,
        })
    }

    fn login(&mut self, nats: &raw::Nats) -> Login {
        let ways = [
            ("nats.credentials_file", nats.credentials_file.is_some()),
            ("nats.nkey_file", nats.nkey_file.is_some()),
            ("nats.token_file", nats.token_file.is_some()),
            ("nats.user", nats.user.is_some()),
        ];
        let mut given = ways.into_iter().filter(|(_, given)| *given).map(|(key, _)| key);
        if let (Some(first), Some(second)) = (given.next(), given.next()) {
            let message =
                format!("`{first}` and `{second}` are two ways to log in, and NATS takes one");
            self.error(second, message, "leave one out");
        }
        let file = |path: &Option<PathBuf>| path.clone();
        if let Some(file) = file(&nats.credentials_file) {
            return Login::Credentials { file };
        }
        if let Some(file) = file(&nats.nkey_file) {
            return Login::Nkey { file };
        }
        if let Some(file) = file(&nats.token_file) {
            return Login::Token { file };
        }
        match (nats.user.clone(), nats.password_file.clone()) {
            (Some(user), Some(password_file)) => return Login::Password { user, password_file },
            (Some(_), None) => {
                let message = "`nats.user` needs `nats.password_file`".to_owned();
                self.error(
                    "nats.user",
                    message,
                    "put the password alone into a file and name it there",
                );
            }
            (None, Some(_)) => {
                let message = "`nats.password_file` needs `nats.user`".to_owned();
                self.error("nats.password_file", message, "");
            }
            (None, None) => {}
        }
        Login::None
    }

    fn tls(&mut self, tls: &raw::Tls) -> Tls {
        let client = match (tls.cert_file.clone(), tls.key_file.clone()) {
            (Some(cert_file), Some(key_file)) => Some(ClientCertificate { cert_file, key_file }),
            (Some(_), None) => {
                self.error(
                    "nats.tls.cert_file",
                    "`nats.tls.cert_file` needs `nats.tls.key_file`".to_owned(),
                    "",
                );
                None
            }
            (None, Some(_)) => {
                self.error(
                    "nats.tls.key_file",
                    "`nats.tls.key_file` needs `nats.tls.cert_file`".to_owned(),
                    "",
                );
                None
            }
            (None, None) => None,
        };
        Tls { ca_file: tls.ca_file.clone(), client, first: tls.first.unwrap_or_default() }
    }

    fn source(&mut self, name: &str, source: raw::Source) -> Option<SourceSettings> {
        let key = format!("sources.{name}.stream");
        let Some(stream) = source.stream else {
            self.error(
                &key,
                format!("source `{name}` does not say which stream it reads"),
                "write stream = \"NAME\" in it",
            );
            return None;
        };
        let format = source.format.as_deref().and_then(value::format).unwrap_or(Format::Auto);
        let order_key = self.expression(&format!("sources.{name}.order_key"), Scope::EVENT);
        let transform = self.expression(&format!("sources.{name}.transform"), Scope::TRANSFORM);
        Some(SourceSettings { stream, format, order_key, transform })
    }

    /// Compiled where it stands, so that what is wrong in it is told with the rest.
    fn expression(&mut self, key: &str, scope: Scope<'_>) -> Option<Arc<Expression>> {
        let given = self.whole.winner(key)?;
        let (Kind::String(text), Some(source)) = (&given.value.kind, &given.source) else {
            return None;
        };
        match Expression::compile(&text.value, scope) {
            Ok(expression) => Some(Arc::new(expression)),
            Err(error) => {
                self.diagnostics.push(error.diagnostic(source, text));
                None
            }
        }
    }

    /// A message that no `transform` can read is a dead letter, whatever its limit says.
    fn transformed(&mut self, sources: &BTreeMap<String, SourceSettings>, event_bytes_max: u64) {
        let source = sources.iter().find(|(_, source)| source.transform.is_some());
        let Some((name, _)) = source else { return };
        if event_bytes_max > TRANSFORMED_BYTES_MAX {
            let message = format!(
                "`limits.event_bytes_max` is {event_bytes_max}, but source `{name}` has a `transform`, which takes \
                 messages of {TRANSFORMED_BYTES_MAX} bytes at most: one evaluation makes 16 MiB of text"
            );
            self.error("limits.event_bytes_max", message, "set it to 8388608, or leave it out");
        }
    }

    fn http(&mut self, http: &raw::Http) -> Http {
        let listen = http.listen.as_deref().and_then(|text| value::listen(text).ok()).flatten();
        let insecure_no_auth = http.insecure_no_auth.unwrap_or_default();
        if let Some(address) =
            listen.filter(|address| !address.ip().is_loopback() && !insecure_no_auth)
        {
            self.error(
                "http.listen",
                format!(
                    "`http.listen` is {address}, where others reach it, and nobody has to log in"
                ),
                "listen at 127.0.0.1 behind a proxy, or consent with http.insecure_no_auth = true",
            );
        }
        Http { listen, insecure_no_auth }
    }

    /// None only if a default is missing, which a test rules out.
    fn limits(&mut self, limits: &raw::Limits) -> Option<Limits> {
        let (memory_bytes_max, event_bytes_max) =
            (limits.memory_bytes_max?, limits.event_bytes_max?);
        let needed = event_bytes_max.saturating_mul(MEMORY_PER_EVENT_BYTES);
        if memory_bytes_max < needed {
            // Blame what somebody wrote.
            let keys = ["limits.event_bytes_max", "limits.memory_bytes_max"];
            let said = |key: &&str| {
                self.whole.layers.iter().skip(1).any(|layer| layer.find(key).is_some())
            };
            let key = keys.into_iter().find(said).unwrap_or(keys[0]);
            let message = format!(
                "`limits.memory_bytes_max` is {memory_bytes_max}, too little for events of {event_bytes_max} bytes \
                 (`limits.event_bytes_max`): at least {needed}, 16 times as much, is needed"
            );
            self.error(
                key,
                message,
                "an eighth of the memory is the reader's queue, which holds two events at least",
            );
        }
        Some(Limits {
            memory_bytes_max,
            event_bytes_max,
            batch_events_max: limits.batch_events_max?,
            parked_events_max: limits.parked_events_max?,
            changes_keep: limits.changes_keep?,
            query_timeout: Duration::from_millis(limits.query_timeout_ms?),
            head_poll: Duration::from_millis(limits.head_poll_ms?),
            heartbeat: Duration::from_millis(limits.heartbeat_ms?),
            backoff_max: Duration::from_millis(limits.backoff_ms_max?),
            stall_max: Duration::from_millis(limits.stall_ms_max?),
            search_commit: Duration::from_millis(limits.search_commit_ms?),
            shutdown_timeout: Duration::from_millis(limits.shutdown_timeout_ms?),
        })
    }
}

/// None only if a default is missing, which a test rules out.
fn rebuild(rebuild: &raw::Rebuild) -> Option<Rebuild> {
    Some(Rebuild {
        auto: rebuild.auto?,
        keep_generations: rebuild.keep_generations?,
        retire_grace: Duration::from_millis(rebuild.retire_grace_ms?),
    })
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    #[test]
    fn a_transform_bounds_its_messages() {
        for (limit, transform, expected) in [
            (8_388_608, "transform = '.'", ""),
            (8_388_609, "", ""),
            (8_388_609, "transform = '.'", "source `a` has a `transform`"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("viewd.toml");
            let limits = format!("limits.event_bytes_max = {limit}");
            let text = format!("{limits}\n[sources.a]\nstream = 'A'\n{transform}\n");
            std::fs::write(&path, text).unwrap();
            match Config::load(Some(&path), std::iter::empty(), &[]) {
                Ok(_) => assert_eq!(expected, "", "{limit} {transform}"),
                Err(errors) => {
                    let [error] = errors.as_slice() else { panic!("{errors:?}") };
                    assert!(!expected.is_empty() && error.message.contains(expected), "{error:?}");
                }
            }
        }
    }
}
