//! A real nats-server for a test: its own port, its own store, gone with the test.

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use async_nats::jetstream::{self, stream};
use async_nats::{Client, HeaderMap};

use crate::wait;

/// Slow machines and a cold binary: a start takes 50 ms as a rule.
const START_DEADLINE: Duration = Duration::from_secs(20);

/// A lame duck takes a second for each client, after its grace.
const RETIRE_DEADLINE: Duration = Duration::from_secs(60);

/// A server with JetStream on a port of its own; killed when dropped.
pub struct Server {
    child: Option<Child>,
    binary: String,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    pub fn start() -> Self {
        Self::configured("")
    }

    /// A server with more settings, in the server's own configuration language.
    pub fn configured(settings: &str) -> Self {
        Self::of(binary(), settings)
    }

    /// A server of another version.
    pub fn of(binary: &str, settings: &str) -> Self {
        Self::on(0, binary, settings)
    }

    /// A server on a port that is known before: others are told of it.
    pub fn at(port: u16, settings: &str) -> Self {
        Self::on(port, binary(), settings)
    }

    fn on(port: u16, binary: &str, settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("nats-server.conf"), settings).unwrap();
        let mut server = Self { child: None, binary: binary.to_owned(), port, folder };
        server.spawn();
        server
    }

    /// Gives a running server other settings, and waits until they hold.
    pub fn reconfigure(&self, settings: &str) {
        let reloads = || self.log().matches("Reloaded server configuration").count();
        let before = reloads();
        fs::write(self.folder.path().join("nats-server.conf"), settings).unwrap();
        self.signal(rustix::process::Signal::HUP);
        wait::until("the server's other settings", START_DEADLINE, || {
            (reloads() > before).then_some(())
        });
    }

    /// What it has said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("nats-server.log")).unwrap_or_default()
    }

    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Where leaf nodes connect to, if the server's settings let them.
    pub fn leaf_url(&self) -> String {
        let log = self.log();
        let said = log.split("Listening for leafnode connections on ").nth(1).unwrap();
        format!("nats://{}", said.split_whitespace().next().unwrap())
    }

    /// Where JetStream keeps its streams.
    pub fn store(&self) -> std::path::PathBuf {
        self.folder.path().join("store")
    }

    /// Ends the server as an operator would, and waits for it.
    pub fn stop(&mut self) {
        if self.child.is_some() {
            self.signal(rustix::process::Signal::TERM);
        }
        if let Some(mut child) = self.child.take() {
            child.wait().unwrap();
        }
    }

    /// Ends the server as a power cut would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    /// Ends it as a lame duck: it sends its clients away one by one, and waits for its end.
    pub fn retire(&mut self) {
        self.signal(rustix::process::Signal::USR2);
        let mut child = self.child.take().unwrap();
        wait::until("the lame duck's end", RETIRE_DEADLINE, || child.try_wait().unwrap());
    }

    pub fn is_running(&self) -> bool {
        self.child.is_some()
    }

    /// Lets the process stand still: its connections stay open and nothing answers.
    pub fn freeze(&self) {
        self.signal(rustix::process::Signal::STOP);
    }

    pub fn thaw(&self) {
        self.signal(rustix::process::Signal::CONT);
    }

    /// Other settings, for the next start.
    pub fn configure(&self, settings: &str) {
        fs::write(self.folder.path().join("nats-server.conf"), settings).unwrap();
    }

    /// Starts it again, on the same port and store.
    pub fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        self.spawn();
    }

    /// Starts one that is new enough where an older one was, on the same port and store.
    pub fn upgrade(&mut self) {
        self.stop();
        binary().clone_into(&mut self.binary);
        self.spawn();
    }

    /// A client for the test's own use.
    pub async fn client(&self) -> Client {
        self.client_with(async_nats::ConnectOptions::new()).await
    }

    /// The same, with a login or certificates.
    pub async fn client_with(&self, options: async_nats::ConnectOptions) -> Client {
        options.retry_on_initial_connect().connect(self.url()).await.unwrap()
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let child = self.child.as_ref().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_child(child), signal).unwrap();
    }

    fn spawn(&mut self) {
        let ports = self.folder.path().join("ports");
        fs::create_dir_all(&ports).unwrap();
        let log = self.folder.path().join("nats-server.log");
        // The server takes -1 for a free port; after the first start it is to come back where it was.
        let port = if self.port == 0 { "-1".to_owned() } else { self.port.to_string() };
        let child = Command::new(&self.binary)
            .args(["--jetstream", "--addr", "127.0.0.1", "--port", &port, "--log"])
            .arg(&log)
            .arg("--config")
            .arg(self.folder.path().join("nats-server.conf"))
            .arg("--store_dir")
            .arg(self.store())
            .arg("--ports_file_dir")
            .arg(&ports)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // The file's name begins with the binary's.
        let name = Path::new(&self.binary).file_name().unwrap().display();
        let name = format!("{name}_{}.ports", child.id());
        let file = ports.join(name);
        self.child = Some(child);
        self.port = wait::until("the server's port", START_DEADLINE, || {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                panic!(
                    "nats-server ended with {status}: {}",
                    fs::read_to_string(&log).unwrap_or_default()
                );
            }
            port_in(&file)
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A stream on file, with limits retention unless `change` says otherwise.
pub async fn create_stream(
    client: &Client,
    name: &str,
    subjects: &[&str],
    change: impl FnOnce(&mut stream::Config),
) {
    let mut config = stream::Config {
        name: name.to_owned(),
        subjects: subjects.iter().map(|subject| (*subject).to_owned()).collect(),
        ..stream::Config::default()
    };
    change(&mut config);
    jetstream::new(client.clone()).create_stream(config).await.unwrap();
}

pub async fn delete_stream(client: &Client, name: &str) {
    jetstream::new(client.clone()).delete_stream(name).await.unwrap();
}

/// Publishes `subject, payload` pairs in order and waits until the stream has them; returns the last sequence.
pub async fn publish(
    client: &Client,
    messages: impl IntoIterator<Item = (String, Vec<u8>)>,
) -> u64 {
    publish_with_headers(
        client,
        messages.into_iter().map(|(subject, payload)| (subject, HeaderMap::new(), payload)),
    )
    .await
}

pub async fn publish_with_headers(
    client: &Client,
    messages: impl IntoIterator<Item = (String, HeaderMap, Vec<u8>)>,
) -> u64 {
    // A thousand under way are fast, and few enough for the server not to refuse any.
    const UNDER_WAY: usize = 1_000;
    let jetstream = jetstream::new(client.clone());
    let mut acks = std::collections::VecDeque::new();
    let mut last = 0;
    for (subject, headers, payload) in messages {
        let ack = jetstream.publish_with_headers(subject, headers, payload.into()).await.unwrap();
        acks.push_back(ack);
        if acks.len() > UNDER_WAY {
            last = acks.pop_front().unwrap().await.unwrap().sequence;
        }
    }
    for ack in acks {
        last = ack.await.unwrap().sequence;
    }
    last
}

/// `count` small messages `{"n":1}`, `{"n":2}` ... on one subject.
pub async fn publish_numbers(
    client: &Client,
    subject: &str,
    numbers: std::ops::RangeInclusive<u64>,
) -> u64 {
    publish(client, numbers.map(|n| (subject.to_owned(), format!("{{\"n\":{n}}}").into_bytes())))
        .await
}

/// The path of a server that is new enough, obtained if need be.
fn binary() -> &'static str {
    static BINARY: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    BINARY.get_or_init(|| crate::tools::path("tests/tools/nats-server"))
}

fn port_in(file: &Path) -> Option<u16> {
    let ports: serde_json::Value = serde_json::from_str(&fs::read_to_string(file).ok()?).ok()?;
    ports["nats"][0].as_str()?.rsplit(':').next()?.parse().ok()
}
