//! What clients send that is not quite what the documents say, and what they are told.

use axum::{Router, body::Bytes, http::StatusCode, routing::post};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::support::{self, Service, client, serve, stored, trade};

const T: u64 = 1_647_817_207_170_000;

async fn service() -> Service {
    let service = Service::start().await;
    service.put((0..4).map(|n| stored(&trade(n, T + n), T + n)).collect()).await;
    service
}

#[tokio::test]
async fn javas_own_accept_header_gets_json() {
    let service = service().await;
    let accept = "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2";
    let url = format!("{}/bitstamp?channel=live_trades_btcusd", service.url);
    let response = service.http.get(url).header("accept", accept).send().await.unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["content-type"]),
        (200, &"application/json".parse().unwrap())
    );
}

#[tokio::test]
async fn fields_may_have_blanks_and_misspelt_ones_are_told() {
    let service = service().await;
    let get = async |fields: &str| {
        service.json(&format!("/bitstamp?channel=live_trades_btcusd&limit=1&fields={fields}")).await
    };
    let (status, body) = get("id,%20price_str").await;
    assert_eq!((status, &body["Items"][0]), (200, &json!({ "id": 0, "price_str": "29422" })));
    let (status, body) = get("id,pricestr").await;
    assert_eq!((status, &body["errors"][0]["parameter"]), (400, &json!("fields")));
    assert!(body["errors"][0]["reason"].as_str().unwrap().contains("did you mean `price_str`"), "{body:?}");
    let response = service.get("/bitstamp?channel=live_trades_btcusd&limit=1&fields=id,id_str,colour").await;
    assert_eq!((response.status().as_u16(), &response.headers()["unknown-fields"]), (200, &"colour".parse().unwrap()));
    for path in
        ["/channels?", "/coverage?channel=live_trades_btcusd&", "/candles?interval=1m&channel=live_trades_btcusd&"]
    {
        assert_eq!(service.json(&format!("{path}fields=colour")).await.0, 400, "{path}");
    }
    assert_eq!(service.get("/export?channel=live_trades_btcusd&fields=Id,pricestr").await.status(), 400);
}

#[tokio::test]
async fn times_reach_from_a_lost_plus_to_the_end_of_time() {
    let service = service().await;
    for time in [
        "2022-03-21T00:00:07.17+01:00",
        "2022-03-21T00:00:07.17%2B01:00",
        "2022-03-21+00:00:07.17+01:00",
        "2022-03-20T23:00:07.17Z+",
        "1647817207170000%20",
    ] {
        let (status, body) = service.json(&format!("/bitstamp?channel=live_trades_btcusd&to={time}")).await;
        assert_eq!((status, &body["Count"]), (200, &json!(1)), "{time}: {body:?}");
    }
    for end in ["9999-12-31T23:59:59.999999Z", "253402300799999999"] {
        let (status, _) = service.json(&format!("/bitstamp?channel=live_trades_btcusd&to={end}")).await;
        assert_eq!(status, 200, "{end}");
    }
    assert_eq!(service.json("/bitstamp?channel=live_trades_btcusd&to=253402300800000000").await.0, 400);
}

#[tokio::test]
async fn every_refusal_is_a_problem_of_bounded_size() {
    let service = service().await;
    let many = (0..3_000).map(|n| format!("p{n}=1")).collect::<Vec<_>>().join("&");
    let long = format!("channel=live_trades_btcusd&order={}", "x".repeat(20_000));
    for path in
        [format!("/bitstamp?{many}"), format!("/bitstamp?{long}"), "/orders/%FF".to_owned(), "/orders/%00".to_owned()]
    {
        let response = service.get(&path).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["content-type"]),
            (400, &"application/problem+json".parse().unwrap())
        );
        let body = response.bytes().await.unwrap();
        assert!(body.len() < 20_000, "{}", body.len());
    }
    let (status, body) = service.json("/coverage?channel=live_trades_*").await;
    assert_eq!((status, &body["errors"][0]["parameter"]), (400, &json!("channel")));
}

#[tokio::test]
async fn conditions_are_judged_as_the_standard_says() {
    let service = service().await;
    let url = format!("{}/bitstamp?channel=live_trades_btcusd&from={T}&to={}", service.url, T + 9);
    let etag = service.http.get(&url).send().await.unwrap().headers()["etag"].to_str().unwrap().to_owned();
    for (name, value, status) in [
        ("if-none-match", etag.clone(), 304),
        ("if-none-match", format!("W/{etag}"), 304),
        ("if-none-match", format!("\"a,b\", {etag}"), 304),
        ("if-none-match", "*".to_owned(), 304),
        ("if-none-match", format!("\"x, {etag}"), 200),
        ("if-match", etag.clone(), 200),
        ("if-match", "*".to_owned(), 200),
        ("if-match", format!("W/{etag}"), 412),
        ("if-match", "\"other\"".to_owned(), 412),
    ] {
        let response = service.http.get(&url).header(name, &value).send().await.unwrap();
        assert_eq!(response.status(), status, "{name}: {value}");
    }
    // Who shows a key gets what no shared cache may keep.
    let keyed = service.http.get(&url).header("x-api-key", "secret").send().await.unwrap();
    assert_eq!(keyed.headers()["cache-control"], "private, max-age=31536000, immutable");
}

/// Whatever a shared cache keeps belongs to nobody in particular, and to the form that was asked for.
#[tokio::test]
async fn a_shared_cache_is_told_what_it_may_hand_on() {
    let service = service().await;
    // Where any origin may read, the answer does not depend on it.
    let router = service.router_with(|config| config.cors_origins = vec!["https://example.org".parse().unwrap()]).await;
    let url = format!("{router}/bitstamp?channel=live_trades_btcusd&from={T}&to={}", T + 9);
    let open = service.http.get(&url).header("origin", "https://example.org").send().await.unwrap();
    assert_eq!(open.headers()["cache-control"], "max-age=31536000, immutable");
    let vary: Vec<_> = open.headers().get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
    assert_eq!(vary.len(), 1, "{vary:?}");
    for name in ["accept", "accept-encoding", "origin"] {
        assert!(vary[0].split(", ").any(|varied| varied == name), "{name}: {vary:?}");
    }
    let etag = open.headers()["etag"].to_str().unwrap().to_owned();
    for (name, value) in [("x-api-key", "secret"), ("authorization", "Bearer secret")] {
        for status in [200, 304] {
            let asked = service.http.get(&url).header(name, value);
            let asked = if status == 304 { asked.header("if-none-match", &etag) } else { asked };
            let answer = asked.send().await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["cache-control"], "private, max-age=31536000, immutable", "{name} {status}");
        }
    }
}

#[tokio::test]
async fn a_link_has_one_token_however_the_last_one_was_written() {
    let service = service().await;
    let first = "/bitstamp?channel=live_trades_btcusd&limit=1";
    let token = service.json(first).await.1["LastEvaluatedKey"].as_str().unwrap().to_owned();
    for name in ["ExclusiveStartKey", "Exclusive%53tartKey", "%45xclusiveStartKey"] {
        let second = service.get(&format!("{first}&&{name}={token}")).await;
        let link = second.headers()["link"].to_str().unwrap();
        let query = link.strip_prefix('<').and_then(|link| link.split_once(">; rel=\"next\"")).unwrap().0;
        let (status, third) = service.json(&format!("/bitstamp{query}")).await;
        assert_eq!((status, &third["Items"][0]["id"]), (200, &json!(2)), "{name}: {link}");
    }
}

/// A store that refuses whoever asks, with these words.
async fn refusing(code: &'static str, said: &'static str) -> String {
    let answer = format!(r#"{{"__type":"com.amazon.coral.service#{code}","message":"{said}"}}"#);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/", post(async move || (StatusCode::BAD_REQUEST, Bytes::from(answer))));
    tokio::spawn(axum::serve(listener, router).into_future());
    url
}

#[tokio::test]
async fn what_is_wrong_with_the_services_access_is_its_own_problem() {
    for (code, said, problem) in [
        ("ExpiredTokenException", "The security token included in the request is expired", "expired-credentials"),
        ("UnrecognizedClientException", "The security token included in the request is invalid.", "no-credentials"),
        (
            "InvalidSignatureException",
            "Signature expired: 20260101T000000Z is now earlier than 20260102T000000Z",
            "wrong-clock",
        ),
        ("InvalidSignatureException", "The request signature we calculated does not match", "no-credentials"),
    ] {
        let store = client(&refusing(code, said).await);
        let url = serve(store, support::config("any")).await;
        check(&url, problem).await;
    }
    let none = aws_sdk_dynamodb::Config::builder()
        .behavior_version(aws_sdk_dynamodb::config::BehaviorVersion::latest())
        .region(aws_sdk_dynamodb::config::Region::new("us-east-1"))
        .endpoint_url("http://127.0.0.1:1")
        .build();
    let url = serve(aws_sdk_dynamodb::Client::from_conf(none), support::config("any")).await;
    check(&url, "no-credentials").await;
}

async fn check(url: &str, problem: &str) {
    let response = reqwest::get(format!("{url}/bitstamp?channel=live_trades_btcusd")).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (502, &"60".parse().unwrap()));
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(body["type"], problem, "{body}");
}

/// A range relative to now stays the one of the first page, whatever the clock says at the next.
#[tokio::test]
async fn times_may_be_days_relative_and_half_open() {
    let service = Service::start().await;
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_micros()).unwrap();
    let hour = 3_600_000_000;
    service.put((0..4).map(|n| stored(&trade(n, now - n * hour - 60_000_000), T)).collect()).await;
    service.put(vec![stored(&trade(9, T), T)]).await;
    let base = "/bitstamp?channel=live_trades_btcusd&from=-150m&to=now&limit=1";
    let (mut ids, mut path) = (Vec::new(), base.to_owned());
    loop {
        let response = service.get(&path).await;
        assert_eq!(
            (response.status().as_u16(), &response.headers()["cache-control"]),
            (200, &"no-store".parse().unwrap())
        );
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        ids.extend(body["Items"].as_array().unwrap().iter().map(|item| item["id"].as_u64().unwrap()));
        let Some(token) = body["LastEvaluatedKey"].as_str() else { break };
        path = format!("{base}&ExclusiveStartKey={token}");
    }
    assert_eq!(ids, [2, 1, 0]);
    for (times, count) in [
        ("from=2022-03-20&to=2022-03-20", 1),
        ("from=2022-03-20&before=2022-03-21", 1),
        ("from=2022-03-20&before=1647817207170000", 0),
        ("from=2022-03-20&to=1647817207170000", 1),
    ] {
        let (status, body) = service.json(&format!("/bitstamp?channel=live_trades_btcusd&{times}")).await;
        assert_eq!((status, &body["Count"]), (200, &json!(count)), "{times}");
    }
    for wrong in ["before=2022-03-20&to=2022-03-20", "from=-1y", "before=0", "from=2022-02-30"] {
        assert_eq!(service.json(&format!("/bitstamp?channel=live_trades_btcusd&{wrong}")).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn the_newest_events_are_one_request() {
    let service = service().await;
    let (status, body) = service.json("/latest?channel=live_trades_btcusd").await;
    assert_eq!((status, &body["Count"], &body["Items"][0]["id"]), (200, &json!(1), &json!(3)));
    assert!(!body.contains_key("LastEvaluatedKey"));
    let (_, body) = service.json("/prod/latest?channel=live_trades_btcusd&limit=3").await;
    assert_eq!((&body["Count"], &body["Items"][2]["id"]), (&json!(3), &json!(1)));
    assert_eq!(service.json("/latest?channel=live_trades_btcusd&from=0").await.0, 400);
}
