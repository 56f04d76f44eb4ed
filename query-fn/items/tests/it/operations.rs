//! Every operation through the runtime's protocol, for events of REST and of HTTP APIs.

use items_fn::item::NONE;
use serde_json::{Value, json};

use crate::support::{KINDS, Kind, OPERATOR, Table, event, invoke, operate, plain};

const LONG: &str = "12345678901234567890123456789012345678";

fn long() -> Value {
    serde_json::from_str(LONG).unwrap()
}

fn trade(kind: Kind) -> Value {
    json!({
        "id": if kind == Kind::Rest { 1 } else { 2 }, "microtimestamp": "1647817207170000",
        "channel": "live_trades_btcusd", "nmicrotimestamp": 1_647_817_207_170_000_u64,
        "price": serde_json::from_str::<Value>("29422.10").unwrap(), "amount": long(), "amount_str": LONG,
    })
}

#[tokio::test]
async fn one_item_is_created_read_updated_and_deleted() {
    let table = Table::new().await;
    let mut function = table.function().await;
    for kind in KINDS {
        let item = trade(kind);
        let key = json!({ "id": item["id"], "microtimestamp": item["microtimestamp"] });
        let (status, body) = operate(&mut function, kind, "read", &json!({ "Key": key })).await;
        assert_eq!((status, body), (200, json!({ "ifMatch": NONE })));

        let (status, created) = operate(&mut function, kind, "create", &json!({ "Item": item })).await;
        assert_eq!((status, &created["changed"]), (200, &json!(true)), "{created}");
        let (status, read) = operate(&mut function, kind, "read", &json!({ "Key": key })).await;
        assert_eq!(status, 200);
        assert_eq!(read["Item"]["amount"].to_string(), LONG, "38 digits go round unchanged");
        assert_eq!(read["Item"]["price"].to_string(), "29422.1", "DynamoDB keeps the value of a number");
        assert_eq!(read["ifMatch"], created["ifMatch"]);

        let payload = json!({
            "Key": key, "UpdateExpression": "SET #a = amount - :one, seen = :seen REMOVE price",
            "ExpressionAttributeNames": { "#a": "amount" }, "ExpressionAttributeValues": { ":one": 1, ":seen": ["x", null, true] },
            "ConditionExpression": "attribute_exists(price)", "ReturnValues": "ALL_NEW", "ifMatch": read["ifMatch"],
        });
        let (status, updated) = operate(&mut function, kind, "update", &payload).await;
        assert_eq!(status, 200, "{updated}");
        assert_eq!(updated["Attributes"]["amount"].to_string(), "12345678901234567890123456789012345677");
        assert_eq!(updated["Attributes"]["seen"], json!(["x", null, true]));
        assert!(updated["Attributes"].get("price").is_none());
        let (_, read) = operate(&mut function, kind, "read", &json!({ "Key": key })).await;
        assert_eq!((&read["Item"], &read["ifMatch"]), (&updated["Attributes"], &updated["ifMatch"]));

        let payload = json!({ "Key": key, "ifMatch": read["ifMatch"], "ReturnValues": "ALL_OLD" });
        let (status, deleted) = operate(&mut function, kind, "delete", &payload).await;
        assert_eq!((status, &deleted["ifMatch"]), (200, &json!(NONE)));
        assert_eq!(deleted["Attributes"], read["Item"]);
        assert_eq!(table.item(&key).await, None);
    }
    let audited: Vec<_> = table.audited().await.iter().map(plain).collect();
    assert_eq!(audited.len(), 6);
    for (entry, operation) in audited.iter().zip(["create", "update", "delete"].into_iter().cycle()) {
        assert_eq!((&entry["operation"], &entry["who"]), (&json!(operation), &json!(OPERATOR)), "{entry}");
        assert!(entry["request_id"].as_str().unwrap().starts_with("request-"));
        assert_eq!(entry.get("before").is_some(), operation != "create");
        assert_eq!(entry.get("after").is_some(), operation != "delete");
    }
    assert_eq!(audited[0]["after"], audited[1]["before"]);
    assert_eq!(audited[1]["after"], audited[2]["before"]);
    assert_eq!(audited[2]["change"], 3);
}

#[tokio::test]
async fn an_answer_has_the_form_of_the_request() {
    let table = Table::new().await;
    let mut function = table.function().await;
    let item = json!({
        "id": { "N": "7" }, "microtimestamp": { "S": "5" }, "number": { "N": LONG }, "bytes": { "B": "AP8=" },
        "set": { "NS": ["1", "2.5"] }, "map": { "M": { "$B": { "S": "no bytes" } } }, "none": { "NULL": true },
    });
    let (status, _) = operate(&mut function, Kind::Http, "create", &json!({ "Item": item })).await;
    assert_eq!(status, 200);
    let key = json!({ "id": { "N": "7" }, "microtimestamp": { "S": "5" } });
    let (_, typed) = operate(&mut function, Kind::Http, "read", &json!({ "Key": key })).await;
    assert_eq!(typed["Item"], item);
    let (_, read) =
        operate(&mut function, Kind::Rest, "read", &json!({ "Key": { "id": 7, "microtimestamp": "5" } })).await;
    let expected = json!({
        "id": 7, "microtimestamp": "5", "number": serde_json::from_str::<Value>(LONG).unwrap(), "bytes": { "$B": "AP8=" },
        "set": { "$NS": [1, serde_json::from_str::<Value>("2.5").unwrap()] }, "map": { "$$B": "no bytes" }, "none": null,
    });
    assert_eq!(read["Item"], expected);
    // What was read in plain JSON can be put back as it is.
    let payload = json!({ "Item": read["Item"], "overwrite": true, "ifMatch": read["ifMatch"] });
    let (status, put) = operate(&mut function, Kind::Rest, "create", &payload).await;
    assert_eq!((status, &put["changed"]), (200, &json!(false)), "{put}");
    let payload = json!({
        "Key": key, "UpdateExpression": "ADD number :n", "ExpressionAttributeValues": { ":n": { "N": "-1" } },
        "ReturnValues": "UPDATED_OLD",
    });
    let (_, updated) = operate(&mut function, Kind::Rest, "update", &payload).await;
    assert_eq!(updated["Attributes"], json!({ "number": { "N": LONG } }));
}

#[tokio::test]
async fn echo_returns_its_payload_byte_by_byte() {
    let table = Table::new().await;
    let mut function = table.function().await;
    for kind in KINDS {
        let payload = r#"{"z":1.50,"a":[1e-8,"\u00e9"],"n":123456789012345678901234567890123456789012345}"#;
        let body = format!(r#"{{"payload": {payload}, "operation": "echo"}}"#);
        let (_, sent) = function.invoke(&event(kind, "POST", "/items", &[], Some(body))).await;
        let answer: Value = serde_json::from_slice(&sent).unwrap();
        assert_eq!((&answer["statusCode"], answer["body"].as_str()), (&json!(200), Some(payload)));
        let (status, body) =
            invoke(&mut function, &event(kind, "POST", "/items", &[], Some(r#"{"operation":"echo"}"#.to_owned())))
                .await;
        assert_eq!((status, body), (200, Value::Null));
    }
    assert!(table.audited().await.is_empty());
}
