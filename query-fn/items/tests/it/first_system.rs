//! The request bodies of the first system, one function behind API Gateway that handed each payload to boto3: answered as they were.

use serde_json::{Value, json};

use crate::support::{KINDS, Kind, Table, event, invoke};

async fn send(function: &mut crate::runtime::Function, kind: Kind, body: &str) -> (u64, Value) {
    invoke(function, &event(kind, "POST", "/items", &[], Some(body.to_owned()))).await
}

#[tokio::test]
async fn bodies_of_the_first_system_are_answered_as_they_were() {
    for kind in KINDS {
        let table = Table::new().await;
        let mut function = table.function().await;
        let create = r#"{"operation":"create","payload":{"Item":{"id":1234,"microtimestamp":"5","number":5}}}"#;
        let (status, body) = send(&mut function, kind, create).await;
        assert_eq!(status, 200, "{body}");
        let read = r#"{"operation":"read","payload":{"Key":{"id":1234,"microtimestamp":"5"}}}"#;
        let (status, body) = send(&mut function, kind, read).await;
        assert_eq!((status, &body["Item"]), (200, &json!({ "id": 1234, "microtimestamp": "5", "number": 5 })));

        let update = r#"{"operation":"update","payload":{"Key":{"id":1234,"microtimestamp":"5"},"AttributeUpdates":{"number":{"Value":10}}}}"#;
        assert_eq!(send(&mut function, kind, update).await.0, 200);
        assert_eq!(send(&mut function, kind, read).await.1["Item"]["number"], 10);
        let update = r##"{"operation":"update","payload":{"Key":{"id":1234,"microtimestamp":"5"},"UpdateExpression":"SET #n = :v","ExpressionAttributeNames":{"#n":"number"},"ExpressionAttributeValues":{":v":11},"ReturnValues":"UPDATED_NEW"}}"##;
        let (status, body) = send(&mut function, kind, update).await;
        assert_eq!((status, &body["Attributes"]), (200, &json!({ "number": 11 })));

        let delete = r#"{"operation":"delete","payload":{"Key":{"id":1234,"microtimestamp":"5"}}}"#;
        assert_eq!(send(&mut function, kind, delete).await.0, 200);
        assert_eq!(send(&mut function, kind, read).await.1.get("Item"), None);
        // Nothing is left to delete, which boto3 takes for success too.
        let (status, body) = send(&mut function, kind, delete).await;
        assert_eq!((status, &body["changed"]), (200, &json!(false)));

        let echo = r#"{"operation":"echo","payload":{"somekey1":"somevalue1"}}"#;
        assert_eq!(send(&mut function, kind, echo).await, (200, json!({ "somekey1": "somevalue1" })));
        let (status, body) = send(&mut function, kind, r#"{"operation":"list","payload":{}}"#).await;
        assert_eq!((status, &body["type"]), (400, &json!("wrong-parameters")));
        let said = body["errors"][0]["reason"].as_str().unwrap();
        assert_eq!(said, r#"unrecognized operation "list"; allowed are create, read, update, delete, echo"#);
        assert_eq!(table.audited().await.len(), 4);
    }
}

#[tokio::test]
async fn older_updates_are_translated_exactly() {
    let table = Table::new().await;
    let mut function = table.function().await;
    table.put(&json!({ "id": 1, "microtimestamp": "5", "n": 5, "set": { "$SS": ["x", "y"] }, "gone": "x" })).await;
    let body = json!({ "operation": "update", "payload": {
        "TableName": table.name,
        "Key": { "id": 1, "microtimestamp": "5" }, "ReturnValues": "ALL_NEW",
        "AttributeUpdates": {
            "n": { "Action": "ADD", "Value": serde_json::from_str::<Value>("0.5").unwrap() },
            "set": { "Action": "DELETE", "Value": { "$SS": ["x"] } },
            "gone": { "Action": "DELETE" },
            "new": { "Action": "PUT", "Value": { "a": [1] } },
        },
    } });
    let (status, body) = send(&mut function, Kind::Http, &body.to_string()).await;
    assert_eq!(status, 200, "{body}");
    let expected = json!({
        "id": 1, "microtimestamp": "5", "n": serde_json::from_str::<Value>("5.5").unwrap(), "set": { "$SS": ["y"] }, "new": { "a": [1] },
    });
    assert_eq!(body["Attributes"], expected);
    // Taking away from an item that is not there makes none.
    let body = r#"{"operation":"update","payload":{"Key":{"id":2,"microtimestamp":"5"},"AttributeUpdates":{"n":{"Action":"DELETE"}}}}"#;
    assert_eq!(send(&mut function, Kind::Http, body).await.1["changed"], false);
    assert_eq!(table.item(&json!({ "id": 2, "microtimestamp": "5" })).await, None);
}
