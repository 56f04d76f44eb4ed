//! `/health` and `/openapi.json`: what the service says of itself.

use axum::{
    http::{HeaderValue, header},
    response::IntoResponse,
};

/// Answers that the process runs, without asking the store: a throttled table is no reason to restart the function.
pub(super) async fn health() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], axum::Json(serde_json::json!({ "status": "ok" })))
}

/// Answers with the contract of `infra/openapi.yaml`, as JSON.
pub(super) async fn contract() -> impl IntoResponse {
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (json, include_str!("openapi.json"))
}
