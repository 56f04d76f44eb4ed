//! Blocks are shown with their events, and only deleted.

use serde_json::json;
use shared::{
    block::stored::OpenBlock,
    frame::Frame,
    item::{self, Item},
    time::Micros,
};

use crate::support::{Table, plain, post};

const WHO: &str = "arn:aws:iam::123456789012:user/operator";

fn trade(id: u64) -> Item {
    let frame = format!(
        r#"{{"data":{{"id":{id},"price_str":"29422","microtimestamp":"164781720717{id:04}"}},"channel":"order_book_btcusd","event":"trade"}}"#
    );
    let Frame::Event(event) = Frame::parse(frame.as_bytes()).unwrap() else { panic!("{frame}") };
    item::from_event(event, Micros(1_647_817_207_180_000 + id)).unwrap()
}

#[tokio::test]
async fn a_block_is_read_with_its_events_and_never_edited() {
    let table = Table::new().await;
    let service = table.service(&table.endpoint);
    let mut open = OpenBlock::new("order_book_btcusd", "vm-a-1", 9);
    (1..=3).for_each(|id| open.add(&trade(id)).unwrap());
    let block = open.finish().unwrap();
    let key = json!({ "id": 1_647_817_207_170_001_u64, "microtimestamp": block.key().microtimestamp });
    table.put(&plain(&block.to_attributes())).await;

    let (status, read) = post(&service, WHO, "read", &json!({ "Key": key })).await;
    assert_eq!((status, &read["Item"]["count"]), (200, &json!(3)), "{read}");
    let events: Vec<_> = (1..=3).map(|id| plain(&trade(id))).collect();
    assert_eq!(read["Events"], json!(events));

    let edit = json!({ "Key": key, "UpdateExpression": "SET daemon = :d", "ExpressionAttributeValues": { ":d": "x" } });
    let mut with_flag = edit.clone();
    with_flag["allowReserved"] = json!(true);
    for (payload, field) in [(edit, "payload.allowReserved"), (with_flag, "payload.Key")] {
        let (status, body) = post(&service, WHO, "update", &payload).await;
        assert_eq!((status, &body["errors"][0]["parameter"]), (400, &json!(field)), "{body}");
    }
    assert_eq!(table.item(&key).await, Some(block.to_attributes()));

    let mut damaged = plain(&block.to_attributes());
    damaged["checksum"] = json!("0000000000000000");
    table.put(&damaged).await;
    let (_, read) = post(&service, WHO, "read", &json!({ "Key": key })).await;
    assert!(read["Fault"].as_str().unwrap().contains("wrong checksum"), "{read}");
    let (status, body) = post(&service, WHO, "delete", &json!({ "Key": key, "allowReserved": true })).await;
    assert_eq!((status, table.item(&key).await), (200, None), "{body}");
}
