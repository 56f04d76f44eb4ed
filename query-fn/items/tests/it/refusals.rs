//! Everything that is refused says what is allowed, and changes nothing.

use items_fn::item::NONE;
use serde_json::{Value, json};

use crate::support::{KINDS, Kind, Table, event, invoke, operate};

fn key() -> Value {
    json!({ "id": 1, "microtimestamp": "5" })
}

/// The operation, its payload, the parameter at fault, and what is said about it.
fn malformed() -> Vec<(&'static str, Value, &'static str, &'static str)> {
    let update = |expression: &str| json!({ "Key": key(), "UpdateExpression": expression });
    vec![
        ("read", json!({}), "payload.Key", "missing"),
        ("read", json!([]), "payload", "expected an object"),
        ("read", json!({ "Key": { "id": 1 } }), "payload.Key", "the complete key"),
        ("read", json!({ "Key": { "id": "1", "microtimestamp": "5" } }), "payload.Key", "`id` is a number"),
        ("read", json!({ "Key": { "id": 1, "microtimestamp": "5", "a": 1 } }), "payload.Key", "alone"),
        (
            "read",
            json!({ "Key": { "id": { "N": "1" }, "microtimestamp": { "S": 5 } } }),
            "payload.Key",
            "S expects a text",
        ),
        (
            "read",
            json!({ "Key": key(), "TableName": "another" }),
            "payload.TableName",
            "not the table of this function",
        ),
        (
            "read",
            json!({ "Key": key(), "IndexName": "i" }),
            "payload.IndexName",
            "allowed are TableName, Key, ConsistentRead",
        ),
        ("create", json!({ "Item": { "id": 1 } }), "payload.Item", "the complete key"),
        (
            "create",
            json!({ "Item": key(), "UpdateExpression": "SET a = b" }),
            "payload.UpdateExpression",
            "allowed are TableName, Item",
        ),
        ("create", json!({ "Item": key(), "overwrite": "yes" }), "payload.overwrite", "expected true or false"),
        (
            "create",
            json!({ "Item": key(), "ReturnValues": "ALL_NEW" }),
            "payload.ReturnValues",
            "none of NONE, ALL_OLD",
        ),
        ("update", json!({ "Key": key() }), "payload.UpdateExpression", "missing"),
        ("update", update("SET a = :a"), "payload.UpdateExpression", "`:a` is not in"),
        ("update", update("REMOVE id"), "payload.id", "does not change"),
        ("update", update("SEL a = b"), "payload.UpdateExpression", "expected SET, REMOVE, ADD or DELETE"),
        ("update", json!({ "Key": key(), "AttributeUpdates": { "a": 1 } }), "payload.AttributeUpdates", "Value"),
        (
            "update",
            json!({ "Key": key(), "UpdateExpression": "REMOVE a", "ExpressionAttributeNames": { "#x": "y" } }),
            "payload.ExpressionAttributeNames",
            "no expression uses #x",
        ),
        (
            "delete",
            json!({ "Key": key(), "ConditionExpression": "attribute_exists(id)) OR (attribute_exists(id)" }),
            "payload.ConditionExpression",
            "parentheses do not match",
        ),
        ("delete", json!({ "Key": key(), "ifMatch": 5 }), "payload.ifMatch", "expected a text"),
    ]
}

#[tokio::test]
async fn malformed_payloads_name_what_is_allowed() {
    let table = Table::new().await;
    let mut function = table.function().await;
    for kind in KINDS {
        for (operation, payload, parameter, said) in malformed() {
            let (status, body) = operate(&mut function, kind, operation, &payload).await;
            assert_eq!((status, &body["type"]), (400, &json!("wrong-parameters")), "{payload}");
            let errors = body["errors"].as_array().unwrap();
            let found = errors
                .iter()
                .any(|error| error["parameter"] == parameter && error["reason"].as_str().unwrap().contains(said));
            assert!(found, "{operation} {payload}: {body}");
        }
        for body in ["", "[]", "{", r#"{"operation":5}"#, r#"{"operation":"read","payload":{},"table":"x"}"#] {
            let (status, answer) =
                invoke(&mut function, &event(kind, "POST", "/items", &[], Some(body.to_owned()))).await;
            assert_eq!((status, &answer["status"]), (400, &json!(400)), "{body}");
        }
    }
    let long = format!(
        r#"{{"operation":"create","payload":{{"Item":{{"id":1,"microtimestamp":"5","n":{}}}}}}}"#,
        "9".repeat(39)
    );
    let (status, answer) = invoke(&mut function, &event(Kind::Rest, "POST", "/items", &[], Some(long))).await;
    assert_eq!(status, 400);
    assert!(answer["errors"][0]["reason"].as_str().unwrap().contains("at most 38 digits"), "{answer}");
    assert!(table.audited().await.is_empty());
    assert!(function.process.try_wait().unwrap().is_none(), "nothing that is sent ends the process");
}

#[tokio::test]
async fn paths_and_methods_are_those_two() {
    let table = Table::new().await;
    let mut function = table.function().await;
    for kind in KINDS {
        for (method, path, status) in [
            ("GET", "/items", 405),
            ("POST", "/items/audit", 405),
            ("POST", "/bitstamp", 404),
            ("GET", "/channels", 404),
        ] {
            let (answered, body) = invoke(&mut function, &event(kind, method, path, &[], Some("{}".to_owned()))).await;
            assert_eq!(answered, status, "{method} {path}: {body}");
        }
    }
}

/// Behind a route without signatures the function does nothing, and a header makes nobody a caller.
#[tokio::test]
async fn a_request_without_a_verified_caller_is_refused() {
    let table = Table::new().await;
    let mut function = table.function().await;
    let body = json!({ "operation": "create", "payload": { "Item": key() } }).to_string();
    for kind in KINDS {
        for (method, path) in [("POST", "/items"), ("GET", "/items/audit")] {
            let mut event = event(kind, method, path, &[], Some(body.clone()));
            event["requestContext"].as_object_mut().unwrap().remove("authorizer");
            event["requestContext"]["identity"] = json!({ "userArn": null, "apiKey": "a-reader's-key" });
            let (status, body) = invoke(&mut function, &event).await;
            assert_eq!((status, &body["type"]), (403, &json!("no-caller")), "{body}");
        }
    }
    assert_eq!(table.item(&key()).await, None);
}

#[tokio::test]
async fn what_is_there_is_not_overwritten_and_another_state_is_a_conflict() {
    let table = Table::new().await;
    let mut function = table.function().await;
    let item = json!({ "id": 1, "microtimestamp": "5", "a": 1 });
    table.put(&item).await;
    let (_, read) = operate(&mut function, Kind::Http, "read", &json!({ "Key": key() })).await;
    let other = json!({ "id": 1, "microtimestamp": "5", "a": 2 });
    let set = |seen: &Value| json!({ "Key": key(), "UpdateExpression": "SET a = :a", "ExpressionAttributeValues": { ":a": 3 }, "ifMatch": seen });
    for (operation, payload) in [
        ("create", json!({ "Item": other })),
        ("create", json!({ "Item": other, "overwrite": true, "ifMatch": NONE })),
        ("update", set(&json!(NONE))),
        ("delete", json!({ "Key": key(), "ifMatch": "0".repeat(64) })),
        ("delete", json!({ "Key": key(), "ConditionExpression": "a = :a", "ExpressionAttributeValues": { ":a": 2 } })),
        // The change would change nothing, and its condition counts all the same.
        ("create", json!({ "Item": item, "overwrite": true, "ConditionExpression": "attribute_exists(b)" })),
    ] {
        for kind in KINDS {
            let (status, body) = operate(&mut function, kind, operation, &payload).await;
            assert_eq!((status, &body["type"]), (409, &json!("conflict")), "{payload} {body}");
            assert_eq!((&body["current"], &body["ifMatch"]), (&item, &read["ifMatch"]), "{payload}");
        }
    }
    let missing = json!({ "Key": { "id": 9, "microtimestamp": "5" }, "ifMatch": read["ifMatch"] });
    let (status, body) = operate(&mut function, Kind::Rest, "delete", &missing).await;
    assert_eq!((status, &body["current"], &body["ifMatch"]), (409, &Value::Null, &json!(NONE)));
    assert!(table.audited().await.is_empty());
    let (status, body) = operate(&mut function, Kind::Rest, "update", &set(&read["ifMatch"])).await;
    assert_eq!(status, 200, "{body}");
}

#[tokio::test]
async fn key_attributes_and_reserved_items_need_a_flag() {
    let table = Table::new().await;
    let mut function = table.function().await;
    table.put(&json!({ "id": 1, "microtimestamp": "5", "channel": "live_trades_btcusd", "nmicrotimestamp": 5 })).await;
    let channels = json!({ "id": 2, "microtimestamp": "live_trades_x", "channel": "_channels", "nmicrotimestamp": 1 });
    table.put(&channels).await;
    let lease = json!({ "id": 3, "microtimestamp": "_lease:1", "owner": "a" });
    table.put(&lease).await;
    let name = |payload: &Value, name: &str| {
        let mut payload = payload.clone();
        payload[name] = json!(true);
        payload
    };
    let channel = json!({ "Key": key(), "UpdateExpression": "SET channel = :c", "ExpressionAttributeValues": { ":c": "live_trades_x" } });
    let reserved = json!({ "Key": key(), "UpdateExpression": "SET channel = :c", "ExpressionAttributeValues": { ":c": "_x" }, "allowKeyAttributes": true });
    for (operation, payload, flag) in [
        ("update", channel, "allowKeyAttributes"),
        ("update", reserved, "allowReserved"),
        ("delete", json!({ "Key": { "id": 2, "microtimestamp": "live_trades_x" } }), "allowReserved"),
        ("delete", json!({ "Key": { "id": 3, "microtimestamp": "_lease:1" } }), "allowReserved"),
        ("create", json!({ "Item": { "id": 4, "microtimestamp": "_x" } }), "allowReserved"),
    ] {
        let (status, body) = operate(&mut function, Kind::Rest, operation, &payload).await;
        assert_eq!(
            (status, &body["errors"][0]["parameter"]),
            (400, &json!(format!("payload.{flag}"))),
            "{payload} {body}"
        );
        let (status, body) = operate(&mut function, Kind::Http, operation, &name(&payload, flag)).await;
        assert_eq!(status, 200, "{payload} {body}");
    }
    // What was recorded stays, with any flag.
    let audited = table.audited().await;
    let entry = crate::support::plain(&audited[0]);
    let entry_key = json!({ "id": entry["id"], "microtimestamp": entry["microtimestamp"] });
    for (operation, payload) in [
        ("delete", json!({ "Key": entry_key, "allowReserved": true })),
        ("create", json!({ "Item": { "id": 5, "microtimestamp": "_audit#0", "a": 1 }, "allowReserved": true })),
        ("create", json!({ "Item": { "id": 5, "microtimestamp": "6", "channel": "_audit" }, "allowReserved": true })),
    ] {
        let (status, body) = operate(&mut function, Kind::Rest, operation, &payload).await;
        assert_eq!(status, 400, "{body}");
        assert!(body["errors"][0]["reason"].as_str().unwrap().contains("never changed"), "{body}");
    }
    assert_eq!(table.audited().await, audited);
}

#[tokio::test]
async fn what_the_store_refuses_or_cannot_record_is_said() {
    let table = Table::new().await;
    let mut function = table.function().await;
    let item = json!({ "id": 1, "microtimestamp": "5", "channel": 7 });
    let (status, body) = operate(&mut function, Kind::Rest, "create", &json!({ "Item": item })).await;
    assert_eq!(status, 400, "an index key of a wrong type: {body}");
    let text = "x".repeat(250_000);
    let item = json!({ "id": 1, "microtimestamp": "5", "text": text });
    let (status, _) = operate(&mut function, Kind::Rest, "create", &json!({ "Item": item })).await;
    assert_eq!(status, 200);
    let update = json!({ "Key": key(), "UpdateExpression": "SET a = :a", "ExpressionAttributeValues": { ":a": 1 } });
    let (status, body) = operate(&mut function, Kind::Rest, "update", &update).await;
    assert_eq!(status, 400);
    assert!(body["errors"][0]["reason"].as_str().unwrap().contains("record of this change"), "{body}");
    let (status, _) = operate(&mut function, Kind::Rest, "delete", &json!({ "Key": key() })).await;
    assert_eq!(status, 200);
    assert_eq!(table.audited().await.len(), 2);
}
