//! The command line as scripts and people meet it: exit codes, shapes of JSON, what errors say.

mod operations;

use std::process::{Command, Output};

use serde_json::Value;

use crate::daemon::{DEADLINE, Site};
use crate::nats::Server;
use crate::wait;

const DEFINITION: &str = r#"
source = "shop"
[tables.orders]
key = ["id"]
columns.id    = "integer"
columns.total = "decimal(2)"
columns.paid  = "boolean"
columns.lines = "json"
[[on]]
event  = "Placed"
upsert = "orders"
key.id    = ".data.id"
set.total = ".data.total"
set.paid  = ".data.paid"
set.lines = ".data.lines"
"#;

/// A folder with settings, a definition of orders, and data if a daemon has run there.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.write(
            "config/viewd.toml",
            "[sources.shop]\nstream = \"SHOP\"\n[http]\nlisten = \"off\"\n",
        );
        folder.write("projections/orders.toml", DEFINITION);
        folder
    }

    pub fn path(&self, inside: &str) -> std::path::PathBuf {
        self.0.path().join(inside)
    }

    pub fn write(&self, file: &str, text: &str) {
        let path = self.0.path().join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub fn viewd(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_viewd"))
            .args(arguments)
            .current_dir(self.0.path())
            .output()
            .unwrap()
    }

    /// Runs a command that must end with this code; what it printed to stdout and to stderr.
    #[track_caller]
    pub fn ends(&self, arguments: &[&str], code: i32) -> (String, String) {
        let output = self.viewd(arguments);
        let out = String::from_utf8(output.stdout).unwrap();
        let err = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{out}\n{err}");
        (out, err)
    }
}

/// A folder whose view holds two orders.
pub async fn filled() -> Folder {
    let server = Server::start();
    let client = server.client().await;
    crate::nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    for body in [
        r#"{"type":"Placed","data":{"id":1,"total":12.5,"paid":true,"lines":[{"sku":"a"}]}}"#,
        r#"{"type":"Placed","data":{"id":2}}"#,
    ] {
        crate::nats::publish(&client, [("shop.a".to_owned(), body.into())]).await;
    }
    let folder = Folder::new();
    let servers = format!("nats.servers=[\"{}\"]", server.url());
    folder.ends(&["run", "--exit-when-caught-up", "--set", &servers], 0);
    folder
}

pub fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_and_query_answer_in_their_fixed_shapes_without_a_daemon() {
    let folder = filled().await;
    let status: Value = serde_json::from_str(&folder.ends(&["status", "--json"], 0).0).unwrap();
    assert_eq!(keys(&status), ["nats", "projections"]);
    assert_eq!(keys(&status["nats"]), ["connected"]);
    let projection = &status["projections"][0];
    assert_eq!(
        keys(projection),
        [
            "name",
            "state",
            "reason",
            "detail",
            "next",
            "pinned",
            "generation",
            "stream",
            "position",
            "checkpoint_sequence",
            "stream_first_sequence",
            "stream_last_sequence",
            "pending_messages",
            "lag_seconds",
            "lag_target_seconds",
            "events_per_second",
            "counts",
            "missed_sequences",
            "dead_letters",
            "parked_events",
            "rebuild",
            "search",
        ]
    );
    assert_eq!(
        keys(&projection["counts"]),
        ["applied", "ignored", "dead_lettered", "parked", "skipped"]
    );
    assert_eq!(
        (&projection["state"], &projection["checkpoint_sequence"]),
        (&"stopped".into(), &2.into())
    );
    assert_eq!(projection["pending_messages"], Value::Null);

    let (rows, _) =
        folder.ends(&["query", "orders", "SELECT * FROM orders ORDER BY id", "--json"], 0);
    let wanted = r#"{"data":[{"id":1,"total":12.50,"paid":true,"lines":[{"sku":"a"}]},{"id":2,"total":null,"paid":null,"lines":null}],"sequence":2}"#;
    assert_eq!(rows.trim(), wanted);
    let (table, talk) = folder
        .ends(&["query", "orders", "SELECT id, total FROM orders ORDER BY id", "--limit", "1"], 0);
    assert_eq!(table, "id  total\n 1  12.50\n");
    assert_eq!(talk, "there is more than 1 row: --limit shows more\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_questions_are_refused_with_the_next_step() {
    let folder = filled().await;
    let says = |arguments: &[&str], code, parts: &[&str]| {
        let (out, err) = folder.ends(arguments, code);
        assert_eq!(out, "");
        for part in parts {
            assert!(err.contains(part), "{arguments:?}: no `{part}` in\n{err}");
        }
    };
    says(
        &["query", "order", "SELECT 1"],
        2,
        &["Error: there is no projection `order`", "Hint: did you mean `orders`?"],
    );
    says(
        &["query", "orders", "SELECT totl FROM orders"],
        2,
        &["Error: ", "totl", "did you mean `total`?"],
    );
    says(&["query", "orders", "DELETE FROM orders"], 2, &["only SELECT"]);
    says(&["query", "orders", "SELECT 1; SELECT 2"], 2, &["Error: "]);
    says(&["status", "order"], 2, &["there is no projection `order`"]);
    says(&["statsu"], 2, &["statsu", "status"]);
}

#[test]
fn settings_and_definitions_that_are_wrong_end_with_78() {
    let folder = Folder::new();
    folder.write(
        "projections/broken.toml",
        "source = \"shp\"\n[tables.t]\nkey = [\"id\"]\ncolumns.id = \"int\"\n",
    );
    folder.write("projections/jq.toml", &DEFINITION.replace(".data.total", ".data.total |"));
    let (_, err) = folder.ends(&["check", "--offline"], 78);
    // One bad file does not hide what is wrong in another.
    for part in ["shp", "broken.toml:1", "jq.toml:13:27", "`int`"] {
        assert!(err.contains(part), "no `{part}` in\n{err}");
    }
    let (out, _) = folder.ends(&["check", "--offline", "--json"], 78);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        keys(&found["data"][0]),
        ["file", "line", "column", "end_line", "end_column", "severity", "message", "hint"]
    );
    folder.ends(&["run"], 78);
    let (_, err) = folder.ends(&["check", "--config", "nowhere.toml"], 78);
    assert!(err.contains("nowhere.toml"), "{err}");
    let (_, err) = folder.ends(&["check", "--offline", "--set", "limits.hartbeat_ms=5"], 78);
    assert!(err.contains("did you mean `heartbeat_ms`?") && err.contains("--set"), "{err}");
}

#[test]
fn check_says_what_it_found_offline_when_nats_is_away() {
    let folder = Folder::new();
    // Nothing listens on the discard port.
    let (_, err) = folder.ends(&["check", "--set", "nats.servers=[\"nats://127.0.0.1:9\"]"], 69);
    assert!(err.contains("orders: 1 table, 1 handler") && err.contains("127.0.0.1:9"), "{err}");
    let secret = "nats.servers=[\"nats://ada:hunter2@127.0.0.1:9\"]";
    let (_, err) = folder.ends(&["check", "--set", secret], 69);
    assert!(err.contains("***@127.0.0.1:9") && !err.contains("hunter2"), "{err}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_asks_the_streams() {
    let server = Server::start();
    let client = server.client().await;
    let folder = Folder::new();
    let servers = format!("nats.servers=[\"{}\"]", server.url());
    let (_, err) = folder.ends(&["check", "--set", &servers], 78);
    assert!(err.contains("there is no stream SHOP"), "{err}");
    crate::nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    folder.ends(&["check", "--set", &servers], 0);
    folder.write(
        "projections/orders.toml",
        &DEFINITION.replace("[tables", "subjects = [\"store.*\"]\n[tables"),
    );
    let (_, err) = folder.ends(&["check", "--set", &servers], 78);
    assert!(err.contains("store.*") && err.contains("shop.>"), "{err}");
}

#[test]
fn settings_are_shown_with_their_origins() {
    let folder = Folder::new();
    let (out, _) = folder.ends(&["config", "show", "--origin", "--set", "data_dir=elsewhere"], 0);
    let line = |key: &str| {
        out.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key}: {out}"))
    };
    assert!(line("data_dir").contains("flag `--set data_dir=...`"), "{out}");
    assert!(line("sources.shop.stream").contains("config/viewd.toml:2"), "{out}");
    assert!(line("limits.heartbeat_ms").contains("default"), "{out}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_path_has_an_admin_socket_too() {
    let server = Server::start();
    let client = server.client().await;
    crate::nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    let site = Site::new(&server, "[sources.shop]\nstream = \"SHOP\"", &[("orders", DEFINITION)]);
    let deep = site.path(&"deep/".repeat(30));
    for (data, is_link) in [(deep, true), (site.path("data"), false)] {
        let set = format!("data_dir={}", data.display());
        let daemon = site.start(&[&set]);
        wait::until("a live daemon", DEADLINE, || {
            let output = site.run(&["status", "--json"], &[&set]);
            String::from_utf8_lossy(&output.stdout).contains("\"live\"").then_some(())
        });
        let socket = data.join("admin.sock");
        let place = std::fs::read_link(&socket);
        assert_eq!(place.is_ok(), is_link, "{place:?}");
        // A clean end leaves nothing of it.
        assert!(daemon.terminate().success(), "{}", site.log());
        for file in [Some(socket), place.ok()].into_iter().flatten() {
            assert!(std::fs::symlink_metadata(&file).is_err(), "{}", file.display());
        }
    }
}

#[test]
fn a_result_that_cannot_be_written_is_no_success() {
    let folder = Folder::new();
    for arguments in [&["config", "show"][..], &["completions", "bash"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_viewd"));
        let child =
            command.args(arguments).current_dir(folder.0.path()).stdout(full).status().unwrap();
        assert_eq!(child.code(), Some(74), "{arguments:?}");
    }
}

/// With `--json` stdout holds one document whatever happens; stderr speaks to people as it always does.
#[tokio::test(flavor = "multi_thread")]
async fn every_failure_is_a_document_with_its_exit_code() {
    let server = Server::start();
    let folder = Folder::new();
    folder.write("projections/broken/orders.toml", "source = 5\n");
    let servers = format!("nats.servers=[\"{}\"]", server.url());
    let (away, broken) =
        ("nats.servers=[\"nats://127.0.0.1:9\"]", "projections=projections/broken");
    for (arguments, code, word, part) in [
        (&["statsu"][..], 2, "usage", "unrecognized subcommand 'statsu'"),
        (&["test", "order"], 2, "usage", "there is no projection `order`"),
        (&["events", "none"], 2, "usage", "there is no source `none`"),
        (&["try", "orders", "--set", away], 69, "unreachable", "NATS cannot be reached"),
        (&["test", "--junit", "."], 74, "io", "write ."),
        (&["try", "orders", "--set", &servers], 78, "configuration", "there is no stream SHOP"),
        (
            &["test", "--config", "nowhere.toml"],
            78,
            "configuration",
            "settings or definitions are invalid",
        ),
        (&["run", "--set", broken], 78, "configuration", "settings or definitions are invalid"),
    ] {
        let (out, err) = folder.ends(&[&["--json"], arguments].concat(), code);
        if arguments[0] == "test" && code == 74 {
            // It has given its own document by then.
            assert_eq!(out, "{\"data\":[],\"passed\":0,\"failed\":0}\n");
            continue;
        }
        let found: Value =
            serde_json::from_str(&out).unwrap_or_else(|_| panic!("{arguments:?}: {out}"));
        assert_eq!(keys(&found), ["error"]);
        let error = &found["error"];
        assert_eq!(keys(error), ["code", "message", "causes", "hint", "exit", "diagnostics"]);
        assert_eq!((&error["code"], &error["exit"]), (&word.into(), &code.into()), "{arguments:?}");
        assert!(error["message"].as_str().unwrap().contains(part), "{arguments:?}: {error}");
        let invalid = part.contains("invalid");
        assert_eq!(error["diagnostics"].as_array().unwrap().is_empty(), !invalid, "{error}");
        assert!(!err.is_empty(), "{arguments:?}");
        // The same without `--json`: nothing on stdout.
        assert_eq!(folder.ends(arguments, code), (String::new(), err), "{arguments:?}");
    }
    // A plan says what it can of the others.
    let (out, err) = folder.ends(&["plan", "--json", "--set", broken], 78);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (keys(&found), &found["data"][0]["action"]),
        (vec!["data", "nats_error"], &"invalid".into())
    );
    assert!(err.contains("`source` must be a string"), "{err}");
    let (out, _) = folder.ends(&["test", "--json", "--set", broken], 78);
    let found: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        keys(&found["error"]["diagnostics"][0]),
        ["file", "line", "column", "end_line", "end_column", "severity", "message", "hint"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_folder_and_an_interruption_have_codes_of_their_own() {
    let server = Server::start();
    let client = server.client().await;
    crate::nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    let site = Site::new(&server, "[sources.shop]\nstream = \"SHOP\"", &[("orders", DEFINITION)]);
    let _daemon = site.start(&[]);
    wait::until("a live daemon", DEADLINE, || {
        let output = site.run(&["status", "--json"], &[]);
        String::from_utf8_lossy(&output.stdout).contains("\"live\"").then_some(())
    });
    let output = site.run(&["run", "--json"], &[]);
    assert_eq!(output.status.code(), Some(75));
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&found["error"]["code"], &found["error"]["exit"]), (&"busy".into(), &75.into()));
    // A plan looks at the files of a running daemon without disturbing it.
    let output = site.run(&["plan"], &[]);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "orders: nothing would change\n");
}

#[test]
fn a_filter_of_the_log_that_cannot_be_meant_is_refused() {
    let folder = Folder::new();
    for (filter, hint) in [("inof", "did you mean `info`?"), ("viewd=loud", "a level (error, warn")]
    {
        let mut command = Command::new(env!("CARGO_BIN_EXE_viewd"));
        let command = command.arg("run").current_dir(folder.path(".")).env("RUST_LOG", filter);
        let output = command.output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{err}");
        assert!(
            err.contains(&format!("`{filter}` is no filter of the log")) && err.contains(hint),
            "{err}"
        );
    }
}

#[test]
fn a_definition_that_may_not_be_read_ends_with_77() {
    let folder = Folder::new();
    let file = folder.path("projections/orders.toml");
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_viewd"));
    if std::fs::File::open(&file).is_ok() {
        // Nothing is forbidden to root: as somebody else, who needs a program of his own to run.
        let program = folder.path("viewd");
        std::fs::copy(env!("CARGO_BIN_EXE_viewd"), &program).unwrap();
        std::fs::set_permissions(
            folder.path("."),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )
        .unwrap();
        command = Command::new(program);
        std::os::unix::process::CommandExt::uid(&mut command, 65_534);
    }
    let output =
        command.args(["check", "--offline"]).current_dir(folder.path(".")).output().unwrap();
    let err = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(77), "{err}");
    assert!(
        err.contains("read projections/orders.toml") && err.contains("ermission denied"),
        "{err}"
    );
}

#[test]
fn schemas_and_completions_are_printed() {
    let folder = Folder::new();
    for which in [&["schema"][..], &["schema", "definition"], &["schema", "config", "--json"]] {
        let (out, err) = folder.ends(which, 0);
        let schema: Value = serde_json::from_str(&out).unwrap();
        assert!(schema["$schema"].is_string() && err.is_empty(), "{out}{err}");
    }
    for shell in ["bash", "zsh", "fish"] {
        let (out, _) = folder.ends(&["completions", shell], 0);
        for command in ["events", "try", "plan", "schema", "test"] {
            assert!(out.contains(command), "{shell}: no {command}");
        }
    }
}
