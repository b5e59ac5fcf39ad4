//! One layer of settings, checked alone: the defaults, the file, the environment, or the flags.

use std::sync::Arc;

use figment::value::{Dict, Map, Value as Merged};
use figment::{Metadata, Profile, Provider};

use crate::config::rule::{self, Kind, RULES};
use crate::config::value;
use crate::diagnostic::{self, Diagnostic, Place, Source};
use crate::syntax::{self, Table, Text, Value};

/// What environment variables of settings start with.
const PREFIX: &str = "VIEWD_";

/// A layer's settings, each of which fits its rule.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) name: &'static str,
    pub(super) given: Vec<Given>,
    /// Tables of the file, with their keys: a source may be declared and have no setting.
    pub(super) sections: Vec<(String, Place)>,
}

/// One setting in one layer.
#[derive(Debug, Clone)]
pub(super) struct Given {
    pub(super) key: String,
    pub(super) value: Value,
    pub(super) place: Place,
    /// What spans of `value` count in, if it is not made up.
    pub(super) source: Option<Arc<Source>>,
}

impl Layer {
    fn new(name: &'static str) -> Self {
        Self { name, given: Vec::new(), sections: Vec::new() }
    }

    pub(super) fn find(&self, key: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.key == key)
    }
}

/// What holds where nothing is said. Those of a source come with the source.
pub(super) fn defaults(sources: &[String]) -> Layer {
    let mut layer = Layer::new("default");
    for rule in &RULES {
        let Some(default) = rule.default else { continue };
        let value = syntax::parse_value(default).expect("defaults are TOML, which a test holds");
        let keys: Vec<String> = if rule.key.contains('*') {
            sources.iter().map(|source| rule.key.replace('*', source)).collect()
        } else {
            vec![rule.key.to_owned()]
        };
        layer.given.extend(keys.into_iter().map(|key| Given {
            key,
            value: value.clone(),
            place: Place::Outside("default".to_owned()),
            source: None,
        }));
    }
    layer
}

/// The settings of the file.
pub(super) fn file(source: &Arc<Source>) -> (Layer, Vec<Diagnostic>) {
    let mut layer = Layer::new("file");
    let mut diagnostics = Vec::new();
    match syntax::parse(source) {
        Ok(root) => flatten(source, "", &root, &mut layer, &mut diagnostics),
        Err(errors) => diagnostics = errors,
    }
    (layer, diagnostics)
}

fn flatten(
    source: &Arc<Source>,
    section: &str,
    table: &Table,
    layer: &mut Layer,
    diagnostics: &mut Vec<Diagnostic>,
) {
    for entry in &table.entries {
        let key = if section.is_empty() {
            entry.key.name.clone()
        } else {
            format!("{section}.{}", entry.key.name)
        };
        let key_place = Place::file(source, entry.key.span.clone());
        // A dot in a quoted key would look like a section of its own.
        let plain = !entry.key.name.contains('.');
        match &entry.value.kind {
            syntax::Kind::Table(inner)
                if plain && rule::is_section(&key) && !rule::is_later(&key) =>
            {
                if let Err(diagnostic) = check_name(&key, &key_place) {
                    diagnostics.push(diagnostic);
                }
                layer.sections.push((key.clone(), key_place));
                flatten(source, &key, inner, layer, diagnostics);
            }
            _ if plain && rule::find(&key).is_some() => {
                let given = Given {
                    key,
                    value: entry.value.clone(),
                    place: Place::file(source, entry.value.span.clone()),
                    source: Some(Arc::clone(source)),
                };
                accept(layer, given, diagnostics);
            }
            other if plain && rule::is_section(&key) => {
                let place = Place::file(source, entry.value.span.clone());
                let message = format!("`{key}` must be a table, not {}", other.describe());
                diagnostics.push(Diagnostic::at(place, message).hint(format!("write [{key}]")));
            }
            _ => diagnostics.push(unknown(
                &key,
                section,
                &entry.key.name,
                key_place,
                "unknown setting",
            )),
        }
    }
}

/// The settings among environment variables.
pub(super) fn environment(
    variables: impl IntoIterator<Item = (String, String)>,
) -> (Layer, Vec<Diagnostic>) {
    let mut layer = Layer::new("environment");
    let mut diagnostics = Vec::new();
    let mut variables: Vec<(String, String)> = variables
        .into_iter()
        .filter(|(name, value)| name.starts_with(PREFIX) && !is_service_link(name, value))
        .collect();
    variables.sort();
    for (name, value) in variables {
        let key = name[PREFIX.len()..].to_ascii_lowercase().replace("__", ".");
        let place = format!("environment variable `{name}`");
        outside(&mut layer, &mut diagnostics, key, &value, place);
    }
    (layer, diagnostics)
}

/// The settings of `--set key=value` flags.
pub(super) fn flags(sets: &[String]) -> (Layer, Vec<Diagnostic>) {
    let mut layer = Layer::new("flag");
    let mut diagnostics = Vec::new();
    for set in sets {
        let Some((key, value)) = set.split_once('=') else {
            let place = Place::Outside(format!("flag `--set {set}`"));
            diagnostics.push(
                Diagnostic::at(place, format!("`{set}` sets nothing: there is no `=` in it"))
                    .hint("write --set key=value, such as --set nats.domain=hub"),
            );
            continue;
        };
        // The value is not shown: it may be a secret where the key is wrong.
        let place = format!("flag `--set {}=...`", key.trim());
        outside(&mut layer, &mut diagnostics, key.trim().to_owned(), value.trim(), place);
    }
    (layer, diagnostics)
}

/// Adds a setting that does not come from a file: its value is TOML, or else plain text.
fn outside(
    layer: &mut Layer,
    diagnostics: &mut Vec<Diagnostic>,
    key: String,
    text: &str,
    place: String,
) {
    let section = key.rsplit_once('.').map_or("", |(section, _)| section).to_owned();
    let Some(rule) = rule::find(&key) else {
        let last = key.rsplit('.').next().unwrap_or(&key).to_owned();
        let place = Place::Outside(place);
        diagnostics.push(if rule::is_section(&key) {
            let all: Vec<_> =
                rule::children(&key).into_iter().map(|child| format!("`{key}.{child}`")).collect();
            Diagnostic::at(place, format!("`{key}` is a section, not a setting"))
                .hint(format!("there are: {}", all.join(", ")))
        } else {
            unknown(&key, &section, &last, place, "")
        });
        return;
    };
    if let Err(diagnostic) = check_name(&section, &Place::Outside(place.clone())) {
        diagnostics.push(diagnostic);
    }
    let given = Given {
        key,
        value: value_outside(rule.kind, text),
        source: Some(Source::new(place.as_str(), text)),
        place: Place::Outside(place),
    };
    layer.given.retain(|earlier| earlier.key != given.key);
    accept(layer, given, diagnostics);
}

fn value_outside(kind: Kind, text: &str) -> Value {
    let parsed = syntax::parse_value(text);
    let plain = |text: &str| {
        let text = Text::plain(text);
        Value { span: text.span.clone(), kind: syntax::Kind::String(text) }
    };
    match (kind, parsed) {
        (Kind::Boolean | Kind::Number(_), Some(value)) => value,
        (Kind::Servers, Some(value)) if matches!(value.kind, syntax::Kind::Array(_)) => value,
        // As NATS' own tools have it: URLs with commas between.
        (Kind::Servers, _) => {
            let urls = text.split(',').map(|url| plain(url.trim())).collect();
            Value { kind: syntax::Kind::Array(urls), span: 0..text.len() }
        }
        (_, Some(value)) if matches!(value.kind, syntax::Kind::String(_)) => value,
        _ => plain(text),
    }
}

fn accept(layer: &mut Layer, given: Given, diagnostics: &mut Vec<Diagnostic>) {
    let rule = rule::find(&given.key).expect("only keys with a rule are given");
    match value::check(rule, &given) {
        Ok(()) => layer.given.push(given),
        Err(diagnostic) => diagnostics.push(*diagnostic),
    }
}

/// Checks the name of a source, given the key of a section.
fn check_name(section: &str, place: &Place) -> Result<(), Diagnostic> {
    match section.strip_prefix("sources.") {
        Some(name) if !syntax::is_plain_name(name) => {
            let message = format!("`{name}` cannot be the name of a source");
            Err(Diagnostic::at(place.clone(), message)
                .hint("lower-case letters, digits and `_`, a letter first, 63 at most"))
        }
        _ => Ok(()),
    }
}

fn unknown(key: &str, section: &str, last: &str, place: Place, label: &str) -> Diagnostic {
    if rule::is_later(key) {
        let message = format!("`{key}` is not supported by this version of viewd");
        return Diagnostic {
            label: "not supported yet".to_owned(),
            ..Diagnostic::at(place, message)
        };
    }
    let children = rule::children(section);
    let diagnostic = Diagnostic {
        label: label.to_owned(),
        ..Diagnostic::at(place, format!("unknown setting `{key}`"))
    };
    if let Some(hint) = secret_hint(last) {
        return diagnostic.hint(hint);
    }
    // A setting written in the wrong section is found by its own name.
    let elsewhere = RULES.iter().find(|rule| rule.key.rsplit('.').next() == Some(last));
    match (elsewhere, diagnostic::did_you_mean(last, children)) {
        (Some(rule), _) => {
            diagnostic.hint(format!("did you mean `{}`?", rule.key.replace('*', "<name>")))
        }
        (None, Some(hint)) => diagnostic.hint(hint),
        (None, None) => diagnostic,
    }
}

fn secret_hint(name: &str) -> Option<String> {
    ["password", "token"].contains(&name).then(|| {
        format!("secrets stay in files, as settings show up in process lists: put it in one and set `nats.{name}_file`")
    })
}

/// Kubernetes gives every pod variables for each service of its namespace: a service called
/// `viewd` makes ones that look like ours, and that nobody wrote.
fn is_service_link(name: &str, value: &str) -> bool {
    let rest = &name[PREFIX.len()..];
    rest == "SERVICE_HOST"
        || rest.starts_with("SERVICE_PORT")
        || (rest == "PORT" && value.contains("://"))
        || (rest.starts_with("PORT_") && rest.as_bytes().get(5).is_some_and(u8::is_ascii_digit))
}

/// For figment, which merges the layers.
impl Provider for &Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut root = Dict::new();
        for (section, _) in &self.sections {
            table_at(&mut root, section);
        }
        for given in &self.given {
            let (section, last) = given.key.rsplit_once('.').unwrap_or(("", &given.key));
            table_at(&mut root, section).insert(last.to_owned(), merged(&given.value));
        }
        Ok(Profile::Default.collect(root))
    }
}

/// The table of a section, made if it is not there.
fn table_at<'a>(root: &'a mut Dict, section: &str) -> &'a mut Dict {
    let mut table = root;
    for word in section.split('.').filter(|word| !word.is_empty()) {
        let inner = table.entry(word.to_owned()).or_insert_with(|| Merged::from(Dict::new()));
        let Merged::Dict(_, inner) = inner else {
            unreachable!("no setting's key is the start of another's, which a test holds")
        };
        table = inner;
    }
    table
}

fn merged(value: &Value) -> Merged {
    match &value.kind {
        syntax::Kind::String(text) => Merged::from(text.value.as_str()),
        syntax::Kind::Integer(integer) => Merged::from(integer.unwrap_or_default()),
        syntax::Kind::Boolean(boolean) => Merged::from(*boolean),
        syntax::Kind::Array(elements) => {
            Merged::from(elements.iter().map(merged).collect::<Vec<_>>())
        }
        // No rule takes any of these.
        syntax::Kind::Float(text) | syntax::Kind::Datetime(text) => Merged::from(text.as_str()),
        syntax::Kind::Table(_) => Merged::from(Dict::new()),
    }
}
