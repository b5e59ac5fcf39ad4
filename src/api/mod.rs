//! The HTTP routes: health, metrics, and what the projections say of themselves.
//!
//! The same router answers on the TCP address of the settings and on the admin socket in the data directory. But for
//! `wait`, nothing here touches a view or asks NATS: an answer is made of what the daemon knows, so it comes at once.
//! Commands (`admin`) are taken on the admin socket alone.

mod admin;
mod digest;
mod operation;
mod parameter;
pub(crate) mod problem;
pub(crate) mod search;
pub mod serve;
pub mod upkeep;
pub mod wait;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{MatchedPath, Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde::Deserialize;

use crate::api::problem::Problem;
use crate::supervisor::daemon::Daemon;

/// The routes of one daemon, on its admin socket or elsewhere.
pub fn router(daemon: Arc<Daemon>, admin: bool) -> Router {
    Router::new()
        .route("/livez", get(livez))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/v1/projections", get(projections))
        .route("/v1/projections/{projection}", get(projection))
        .route("/v1/projections/{projection}/wait", get(wait::wait))
        .merge(if admin { admin::routes() } else { admin::elsewhere() })
        .fallback(move || unknown_route(admin))
        .method_not_allowed_fallback(unknown_method)
        .layer(middleware::from_fn_with_state(Arc::clone(&daemon), measure))
        .with_state(daemon)
}

/// The process turns: never lag, never NATS.
async fn livez() -> &'static str {
    "ok\n"
}

#[derive(Deserialize)]
struct Ready {
    projection: Option<String>,
}

async fn readyz(
    State(daemon): State<Arc<Daemon>>,
    Query(query): Query<Ready>,
) -> Result<String, Problem> {
    if let Some(name) = &query.projection
        && !daemon.names().contains(name)
    {
        return Err(Problem::unknown_projection(name, &daemon.names()));
    }
    let waiting = daemon.not_ready(query.projection.as_deref());
    if waiting.is_empty() { Ok("ok\n".to_owned()) } else { Err(Problem::not_ready(&waiting)) }
}

async fn metrics(State(daemon): State<Arc<Daemon>>) -> Response {
    let text = daemon.metrics_text();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

async fn projections(State(daemon): State<Arc<Daemon>>) -> Response {
    Json(daemon.report()).into_response()
}

async fn projection(
    State(daemon): State<Arc<Daemon>>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let mut report = daemon.report();
    report.projections.retain(|projection| projection.name == name);
    if report.projections.is_empty() {
        return Err(Problem::unknown_projection(&name, &daemon.names()));
    }
    Ok(Json(report).into_response())
}

async fn unknown_route(admin: bool) -> Problem {
    let everywhere = "there are /livez, /readyz, /metrics, /v1/projections, /v1/projections/{name} and /v1/projections/{name}/wait";
    let at = if admin { "here" } else { "on the admin socket alone" };
    let hint = format!("{everywhere}; {at} /v1/projections/{{name}}/search/{{index}}");
    Problem::new(StatusCode::NOT_FOUND, "unknown-route", "no such route").hint(hint)
}

async fn unknown_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "this route does not answer that method",
    )
}

/// Counts and times each request by its route, never by its path.
async fn measure(State(daemon): State<Arc<Daemon>>, request: Request, next: Next) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("unmatched", MatchedPath::as_str)
        .to_owned();
    let method = match request.method().as_str() {
        known @ ("GET" | "HEAD" | "POST") => known,
        _ => "other",
    }
    .to_owned();
    let metrics = daemon.metrics();
    metrics.http_requests_in_flight.inc();
    let begun = Instant::now();
    let response = next.run(request).await;
    metrics.http_requests_in_flight.dec();
    metrics
        .http_request_duration_seconds
        .with_label_values(&[&route])
        .observe(begun.elapsed().as_secs_f64());
    metrics
        .http_requests_total
        .with_label_values(&[&route, &method, response.status().as_str()])
        .inc();
    response
}
