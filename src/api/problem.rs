//! Errors as `application/problem+json` (RFC 9457), with a stable code and a hint.

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::diagnostic::did_you_mean;
use crate::event::Sequence;

/// One error of the API.
#[derive(Debug, Serialize)]
pub struct Problem {
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
    #[serde(skip)]
    retry_after_seconds: Option<u64>,
}

impl Problem {
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self {
            code,
            title,
            status: status.as_u16(),
            detail: detail.into(),
            hint: None,
            sequence: None,
            retry_after_seconds: None,
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn hints(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    pub fn sequence(mut self, current: Sequence) -> Self {
        self.sequence = Some(current.0);
        self
    }

    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    #[cfg(test)]
    pub fn detail(&self) -> &str {
        &self.detail
    }

    pub fn unknown_projection(name: &str, known: &[String]) -> Self {
        let problem = Self::new(
            StatusCode::NOT_FOUND,
            "unknown-projection",
            format!("there is no projection `{name}`"),
        );
        Self { hint: did_you_mean(name, known.iter().map(String::as_str)), ..problem }
    }

    pub fn not_ready(waiting: &[String]) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-ready", waiting.join("; "))
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_string(&self).expect("a problem is plain data");
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response
    }
}
