//! What was changed is read in pages, by operators alone.

use axum::{body::Body, http::Request};
use items_fn::audit::PARTITION;
use query_fn::{config::Config, http::token::random_key};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{KINDS, Kind, Table, ask, event, invoke, operate, post};
use crate::table::client;

#[tokio::test]
async fn pages_follow_each_other_by_tokens() {
    let table = Table::new().await;
    let mut function = table.function().await;
    for id in 0..7 {
        let item = json!({ "id": id, "microtimestamp": "5" });
        assert_eq!(operate(&mut function, Kind::Rest, "create", &json!({ "Item": item })).await.0, 200);
    }
    for (kind, order) in KINDS.into_iter().flat_map(|kind| [(kind, "asc"), (kind, "desc")]) {
        let mut ids = Vec::new();
        let mut token: Option<String> = None;
        loop {
            let mut query = vec![("limit", "3"), ("order", order)];
            if let Some(token) = &token {
                query.push(("ExclusiveStartKey", token));
            }
            let (status, page) = invoke(&mut function, &event(kind, "GET", "/items/audit", &query, None)).await;
            assert_eq!(status, 200, "{page}");
            assert_eq!(page["Count"], page["Items"].as_array().unwrap().len());
            ids.extend(page["Items"].as_array().unwrap().iter().map(|entry| entry["key"]["id"].as_u64().unwrap()));
            token = page.get("LastEvaluatedKey").map(|token| token.as_str().unwrap().to_owned());
            if token.is_none() {
                break;
            }
        }
        if order == "desc" {
            ids.reverse();
        }
        assert_eq!(ids, (0..7).collect::<Vec<_>>());
    }
    let (_, page) =
        invoke(&mut function, &event(Kind::Http, "GET", "/items/audit", &[("form", "typed"), ("limit", "1")], None))
            .await;
    assert_eq!(page["Items"][0]["operation"], json!({ "S": "create" }));
    let token = page["LastEvaluatedKey"].as_str().unwrap();
    let forged = format!("{token}AA");
    for query in [
        vec![("limit", "0")],
        vec![("form", "xml")],
        vec![("channel", "x")],
        vec![("ExclusiveStartKey", forged.as_str())],
        vec![("ExclusiveStartKey", token), ("order", "desc")],
    ] {
        let (status, body) = invoke(&mut function, &event(Kind::Rest, "GET", "/items/audit", &query, None)).await;
        assert_eq!((status, &body["type"]), (400, &json!("wrong-parameters")), "{query:?} {body}");
    }
    let (_, none) =
        invoke(&mut function, &event(Kind::Rest, "GET", "/items/audit", &[("to", "2020-01-01")], None)).await;
    assert_eq!(none, json!({ "Items": [], "Count": 0 }));
}

/// Readers of the query API come to nothing of it: no list names the channel, no address reads it.
#[tokio::test]
async fn readers_do_not_see_audit_items() {
    let table = Table::new().await;
    let service = table.service(&table.endpoint);
    let item = json!({ "id": 1, "microtimestamp": "1647817207170000", "channel": "live_trades_btcusd", "nmicrotimestamp": 1_647_817_207_170_000_u64 });
    table
        .put(&json!({ "id": 3, "microtimestamp": "live_trades_btcusd", "channel": "_channels", "nmicrotimestamp": 1 }))
        .await;
    assert_eq!(post(&service, "a", "create", &json!({ "Item": item })).await.0, 200);
    assert_eq!(table.audited().await.len(), 1);
    let config = Config::new(&table.name, vec![random_key()]);
    let readers = query_fn::routes::router(client(&table.endpoint), config);
    let read = async |path: &str| {
        let response = readers.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, serde_json::from_slice::<Value>(&body).unwrap())
    };
    let (_, channels) = read("/channels").await;
    assert_eq!((&channels["Count"], &channels["Items"][0]["channel"]), (&json!(1), &json!("live_trades_btcusd")));
    for path in
        ["/bitstamp?channel=_audit", "/latest?channel=_audit", "/count?channel=_audit", "/export?channel=_audit"]
    {
        assert_eq!(read(path).await.0, 400, "{path}");
    }
    assert_eq!(read(&format!("/orders/{PARTITION}")).await.0, 404);
    let (_, page) = read("/bitstamp?channel=*").await;
    assert_eq!(page["Count"], 1, "the event alone: {page}");
    let request = Request::get("/bitstamp?channel=live_trades_btcusd").body(Body::empty()).unwrap();
    assert_eq!(ask(&service, "a", request).await.0, 404, "the operators' function answers no reader");
}

#[test]
fn the_partition_is_the_hash_of_the_channel() {
    assert_eq!(xxhash_rust::xxh3::xxh3_64(b"_audit").to_string(), PARTITION);
}
