//! A proxy before the engine that counts read units and throttles on demand.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
};
use rust_decimal::Decimal;
use serde_json::Value;
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicBool, AtomicU64, Ordering},
};
use tokio::net::TcpListener;

/// Stands before an engine, adds up what the queries' answers cost, and throttles the queries that it is told to.
pub(crate) struct Meter {
    pub(crate) url: String,
    half_units: Arc<AtomicU64>,
    queries: Arc<AtomicU64>,
    reported: Arc<Mutex<Option<Decimal>>>,
    is_silent: Arc<AtomicBool>,
}

#[derive(Clone)]
struct Before {
    engine: String,
    http: reqwest::Client,
    half_units: Arc<AtomicU64>,
    queries: Arc<AtomicU64>,
    reported: Arc<Mutex<Option<Decimal>>>,
    is_silent: Arc<AtomicBool>,
    throttles: fn(&str) -> bool,
}

impl Meter {
    pub(crate) async fn start(engine: &str, throttles: fn(&str) -> bool) -> Meter {
        let half_units = Arc::new(AtomicU64::new(0));
        let queries = Arc::new(AtomicU64::new(0));
        let reported = Arc::new(Mutex::new(None));
        let is_silent = Arc::new(AtomicBool::new(false));
        let before = Before {
            engine: engine.to_owned(),
            http: reqwest::Client::new(),
            half_units: half_units.clone(),
            queries: queries.clone(),
            reported: reported.clone(),
            is_silent: is_silent.clone(),
            throttles,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(pass_on).with_state(before).layer(DefaultBodyLimit::disable());
        tokio::spawn(axum::serve(listener, router).into_future());
        Meter { url, half_units, queries, reported, is_silent }
    }

    /// Halves of read units since the last call: a query on an index is charged half a unit for each 4 KB begun, counted here
    /// by the length of the answer, which is more than the items' own size.
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>)
    pub(crate) fn take_half_units(&self) -> u64 {
        self.half_units.swap(0, Ordering::Relaxed)
    }

    /// Queries since the last call.
    pub(crate) fn take_queries(&self) -> u64 {
        self.queries.swap(0, Ordering::Relaxed)
    }

    /// Read units that the engine reported since the last call; `None` without a query.
    pub(crate) fn take_reported(&self) -> Option<Decimal> {
        self.reported.lock().unwrap().take()
    }

    /// From now on the answers do not say what they cost.
    pub(crate) fn be_silent(&self) {
        self.is_silent.store(true, Ordering::Relaxed);
    }
}

async fn pass_on(State(before): State<Before>, headers: HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
    if (before.throttles)(std::str::from_utf8(&body).unwrap()) {
        let answer = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException","message":"slow down"}"#;
        return (StatusCode::BAD_REQUEST, Bytes::from_static(answer.as_bytes()));
    }
    let mut request = before.http.post(&before.engine).body(body);
    for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
        request = request.header(name, &headers[name]);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let body = answer.bytes().await.unwrap();
    before.queries.fetch_add(1, Ordering::Relaxed);
    before.half_units.fetch_add((body.len() as u64).div_ceil(4096), Ordering::Relaxed);
    if let Ok(Value::Object(mut answer)) = serde_json::from_slice(&body)
        && let Some(consumed) = answer.remove("ConsumedCapacity")
    {
        let units = Decimal::from_str_exact(&consumed["CapacityUnits"].to_string()).unwrap();
        *before.reported.lock().unwrap().get_or_insert_default() += units;
        if before.is_silent.load(Ordering::Relaxed) {
            return (status, serde_json::to_vec(&answer).unwrap().into());
        }
    }
    (status, body)
}
