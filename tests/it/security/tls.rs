//! TLS: whom viewd trusts, and how it is trusted itself.

use std::path::PathBuf;

use async_nats::ConnectOptions;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd,
};
use viewd::status::State;

use super::{SOON, SOURCES, becomes, borrowed, definition, degrades};
use crate::daemon::{DEADLINE, Site};
use crate::nats::{Server, create_stream, publish_numbers};
use crate::wait;

/// An authority, and a folder with what it has signed.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    folder: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, folder }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Signs a certificate of `NAME.pem` and `NAME.key` for a host or an address.
    fn sign(&self, name: &str, host: &str, change: impl FnOnce(&mut CertificateParams)) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.file(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.file(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    /// A server's TLS with a certificate of its own; `more` are further lines.
    fn settings(&self, name: &str, more: &str) -> String {
        let file = |end: &str| self.file(&format!("{name}.{end}"));
        format!(
            "tls {{ cert_file: {:?}, key_file: {:?}, ca_file: {:?}, timeout: 20\n{more} }}\n",
            file("pem"),
            file("key"),
            self.file("ca.pem")
        )
    }

    fn client(&self, name: &str) -> ConnectOptions {
        let file = |end: &str| self.file(&format!("{name}.{end}"));
        ConnectOptions::new()
            .add_root_certificates(self.file("ca.pem"))
            .add_client_certificate(file("pem"), file("key"))
            .require_tls(true)
    }

    /// Settings by which viewd trusts this authority.
    fn trusted(&self) -> String {
        format!("nats.tls.ca_file={}", self.file("ca.pem").display())
    }

    /// Settings by which viewd shows a certificate.
    fn shown(&self, name: &str) -> [String; 2] {
        ["cert", "key"].map(|part| {
            let end = if part == "cert" { "pem" } else { "key" };
            format!("nats.tls.{part}_file={}", self.file(&format!("{name}.{end}")).display())
        })
    }
}

fn with(mut set: Vec<String>, more: impl IntoIterator<Item = String>) -> Vec<String> {
    set.extend(more);
    set
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_show_a_certificate() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.sign("server", "127.0.0.1", |_| ());
    authority.sign("client", "viewd", |_| ());
    let server = Server::configured(&authority.settings("server", "verify: true"));
    let client = server.client_with(authority.client("client")).await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish_numbers(&client, "shop.a", 1..=5).await;

    let site = Site::new(&server, SOURCES, &[("numbers", &definition(""))]);
    site.write("ca.pem", &std::fs::read_to_string(other.file("ca.pem")).unwrap());
    let ca = site.path("ca.pem").display().to_string();
    let set = vec![format!("nats.tls.ca_file={ca}"), SOON.to_owned()];
    let set = with(set, authority.shown("client"));
    let daemon = site.start(&borrowed(&set));
    degrades(&daemon, "numbers", &["TLS", "unknown issuer", "nats.tls.ca_file", &ca]);
    assert_eq!(site.counts("numbers").applied, 0);
    site.write("ca.pem", &std::fs::read_to_string(authority.file("ca.pem")).unwrap());
    daemon.reaches("numbers", 5);
    becomes(&daemon, "numbers", State::Live);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_fault_of_a_handshake_has_its_sentence() {
    let (authority, other) = (Authority::new(), Authority::new());
    authority.sign("server", "127.0.0.1", |_| ());
    authority.sign("elsewhere", "nats.example", |_| ());
    authority.sign("old", "127.0.0.1", |params| params.not_after = date_time_ymd(2020, 1, 1));
    authority.sign("client", "viewd", |_| ());
    other.sign("stranger", "viewd", |_| ());
    let mutual = Server::configured(&authority.settings("server", "verify: true"));
    let elsewhere = Server::configured(&authority.settings("elsewhere", ""));
    let old = Server::configured(&authority.settings("old", ""));
    let plain = Server::start();
    let first = Server::configured(&authority.settings("server", "handshake_first: true"));
    let trusted = || vec![authority.trusted()];
    let cases = [
        (&mutual, with(trusted(), []), "the server wants a client certificate"),
        (&mutual, with(trusted(), other.shown("stranger")), "refused the client certificate"),
        (&mutual, with(vec![], authority.shown("client")), "of an unknown issuer"),
        (&elsewhere, trusted(), "is for another name than `127.0.0.1`"),
        (&old, trusted(), "certificate has expired"),
        (&plain, with(trusted(), ["nats.tls.first=true".to_owned()]), "answered without TLS"),
        (&first, with(trusted(), []), "one that expects TLS first"),
    ];
    std::thread::scope(|threads| {
        for (server, set, wanted) in cases {
            threads.spawn(move || {
                let site = Site::new(server, SOURCES, &[("numbers", &definition(""))]);
                // Short, as one of them waits for a greeting in vain.
                let set = with(set, ["limits.heartbeat_ms=1000".to_owned()]);
                let mut said = String::new();
                // The command waits three seconds for an answer, in which a busy machine may not come to the point.
                let found = wait::until_or(DEADLINE, || {
                    let output = site.run(&["check"], &borrowed(&set));
                    said = String::from_utf8_lossy(&output.stderr).into_owned();
                    assert_eq!(output.status.code(), Some(69), "{wanted}: {said}");
                    said.contains(wanted).then_some(())
                });
                assert!(found.is_some(), "{wanted}: {said}");
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_comes_first_where_the_server_wants_it() {
    let authority = Authority::new();
    authority.sign("server", "127.0.0.1", |_| ());
    let server = Server::configured(&authority.settings("server", "handshake_first: true"));
    let options = ConnectOptions::new().add_root_certificates(authority.file("ca.pem")).tls_first();
    let client = server.client_with(options).await;
    create_stream(&client, "SHOP", &["shop.>"], |_| ()).await;
    publish_numbers(&client, "shop.a", 1..=5).await;
    let site = Site::new(&server, SOURCES, &[("numbers", &definition(""))]);
    let set = [authority.trusted(), "nats.tls.first=true".to_owned()];
    let daemon = site.start(&borrowed(&set));
    daemon.reaches("numbers", 5);
    becomes(&daemon, "numbers", State::Live);
}
