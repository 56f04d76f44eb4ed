//! A store that throttles, stalls or fails: 503 with a time to try again, or a shorter page; never a wrong one.

use fault_proxy::config::Config as Faults;
use fault_proxy::mix::FaultProbabilities;
use fault_proxy::proxy::Proxy;
use serde_json::Value;
use std::{collections::BTreeSet, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{ChildStderr, Command},
    time::timeout,
};

use crate::support::{self, Service, binary, client, engine, serve, stored, trade};

const T: u64 = 1_647_817_207_170_000;

/// A table with three trades behind a proxy with these faults; the service's time for a request is short.
async fn behind(mix: FaultProbabilities) -> (Service, Proxy) {
    let endpoint = engine().await;
    let service = Service::on(&endpoint).await;
    service.put((0..3).map(|n| stored(&trade(n, T + n), T + n)).collect()).await;
    let seed = 11;
    eprintln!("seed {seed}");
    let mut faults = Faults::new(endpoint, seed);
    faults.mix = mix;
    let proxy = Proxy::start(faults).await.unwrap();
    let mut config = support::config(&service.table);
    config.time_budget = Duration::from_millis(700);
    let url = serve(client(&proxy.url()), config).await;
    (Service { url, ..service }, proxy)
}

#[tokio::test]
async fn throttling_errors_silence_and_cut_connections_are_503() {
    for (name, mix) in [
        ("throttled_table", FaultProbabilities { throttled_table: 1.0, ..FaultProbabilities::default() }),
        ("server_error", FaultProbabilities { server_error: 1.0, ..FaultProbabilities::default() }),
        ("timeout", FaultProbabilities { timeout: 1.0, ..FaultProbabilities::default() }),
        ("closed", FaultProbabilities { closed: 1.0, ..FaultProbabilities::default() }),
        ("half_written", FaultProbabilities { half_written: 1.0, ..FaultProbabilities::default() }),
    ] {
        let (service, _proxy) = behind(mix).await;
        for path in ["/bitstamp?", "/orders/1?", "/candles?interval=1m&", "/coverage?", "/export?", "/channels?"] {
            let channel = if path.starts_with("/orders") || path.starts_with("/channels") {
                ""
            } else {
                "channel=live_trades_btcusd"
            };
            let response = service.get(&format!("{path}{channel}")).await;
            assert_eq!(response.status(), 503, "{name} {path}");
            assert_eq!(response.headers()["retry-after"], "1");
            let problem: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            assert_eq!(problem["type"], "store-busy");
        }
        assert_eq!(service.get("/health").await.status(), 200);
    }
}

#[tokio::test]
async fn a_missing_table_is_a_wrong_setup() {
    let service = Service::start().await;
    let url = service.router_with(|config| config.table = "nothing".to_owned()).await;
    let response = service.http.get(format!("{url}/bitstamp?channel=live_trades_btcusd")).send().await.unwrap();
    assert_eq!(response.status(), 502);
    assert!(response.text().await.unwrap().contains("ResourceNotFoundException"));
}

/// Every path says which permission its query lacks and on what; the log has the store's own words besides.
#[tokio::test]
async fn a_missing_permission_is_named() {
    let endpoint = engine().await;
    let service = Service::on(&endpoint).await;
    let mut faults = Faults::new(endpoint, 11);
    faults.allow = Some(BTreeSet::from(["DescribeTable".to_owned()]));
    let proxy = Proxy::start(faults).await.unwrap();
    let mut process = Command::new(binary())
        .args(["--endpoint-url", &proxy.url(), "--region", "eu-central-1", "--listen", "127.0.0.1:0"])
        .args(["--table", &service.table])
        .env("NO_COLOR", "1")
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap()).lines();
    let serving = line_with(&mut log, "serving").await;
    let address = serving.split("address=").nth(1).unwrap().split(' ').next().unwrap();
    for (path, resource) in [
        ("bitstamp?channel=live_trades_btcusd", "table's index"),
        ("candles?channel=live_trades_btcusd&interval=1m", "table's index"),
        ("export?channel=live_trades_btcusd", "table's index"),
        ("coverage?channel=live_trades_btcusd", "table's index"),
        ("channels", "table's index"),
        ("orders/1", "table's index"),
    ] {
        let response = service.http.get(format!("http://{address}/{path}")).send().await.unwrap();
        assert_eq!(response.status(), 502, "{path}");
        let problem: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        assert_eq!(problem["type"], "wrong-setup");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("the permission dynamodb:Query on the {resource};")), "{path}: {detail}");
        let logged = line_with(&mut log, "permission is missing").await;
        assert!(logged.contains("ERROR") && logged.contains("permission=\"dynamodb:Query\""), "{path}: {logged}");
    }
}

/// The next line of the log that has `words`.
async fn line_with(log: &mut Lines<BufReader<ChildStderr>>, words: &str) -> String {
    let find = async {
        loop {
            let line = log.next_line().await.unwrap().expect("the program goes on");
            if line.contains(words) {
                return line;
            }
        }
    };
    timeout(Duration::from_secs(600), find).await.expect("the line is logged")
}

/// Under any mix a client that follows tokens and repeats what is refused gets every event once.
#[tokio::test]
async fn who_repeats_gets_everything_once() {
    let mix = FaultProbabilities {
        throttled_index: 0.2,
        server_error: 0.1,
        timeout: 0.05,
        closed: 0.1,
        half_written: 0.05,
        ..FaultProbabilities::default()
    };
    let (service, _proxy) = behind(mix).await;
    service.put((3..200).map(|n| stored(&trade(n, T + n / 2), T + n)).collect()).await;
    let mut ids: Vec<Value> = Vec::new();
    let mut refused = 0;
    let mut token = String::new();
    loop {
        let response = service.get(&format!("/bitstamp?channel=live_trades_btcusd&limit=9{token}")).await;
        if response.status() == 503 {
            refused += 1;
            assert!(refused < 1_000);
            continue;
        }
        assert_eq!(response.status(), 200);
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        ids.extend(body["Items"].as_array().unwrap().iter().map(|item| item["id"].clone()));
        let Some(next) = body.get("LastEvaluatedKey").and_then(Value::as_str) else { break };
        token = format!("&ExclusiveStartKey={next}");
    }
    assert!(refused > 0);
    let mut sorted: Vec<u64> = ids.iter().map(|id| id.as_u64().unwrap()).collect();
    sorted.sort_unstable();
    assert_eq!(sorted, (0..200).collect::<Vec<_>>());
}

/// Candles read many pages for one answer: what was summed up before the time ran out goes into the token.
#[tokio::test]
async fn candles_go_on_where_the_time_ran_out() {
    let (service, proxy) = behind(FaultProbabilities { slow: 1.0, ..FaultProbabilities::default() }).await;
    let padding = "x".repeat(200_000);
    let message = |id: u64| {
        format!(
            r#"{{"channel":"live_trades_ethusd","event":"trade","data":{{"id":{id},"microtimestamp":"{}","price_str":"{id}","amount_str":"0.1","type":0,"padding":"{padding}"}}}}"#,
            T + id
        )
    };
    service.put((0..40).map(|id| stored(&message(id), T)).collect()).await;
    let base = "/candles?channel=live_trades_ethusd&interval=1d";
    let mut path = base.to_owned();
    let mut answers = 0;
    let candles = loop {
        let response = service.get(&path).await;
        if response.status() == 503 {
            continue;
        }
        answers += 1;
        let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
        let Some(token) = body.get("LastEvaluatedKey").and_then(Value::as_str) else { break body["Items"].clone() };
        assert_eq!(body["Count"], 0, "the day's candle is not finished");
        path = format!("{base}&ExclusiveStartKey={token}");
        if answers > 3 {
            proxy.set_mix(FaultProbabilities::default());
        }
    };
    assert!(answers > 1);
    let candle = &candles.as_array().unwrap()[0];
    assert_eq!((&candle["trades"], &candle["open"], &candle["high"]), (&40.into(), &"0".into(), &"39".into()));
    assert_eq!((&candle["volume"], &candle["close"]), (&"4".into(), &"39".into()));
}
