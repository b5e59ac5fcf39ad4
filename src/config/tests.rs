use super::*;

use crate::diagnostic::render;

const SAMPLE: &str = include_str!("../../config/viewd.toml");

/// Loads a file's text with environment variables and flags, each written `key=value`.
fn load(file: &str, environment: &[&str], sets: &[&str]) -> Result<Loaded, Vec<Diagnostic>> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("viewd.toml");
    std::fs::write(&path, file).expect("write the file");
    let environment = environment.iter().map(|pair| {
        let (name, value) = pair.split_once('=').expect("name=value");
        (name.to_owned(), value.to_owned())
    });
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_owned()).collect();
    Config::load(Some(&path), environment, &sets)
}

/// The place (without folders), message and hint of each error.
#[track_caller]
fn errors(file: &str, environment: &[&str], sets: &[&str]) -> String {
    let diagnostics = load(file, environment, sets).expect_err("should be refused");
    let line = |diagnostic: &Diagnostic| {
        let place = diagnostic.place.describe();
        let place = place.rsplit('/').next().unwrap_or_default();
        let column = diagnostic.start().map_or(String::new(), |at| format!(":{}", at.column));
        let hint = diagnostic.hint.as_ref().map_or(String::new(), |hint| format!(" ({hint})"));
        format!("{place}{column}: {}{hint}\n", diagnostic.message)
    };
    diagnostics.iter().map(line).collect()
}

#[track_caller]
fn setting<'a>(loaded: &'a Loaded, key: &str) -> (&'a str, &'a str) {
    let setting = loaded.settings.iter().find(|setting| setting.key == key);
    let setting = setting.unwrap_or_else(|| panic!("no setting {key}"));
    let origin = setting.origin.rsplit('/').next().unwrap_or_default();
    (setting.value.as_str(), origin)
}

#[test]
fn later_layers_win_and_each_value_names_its_own() {
    let file = "data_dir = \"a\"\n[nats]\ndomain = \"hub\"\nservers = [\"nats://u:p@h:4222\"]\n[sources.shop]\nstream = \"SHOP\"\n";
    let loaded = load(
        file,
        &[
            "VIEWD_DATA_DIR=b",
            "VIEWD_NATS__INBOX_PREFIX=_x",
            "OTHER=1",
            "VIEWD_LIMITS__HEARTBEAT_MS=1000",
        ],
        &["data_dir=c", "sources.shop.format=json", "limits.heartbeat_ms=2000"],
    )
    .unwrap_or_else(|errors| panic!("{}", render(&errors, false)));
    let config = &loaded.config;
    assert_eq!(config.data_dir, Path::new("c"));
    assert_eq!(config.projections, Path::new("projections"));
    assert_eq!(config.limits.heartbeat, Duration::from_secs(2));
    assert_eq!(config.sources["shop"].format, Format::Json);
    assert_eq!(config.nats.servers, ["nats://u:p@h:4222"]);
    for (key, value, origin) in [
        ("data_dir", "\"c\"", "flag `--set data_dir=...`"),
        ("projections", "\"projections\"", "default"),
        ("nats.domain", "\"hub\"", "viewd.toml:3"),
        ("nats.servers", "[\"nats://***@h:4222\"]", "viewd.toml:4"),
        ("nats.inbox_prefix", "\"_x\"", "environment variable `VIEWD_NATS__INBOX_PREFIX`"),
        ("sources.shop.format", "\"json\"", "flag `--set sources.shop.format=...`"),
        ("sources.shop.stream", "\"SHOP\"", "viewd.toml:6"),
        ("limits.heartbeat_ms", "2000", "flag `--set limits.heartbeat_ms=...`"),
    ] {
        assert_eq!(setting(&loaded, key), (value, origin), "{key}");
    }
}

#[test]
fn outside_a_file_values_are_toml_or_else_text() {
    let sets = [
        "nats.servers=nats://a:1, nats://b:2",
        "sources.a.stream=2013",
        "sources.a.order_key=.tokens[1]",
        "sources.b.stream=\"B\"",
        "http.listen=off",
        "nats.tls.first=true",
    ];
    let loaded = load("", &[], &sets).unwrap_or_else(|errors| panic!("{}", render(&errors, false)));
    assert_eq!(loaded.config.nats.servers, ["nats://a:1", "nats://b:2"]);
    assert_eq!(loaded.config.sources["a"].stream, "2013");
    assert_eq!(loaded.config.sources["b"].stream, "B");
    assert_eq!(loaded.config.http.listen, None);
    assert!(loaded.config.nats.tls.first);
    let order_key = loaded.config.sources["a"].order_key.as_ref().expect("was set");
    assert_eq!(order_key.text(), ".tokens[1]");
    let loaded = load("", &[], &["nats.servers=[\"nats://a:1\"]"]).expect("is right");
    assert_eq!(loaded.config.nats.servers, ["nats://a:1"]);
}

#[test]
fn expressions_are_compiled_where_they_stand() {
    let file = "[sources.a]\nstream = \"A\"\norder_key = \".tokens[1]\"\n\
                transform = \'\'\'\nif .type == \"A\" then .data.n //= 1 end\n\'\'\'\n";
    let loaded = load(file, &[], &[]).unwrap_or_else(|errors| panic!("{}", render(&errors, false)));
    let source = &loaded.config.sources["a"];
    assert_eq!(source.order_key.as_ref().expect("was set").text(), ".tokens[1]");
    assert!(source.transform.as_ref().expect("was set").text().starts_with("if .type"));

    // An assignment belongs into a transform alone; each error points into its own text.
    let wrong = "[sources.a]\nstream = \"A\"\norder_key = \".x = 1\"\n\
                 transform = \'\'\'\n.data\n| lenght\n\'\'\'\n[sources.b]\n";
    let found = errors(wrong, &[], &["sources.c.stream=C", "sources.c.order_key=now"]);
    for place in [
        "viewd.toml:3:",
        "viewd.toml:6:3: ",
        "viewd.toml:8:10: source `b` does not say which stream it reads",
        "flag `--set sources.c.order_key=...`",
    ] {
        assert!(found.contains(place), "{place} not in:\n{found}");
    }
}

#[test]
fn all_errors_of_all_layers_at_once() {
    let file = "projction = \"x\"\n[limits]\nheartbeat_ms = 50\nevent_bytes_max = \"8 MiB\"\n[rebuild]\nauto = \"yes\"\nkeep_generations = -1\n";
    assert_eq!(
        errors(
            file,
            &[
                "VIEWD_LIMITS__HEAD_POLL_MS=1",
                "VIEWD_NATS__PASSWORD=hunter2",
                "VIEWD_PORT=tcp://10.0.0.1:80"
            ],
            &["limits.batch_events_max=many", "nats", "limits=1"],
        ),
        "viewd.toml:1:1: unknown setting `projction` (did you mean `projections`?)\n\
         viewd.toml:3:16: `limits.heartbeat_ms` is 50, but must be between 100 and 60000: NATS sends none faster, and a dead connection is noticed after two\n\
         viewd.toml:4:19: `limits.event_bytes_max` must be an integer, not a string\n\
         viewd.toml:6:8: `rebuild.auto` must be true or false, not a string\n\
         viewd.toml:7:20: `rebuild.keep_generations` is -1, but must be between 0 and 100: each one is a whole view on the disk\n\
         environment variable `VIEWD_LIMITS__HEAD_POLL_MS`: `limits.head_poll_ms` is 1, but must be between 100 and 60000: lag is known no better than this\n\
         environment variable `VIEWD_NATS__PASSWORD`: unknown setting `nats.password` (secrets stay in files, as settings show up in process lists: put it in one and set `nats.password_file`)\n\
         flag `--set limits.batch_events_max=...`: `limits.batch_events_max` must be an integer, not a string\n\
         flag `--set nats`: `nats` sets nothing: there is no `=` in it (write --set key=value, such as --set nats.domain=hub)\n\
         flag `--set limits=...`: `limits` is a section, not a setting (there are: `limits.memory_bytes_max`, `limits.event_bytes_max`, `limits.batch_events_max`, `limits.parked_events_max`, `limits.changes_keep`, `limits.query_timeout_ms`, `limits.head_poll_ms`, `limits.heartbeat_ms`, `limits.backoff_ms_max`, `limits.stall_ms_max`, `limits.search_commit_ms`, `limits.shutdown_timeout_ms`)\n"
    );
}

#[test]
fn each_kind_of_wrong_value() {
    for (file, expected) in [
        ("data_dir = 1", "viewd.toml:1:12: `data_dir` must be a string, not an integer\n"),
        ("data_dir = ''", "viewd.toml:1:12: `data_dir` is empty (leave it out for none)\n"),
        ("nats = 1", "viewd.toml:1:8: `nats` must be a table, not an integer (write [nats])\n"),
        (
            "nats.servers = 'nats://h'",
            "viewd.toml:1:16: `nats.servers` must be a list of URLs, not a string (write nats.servers = [\"nats://h\"])\n",
        ),
        (
            "nats.servers = ['http://u:secret@h']",
            "viewd.toml:1:17: `http://***@h` is not a server's URL: it must start with nats:// or tls:// (such as \"nats://127.0.0.1:4222\")\n",
        ),
        ("nats.servers = []", "viewd.toml:1:16: `nats.servers` is an empty list\n"),
        (
            "nats.server = ['h']",
            "viewd.toml:1:6: unknown setting `nats.server` (did you mean `servers`?)\n",
        ),
        (
            "servers = ['h']",
            "viewd.toml:1:1: unknown setting `servers` (did you mean `nats.servers`?)\n",
        ),
        (
            "[sources.a]\nstream = 'orders.>'",
            "viewd.toml:2:10: `orders.>` cannot be the name of a stream: blanks and . * > / \\ are not allowed in it (the stream's name, not its subjects: `nats stream ls` lists them)\n",
        ),
        (
            "[sources.a]\nstream = 'A'\nformat = 'jsn'",
            "viewd.toml:3:10: `sources.a.format` cannot be `jsn` (did you mean `json`?)\n",
        ),
        (
            "[sources.a]\n",
            "viewd.toml:1:10: source `a` does not say which stream it reads (write stream = \"NAME\" in it)\n",
        ),
        (
            "[sources.My-Shop]\nstream = 'A'\n",
            "viewd.toml:1:10: `My-Shop` cannot be the name of a source (lower-case letters, digits and `_`, a letter first, 63 at most)\n",
        ),
        (
            "[sources.a]\nstream = 'A'\ntransform = 1",
            "viewd.toml:3:13: `sources.a.transform` must be a string, not an integer\n",
        ),
        (
            "http.listen = 'localhost:80'",
            "viewd.toml:1:15: `http.listen` cannot be `localhost:80`: an IP address with a port, or \"off\", is wanted (such as \"127.0.0.1:80\")\n",
        ),
        (
            "http.listen = '0.0.0.0:80'",
            "viewd.toml:1:15: `http.listen` is 0.0.0.0:80, where others reach it, and nobody has to log in (listen at 127.0.0.1 behind a proxy, or consent with http.insecure_no_auth = true)\n",
        ),
        (
            "nats.user = 'u'",
            "viewd.toml:1:13: `nats.user` needs `nats.password_file` (put the password alone into a file and name it there)\n",
        ),
        (
            "nats.user = 'u'\nnats.password_file = 'p'\nnats.token_file = 't'",
            "viewd.toml:1:13: `nats.token_file` and `nats.user` are two ways to log in, and NATS takes one (leave one out)\n",
        ),
        (
            "nats.tls.key_file = 'k'",
            "viewd.toml:1:21: `nats.tls.key_file` needs `nats.tls.cert_file`\n",
        ),
        (
            "limits.event_bytes_max = 67108864",
            "viewd.toml:1:26: `limits.memory_bytes_max` is 268435456, too little for events of 67108864 bytes (`limits.event_bytes_max`): at least 1073741824, 16 times as much, is needed (an eighth of the memory is the reader's queue, which holds two events at least)\n",
        ),
        ("data_dir =", "viewd.toml:1:11: TOML syntax: a value is missing\n"),
    ] {
        assert_eq!(errors(file, &[], &[]), expected, "{file}");
    }
}

#[test]
fn consent_opens_other_addresses() {
    let loaded = load("http = { listen = '[::]:80', insecure_no_auth = true }", &[], &[]);
    assert!(loaded.is_ok_and(|loaded| loaded.config.http.listen.is_some()));
}

#[test]
fn a_missing_file_says_how_to_begin() {
    let errors = Config::load(Some(Path::new("no/such.toml")), [], &[]).expect_err("no file");
    assert_eq!(errors[0].message, "there is no file `no/such.toml`");
}

/// The sample works as it stands, states the defaults, and with its commented settings put in
/// names every setting that there is.
#[test]
fn the_sample_is_complete_and_true() {
    let loaded =
        load(SAMPLE, &[], &[]).unwrap_or_else(|errors| panic!("{}", render(&errors, false)));
    assert_eq!(loaded.config.sources["flights"].stream, "FLIGHTS");
    for rule in &rule::RULES {
        let key = rule.key.replace('*', "flights");
        if let Some(default) = rule.default {
            let (value, origin) = setting(&loaded, &key);
            assert_eq!(value, default, "{key} in the sample");
            assert_ne!(origin, "default", "{key} should be stated");
        }
    }
    let lines: Vec<&str> = SAMPLE
        .lines()
        .map(|line| match line.strip_prefix("# ") {
            Some(rest)
                if rest.split_once(" = ").is_some_and(|(key, _)| !key.trim().contains(' ')) =>
            {
                rest
            }
            _ => line,
        })
        .collect();
    let (layer, errors) = layer::file(&Source::new("viewd.toml", lines.join("\n")));
    assert!(errors.is_empty(), "{}", render(&errors, false));
    let mut named: Vec<_> = layer.given.iter().map(|given| given.key.as_str()).collect();
    let mut known: Vec<_> =
        rule::RULES.iter().map(|rule| rule.key.replace('*', "flights")).collect();
    named.sort_unstable();
    known.sort_unstable();
    assert_eq!(named, known);
}

#[test]
fn defaults_fit_their_rules() {
    let layer = layer::defaults(&["a".to_owned()]);
    for given in &layer.given {
        let rule = rule::find(&given.key).expect("has a rule");
        assert!(value::check(rule, given).is_ok(), "{}", given.key);
    }
}

#[test]
fn no_key_begins_another() {
    for rule in &rule::RULES {
        assert!(!rule::is_section(rule.key), "{}", rule.key);
        assert!(!rule::is_later(rule.key), "{}", rule.key);
    }
}
