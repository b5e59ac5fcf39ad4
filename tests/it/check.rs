//! `viewd check` beside real streams: what only they can tell, at its place in the definition.

use std::sync::Arc;

use async_nats::jetstream::stream::{RetentionPolicy, Source};
use serde_json::Value;

use crate::daemon::Site;
use crate::nats::{Server, create_stream, publish_numbers};

const SOURCES: &str = "[sources.shop]\nstream = \"SHOP\"\n[sources.copy]\nstream = \"COPY\"\n";

fn definition(source: &str, subjects: &str) -> String {
    format!(
        "source = \"{source}\"\nsubjects = [{subjects}]\n[tables.t]\nkey = [\"id\"]\ncolumns.id = \"text\"\n\
         [[on]]\nevent = \"*\"\nupsert = \"t\"\nkey.id = \".subject\"\n"
    )
}

/// The exit code, and each finding as `line:column severity: message (hint)`.
fn check(site: &Arc<Site>) -> (i32, Vec<String>) {
    let output = site.run(&["check", "--json"], &[]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    let shown = |finding: &Value| {
        let text = |key: &str| finding[key].as_str().unwrap_or_default().to_owned();
        let (line, column) = (&finding["line"], &finding["column"]);
        format!("{line}:{column} {}: {} ({})", text("severity"), text("message"), text("hint"))
    };
    let findings = found["data"].as_array().unwrap().iter().map(shown).collect();
    (output.status.code().unwrap(), findings)
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_are_asked_for_what_definitions_read() {
    let server = Server::start();
    let client = server.client().await;
    let subjects = "\"shop.a\", 'shop.*.b', \"store.>\"";
    let site = Site::new(&server, SOURCES, &[("one", &definition("shop", subjects))]);
    let missing = "1:10 error: there is no stream SHOP, which source `shop` reads \
                   (create it, or name another in `sources.shop.stream`)";
    assert_eq!(check(&site), (78, vec![missing.to_owned()]));

    create_stream(&client, "SHOP", &["shop.>"], |_| {}).await;
    publish_numbers(&client, "shop.a", 1..=1).await;
    let (code, found) = check(&site);
    assert_eq!(code, 78);
    assert_eq!(
        found,
        [
            "2:23 warning: stream SHOP holds no message yet whose subject matches `shop.*.b` \
             (nothing is wrong if the first is still to be published)",
            "2:35 error: stream SHOP takes no subject that matches `store.>` (it takes: shop.>)",
        ]
    );
    // Warnings alone are no failure.
    site.write("projections/one.toml", &definition("shop", "\"shop.*.b\""));
    let (code, found) = check(&site);
    assert_eq!((code, found.len()), (0, 1), "{found:?}");
    publish_numbers(&client, "shop.x.b", 1..=1).await;
    assert_eq!(check(&site), (0, Vec::new()));

    // A mirror takes no subject and holds what its origin holds.
    let mirror = |config: &mut async_nats::jetstream::stream::Config| {
        config.mirror = Some(Source { name: "SHOP".to_owned(), ..Source::default() });
    };
    create_stream(&client, "COPY", &[], mirror).await;
    site.write("projections/two.toml", &definition("copy", "\"shop.a\""));
    let (code, found) = check(&site);
    assert_eq!(code, 0, "{found:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_reading_would_empty_is_an_error() {
    let server = Server::start();
    let client = server.client().await;
    create_stream(&client, "SHOP", &["shop.>"], |config| {
        config.retention = RetentionPolicy::Interest;
    })
    .await;
    let site = Site::new(&server, SOURCES, &[("one", &definition("shop", "\"shop.>\""))]);
    let (code, found) = check(&site);
    assert_eq!(code, 78);
    assert!(
        found[0].contains("retention interest") && found[0].contains("the retention limits"),
        "{found:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_jetstream_is_no_fault_of_the_definitions() {
    let server = Server::start();
    let site = Site::new(&server, SOURCES, &[("one", &definition("shop", "\"shop.>\""))]);
    let output = site.run(&["check"], &["nats.domain=nowhere"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(69), "{said}");
    assert!(said.contains("one: 1 table, 1 handler") && said.contains("JetStream"), "{said}");
}
