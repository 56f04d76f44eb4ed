use aws_sdk_dynamodb::Client;
use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, Response, Uri, header, uri::PathAndQuery},
    response::IntoResponse,
    routing::get,
};
use shared::item::ItemError;
use std::sync::Arc;
use tokio::time::Instant;
use tower::util::MapRequestLayer;

use crate::{
    config::Config,
    page,
    problem::Problem,
    render,
    request::PageRequest,
    store::{Store, StoreError},
    token::Signer,
};

struct App {
    store: Store,
    signer: Signer,
    config: Config,
}

/// The paths below the root or below a stage.
const PATHS: [&str; 2] = ["bitstamp", "health"];

/// The whole service. Paths may be preceded by a stage's name (`/prod/bitstamp`), as REST APIs send them.
///
/// `config.signing_keys` must not be empty; without a key no token can be issued and requests that need one fail.
pub fn router(client: Client, config: Config) -> Router {
    let store = Store::new(client, config.table.clone());
    let signer = Signer::new(config.signing_keys.clone());
    let routes = Router::new()
        .route("/bitstamp", get(events))
        .route("/health", get(health))
        .method_not_allowed_fallback(async || Problem::method())
        .fallback(async |uri: Uri| Problem::no_route(uri.path()))
        .with_state(Arc::new(App { store, signer, config }));
    Router::new().fallback_service(tower::Layer::layer(&MapRequestLayer::new(without_stage), routes))
}

/// Removes what stands before a path of ours, so that every stage finds the same routes.
fn without_stage(mut request: Request) -> Request {
    let stripped = strip_stage(request.uri()).and_then(|path| Uri::builder().path_and_query(path).build().ok());
    if let Some(uri) = stripped {
        *request.uri_mut() = uri;
    }
    request
}

fn strip_stage(uri: &Uri) -> Option<PathAndQuery> {
    let (stage, rest) = uri.path().strip_prefix('/')?.split_once('/')?;
    let first = rest.split('/').next().unwrap_or_default();
    if PATHS.contains(&stage) || !PATHS.contains(&first) {
        return None;
    }
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{rest}{query}").parse().ok()
}

async fn health() -> impl IntoResponse {
    axum::Json(serde_json::json!({ "status": "ok" }))
}

async fn events(State(app): State<Arc<App>>, uri: Uri) -> Result<Response<Body>, Problem> {
    let request = PageRequest::read(&uri, &app.signer)?;
    let deadline = Instant::now() + app.config.time_budget;
    let page = page::read(&app.store, &request.range, request.after.as_ref(), request.limit, deadline).await?;
    let token = match &page.next {
        Some(position) => Some(app.signer.issue(position, &request.range.binding()).ok_or_else(no_key)?),
        None => None,
    };
    let link = token.as_deref().and_then(|token| next_link(&uri, token));
    let body = render::page(&page.rows, token).map_err(foreign_item)?;
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(link) = link {
        response.headers_mut().insert(header::LINK, link);
    }
    Ok(response)
}

/// The next page relative to this one: the same whatever stage, domain or proxy the request came through.
fn next_link(uri: &Uri, token: &str) -> Option<HeaderValue> {
    let kept = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.starts_with("ExclusiveStartKey="));
    let query = kept.collect::<Vec<_>>().join("&");
    format!("<?{query}&ExclusiveStartKey={token}>; rel=\"next\"").parse().ok()
}

fn no_key() -> Problem {
    Problem::setup("no key to sign tokens with is configured".to_owned())
}

fn foreign_item(error: ItemError) -> Problem {
    StoreError::Refused(error.to_string()).into()
}
