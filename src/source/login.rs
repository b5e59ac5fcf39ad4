//! What viewd shows NATS to be let in: the files of a login and of TLS.
//!
//! Secrets are read anew at each connect, so that a rotated password or renewed credentials are taken without a restart.
//! A file that is not as it must be is named with its setting; what it holds never leaves this module but to the server.

use std::path::{Path, PathBuf};

use async_nats::{Auth, ServerAddr};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::{KeyPair, KeyPairType};

use super::connection::Error;
use crate::config::{Login, Nats, Tls};
use crate::event::time::Timestamp;

/// The settings by which viewd shows who it is, and by which it knows the server.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) login: Login,
    pub(super) tls: Tls,
}

/// A file of the settings.
struct File<'a> {
    setting: &'static str,
    path: &'a Path,
}

/// What a credentials file holds.
struct Credentials {
    jwt: String,
    key: KeyPair,
    /// When the server stops accepting it, in seconds since 1970.
    expires: Option<i64>,
}

/// A user and a password, or a token alone, that stands in a server's URL, which the client does not look for there.
pub(super) fn in_url(servers: &[ServerAddr]) -> Option<(String, Option<String>)> {
    let server = servers.iter().find(|server| server.has_user_pass())?;
    Some((decoded(server.username()?), server.password().map(decoded)))
}

impl Identity {
    pub(super) fn new(nats: &Nats) -> Self {
        Self { login: nats.login.clone(), tls: nats.tls.clone() }
    }

    /// Reads every file as a connect does, and says which one is not as it must be.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.auth(b"")?;
        if let Some(path) = &self.tls.ca_file {
            File { setting: "nats.tls.ca_file", path }.pem("CERTIFICATE")?;
        }
        if let Some(client) = &self.tls.client {
            let path = &client.cert_file;
            File { setting: "nats.tls.cert_file", path }.pem("CERTIFICATE")?;
            File { setting: "nats.tls.key_file", path: &client.key_file }.pem("PRIVATE KEY")?;
        }
        Ok(())
    }

    /// What to answer to the server's greeting.
    pub(super) fn auth(&self, nonce: &[u8]) -> Result<Auth, Error> {
        let mut auth = Auth::new();
        let Some(file) = self.secret() else { return Ok(auth) };
        match &self.login {
            Login::None => {}
            Login::Credentials { .. } => {
                let credentials = file.credentials()?;
                auth.signature = Some(file.sign(&credentials.key, nonce)?);
                auth.jwt = Some(credentials.jwt);
            }
            Login::Nkey { .. } => {
                let key = file.key(&file.line()?)?;
                auth.signature = Some(file.sign(&key, nonce)?);
                auth.nkey = Some(key.public_key());
            }
            Login::Token { .. } => auth.token = Some(file.line()?),
            Login::Password { user, .. } => {
                (auth.username, auth.password) = (Some(user.clone()), Some(file.line()?));
            }
        }
        Ok(auth)
    }

    /// What the server did not accept, in words.
    pub(super) fn shown(&self) -> Option<String> {
        let file = self.secret()?;
        let (setting, path) = (file.setting, file.path.display());
        Some(match &self.login {
            Login::None => return None,
            Login::Credentials { .. } => format!("the credentials of {setting} ({path})"),
            Login::Nkey { .. } => format!("the key of {setting} ({path})"),
            Login::Token { .. } => format!("the token of {setting} ({path})"),
            Login::Password { user, .. } => {
                format!("the user `{user}` with the password of {setting} ({path})")
            }
        })
    }

    /// When the credentials have expired, if they have by this machine's clock.
    pub(super) fn expired_at(&self) -> Option<Timestamp> {
        let Login::Credentials { .. } = self.login else { return None };
        let expires = self.secret()?.credentials().ok()?.expires?;
        let at = Timestamp(expires.saturating_mul(1_000_000));
        (at <= crate::clock::now()).then_some(at)
    }

    fn secret(&self) -> Option<File<'_>> {
        let (setting, path): (_, &PathBuf) = match &self.login {
            Login::None => return None,
            Login::Credentials { file } => ("nats.credentials_file", file),
            Login::Nkey { file } => ("nats.nkey_file", file),
            Login::Token { file } => ("nats.token_file", file),
            Login::Password { password_file, .. } => ("nats.password_file", password_file),
        };
        Some(File { setting, path })
    }
}

impl File<'_> {
    fn read(&self) -> Result<String, Error> {
        let bytes = std::fs::read(self.path).map_err(|source| Error::Unreadable {
            setting: self.setting,
            path: self.path.to_owned(),
            source,
        })?;
        String::from_utf8(bytes).map_err(|_| self.malformed("holds bytes that are no text"))
    }

    /// The one line that it holds.
    fn line(&self) -> Result<String, Error> {
        let text = self.read()?;
        match text.trim() {
            "" => Err(self.malformed("is empty")),
            line if line.contains(['\n', '\r']) => Err(self.malformed("holds more than one line")),
            line => Ok(line.to_owned()),
        }
    }

    fn pem(&self, kind: &str) -> Result<(), Error> {
        let text = self.read()?;
        let begins = text.lines().any(|line| {
            line.strip_prefix("-----BEGIN ")
                .is_some_and(|rest| rest.trim_end().ends_with(&format!("{kind}-----")))
        });
        if begins {
            return Ok(());
        }
        let what = kind.to_ascii_lowercase();
        Err(self.malformed(&format!("holds no {what} in PEM, which begins with -----BEGIN")))
    }

    /// A JWT and a seed, each between a line that begins with dashes and another.
    fn credentials(&self) -> Result<Credentials, Error> {
        let text = self.read()?;
        let mut blocks = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let mut block = || {
            blocks.find(|line| line.starts_with("---") && line.contains("BEGIN"))?;
            blocks.next()
        };
        let wanted = "as `nsc generate creds` writes it";
        let jwt = block().ok_or_else(|| self.malformed(&format!("holds no JWT {wanted}")))?;
        let seed = block().ok_or_else(|| self.malformed(&format!("holds no seed {wanted}")))?;
        let claims = claims(jwt).ok_or_else(|| self.malformed("holds a JWT that is none"))?;
        Ok(Credentials {
            jwt: jwt.to_owned(),
            key: self.key(seed)?,
            expires: claims["exp"].as_i64(),
        })
    }

    fn key(&self, seed: &str) -> Result<KeyPair, Error> {
        let key = KeyPair::from_seed(seed)
            .map_err(|_| self.malformed("holds no seed of an nkey, which begins with SU"))?;
        match key.key_pair_type() {
            KeyPairType::User => Ok(key),
            _ => Err(self.malformed("holds the seed of another than a user, whose begins with SU")),
        }
    }

    fn sign(&self, key: &KeyPair, nonce: &[u8]) -> Result<Vec<u8>, Error> {
        key.sign(nonce).map_err(|_| self.malformed("holds a seed that does not sign"))
    }

    fn malformed(&self, problem: &str) -> Error {
        Error::Malformed {
            setting: self.setting,
            path: self.path.to_owned(),
            problem: problem.to_owned(),
        }
    }
}

fn claims(jwt: &str) -> Option<serde_json::Value> {
    let [_, claims, _] = jwt.split('.').collect::<Vec<_>>()[..] else { return None };
    let claims = URL_SAFE_NO_PAD.decode(claims.trim_end_matches('=')).ok()?;
    serde_json::from_slice::<serde_json::Value>(&claims).ok().filter(serde_json::Value::is_object)
}

/// `%40` as `@`.
fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let hex = part.get(..2).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match hex {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => {
                bytes.push(b'%');
                bytes.extend_from_slice(part.as_bytes());
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(login: impl FnOnce(PathBuf) -> Login, text: &str) -> (tempfile::TempDir, Identity) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, text).unwrap();
        (folder, Identity { login: login(path), tls: Tls::default() })
    }

    fn jwt(claims: &str) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
    }

    fn credentials(jwt: &str, seed: &str) -> String {
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\n\
             -----BEGIN USER NKEY SEED-----\r\n{seed}\r\n------END USER NKEY SEED------\n"
        )
    }

    #[test]
    fn a_credentials_file_gives_its_jwt_and_a_signature() {
        let key = KeyPair::new_user();
        let jwt = jwt(r#"{"exp":1}"#);
        let text = credentials(&jwt, &key.seed().unwrap());
        let (_folder, identity) = identity(|file| Login::Credentials { file }, &text);
        let auth = identity.auth(b"nonce").unwrap();
        assert_eq!(auth.jwt.as_deref(), Some(jwt.as_str()));
        key.verify(b"nonce", &auth.signature.unwrap()).unwrap();
        assert_eq!(identity.expired_at(), Some(Timestamp(1_000_000)));
    }

    #[test]
    fn a_url_may_hold_a_login() {
        for (url, wanted) in [
            ("nats://h", None),
            ("nats://u:p%40s%25@h", Some(("u".to_owned(), Some("p@s%".to_owned())))),
            ("nats://token@h", Some(("token".to_owned(), None))),
        ] {
            let other = "nats://other".parse().unwrap();
            assert_eq!(in_url(&[other, url.parse().unwrap()]), wanted, "{url}");
        }
    }

    #[test]
    fn what_is_wrong_is_named_and_the_secret_is_not() {
        let seed = KeyPair::new_user().seed().unwrap();
        let account = KeyPair::new_account().seed().unwrap();
        let credentials_file = |file| Login::Credentials { file };
        let nkey = |file| Login::Nkey { file };
        let token = |file| Login::Token { file };
        let check = |login: &dyn Fn(PathBuf) -> Login, text: &str, wanted: &str| {
            let (_folder, identity) = identity(login, text);
            let error = identity.check().unwrap_err().sentence();
            assert!(error.contains(wanted) && error.contains("secret"), "{error}");
            for secret in [&seed, &account, "hunter2"] {
                assert!(!error.contains(secret), "{error}");
            }
        };
        check(&credentials_file, "", "holds no JWT as `nsc");
        check(&credentials_file, &credentials("hunter2", &seed), "holds a JWT that is none");
        check(&credentials_file, &credentials(&jwt("{}"), "hunter2"), "no seed of an nkey");
        check(&credentials_file, &credentials(&jwt("{}"), &account), "another than a user");
        let half = credentials(&jwt("{}"), &seed);
        check(&credentials_file, half.split("*****").next().unwrap(), "holds no seed as `nsc");
        check(&nkey, "hunter2", "no seed of an nkey");
        check(&nkey, &account, "another than a user");
        check(&token, "\n", "is empty");
        check(&token, "hunter2\nhunter2\n", "more than one line");
    }
}
