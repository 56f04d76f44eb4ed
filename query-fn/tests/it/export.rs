//! A body of `/export` that ends cleanly is complete, and holds events only; what ends early is noticed by every client.

use fault_proxy::config::Config as Faults;
use fault_proxy::mix::FaultProbabilities;
use fault_proxy::proxy::Proxy;
use query_fn::config::Config;
use serde_json::{Value, json};
use shared::{
    coverage::{Interval, Record, State},
    item::Item,
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::meter::Meter;
use crate::support::{self, Service, client, engine, serve, stored, trade, whole_engine};

const T: u64 = 1_647_817_200_000_000;
const ALL: u64 = 45;

/// 4.5 MB: some pages.
async fn filled(service: &Service) {
    let padded = |id: u64| {
        let padding = "x".repeat(100_000);
        let message = format!(
            r#"{{"channel":"live_trades_btcusd","event":"trade","data":{{"id":{id},"microtimestamp":"{}","padding":"{padding}"}}}}"#,
            T + id / 2
        );
        stored(&message, T + id)
    };
    service.put((0..ALL).map(padded).collect()).await;
}

fn ids(text: &str) -> Vec<u64> {
    text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["id"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn the_whole_range_comes_in_one_answer() {
    let service = Service::start().await;
    filled(&service).await;
    let whole = service.get("/export?channel=live_trades_btcusd").await;
    assert_eq!(whole.headers()["content-type"], "application/x-ndjson");
    assert_eq!(ids(&whole.text().await.unwrap()), (0..ALL).collect::<Vec<_>>());
    let csv = service.get("/export?channel=live_trades_btcusd&format=csv&fields=id&order=desc").await;
    let expected: String = std::iter::once("id".to_owned())
        .chain((0..ALL).rev().map(|id| id.to_string()))
        .map(|line| line + "\r\n")
        .collect();
    assert_eq!(csv.text().await.unwrap(), expected);
    assert_eq!(service.get("/export?channel=live_trades_btcusd&format=json").await.status(), 400);
    assert_eq!(service.get("/export?channel=live_trades_btcusd&end=token").await.status(), 400);
}

/// The budget of one answer ends in the middle: the connection is cut.
#[tokio::test]
async fn an_answer_that_ends_early_is_an_error_for_the_client() {
    let service = Service::start().await;
    filled(&service).await;
    let small = service.router_with(|config| config.export_bytes = 500_000).await;
    for query in ["", "&format=csv"] {
        let response =
            service.http.get(format!("{small}/export?channel=live_trades_btcusd{query}")).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.bytes().await.unwrap_err();
    }
    // HTTP/1.0 could not tell the cut from the end.
    let mut old = TcpStream::connect(small.trim_start_matches("http://")).await.unwrap();
    old.write_all(b"GET /export?channel=live_trades_btcusd HTTP/1.0\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    old.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.0 400") && answer.contains("range-too-large"), "{}", answer.len());
}

#[tokio::test]
async fn who_asks_for_the_last_record_is_told_where_to_go_on() {
    let service = Service::start().await;
    filled(&service).await;
    let small = service.router_with(|config| config.export_bytes = 500_000).await;
    let base = format!("{small}/export?channel=live_trades_btcusd&end=record");
    let (mut all, mut path, mut answers) = (Vec::new(), base.clone(), 0);
    loop {
        let text = service.http.get(&path).send().await.unwrap().text().await.unwrap();
        assert!(text.len() < 500_000);
        answers += 1;
        let (rows, last) = text.trim_end().rsplit_once('\n').unwrap();
        let end = serde_json::from_str::<Value>(last).unwrap()["end"].clone();
        let shown = ids(rows);
        assert_eq!((&end["rows"], &end["bytes"]), (&json!(shown.len()), &json!(rows.len() + 1)));
        assert_eq!(end["first"], json!(T + shown[0] / 2));
        assert_eq!(end["last"], json!(T + shown[shown.len() - 1] / 2));
        assert_eq!(end["gaps"][0]["state"], "unknown");
        all.extend(shown);
        assert_eq!(end["complete"], json!(end["LastEvaluatedKey"].is_null()));
        let Some(token) = end["LastEvaluatedKey"].as_str() else { break };
        path = format!("{base}&ExclusiveStartKey={token}");
    }
    assert_eq!(all, (0..ALL).collect::<Vec<_>>());
    assert!(answers > 3, "{answers}");
    let csv =
        service.get("/export?channel=live_trades_btcusd&format=csv&fields=id&end=record").await.text().await.unwrap();
    let last = csv.lines().last().unwrap();
    assert!(last.starts_with(r#""{""end"":{"#) && last.contains(r#"""complete"":true"#), "{last}");
}

/// The entry of a minute in which a daemon counted so many events.
fn counted(daemon: &str, frames: u64) -> Item {
    let interval = Interval { from: T, through: T + 60_000_000, state: State::Captured, reason: None };
    Record { daemon: daemon.to_owned(), channel: "live_trades_btcusd".to_owned(), interval, frames }.to_item()
}

/// The ledger counts many times what fits: that is said before anything is sent, and costs the first page and the ledger.
#[tokio::test]
async fn a_range_that_cannot_fit_is_refused_at_once() {
    let endpoint = whole_engine().await;
    let service = Service::on(&endpoint).await;
    filled(&service).await;
    // Each on a meter of its own: behind an answer that was cut the service may still be reading.
    let get = async |query: &str| {
        let meter = Meter::start(&endpoint, |_| false).await;
        let mut config = support::config(&service.table);
        config.export_bytes = 1_000_000;
        let url = serve(client(&meter.url), config).await;
        let url = format!("{url}/export?channel=live_trades_btcusd&fields=id,padding{query}");
        let response = service.http.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await, meter.take_half_units())
    };
    // As many as there are: about nine of them fit, and the client sees the cut.
    service.put(vec![counted("vm-1", ALL - 20), counted("vm-2", 1)]).await;
    let (status, body, _) = get("").await;
    assert_eq!((status, body.is_err()), (200, true));
    service.put(vec![counted("vm-1", ALL), counted("vm-2", 4_000)]).await;
    let (status, body, cost) = get("").await;
    let problem: Value = serde_json::from_str(&body.unwrap()).unwrap();
    assert_eq!((status, &problem["type"]), (400, &json!("range-too-large")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("at least 4000 events, about 9 fit") && detail.contains("end=record"), "{detail}");
    assert!(cost < 2 * 1024 * 1024 / 4096, "{cost} halves of a read unit");
    for query in ["&end=record".to_owned(), format!("&to={}", T + 3)] {
        let (status, body, _) = get(&query).await;
        assert_eq!(
            (status, ids(body.unwrap().lines().take(8).collect::<Vec<_>>().join("\n").as_str()).len()),
            (200, 8)
        );
    }
}

/// A client that takes trailers finds there what the last record says, after the events alone.
#[tokio::test]
async fn trailers_say_what_the_last_record_says() {
    let service = Service::start().await;
    filled(&service).await;
    let small = service.router_with(|config| config.export_bytes = 500_000).await;
    let read = async |url: &str, query: &str| {
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.unwrap();
        let request = format!(
            "GET /export?channel=live_trades_btcusd&fields=id{query} HTTP/1.1\r\nhost: x\r\nte: trailers\r\n\
             connection: te, close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    };
    let answer = read(&service.url, "").await;
    assert!(
        answer.contains("\r\ntrailer: complete, rows, bytes, first, last, gaps, x-read-units, last-evaluated-key\r\n")
    );
    let (_, trailers) = answer.split_once("\r\n0\r\n").expect("a last chunk");
    // What it has read is compared with the engine's own words elsewhere.
    let (of_units, trailers): (Vec<_>, Vec<_>) = trailers.lines().partition(|line| line.starts_with("x-read-units: "));
    assert_eq!(of_units.len(), 1);
    let bytes: usize = (0..ALL).map(|id| format!("{{\"id\":{id}}}\n").len()).sum();
    let (first, last) = (T, T + (ALL - 1) / 2);
    let expected =
        format!("complete: true\r\nrows: {ALL}\r\nbytes: {bytes}\r\nfirst: {first}\r\nlast: {last}\r\ngaps: 1\r\n\r\n");
    let sorted = |mut lines: Vec<String>| {
        lines.sort();
        lines
    };
    let trailers = trailers.into_iter().map(str::to_owned).collect();
    assert_eq!(sorted(trailers), sorted(expected.lines().map(str::to_owned).collect()));
    assert!(!answer.contains("{\"end\""));
    // What ends early is cut off as without trailers, unless the last record is asked for too.
    let cut = read(&small, ",padding").await;
    assert!(cut.starts_with("HTTP/1.1 200") && !cut.contains("\r\n0\r\n"));
    let both = read(&small, ",padding&end=record").await;
    let (_, trailers) = both.split_once("\r\n0\r\n").expect("a last chunk");
    assert!(trailers.contains("complete: false\r\n") && trailers.contains("\r\nlast-evaluated-key: "), "{trailers}");
    assert!(both.contains("{\"end\":{"));
}

/// The store fails behind the first page.
#[tokio::test]
async fn a_store_that_gives_out_is_no_end() {
    let endpoint = engine().await;
    let service = Service::on(&endpoint).await;
    filled(&service).await;
    let mut faults = Faults::new(endpoint, 11);
    faults.mix = FaultProbabilities { slow: 1.0, ..FaultProbabilities::default() };
    let proxy = Proxy::start(faults).await.unwrap();
    let mut config = support::config(&service.table);
    config.export_time_budget = Duration::from_secs(5);
    let url = serve(client(&proxy.url()), config).await;
    let mut response = service.http.get(format!("{url}/export?channel=live_trades_btcusd")).send().await.unwrap();
    assert_eq!(response.status(), 200);
    proxy.set_mix(FaultProbabilities { throttled_table: 1.0, ..FaultProbabilities::default() });
    let end = loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    assert!(end.is_err(), "the body looks complete");
}

/// A function that does not stream sends the range whole or refuses it; what it sends fits as it is sent.
#[tokio::test]
async fn a_buffered_answer_fits_as_it_is_encoded() {
    let service = Service::start().await;
    filled(&service).await;
    let message =
        |id: u64| trade(id, T + id).replacen("{", &format!("{{\"odd\":\"{}\",", "\\\"\\u0001".repeat(40_000)), 1);
    service.put((1_000..1_030).map(|id| stored(&message(id).replace("btcusd", "odd"), T)).collect()).await;
    let url = service.router_with(Config::buffer_exports).await;
    let get = async |query: &str| service.http.get(format!("{url}/export?{query}")).send().await.unwrap();
    let whole = get("channel=live_trades_btcusd").await;
    assert_eq!(ids(&whole.text().await.unwrap()), (0..ALL).collect::<Vec<_>>());
    let refused = get("channel=live_trades_odd").await;
    assert_eq!(refused.status(), 400);
    let problem: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert_eq!(problem["type"], "range-too-large");
    let part = get("channel=live_trades_odd&end=record").await.text().await.unwrap();
    assert!(json!(part).to_string().len() < 6 * 1024 * 1024, "{}", part.len());
    assert!(part.contains("LastEvaluatedKey"));
    let zipped = get("channel=live_trades_odd&format=csv").await;
    assert_eq!(zipped.status(), 400);
}
