//! The frame of every request: its id, its deadline, what it reads, its line in the log, and its problem's document.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Response, header},
    middleware::Next,
};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

use crate::http::caching::Caching;
use crate::http::problem::Problem;
use crate::query::store::ReadUnits;

/// The id, the deadline and the cost of a request.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// The request id of API Gateway, else of Lambda, else a random one.
    pub id: String,
    /// The time at which Lambda ends the invocation, less the time to answer; `None` outside Lambda.
    pub ends: Option<Instant>,
    /// What the request has read of the table.
    pub units: ReadUnits,
}

/// The id, the end and the caller of a Lambda invocation, passed on in the request's extensions.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The request id of API Gateway, else of Lambda.
    pub id: String,
    /// The time at which Lambda ends the invocation, by the machine's clock.
    pub ends: SystemTime,
    /// The ARN of who signed the request, where the sender of the event checks signatures (`AWS_IAM`). Never a header's.
    pub caller: Option<String>,
}

/// The part of the invocation's time that is kept to render and send the answer.
const TO_ANSWER: Duration = Duration::from_millis(1_000);
const REQUEST_ID: &str = "x-request-id";
/// The header, or the trailer of a streamed body, with the read units of the request.
pub const READ_UNITS: HeaderName = HeaderName::from_static("x-read-units");

/// Marks, as an extension of a response, that its body is written while the table is read: what the request costs is not known yet.
#[derive(Clone, Copy, Debug)]
pub struct ReadsOn;

impl Invocation {
    fn of(request: &Request) -> Invocation {
        let Some(Origin { id, ends, .. }) = request.extensions().get::<Origin>() else {
            let id = format!("{:032x}", rand::random::<u128>());
            return Invocation { id, ends: None, units: ReadUnits::default() };
        };
        let left = ends.duration_since(SystemTime::now()).unwrap_or_default();
        let ends = Some(Instant::now() + left.saturating_sub(TO_ANSWER));
        Invocation { id: id.clone(), ends, units: ReadUnits::default() }
    }

    /// Returns the moment to stop reading: the end of `budget` from now on, or of the invocation.
    #[must_use]
    pub fn deadline(&self, budget: Duration) -> Instant {
        let own = Instant::now() + budget;
        self.ends.map_or(own, |ends| ends.min(own))
    }
}

/// Gives the request its id and its deadline, writes the document of a problem with that id, says what the answer has read of the table, and
/// logs the request in one line.
pub async fn around(mut request: Request, next: Next) -> Response<axum::body::Body> {
    let started = Instant::now();
    let invocation = Invocation::of(&request);
    let (id, units) = (invocation.id.clone(), invocation.units.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(invocation);
    let is_private = Caching::is_private(request.headers());
    let mut response = next.run(request).await;
    if is_private {
        keep_private(response.headers_mut());
    }
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        *response.body_mut() = problem.document(&id).into();
    }
    join_vary(response.headers_mut());
    if let Ok(value) = HeaderValue::from_str(&id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    let reads_on = response.extensions_mut().remove::<ReadsOn>().is_some();
    let read_units = units.total().filter(|_| !reads_on).map(|units| units.to_string());
    if let Some(value) = read_units.as_ref().and_then(|units| HeaderValue::from_str(units).ok()) {
        response.headers_mut().insert(READ_UNITS, value);
    }
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    tracing::info!(%method, path, status = response.status().as_u16(), duration_ms, read_units, request_id = id, "answered");
    response
}

/// Adds `private` to a `Cache-Control` that lets caches keep the answer.
fn keep_private(headers: &mut HeaderMap) {
    let kept = headers.get(header::CACHE_CONTROL).and_then(|value| value.to_str().ok());
    let private = kept.filter(|kept| kept.starts_with("max-age")).map(|kept| format!("private, {kept}"));
    if let Some(value) = private.and_then(|private| private.parse().ok()) {
        headers.insert(header::CACHE_CONTROL, value);
    }
}

/// Joins the values of `Vary` into one: HTTP APIs and function URLs keep one value of a header that is sent twice.
fn join_vary(headers: &mut HeaderMap) {
    let values: Vec<_> = headers.get_all(header::VARY).iter().filter_map(|value| value.to_str().ok()).collect();
    if let Ok(joined) = HeaderValue::from_str(&values.join(", "))
        && values.len() > 1
    {
        headers.insert(header::VARY, joined);
    }
}
