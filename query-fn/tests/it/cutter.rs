//! A proxy before the engine that ends pages early.

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, StatusCode},
};
use serde_json::Value;
use tokio::net::TcpListener;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Stands before an engine and makes it end its pages anywhere, after one to `most` items; the same Query always at the same.
#[derive(Clone)]
struct Cutter {
    engine: String,
    http: reqwest::Client,
    seed: u64,
    most: u64,
}

/// A cutter's endpoint. `seed` decides where the pages end, after seven items at most.
pub(crate) async fn cutter(engine: String, seed: u64) -> String {
    cutter_of(engine, seed, 7).await
}

/// A cutter's endpoint, whose pages have at most `most` items.
pub(crate) async fn cutter_of(engine: String, seed: u64, most: u64) -> String {
    eprintln!("pages are cut by seed {seed}");
    let cutter = Cutter { engine, http: reqwest::Client::new(), seed, most };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().fallback(pass_on).with_state(cutter).layer(DefaultBodyLimit::disable());
    tokio::spawn(axum::serve(listener, router).into_future());
    endpoint
}

async fn pass_on(State(cutter): State<Cutter>, headers: HeaderMap, body: Bytes) -> (StatusCode, Bytes) {
    let target = headers.get("x-amz-target").and_then(|target| target.to_str().ok()).unwrap_or_default();
    let body = if target.ends_with(".Query") { cutter.cut(&body) } else { body };
    let mut request = cutter.http.post(&cutter.engine).body(body);
    for name in ["x-amz-target", "content-type", "authorization", "x-amz-date"] {
        request = request.header(name, &headers[name]);
    }
    let answer = request.send().await.unwrap();
    (answer.status(), answer.bytes().await.unwrap())
}

impl Cutter {
    fn cut(&self, body: &[u8]) -> Bytes {
        let mut query: Value = serde_json::from_slice(body).unwrap();
        let asked = query["Limit"].as_u64().unwrap_or(u64::MAX);
        // The names sorted: the SDK's order changes from call to call.
        let most = xxh3_64_with_seed(query.to_string().as_bytes(), self.seed) % self.most + 1;
        query["Limit"] = asked.min(most).into();
        query.to_string().into()
    }
}
