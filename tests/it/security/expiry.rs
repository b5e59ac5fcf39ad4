//! Credentials whose time is over while they are in use.

use async_nats::ConnectOptions;
use viewd::status::State;

use super::credentials::Operator;
use super::{SOURCES, becomes, borrowed, definition, degrades};
use crate::daemon::Site;
use crate::nats::{Server, create_stream, publish_numbers};

#[tokio::test(flavor = "multi_thread")]
async fn expired_credentials_are_named_and_renewed_ones_taken() {
    let operator = Operator::new();
    let mut server = Server::configured(&operator.settings());
    let owner = ConnectOptions::with_credentials(&operator.credentials(None)).unwrap();
    let client = server.client_with(owner).await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish_numbers(&client, "shop.a", 1..=5).await;
    let site = Site::new(&server, SOURCES, &[("numbers", &definition(""))]);
    site.write("creds", &operator.credentials(None));
    let file = site.path("creds").display().to_string();
    let daemon = site.start(&borrowed(&[format!("nats.credentials_file={file}")]));
    daemon.reaches("numbers", 5);
    becomes(&daemon, "numbers", State::Live);

    // Read at the next connect, and over soon after.
    let expires = viewd::clock::now().0 / 1_000_000 + 3;
    site.write("creds", &operator.credentials(Some(expires)));
    server.stop();
    server.start_again();
    degrades(&daemon, "numbers", &["user authentication expired", "nats.credentials_file", &file]);
    publish_numbers(&client, "shop.a", 6..=9).await;
    assert_eq!(site.counts("numbers").applied, 5);

    site.write("creds", &operator.credentials(None));
    daemon.reaches("numbers", 9);
    let live = becomes(&daemon, "numbers", State::Live);
    assert_eq!((live.counts.applied, live.missed_sequences), (9, 0));
    let sql = "SELECT count(*) FROM numbers";
    let rows: i64 = site.view("numbers").query_row(sql, (), |row| row.get(0)).unwrap();
    assert_eq!(rows, 9);
}
