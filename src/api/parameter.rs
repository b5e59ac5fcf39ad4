//! The parameters of a request: each begins with `_`, so none can ever be a column's name.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::StatusCode;

use super::problem::Problem;
use crate::definition::policy::duration;
use crate::diagnostic::did_you_mean;

/// The parameters of one request, all of them known.
pub(super) struct Parameters(BTreeMap<String, String>);

impl Parameters {
    /// Refuses what no route of this kind knows: an option that is misspelt must not be taken for one that is not given.
    pub(super) fn new(given: BTreeMap<String, String>, known: &[&str]) -> Result<Self, Problem> {
        if let Some(unknown) = given.keys().find(|key| !known.contains(&key.as_str())) {
            let hint = did_you_mean(unknown, known.iter().copied());
            return Err(bad(format!("there is no parameter `{unknown}`")).hints(hint));
        }
        Ok(Self(given))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Whether an option is given.
    pub(super) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(other) => Err(bad(format!("`{name}` is `{other}`")).hint("write true or false")),
        }
    }

    /// A span of time up to `max`; `unless` it is given, that.
    pub(super) fn duration(
        &self,
        name: &str,
        unless: Duration,
        max: Duration,
    ) -> Result<Duration, Problem> {
        let Some(text) = self.get(name) else { return Ok(unless) };
        duration(text).filter(|given| *given <= max).ok_or_else(|| {
            bad(format!("`{name}` is `{text}`")).hint(format!(
                "write 500ms, 10s or 2m; at most {} s, and ask again for longer",
                max.as_secs()
            ))
        })
    }
}

/// A parameter that cannot be meant.
pub(super) fn bad(detail: String) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "bad-parameter", detail)
}
