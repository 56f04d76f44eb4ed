//! Serves Lambda's events: each becomes a request to the router, and each response the form that the event's sender reads.
//!
//! The conversions are our own because nothing that a caller sends may end the process: the library's conversion panics on hosts, paths and
//! bodies that are not valid, and a panic costs every other caller a cold start.

use axum::{Router, body::Body, http::Response, response::IntoResponse};
use lambda_http::lambda_runtime::{self, Context, Error, LambdaEvent, MetadataPrelude, StreamResponse, service_fn};
use serde_json::Value;
use std::convert::Infallible;
use tower::ServiceExt;

use crate::http::invocation::Origin;
use crate::http::problem::Problem;

mod answer;
mod event;

pub use answer::size_as_sent;

/// Serves events until Lambda ends the process. If `streamed`, answers are sent while they are written, in the form that only a streaming
/// integration reads.
///
/// # Errors
///
/// An [`Error`] if the Runtime API cannot be reached.
pub async fn run(router: Router, streamed: bool) -> Result<(), Error> {
    if !streamed {
        return lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
            let router = router.clone();
            async move {
                let form = event::Form::of(&event.payload);
                let (parts, body) = respond(router, event).await.into_parts();
                match axum::body::to_bytes(body, usize::MAX).await {
                    Ok(body) => {
                        Ok::<_, Infallible>(answer::Answer::new(form, &parts.headers, parts.status, body.into()))
                    }
                    Err(error) => {
                        tracing::error!(%error, "answer ended early");
                        Ok(answer::Answer::new(form, &parts.headers, axum::http::StatusCode::BAD_GATEWAY, Vec::new()))
                    }
                }
            }
        }))
        .await;
    }
    lambda_runtime::run(service_fn(|event: LambdaEvent<Value>| {
        let router = router.clone();
        async move {
            let (parts, body) = respond(router, event).await.into_parts();
            let metadata_prelude =
                MetadataPrelude { headers: parts.headers, status_code: parts.status, cookies: Vec::new() };
            Ok::<_, Infallible>(StreamResponse { metadata_prelude, stream: body.into_data_stream() })
        }
    }))
    .await
}

/// Answers an event; an event that is no request gets a problem.
async fn respond(router: Router, event: LambdaEvent<Value>) -> Response<Body> {
    let LambdaEvent { payload, context } = event;
    let origin = origin(&payload, &context);
    match event::request(&payload) {
        Ok(mut request) => {
            request.extensions_mut().insert(origin);
            let Ok(response) = router.oneshot(request).await;
            response
        }
        Err(refused) => {
            tracing::warn!(%refused, request_id = origin.id, "event refused");
            let problem = Problem::event(&refused.to_string());
            let body = problem.document(&origin.id);
            let mut response = problem.into_response();
            *response.body_mut() = body.into();
            response
        }
    }
}

fn origin(payload: &Value, context: &Context) -> Origin {
    let id = payload.pointer("/requestContext/requestId").and_then(Value::as_str);
    let id = id.unwrap_or(&context.request_id).to_owned();
    Origin { id, ends: context.deadline(), caller: event::caller(payload).map(str::to_owned) }
}
