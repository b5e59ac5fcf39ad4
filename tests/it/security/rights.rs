//! The README's permission set: it suffices, and each right that is missing is named.

use std::collections::BTreeMap;
use std::sync::Arc;

use viewd::status::{Projection, Reason, State};

use super::{SOON, SOURCES, becomes, becomes_such, borrowed, definition};
use crate::daemon::Site;
use crate::nats::{Server, create_stream, publish_numbers};

/// The block of the README that an operator copies into the server's configuration.
fn permissions() -> String {
    let readme =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let block = readme.split("```text permissions\n").nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// The subjects in it, in order.
fn rights() -> Vec<String> {
    let rights: Vec<_> = permissions().split('"').skip(1).step_by(2).map(str::to_owned).collect();
    assert_eq!(rights.len(), 7, "{rights:?}");
    rights
}

/// A server with an account in which `owner` may do everything, and the others what their permissions say.
fn accounts(users: &BTreeMap<String, String>) -> String {
    let users: String = users
        .iter()
        .map(|(user, permissions)| format!("{{ user: {user}, password: pw, {permissions} }}\n"))
        .collect();
    format!(
        "accounts {{ APP {{ jetstream: enabled, users: [ {{ user: owner, password: pw }}\n{users} ] }} }}\n"
    )
}

async fn owner(server: &Server) -> async_nats::Client {
    let login = async_nats::ConnectOptions::new().user_and_password("owner".into(), "pw".into());
    server.client_with(login).await
}

/// A site that logs in as a user of [`accounts`].
fn site_of(server: &Server, user: &str, definitions: &[(&str, &str)]) -> (Arc<Site>, Vec<String>) {
    let site = Site::new(server, SOURCES, definitions);
    site.write("password", "pw\n");
    let set = vec![
        format!("nats.user={user}"),
        format!("nats.password_file={}", site.path("password").display()),
        "nats.inbox_prefix=_INBOX_viewd".to_owned(),
        SOON.to_owned(),
    ];
    (site, set)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readmes_permissions_suffice() {
    let server =
        Server::configured(&accounts(&BTreeMap::from([("viewd".to_owned(), permissions())])));
    let client = owner(&server).await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish_numbers(&client, "shop.a", 1..=50).await;
    publish_numbers(&client, "shop.b", 51..=100).await;
    let definitions = [
        ("all", definition("")),
        ("one", definition("subjects = [\"shop.a\"]")),
        ("two", definition("subjects = [\"shop.a\", \"shop.b\"]")),
    ];
    let definitions: Vec<_> =
        definitions.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let (site, set) = site_of(&server, "viewd", &definitions);
    let set = borrowed(&set);
    for (arguments, shown) in [
        (&["check"][..], "everything is right"),
        (&["events", "shop", "--last", "3"], "\"n\":100"),
        (&["events", "shop", "--from", "7", "--subject", "shop.b"], "\"n\":51"),
        (&["try", "one"], "50"),
        (&["try", "two", "--last", "10"], "100"),
    ] {
        let output = site.run(arguments, &set);
        let (out, talk) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{arguments:?}: {out}{talk}");
        assert!(format!("{out}{talk}").contains(shown), "{arguments:?}: {out}{talk}");
    }
    let daemon = site.start(&set);
    for (projection, applied) in [("all", 100), ("one", 50), ("two", 100)] {
        daemon.reaches(projection, 100);
        becomes(&daemon, projection, State::Live);
        assert_eq!(site.counts(projection).applied, applied);
    }
    // Another subject than `one` reads moves it all the same.
    let last = publish_numbers(&client, "shop.b", 101..=101).await;
    for projection in ["all", "one", "two"] {
        daemon.reaches(projection, last);
    }
    assert!(daemon.terminate().success());

    // What a stopped reader has missed is accepted with the same rights.
    let last = publish_numbers(&client, "shop.a", 102..=110).await;
    let stream = async_nats::jetstream::new(client.clone()).get_stream("SHOP").await.unwrap();
    stream.purge().sequence(last).await.unwrap();
    let daemon = site.start(&set);
    let failed = becomes(&daemon, "all", State::Failed);
    assert_eq!(failed.reason, Some(Reason::Gap), "{failed:?}");
    let output = site.run(&["accept", "all"], &set);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    daemon.reaches("all", last);
    let live = becomes(&daemon, "all", State::Live);
    assert_eq!((live.counts.applied, live.missed_sequences), (102, 8));
    assert!(daemon.terminate().success());
    // What viewd asks for beyond its rights would show in the server's log.
    assert!(!server.log().contains("Violation"), "{}", server.log());
}

/// Each daemon lacks one right. Those without which nothing can be read or known show it by its name.
#[tokio::test(flavor = "multi_thread")]
async fn each_missing_right_is_named_and_missed_only_while_it_is() {
    let all = permissions();
    let users: BTreeMap<_, _> = rights()
        .into_iter()
        .enumerate()
        .map(|(index, right)| {
            (format!("u{index}"), (right.clone(), all.replace(&format!("\"{right}\""), "")))
        })
        .collect();
    let without = users
        .iter()
        .map(|(user, (_, permissions))| (user.clone(), permissions.replace("[]", "[\"nothing\"]")));
    let server = Server::configured(&accounts(&without.collect()));
    let client = owner(&server).await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish_numbers(&client, "shop.a", 1..=5).await;
    // Not of the projection: to move past it, the stream has to be asked.
    publish_numbers(&client, "shop.b", 6..=6).await;
    let filtered = definition("subjects = [\"shop.a\"]");
    let started: Vec<_> = users
        .iter()
        .map(|(user, (right, _))| {
            let (site, set) = site_of(&server, user, &[("numbers", &filtered)]);
            let daemon = site.start(&borrowed(&set));
            (right, site, daemon)
        })
        .collect();
    for (right, site, daemon) in &started {
        if right.contains("CONSUMER.DELETE") {
            // A courtesy to the server, which forgets consumers by itself.
            daemon.reaches("numbers", 6);
            becomes(daemon, "numbers", State::Live);
            continue;
        }
        let subject = right.trim_end_matches(['*', '>']);
        let named = |found: &Projection| {
            found.state == State::Degraded
                && found.detail.as_ref().is_some_and(|detail| {
                    // A time-out would say why as well, and five seconds later.
                    detail.contains("permissions violation")
                        && detail.contains(subject)
                        && !detail.contains("not answered")
                })
        };
        let found = becomes_such(daemon, "numbers", &format!("degraded without {right}"), named);
        assert_eq!(found.reason, Some(Reason::SourceUnreachable));
        // What is read can be applied; only that nothing else was to be read is not certain.
        let asks_at_the_head = right.contains("MSG.GET") || right.contains("CONSUMER.INFO");
        let applied = if asks_at_the_head { 5 } else { 0 };
        assert_eq!(site.counts("numbers").applied, applied, "{right}");
        // Whoever cannot ask for the head does not know it.
        if right.contains("STREAM.INFO") || right.contains("INBOX") {
            assert_eq!((found.pending_messages, found.lag_seconds), (None, None), "{right}");
        }
    }
    let granted = users.keys().map(|user| (user.clone(), all.clone()));
    server.reconfigure(&accounts(&granted.collect()));
    let last = publish_numbers(&client, "shop.a", 7..=7).await;
    for (right, site, daemon) in &started {
        daemon.reaches("numbers", last);
        let found = becomes(daemon, "numbers", State::Live);
        assert_eq!(found.reason, None);
        assert_eq!(site.counts("numbers").applied, 6, "{right}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_taken_from_a_running_daemon_is_named() {
    let all = permissions();
    let users = |permissions: &str| BTreeMap::from([("viewd".to_owned(), permissions.to_owned())]);
    let server = Server::configured(&accounts(&users(&all)));
    let client = owner(&server).await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish_numbers(&client, "shop.a", 1..=5).await;
    let (site, set) = site_of(&server, "viewd", &[("numbers", &definition(""))]);
    let daemon = site.start(&borrowed(&set));
    daemon.reaches("numbers", 5);
    becomes(&daemon, "numbers", State::Live);
    let mut last = 5;
    // A pull that stands is still served: the right to the next one is missed up to half a minute later.
    for right in ["$JS.API.STREAM.INFO.SHOP", "_INBOX_viewd.>"] {
        let less = all.replace(&format!("\"{right}\""), "").replace("[]", "[\"nothing\"]");
        server.reconfigure(&accounts(&users(&less)));
        let subject = right.trim_end_matches(['*', '>']);
        becomes_such(&daemon, "numbers", &format!("degraded without {right}"), |found| {
            let named = |detail: &String| {
                detail.contains("permissions violation") && detail.contains(subject)
            };
            found.state == State::Degraded && found.detail.as_ref().is_some_and(named)
        });
        let before = last;
        last = publish_numbers(&client, "shop.a", before + 1..=before + 1).await;
        server.reconfigure(&accounts(&users(&all)));
        daemon.reaches("numbers", last);
        becomes(&daemon, "numbers", State::Live);
        assert_eq!(site.counts("numbers").applied, last);
    }
}
