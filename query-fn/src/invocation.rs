use axum::{
    extract::Request,
    http::{HeaderMap, HeaderValue, Response, header},
    middleware::Next,
};
use lambda_http::{Context, RequestExt, request::RequestContext};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

use crate::problem::Problem;

/// What Lambda said about this request, or what stands for it elsewhere.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// API Gateway's request id, else Lambda's, else a random one.
    pub id: String,
    /// When Lambda ends the invocation, less what answering takes; `None` outside Lambda.
    pub ends: Option<Instant>,
}

/// Kept back from the invocation's time to render and send what was read.
const TO_ANSWER: Duration = Duration::from_millis(1_000);
const REQUEST_ID: &str = "x-request-id";

impl Invocation {
    fn of(request: &Request) -> Invocation {
        let context = request.extensions().get::<Context>();
        let gateway = request.request_context_ref().and_then(|context| match context {
            RequestContext::ApiGatewayV1(context) => context.request_id.clone(),
            RequestContext::ApiGatewayV2(context) => context.request_id.clone(),
            _ => None,
        });
        let id = gateway
            .or_else(|| context.map(|context| context.request_id.clone()))
            .unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
        let left = context.and_then(|context| context.deadline().duration_since(SystemTime::now()).ok());
        Invocation { id, ends: left.map(|left| Instant::now() + left.saturating_sub(TO_ANSWER)) }
    }

    /// The moment to stop reading: the end of `budget` or of the invocation.
    #[must_use]
    pub fn deadline(&self, budget: Duration) -> Instant {
        let own = Instant::now() + budget;
        self.ends.map_or(own, |ends| ends.min(own))
    }
}

/// Gives the request its id and deadline; turns a problem into its document; writes one line of log.
pub async fn around(mut request: Request, next: Next) -> Response<axum::body::Body> {
    let started = Instant::now();
    let invocation = Invocation::of(&request);
    let id = invocation.id.clone();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(invocation);
    let mut response = next.run(request).await;
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        *response.body_mut() = problem.document(&id).into();
    }
    join_vary(response.headers_mut());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%method, path, status = response.status().as_u16(), duration_ms, request_id = id, "answered");
    response
}

/// HTTP APIs and function URLs keep one value of a header that is sent twice.
fn join_vary(headers: &mut HeaderMap) {
    let values: Vec<_> = headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok()).collect();
    if let Ok(joined) = HeaderValue::from_str(&values.join(", "))
        && values.len() > 1
    {
        headers.insert(header::VARY, joined);
    }
}
