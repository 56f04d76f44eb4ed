use axum::{
    http::{HeaderValue, header},
    response::IntoResponse,
};

/// The process answers. It does not ask the store: a throttled table is no reason to restart the function.
pub(super) async fn health() -> impl IntoResponse {
    ([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], axum::Json(serde_json::json!({ "status": "ok" })))
}

/// The contract, as `infra/openapi.yaml` has it.
pub(super) async fn contract() -> impl IntoResponse {
    let json = [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];
    (json, include_str!("openapi.json"))
}
