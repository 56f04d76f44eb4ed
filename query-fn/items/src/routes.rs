//! The paths of the function: `POST /items` for one item, `GET /items/audit` for what was changed.

use aws_sdk_dynamodb::Client;
use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, Request as HttpRequest, State},
    http::{HeaderMap, HeaderValue, Response, Uri, header},
    middleware::from_fn,
    response::{IntoResponse, Response as AxumResponse},
    routing::{get, post},
};
use query_fn::{
    config::Config,
    http::{
        invocation::{self, Invocation, Origin},
        problem::{Kind, Problem},
        token::Signer,
    },
    range,
    routes::without_stage,
};
use serde_json::Value;
use std::sync::Arc;
use tower::util::MapRequestLayer;

use crate::audit::Author;
use crate::request::Request;
use crate::store::Store;

mod answer;
mod audited;

/// The state that all handlers share.
struct App {
    store: Store,
    signer: Signer,
    config: Config,
}

/// Returns the service. A stage's name may precede its paths (`/prod/items`). Who asks is [`Origin::caller`] and nothing else: a request without
/// it is refused, so the service does nothing behind a route that checks no signature.
pub fn router(client: Client, config: Config) -> Router {
    let store = Store::new(client, config.table.clone());
    let signer = Signer::new(config.signing_keys.clone());
    let service = Router::new()
        .route("/items", post(one).fallback(async || not_allowed("POST")))
        .route("/items/audit", get(audited::list).fallback(async || not_allowed("GET, HEAD")))
        .fallback(async |uri: Uri| {
            let detail =
                format!("`{}` is no path of this function; it has POST /items and GET /items/audit", uri.path());
            Problem::new(Kind::NoSuchPath, detail)
        })
        // Lambda takes 6 MB at most.
        .layer(DefaultBodyLimit::disable())
        .with_state(Arc::new(App { store, signer, config }))
        .layer(from_fn(invocation::around));
    let without_stage = |request: HttpRequest| without_stage(request, &["items"]);
    Router::new().fallback_service(tower::Layer::layer(&MapRequestLayer::new(without_stage), service))
}

fn not_allowed(allow: &'static str) -> AxumResponse {
    let problem = Problem::new(Kind::MethodNotAllowed, format!("this path takes {allow}"));
    ([(header::ALLOW, HeaderValue::from_static(allow))], problem).into_response()
}

/// Returns who asks.
fn author(origin: Option<&Origin>, invocation: &Invocation) -> Result<Author, Problem> {
    let who = origin.and_then(|origin| origin.caller.clone()).ok_or_else(|| {
        let detail =
            "the request has no verified caller: it has to come through a route that checks signatures (AWS_IAM)";
        Problem::new(Kind::NoCaller, detail.to_owned())
    })?;
    Ok(Author { who, request_id: invocation.id.clone(), when: range::now() })
}

/// Carries out one operation on one item.
async fn one(
    State(app): State<Arc<App>>,
    Extension(invocation): Extension<Invocation>,
    origin: Option<Extension<Origin>>,
    body: Bytes,
) -> Result<Response<Body>, Problem> {
    let author = author(origin.as_deref(), &invocation)?;
    let deadline = invocation.deadline(app.config.time_budget);
    let Author { who, request_id, .. } = &author;
    match Request::parse(&body, app.store.table())? {
        Request::Echo(payload) => {
            tracing::info!(who, request_id, operation = "echo", "carried out");
            Ok(json(payload))
        }
        Request::Read { key, form } => {
            let item = app.store.get(&key, deadline).await?;
            tracing::info!(
                who,
                request_id,
                operation = "read",
                id = key.id,
                microtimestamp = key.microtimestamp,
                "carried out"
            );
            Ok(json(answer::of_item(item.as_ref(), form).to_string()))
        }
        Request::Change(change) => {
            let key = &change.key;
            let operation = change.action.operation();
            let done = crate::change::carry_out(&app.store, &change, &author, deadline)
                .await
                .map_err(|refused| answer::of_refusal(refused, change.form))?;
            let changed = done.is_change;
            tracing::info!(
                who,
                request_id,
                operation,
                id = key.id,
                microtimestamp = key.microtimestamp,
                changed,
                "carried out"
            );
            Ok(json(answer::of_change(&change, &done).to_string()))
        }
    }
}

fn json(body: String) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.headers_mut() = headers();
    response
}

/// No answer of this function may be kept: each says what the table holds at this moment.
fn headers() -> HeaderMap {
    HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ])
}

/// The name of the member that names an item's state.
const IF_MATCH: &str = "ifMatch";

fn digest(item: Option<&shared::item::Item>) -> Value {
    Value::String(crate::item::digest(item))
}
