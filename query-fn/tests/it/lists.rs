//! Orders, channels, coverage, candles, export.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Value, json};
use shared::item::Item;

use crate::support::{Service, stored, trade};

const T: u64 = 1_647_817_200_000_000;

fn order(id: u64, time: u64, event: &str, number: u64) -> String {
    format!(
        r#"{{"data":{{"id":{id},"id_str":"{id}","order_type":0,"microtimestamp":"{time}","amount_str":"{number}","price_str":"29422"}},"channel":"live_orders_btcusd","event":"{event}"}}"#
    )
}

fn known(channel: &str, number: u64) -> Item {
    Item::from([
        ("id".to_owned(), AttributeValue::N(number.to_string())),
        ("microtimestamp".to_owned(), AttributeValue::S(channel.to_owned())),
        ("channel".to_owned(), AttributeValue::S("_channels".to_owned())),
        ("nmicrotimestamp".to_owned(), AttributeValue::N((T + number).to_string())),
    ])
}

fn stretch(daemon: u64, from: u64, through: u64, state: &str, reason: Option<&str>) -> Item {
    let reason = reason.map_or(AttributeValue::Null(true), |reason| AttributeValue::S(reason.to_owned()));
    Item::from([
        ("id".to_owned(), AttributeValue::N(daemon.to_string())),
        ("microtimestamp".to_owned(), AttributeValue::S(format!("{through}#{from}"))),
        ("channel".to_owned(), AttributeValue::S("_coverage:live_trades_btcusd".to_owned())),
        ("nmicrotimestamp".to_owned(), AttributeValue::N(through.to_string())),
        ("from".to_owned(), AttributeValue::N(from.to_string())),
        ("state".to_owned(), AttributeValue::S(state.to_owned())),
        ("reason".to_owned(), reason),
    ])
}

#[tokio::test]
async fn an_order_has_its_whole_life() {
    let service = Service::start().await;
    let life = [(0, "order_created", 1), (5, "order_changed", 2), (5, "order_changed", 3), (9, "order_deleted", 4)];
    let mut items: Vec<_> =
        life.iter().map(|(at, event, n)| stored(&order(7, T + at, event, *n), T + 10 - n)).collect();
    items.push(stored(&order(8, T, "order_created", 9), T));
    items.push(stored(&trade(7, T), T));
    service.put(items).await;
    for (query, expected) in [
        ("?", vec!["1", "3", "2", "4"]),
        ("?order=desc", vec!["4", "2", "3", "1"]),
        (&format!("?from={}&to={}", T + 1, T + 5), vec!["3", "2"]),
    ] {
        let mut amounts = Vec::new();
        let mut path = format!("/orders/007{query}&limit=1");
        loop {
            let (status, body) = service.json(&path).await;
            assert_eq!(status, 200, "{body:?}");
            amounts.extend(body["Items"].as_array().unwrap().iter().map(|item| item["amount_str"].clone()));
            let Some(token) = body.get("LastEvaluatedKey").and_then(Value::as_str) else { break };
            path = format!("/orders/007{query}&limit=1&ExclusiveStartKey={token}");
        }
        assert_eq!(amounts, expected);
    }
    let (status, body) = service.json("/orders/9").await;
    assert_eq!((status, &body["type"]), (404, &json!("unknown-order")));
    let (status, body) = service.json("/orders/x?limit=-1").await;
    assert_eq!((status, body["errors"].as_array().unwrap().len()), (400, 2));
}

#[tokio::test]
async fn an_unknown_channel_is_told_from_an_empty_one() {
    let service = Service::start().await;
    let (status, _) = service.json("/bitstamp?channel=live_trades_btcsud").await;
    assert_eq!(status, 200, "without a list every channel may be known");
    let names = ["live_trades_btcusd", "live_orders_btcusd", "live_trades_ethusd", "announcements"];
    service.put((0..).zip(names).map(|(number, name)| known(name, number)).collect()).await;
    let service = Service { url: service.another_router().await, ..service };
    for path in ["/bitstamp?", "/candles?interval=1m&", "/coverage?", "/export?"] {
        let (status, body) = service.json(&format!("{path}channel=live_trades_btcsud")).await;
        assert_eq!((status, &body["type"]), (404, &json!("unknown-channel")), "{path}");
        assert_eq!(body["suggestions"][0], "live_trades_btcusd");
        let empty = service.get(&format!("{path}channel=live_trades_btcusd")).await;
        assert_eq!(empty.status(), 200, "{path}");
    }
    let (_, body) = service.json("/channels").await;
    let expected = json!([
        { "channel": "announcements", "family": null, "market": null, "first_subscribed": T + 3 },
        { "channel": "live_orders_btcusd", "family": "live_orders", "market": "btcusd", "first_subscribed": T + 1 },
        { "channel": "live_trades_btcusd", "family": "live_trades", "market": "btcusd", "first_subscribed": T },
        { "channel": "live_trades_ethusd", "family": "live_trades", "market": "ethusd", "first_subscribed": T + 2 },
    ]);
    assert_eq!(body["Items"], expected);
}

#[tokio::test]
async fn coverage_is_the_best_of_all_daemons() {
    let service = Service::start().await;
    let minute = 60_000_000;
    service
        .put(vec![
            stretch(1, T, T + minute, "captured", None),
            stretch(1, T + minute, T + 2 * minute, "captured", None),
            stretch(1, T + 2 * minute, T + 9 * minute, "gap", Some("killed")),
            stretch(1, T + 9 * minute, T + 10 * minute, "captured", None),
            stretch(2, T + 3 * minute, T + 4 * minute, "captured", None),
            stretch(2, T + 5 * minute, T + 6 * minute, "filled", None),
        ])
        .await;
    let at = |minutes: u64, micros: i64| json!((T + minutes * minute).checked_add_signed(micros).unwrap());
    let row = |from: Value, through: Value, state: &str| {
        let reason = if state == "gap" { json!("killed") } else { Value::Null };
        json!({ "channel": "live_trades_btcusd", "from": from, "through": through, "state": state, "reason": reason })
    };
    let expected = [
        row(at(0, 0), at(2, 0), "captured"),
        row(at(2, 1), at(3, -1), "gap"),
        row(at(3, 0), at(4, 0), "captured"),
        row(at(4, 1), at(5, -1), "gap"),
        row(at(5, 0), at(6, 0), "filled"),
        row(at(6, 1), at(9, -1), "gap"),
        row(at(9, 0), at(10, 0), "captured"),
    ];
    let (_, body) = service.json("/coverage?channel=live_trades_btcusd").await;
    assert_eq!(body["Items"], json!(expected));
    // A gap that is longer than the range is found by its end.
    let (from, to) = (at(7, 0), at(8, 0));
    let (_, body) = service.json(&format!("/coverage?channel=live_trades_btcusd&from={from}&to={to}")).await;
    assert_eq!(body["Items"], json!([row(from.clone(), to.clone(), "gap")]));
    let (_, body) = service.json(&format!("/bitstamp?channel=live_trades_btcusd&from={from}&to={to}")).await;
    assert_eq!(body["Gaps"], json!([{ "from": from, "through": to, "state": "gap", "reason": "killed" }]));
    // Page by page the same.
    let mut rows = Vec::new();
    let mut path = "/coverage?channel=live_trades_btcusd&limit=2".to_owned();
    loop {
        let (_, body) = service.json(&path).await;
        rows.extend(body["Items"].as_array().unwrap().clone());
        let Some(token) = body.get("LastEvaluatedKey").and_then(Value::as_str) else { break };
        path = format!("/coverage?channel=live_trades_btcusd&limit=2&ExclusiveStartKey={token}");
    }
    assert_eq!(rows, expected);
}

fn deal(id: u64, time: u64, price: &str, amount: &str, kind: u8) -> Item {
    let message = format!(
        r#"{{"data":{{"id":{id},"amount":1,"amount_str":"{amount}","price":1,"price_str":"{price}","type":{kind},"microtimestamp":"{time}"}},"channel":"live_trades_btcusd","event":"trade"}}"#
    );
    stored(&message, time)
}

#[tokio::test]
async fn candles_are_exact_and_continue() {
    let service = Service::start().await;
    let second = 1_000_000;
    service
        .put(vec![
            deal(1, T, "29422.10", "0.10000001", 0),
            deal(2, T + 1, "29422.30", "1E-8", 1),
            deal(3, T + second - 1, "29422.2", "0.2", 0),
            deal(4, T + 3 * second, "5", "123456789.12345678", 1),
            deal(5, T + 61 * second, "6", "1", 0),
        ])
        .await;
    let candle = |time: u64, values: [&str; 6], trades: u64| {
        let [open, high, low, close, volume, buy] = values;
        json!({ "time": time, "open": open, "high": high, "low": low, "close": close, "volume": volume,
            "buy_volume": buy, "trades": trades, "state": "unknown", "skipped": 0 })
    };
    let first = candle(T, ["29422.1", "29422.3", "29422.1", "29422.2", "0.30000002", "0.30000001"], 3);
    let second_candle = candle(T + 3 * second, ["5", "5", "5", "5", "123456789.12345678", "0"], 1);
    let last = |time| candle(time, ["6", "6", "6", "6", "1", "1"], 1);
    let (_, body) = service.json("/candles?channel=live_trades_btcusd&interval=1s").await;
    assert_eq!(body["Items"], json!([first, second_candle, last(T + 61 * second)]));
    let (_, body) = service.json("/candles?channel=live_trades_btcusd&interval=1m").await;
    let minute = candle(T, ["29422.1", "29422.3", "5", "5", "123456789.4234568", "0.30000001"], 4);
    assert_eq!(body["Items"], json!([minute, last(T + 60 * second)]));

    let mut rows = Vec::new();
    let base = "/candles?channel=live_trades_btcusd&interval=1s&limit=1";
    let mut path = base.to_owned();
    loop {
        let (status, body) = service.json(&path).await;
        assert_eq!((status, &body["Count"]), (200, &json!(1)));
        rows.extend(body["Items"].as_array().unwrap().clone());
        let Some(token) = body.get("LastEvaluatedKey").and_then(Value::as_str) else { break };
        path = format!("{base}&ExclusiveStartKey={token}");
    }
    assert_eq!(rows, [first, second_candle, last(T + 61 * second)]);

    let (status, body) = service.json("/candles?channel=live_orders_btcusd&interval=2m").await;
    assert_eq!(status, 400);
    assert!(body["errors"][0]["reason"].as_str().unwrap().contains("live_trades_btcusd"));
    assert_eq!(body["errors"][1]["parameter"], "interval");
}

/// The daemon has entered its first channel; what an older system captured is there all the same.
#[tokio::test]
async fn a_channel_with_old_events_only_is_not_unknown() {
    let service = Service::start().await;
    service.put(vec![known("live_orders_btcusd", 1), stored(&trade(1, T), T)]).await;
    let service = Service { url: service.another_router().await, ..service };
    let later = T + 1_000_000;
    for path in ["/bitstamp?", "/candles?interval=1m&", "/coverage?", "/export?"] {
        let response = service.get(&format!("{path}channel=live_trades_btcusd&from={later}")).await;
        assert_eq!(response.status(), 200, "{path}");
        assert_eq!(service.get(&format!("{path}channel=live_trades_ethusd")).await.status(), 404, "{path}");
    }
}

/// Both systems have stored the same events; one that only the first one has stays.
#[tokio::test]
async fn an_event_that_both_systems_stored_is_shown_once() {
    let service = Service::start().await;
    let mut items = Vec::new();
    for (id, time) in [(7, T), (8, T), (9, T + 5)] {
        let daemons = stored(&order(id, time, "order_changed", id), time + 3);
        let mut first = daemons.clone();
        first.insert("microtimestamp".to_owned(), AttributeValue::S(time.to_string()));
        for name in ["received_at", "derived"] {
            first.remove(name);
        }
        // An event of the order that the daemon has not seen.
        if id == 8 {
            first.insert("amount_str".to_owned(), AttributeValue::S("0.5".to_owned()));
        }
        items.extend([daemons, first]);
    }
    service.put(items).await;
    for order in ["asc", "desc"] {
        for limit in [1, 2, 100] {
            let base = format!("/bitstamp?channel=live_orders_btcusd&order={order}&limit={limit}");
            let (mut shown, mut path) = (Vec::new(), base.clone());
            loop {
                let (_, body) = service.json(&path).await;
                shown.extend(
                    body["Items"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|item| item["amount_str"].as_str().unwrap().to_owned()),
                );
                let Some(token) = body.get("LastEvaluatedKey").and_then(Value::as_str) else { break };
                path = format!("{base}&ExclusiveStartKey={token}");
            }
            shown.sort();
            assert_eq!(shown, ["0.5", "7", "8", "9"], "{order} {limit}");
        }
    }
    let response = service.get(&format!("/bitstamp?channel=live_orders_btcusd&from={from}", from = T + 5)).await;
    assert_eq!(response.headers()["doubles"], "1");
}

#[tokio::test]
async fn candles_say_what_is_missing() {
    let service = Service::start().await;
    let minute = 60_000_000;
    let now = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    let now = u64::try_from(now.as_micros()).unwrap();
    let mut fetched = deal(2, T + minute, "2", "1", 0);
    fetched.insert("source".to_owned(), AttributeValue::S("rest".to_owned()));
    service
        .put(vec![
            deal(1, T, "1", "1", 0),
            fetched,
            deal(2, T + minute + 500_000, "2", "1", 0),
            deal(3, T + 2 * minute, "3", "99999999999999999999", 0),
            deal(4, T + 2 * minute + 1, "3", "0.0000000000000001", 0),
            deal(5, T + 2 * minute + 2, "three", "1", 0),
            deal(6, T + 3 * minute, "4", "1", 0),
            deal(7, now, "5", "1", 0),
            stretch(1, T - minute, T + minute, "captured", None),
            stretch(1, T + minute, T + minute + 7, "gap", Some("killed")),
            stretch(1, T + minute + 7, T + 2 * minute, "captured", None),
            stretch(1, T + 2 * minute, T + 3 * minute, "filled", None),
        ])
        .await;
    let response = service
        .get("/candles?channel=live_trades_btcusd&interval=1m&format=csv&fields=volume,trades,state,skipped")
        .await;
    assert_eq!(
        (&response.headers()["skipped"], &response.headers()["cache-control"]),
        (&"2".parse().unwrap(), &"no-store".parse().unwrap())
    );
    let expected = "volume,trades,state,skipped\r\n1,1,complete,0\r\n1,1,gap,0\r\n99999999999999999999,1,complete,2\r\n1,1,unknown,0\r\n1,1,open,0\r\n";
    assert_eq!(response.text().await.unwrap(), expected);
    let path = format!("{}/candles?channel=live_trades_btcusd&interval=1m&from={T}&to={}", service.url, T + 4 * minute);
    let closed = service.http.get(&path).send().await.unwrap();
    assert!(closed.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let again = service.http.get(&path).header("if-none-match", &closed.headers()["etag"]).send().await.unwrap();
    assert_eq!(again.status(), 304);
}
