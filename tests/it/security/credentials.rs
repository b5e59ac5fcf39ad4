//! Credentials as an operator makes them: a chain of JWTs, each signed by the key above it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use nkeys::KeyPair;
use serde_json::{Value, json};

/// An operator with one account that has JetStream.
pub struct Operator {
    key: KeyPair,
    system: KeyPair,
    account: KeyPair,
}

impl Operator {
    pub fn new() -> Self {
        let (system, account) = (KeyPair::new_account(), KeyPair::new_account());
        Self { key: KeyPair::new_operator(), system, account }
    }

    /// The server's part of it.
    pub fn settings(&self) -> String {
        let operator = json!({ "type": "operator", "version": 2 });
        let operator = signed(&self.key, &self.key.public_key(), "operator", None, operator);
        let (system, account) = (self.system.public_key(), self.account.public_key());
        format!(
            "operator: {operator}\nsystem_account: {system}\nresolver: MEMORY\n\
             resolver_preload {{\n{system}: {}\n{account}: {}\n}}\n",
            signed(&self.key, &system, "SYS", None, account_claims(0)),
            signed(&self.key, &account, "APP", None, account_claims(-1)),
        )
    }

    /// A credentials file of a new user, who may log in until then, in seconds since 1970.
    pub fn credentials(&self, expires: Option<i64>) -> String {
        let user = KeyPair::new_user();
        let claims = json!({
            "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1, "type": "user", "version": 2
        });
        let jwt = signed(&self.account, &user.public_key(), "viewd", expires, claims);
        format!(
            "-----BEGIN NATS USER JWT-----\n{jwt}\n------END NATS USER JWT------\n\n\
             ************************* IMPORTANT *************************\n\
             NKEY Seed printed below can be used to sign and prove identity.\n\
             NKEYs are sensitive and should be treated as secrets.\n\n\
             -----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            user.seed().unwrap()
        )
    }
}

/// With as much of JetStream's storage as that; -1 is all there is.
fn account_claims(storage: i64) -> Value {
    json!({
        "limits": {
            "subs": -1, "data": -1, "payload": -1, "imports": -1, "exports": -1, "wildcards": true,
            "conn": -1, "leaf": -1, "mem_storage": storage, "disk_storage": storage,
            "streams": storage, "consumer": storage
        },
        "default_permissions": { "pub": {}, "sub": {} },
        "type": "account",
        "version": 2
    })
}

fn signed(by: &KeyPair, of: &str, name: &str, expires: Option<i64>, nats: Value) -> String {
    let issued = viewd::clock::now().0 / 1_000_000;
    let mut claims = json!({
        "jti": format!("{name}-{issued}"), "iat": issued, "iss": by.public_key(), "sub": of, "name": name, "nats": nats
    });
    if let Some(expires) = expires {
        claims["exp"] = expires.into();
    }
    let header = json!({ "typ": "JWT", "alg": "ed25519-nkey" });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&header), part(&claims));
    let signature = URL_SAFE_NO_PAD.encode(by.sign(text.as_bytes()).unwrap());
    format!("{text}.{signature}")
}
