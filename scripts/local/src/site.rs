//! Serves the query API and the daemon's status page under one address.

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use ingestor::observe::page::StatusPage;

/// Answer in which the explorer looks for the status page.
const TOLD_IN: &str = "/channels";
/// Where the status page is, relative to the explorer; the relation is that of RFC 8631.
const LINK: &str = r#"<status>; rel="status""#;
/// Where the explorer is, relative to the status page.
const EXPLORER: &str = "./";

/// Returns the routes of the query API, and `/status` beside them. The explorer learns from a `Link` that there is a status page: the
/// query API alone has none.
pub fn router(api: Router, page: &StatusPage) -> Router {
    let api = api.layer(middleware::from_fn(tell));
    page.router(Some(EXPLORER)).fallback_service(api)
}

async fn tell(request: Request, next: Next) -> Response {
    let is_told = request.uri().path() == TOLD_IN;
    let mut response = next.run(request).await;
    if is_told {
        response.headers_mut().append(header::LINK, HeaderValue::from_static(LINK));
    }
    response
}
