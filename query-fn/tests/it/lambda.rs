//! The built function under a stand-in for Lambda's Runtime API answers API Gateway's events as the HTTP server answers
//! requests. The events are the examples of AWS's documentation, asking for a page of ours:
//! <https://docs.aws.amazon.com/lambda/latest/dg/services-apigateway.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>,
//! <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>.

use base64::{Engine, engine::general_purpose::STANDARD};
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::runtime::Function;
use crate::support::{Service, binary, stored, trade};

const T: u64 = 1_647_817_207_170_000;
const KEY: [u8; 32] = [7; 32];

/// Starts the built function on the table of `service`.
async fn start(service: &Service, endpoint: &str, streamed: bool) -> Function {
    let variables = [
        ("AWS_LAMBDA_FUNCTION_NAME", "query-fn".to_owned()),
        ("BITSTAMP_TABLE", service.table.clone()),
        ("BITSTAMP_TOKEN_KEYS", STANDARD.encode(KEY)),
        ("BITSTAMP_TAIL_TIME_BUDGET_MS", "2000".to_owned()),
        ("BITSTAMP_TAIL_WINDOW_MS", "200".to_owned()),
        ("BITSTAMP_STREAM", if streamed { "1" } else { "0" }.to_owned()),
    ];
    Function::start(&binary(), endpoint, &variables).await
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
    let mut function = start(&service, &endpoint, false).await;
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
    let mut function = start(&service, &endpoint, false).await;
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
    let mut function = start(&service, &endpoint, true).await;
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

/// A tail ends by itself before the function does, and the place in its last message is understood by every other copy.
#[tokio::test]
async fn tails_are_streamed_until_their_end() {
    let (service, endpoint, local) = filled().await;
    let mut function = start(&service, &endpoint, true).await;
    let mut event = fixture("function_url");
    event["rawPath"] = json!("/tail");
    event["rawQueryString"] = json!(format!("channel=live_trades_btcusd&fields=id&from={T}"));
    let (headers, answer) = function.invoke(&event).await;
    assert_eq!(headers["lambda-runtime-function-response-mode"], "streaming");
    assert_eq!(prelude(&answer)["headers"]["content-type"], "text/event-stream");
    let border = answer.windows(8).position(|window| window == [0; 8]).unwrap();
    let text = std::str::from_utf8(&answer[border + 8..]).unwrap();
    let data: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let expected: Vec<_> = (0..9).map(|id| json!({ "id": id }).to_string()).collect();
    assert_eq!(data[..9], expected);
    let end: Value = serde_json::from_str(data[9]).unwrap();
    service.put(vec![stored(&trade(9, T + 9), T)]).await;
    let url = format!("{local}/tail?channel=live_trades_btcusd&fields=id&after={}", end["after"].as_str().unwrap());
    let mut viewer = crate::viewer::Viewer::new(&service.http, url);
    viewer.connect().await;
    assert_eq!(viewer.next().await.unwrap().data, json!({ "id": 9 }));

    let mut function = start(&service, &endpoint, false).await;
    let (_, answer) = function.invoke(&event).await;
    let (status, body, _) = unwrap(&serde_json::from_slice(&answer).unwrap());
    let problem: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &problem["type"]), (501, &json!("not-streamed")));
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
    assert!(message.contains("BITSTAMP_LIVE_TOKEN_KEYS is not set"), "{message}");
    let (code, message) = run("short").await;
    assert_eq!(code, Some(78));
    assert!(message.contains("key 1"), "{message}");
}

/// Whatever event is sent, it is answered, and the process that answers the next one is the same.
#[tokio::test]
async fn no_event_ends_the_function() {
    let (service, endpoint, _) = filled().await;
    let seed = 20_261_125;
    eprintln!("seed {seed}");
    let mut dice = rand::rngs::StdRng::seed_from_u64(seed);
    for streamed in [false, true] {
        let mut function = start(&service, &endpoint, streamed).await;
        let id = function.process.id();
        for event in odd_events(&mut dice) {
            let (_, answer) = function.invoke(&event).await;
            let answer = if streamed { prelude(&answer) } else { serde_json::from_slice(&answer).unwrap() };
            let status = answer["statusCode"].as_u64().unwrap_or_else(|| panic!("{event}: {answer}"));
            assert!((200..500).contains(&status), "{event}: {answer}");
        }
        let (_, answer) = function.invoke(&fixture("http_v2")).await;
        let answer = if streamed { prelude(&answer) } else { serde_json::from_slice(&answer).unwrap() };
        assert_eq!(answer["statusCode"], 200);
        assert!(function.process.try_wait().unwrap().is_none() && function.process.id() == id);
    }
}

fn prelude(answer: &[u8]) -> Value {
    let border = answer.windows(8).position(|window| window == [0; 8]).unwrap();
    serde_json::from_slice(&answer[..border]).unwrap()
}

/// The console's test event, a load balancer's, and each documented one with any of its parts replaced or left out.
fn odd_events(dice: &mut rand::rngs::StdRng) -> Vec<Value> {
    let mut events = vec![
        json!({ "key1": "value1", "key2": "value2", "key3": "value3" }),
        json!({ "requestContext": { "elb": { "targetGroupArn": "arn" } }, "httpMethod": "GET", "path": "/", "headers": {} }),
        json!(null),
        json!([]),
        json!({ "Records": [{ "eventSource": "aws:s3" }] }),
    ];
    let values = [
        json!(null),
        json!(7),
        json!(""),
        json!({}),
        json!([]),
        json!("\u{0}\u{1f600} %zz%FF?#"),
        json!("a b:99999999"),
        json!("[::1"),
        json!("!not base64!"),
        json!("x".repeat(70_000)),
        json!({ "a": null, "b": 1 }),
        json!({ "from": ["%", "+"], "": ["&=#"] }),
    ];
    for name in ["rest_v1", "http_v2", "function_url"] {
        let whole = fixture(name);
        let mut places = Vec::new();
        pointers(&whole, String::new(), &mut places);
        for _ in 0..120 {
            let mut event = whole.clone();
            for _ in 0..dice.random_range(1..4) {
                let place = &places[dice.random_range(0..places.len())];
                if let Some(part) = event.pointer_mut(place) {
                    *part = values[dice.random_range(0..values.len())].clone();
                }
            }
            if event.is_object() && dice.random_bool(0.2) {
                event["body"] = json!("!");
                event["isBase64Encoded"] = json!(true);
            }
            events.push(event);
        }
    }
    events
}

fn pointers(value: &Value, place: String, found: &mut Vec<String>) {
    for (name, inner) in value.as_object().into_iter().flatten() {
        pointers(inner, format!("{place}/{}", name.replace('~', "~0").replace('/', "~1")), found);
    }
    found.push(place);
}
