//! What is shipped for Prometheus and Grafana, held to a real scrape and to Prometheus' own tools.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::daemon::Daemon;
use crate::nats::Server;
use crate::{tools, wait};

const DEFINITION: &str = r#"
source = "shop"
[tables.orders]
key = ["id"]
columns.id = "integer"
columns.note = "text"
[[on]]
event = "Placed"
upsert = "orders"
key.id = ".data.id"
set.note = ".data.note"
[search.orders]
table = "orders"
fields.note = {}
"#;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn promtool(arguments: &[&str], input: &str) -> (bool, String) {
    let mut child = Command::new(tools::path("tests/tools/promtool"))
        .args(arguments)
        .current_dir(root("dashboards"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said.into_owned())
}

/// The scrape of a daemon that has applied something.
async fn scrape() -> String {
    let server = Server::start();
    let client = server.client().await;
    crate::nats::create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    for body in [r#"{"type":"Placed","data":{"id":1}}"#, r#"{"type":"Placed","data":{"id":"x"}}"#] {
        crate::nats::publish(&client, [("shop.a".to_owned(), body.into())]).await;
    }
    let daemon = Daemon::start(&server, "shop", "SHOP", &[("orders", DEFINITION)]);
    wait::until("the first live state", Duration::from_secs(20), || {
        let (code, _) = daemon.get("/readyz");
        (code == 200).then_some(())
    });
    wait::until("the index", Duration::from_secs(20), || {
        let report = daemon.projection("orders");
        (report.search[0].sequence == Some(2)).then_some(())
    });
    daemon.get("/metrics").1
}

/// Every `viewd_...` in a text.
fn names(text: &str) -> BTreeSet<String> {
    let words = text.split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'));
    words.filter(|word| word.starts_with("viewd_")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn promtool_finds_nothing_to_say_of_a_scrape_that_has_every_metric_that_is_named() {
    let scrape = scrape().await;
    assert_eq!(promtool(&["check", "metrics"], &scrape), (true, String::new()), "{scrape}");

    let found = names(&scrape);
    let mut named = 0;
    for file in ["alerts.yml", "viewd-overview.json"] {
        for name in names(&std::fs::read_to_string(root("dashboards").join(file)).unwrap()) {
            assert!(found.contains(&name), "{file} names {name}, which no scrape has");
            named += 1;
        }
    }
    assert!(named > 20, "{named} names");
    for line in [
        "viewd_projection_state{projection=\"orders\",state=\"live\"} 1",
        "viewd_projection_events_total{projection=\"orders\",result=\"applied\"} 1",
        "viewd_projection_events_total{projection=\"orders\",result=\"dead_lettered\"} 1",
        "viewd_projection_checkpoint_sequence{projection=\"orders\",stream=\"SHOP\"} 2",
        "viewd_projection_pending_messages{projection=\"orders\"} 0",
        "viewd_projection_dead_letters{projection=\"orders\"} 1",
        "viewd_stream_last_sequence{stream=\"SHOP\"} 2",
        "viewd_nats_connected 1",
        "viewd_rebuild_progress_ratio{projection=\"orders\"} NaN",
        "viewd_rebuild_remaining_messages{projection=\"orders\"} NaN",
        "viewd_rebuilds_total{outcome=\"done\",projection=\"orders\"} 0",
        "viewd_config_last_reload_successful 1",
        "viewd_search_checkpoint_sequence{index=\"orders\",projection=\"orders\"} 2",
        "viewd_search_documents{index=\"orders\",projection=\"orders\"} 1",
        "viewd_search_segments{index=\"orders\",projection=\"orders\"} 1",
        "viewd_storage_errors_total{component=\"search\",kind=\"full\"} 0",
    ] {
        assert!(scrape.lines().any(|found| found == line), "{line}\n{scrape}");
    }
}

#[test]
fn alerts_hold_to_their_tests() {
    let (valid, said) = promtool(&["check", "rules", "alerts.yml"], "");
    assert!(valid, "{said}");
    let (passed, said) = promtool(&["test", "rules", "alerts_test.yml"], "");
    assert!(passed, "{said}");
}

#[test]
fn every_alert_has_its_section_in_the_readme() {
    let alerts = std::fs::read_to_string(root("dashboards/alerts.yml")).unwrap();
    let readme = std::fs::read_to_string(root("README.md")).unwrap();
    let names: Vec<_> =
        alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert_eq!(names.len(), 9);
    for name in names {
        assert!(readme.contains(&format!("### {name}\n")), "no section for {name}");
    }
}
