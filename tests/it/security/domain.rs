//! A JetStream domain, asked directly and across a leaf node.

use viewd::status::State;

use super::{SOURCES, becomes, definition, degrades};
use crate::daemon::Site;
use crate::nats::{Server, create_stream, publish_numbers};

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_of_another_domain_is_read_across_a_leaf_node() {
    let hub =
        Server::configured("jetstream { domain: hub }\nleafnodes { listen: \"127.0.0.1:-1\" }\n");
    let leaf = Server::configured(&format!(
        "jetstream {{ domain: leaf }}\nleafnodes {{ remotes: [{{ url: {:?} }}] }}\n",
        hub.leaf_url()
    ));
    let client = hub.client().await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish_numbers(&client, "shop.a", 1..=5).await;
    for server in [&hub, &leaf] {
        let site = Site::new(server, SOURCES, &[("numbers", &definition(""))]);
        let daemon = site.start(&["nats.domain=hub"]);
        daemon.reaches("numbers", 5);
        becomes(&daemon, "numbers", State::Live);
    }
    let site = Site::new(&leaf, SOURCES, &[("numbers", &definition(""))]);
    let daemon = site.start(&["nats.domain=elsewhere"]);
    degrades(&daemon, "numbers", &["no JetStream answers"]);
}
