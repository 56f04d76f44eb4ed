//! Blocks that `expand` cannot take apart stay, and are named.

use aws_sdk_dynamodb::types::AttributeValue;
use shared::item::Item;

use crate::support::{Desk, assert_nothing_missing, is_block, key, orders};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_block_is_named_and_left_alone() {
    let desk = Desk::new().await;
    desk.put(&orders(6_000, 7)).await;
    desk.run("run live_orders_btcusd --force").await.assert_code(0);
    let packed = desk.contents().await;
    let mut blocks: Vec<Item> = packed.values().filter(|item| is_block(item)).cloned().collect();
    assert!(blocks.len() >= 3, "{}", blocks.len());
    let AttributeValue::B(data) = &blocks[1]["data"] else { panic!("no data") };
    let mut bytes = data.as_ref().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    blocks[1].insert("data".to_owned(), AttributeValue::B(bytes.into()));
    // It follows from no record of this table.
    blocks[2].insert("expires".to_owned(), AttributeValue::N("4000000000".to_owned()));
    desk.put(&blocks[1..3]).await;
    let ended = desk.run("expand live_orders_btcusd --force").await.assert_code(3);
    for block in &blocks[1..3] {
        let name = block["microtimestamp"].as_s().unwrap();
        assert!(ended.out.contains(name), "{ended:?}");
        assert_eq!(desk.contents().await.get(&key(block)), Some(block));
    }
    let left: Vec<Item> = desk.contents().await.into_values().filter(is_block).collect();
    assert_eq!(left.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_with_another_item_under_its_key_keeps_its_block() {
    let desk = Desk::new().await;
    let items = orders(400, 8);
    desk.put(&items).await;
    let before = desk.contents().await;
    desk.run("run live_orders_btcusd --force").await.assert_code(0);
    // A daemon wrote the event once more since then.
    let mut other = items[10].clone();
    other.insert("received_at".to_owned(), AttributeValue::N("1809459694223519".to_owned()));
    desk.put(std::slice::from_ref(&other)).await;
    let report = desk.run("expand live_orders_btcusd --force --json").await.assert_code(3).json();
    assert_eq!(report["totals"]["conflicts"].as_u64(), Some(1));
    let now = desk.contents().await;
    assert_eq!(now.get(&key(&other)), Some(&other));
    assert_nothing_missing(&before, &now, "with a conflict");
    assert!(now.values().any(is_block));
}
