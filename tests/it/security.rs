//! Logins, TLS and rights, each beside a server that enforces it: what the README asks for suffices, what is missing is
//! named, and what is mended is taken without a restart.

mod credentials;
mod domain;
mod expiry;
mod logins;
mod rights;
mod tls;

use viewd::status::{Projection, State};

use crate::daemon::{DEADLINE, Daemon};
use crate::wait;

const SOURCES: &str = "[sources.shop]\nstream = \"SHOP\"\n";

/// What is mended is found soon.
const SOON: &str = "limits.backoff_ms_max=200";

/// Each number of the stream is a row.
pub fn definition(subjects: &str) -> String {
    format!(
        "source = \"shop\"\n{subjects}\n[tables.numbers]\nkey = [\"n\"]\ncolumns.n = \"integer\"\n\
         [[on]]\nevent = \"*\"\nupsert = \"numbers\"\nkey.n = \".data.n\"\n"
    )
}

fn borrowed(set: &[String]) -> Vec<&str> {
    set.iter().map(String::as_str).collect()
}

/// Waits until a projection is in a state, and returns what it then says.
#[track_caller]
pub fn becomes(daemon: &Daemon, projection: &str, state: State) -> Projection {
    becomes_such(daemon, projection, &format!("{state:?}"), |found| found.state == state)
}

#[track_caller]
pub fn becomes_such(
    daemon: &Daemon,
    projection: &str,
    what: &str,
    mut such: impl FnMut(&Projection) -> bool,
) -> Projection {
    let mut last = None;
    let found = wait::until_or(DEADLINE, || {
        let found = daemon.projection(projection);
        let is = such(&found);
        last = Some(found.clone());
        is.then_some(found)
    });
    found.unwrap_or_else(|| panic!("`{projection}` is not {what}: {last:?}"))
}

/// Waits until a projection says that it cannot be read, and why: all of `words`.
#[track_caller]
fn degrades(daemon: &Daemon, projection: &str, words: &[&str]) -> Projection {
    let what = format!("degraded, saying {words:?}");
    becomes_such(daemon, projection, &what, |found| {
        let says = |detail: &String| words.iter().all(|word| detail.contains(word));
        found.state == State::Degraded && found.detail.as_ref().is_some_and(says)
    })
}
