//! `/count` says what an export of the range will have.

use query_fn::query::count::{self, Count, Ends};
use query_fn::query::store::Store;
use query_fn::range::{Order, Range, Subject};
use serde_json::{Value, json};
use shared::coverage::{Interval, Record, State};
use std::time::Duration;
use tokio::time::Instant;

use crate::{
    cutter::cutter,
    support::{self, Service, client, serve, stored, trade, whole_engine},
};

const T: u64 = 1_647_817_200_000_000;
const CHANNEL: &str = "/count?channel=live_trades_btcusd";

#[tokio::test]
async fn a_count_is_what_an_export_has() {
    let service = Service::on(&whole_engine().await).await;
    service.put((0..500).map(|n| stored(&trade(n, T + n / 3), T + n)).collect()).await;
    let (status, body) = service.json(&format!("{CHANNEL}&from={}&before={}", T + 1, T + 100)).await;
    assert_eq!((status, &body["Count"]), (200, &json!(1)), "{body:?}");
    assert!(body.get("LastEvaluatedKey").is_none());
    let item = &body["Items"][0];
    let export = service.get(&format!("/export?channel=live_trades_btcusd&from={}&before={}", T + 1, T + 100)).await;
    let lines = export.text().await.unwrap().lines().count();
    assert_eq!(
        (&item["items"], &item["first"], &item["last"]),
        (&json!(lines), &json!(T + 1), &json!(T + 99)),
        "{item:?}"
    );
    // Of an item of about 250 bytes a unit has 8 KB; what is charged is counted by the store.
    let (units, bytes) = (item["read_units"].as_f64().unwrap(), item["bytes"].as_f64().unwrap());
    assert!((units * 8192.0 - bytes).abs() < 1e-6, "{item:?}");
    assert!((lines as f64 * 200.0..lines as f64 * 600.0 + 4096.0).contains(&bytes), "{item:?}");
    let csv = service.get(&format!("{CHANNEL}&format=csv&fields=channel,items")).await.text().await.unwrap();
    assert_eq!(csv, "channel,items\r\nlive_trades_btcusd,500\r\n");
}

#[tokio::test]
async fn a_count_names_what_may_be_missing() {
    let service = Service::start().await;
    service.put(vec![stored(&trade(1, T), T), stored(&trade(2, T + 1_000), T)]).await;
    let interval = |from, through, state| {
        let reason = (state == State::Gap).then(|| "connection lost".to_owned());
        let interval = Interval { from, through, state, reason };
        Record { daemon: "vm-1".to_owned(), channel: "live_trades_btcusd".to_owned(), interval, frames: 1 }.to_item()
    };
    service.put(vec![interval(T, T + 499, State::Captured), interval(T + 500, T + 600, State::Gap)]).await;
    let response = service.get(CHANNEL).await;
    assert_eq!(response.headers()["gaps"], "2");
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let gap = |from, through, state: &str, reason: Value| json!({ "from": from, "through": through, "state": state, "reason": reason });
    let expected = json!([
        gap(T + 500, T + 600, "gap", json!("connection lost")),
        gap(T + 601, T + 1_000, "unknown", Value::Null)
    ]);
    assert_eq!(body["Gaps"], expected);
}

#[tokio::test]
async fn what_is_not_there_counts_nothing_or_is_told() {
    let service = Service::start().await;
    service.put(vec![stored(&trade(1, T), T), shared::coverage::channel_item("live_trades_btcusd", T)]).await;
    let (status, body) = service.json(&format!("{CHANNEL}&from={}", T + 1)).await;
    let item = &body["Items"][0];
    assert_eq!((status, &item["items"], &item["first"]), (200, &json!(0), &Value::Null), "{body:?}");
    let (status, body) = service.json("/count?channel=live_trades_btcusb").await;
    assert_eq!((status, &body["suggestions"]), (404, &json!(["live_trades_btcusd"])));
    let (status, body) = service.json(&format!("{CHANNEL}&ExclusiveStartKey=AAAA&limit=3")).await;
    assert_eq!((status, &body["errors"][0]["parameter"]), (400, &json!("limit")));
}

/// Whoever follows the tokens has the whole in the last answer, wherever the engine ends its pages, also among equal times.
#[tokio::test]
async fn a_count_goes_on_with_its_token() {
    let engine = whole_engine().await;
    let service = Service::on(&engine).await;
    service.put((0..60).map(|n| stored(&trade(n, T + n / 4), T + n)).collect()).await;
    for seed in 0..5 {
        let cut = client(&cutter(engine.clone(), seed).await);
        let url = serve(cut.clone(), support::config(&service.table)).await;
        let whole = service.http.get(format!("{url}{CHANNEL}")).send().await.unwrap();
        let whole: Value = serde_json::from_slice(&whole.bytes().await.unwrap()).unwrap();
        assert_eq!(whole["Items"][0]["items"], 60, "{whole:?}");
        let store = Store::new(cut, service.table.clone());
        let subject = Subject::Channel("live_trades_btcusd".to_owned());
        let range = Range { subject, from: 0, to: T + 100, order: Order::Ascending, said: None };
        let (mut count, mut answers) = (Count::default(), 0);
        loop {
            count = count::read(&store, &range, count, 1, Instant::now() + Duration::from_secs(20)).await.unwrap();
            answers += 1;
            if count.through.is_none() {
                break;
            }
            count = Count::parse(&count.to_string()).unwrap();
        }
        assert!(answers > 3, "{answers}");
        assert_eq!(count.item("c", Ends::default()).number("items"), Some("60"));
    }
}
