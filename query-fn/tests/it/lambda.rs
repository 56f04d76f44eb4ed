//! The built function under a stand-in for Lambda's Runtime API answers API Gateway's events as the HTTP server answers
//! requests. The events are the examples of AWS's documentation, asking for a page of ours:
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>.

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::HeaderMap,
    response::IntoResponse,
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Value, json};
use std::{
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc},
    time::timeout,
};

use crate::support::{Service, binary, stored, trade};

const T: u64 = 1_647_817_207_170_000;
const KEY: [u8; 32] = [7; 32];

/// What the function sent for one event: the headers of its POST and the body.
type Sent = (HeaderMap, Bytes);

/// A function that runs, and the place where its events come from.
struct Function {
    events: mpsc::Sender<String>,
    answers: mpsc::Receiver<Sent>,
    _process: Child,
}

struct Runtime {
    events: Mutex<mpsc::Receiver<String>>,
    answers: mpsc::Sender<Sent>,
}

impl Function {
    async fn start(service: &Service, endpoint: &str, streamed: bool) -> Function {
        let (events, to_send) = mpsc::channel(1);
        let (to_keep, answers) = mpsc::channel(1);
        let runtime = Arc::new(Runtime { events: Mutex::new(to_send), answers: to_keep });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(response))
            .with_state(runtime);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, routes).into_future());
        let process = Command::new(binary())
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", "query-fn")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_ENDPOINT_URL", endpoint)
            .env("BITSTAMP_TABLE", &service.table)
            .env("BITSTAMP_TOKEN_KEYS", STANDARD.encode(KEY))
            .env("BITSTAMP_STREAM", if streamed { "1" } else { "0" })
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Function { events, answers, _process: process }
    }

    async fn invoke(&mut self, event: &Value) -> Sent {
        self.events.send(event.to_string()).await.unwrap();
        timeout(Duration::from_secs(20), self.answers.recv()).await.expect("an answer in time").unwrap()
    }
}

async fn next(State(runtime): State<Arc<Runtime>>) -> impl IntoResponse {
    let event = runtime.events.lock().await.recv().await.unwrap_or_default();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", (now.as_millis() + 30_000).to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-central-1:123456789012:function:query-fn".to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1".to_owned(),
        ),
    ];
    (headers, event)
}

async fn response(
    State(runtime): State<Arc<Runtime>>,
    Path(_): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    runtime.answers.send((headers, body)).await.unwrap();
    axum::http::StatusCode::ACCEPTED
}

fn fixture(name: &str) -> Value {
    let path = format!("{}/tests/fixtures/{name}.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The status, body and headers that API Gateway would send.
fn unwrap(answer: &Value) -> (u64, Vec<u8>, Vec<(String, String)>) {
    let text = answer["body"].as_str().unwrap_or_default();
    let body = match answer["isBase64Encoded"].as_bool() {
        Some(true) => STANDARD.decode(text).unwrap(),
        _ => text.as_bytes().to_vec(),
    };
    let mut headers: Vec<(String, String)> = Vec::new();
    for (name, value) in answer["headers"].as_object().into_iter().flatten() {
        headers.push((name.clone(), value.as_str().unwrap().to_owned()));
    }
    for (name, values) in answer["multiValueHeaders"].as_object().into_iter().flatten() {
        headers
            .extend(values.as_array().unwrap().iter().map(|value| (name.clone(), value.as_str().unwrap().to_owned())));
    }
    (answer["statusCode"].as_u64().unwrap(), body, own(headers))
}

/// Headers that are the answer's own: not the connection's, not this request's.
fn own(mut headers: Vec<(String, String)>) -> Vec<(String, String)> {
    headers
        .retain(|(name, _)| !["x-request-id", "date", "content-length", "transfer-encoding"].contains(&name.as_str()));
    headers.sort();
    headers
}

async fn expected(
    service: &Service,
    local: &str,
    query: &str,
    accept_encoding: Option<&str>,
) -> (u64, Vec<u8>, Vec<(String, String)>) {
    let mut request = service.http.get(format!("{local}{query}")).header("accept", "*/*");
    if let Some(codings) = accept_encoding {
        request = request.header("accept-encoding", codings);
    }
    let response = request.send().await.unwrap();
    let headers = response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    let headers = own(headers.collect());
    (u64::from(response.status().as_u16()), response.bytes().await.unwrap().to_vec(), headers)
}

async fn filled() -> (Service, String, String) {
    let endpoint = crate::support::engine().await;
    let service = Service::on(&endpoint).await;
    service.put((0..9).map(|n| stored(&trade(n, T + n / 2), T + n)).collect()).await;
    let local = service.router_with(|config| config.signing_keys = vec![KEY.to_vec()]).await;
    (service, endpoint, local)
}

#[tokio::test]
async fn all_three_kinds_of_events_are_answered_as_the_server_answers() {
    let (service, endpoint, local) = filled().await;
    let mut function = Function::start(&service, &endpoint, false).await;
    let query = "/prod/bitstamp?channel=live_trades_btcusd&from=2022-03-21T00%3A00%3A07.17%2B01%3A00&to=1647819909209000&limit=2";
    for name in ["rest_v1", "http_v2", "function_url"] {
        let event = fixture(name);
        let (_, answer) = function.invoke(&event).await;
        let (status, body, headers) = unwrap(&serde_json::from_slice(&answer).unwrap());
        let (expected_status, expected_body, expected_headers) = expected(&service, &local, query, None).await;
        assert_eq!(status, 200);
        assert_eq!((status, &body), (expected_status, &expected_body), "{name}");
        // The link is relative; REST events carry their parameters in another order.
        let rest = |headers: &[(String, String)]| {
            headers.iter().filter(|(name, _)| name != "link").cloned().collect::<Vec<_>>()
        };
        assert_eq!(rest(&headers), rest(&expected_headers), "{name}");
        assert!(headers.iter().any(|(name, value)| name == "link" && value.contains("ExclusiveStartKey=")));
        let page: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(page["Count"], 2);
    }
}

#[tokio::test]
async fn compressed_bodies_and_problems_pass_too() {
    let (service, endpoint, local) = filled().await;
    let mut function = Function::start(&service, &endpoint, false).await;
    for name in ["rest_v1", "http_v2", "function_url"] {
        let mut event = fixture(name);
        event["rawQueryString"] = json!("channel=live_trades_btcusd");
        event["queryStringParameters"] = json!({ "channel": "live_trades_btcusd" });
        if name == "rest_v1" {
            event["multiValueQueryStringParameters"] = json!({ "channel": ["live_trades_btcusd"] });
            event["multiValueHeaders"]["Accept-Encoding"] = json!(["gzip"]);
        }
        event["headers"]["accept-encoding"] = json!("gzip");
        let (_, answer) = function.invoke(&event).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!(answer["isBase64Encoded"], true);
        assert_eq!(
            unwrap(&answer),
            expected(&service, &local, "/bitstamp?channel=live_trades_btcusd", Some("gzip")).await
        );

        let path = if name == "rest_v1" { "path" } else { "rawPath" };
        event[path] = json!("/prod/orders/a b");
        let (_, answer) = function.invoke(&event).await;
        let (status, body, _) = unwrap(&serde_json::from_slice(&answer).unwrap());
        let problem: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &problem["status"]), (400, &json!(400)), "{name}: {problem}");
        assert_eq!(problem["request_id"], event["requestContext"]["requestId"]);
    }
}

#[tokio::test]
async fn exports_are_streamed() {
    let (service, endpoint, local) = filled().await;
    let mut function = Function::start(&service, &endpoint, true).await;
    let mut event = fixture("function_url");
    event["rawPath"] = json!("/export");
    event["rawQueryString"] = json!("channel=live_trades_btcusd");
    let (headers, answer) = function.invoke(&event).await;
    assert_eq!(headers["lambda-runtime-function-response-mode"], "streaming");
    assert_eq!(headers["content-type"], "application/vnd.awslambda.http-integration-response");
    let border = answer.windows(8).position(|window| window == [0; 8]).unwrap();
    let prelude: Value = serde_json::from_slice(&answer[..border]).unwrap();
    assert_eq!(
        (&prelude["statusCode"], &prelude["headers"]["content-type"]),
        (&json!(200), &json!("application/x-ndjson"))
    );
    let (_, body, _) = expected(&service, &local, "/export?channel=live_trades_btcusd", None).await;
    assert_eq!(answer[border + 8..], body);
    assert_eq!(body.iter().filter(|byte| **byte == b'\n').count(), 9);
}

#[tokio::test]
async fn without_keys_or_with_wrong_settings_the_function_says_why() {
    let run = async |key: &str| {
        let output = Command::new(binary())
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:1")
            .env("BITSTAMP_TOKEN_KEYS", key)
            .output()
            .await
            .unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, message) = run("").await;
    assert_eq!(code, Some(1));
    assert!(message.contains("BITSTAMP_TOKEN_KEYS is not set"), "{message}");
    let (code, message) = run("short").await;
    assert_eq!(code, Some(78));
    assert!(message.contains("key 1"), "{message}");
}
