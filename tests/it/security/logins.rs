//! Each way to log in: a wrong secret is refused and named, the right one taken without a restart.

use async_nats::ConnectOptions;
use nkeys::KeyPair;
use viewd::status::State;

use super::credentials::Operator;
use super::{SOON, SOURCES, becomes, borrowed, definition, degrades};
use crate::daemon::Site;
use crate::nats::{Server, create_stream, publish_numbers};

/// A way to log in, beside a server that asks for it.
struct Way {
    /// Of the server.
    settings: String,
    /// Of viewd, besides the file: `key=value`.
    set: &'static [&'static str],
    /// The setting that names the file.
    setting: &'static str,
    right: String,
    wrong: String,
    owner: ConnectOptions,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token() {
    let settings = "authorization { token: \"hunter2\" }".to_owned();
    check(Way {
        settings,
        set: &[],
        setting: "nats.token_file",
        right: "hunter2\n".to_owned(),
        wrong: "hunter3".to_owned(),
        owner: ConnectOptions::with_token("hunter2".to_owned()),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_password() {
    let settings = "authorization { user: viewd, password: \"hunter2\" }".to_owned();
    check(Way {
        settings,
        set: &["nats.user=viewd"],
        setting: "nats.password_file",
        right: "hunter2".to_owned(),
        wrong: "hunter3".to_owned(),
        owner: ConnectOptions::with_user_and_password("viewd".to_owned(), "hunter2".to_owned()),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_nkey() {
    let key = KeyPair::new_user();
    let seed = key.seed().unwrap();
    check(Way {
        settings: format!("authorization {{ users: [{{ nkey: {} }}] }}", key.public_key()),
        set: &[],
        setting: "nats.nkey_file",
        right: seed.clone(),
        wrong: KeyPair::new_user().seed().unwrap(),
        owner: ConnectOptions::with_nkey(seed),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_credentials_file() {
    let operator = Operator::new();
    let right = operator.credentials(None);
    check(Way {
        settings: operator.settings(),
        set: &[],
        setting: "nats.credentials_file",
        wrong: Operator::new().credentials(None),
        owner: ConnectOptions::with_credentials(&right).unwrap(),
        right,
    })
    .await;
}

async fn check(way: Way) {
    let mut server = Server::configured(&way.settings);
    let client = server.client_with(way.owner).await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish_numbers(&client, "shop.a", 1..=5).await;
    let site = Site::new(&server, SOURCES, &[("numbers", &definition(""))]);
    site.write("secret", &way.wrong);
    let file = site.path("secret").display().to_string();
    let mut set = vec![format!("{}={file}", way.setting), SOON.to_owned()];
    set.extend(way.set.iter().map(|set| (*set).to_owned()));

    let daemon = site.start(&borrowed(&set));
    degrades(&daemon, "numbers", &["authorization violation", way.setting, &file]);
    assert_eq!(site.counts("numbers").applied, 0);
    site.write("secret", &way.right);
    daemon.reaches("numbers", 5);
    becomes(&daemon, "numbers", State::Live);

    // A file that is gone is missed at the next connect, and taken when it is back.
    std::fs::remove_file(site.path("secret")).unwrap();
    server.stop();
    server.start_again();
    degrades(&daemon, "numbers", &[way.setting, &file, "No such file"]);
    site.write("secret", &way.right);
    let last = publish_numbers(&client, "shop.a", 6..=6).await;
    daemon.reaches("numbers", last);
    let live = becomes(&daemon, "numbers", State::Live);
    assert_eq!(live.counts.applied, last);
    assert!(daemon.terminate().success());
    for secret in [way.right.lines(), way.wrong.lines()].into_iter().flatten() {
        let shown = secret.len() >= 7 && !secret.contains(' ') && site.log().contains(secret);
        assert!(!shown, "the log shows {secret}");
    }
}

#[test]
fn a_malformed_secret_ends_the_start_with_its_path() {
    let server = Server::start();
    let site = Site::new(&server, SOURCES, &[("numbers", &definition(""))]);
    let file = site.path("secret").display().to_string();
    for (setting, secret, problem) in [
        ("nats.credentials_file", Some("hunter2"), "holds no JWT"),
        ("nats.nkey_file", Some("hunter2"), "holds no seed"),
        ("nats.token_file", Some(""), "is empty"),
        ("nats.token_file", None, "No such file"),
        ("nats.tls.ca_file", Some("hunter2"), "holds no certificate in PEM"),
    ] {
        let _ = std::fs::remove_file(&file);
        secret.inspect(|secret| site.write("secret", secret));
        for command in [&["run"][..], &["check"], &["events", "shop"]] {
            let output = site.run(command, &[&format!("{setting}={file}")]);
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(78), "{command:?} {setting}: {said}");
            for word in [setting, &file, problem] {
                assert!(said.contains(word), "{command:?} {setting} without {word}: {said}");
            }
            assert!(!said.contains("hunter2"), "{said}");
        }
    }
}
