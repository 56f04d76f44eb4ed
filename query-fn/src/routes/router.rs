//! The service: its paths, and what is the same for all of them.

use aws_sdk_dynamodb::Client;
use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, Uri, header, uri::PathAndQuery},
    middleware::from_fn,
    routing::get,
};
use std::sync::Arc;
use tower::util::MapRequestLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::config::Config;
use crate::http::invocation;
use crate::http::problem::Problem;

use super::app::App;
use super::{about, candles, channels, count, coverage, events, explorer, export, tail};

/// The first segments of all paths; that of `/` is empty.
pub const PATHS: [&str; 13] = [
    "",
    "assets",
    "bitstamp",
    "latest",
    "orders",
    "channels",
    "count",
    "coverage",
    "candles",
    "export",
    "tail",
    "health",
    "openapi.json",
];

/// Returns the service. Paths may be preceded by a stage's name (`/prod/bitstamp`), as REST APIs send them.
///
/// `config.signing_keys` must not be empty: without a key no page can be continued.
pub fn router(client: Client, config: Config) -> Router {
    let cors = cors(&config.cors_origins);
    let service = routes(client, config).layer(cors).layer(from_fn(invocation::around));
    let without_stage = |request| without_stage(request, &PATHS);
    Router::new().fallback_service(tower::Layer::layer(&MapRequestLayer::new(without_stage), service))
}

/// Connects each path to its handler.
fn routes(client: Client, config: Config) -> Router {
    Router::new()
        .route("/", get(explorer::page))
        .route("/assets/{file}", get(explorer::asset))
        .route("/bitstamp", get(events::of_channel))
        .route("/latest", get(events::latest))
        .route("/orders/{id}", get(events::of_order))
        .route("/channels", get(channels::list))
        .route("/count", get(count::one))
        .route("/coverage", get(coverage::list))
        .route("/candles", get(candles::list))
        .route("/export", get(export::stream))
        .route("/tail", get(tail::follow))
        .route("/health", get(about::health))
        .route("/openapi.json", get(about::contract))
        .method_not_allowed_fallback(async || Problem::method())
        .fallback(async |uri: Uri| Problem::no_path(uri.path()))
        .with_state(Arc::new(App::new(client, config)))
}

fn cors(origins: &[HeaderValue]) -> CorsLayer {
    let origins = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().cloned())
    };
    let exposed =
        ["last-evaluated-key", "gaps", "unknown-fields", "doubles", "skipped", "x-request-id", "x-read-units"]
            .map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::OPTIONS])
        .allow_headers(AllowHeaders::any())
        .expose_headers(
            [header::ETAG, header::LINK, header::RETRY_AFTER].into_iter().chain(exposed).collect::<Vec<_>>(),
        )
        .max_age(std::time::Duration::from_secs(3600))
}

/// Removes the segments before the first one of `paths`, so that every stage and base path has the same routes.
#[must_use]
pub fn without_stage(mut request: Request, paths: &[&str]) -> Request {
    let stripped = strip_stage(request.uri(), paths).and_then(|path| Uri::builder().path_and_query(path).build().ok());
    if let Some(uri) = stripped {
        *request.uri_mut() = uri;
    }
    request
}

fn strip_stage(uri: &Uri, paths: &[&str]) -> Option<PathAndQuery> {
    let mut rest = uri.path().strip_prefix('/')?;
    while !is_path(rest, paths) {
        (_, rest) = rest.split_once('/')?;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{rest}{query}").parse().ok()
}

/// Returns true if a path without its leading slash begins with one of `paths`; the empty one counts as the whole path only.
fn is_path(rest: &str, paths: &[&str]) -> bool {
    let first = rest.split('/').next().unwrap_or_default();
    paths.contains(&first) && (!first.is_empty() || rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_stands_before_a_path_is_removed() {
        for (path, expected) in [
            ("/bitstamp?a=b", Some("/bitstamp?a=b")),
            ("/prod/bitstamp?a=/x/", Some("/bitstamp?a=/x/")),
            ("https://example.com/market/v1/orders/7", Some("/orders/7")),
            ("/orders/bitstamp", Some("/orders/bitstamp")),
            ("/prod/nothing", None),
            ("/", Some("/")),
            ("/prod/", Some("/")),
            ("/prod/?a=b", Some("/?a=b")),
            ("//bitstamp", Some("/bitstamp")),
            ("/prod", None),
        ] {
            let stripped = strip_stage(&path.parse().unwrap(), &PATHS);
            assert_eq!(stripped.as_ref().map(PathAndQuery::as_str), expected, "{path}");
        }
    }
}
