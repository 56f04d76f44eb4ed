//! Puts the REST side's faults before its routes.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};
use futures_util::{StreamExt as _, stream};
use tokio::time::{Instant, sleep};

use crate::faults::rest::Answer;
use crate::server::rest::{json_error, json_text};
use crate::state::Exchange;

/// Time between the first half of a body and the end of its connection.
const LEAVING: Duration = Duration::from_millis(10);
/// What an edge or a proxy shows for a site that is not there.
const PAGE: &str = "<!DOCTYPE html>\n<html><head><title>Scheduled maintenance</title></head>\n<body><h1>We will be back soon</h1></body></html>\n";

/// Answers a request, or what a fault has it answered with.
pub(crate) async fn disturb(State(exchange): State<Arc<Exchange>>, request: Request, next: Next) -> Response {
    let fault = exchange.lock().rest_faults.take(request.uri().path(), Instant::now());
    match fault {
        None => next.run(request).await,
        Some(Answer::Page { status }) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
            (status, Html(PAGE)).into_response()
        }
        Some(Answer::TooMany { retry_after }) => {
            let wait = [(header::RETRY_AFTER, HeaderValue::from(retry_after))];
            (StatusCode::TOO_MANY_REQUESTS, wait, Html(PAGE)).into_response()
        }
        Some(Answer::Slow { after }) => {
            sleep(Duration::from_secs(after)).await; // the fault
            next.run(request).await
        }
        Some(Answer::Refused) => json_error("Invalid request", "API0010"),
        Some(Answer::Limited) => json_error("Request rate limit exceeded", "400.002"),
        Some(Answer::Short) => {
            let body = half(next.run(request).await).await;
            json_text(String::from_utf8_lossy(&body).into_owned())
        }
        Some(Answer::Cut) => {
            let body = half(next.run(request).await).await;
            // What was sent leaves only while the rest is waited for.
            let end = stream::once(async {
                sleep(LEAVING).await;
                Err(io::Error::from(io::ErrorKind::ConnectionReset))
            });
            Body::from_stream(stream::iter([Ok(body)]).chain(end)).into_response()
        }
    }
}

/// The first half of a body.
async fn half(response: Response) -> Bytes {
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap_or_default();
    body.slice(..body.len() / 2)
}
