//! A store that fails half-way: the change and its audit item are both there, or neither is, and a success is only said of both.

use aws_sdk_dynamodb::types::AttributeValue;
use fault_proxy::{config::Config as Faults, mix::FaultProbabilities, proxy::Proxy};
use serde_json::json;
use std::{collections::BTreeSet, time::Duration};

use crate::support::{Table, plain, post};

async fn proxy(table: &Table, seed: u64, mix: FaultProbabilities) -> Proxy {
    eprintln!("seed {seed}");
    let mut faults = Faults::new(&table.endpoint, seed);
    faults.mix = mix;
    faults.slow_limit = Duration::from_millis(20);
    Proxy::start(faults).await.unwrap()
}

#[tokio::test]
async fn a_change_and_its_record_are_both_there_or_neither() {
    let none = FaultProbabilities::default();
    for (name, mix) in [
        ("throttled_table", FaultProbabilities { throttled_table: 0.5, ..none }),
        ("server_error", FaultProbabilities { server_error: 0.5, ..none }),
        ("timeout", FaultProbabilities { timeout: 0.3, ..none }),
        ("closed", FaultProbabilities { closed: 0.5, ..none }),
        ("half_written", FaultProbabilities { half_written: 0.5, ..none }),
        ("empty", FaultProbabilities { empty: 0.5, ..none }),
        ("bare", FaultProbabilities { bare: 0.5, ..none }),
    ] {
        let table = Table::new().await;
        let proxy = proxy(&table, 18, mix).await;
        let service = table.service_with(&proxy.url(), |config| config.time_budget = Duration::from_millis(250));
        let mut succeeded = BTreeSet::new();
        let mut statuses = BTreeSet::new();
        for id in 0..40 {
            let item = json!({ "id": id, "microtimestamp": "5", "a": id });
            let (status, body) = post(&service, "a", "create", &json!({ "Item": item })).await;
            statuses.insert(status);
            match status {
                200 => drop(succeeded.insert(id)),
                503 => assert_eq!(body["type"], "store-busy", "{name}: {body}"),
                _ => panic!("{name}: {status} {body}"),
            }
        }
        let recorded: BTreeSet<i64> =
            table.audited().await.iter().map(|entry| plain(entry)["key"]["id"].as_i64().unwrap()).collect();
        let mut stored = BTreeSet::new();
        for id in 0..40 {
            if table.item(&json!({ "id": id, "microtimestamp": "5" })).await.is_some() {
                stored.insert(id);
            }
        }
        assert_eq!(stored, recorded, "{name}: a change without its record, or a record without its change");
        assert!(succeeded.is_subset(&stored), "{name}: a success that is not there");
        assert_eq!(statuses, BTreeSet::from([200, 503]), "{name}");
    }
}

/// The last member of the transaction fails: of the ones before nothing is left.
#[tokio::test]
async fn a_transaction_that_fails_half_way_leaves_nothing() {
    use items_fn::audit::{Author, Entry, counter_key};
    use items_fn::{change, item::Key, request::Request, store::Store};
    let table = Table::new().await;
    let author = Author { who: "a".to_owned(), request_id: "r".to_owned(), when: 7 };
    let store = Store::new(table.client.clone(), table.name.clone());
    let body = json!({ "operation": "create", "payload": { "Item": { "id": 1, "microtimestamp": "5" } } });
    let Request::Change(request) = Request::parse(body.to_string().as_bytes(), &table.name).unwrap() else { panic!() };
    let key = Key { id: "1".to_owned(), microtimestamp: "5".to_owned() };
    let entry = Entry { author: &author, operation: "create", key: &key, change: 1, before: None, after: None };
    // The place of the record is taken, so that the transaction's second member fails each time.
    let mut taken = entry.key().to_item();
    taken.insert("kept".to_owned(), AttributeValue::Bool(true));
    table.client.put_item().table_name(&table.name).set_item(Some(taken.clone())).send().await.unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(600);
    let refused = change::carry_out(&store, &request, &author, deadline).await.unwrap_err();
    assert!(matches!(refused, change::Refused::Conflict { current: None, .. }), "{refused:?}");
    assert_eq!(store.get(&key, deadline).await.unwrap(), None);
    assert_eq!(store.get(&counter_key(&key), deadline).await.unwrap(), None);
    assert_eq!(store.get(&entry.key(), deadline).await.unwrap(), Some(taken));
}

/// Each action that the role has is used, and named where it is missing.
#[tokio::test]
async fn a_missing_permission_is_named() {
    let table = Table::new().await;
    let all = ["GetItem", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem", "Query"];
    for missing in all {
        let mut faults = Faults::new(&table.endpoint, 18);
        faults.allow =
            Some(all.iter().filter(|action| **action != missing).map(|action| (*action).to_owned()).collect());
        let proxy = Proxy::start(faults).await.unwrap();
        let service = table.service(&proxy.url());
        let key = json!({ "id": 1, "microtimestamp": "5" });
        table.put(&json!({ "id": 1, "microtimestamp": "5", "a": 1 })).await;
        let (operation, payload) = match missing {
            "GetItem" => ("read", json!({ "Key": key })),
            "PutItem" => ("create", json!({ "Item": { "id": 2, "microtimestamp": "5" } })),
            "UpdateItem" => ("update", json!({ "Key": key, "UpdateExpression": "REMOVE a" })),
            "DeleteItem" => ("delete", json!({ "Key": key })),
            _ => (
                "update",
                json!({ "Key": key, "UpdateExpression": "REMOVE b", "ConditionExpression": "attribute_exists(a)" }),
            ),
        };
        let (status, body) = if missing == "Query" {
            let request = axum::http::Request::get("/items/audit").body(axum::body::Body::empty()).unwrap();
            crate::support::ask(&service, "a", request).await
        } else {
            post(&service, "a", operation, &payload).await
        };
        assert_eq!((status, &body["type"]), (502, &json!("wrong-setup")), "{missing}: {body}");
        let said = format!("the permission dynamodb:{missing} on the table");
        assert!(body["detail"].as_str().unwrap().contains(&said), "{missing}: {body}");
    }
    assert!(table.audited().await.is_empty());
}
