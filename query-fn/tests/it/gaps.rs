//! `Gaps` of a page speaks of the time that the page covers, whatever the ledger's size and state.

use query_fn::config::Config;
use query_fn::http::token::random_key;
use serde_json::{Value, json};
use shared::{
    coverage::{Interval, Record, State},
    item::Item,
};

use crate::{
    meter::Meter,
    support::{self, Service, client, serve, stored, trade, whole_engine},
};

const T: u64 = 1_647_817_200_000_000;
const MINUTE: u64 = 60_000_000;

fn entry(daemon: &str, from: u64, through: u64, state: State) -> Item {
    let reason = (state == State::Gap).then(|| "connection lost".to_owned());
    let interval = Interval { from, through, state, reason };
    let record = Record { daemon: daemon.to_owned(), channel: "live_trades_btcusd".to_owned(), interval, frames: 1 };
    record.to_item()
}

/// A minute each, from minute to minute.
fn captured(daemon: &str, minutes: std::ops::Range<u64>) -> Vec<Item> {
    let one = |minute| entry(daemon, T + minute * MINUTE, T + (minute + 1) * MINUTE, State::Captured);
    minutes.map(one).collect()
}

fn gap(from: u64, through: u64, state: &str) -> Value {
    let reason = if state == "gap" { json!("connection lost") } else { Value::Null };
    json!({ "from": from, "through": through, "state": state, "reason": reason })
}

/// More than one page of ledger lies before the page's time, and the gap in it.
#[tokio::test]
async fn the_newest_page_knows_the_newest_gap() {
    let service = Service::start().await;
    let padding = captured("vm-1", 0..200);
    service.put(padding).await;
    let lost = T + 200 * MINUTE;
    service.put(vec![entry("vm-1", lost, lost + MINUTE, State::Gap)]).await;
    service.put(captured("vm-1", 201..203)).await;
    service.put(vec![stored(&trade(1, lost - 7), T), stored(&trade(2, lost + MINUTE + 7), T)]).await;
    for format in ["json", "csv"] {
        let path = format!("/bitstamp?channel=live_trades_btcusd&order=desc&limit=2&format={format}");
        let response = service.get(&path).await;
        assert_eq!(response.headers()["gaps"], "1");
        if format == "json" {
            let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
            assert_eq!(body["Gaps"], json!([gap(lost + 1, lost + MINUTE - 1, "gap")]));
        }
    }
    // Page by page the gap lies between the two.
    let (_, first) = service.json("/bitstamp?channel=live_trades_btcusd&order=desc&limit=1").await;
    assert_eq!(first["Gaps"], json!([]));
    let token = first["LastEvaluatedKey"].as_str().unwrap();
    let path = format!("/bitstamp?channel=live_trades_btcusd&order=desc&limit=1&ExclusiveStartKey={token}");
    let (_, second) = service.json(&path).await;
    assert_eq!(second["Gaps"], json!([gap(lost + 1, lost + MINUTE - 1, "gap")]));
}

/// Data of before the daemon, or of a migrated table, has no ledger: it does not look complete.
#[tokio::test]
async fn what_no_daemon_recorded_is_unknown() {
    let service = Service::start().await;
    service.put(captured("vm-1", 10..12)).await;
    service.put(vec![stored(&trade(1, T), T), stored(&trade(2, T + 11 * MINUTE), T)]).await;
    let (_, body) = service.json("/bitstamp?channel=live_trades_btcusd").await;
    assert_eq!(body["Gaps"], json!([gap(T, T + 10 * MINUTE - 1, "unknown")]));
    let (from, to) = (T + MINUTE, T + 2 * MINUTE);
    let (_, body) = service.json(&format!("/bitstamp?channel=live_trades_btcusd&from={from}&to={to}")).await;
    assert_eq!((&body["Count"], &body["Gaps"]), (&json!(0), &json!([gap(from, to, "unknown")])));
    let (from, to) = (T + 10 * MINUTE, T + 11 * MINUTE);
    let (_, body) = service.json(&format!("/bitstamp?channel=live_trades_btcusd&from={from}&to={to}")).await;
    assert_eq!((&body["Count"], &body["Gaps"]), (&json!(1), &json!([])));
}

/// A ledger that does not answer costs the page nothing but the ledger, and nobody keeps that page.
#[tokio::test]
async fn a_page_without_ledger_says_so_and_is_not_kept() {
    let endpoint = whole_engine().await;
    // What a query costs, and how many events a page has, is asked of an engine whose pages end by size alone.
    let service = Service::on(&endpoint).await;
    service.put((0..3).map(|n| stored(&trade(n, T + n), T + n)).collect()).await;
    let meter = Meter::start(&endpoint, |query| query.contains("_coverage:")).await;
    // As users have it: the page waits half a second.
    let config = Config::new(&service.table, vec![random_key()]);
    let url = serve(client(&meter.url), config).await;
    let response =
        service.http.get(format!("{url}/bitstamp?channel=live_trades_btcusd&to={}", T + 5)).send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["cache-control"]), (200, &"no-store".parse().unwrap()));
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(body["Count"], 3);
    let reason = "the ledger did not answer";
    assert_eq!(body["Gaps"], json!([{ "from": T, "through": T + 5, "state": "unread", "reason": reason }]));
}

/// The units of all that one event costs, beside days of ledger of two daemons.
#[tokio::test]
async fn one_event_costs_three_read_units_at_most() {
    let endpoint = whole_engine().await;
    let service = Service::on(&endpoint).await;
    service.put(captured("machine-with-a-long-name-1-3f2a", 0..1500)).await;
    service.put(captured("machine-with-a-long-name-2-77aa", 0..1500)).await;
    service.put((0..200).map(|n| stored(&trade(n, T + n * 1_000), T + n)).collect()).await;
    let meter = Meter::start(&endpoint, |_| false).await;
    let url = serve(client(&meter.url), support::config(&service.table)).await;
    // The first answer of an hour also asks how long items are kept, as these are older than two days.
    for order in ["asc", "desc", "asc"] {
        let path = format!("{url}/bitstamp?channel=live_trades_btcusd&order={order}&limit=1");
        let body = service.http.get(path).send().await.unwrap().bytes().await.unwrap();
        let body: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((&body["Count"], &body["Gaps"]), (&json!(1), &json!([])));
        let units = meter.take_half_units();
        assert!(units <= 6, "{order}: {units} halves of a read unit");
    }
}

/// Another daemon's entries stand between the range and the end of the gap.
#[tokio::test]
async fn a_gap_is_found_behind_any_number_of_other_entries() {
    let service = Service::start().await;
    service.put(vec![entry("vm-1", T, T + 1000 * MINUTE, State::Gap)]).await;
    service.put(captured("vm-2", 500..900)).await;
    let (from, to) = (T + 100 * MINUTE, T + 110 * MINUTE);
    let (_, body) = service.json(&format!("/coverage?channel=live_trades_btcusd&from={from}&to={to}")).await;
    assert_eq!(body["Items"].as_array().unwrap().len(), 1);
    assert_eq!((&body["Items"][0]["state"], &body["Items"][0]["through"]), (&json!("gap"), &json!(to)));
    // Also where both went on afterwards.
    service.put(captured("vm-1", 1000..1100)).await;
    service.put(captured("vm-2", 900..1100)).await;
    let (_, body) = service.json(&format!("/coverage?channel=live_trades_btcusd&from={from}&to={to}")).await;
    assert_eq!(body["Items"][0]["state"], "gap");
}
