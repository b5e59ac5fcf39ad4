//! A server that is too old, which would ignore in silence what a reader relies on: nothing is applied, the reason is
//! said, and viewd goes on by itself once it was upgraded.

use crate::daemon::Site;
use crate::nats::{Server, create_stream, publish_numbers};
use crate::security::{becomes, becomes_such, definition};
use viewd::status::State;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_2_9_is_refused_until_it_is_upgraded() {
    let mut server = Server::of(&crate::tools::path("tests/tools/nats-server-2.9"), "");
    let client = server.client().await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish_numbers(&client, "shop.a", 1..=10).await;
    publish_numbers(&client, "shop.b", 11..=20).await;
    publish_numbers(&client, "shop.c", 21..=30).await;
    let sources = "[sources.shop]\nstream = \"SHOP\"\n";
    // Asked for two filters, it would send everything.
    let (all, two) = (definition(""), definition("subjects = [\"shop.a\", \"shop.b\"]"));
    let site = Site::new(&server, sources, &[("all", &all), ("two", &two)]);

    for arguments in [&["check"][..], &["events", "shop"], &["try", "two"]] {
        let output = site.run(arguments, &[]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{arguments:?}: {said}");
        assert!(said.contains("nats-server 2.9.10 is too old"), "{arguments:?}: {said}");
    }

    let daemon = site.start(&[]);
    for projection in ["all", "two"] {
        let refused = becomes_such(&daemon, projection, "refusing the server", |found| {
            found.state != State::CatchingUp
                && found.detail.as_ref().is_some_and(|detail| detail.contains("nats-server 2.9.10"))
        });
        assert_eq!(refused.counts.applied + refused.counts.ignored, 0, "{refused:?}");
        assert_eq!(refused.position, 0, "{refused:?}");
    }
    let stream = async_nats::jetstream::new(client.clone()).get_stream("SHOP").await.unwrap();
    assert_eq!(stream.cached_info().state.consumer_count, 0, "nothing is even asked of it");

    server.upgrade();
    let last = publish_numbers(&client, "shop.a", 31..=31).await;
    assert_eq!(last, 31, "the newer server reads the older one's store");
    for (projection, applied) in [("all", 31), ("two", 21)] {
        daemon.reaches(projection, last);
        let live = becomes(&daemon, projection, State::Live);
        assert_eq!((live.counts.applied, live.counts.ignored), (applied, 0), "{live:?}");
    }
}
