//! What a connection that did not come about means, as a person reads it.
//!
//! The client tells of a failed attempt in one line of its own words. Its causes are few, and each has another remedy: a
//! secret to renew, a certificate to trust, a server to start.

use super::login::Identity;

/// What is known of an attempt besides the client's words.
pub(super) struct Attempt<'a> {
    pub(super) host: &'a str,
    pub(super) port: u16,
    pub(super) identity: &'a Identity,
    /// The server has ended a connection because its user's time was over.
    pub(super) expired: bool,
}

impl Attempt<'_> {
    /// A sentence that begins with the server.
    pub(super) fn sentence(&self, words: &str) -> String {
        let server = match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        };
        format!("{server}: {}", self.meaning(words))
    }

    fn meaning(&self, words: &str) -> String {
        // The client's kind, and what stands behind it.
        let (kind, cause) = words.split_once(": ").unwrap_or((words, ""));
        match kind {
            "authorization violation" => self.unauthorized(),
            "timed out" => self.silent(),
            "DNS error" => format!("the name `{}` was not resolved: {cause}", self.host),
            "failed signing nonce" => cause.to_owned(),
            "TLS error" => format!("TLS: {cause}"),
            "IO error" => self.broken(cause),
            _ => words.to_owned(),
        }
    }

    fn unauthorized(&self) -> String {
        let expired = self.identity.expired_at().map(|at| format!(", which expired at {at}"));
        match (self.identity.shown(), expired) {
            (None, _) => {
                "authorization violation: the server asks for a login, and [nats] has none"
                    .to_owned()
            }
            (Some(shown), Some(expired)) => {
                format!("user authentication expired: the server refused {shown}{expired}")
            }
            (Some(shown), None) if self.expired => {
                format!("user authentication expired: the server refused {shown}")
            }
            (Some(shown), None) => format!("authorization violation: the server refused {shown}"),
        }
    }

    fn silent(&self) -> String {
        let hint = match self.identity.tls.first {
            true => "",
            false => " (one that expects TLS first says nothing before it: nats.tls.first)",
        };
        format!("the server did not answer in time{hint}")
    }

    fn broken(&self, cause: &str) -> String {
        if let Some(said) = cause.strip_prefix("nats: ") {
            return format!("the server refused the connection: {said}");
        }
        if let Some(problem) = cause.strip_prefix("invalid peer certificate: ") {
            return format!("TLS: {}", self.untrusted(problem));
        }
        if let Some(alert) = cause.strip_prefix("received fatal alert: ") {
            return format!("TLS: {}", self.alert(alert));
        }
        if cause.starts_with("received corrupt message of type") {
            let hint =
                if self.identity.tls.first { "; is nats.tls.first meant for it?" } else { "" };
            return format!("TLS: the server answered without TLS{hint}");
        }
        match cause {
            "expected INFO, got nothing" | "broken pipe" => {
                "the server closed the connection without a word".to_owned()
            }
            // The number behind the system's words helps nobody.
            _ => cause.split(" (os error").next().unwrap_or(cause).to_lowercase(),
        }
    }

    /// Why the server's certificate was not accepted.
    fn untrusted(&self, problem: &str) -> String {
        let word = problem.split([':', ' ']).next().unwrap_or(problem);
        // One of another authority that has the same name shows by its signature alone.
        if ["UnknownIssuer", "BadSignature"].contains(&word) {
            return match &self.identity.tls.ca_file {
                Some(file) => format!(
                    "the server's certificate is of an unknown issuer: none of nats.tls.ca_file ({})",
                    file.display()
                ),
                None => {
                    "the server's certificate is of an unknown issuer: nats.tls.ca_file may name it"
                        .to_owned()
                }
            };
        }
        if problem.starts_with("certificate not valid for name") || word == "NotValidForName" {
            return format!(
                "the server's certificate is for another name than `{}`, by which nats.servers calls it",
                self.host
            );
        }
        match problem {
            _ if problem.starts_with("certificate expired") || word == "Expired" => {
                "the server's certificate has expired".to_owned()
            }
            _ if problem.starts_with("certificate not valid yet") || word == "NotValidYet" => {
                "the server's certificate is not valid yet".to_owned()
            }
            _ => format!("the server's certificate was refused: {problem}"),
        }
    }

    /// Why the server broke the handshake off.
    fn alert(&self, alert: &str) -> String {
        match (&self.identity.tls.client, alert) {
            (None, _) | (_, "CertificateRequired") => format!(
                "the server wants a client certificate, which nats.tls.cert_file and nats.tls.key_file name ({alert})"
            ),
            (Some(client), _) => format!(
                "the server refused the client certificate of nats.tls.cert_file ({}): {alert}",
                client.cert_file.display()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::config::{ClientCertificate, Login, Tls};

    #[track_caller]
    fn check(login: Login, tls: Tls, words: &str, wanted: &str) {
        let identity = Identity { login, tls };
        let attempt =
            Attempt { host: "nats.example", port: 4222, identity: &identity, expired: false };
        assert_eq!(attempt.sentence(words), format!("nats.example:4222: {wanted}"));
    }

    #[test]
    fn each_cause_has_its_sentence() {
        let token = || Login::Token { file: PathBuf::from("t") };
        let first = || Tls { first: true, ..Tls::default() };
        let ca = || Tls { ca_file: Some(PathBuf::from("ca.pem")), ..Tls::default() };
        let client = ClientCertificate { cert_file: "c.pem".into(), key_file: "c.key".into() };
        let client = || Tls { client: Some(client.clone()), ..ca() };
        let violation = "authorization violation: nats: authorization violation";
        check(
            token(),
            Tls::default(),
            violation,
            "authorization violation: the server refused the token of nats.token_file (t)",
        );
        for (tls, words, wanted) in [
            (
                Tls::default(),
                violation,
                "authorization violation: the server asks for a login, and [nats] has none",
            ),
            (Tls::default(), "IO error: Connection refused (os error 111)", "connection refused"),
            (
                Tls::default(),
                "IO error: nats: maximum connections exceeded",
                "the server refused the connection: maximum connections exceeded",
            ),
            (
                Tls::default(),
                "IO error: expected INFO, got nothing",
                "the server closed the connection without a word",
            ),
            (
                Tls::default(),
                "timed out",
                "the server did not answer in time (one that expects TLS first says nothing before it: nats.tls.first)",
            ),
            (first(), "timed out", "the server did not answer in time"),
            (
                first(),
                "IO error: received corrupt message of type InvalidContentType",
                "TLS: the server answered without TLS; is nats.tls.first meant for it?",
            ),
            (
                Tls::default(),
                "DNS error: failed to lookup address information: Name or service not known",
                "the name `nats.example` was not resolved: failed to lookup address information: Name or service not known",
            ),
            (
                ca(),
                "IO error: invalid peer certificate: UnknownIssuer",
                "TLS: the server's certificate is of an unknown issuer: none of nats.tls.ca_file (ca.pem)",
            ),
            (
                Tls::default(),
                "IO error: invalid peer certificate: UnknownIssuer",
                "TLS: the server's certificate is of an unknown issuer: nats.tls.ca_file may name it",
            ),
            (
                ca(),
                "IO error: invalid peer certificate: certificate not valid for name \"nats.example\"; certificate is only valid for DnsName(\"other\")",
                "TLS: the server's certificate is for another name than `nats.example`, by which nats.servers calls it",
            ),
            (
                ca(),
                "IO error: invalid peer certificate: certificate expired: verification time 2 (UNIX), but certificate is not valid after 1 (1 seconds ago)",
                "TLS: the server's certificate has expired",
            ),
            (
                ca(),
                "IO error: received fatal alert: CertificateRequired",
                "TLS: the server wants a client certificate, which nats.tls.cert_file and nats.tls.key_file name (CertificateRequired)",
            ),
            (
                client(),
                "IO error: received fatal alert: DecryptError",
                "TLS: the server refused the client certificate of nats.tls.cert_file (c.pem): DecryptError",
            ),
        ] {
            check(Login::None, tls, words, wanted);
        }
    }
}
