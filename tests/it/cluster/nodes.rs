//! Three servers that are one cluster, on ports of their own.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use async_nats::Client;
use serde_json::Value;
use tokio::net::TcpSocket;

use crate::nats::Server;
use crate::wait;

/// Elections take 4 to 9 seconds where no leader says that it goes, and a busy machine makes several of them.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// How long an answer of a server that is there may take.
const ANSWER_MAX: Duration = Duration::from_secs(2);
const NODES: usize = 3;

pub struct Cluster {
    nodes: Vec<Server>,
    monitors: Vec<u16>,
    pub client: Client,
    /// Bound and not listening: nobody else gets the ports while a node is away.
    _ports: Vec<TcpSocket>,
}

impl Cluster {
    pub async fn start() -> Self {
        let (sockets, ports): (Vec<_>, Vec<_>) = (0..3 * NODES).map(|_| port()).unzip();
        let [clients, routes, monitors] = [0, 1, 2].map(|kind| &ports[kind * NODES..][..NODES]);
        let urls: Vec<_> = routes.iter().map(|port| format!("nats://127.0.0.1:{port}")).collect();
        let node = |index: usize| {
            let (route, monitor) = (routes[index], monitors[index]);
            // A client that is sent away is sent at once; each goes after a second at most.
            let settings = format!(
                "server_name: node{index}\nhttp: 127.0.0.1:{monitor}\n\
                 lame_duck_duration: 30s\nlame_duck_grace_period: 100ms\n\
                 cluster {{\n  name: three\n  listen: 127.0.0.1:{route}\n  no_advertise: true\n  routes: {urls:?}\n}}\n"
            );
            Server::at(clients[index], &settings)
        };
        let nodes: Vec<_> = (0..NODES).map(node).collect();
        let servers: Vec<async_nats::ServerAddr> =
            nodes.iter().map(|node| node.url().parse().unwrap()).collect();
        let options = async_nats::ConnectOptions::new()
            .retry_on_initial_connect()
            .reconnect_delay_callback(|_| Duration::from_millis(50));
        let client = options.connect(servers).await.unwrap();
        Self { nodes, monitors: monitors.to_vec(), client, _ports: sockets }
    }

    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Server::url).collect()
    }

    pub fn node(&mut self, index: usize) -> &mut Server {
        &mut self.nodes[index]
    }

    pub fn all(&self) -> std::ops::Range<usize> {
        0..NODES
    }

    /// The nodes but one.
    pub fn others(&self, index: usize) -> impl Iterator<Item = usize> + use<> {
        (0..NODES).filter(move |other| *other != index)
    }

    /// Asks JetStream; None while nobody answers or the answer is an error.
    pub async fn ask(&self, subject: &str, body: Value) -> Option<Value> {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let asked = self.client.request(format!("$JS.API.{subject}"), body.into());
        let answer = tokio::time::timeout(ANSWER_MAX, asked).await.ok()?.ok()?;
        let answer: Value = serde_json::from_slice(&answer.payload).unwrap();
        answer.get("error").is_none().then_some(answer)
    }

    /// The same, until it succeeds.
    pub async fn insist(&self, subject: &str, body: Value) -> Value {
        wait::until_async(subject, DEADLINE, async || self.ask(subject, body.clone()).await).await
    }

    /// Which node leads the stream.
    pub async fn leader(&self, stream: &str) -> usize {
        let subject = format!("STREAM.INFO.{stream}");
        wait::until_async("a leader", DEADLINE, async || {
            let info = self.ask(&subject, Value::Null).await?;
            info["cluster"]["leader"].as_str()?.strip_prefix("node")?.parse().ok()
        })
        .await
    }

    /// Waits until every replica of the stream is there and has everything.
    pub async fn whole(&self, stream: &str) {
        let subject = format!("STREAM.INFO.{stream}");
        wait::until_async("current replicas", DEADLINE, async || {
            let info = self.ask(&subject, Value::Null).await?;
            let replicas = info["cluster"]["replicas"].as_array()?;
            let current = |replica: &Value| {
                replica["current"] == true
                    && replica.get("offline").is_none_or(|gone| gone == false)
            };
            (replicas.len() + 1 == NODES && replicas.iter().all(current)).then_some(())
        })
        .await;
    }

    /// Which node the daemon's connection of this name is on.
    pub fn host(&self, connection: &str) -> usize {
        let name = format!("\"{connection}\"");
        wait::until("the daemon's connection", DEADLINE, || {
            let running = (0..NODES).filter(|node| self.nodes[*node].is_running());
            running
                .filter_map(|node| Some((node, connections(self.monitors[node])?)))
                .find_map(|(node, said)| said.contains(&name).then_some(node))
        })
    }
}

/// What a node says of its connections.
fn connections(monitor: u16) -> Option<String> {
    let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], monitor))).ok()?;
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(b"GET /connz HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// A port that stays ours as long as the socket is there: a server may listen on it beside.
fn port() -> (TcpSocket, u16) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}
