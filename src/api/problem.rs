//! Errors as `application/problem+json` (RFC 9457), with a stable code and a hint.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::diagnostic::{Diagnostic, did_you_mean};
use crate::event::Sequence;
use crate::supervisor::daemon::Daemon;
use crate::supervisor::refused::Refused;

/// One error of the API; boxed, since it travels as the rare side of a result.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Body>);

#[derive(Debug, Serialize)]
struct Body {
    /// Stable: clients match on it.
    code: &'static str,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    /// Where the view stands, for who waits for more.
    #[serde(skip_serializing_if = "Option::is_none")]
    sequence: Option<u64>,
    /// Of whom it is told, where several answer at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    projection: Option<String>,
    /// What is being done already, for who asked for something else.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<u64>,
    /// What is wrong in the files, each with its place.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    diagnostics: Vec<Diagnostic>,
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self(Box::new(Body {
            code,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            sequence: None,
            projection: None,
            operation: None,
            diagnostics: Vec::new(),
            retry_after_seconds: None,
        }))
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    pub fn hints(mut self, hint: Option<String>) -> Self {
        self.0.hint = hint.or(self.0.hint);
        self
    }

    pub fn sequence(mut self, current: Sequence) -> Self {
        self.0.sequence = Some(current.0);
        self
    }

    pub fn operation(mut self, number: u64) -> Self {
        self.0.operation = Some(number);
        self
    }

    pub fn projection(mut self, projection: String) -> Self {
        self.0.projection = Some(projection);
        self
    }

    pub fn diagnostics(mut self, diagnostics: Vec<Diagnostic>) -> Self {
        self.0.diagnostics = diagnostics;
        self
    }

    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_seconds = Some(seconds);
        self
    }

    /// What programs know it by.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The code of HTTP.
    pub fn status(&self) -> u16 {
        self.0.status
    }

    /// The body of the answer.
    pub fn json(&self) -> String {
        serde_json::to_string(self).expect("a problem is plain data")
    }

    #[cfg(test)]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    pub fn unknown_projection(name: &str, known: &[String]) -> Self {
        let problem = Self::new(
            StatusCode::NOT_FOUND,
            "unknown-projection",
            format!("there is no projection `{name}`"),
        );
        problem.hints(did_you_mean(name, known.iter().map(String::as_str)))
    }

    /// What the daemon did not do.
    pub fn refused(daemon: &Daemon, refused: Refused) -> Self {
        let (detail, hint) = (refused.to_string(), refused.hint());
        let (status, code) = match &refused {
            Refused::Unknown { projection } => {
                return Self::unknown_projection(projection, &daemon.names());
            }
            Refused::Busy { .. } => (StatusCode::CONFLICT, "busy"),
            Refused::NotPossible { .. } => (StatusCode::CONFLICT, "not-possible"),
            Refused::NoRetired => (StatusCode::CONFLICT, "no-retired-generation"),
            Refused::Passed { .. } => (StatusCode::CONFLICT, "passed"),
            Refused::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
            Refused::Unreadable { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "unreadable"),
            Refused::Unreachable { .. } => (StatusCode::SERVICE_UNAVAILABLE, "source-unreachable"),
            Refused::Draining => (StatusCode::SERVICE_UNAVAILABLE, "shutting-down"),
            Refused::Storage { .. } => (StatusCode::INSUFFICIENT_STORAGE, "storage"),
        };
        let problem = Self::new(status, code, detail).hints(hint);
        match refused {
            Refused::Busy { operation: Some(number), .. } => problem.operation(number),
            Refused::Invalid { diagnostics } => problem.diagnostics(diagnostics),
            Refused::Passed { current } => problem.sequence(current),
            _ => problem,
        }
    }

    pub fn not_ready(waiting: &[String]) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", waiting.join("; "))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status =
            StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], self.json())
                .into_response();
        if let Some(seconds) = self.0.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
