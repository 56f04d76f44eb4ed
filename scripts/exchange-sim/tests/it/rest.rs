//! Every route of the REST side, against the stream of the same simulator.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use exchange_sim::Config;
use exchange_sim::Simulator;
use exchange_sim::faults::Fault;
use serde_json::Value;

use crate::support::{Client, paused, until};

async fn get(simulator: &Simulator, path: &str) -> (u16, String) {
    let response = reqwest::get(format!("{}{path}", simulator.rest_url())).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

async fn json(simulator: &Simulator, path: &str) -> Value {
    let (status, body) = get(simulator, path).await;
    assert_eq!(status, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

async fn order_data(simulator: &Simulator, form: &str) -> Value {
    let request = reqwest::Client::new().post(format!("{}/order_data/", simulator.rest_url()));
    let request = request.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200, "{form}");
    serde_json::from_str(&response.text().await.unwrap()).unwrap()
}

/// A simulator that has stopped after some thousand events, and what a client got of two channels.
async fn after_some_flow() -> (Simulator, Vec<Value>, Vec<Value>) {
    let simulator = Simulator::start(Config { rate: 100.0, ..paused() }).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    client.subscribe("live_orders_btcusd").await;
    client.subscribe("live_trades_btcusd").await;
    simulator.resume();
    let (mut orders, mut trades) = (Vec::new(), Vec::new());
    while orders.len() < 10_000 {
        let frame = client.json().await;
        if frame["event"] == "trade" { trades.push(frame) } else { orders.push(frame) }
    }
    simulator.pause();
    client.ask("bts:heartbeat", "").await;
    loop {
        let frame = client.json().await;
        match frame["event"].as_str().unwrap() {
            "trade" => trades.push(frame),
            "bts:heartbeat" => return (simulator, orders, trades),
            _ => orders.push(frame),
        }
    }
}

#[tokio::test]
async fn markets_are_listed_with_their_symbols() {
    let simulator = Simulator::start(Config { paused: true, ..Config::default() }).await.unwrap();
    let markets = json(&simulator, "/markets/").await;
    let row =
        |symbol: &str| markets.as_array().unwrap().iter().find(|row| row["market_symbol"] == symbol).unwrap().clone();
    assert_eq!(row("btcusd")["name"], "BTC/USD");
    assert_eq!(row("btcusd")["counter_decimals"], 2);
    assert_eq!(row("ethusd")["base_decimals"], 6);
    assert_eq!(row("btcusd-perp")["market_type"], "PERPETUAL");
    assert_eq!(row("btcusd-perp")["trading"], "Enabled");
}

#[tokio::test]
async fn transactions_are_the_stream_s_trades_newest_first_in_whole_seconds() {
    let (simulator, _, trades) = after_some_flow().await;
    assert!(trades.len() > 10);
    for time in ["", "?time=minute", "?time=hour", "?time=day"] {
        let rows = json(&simulator, &format!("/transactions/btcusd/{time}")).await;
        let rows = rows.as_array().unwrap();
        // What was traded before the simulator began is older than every trade of the stream.
        let earlier = rows.len() - trades.len();
        assert!(earlier <= 3 && (earlier == 3 || time == "?time=minute"), "{time}: {earlier}");
        for (row, trade) in rows.iter().zip(trades.iter().rev()) {
            let data = &trade["data"];
            assert_eq!(row["tid"], data["id"].to_string());
            assert_eq!(row["date"], data["timestamp"]);
            assert_eq!(row["price"], data["price_str"]);
            assert_eq!(row["type"], data["type"].to_string());
            assert!(row["amount"].is_string());
        }
    }
    assert_eq!(get(&simulator, "/transactions/btcusd/?time=year").await.0, 400);
}

#[tokio::test]
async fn order_data_is_the_stream_between_two_ids() {
    let (simulator, orders, _) = after_some_flow().await;
    let id = |position: usize| orders[position]["event_id"].as_str().unwrap();
    let (since, until) = (id(1_000), id(3_000));
    let found = order_data(&simulator, &format!("market=BTC/USD&since_id={since}&until_id={until}")).await;
    let expected: Vec<&Value> =
        orders[1_000..3_000].iter().filter(|order| order["order_source"] == "orderbook").collect();
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found["data"].to_string(), expected["data"].to_string());
        for key in ["event", "event_id", "order_source"] {
            assert_eq!(found[key], expected[key]);
        }
        assert_eq!(found.as_object().unwrap().len(), 4);
    }
    let whole = order_data(&simulator, "market=BTC%2FUSD").await;
    let shown = orders.iter().filter(|order| order["order_source"] == "orderbook").count();
    assert_eq!(whole.as_array().unwrap().len(), shown);
}

#[tokio::test]
async fn the_history_is_bounded() {
    let simulator = Simulator::start(Config { history: 100, rate: 100.0, ..paused() }).await.unwrap();
    simulator.resume();
    until(|| simulator.emitted() > 5_000).await;
    simulator.pause();
    let kept = order_data(&simulator, "market=BTC/USD").await.as_array().unwrap().len();
    assert!((90..=100).contains(&kept), "{kept}");
}

#[tokio::test]
async fn order_books_agree_in_every_grouping() {
    let (simulator, ..) = after_some_flow().await;
    let by_price = json(&simulator, "/order_book/btcusd/?group=1").await;
    assert_eq!(by_price["bids"], json(&simulator, "/order_book/btcusd/").await["bids"]);
    for group in ["0", "2"] {
        let book = json(&simulator, &format!("/order_book/btcusd/?group={group}")).await;
        for side in ["bids", "asks"] {
            assert_eq!(sum(&book[side]), sum(&by_price[side]), "{side} of group {group}");
            assert!(book[side].as_array().unwrap().len() > 100);
        }
        assert_eq!(book["asks"][0].as_array().unwrap().len(), if group == "2" { 3 } else { 2 });
    }
    assert!(by_price["microtimestamp"].is_string() && by_price["timestamp"].is_string());
    assert_eq!(get(&simulator, "/order_book/btcusd/?group=3").await.0, 400);
}

fn sum(levels: &Value) -> BTreeMap<String, rust_decimal::Decimal> {
    let mut sums = BTreeMap::new();
    for level in levels.as_array().unwrap() {
        let amount: rust_decimal::Decimal = level[1].as_str().unwrap().parse().unwrap();
        *sums.entry(level[0].as_str().unwrap().to_owned()).or_default() += amount;
    }
    sums
}

#[tokio::test]
async fn an_order_book_may_be_old_unless_asked_for_afresh() {
    let simulator = Simulator::start(Config { rate: 100.0, ..paused() }).await.unwrap();
    let first = json(&simulator, "/order_book/btcusd/").await;
    let fresh = json(&simulator, "/order_book/btcusd/?_=1").await;
    assert_ne!(first["microtimestamp"], fresh["microtimestamp"]);
    simulator.resume();
    until(|| simulator.emitted() > 100).await;
    let other = json(&simulator, "/order_book/btcusd/?_=2").await;
    assert_ne!(other["bids"], fresh["bids"]);
}

#[tokio::test]
async fn what_does_not_exist_is_a_page_of_html() {
    let simulator = Simulator::start(paused()).await.unwrap();
    for path in ["/order_book/nosuchusd/", "/transactions/nosuchusd/", "/nothing/"] {
        let (status, body) = get(&simulator, path).await;
        assert_eq!(status, 404, "{path}");
        assert!(body.starts_with("<html>"), "{body}");
    }
}

#[tokio::test]
async fn older_lists_and_a_missing_slash_are_answered_as_by_the_exchange() {
    let simulator = Simulator::start(paused()).await.unwrap();
    let pairs = json(&simulator, "/trading-pairs-info/").await;
    let symbols: Vec<_> = pairs.as_array().unwrap().iter().map(|row| row["url_symbol"].as_str().unwrap()).collect();
    assert_eq!(symbols, ["btcusd", "ethusd"]);
    assert_eq!((&pairs[0]["name"], &pairs[0]["trading"]), (&"BTC/USD".into(), &"Enabled".into()));
    let currencies = json(&simulator, "/currencies/").await;
    let names: Vec<_> = currencies.as_array().unwrap().iter().map(|row| row["currency"].as_str().unwrap()).collect();
    assert_eq!(names, ["BTC", "ETH", "USD"]);
    let book = json(&simulator, "/order_book/btcusd").await;
    assert_eq!(book["bids"], json(&simulator, "/order_book/btcusd/").await["bids"]);
}

#[tokio::test]
async fn faults_answer_the_requests_they_concern_and_no_other() {
    let simulator = Simulator::start(Config { paused: true, ..Config::default() }).await.unwrap();
    let whole = get(&simulator, "/markets/").await;
    for fault in ["page:1", "503:1", "limited:1", "short:1", "429=7:1", "cut:1", "slow=1:1"] {
        simulator.inject(format!("rest:{fault}:/markets/").parse::<Fault>().unwrap());
    }
    assert_eq!(get(&simulator, "/order_book/btcusd/").await.0, 200);
    let (status, page) = get(&simulator, "/markets/").await;
    assert!(status == 200 && page.starts_with("<!DOCTYPE html>"), "{status} {page}");
    assert_eq!(get(&simulator, "/markets/").await, (503, page));
    let (status, body) = get(&simulator, "/markets/").await;
    assert!(status == 400 && body.contains("400.002"), "{status} {body}");
    assert_eq!(get(&simulator, "/markets/").await, (200, whole.1[..whole.1.len() / 2].to_owned()));
    let limited = reqwest::get(format!("{}/markets/", simulator.rest_url())).await.unwrap();
    assert_eq!((limited.status().as_u16(), &limited.headers()["retry-after"]), (429, &"7".parse().unwrap()));
    let cut = reqwest::get(format!("{}/markets/", simulator.rest_url())).await.unwrap();
    assert!(cut.bytes().await.is_err());
    let asked = Instant::now();
    assert_eq!(get(&simulator, "/markets/").await, whole);
    assert!(asked.elapsed() >= Duration::from_secs(1));
    assert_eq!(get(&simulator, "/markets/").await, whole);
}
