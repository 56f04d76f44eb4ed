use aws_sdk_dynamodb::Client;
use axum::{
    Router,
    extract::Request,
    http::{HeaderName, HeaderValue, Method, Uri, header, uri::PathAndQuery},
    middleware::from_fn,
};
use tower::util::MapRequestLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::{
    config::Config,
    invocation,
    routes::{PATHS, routes},
};

/// The whole service. Paths may be preceded by a stage's name (`/prod/bitstamp`), as REST APIs send them.
///
/// `config.signing_keys` must not be empty: without a key no page can be continued.
pub fn router(client: Client, config: Config) -> Router {
    let cors = cors(&config.cors_origins);
    let service = routes(client, config).layer(cors).layer(from_fn(invocation::around));
    Router::new().fallback_service(tower::Layer::layer(&MapRequestLayer::new(without_stage), service))
}

fn cors(origins: &[HeaderValue]) -> CorsLayer {
    let origins = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().cloned())
    };
    let exposed = ["last-evaluated-key", "gaps", "x-request-id"].map(HeaderName::from_static);
    CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::HEAD, Method::OPTIONS])
        .allow_headers(AllowHeaders::any())
        .expose_headers(
            [header::ETAG, header::LINK, header::RETRY_AFTER].into_iter().chain(exposed).collect::<Vec<_>>(),
        )
        .max_age(std::time::Duration::from_secs(3600))
}

/// Removes what stands before a path of ours, so that every stage and base path finds the same routes.
fn without_stage(mut request: Request) -> Request {
    let stripped = strip_stage(request.uri()).and_then(|path| Uri::builder().path_and_query(path).build().ok());
    if let Some(uri) = stripped {
        *request.uri_mut() = uri;
    }
    request
}

fn strip_stage(uri: &Uri) -> Option<PathAndQuery> {
    let mut rest = uri.path().strip_prefix('/')?;
    while !PATHS.contains(&rest.split('/').next().unwrap_or_default()) {
        (_, rest) = rest.split_once('/')?;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{rest}{query}").parse().ok()
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
            ("/", None),
        ] {
            let stripped = strip_stage(&path.parse().unwrap());
            assert_eq!(stripped.as_ref().map(PathAndQuery::as_str), expected, "{path}");
        }
    }
}
